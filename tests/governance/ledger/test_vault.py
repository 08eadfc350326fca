"""Keys of data subjects, and what is sealed under them."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from governance.ledger import subject_keys
from governance.ledger.errors import Erased, KeyFileInvalid, RecordCorrupt
from governance.ledger.log import Recorder, append
from governance.ledger.store import DecisionReader, Filters
from governance.ledger.subject_keys import MASTER_FILE, STORE_FILE, Destroyed, SubjectKeys, pseudonym_of, raw_pseudonym
from governance.ledger.tables import decisions, records
from governance.ledger.vault import SEALED, Vault, load_vault, opened, seal_column, with_vault

AT = 1_794_000_000_000


@pytest.fixture
def keys(tmp_path: Path) -> SubjectKeys:
    return SubjectKeys(tmp_path / "keys")


def made(keys: SubjectKeys, subject: str = "customer:C-9") -> Any:
    with keys.writing():
        return keys.ensure([subject])[subject]


def test_a_subject_keeps_its_key_and_another_process_reads_the_same(keys: SubjectKeys, tmp_path: Path) -> None:
    one = made(keys)
    assert made(keys) == one == SubjectKeys(tmp_path / "keys").find(["customer:C-9"])["customer:C-9"]
    assert keys.named([one.pseudonym]) == {one.pseudonym: one}
    assert made(keys, "customer:C-10").key != one.key
    for path in (tmp_path / "keys").iterdir():
        assert b"C-9" not in path.read_bytes()
        assert one.key not in path.read_bytes()
        assert path.name.endswith(("-wal", "-shm")) or path.stat().st_mode & 0o077 == 0


def test_many_who_meet_a_subject_at_once_get_one_key(tmp_path: Path) -> None:
    homes = [SubjectKeys(tmp_path / "keys") for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = {one.pseudonym for one in pool.map(lambda number: made(homes[number % 4], "customer:C-9"), range(32))}
    assert len(found) == 1


def test_what_another_process_destroyed_is_forgotten_here_and_a_new_key_is_made(keys: SubjectKeys, tmp_path: Path) -> None:
    before = made(keys)
    program = (
        "import sys; from pathlib import Path; from governance.ledger.subject_keys import SubjectKeys\n"
        "keys = SubjectKeys(Path(sys.argv[1])); keys.retire('customer:C-9', 1); keys.destroy(keys.retired('customer:C-9'), 2)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "keys")], check=True)
    assert keys.named([before.pseudonym]) == {}
    assert made(keys).pseudonym != before.pseudonym
    assert [(one.pseudonym, one.token) for one in keys.destroyed()] == [(before.pseudonym, keys.token("customer:C-9"))]


def test_a_retired_key_opens_and_seals_no_more(keys: SubjectKeys) -> None:
    before = made(keys)
    assert keys.retire("customer:C-9", AT) == subject_keys.SubjectKey(before.pseudonym, before.subject, before.key, retired=True)
    assert keys.named([before.pseudonym])[before.pseudonym].key == before.key
    after = made(keys)
    assert after.pseudonym != before.pseudonym
    assert [one.pseudonym for one in keys.retired("customer:C-9")] == [before.pseudonym]
    assert made(keys) == after
    assert keys.retire("customer:C-nobody", AT) is None


def test_nothing_is_retired_while_somebody_writes(keys: SubjectKeys) -> None:
    made(keys)
    done = threading.Event()

    def retire() -> None:
        keys.retire("customer:C-9", AT)
        done.set()

    with keys.writing():
        thread = threading.Thread(target=retire)
        thread.start()
        assert not done.wait(0.2)
    thread.join(10)
    assert done.is_set()


def test_a_process_remembers_so_many_keys_and_finds_the_others_again(keys: SubjectKeys, monkeypatch: Any) -> None:
    monkeypatch.setattr(subject_keys, "_CACHED", 3)
    before = {f"customer:C-{number}": made(keys, f"customer:C-{number}") for number in range(8)}
    assert len(keys._by_subject) == len(keys._by_pseudonym) == 3
    assert keys.find(before) == before


def test_keys_that_do_not_belong_together_are_refused(keys: SubjectKeys, tmp_path: Path) -> None:
    made(keys)
    keys.close()
    folder = tmp_path / "keys"
    (folder / MASTER_FILE).chmod(0o640)
    with pytest.raises(KeyFileInvalid, match="chmod 600"):
        SubjectKeys(folder)
    (folder / MASTER_FILE).unlink()
    with pytest.raises(KeyFileInvalid, match="is missing"):
        SubjectKeys(folder)
    copy = tmp_path / "copy"
    other = SubjectKeys(copy)
    (copy / STORE_FILE).write_bytes((folder / STORE_FILE).read_bytes())
    with pytest.raises(KeyFileInvalid, match="same backup"):
        list(other._select("pseudonym", [one[0] for one in other._open().execute("SELECT pseudonym FROM subject_keys")]))


def test_a_copy_has_every_key_and_takes_over_what_was_destroyed(keys: SubjectKeys, tmp_path: Path) -> None:
    one = made(keys)
    other = tmp_path / "other"
    other.mkdir()
    keys.copy_to(other / STORE_FILE)
    (other / MASTER_FILE).write_bytes((tmp_path / "keys" / MASTER_FILE).read_bytes())
    (other / MASTER_FILE).chmod(0o600)
    restored = SubjectKeys(other)
    assert restored.named([one.pseudonym])[one.pseudonym].key == one.key
    gone = Destroyed("~gone", b"t" * 32, AT)
    restored.note_destroyed([gone, gone])
    assert restored.destroyed() == [gone]


@given(st.binary(min_size=16, max_size=16))
def test_a_pseudonym_is_its_bytes(raw: bytes) -> None:
    assert raw_pseudonym(pseudonym_of(raw)) == raw
    assert len(pseudonym_of(raw)) == 23


@settings(max_examples=60)
@given(plain=st.binary(max_size=300), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_what_is_sealed_opens_only_as_it_was_where_it_was(plain: bytes, at: int, bit: int, tmp_path_factory: Any) -> None:
    vault = _vault(tmp_path_factory)
    key = made(vault.keys)
    stored = seal_column(key, "r-1", "body", plain)
    assert vault.open("r-1", "body", stored) == plain
    for place, column in (("r-2", "body"), ("r-1", "seeds")):
        with pytest.raises(RecordCorrupt):
            vault.open(place, column, stored)
    changed = bytearray(stored)
    changed[at % len(stored)] ^= 1 << bit
    if bytes(changed).startswith(SEALED):  # else it is another kind of column, and no zstd
        with pytest.raises(RecordCorrupt):
            vault.open("r-1", "body", bytes(changed))


_VAULTS: list[Vault] = []


def _vault(tmp_path_factory: Any) -> Vault:
    if not _VAULTS:
        _VAULTS.append(load_vault(tmp_path_factory.mktemp("vault")))
    return _VAULTS[0]


def test_a_sealed_decision_is_found_and_read_and_nothing_of_it_stands_in_the_clear(engine: Any, tmp_path: Path, make_row: Any) -> None:
    vault = load_vault(tmp_path / "keys")
    sealing = with_vault(engine, vault)
    recorder = Recorder(sealing)
    rows = [make_row(f"k-{number}", customer_id=f"C-{number % 2}", order_id="SO-1") for number in range(4)]
    for row in rows:
        assert recorder.commit_blocking([row]).won
    assert recorder.commit_blocking([rows[0]]).response == rows[0].response
    recorder.close()
    reader = DecisionReader(sealing)
    found = reader.search(Filters(customer_id="C-1")).lines
    assert [line.customer_id for line in found] == ["C-1", "C-1"]
    stored = reader.get(rows[0].sealed.record_id)
    stored.check()
    assert (stored.body, stored.seeds, stored.response) == (rows[0].sealed.body, rows[0].sealed.seeds, rows[0].response)
    assert reader.lookup("oms-1", "k-0").response == rows[0].response
    with engine.connect() as connection:
        kept = connection.execute(select(records.c.body, records.c.seeds, records.c.entry, records.c.leaf_hash, records.c.subject)).all()
        columns = connection.execute(select(decisions.c.response, decisions.c.customer_id)).all()
    assert all(bytes(row.body).startswith(SEALED) and bytes(row.seeds).startswith(SEALED) and row.subject is None for row in kept)
    assert {bytes(row.entry) for row in kept} == {row.sealed.entry for row in rows}
    assert all(bytes(row.response).startswith(SEALED) and row.customer_id.startswith("~") for row in columns)
    with pytest.raises(Erased):
        opened(None, "r", bytes(kept[0].body), b"")


def test_a_sealed_part_in_the_place_of_another_is_noticed(sqlite_engine: Any, tmp_path: Path, make_row: Any) -> None:
    engine = with_vault(sqlite_engine, load_vault(tmp_path / "keys"))
    rows = [make_row(customer_id="C-1"), make_row(customer_id="C-1")]
    with engine.begin() as connection:
        append(connection, rows)
        other = connection.execute(select(records.c.body).where(records.c.record_id == rows[1].sealed.record_id)).scalar_one()
        connection.execute(update(records).where(records.c.record_id == rows[0].sealed.record_id).values(body=other))
    with pytest.raises(RecordCorrupt, match="changed since it was sealed"):
        DecisionReader(engine).get(rows[0].sealed.record_id)
