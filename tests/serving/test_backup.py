"""A home copied while it is in use, made anew elsewhere, with everybody erased again who was erased since."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from feature_store.events import Event, EventType
from feature_store.times import HOUR, now
from governance.changes import Scribe
from governance.erasure import Erasures
from governance.ledger.errors import ForkRefused, LogCorrupt
from governance.ledger.fingerprint import load_fingerprint
from governance.ledger.store import DecisionReader, Filters
from governance.ledger.tables import records
from governance.ledger.vault import vault_of
from serving.backup import Asked, BackupRefused, backup, keep_destroyed, restore
from serving.cli import main
from serving.migrate import migrate
from serving.settings import Settings
from serving.wiring import Base, leader, wire_base
from tests.serving.conftest import make_service

WHO, TRACES = "C-wanda-8812", (b"C-wanda-8812", b"SO-wanda", b"wanda@example.com")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", state_folder=tmp_path / "state")


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path / "copies")


@contextmanager
def opened(settings: Settings) -> Iterator[Base]:
    base = wire_base(settings)
    try:
        migrate(base.engine)
        yield base
    finally:
        base.engine.dispose()


def decide(base: Base, force: Any, body: Any, *keys: str, customer: str = WHO) -> list[str]:
    """Decisions on orders of a customer, published; returns their ids."""
    service, recorder = make_service(base.engine, force)
    service = service.with_edges(signer=base.signer, fingerprint=load_fingerprint(base.home.keys))
    ids = []
    try:
        for key in keys:
            told = body(order_id=f"SO-wanda-{key}", attributes={"mail": "wanda@example.com"})
            told["order"]["customer"]["customer_id"] = customer
            ids.append(service.decide("acceptance", told, key=key).json["decision_id"])
            at = now() - HOUR
            data = {
                "order_id": f"SO-wanda-{key}",
                "customer_id": customer,
                "region": "east",
                "channel": "app",
                "skus": ["SKU-1"],
                "amount": 9.0,
            }
            service.store.ingest([Event(f"e-{key}", EventType.ORDER_PLACED, at, at, data)])
    finally:
        recorder.close()
    leader(base).turn()
    return ids


def elsewhere(settings: Settings, tmp_path: Path, name: str = "new") -> Settings:
    return settings.model_copy(update={"home": tmp_path / name})


def told() -> tuple[list[str], Any]:
    lines: list[str] = []
    return lines, lines.append


def traces(home: Path) -> list[str]:
    files = [path for path in home.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(trace in path.read_bytes() for trace in TRACES)]


def test_a_home_is_made_anew_and_its_log_goes_on(settings: Settings, asked: Asked, tmp_path: Path, force: Any, body: Any) -> None:
    with opened(settings) as base:
        (first, second) = decide(base, force, body, "a", "b")
        backup(settings, asked, lambda _: None)
        before = {
            path.relative_to(base.home.ledger): path.read_bytes()
            for path in base.home.ledger.rglob("*")
            if path.is_file() and path.name[0] != "."
        }
    lines, say = told()
    assert restore(elsewhere(settings, tmp_path), asked, say) == 0
    assert any("goes on" in line for line in lines)
    assert not {"keys", "ledger"} & {path.name for path in (tmp_path / "copies").glob("*/*")}
    with opened(elsewhere(settings, tmp_path)) as base:
        stored = DecisionReader(base.engine).get(first)
        assert (stored.line.customer_id, stored.opened.groups["order"]["order_id"]) == (WHO, "SO-wanda-a")
        after = {
            path.relative_to(base.home.ledger): path.read_bytes()
            for path in base.home.ledger.rglob("*")
            if path.is_file() and path.name[0] != "."
        }
        assert after == before
        decide(base, force, body, "c")
        assert len(DecisionReader(base.engine).search(Filters(customer_id=WHO)).lines) == 3
    assert second


def test_what_was_signed_since_is_never_signed_again(settings: Settings, asked: Asked, tmp_path: Path, force: Any, body: Any) -> None:
    with opened(settings) as base:
        decide(base, force, body, "a")
        backup(settings, asked, lambda _: None)
        decide(base, force, body, "b")
    with pytest.raises(ForkRefused, match="lost"):
        restore(elsewhere(settings, tmp_path), asked, lambda _: None)
    accepted = Asked(asked.folder, accept_behind=True)
    assert restore(elsewhere(settings, tmp_path, "behind"), accepted, lambda _: None) == 0
    with opened(elsewhere(settings, tmp_path, "behind")) as base, pytest.raises(ForkRefused):
        decide(base, force, body, "c")


def test_who_was_erased_since_is_erased_again(settings: Settings, asked: Asked, tmp_path: Path, force: Any, body: Any) -> None:
    with opened(settings) as base:
        ids = decide(base, force, body, "a")
        decide(base, force, body, "z", customer="C-other")
        backup(settings, asked, lambda _: None)
        erasures = Erasures(
            base.engine, vault_of(base.engine), Scribe(base.signer), lambda _: "exact", destroyed=lambda: keep_destroyed(base)
        )
        erasures.confirm(erasures.request(f"customer:{WHO}", "anna").erasure_id, "ben")
    lines, say = told()
    restore(elsewhere(settings, tmp_path), Asked(asked.folder, accept_behind=True), say)
    assert any("1 persons were erased since" in line for line in lines)
    assert traces(tmp_path / "new") == [str(tmp_path / "new" / "ordinance.db")]  # the other customer's order
    with opened(elsewhere(settings, tmp_path)) as base:
        reader = DecisionReader(base.engine)
        assert reader.get(ids[0]).erased
        assert [line.order_id for line in reader.search(Filters(customer_id="C-other")).lines] == ["SO-wanda-z"]
        assert reader.search(Filters(customer_id=WHO)).lines == ()


def test_newer_keys_than_the_database_s_copy_are_enough_to_forget(
    settings: Settings, asked: Asked, tmp_path: Path, force: Any, body: Any
) -> None:
    with opened(settings) as base:
        ids = decide(base, force, body, "a")
        backup(settings, asked, lambda _: None)
        old = next((tmp_path / "copies").iterdir())
        erasures = Erasures(base.engine, vault_of(base.engine), Scribe(base.signer), lambda _: "exact")
        erasures.confirm(erasures.request(f"customer:{WHO}", "anna").erasure_id, "ben")
        backup(settings, asked, lambda _: None)  # its copy of the keys is the newest
    restore(elsewhere(settings, tmp_path), Asked(old, asked.keys_folder, accept_behind=True), lambda _: None)
    assert traces(tmp_path / "new") == []
    with opened(elsewhere(settings, tmp_path)) as base:
        assert DecisionReader(base.engine).get(ids[0]).erased


def test_a_changed_record_in_a_backup_is_noticed(settings: Settings, asked: Asked, tmp_path: Path, force: Any, body: Any) -> None:
    with opened(settings) as base:
        decide(base, force, body, "a")
        with base.engine.begin() as connection:
            connection.execute(update(records).values(entry=b"{}"))
        backup(settings, asked, lambda _: None)
    with pytest.raises(LogCorrupt):
        restore(elsewhere(settings, tmp_path), asked, lambda _: None)


def test_old_copies_of_keys_are_thrown_away_and_the_commands_say_what_they_miss(
    settings: Settings, asked: Asked, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ORDINANCE_STATE_FOLDER", str(tmp_path / "state"))
    with opened(settings):
        pass
    home = ["--home", str(tmp_path / "home")]
    assert main(["backup", str(asked.folder), *home]) == 0
    assert main(["backup", str(asked.folder), *home, "--keep-keys-days", "0"]) == 0
    assert len([*asked.keys_folder.iterdir()]) == 1
    assert len([*asked.folder.iterdir()]) == 2
    assert main(["restore", str(asked.folder), *home]) == 1
    assert "is there already" in capsys.readouterr().err
    with pytest.raises(BackupRefused, match="no backup"):
        restore(elsewhere(settings, tmp_path), Asked(tmp_path / "nowhere"), lambda _: None)


def test_erasing_from_the_command_line_takes_two(
    settings: Settings, tmp_path: Path, force: Any, body: Any, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ORDINANCE_STATE_FOLDER", str(tmp_path / "state"))
    with opened(settings) as base:
        decide(base, force, body, "a")
    home, person = ["--home", str(tmp_path / "home")], ["--subject", f"customer:{WHO}"]
    assert main(["hold", *person, *home, "--by", "counsel", "--reason", "case 12"]) == 0
    assert main(["erase", *person, *home, "--by", "anna", "--confirm", "ben"]) == 1
    assert main(["hold", *person, *home, "--by", "counsel", "--reason", "closed", "--lift"]) == 0
    assert main(["erase", *person, *home, "--by", "anna"]) == 0
    assert main(["erase", *person, *home, "--confirm", "anna"]) == 1
    assert "somebody else" in capsys.readouterr().err
    assert main(["erase", *person, *home, "--confirm", "ben"]) == 0
    assert "1 keys destroyed" in capsys.readouterr().out
    assert traces(tmp_path / "home") == []
    with opened(settings) as base:
        leader(base).turn()
    main(["verify", *home])
    assert "NOT IN ORDER  model" in capsys.readouterr().out  # no record is: only the artifacts, which lie elsewhere here
