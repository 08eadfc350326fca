"""The bounded history of one entity: what a feature is computed from, online and in history alike.

A state holds three shapes, each bounded, each independent of the order in which its events arrive:

- a *series*: the last N items of one kind, by the time they happened, each with the time it became known;
- a *tally*: for entities that see too much to keep items, whole-number counts and totals per hour or day (UTC);
- *facts*: the newest value of each told field, by item (``stock`` of node ``N1``, ``lane`` ``N1|std``).

As bytes a state is a small JSON header and raw little-endian columns; a column is decoded when somebody asks for it.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar
from zlib import crc32

import orjson

from feature_store.times import Millis

T = TypeVar("T")

FORMAT: Final = 2
"""Version of the bytes; a state of another version is rebuilt from the events."""
_HEAD: Final = struct.Struct("<BI")
_SERIES_ITEM: Final = 8 + 8 + 8 + 4
_TALLY_ITEM: Final = 4 + 4 + 8
_REF: Final = struct.Struct("<I")


class StateCorrupt(Exception):
    """Bytes that are not a state of this version; rebuild the entity from its events."""


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
def _column(n: int, kind: str) -> struct.Struct:
    """How ``n`` numbers lie one after the other; made once, as making it costs more than reading a few numbers."""
    return struct.Struct(f"<{n}{kind}")


class Series:
    """The last ``keep`` items of one kind, in the order of :class:`Item`. Columns are decoded when somebody looks at them.

    Attributes:
        when: when each happened.
        known: when each became known.
        value: a whole number, see :mod:`feature_store.folding`: millionths, a flag, or the :func:`code` of an identifier.
        ref: :func:`code` of the order it belongs to, 0 for none.
    """

    __slots__ = ("_at", "_body", "_known", "_ref", "_stride", "_value", "when")

    def __init__(self, body: bytes = b"", at: int = 0, n: int = 0, stride: int = 0) -> None:
        self._body, self._at, self._stride = body, at, stride or n
        self.when: Sequence[int]
        self._known: Sequence[int] | None
        self._value: Sequence[int] | None
        self._ref: Sequence[int] | None
        if n:
            self.when = _column(n, "q").unpack_from(body, at)
            self._known = self._value = self._ref = None
        else:
            self.when, self._known, self._value, self._ref = [], [], [], []

    def __len__(self) -> int:
        return len(self.when)

    @property
    def known(self) -> Sequence[int]:
        """When each became known."""
        if self._known is None:
            self._known = _column(len(self.when), "q").unpack_from(self._body, self._at + 8 * self._stride)
        return self._known

    @property
    def value(self) -> Sequence[int]:
        """The value of each."""
        if self._value is None:
            self._value = _column(len(self.when), "q").unpack_from(self._body, self._at + 16 * self._stride)
        return self._value

    @property
    def ref(self) -> Sequence[int]:
        """The order that each belongs to."""
        if self._ref is None:
            self._ref = _column(len(self.when), "I").unpack_from(self._body, self._at + 24 * self._stride)
        return self._ref

    def add(self, item: Item, keep: int) -> None:
        """Insert one item at its place; the oldest goes when there are more than ``keep``."""
        columns = self._lists()
        at = self._place(item, columns)
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
            found = self._body.find(_REF.pack(own), start, start + 4 * len(self.when))
            if found < 0:
                return -1
            if (found - start) % 4 == 0:
                return (found - start) // 4
        return self.ref.index(own) if own in self.ref else -1

    def pack(self) -> bytes:
        """Its columns, one after the other, little-endian."""
        n = len(self.when)
        return struct.pack(f"<{n}q{n}q{n}q{n}I", *self.when, *self.known, *self.value, *self.ref)

    @classmethod
    def unpack(cls, body: bytes, offset: int, n: int) -> Series:
        """Read what :meth:`pack` wrote for ``n`` items."""
        return cls(body, offset, n)


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
        return struct.pack(f"<{n}i{n}I{n}q", *self.period, *self.count, *self.total)

    @classmethod
    def unpack(cls, body: bytes, offset: int, n: int, newest: Millis) -> Tally:
        """Read what :meth:`pack` wrote for ``n`` periods."""
        columns = struct.unpack_from(f"<{n}i{n}I{n}q", body, offset)
        tally = cls(newest)
        tally.period = list(columns[:n])
        tally.count = list(columns[n : 2 * n])
        tally.total = list(columns[2 * n :])
        return tally


class Facts(NamedTuple):
    """The newest value of each told field of one item, and when the newest of them happened."""

    values: Mapping[str, Any]
    event_time: Millis


Telling = list[Any]
"""``[event_time, known_at, {field: value}]``: what one event told and no later event has told again."""


_Section = tuple[int, int, Millis | None]
"""Where columns still packed lie: offset, items, and of a tally its ``newest``, of a series ``None``."""


def _size(items: int, newest: Millis | None) -> int:
    return items * (_SERIES_ITEM if newest is None else _TALLY_ITEM)


_EMPTY: Final[dict[str, list[Telling]]] = {}


class EntityState:
    """The bounded history of one entity. Changed only by :func:`feature_store.folding.apply`.

    A state answers for its newest fact's ``known_at`` and later. Asked for an earlier moment, series and facts leave out what
    was not known yet, but cannot bring back what was dropped or told anew since; tallies cannot be turned back.

    Attributes:
        known_at: when its newest fact became known.
    """

    __slots__ = ("_body", "_changed", "_derived", "_facts", "_packed", "_series", "_tallies", "known_at")

    def __init__(self) -> None:
        self.known_at: Millis = 0
        self._series: dict[str, Series] = {}
        self._tallies: dict[str, Tally] = {}
        self._facts: dict[str, dict[str, list[Telling]]] = {}
        self._derived: dict[str, tuple[Millis, Millis, Any]] = {}
        self._packed: dict[str, _Section] = {}
        self._body = b""
        self._changed = True

    def was(self, raw: bytes) -> bool:
        """Whether it was read from just these bytes."""
        return self._body == raw

    def mentions(self, ref: int) -> bool:
        """Whether an item may belong to that order; told from the bytes at once, without looking at any column. ``False`` is certain."""
        return self._changed or self._body.find(_REF.pack(ref)) >= 0

    def series(self, name: str) -> Series | None:
        """The series of that name, ``None`` when nothing ever entered it."""
        section = self._packed.get(name)
        if section is None:  # nothing of that name, or decoded before
            return self._series.get(name)
        found = self._series[name] = Series(self._body, section[0], section[1])
        self._packed.pop(name, None)
        return found

    def tally(self, name: str) -> Tally | None:
        """The tally of that name, ``None`` when nothing ever entered it."""
        found = self._tallies.get(name)
        if found is None and self._packed:
            section = self._packed.get(name)
            if section is None:
                return self._tallies.get(name)
            found = self._tallies[name] = Tally.unpack(self._body, section[0], section[1], section[2] or 0)
            self._packed.pop(name, None)
        return found

    def group(self, name: str, as_of: Millis) -> dict[str, Facts]:
        """The facts of a group by item, as far as known at ``as_of``."""
        found = {}
        for item, tellings in self._facts.get(name, _EMPTY).items():
            facts = _merge(tellings, as_of)
            if facts is not None:
                found[item] = facts
        return found

    def derived(self, group: str, as_of: Millis, make: Callable[[dict[str, Facts]], tuple[T, Millis]]) -> T:
        """What ``make`` makes of a group of facts, kept until a new one is told.

        Args:
            group: the group of facts; it has one derivation only.
            as_of: the moment it is asked for.
            make: a pure function; it also returns until when its result holds.
        """
        kept = self._derived.get(group)
        if kept is not None and kept[0] <= as_of <= kept[1]:
            found: T = kept[2]
            return found
        found, until = make(self.group(group, as_of))
        if as_of >= self.known_at:
            self._derived[group] = (as_of, until, found)
        return found

    def facts(self, group: str, item: str, as_of: Millis) -> Facts | None:
        """The facts of one item, as far as known at ``as_of``; ``None`` when there are none."""
        return _merge(self._facts.get(group, _EMPTY).get(item, []), as_of)

    def add_item(self, name: str, item: Item, keep: int) -> None:
        """Enter an item into a series."""
        self._changed = True
        series = self.series(name)
        if series is None:
            series = self._series[name] = Series()
        series.add(item, keep)

    def add_count(self, name: str, when: Millis, period_length: Millis, total: int, keep: int) -> None:
        """Enter an event into a tally of that period length."""
        tally = self.tally(name)
        if tally is None:
            tally = self._tallies[name] = Tally()
        tally.add(when, period_length, total, keep)

    def tell(self, group: str, item: str, when: Millis, known: Millis, values: Mapping[str, Any]) -> None:
        """Enter facts; each field keeps the value that happened last, whatever arrives when."""
        self._derived.pop(group, None)
        items = self._facts.setdefault(group, {})
        tellings = items.setdefault(item, [])
        fresh = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        kept: list[Telling] = []
        for telling in tellings:
            mine, theirs = (when, known), (telling[0], telling[1])
            for name in [name for name in telling[2] if name in fresh]:
                newer = mine > theirs or (mine == theirs and orjson.dumps(fresh[name]) > orjson.dumps(telling[2][name]))
                del (telling[2] if newer else fresh)[name]
            if telling[2] and mine == theirs:
                fresh |= telling[2]
            elif telling[2]:
                kept.append(telling)
        if fresh:
            kept.append([when, known, fresh])
        kept.sort(key=lambda telling: (telling[0], telling[1]))
        items[item] = kept

    def to_bytes(self) -> bytes:
        """The state as bytes; equal histories give equal bytes."""
        facts = {group: {item: [[t, k, dict(sorted(v.items()))] for t, k, v in tellings] for item, tellings in sorted(items.items())}
                 for group, items in sorted(self._facts.items())}  # fmt: skip
        sections: list[tuple[str, int, Millis | None, bytes]] = []
        sections += [(name, len(one), None, one.pack()) for name, one in self._series.items()]
        sections += [(name, len(one), one.newest, one.pack()) for name, one in self._tallies.items()]
        sections += [
            (name, items, newest, self._body[offset : offset + _size(items, newest)])
            for name, (offset, items, newest) in self._packed.items()
        ]
        sections.sort(key=lambda section: section[0])
        head = orjson.dumps([self.known_at, [section[:3] for section in sections], facts])
        return b"".join([_HEAD.pack(FORMAT, len(head)), head, *(section[3] for section in sections)])

    @classmethod
    def from_bytes(cls, raw: bytes) -> EntityState:
        """Read a state.

        Raises:
            StateCorrupt: the bytes are no state of this version.
        """
        try:
            version, length = _HEAD.unpack_from(raw)
            if version != FORMAT:
                raise StateCorrupt(f"a state of format {version} cannot be read, only {FORMAT}")
            state = cls()
            start = _HEAD.size + length
            state.known_at, sections, state._facts = orjson.loads(raw[_HEAD.size : start])
            packed = state._packed
            for name, items, newest in sections:
                packed[name] = (start, items, newest)
                start += items * (_SERIES_ITEM if newest is None else _TALLY_ITEM)
        except (struct.error, ValueError, TypeError) as error:
            raise StateCorrupt(f"the bytes of a state cannot be read: {error}") from error
        if start != len(raw):
            raise StateCorrupt(f"a state of {start} bytes has {len(raw)}")
        state._body, state._changed = raw, False
        return state


def _merge(tellings: list[Telling], as_of: Millis) -> Facts | None:
    if len(tellings) == 1:
        only = tellings[0]
        return Facts(only[2], only[0]) if only[1] <= as_of else None
    merged: dict[str, Any] = {}
    newest = 0
    for when, known, values in tellings:
        if known <= as_of:
            merged.update(values)
            newest = max(newest, when)
    return Facts(merged, newest) if merged else None
