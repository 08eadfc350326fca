"""The bounded history of one entity: what a feature is computed from, online and in history alike.

A state holds three shapes, each bounded, each independent of the order in which its events arrive:

- a *series*: the last N items of one kind, by the time they happened, each with the time it became known;
- a *tally*: for entities that see too much to keep items, whole-number counts and totals per hour or day (UTC);
- *facts*: the newest value of each told field, by item (``stock`` of node ``N1``, ``lane`` ``N1|std``).

As bytes a state is a small JSON header and raw little-endian columns; a column is decoded when somebody asks for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from feature_store.series import REF, SERIES_ITEM, TALLY_ITEM, Item, Series, Tally, code
from feature_store.times import Millis

__all__ = ["FORMAT", "EntityState", "Facts", "Item", "Series", "StateCorrupt", "Tally", "code"]

T = TypeVar("T")

FORMAT: Final = 2
"""Version of the bytes; a state of another version is rebuilt from the events."""
_HEAD: Final = struct.Struct("<BI")

MOST_ITEMS: Final = 10_000
"""Items, such as nodes or lanes, that one kind of facts, tallies or series of an entity remembers: no sender's mistake makes a state grow for ever."""


class StateCorrupt(Exception):
    """Bytes that are not a state of this version; rebuild the entity from its events."""


class Facts(NamedTuple):
    """The newest value of each told field of one item, and when the newest of them happened."""

    values: Mapping[str, Any]
    event_time: Millis


Telling = list[Any]
"""``[event_time, known_at, {field: value}]``: what one event told and no later event has told again."""


_Section = tuple[int, int, Millis | None]
"""Where columns still packed lie: offset, items, and of a tally its ``newest``, of a series ``None``."""


def _size(items: int, newest: Millis | None) -> int:
    return items * (SERIES_ITEM if newest is None else TALLY_ITEM)


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
        return self._changed or self._body.find(REF.pack(ref)) >= 0

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

    def add_item(self, name: str, item: Item, keep: int, *, once: bool = False) -> None:
        """Enter an item into a series; ``once``: it takes the place of the one of its time."""
        self._changed = True
        series = self.series(name)
        if series is not None:
            series.add(item, keep, once=once)
            return
        series = self._series[name] = Series()
        series.add(item, keep, once=once)
        self._make_room(name)

    def add_count(self, name: str, when: Millis, period_length: Millis, total: int, keep: int) -> None:
        """Enter an event into a tally of that period length."""
        tally = self.tally(name)
        if tally is not None:
            tally.add(when, period_length, total, keep)
            return
        tally = self._tallies[name] = Tally()
        tally.add(when, period_length, total, keep)
        self._make_room(name)

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
        if len(items) > MOST_ITEMS:
            del items[_silent_longest((tellings[-1][0] if tellings else 0, name) for name, tellings in items.items())]

    def _make_room(self, name: str) -> None:
        """After a new series or tally about an item (``delivered/N1``): when there are too many of its kind the one longest silent goes."""
        kind, named, _ = name.partition("/")
        if not named or len(self._series) + len(self._tallies) + len(self._packed) <= MOST_ITEMS:
            return
        there = [one for names in (self._series, self._tallies, self._packed) for one in names if one.startswith(f"{kind}/")]
        if len(there) > MOST_ITEMS:
            gone = _silent_longest((self._newest(one), one) for one in there)
            self._series.pop(gone, None)
            self._tallies.pop(gone, None)
            self._packed.pop(gone, None)

    def _newest(self, name: str) -> Millis:
        section = self._packed.get(name)
        if section is not None and section[2] is not None:
            return section[2]
        tally = self._tallies.get(name)
        series = None if tally is not None else self.series(name)
        return tally.newest if tally is not None else series.when[-1] if series else 0

    def to_bytes(self) -> bytes:
        """The state as bytes; equal histories give equal bytes."""
        facts = {group: {item: [[t, k, dict(sorted(v.items()))] for t, k, v in tellings] for item, tellings in sorted(items.items())}
                 for group, items in sorted(self._facts.items())} if self._facts else _EMPTY  # fmt: skip
        sections: list[tuple[tuple[str, int, Millis | None], bytes]] = []  # names differ, so they alone decide the order
        for name, series in self._series.items():
            sections.append(((name, len(series.when), None), series.pack()))
        for name, tally in self._tallies.items():
            sections.append(((name, len(tally.period), tally.newest), tally.pack()))
        for name, (offset, items, newest) in self._packed.items():
            sections.append(((name, items, newest), self._body[offset : offset + _size(items, newest)]))
        sections.sort()
        head = orjson.dumps([self.known_at, [section[0] for section in sections], facts])
        return b"".join([_HEAD.pack(FORMAT, len(head)), head, *[section[1] for section in sections]])

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
                start += items * (SERIES_ITEM if newest is None else TALLY_ITEM)
        except (struct.error, ValueError, TypeError) as error:
            raise StateCorrupt(f"the bytes of a state cannot be read: {error}") from error
        if start != len(raw):
            raise StateCorrupt(f"a state of {start} bytes has {len(raw)}")
        state._body, state._changed = raw, False
        return state


def _silent_longest(found: Iterable[tuple[Millis, str]]) -> str:
    return min(found)[1]


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
