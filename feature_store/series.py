"""What a history remembers of one kind of thing: a series of items, or a tally of counts and totals. Both bounded, both independent of arrival."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, NamedTuple
from zlib import crc32

from feature_store.times import MINUTE, Millis

SERIES_ITEM: Final = 8 + 8 + 8 + 4
TALLY_ITEM: Final = 4 + 4 + 8
"""Bytes of an item, and of a period of a tally."""

REF: Final = struct.Struct("<I")
_FOR_EVER: Final[Millis] = 2**62
_MOST: Final = 2**63 - 1
"""The largest total that a tally can write down: thousands of the largest amount that an event may tell."""


def code(text: str) -> int:
    """A short stable number for an identifier: enough to tell a few hundred apart, never to name one again."""
    return crc32(text.encode())


class Item(NamedTuple):
    """One item of a series; its order as a tuple is its order in the series."""

    when: Millis
    known: Millis
    ref: int
    value: int


@lru_cache(maxsize=2048)
def _layout(n: int, kinds: str) -> struct.Struct:
    """How columns of ``n`` numbers lie one after the other; made once, as making it costs more than reading a few numbers."""
    return struct.Struct("<" + "".join(f"{n}{kind}" for kind in kinds))


class Series:
    """The last ``keep`` items of one kind, in the order of :class:`Item`. Columns are decoded when somebody looks at them.

    Attributes:
        when: when each happened.
        known: when each became known.
        value: a whole number, see :mod:`feature_store.folding`: millionths, a flag, or the :func:`code` of an identifier.
        ref: :func:`code` of the order it belongs to, 0 for none.
    """

    __slots__ = ("_at", "_body", "_known", "_reach", "_ref", "_stride", "_value", "when")

    def __init__(self, body: bytes = b"", at: int = 0, n: int = 0, stride: int = 0) -> None:
        self._body, self._at, self._stride = body, at, stride or n
        self.when: Sequence[int]
        self._known: Sequence[int] | None
        self._value: Sequence[int] | None
        self._ref: Sequence[int] | None
        self._reach: Sequence[int] | None = None
        if n:
            self.when = _layout(n, "q").unpack_from(body, at)
            self._known = self._value = self._ref = None
        else:
            self.when, self._known, self._value, self._ref = [], [], [], []

    def __len__(self) -> int:
        return len(self.when)

    @property
    def known(self) -> Sequence[int]:
        """When each became known."""
        if self._known is None:
            self._known = _layout(len(self.when), "q").unpack_from(self._body, self._at + 8 * self._stride)
        return self._known

    @property
    def value(self) -> Sequence[int]:
        """The value of each."""
        if self._value is None:
            self._value = _layout(len(self.when), "q").unpack_from(self._body, self._at + 16 * self._stride)
        return self._value

    @property
    def ref(self) -> Sequence[int]:
        """The order that each belongs to."""
        if self._ref is None:
            self._ref = _layout(len(self.when), "I").unpack_from(self._body, self._at + 24 * self._stride)
        return self._ref

    @property
    def reach(self) -> Sequence[int]:
        """Of what holds for ``ref`` minutes (0: for ever): until when the longest of all that began so far holds."""
        if self._reach is None:
            ends = [when + minutes * MINUTE if minutes else _FOR_EVER for when, minutes in zip(self.when, self.ref, strict=True)]
            self._reach = list(accumulate(ends, max))
        return self._reach

    def add(self, item: Item, keep: int, *, once: bool = False) -> None:
        """Insert one item at its place; the oldest goes when there are more than ``keep``. ``once``: of items of one time the last stays alone."""
        columns, self._reach = self._lists(), None
        when, known, value, ref = columns
        if not when or item.when > when[-1]:  # most often it is the newest
            when.append(item.when)
            known.append(item.known)
            value.append(item.value)
            ref.append(item.ref)
            if len(when) > keep:
                del when[0], known[0], value[0], ref[0]
            return
        at = self._place(item, columns)
        if once:
            same = bisect_left(columns[0], item.when)
            if same < at:
                for column in columns:
                    del column[same]
                at = same
            elif same < len(columns[0]) and columns[0][same] == item.when:
                return  # what is there was told later
        if not at and len(columns[0]) >= keep:
            return  # older than all that is kept
        for column, number in zip(columns, (item.when, item.known, item.value, item.ref), strict=True):
            column.insert(at, number)
            if len(column) > keep:
                del column[0]

    def _lists(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Its columns as lists of its own, to be changed."""
        if self._body or not isinstance(self.when, list):
            self.when, self._known, self._value, self._ref = list(self.when), list(self.known), list(self.value), list(self.ref)
            self._body = b""
        columns: Any = (self.when, self._known, self._value, self._ref)
        return columns  # type: ignore[no-any-return]

    def _place(self, item: Item, columns: tuple[list[int], list[int], list[int], list[int]]) -> int:
        when, known, value, ref = columns
        if not when or item.when > when[-1]:
            return len(when)
        low, high = bisect_left(when, item.when), bisect_right(when, item.when)
        while low < high and (item.when, known[low], ref[low], value[low]) < item:
            low += 1
        return low

    def known_by(self, as_of: Millis | None, own: int | None) -> Series:
        """The items that were known at ``as_of`` and do not belong to the order ``own``; either may be left out. Not to be changed."""
        late = as_of is not None and any(known > as_of for known in self.known)
        if not late:
            at = -1 if own is None else self._first_of(own)
            if at < 0:
                return self
            if self._body and at == len(self.when) - 1:  # most often it is the newest
                return Series(self._body, self._at, at, self._stride)
        known, ref = self.known, self.ref
        kept_at = [i for i in range(len(known)) if ref[i] != own and (as_of is None or known[i] <= as_of)]
        kept, value = Series(), self.value
        kept.when, kept._known = [self.when[i] for i in kept_at], [known[i] for i in kept_at]
        kept._value, kept._ref = [value[i] for i in kept_at], [ref[i] for i in kept_at]
        return kept

    def _first_of(self, own: int) -> int:
        """Position of the first item of that order, -1 for none; most often its bytes are not even there, which costs no decoding to see."""
        if self._body:
            start = self._at + 24 * self._stride
            found = self._body.find(REF.pack(own), start, start + 4 * len(self.when))
            if found < 0:
                return -1
            if (found - start) % 4 == 0:
                return (found - start) // 4
        return self.ref.index(own) if own in self.ref else -1

    def pack(self) -> bytes:
        """Its columns, one after the other, little-endian."""
        return _layout(len(self.when), "qqqI").pack(*self.when, *self.known, *self.value, *self.ref)


class Tally:
    """Counts and totals per period (an hour or a day since the epoch, UTC), the newest ``keep`` periods that saw anything.

    Totals are whole numbers, so that the order in which events arrive cannot change a bit of them.

    Attributes:
        newest: when the newest event in it happened.
    """

    __slots__ = ("_asked", "count", "newest", "period", "total")

    def __init__(self, newest: Millis = 0) -> None:
        self.newest = newest
        self._asked: tuple[int, int, tuple[int, int]] | None = None
        self.period: list[int] = []
        self.count: list[int] = []
        self.total: list[int] = []

    def __len__(self) -> int:
        return len(self.period)

    def add(self, when: Millis, period_length: Millis, total: int, keep: int) -> None:
        """Count one event in the period of ``when``, with ``total`` added to the period's total."""
        self._asked = None
        period = when // period_length
        self.newest = max(self.newest, when)
        if self.period and self.period[-1] == period:
            self.count[-1] += 1
            self.total[-1] += total
            return
        at = bisect_left(self.period, period)
        if at < len(self.period) and self.period[at] == period:
            self.count[at] += 1
            self.total[at] += total
            return
        self.period.insert(at, period)
        self.count.insert(at, 1)
        self.total.insert(at, total)
        if len(self.period) > keep:
            del self.period[0], self.count[0], self.total[0]

    def between(self, first: int, last: int) -> tuple[int, int]:
        """Count and total over the periods ``first`` to ``last``, both included."""
        asked = self._asked  # all decisions of a day ask for the same window
        if asked is not None and asked[0] == first and asked[1] == last:
            return asked[2]
        low, high = bisect_left(self.period, first), bisect_right(self.period, last)
        found = sum(self.count[low:high]), sum(self.total[low:high])
        self._asked = first, last, found
        return found

    def pack(self) -> bytes:
        """Its columns, one after the other, little-endian."""
        n = len(self.period)
        try:
            return struct.pack(f"<{n}i{n}I{n}q", *self.period, *self.count, *self.total)
        except struct.error:  # rather a total that is too small than an entity of which nothing can be learnt any more
            total = [max(-_MOST, min(_MOST, one)) for one in self.total]
            return struct.pack(f"<{n}i{n}I{n}q", *self.period, *self.count, *total)

    @classmethod
    def unpack(cls, body: bytes, offset: int, n: int, newest: Millis) -> Tally:
        """Read what :meth:`pack` wrote for ``n`` periods."""
        columns = _layout(n, "iIq").unpack_from(body, offset)
        tally = cls(newest)
        tally.period = list(columns[:n])
        tally.count = list(columns[n : 2 * n])
        tally.total = list(columns[2 * n :])
        return tally
