"""A lower bound on the cost of every plan, by Lagrangian relaxation of "each piece is shipped once".

With a price per unit of each item the options separate: an option is worth what it earns at these prices less its fixed cost, and at most
one option of a node and at most the permitted number of shipments are taken. Any prices give a valid bound; subgradient steps find good ones
(Geoffrion, Mathematical Programming Study 2, 1974; Fisher, Management Science 27, 1981). The bound itself is computed in whole numbers: a step
may be rounded, a bound is never wrong.
"""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: PLR0917, C901
from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.splitting.data import FAR, I64, OPEN, Data, Relaxed, State, copy_into
from models.splitting.weights import exact_worth, knapsack_worth


@njit(cache=True, nogil=True)
def first_prices(data: Data, price: I64) -> None:
    """Prices to start from: for each item its cheapest unit cost with an even share of the option's fixed cost."""
    m, options = data.quantity.size, data.fixed.size
    copy_into(price, data.penalty)
    for o in range(options):
        reach = np.int64(0)
        for i in range(m):
            reach += data.most[o, i] > 0
        for i in range(m):
            if data.most[o, i] > 0:
                price[i] = min(price[i], data.cost[o, i] + data.fixed[o] // (reach * data.quantity[i]))


@njit(cache=True, nogil=True)
def _earn(price: I64, cost: I64, most: I64, skip: I64, o: int, taken: I64) -> int:
    """What option ``o`` earns at these prices before its fixed cost, if nothing binds; the units it takes go into ``taken`` (o, m)."""
    total = np.int64(0)
    for i in range(price.size):
        gain = price[i] - cost[o, i]
        take = most[o, i] if gain > 0 and not skip[i] else np.int64(0)
        taken[o, i] = take
        total += gain * take
    return total


@njit(cache=True, nogil=True)
def _earn_tight(data: Data, state: State, price: I64, o: int, loose: int, order: I64, gains: I64, left: I64, taken: I64) -> int:
    """As :func:`_earn` (``loose``) where capacity or shared stock may bind: the best pieces first, which is exact for such nested limits.

    A competing group that has no place yet is taken in fractions, its gain a piece rounded up: the bound stays valid, and branching settles it.
    """
    count, room, total, binds = 0, state.room[data.node[o]], np.int64(0), False
    for s in range(left.size):
        left[s] = state.shelf[s, data.node[o]]
    wanted = np.int64(0)
    for i in range(price.size):
        wanted += taken[o, i] * data.size[i]
        if data.share[i] >= 0:
            left[data.share[i]] -= taken[o, i]
            binds = binds or left[data.share[i]] < 0
    if wanted <= room and not binds:
        return loose
    for s in range(left.size):
        left[s] = state.shelf[s, data.node[o]]
    for i in range(price.size):
        if taken[o, i] > 0:
            gain = price[i] - data.cost[o, i]
            if data.size[i] > 1:
                gain = -(-gain // data.size[i])
            b = count
            while b > 0 and gains[b - 1] < gain:
                gains[b], order[b] = gains[b - 1], order[b - 1]
                b -= 1
            gains[b], order[b] = gain, i
            count += 1
    for a in range(count):
        i = order[a]
        take = min(data.most[o, i] * data.size[i], room)
        if data.share[i] >= 0:
            take = min(take, left[data.share[i]])
            left[data.share[i]] -= take
        room -= take
        total += gains[a] * take
        taken[o, i] = take // data.size[i]
    return total


@njit(cache=True, nogil=True)
def _useless(now: Relaxed) -> int:
    for n in range(now.chosen.size):
        now.chosen[n] = 0
    return FAR


@njit(cache=True, nogil=True)
def _choose(data: Data, status: I64, spare: int, now: Relaxed) -> int:
    """Choose the options of the relaxed optimum: open ones, those of nodes that must ship, then the best of positive worth; Σ worth.

    A sum that leaves the range of exact whole numbers comes back as ``FAR``: the bound is then useless, never wrong.
    """
    nodes, total = data.must.size, np.int64(0)
    for n in range(nodes):
        pick, opened = -1, False
        for o in range(data.first[n], data.first[n + 1]):
            if status[o] == OPEN:
                pick, opened = o, True
            elif status[o] == 0 and not opened and (pick < 0 or now.worth[o] > now.worth[pick]):
                pick = o
        now.pick[n], now.chosen[n] = pick, 0
        if pick >= 0 and (opened or data.must[n]):
            now.chosen[n] = 1
            total += now.worth[pick]
            spare -= not opened
            if total > FAR // 2:
                return _useless(now)
    while spare > 0:
        top = -1
        for n in range(nodes):
            o = now.pick[n]
            if o >= 0 and not now.chosen[n] and now.worth[o] > 0 and (top < 0 or now.worth[o] > now.worth[now.pick[top]]):
                top = n
        if top < 0:
            break
        now.chosen[top] = 1
        total += now.worth[now.pick[top]]
        spare -= 1
        if total > FAR // 2:
            return _useless(now)
    return total


@njit(cache=True, nogil=True)
def _step(data: Data, skip: I64, price: I64, now: Relaxed, gap: float, slope: NDArray[np.float64]) -> bool:
    """Move the prices along the subgradient by Polyak's step; False when there is no direction left."""
    norm = 0.0
    for i in range(price.size):
        slope[i] = 0.0
        if skip[i]:
            continue
        balance = data.quantity[i]
        for n in range(now.pick.size):
            if now.chosen[n]:
                balance -= now.taken[now.pick[n], i]
        if (balance > 0 and price[i] < data.penalty[i]) or (balance < 0 and price[i] > 0):
            slope[i] = balance / data.quantity[i]
            norm += slope[i] * slope[i]
    if norm == 0.0:
        return False
    for i in range(price.size):
        if slope[i] == 0.0:
            continue
        step = min(max(gap / norm * slope[i] / data.quantity[i], -1e18), 1e18)
        moved = price[i] + np.int64(step)
        price[i] = min(max(moved, np.int64(0)), data.penalty[i])
    return True


@njit(cache=True, nogil=True)
def improve_bound(data: Data, state: State, base: int, spare: int, rounds: int, target: int, best: Relaxed) -> int:
    """Raise the bound by at most ``rounds`` steps.

    Args:
        data: the problem.
        state: the search node; ``state.price`` becomes the best prices found.
        base: cost already decided.
        spare: how many options may open beside the open ones.
        rounds: most steps.
        target: cost of the best plan so far: the bound is good enough when it reaches it.
        best: result at the best prices (but for ``taken``).

    Returns:
        The bound.
    """
    m, options, nodes = data.quantity.size, data.fixed.size, data.must.size
    now = Relaxed(np.zeros(options, np.int64), np.full(nodes, -1, np.int64), np.zeros(nodes, np.int64), best.taken, best.order)
    order, gains, left, slope = (
        np.empty(m, np.int64),
        np.empty(m, np.int64),
        np.empty(data.stock.shape[0], np.int64),
        np.empty(m, np.float64),
    )
    ratio = np.empty(m if data.heavy else 0, np.float64)
    price = state.price.copy()
    top, pace, stale = -FAR, 1.0, 0
    for turn in range(rounds):
        bound = base
        for i in range(m):
            if not state.skip[i]:
                bound += data.quantity[i] * price[i]
        for o in range(options):
            if state.status[o] >= 0:
                carries = data.heavy > 0 and data.limit[o] < FAR // 2
                loose = FAR
                if not carries or data.tight[data.node[o]]:
                    loose = _earn(price, data.cost, data.most, state.skip, o, now.taken)
                if data.tight[data.node[o]]:
                    loose = _earn_tight(data, state, price, o, loose, order, gains, left, now.taken)
                if carries:
                    loose = knapsack_worth(data, state.lift[o], state.skip, price, o, loose, best.order[o], ratio, now.taken)
                now.worth[o] = loose - data.fixed[o]
        bound -= _choose(data, state.status, spare, now)
        stale += 1
        if bound > top:
            top, stale = bound, 0
            copy_into(state.price, price)
            copy_into(best.worth, now.worth)
            copy_into(best.pick, now.pick)
            copy_into(best.chosen, now.chosen)
        if top >= target or turn == rounds - 1 or not _step(data, state.skip, price, now, pace * (target - bound), slope):
            break
        if stale >= max(3, rounds // 20):
            pace, stale = pace * 0.5, 0
            copy_into(price, state.price)
    if data.heavy and -FAR < top < target:
        top = max(top, _tighten(data, state, base, spare, target, best, ratio, order))
    return top


@njit(cache=True, nogil=True)
def _tighten(data: Data, state: State, base: int, spare: int, target: int, best: Relaxed, ratio: NDArray[np.float64], units: I64) -> int:
    """The bound at the best prices with the knapsacks of what is chosen in whole units; ``best`` follows."""
    exact = np.zeros(data.fixed.size, np.int64)
    for i in range(state.price.size):
        if not state.skip[i]:
            base += data.quantity[i] * state.price[i]
    while True:
        bound, changed = base - _choose(data, state.status, spare, best), False
        if bound >= target:
            return bound
        for n in range(best.pick.size):
            o = best.pick[n]
            if not best.chosen[n] or exact[o] or data.limit[o] >= FAR // 2:
                continue
            exact[o] = 1
            worth = best.worth[o] + data.fixed[o]
            tight = (
                exact_worth(data, state.lift[o], state.room[data.node[o]], state.skip, state.price, o, worth, best.order[o], ratio, units)
                - data.fixed[o]
            )
            changed = changed or tight < best.worth[o]
            best.worth[o] = tight
        if not changed:
            return bound
