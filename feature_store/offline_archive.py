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
from typing import Final

import duckdb
import orjson
from sqlalchemy import Engine

from feature_store.event_pages import paged
from feature_store.events import Event, EventRefused, EventType, parse_event
from feature_store.folding import FOLDS
from feature_store.offline_duckdb import MEMORY, connect, file_list, quoted
from feature_store.offline_staging import stage_events
from feature_store.times import Millis

FORMAT: Final = 1
"""Version of the files; an archive of another version is built anew from the events."""

SEGMENT: Final = 1_000_000
"""Events in a segment at most: what a crash in the middle of filling an archive costs."""

_MANIFEST: Final = "manifest.json"
_READERS: Final = "readers.lock"
_PARQUET: Final = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
_ORDERS: Final = {
    "events": "known_at, event_time, event_id",
    "entries": "entity, history, key, happened, known, ref, value",
}
"""The files of a segment, and how their rows lie."""


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
    def exists(self) -> bool:
        """Whether anything was ever put into it."""
        return (self.folder / _MANIFEST).exists()

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
                with connect(self._aside, memory=self._memory, threads=self._threads) as connection:
                    rows = stage_events(connection, islice(stream, self._segment))
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
        return self.add(paged(engine, known_from=known_from))

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
                with connect(self._aside, memory=self._memory, threads=self._threads) as connection:
                    told = [(event, stays(event)) for event in _holding(connection, self._path(segment.name) / "events.parquet", names)]
                    changes = [(event, kept) for event, kept in told if kept is not event]
                    if not changes:
                        continue
                    segments[at] = self._rewritten(connection, segment, changes)
                self._publish(segments)
                self._delete([self._path(segment.name)])
                revised += len(changes)
        return revised

    def merge(self) -> int:
        """Make one segment of several small ones, such as daily additions leave; what is in the archive stays the same.

        Segments are merged from the smallest on, as long as the next one is at most twice as large as all before it: an event is
        rewritten the less often the more there are, however often this is called.

        Returns:
            segments that were merged into others; 0 when there was nothing to do.

        Raises:
            ArchiveRefused: as for :attr:`segments`.
        """
        merged = 0
        with self._writing() as segments:
            while len(small := self._small(segments)) > 1:
                with connect(self._aside, memory=self._memory, threads=self._threads) as connection:
                    made = self._merged(connection, small, f"{_number(segments):06}")
                segments[:] = [*(one for one in segments if one not in small), made]
                self._publish(segments)
                self._delete([self._path(one.name) for one in small])
                merged += len(small) - 1
        return merged

    def _small(self, segments: Sequence[Segment]) -> list[Segment]:
        """The smallest segments that are worth to be one; none or one when there are none."""
        waiting = sorted(segments, key=lambda segment: segment.events)
        small: list[Segment] = []
        while waiting and len(small) < 2:
            small, events = [waiting[0]], waiting[0].events
            for one in waiting[1:]:
                if one.events > 2 * events or events + one.events > self._segment:
                    break
                small.append(one)
                events += one.events
            waiting = waiting[1:]
        return small

    def _merged(self, connection: duckdb.DuckDBPyConnection, parts: Sequence[Segment], name: str) -> Segment:
        target = self._path(name)
        target.mkdir()
        counts = []
        for table, order in _ORDERS.items():
            files = [self._path(one.name) / f"{table}.parquet" for one in parts]
            counts.append(
                _copy(connection, f"SELECT * FROM read_parquet({file_list(files)}) ORDER BY {order}", target / f"{table}.parquet")
            )
        _sync(target)
        _sync(target.parent)
        return Segment(name, counts[0], counts[1], max(one.known_until for one in parts))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """While this lasts, no file goes that a manifest has named: writers wait before they delete."""
        with contextlib.ExitStack() as held:
            # Nobody has written yet where there is no such file.
            with contextlib.suppress(FileNotFoundError):
                lock = held.enter_context((self.folder / _READERS).open("rb"))
                fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def _delete(self, folders: Sequence[Path]) -> None:
        """Delete segments that no manifest names any more, once nobody reads them."""
        if folders:
            with (self.folder / _READERS).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for folder in folders:
                    shutil.rmtree(folder)

    def holding(self, names: Collection[str]) -> Iterator[Event]:
        """The events in which one of these texts stands as a value."""
        for path in self.event_files():
            with connect(memory=self._memory, threads=self._threads) as connection:
                yield from _holding(connection, path, names)

    def _rewritten(self, connection: duckdb.DuckDBPyConnection, segment: Segment, changes: Sequence[tuple[Event, Event | None]]) -> Segment:
        """The segment with some of its events changed or left out, in a folder of its own."""
        source, name = self._path(segment.name), f"{segment.name.partition('-')[0]}-{uuid.uuid4().hex[:8]}"
        for prefix, told in (("gone", [event for event, _ in changes]), ("made", [kept for _, kept in changes if kept is not None])):
            stage_events(connection, told)
            for table in ("events", "entries"):
                connection.execute(f"ALTER TABLE staged_{table} RENAME TO {prefix}_{table}")
        target = self._path(name)
        target.mkdir()
        counts = []
        for table, order in _ORDERS.items():
            old = f"SELECT * FROM read_parquet({quoted(source / f'{table}.parquet')})"
            left = f"({old} EXCEPT ALL SELECT * EXCLUDE seq FROM gone_{table}) UNION ALL SELECT * EXCLUDE seq FROM made_{table}"
            counts.append(_copy(connection, f"SELECT * FROM ({left}) ORDER BY {order}", target / f"{table}.parquet"))
        _sync(target)
        _sync(target.parent)
        return Segment(name, counts[0], counts[1], segment.known_until)

    @property
    def _aside(self) -> Path:
        """Where the writer spills to."""
        return self.folder / "writing"

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
            (self.folder / _READERS).touch()
            self._delete([path for path in (self.folder / "segments").iterdir() if path.name not in named])
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside.mkdir()
            yield segments
            shutil.rmtree(self._aside, ignore_errors=True)

    def _seal(self, connection: duckdb.DuckDBPyConnection, segments: Sequence[Segment]) -> Segment | None:
        """Write what is staged and new as one segment; ``None`` when nothing is."""
        files = [self._path(segment.name) / "events.parquet" for segment in segments]
        # A join, which keeps in memory the ids of the smaller side, which is what is staged.
        earlier = f"UNION SELECT seq FROM staged_events JOIN read_parquet({file_list(files)}) USING (event_id)" if files else ""
        connection.execute(
            "CREATE TABLE repeated AS SELECT seq FROM staged_events WHERE seq NOT IN (SELECT min(seq) FROM staged_events GROUP BY event_id) "
            + earlier
        )
        fresh = "seq NOT IN (FROM repeated)"
        counted = connection.execute(f"SELECT count(*), max(known_at) FROM staged_events WHERE {fresh}").fetchone()
        if counted is None or counted[0] == 0:
            return None
        name = f"{_number(segments):06}"
        folder = self._path(name)
        folder.mkdir()
        counts = [
            _copy(connection, f"SELECT * EXCLUDE seq FROM staged_{table} WHERE {fresh} ORDER BY {order}", folder / f"{table}.parquet")
            for table, order in _ORDERS.items()
        ]
        _sync(folder)
        _sync(folder.parent)
        return Segment(name, counts[0], counts[1], counted[1])

    def _publish(self, segments: list[Segment]) -> None:
        """Make these the segments that count, in one step."""
        aside = self.folder / f"{_MANIFEST}.new"
        told = {"format": FORMAT, "folds": folds_digest(), "segments": [asdict(segment) for segment in segments]}
        aside.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        _sync(aside)
        aside.replace(self.folder / _MANIFEST)
        _sync(self.folder)


def _holding(connection: duckdb.DuckDBPyConnection, path: Path, names: Collection[str]) -> Iterator[Event]:
    """The events of a file in which one of these texts stands as a value."""
    needles = [orjson.dumps(name).decode() for name in names]
    query = f"SELECT * FROM read_parquet({quoted(path)}) WHERE list_bool_or([contains(decode(data), needle) FOR needle IN ?])"
    for event_id, kind, event_time, known_at, valid_from, raw in connection.execute(query, [needles]).fetchall() if needles else ():
        data = {name: tuple(value) if isinstance(value, list) else value for name, value in orjson.loads(raw).items()}
        yield Event(event_id, EventType(kind), event_time, known_at, data, valid_from)


def _parsed(lines: Iterable[bytes | str], received_at: Millis | None) -> Iterator[Event]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield parse_event(orjson.loads(line), received_at)
            except (orjson.JSONDecodeError, EventRefused) as error:
                raise EventRefused(f"line {number}", str(error)) from error


def _number(segments: Sequence[Segment]) -> int:
    """Of a new segment beside these."""
    return max((int(segment.name.partition("-")[0]) for segment in segments), default=0) + 1


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write the rows of a query into a file, so that it is on disk; how many there were."""
    row = connection.execute(f"COPY ({query}) TO {quoted(path)} {_PARQUET}").fetchone()
    _sync(path)
    return row[0] if row else 0


def _sync(path: Path) -> None:
    """Make sure that a file or folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
