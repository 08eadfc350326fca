"""Recorded snapshots against raw events: equal when nothing went wrong, and every way in which something can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, delete, update

from feature_store import parity
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.gaps import Cause, note_gap, read_gaps
from feature_store.online import OnlineStore
from feature_store.order import Order
from feature_store.parity import Recorded, Told, Why, check
from feature_store.tables import events
from feature_store.times import DAY, HOUR, MINUTE, SECOND, Millis, format_time, parse_time
from feature_store.views import entity_keys

AT = parse_time("2026-11-11T08:00:00.000Z")
TYPES = ("acceptance", "fraud", "split-order")


def order(number: int = 1, **changes: Any) -> Order:
    told: dict[str, Any] = {
        "order_id": f"SO-{number}", "placed_at": format_time(AT), "currency": "CNY", "channel": "app", "tags": ["cross_border"],
        "promised_by": format_time(AT + 3 * DAY), "customer": {"customer_id": "C-1"},
        "ship_to": {"region": "east", "address_id": "A-1", "lat": 31.2, "lon": 121.5},
        "device": {"device_id": "D-1", "ip": "10.0.0.1"}, "payment": {"method": "card", "token": "P-1"},
        "lines": [{"line_id": "1", "sku": "SKU-1", "qty": 2, "unit_price": {"amount": "12.50", "currency": "CNY"}}],
    }  # fmt: skip
    return Order.model_validate(told | changes)


def event(number: int, kind: EventType, at: Millis, **data: Any) -> Event:
    return Event(f"e-{number}", kind, at, at, data)


def history(until: Millis = AT - MINUTE) -> list[Event]:
    """A shop in small: nodes, lanes, stock, and a customer who orders, receives and sends back."""
    told = [
        event(1, EventType.NODE_STATUS, AT - 9 * DAY, node_id="N1", region="east", status="open", lat=31.0, lon=121.0, capacity=100, backlog=20, staffing=0.9),
        event(2, EventType.LANE_RATE, AT - 9 * DAY, node_id="N1", region="east", service="std", fixed=5, per_kg=1, transit_days=1.5),
        event(3, EventType.STOCK_LEVEL, AT - 8 * DAY, node_id="N1", sku="SKU-1", available=30, safety=2),
        event(4, EventType.CUSTOMS_RULE, AT - 7 * DAY, region="east", strictness=0.4),
        event(5, EventType.WEATHER, AT - 2 * HOUR, region="east", severity=2.0),
    ]  # fmt: skip
    for i in range(8):
        at = until - (8 - i) * HOUR
        who = {
            "customer_id": "C-1" if i % 2 else "C-2",
            "device_id": "D-1",
            "address_id": "A-1",
            "payment_token": "P-1",
            "ip": "10.0.0.1",
            "region": "east",
        }
        told.append(event(10 + i, EventType.ORDER_PLACED, at, order_id=f"O-{i}", amount=10.0 + i, skus=("SKU-1",), **who))
        told.append(event(30 + i, EventType.PAYMENT_DECLINED, at + MINUTE, **who))
        told.append(event(50 + i, EventType.DELIVERED, at + 10 * MINUTE, order_id=f"O-{i}", node_id="N1", customer_id=who["customer_id"], region="east", service="std", skus=("SKU-1",), late=i % 3 == 0, delay_h=float(i)))  # fmt: skip
        if i % 4 == 1:
            told.append(
                event(70 + i, EventType.RETURNED, at + 20 * MINUTE, order_id=f"O-{i}", customer_id=who["customer_id"], skus=("SKU-1",))
            )
    return told


def decide(store: OnlineStore, decision_type: str, as_of: Millis = AT, number: int = 1, told: Told | None = None) -> Recorded:
    """What a decision would see and record."""
    one = Recorded(f"r-{decision_type}-{number}", decision_type, order(number), as_of, {}, told or Told())
    return replace(one, snapshots=parity.rebuild(one, store.read(entity_keys(one.order, decision_type))))


def test_what_was_recorded_comes_out_of_the_events_bit_by_bit(engine: Engine) -> None:
    store = OnlineStore(engine)
    store.ingest(history())
    first = [decide(store, kind) for kind in TYPES]
    store.ingest(
        [event(90, EventType.ORDER_PLACED, AT + HOUR, order_id="O-90", customer_id="C-1", device_id="D-1", region="east", amount=99.0)]
    )
    store.ingest([event(91, EventType.STOCK_LEVEL, AT + HOUR, node_id="N1", sku="SKU-1", available=1)])
    later = [decide(store, kind, AT + 2 * HOUR, 2) for kind in TYPES]
    report = check(engine, [*later, *first])
    assert (report.sampled, report.equal, report.differing, dict(report.not_comparable)) == (6, 6, 0, {})
    assert report.values == sum(len(s.names) for one in (*first, *later) for s in one.snapshots.values())
    assert all(one.differing == 0 for one in report.features)
    changed = {name for a, b in zip(first, later, strict=True) for name in _changed(a, b)}
    assert len(changed) > 5, "what happened in between counts for the later decisions alone"


def _changed(a: Recorded, b: Recorded) -> set[str]:
    return {name for lane in a.snapshots for name, x, y in zip(a.snapshots[lane].names, a.snapshots[lane].values, b.snapshots[lane].values, strict=True)
            if x.tobytes() != y.tobytes()}  # fmt: skip


@pytest.mark.parametrize("decision_type", TYPES)
def test_an_event_that_the_store_lost_is_found_and_named(sqlite_engine: Engine, decision_type: str) -> None:
    store = OnlineStore(sqlite_engine)
    store.ingest(history())
    one = decide(store, decision_type)
    with sqlite_engine.begin() as connection:
        connection.execute(delete(events).where(events.c.event_id.in_(["e-17", "e-37", "e-57", "e-5"])))
    report = check(sqlite_engine, [one])
    assert (report.equal, report.differing) == (0, 1)
    worst = report.features[0]
    assert worst.differing == 1
    assert worst.examples[0].record_id == one.record_id
    assert worst.examples[0].recorded != worst.examples[0].rebuilt


def test_a_single_bit_is_a_difference(sqlite_engine: Engine) -> None:
    store = OnlineStore(sqlite_engine)
    store.ingest(history())
    one = decide(store, "fraud")
    snapshot = one.snapshots[""]
    values = snapshot.values.copy()
    index = next(i for i, value in enumerate(values) if value != 0.0 and not np.isnan(value))
    values[index] = np.nextafter(values[index], np.inf)
    report = check(sqlite_engine, [replace(one, snapshots={"": replace(snapshot, values=values)})])
    assert [(it.name, it.differing) for it in report.features if it.differing] == [(snapshot.names[index], 1)]


def test_what_cannot_be_compared_is_never_counted_as_equal(sqlite_engine: Engine) -> None:
    store = OnlineStore(sqlite_engine)
    store.ingest(history())
    one = decide(store, "fraud")
    other = replace(one, snapshots={"": replace(one.snapshots[""], view_version="fraud-000000000000")})
    report = check(sqlite_engine, [one, other], unreadable=2)
    assert dict(report.not_comparable) == {Why.OTHER_VERSION: 1, Why.UNREADABLE: 2}
    assert (report.sampled, report.equal) == (4, 1)
    bounded = check(sqlite_engine, [one], max_events=3)
    assert (dict(bounded.not_comparable), bounded.equal, bounded.events) == ({Why.TOO_MANY_EVENTS: 1}, 0, 3)


def test_of_more_events_than_are_read_the_newest_are_compared(sqlite_engine: Engine) -> None:
    store, recent = OnlineStore(sqlite_engine), history()
    who = {"customer_id": "C-1", "device_id": "D-1", "address_id": "A-1", "region": "east", "amount": 5.0}
    store.ingest([event(300 + i, EventType.ORDER_PLACED, AT - 100 * DAY + i * HOUR, order_id=f"O-{300 + i}", **who) for i in range(5)])
    store.ingest(recent)
    one = decide(store, "fraud")
    report = check(sqlite_engine, [one], max_events=len(recent))
    assert (report.differing, report.events) == (0, len(recent))
    with sqlite_engine.begin() as connection:
        connection.execute(delete(events).where(events.c.event_id == "e-17"))
    lost = check(sqlite_engine, [one], max_events=len(recent) - 1)
    assert (lost.differing, lost.events) == (1, len(recent) - 1)


def test_history_that_was_loaded_as_states_is_said_to_be_missing(sqlite_engine: Engine) -> None:
    store = OnlineStore(sqlite_engine)
    store.ingest(history())
    one = decide(store, "acceptance")
    with sqlite_engine.begin() as connection:
        connection.execute(delete(events))
    assert check(sqlite_engine, [one]).differing == 1, "lost, as far as anybody knows"
    with sqlite_engine.begin() as connection:
        note_gap(connection, AT - MINUTE, Cause.LOADED)
    assert read_gaps(sqlite_engine).before == AT - MINUTE
    report = check(sqlite_engine, [one])
    assert dict(report.not_comparable) == {Why.BEFORE_EVENTS: 1}
    assert (report.equal, report.differing) == (0, 0)


def test_decisions_before_a_late_load_are_excused_and_later_ones_are_not(sqlite_engine: Engine) -> None:
    store = OnlineStore(sqlite_engine)
    told = history()
    store.ingest(told[:-4])
    before = decide(store, "fraud")
    store.ingest(told[-4:])  # a file of history, an hour later
    with sqlite_engine.begin() as connection:
        note_gap(connection, AT + HOUR, Cause.LATE)
    after = decide(store, "fraud", AT + 2 * HOUR, 2)
    report = check(sqlite_engine, [before, after])
    assert (report.equal, report.differing, dict(report.not_comparable)) == (1, 0, {Why.CHANGED_LATER: 1})
    with sqlite_engine.begin() as connection:
        connection.execute(delete(events).where(events.c.event_id == "e-37"))
    assert check(sqlite_engine, [after]).differing == 1


@pytest.mark.parametrize(
    ("apart", "excused"), [(parity.AT_ONCE // 2, True), (-parity.AT_ONCE // 2, True), (30 * SECOND, False), (-30 * SECOND, False)]
)
def test_only_what_came_in_the_same_moment_is_excused(sqlite_engine: Engine, apart: Millis, excused: bool) -> None:
    """The decision did not see a placed order that is stamped just before it, or saw one stamped just after."""
    store = OnlineStore(sqlite_engine)
    store.ingest(history())
    unseen = event(95, EventType.ORDER_PLACED, AT + apart, order_id="O-95", customer_id="C-1", device_id="D-1", region="east", amount=5.0)
    if apart > 0:  # as if the store had counted it already
        store.ingest([replace(unseen, event_time=AT - SECOND, known_at=AT - SECOND)])
        one = decide(store, "fraud")
        with sqlite_engine.begin() as connection:
            connection.execute(update(events).where(events.c.event_id == "e-95").values(known_at=AT + apart))
    else:
        one = decide(store, "fraud")
        store.ingest([unseen])
    report = check(sqlite_engine, [one])
    assert (report.differing, dict(report.not_comparable)) == ((0, {Why.AT_ONCE: 1}) if excused else (1, {}))


def test_another_entity_s_event_excuses_nothing(sqlite_engine: Engine) -> None:
    store = OnlineStore(sqlite_engine)
    store.ingest(history())
    one = decide(store, "fraud")
    store.ingest([event(96, EventType.SKU_LISTED, AT, sku="SKU-9", price=3.0)])
    with sqlite_engine.begin() as connection:
        connection.execute(delete(events).where(events.c.event_id == "e-17"))
    assert check(sqlite_engine, [one]).differing == 1


def test_pages_of_events_are_read_whole_and_others_get_their_turn(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "PAGE", 4)
    store = OnlineStore(sqlite_engine)
    same = [event(200 + i, EventType.SKU_LISTED, AT - 5 * DAY, sku=f"SKU-{i}") for i in range(11)]
    store.ingest([*history(), *same])
    read = list(parity.told(sqlite_engine, until=AT))
    assert len(read) == len(history()) + 11
    assert [one.known_at for one in read] == sorted(one.known_at for one in read)
    turns: list[int] = []
    assert check(sqlite_engine, [decide(store, "fraud")], rest=lambda: turns.append(1)).equal == 1
    assert len(turns) == len(read) // 4


def test_a_report_survives_json(sqlite_engine: Engine) -> None:
    store = OnlineStore(sqlite_engine)
    store.ingest(history())
    one = decide(store, "split-order")
    store.load_states({EntityKey(Entity.NETWORK, "all"): store.read([EntityKey(Entity.NETWORK, "all")])[EntityKey(Entity.NETWORK, "all")]})
    report = check(sqlite_engine, [one, decide(store, "fraud")])
    assert parity.from_json(parity.to_json(report)) == report
