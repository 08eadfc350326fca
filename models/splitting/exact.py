"""The exact cost of shipping from given slots, groups and nodes that must ship included; and the search around a set of slots."""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917, C901
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.assign import fill_relaxed, piece_cost, relaxed_cost
from models.splitting.data import FAR, FREE, I64, LEFT_OUT, OPEN, Data
from models.splitting.flow import flow_cost


@njit(cache=True, nogil=True)
def _place_group(data: Data, slots: I64, k: int, i: int, place: I64, room: I64, shelf: I64, lift: I64) -> int:
    """The slot that takes group ``i``: its place, or while undecided the cheapest that fits; −1 when left out."""
    best, best_j = data.penalty[i], -1
    for j in range(k):
        o = slots[j]
        if place[i] == LEFT_OUT or (place[i] >= 0 and o != place[i]) or data.most[o, i] == 0 or room[j] < data.size[i]:
            continue
        if lift[j] < data.weight[i]:
            continue
        fits = True
        for s in range(shelf.shape[0]):
            fits = fits and shelf[s, j] >= data.demand[i, s]
        if fits and data.cost[o, i] < best:
            best, best_j = data.cost[o, i], j
    return best_j


@njit(cache=True, nogil=True)
def _fits(data: Data, k: int, room: I64, shelf: I64, need: I64, pieces: I64) -> bool:
    """Whether an assignment keeps room, shared stock and need."""
    drawn = np.zeros(shelf.shape[0], np.int64)
    for j in range(k):
        load = np.int64(0)
        for s in range(drawn.size):
            drawn[s] = 0
        for i in range(data.share.size):
            load += pieces[i, j]
            if data.share[i] >= 0:
                drawn[data.share[i]] += pieces[i, j]
        if load > room[j] or (need[j] and load == 0):
            return False
        for s in range(drawn.size):
            if drawn[s] > shelf[s, j]:
                return False
    return True


@njit(cache=True, nogil=True)
def _homes(data: Data, slots: I64, k: int, place: I64, room: I64, shelf: I64, lift: I64, home: I64, order: int) -> bool:
    """Give the competing groups their slots, decided ones first (``order`` 0) then the others; False when one cannot go where it must."""
    for i in range(data.quantity.size):
        if not data.group[i] or (place[i] >= 0) != (order == 0):
            continue
        j = _place_group(data, slots, k, i, place, room, shelf, lift)
        home[i] = j
        if j < 0:
            if place[i] >= 0:
                return False
            continue
        room[j] -= data.size[i]
        lift[j] -= data.weight[i]
        for s in range(shelf.shape[0]):
            shelf[s, j] -= data.demand[i, s]
    return True


@njit(cache=True, nogil=True)
def _needs(data: Data, slots: I64, k: int, home: I64, need: I64) -> bool:
    """Mark the slots that still need a piece; False when a node that must ship has no slot."""
    for n in range(data.must.size):
        if not data.must[n]:
            continue
        found = False
        for j in range(k):
            if data.node[slots[j]] == n:
                found = True
                need[j] = 1
        if not found:
            return False
    for i in range(home.size):
        if home[i] >= 0:
            need[home[i]] = 0
    return True


@njit(cache=True, nogil=True)
def _surely_left(data: Data, k: int, room: I64) -> int:
    """Pieces for which the slots together have no capacity."""
    left = np.int64(0)
    for i in range(data.quantity.size):
        left += data.quantity[i] * data.size[i]
    for j in range(k):
        left -= min(left, room[j])
    return left


@njit(cache=True, nogil=True)
def assign(data: Data, slots: I64, k: int, place: I64, cutoff: int, home: I64, pieces: I64) -> int:
    """The cheapest assignment to the first ``k`` slots that ignores weight, without fixed costs; ``FAR`` when impossible.

    Stops with ``cutoff`` when it surely costs as much.

    Args:
        data: the problem.
        slots: the open options.
        k: how many count.
        place: where each competing group goes, (m,).
        cutoff: what has to be beaten.
        home: result, the slot of each competing group, −1 for none, (m,).
        pieces: result, without the competing groups, (m, ≥ k).
    """
    shares = data.stock.shape[0]
    room, shelf, lift = np.empty(k, np.int64), np.empty((shares, k), np.int64), np.empty(k, np.int64)
    for j in range(k):
        room[j] = data.capacity[data.node[slots[j]]]
        lift[j] = data.limit[slots[j]]
        for s in range(shares):
            shelf[s, j] = data.stock[s, data.node[slots[j]]]
    if _surely_left(data, k, room) * (data.penalty[0] // data.size[0]) >= cutoff:
        return cutoff
    need = np.zeros(k, np.int64)
    for i in range(home.size):
        home[i] = -1
    if not (_homes(data, slots, k, place, room, shelf, lift, home, 0) and _homes(data, slots, k, place, room, shelf, lift, home, 1)):
        return FAR
    if not _needs(data, slots, k, home, need):
        return FAR
    fill_relaxed(data, slots, k, data.group, pieces)
    if _fits(data, k, room, shelf, need, pieces):
        return piece_cost(data, slots, k, data.group, pieces)
    return flow_cost(data, slots, k, data.group, room, shelf, need, pieces)


@njit(cache=True, nogil=True)
def exact_cost(data: Data, slots: I64, k: int, place: I64, cutoff: int, pieces: I64) -> int:
    """Cost of shipping from the first ``k`` slots; ``FAR`` when impossible, some value ≥ ``cutoff`` when not better.

    Competing groups follow ``place`` (m,); those still undecided go to the cheapest slot that fits, so that the result is then the cost of some
    plan, not of the best. ``pieces`` (m, ≥ k) receives the plan. Limits on weight are :func:`models.splitting.steps.heavy_cost`'s.
    """
    used = np.empty(k, np.int64)
    quick = relaxed_cost(data.quantity, data.penalty, data.cost, data.most, data.fixed, slots, k, data.group, used, cutoff)
    if quick >= cutoff:
        return quick
    home = np.empty(data.quantity.size, np.int64)
    total = assign(data, slots, k, place, cutoff, home, pieces)
    if total >= cutoff:
        return total
    for i in range(home.size):
        if home[i] >= 0:
            pieces[i, home[i]] = 1
            total += data.cost[slots[home[i]], i]
        elif data.group[i]:
            total += data.penalty[i]
    for j in range(k):
        for i in range(home.size):
            if pieces[i, j] > 0:
                total += data.fixed[slots[j]]
                break
    return total


@njit(cache=True, nogil=True)
def _may_enter(node: I64, status: I64, slots: I64, k: int, j: int, o: int) -> bool:
    """Whether free option ``o`` may stand at position ``j`` beside the other slots."""
    if status[o] != FREE or (j < k and slots[j] == o):
        return False
    clash = False
    for other in range(k):
        clash = clash or (other != j and node[slots[other]] == node[o])
    return not clash


@njit(cache=True, nogil=True)
def local_search(data: Data, slots: I64, k: int, most_slots: int, status: I64, skip: I64) -> int:
    """Add, drop and swap slots while that lowers the relaxed cost; changes ``slots``, returns how many there are."""
    quantity, penalty, cost, most, fixed = data.quantity, data.penalty, data.cost, data.most, data.fixed
    used = np.empty(slots.size, np.int64)
    value, last = relaxed_cost(quantity, penalty, cost, most, fixed, slots, k, skip, used, FAR), np.int64(-1)
    while last != value:
        last = value
        best_j, best_o = -1, -1
        for j in range(k + 1):
            if (j < k and (status[slots[j]] == OPEN or data.must[data.node[slots[j]]])) or (j == k and k >= most_slots):
                continue
            held = slots[j]
            if j < k:
                slots[j] = slots[k - 1]
                trial = relaxed_cost(quantity, penalty, cost, most, fixed, slots, k - 1, skip, used, value)
                slots[j] = held
                if trial < value:
                    value, best_j, best_o = trial, j, -1
            for o in range(data.fixed.size):
                if not _may_enter(data.node, status, slots, k, j, o):
                    continue
                slots[j] = o
                trial = relaxed_cost(quantity, penalty, cost, most, fixed, slots, max(k, j + 1), skip, used, value)
                slots[j] = held
                if trial < value:
                    value, best_j, best_o = trial, j, o
        if best_j >= 0 and best_o < 0:
            slots[best_j] = slots[k - 1]
            k -= 1
        elif best_j >= 0:
            slots[best_j] = best_o
            k = max(k, best_j + 1)
    return k
