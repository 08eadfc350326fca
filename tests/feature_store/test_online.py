"""The online store, on each database: once each, all or nothing, one round trip, nothing lost between two writers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from feature_store.database import Reads
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
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[object]]]:
    """The queries sent, with their values."""
    noted: list[tuple[str, Sequence[object]]] = []
    rows = Reads.rows

    def note(reads: Reads, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        noted.append((statement, values))
        return rows(reads, statement, values)

    monkeypatch.setattr(Reads, "rows", note)
    return noted


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
    assert list(orders.value) == [11_000_000, 12_000_000]
    with engine.connect() as connection:
        assert connection.execute(select(events.c.event_id).order_by(events.c.event_id)).scalars().all() == ["E-1", "E-2"]


def test_a_read_is_one_round_trip(store: OnlineStore, sent: list[tuple[str, Sequence[object]]]) -> None:
    store.ingest([placed(1)])
    sent.clear()
    assert len(store.read(KEYS)) == 4
    assert len(sent) == 1


def test_a_state_is_decoded_anew_when_its_bytes_changed(store: OnlineStore) -> None:
    key = EntityKey(Entity.SKU, "S-1")
    store.ingest([Event("E-1", EventType.ORDER_PLACED, 1, 1, {"order_id": "O-1", "customer_id": "C-1", "amount": 1, "skus": (key.key,)})])
    first = store.read([key])[key]
    assert store.read([key])[key] is first
    before = first.to_bytes()
    store.ingest([Event("E-2", EventType.ORDER_PLACED, 2, 2, {"order_id": "O-2", "customer_id": "C-1", "amount": 1, "skus": (key.key,)})])
    tally = store.read([key])[key].tally("orders")
    assert tally is not None
    assert tally.count == [2]
    assert first.to_bytes() == before


def test_a_read_uses_the_primary_key(sqlite_engine: Engine, sent: list[tuple[str, Sequence[object]]]) -> None:
    OnlineStore(sqlite_engine).read(KEYS)
    statement, parameters = sent[0]
    with sqlite_engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(parameters)).all()
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


def test_a_state_that_cannot_be_read_is_told(store: OnlineStore, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(entity_states), {"entity": "customer", "key": "C-1", "state": b"broken", "updated_at": 0})
    with pytest.raises(StateCorrupt):
        store.read(KEYS)


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
