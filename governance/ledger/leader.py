"""The one who gives records their place in the log and publishes it: sequence, integrate, publish.

Replicas only promise (:mod:`governance.ledger.rows` queues each record with itself). A turn of the leader takes the queue, gives out the next
numbers, adds the leaves to the tiles, moves the high-water mark, and signs the new tree. Every step can be repeated: what is killed in
the middle is done again with the same result, because places are given in a transaction and tiles are a pure function of places.

One leader works at a time (a lock on the log's folder); should two ever do, the database gives each place once, tiles that are there are compared
and not replaced, and the mark refuses what is no continuation.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, func, insert, select, text, update

from feature_store.database import reading
from feature_store.times import Millis, now
from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint
from governance.ledger.errors import LogCorrupt, TileInvalid
from governance.ledger.high_water import HighWater
from governance.ledger.receipt import Signer
from governance.ledger.tables import log_entries, log_state, promises, records
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import ENTRIES, HASH, HEIGHT, MAX_LEVEL, WIDTH, Tile, TiledTree, bundle, new_bundles, root_of_full, width_at

PER_TURN = 4_096
"""Records that one turn takes at most; the next one follows at once when more wait."""

_LOCK = 0x6F72646C6F67
_PLACE = text(
    "INSERT INTO log_entries (seq, record_id) SELECT :next + row_number() OVER (ORDER BY record_id) - 1, record_id"
    " FROM (SELECT record_id FROM promises ORDER BY record_id LIMIT :most) AS waiting"
)
_TAKE = text("DELETE FROM promises WHERE record_id IN (SELECT record_id FROM log_entries WHERE seq >= :next)")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn came to.

    Attributes:
        published: leaves that are covered by a checkpoint now and were not before.
        size: leaves of the tree that is published.
        more: whether further records wait.
    """

    published: int
    size: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """The tree that was published last."""

    size: int
    root: bytes


Step = Callable[[str], None]
"""Told before each step that changes something; tests stop the leader there."""


class Leader:
    """Takes turns.

    Args:
        engine: of the database.
        signer: of the log; its name is the origin.
        folder: of the log's files.
        mark: of the log.
        clock: for the time of publishing.
        step: see :data:`Step`.
    """

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        folder: Path,
        mark: HighWater,
        *,
        clock: Callable[[], Millis] = now,
        step: Step = lambda _name: None,
    ) -> None:
        self._engine = engine
        self._signer = signer
        self._tiles = TileFolder(folder)
        self._mark = mark
        self._clock = clock
        self._step = step

    def turn(self) -> Turn | None:
        """Give places, extend the tree, publish it; ``None`` when another leader is at it.

        Raises:
            ForkRefused: signing could make a fork; nothing was signed.
            LogCorrupt: a record, a tile or the state is not what it was; nothing was signed.
            sqlalchemy.exc.SQLAlchemyError: the database failed; the next turn tries again.
        """
        with self._alone() as alone:
            if not alone:
                return None
            sequenced, more = self._sequence()
            published, checkpoint = self._published()
            if sequenced == published.size and checkpoint is not None and self._tiles.checkpoint() == checkpoint:
                return Turn(0, sequenced, more)
            size = min(sequenced, published.size + PER_TURN)
            tree = self._integrate(published, size)
            self._publish(tree, published.size, first=checkpoint is None and self._tiles.checkpoint() is None)
            return Turn(size - published.size, size, more or size < sequenced)

    def rebuild(self) -> int:
        """Write the tiles of the published tree from the records, for a home that has none; returns its size.

        Raises:
            LogCorrupt: the records have another root than the one that was published.
        """
        published, checkpoint = self._published()
        if checkpoint is None:
            return 0
        tree = TiledTree(0, self._tiles.read)
        while tree.size < published.size:
            tree = self._integrate(Signed(tree.size, tree.root()), min(published.size, tree.size + PER_TURN))
        if tree.root() != published.root:
            raise LogCorrupt(f"the {published.size} records have another root than the one that was published")
        self._tiles.publish(checkpoint)
        return published.size

    def _sequence(self) -> tuple[int, bool]:
        """Give the next places to what waits; returns how many leaves have one now, and whether more wait."""
        with reading(self._engine).connect() as connection:
            waiting = connection.execute(select(promises.c.record_id).limit(1)).first()
            if waiting is None:
                return _next_place(connection), False
        self._step("sequence")
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            following = _next_place(connection)
            placed = connection.execute(_PLACE, {"next": following, "most": PER_TURN}).rowcount
            connection.execute(_TAKE, {"next": following})
            self._step("sequenced")
        return following + placed, placed == PER_TURN

    def _published(self) -> tuple[Signed, bytes | None]:
        with reading(self._engine).connect() as connection:
            row = connection.execute(select(log_state).where(log_state.c.id == 1)).first()
        if row is None:
            return Signed(0, merkle.EMPTY_ROOT), None
        return Signed(row.size, bytes(row.root)), bytes(row.checkpoint)

    def _integrate(self, published: Signed, size: int) -> TiledTree:
        """Write the tiles from the published tree to one of ``size`` leaves; returns it."""
        start = published.size // WIDTH * WIDTH
        old = TiledTree(published.size, self._tiles.read)
        try:
            if old.root() != published.root:
                raise LogCorrupt(f"the tiles of the first {published.size} records have another root than the one that was published")
        except TileInvalid as error:
            raise LogCorrupt(f"a tile of the published tree is wrong: {error}") from error
        entries = self._entries(start, size)
        leaves = [leaf for _, leaf in entries]
        if published.size > start and b"".join(leaves[: published.size - start]) != old.hashes(0, start // WIDTH):
            raise LogCorrupt(f"records {start} to {published.size - 1} are not those whose leaves were published")
        self._step("integrate")
        bundles = (
            (tile, bundle([raw for raw, _ in entries[tile.index * WIDTH - start :][: tile.width]]))
            for tile in new_bundles(published.size, size)
        )
        written = self._extended(old, leaves, start)
        try:
            self._tiles.write(bundles)
            self._step("bundled")
            self._tiles.write(written.items())
        except TileInvalid as error:
            raise LogCorrupt(str(error)) from error
        self._step("integrated")
        made = {(tile.level, tile.index): content for tile, content in written.items()}
        return TiledTree(size, lambda tile: made[tile.level, tile.index] if (tile.level, tile.index) in made else self._tiles.read(tile))

    def _entries(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        """(entry, leaf hash) of the records from place ``start`` up to ``end``, each checked."""
        statement = (
            select(log_entries.c.seq, records.c.record_id, records.c.entry, records.c.leaf_hash)
            .join_from(log_entries, records, log_entries.c.record_id == records.c.record_id)
            .where(log_entries.c.seq >= start, log_entries.c.seq < end)
            .order_by(log_entries.c.seq)
        )
        found = []
        with reading(self._engine).connect() as connection:
            for expected, row in enumerate(connection.execute(statement), start=start):
                entry, leaf = bytes(row.entry), bytes(row.leaf_hash)
                if row.seq != expected:
                    raise LogCorrupt(f"place {expected} of the log has no record")
                if merkle.leaf_hash(entry) != leaf:
                    raise LogCorrupt(f"the entry of record {row.record_id} is not the one that was promised")
                found.append((entry, leaf))
        if len(found) != end - start:
            raise LogCorrupt(f"place {start + len(found)} of the log has no record")
        return found

    def _extended(self, old: TiledTree, leaves: Sequence[bytes], start: int) -> dict[Tile, bytes]:
        """The tiles that the larger tree adds. ``leaves`` begin at ``start``, the first leaf of a tile."""
        made: dict[Tile, bytes] = {}
        hashes, first = b"".join(leaves), start // WIDTH  # of this level, beginning at the tile ``first``
        for level in range(MAX_LEVEL + 1):
            width = len(hashes) // HASH
            if width == 0:
                break
            tiles = [hashes[at : at + WIDTH * HASH] for at in range(0, len(hashes), WIDTH * HASH)]
            for offset, content in enumerate(tiles):
                tile = Tile(level, first + offset, len(content) // HASH)
                if tile.width != width_at(old.size, level, tile.index):
                    made[tile] = content
            above = b"".join(root_of_full(content) for content in tiles if len(content) == WIDTH * HASH)
            before = first // WIDTH * WIDTH  # the tile above begins further to the left: what stands there already
            kept = old.hashes(level + 1, first // WIDTH)[: (first - before) * HASH] if first > before else b""
            hashes, first = kept + above, first // WIDTH
        return made

    def _publish(self, tree: TiledTree, before: int, *, first: bool) -> None:
        try:
            root = tree.root()
        except TileInvalid as error:
            raise LogCorrupt(f"a tile of the tree to be published is wrong: {error}") from error
        self._step("mark")
        self._mark.advance(tree.size, root, tree.root_at, first=first)
        self._step("marked")
        note = self._signer.sign_note(Checkpoint(self._signer.verifier.name, tree.size, root).text).to_bytes()
        self._tiles.publish(note)
        self._step("published")
        row = {"size": tree.size, "root": root, "checkpoint": note, "published_at": self._clock()}
        with self._engine.begin() as connection:
            if connection.execute(update(log_state).where(log_state.c.id == 1), row).rowcount == 0:
                connection.execute(insert(log_state), {"id": 1, **row})
        self._step("noted")
        self._forget_partials(before, tree.size)

    def _forget_partials(self, before: int, size: int) -> None:
        """Partial tiles whose full one is published go; a reader of an older tree cuts the full one."""
        for level in range(MAX_LEVEL + 1):
            shift = HEIGHT * (level + 1)
            for index in range(before >> shift, size >> shift):
                self._tiles.forget_partial(Tile(level, index))
                if level == 0:
                    self._tiles.forget_partial(Tile(ENTRIES, index))

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        self._tiles.folder.mkdir(parents=True, exist_ok=True)
        with (self._tiles.folder / ".leader.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _next_place(connection: Connection) -> int:
    last = connection.execute(select(func.max(log_entries.c.seq))).scalar_one()
    return 0 if last is None else int(last) + 1
