"""A value older than its ttl counts as never seen: in answers, in lanes and in training sets alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from feature_store.events import Event, EventType
from feature_store.folding import replay
from feature_store.network import Network, Node, Rate, read_network
from feature_store.offline import Archive, Request, training_set
from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.times import DAY, HOUR, Millis, format_time, parse_time
from feature_store.views import SERVICES, build_snapshot, lane_snapshots, snapshot_of
from feature_store.views.aggregations import of
from feature_store.views.definition import Dtype, Feature, FeatureService, Group, Unit
from feature_store.views.parts import Aggregate, How

NOW = parse_time("2026-03-02T06:00:00Z")

WITH_TTL = {
    "acceptance": (
        "likely_node_backlog_days", "likely_node_staffing", "likely_node_capacity_left", "likely_node_status", "likely_node_outage",
        "likely_node_outage_h", "weather_now", "weather_severity", "port_wait_days", "presale_supplier_load", "presale_supplier_delay_days",
        "stock_margin", "stock_cover", "nodes_in_stock", "likely_shipments", "customer_return_share_3", "customer_return_share",
        "customer_late_share_5", "amount_times_usual",
    ),
    "fraud": ("amount_times_usual",),
    "split-order": (
        "node_backlog_days", "node_staffing", "node_capacity_left", "node_status", "node_outage", "node_outage_h", "node_stock_margin",
        "weather_now", "weather_severity", "port_wait_days", "presale_supplier_load", "presale_supplier_delay_days",
    ),
}  # fmt: skip


def an_order(at: Millis = NOW) -> Order:
    line = {"line_id": "1", "sku": "S-1", "qty": 2, "unit_price": {"amount": "30.00", "currency": "CNY"}}
    told = {
        "order_id": "O-own", "placed_at": format_time(at), "currency": "CNY", "customer": {"customer_id": "C-1"}, "ship_to": {"region": "east"},
        "lines": [line | {"attributes": {"supplier_id": "SU-1"}}], "tags": ["presale", "cross_border"],
    }  # fmt: skip
    return Order.model_validate(told)


def event(kind: EventType, at: Millis, **data: Any) -> Event:
    return Event(f"{kind}-{at}-{data}", kind, at, at, data)


def told_at(at: Millis) -> list[Event]:
    """All that features with a ttl look at, told at one moment."""
    return [
        event(EventType.NODE_STATUS, at, node_id="N1", region="east", status="degraded", capacity=100, capacity_left=25, backlog=50, staffing=0.5),
        event(EventType.NODE_OUTAGE, at, node_id="N1", severity=0.4),
        event(EventType.LANE_RATE, at, node_id="N1", region="east", service="std", transit_days=1.5),
        event(EventType.STOCK_LEVEL, at, node_id="N1", sku="S-1", available=60, safety=10),
        event(EventType.SUPPLIER_STATUS, at, supplier_id="SU-1", open_orders=90, capacity=100, delay_days=4),
        event(EventType.WEATHER, at, region="east", severity=0.7),
        event(EventType.PORT_CONGESTION, at, region="east", severity=0.7, wait_days=3),
        event(EventType.ORDER_PLACED, at, order_id="O-1", customer_id="C-1", amount=20),
        event(EventType.DELIVERED, at, order_id="O-1", customer_id="C-1", node_id="N1", region="east", late=True),
    ]  # fmt: skip


def snapshot(decision_type: str, events: Sequence[Event], as_of: Millis) -> FeatureSnapshot:
    order, states = an_order(as_of), replay(events)
    if decision_type != "split-order":
        return build_snapshot(decision_type, order, states, as_of)
    ((_, _, found),) = lane_snapshots(order, read_network(order, states, as_of), states, as_of)
    return found


@pytest.mark.parametrize("decision_type", SERVICES)
def test_these_have_a_ttl(decision_type: str) -> None:
    assert {feature.name for feature in SERVICES[decision_type].features if feature.ttl is not None} == set(WITH_TTL[decision_type])


@pytest.mark.parametrize(("decision_type", "name"), [(kind, name) for kind, names in WITH_TTL.items() for name in names])
def test_a_value_holds_for_its_ttl_and_not_a_millisecond_longer(decision_type: str, name: str) -> None:
    feature = SERVICES[decision_type].feature(name)
    assert feature.ttl is not None
    at, events = SERVICES[decision_type].names.index(name), told_at(NOW - feature.ttl)
    fresh, stale = (snapshot(decision_type, events, as_of) for as_of in (NOW, NOW + 1))
    assert (fresh.origins[at], fresh.event_times[at]) == (Origin.STORE, NOW - feature.ttl)
    assert not math.isnan(fresh.values[at])
    assert (stale.origins[at], stale.event_times[at]) == (Origin.DEFAULT, None)
    assert stale.values[at] == feature.default or (math.isnan(stale.values[at]) and math.isnan(feature.default))


@pytest.mark.parametrize("decision_type", SERVICES)
def test_training_sets_forget_at_the_same_moment(decision_type: str, tmp_path: Path) -> None:
    ttls = sorted({feature.ttl for feature in SERVICES[decision_type].features if feature.ttl is not None})
    moments = [NOW + ttl + late for ttl in ttls for late in (0, 1)]
    events = told_at(NOW)
    archive = Archive(tmp_path / "archive")
    archive.add(events)
    lane = ("N1", "std") if decision_type == "split-order" else None
    requests = [Request(as_of, an_order(as_of), lane=lane) for as_of in moments]
    (batch,) = training_set(archive, SERVICES[decision_type].features, requests)
    online = [snapshot(decision_type, events, as_of) for as_of in moments]
    assert [batch.values[i].tobytes() for i in range(len(moments))] == [one.values.tobytes() for one in online]
    assert batch.event_times.tolist() == [[-1 if at is None else at for at in one.event_times] for one in online]


def test_a_planned_window_forgets_as_well(tmp_path: Path) -> None:
    """One that the plan computes together with others, and DuckDB as a column."""
    parts = [Aggregate(SERVICES["fraud"].feature("customer_orders").entity, "orders", how) for how in (How.COUNT, How.SUM)]  # type: ignore[arg-type]
    features = tuple(
        Feature(f"tried_{part.how}", Dtype.NUMBER, Unit.NONE, "tried out", "试一试", "TRIED", Group.BASKET, of(part), -1.0, ttl=ttl)
        for part, ttl in zip(parts, (HOUR, DAY), strict=True)
    )
    events, moments = told_at(NOW), (NOW + HOUR, NOW + HOUR + 1, NOW + DAY + 1)
    online = [snapshot_of(FeatureService("tried", features), an_order(at), replay(events), at).values.tolist() for at in moments]
    assert online == [[1.0, 20.0], [-1.0, 20.0], [-1.0, -1.0]]
    archive = Archive(tmp_path / "archive")
    archive.add(events)
    (batch,) = training_set(archive, features, [Request(at, an_order(at)) for at in moments])
    assert batch.values.tolist() == online


def test_what_the_request_tells_is_of_now() -> None:
    """An order placed long before it is decided, and nodes that a caller tells itself."""
    order = an_order(NOW).model_copy(update={"tags": ()})
    found = build_snapshot("acceptance", order, {}, NOW + 365 * DAY)
    at = found.names.index("presale_supplier_load")
    assert (found.values[at], found.origins[at]) == (0.0, Origin.REQUEST)
    node = Node("N1", "east", staffing=0.5, as_of=NOW - 365 * DAY)
    network = Network((node,), (), (Rate("N1", "east", "std", 1, 1, 1.0),), supplied=frozenset({"nodes", "rates"}))
    ((_, _, lane),) = lane_snapshots(order, network, {}, NOW)
    at = lane.names.index("node_staffing")
    assert (lane.values[at], lane.origins[at]) == (0.5, Origin.REQUEST)
