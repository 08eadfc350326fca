"""The online store, on each database: once each, all or nothing, one round trip, nothing lost between two writers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event, insert, select

from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import replay
from feature_store.online import IngestResult, OnlineStore
from feature_store.state import StateCorrupt
from feature_store.tables import entity_states, events
from feature_store.times import HOUR


def placed(number: int, customer: str = "C-1") -> Event:
    data = {
        "order_id": f"O-{number}",
        "customer_id": customer,
        "amount": 10.0 + number,
        "device_id": "D-1",
        "skus": ("S-1", "S-2"),
        "region": "east",
    }
    return Event(f"E-{number}", EventType.ORDER_PLACED, number * HOUR, number * HOUR, data)


KEYS = [
    EntityKey(Entity.CUSTOMER, "C-1"),
    EntityKey(Entity.DEVICE, "D-1"),
    EntityKey(Entity.SKU, "S-1"),
    EntityKey(Entity.SKU, "S-2"),
    EntityKey(Entity.SKU, "S-9"),
]


@pytest.fixture
def store(engine: Engine) -> OnlineStore:
    return OnlineStore(engine)


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """The queries sent, without the beginning and end of transactions."""
    sent: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def test_what_was_ingested_counts_in_the_next_read(store: OnlineStore) -> None:
    assert store.read(KEYS) == {}
    batch = [placed(1), placed(2)]
    assert store.ingest(batch) == IngestResult(accepted=2, duplicates=0)
    assert store.ingest([placed(3)]) == IngestResult(accepted=1, duplicates=0)
    expected = replay([*batch, placed(3)])
    read = store.read(KEYS)
    assert {key: state.to_bytes() for key, state in read.items()} == {key: expected[key].to_bytes() for key in KEYS[:4]}


def test_the_same_event_counts_once(store: OnlineStore, engine: Engine) -> None:
    assert store.ingest([placed(1), placed(1)]) == IngestResult(accepted=1, duplicates=1)
    assert store.ingest([placed(1), placed(2)]) == IngestResult(accepted=1, duplicates=1)
    assert store.ingest([]) == IngestResult(accepted=0, duplicates=0)
    orders = store.read(KEYS)[KEYS[0]].series("orders")
    assert orders is not None
    assert orders.value == [11.0, 12.0]
    with engine.connect() as connection:
        assert connection.execute(select(events.c.event_id).order_by(events.c.event_id)).scalars().all() == ["E-1", "E-2"]


def test_a_read_is_one_round_trip(store: OnlineStore, statements: list[str]) -> None:
    store.ingest([placed(1)])
    statements.clear()
    assert len(store.read(KEYS)) == 4
    assert len(statements) == 1


def test_a_read_uses_the_primary_key(sqlite_engine: Engine) -> None:
    sent: list[tuple[str, tuple[str, ...]]] = []
    event.listen(sqlite_engine, "before_cursor_execute", lambda _c, _d, statement, parameters, *_: sent.append((statement, parameters)))
    OnlineStore(sqlite_engine).read(KEYS)
    statement, parameters = next(one for one in sent if one[0].startswith("SELECT"))
    with sqlite_engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert plan
    assert not [row for row in plan if "SCAN" in row[3]], "row values in a list would scan the whole table"


def test_more_keys_than_one_statement_takes_are_ingested(store: OnlineStore) -> None:
    skus = tuple(f"S-{i}" for i in range(1200))
    store.ingest([Event("E-1", EventType.ORDER_PLACED, 1, 1, {"order_id": "O-1", "customer_id": "C-1", "amount": 1, "skus": skus})])
    assert len(store.read([EntityKey(Entity.SKU, sku) for sku in skus[:400]])) == 400
    tally = store.read([EntityKey(Entity.SKU, "S-1199")])[EntityKey(Entity.SKU, "S-1199")].tally("orders")
    assert tally is not None
    assert tally.count == [1]


def test_loaded_states_replace_what_was_there(store: OnlineStore) -> None:
    store.ingest([placed(1)])
    history = replay([placed(i) for i in range(5, 9)])
    store.load_states(history)
    store.load_states(history)
    assert {key: state.to_bytes() for key, state in store.read(list(history)).items()} == {
        key: state.to_bytes() for key, state in history.items()
    }


def test_a_state_that_cannot_be_read_takes_nothing_in(store: OnlineStore, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(entity_states), {"entity": "customer", "key": "C-1", "state": b"broken", "updated_at": 0})
    with pytest.raises(StateCorrupt):
        store.read(KEYS)
    with pytest.raises(StateCorrupt):
        store.ingest([placed(1)])
    with engine.connect() as connection:
        assert connection.execute(select(events.c.event_id)).all() == []


def test_writers_at_the_same_time_lose_nothing(store: OnlineStore) -> None:
    batches = [[placed(writer * 100 + i, f"C-{writer % 2}") for i in range(8)] for writer in range(4)]

    def write(batch: list[Event]) -> int:
        return sum(store.ingest([one]).accepted for one in batch) + store.ingest(batch).accepted

    with ThreadPoolExecutor(5) as pool:
        accepted = list(pool.map(write, [*batches, batches[0][::-1]]))
    assert sum(accepted) == 32
    expected = replay([one for batch in batches for one in batch])
    read = store.read(list(expected))
    assert {key: state.to_bytes() for key, state in read.items()} == {key: state.to_bytes() for key, state in expected.items()}
