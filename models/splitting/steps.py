"""Plans under limits on weight: from an assignment that ignores them to one that keeps them, by other steps of the tariff and by moves.

Compiled code works on what :mod:`models.splitting.data` describes. The plans found here are plans, not always the best for their slots: the
search proves the best by its cuts (:mod:`models.splitting.weights`).
"""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917, C901, PLR0912
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.assign import fill_relaxed, left_out, relaxed_cost
from models.splitting.data import CLOSED, FAR, FREE, I64, OPEN, Data
from models.splitting.exact import assign, exact_cost


@njit(cache=True, nogil=True)
def _load(data: Data, pieces: I64, j: int) -> int:
    total = np.int64(0)
    for i in range(data.quantity.size):
        total += pieces[i, j] * data.weight[i]
    return total


@njit(cache=True, nogil=True)
def _restep(data: Data, closed: I64, slots: I64, k: int, pieces: I64) -> None:
    """Put each slot on the option of its node that carries what it ships at least cost; one that nothing carries stays."""
    for j in range(k):
        n, load, best, best_o = data.node[slots[j]], _load(data, pieces, j), FAR, -1
        for o in range(data.first[n], data.first[n + 1]):
            if closed[o] == CLOSED or data.limit[o] < load:
                continue
            value = data.fixed[o]
            for i in range(data.quantity.size):
                if pieces[i, j] > data.most[o, i]:
                    value = FAR
                    break
                value += pieces[i, j] * data.cost[o, i]
            if value < best or (value == best and o == slots[j]):
                best, best_o = value, o
        if best_o >= 0:
            slots[j] = best_o


@njit(cache=True, nogil=True)
def _most_moved(data: Data, slots: I64, pieces: I64, i: int, j: int) -> int:
    """Units of item ``i`` that slot ``j`` could take on top of what it ships."""
    o, n, load = slots[j], data.node[slots[j]], np.int64(0)
    units = data.most[o, i] - pieces[i, j]
    if units <= 0:
        return 0
    if data.weight[i] > 0:
        units = min(units, max(np.int64(0), data.limit[o] - _load(data, pieces, j)) // data.weight[i])
    for other in range(data.quantity.size):
        load += pieces[other, j] * data.size[other]
    units = min(units, max(np.int64(0), data.capacity[n] - load) // data.size[i])
    for s in range(data.stock.shape[0]):
        own = data.demand[i, s] + (data.share[i] == s)
        if own == 0:
            continue
        drawn = np.int64(0)
        for other in range(data.quantity.size):
            drawn += pieces[other, j] * (data.demand[other, s] + (data.share[other] == s))
        units = min(units, max(np.int64(0), data.stock[s, n] - drawn) // own)
    return units


@njit(cache=True, nogil=True)
def _unload(data: Data, slots: I64, k: int, pieces: I64, j: int) -> None:
    """Move from an overloaded slot what costs least a weight unit, until it carries the rest; what goes nowhere is left out."""
    over = _load(data, pieces, j) - data.limit[slots[j]]
    while over > 0:
        best, best_i, best_j, best_units = np.inf, -1, -1, np.int64(0)
        for i in range(data.quantity.size):
            if pieces[i, j] == 0 or data.weight[i] == 0:
                continue
            wanted = min(pieces[i, j], (over + data.weight[i] - 1) // data.weight[i])
            for other in range(k + 1):
                if other == j:
                    continue
                units, each = wanted, data.penalty[i]
                if other < k:
                    units, each = min(wanted, _most_moved(data, slots, pieces, i, other)), data.cost[slots[other], i]
                if units <= 0:
                    continue
                price = (each - data.cost[slots[j], i]) * units / min(over, units * data.weight[i])
                if price < best:
                    best, best_i, best_j, best_units = price, i, other, units
        if best_i < 0:
            return
        pieces[best_i, j] -= best_units
        if best_j < k:
            pieces[best_i, best_j] += best_units
        over -= best_units * data.weight[best_i]


@njit(cache=True, nogil=True)
def _total(data: Data, slots: I64, k: int, pieces: I64) -> int:
    """Cost of a plan, ``FAR`` when it breaks a limit on weight or leaves out a node that must ship."""
    total = np.int64(0)
    for j in range(k):
        o, ships = slots[j], False
        for i in range(data.quantity.size):
            total += pieces[i, j] * data.cost[o, i]
            ships = ships or pieces[i, j] > 0
        if ships:
            total += data.fixed[o]
        elif data.must[data.node[o]]:
            return FAR
        if _load(data, pieces, j) > data.limit[o]:
            return FAR
    for i in range(data.quantity.size):
        total += left_out(data, pieces, k, i) * data.penalty[i]
    return total


@njit(cache=True, nogil=True)
def heavy_cost(data: Data, work: Data, low: I64, closed: I64, slots: I64, k: int, place: I64, cutoff: int, pieces: I64) -> int:
    """Cost of a plan from the first ``k`` slots' nodes that keeps the limits on weight; ``FAR`` when none was found, some value ≥ ``cutoff`` when not better.

    Args:
        data: the problem.
        work: the problem less what is committed; it is ``data`` where nothing is.
        low: units committed, (o, m); empty where nothing is.
        closed: −1 for options that may not ship, (o,); empty where all may.
        slots: the open options; may become other options of the same nodes.
        k: how many slots count.
        place: where each competing group goes, (m,).
        cutoff: what has to be beaten.
        pieces: result, (m, ≥ k).
    """
    m, used = data.quantity.size, np.empty(k, np.int64)
    base = np.int64(0)
    if low.size:
        for j in range(k):
            for i in range(m):
                base += low[slots[j], i] * data.cost[slots[j], i]
    quick = base + relaxed_cost(work.quantity, work.penalty, work.cost, work.most, work.fixed, slots, k, work.group, used, cutoff - base)
    if quick >= cutoff:
        return quick
    home = np.empty(m, np.int64)
    if assign(work, slots, k, place, cutoff - base, home, pieces) >= cutoff - base:
        return cutoff
    may = closed if closed.size else np.zeros(data.fixed.size, np.int64)
    for j in range(k):
        for i in range(m):
            pieces[i, j] += home[i] == j
            if low.size:
                pieces[i, j] += low[slots[j], i]
    other, moved = slots[:k].copy(), pieces[:, :k].copy()
    _restep(data, may, slots, k, pieces)
    for j in range(k):
        _unload(data, slots, k, pieces, j)
    _restep(data, may, slots, k, pieces)
    first = _total(data, slots, k, pieces)
    for j in range(k):
        _unload(data, other, k, moved, j)
    _restep(data, may, other, k, moved)
    second = _total(data, other, k, moved)
    if second < first:
        for j in range(k):
            slots[j] = other[j]
            for i in range(m):
                pieces[i, j] = moved[i, j]
    return min(first, second)


@njit(cache=True, nogil=True)
def any_cost(data: Data, work: Data, low: I64, closed: I64, slots: I64, k: int, place: I64, cutoff: int, pieces: I64) -> int:
    """:func:`heavy_cost` where limits on weight may bind, else :func:`exact_cost`."""
    if data.heavy:
        return heavy_cost(data, work, low, closed, slots, k, place, cutoff, pieces)
    return exact_cost(data, slots, k, place, cutoff, pieces)


@njit(cache=True, nogil=True)
def _head_cost(data: Data, closed: I64, slots: I64, k: int, skip: I64, pieces: I64, trial: I64) -> int:
    """Cost of the first ``k`` slots on the steps that carry what they would ship, capacity and shared stock left aside."""
    fill_relaxed(data, slots, k, skip, pieces)
    for j in range(k):
        trial[j] = slots[j]
    _restep(data, closed, trial, k, pieces)
    return _total(data, trial, k, pieces)


@njit(cache=True, nogil=True)
def heavy_search(data: Data, slots: I64, k: int, most_slots: int, status: I64, skip: I64, closed: I64) -> int:
    """Add, drop and swap slots while that lowers the cost with the steps that it needs; changes ``slots``, returns how many there are.

    Only the option of each node that carries most is tried, the one of least fixed cost among equals.
    """
    nodes = data.must.size
    pieces, trial, head = np.zeros((data.quantity.size, nodes + 1), np.int64), np.zeros(nodes + 1, np.int64), np.full(nodes, -1, np.int64)
    for n in range(nodes):
        for o in range(data.first[n], data.first[n + 1]):
            if status[o] != FREE:
                continue
            h = head[n]
            if h < 0 or data.limit[o] > data.limit[h] or (data.limit[o] == data.limit[h] and data.fixed[o] < data.fixed[h]):
                head[n] = o
    value, last = _head_cost(data, closed, slots, k, skip, pieces, trial), np.int64(-1)
    while last != value:
        last = value
        best_j, best_o = -1, -1
        for j in range(k + 1):
            if (j < k and (status[slots[j]] == OPEN or data.must[data.node[slots[j]]])) or (j == k and k >= most_slots):
                continue
            held = slots[j]
            if j < k:
                slots[j] = slots[k - 1]
                found = _head_cost(data, closed, slots, k - 1, skip, pieces, trial)
                slots[j] = held
                if found < value:
                    value, best_j, best_o = found, j, -1
            for n in range(nodes):
                present = head[n] < 0
                for other in range(k):
                    present = present or (other != j and data.node[slots[other]] == n)
                if present or (j < k and head[n] == held):
                    continue
                slots[j] = head[n]
                found = _head_cost(data, closed, slots, max(k, j + 1), skip, pieces, trial)
                slots[j] = held
                if found < value:
                    value, best_j, best_o = found, j, head[n]
        if best_j >= 0 and best_o < 0:
            slots[best_j] = slots[k - 1]
            k -= 1
        elif best_j >= 0:
            slots[best_j] = best_o
            k = max(k, best_j + 1)
    return k
