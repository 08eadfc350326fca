"""The published log as others read it: checkpoint, tiles, the proof of a record, and how far behind it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, case, func, select

from feature_store.database import reading
from feature_store.times import Millis
from governance.ledger.checkpoint import Checkpoint, TlogProof, read_checkpoint
from governance.ledger.errors import LogCorrupt, NoteInvalid, ProofInvalid, TileInvalid
from governance.ledger.notes import NoteKey
from governance.ledger.tables import decisions, log_entries, log_state, promises, records
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import Tile, TiledTree


class RecordUnknown(Exception):
    """There is no such record."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is.

    Attributes:
        principal: who asked for it; ``None`` for what is no decision.
        seq: its index in the log; ``None`` while it waits for one.
        publish_by: until when it is promised to be covered by a checkpoint.
    """

    record_id: str
    leaf_hash: bytes
    publish_by: Millis
    principal: str | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How the log is.

    Attributes:
        origin: its name.
        key: the verifier key that signs its checkpoints.
        size: leaves that the newest checkpoint covers.
        root: of that checkpoint; ``None`` before the first.
        published_at: when that was.
        waiting: records promised, not yet integrated: how blind the log is.
        overdue: those of them whose promise has passed.
    """

    origin: str
    key: str
    size: int
    root: bytes | None
    published_at: Millis | None
    waiting: int
    overdue: int


class PublishedLog:
    """Reads a log.

    Args:
        engine: of the database.
        folder: of the log's files.
        key: of the log.
    """

    def __init__(self, engine: Engine, folder: Path, key: NoteKey) -> None:
        self.engine = self._engine = engine
        self._tiles = TileFolder(folder)
        self.key = key

    def checkpoint(self) -> bytes | None:
        """The newest checkpoint, signed; ``None`` before the first."""
        return self._tiles.checkpoint()

    def cosigned(self) -> bytes | None:
        """The newest checkpoint that witnesses cosigned; ``None`` when none ever did."""
        return cosigned(self._tiles.folder)

    def tile(self, path: str) -> bytes:
        """The tile or entry bundle at a path below the log's address.

        Raises:
            TileInvalid: the path is none, or there is no such tile.
        """
        return self._tiles.read(Tile.parse(path))

    def place(self, record_id: str) -> Place:
        """Where a record is.

        Raises:
            RecordUnknown: there is none of that name.
        """
        statement = (
            select(records.c.record_id, records.c.leaf_hash, records.c.publish_by, decisions.c.principal, log_entries.c.seq)
            .join_from(records, decisions, decisions.c.record_id == records.c.record_id, isouter=True)
            .join(log_entries, log_entries.c.record_id == records.c.record_id, isouter=True)
            .where(records.c.record_id == record_id)
        )
        with reading(self._engine).connect() as connection:
            row = connection.execute(statement).first()
        if row is None:
            raise RecordUnknown(f"There is no record {record_id!r}.")
        return Place(row.record_id, bytes(row.leaf_hash), row.publish_by, row.principal, row.seq)

    def prove(self, place: Place) -> bytes | None:
        """The record's inclusion in the newest checkpoint, as a ``.tlog-proof`` file; ``None`` while no checkpoint covers it.

        Raises:
            LogCorrupt: the log's files do not lead from the record to the checkpoint; ``ordinance verify`` says more.
        """
        raw = self._tiles.checkpoint()
        if raw is None or place.seq is None:
            return None
        try:
            witnessed = cosigned_tree(self._tiles.folder, [self.key])
            if witnessed is not None and place.seq < witnessed.size:  # one that witnesses stand for proves more
                raw = self.cosigned() or raw
            checkpoint, _ = read_checkpoint(raw, [self.key])
            if place.seq >= checkpoint.size:
                return None
            tree = TiledTree(checkpoint.size, self._tiles.read)
            proof = TlogProof(place.seq, tuple(tree.inclusion_proof(place.seq)), raw)
            proof.verify(place.leaf_hash, [self.key])
        except (NoteInvalid, TileInvalid, ProofInvalid) as error:
            raise LogCorrupt(f"record {place.record_id} at place {place.seq} cannot be proved: {error}") from error
        return proof.to_bytes()

    def status(self, at: Millis) -> LogStatus:
        """How the log is at this time."""
        with reading(self._engine).connect() as connection:
            state = connection.execute(select(log_state.c.size, log_state.c.root, log_state.c.published_at)).first()
            waiting, overdue = not_integrated(connection, at)
        return LogStatus(
            origin=self.key.name,
            key=str(self.key),
            size=0 if state is None else state.size,
            root=None if state is None else bytes(state.root),
            published_at=None if state is None else state.published_at,
            waiting=waiting,
            overdue=overdue,
        )


COSIGNED = "checkpoint.cosigned"
"""The newest checkpoint that witnesses cosigned, in the log's folder. It follows the published one, so that no witness delays that."""


def cosigned(folder: Path) -> bytes | None:
    """The newest checkpoint with cosignatures; ``None`` when no witness ever signed."""
    try:
        return (folder / COSIGNED).read_bytes()
    except FileNotFoundError:
        return None


def cosigned_tree(folder: Path, keys: Sequence[NoteKey]) -> Checkpoint | None:
    """The tree of :func:`cosigned`.

    Raises:
        NoteInvalid: it is malformed, or none of the keys of the log signed it.
    """
    raw = cosigned(folder)
    return None if raw is None else read_checkpoint(raw, keys)[0]


def not_integrated(connection: Connection, at: Millis) -> tuple[int, int]:
    """How many records are promised and covered by no checkpoint, and how many of them are overdue at this time."""
    covered = select(func.coalesce(func.max(log_state.c.size), 0)).scalar_subquery()
    placed = select(log_entries.c.record_id).where(log_entries.c.seq >= covered)
    pending = select(promises.c.record_id).union_all(placed).subquery()
    overdue = func.coalesce(func.sum(case((records.c.publish_by < at, 1), else_=0)), 0)
    statement = select(func.count(), overdue).select_from(pending).join(records, records.c.record_id == pending.c.record_id)
    count, late = connection.execute(statement).one()
    return count, int(late)
