"""Nothing counts before it is known, and nothing that is announced before it begins."""

from __future__ import annotations

import math
from typing import Any

import pytest

from feature_store.entities import NETWORK_KEY, Entity, EntityKey
from feature_store.events import FUTURE_SKEW, Event, EventType, parse_event
from feature_store.folding import KEEP_AHEAD, replay
from feature_store.network import read_network
from feature_store.order import Order
from feature_store.times import DAY, HOUR, MINUTE, SECOND, Millis, format_time, parse_time
from feature_store.views import build_snapshot, lane_snapshots

NOW = parse_time("2026-03-02T06:00:00Z")


def an_order(**changes: Any) -> Order:
    price = {"amount": "30.00", "currency": "CNY"}
    told = {
        "order_id": "O-own", "placed_at": format_time(NOW), "currency": "CNY", "promised_by": format_time(NOW + 3 * DAY),
        "customer": {"customer_id": "C-1"}, "ship_to": {"region": "east", "street": "Renmin Road 5"}, "device": {"device_id": "D-1", "ip": "100.64.0.1"},
        "lines": [{"line_id": "1", "sku": "S-1", "qty": 2, "unit_price": price}],
    }  # fmt: skip
    return Order.model_validate(told | changes)


def told(kind: EventType, at: Millis, /, *, known: Millis | None = None, valid_from: Millis | None = None, **data: Any) -> Event:
    return Event(f"{kind}-{at}-{known}-{valid_from}-{data}", kind, at, at if known is None else known, data, valid_from)


def of(kind: str, events: list[Event], as_of: Millis = NOW) -> dict[str, float]:
    snapshot = build_snapshot(kind, an_order(), replay(events), as_of)
    return dict(zip(snapshot.names, snapshot.values.tolist(), strict=True))


def outage_of(events: list[Event], as_of: Millis) -> tuple[float, float]:
    """Severity and hours left, as the one lane from node N1 sees them."""
    network = [
        told(EventType.NODE_STATUS, NOW - 9 * DAY, node_id="N1", region="east"),
        told(EventType.LANE_RATE, NOW - 9 * DAY, node_id="N1", region="east", service="std", transit_days=1),
    ]
    order, states = an_order(), replay([*network, *events])
    ((_, _, snapshot),) = lane_snapshots(order, read_network(order, states, as_of), states, as_of)
    values = dict(zip(snapshot.names, snapshot.values.tolist(), strict=True))
    return values["node_outage"], values["node_outage_h"]


@pytest.mark.parametrize("ahead", [-HOUR, 0, SECOND, FUTURE_SKEW])
def test_an_event_is_known_when_it_is_told_at_the_latest(ahead: Millis) -> None:
    """Another machine's clock may run ahead of ours: what it says is known in a minute we have been told now."""
    raw = {
        "event_id": "E-1", "type": "order_placed", "event_time": format_time(NOW - DAY), "known_at": format_time(NOW + ahead),
        "order_id": "O-1", "customer_id": "C-2", "amount": 10, "skus": ["S-1"],
    }  # fmt: skip
    event = parse_event(raw, NOW)
    assert event.known_at == min(NOW, NOW + ahead)
    assert of("fraud", [event])["sku_demand_share_2d"] == 1.0, "what is taken in counts in the next decision"


def test_an_announced_outage_begins_when_it_begins() -> None:
    announced = told(
        EventType.NODE_OUTAGE, NOW - DAY, known=NOW - HOUR, valid_from=NOW + 2 * HOUR, node_id="N1", severity=0.4, valid_to=NOW + 8 * HOUR
    )
    assert outage_of([announced], NOW) == (0.0, 0.0)
    assert outage_of([announced], NOW + 2 * HOUR - 1) == (0.0, 0.0)
    assert outage_of([announced], NOW + 2 * HOUR) == (0.4, 6.0)
    assert outage_of([announced], NOW + 8 * HOUR) == (0.0, 0.0)


def test_an_outage_does_not_count_before_it_is_known() -> None:
    late = told(EventType.NODE_OUTAGE, NOW - 5 * HOUR, known=NOW, node_id="N1", severity=0.4)
    assert outage_of([late], NOW - 1) == (0.0, 0.0)
    assert outage_of([late], NOW) == (0.4, 24.0)


def test_an_outage_without_an_end_does_not_take_that_of_an_earlier_one() -> None:
    over = told(EventType.NODE_OUTAGE, NOW - 3 * DAY, node_id="N1", severity=0.9, valid_to=NOW - 2 * DAY)
    lasting = told(EventType.NODE_OUTAGE, NOW - HOUR, node_id="N1", severity=0.3)
    assert outage_of([over, lasting], NOW) == (0.3, 24.0)
    elsewhere = told(EventType.NODE_OUTAGE, NOW - HOUR, node_id="N2", severity=0.8)
    assert outage_of([over, elsewhere], NOW) == (0.0, 0.0)


def test_an_outage_ends_when_somebody_says_so() -> None:
    begun = told(EventType.NODE_OUTAGE, NOW - 3 * HOUR, node_id="N1", severity=0.9)
    repaired = told(EventType.NODE_OUTAGE, NOW - HOUR, node_id="N1", severity=0.0)
    assert outage_of([begun], NOW) == (0.9, 24.0)
    assert outage_of([begun, repaired], NOW)[0] == 0.0


def hourly(told_at: Millis, hours: int, severity: float) -> list[Event]:
    """A forecast for so many hours from the full hour on."""
    first = told_at // HOUR * HOUR
    starts = [first + i * HOUR for i in range(hours)]
    return [told(EventType.WEATHER, told_at, valid_from=start, region="east", severity=severity, valid_to=start + HOUR) for start in starts]


def test_forecasts_that_are_told_again_and_again_leave_the_present_in_sight() -> None:
    """An office that tells every hour of the next week, four times a day."""
    events = [event for i in range(12) for event in hourly(NOW - 3 * DAY + i * 6 * HOUR, 168, i / 10)]
    found = of("acceptance", events)
    assert (found["weather_now"], found["weather_severity"]) == (1.1, 1.1), "of those that begin together the newest counts"
    weather = replay(events)[EntityKey(Entity.REGION, "east")].series("weather")
    assert weather is not None
    assert len(weather) == KEEP_AHEAD


def test_a_forecast_told_again_replaces_the_one_that_begins_with_it() -> None:
    storm = told(EventType.WEATHER, NOW - DAY, valid_from=NOW - HOUR, region="east", severity=0.9, valid_to=NOW + 9 * HOUR)
    shorter = told(EventType.WEATHER, NOW - 2 * HOUR, valid_from=NOW - HOUR, region="east", severity=0.5, valid_to=NOW + HOUR)
    for events in ([storm, shorter], [shorter, storm]):
        assert of("acceptance", events)["weather_now"] == 0.5
        assert of("acceptance", events, NOW + 2 * HOUR)["weather_now"] == 0.0
    assert EntityKey(Entity.NETWORK, NETWORK_KEY) not in replay([storm])


def test_an_account_is_as_old_as_its_registration_whatever_changed_since() -> None:
    opened = told(EventType.CUSTOMER_REGISTERED, NOW - 50 * DAY, customer_id="C-1", street="Renmin Road 5")
    moved = told(EventType.CUSTOMER_CHANGED, NOW - HOUR, customer_id="C-1", contact_changed=True)
    assert of("fraud", [opened, moved])["account_age_days"] == 50.0
    assert of("fraud", [opened, moved])["registered_street_difference"] == 0.0
    assert math.isnan(of("fraud", [moved])["account_age_days"]), "when it was opened nobody said"


def test_windows_end_at_the_decision_and_not_before_the_event() -> None:
    """An event a little ahead of our clock, as far as the skew allows, counts in windows once it has happened."""
    ahead = told(EventType.ORDER_PLACED, NOW + MINUTE, known=NOW, order_id="O-1", customer_id="C-1", amount=1, device_id="D-1")
    assert of("fraud", [ahead])["customer_orders_1d"] == 0.0
    assert of("fraud", [ahead], NOW + MINUTE)["customer_orders_1d"] == 1.0
