"""The cheapest assignment when lines share stock or node capacity and when nodes must ship: a minimum-cost flow.

It starts from the assignment that ignores what is shared, which is optimal for its own prices, and moves the excess along shortest paths, so it
ends in a minimum-cost flow (successive shortest paths: Ahuja, Magnanti & Orlin, Network Flows, 1993, §9.7).
"""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.assign import fill_relaxed, left_out, piece_cost
from models.splitting.data import FAR, I64, Data, Flow


@njit(cache=True, nogil=True)
def _start(data: Data, k: int, skip: I64, flow: Flow, keep: I64, source: int) -> None:
    """Distances before the first round: ``source``, or (−1) everything that may give a piece back."""
    for v in range(flow.dist.size):
        flow.dist[v] = FAR
        flow.pred[v] = -1
    if source >= 0:
        flow.dist[source] = 0
        return
    for j in range(k):
        if flow.inflow[j] > keep[j]:
            flow.dist[j] = 0
    for i in range(data.quantity.size):
        if not skip[i] and left_out(data, flow.pieces, k, i) > 0:
            flow.dist[k + i] = -data.penalty[i]


@njit(cache=True, nogil=True)
def _relax_item(cost: I64, most: I64, slots: I64, k: int, i: int, v: int, shift: int, pieces: I64, dist: I64, pred: I64) -> bool:
    """One round of Bellman–Ford over the arcs of item ``i`` (vertex ``v``) to the vertices ``shift`` + slot."""
    changed = False
    for j in range(k):
        w = shift + j
        through = dist[w] - cost[slots[j], i]
        if pieces[i, j] > 0 and dist[w] < FAR and through < dist[v]:
            dist[v], pred[v], changed = through, w, True
    if dist[v] >= FAR:
        return changed
    for j in range(k):
        w = shift + j
        through = dist[v] + cost[slots[j], i]
        if pieces[i, j] < most[slots[j], i] and through < dist[w]:
            dist[w], pred[w], changed = through, v, True
    return changed


@njit(cache=True, nogil=True)
def _shortest(data: Data, slots: I64, k: int, skip: I64, flow: Flow, keep: I64, source: int) -> None:
    """Bellman–Ford over the residual network."""
    m, shares = data.quantity.size, flow.shelf.shape[0]
    _start(data, k, skip, flow, keep, source)
    changed = True
    while changed:
        changed = False
        for i in range(m):
            shift = 0 if data.share[i] < 0 else k + m + data.share[i] * k
            if not skip[i] and _relax_item(data.cost, data.most, slots, k, i, k + i, shift, flow.pieces, flow.dist, flow.pred):
                changed = True
        for s in range(shares):
            for j in range(k):
                w = k + m + s * k + j
                if flow.dist[w] < flow.dist[j] and flow.drawn[s, j] < flow.shelf[s, j]:
                    flow.dist[j], flow.pred[j], changed = flow.dist[w], w, True
                elif flow.dist[j] < flow.dist[w] and flow.drawn[s, j] > 0:
                    flow.dist[w], flow.pred[w], changed = flow.dist[j], j, True


@njit(cache=True, nogil=True)
def _arc(m: int, k: int, a: int, b: int) -> tuple[int, int, int, bool]:
    """Item or −1, shelf or −1, slot, and whether the arc a → b adds to the flow."""
    if k <= a < k + m:
        return a - k, -1, b if b < k else (b - k - m) % k, True
    if k <= b < k + m:
        return b - k, -1, a if a < k else (a - k - m) % k, False
    if a >= k + m:
        return -1, (a - k - m) // k, b, True
    return -1, (b - k - m) // k, a, False


@njit(cache=True, nogil=True)
def _push(data: Data, slots: I64, k: int, flow: Flow, end: int, wanted: int) -> int:
    """Send as many of the wanted pieces as fit along the path that ends in ``end``; returns how many."""
    m, b = data.quantity.size, end
    while flow.pred[b] >= 0:
        i, s, j, forward = _arc(m, k, flow.pred[b], b)
        if i >= 0:
            wanted = min(wanted, data.most[slots[j], i] - flow.pieces[i, j] if forward else flow.pieces[i, j])
        else:
            wanted = min(wanted, flow.shelf[s, j] - flow.drawn[s, j] if forward else flow.drawn[s, j])
        b = flow.pred[b]
    b = end
    while flow.pred[b] >= 0:
        i, s, j, forward = _arc(m, k, flow.pred[b], b)
        step = wanted if forward else -wanted
        if i >= 0:
            flow.pieces[i, j] += step
        else:
            flow.drawn[s, j] += step
        b = flow.pred[b]
    return wanted


@njit(cache=True, nogil=True)
def _excess(data: Data, k: int, flow: Flow) -> I64:
    """What the relaxed assignment puts on each vertex beyond its room, (k + m + s·k,); the flow keeps the rest."""
    m, shares = data.quantity.size, flow.shelf.shape[0]
    excess = np.zeros(k + m + shares * k, np.int64)
    for i in range(m):
        for j in range(k):
            if data.share[i] >= 0:
                flow.drawn[data.share[i], j] += flow.pieces[i, j]
            else:
                flow.inflow[j] += flow.pieces[i, j]
    for j in range(k):
        for s in range(shares):
            over = max(np.int64(0), flow.drawn[s, j] - flow.shelf[s, j])
            excess[k + m + s * k + j] = over
            flow.drawn[s, j] -= over
            flow.inflow[j] += flow.drawn[s, j]
        excess[j] = max(np.int64(0), flow.inflow[j] - flow.room[j])
        flow.inflow[j] -= excess[j]
    return excess


@njit(cache=True, nogil=True)
def _move(data: Data, slots: I64, k: int, skip: I64, flow: Flow, vertex: int, excess: int, none: I64) -> None:
    """Move the excess of one vertex to where there is room, or leave it out."""
    while excess > 0:
        _shortest(data, slots, k, skip, flow, none, vertex)
        best, end = FAR, -1
        for j in range(k):
            if flow.inflow[j] < flow.room[j] and flow.dist[j] < best:
                best, end = flow.dist[j], j
        for i in range(data.quantity.size):
            if not skip[i] and flow.dist[k + i] < FAR and flow.dist[k + i] + data.penalty[i] < best:
                best, end = flow.dist[k + i] + data.penalty[i], k + i
        limit = min(excess, flow.room[end] - flow.inflow[end]) if end < k else excess
        sent = _push(data, slots, k, flow, end, limit)
        excess -= sent
        if end < k:
            flow.inflow[end] += sent


@njit(cache=True, nogil=True)
def flow_cost(data: Data, slots: I64, k: int, skip: I64, room: I64, shelf: I64, need: I64, pieces: I64) -> int:
    """Cost of the best assignment without fixed costs; ``FAR`` when a slot that needs a piece cannot get one.

    Args:
        data: the problem.
        slots: the open options, the first ``k`` count.
        k: number of slots.
        skip: 1 for items to leave aside, (m,).
        room: pieces that each slot may still take, (k,).
        shelf: stock of each competed SKU at each slot, (s, k).
        need: 1 where a slot must ship at least one piece, (k,).
        pieces: result, (m, ≥ k).
    """
    fill_relaxed(data, slots, k, skip, pieces)
    size = k + data.quantity.size + shelf.shape[0] * k
    flow = Flow(
        pieces, np.zeros(k, np.int64), room, np.zeros(shelf.shape, np.int64), shelf, np.empty(size, np.int64), np.empty(size, np.int64)
    )
    excess, none = _excess(data, k, flow), np.zeros(k, np.int64)
    for vertex in range(size):
        _move(data, slots, k, skip, flow, vertex, excess[vertex], none)
    for j in range(k):
        if need[j] and flow.inflow[j] == 0:
            if room[j] < 1:
                return FAR
            _shortest(data, slots, k, skip, flow, need, -1)
            if flow.dist[j] >= FAR:
                return FAR
            root = j
            while flow.pred[root] >= 0:
                root = flow.pred[root]
            _push(data, slots, k, flow, j, 1)
            if root < k:
                flow.inflow[root] -= 1
            flow.inflow[j] += 1
    return piece_cost(data, slots, k, skip, pieces)
