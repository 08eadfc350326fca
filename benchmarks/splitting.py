"""How long the exact splitter takes, beside HiGHS on the same orders in the same run: python -m benchmarks.splitting [--orders N] [--highs N].

CPU time of one thread per order, from the problem's arrays to the plan. ``reduced`` is Python before the kernel, ``plan`` the proven optimum,
``+ runner-up`` with the proven second best.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import highspy
import numpy as np

from models.splitting import Problem, neighbours, solve, warm

STEPS = ((2_000, 0.8, 1.0), (5_000, 1.1, 0.9), (12_000, 1.5, 0.8), (-1, 2.2, 0.7))
"""A tariff by weight: heaviest shipment in g (−1 for any), factor on the fixed price, factor on the price of a kilogram."""


def order(
    rng: np.random.Generator,
    *,
    lines: int = 20,
    nodes: int = 20,
    services: int = 1,
    pieces: int = 1,
    limited: bool = False,
    steps: bool = False,
    groups: int = 0,
) -> Problem:
    """An order of which each node has half of the lines; carriage grows with distance and weight, every shipment has a fixed cost."""
    quantity = rng.integers(1, pieces + 1, lines)
    node = np.repeat(np.arange(nodes), services)
    rate = (1 + 3 * rng.uniform(0, 1, nodes)[node]) * rng.uniform(0.8, 1.2, node.size) * 1e6
    stock = np.where(rng.random((nodes, lines)) < 0.5, rng.integers(1, 2 * pieces + 1, (nodes, lines)), 0)
    weight = np.rint(rng.uniform(100, 3000, lines))
    fixed = rng.uniform(4, 9, node.size) * 1e6
    tariff = np.array(STEPS if steps else [(-1, 1.0, 1.0)])
    lane = np.repeat(np.arange(node.size), len(tariff))
    upto, on_fixed, on_rate = np.tile(tariff, (node.size, 1)).T
    members = rng.permutation(lines)[: 2 * groups].reshape(groups, 2)
    return Problem(
        quantity=quantity,
        sku=np.arange(lines),
        piece_cost=np.rint(weight[:, None] / 1000 * (rate[lane] * on_rate)[None, :]).astype(np.int64),
        allowed=np.ones((lines, lane.size), dtype=np.bool_),
        node=node[lane],
        fixed=np.rint(fixed[lane] * on_fixed).astype(np.int64),
        stock=stock,
        capacity=rng.integers(3, max(4, int(quantity.sum() * 0.6)), nodes) if limited else np.full(nodes, -1),
        groups=tuple((int(a), int(b)) for a, b in members),
        weight=weight.astype(np.int64) if steps else None,
        limit=upto.astype(np.int64) if steps else None,
        lane=lane if steps else None,
    )


def by_highs(problem: Problem) -> float:
    """The optimum's cost by HiGHS, one thread, costs in whole currency units."""
    m, o = problem.piece_cost.shape
    reach = np.minimum(problem.stock[problem.node][:, problem.sku].T, problem.quantity[:, None])
    missing = np.maximum(0, problem.quantity - reach.sum(axis=1))
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("mip_rel_gap", 0.0)
    opens = [highs.addVariable(0, 1, problem.fixed[j] / 1e6, type=highspy.HighsVarType.kInteger) for j in range(o)]
    pairs = [(i, j) for i in range(m) for j in range(o) if reach[i, j]]
    whole = highspy.HighsVarType.kInteger if problem.limit is not None else highspy.HighsVarType.kContinuous
    x = {(i, j): highs.addVariable(0, int(reach[i, j]), problem.piece_cost[i, j] / 1e6, type=whole) for i, j in pairs}
    for i, j in pairs:
        highs.addConstr(x[i, j] <= int(reach[i, j]) * opens[j])
    for i in range(m):
        highs.addConstr(sum(x[i, j] for j in range(o) if (i, j) in x) == int(problem.quantity[i] - missing[i]))
    for n in range(problem.capacity.size):
        mine = np.flatnonzero(problem.node == n)
        if mine.size > 1:
            highs.addConstr(sum(opens[j] for j in mine) <= 1)
        if problem.capacity[n] >= 0:
            highs.addConstr(sum(x[i, j] for i, j in pairs if j in mine) <= int(problem.capacity[n]))
    if problem.limit is not None and problem.weight is not None:
        for j in np.flatnonzero(problem.limit >= 0):
            highs.addConstr(sum(x[i, k] * int(problem.weight[i]) for i, k in pairs if k == j) <= int(problem.limit[j]) * opens[j])
    started = time.thread_time()
    highs.run()
    by_highs.seconds = time.thread_time() - started  # type: ignore[attr-defined]
    return float(highs.getObjectiveValue())


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of CPU, the best of three."""
    best = float("inf")
    for _ in range(3):
        started = time.thread_time()
        work()
        best = min(best, time.thread_time() - started)
    return best * 1e3


def main() -> None:
    """Print one row for each kind of order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--highs", type=int, default=10, help="orders that HiGHS solves too")
    options = parser.parse_args()
    warm()
    kinds = {
        "20 × 20": {},
        "20 × 20, pieces split": {"pieces": 5},
        "20 × 20, two services": {"services": 2},
        "20 × 20, node capacity": {"pieces": 5, "limited": True},
        "20 × 20, steps of tariffs": {"steps": True},
        "20 × 20, steps, pieces split": {"steps": True, "pieces": 5},
        "20 × 20, capacity and steps": {"steps": True, "pieces": 5, "limited": True},
        "20 × 20, capacity, 3 groups": {"pieces": 5, "limited": True, "groups": 3},
        "20 × 20, at most 3 shipments": {"most": 3},
    }
    print(
        f"{'order':32} {'plan p50':>9} {'p99':>8} {'+ runner-up p50':>16} {'p99':>8} {'nodes p50':>10} {'HiGHS p50':>10} {'ratio':>7}  (ms of CPU)"
    )
    for name, facts in kinds.items():
        rng = np.random.default_rng(7)
        most = facts.pop("most", None)
        plain, full, explored, theirs, ratios, unproven = [], [], [], [], [], 0
        for number in range(options.orders):
            problem = replace(order(rng, **facts), max_shipments=most)  # type: ignore[arg-type]
            answer = solve(problem, runner_up=False)
            unproven += not answer.proven
            assert answer.plan is not None
            explored.append(answer.explored)
            plain.append(timed(lambda p=problem: solve(p, runner_up=False)))
            full.append(timed(lambda p=problem: solve(p)))
            if number < options.highs and most is None and answer.plan.left_out == 0 and not problem.groups:
                cost = by_highs(problem)
                assert abs(cost - answer.plan.cost / 1e6) < 1e-4, (cost, answer.plan.cost)
                theirs.append(by_highs.seconds * 1e3)  # type: ignore[attr-defined]
                ratios.append(theirs[-1] / plain[-1])
        middle = f"{np.median(theirs):10.1f} {np.median(ratios):6.0f}×" if theirs else f"{'–':>10} {'–':>7}"
        print(
            f"{name:32} {np.median(plain):9.3f} {np.quantile(plain, 0.99):8.3f} {np.median(full):16.3f} {np.quantile(full, 0.99):8.3f} {np.median(explored):10.0f} {middle}"
            + (f"  {unproven} not proven" if unproven else "")
        )
    problem = order(np.random.default_rng(7))
    plan = solve(problem, runner_up=False).plan
    assert plan is not None
    print(f"why each other node lost, 20 × 20: {timed(lambda: neighbours(problem, plan)):.3f} ms")


if __name__ == "__main__":
    main()
