"""The archive: every event, and all that folding made of it, as Parquet files that any number of training sets read.

A *segment* is a folder of files that never change: ``events`` as they were told, and ``entries``, what folding made of them. The manifest
names the segments that count; it is replaced in one step after all files of a segment are on disk. What a crash leaves behind is named by no
manifest, and swept away by the next writer. Entries lie sorted by entity, history and key, so that a reader skips the row groups that it does
not ask for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import orjson
from sqlalchemy import Engine, and_, or_, select

from feature_store.database import reading
from feature_store.events import Event, EventRefused, EventType, parse_event
from feature_store.folding import FOLDS, entries
from feature_store.offline_duckdb import MEMORY, append, connect, file_list, quoted, texts
from feature_store.tables import events as events_table
from feature_store.times import Millis

FORMAT: Final = 1
"""Version of the files; an archive of another version is built anew from the events."""

SEGMENT: Final = 1_000_000
"""Events in a segment at most: what a crash in the middle of filling an archive costs."""

_FLUSH: Final = 20_000
"""Events held in memory between two writes."""

_MANIFEST: Final = "manifest.json"
_PARQUET: Final = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"


class ArchiveRefused(Exception):
    """An archive that cannot be used as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Files that never change.

    Attributes:
        name: of its folder.
        events, entries: rows in them.
        known_until: the latest ``known_at`` among its events.
    """

    name: str
    events: int
    entries: int
    known_until: Millis


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the events that were told: new ones, and those that were there already."""

    accepted: int
    duplicates: int


def folds_digest() -> str:
    """What folding makes of events, as one short text: entries folded by other rules cannot lie beside each other."""
    lines = (f"{kind.value}>{fold.definition}" for kind, folds in sorted(FOLDS.items()) for fold in folds)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


class Archive:
    """A folder with the archive; the folder need not exist yet. Nothing is read or made before it is asked for.

    Readers see the segments of the manifest at the moment when they ask, whatever is being written. There is one writer at a time; another
    one waits.
    """

    def __init__(self, folder: Path, *, memory: str = MEMORY, threads: int = 2, segment: int = SEGMENT) -> None:
        self.folder = folder
        self._memory, self._threads, self._segment = memory, threads, segment

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments that count.

        Raises:
            ArchiveRefused: the manifest is unreadable, or of another version or other folding rules than this program's.
        """
        try:
            raw = (self.folder / _MANIFEST).read_bytes()
        except FileNotFoundError:
            return ()
        try:
            told = orjson.loads(raw)
            version, folds = told["format"], told["folds"]
            segments = tuple(Segment(**one) for one in told["segments"])
        except (ValueError, KeyError, TypeError) as error:
            raise ArchiveRefused(f"{self.folder / _MANIFEST} is no manifest of an archive: {error}") from error
        if version != FORMAT or folds != folds_digest():
            raise ArchiveRefused(
                f"The archive in {self.folder} was folded by other rules than this program's; make it anew from the events, in an empty folder."
            )
        return segments

    def entry_files(self) -> list[Path]:
        """The files with what folding made of the events."""
        return [self._path(segment.name) / "entries.parquet" for segment in self.segments]

    def event_files(self) -> list[Path]:
        """The files with the events as they were told."""
        return [self._path(segment.name) / "events.parquet" for segment in self.segments]

    def add(self, events: Iterable[Event]) -> Added:
        """Take events in, each once by its ``event_id``; memory stays bounded however many they are.

        Segment after segment becomes part of the archive; when the process dies in between, those that did are there, and telling all
        events again adds just the rest.

        Raises:
            ArchiveRefused: as for :attr:`segments`.
            OSError: the disk is full or may not be written.
        """
        stream = iter(events)
        accepted = told = 0
        with self._writing() as segments:
            while True:
                with connect(self.folder, memory=self._memory, threads=self._threads) as connection:
                    rows = _stage(connection, islice(stream, self._segment))
                    if rows == 0:
                        return Added(accepted, told - accepted)
                    told += rows
                    made = self._seal(connection, segments)
                if made is not None:
                    accepted += made.events
                    segments.append(made)
                    self._publish(segments)

    def add_json_lines(self, lines: Iterable[bytes | str], received_at: Millis | None = None) -> Added:
        """Take in events told as one JSON object a line; blank lines are skipped.

        Raises:
            EventRefused: a line is no event; the message begins with its number. Segments before it are part of the archive.
        """
        return self.add(_parsed(lines, received_at))

    def add_database(self, engine: Engine, *, known_from: Millis | None = None) -> Added:
        """Take in the events of the database, in the order in which they became known.

        Args:
            engine: of the database.
            known_from: leave out what was known earlier; those told twice are found in any case.
        """
        return self.add(stored_events(engine, known_from))

    def revise(self, names: Collection[str], stays: Callable[[Event], Event | None]) -> int:
        """Rewrite the segments in which events do not stay as they are; afterwards the files that held them are gone.

        Args:
            names: texts of which each such event holds one at least.
            stays: what stays of an event: itself, another one of the same id, or nothing.

        Returns:
            events that did not stay as they were.

        Raises:
            ArchiveRefused: as for :attr:`segments`.
        """
        revised = 0
        with self._writing() as segments:
            for at, segment in enumerate(segments):
                with connect(self.folder, memory=self._memory, threads=self._threads) as connection:
                    told = [(event, stays(event)) for event in _holding(connection, self._path(segment.name) / "events.parquet", names)]
                    changes = [(event, kept) for event, kept in told if kept is not event]
                    if not changes:
                        continue
                    segments[at] = self._rewritten(connection, segment, changes)
                self._publish(segments)
                shutil.rmtree(self._path(segment.name))
                revised += len(changes)
        return revised

    def holding(self, names: Collection[str]) -> Iterator[Event]:
        """The events in which one of these texts stands as a value."""
        for path in self.event_files():
            with connect(self.folder, memory=self._memory, threads=self._threads) as connection:
                yield from _holding(connection, path, names)

    def _rewritten(self, connection: duckdb.DuckDBPyConnection, segment: Segment, changes: Sequence[tuple[Event, Event | None]]) -> Segment:
        """The segment with some of its events changed or left out, in a folder of its own."""
        source, name = self._path(segment.name), f"{segment.name[:6]}-{uuid.uuid4().hex[:8]}"
        for prefix, told in (("gone", [event for event, _ in changes]), ("made", [kept for _, kept in changes if kept is not None])):
            _stage(connection, told)
            for table in ("events", "entries"):
                connection.execute(f"ALTER TABLE staged_{table} RENAME TO {prefix}_{table}")
        target = self._path(name)
        target.mkdir()
        counts = []
        for table, order in (
            ("events", "known_at, event_time, event_id"),
            ("entries", "entity, history, key, happened, known, ref, value"),
        ):
            old = f"SELECT * FROM read_parquet({quoted(source / f'{table}.parquet')})"
            left = f"({old} EXCEPT ALL SELECT * EXCLUDE seq FROM gone_{table}) UNION ALL SELECT * EXCLUDE seq FROM made_{table}"
            copied = connection.execute(
                f"COPY (SELECT * FROM ({left}) ORDER BY {order}) TO {quoted(target / f'{table}.parquet')} {_PARQUET}"
            )
            row = copied.fetchone()
            counts.append(row[0] if row else 0)
            _sync(target / f"{table}.parquet")
        _sync(target)
        _sync(target.parent)
        return Segment(name, counts[0], counts[1], segment.known_until)

    def _path(self, name: str) -> Path:
        return self.folder / "segments" / name

    @contextlib.contextmanager
    def _writing(self) -> Iterator[list[Segment]]:
        """The segments there are, while nobody else may add any; what a crash left behind is gone."""
        (self.folder / "segments").mkdir(parents=True, exist_ok=True)
        with (self.folder / "writer.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            segments = list(self.segments)
            named = {segment.name for segment in segments}
            for stray in [path for path in (self.folder / "segments").iterdir() if path.name not in named]:
                shutil.rmtree(stray)
            for stray in self.folder.glob("ordinance-offline-*"):
                shutil.rmtree(stray)
            yield segments

    def _seal(self, connection: duckdb.DuckDBPyConnection, segments: Sequence[Segment]) -> Segment | None:
        """Write what is staged and new as one segment; ``None`` when nothing is."""
        files = [self._path(segment.name) / "events.parquet" for segment in segments]
        earlier = f"OR event_id IN (SELECT event_id FROM read_parquet({file_list(files)}))" if files else ""
        connection.execute(
            "CREATE TABLE repeated AS SELECT seq FROM staged_events WHERE seq NOT IN (SELECT min(seq) FROM staged_events GROUP BY event_id) "
            + earlier
        )
        fresh = "seq NOT IN (FROM repeated)"
        counted = connection.execute(f"SELECT count(*), max(known_at) FROM staged_events WHERE {fresh}").fetchone()
        if counted is None or counted[0] == 0:
            return None
        name = f"{max((int(segment.name[:6]) for segment in segments), default=0) + 1:06}"
        folder = self._path(name)
        folder.mkdir()
        events = f"SELECT * EXCLUDE seq FROM staged_events WHERE {fresh} ORDER BY known_at, event_time, event_id"
        entered = f"SELECT * EXCLUDE seq FROM staged_entries WHERE {fresh} ORDER BY entity, history, key, happened, known, ref, value"
        connection.execute(f"COPY ({events}) TO {quoted(folder / 'events.parquet')} {_PARQUET}")
        rows = connection.execute(f"COPY ({entered}) TO {quoted(folder / 'entries.parquet')} {_PARQUET}").fetchone()
        for path in (folder / "events.parquet", folder / "entries.parquet", folder, folder.parent):
            _sync(path)
        return Segment(name, counted[0], rows[0] if rows else 0, counted[1])

    def _publish(self, segments: list[Segment]) -> None:
        """Make these the segments that count, in one step."""
        aside = self.folder / f"{_MANIFEST}.new"
        told = {"format": FORMAT, "folds": folds_digest(), "segments": [asdict(segment) for segment in segments]}
        aside.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        _sync(aside)
        aside.replace(self.folder / _MANIFEST)
        _sync(self.folder)


def stored_events(engine: Engine, known_from: Millis | None = None) -> Iterator[Event]:
    """The events of the database by ``known_at``, read in pages that hold no transaction open between them."""
    at: tuple[Millis, str] | None = None
    table = events_table.c
    while True:
        query = select(events_table).order_by(table.known_at, table.event_id).limit(_FLUSH)
        if at is not None:
            query = query.where(or_(table.known_at > at[0], and_(table.known_at == at[0], table.event_id > at[1])))
        elif known_from is not None:
            query = query.where(table.known_at >= known_from)
        with reading(engine).begin() as connection:
            page = connection.execute(query).all()
        for row in page:
            yield Event(row.event_id, EventType(row.type), row.event_time, row.known_at, _told(row.data), row.valid_from)
        if len(page) < _FLUSH:
            return
        at = page[-1].known_at, page[-1].event_id


def _holding(connection: duckdb.DuckDBPyConnection, path: Path, names: Collection[str]) -> Iterator[Event]:
    """The events of a file in which one of these texts stands as a value."""
    needles = [orjson.dumps(name).decode() for name in names]
    query = f"SELECT * FROM read_parquet({quoted(path)}) WHERE list_bool_or([contains(decode(data), needle) FOR needle IN ?])"
    for event_id, kind, event_time, known_at, valid_from, raw in connection.execute(query, [needles]).fetchall() if needles else ():
        yield Event(event_id, EventType(kind), event_time, known_at, _told(raw), valid_from)


def _told(data: bytes) -> dict[str, Any]:
    """An event's own fields, as they were before they were written."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in orjson.loads(data).items()}


def _parsed(lines: Iterable[bytes | str], received_at: Millis | None) -> Iterator[Event]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield parse_event(orjson.loads(line), received_at)
            except (orjson.JSONDecodeError, EventRefused) as error:
                raise EventRefused(f"line {number}", str(error)) from error


def _stage(connection: duckdb.DuckDBPyConnection, events: Iterable[Event]) -> int:
    """Write events and their entries into tables on disk; how many there were."""
    connection.execute(
        "CREATE TABLE staged_events (seq BIGINT, event_id VARCHAR, type VARCHAR, event_time BIGINT, known_at BIGINT, valid_from BIGINT, data BLOB)"
    )
    connection.execute(
        "CREATE TABLE staged_entries (seq BIGINT, entity VARCHAR, history VARCHAR, key VARCHAR, item VARCHAR, happened BIGINT, known BIGINT, "
        "ref BIGINT, value BIGINT, facts VARCHAR)"
    )
    told = 0
    stream = iter(events)
    while batch := list(islice(stream, _FLUSH)):
        _stage_events(connection, batch, told)
        _stage_entries(connection, batch, told)
        told += len(batch)
    return told


def _stage_events(connection: duckdb.DuckDBPyConnection, batch: list[Event], start: int) -> None:
    starts = [event.valid_from for event in batch]
    columns: dict[str, Any] = {
        "seq": np.arange(start, start + len(batch), dtype=np.int64),
        "event_id": texts([event.event_id for event in batch]),
        "type": texts([event.type.value for event in batch]),
        "event_time": np.array([event.event_time for event in batch], dtype=np.int64),
        "known_at": np.array([event.known_at for event in batch], dtype=np.int64),
        "valid_from": np.ma.masked_array([at or 0 for at in starts], [at is None for at in starts], dtype=np.int64),
        "data": texts([orjson.dumps(dict(event.data)).decode() for event in batch]),
    }
    append(
        connection,
        "INSERT INTO staged_events SELECT seq, event_id, type, event_time, known_at, valid_from, encode(data) FROM rows",
        columns,
    )


def _stage_entries(connection: duckdb.DuckDBPyConnection, batch: list[Event], start: int) -> None:
    seq: list[int] = []
    named: list[tuple[str, str, str, str, str | None]] = []
    numbers: list[tuple[int, int, int, int]] = []
    for at, event in enumerate(batch, start):
        for entry in entries(event):
            seq.append(at)
            facts = orjson.dumps(dict(entry.facts)).decode() if entry.facts else None
            named.append((entry.key.entity.value, entry.into, entry.key.key, entry.item, facts))
            numbers.append(entry.entered)
    if not seq:
        return
    columns: dict[str, Any] = {"seq": np.array(seq, dtype=np.int64)}
    for i, name in enumerate(("entity", "history", "key", "item", "facts")):
        columns[name] = texts([row[i] for row in named])
    matrix = np.array(numbers, dtype=np.int64)
    for i, name in enumerate(("happened", "known", "ref", "value")):
        columns[name] = np.ascontiguousarray(matrix[:, i])
    append(
        connection,
        "INSERT INTO staged_entries SELECT seq, entity, history, key, item, happened, known, ref, value, facts FROM rows",
        columns,
    )


def _sync(path: Path) -> None:
    """Make sure that a file or folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
