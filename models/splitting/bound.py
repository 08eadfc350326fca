"""A lower bound on the cost of every plan, by Lagrangian relaxation of "each piece is shipped once".

With a price v per unit of each item the options separate: an option is worth what it earns at these prices less its fixed cost, and at most
one option of a node and at most the permitted number of shipments are taken. Any prices give a valid bound; subgradient steps find good ones
(Geoffrion, Lagrangean relaxation for integer programming, 1974; Fisher, Management Science 27, 1981). The bound itself is computed in whole
numbers: a step may be rounded, a bound is never wrong.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.assign import FAR, I64


@njit(cache=True, nogil=True)
def first_prices(quantity: I64, penalty: I64, cost: I64, most: I64, fixed: I64, price: I64) -> None:
    """Prices to start from: for each item its cheapest unit cost with an even share of the option's fixed cost."""
    m, options = quantity.size, fixed.size
    reach = np.zeros(options, np.int64)
    for o in range(options):
        for i in range(m):
            if most[o, i] > 0:
                reach[o] += 1
    for i in range(m):
        price[i] = penalty[i]
        for o in range(options):
            if most[o, i] > 0:
                price[i] = min(price[i], cost[o, i] + fixed[o] // (reach[o] * quantity[i]))


@njit(cache=True, nogil=True)
def earnings(
    o: int, price: I64, cost: I64, most: I64, skip: I64, pieces_per_unit: I64, room: int, tight: bool, share: I64, shelf: I64, taken: I64, order: I64,
    left: I64,
) -> int:  # fmt: skip
    """What option ``o`` earns at these prices, before its fixed cost; writes the units it takes into ``taken`` (m,).

    Args:
        room: pieces that its node may still take.
        tight: whether capacity or shared stock may bind there; else every item is taken on its own.
        shelf: stock of each shared SKU at its node, (shares,).
        order: scratch, (m,).
        left: scratch, (shares,).
    """
    m = price.size
    total, count, wanted = np.int64(0), 0, np.int64(0)
    shared = False
    for i in range(m):
        taken[i] = 0
        if skip[i] or most[o, i] == 0:
            continue
        gain = price[i] - cost[o, i]
        if gain > 0:
            taken[i] = most[o, i]
            total += gain * most[o, i]
            wanted += most[o, i] * pieces_per_unit[i]
            shared = shared or share[i] >= 0
            order[count] = i
            count += 1
    if not tight or (wanted <= room and not shared):
        return total
    for a in range(1, count):
        i = order[a]
        gain = -((cost[o, i] - price[i]) // pieces_per_unit[i])
        b = a - 1
        while b >= 0 and -((cost[o, order[b]] - price[order[b]]) // pieces_per_unit[order[b]]) < gain:
            order[b + 1] = order[b]
            b -= 1
        order[b + 1] = i
    left[:] = shelf
    total = np.int64(0)
    for a in range(count):
        i = order[a]
        gain = -((cost[o, i] - price[i]) // pieces_per_unit[i])
        take = min(most[o, i] * pieces_per_unit[i], room)
        if share[i] >= 0:
            take = min(take, left[share[i]])
            left[share[i]] -= take
        room -= take
        total += gain * take
        taken[i] = take // pieces_per_unit[i]
    return total


@njit(cache=True, nogil=True)
def improve_bound(
    rounds: int, best_known: int, base: int, shipments_left: int, price: I64, status: I64, first: I64, quantity: I64, penalty: I64, cost: I64, most: I64,
    fixed: I64, skip: I64, pieces_per_unit: I64, room: I64, tight: I64, share: I64, shelf: I64, must: I64, worth: I64, pick: I64, chosen: I64,
) -> int:  # fmt: skip
    """Raise the bound by at most ``rounds`` steps; ``price`` becomes the best found.

    Args:
        best_known: cost of the best plan so far: the bound is good enough when it reaches it.
        base: cost already decided.
        shipments_left: how many more options may open (beyond the open ones).
        status: −1 closed, 0 free, 1 open, per option.
        first: options ``first[n] .. first[n + 1]`` are those of node n.
        must: 1 where a node has to ship, (n,).
        worth: result at the best prices: what each option is worth less its fixed cost, (o,).
        pick: result: the best option of each node, −1 for none, (n,).
        chosen: result: 1 where the node's pick is part of the relaxed optimum, (n,).

    Returns:
        The bound.
    """
    m, options, nodes = quantity.size, fixed.size, first.size - 1
    taken = np.empty((options, m), np.int64)
    order = np.empty(m, np.int64)
    left = np.empty(shelf.shape[0], np.int64)
    current = price.copy()
    value = np.empty(options, np.int64)
    picked = np.empty(nodes, np.int64)
    inside = np.empty(nodes, np.int64)
    slope = np.empty(m, np.float64)
    best = -FAR
    pace, stale = 1.0, 0
    for turn in range(rounds):
        bound = base
        for i in range(m):
            if not skip[i]:
                bound += quantity[i] * current[i]
        free_count = 0
        for n in range(nodes):
            picked[n], inside[n] = -1, 0
            for o in range(first[n], first[n + 1]):
                if status[o] < 0:
                    continue
                value[o] = (
                    earnings(
                        o, current, cost, most, skip, pieces_per_unit, room[n], tight[n] > 0, share, shelf[:, n], taken[o], order, left
                    )
                    - fixed[o]
                )
                if status[o] > 0:
                    picked[n], inside[n] = o, 1
                elif inside[n] == 0 and (picked[n] < 0 or value[o] > value[picked[n]]):
                    picked[n] = o
            if picked[n] < 0:
                continue
            if inside[n]:
                bound -= value[picked[n]]
            elif must[n]:
                inside[n] = 1
                bound -= value[picked[n]]
                free_count += 1
            elif value[picked[n]] > 0:
                inside[n] = 2
        room_for = shipments_left - free_count
        while room_for > 0:
            top = -1
            for n in range(nodes):
                if inside[n] == 2 and (top < 0 or value[picked[n]] > value[picked[top]]):
                    top = n
            if top < 0:
                break
            inside[top] = 1
            bound -= value[picked[top]]
            room_for -= 1
        for n in range(nodes):
            if inside[n] == 2:
                inside[n] = 0
        if bound > best:
            best = bound
            price[:] = current
            worth[:] = value
            pick[:] = picked
            chosen[:] = inside
            stale = 0
        else:
            stale += 1
            if stale >= 3:
                pace *= 0.5
                stale = 0
                current[:] = price
        if best >= best_known or turn == rounds - 1:
            break
        norm = 0.0
        for i in range(m):
            slope[i] = 0.0
            if skip[i]:
                continue
            balance = quantity[i]
            for n in range(nodes):
                if inside[n] == 1:
                    balance -= taken[picked[n], i]
            slope[i] = balance / quantity[i]
            if (slope[i] > 0 and current[i] >= penalty[i]) or (slope[i] < 0 and current[i] <= 0):
                slope[i] = 0.0
            norm += slope[i] * slope[i]
        if norm == 0.0:
            break
        step = pace * (best_known - bound) / norm
        for i in range(m):
            moved = current[i] + np.int64(step * slope[i] / quantity[i])
            current[i] = min(max(moved, np.int64(0)), penalty[i])
    return best
