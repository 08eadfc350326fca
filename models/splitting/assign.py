"""The cheapest assignment of pieces once the open slots are fixed, as long as lines do not compete for stock or capacity.

Where they do, it is a lower bound, and the point from which :mod:`models.splitting.flow` goes on.
"""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.data import FAR, I64, Data


@njit(cache=True, nogil=True)
def next_slot(cost: I64, most: I64, slots: I64, k: int, i: int, left: int, floor: int, after: int) -> int:
    """The slot that ships item ``i`` cheapest after (cost ``floor``, slot ``after``); among equals one that takes all; −1 for none."""
    best, best_j, whole = FAR, -1, False
    for j in range(k):
        c, n = cost[slots[j], i], most[slots[j], i]
        if n == 0 or c > best or c < floor or (c == floor and j <= after):
            continue
        if c < best or (not whole and n >= left):
            best, best_j, whole = c, j, n >= left
    return best_j


@njit(cache=True, nogil=True)
def relaxed_cost(
    quantity: I64, penalty: I64, cost: I64, most: I64, fixed: I64, slots: I64, k: int, skip: I64, used: I64, cutoff: int
) -> int:
    """Cost of the first ``k`` slots, items in ``skip`` left aside; may stop as soon as it reaches ``cutoff``. ``used`` (≥ k) is scratch.

    Takes the arrays one by one: it is called so often that handing over the whole problem would cost as much as the work.
    """
    total = np.int64(0)
    for j in range(k):
        used[j] = 0
    for i in range(quantity.size):
        left = np.int64(0) if skip[i] else quantity[i]
        floor, j = np.int64(-1), np.int64(-1)
        while left > 0:
            j = next_slot(cost, most, slots, k, i, left, floor, j)
            if j < 0:
                total += left * penalty[i]
                break
            o = slots[j]
            floor = cost[o, i]
            take = min(left, most[o, i])
            total += take * floor
            left -= take
            if not used[j]:
                used[j] = 1
                total += fixed[o]
        if total >= cutoff:
            break
    return total


@njit(cache=True, nogil=True)
def fill_relaxed(data: Data, slots: I64, k: int, skip: I64, pieces: I64) -> None:
    """Write the assignment that :func:`relaxed_cost` prices into ``pieces`` (m, ≥ k)."""
    for i in range(data.quantity.size):
        for j in range(k):
            pieces[i, j] = 0
        left = np.int64(0) if skip[i] else data.quantity[i]
        floor, j = np.int64(-1), np.int64(-1)
        while left > 0:
            j = next_slot(data.cost, data.most, slots, k, i, left, floor, j)
            if j < 0:
                break
            floor = data.cost[slots[j], i]
            pieces[i, j] = min(left, data.most[slots[j], i])
            left -= pieces[i, j]


@njit(cache=True, nogil=True)
def left_out(data: Data, pieces: I64, k: int, i: int) -> int:
    """Units of item ``i`` that no slot ships."""
    left = data.quantity[i]
    for j in range(k):
        left -= pieces[i, j]
    return left


@njit(cache=True, nogil=True)
def piece_cost(data: Data, slots: I64, k: int, skip: I64, pieces: I64) -> int:
    """Σ cost · pieces + Σ penalty · left out, without fixed costs."""
    total = np.int64(0)
    for i in range(data.quantity.size):
        if skip[i]:
            continue
        for j in range(k):
            total += pieces[i, j] * data.cost[slots[j], i]
        total += left_out(data, pieces, k, i) * data.penalty[i]
    return total
