"""The splitting problem and its answer, as values on whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


class ProblemRefused(ValueError):
    """The arrays contradict each other, or the amounts are too large to be added exactly."""


@dataclass(frozen=True)
class Problem:
    """Which option ships how many pieces of each line, so that the most pieces go out and, among those plans, the cost is least.

    An option is one service of one node; of a node at most one option ships. Costs are whole numbers (millionths of the currency's unit), not
    negative.

    Attributes:
        quantity: pieces of each line, (m,), at least 1.
        sku: number of each line's SKU, (m,).
        piece_cost: cost of one piece, by line and option, (m, o).
        allowed: which options may ship a line at all (lane, temperature class, pin), (m, o).
        node: node of each option, ascending, (o,).
        fixed: cost of a shipment by each option, (o,).
        stock: usable pieces, by node and SKU, (n, s).
        capacity: pieces that a node may still take, −1 for no limit, (n,).
        groups: lines that leave whole and in one shipment, or not at all.
        must: nodes that have to ship at least one piece.
        max_shipments: most shipments, ``None`` for no limit.
        credit: cost given back once when anything ships: the first shipment is no split.
        weight: of one piece of each line, whole units of any measure, (m,); ``None`` where no option has a limit.
        limit: weight that an option may carry, −1 for no limit, (o,); ``None`` for none at all. Options of one node that differ in limit and
            cost are the steps of a tariff.
        lane: options of one node with the same number are one lane, so a plan that only changes the step does not count as another, (o,);
            ``None`` where every option is a lane of its own.
    """

    quantity: I64
    sku: I64
    piece_cost: I64
    allowed: NDArray[np.bool_]
    node: I64
    fixed: I64
    stock: I64
    capacity: I64
    groups: tuple[tuple[int, ...], ...] = ()
    must: tuple[int, ...] = ()
    max_shipments: int | None = None
    credit: int = 0
    weight: I64 | None = None
    limit: I64 | None = None
    lane: I64 | None = None

    def __post_init__(self) -> None:
        m, o = self.piece_cost.shape
        nodes, skus = self.stock.shape
        shapes = (
            self.quantity.shape == (m,)
            and self.sku.shape == (m,)
            and self.allowed.shape == (m, o)
            and self.node.shape == (o,)
            and self.fixed.shape == (o,)
            and self.capacity.shape == (nodes,)
            and (self.weight is None or self.weight.shape == (m,))
            and (self.limit is None or self.limit.shape == (o,))
            and (self.lane is None or self.lane.shape == (o,))
        )
        if not shapes:
            raise ProblemRefused("the arrays of a splitting problem do not fit together")
        if m == 0 or self.quantity.min() < 1 or self.sku.min() < 0 or self.sku.max() >= skus:
            raise ProblemRefused("every line needs a quantity of at least 1 and a known SKU")
        if o and (self.node.min() < 0 or self.node.max() >= nodes or (np.diff(self.node) < 0).any()):
            raise ProblemRefused("options are listed by node, ascending")
        if (o and (self.fixed.min() < 0 or self.piece_cost.min() < 0)) or self.credit < 0:
            raise ProblemRefused("costs are not negative")
        if self.max_shipments is not None and self.max_shipments < 1:
            raise ProblemRefused("max_shipments is at least 1")
        grouped = [line for group in self.groups for line in group]
        if len(set(grouped)) != len(grouped) or any(not 0 <= line < m for line in grouped) or not all(self.groups):
            raise ProblemRefused("a line is in at most one ship-together group")
        if any(not 0 <= node < nodes for node in self.must):
            raise ProblemRefused("a node that must ship is unknown")
        if self.limit is not None and self.weight is None:
            raise ProblemRefused("limits on weight need the weight of each line")
        if self.weight is not None and (self.weight.min() < 0 or int(self.weight.max()) * int(self.quantity.sum()) >= 1 << 60):
            raise ProblemRefused("weights are not negative, and small enough to be added exactly")

    @property
    def limited(self) -> bool:
        """Whether any option has a limit on weight."""
        return self.limit is not None and bool((self.limit >= 0).any())

    def same_lane(self, option: int) -> I64:
        """The options of the lane that ``option`` belongs to."""
        if self.lane is None:
            return np.array([option], dtype=np.int64)
        return np.flatnonzero((self.lane == self.lane[option]) & (self.node == self.node[option])).astype(np.int64)

    def load(self, pieces: I64) -> I64:
        """Weight that each option carries, (o,); zeros where no weight is told."""
        return np.zeros(self.node.size, np.int64) if self.weight is None else self.weight @ pieces


@dataclass(frozen=True)
class Plan:
    """One way to ship.

    Attributes:
        pieces: by line and option, (m, o).
        cost: what it costs, millionths, the credit taken off.
        unfilled: pieces left out, by line, (m,).
    """

    pieces: I64
    cost: int
    unfilled: I64

    @cached_property
    def options(self) -> tuple[int, ...]:
        """The options that ship something, ascending."""
        return tuple(int(o) for o in np.flatnonzero(self.pieces.any(axis=0)))

    @property
    def left_out(self) -> int:
        """Pieces left out in all."""
        return int(self.unfilled.sum())


@dataclass(frozen=True)
class Solution:
    """The best plan, with its proof.

    Attributes:
        plan: ``None`` only when the nodes that must ship cannot.
        proven: no plan is better.
        least_left_out: no plan leaves fewer pieces out.
        least_cost: no plan that leaves as few pieces out as this one costs less; meaningful when ``least_left_out`` is reached.
        explored: search nodes looked at, the runner-up's not counted.
        runner_up: the best plan that does without at least one of the plan's shipments; ``None`` when there is none.
        runner_up_proven: no such plan is better.
    """

    plan: Plan | None
    proven: bool
    least_left_out: int
    least_cost: int
    explored: int
    runner_up: Plan | None = None
    runner_up_proven: bool = True

    @property
    def gap(self) -> float:
        """(cost − lower bound) ÷ cost; 0 when proven, 1 when even the number of pieces left out is not proven."""
        if self.proven or self.plan is None:
            return 0.0
        if self.plan.left_out > self.least_left_out:
            return 1.0
        return (self.plan.cost - self.least_cost) / self.plan.cost if self.plan.cost > 0 else 0.0
