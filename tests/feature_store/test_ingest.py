"""Batches into the database: what is the same fact, what contradicts it, and that a batch leaves what its events leave one by one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlalchemy.exc import OperationalError

from feature_store.backfill import rebuild
from feature_store.entities import Entity, EntityKey
from feature_store.events import DEEPEST_ATTRIBUTES, LARGEST, Event, EventType, parse_event
from feature_store.folding import replay
from feature_store.ingest import IngestResult, ingest
from feature_store.online import OnlineStore
from feature_store.tables import entity_states, events
from feature_store.times import HOUR


def placed(number: int, customer: str = "C-1", **more: Any) -> Event:
    data = {"order_id": f"O-{number}", "customer_id": customer, "amount": 10.0 + number, "skus": ("S-1", "S-2"), "region": "east"}
    return Event(f"E-{number}", EventType.ORDER_PLACED, number * HOUR, number * HOUR, data | more)


def holds(engine: Engine, told: list[Event]) -> None:
    expected = replay(told)
    read = OnlineStore(engine).read(list(expected))
    assert {key: state.to_bytes() for key, state in read.items()} == {key: state.to_bytes() for key, state in expected.items()}
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == len(told)
        assert connection.execute(select(func.count()).select_from(entity_states)).scalar_one() == len(expected)


def test_the_same_content_is_a_duplicate_whenever_it_became_known(engine: Engine) -> None:
    first = placed(1)
    assert ingest(engine, [first]) == IngestResult(1, 0)
    later = replace(first, known_at=first.known_at + HOUR)
    assert ingest(engine, [later, placed(2), later]) == IngestResult(1, 2)
    holds(engine, [first, placed(2)])


@pytest.mark.parametrize(
    "changed",
    [
        placed(1, "C-2"),
        placed(1, device_id="D-1"),
        replace(placed(1), event_time=0),
        replace(placed(1), valid_from=HOUR),
        Event("E-1", EventType.RETURNED, HOUR, HOUR, {"order_id": "O-1", "customer_id": "C-1"}),
    ],
)
def test_another_content_under_a_known_id_changes_nothing_and_is_told(engine: Engine, changed: Event) -> None:
    assert ingest(engine, [placed(1)]) == IngestResult(1, 0)
    assert ingest(engine, [placed(2), changed, placed(1)]) == IngestResult(1, 1, (1,))
    assert ingest(engine, [placed(3), replace(changed, event_id="E-3"), placed(3)]).conflicts == (1,)
    holds(engine, [placed(1), placed(2), placed(3)])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 14), max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_however_events_are_batched_the_states_are_the_same(sqlite_engine: Engine, numbers: list[int], cuts: list[int]) -> None:
    with sqlite_engine.begin() as connection:
        connection.execute(delete(events))
        connection.execute(delete(entity_states))
    told = [placed(number, f"C-{number % 3}") for number in numbers]
    edges = [0, *sorted(min(cut, len(told)) for cut in cuts), len(told)]
    results = [ingest(sqlite_engine, told[a:b]) for a, b in itertools.pairwise(edges)]
    assert sum(result.accepted for result in results) == len(set(numbers))
    assert sum(result.accepted + result.duplicates for result in results) == len(numbers)
    holds(sqlite_engine, [placed(number, f"C-{number % 3}") for number in sorted(set(numbers))])


def test_the_same_batches_at_the_same_time_count_once(engine: Engine) -> None:
    told = [placed(number, f"C-{number % 4}") for number in range(60)]
    ready = threading.Barrier(4)

    def send(offset: int) -> int:
        ready.wait()
        turned = told[offset:] + told[:offset]
        return sum(ingest(engine, turned[at : at + 7]).accepted for at in range(0, len(turned), 7))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(send, (0, 13, 29, 44))) == len(told)
    holds(engine, told)


def test_a_batch_that_gave_way_to_another_transaction_is_taken_again(engine: Engine) -> None:
    asked = 0

    def also(_connection: Connection, _new: Sequence[Event]) -> None:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise OperationalError("UPDATE", None, GaveWay())

    assert ingest(engine, [placed(1)], also) == IngestResult(1, 0)
    assert asked == 3
    with pytest.raises(OperationalError):
        ingest(engine, [placed(2)], always_fails)
    assert ingest(engine, [placed(1), placed(2)]) == IngestResult(1, 1)


class GaveWay(Exception):
    """A deadlock that PostgreSQL resolved against us."""

    sqlstate = "40P01"


def always_fails(_connection: Connection, _new: Sequence[Event]) -> None:
    raise OperationalError("UPDATE", None, GaveWay())


def test_a_state_that_cannot_be_read_stays_and_everything_else_is_taken(engine: Engine) -> None:
    ingest(engine, [placed(1), placed(2, "C-2")])
    customer = EntityKey(Entity.CUSTOMER, "C-1")
    with engine.begin() as connection:
        connection.execute(update(entity_states).where(entity_states.c.key == customer.key).values(state=b"broken"))
    done = ingest(engine, [placed(3), placed(4, "C-2"), placed(1)])
    assert done == IngestResult(2, 1, (), (customer,))
    told = [placed(1), placed(2, "C-2"), placed(3), placed(4, "C-2")]
    expected = {key: state.to_bytes() for key, state in replay(told).items()}
    with engine.connect() as connection:
        rows = connection.execute(select(entity_states)).all()
    stored = {EntityKey(Entity(row.entity), row.key): bytes(row.state) for row in rows}
    assert stored == expected | {customer: b"broken"}
    rebuild(engine)
    holds(engine, told)


def test_the_largest_that_is_read_can_be_written(engine: Engine) -> None:
    """What reading lets through, no bound of the stored columns refuses: one such event would keep its whole batch out."""
    deep = orjson.loads('{"in":' * DEEPEST_ATTRIBUTES + "1" + "}" * DEEPEST_ATTRIBUTES)
    common = {"event_time": "1970-01-01T00:00:00Z", "known_at": "1970-01-01T00:00:00Z"}
    ends = {"valid_from": "1970-01-01T00:00:00Z", "valid_to": "9999-12-31T23:59:59.999Z"}
    told = [
        parse_event(one | common | {"event_id": f"E-{number}"}, HOUR)
        for number, one in enumerate(
            [
                *({"type": "order_placed", "order_id": f"O-{at}", "customer_id": "C-1", "amount": LARGEST, "qty": -LARGEST, "region": "east"} for at in range(400)),
                {"type": "weather", "region": "east", "severity": LARGEST, **ends},
                {"type": "stock_expected", "sku": "S-1", "node_id": "N-1", "qty": -LARGEST, **ends},
                {"type": "sku_listed", "sku": "S-1", "launch_at": "9999-12-31T23:59:59.999Z", "attributes": deep},
            ]
        )
    ]  # fmt: skip
    assert ingest(engine, told) == IngestResult(len(told), 0)
    holds(engine, told)
