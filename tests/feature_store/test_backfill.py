"""Rebuilding states: the same as replaying all events, whatever arrives meanwhile and however often it is killed. On both databases."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, Table, delete, func, select, update

from feature_store import backfill, folding
from feature_store.backfill import Progress, RebuildRefused, definition_version, note_empty, preview, readable, rebuild, standing
from feature_store.database import make_engine
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import replay
from feature_store.gaps import Cause, note_gap
from feature_store.online import OnlineStore
from feature_store.passes import event_notes
from feature_store.state import EntityState
from feature_store.tables import entity_states, entity_states_before, entity_states_next, events
from feature_store.times import HOUR

if TYPE_CHECKING:
    from tests.conftest import PostgresServer

START = 1_794_000_000_000
ROOT = Path(__file__).parents[2]


def some_events(count: int, seed: int, first: int = 0) -> list[Event]:
    """Orders, payments, deliveries and stock of a few customers; some become known late."""
    chance = random.Random(seed)
    made = []
    for number in range(first, first + count):
        when = START + chance.randrange(40 * 24) * HOUR
        known = when + chance.choice((0, 0, HOUR, 30 * HOUR))
        customer, order = f"C-{chance.randrange(9)}", f"SO-{number}"
        data = chance.choice(
            (
                (
                    EventType.ORDER_PLACED,
                    {"order_id": order, "customer_id": customer, "amount": chance.randrange(9_000) / 100, "device_id": f"D-{chance.randrange(4)}", "skus": (f"S-{chance.randrange(3)}",)},
                ),
                (EventType.RETURNED, {"order_id": order, "customer_id": customer, "skus": (f"S-{chance.randrange(3)}",)}),
                (EventType.STOCK_LEVEL, {"node_id": f"N{chance.randrange(3)}", "sku": f"S-{chance.randrange(3)}", "available": float(chance.randrange(50))}),
                (EventType.DELIVERED, {"order_id": order, "customer_id": customer, "node_id": "N1", "region": "east", "late": chance.random() < 0.3}),
            )
        )  # fmt: skip
        made.append(Event(f"e-{number}", data[0], when, known, data[1]))
    return made


def stored(engine: Engine, table: Table = entity_states) -> dict[EntityKey, bytes]:
    with engine.connect() as connection:
        return {EntityKey(Entity(row.entity), row.key): bytes(row.state) for row in connection.execute(select(table))}


def replayed(told: Iterable[Event]) -> dict[EntityKey, bytes]:
    return {key: state.to_bytes() for key, state in replay(told).items()}


def keep(patch: pytest.MonkeyPatch, items: int) -> None:
    """Let placed orders enter series of so many items."""
    changed = tuple(replace(fold, keep=items) for fold in folding.FOLDS[EventType.ORDER_PLACED])
    patch.setitem(folding.FOLDS, EventType.ORDER_PLACED, changed)
    patch.setitem(folding._GROUPS, EventType.ORDER_PLACED, folding._grouped(changed))
    folding.feeding.cache_clear()


@pytest.fixture
def another_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, 3)


def test_states_after_a_rebuild_are_those_of_a_replay(engine: Engine) -> None:
    told = some_events(300, 1)
    OnlineStore(engine).ingest(told)
    with engine.begin() as connection:
        connection.execute(update(entity_states).where(entity_states.c.entity == "customer").values(state=b"damaged"))
        connection.execute(delete(entity_states).where(entity_states.c.entity == "device"))
    steps: list[Progress] = []
    assert rebuild(engine, steps.append, chunk=70).switched
    assert stored(engine) == replayed(told)
    assert [step.done for step in steps] == [70, 140, 210, 280, 300]
    assert [step.share for step in steps] == pytest.approx([70 / 300, 140 / 300, 210 / 300, 280 / 300, 1.0])
    assert stored(engine, entity_states_next) == {}


def test_a_new_definition_is_filled_and_the_old_states_are_kept(
    engine: Engine, another_definition: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = some_events(300, 2)
    with monkeypatch.context() as old:
        keep(old, 64)
        note_empty(engine)
        OnlineStore(engine).ingest(told)
        first = stored(engine)
        assert not standing(engine).needed
        old_version = definition_version()
    assert standing(engine).needed
    rebuild(engine, chunk=100)
    stands = standing(engine)
    assert (stands.live, stands.before, stands.needed, stands.open) == (definition_version(), old_version, False, None)
    assert stored(engine) == replayed(told) != first
    assert stored(engine, entity_states_before) == first
    more = some_events(50, 3, first=300)
    OnlineStore(engine).ingest(more)
    rebuild(engine)
    assert stored(engine) == replayed([*told, *more])
    assert stored(engine, entity_states_before) == stored(engine)
    assert standing(engine).before == definition_version()


def test_what_arrives_during_a_rebuild_counts_in_both(engine: Engine, another_definition: None) -> None:
    told = some_events(200, 4)
    late = [replace(event, known_at=START + at) for at, event in enumerate(some_events(60, 5, first=200))]
    OnlineStore(engine).ingest(told)
    waiting = iter([late[:20], late[20:45], late[45:], some_events(10, 6, first=300)])

    def arrive(_progress: Progress) -> None:
        batch = next(waiting, [])
        OnlineStore(engine).ingest(batch)
        told.extend(batch)
        if not _progress.switched:
            assert stored(engine) == replayed(told), "those in use go on"

    assert rebuild(engine, arrive, chunk=64).switched
    assert stored(engine) == replayed(told)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(event_notes)).scalar_one() == 0


def test_taking_in_beside_a_rebuild_loses_and_doubles_nothing(engine: Engine, database_url: str) -> None:
    told = some_events(400, 7)
    OnlineStore(engine).ingest(told)
    more = some_events(300, 8, first=400)
    other = make_engine(database_url)

    def take_in(part: Sequence[Event]) -> None:
        for at in range(0, len(part), 10):
            OnlineStore(other).ingest(part[at : at + 10])

    writers = [threading.Thread(target=take_in, args=(more[start::2],)) for start in range(2)]
    for writer in writers:
        writer.start()
    rebuild(engine, chunk=40)
    for writer in writers:
        writer.join()
    assert stored(engine) == replayed([*told, *more])
    other.dispose()


def test_a_preview_says_what_would_change_and_changes_nothing(
    engine: Engine, another_definition: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as old:
        keep(old, 64)
        OnlineStore(engine).ingest(some_events(400, 9))
    before = stored(engine)
    found = preview(engine)
    assert (found.events, found.entities, sum(found.sampled.values())) == (400, len(before), len(before))
    assert found.changed["customer"] == found.sampled["customer"] == 9
    assert "network" not in found.changed, "no order enters it"
    assert stored(engine) == before
    assert standing(engine).open is None


def test_history_without_its_events_is_not_given_up_by_mistake(engine: Engine) -> None:
    OnlineStore(engine).load_states(replay(some_events(50, 10)))
    with engine.begin() as connection:
        note_gap(connection, START, Cause.LOADED)
    with pytest.raises(RebuildRefused, match="loaded without its events"):
        rebuild(engine)
    assert stored(engine)
    assert rebuild(engine, accept_gap=True).switched
    assert stored(engine) == {}


def test_a_rebuild_of_other_definitions_starts_over(engine: Engine, another_definition: None) -> None:
    told = some_events(150, 11)
    OnlineStore(engine).ingest(told)
    backfill._begin(engine, "another")
    assert not backfill._step(engine, "another", 50).switched
    assert standing(engine).open == Progress(50, 150)
    rebuild(engine, chunk=50)
    assert stored(engine) == replayed(told)


def test_states_of_another_format_are_noticed(engine: Engine) -> None:
    assert readable(engine)
    OnlineStore(engine).load_states({EntityKey(Entity.SKU, "A"): EntityState()})
    assert readable(engine)
    with engine.begin() as connection:
        connection.execute(update(entity_states).values(state=b"\x01\x00\x00\x00\x00"))
    assert not readable(engine)


REBUILD = """
import sys
from feature_store.backfill import rebuild
from feature_store.database import make_engine
rebuild(make_engine(sys.argv[1]), lambda progress: print(progress.done, flush=True), chunk=7)
"""
TAKE_IN = """
import sys
sys.path[:0] = [sys.argv[2]]
from tests_events import some_events
from feature_store.database import make_engine
from feature_store.online import OnlineStore
store = OnlineStore(make_engine(sys.argv[1]))
for number in range(0, 2_000, 5):
    store.ingest(some_events(5, number, first=10_000 + number))
    print(number, flush=True)
"""


def killed(program: str, *arguments: str, lines: int, delay_s: float) -> None:
    """Run a program until it has told some lines, and kill it a little later."""
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    for _ in range(lines):
        if not process.stdout.readline():
            break
    time.sleep(delay_s)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("round_", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_rebuild_goes_on_where_it_was(database_url: str, tmp_path: Path, round_: int) -> None:
    chance = random.Random(round_)
    engine = make_engine(database_url)
    told = some_events(600, 12 + round_)
    OnlineStore(engine).ingest(told)
    (tmp_path / "tests_events.py").write_text(Path(__file__).read_text())
    killed(REBUILD, database_url, lines=chance.randint(3, 20), delay_s=chance.random() / 50)
    begun = standing(engine).open
    assert begun is not None
    assert 0 < begun.done < 600
    killed(TAKE_IN, database_url, str(tmp_path), lines=chance.randint(3, 20), delay_s=chance.random() / 50)
    killed(REBUILD, database_url, lines=chance.randint(3, 10), delay_s=chance.random() / 50)
    again = standing(engine).open
    assert again is not None
    assert again.done > begun.done, "it does not begin anew"
    last = rebuild(engine, chunk=50)
    with engine.connect() as connection:
        there = connection.execute(select(func.count()).select_from(events)).scalar_one()
    assert there > 600
    assert last.done == there, "each event once"
    everything = told + [event for number in range(0, 2_000, 5) for event in some_events(5, number, first=10_000 + number)]
    known = {event.event_id for event in everything[:there]}
    assert known == _ids(engine), "batches whole or not at all"
    assert stored(engine) == replayed(everything[:there])
    engine.dispose()


def _ids(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(select(events.c.event_id)).scalars())


@pytest.mark.postgres
def test_a_language_s_order_of_ids_loses_and_doubles_nothing(postgres_server: PostgresServer) -> None:
    """A pass keeps its place by id where many events became known at once; some languages put B behind a, bytes do not."""
    engine = make_engine(postgres_server.new_database(migrated=True))
    with engine.begin() as connection:
        connection.exec_driver_sql('ALTER TABLE events ALTER COLUMN event_id TYPE varchar(255) COLLATE "en-x-icu"')
    at = START
    told = [
        Event(name, EventType.ORDER_PLACED, at, at, {"order_id": f"SO-{name}", "customer_id": "C-1", "amount": 1.0})
        for name in ("a", "c", "e", "B", "D", "F", "b", "d")
    ]
    OnlineStore(engine).ingest(told[:3])
    version = standing(engine).wanted
    backfill._begin(engine, version)
    backfill._step(engine, version, 2)
    OnlineStore(engine).ingest(told[3:])
    rebuild(engine, chunk=2)
    assert stored(engine) == replayed(told)
    engine.dispose()
