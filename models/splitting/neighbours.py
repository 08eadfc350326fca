"""For each node that a plan leaves out: the best plan next to it that ships from that node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.splitting.data import FAR, LEFT_OUT
from models.splitting.problem import Plan, Problem
from models.splitting.reduction import reduce_problem
from models.splitting.through import cheapest_with


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A plan that adds one node or puts it in the place of one shipment: pieces left out and cost (millionths)."""

    left_out: int
    cost: int


def neighbours(problem: Problem, plan: Plan) -> dict[int, Neighbour]:
    """The nearest plan through each node that ``plan`` leaves out.

    Nearest means: the node added to the plan's shipments, or swapped in for one of them, with at least one piece shipped from it and all pieces
    assigned anew at least cost. Nodes for which no such plan keeps the hard constraints are missing.
    """
    reduced = reduce_problem(problem)
    if reduced is None:
        return {}
    data = reduced.data
    nodes = data.must.size
    most = nodes if problem.max_shipments is None else min(nodes, problem.max_shipments)
    chosen = np.flatnonzero(np.isin(reduced.options, plan.options)).astype(np.int64)
    home = np.full(data.quantity.size, LEFT_OUT, dtype=np.int64)
    for i in np.flatnonzero(data.group):
        shipped = np.flatnonzero(plan.pieces[reduced.items[i].lines[0], reduced.options])
        if shipped.size:
            home[i] = shipped[0]
    found = np.full(nodes, FAR, dtype=np.int64)
    cheapest_with(data, chosen, home, most, found)
    numbers = problem.node[reduced.options][data.first[:-1]]
    near = {}
    for n, value in zip(numbers.tolist(), found.tolist(), strict=True):
        if value < FAR:
            left_out, rest = divmod(value, reduced.per_piece)
            near[n] = Neighbour(left_out + reduced.lost, rest // reduced.scale - problem.credit)
    return near
