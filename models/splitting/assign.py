"""The cheapest assignment of pieces once it is fixed which options ship: closed form where lines do not compete, else a minimum-cost flow.

Everything here is compiled, works on whole numbers and visits in a fixed order, so the same problem gives the same plan on every machine.
An *item* is a line (or several alike) or a whole ship-together group; an *option* is one service of one node; a *slot* is an open option.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

I64 = NDArray[np.int64]
FAR = np.int64(1) << 62
"""Larger than every cost that may occur."""

CLOSED, FREE, OPEN = -1, 0, 1
UNDECIDED, LEFT_OUT = -1, -2


@njit(cache=True, nogil=True)
def relaxed_cost(
    slots: I64, k: int, quantity: I64, penalty: I64, cost: I64, most: I64, fixed: I64, skip: I64, cutoff: int, used: I64
) -> int:
    """Cost of the open slots when lines do not compete for stock or capacity; exact where they do not, else a lower bound.

    Args:
        slots: open options, the first ``k`` count.
        quantity: units of each item, (m,).
        penalty: for each unit left out, (m,).
        cost: per unit, by option and item, (o, m).
        most: most units of an item that an option may ship, (o, m).
        fixed: per option, paid when it ships anything, (o,).
        skip: items to leave aside (1), (m,).
        cutoff: stop when the cost reaches it.
        used: scratch, (o,).
    """
    total = np.int64(0)
    for j in range(k):
        used[slots[j]] = 0
    for i in range(quantity.size):
        if skip[i]:
            continue
        left = quantity[i]
        floor, floor_j = np.int64(-1), -1
        while left > 0:
            best, best_j = FAR, -1
            for j in range(k):
                c = cost[slots[j], i]
                if most[slots[j], i] > 0 and c < best and (c > floor or (c == floor and j > floor_j)):
                    best, best_j = c, j
            if best_j < 0:
                total += left * penalty[i]
                break
            o = slots[best_j]
            take = min(left, most[o, i])
            total += take * best
            left -= take
            if not used[o]:
                used[o] = 1
                total += fixed[o]
            floor, floor_j = best, best_j
        if total >= cutoff:
            return total
    return total


@njit(cache=True, nogil=True)
def fill_relaxed(slots: I64, k: int, quantity: I64, cost: I64, most: I64, skip: I64, pieces: I64) -> None:
    """Write the assignment that :func:`relaxed_cost` prices into ``pieces`` (m, k)."""
    pieces[:, :k] = 0
    for i in range(quantity.size):
        left = np.int64(0) if skip[i] else quantity[i]
        floor, floor_j = np.int64(-1), -1
        while left > 0:
            best, best_j = FAR, -1
            for j in range(k):
                c = cost[slots[j], i]
                if most[slots[j], i] > 0 and c < best and (c > floor or (c == floor and j > floor_j)):
                    best, best_j = c, j
            if best_j < 0:
                break
            take = min(left, most[slots[best_j], i])
            pieces[i, best_j] = take
            left -= take
            floor, floor_j = best, best_j


@njit(cache=True, nogil=True)
def _shortest(
    source: int, slots: I64, k: int, quantity: I64, penalty: I64, cost: I64, most: I64, skip: I64, share: I64, shares: int, shelf: I64,
    pieces: I64, inflow: I64, drawn: I64, keep: I64, dist: I64, pred: I64,
) -> None:  # fmt: skip
    """Bellman–Ford over the residual network.

    Vertices: slot j; item k + i; shelf k + m + s·k + j (the stock of shared SKU s at slot j). ``source`` −1 stands for the sink: then pieces
    may be taken back from any slot that may give one up, or from what was left out.
    """
    m = quantity.size
    size = k + m + shares * k
    for a in range(size):
        dist[a] = FAR
        pred[a] = -1
    if source >= 0:
        dist[source] = 0
    else:
        for j in range(k):
            if inflow[j] > keep[j]:
                dist[j] = 0
        for i in range(m):
            if not skip[i] and quantity[i] > pieces[i, :k].sum():
                dist[k + i] = -penalty[i]
    changed = True
    while changed:
        changed = False
        for i in range(m):
            if skip[i]:
                continue
            v, s = k + i, share[i]
            for j in range(k):
                w = j if s < 0 else k + m + s * k + j
                c = cost[slots[j], i]
                if pieces[i, j] > 0 and dist[w] < FAR and dist[w] - c < dist[v]:
                    dist[v] = dist[w] - c
                    pred[v] = w
                    changed = True
            if dist[v] >= FAR:
                continue
            for j in range(k):
                w = j if s < 0 else k + m + s * k + j
                c = cost[slots[j], i]
                if pieces[i, j] < most[slots[j], i] and dist[v] + c < dist[w]:
                    dist[w] = dist[v] + c
                    pred[w] = v
                    changed = True
        for s in range(shares):
            for j in range(k):
                w = k + m + s * k + j
                if dist[w] < dist[j] and drawn[s, j] < shelf[s, j]:
                    dist[j] = dist[w]
                    pred[j] = w
                    changed = True
                elif dist[j] < dist[w] and drawn[s, j] > 0:
                    dist[w] = dist[j]
                    pred[w] = j
                    changed = True


@njit(cache=True, nogil=True)
def _push(
    end: int, most_units: int, slots: I64, k: int, quantity: I64, most: I64, shelf: I64, pieces: I64, inflow: I64, drawn: I64, pred: I64, keep: I64,
    from_sink: bool,
) -> int:  # fmt: skip
    """Send as many units as fit (at most ``most_units``) along the path that ends in ``end``; returns how many."""
    m = quantity.size
    for turn in range(2):
        b = end
        while pred[b] >= 0:
            a = pred[b]
            i, j, s, forward = -1, -1, -1, True
            if k <= a < k + m:
                i = a - k
                j = b if b < k else (b - k - m) % k
            elif k <= b < k + m:
                i, forward = b - k, False
                j = a if a < k else (a - k - m) % k
            elif a >= k + m:
                s, j = (a - k - m) // k, b
            else:
                s, j, forward = (b - k - m) // k, a, False
            if turn == 0:
                if i >= 0:
                    most_units = min(most_units, most[slots[j], i] - pieces[i, j] if forward else pieces[i, j])
                else:
                    most_units = min(most_units, shelf[s, j] - drawn[s, j] if forward else drawn[s, j])
            elif i >= 0:
                pieces[i, j] += most_units if forward else -most_units
            else:
                drawn[s, j] += most_units if forward else -most_units
            b = a
        if turn == 0 and from_sink:
            most_units = min(most_units, inflow[b] - keep[b] if b < k else quantity[b - k] - pieces[b - k, :k].sum())
        elif turn == 1 and from_sink and b < k:
            inflow[b] -= most_units
    return most_units


@njit(cache=True, nogil=True)
def flow_cost(
    slots: I64, k: int, quantity: I64, penalty: I64, cost: I64, most: I64, skip: I64, share: I64, shares: int, room: I64, shelf: I64, need: I64,
    pieces: I64,
) -> int:  # fmt: skip
    """The cheapest assignment under shared stock, node capacity and nodes that must ship; ``FAR`` when a node that must cannot.

    Starts from the assignment that ignores what is shared (optimal for its prices) and moves the excess along shortest paths, so it ends in a
    minimum-cost flow (successive shortest paths: Ahuja, Magnanti & Orlin, Network Flows, 1993, §9.7).

    Args:
        room: pieces that each slot may still take, (k,).
        shelf: stock of each shared SKU at each slot, (shares, k).
        share: which shared SKU an item draws on, −1 for none, (m,).
        need: 1 where a slot must ship at least one piece, (k,).
        pieces: result, (m, ≥ k).

    Returns:
        Σ cost · pieces + Σ penalty · left out, without fixed costs.
    """
    m = quantity.size
    fill_relaxed(slots, k, quantity, cost, most, skip, pieces)
    inflow = np.zeros(k, np.int64)
    drawn = np.zeros((max(shares, 1), k), np.int64)
    for i in range(m):
        for j in range(k):
            if share[i] >= 0:
                drawn[share[i], j] += pieces[i, j]
            else:
                inflow[j] += pieces[i, j]
    dist = np.empty(k + m + shares * k, np.int64)
    pred = np.empty(k + m + shares * k, np.int64)
    none = np.zeros(k, np.int64)
    excess = np.zeros(k + m + shares * k, np.int64)
    for s in range(shares):
        for j in range(k):
            if drawn[s, j] > shelf[s, j]:
                excess[k + m + s * k + j] = drawn[s, j] - shelf[s, j]
                drawn[s, j] = shelf[s, j]
            inflow[j] += drawn[s, j]
    for j in range(k):
        if inflow[j] > room[j]:
            excess[j] = inflow[j] - room[j]
            inflow[j] = room[j]
    for a in range(excess.size):
        while excess[a] > 0:
            _shortest(a, slots, k, quantity, penalty, cost, most, skip, share, shares, shelf, pieces, inflow, drawn, none, dist, pred)
            best, end = FAR, -1
            for j in range(k):
                if inflow[j] < room[j] and dist[j] < best:
                    best, end = dist[j], j
            for i in range(m):
                if not skip[i] and dist[k + i] < FAR and dist[k + i] + penalty[i] < best:
                    best, end = dist[k + i] + penalty[i], k + i
            if end < 0:
                return FAR
            limit = min(excess[a], room[end] - inflow[end]) if end < k else excess[a]
            sent = _push(end, limit, slots, k, quantity, most, shelf, pieces, inflow, drawn, pred, none, False)
            excess[a] -= sent
            if end < k:
                inflow[end] += sent
    for j in range(k):
        if need[j] and inflow[j] == 0:
            if room[j] < 1:
                return FAR
            _shortest(-1, slots, k, quantity, penalty, cost, most, skip, share, shares, shelf, pieces, inflow, drawn, need, dist, pred)
            if dist[j] >= FAR:
                return FAR
            _push(j, np.int64(1), slots, k, quantity, most, shelf, pieces, inflow, drawn, pred, need, True)
            inflow[j] += 1
    total = np.int64(0)
    for i in range(m):
        if skip[i]:
            continue
        left = quantity[i]
        for j in range(k):
            total += pieces[i, j] * cost[slots[j], i]
            left -= pieces[i, j]
        total += left * penalty[i]
    return total
