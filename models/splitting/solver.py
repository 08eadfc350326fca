"""From a :class:`Problem` to its :class:`Solution`: reduce, search, prove, find the runner-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.splitting.assign import FAR, I64
from models.splitting.problem import Plan, Problem, ProblemRefused, Solution
from models.splitting.search import search

NODE_LIMIT = 20_000
"""Search nodes after which the best plan so far is answered with its gap."""

ROOT_ROUNDS, ROUNDS = 60, 12
ROOM = np.int64(1) << 40
"""Stands for a capacity that cannot bind."""


@dataclass(frozen=True)
class _Item:
    """A line, several lines alike, or a whole ship-together group."""

    lines: tuple[int, ...]
    whole: bool


@dataclass(frozen=True)
class _Reduced:
    """The problem as the kernel reads it: options that can ship something, items instead of lines, scaled costs."""

    items: tuple[_Item, ...]
    options: I64
    quantity: I64
    penalty: I64
    cost: I64
    most: I64
    fixed: I64
    node: I64
    first: I64
    capacity: I64
    tight: I64
    share: I64
    stock: I64
    bound_groups: I64
    demand: I64
    pieces_per_unit: I64
    must: I64
    lost: int
    per_piece: int
    scale: int


def _items(problem: Problem) -> tuple[_Item, ...]:
    grouped = {line for group in problem.groups for line in group}
    alike: dict[object, list[int]] = {}
    skus = problem.sku.tolist()
    repeated = len(set(skus)) < len(skus)
    for line, sku in enumerate(skus):
        if line not in grouped:
            key = (sku, problem.allowed[line].tobytes(), problem.piece_cost[line].tobytes()) if repeated else line
            alike.setdefault(key, []).append(line)
    return (*(_Item(tuple(lines), whole=False) for lines in alike.values()), *(_Item(tuple(group), whole=True) for group in problem.groups))


def _columns(problem: Problem, items: tuple[_Item, ...]) -> tuple[I64, I64, I64, I64]:
    """Quantity, pieces per unit, cost and most units of each item: (m,), (m,), (o, m), (o, m)."""
    at = problem.stock[problem.node]
    capacity = np.where(problem.capacity < 0, ROOM, problem.capacity)[problem.node]
    heads = np.array([item.lines[0] for item in items])
    quantity = np.array([int(problem.quantity[list(item.lines)].sum()) for item in items], dtype=np.int64)
    pieces = np.ones(len(items), dtype=np.int64)
    cost = problem.piece_cost.T[:, heads].copy()
    most = np.where(problem.allowed.T[:, heads], np.minimum(np.minimum(at[:, problem.sku[heads]], quantity), capacity[:, None]), 0)
    for i, item in enumerate(items):
        if not item.whole:
            continue
        lines = list(item.lines)
        amounts = problem.quantity[lines]
        fits = problem.allowed[lines].all(axis=0) & (capacity >= amounts.sum())
        for sku in np.unique(problem.sku[lines]):
            fits &= at[:, sku] >= amounts[problem.sku[lines] == sku].sum()
        pieces[i], quantity[i] = amounts.sum(), 1
        cost[:, i] = amounts @ problem.piece_cost[lines]
        most[:, i] = fits
    return quantity, pieces, np.ascontiguousarray(cost), np.ascontiguousarray(most)


def _shares(problem: Problem, items: tuple[_Item, ...], most: I64, quantity: I64) -> tuple[I64, I64, I64, I64]:
    """SKUs for which items compete: number per item (m,), stock (shares, n), demand of groups (m, shares), nodes where it may bind (n,)."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for i, item in enumerate(items):
        per_sku: dict[int, int] = {}
        for line in item.lines:
            per_sku[int(problem.sku[line])] = per_sku.get(int(problem.sku[line]), 0) + int(problem.quantity[line])
        for sku, amount in per_sku.items():
            wanted.setdefault(sku, []).append((i, amount))
    share = np.full(len(items), -1, dtype=np.int64)
    binding = np.zeros(problem.capacity.size, dtype=np.int64)
    stock, columns = [], []
    for sku, users in wanted.items():
        if len(users) < 2:
            continue
        asked = np.zeros(problem.capacity.size, dtype=np.int64)
        for i, amount in users:
            np.add.at(asked, np.unique(problem.node[most[:, i] > 0]), amount if items[i].whole else min(amount, int(quantity[i])))
        short = asked > problem.stock[:, sku]
        if not short.any():
            continue
        demand = np.zeros(len(items), dtype=np.int64)
        for i, amount in users:
            if items[i].whole:
                demand[i] = amount
            else:
                share[i] = len(stock)
        stock.append(problem.stock[:, sku])
        columns.append(demand)
        binding |= short
    if not stock:
        return share, np.zeros((0, problem.capacity.size), np.int64), np.zeros((len(items), 0), np.int64), binding
    return share, np.ascontiguousarray(np.array(stock)), np.ascontiguousarray(np.array(columns).T), binding


def _scale(quantity: I64, pieces: I64, cost: I64, most: I64, fixed: I64, first: I64) -> tuple[int, int, I64]:
    """Factor that makes room for the tie-break, the penalty of a piece, and the scaled fixed costs.

    The penalty exceeds the cost of any plan, so that shipping one piece more always wins. Among plans of equal cost the one with fewest
    shipments wins, then the one whose options stand first.
    """
    dearest = int((quantity * np.where(most > 0, cost, 0).max(axis=0)).sum()) + sum(
        int(fixed[a:b].max()) for a, b in zip(first[:-1], first[1:], strict=True)
    )
    asked = int((quantity * pieces).sum())
    nodes, options = first.size - 1, fixed.size
    for shipment, rank in ((nodes * options, 1), (1, 0), (0, 0)):
        ties = nodes * (shipment + rank * options)
        scale = ties + 1
        penalty = dearest * scale + ties + 1
        if penalty * (asked + 1) + dearest * scale < int(FAR) // 2:
            return scale, penalty, fixed * scale + shipment + rank * np.arange(options)
    raise ProblemRefused("the order's quantities and costs are too large to be added exactly")


def _reduce(problem: Problem) -> _Reduced | None:
    items = _items(problem)
    quantity, pieces, cost, most = _columns(problem, items)
    asked = int((quantity * pieces).sum())
    options = np.flatnonzero(most.any(axis=1))
    used = most.any(axis=0)
    if not used.all():
        items = tuple(item for item, use in zip(items, used, strict=True) if use)
        quantity, pieces, cost, most = quantity[used], pieces[used], cost[:, used], most[:, used]
    if not options.size:
        return None
    cost, most, fixed = np.ascontiguousarray(cost[options]), np.ascontiguousarray(most[options]), problem.fixed[options]
    nodes, start, node = np.unique(problem.node[options], return_index=True, return_inverse=True)
    first = np.append(start, options.size).astype(np.int64)
    at_node = np.maximum.reduceat(most, start, axis=0)
    quantity = np.minimum(quantity, at_node.sum(axis=0))
    most = np.minimum(most, quantity)
    share, stock, demand, binding = _shares(problem, items, _spread(most, options, problem.node.size), quantity)
    capacity = problem.capacity[nodes]
    loose = (capacity < 0) | (capacity >= (np.minimum(at_node, quantity) * pieces).sum(axis=1))
    tight = (~loose | (binding[nodes] > 0)).astype(np.int64)
    narrow = ((at_node > 0) & ~loose[:, None]).any(axis=0)
    whole = np.array([item.whole for item in items])
    bound_groups = (whole & (narrow | (demand > 0).any(axis=1))).astype(np.int64)
    scale, per_piece, scaled = _scale(quantity, pieces, cost, most, fixed, first)
    must = np.zeros(nodes.size, dtype=np.int64)
    for number in problem.must:
        found = np.flatnonzero(nodes == number)
        if not found.size:
            return None
        must[found[0]] = 1
    return _Reduced(
        items=items,
        options=options,
        quantity=quantity,
        penalty=per_piece * pieces,
        cost=np.where(most > 0, cost * scale, 0),
        most=most,
        fixed=scaled,
        node=node.astype(np.int64),
        first=first,
        capacity=np.where(loose, ROOM, capacity),
        tight=tight,
        share=share,
        stock=np.ascontiguousarray(stock[:, nodes]),
        bound_groups=bound_groups,
        demand=demand,
        pieces_per_unit=pieces,
        must=must,
        lost=asked - int((quantity * pieces).sum()),
        per_piece=per_piece,
        scale=scale,
    )


def _spread(most: I64, options: I64, size: int) -> I64:
    full = np.zeros((size, most.shape[1]), dtype=np.int64)
    full[options] = most
    return full


@dataclass(frozen=True)
class _Found:
    cost: int
    slots: I64
    pieces: I64
    lower: int
    explored: int


def _search(reduced: _Reduced, limit: int, cutoff: int, most_shipments: int, closed: I64, prices: I64) -> _Found:
    nodes, m = reduced.first.size - 1, reduced.quantity.size
    slots, pieces, out = np.zeros(nodes, np.int64), np.zeros((m, nodes), np.int64), np.zeros(5, np.int64)
    search(limit, cutoff, ROOT_ROUNDS, ROUNDS, most_shipments, closed, reduced.quantity, reduced.penalty, reduced.cost, reduced.most, reduced.fixed,
           reduced.node, reduced.first, reduced.capacity, reduced.tight, reduced.share, reduced.stock, reduced.bound_groups, reduced.demand,
           reduced.pieces_per_unit, reduced.must, prices, slots, pieces, out)  # fmt: skip
    best, count, lower, explored, _ = out.tolist()
    return _Found(best, slots[:count], pieces[:, :count], lower, explored)


def _to_lines(problem: Problem, reduced: _Reduced, found: _Found) -> I64:
    """Pieces by line and option."""
    shipped = np.zeros(problem.piece_cost.shape, dtype=np.int64)
    for i, item in enumerate(reduced.items):
        amounts = {int(reduced.options[o]): int(n) for o, n in zip(found.slots, found.pieces[i], strict=True) if n}
        for line in item.lines:
            left = int(problem.quantity[line])
            if item.whole:
                for o in amounts:
                    shipped[line, o] = left
                continue
            whole = [o for o, n in amounts.items() if n >= left]
            for o in whole[:1] or sorted(amounts):
                take = min(left, amounts[o])
                shipped[line, o] += take
                amounts[o] -= take
                left -= take
    return shipped


def _plan(problem: Problem, reduced: _Reduced, found: _Found) -> Plan:
    shipped = _to_lines(problem, reduced, found)
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
    reduced = _reduce(problem)
    if reduced is None:
        nothing = Plan(np.zeros(problem.piece_cost.shape, np.int64), 0, problem.quantity.copy())
        return Solution(None if problem.must else nothing, proven=True, least_left_out=nothing.left_out, least_cost=0, explored=0)
    nodes = reduced.first.size - 1
    most = nodes if problem.max_shipments is None else min(nodes, problem.max_shipments)
    closed, prices = np.zeros(reduced.fixed.size, np.int64), np.full(reduced.quantity.size, -1, np.int64)
    found = _search(reduced, limit, int(FAR), most, closed, prices)
    if found.cost >= int(FAR):
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


def _runner_up(problem: Problem, reduced: _Reduced, found: _Found, limit: int, most: int, prices: I64) -> tuple[Plan | None, bool]:
    """The best plan without at least one of the shipments found: the best over leaving each one out."""
    cutoff, best, proven, left = int(FAR), None, True, limit
    for o in found.slots[found.pieces.any(axis=0)]:
        closed = np.zeros(reduced.fixed.size, np.int64)
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
