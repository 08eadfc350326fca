"""The arrays that the compiled kernel reads and the states that it keeps.

An *item* is a line (or several alike) or a whole ship-together group; an *option* is one service of one node; a *slot* is an option that is open
in the plan at hand. m items, o options, n nodes, s SKUs for which items compete. Costs carry the tie-break in their last digits.
"""

# Compiled code: numba's whole numbers are numpy's to the type checker, and handing over many arrays is what is fast.
# mypy: disable-error-code="untyped-decorator, return-value, no-any-return, assignment"
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

I64 = NDArray[np.int64]

FAR = 1 << 62
"""Larger than every cost that may occur."""

CLOSED, FREE, OPEN = -1, 0, 1
"""Status of an option."""

UNDECIDED, LEFT_OUT = -1, -2
"""Where a competing group goes, beside the number of an option."""


class Data(NamedTuple):
    """A reduced problem.

    Attributes:
        quantity: units of each item, (m,).
        size: pieces in one unit: 1 for lines, all its pieces for a group, (m,).
        penalty: for each unit left out, (m,).
        cost: of one unit, (o, m).
        most: most units of an item that an option may ship, (o, m).
        fixed: paid when an option ships anything, (o,).
        node: of each option, ascending, (o,).
        first: options ``first[n] .. first[n + 1]`` are those of node n, (n + 1,).
        capacity: pieces that a node may take, (n,).
        tight: 1 where capacity or competition for stock may bind, (n,).
        share: the SKU for which an item competes, −1 for none, (m,).
        stock: of the SKUs for which items compete, (s, n).
        group: 1 for a ship-together group that competes for capacity or stock, (m,).
        demand: pieces of the competed SKUs in one such group, (m, s).
        must: 1 where a node has to ship, (n,).
        weight: of one unit, (m,).
        limit: weight that an option may carry, ``FAR`` where it cannot bind, (o,).
        heavy: how many options have a limit that may bind.
    """

    quantity: I64
    size: I64
    penalty: I64
    cost: I64
    most: I64
    fixed: I64
    node: I64
    first: I64
    capacity: I64
    tight: I64
    share: I64
    stock: I64
    group: I64
    demand: I64
    must: I64
    weight: I64
    limit: I64
    heavy: int


class Flow(NamedTuple):
    """A flow of pieces from items over shared shelves to slots; vertices are slot j, item k + i, shelf k + m + s·k + j.

    Attributes:
        pieces: by item and slot, (m, ≥ k).
        inflow: pieces that reach each slot within its room, (k,).
        room: pieces that each slot may take, (k,).
        drawn: pieces drawn from each shelf, (s, k).
        shelf: stock of the competed SKUs at each slot, (s, k).
        dist: shortest distance to each vertex.
        pred: vertex before it on that path, −1 for none.
    """

    pieces: I64
    inflow: I64
    room: I64
    drawn: I64
    shelf: I64
    dist: I64
    pred: I64


class State(NamedTuple):
    """One node of the search tree.

    Attributes:
        status: of each option, (o,).
        place: where each competing group goes: UNDECIDED, LEFT_OUT or an option, (m,).
        price: Lagrange multiplier of each item, per unit, (m,).
        skip: 1 for groups that are placed, (m,).
        room: capacity that is left after them, (n,).
        shelf: stock that is left after them, (s, n).
        lift: weight that each option may still carry after them, (o,).
    """

    status: I64
    place: I64
    price: I64
    skip: I64
    room: I64
    shelf: I64
    lift: I64


class Cut(NamedTuple):
    """The cuts that limits on weight need; the last entry of ``cuts`` and ``counts`` is the search node at hand.

    Attributes:
        work: the problem less what the cuts commit; the problem itself where no limit may bind.
        low: units committed, (o, m).
        closed: −1 for options that may not ship, (o,).
        cuts: (option, item, kind, units) of each search node, (depth + 1, most, 4).
        counts: how many there are, (depth + 1,).
        given_up: least bound of the branches that had too many, (1,).
    """

    work: Data
    low: I64
    closed: I64
    cuts: NDArray[np.int64]
    counts: I64
    given_up: I64


class Relaxed(NamedTuple):
    """The optimum of the Lagrangian relaxation.

    Attributes:
        worth: what each option earns at the prices, less its fixed cost, (o,).
        pick: the best option of each node, −1 for none, (n,).
        chosen: 1 where the pick ships, (n,).
        taken: units that each option would take, (o, m).
        order: the items of each option as they were sorted last, (o, m); empty where no limit on weight may bind.
    """

    worth: I64
    pick: I64
    chosen: I64
    taken: I64
    order: I64


class Best(NamedTuple):
    """The best plan so far: ``value`` = (cost, number of slots); its options; its pieces by item and slot."""

    value: I64
    slots: I64
    pieces: I64


@njit(cache=True, nogil=True)
def copy_into(target: I64, source: I64) -> None:
    """Copy one vector; the loop compiles many times faster than a slice assignment."""
    for a in range(source.size):
        target[a] = source[a]
