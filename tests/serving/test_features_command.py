"""``ordinance features``: what is said, what is done, and what a start does of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update

from feature_store.backfill import standing
from feature_store.events import Event, EventType
from feature_store.gaps import Cause, note_gap
from feature_store.online import OnlineStore
from feature_store.passes import event_passes
from feature_store.tables import entity_states, events
from feature_store.times import DAY, now
from serving.cli import main
from serving.features_command import follow_definitions
from serving.migrate import migrate
from serving.settings import Settings
from serving.wiring import wire_base


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which two customers have ordered, one of them long ago."""
    base = wire_base(Settings(home=tmp_path))
    migrate(base.engine)
    follow_definitions(base.engine, print)
    old, young = now() - 400 * DAY, now() - DAY
    told = [
        Event("a", EventType.ORDER_PLACED, old, old, {"order_id": "SO-1", "customer_id": "C-old", "amount": 5.0}),
        Event("b", EventType.ORDER_PLACED, young, young, {"order_id": "SO-2", "customer_id": "C-9", "amount": 7.0, "ip": "203.0.113.7"}),
    ]
    OnlineStore(base.engine).ingest(told)
    base.engine.dispose()
    return tmp_path


def run(home: Path, *words: str) -> int:
    return main(["features", *words, "--home", str(home)])


def stored(home: Path) -> tuple[set[str], set[str]]:
    """The ids of the events, and the keys of the states."""
    base = wire_base(Settings(home=home))
    with base.engine.connect() as connection:
        found = set(connection.execute(select(events.c.event_id)).scalars()), set(connection.execute(select(entity_states.c.key)).scalars())
    base.engine.dispose()
    return found


def test_a_rebuild_is_previewed_and_done(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = wire_base(Settings(home=home))
    assert not standing(base.engine).needed
    with base.engine.begin() as connection:
        connection.execute(update(entity_states).where(entity_states.c.key == "C-9").values(state=b"damaged"))
    before = stored(home)
    assert run(home, "rebuild", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "2 events, 3 entities" in said
    assert " 1 of 2 states looked at would change" in said
    assert said.endswith("nothing was changed\n")
    assert run(home, "rebuild") == 0
    assert "2 events counted" in capsys.readouterr().out
    assert stored(home) == before
    assert run(home, "rebuild", "--dry-run") == 0
    assert " 0 of 2 states looked at would change" in capsys.readouterr().out
    base.engine.dispose()


def test_a_start_follows_changed_definitions(home: Path) -> None:
    base, said = wire_base(Settings(home=home)), list[str]()
    with base.engine.begin() as connection:
        connection.execute(update(event_passes).values(version="an older one"))
    follow_definitions(base.engine, said.append)
    assert said == ["The features' definitions have changed: rebuilding the states from the events ..."]
    assert not standing(base.engine).needed
    assert standing(base.engine).before == "an older one"
    with base.engine.begin() as connection:
        connection.execute(update(event_passes).where(event_passes.c.state == "live").values(version="another"))
        note_gap(connection, now(), Cause.LOADED)
    follow_definitions(base.engine, said.append)
    assert "--accept-gap" in said[-1]
    assert standing(base.engine).needed
    with base.engine.begin() as connection:
        connection.execute(update(entity_states).values(state=b"of another format"))
    follow_definitions(base.engine, said.append)
    assert not standing(base.engine).needed, "states that nobody can read are no loss"
    base.engine.dispose()


def test_history_is_not_given_up_by_mistake(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = wire_base(Settings(home=home))
    with base.engine.begin() as connection:
        note_gap(connection, now(), Cause.LOADED)
    base.engine.dispose()
    assert run(home, "rebuild") == 1
    assert "loaded without its events" in capsys.readouterr().err
    assert run(home, "rebuild", "--dry-run") == 0
    assert "needs --accept-gap" in capsys.readouterr().out
    assert run(home, "rebuild", "--accept-gap") == 0


def test_a_person_is_forgotten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "erase", "--subject", "customer:C-9") == 0
    assert "1 events deleted" in capsys.readouterr().out
    assert stored(home) == ({"a"}, {"C-old"})
    assert not [path for path in home.rglob("*") if path.is_file() and b"C-9" in path.read_bytes()]
    for wrong in ("C-9", "sku:S-1", "customer:"):
        assert run(home, "erase", "--subject", wrong) == 1
        assert "is not KIND:ID" in capsys.readouterr().err


def test_what_is_past_its_time_is_forgotten(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "expire") == 1
    assert "ORDINANCE_RETENTION_DAYS" in capsys.readouterr().err
    monkeypatch.setenv("ORDINANCE_RETENTION_DAYS", '{"sku": 3}')
    assert run(home, "expire") == 2
    monkeypatch.setenv("ORDINANCE_RETENTION_DAYS", '{"customer": 365}')
    assert run(home, "expire") == 0
    assert stored(home) == ({"b"}, {"C-9", "203.0.113.7"})
