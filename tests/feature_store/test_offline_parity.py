"""The same events through both paths: what is answered online and what is learnt from offline are the same bits."""

from __future__ import annotations

import random
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_store.database import make_engine
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import apply
from feature_store.network import read_network
from feature_store.offline import Archive, Batch, Request, training_set
from feature_store.online import OnlineStore
from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot
from feature_store.state import EntityState
from feature_store.tables import metadata
from feature_store.times import DAY, HOUR, MINUTE, SECOND, Millis, format_time, parse_time
from feature_store.views import SERVICES, build_snapshot, lane_snapshots
from feature_store.views.aggregations import of, ratio
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Unit, settle
from feature_store.views.parts import Aggregate, Fact, Forecast, How
from feature_store.views.situation import Own, Situation, keys_of
from training.world import SimulatedOrder, simulate

START = parse_time("2026-03-02T22:00:00Z")
_E, _T = Entity, EventType


def feature(name: str, calculation: Calculation, default: float = float("nan"), ttl: Millis | None = None) -> Feature:
    return Feature(name, Dtype.NUMBER, Unit.NONE, "a number of the test", "测试", "TEST", Group.BASKET, calculation, default, ttl=ttl)


def _every_way() -> tuple[Feature, ...]:
    """Every way of aggregating, in every kind of window, over one entity, several and pairs."""
    windows: list[dict[str, Any]] = [{}, {"within": 2 * SECOND}, {"within": HOUR, "lag": SECOND}, {"last": 2}, {"within": DAY, "last": 3}]
    parts = [
        Aggregate(_E.CUSTOMER, "orders", how, **window)
        for how in (How.COUNT, How.SUM, How.MIN, How.MAX, How.LAST, How.SINCE)
        for window in windows
    ]
    parts += [Aggregate(_E.CUSTOMER, "orders", How.MEAN, prior=0.3, weight=weight, **window) for weight in (0.0, 2.5) for window in windows]
    parts += [Aggregate(_E.DEVICE, "orders", How.DISTINCT, own=own, **window) for own in (None, Own.CUSTOMER) for window in windows]
    parts += [Aggregate(_E.CUSTOMER, "devices", How.UNSEEN, own=Own.DEVICE, **window) for window in windows]
    parts += [Aggregate(_E.CUSTOMER, "delivered", How.SHARE, having="returned", prior=0.1, weight=1.5, **window) for window in windows]
    parts += [
        Aggregate(_E.CUSTOMER_DEVICE, "orders", How.COUNT),
        Aggregate(_E.SKU, "prices", How.LAST, least=True),
        Aggregate(_E.SKU, "prices", How.COUNT),
    ]
    for lag in (0, DAY):
        for within in (DAY, 3 * DAY):
            parts += [Aggregate(_E.SKU, "delivered", how, within, lag, least=how is How.SUM) for how in (How.COUNT, How.SUM, How.MEAN)]
            parts.append(Aggregate(_E.SKU, "delivered", How.SHARE, within, lag, having="returned", prior=0.05, weight=20.0))
    made = [feature(f"way_{n}", of(part), float(n % 3), ttl=HOUR if n % 4 == 0 else None) for n, part in enumerate(parts)]
    made.append(feature("ratio", ratio(Aggregate(_E.CUSTOMER, "orders", How.SUM), Aggregate(_E.DEVICE, "orders", How.COUNT))))
    made.append(feature("price", of(Fact(_E.SKU, "listing", "price"))))
    made.append(feature("weather", of(Forecast(_E.REGION, "weather", (0, DAY)))))
    return tuple(made)


EVERY_WAY = _every_way()


def an_order(number: int, customer: str, device: str, skus: Sequence[str], at: Millis) -> Order:
    lines = [
        {"line_id": str(i), "sku": sku, "qty": 1 + i, "unit_price": {"amount": "30.50", "currency": "CNY"}} for i, sku in enumerate(skus)
    ]
    return Order.model_validate(
        {
            "order_id": f"O-{number}", "placed_at": format_time(at), "currency": "CNY", "promised_by": format_time(at + DAY),
            "customer": {"customer_id": customer}, "ship_to": {"region": "east", "address_id": "A-1"}, "device": {"device_id": device, "ip": "100.64.0.1"},
            "lines": lines, "tags": ["presale", "cross_border"],
        }
    )  # fmt: skip


_moments = st.one_of(
    st.integers(0, 4).map(lambda s: START + s * SECOND),  # many within the same second
    st.integers(0, 5 * 24 * 60).map(lambda m: START + m * MINUTE),
)
_delays = st.sampled_from([0, 0, 0, SECOND, HOUR, 2 * DAY, -MINUTE])  # the last: a clock that is ahead
_customers, _devices, _skus = st.sampled_from(["C-1", "C-2"]), st.sampled_from(["D-1", "D-2"]), st.sampled_from(["S-1", "S-2", "S-3"])
_numbers = st.integers(1, 12)
_amounts = st.integers(0, 10**7).map(lambda cents: cents / 100)


@st.composite
def _told(draw: st.DrawFn) -> tuple[EventType, Millis, Millis, dict[str, Any]]:
    kind = draw(
        st.sampled_from(
            [_T.ORDER_PLACED] * 4
            + [_T.DELIVERED, _T.RETURNED, _T.SKU_LISTED, _T.PRICE_CHANGED, _T.WEATHER, _T.CHARGEBACK, _T.PAYMENT_DECLINED]
        )
    )
    at = draw(_moments)
    party = {"customer_id": draw(_customers), "device_id": draw(_devices), "ip": "100.64.0.1"}
    order = {"order_id": f"O-{draw(_numbers)}"}
    skus = {"skus": tuple(draw(st.lists(_skus, min_size=1, max_size=2)))}
    data: dict[EventType, dict[str, Any]] = {
        _T.ORDER_PLACED: {**order, **party, **skus, "amount": draw(_amounts), "region": "east"},
        _T.DELIVERED: {
            **order,
            **skus,
            "customer_id": party["customer_id"],
            "node_id": "N-1",
            "region": "east",
            "late": draw(st.booleans()),
        },
        _T.RETURNED: {**order, **skus, "customer_id": party["customer_id"]},
        _T.SKU_LISTED: {"sku": draw(_skus), "price": draw(_amounts)},
        _T.PRICE_CHANGED: {"sku": draw(_skus), "price": draw(_amounts)},
        _T.WEATHER: {"region": "east", "severity": draw(st.integers(0, 4)), "valid_to": at + DAY},
        _T.CHARGEBACK: {**order, **party, "amount": draw(_amounts)},
        _T.PAYMENT_DECLINED: {"payment_token": "T-1", **party, "amount": draw(_amounts)},
    }
    return kind, at, at + draw(_delays), data[kind]


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[Event], list[Order]]:
    """Events in the order in which they are told, and orders at moments of their own."""
    told = draw(st.lists(_told(), max_size=60))
    events = [Event(f"E-{n}", kind, at, known, data) for n, (kind, at, known, data) in enumerate(told)]
    orders = [
        an_order(
            draw(_numbers), draw(_customers), draw(_devices), draw(st.lists(_skus, min_size=1, max_size=3)), draw(_moments) + draw(_delays)
        )
        for _ in range(draw(st.integers(1, 8)))
    ]
    return draw(st.permutations(events)), orders


def online(events: Sequence[Event], orders: Sequence[Order], features: Sequence[Feature]) -> list[tuple[bytes, list[int]]]:
    """Each order's values and event times, by the store and the code that answer requests; orders by their moment."""
    rows: list[tuple[bytes, list[int]]] = []
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/online.db")
        metadata.create_all(engine)
        store = OnlineStore(engine)
        taken: set[str] = set()
        for order in orders:
            due = [event for event in events if event.known_at <= order.placed_at and event.event_id not in taken]
            for at in range(0, len(due), 7):
                store.ingest(due[at : at + 7])
            taken |= {event.event_id for event in due}
            keys = [EntityKey(entity, key) for entity in Entity for key in keys_of(order, entity)]
            rows.append(_row(features, order, store.read(keys)))
        engine.dispose()
    return rows


def _row(features: Sequence[Feature], order: Order, states: dict[EntityKey, EntityState]) -> tuple[bytes, list[int]]:
    situation = Situation(order, states, order.placed_at)
    settled = [settle(one, one.calculation.run(situation), order.placed_at) for one in features]
    return np.array([one[0] for one in settled]).tobytes(), [-1 if one[1] is None else one[1] for one in settled]


def offline(events: Sequence[Event], orders: Sequence[Order], features: Sequence[Feature], rows: int = 3) -> list[Batch]:
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder), segment=max(1, len(events) // 2))
        archive.add(events)
        return list(training_set(archive, features, [Request(order.placed_at, order) for order in orders], rows=rows))


def assert_same(features: Sequence[Feature], expected: Sequence[tuple[bytes, list[int]]], batches: Sequence[Batch]) -> None:
    values = np.concatenate([batch.values for batch in batches])
    times = np.concatenate([batch.event_times for batch in batches])
    assert len(values) == len(expected)
    for i, (raw, at) in enumerate(expected):
        wanted = np.frombuffer(raw)
        for j, one in enumerate(features):
            assert (values[i, j].tobytes(), times[i, j]) == (wanted[j].tobytes(), at[j]), (
                f"row {i}: {one.name}: {one.definition}: online {wanted[j]} {at[j]}, offline {values[i, j]} {times[i, j]}"
            )


def _same_bits(history: tuple[list[Event], list[Order]]) -> None:
    events, orders = history
    orders.sort(key=lambda order: order.placed_at)
    assert_same(EVERY_WAY, online(events, orders, EVERY_WAY), offline(events, orders, EVERY_WAY))


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(_histories())
def test_both_paths_give_the_same_bits_in_every_way_of_aggregating(history: tuple[list[Event], list[Order]]) -> None:
    _same_bits(history)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_histories())
def test_both_paths_give_the_same_bits_whatever_happens_and_arrives_when(history: tuple[list[Event], list[Order]]) -> None:
    _same_bits(history)


def test_hot_keys_forget_the_same_items_in_both_paths() -> None:
    """Far more items than are kept, many in the same second, many known late: what is held at a moment must not differ by one item."""
    chance = random.Random(7)
    events = []
    for n in range(1500):
        at = START + chance.choice([chance.randrange(5) * SECOND, chance.randrange(3 * 24 * 60) * MINUTE])
        known = at + chance.choice([0, 0, SECOND, HOUR, DAY])
        party = {"customer_id": chance.choice(["C-1", "C-2"]), "device_id": "D-1"}
        events.append(
            Event(
                f"E-{n}",
                _T.ORDER_PLACED,
                at,
                known,
                {"order_id": f"O-{chance.randrange(400)}", **party, "amount": chance.randrange(10**8) / 100},
            )
        )
    orders = [an_order(n, "C-1", "D-1", ["S-1"], START + n * 11 * HOUR + 2 * SECOND) for n in range(7)]
    chance.shuffle(events)
    features = [
        one for one in EVERY_WAY if {source[0] for source in one.calculation.sources} <= {_E.CUSTOMER, _E.DEVICE, _E.CUSTOMER_DEVICE}
    ]
    assert_same(features, online(events, orders, features), offline(events, orders, features))


def _played(count: int) -> tuple[list[Event], list[SimulatedOrder]]:
    items = list(simulate(count, seed=11).stream())
    return [item for item in items if isinstance(item, Event)], [item for item in items if isinstance(item, SimulatedOrder)]


@pytest.mark.slow
@pytest.mark.parametrize("decision_type", SERVICES)
def test_every_feature_of_every_service_is_the_same_on_a_simulated_world(decision_type: str) -> None:
    events, simulated = _played(400)
    service = SERVICES[decision_type]
    asked: list[Request] = []
    expected: list[tuple[bytes, list[int]]] = []
    states: dict[EntityKey, EntityState] = {}
    due = deque(sorted(events, key=lambda event: event.known_at))
    for one in sorted(simulated, key=lambda one: one.placed_at):
        as_of = one.placed_at
        while due and due[0].known_at <= as_of:
            apply(states, due.popleft())
        for snapshot, lane in _answered(decision_type, one.order, states, as_of):
            expected.append((snapshot.values.tobytes(), [-1 if at is None else at for at in snapshot.event_times]))
            asked.append(Request(as_of, one.order, lane=lane))
    random.Random(1).shuffle(events)
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder))
        archive.add(events)
        batches = list(training_set(archive, service.features, asked, rows=1000))
    assert_same(service.features, expected, batches)
    assert sum(int((batch.event_times >= 0).sum()) for batch in batches) > len(asked) * 5, "the world has to have a history"


def _answered(
    decision_type: str, order: Order, states: dict[EntityKey, EntityState], as_of: Millis
) -> list[tuple[FeatureSnapshot, tuple[str, str] | None]]:
    if decision_type != "split-order":
        return [(build_snapshot(decision_type, order, states, as_of), None)]
    lanes = lane_snapshots(order, read_network(order, states, as_of), states, as_of)
    return [(snapshot, (node, service)) for node, service, snapshot in lanes[::5]]
