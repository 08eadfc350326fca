"""The splitter against an independent solver, against brute force, and against the rules it must never break."""

from __future__ import annotations

from itertools import product

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.splitting import Plan, Problem, ProblemRefused, solve


def random_problem(seed: int, lines: int = 5, nodes: int = 5, *, dear: int = 40) -> Problem:
    """A small problem with every constraint switched on now and then; costs are small so that floating-point solvers stay exact."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, lines + 1)), int(rng.integers(1, nodes + 1))
    node = np.sort(np.concatenate([np.arange(n), rng.integers(0, n, int(rng.integers(0, n + 1)))]))
    skus = int(rng.integers(1, m + 1)) if rng.random() < 0.4 else m
    sku = rng.integers(0, skus, m) if skus < m else np.arange(m)
    quantity = rng.integers(1, 6, m)
    allowed = rng.random((m, node.size)) < rng.choice([0.6, 1.0])
    for line in range(m):
        if rng.random() < 0.1:
            allowed[line] &= node == rng.integers(0, n)
    groups = []
    if m > 1 and rng.random() < 0.5:
        members = rng.permutation(m)[: int(rng.integers(1, m + 1))]
        cut = int(rng.integers(1, members.size + 1))
        groups = [tuple(int(x) for x in part) for part in (members[:cut], members[cut:]) if part.size]
    return Problem(
        quantity=quantity,
        sku=sku,
        piece_cost=rng.integers(0, dear, (m, node.size)),
        allowed=allowed,
        node=node,
        fixed=rng.integers(0, 2 * dear, node.size),
        stock=rng.integers(0, 8, (n, skus)) * (rng.random((n, skus)) < 0.7),
        capacity=np.where(rng.random(n) < rng.choice([0.0, 0.7]), rng.integers(0, 12, n), -1),
        groups=tuple(groups),
        must=tuple(int(x) for x in rng.permutation(n)[: int(rng.integers(1, 3))]) if rng.random() < 0.2 else (),
        max_shipments=int(rng.integers(1, n + 1)) if rng.random() < 0.5 else None,
    )


def by_highs(problem: Problem) -> tuple[int, int] | None:
    """Pieces left out and cost of the optimum, by HiGHS on the plain integer programme; ``None`` when infeasible."""
    m, o = problem.piece_cost.shape
    n = problem.capacity.size
    grouped = {line: g for g, group in enumerate(problem.groups) for line in group}
    dearest = int((problem.quantity * problem.piece_cost.max(axis=1)).sum() + problem.fixed.sum()) + 1
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", 0.5)
    whole = highspy.HighsVarType.kInteger
    opens = [highs.addVariable(0, 1, int(problem.fixed[j]), type=whole) for j in range(o)]
    x = [[highs.addVariable(0, int(problem.quantity[i]) if problem.allowed[i, j] else 0, int(problem.piece_cost[i, j]) - dearest, type=whole)
          for j in range(o)] for i in range(m)]  # fmt: skip
    for i in range(m):
        highs.addConstr(sum(x[i]) <= int(problem.quantity[i]))
        for j in range(o):
            highs.addConstr(x[i][j] <= int(problem.quantity[i]) * opens[j])
    for a in range(n):
        options = np.flatnonzero(problem.node == a)
        if not options.size:
            continue
        highs.addConstr(sum(opens[j] for j in options) <= 1)
        if problem.capacity[a] >= 0:
            highs.addConstr(sum(x[i][j] for i in range(m) for j in options) <= int(problem.capacity[a]))
        for s in np.unique(problem.sku):
            highs.addConstr(sum(x[i][j] for i in range(m) if problem.sku[i] == s for j in options) <= int(problem.stock[a, s]))
        if a in problem.must:
            highs.addConstr(sum(x[i][j] for i in range(m) for j in options) >= 1)
    for g in range(len(problem.groups)):
        home = [highs.addVariable(0, 1, 0, type=whole) for _ in range(o)]
        highs.addConstr(sum(home) <= 1)
        for i, j in product(range(m), range(o)):
            if grouped.get(i) == g:
                highs.addConstr(x[i][j] == int(problem.quantity[i]) * home[j])
    if problem.max_shipments is not None:
        highs.addConstr(sum(opens) <= problem.max_shipments)
    if any(not (problem.node == a).any() for a in problem.must):
        return None
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    value = round(highs.getObjectiveValue()) + dearest * int(problem.quantity.sum())
    return divmod(value, dearest)


def violations(problem: Problem, plan: Plan) -> list[str]:
    """Every rule that a plan breaks, read from the problem alone."""
    shipped, broken = plan.pieces, []
    if (shipped < 0).any() or (shipped[~problem.allowed] > 0).any():
        broken.append("allowed")
    if (shipped.sum(axis=1) + plan.unfilled != problem.quantity).any() or (plan.unfilled < 0).any():
        broken.append("quantity")
    used = shipped.any(axis=0)
    for a in range(problem.capacity.size):
        at = shipped[:, problem.node == a]
        if (problem.node[used] == a).sum() > 1:
            broken.append("one service a node")
        if 0 <= problem.capacity[a] < at.sum():
            broken.append("capacity")
        if a in problem.must and at.sum() == 0:
            broken.append("must")
        broken += [f"stock {s}" for s in range(problem.stock.shape[1]) if at[problem.sku == s].sum() > problem.stock[a, s]]
    for group in problem.groups:
        rows = shipped[list(group)]
        whole = (rows.sum(axis=1) == problem.quantity[list(group)]).all() and rows.any(axis=0).sum() == 1
        if rows.any() and not whole:
            broken.append("group")
    if problem.max_shipments is not None and used.sum() > problem.max_shipments:
        broken.append("max_shipments")
    if plan.cost != (shipped * problem.piece_cost).sum() + problem.fixed[used].sum() - (problem.credit if used.any() else 0):
        broken.append("ledger")
    return broken


def agrees_with_highs(problem: Problem) -> None:
    answer, truth = solve(problem), by_highs(problem)
    assert answer.proven
    if truth is None:
        assert answer.plan is None
        return
    assert answer.plan is not None
    assert violations(problem, answer.plan) == []
    assert (answer.plan.left_out, answer.plan.cost) == truth
    if answer.runner_up is not None:
        assert violations(problem, answer.runner_up) == []
        assert not set(answer.plan.options) <= set(answer.runner_up.options)
        assert (answer.runner_up.left_out, answer.runner_up.cost) >= truth


@pytest.mark.parametrize("block", range(4))
def test_equals_highs_with_every_constraint(block):
    for seed in range(block * 60, block * 60 + 60):
        agrees_with_highs(random_problem(seed))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_equals_highs_on_thousands(block):
    for seed in range(10_000 + block * 300, 10_300 + block * 300):
        agrees_with_highs(random_problem(seed, lines=8, nodes=7))
