"""The splitter against an independent solver, against brute force, and against the rules it must never break."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.splitting import Plan, Problem, ProblemRefused, neighbours, solve


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


def stepped(problem: Problem, seed: int, steps: int = 3) -> Problem:
    """The same problem with weights, and with lanes whose tariff has steps; the heaviest step of some has a limit too."""
    rng = np.random.default_rng(seed)
    m, o = problem.piece_cost.shape
    count = rng.integers(1, steps + 1, o)
    lane = np.repeat(np.arange(o), count)
    weight = rng.integers(0, 7, m)
    total = max(1, int(weight @ problem.quantity))
    limit = rng.integers(0, total + 1, lane.size)
    limit[np.cumsum(count) - 1] = np.where(rng.random(o) < 0.5, -1, limit[np.cumsum(count) - 1])
    return replace(
        problem,
        node=problem.node[lane],
        fixed=rng.integers(0, 80, lane.size),
        piece_cost=problem.piece_cost[:, lane] + np.where(rng.random(lane.size) < 0.5, 0, rng.integers(0, 10, (m, lane.size))),
        allowed=problem.allowed[:, lane],
        weight=weight,
        limit=limit,
        lane=lane,
        credit=int(rng.integers(0, 30)),
    )


def everything(seed: int, lines: int = 6, nodes: int = 5) -> Problem:
    """A problem in which every constraint is switched on at once."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(2, lines + 1)), int(rng.integers(2, nodes + 1))
    node = np.sort(np.concatenate([np.arange(n), rng.integers(0, n, n // 2)]))
    skus = max(1, m - 1)
    members = rng.permutation(m)
    allowed = rng.random((m, node.size)) < 0.85
    allowed[members[-1]] &= node == rng.integers(0, n)
    quantity = rng.integers(1, 5, m)
    plain = Problem(
        quantity=quantity,
        sku=np.concatenate([np.arange(skus), rng.integers(0, skus, m - skus)]),
        piece_cost=rng.integers(0, 40, (m, node.size)),
        allowed=allowed,
        node=node,
        fixed=rng.integers(0, 80, node.size),
        stock=rng.integers(0, 8, (n, skus)) * (rng.random((n, skus)) < 0.85),
        capacity=rng.integers(1, max(2, int(quantity.sum())), n),
        groups=tuple(tuple(int(x) for x in part) for part in (members[:2], members[2:3]) if part.size),
        must=(int(rng.integers(0, n)),),
        max_shipments=int(rng.integers(1, n + 1)),
    )
    return stepped(plain, seed + 1)


def by_highs(problem: Problem) -> tuple[int, int] | None:  # noqa: C901 - one rule after the other
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
    for j in range(o):
        if problem.limit is not None and problem.limit[j] >= 0:
            highs.addConstr(sum(x[i][j] * int(problem.weight[i]) for i in range(m)) <= int(problem.limit[j]) * opens[j])
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
    left_out, cost = divmod(value, dearest)
    return left_out, cost - (problem.credit if left_out < problem.quantity.sum() else 0)


def violations(problem: Problem, plan: Plan) -> list[str]:  # noqa: C901 - one rule after the other
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
    for j in np.flatnonzero(used):
        if problem.limit is not None and 0 <= problem.limit[j] < sum(
            int(problem.weight[i]) * int(shipped[i, j]) for i in range(shipped.shape[0])
        ):
            broken.append("weight")
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
        lanes = [
            {(int(problem.node[o]), o if problem.lane is None else int(problem.lane[o])) for o in plan.options}
            for plan in (answer.plan, answer.runner_up)
        ]
        assert not lanes[0] <= lanes[1]
        assert (answer.runner_up.left_out, answer.runner_up.cost) >= truth


def without(problem: Problem, option: int) -> Problem:
    allowed = problem.allowed.copy()
    allowed[:, problem.same_lane(option)] = False
    return replace(problem, allowed=allowed)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Every array drawn on its own, so that a failure shrinks to the constraints that matter."""
    m, n = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    node = np.sort(draw(arrays(np.int64, draw(st.integers(1, 6)), elements=st.integers(0, n - 1))))
    o, skus = node.size, draw(st.integers(1, m))
    whole = draw(st.lists(st.integers(0, m - 1), unique=True))
    cut = draw(st.integers(0, len(whole)))

    def small(shape, most, least=0):
        return draw(arrays(np.int64, shape, elements=st.integers(least, most)))

    lane = np.arange(o) // draw(st.integers(1, 3))
    return Problem(
        quantity=small(m, 4, 1),
        sku=small(m, skus - 1),
        piece_cost=small((m, o), 20),
        allowed=draw(arrays(np.bool_, (m, o))),
        node=node,
        fixed=small(o, 40),
        stock=small((n, skus), 6),
        capacity=small(n, 8, -1),
        groups=tuple(tuple(part) for part in (whole[:cut], whole[cut:]) if part),
        must=tuple(draw(st.lists(st.integers(0, n - 1), max_size=2, unique=True))),
        max_shipments=draw(st.none() | st.integers(1, 4)),
        credit=draw(st.integers(0, 20)),
        weight=small(m, 5),
        limit=small(o, 16, -1),
        lane=lane,
    )


@settings(max_examples=60, deadline=None)
@given(problems())
def test_equals_highs_whatever_is_drawn(problem):
    agrees_with_highs(problem)


@pytest.mark.parametrize("block", range(4))
def test_equals_highs_with_every_constraint(block):
    for seed in range(block * 60, block * 60 + 60):
        agrees_with_highs(random_problem(seed))


@pytest.mark.parametrize("block", range(2))
def test_equals_highs_with_steps_of_tariffs(block):
    for seed in range(block * 60, block * 60 + 60):
        agrees_with_highs(stepped(random_problem(seed), seed))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_equals_highs_on_thousands(block):
    for seed in range(10_000 + block * 320, 10_320 + block * 320):
        agrees_with_highs(everything(seed) if seed % 2 else random_problem(seed, lines=7, nodes=6))


def test_runner_up_is_the_best_that_does_without_one_of_the_shipments():
    compared = 0
    for seed in range(500, 540):
        problem = random_problem(seed)
        answer = solve(problem)
        if answer.plan is None or not answer.plan.options:
            continue
        others = [by_highs(without(problem, o)) for o in answer.plan.options]
        best = min((other for other in others if other is not None and other[0] < problem.quantity.sum()), default=None)
        assert answer.runner_up_proven
        assert (answer.runner_up and (answer.runner_up.left_out, answer.runner_up.cost)) == best
        compared += best is not None
    assert compared > 20


def test_neighbours_are_plans_that_ship_from_the_node_and_never_beat_the_optimum():
    compared = 0
    for seed in range(600, 700):
        problem = random_problem(seed)
        plan = solve(problem).plan
        if plan is None or not plan.options:
            continue
        for node, near in neighbours(problem, plan).items():
            forced = by_highs(replace(problem, must=tuple(sorted({*problem.must, node}))))
            assert forced is not None
            assert (near.left_out, near.cost) >= forced >= (plan.left_out, plan.cost)
            compared += 1
    assert compared > 40


def by_enumeration(problem: Problem) -> tuple[int, int, int] | None:
    """The optimum of a tiny problem by trying everything: pieces left out, cost, shipments."""
    m, o = problem.piece_cost.shape
    rows = [[x for x in product(range(problem.quantity[i] + 1), repeat=o) if sum(x) <= problem.quantity[i]] for i in range(m)]
    best = None
    for choice in product(*rows):
        pieces = np.array(choice)
        used = pieces.any(axis=0)
        cost = int((pieces * problem.piece_cost).sum() + problem.fixed[used].sum())
        plan = Plan(pieces, cost - (problem.credit if used.any() else 0), problem.quantity - pieces.sum(axis=1))
        value = (plan.left_out, plan.cost, len(plan.options))
        if (best is None or value < best) and not violations(problem, plan):
            best = value
    return best


def test_equals_brute_force_on_tiny_problems_and_ties_go_to_fewer_shipments():
    for seed in range(700, 760):
        problem = random_problem(seed, lines=2, nodes=2, dear=3)
        if problem.node.size > 3:
            continue
        plan = solve(problem).plan
        assert (plan and (plan.left_out, plan.cost, len(plan.options))) == by_enumeration(problem)


def simple(**changes) -> Problem:
    """Two lines, three nodes with everything in stock."""
    facts = {
        "quantity": np.array([2, 3]), "sku": np.arange(2), "piece_cost": np.zeros((2, 3), np.int64), "allowed": np.ones((2, 3), np.bool_),
        "node": np.arange(3), "fixed": np.full(3, 5), "stock": np.full((3, 2), 9), "capacity": np.full(3, -1),
    }  # fmt: skip
    return Problem(**{**facts, **changes})


def test_equal_plans_are_settled_by_the_first_option():
    assert solve(simple()).plan.options == (0,)
    assert solve(simple(fixed=np.array([6, 5, 5]))).plan.options == (1,)
    assert solve(simple(fixed=np.zeros(3, np.int64))).plan.options == (0,)


def test_a_line_stays_together_when_that_costs_nothing():
    plan = solve(simple(stock=np.array([[2, 1], [0, 3], [0, 3]]), piece_cost=np.ones((2, 3), np.int64))).plan
    assert plan.pieces.tolist() == [[2, 0, 0], [0, 3, 0]]


def test_credit_is_given_once():
    assert solve(simple(credit=4)).plan.cost == 1
    assert solve(simple(credit=4, stock=np.array([[2, 0], [0, 3], [0, 0]]))).plan.cost == 6
    assert solve(simple(credit=4, stock=np.zeros((3, 2), np.int64))).plan.cost == 0


def test_a_bounded_search_says_how_far_it_may_be_off():
    gaps = []
    for seed in range(40):
        problem = random_problem(seed, lines=14, nodes=12)
        truth, bounded = solve(problem), solve(problem, limit=1)
        if truth.plan is None or bounded.plan is None:
            continue
        assert bounded.explored <= 1
        assert (bounded.plan.left_out, bounded.plan.cost) >= (truth.plan.left_out, truth.plan.cost)
        assert (bounded.least_left_out, bounded.least_cost) <= (truth.plan.left_out, truth.plan.cost)
        assert violations(problem, bounded.plan) == []
        assert (bounded.gap == 0.0) or not bounded.proven
        gaps.append(bounded.gap)
    assert max(gaps) > 0.0
    assert min(gaps) == 0.0


def test_same_problem_same_answer():
    problem = random_problem(3, lines=10, nodes=10)
    first, again = solve(problem), solve(problem)
    assert first.plan.pieces.tobytes() == again.plan.pieces.tobytes()
    assert first.explored == again.explored


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": np.array([2, 0])}, "at least 1"),
        ({"sku": np.array([0, 2])}, "known SKU"),
        ({"fixed": np.array([1, 2])}, "do not fit"),
        ({"fixed": np.array([-1, 2, 3])}, "not negative"),
        ({"node": np.array([1, 0, 2])}, "ascending"),
        ({"max_shipments": 0}, "max_shipments"),
        ({"groups": ((0,), (0, 1))}, "at most one"),
        ({"must": (3,)}, "unknown"),
    ],
)
def test_contradicting_arrays_are_refused(changes, message):
    with pytest.raises(ProblemRefused, match=message):
        simple(**changes)


def test_amounts_near_the_limit_of_exact_sums_stay_exact():
    checked = 0
    for seed in range(800, 860):
        problem = random_problem(seed)
        factor = 10**14
        large = replace(problem, piece_cost=problem.piece_cost * factor, fixed=problem.fixed * factor)
        try:
            answer = solve(large)
        except ProblemRefused:
            continue
        truth = solve(problem)
        assert (answer.plan and (answer.plan.left_out, answer.plan.cost)) == (
            truth.plan and (truth.plan.left_out, truth.plan.cost * factor)
        )
        checked += 1
    assert checked > 5


def test_amounts_beyond_exact_sums_are_refused():
    with pytest.raises(ProblemRefused, match="too large"):
        solve(simple(quantity=np.full(2, 10**9), stock=np.full((3, 2), 10**9), piece_cost=np.full((2, 3), 10**6)))
