"""What the kernel needs of a :class:`Problem`: options that can ship something, items instead of lines, scaled costs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.splitting.data import FAR, I64, Data
from models.splitting.problem import Problem, ProblemRefused

ROOM = np.int64(1) << 40
"""Stands for a capacity that cannot bind."""


@dataclass(frozen=True)
class Item:
    """A line, several lines alike, or a whole ship-together group."""

    lines: tuple[int, ...]
    whole: bool


@dataclass(frozen=True)
class Reduced:
    """The problem as the kernel reads it.

    Attributes:
        items: what each item stands for.
        options: number in the problem of each option that can ship something.
        data: the kernel's arrays.
        lost: pieces that no option can ship.
        per_piece: penalty of a piece left out, in scaled cost.
        scale: scaled cost of one millionth.
    """

    items: tuple[Item, ...]
    options: I64
    data: Data
    lost: int
    per_piece: int
    scale: int


def _items(problem: Problem) -> tuple[Item, ...]:
    grouped = {line for group in problem.groups for line in group}
    alike: dict[object, list[int]] = {}
    skus = problem.sku.tolist()
    weights = skus if problem.weight is None else problem.weight.tolist()
    repeated = len(set(skus)) < len(skus)
    for line, sku in enumerate(skus):
        if line not in grouped:
            key = (sku, weights[line], problem.allowed[line].tobytes(), problem.piece_cost[line].tobytes()) if repeated else line
            alike.setdefault(key, []).append(line)
    return (*(Item(tuple(lines), whole=False) for lines in alike.values()), *(Item(tuple(group), whole=True) for group in problem.groups))


def _columns(problem: Problem, items: tuple[Item, ...]) -> tuple[I64, I64, I64, I64]:
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


def _wanted(problem: Problem, items: tuple[Item, ...]) -> dict[int, list[tuple[int, int]]]:
    """For each SKU the items that want it, and how many pieces of it."""
    wanted: dict[int, dict[int, int]] = {}
    skus, quantities = problem.sku.tolist(), problem.quantity.tolist()
    for i, item in enumerate(items):
        for line in item.lines:
            users = wanted.setdefault(skus[line], {})
            users[i] = users.get(i, 0) + quantities[line]
    return {sku: list(users.items()) for sku, users in wanted.items()}


def _shares(problem: Problem, items: tuple[Item, ...], most: I64, quantity: I64) -> tuple[I64, I64, I64, I64]:
    """SKUs for which items compete: number per item (m,), stock (shares, n), demand of groups (m, shares), nodes where it may bind (n,)."""
    wanted = _wanted(problem, items)
    if all(len(users) < 2 for users in wanted.values()):
        nothing = np.zeros(problem.capacity.size, np.int64)
        return np.full(len(items), -1, np.int64), np.zeros((0, nothing.size), np.int64), np.zeros((len(items), 0), np.int64), nothing
    share = np.full(len(items), -1, dtype=np.int64)
    binding = np.zeros(problem.capacity.size, dtype=np.int64)
    stock: list[I64] = []
    columns: list[I64] = []
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


def _scale(quantity: I64, pieces: I64, dearest_unit: I64, fixed: I64, first: I64) -> tuple[int, int, I64]:
    """Factor that makes room for the tie-break, the penalty of a piece, and the scaled fixed costs.

    The penalty exceeds the cost of any plan, so that shipping one piece more always wins. Among plans of equal cost the one with fewest
    shipments wins, then the one whose options stand first.
    """
    dearest = int((quantity * dearest_unit).sum()) + sum(int(fixed[a:b].max()) for a, b in pairwise(first))
    asked = int((quantity * pieces).sum())
    nodes, options = first.size - 1, fixed.size
    for shipment, rank in ((nodes * options, 1), (1, 0), (0, 0)):
        ties = nodes * (shipment + rank * options)
        scale = ties + 1
        penalty = dearest * scale + ties + 1
        if penalty * (asked + 1) + dearest * scale < FAR // 2:
            return scale, penalty, fixed * scale + shipment + rank * np.arange(options)
    raise ProblemRefused("the order's quantities and costs are too large to be added exactly")


def _weights(problem: Problem, items: tuple[Item, ...]) -> tuple[I64, I64]:
    """Weight of one unit of each item, (m,), and what each option may carry, (o,), in the largest unit that keeps them whole."""
    assert problem.weight is not None
    assert problem.limit is not None
    unit = int(np.gcd.reduce(problem.weight)) or 1
    limit = np.where(problem.limit < 0, FAR, problem.limit // unit)
    weight = [
        int((problem.weight * problem.quantity)[list(item.lines)].sum()) if item.whole else int(problem.weight[item.lines[0]])
        for item in items
    ]
    return np.array(weight, dtype=np.int64) // unit, limit


def _carried(problem: Problem, items: tuple[Item, ...], fixed: I64, cost: I64, most: I64) -> tuple[I64, I64, I64]:
    """Weight of the items (m,), limits of the options (o,), and ``most`` as far as they permit it.

    An option that another one of its lane replaces ships nothing: that one carries all there is, or as much, and costs no more.
    """
    weight, limit = _weights(problem, items)
    heavy = np.flatnonzero(weight)
    most = most.copy()
    most[:, heavy] = np.minimum(most[:, heavy], limit[:, None] // weight[heavy])
    limit = np.where(most @ weight <= limit, FAR, limit)
    if problem.lane is None:
        return weight, limit, most
    size = limit.size
    for ahead in range(1, int(np.bincount(problem.lane).max()) if size else 1):
        for a, b in ((np.arange(size - ahead), np.arange(ahead, size)), (np.arange(ahead, size), np.arange(size - ahead))):
            same = (
                (problem.lane[a] == problem.lane[b])
                & (problem.node[a] == problem.node[b])
                & (limit[a] >= limit[b])
                & (fixed[a] <= fixed[b])
            )
            if not same.any():
                continue
            a, b = a[same], b[same]  # noqa: PLW2901 - the few that are left
            better = (most[a] >= most[b]).all(axis=1) & (cost[a] <= cost[b]).all(axis=1) & most[a].any(axis=1)
            most[b[better]] = 0
    return weight, limit, most


def reduce_problem(problem: Problem) -> Reduced | None:
    """The problem as the kernel reads it; ``None`` when nothing can ship or a node that must ship cannot."""
    items = _items(problem)
    quantity, pieces, cost, most = _columns(problem, items)
    weight, limit = np.zeros(len(items), np.int64), np.full(problem.node.size, FAR, dtype=np.int64)
    if problem.limited:
        weight, limit, most = _carried(problem, items, problem.fixed, cost, most)
    asked = int((quantity * pieces).sum())
    options = np.flatnonzero(most.any(axis=1))
    used = np.asarray(most.any(axis=0), dtype=np.bool_)
    if not bool(used.all()):
        items = tuple(item for item, use in zip(items, used, strict=True) if use)
        quantity, pieces, weight, cost, most = quantity[used], pieces[used], weight[used], cost[:, used], most[:, used]
    if not options.size:
        return None
    cost, most, fixed = np.ascontiguousarray(cost[options]), np.ascontiguousarray(most[options]), problem.fixed[options]
    limit = limit[options]
    nodes, start, node = np.unique(problem.node[options], return_index=True, return_inverse=True)
    first = np.append(start, options.size).astype(np.int64)
    at_node = _most_at(most, start)
    quantity = np.minimum(quantity, at_node.sum(axis=0))
    most = np.minimum(most, quantity)
    share, stock, demand, binding = _shares(problem, items, _spread(most, options, problem.node.size), quantity)
    capacity = problem.capacity[nodes]
    loose = (capacity < 0) | (capacity >= (np.minimum(at_node, quantity) * pieces).sum(axis=1))
    tight = (~loose | (binding[nodes] > 0)).astype(np.int64)
    narrow = ((at_node > 0) & ~loose[:, None]).any(axis=0)
    whole = np.array([item.whole for item in items])
    short = limit < FAR
    lifted = (weight > 0) & (most[short] > 0).any(axis=0)
    bound_groups = (whole & (narrow | (demand > 0).any(axis=1) | lifted)).astype(np.int64)
    scale, per_piece, scaled = _scale(quantity, pieces, np.where(most > 0, cost, 0).max(axis=0), fixed, first)
    must = np.zeros(nodes.size, dtype=np.int64)
    for number in problem.must:
        found = np.flatnonzero(nodes == number)
        if not found.size:
            return None
        must[found[0]] = 1
    data = Data(
        quantity=quantity,
        size=pieces,
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
        group=bound_groups,
        demand=demand,
        must=must,
        weight=weight,
        limit=limit,
        heavy=int(short.sum()),
    )
    return Reduced(items, options, data, asked - int((quantity * pieces).sum()), per_piece, scale)


def _most_at(most: I64, start: I64) -> I64:
    """The most units of each item that one option of each node ships, (n, m)."""
    each, rest = divmod(most.shape[0], start.size)
    if not rest and bool((start == np.arange(0, most.shape[0], each)).all()):
        uniform: I64 = most.reshape(start.size, each, -1).max(axis=1)  # many times faster where all nodes have as many
        return uniform
    ragged: I64 = np.maximum.reduceat(most, start, axis=0)
    return ragged


def _spread(most: I64, options: I64, size: int) -> I64:
    full = np.zeros((size, most.shape[1]), dtype=np.int64)
    full[options] = most
    return full


def to_lines(problem: Problem, reduced: Reduced, slots: I64, pieces: I64) -> I64:
    """Pieces by line and option."""
    shipped = np.zeros(problem.piece_cost.shape, dtype=np.int64)
    for i, item in enumerate(reduced.items):
        amounts = {int(reduced.options[o]): int(n) for o, n in zip(slots, pieces[i], strict=True) if n}
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
