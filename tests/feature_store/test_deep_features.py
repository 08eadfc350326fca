"""The features that the field names, each by an example that can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from feature_store.calendar import days_to_spring_festival, local_day, spring_festival_of, to_date
from feature_store.entities import Entity
from feature_store.events import Event, EventType
from feature_store.folding import replay
from feature_store.network import read_network
from feature_store.order import Order
from feature_store.times import DAY, HOUR, MINUTE, format_time, parse_time
from feature_store.views import SERVICES, build_snapshot, lane_snapshots
from feature_store.views.definition import Scope

NOW = parse_time("2026-03-02T06:00:00Z")
"""A Monday, 14:00 in China; no holiday is near."""


def an_order(**changes: Any) -> Order:
    line = {"line_id": "1", "sku": "S-1", "qty": 2, "unit_price": {"amount": "30.00", "currency": "CNY"}, "weight_g": 500}
    order = {
        "order_id": "O-own",
        "placed_at": format_time(NOW),
        "currency": "CNY",
        "promised_by": format_time(NOW + 3 * DAY),
        "customer": {"customer_id": "C-1"},
        "ship_to": {"region": "east", "address_id": "A-1", "lat": 31.0, "lon": 121.0, "street": "Renmin Road 5, room 12"},
        "bill_to": {"address_id": "A-9", "street": "Renmin Road 5, Rm 13"},
        "device": {"device_id": "D-1", "ip": "100.64.0.1"},
        "payment": {"token": "T-1"},
        "lines": [line | {"attributes": {"supplier_id": "SU-1"}}],
    }
    return Order.model_validate(order | changes)


def told(kind: EventType, at: int, /, valid_from: int | None = None, **data: Any) -> Event:
    return Event(f"{kind}-{at}-{data}", kind, at, at, data, valid_from=valid_from)


def placed(number: int, at: int, **data: Any) -> Event:
    said: dict[str, Any] = {
        "order_id": f"O-{number}",
        "customer_id": "C-2",
        "amount": 100,
        "qty": 3,
        "device_id": "D-2",
        "address_id": "A-1",
    }
    return told(EventType.ORDER_PLACED, at, **(said | {"payment_token": "T-1", "ip": "100.64.0.1"} | data))


def of(kind: str, events: Sequence[Event], order: Order | None = None, as_of: int = NOW) -> dict[str, float]:
    snapshot = build_snapshot(kind, order or an_order(), replay(events), as_of)
    return dict(zip(snapshot.names, snapshot.values.tolist(), strict=True))


def node(**data: Any) -> Event:
    said: dict[str, Any] = {
        "node_id": "N1",
        "region": "east",
        "lat": 31.0,
        "lon": 120.0,
        "capacity": 100,
        "capacity_left": 25,
        "backlog": 50,
        "staffing": 1.0,
    }
    return told(EventType.NODE_STATUS, NOW - HOUR, **(said | {"processing_h": 5, "cutoff_hour": 18} | data))


def rate(days: int = 40, **data: Any) -> Event:
    said: dict[str, Any] = {"node_id": "N1", "region": "east", "service": "std", "fixed": 5, "per_kg": 1, "transit_days": 1.5}
    return told(EventType.LANE_RATE, NOW - days * DAY, **(said | data))


def stock(available: int, safety: int = 10) -> Event:
    return told(EventType.STOCK_LEVEL, NOW - HOUR, node_id="N1", sku="S-1", available=available, safety=safety)


NETWORK = (node(), rate(), stock(60))


@pytest.mark.parametrize(("kind", "least"), [("acceptance", 40), ("fraud", 40), ("split-order", 40)])
def test_each_type_is_looked_at_deeply(kind: str, least: int) -> None:
    assert least <= len(SERVICES[kind].names) <= 60
    assert len({feature.group for feature in SERVICES[kind].features}) >= 9


@pytest.mark.parametrize("language", ["en", "zh"])
def test_labels_tell_features_apart_and_begin_a_sentence(language: str) -> None:
    for service in SERVICES.values():
        labels = [feature.meaning[language] for feature in service.features]
        assert len(set(labels)) == len(labels)
        assert not [label for label in labels if label.endswith((".", "。", ":", "："))]


def test_only_what_the_buyer_or_we_could_change_is_actionable() -> None:
    for service in SERVICES.values():
        for feature in service.features:
            history = {entity for entity, _ in feature.calculation.sources} - {Entity.NETWORK, Entity.REGION, Entity.SUPPLIER, Entity.SKU}
            assert not (feature.actionable and history), "nobody can change what has happened"


def test_velocities_count_per_device_card_address_and_ip() -> None:
    events = [
        placed(1, NOW - 20 * MINUTE, billed_elsewhere=True),
        placed(2, NOW - 5 * HOUR, customer_id="C-3", device_id="D-1", billed_elsewhere=False),
        placed(3, NOW - 3 * DAY, ip="100.64.0.9", address_id="A-5", customer_id="C-4"),
        told(EventType.PAYMENT_DECLINED, NOW - 10 * MINUTE, payment_token="T-1", ip="100.64.0.1", customer_id="C-2", device_id="D-1"),
        told(EventType.PAYMENT_DECLINED, NOW - 9 * MINUTE, payment_token="T-7", ip="100.64.0.1", customer_id="C-2"),
    ]
    found = of("fraud", events)
    expected = {
        "ip_orders_1h": 1, "ip_customers_1d": 2, "ip_devices_1d": 1, "ip_spent_1h": 100, "ip_pieces_1h": 3, "ip_billed_elsewhere_1d": 1,
        "ip_declines_1h": 2, "ip_declined_cards_1h": 1, "device_orders_1h": 0, "device_customers_30d": 1, "device_spent_1d": 100,
        "address_orders_1d": 2, "address_devices_30d": 1, "address_spent_1d": 200, "address_billed_elsewhere_1d": 1,
        "card_customers_30d": 3, "card_orders_1d": 2, "card_declines_1d": 1, "customer_orders": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_accounts_at_an_address_are_counted_from_their_registration_on() -> None:
    def registered(customer: str, days: int) -> Event:
        return told(EventType.CUSTOMER_REGISTERED, NOW - days * DAY, customer_id=customer, address_id="A-1", street="Wenhua Street 7")

    found = of("fraud", [registered("C-1", 50), registered("C-2", 20), registered("C-3", 3)])
    assert (found["address_accounts"], found["address_accounts_14d"], found["account_age_days"]) == (2, 1, 50)
    assert found["registered_street_difference"] > 0.5


def test_a_billing_street_that_looks_alike_is_seen() -> None:
    alike = of("fraud", [])["billing_street_difference"]
    assert 0 < alike < 0.4
    other = an_order(bill_to={"address_id": "A-9", "street": "Zhongshan Road 301, building 4, room 2207"})
    assert of("fraud", [], other)["billing_street_difference"] > 0.6
    assert of("fraud", [], an_order(bill_to={"address_id": "A-1"}))["billing_street_difference"] == 0.0
    assert math.isnan(of("fraud", [], an_order(bill_to={"address_id": "A-9"}))["billing_street_difference"])


def test_an_unusual_basket_is_measured_by_the_customers_own_orders() -> None:
    usual = [placed(i, NOW - i * DAY, customer_id="C-1", amount=20) for i in (1, 2)]
    assert of("fraud", usual)["amount_times_usual"] == 3.0
    assert math.isnan(of("fraud", [])["amount_times_usual"])


def test_a_discount_is_taken_off_the_listed_price() -> None:
    listed = told(EventType.SKU_LISTED, NOW - DAY, sku="S-1", price=40, category="fashion")
    assert of("acceptance", [listed])["discount"] == pytest.approx(0.25)
    dearer = told(EventType.SKU_LISTED, NOW - DAY, sku="S-1", price=20)
    assert of("acceptance", [dearer])["discount"] == 0.0


def test_a_run_on_an_item_shows_in_its_share_of_two_weeks() -> None:
    events = [placed(i, NOW - i * HOUR, skus=("S-1",)) for i in range(1, 4)] + [placed(9, NOW - 10 * DAY, skus=("S-1",))]
    assert of("fraud", events)["sku_demand_share_2d"] == 0.75


def test_the_reserve_takes_off_all_that_is_announced() -> None:
    found = of("acceptance", NETWORK)
    assert found["likely_slack_h"] == 72 - 5 - 36
    assert found["likely_reserve_h"] == 72 - 5 - 36 - 16 * 0.5
    rule = told(EventType.CUSTOMS_RULE, NOW - DAY, valid_from=NOW - DAY, region="east", strictness=0.5, clearance_h=20)
    late = told(EventType.SUPPLIER_STATUS, NOW - DAY, supplier_id="SU-1", open_orders=90, capacity=100, delay_days=1)
    listed = told(EventType.SKU_LISTED, NOW - DAY, sku="S-1", presale=True, lead_days=2)
    both = of("acceptance", [*NETWORK, rule, late, listed], an_order(tags=["cross_border", "presale"]))
    assert both["likely_reserve_h"] == found["likely_reserve_h"] - 20 - 24 * 3
    assert (both["presale_lead_days"], both["presale_supplier_delay_days"], both["customs_clearance_h"]) == (2, 1, 20)


def test_a_missed_cutoff_means_waiting_for_the_morning() -> None:
    assert of("acceptance", NETWORK)["likely_cutoff_wait_h"] == 0
    missed = of("acceptance", [node(cutoff_hour=12), rate(), stock(60)])
    assert missed["likely_cutoff_wait_h"] == 18
    assert missed["likely_slack_h"] == 72 - 5 - 36 - 18


def test_stock_is_held_against_safety_stock_and_other_nodes() -> None:
    found = of(
        "acceptance", [*NETWORK, node(node_id="N2", status="down"), told(EventType.STOCK_LEVEL, NOW, node_id="N2", sku="S-1", available=90)]
    )
    assert (found["stock_margin"], found["stock_cover"], found["nodes_in_stock"]) == (48, 6, 1)
    assert of("acceptance", [node(), rate(), stock(11)])["stock_margin"] == -1


def test_work_people_and_equipment_of_the_likely_node() -> None:
    outage = told(EventType.NODE_OUTAGE, NOW - HOUR, node_id="N1", severity=0.45, kind="sorter", valid_to=NOW + 6 * HOUR)
    found = of("acceptance", [*NETWORK, outage])
    assert (found["likely_node_outage"], found["likely_node_outage_h"]) == (0.45, 6)
    assert (found["likely_node_backlog_days"], found["likely_node_capacity_left"]) == (0.5, 0.25)
    repaired = of("acceptance", [*NETWORK, outage], as_of=NOW + 7 * HOUR)
    assert (repaired["likely_node_outage"], repaired["likely_node_outage_h"]) == (0, 0)


def test_ports_and_customs_concern_imported_goods_only() -> None:
    jam = told(EventType.PORT_CONGESTION, NOW - HOUR, valid_from=NOW - HOUR, region="east", severity=0.6, wait_days=4.5, valid_to=NOW + DAY)
    rules = [
        told(EventType.CUSTOMS_RULE, NOW - 9 * DAY, valid_from=NOW - 9 * DAY, region="east", strictness=0.25),
        told(EventType.CUSTOMS_RULE, NOW - DAY, valid_from=NOW + 5 * DAY, region="east", strictness=0.85),
    ]
    abroad = of("acceptance", [jam, *rules], an_order(tags=["cross_border"]))
    assert (abroad["port_wait_days"], abroad["customs_strictness"], abroad["customs_rule_days"]) == (4.5, 0.25, 9)
    assert of("acceptance", [jam, *rules])["port_wait_days"] == 0
    over = of("acceptance", [jam, *rules], an_order(tags=["cross_border"]), as_of=NOW + 2 * DAY)
    assert over["port_wait_days"] == 0


def test_a_remote_address_is_far_from_every_node() -> None:
    far = an_order(ship_to={"region": "east", "lat": 43.8, "lon": 87.6})
    assert of("acceptance", NETWORK, far)["nearest_node_km"] > 2500
    assert of("acceptance", NETWORK)["nearest_node_km"] == pytest.approx(95.3, abs=0.5)
    assert math.isnan(of("acceptance", NETWORK, an_order(ship_to={"region": "east"}))["nearest_node_km"])


def test_the_customers_own_failed_orders_count() -> None:
    def delivered(number: int, *, late: bool) -> Event:
        return told(
            EventType.DELIVERED, NOW - number * DAY, order_id=f"O-{number}", customer_id="C-1", node_id="N1", region="east", late=late
        )

    returned = told(EventType.RETURNED, NOW - DAY, order_id="O-3", customer_id="C-1")
    cancelled = told(EventType.CANCELLED, NOW - DAY, order_id="O-8", customer_id="C-1")
    found = of("acceptance", [delivered(3, late=True), delivered(4, late=False), delivered(5, late=False), returned, cancelled])
    assert found["customer_late_share_5"] == found["customer_return_share_3"] == pytest.approx(1 / 3)
    assert (found["customer_returns"], found["customer_deliveries"], found["customer_cancelled"], found["customer_since_return_h"]) == (
        1,
        3,
        1,
        24,
    )


def test_a_new_contract_of_the_carrier_shows_its_age() -> None:
    assert of("acceptance", [node(), rate(days=3), stock(60)])["likely_contract_days"] == 3


def test_the_spring_festival_is_in_sight() -> None:
    new_year = local_day(parse_time("2026-02-17T00:00:00Z"))
    assert new_year in spring_festival_of(2026)
    assert days_to_spring_festival(new_year) == 0
    first = min(spring_festival_of(2026))
    assert days_to_spring_festival(first - 3) == 3
    assert to_date(local_day(NOW) + days_to_spring_festival(local_day(NOW))).year == 2027
    assert of("acceptance", [], as_of=NOW)["festival_days"] == 30


def test_lanes_of_one_service_share_what_is_the_same_and_nothing_else() -> None:
    events = [
        node(), node(node_id="N2"), rate(), rate(node_id="N2"), rate(service="express", transit_days=0.5), stock(60),
        told(EventType.DELIVERED, NOW - DAY, order_id="O-1", node_id="N1", region="east", service="std", late=True, delay_h=10.0),
        told(EventType.DELIVERED, NOW - DAY, order_id="O-2", node_id="N1", region="east", service="express", late=False, delay_h=-4.0),
    ]  # fmt: skip
    order, states = an_order(), replay(events)
    lanes = lane_snapshots(order, read_network(order, states, NOW), states, NOW)
    delay = {(node_id, service): dict(zip(s.names, s.values.tolist(), strict=True))["service_delay_h_3d"] for node_id, service, s in lanes}
    assert delay == {("N1", "std"): 10.0, ("N2", "std"): 10.0, ("N1", "express"): -4.0}
    by_scope = {scope: sum(feature.scope is scope for feature in SERVICES["split-order"].features) for scope in Scope}
    assert by_scope[Scope.LANE] <= 12, "what is computed for each of 40 lanes stays little"
