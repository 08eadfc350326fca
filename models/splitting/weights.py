"""Options that may only carry so much weight, as the steps of a tariff do: their bound, and the cuts that settle what it leaves open.

A limit on weight makes the assignment a knapsack, which no flow solves. The bound takes each option's knapsack in fractions (Dantzig, Operations
Research 5, 1957). Where the assignment that ignores weight breaks a limit, the search cuts on how many units of an item an option ships.
"""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917, C901, PLR0912
from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.splitting.data import FAR, I64, Data

MOST_CUTS = 40
"""Cuts on one path of the search; beyond it a branch is given up and its bound stays open."""

AT_MOST, AT_LEAST = 0, 1


KNAPSACK_STEPS = 400
"""Steps after which an exact knapsack is given up for its bound in fractions."""


@njit(cache=True, nogil=True)
def heavy_items(data: Data, order: I64) -> None:
    """Start ``order`` (o, m): the items that each option with a limit may ship, then −1."""
    for o in range(order.shape[0]):
        count = 0
        for i in range(data.quantity.size):
            order[o, i] = -1
            if data.most[o, i] > 0 and data.limit[o] < FAR:
                order[o, count] = i
                count += 1


@njit(cache=True, nogil=True)
def _gains(data: Data, skip: I64, price: I64, o: int, order: I64, ratio: NDArray[np.float64]) -> tuple[int, int]:
    """Gain a weight unit of each item in ``order`` at its place in ``ratio``, nought for none; what all gain together, and weigh."""
    total, load = np.int64(0), np.int64(0)
    for a in range(order.size):
        i = order[a]
        if i < 0:
            break
        gain = price[i] - data.cost[o, i]
        ratio[a] = 0.0
        if gain > 0 and not skip[i]:
            total += gain * data.most[o, i]
            load += data.most[o, i] * data.weight[i]
            ratio[a] = gain / data.weight[i] if data.weight[i] > 0 else np.inf
    return total, load


@njit(cache=True, nogil=True)
def _sort(order: I64, ratio: NDArray[np.float64]) -> int:
    """Sort by ratio, best first: they are nearly sorted from the last time. How many gain anything."""
    count = 0
    for a in range(order.size):
        i, own = order[a], ratio[a]
        if i < 0:
            break
        count += own > 0.0
        b = a
        while b > 0 and ratio[b - 1] < own:
            order[b], ratio[b] = order[b - 1], ratio[b - 1]
            b -= 1
        order[b], ratio[b] = i, own
    return count


@njit(cache=True, nogil=True)
def knapsack_worth(
    data: Data, lift: int, skip: I64, price: I64, o: int, worth: int, order: I64, ratio: NDArray[np.float64], taken: I64
) -> int:
    """What option ``o`` earns at most at these prices when it carries ``lift`` at most, if that is less than ``worth``.

    Any price of weight gives a valid bound; that of the last item which fits is the best one. It is rounded down to a whole number, so the
    bound stays one of whole numbers. ``taken`` (o, m) receives the units where the bound is used.

    Args:
        data: the problem.
        lift: weight that the option may carry.
        skip: 1 for items to leave aside, (m,).
        price: of each item, (m,).
        o: the option.
        worth: a bound that is known already; ``taken`` holds its units.
        order: the option's items in the order of the last call, then −1, (m,); is kept sorted.
        ratio: scratch, (m,).
        taken: result, (o, m).
    """
    bound, load = _gains(data, skip, price, o, order, ratio)
    count, critical, rest = 0, order.size, lift
    if load > lift:
        count, critical = _sort(order, ratio), 0
        while critical < count - 1 and data.most[o, order[critical]] * data.weight[order[critical]] <= rest:
            rest -= data.most[o, order[critical]] * data.weight[order[critical]]
            critical += 1
        i = order[critical]
        per_weight = (price[i] - data.cost[o, i]) // max(1, data.weight[i])
        if per_weight <= (FAR // 4) // max(1, lift):
            bound = per_weight * lift
            for a in range(count):
                i = order[a]
                bound += max(np.int64(0), price[i] - data.cost[o, i] - per_weight * data.weight[i]) * data.most[o, i]
    if bound >= worth:
        return worth
    for a in range(order.size):
        i = order[a]
        if i < 0:
            break
        taken[o, i] = data.most[o, i] if a < critical and ratio[a] > 0.0 else 0
    if critical < count and data.weight[order[critical]] > 0:
        taken[o, order[critical]] = rest // data.weight[order[critical]]
    return bound


@njit(cache=True, nogil=True)
def exact_worth(
    data: Data, lift: int, room: int, skip: I64, price: I64, o: int, worth: int, order: I64, ratio: NDArray[np.float64], units: I64
) -> int:
    """As :func:`knapsack_worth` in whole units and for at most ``room`` pieces, by branch and bound; its work is counted.

    (Horowitz & Sahni, Journal of the ACM 21, 1974.)
    """
    best, now, rest, a = np.int64(0), np.int64(0), lift, 0
    _gains(data, skip, price, o, order, ratio)
    count = _sort(order, ratio)
    for _ in range(KNAPSACK_STEPS):
        bound, left, b = now * 1.0, rest, a
        while b < count and data.most[o, order[b]] * data.weight[order[b]] <= left:
            left -= data.most[o, order[b]] * data.weight[order[b]]
            bound += (price[order[b]] - data.cost[o, order[b]]) * 1.0 * data.most[o, order[b]]
            b += 1
        if b < count:
            bound += ratio[b] * left
        if bound * (1.0 + 1e-12) + 1.0 > best:
            while a < count:  # as much as fits of each
                i = order[a]
                units[a] = min(data.most[o, i], room // data.size[i])
                if data.weight[i] > 0:
                    units[a] = min(units[a], rest // data.weight[i])
                rest -= units[a] * data.weight[i]
                room -= units[a] * data.size[i]
                now += units[a] * (price[i] - data.cost[o, i])
                a += 1
            best = max(best, now)
        a -= 1  # give one unit of the last item back that has any
        while a >= 0 and units[a] == 0:
            a -= 1
        if a < 0:
            return min(worth, best)
        i = order[a]
        units[a] -= 1
        rest += data.weight[i]
        room += data.size[i]
        now -= price[i] - data.cost[o, i]
        a += 1
    return worth


@njit(cache=True, nogil=True)
def enter_cuts(data: Data, cuts: I64, count: int, low: I64, work: Data) -> int:
    """Write what the cuts leave to decide into ``work`` and what they commit into ``low`` (o, m); its cost, ``FAR`` when they contradict.

    Args:
        data: the problem.
        cuts: (option, item, AT_MOST or AT_LEAST, units) each, (≥ count, 4).
        count: how many cuts there are.
        low: result, units committed.
        work: result; its quantity, most, limit, capacity, stock and must are overwritten.
    """
    base = np.int64(0)
    for i in range(data.quantity.size):
        work.quantity[i] = data.quantity[i]
        for o in range(data.fixed.size):
            work.most[o, i], low[o, i] = data.most[o, i], 0
    for o in range(data.fixed.size):
        work.limit[o] = data.limit[o]
    for n in range(data.must.size):
        work.capacity[n], work.must[n] = data.capacity[n], data.must[n]
        for s in range(data.stock.shape[0]):
            work.stock[s, n] = data.stock[s, n]
    for c in range(count):
        o, i, units = cuts[c, 0], cuts[c, 1], cuts[c, 3]
        if cuts[c, 2] == AT_MOST:
            work.most[o, i] = min(work.most[o, i], units)
        else:
            low[o, i] = max(low[o, i], units)
    for c in range(count):
        o, i = cuts[c, 0], cuts[c, 1]
        if work.most[o, i] < low[o, i]:
            return FAR
        if cuts[c, 2] == AT_MOST or cuts[c, 3] != low[o, i]:
            continue
        base += _commit(data, work, o, i, low[o, i])
        if base >= FAR:
            return FAR
    for o in range(data.fixed.size):
        for i in range(data.quantity.size):
            work.most[o, i] = min(work.most[o, i], work.quantity[i])
            if work.most[o, i] * data.weight[i] > work.limit[o]:
                work.most[o, i] = work.limit[o] // data.weight[i]
    return base


@njit(cache=True, nogil=True)
def _commit(data: Data, work: Data, o: int, i: int, units: int) -> int:
    """Take units of an item that option ``o`` surely ships out of ``work``; their cost, ``FAR`` when there is no room for them."""
    n, s = data.node[o], data.share[i]
    work.quantity[i] -= units
    work.most[o, i] -= units
    work.limit[o] -= units * data.weight[i]
    work.capacity[n] -= units
    work.must[n] = 0
    if s >= 0:
        work.stock[s, n] -= units
        if work.stock[s, n] < 0:
            return FAR
    if work.quantity[i] < 0 or work.limit[o] < 0 or work.capacity[n] < 0:
        return FAR
    return units * data.cost[o, i]


@njit(cache=True, nogil=True)
def choose_cut(work: Data, slots: I64, k: int, home: I64, pieces: I64, cut: I64) -> bool:
    """Where an assignment that ignores weight breaks a limit: the cut that forbids it, into ``cut``; False when it breaks none.

    The heaviest item of the slot with most excess is cut at the units that the slot could carry beside the rest.

    Args:
        work: the problem less what is committed.
        slots: the open options, the first ``k`` count.
        k: number of slots.
        home: the slot of each competing group, −1 for none, (m,).
        pieces: the assignment without the groups, (m, ≥ k).
        cut: result: option, item, units that may stay.
    """
    worst, worst_j = np.int64(0), -1
    for j in range(k):
        over = -work.limit[slots[j]]
        for i in range(home.size):
            over += (pieces[i, j] + (home[i] == j)) * work.weight[i]
        if over > worst:
            worst, worst_j = over, j
    if worst_j < 0:
        return False
    heaviest, chosen = np.int64(0), -1
    for i in range(home.size):
        load = pieces[i, worst_j] * work.weight[i]
        if load > heaviest:
            heaviest, chosen = load, i
    if chosen < 0:
        return False
    w = work.weight[chosen]
    cut[0], cut[1] = slots[worst_j], chosen
    cut[2] = max(np.int64(0), pieces[chosen, worst_j] - (worst + w - 1) // w)
    return True
