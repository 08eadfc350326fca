"""The tamper tour: a real log is changed in every place there is, and each change is caught and named.

What is changed stands in the names of the tests; where, Hypothesis says.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.database import make_engine
from governance.consequences import Consequences
from governance.kept import check_models
from governance.ledger import verify
from governance.ledger.checkpoint import Checkpoint, read_checkpoint
from governance.ledger.findings import Finding, Mismatch, Part
from governance.ledger.fingerprint import load_fingerprint
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.mirror import Seen, mirror
from governance.ledger.receipt import Receipt, Signer
from governance.ledger.record import Draft, Kind, seal
from governance.ledger.record_check import RecordCheck
from governance.ledger.rows import RecordRow, statements
from governance.ledger.tables import decisions, log_entries, log_state, promises, records
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import WIDTH, Tile, TiledTree
from governance.ledger.vault import vault_of, with_vault
from governance.ledger.verify import Known, LogFiles, Verifier
from governance.ledger.witness import Witness, WitnessKey, WitnessRefused, write_request
from models.artifact import ModelArtifact
from serving.force import Force
from tests.serving.ledger_home import LedgerHome, make_home

pytestmark = pytest.mark.slow

DECIDED = 1_300
AT_LEAST = 2_000


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory, artifacts: Mapping[str, ModelArtifact], force: Force) -> Iterator[Tour]:
    home = make_home(tmp_path_factory.mktemp("tamper"), force, artifacts)
    answers = []
    for start in range(0, DECIDED, 100):
        answers += home.decide(100, start)
        home.lead()
    home.settle()
    home.lead()
    result = home.verify()
    assert result.finding is None, str(result.finding)
    assert result.verified.size >= AT_LEAST
    home.decide(3, DECIDED)  # they wait for their places
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "PAGE", WIDTH)  # less to read until something is found
        yield Tour(home, result.verified.size, answers)


class Tour:
    """The home, and whoever tampers with it: a superuser of database and files."""

    def __init__(self, home: LedgerHome, size: int, answers: list[bytes]) -> None:
        self.home, self.size, self.answers = home, size, answers
        self.database = home.folder / "ordinance.db"
        self.ledger = home.base.home.ledger

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """A connection that knows no constraint."""
        connection = sqlite3.connect(self.database, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA ignore_check_constraints=ON")
        try:
            yield connection
        finally:
            connection.close()

    def check(self, place: int = 0, *, records_too: bool = True, asides: bool = False) -> Finding | None:
        """As ``ordinance verify`` does, from the tile before a place on: what stands before it was checked already."""
        base, keys = self.home.base, [self.home.base.signer.verifier]
        start = place // WIDTH * WIDTH
        fingerprint = load_fingerprint(base.home.keys)
        one = RecordCheck(keys, fingerprint, vault_of(base.engine)) if records_too else None
        mark = HighWater(base.settings.mark_folder, keys[0].name)
        try:
            before = Known(Part.FORK, "before", "", start, self.root_at(start)) if start else None
            follows = Consequences(whole=False, until=0)
            Verifier(LogFiles(base.engine, self.ledger, keys, mark), one, (follows.page,) if asides else ()).run(before)
        except Mismatch as error:
            return error.finding
        return None

    def models(self) -> Finding | None:
        base = self.home.base
        try:
            check_models(base.engine, [base.signer.verifier], base.home.models)
        except Mismatch as error:
            return error.finding
        return None

    def root_at(self, size: int) -> bytes:
        return TiledTree(self.size, TileFolder(self.ledger).read).root_at(size)


def other(value: object, chance: int) -> object:
    """A value next to this one."""
    if value is None:
        return 1
    if isinstance(value, bytes):
        at = chance % (8 * len(value)) if value else 0
        return bytes(byte ^ (1 << at % 8 if index == at // 8 else 0) for index, byte in enumerate(value)) if value else b"x"
    if isinstance(value, str):
        if not value:
            return "x"
        at = chance % len(value)
        return value[:at] + ("x" if value[at] != "x" else "y") + value[at + 1 :]
    assert isinstance(value, int | float)
    return 1 - value if value in {0, 1} else value + 1


COLUMNS = [
    (table.name, column.name)
    for table in (records, decisions, log_entries, promises, log_state)
    for column in table.columns
    if (table.name, column.name) != ("log_state", "published_at")  # no record tells when a checkpoint was published
]
PARTS: Mapping[str, set[Part]] = {
    "records": {Part.RECORD, Part.COLUMN, Part.RECEIPT, Part.PLACE},
    "decisions": {Part.COLUMN, Part.RECORD},
    "log_entries": {Part.PLACE, Part.RECORD, Part.COLUMN},
    "promises": {Part.PLACE},
    "log_state": {Part.STATE, Part.CHECKPOINT},
}


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@settings(max_examples=1, deadline=None, database=None)
@given(where=st.integers(0, 2**31), chance=st.integers(0, 2**31))
def test_an_edited_column_is_caught(tour: Tour, table: str, column: str, where: int, chance: int) -> None:
    back = "rowid" if (table, column) != ("log_state", "id") else "size >= 0 OR rowid"  # the id is the rowid there
    with tour.sql() as sql:
        rows = sql.execute(f"SELECT rowid AS at, * FROM {table} ORDER BY rowid").fetchall()
        row = rows[where % len(rows)]
        name = row["record_id"] if "record_id" in row.keys() else None  # noqa: SIM118 - of a row
        place = sql.execute("SELECT seq FROM log_entries WHERE record_id = ?", (name,)).fetchone()
        edited = -1 - row["seq"] if (table, column) == ("log_entries", "seq") else other(row[column], chance)
        sql.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (edited, row["at"]))
        try:
            found = tour.check(0 if place is None else place["seq"])
        finally:
            sql.execute(f"UPDATE {table} SET {column} = ? WHERE {back} = ?", (row[column], row["at"]))
    assert found is not None, "nobody noticed"
    assert found.part in PARTS[table], str(found)
    if table in {"records", "decisions"} and column != "record_id":
        assert found.name == name, "the right record is named"
        if found.part is Part.COLUMN:
            assert f"column {column} " in found.detail or column == "response"


@settings(max_examples=40, deadline=None, database=None)
@given(which=st.integers(0, 2**31), bit=st.integers(0, 2**31))
def test_a_flipped_bit_of_a_file_is_caught(tour: Tour, which: int, bit: int) -> None:
    files = sorted(path for path in tour.ledger.rglob("*") if path.is_file() and path.name[0] != ".")
    path = files[which % len(files)]
    kept = path.read_bytes()
    path.write_bytes(other(kept, bit))  # type: ignore[arg-type]
    try:
        found = tour.check(records_too=False)
    finally:
        path.write_bytes(kept)
    assert found is not None, "nobody noticed"
    name = path.relative_to(tour.ledger).as_posix()
    part = Part.CHECKPOINT if name == "checkpoint" else Part.BUNDLE if "entries" in name else Part.TILE
    assert found.part is part, str(found)
    assert found.name == name, "the right file is named"


@settings(max_examples=8, deadline=None, database=None)
@given(which=st.integers(0, 2**31))
def test_a_file_that_is_gone_is_missed(tour: Tour, which: int) -> None:
    files = sorted(path for path in tour.ledger.rglob("*") if path.is_file() and path.name[0] != ".")
    path = files[which % len(files)]
    kept = path.read_bytes()
    path.unlink()
    name = path.relative_to(tour.ledger).as_posix()
    try:
        found = tour.check(records_too=False)
        if found is None:
            assert TileFolder(tour.ledger).read(Tile.parse(name)) == kept, "a wider tile holds it: nothing is lost"
    finally:
        path.write_bytes(kept)
    assert found is None or found.name == name


@contextmanager
def as_before(tour: Tour) -> Iterator[sqlite3.Connection]:
    """What is done to database and files is undone afterwards."""
    kept = tour.home.folder.parent / "kept"
    with tour.sql() as sql:
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(tour.database, kept)
        shutil.copytree(tour.ledger, kept.with_name("files"))
        mark = tour.home.mark.read_bytes()
        try:
            yield sql
        finally:
            with sqlite3.connect(kept) as source:
                source.backup(sql)
            source.close()
            kept.unlink()
            tour.home.mark.write_bytes(mark)
            shutil.rmtree(tour.ledger)
            kept.with_name("files").rename(tour.ledger)
    assert tour.check(records_too=False) is None


@settings(max_examples=4, deadline=None, database=None)
@given(place=st.integers(0, AT_LEAST - 1))
@pytest.mark.parametrize("table", ["records", "decisions", "log_entries", "both"])
def test_a_deleted_row_is_missed(tour: Tour, table: str, place: int) -> None:
    with as_before(tour) as sql:
        if table == "decisions":
            statement = "SELECT seq, record_id FROM log_entries JOIN decisions USING (record_id) WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
            seq, name = sql.execute(statement, (max(place, 50),)).fetchone()
        else:
            seq, name = sql.execute("SELECT seq, record_id FROM log_entries WHERE seq = ?", (place,)).fetchone()
        for one in ("records", "decisions", "log_entries") if table == "both" else (table,):
            sql.execute(f"DELETE FROM {one} WHERE record_id = ?", (name,))
        found = tour.check(seq)
    assert found is not None
    assert (found.place, found.part) == (seq, Part.RECORD if table == "decisions" else Part.PLACE), str(found)


@settings(max_examples=4, deadline=None, database=None)
@given(one=st.integers(0, AT_LEAST - 1), two=st.integers(0, AT_LEAST - 1))
def test_reordered_records_are_caught(tour: Tour, one: int, two: int) -> None:
    one, two = min(one, two), max(one, two) + (one == two)
    with as_before(tour) as sql:
        for old, new in ((one, -1), (two, one), (-1, two)):
            sql.execute("UPDATE log_entries SET seq = ? WHERE seq = ?", (new, old))
        found = tour.check(one)
    assert found is not None
    assert (found.part, found.place) == (Part.PLACE, one)


def forged(signer: Signer) -> RecordRow:
    return RecordRow(seal(Draft(Kind.EXPORT, None, {}, {"change": {"what": "nothing"}}, {}), signer, 1_794_000_000_000))


def insert(sql: sqlite3.Connection, row: RecordRow) -> str:
    for statement, values in statements([row], "sqlite"):
        sql.execute(statement, values)
    return row.sealed.record_id


def test_an_inserted_record_is_caught(tour: Tour) -> None:
    ours, theirs = tour.home.base.signer, Signer(tour.home.base.signer.verifier.name, b"x" * 32)
    with as_before(tour) as sql:
        name = insert(sql, forged(theirs))
        found = tour.check(tour.size - 1)
        assert (found and found.part, found and found.name) == (Part.RECEIPT, name), "it waits, and nobody promised it"
    with as_before(tour) as sql:
        name = insert(sql, forged(ours))
        sql.execute("DELETE FROM promises WHERE record_id = ?", (name,))
        found = tour.check(tour.size - 1)
        assert (found and found.part, found and found.name) == (Part.PLACE, name), "in no place, waiting for none"
        sql.execute("UPDATE log_entries SET seq = -seq - 1 WHERE seq >= ?", (tour.size - 5,))
        sql.execute("UPDATE log_entries SET seq = -seq WHERE seq < 0")
        sql.execute("INSERT INTO log_entries VALUES (?, ?)", (tour.size - 5, name))
        found = tour.check(tour.size - 1)
        assert (found and found.part, found and found.name) == (Part.PLACE, name), "in a place that was another's"


@settings(max_examples=3, deadline=None, database=None)
@given(count=st.integers(1, AT_LEAST))
def test_a_truncated_tail_is_caught(tour: Tour, count: int) -> None:
    with as_before(tour) as sql:
        sql.execute("DELETE FROM log_entries WHERE seq >= ?", (tour.size - count,))
        found = tour.check(tour.size - count)
        assert (found and found.part, found and found.place) == (Part.PLACE, tour.size - count)


def test_a_swapped_or_edited_model_is_caught(tour: Tour, artifacts: Mapping[str, ModelArtifact]) -> None:
    models = tour.home.base.home.models / "sha256"
    one, two = sorted(models.iterdir())[:2]
    for path in (one, two):
        shutil.copytree(path, path.with_suffix(".kept"))
    try:
        for name in ("model.txt", "manifest.json"):
            shutil.copy(two / name, one / name)
            found = tour.models()
            assert found is not None
            assert found.part is Part.MODEL
            assert one.name in found.detail
            shutil.copy(one.with_suffix(".kept") / name, one / name)
        with tour.sql() as sql:
            sql.execute("UPDATE model_versions SET digest = 'sha256:' || ? WHERE name = 'fraud'", (artifacts["acceptance"].digest[7:],))
            found = tour.models()
            sql.execute("UPDATE model_versions SET digest = ? WHERE name = 'fraud'", (artifacts["fraud"].digest,))
        assert found is not None
        assert (found.part, found.name) == (Part.MODEL, "fraud version 1"), "the allow-list is signed"
    finally:
        for path in (one, two):
            shutil.rmtree(path.with_suffix(".kept"))


CHANGES = {
    "outcome_labels": ["label", "positive", "observed_at", "known_at", "principal", "event", "low", "segment", "decision_id"],
    "overrides": ["outcome", "reason_code", "principal", "role", "was", "made_at", "state", "settled_at", "second"],
    "reviews": ["queue", "rank", "due_at", "expires_to", "state", "closed_by", "currency", "opened_at"],
    "list_entries": ["list", "kind", "value", "types", "reason", "added_by", "added_at", "removed_by"],
    "switches": ["mode", "note", "changed_by", "changed_at", "type"],
    "policies": ["digest", "document", "created_by"],
}


@pytest.mark.parametrize("table", CHANGES)
def test_what_follows_from_a_record_is_compared_with_it(tour: Tour, table: str) -> None:
    with tour.sql() as sql:
        rows = sql.execute(f"SELECT rowid AS at, * FROM {table}").fetchall()
        assert rows, "the tour has made some"
        row = rows[0 if table == "reviews" else -1]  # the newest reviews wait for their places
        place = tour.size - WIDTH  # people settled things in the end
        if table == "reviews":
            (place,) = sql.execute("SELECT seq FROM log_entries WHERE record_id = ?", (row["record_id"],)).fetchone()
        if table == "policies":
            place = 0
        for column in CHANGES[table]:
            sql.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (other(row[column], 5), row["at"]))
            found = tour.check(place, asides=True)
            sql.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (row[column], row["at"]))
            assert found is not None, (table, column)
            assert found.part in {Part.CHANGE, Part.POLICY}, str(found)
            assert table in found.name or table == "policies"


def rewrite(tour: Tour, without: int, folder: Path) -> Path:
    """What an operator can do who has the database, the files and the key: another history, signed. Returns the new log's folder."""
    base = tour.home.base
    shutil.copy(tour.database, folder / "other.db")
    engine = with_vault(make_engine(f"sqlite:///{folder / 'other.db'}"), vault_of(base.engine))  # type: ignore[arg-type]
    with sqlite3.connect(folder / "other.db", isolation_level=None) as sql:
        (name,) = sql.execute("SELECT record_id FROM log_entries WHERE seq = ?", (without,)).fetchone()
        sql.execute("DELETE FROM log_entries")
        sql.execute("DELETE FROM log_state")
        sql.execute("DELETE FROM promises")
        for table in ("decisions", "reviews", "records"):
            sql.execute(f"DELETE FROM {table} WHERE record_id = ?", (name,))
        sql.execute("INSERT INTO promises SELECT record_id FROM records")
    sql.close()
    leader = Leader(engine, base.signer, folder / "log", HighWater(folder / "state", base.signer.verifier.name))
    turn = leader.turn()
    assert turn is not None
    assert turn.size > tour.size, "those that waited have places now"
    engine.dispose()
    return folder / "log"


def test_a_checkpoint_signed_anew_without_the_key_is_caught(tour: Tour) -> None:
    with as_before(tour):
        text = Checkpoint(tour.home.base.signer.verifier.name, tour.size, b"r" * 32).text
        note = Signer(tour.home.base.signer.verifier.name, b"x" * 32).sign_note(text).to_bytes()
        (tour.ledger / "checkpoint").write_bytes(note)
        found = tour.check(records_too=False)
        assert found is not None
        assert found.part is Part.CHECKPOINT


def test_history_rewritten_with_the_key_is_caught_by_mark_witness_memory_and_receipt(tour: Tour, tmp_path: Path) -> None:
    base = tour.home.base
    key, tiles = base.signer.verifier, TileFolder(tour.ledger)
    raw = tiles.checkpoint()
    assert raw is not None
    held = next(answer for answer in tour.answers if b'"receipt"' in answer)
    receipt = Receipt.from_json(orjson.loads(held)["receipt"])
    with base.engine.connect() as connection:
        where = log_entries.c.record_id == receipt.record_id
        place = connection.execute(log_entries.select().where(where)).one().seq
    witness = Witness(WitnessKey("witness.example/1", b"w" * 32), tmp_path / "witness", {key.name: [key]})
    witness.add_checkpoint(write_request(0, [], raw))
    other_log = rewrite(tour, place, tmp_path)

    # 1. the signer's mark, which is neither in the database nor in the home
    mark = HighWater(base.settings.mark_folder, key.name)
    engine = with_vault(make_engine(f"sqlite:///{tmp_path / 'other.db'}"), vault_of(base.engine))  # type: ignore[arg-type]
    with pytest.raises(Mismatch) as caught:
        Verifier(LogFiles(engine, other_log, [key], mark)).run()
    assert caught.value.finding.part is Part.MARK
    # without the mark it looks in order: this is the limit that the documentation tells
    forged_mark = HighWater(tmp_path / "state", key.name)
    Verifier(LogFiles(engine, other_log, [key], forged_mark)).run()
    engine.dispose()

    # 2. a witness: neither the honest proof nor any other leads from the tree that it cosigned to this one
    other_tiles = TileFolder(other_log)
    new = other_tiles.checkpoint()
    assert new is not None
    size = read_checkpoint(new, [key])[0].size
    proof = TiledTree(size, other_tiles.read).consistency_proof(tour.size)
    with pytest.raises(WitnessRefused, match="does not extend"):
        witness.add_checkpoint(write_request(tour.size, proof, new))

    # 3. whoever has seen the log before, and 4. whoever holds a receipt
    def fetch(path: str) -> bytes:
        if path == "checkpoint":
            return new
        return other_tiles.read(Tile.parse(path))

    seen = Seen(key.name, str(key), tour.size, tour.root_at(tour.size))
    with pytest.raises(Mismatch) as caught:
        mirror(fetch, key, seen)
    assert caught.value.finding.part is Part.FORK
    assert mirror(fetch, key, leaf=receipt.leaf_hash).place is None, "the record is missing, and the receipt proves that"
    assert mirror(lambda path: raw if path == "checkpoint" else tiles.read(Tile.parse(path)), key, leaf=receipt.leaf_hash).place == place


def test_an_old_backup_is_caught_by_the_mark(tour: Tour, tmp_path: Path) -> None:
    home = tour.home
    with as_before(tour) as sql:
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        backup = tmp_path / "backup.db"
        shutil.copy(tour.database, backup)
        shutil.copytree(tour.ledger, tmp_path / "ledger")
        home.lead()  # what waited is published, and then forgotten
        with sqlite3.connect(backup) as source:
            source.backup(sql)
        source.close()
        shutil.rmtree(tour.ledger)
        shutil.copytree(tmp_path / "ledger", tour.ledger)
        found = tour.check(records_too=False)
    assert found is not None
    assert found.part is Part.MARK
    assert "old backup" in found.detail


def test_an_untouched_log_is_in_order(tour: Tour) -> None:
    result = tour.home.verify()
    assert result.finding is None, str(result.finding)
    assert result.verified.records == tour.size
    assert result.verified.waiting > 0
