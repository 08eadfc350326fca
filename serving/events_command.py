"""``ordinance events load``: a file of business events into the store."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import Engine

from feature_store.entities import EntityKey
from feature_store.events import ATTRIBUTES, VOCABULARY, Event, EventRefused, EventType, Kind, parse_event
from feature_store.gaps import Cause, move_gap
from feature_store.times import MINUTE, SECOND, Millis, now
from serving.console.joined.intake import BATCH, StoredIntake
from serving.console.ports import Refused
from serving.garbage import collect_less
from serving.home import address_in_use
from serving.migrate import migrate
from serving.settings import Settings
from serving.wiring import wire_base

LONGEST_LINE = 1 << 20
SHOWN = 20
"""Refused lines that are told one by one."""
AHEAD: Millis = 2 * MINUTE
"""How far ahead it is noted that events are being loaded; noted anew when half of it is over."""
TELL_EVERY_S = 2.0
SEPARATOR = ";"
"""Between the texts of a list in a CSV cell."""
_DELIMITERS = ",;\t|"
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})

Say = Callable[[str], None]


class LoadRefused(Exception):
    """A file that cannot be loaded, or no further; the message says why."""


@dataclass(slots=True)
class Tally:
    """What became of the lines so far."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    without_known_at: int = 0
    damaged: set[EntityKey] = field(default_factory=set)

    @property
    def seen(self) -> int:
        """All events."""
        return self.accepted + self.duplicates + self.refused


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the file as it was told, or why it cannot be read at all."""

    number: int
    raw: Mapping[str, Any] | None
    wrong: str = ""


def load_events(settings: Settings, path: Path, say: Say, *, known_when_happened: bool = False) -> int:
    """Load a file of events: JSON lines or CSV, also gzipped. What was loaded before counts once, so that it may be repeated.

    Args:
        settings: of the home.
        path: the file.
        say: tells how far it is, and what came of it.
        known_when_happened: whether an event without ``known_at`` was known when it happened; otherwise it is known from now on.

    Returns:
        The exit code: 0 when every line is in the store and counts, 1 when some were refused or some histories cannot be read; those are
        told, the rest is kept.

    Raises:
        LoadRefused: the file cannot be read, or the database stopped to answer.
    """
    try:
        with _opened(path) as (file, packed):
            lines = _lines(file)  # a file that is none is refused before the home is touched
            base = wire_base(settings)
            try:
                migrate(base.engine)
                collect_less()
                # Without a service nobody waits for the write lock, and the file may have it to itself.
                intake = StoredIntake(base.engine, round(settings.event_skew_s * SECOND), gives_way=address_in_use(base.home) is not None)
                tell = _telling(packed, path.stat().st_size, say)
                lateness = _Lateness(base.engine)
                tally = _load(lateness.ahead(lines), intake, tell, known_when_happened=known_when_happened)
                lateness.over()
            finally:
                base.engine.dispose()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise LoadRefused(f"{path} cannot be read: {reason}.") from error
    say(f"{path.name}: {tally.accepted:,} events taken, {tally.duplicates:,} known before, {tally.refused:,} refused")
    if tally.without_known_at:
        since = "when they happened" if known_when_happened else "now on (--known-when-happened for history)"
        say(f"{tally.without_known_at:,} without known_at: known from {since}")
    _tell_damaged(tally.damaged)
    return 0 if tally.refused == 0 and not tally.damaged else 1


def _tell_damaged(damaged: Collection[EntityKey]) -> None:
    if damaged:
        names = [f"{key.entity.value} {key.key!r}" for key in sorted(damaged)]
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        sys.stderr.write(
            f"  {len(names):,} histories cannot be read: {', '.join(names[:SHOWN])}{more}. What was told of them is kept, and counts when "
            "'ordinance features rebuild' has made them anew.\n"
        )


class _Lateness:
    """Notes that decisions may not have seen what is loaded: ahead of time, so that a load that is killed has said so too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._until: Millis = 0

    def ahead(self, lines: Iterator[Line]) -> Iterator[Line]:
        """The lines, with a note before each batch of them."""
        for at, line in enumerate(lines):
            if at % BATCH == 0 and now() > self._until - AHEAD // 2:
                self._note(now() + AHEAD)
            yield line

    def over(self) -> None:
        """All that was loaded is there."""
        self._note(now())

    def _note(self, until: Millis) -> None:
        with self._engine.begin() as connection:
            move_gap(connection, self._until, until, Cause.LATE)
        self._until = until


class _opened:  # noqa: N801 - used as a function
    """The file as text without its packing, and the packed bytes below, for progress."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> tuple[IO[str], IO[bytes]]:
        packed = self._packed = self._path.open("rb")
        magic = packed.read(2)
        packed.seek(0)
        plain: Any = gzip.GzipFile(fileobj=packed) if magic == b"\x1f\x8b" else packed
        return io.TextIOWrapper(plain, encoding="utf-8-sig", newline=""), packed

    def __exit__(self, *_: object) -> None:
        self._packed.close()


def _lines(file: IO[str]) -> Iterator[Line]:
    """The events of a file, one after the other; what it is, its first character says."""
    told = _bounded(file)
    for number, first in told:
        if first.strip():
            if first.lstrip()[0] in "{[":
                return _json_lines(chain([(number, first)], told))
            return _csv_rows(*_header(first), number, (line for _, line in told))
    raise LoadRefused("The file is empty.")


def _bounded(file: IO[str]) -> Iterator[tuple[int, str]]:
    """The lines of a file by their number, none of them longer than can be."""
    for number in count(1):
        line = file.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise LoadRefused(f"Line {number} is longer than a million characters: is this one event on each line?")
        if not line:
            return
        yield number, line


def _json_lines(told: Iterable[tuple[int, str]]) -> Iterator[Line]:
    for number, line in told:
        if line.strip():
            try:
                event = orjson.loads(line)
                yield Line(number, event) if isinstance(event, dict) else Line(number, None, "is no JSON object")
            except orjson.JSONDecodeError as error:
                yield Line(number, None, f"is no JSON: {error}")


def _header(first: str) -> tuple[list[str], str]:
    """The names of the columns, and the delimiter."""
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        (header,) = csv.reader([first], delimiter=delimiter)
    except csv.Error as error:
        raise LoadRefused(f"The first line is neither JSON nor the header of a CSV: {error}.") from error
    names = [name.strip() for name in header]
    missing = [name for name in ("event_id", "type", "event_time") if name not in names]
    if missing:
        raise LoadRefused(
            f"The header has no column {', '.join(missing)}. Write JSON lines, or a CSV whose header names the fields of events."
        )
    if len(set(names)) < len(names):
        raise LoadRefused("Two columns of the header have the same name.")
    return names, delimiter


def _csv_rows(names: Sequence[str], delimiter: str, before: int, lines: Iterator[str]) -> Iterator[Line]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            number = before + reader.line_num
            if len(row) == len(names):
                yield _row(number, {name: cell for name, cell in zip(names, row, strict=True) if cell != ""})
            elif row:
                yield Line(number, None, f"has {len(row)} fields, the header {len(names)}")
    except csv.Error as error:
        raise LoadRefused(f"Line {before + reader.line_num} cannot be read as CSV: {error}.") from error


def _row(number: int, cells: Mapping[str, str]) -> Line:
    """A row's cells as the JSON of its type would tell them."""
    try:
        fields = VOCABULARY[EventType(cells.get("type", ""))]
    except ValueError:
        return Line(number, cells)  # reading it will say what is wrong
    try:
        return Line(number, {name: _cell(cell, fields[name].kind if name in fields else None, name) for name, cell in cells.items()})
    except ValueError as error:
        return Line(number, None, f"{error}")


def _cell(cell: str, kind: Kind | None, name: str) -> object:
    """One cell in the kind of its field.

    Raises:
        ValueError: it cannot be read as this kind; the message names it.
    """
    if name == ATTRIBUTES:
        try:
            return orjson.loads(cell)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{name}: is no JSON: {error}") from None
    if kind is Kind.NUMBER:
        try:
            return float(cell)
        except ValueError:
            raise ValueError(f"{name}: {cell[:64]!r} is not a number") from None
    if kind is Kind.BOOL:
        if cell.lower() not in _TRUE | _FALSE:
            raise ValueError(f"{name}: {cell[:64]!r} is neither true nor false")
        return cell.lower() in _TRUE
    if kind is Kind.TEXTS:
        return [part.strip() for part in cell.split(SEPARATOR) if part.strip()]
    return cell


def _load(lines: Iterator[Line], intake: StoredIntake, tell: Callable[[Tally], None], *, known_when_happened: bool) -> Tally:
    tally = Tally()
    while batch := list(islice(lines, BATCH)):
        places: list[int] = []
        events: list[Event] = []
        clock = now()
        for line in batch:
            try:
                events.append(_event(line, clock, intake.skew, tally, known_when_happened=known_when_happened))
                places.append(line.number)
            except EventRefused as error:
                _refuse(tally, line.number, str(error))
        try:
            done = intake.take(events)
        except Refused as error:
            raise LoadRefused(
                f"The database does not answer any more; {tally.seen:,} events were loaded before. Run the same command again: each event counts once."
            ) from error
        tally.accepted += done.accepted
        tally.duplicates += done.duplicates
        tally.damaged.update(done.damaged)
        for at in done.conflicts:
            _refuse(
                tally, places[at], f"event_id: {events[at].event_id!r} is known with another content; a correction is an event of its own"
            )
        tell(tally)
    if tally.refused > SHOWN:
        sys.stderr.write(f"  and {tally.refused - SHOWN:,} more lines\n")
    return tally


def _event(line: Line, clock: int, skew: int, tally: Tally, *, known_when_happened: bool) -> Event:
    raw = line.raw
    if raw is None:
        raise EventRefused("", line.wrong)
    if raw.get("known_at") is None:
        if known_when_happened:
            raw = {**raw, "known_at": raw.get("event_time")}
        event = parse_event(raw, clock, skew=skew)
        tally.without_known_at += 1
        return event
    return parse_event(raw, clock, skew=skew)


def _refuse(tally: Tally, number: int, msg: str) -> None:
    tally.refused += 1
    if tally.refused <= SHOWN:
        sys.stderr.write(f"  line {number}: {msg}\n")


def _telling(packed: IO[bytes], size: int, say: Say) -> Callable[[Tally], None]:
    """A line about how far it is, now and then."""
    last = time.monotonic()

    def tell(tally: Tally) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_EVERY_S:
            last = time.monotonic()
            say(f"  {packed.tell() / max(size, 1):4.0%}  {tally.seen:,} events")

    return tell
