"""Depth-first branch and bound over which options ship; the work is counted, never timed."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.assign import CLOSED, FAR, FREE, I64, LEFT_OUT, OPEN, UNDECIDED, flow_cost, fill_relaxed, relaxed_cost
from models.splitting.bound import first_prices, improve_bound


@njit(cache=True, nogil=True)
def exact_cost(
    slots: I64, k: int, quantity: I64, penalty: I64, cost: I64, most: I64, fixed: I64, node: I64, capacity: I64, tight: I64, share: I64, stock: I64,
    bound_groups: I64, demand: I64, pieces_per_unit: I64, place: I64, must: I64, cutoff: int, pieces: I64,
) -> int:  # fmt: skip
    """Exact cost of shipping from the open slots with the placed groups; ``FAR`` when impossible, or ``cutoff`` and more when not better.

    Groups that compete for capacity or stock (``bound_groups``) follow ``place``; those still undecided go to the cheapest slot that fits,
    so that the result is then some plan, not the best.
    """
    m, shares = quantity.size, stock.shape[0]
    skip = bound_groups
    used = np.zeros(fixed.size, np.int64)
    quick = relaxed_cost(slots, k, quantity, penalty, cost, most, fixed, skip, cutoff, used)
    if quick >= cutoff:
        return quick
    room = np.empty(k, np.int64)
    shelf = np.empty((shares, k), np.int64)
    busy = np.zeros(k, np.int64)
    for j in range(k):
        room[j] = capacity[node[slots[j]]]
        for s in range(shares):
            shelf[s, j] = stock[s, node[slots[j]]]
    base = np.int64(0)
    home = np.full(m, -1, np.int64)
    for turn in range(2):
        for i in range(m):
            if not skip[i] or (place[i] >= 0) != (turn == 0):
                continue
            best, best_j = penalty[i], -1
            for j in range(k):
                o = slots[j]
                if (place[i] >= 0 and o != place[i]) or place[i] == LEFT_OUT or most[o, i] == 0 or room[j] < pieces_per_unit[i]:
                    continue
                fits = True
                for s in range(shares):
                    fits = fits and shelf[s, j] >= demand[i, s]
                if fits and cost[o, i] < best:
                    best, best_j = cost[o, i], j
            base += best
            if best_j < 0:
                if place[i] >= 0:
                    return FAR
                continue
            home[i] = best_j
            busy[best_j] = 1
            room[best_j] -= pieces_per_unit[i]
            for s in range(shares):
                shelf[s, best_j] -= demand[i, s]
    need = np.zeros(k, np.int64)
    for n in range(must.size):
        if must[n]:
            found = False
            for j in range(k):
                if node[slots[j]] == n:
                    found = True
                    need[j] = 1 - busy[j]
            if not found:
                return FAR
    fill_relaxed(slots, k, quantity, cost, most, skip, pieces)
    total = base
    if _fits(k, share, shares, room, shelf, need, pieces):
        for i in range(m):
            if not skip[i]:
                left = quantity[i]
                for j in range(k):
                    total += pieces[i, j] * cost[slots[j], i]
                    left -= pieces[i, j]
                total += left * penalty[i]
    else:
        flow = flow_cost(slots, k, quantity, penalty, cost, most, skip, share, shares, room, shelf, need, pieces)
        if flow >= FAR:
            return FAR
        total += flow
    for j in range(k):
        for i in range(m):
            if home[i] == j:
                pieces[i, j] = 1
            if pieces[i, j] > 0:
                busy[j] = 1
        if busy[j]:
            total += fixed[slots[j]]
    return total


@njit(cache=True, nogil=True)
def _fits(k: int, share: I64, shares: int, room: I64, shelf: I64, need: I64, pieces: I64) -> bool:
    for j in range(k):
        load = np.int64(0)
        for i in range(share.size):
            load += pieces[i, j]
        if load > room[j] or (need[j] and load == 0):
            return False
        for s in range(shares):
            drawn = np.int64(0)
            for i in range(share.size):
                if share[i] == s:
                    drawn += pieces[i, j]
            if drawn > shelf[s, j]:
                return False
    return True


@njit(cache=True, nogil=True)
def local_search(
    slots: I64, k: int, most_slots: int, status: I64, quantity: I64, penalty: I64, cost: I64, most: I64, fixed: I64, node: I64, skip: I64, must: I64,
) -> int:  # fmt: skip
    """Improve a set of open slots by adding, dropping and swapping; changes ``slots``, returns how many there are."""
    options = fixed.size
    used = np.zeros(options, np.int64)
    value = relaxed_cost(slots, k, quantity, penalty, cost, most, fixed, skip, FAR, used)
    improved = True
    while improved:
        improved = False
        best, best_j, best_o = value, -1, -1
        for j in range(k + 1):
            held = slots[j] if j < k else np.int64(-1)
            if held >= 0 and (status[held] == OPEN or must[node[held]]):
                continue
            if j == k and k >= most_slots:
                continue
            for o in range(-1, options):
                size = k if j < k else k + 1
                if o < 0:
                    if j == k or k == 0:
                        continue
                    slots[j] = slots[k - 1]
                    size = k - 1
                else:
                    if status[o] != FREE:
                        continue
                    clash = False
                    for other in range(k):
                        clash = clash or (other != j and node[slots[other]] == node[o])
                    if clash or o == held:
                        continue
                    slots[j] = o
                trial = relaxed_cost(slots, size, quantity, penalty, cost, most, fixed, skip, best, used)
                if trial < best:
                    best, best_j, best_o = trial, j, o
            if held >= 0:
                slots[j] = held
        if best_j >= 0:
            improved = True
            value = best
            if best_o < 0:
                slots[best_j] = slots[k - 1]
                k -= 1
            else:
                slots[best_j] = best_o
                k = max(k, best_j + 1)
    return k


@njit(cache=True, nogil=True)
def search(
    limit: int, cutoff: int, rounds_root: int, rounds: int, most_shipments: int, closed: I64, quantity: I64, penalty: I64, cost: I64, most: I64, fixed: I64, node: I64,
    first: I64, capacity: I64, tight: I64, share: I64, stock: I64, bound_groups: I64, demand: I64, pieces_per_unit: I64, must: I64, prices: I64,
    best_slots: I64, best_pieces: I64, out: I64,
) -> None:  # fmt: skip
    """Find the cheapest plan below ``cutoff``.

    Args:
        limit: most search nodes.
        prices: prices to start from when ``prices[0] >= 0``; becomes those of the root.
        best_slots: result, the options of the best plan, (nodes,).
        best_pieces: result, (m, nodes) beside ``best_slots``.
        out: result: best cost (``cutoff`` when none is better), number of slots, lower bound, search nodes, 1 when proven.
    """
    m, options, nodes, shares = quantity.size, fixed.size, first.size - 1, stock.shape[0]
    groups = 0
    for i in range(m):
        groups += bound_groups[i]
    depth = options + 2 + (groups + 1) * (options + 2)
    stack_status = np.empty((depth, options), np.int64)
    stack_place = np.empty((depth, m), np.int64)
    stack_price = np.empty((depth, m), np.int64)
    stack_bound = np.empty(depth, np.int64)
    status = closed.copy()
    place = np.full(m, UNDECIDED, np.int64)
    price = prices.copy()
    if prices[0] < 0:
        first_prices(quantity, penalty, cost, most, fixed, price)
    worth = np.zeros(options, np.int64)
    pick = np.zeros(nodes, np.int64)
    chosen = np.zeros(nodes, np.int64)
    skip = np.zeros(m, np.int64)
    room = np.empty(nodes, np.int64)
    shelf = np.empty((shares, nodes), np.int64)
    slots = np.zeros(nodes + 1, np.int64)
    pieces = np.zeros((m, nodes + 1), np.int64)
    best, count, explored = cutoff, 0, 0
    reach = np.int64(1)
    for i in range(m):
        reach += quantity[i] * penalty[i]
    for n in range(nodes):
        reach += fixed[first[n] : first[n + 1]].max()
    stack_status[0], stack_place[0], stack_price[0], stack_bound[0] = status, place, price, -FAR
    top = 1
    while top > 0 and explored < limit:
        top -= 1
        bound = stack_bound[top]
        if bound >= best:
            continue
        status[:], place[:], price[:] = stack_status[top], stack_place[top], stack_price[top]
        explored += 1
        base, opened, missing = np.int64(0), 0, 0
        room[:], shelf[:] = capacity, stock
        feasible = True
        for i in range(m):
            skip[i] = 0
            if bound_groups[i] and place[i] != UNDECIDED:
                skip[i] = 1
                if place[i] == LEFT_OUT:
                    base += penalty[i]
                else:
                    n = node[place[i]]
                    base += cost[place[i], i]
                    room[n] -= pieces_per_unit[i]
                    feasible = feasible and room[n] >= 0
                    for s in range(shares):
                        shelf[s, n] -= demand[i, s]
                        feasible = feasible and shelf[s, n] >= 0
        for o in range(options):
            opened += status[o] == OPEN
        for n in range(nodes):
            if must[n]:
                possible, present = False, False
                for o in range(first[n], first[n + 1]):
                    possible = possible or status[o] != CLOSED
                    present = present or status[o] == OPEN
                feasible = feasible and possible
                missing += not present
        if not feasible or opened + missing > most_shipments:
            continue
        if opened == most_shipments:
            for o in range(options):
                if status[o] == FREE:
                    status[o] = CLOSED
        turns = rounds_root if explored == 1 else rounds
        if explored == 1:
            k = 0
            for n in range(nodes):
                if must[n]:
                    for o in range(first[n], first[n + 1]):
                        if status[o] != CLOSED:
                            slots[k] = o
                            k += 1
                            break
            if k <= most_shipments:
                k = local_search(slots, k, most_shipments, status, quantity, penalty, cost, most, fixed, node, skip, must)
                value = exact_cost(slots, k, quantity, penalty, cost, most, fixed, node, capacity, tight, share, stock, bound_groups, demand,
                                   pieces_per_unit, place, must, best, pieces)  # fmt: skip
                if value < best:
                    best, count = value, k
                    best_slots[:k] = slots[:k]
                    best_pieces[:, :k] = pieces[:, :k]
        own = improve_bound(turns, min(best, reach), base, most_shipments - opened, price, status, first, quantity, penalty, cost, most, fixed, skip,
                                         pieces_per_unit, room, tight, share, shelf, must, worth, pick, chosen)  # fmt: skip
        bound = max(bound, own)
        if explored == 1:
            prices[:] = price
        if bound >= best:
            continue
        k = 0
        for n in range(nodes):
            if chosen[n]:
                slots[k] = pick[n]
                k += 1
        value = exact_cost(slots, k, quantity, penalty, cost, most, fixed, node, capacity, tight, share, stock, bound_groups, demand, pieces_per_unit,
                           place, must, best, pieces)  # fmt: skip
        if value < best:
            best, count = value, k
            best_slots[:k] = slots[:k]
            best_pieces[:, :k] = pieces[:, :k]
        if bound >= best:
            continue
        free = 0
        for n in range(nodes):
            for o in range(first[n], first[n + 1]):
                if status[o] != FREE:
                    continue
                loss = worth[pick[n]] if chosen[n] else np.int64(0)
                if own + loss - worth[o] >= best and most_shipments >= nodes:
                    status[o] = CLOSED
                else:
                    free += 1
        group = -1
        for i in range(m):
            if bound_groups[i] and place[i] == UNDECIDED:
                group = i
                break
        if group >= 0:
            stack_status[top], stack_place[top], stack_price[top], stack_bound[top] = status, place, price, bound
            stack_place[top, group] = LEFT_OUT
            top += 1
            for a in range(options):
                o = options - 1 - a
                if status[o] == CLOSED or most[o, group] == 0:
                    continue
                stack_status[top], stack_place[top], stack_price[top], stack_bound[top] = status, place, price, bound
                stack_place[top, group] = o
                for other in range(first[node[o]], first[node[o] + 1]):
                    stack_status[top, other] = CLOSED
                stack_status[top, o] = OPEN
                top += 1
            continue
        if free == 0:
            k = 0
            for o in range(options):
                if status[o] == OPEN:
                    slots[k] = o
                    k += 1
            value = exact_cost(slots, k, quantity, penalty, cost, most, fixed, node, capacity, tight, share, stock, bound_groups, demand,
                               pieces_per_unit, place, must, best, pieces)  # fmt: skip
            if value < best:
                best, count = value, k
                best_slots[:k] = slots[:k]
                best_pieces[:, :k] = pieces[:, :k]
            continue
        branch = -1
        for o in range(options):
            if status[o] == FREE and (branch < 0 or worth[o] > worth[branch]):
                branch = o
        stack_status[top], stack_place[top], stack_price[top], stack_bound[top] = status, place, price, bound
        stack_status[top, branch] = CLOSED
        top += 1
        stack_status[top], stack_place[top], stack_price[top], stack_bound[top] = status, place, price, bound
        for other in range(first[node[branch]], first[node[branch] + 1]):
            stack_status[top, other] = CLOSED
        stack_status[top, branch] = OPEN
        top += 1
    lower = best
    for a in range(top):
        lower = min(lower, stack_bound[a])
    out[0], out[1], out[2], out[3], out[4] = best, count, lower, explored, 1 if lower >= best else 0
