"""From a :class:`Problem` to its :class:`Solution`: reduce, search, prove, find the runner-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.splitting.data import FAR, I64, Best
from models.splitting.problem import Plan, Problem, Solution
from models.splitting.reduction import Reduced, reduce_problem, to_lines
from models.splitting.search import search

NODE_LIMIT = 20_000
"""Search nodes after which the best plan so far is answered with its gap."""

ROOT_ROUNDS, ROUNDS = 60, 12


@dataclass(frozen=True)
class _Found:
    cost: int
    slots: I64
    pieces: I64
    lower: int
    explored: int


def _search(reduced: Reduced, limit: int, cutoff: int, most_shipments: int, closed: I64, prices: I64) -> _Found:
    nodes, m = reduced.data.must.size, reduced.data.quantity.size
    best = Best(np.array([cutoff, 0], dtype=np.int64), np.zeros(nodes + 1, np.int64), np.zeros((m, nodes + 1), np.int64))
    lower, explored = search(reduced.data, limit, ROOT_ROUNDS, ROUNDS, most_shipments, closed, prices, best)
    cost, count = best.value.tolist()
    return _Found(cost, best.slots[:count], best.pieces[:, :count], lower, explored)


def _plan(problem: Problem, reduced: Reduced, found: _Found) -> Plan:
    shipped = to_lines(problem, reduced, found.slots, found.pieces)
    used = shipped.any(axis=0)
    cost = int((shipped * problem.piece_cost).sum()) + int(problem.fixed[used].sum()) - (problem.credit if used.any() else 0)
    return Plan(shipped, cost, problem.quantity - shipped.sum(axis=1))


def solve(problem: Problem, *, limit: int = NODE_LIMIT, runner_up: bool = True) -> Solution:
    """Find the best plan and prove it.

    Args:
        problem: what to ship from where.
        limit: most search nodes for the plan, and again for the runner-up; work is counted, so the same problem gives the same answer anywhere.
        runner_up: whether to look for the next best plan too.

    Raises:
        ProblemRefused: amounts too large to be added exactly.
    """
    reduced = reduce_problem(problem)
    if reduced is None:
        nothing = Plan(np.zeros(problem.piece_cost.shape, np.int64), 0, problem.quantity.copy())
        return Solution(None if problem.must else nothing, proven=True, least_left_out=nothing.left_out, least_cost=0, explored=0)
    nodes = reduced.data.must.size
    most = nodes if problem.max_shipments is None else min(nodes, problem.max_shipments)
    closed, prices = np.zeros(reduced.data.fixed.size, np.int64), np.full(reduced.data.quantity.size, -1, np.int64)
    found = _search(reduced, limit, FAR, most, closed, prices)
    if found.cost >= FAR:
        return Solution(None, proven=found.lower >= found.cost, least_left_out=0, least_cost=0, explored=found.explored)
    plan = _plan(problem, reduced, found)
    left_out, rest = divmod(max(found.lower, 0), reduced.per_piece)
    least_cost = max(0, -(-rest // reduced.scale) - problem.credit)
    proven = found.lower >= found.cost
    second, second_proven = _runner_up(problem, reduced, found, limit, most, prices) if runner_up else (None, False)
    return Solution(
        plan=plan,
        proven=proven,
        least_left_out=plan.left_out if proven else left_out + reduced.lost,
        least_cost=plan.cost if proven else least_cost,
        explored=found.explored,
        runner_up=second,
        runner_up_proven=second_proven,
    )


def _runner_up(problem: Problem, reduced: Reduced, found: _Found, limit: int, most: int, prices: I64) -> tuple[Plan | None, bool]:
    """The best plan without at least one of the shipments found: the best over leaving each one out."""
    cutoff, best, proven, left = FAR, None, True, limit
    for o in found.slots[found.pieces.any(axis=0)]:
        closed = np.zeros(reduced.data.fixed.size, np.int64)
        closed[o] = -1
        other = _search(reduced, max(left, 1), cutoff, most, closed, prices.copy())
        left -= other.explored
        proven = proven and other.lower >= other.cost
        if other.cost < cutoff:
            cutoff, best = other.cost, other
    if best is None or not best.pieces.any():
        return None, proven
    return _plan(problem, reduced, best), proven


def warm() -> None:
    """Compile or load the kernel, so that the first order does not wait for it."""
    one = np.ones(1, dtype=np.int64)
    square = np.ones((1, 1), dtype=np.int64)
    solve(Problem(one, one - 1, square, square.astype(bool), one - 1, one, square, one))
