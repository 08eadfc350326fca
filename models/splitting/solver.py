"""From a :class:`Problem` to its :class:`Solution`: reduce, search, prove, find the runner-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.splitting.data import FAR, I64, Best
from models.splitting.neighbours import neighbours
from models.splitting.problem import Plan, Problem, Solution
from models.splitting.reduction import Reduced, reduce_problem, to_lines
from models.splitting.search import search

NODE_LIMIT = 20_000
"""Search nodes after which the best plan so far is answered with its gap."""

GEARS = ((300, 60, 6), (NODE_LIMIT, 1000, 24))
"""Search nodes, steps for the bound at the root and elsewhere: cheap bounds first; a problem that resists starts again with strong ones."""


HEAVY_GEARS = ((NODE_LIMIT, 60, 6),)
"""The same where limits on weight may bind: each step costs a knapsack for each option, so strong bounds never pay."""


@dataclass(frozen=True)
class _Found:
    cost: int
    slots: I64
    pieces: I64
    lower: int
    explored: int

    @property
    def proven(self) -> bool:
        return self.lower >= self.cost


@dataclass(frozen=True)
class _Hunt:
    """One problem, searched once for the plan and again for the runner-up; ``prices`` are those of the last root."""

    problem: Problem
    reduced: Reduced
    prices: I64

    def best(self, limit: int, cutoff: int = FAR, without: int | None = None) -> _Found:
        """The cheapest plan below ``cutoff``, the lane of one option left out."""
        data = self.reduced.data
        nodes, closed = data.must.size, np.zeros(data.fixed.size, np.int64)
        if without is not None:
            closed[np.isin(self.reduced.options, self.problem.same_lane(int(self.reduced.options[without])))] = -1
        most = nodes if self.problem.max_shipments is None else min(nodes, self.problem.max_shipments)
        best = Best(
            np.array([cutoff, 0], dtype=np.int64), np.zeros(nodes + 1, np.int64), np.zeros((data.quantity.size, nodes + 1), np.int64)
        )
        explored, lower = 0, -FAR
        for nodes_most, root_rounds, rounds in HEAVY_GEARS if data.heavy else GEARS:
            allowed = min(nodes_most, limit - explored)
            if allowed > 0 and lower < best.value[0]:
                bound, count = search(data, allowed, root_rounds, rounds, most, closed, self.prices, best)
                explored, lower = explored + count, max(lower, bound)
        cost, count = best.value.tolist()
        return _Found(cost, best.slots[:count], best.pieces[:, :count], min(lower, cost), explored)

    def plan(self, found: _Found) -> Plan:
        """What was found, in the problem's lines and options."""
        shipped = to_lines(self.problem, self.reduced, found.slots, found.pieces)
        used = shipped.any(axis=0)
        cost = (
            int((shipped * self.problem.piece_cost).sum())
            + int(self.problem.fixed[used].sum())
            - (self.problem.credit if used.any() else 0)
        )
        return Plan(shipped, cost, self.problem.quantity - shipped.sum(axis=1))

    def runner_up(self, found: _Found, limit: int) -> tuple[Plan | None, bool]:
        """The best plan without at least one of the shipments found: the best over leaving each one out; and whether that is proven."""
        cutoff, second, proven = FAR, None, True
        for o in found.slots[found.pieces.any(axis=0)].tolist():
            other = self.best(max(limit, 1), cutoff, without=o)
            limit -= other.explored
            proven = proven and other.proven
            if other.cost < cutoff:
                cutoff, second = other.cost, other
        return (None if second is None or not second.pieces.any() else self.plan(second)), proven


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
    hunt = _Hunt(problem, reduced, np.full(reduced.data.quantity.size, -1, np.int64))
    found = hunt.best(limit)
    if found.cost >= FAR:
        return Solution(None, proven=found.proven, least_left_out=0, least_cost=0, explored=found.explored)
    plan = hunt.plan(found)
    left_out, rest = divmod(max(found.lower, 0), reduced.per_piece)
    least_cost = max(0, rest // reduced.scale - problem.credit)
    second, second_proven = hunt.runner_up(found, limit) if runner_up else (None, False)
    return Solution(
        plan=plan,
        proven=found.proven,
        least_left_out=plan.left_out if found.proven else left_out + reduced.lost,
        least_cost=plan.cost if found.proven else least_cost,
        explored=found.explored,
        runner_up=second,
        runner_up_proven=second_proven,
    )


def warm() -> None:
    """Compile or load the kernel, so that the first order does not wait for it."""
    one = np.ones(1, dtype=np.int64)
    two = np.ones((2, 1), dtype=np.int64)
    problem = Problem(one, one - 1, two.T.copy(), two.T.astype(np.bool_), np.arange(2), np.ones(2, np.int64), two, np.full(2, -1))
    plan = solve(problem).plan
    if plan is not None:
        neighbours(problem, plan)
