"""The exact cost of shipping from given slots, groups and nodes that must ship included; and the search around a set of slots."""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917, C901, PLR0912
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.assign import fill_relaxed, piece_cost, relaxed_cost
from models.splitting.data import FAR, FREE, I64, LEFT_OUT, OPEN, Data
from models.splitting.flow import flow_cost


@njit(cache=True, nogil=True)
def _place_group(data: Data, slots: I64, k: int, i: int, place: I64, room: I64, shelf: I64) -> int:
    """The slot that takes group ``i``: its place, or while undecided the cheapest that fits; −1 when left out."""
    best, best_j = data.penalty[i], -1
    for j in range(k):
        o = slots[j]
        if place[i] == LEFT_OUT or (place[i] >= 0 and o != place[i]) or data.most[o, i] == 0 or room[j] < data.size[i]:
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
def _homes(data: Data, slots: I64, k: int, place: I64, room: I64, shelf: I64, home: I64, order: int) -> bool:
    """Give the competing groups their slots, decided ones first (``order`` 0) then the others; False when one cannot go where it must."""
    for i in range(data.quantity.size):
        if not data.group[i] or (place[i] >= 0) != (order == 0):
            continue
        j = _place_group(data, slots, k, i, place, room, shelf)
        home[i] = j
        if j < 0:
            if place[i] >= 0:
                return False
            continue
        room[j] -= data.size[i]
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
def exact_cost(data: Data, slots: I64, k: int, place: I64, cutoff: int, pieces: I64) -> int:
    """Cost of shipping from the first ``k`` slots; ``FAR`` when impossible, some value ≥ ``cutoff`` when not better.

    Competing groups follow ``place`` (m,); those still undecided go to the cheapest slot that fits, so that the result is then the cost of some
    plan, not of the best. ``pieces`` (m, ≥ k) receives the plan.
    """
    used = np.empty(k, np.int64)
    quick = relaxed_cost(data.quantity, data.penalty, data.cost, data.most, data.fixed, slots, k, data.group, used, cutoff)
    if quick >= cutoff:
        return quick
    shares = data.stock.shape[0]
    room, shelf = np.empty(k, np.int64), np.empty((shares, k), np.int64)
    for j in range(k):
        room[j] = data.capacity[data.node[slots[j]]]
        for s in range(shares):
            shelf[s, j] = data.stock[s, data.node[slots[j]]]
    if _surely_left(data, k, room) * (data.penalty[0] // data.size[0]) >= cutoff:
        return cutoff
    home, need = np.full(data.quantity.size, -1, np.int64), np.zeros(k, np.int64)
    if not (_homes(data, slots, k, place, room, shelf, home, 0) and _homes(data, slots, k, place, room, shelf, home, 1)):
        return FAR
    if not _needs(data, slots, k, home, need):
        return FAR
    fill_relaxed(data, slots, k, data.group, pieces)
    if _fits(data, k, room, shelf, need, pieces):
        total = piece_cost(data, slots, k, data.group, pieces)
    else:
        total = flow_cost(data, slots, k, data.group, room, shelf, need, pieces)
        if total >= FAR:
            return FAR
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


@njit(cache=True, nogil=True)
def cheapest_with(data: Data, chosen: I64, home: I64, most_slots: int, found: I64) -> None:
    """For each node outside the chosen slots: the least cost of adding it or swapping it in, shipping at least a piece; into ``found`` (n,).

    Args:
        data: the problem.
        chosen: the plan's options, (k,).
        home: the option that ships each competing group in the plan, LEFT_OUT for none, (m,); a group whose option is swapped out finds another.
        most_slots: most shipments.
        found: result, ``FAR`` where there is no such plan.
    """
    k, must, tries = chosen.size, data.must.copy(), 1 if data.group.any() else 0
    slots, pieces = np.zeros(k + 1, np.int64), np.zeros((data.quantity.size, k + 1), np.int64)
    place = np.full(data.quantity.size, -1, np.int64)
    trial = Data(
        data.quantity, data.size, data.penalty, data.cost, data.most, data.fixed, data.node, data.first, data.capacity, data.tight, data.share,
        data.stock, data.group, data.demand, must,
    )  # fmt: skip
    for n in range(must.size):
        present = False
        for j in range(k):
            present = present or data.node[chosen[j]] == n
        if present:
            continue
        for other in range(must.size):
            must[other] = data.must[other]
        must[n] = 1
        for o in range(data.first[n], data.first[n + 1]):
            for j in range(k + 1):
                if j == k and k >= most_slots:
                    continue
                for other in range(k):
                    slots[other] = chosen[other]
                slots[j] = o
                for free in range(1 + tries):
                    for i in range(place.size):
                        place[i] = -1 if free or (j < k and home[i] == chosen[j]) else home[i]
                    value = exact_cost(trial, slots, max(k, j + 1), place, found[n], pieces)
                    found[n] = min(found[n], value)
