"""The network of an order: as the store knows it, as the request tells it."""

from __future__ import annotations

import pytest

from feature_store.entities import EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import apply, replay
from feature_store.network import Network, Node, Rate, Stock, network_from_request, next_cutoff, read_network
from feature_store.order import Order
from feature_store.state import EntityState
from feature_store.times import DAY, HOUR, parse_time

NOW = parse_time("2026-03-02T06:00:00Z")  # two in the afternoon in China


def an_order(*skus: str) -> Order:
    price = {"amount": "10", "currency": "CNY"}
    lines = [{"line_id": str(i), "sku": sku, "qty": 1, "unit_price": price} for i, sku in enumerate(skus or ("S-1",))]
    return Order.model_validate(
        {
            "order_id": "O-1",
            "placed_at": "2026-03-02T06:00:00Z",
            "currency": "CNY",
            "customer": {"customer_id": "C-1"},
            "ship_to": {"region": "east"},
            "lines": lines,
        }
    )


def told(kind: EventType, at: int, **data: object) -> Event:
    return Event(f"{kind}-{at}-{data}", kind, at, at, data)


@pytest.fixture
def states() -> dict[EntityKey, EntityState]:
    return replay(
        [
            told(
                EventType.NODE_STATUS,
                NOW - DAY,
                node_id="N2",
                region="east",
                cutoff_hour=16,
                processing_cost=1.5,
                capacity_left=40.0,
                backlog=20,
                capacity=100,
            ),
            told(EventType.NODE_STATUS, NOW - HOUR, node_id="N2", status="down", staffing=0.5),
            told(EventType.NODE_STATUS, NOW - HOUR, node_id="N1", region="west", temp_classes=("ambient",), cutoff_hour=10),
            told(EventType.STOCK_LEVEL, NOW - 2 * HOUR, node_id="N1", sku="S-1", available=5, safety=2),
            told(EventType.STOCK_LEVEL, NOW - 3 * HOUR, node_id="N1", sku="S-2", available=9),
            told(
                EventType.LANE_RATE,
                NOW - DAY,
                node_id="N1",
                region="east",
                service="std",
                fixed=6.0,
                per_kg=1.255,
                transit_days=2,
                co2e_g_per_kg=40,
                carrier="X",
            ),
            told(EventType.LANE_RATE, NOW - DAY, node_id="N1", region="west", service="std", fixed=1.0, transit_days=1),
        ]
    )


def test_the_network_is_read_from_the_states(states: dict[EntityKey, EntityState]) -> None:
    network = read_network(an_order("S-1", "S-1", "S-3"), states, NOW)
    assert [node.node_id for node in network.nodes] == ["N1", "N2"]
    closed = network.node["N2"]
    assert (closed.status, closed.ships, closed.staffing, closed.processing_cost_micros, closed.capacity_left) == (
        "down",
        False,
        0.5,
        1_500_000,
        40,
    )
    assert closed.cutoff_at == parse_time("2026-03-02T08:00:00Z")
    assert network.stock == (Stock("N1", "S-1", 5, 2, NOW - 2 * HOUR),)
    assert network.usable == {("N1", "S-1"): 3}
    assert network.rates == (Rate("N1", "east", "std", 6_000_000, 1_255_000, 2.0, 40.0, "X", NOW - DAY),)
    assert network.lanes("east") == network.rates
    assert network.ages == {"nodes": 3600.0, "stock": 7200.0, "rates": 86400.0}


def test_reading_again_sees_what_was_told_in_between(states: dict[EntityKey, EntityState]) -> None:
    assert read_network(an_order(), states, NOW).node["N1"].status == "open"
    apply(states, told(EventType.NODE_STATUS, NOW, node_id="N1", status="degraded"))
    assert read_network(an_order(), states, NOW).node["N1"].status == "degraded"
    assert read_network(an_order(), states, NOW + 3 * HOUR).node["N2"].cutoff_at == parse_time("2026-03-03T08:00:00Z")


def test_nothing_is_known_before_it_was_told(states: dict[EntityKey, EntityState]) -> None:
    assert read_network(an_order(), states, NOW - 2 * DAY) == Network()
    assert read_network(an_order(), {}, NOW) == Network()


@pytest.mark.parametrize(
    ("hour", "now", "expected"),
    [
        (16, "2026-03-02T07:59:00Z", "2026-03-02T08:00:00Z"),
        (16, "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z"),
        (16, "2026-03-02T08:00:00.001Z", "2026-03-03T08:00:00Z"),
        (7.5, "2026-03-01T23:00:00Z", "2026-03-01T23:30:00Z"),
    ],
)
def test_the_next_cut_off_is_by_the_clock_of_china(hour: float, now: str, expected: str) -> None:
    assert next_cutoff(hour, parse_time(now)) == parse_time(expected)


@pytest.mark.parametrize(("cutoff", "hours"), [(None, 0.0), (NOW + HOUR, 0.0), (NOW, 0.0), (NOW - HOUR, 18.0), (NOW + DAY, 18.0)])
def test_after_the_cut_off_work_begins_the_next_morning(cutoff: int | None, hours: float) -> None:
    assert Node("N1", "east", cutoff_at=cutoff).wait_h(NOW) == hours


def test_a_node_without_temperature_classes_handles_all() -> None:
    assert Node("N1", "east").handles("chilled")
    assert not Node("N1", "east", temp_classes=("ambient",)).handles("chilled")
    assert Node("N1", "east", temp_classes=("ambient",)).handles(None)


def test_usable_stock_is_never_negative() -> None:
    assert Stock("N1", "S-1", available=2, safety=5).usable == 0


def test_a_request_replaces_the_parts_that_it_tells(states: dict[EntityKey, EntityState]) -> None:
    stored = read_network(an_order(), states, NOW)
    own = (Node("N9", "east"), Node("N8", "east"))
    lanes = (Rate("N9", "east", "std", 1, 1, 1.0), Rate("N9", "east", "express", 1, 1, 1.0), Rate("N7", "east", "std", 1, 1, 1.0))
    network = network_from_request(NOW, stored, own, None, lanes)
    assert [node.node_id for node in network.nodes] == ["N8", "N9"]
    assert network.stock == stored.stock
    assert [(lane.node_id, lane.service) for lane in network.lanes("east")] == [("N9", "express"), ("N9", "std")], "N7 is no node"
    assert network.supplied == {"nodes", "rates"}
    assert network.ages == {"stock": 7200.0}
    assert network_from_request(NOW, stored, None, None, None) == stored
