"""The leader: every record gets one place, the tree only grows, whatever stops it is made up for, and nothing is signed twice in two ways."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, select, update

from feature_store.database import make_engine
from governance.ledger import merkle
from governance.ledger.checkpoint import read_checkpoint
from governance.ledger.errors import ForkRefused, LogCorrupt
from governance.ledger.high_water import HighWater
from governance.ledger.leader import PER_TURN, Leader
from governance.ledger.log import append
from governance.ledger.receipt import Signer
from governance.ledger.tables import log_entries, log_state, promises, records
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import Tile, TiledTree, unbundle, width_at

STEPS = ("sequence", "sequenced", "integrate", "bundled", "integrated", "mark", "marked", "published", "noted")


class Killed(BaseException):
    """The process ended here."""


class Log:
    """A database with its log, and whoever leads it."""

    def __init__(self, engine: Engine, folder: Path, signer: Signer, make_row: Callable[..., Any]) -> None:
        self.engine, self.folder, self.signer, self._make_row = engine, folder, signer, make_row
        self.mark = HighWater(folder / "state", signer.verifier.name)
        self.tiles = TileFolder(folder / "log")

    def promise(self, count: int) -> None:
        with self.engine.begin() as connection:
            append(connection, [self._make_row() for _ in range(count)])

    def leader(self, **rest: Any) -> Leader:
        return Leader(self.engine, self.signer, self.folder / "log", self.mark, **rest)

    def check(self) -> int:
        """What an outsider checks, and that it is what the database says; returns the size."""
        raw = self.tiles.checkpoint()
        assert raw is not None
        checkpoint, _ = read_checkpoint(raw, [self.signer.verifier])
        with self.engine.connect() as connection:
            rows = connection.execute(
                select(log_entries.c.seq, records.c.entry, records.c.leaf_hash)
                .join_from(log_entries, records, log_entries.c.record_id == records.c.record_id)
                .order_by(log_entries.c.seq)
            ).all()
        assert [row.seq for row in rows] == list(range(len(rows)))
        leaves = [bytes(row.leaf_hash) for row in rows[: checkpoint.size]]
        assert checkpoint.root == merkle.root(leaves)
        assert TiledTree(checkpoint.size, self.tiles.read).root() == checkpoint.root
        entries = [
            entry
            for index in range(-(-checkpoint.size // 256))
            for entry in unbundle(
                self.tiles.read(Tile(-1, index, width_at(checkpoint.size, 0, index))), width_at(checkpoint.size, 0, index)
            )
        ]
        assert entries == [bytes(row.entry) for row in rows[: checkpoint.size]]
        return checkpoint.size

    def waiting(self) -> int:
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(promises)).scalar_one()


@pytest.fixture
def log(engine: Engine, tmp_path: Path, signer: Signer, make_row: Callable[..., Any]) -> Log:
    return Log(engine, tmp_path, signer, make_row)


@pytest.fixture
def sqlite_log(sqlite_engine: Engine, tmp_path: Path, signer: Signer, make_row: Callable[..., Any]) -> Log:
    return Log(sqlite_engine, tmp_path, signer, make_row)


def test_every_record_gets_a_place_and_is_published(log: Log) -> None:
    leader = log.leader()
    assert leader.turn() is not None
    assert log.check() == 0, "an empty log is published too"
    for count in (1, 3, 252, 1, 300):
        before = log.check()
        log.promise(count)
        turn = leader.turn()
        assert turn is not None
        assert (turn.published, turn.size) == (count, before + count)
        assert log.check() == before + count
        assert log.waiting() == 0
    again = leader.turn()
    assert again is not None
    assert again.published == 0


def test_partial_tiles_go_when_the_full_one_is_there(sqlite_log: Log) -> None:
    leader = sqlite_log.leader()
    for _ in range(6):
        sqlite_log.promise(50)
        leader.turn()
    names = sorted(
        str(path.relative_to(sqlite_log.tiles.folder))
        for path in sqlite_log.tiles.folder.rglob("*")
        if path.is_file() and path.name[0] != "."
    )
    assert names == ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"]


def test_only_one_leads(sqlite_log: Log) -> None:
    sqlite_log.promise(1)
    other = sqlite_log.leader()
    told = []
    first = sqlite_log.leader(step=lambda _name: told.append(other.turn()))
    assert first.turn() is not None
    assert set(told) == {None}


def test_more_than_a_turn_takes_several(sqlite_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.ledger.leader.PER_TURN", 100)
    sqlite_log.promise(250)
    leader = sqlite_log.leader()
    turns = [leader.turn() for _ in range(3)]
    assert [(turn.published, turn.more) for turn in turns if turn] == [(100, True), (100, True), (50, False)]
    assert sqlite_log.check() == 250
    assert PER_TURN > 1000


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from((*STEPS, None))), min_size=1, max_size=5))
def test_whoever_comes_after_a_killed_leader_goes_on(
    tmp_path_factory: Any, signer: Signer, make_row: Any, migrated_file: Path, happened: Any
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    log = Log(make_engine(f"sqlite:///{shutil.copy(migrated_file, folder / 'ordinance.db')}"), folder, signer, make_row)
    total, published = 0, 0
    for count, where in happened:
        log.promise(count)
        total += count

        def step(name: str, where: str | None = where) -> None:
            if name == where:
                raise Killed

        with contextlib.suppress(Killed):
            log.leader(step=step).turn()
        if log.tiles.checkpoint() is not None:
            size = log.check()
            assert size >= published, "a published tree never shrinks"
            published = size
    turn = log.leader().turn()
    assert turn is not None
    assert log.check() == total
    assert log.waiting() == 0
    log.engine.dispose()


def published_log(log: Log, count: int = 300) -> Log:
    log.promise(count)
    log.leader().turn()
    return log


def test_a_restored_backup_is_not_signed(sqlite_log: Log) -> None:
    log = published_log(sqlite_log, 200)
    with log.engine.connect() as connection:
        backup = dict(connection.execute(select(log_state)).mappings().one())
    log = published_log(log, 100)
    with log.engine.begin() as connection:
        connection.execute(delete(log_entries).where(log_entries.c.seq >= 200))
        connection.execute(update(log_state).values(backup))
    before = log.tiles.checkpoint()
    with pytest.raises(ForkRefused, match="has signed a tree of 300"):
        log.leader().turn()
    log.promise(50)
    with pytest.raises((ForkRefused, LogCorrupt)):
        log.leader().turn()
    log.promise(60)
    with pytest.raises((ForkRefused, LogCorrupt)):
        log.leader().turn()
    assert log.tiles.checkpoint() == before


def test_a_home_without_its_mark_is_not_signed(sqlite_log: Log) -> None:
    log = published_log(sqlite_log)
    log.mark.path.unlink()
    log.promise(1)
    with pytest.raises(ForkRefused, match="is missing"):
        log.leader().turn()


def test_a_damaged_mark_is_not_guessed(sqlite_log: Log) -> None:
    log = published_log(sqlite_log)
    log.mark.path.write_bytes(b"{}")
    log.promise(1)
    with pytest.raises(ForkRefused, match="damaged"):
        log.leader().turn()


@pytest.mark.parametrize("path", ["tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_tile_that_was_changed_is_not_extended(sqlite_log: Log, path: str) -> None:
    log = published_log(sqlite_log)
    raw = bytearray((log.tiles.folder / path).read_bytes())
    raw[5] ^= 1
    (log.tiles.folder / path).write_bytes(raw)
    log.promise(1)
    with pytest.raises(LogCorrupt, match="another root"):
        log.leader().turn()


def test_a_record_that_was_changed_before_it_was_published_is_named(sqlite_log: Log) -> None:
    log = sqlite_log
    log.promise(3)
    with log.engine.begin() as connection:
        victim = connection.execute(select(records.c.record_id).order_by(records.c.record_id).limit(1)).scalar_one()
        connection.execute(update(records).where(records.c.record_id == victim).values(entry=b"{}"))
    with pytest.raises(LogCorrupt, match=victim):
        log.leader().turn()


def test_a_record_that_was_taken_out_is_missed(sqlite_log: Log) -> None:
    log = published_log(sqlite_log, 260)
    with log.engine.begin() as connection:
        connection.execute(delete(log_entries).where(log_entries.c.seq == 258))
    log.promise(1)
    with pytest.raises(LogCorrupt, match="place 258"):
        log.leader().turn()
