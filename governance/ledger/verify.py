"""The whole of a home's log against itself: database, commitments, tiles, checkpoint, state, high-water mark, what witnesses signed.

Nothing is changed, and memory does not grow with the log: records pass by in the order of their places, a few bundles at a time. The check goes
on beside a running service: what the leader writes is read in the order in which no honest state looks like a broken one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, Row, and_, func, select

from feature_store.database import reading
from feature_store.times import Millis, now
from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint, read_checkpoint
from governance.ledger.errors import ForkRefused, NoteInvalid, TileInvalid
from governance.ledger.findings import Mismatch, Part
from governance.ledger.growing import GrowingTree
from governance.ledger.high_water import HighWater
from governance.ledger.notes import NoteKey
from governance.ledger.record_check import CheckedRecord, RecordCheck
from governance.ledger.tables import decisions, log_entries, log_state, promises, records
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import ENTRIES, HASH, WIDTH, Tile, TiledTree, bundle, unbundle, width_at

PAGE = 4 * WIDTH
"""Records that are read at once: whole tiles."""

_NOTED_S = 5.0
"""How long after publishing the first checkpoint its row may be missing."""

Aside = Callable[[Connection, Sequence[tuple[int | None, CheckedRecord]]], None]
"""Compares what else the database derives from a page of records; raises :class:`Mismatch`."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in order.

    Attributes:
        size: leaves that the checkpoint covers.
        root: over them.
        records: how many were checked one by one; those before were, in an earlier check.
        waiting: records that have no place yet, checked as well.
        overdue: records whose promise has passed and that no checkpoint covers.
        took_ms: milliseconds.
    """

    size: int
    root: bytes
    records: int
    waiting: int
    overdue: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class Known:
    """A tree that is known from elsewhere, so that this log has to extend it.

    Attributes:
        part: what is to blame when it does not.
        name: where it is from.
        told: what to say of it.
    """

    part: Part
    name: str
    told: str
    size: int
    root: bytes


@dataclass(frozen=True)
class LogFiles:
    """Where a log is.

    Attributes:
        engine: of the database.
        folder: of the log's files.
        keys: of the log; the first one signs now.
        mark: of the signer; ``None`` where it is not at hand.
        origin: of the log; ``None`` for the name of the first key.
    """

    engine: Engine
    folder: Path
    keys: Sequence[NoteKey]
    mark: HighWater | None
    origin: str | None = None


@dataclass
class Verifier:
    """Checks one log.

    Attributes:
        log: where it is.
        records: checks each record; ``None`` to check tree and tiles alone.
        asides: see :data:`Aside`.
        known: trees that others have seen, such as those that witnesses cosigned.
        rest: called between two pages.
        clock: for promises.
    """

    log: LogFiles
    records: RecordCheck | None = None
    asides: Sequence[Aside] = ()
    known: Sequence[Known] = ()
    rest: Callable[[], None] = lambda: None
    clock: Callable[[], Millis] = now
    _tiles: TileFolder = field(init=False)

    def __post_init__(self) -> None:
        self._tiles = TileFolder(self.log.folder)

    def run(self, before: Known | None = None) -> Verified:
        """Check everything, or what came after a tree that was checked before.

        Args:
            before: the tree of an earlier check; records in it are not read again, its root is.

        Raises:
            Mismatch: the first thing that is wrong.
            sqlalchemy.exc.SQLAlchemyError: the database cannot be read.
        """
        began = time.perf_counter()
        published, trees = self._trees()
        trees += [*self.known, *([] if before is None else [before])]
        start = 0 if before is None else before.size // WIDTH * WIDTH
        walk = _Walk(self._tiles, published.size, start, trees)
        waiting, checked = self._check_waiting(), 0
        for rows in self._pages(start, max([published.size, *(one.size for one in trees)]), trees):
            self._check_records(rows)
            walk.follow(rows)
            checked += len(rows)
            self.rest()
        walk.finish()
        if before is None:
            self._check_files(published.size)
        self._check_outside()
        took_ms = round((time.perf_counter() - began) * 1e3)
        return Verified(published.size, published.root, checked, waiting, self.overdue(published.size, self.clock()), took_ms)

    def _trees(self) -> tuple[Checkpoint, list[Known]]:
        """The published tree, and the trees that were signed. Read from the last that is written to the first."""
        with reading(self.log.engine).connect() as connection:
            rows = connection.execute(select(log_state)).all()
        raw = self._tiles.checkpoint()
        try:
            mark = None if self.log.mark is None else self.log.mark.read()
        except ForkRefused as error:
            raise Mismatch(Part.MARK, "mark", str(error)) from error
        origin = self.log.origin or self.log.keys[0].name
        if raw is None:
            if rows or mark is not None:
                size = rows[0].size if rows else mark.size if mark is not None else 0
                raise Mismatch(Part.CHECKPOINT, "checkpoint", f"there is none, and one of {size} records was published")
            return Checkpoint(origin, 0, merkle.EMPTY_ROOT), []
        published = self._signed(raw, Part.CHECKPOINT, "checkpoint")
        trees = [Known(Part.CHECKPOINT, "checkpoint", "its root is another one", published.size, published.root)]
        trees.append(self._state(rows, published))
        if self.log.mark is not None:
            if mark is None:
                raise Mismatch(Part.MARK, str(self.log.mark.path), "it is missing, though checkpoints were published")
            if mark.size < published.size:
                raise Mismatch(
                    Part.MARK, str(self.log.mark.path), f"it says {mark.size}, and a tree of {published.size} was published without it"
                )
            told = "the signer has signed another tree of that size before"
            trees.append(Known(Part.MARK, "mark", told, mark.size, mark.root))
        return published, trees

    def _signed(self, raw: bytes, part: Part, name: str) -> Checkpoint:
        try:
            return read_checkpoint(raw, self.log.keys, self.log.origin)[0]
        except NoteInvalid as error:
            raise Mismatch(part, name, str(error)) from error

    def _state(self, rows: Sequence[Row[Any]], published: Checkpoint) -> Known:
        if len(rows) != 1 or rows[0].id != 1:
            if not rows and self._tiles.published_s_ago() < _NOTED_S:  # the first one; its leader is about to note it
                return Known(Part.STATE, "log_state", "", 0, merkle.EMPTY_ROOT)
            raise Mismatch(Part.STATE, "log_state", f"it has {len(rows)} rows instead of the one with id 1")
        row = rows[0]
        noted = self._signed(bytes(row.checkpoint), Part.STATE, "log_state, column checkpoint")
        for column, told, is_ in (("size", row.size, noted.size), ("root", bytes(row.root), noted.root)):
            if told != is_:
                raise Mismatch(Part.STATE, "log_state", f"column {column} is not that of its checkpoint")
        if noted.size > published.size:
            raise Mismatch(Part.CHECKPOINT, "checkpoint", f"it is of {published.size} records, and one of {noted.size} was published")
        if not 0 <= row.published_at <= self.clock():
            raise Mismatch(Part.STATE, "log_state", "column published_at is no time that has passed")
        return Known(Part.STATE, "log_state", "its root is another one", noted.size, noted.root)

    def _pages(self, start: int, end: int, trees: Iterable[Known]) -> Iterator[Sequence[Row[Any]]]:
        """The records from a place on, in order and without gaps, at least up to ``end``."""
        while True:
            rows = self._page(start)
            for expected, row in enumerate(rows, start=start):
                if row.seq != expected:
                    raise self._missing(expected, trees)
                if row.record_id is None:
                    raise Mismatch(Part.PLACE, row.placed, "it has a place in the log, and is not there", expected)
            if rows:
                yield rows
            start += len(rows)
            if len(rows) < PAGE:
                if start < end:
                    raise self._missing(start, trees)
                return

    def _page(self, start: int) -> Sequence[Row[Any]]:
        columns: list[Any] = [log_entries.c.seq, log_entries.c.record_id.label("placed")]
        if self.records is None:
            columns += [records.c.record_id, records.c.entry, records.c.leaf_hash]
            source = log_entries.outerjoin(records, records.c.record_id == log_entries.c.record_id)
        else:
            columns += [column.label("place" if column.name == "seq" else column.name) for column in records.c]
            columns += [column.label(f"d_{column.name}") for column in decisions.c]
            source = log_entries.outerjoin(records, records.c.record_id == log_entries.c.record_id).outerjoin(
                decisions, decisions.c.record_id == log_entries.c.record_id
            )
        statement = select(*columns).select_from(source).where(log_entries.c.seq >= start).order_by(log_entries.c.seq).limit(PAGE)
        with reading(self.log.engine).connect() as connection:
            return connection.execute(statement).all()

    @staticmethod
    def _missing(place: int, trees: Iterable[Known]) -> Mismatch:
        """What a place without a record means: the smallest tree that covers it tells."""
        above = sorted((one for one in trees if one.size > place), key=lambda one: (one.size, one.part != Part.CHECKPOINT))
        if above and above[0].part is Part.MARK:
            detail = f"the signer has signed a tree of {above[0].size} before, this one ends at {place}: an old backup or a copy"
            return Mismatch(Part.MARK, "mark", detail, place)
        if above and above[0].part not in {Part.CHECKPOINT, Part.STATE}:
            return Mismatch(above[0].part, above[0].name, f"it has seen a tree of {above[0].size}, this one ends at {place}", place)
        return Mismatch(Part.PLACE, f"place {place}", "it has no record", place)

    def _check_records(self, rows: Sequence[Row[Any]]) -> None:
        if self.records is None:
            return
        self._beside([(row.seq, self._one(row._mapping, row.seq)) for row in rows])  # noqa: SLF001 - its public name

    def _beside(self, page: Sequence[tuple[int | None, CheckedRecord]]) -> None:
        with reading(self.log.engine).connect() as connection:
            for aside in self.asides:
                aside(connection, page)

    def _one(self, row: Mapping[Any, Any], place: int | None) -> CheckedRecord:
        assert self.records is not None
        record = {name: row["place" if name == "seq" and "place" in row else name] for name in records.c.keys()}  # noqa: SIM118
        decision = None if row["d_record_id"] is None else {name: row[f"d_{name}"] for name in decisions.c.keys()}  # noqa: SIM118
        return self.records.check(record, decision, place)

    def _check_files(self, size: int) -> None:
        """Every file of the log, also partial tiles that wider ones have followed: they are still served to whoever asks."""
        for path in self._tiles.paths():
            part = Part.BUNDLE if path.startswith("tile/entries/") else Part.TILE
            try:
                tile = Tile.parse(path)
                now_wide = Tile(tile.level, tile.index, width_at(size, tile.level, tile.index))
                if tile.width >= now_wide.width:
                    continue  # compared already, or written by a turn that was not published
                kept, wide = self._tiles.read(tile), self._tiles.read(now_wide)
                if tile.level == ENTRIES:
                    same = unbundle(kept, tile.width) == unbundle(wide, now_wide.width)[: tile.width]
                else:
                    same = kept == wide[: tile.width * HASH]
            except TileInvalid as error:
                raise Mismatch(part, path, str(error)) from error
            if not same:
                raise Mismatch(part, path, "it differs from the wider one that followed it")

    def _check_outside(self) -> None:
        """What is not in the log: nothing but what waits for its place."""
        placed = log_entries.c.record_id == records.c.record_id
        waits = promises.c.record_id == records.c.record_id
        lost = (
            select(records.c.record_id)
            .select_from(records.outerjoin(log_entries, placed).outerjoin(promises, waits))
            .where(log_entries.c.record_id.is_(None), promises.c.record_id.is_(None))
        )
        twice = select(promises.c.record_id).join(log_entries, log_entries.c.record_id == promises.c.record_id)
        empty = select(promises.c.record_id).outerjoin(records, waits).where(records.c.record_id.is_(None))
        with reading(self.log.engine).connect() as connection:
            for statement, told in (
                (lost, "it is in no place of the log, and waits for none"),
                (twice, "it waits for a place, and has one"),
                (empty, "it waits for a place, and is not there"),
            ):
                found = connection.execute(statement.limit(1)).scalar()
                if found is not None:
                    raise Mismatch(Part.PLACE, str(found), told)

    def _check_waiting(self) -> int:
        """The records that have no place yet; returns how many there are."""
        if self.records is None:
            with reading(self.log.engine).connect() as connection:
                return int(connection.execute(select(func.count()).select_from(promises)).scalar_one())
        columns = [*records.c, *(column.label(f"d_{column.name}") for column in decisions.c)]
        source = promises.join(records, records.c.record_id == promises.c.record_id).outerjoin(
            decisions, decisions.c.record_id == promises.c.record_id
        )
        count, last = 0, ""
        statement = select(*columns).select_from(source).order_by(promises.c.record_id).limit(PAGE)
        while True:
            with reading(self.log.engine).connect() as connection:
                rows = connection.execute(statement.where(promises.c.record_id > last)).mappings().all()
            if not rows:
                return count
            self._beside([(None, self._one(row, None)) for row in rows])
            count, last = count + len(rows), rows[-1]["record_id"]

    def overdue(self, size: int, at: Millis) -> int:
        """How many records that a tree of ``size`` does not cover were promised for an earlier time."""
        late = records.c.publish_by < at
        placed = (
            select(func.count())
            .select_from(log_entries.join(records, records.c.record_id == log_entries.c.record_id))
            .where(and_(log_entries.c.seq >= size, late))
        )
        waiting = select(func.count()).select_from(promises.join(records, records.c.record_id == promises.c.record_id)).where(late)
        with reading(self.log.engine).connect() as connection:
            return int(connection.execute(placed).scalar_one()) + int(connection.execute(waiting).scalar_one())


class _Walk:
    """Follows the tree leaf by leaf, beside the tiles and bundles of the published one."""

    def __init__(self, tiles: TileFolder, size: int, start: int, trees: Sequence[Known]) -> None:
        self._size = size
        self._tiles = tiles
        self._trees = sorted(trees, key=lambda one: one.size)
        published = TiledTree(size, tiles.read)
        try:
            while self._trees and self._trees[0].size < start:  # of records that are not read again
                self._compare(self._trees.pop(0), published.root_at)
            self._tree = GrowingTree.of(TiledTree(start, tiles.read), self._upper)
        except TileInvalid as error:
            raise Mismatch(Part.TILE, "tile", str(error)) from error
        self._reach()

    @staticmethod
    def _compare(known: Known, root_at: Callable[[int], bytes]) -> None:
        if known.root != root_at(known.size):
            raise Mismatch(known.part, known.name, f"{known.told} (tree of {known.size})")

    def _reach(self) -> None:
        """Compare with the trees that have exactly the size that was reached."""
        while self._trees and self._trees[0].size == self._tree.size:
            self._compare(self._trees.pop(0), lambda _size: self._tree.root())

    def follow(self, rows: Sequence[Row[Any]]) -> None:
        """Add records, which begin with a tile."""
        for at in range(0, len(rows), WIDTH):
            part = rows[at : at + WIDTH]
            index = part[0].seq // WIDTH
            width = min(len(part), width_at(self._size, 0, index))
            if width:
                self._files(part[:width], index)
            for row in part:
                self._tree.add(merkle.leaf_hash(bytes(row.entry)))
                if self._trees and self._trees[0].size == self._tree.size:
                    self._reach()
                if self._tree.size == self._size:
                    self._edge()

    def _files(self, rows: Sequence[Row[Any]], index: int) -> None:
        tile, entries = Tile(0, index, len(rows)), Tile(ENTRIES, index, len(rows))
        hashes, raw = self._read(tile, Part.TILE), self._read(entries, Part.BUNDLE)
        if len(hashes) != len(rows) * HASH:
            raise Mismatch(Part.TILE, tile.path, f"it has {len(hashes)} bytes instead of {len(rows) * HASH}")
        leaves = [merkle.leaf_hash(bytes(row.entry)) for row in rows]
        for row, leaf in zip(rows, leaves, strict=True):
            if bytes(row.leaf_hash) != leaf:
                raise Mismatch(Part.RECORD, row.record_id, "the leaf hash is not that of the entry", row.seq)
        if hashes != b"".join(leaves) or raw != bundle([bytes(row.entry) for row in rows]):
            self._blame(rows, leaves, hashes, entries, raw)

    @staticmethod
    def _blame(rows: Sequence[Row[Any]], leaves: Sequence[bytes], hashes: bytes, entries: Tile, raw: bytes) -> NoReturn:
        """Tile, bundle and database do not agree: the one that stands alone is to blame."""
        tile = Tile(0, entries.index, entries.width)
        try:
            bundled = unbundle(raw, len(rows))
        except TileInvalid as error:
            raise Mismatch(Part.BUNDLE, entries.path, str(error)) from error
        for at, (row, leaf) in enumerate(zip(rows, leaves, strict=True)):
            in_tile, in_bundle = hashes[at * HASH : (at + 1) * HASH] == leaf, bundled[at] == bytes(row.entry)
            if not in_tile and not in_bundle:
                raise Mismatch(Part.PLACE, row.record_id, "it is not the record that was published at this place", row.seq)
            if not in_tile:
                raise Mismatch(Part.TILE, tile.path, f"the hash of record {row.record_id} is another one", row.seq)
            if not in_bundle:
                raise Mismatch(Part.BUNDLE, entries.path, f"the entry of record {row.record_id} is another one", row.seq)
        raise Mismatch(Part.BUNDLE, entries.path, "it holds more than its entries")

    def _upper(self, tile: Tile, content: bytes) -> None:
        if tile.level and (tile.index + 1) * WIDTH << 8 * tile.level <= self._size and self._read(tile, Part.TILE) != content:
            raise Mismatch(Part.TILE, tile.path, "its hashes are not those of the tiles below")

    def _edge(self) -> None:
        """The tiles on the right edge of the published tree; those of the leaves were compared with the records."""
        for tile, content in self._tree.partial():
            if tile.level and self._read(tile, Part.TILE) != content:
                raise Mismatch(Part.TILE, tile.path, "its hashes are not those of the tiles below")

    def finish(self) -> None:
        """Every known tree must have been reached.

        Raises:
            Mismatch: one is larger than this log.
        """
        for known in self._trees:
            raise Mismatch(known.part, known.name, f"it has seen a tree of {known.size}, this one ends at {self._tree.size}")

    def _read(self, tile: Tile, part: Part) -> bytes:
        try:
            return self._tiles.read(tile)
        except (TileInvalid, OSError) as error:
            raise Mismatch(part, tile.path, str(error)) from error


__all__ = ["Aside", "Known", "LogFiles", "Verified", "Verifier"]
