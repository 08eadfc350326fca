"""The cheapest plan next to a given one that ships from a node which that one leaves out."""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
# ruff: noqa: C901
from __future__ import annotations

import numpy as np
from numba import njit

from models.splitting.data import I64, Data
from models.splitting.steps import any_cost


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
    place, none = np.full(data.quantity.size, -1, np.int64), np.zeros((1, 0), np.int64)
    trial = Data(
        data.quantity, data.size, data.penalty, data.cost, data.most, data.fixed, data.node, data.first, data.capacity, data.tight, data.share,
        data.stock, data.group, data.demand, must, data.weight, data.limit, data.heavy,
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
                    value = any_cost(trial, trial, none, none[0], slots, max(k, j + 1), place, found[n], pieces)
                    found[n] = min(found[n], value)
