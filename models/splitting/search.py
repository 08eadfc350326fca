"""Depth-first branch and bound over which options ship; the work is counted, never timed."""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917, C901
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.bound import first_prices, improve_bound
from models.splitting.data import CLOSED, FAR, FREE, I64, LEFT_OUT, OPEN, UNDECIDED, Best, Cut, Data, Relaxed, State, copy_into
from models.splitting.exact import assign, local_search
from models.splitting.steps import any_cost, heavy_search
from models.splitting.weights import AT_LEAST, AT_MOST, MOST_CUTS, choose_cut, enter_cuts, heavy_items


@njit(cache=True, nogil=True)
def _enter(data: Data, state: State) -> int:
    """Take the placed groups out of room and stock; the cost they bring, ``FAR`` when they do not fit."""
    base = np.int64(0)
    copy_into(state.room, data.capacity)
    copy_into(state.lift, data.limit)
    for s in range(data.stock.shape[0]):
        for n in range(data.capacity.size):
            state.shelf[s, n] = data.stock[s, n]
    for i in range(data.quantity.size):
        o = state.place[i]
        placed = data.group[i] and o != UNDECIDED
        state.skip[i] = 1 if placed or data.quantity[i] == 0 else 0
        if not placed:
            continue
        if o == LEFT_OUT:
            base += data.penalty[i]
            continue
        base += data.cost[o, i]
        state.room[data.node[o]] -= data.size[i]
        state.lift[o] -= data.weight[i]
        if state.room[data.node[o]] < 0 or state.lift[o] < 0:
            return FAR
        for s in range(data.stock.shape[0]):
            state.shelf[s, data.node[o]] -= data.demand[i, s]
            if state.shelf[s, data.node[o]] < 0:
                return FAR
    return base


@njit(cache=True, nogil=True)
def _spare(data: Data, status: I64, most_shipments: int) -> int:
    """How many options may still open; −1 when the nodes that must ship cannot. Closes the rest when none may."""
    opened, missing = np.int64(0), np.int64(0)
    for n in range(data.must.size):
        free, present = False, False
        for o in range(data.first[n], data.first[n + 1]):
            free = free or status[o] == FREE
            present = present or status[o] == OPEN
        opened += present
        if data.must[n] and not present:
            missing += 1
            if not free:
                return -1
    if opened + missing > most_shipments:
        return -1
    for o in range(status.size):
        if status[o] == FREE and opened + missing >= most_shipments and not (data.must[data.node[o]] and missing):
            status[o] = CLOSED
    return most_shipments - opened


@njit(cache=True, nogil=True)
def _try(data: Data, cut: Cut, slots: I64, k: int, place: I64, pieces: I64, best: Best) -> None:
    """Keep the plan of these slots when it is the best so far; ``slots`` may become other steps of the same nodes."""
    value = any_cost(data, cut.work, cut.low, cut.closed, slots, k, place, best.value[0], pieces)
    if value < best.value[0]:
        best.value[0], best.value[1] = value, k
        for j in range(k):
            best.slots[j] = slots[j]
            for i in range(place.size):
                best.pieces[i, j] = pieces[i, j]


@njit(cache=True, nogil=True)
def _first_plan(data: Data, cut: Cut, state: State, most_shipments: int, slots: I64, pieces: I64, best: Best) -> None:
    """A good plan to start from, by local search from the nodes that must ship."""
    k = np.int64(0)
    for n in range(data.must.size):
        for o in range(data.first[n], data.first[n + 1]):
            if data.must[n] and state.status[o] != CLOSED:
                slots[k] = o
                k += 1
                break
    if data.heavy:
        k = heavy_search(data, slots, k, most_shipments, state.status, state.skip, cut.closed)
    else:
        k = local_search(data, slots, k, most_shipments, state.status, state.skip)
    _try(data, cut, slots, k, state.place, pieces, best)


@njit(cache=True, nogil=True)
def _fix(data: Data, status: I64, relaxed: Relaxed, bound: int, best: int) -> int:
    """Close the free options that no better plan can use (reduced-cost fixing); the free option of most worth, −1 when none is left."""
    branch = -1
    for n in range(data.must.size):
        lost = relaxed.worth[relaxed.pick[n]] if relaxed.chosen[n] else np.int64(0)
        for o in range(data.first[n], data.first[n + 1]):
            if status[o] != FREE:
                continue
            if bound + lost - relaxed.worth[o] >= best:
                status[o] = CLOSED
            elif branch < 0 or relaxed.worth[o] > relaxed.worth[branch]:
                branch = o
    return branch


@njit(cache=True, nogil=True)
def _child(data: Data, stack: State, cut: Cut, bounds: I64, top: int, state: State, bound: int, o: int) -> None:
    """Put a copy of the state on the stack, with option ``o`` open and its siblings closed (``o`` −1: as it is)."""
    if data.heavy:
        cut.counts[top] = cut.counts[-1]
        for c in range(cut.counts[-1]):
            copy_into(cut.cuts[top, c], cut.cuts[-1, c])
    copy_into(stack.status[top], state.status)
    copy_into(stack.place[top], state.place)
    copy_into(stack.price[top], state.price)
    bounds[top] = bound
    if o >= 0:
        for other in range(data.first[data.node[o]], data.first[data.node[o] + 1]):
            stack.status[top, other] = CLOSED
        stack.status[top, o] = OPEN


@njit(cache=True, nogil=True)
def _open_slots(status: I64, slots: I64) -> int:
    k = np.int64(0)
    for o in range(status.size):
        if status[o] == OPEN:
            slots[k] = o
            k += 1
    return k


@njit(cache=True, nogil=True)
def _undecided(data: Data, place: I64, relaxed: Relaxed) -> int:
    """The competing group to decide next, −1 for none: one that the relaxation takes not exactly once, among those the largest."""
    best, largest, torn = -1, np.int64(-1), False
    for i in range(place.size):
        if not data.group[i] or place[i] != UNDECIDED:
            continue
        taken = np.int64(0)
        for n in range(relaxed.pick.size):
            if relaxed.chosen[n]:
                taken += relaxed.taken[relaxed.pick[n], i]
        wrong = taken != 1
        if (wrong and not torn) or (wrong == torn and data.size[i] > largest):
            best, largest, torn = i, data.size[i], wrong
    return best


@njit(cache=True, nogil=True)
def _decide_group(data: Data, cut: Cut, state: State, stack: State, bounds: I64, top: int, group: int) -> int:
    """A child for each option that could ship the group, the cheapest on top, and below them one that leaves it out; the height of the stack."""
    _child(data, stack, cut, bounds, top, state, bounds[-1], -1)
    stack.place[top, group] = LEFT_OUT
    top += 1
    last, last_o = FAR, np.int64(-1)
    while True:
        dearest, chosen = np.int64(-1), np.int64(-1)
        for o in range(data.fixed.size):
            value = data.cost[o, group] + (data.fixed[o] if state.status[o] != OPEN else 0)
            if state.status[o] == CLOSED or data.most[o, group] == 0 or value > last or (value == last and o >= last_o):
                continue
            if value >= dearest:
                dearest, chosen = value, np.int64(o)
        if chosen < 0:
            return top
        _child(data, stack, cut, bounds, top, state, bounds[-1], chosen)
        stack.place[top, group] = chosen
        last, last_o = dearest, chosen
        top += 1


@njit(cache=True, nogil=True)
def _ceiling(data: Data) -> int:
    """More than any plan costs."""
    total = np.int64(1)
    for i in range(data.quantity.size):
        total += data.quantity[i] * data.penalty[i]
    for n in range(data.must.size):
        dearest = np.int64(0)
        for o in range(data.first[n], data.first[n + 1]):
            dearest = max(dearest, data.fixed[o])
        total += dearest
    return total


@njit(cache=True, nogil=True)
def _new(slots: I64, k: int, place: I64, seen: I64) -> bool:
    """Whether this set of slots was not tried lately; a hash remembers it. A clash loses one proposal, never the proof."""
    mark = np.int64(k)
    for j in range(k):
        mark = mark * 1_000_003 + slots[j] + 1
    for i in range(place.size):
        mark = mark * 1_000_003 + place[i]
    at = mark & (seen.size - 1)
    if seen[at] == mark:
        return False
    seen[at] = mark
    return True


@njit(cache=True, nogil=True)
def _cut_leaf(data: Data, cut: Cut, state: State, stack: State, bounds: I64, top: int, slots: I64, pieces: I64, best: Best) -> int:
    """Where all options are decided and the cheapest assignment is too heavy: two cuts that forbid it; returns the height of the stack."""
    k, count = _open_slots(state.status, slots), cut.counts[-1]
    home, found = np.empty(data.quantity.size, np.int64), np.zeros(3, np.int64)
    base = np.int64(0)
    for o in range(data.fixed.size):
        if state.status[o] == OPEN:
            for i in range(data.quantity.size):
                base += cut.low[o, i] * data.cost[o, i]
    if assign(cut.work, slots, k, state.place, best.value[0] - base, home, pieces) >= best.value[0] - base:
        return top
    if not choose_cut(cut.work, slots, k, home, pieces, found):
        return top
    if count >= MOST_CUTS:
        cut.given_up[0] = min(cut.given_up[0], bounds[-1])
        return top
    o, i, units = found[0], found[1], found[2] + cut.low[found[0], found[1]]
    for kind in (AT_LEAST, AT_MOST):
        _child(data, stack, cut, bounds, top, state, bounds[-1], -1)
        cut.counts[top] = count + 1
        cut.cuts[top, count, 0], cut.cuts[top, count, 1], cut.cuts[top, count, 2] = o, i, kind
        cut.cuts[top, count, 3] = units + (kind == AT_LEAST)
        top += 1
    return top


@njit(cache=True, nogil=True)
def _cuts(data: Data, depth: int, closed: I64) -> Cut:
    """Room for the cuts of each search node; empty where no limit on weight may bind."""
    work = data
    options, m = data.fixed.size, data.quantity.size
    if data.heavy:
        work = Data(
            data.quantity.copy(), data.size, data.penalty, data.cost, data.most.copy(), data.fixed, data.node, data.first, data.capacity.copy(),
            data.tight, data.share, data.stock.copy(), data.group, data.demand, data.must.copy(), data.weight, data.limit.copy(), data.heavy,
        )  # fmt: skip
    else:
        depth, options, m = 0, 0, 0
    return Cut(
        work, np.zeros((options, m), np.int64), closed, np.zeros((depth + 1, MOST_CUTS if depth else 0, 4), np.int64),
        np.zeros(depth + 1, np.int64), np.full(1, FAR, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _visit(
    data: Data,
    state: State,
    cut: Cut,
    relaxed: Relaxed,
    stack: State,
    bounds: I64,
    top: int,
    bound: int,
    seen: I64,
    slots: I64,
    pieces: I64,
    best: Best,
) -> int:
    """Try the plan that the relaxation proposes, then branch; returns the height of the stack."""
    k = np.int64(0)
    for n in range(data.must.size):
        if relaxed.chosen[n]:
            slots[k] = relaxed.pick[n]
            k += 1
    if _new(slots, k, state.place, seen):
        _try(data, cut, slots, k, state.place, pieces, best)
    if bounds[-1] >= best.value[0]:
        return top
    branch = _fix(data, state.status, relaxed, bound, best.value[0])
    if branch < 0:
        group = _undecided(data, state.place, relaxed)
        if group >= 0:
            return _decide_group(data, cut, state, stack, bounds, top, group)
        k = _open_slots(state.status, slots)
        _try(data, cut, slots, k, state.place, pieces, best)
        return _cut_leaf(data, cut, state, stack, bounds, top, slots, pieces, best) if data.heavy else top
    _child(data, stack, cut, bounds, top, state, bounds[-1], -1)
    stack.status[top, branch] = CLOSED
    _child(data, stack, cut, bounds, top + 1, state, bounds[-1], branch)
    return top + 2


@njit(cache=True, nogil=True)
def search(
    data: Data, limit: int, rounds_root: int, rounds: int, most_shipments: int, closed: I64, prices: I64, best: Best
) -> tuple[int, int]:
    """Find the cheapest plan below ``best.value[0]``.

    Args:
        data: the problem.
        limit: most search nodes.
        rounds_root: steps for the bound at the root.
        rounds: steps for the bound elsewhere.
        most_shipments: most options that may open.
        closed: −1 for options that may not, (o,).
        prices: prices to start from when ``prices[0] >= 0``; becomes those of the root.
        best: the plan found; its value stays as it was when none is better.

    Returns:
        A lower bound on every plan that is not in ``best`` (its own cost when proven), and the search nodes explored.
    """
    m, options, nodes, shares = data.quantity.size, data.fixed.size, data.must.size, data.stock.shape[0]
    groups = np.int64(0)
    for i in range(m):
        groups += data.group[i]
    depth = (groups + 1) * (options + 2) + 2 + (MOST_CUTS + 2 if data.heavy else 0)
    stack = State(np.empty((depth, options), np.int64), np.empty((depth, m), np.int64), np.empty((depth, m), np.int64),
                  np.empty((0, 0), np.int64), np.empty((0, 0), np.int64), np.empty((0, 0), np.int64),
                  np.empty((0, 0), np.int64))  # fmt: skip
    bounds = np.empty(depth + 1, np.int64)
    state = State(closed.copy(), np.full(m, UNDECIDED, np.int64), prices.copy(), np.zeros(m, np.int64), np.empty(nodes, np.int64),
                  np.empty((shares, nodes), np.int64), np.empty(options, np.int64))  # fmt: skip
    cut = _cuts(data, depth, closed)
    work = cut.work
    if prices[0] < 0:
        first_prices(data, state.price)
    relaxed = Relaxed(np.zeros(options, np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.int64), np.zeros((options, m), np.int64),
                      np.zeros((options if data.heavy else 0, m), np.int64))  # fmt: skip
    heavy_items(data, relaxed.order)
    slots, pieces = np.zeros(nodes + 1, np.int64), np.zeros((m, nodes + 1), np.int64)
    seen = np.full(256, -1, np.int64)
    ceiling, explored, top = _ceiling(data), np.int64(0), np.int64(1)
    _child(data, stack, cut, bounds, 0, state, -FAR, -1)
    while top > 0 and explored < limit:
        top -= 1
        if bounds[top] >= best.value[0]:
            continue
        copy_into(state.status, stack.status[top])
        copy_into(state.place, stack.place[top])
        copy_into(state.price, stack.price[top])
        explored += 1
        committed = np.int64(0)
        if data.heavy:
            cut.counts[-1] = cut.counts[top]
            for c in range(cut.counts[top]):
                copy_into(cut.cuts[-1, c], cut.cuts[top, c])
            committed = enter_cuts(data, cut.cuts[-1], cut.counts[-1], cut.low, work)
            if committed >= FAR:
                continue
        base, spare = _enter(work, state), _spare(data, state.status, most_shipments)
        if base >= FAR or spare < 0:
            continue
        base += committed
        if explored == 1:
            _first_plan(data, cut, state, most_shipments, slots, pieces, best)
        own = improve_bound(work, state, base, spare, rounds_root if explored == 1 else rounds, min(best.value[0], ceiling), relaxed)
        if explored == 1:
            copy_into(prices, state.price)
        bounds[-1] = max(bounds[top], own)
        if bounds[-1] < best.value[0]:
            top = _visit(data, state, cut, relaxed, stack, bounds, top, own, seen, slots, pieces, best)
    lower = min(best.value[0], cut.given_up[0])
    for a in range(top):
        lower = min(lower, bounds[a])
    return lower, explored
