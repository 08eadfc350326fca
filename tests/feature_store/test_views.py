"""Feature views: complete definitions, numbers equal to slow obvious ones, nothing seen before it was known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import replay
from feature_store.network import Network, Node, Rate, Stock, network_from_request, read_network
from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.times import DAY, HOUR, format_time, parse_time
from feature_store.views import SERVICES, Situation, build_snapshot, entity_keys, lane_snapshots, lanes_in
from feature_store.views.definition import Feature, Scope, settle
from feature_store.views.plan import Joint

NOW = parse_time("2026-03-02T06:00:00Z")


def an_order(**changes: Any) -> Order:
    line = {
        "line_id": "1",
        "sku": "S-1",
        "qty": 2,
        "unit_price": {"amount": "30.50", "currency": "CNY"},
        "weight_g": 500,
        "attributes": {"supplier_id": "SU-1"},
    }
    order = {
        "order_id": "O-own",
        "placed_at": format_time(NOW),
        "currency": "CNY",
        "promised_by": format_time(NOW + 3 * DAY),
        "customer": {"customer_id": "C-1"},
        "ship_to": {"region": "east", "address_id": "A-1", "lat": 31.2, "lon": 121.5},
        "device": {"device_id": "D-1", "ip": "100.64.0.1"},
        "payment": {"token": "T-1"},
        "lines": [line],
    }
    return Order.model_validate(order | changes)


def told(kind: EventType, at: int, known: int | None = None, **data: object) -> Event:
    return Event(f"{kind}-{at}-{known}-{data}", kind, at, at if known is None else known, data)


def placed(number: int, at: int, customer: str = "C-1", device: str = "D-1", **data: object) -> Event:
    return told(
        EventType.ORDER_PLACED, at, order_id=f"O-{number}", customer_id=customer, amount=10, device_id=device, ip="100.64.0.1", **data
    )


def values(snapshot: FeatureSnapshot) -> dict[str, float]:
    return dict(zip(snapshot.names, snapshot.values.tolist(), strict=True))


def of(decision_type: str, events: Iterable[Event], order: Order | None = None, as_of: int = NOW) -> dict[str, float]:
    return values(build_snapshot(decision_type, order or an_order(), replay(events), as_of))


ALL = [(decision_type, feature) for decision_type, service in SERVICES.items() for feature in service.features]


@pytest.mark.parametrize(("decision_type", "feature"), ALL, ids=[f"{kind}:{feature.name}" for kind, feature in ALL])
def test_a_feature_says_all_that_a_person_needs(decision_type: str, feature: Feature) -> None:
    assert feature.name.isidentifier()
    assert feature.name.islower()
    assert 8 <= len(feature.en) <= 110
    assert any("\u4e00" <= sign <= "\u9fff" for sign in feature.zh)
    assert feature.reason.isupper()
    assert bool(feature.source_events) == (feature.entity is not None), "what reads a history says which events feed it"
    assert feature.scope is Scope.ORDER or decision_type == "split-order"
    if feature.entity in (Entity.CUSTOMER, Entity.DEVICE, Entity.ADDRESS, Entity.IP, Entity.PAYMENT):
        assert feature.personal


def test_one_name_has_one_meaning_and_one_reason_one_group() -> None:
    meanings: dict[str, set[str]] = {}
    groups: dict[str, set[str]] = {}
    for _, feature in ALL:
        meanings.setdefault(feature.name, set()).add(feature.definition + feature.en + feature.zh)
        groups.setdefault(feature.reason, set()).add(feature.group)
    assert {name for name, found in meanings.items() if len(found) > 1} == set()
    assert {code for code, found in groups.items() if len(found) > 1} == set()


def test_the_version_of_a_view_changes_with_a_definition() -> None:
    service = SERVICES["fraud"]
    changed = type(service)("fraud", (*service.features[:-1],))
    assert changed.view_version != service.view_version
    assert type(service)("fraud", service.features).view_version == service.view_version
    with pytest.raises(ValueError, match="twice"):
        type(service)("fraud", (*service.features, service.features[0]))
    with pytest.raises(KeyError, match="nothing"):
        service.feature("nothing")
    assert service.feature("amount") is service.features[0]


@pytest.mark.parametrize("decision_type", ["acceptance", "fraud"])
def test_who_was_never_seen_gets_the_declared_defaults(decision_type: str) -> None:
    snapshot = build_snapshot(decision_type, an_order(), {}, NOW)
    for feature, value, origin, at in zip(
        SERVICES[decision_type].features, snapshot.values, snapshot.origins, snapshot.event_times, strict=True
    ):
        if origin is Origin.DEFAULT:
            assert (value == feature.default) or (math.isnan(value) and math.isnan(feature.default))
            assert at is None
        else:
            assert origin is Origin.REQUEST
    assert Origin.STORE not in snapshot.origins
    assert snapshot.oldest_age_s is None


def test_an_order_with_the_least_that_is_required_is_decided() -> None:
    bare = an_order(promised_by=None, device=None, payment=None, ship_to={"region": "east"})
    for decision_type in ("acceptance", "fraud"):
        assert len(build_snapshot(decision_type, bare, {}, NOW).values) == len(SERVICES[decision_type].names)
    assert entity_keys(bare, "fraud") == (EntityKey(Entity.CUSTOMER, "C-1"), EntityKey(Entity.SKU, "S-1"))


def test_a_snapshot_says_where_each_value_came_from() -> None:
    snapshot = build_snapshot("fraud", an_order(), replay([placed(1, NOW - DAY, "C-2")]), NOW)
    at = snapshot.names.index("device_customers_30d")
    assert (snapshot.values[at], snapshot.origins[at], snapshot.event_times[at]) == (1.0, Origin.STORE, NOW - DAY)
    at = snapshot.names.index("amount")
    assert (snapshot.values[at], snapshot.origins[at], snapshot.event_times[at]) == (61.0, Origin.REQUEST, NOW)
    assert snapshot.oldest_age_s == 86400.0
    assert snapshot.view_version == SERVICES["fraud"].view_version
    with pytest.raises(ValueError, match="read-only"):
        snapshot.values[0] = 1.0


_HOURS = st.integers(0, 60 * 24)


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(_HOURS, st.sampled_from([0, 1, 50]), st.sampled_from(["C-1", "C-2", "C-3"]), st.sampled_from(["D-1", "D-2"])), max_size=15
    )
)
def test_counts_over_windows_equal_the_obvious_ones(orders: list[tuple[int, int, str, str]]) -> None:
    events, rows = [], []
    for number, (ago, delay, customer, device) in enumerate(orders):
        at = NOW - ago * HOUR
        events.append(
            Event(
                f"E-{number}",
                EventType.ORDER_PLACED,
                at,
                at + delay * HOUR,
                {"order_id": f"O-{number}", "customer_id": customer, "amount": 1, "device_id": device, "ip": "100.64.0.1"},
            )
        )
        rows.append((at, at + delay * HOUR <= NOW, customer, device))
    found = of("fraud", events)
    seen = [row for row in rows if row[1]]
    assert found["customer_orders"] == sum(customer == "C-1" for _, _, customer, _ in seen)
    assert found["customer_orders_1d"] == sum(customer == "C-1" and at > NOW - DAY for at, _, customer, _ in seen)
    assert found["device_customers_30d"] == len({c for at, _, c, device in seen if device == "D-1" and at > NOW - 30 * DAY} - {"C-1"})
    assert found["ip_orders_1h"] == sum(at > NOW - HOUR for at, _, _, _ in seen)
    devices = {device for _, _, customer, device in seen if customer == "C-1"}
    assert math.isnan(found["device_unseen"]) if not devices else found["device_unseen"] == float("D-1" not in devices)


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([None, 0, 30])), max_size=6, unique_by=lambda one: one[0]))
def test_a_return_counts_once_it_is_known(deliveries: list[tuple[int, int | None]]) -> None:
    events, known = [], {}
    for number, (ago, returned_after) in enumerate(deliveries):
        at = NOW - ago * DAY
        events.append(told(EventType.DELIVERED, at, order_id=f"O-{number}", node_id="N1", region="east", customer_id="C-1", late=False))
        if returned_after is not None:
            events.append(told(EventType.RETURNED, at + 1, at + returned_after * DAY, order_id=f"O-{number}", customer_id="C-1"))
        known[ago] = returned_after is not None and returned_after <= ago
    last = [known[ago] for ago in sorted(known)[:3]]
    share = of("acceptance", events)["customer_return_share_3"]
    assert math.isnan(share) if not last else share == pytest.approx(sum(last) / len(last))


def test_the_order_itself_is_never_part_of_its_history() -> None:
    own = told(EventType.ORDER_PLACED, NOW - 5, order_id="O-own", customer_id="C-1", amount=1, device_id="D-1", ip="100.64.0.1")
    before = of("fraud", [placed(1, NOW - HOUR // 2)])
    after = of("fraud", [placed(1, NOW - HOUR // 2), own])
    assert after["ip_orders_1h"] == before["ip_orders_1h"] == 1.0
    assert after["customer_orders"] == before["customer_orders"] == 1.0


def test_declined_payments_of_this_very_order_count() -> None:
    declined = [
        told(EventType.PAYMENT_DECLINED, NOW - i * 1000, payment_token=f"T-{i}", order_id="O-own", customer_id="C-1", ip="100.64.0.1")
        for i in (1, 2)
    ]
    found = of("fraud", declined)
    assert (found["customer_declines_1h"], found["ip_declines_1h"], found["ip_declined_cards_1h"]) == (2.0, 2.0, 1.0)


def test_late_shares_are_smoothed_and_windowed() -> None:
    delivered = [
        told(
            EventType.DELIVERED, NOW - days * DAY, order_id=f"O-{days}", node_id="N1", region="east", service="std", late=True, delay_h=10.0
        )
        for days in (0, 1, 40)
    ]
    lane = Rate("N1", "east", "std", 1, 1, 2.0)
    network = Network((Node("N1", "east"),), (), (lane,))
    ((_, _, snapshot),) = lane_snapshots(an_order(), network, replay(delivered), NOW)
    found = values(snapshot)
    assert found["service_late_share_5d"] == pytest.approx((2 + 0.12 * 10) / 12)
    assert found["lane_late_share_30d"] == pytest.approx((2 + 0.12 * 10) / 12)
    assert found["service_delay_h_3d"] == 10.0


def test_the_worst_weather_ahead_counts_as_forecast() -> None:
    def forecast(severity: float, start: int, end: int) -> Event:
        data = {"region": "east", "severity": severity, "valid_to": end}
        return Event(f"W-{severity}", EventType.WEATHER, NOW - DAY, NOW - DAY, data, valid_from=start)

    calm, storm = forecast(0.1, NOW - HOUR, NOW + 12 * HOUR), forecast(0.9, NOW + 12 * HOUR, NOW + 36 * HOUR)
    assert of("acceptance", [calm])["weather_severity"] == 0.1
    assert of("acceptance", [calm, storm])["weather_severity"] == 0.9
    assert of("acceptance", [calm, storm], as_of=NOW + 3 * DAY)["weather_severity"] == 0.0, "both are over"


def test_a_customs_rule_counts_from_its_first_day_and_for_cross_border_orders_only() -> None:
    rules = [
        Event("R-1", EventType.CUSTOMS_RULE, NOW - 90 * DAY, NOW - 90 * DAY, {"region": "east", "strictness": 0.2}),
        Event("R-2", EventType.CUSTOMS_RULE, NOW - 9 * DAY, NOW - 9 * DAY, {"region": "east", "strictness": 0.8}, valid_from=NOW + DAY),
    ]
    abroad = an_order(tags=["cross_border"])
    assert of("acceptance", rules, abroad)["customs_strictness"] == 0.2
    assert of("acceptance", rules, abroad, NOW + 2 * DAY)["customs_strictness"] == 0.8
    assert of("acceptance", rules, abroad, NOW + 2 * DAY)["customs_rule_days"] == 1.0
    assert of("acceptance", rules)["customs_strictness"] == 0.0


def test_the_supplier_of_presale_goods_is_looked_at() -> None:
    status = told(EventType.SUPPLIER_STATUS, NOW - DAY, supplier_id="SU-1", open_orders=90, capacity=100, delay_days=4)
    assert of("acceptance", [status])["presale_supplier_load"] == 0.0
    found = of("acceptance", [status], an_order(tags=["presale"]))
    assert (found["presale_supplier_load"], found["presale_supplier_delay_days"]) == (0.9, 4.0)
    listed = told(EventType.SKU_LISTED, NOW - DAY, sku="S-1", presale=False)
    assert math.isnan(of("acceptance", [status, listed], an_order(tags=["presale"]))["presale_supplier_load"]), "another line's presale"


def test_pieces_of_a_launch_count_for_two_days() -> None:
    listed = told(EventType.SKU_LISTED, NOW - 9 * DAY, sku="S-1", launch_at=NOW - HOUR)
    assert of("fraud", [listed])["launch_pieces"] == 2.0
    assert of("fraud", [listed], as_of=NOW + 3 * DAY)["launch_pieces"] == 0.0


def a_network(nodes: int = 3) -> Network:
    places = tuple(
        Node(f"N{i}", "east", lat=30.0 + i, lon=120.0, backlog=10.0 * i, capacity=100.0, staffing=0.5, status="down" if i == 0 else "open")
        for i in range(nodes)
    )
    rates = tuple(
        Rate(f"N{i}", "east", service, 1, 1, 1.0 + i / (1 + at), 1.0) for i in range(nodes) for at, service in enumerate(("std", "express"))
    )
    return Network(places, tuple(Stock(f"N{i}", "S-1", 1 + 4 * i) for i in range(nodes)), rates)


def test_each_lane_alone_gives_the_same_vector() -> None:
    network, states = a_network(), replay([placed(1, NOW - DAY)])
    together = lane_snapshots(an_order(), network, states, NOW)
    assert [(node, service) for node, service, _ in together] == [(f"N{i}", service) for i in range(3) for service in ("express", "std")]
    for lane, (node, service, snapshot) in zip(network.lanes("east"), together, strict=True):
        ((own_node, own_service, own),) = lane_snapshots(an_order(), network, states, NOW, [lane])
        assert (own_node, own_service, own.digest, own.origins, own.event_times) == (
            node,
            service,
            snapshot.digest,
            snapshot.origins,
            snapshot.event_times,
        )


def test_what_is_computed_together_is_what_each_feature_says_alone() -> None:
    events = [
        placed(1, NOW - DAY, "C-1"),
        placed(2, NOW - HOUR, "C-2"),
        *(
            told(EventType.NODE_STATUS, NOW - HOUR, node_id=f"N{i}", region="east", cutoff_hour=10 + 4 * i, backlog=5 * i, capacity=50)
            for i in range(3)
        ),
        *(
            told(EventType.LANE_RATE, NOW - DAY, node_id=f"N{i}", region="east", service=service, transit_days=1.0 + i)
            for i in range(3)
            for service in ("std", "express")
        ),
        *(
            told(EventType.DELIVERED, NOW - (i + 1) * HOUR, order_id=f"O-{i}", node_id=f"N{i % 3}", region="east", service="std",
                 customer_id="C-1", late=i % 2 == 0, delay_h=1.5 * i, skus=("S-1",), supplier_ids=("SU-1",))
            for i in range(7)
        ),
        told(EventType.NODE_OUTAGE, NOW - HOUR, node_id="N1", severity=0.5),
        told(EventType.STOCK_LEVEL, NOW - DAY, node_id="N2", sku="S-1", available=9, safety=1),
        told(EventType.WEATHER, NOW - DAY, region="east", severity=0.6),
    ]  # fmt: skip
    order, states = an_order(tags=["presale", "cross_border"]), replay(events)
    situation = Situation(order, states, NOW)
    lanes = situation.network.lanes("east")
    alone = {
        kind: [
            [settle(one, one.calculation.run(Situation(order, states, NOW).on(lane)), NOW) for one in SERVICES[kind].features]
            for lane in (lanes if kind == "split-order" else lanes[:1])
        ]
        for kind in SERVICES
    }
    together = Joint(SERVICES.values()).run(situation, lanes)
    assert {kind: list(map(str, rows)) for kind, rows in together.items()} == {kind: list(map(str, rows)) for kind, rows in alone.items()}
    assert [len(rows) for rows in alone.values()] == [1, 1, 6]
    for (_, _, snapshot), row in zip(lanes_in(situation), alone["split-order"], strict=True):
        assert np.array_equal(snapshot.values, [one[0] for one in row], equal_nan=True)
        assert (snapshot.event_times, snapshot.origins) == (tuple(one[1] for one in row), tuple(one[2] for one in row))
    assert sum(len({str(row[i]) for row in alone["split-order"]}) > 1 for i in range(len(SERVICES["split-order"].names))) > 10


def test_lanes_tell_node_and_promise_apart() -> None:
    found = {(node, service): values(snapshot) for node, service, snapshot in lane_snapshots(an_order(), a_network(), {}, NOW)}
    assert found["N2", "std"]["node_backlog_days"] == pytest.approx(20 / 50)
    assert found["N2", "std"]["lane_slack_h"] == 72 - 24.0 - 24 * 3.0
    assert found["N2", "express"]["lane_slack_h"] == 72 - 24.0 - 24 * 2.0
    assert found["N0", "std"]["node_status"] == 2.0
    assert found["N1", "std"]["distance_km"] == pytest.approx(144.4, abs=1.0)
    assert lane_snapshots(an_order(ship_to={"region": "west"}), a_network(), {}, NOW) == []


def test_what_the_request_supplies_is_said_to_come_from_it() -> None:
    own = a_network(1)
    network = network_from_request(NOW, Network(), own.nodes, None, own.rates)
    snapshot = lane_snapshots(an_order(), network, {}, NOW)[0][2]
    origins = dict(zip(snapshot.names, snapshot.origins, strict=True))
    assert origins["node_staffing"] is Origin.REQUEST
    assert origins["transit_days"] is Origin.REQUEST


def test_acceptance_looks_at_the_fastest_open_node_that_has_enough() -> None:
    found = values(build_snapshot("acceptance", an_order(), {}, NOW, a_network()))
    assert found["stock_margin"] == 3.0, "N0 is faster but down; N1 has 5 of 2"
    assert found["likely_slack_h"] == 72 - 24.0 - 24 * 2.0
    scarce = values(build_snapshot("acceptance", an_order(lines=[an_order().lines[0].model_dump() | {"qty": 20}]), {}, NOW, a_network()))
    assert scarce["stock_margin"] == -11.0, "nobody has 20; N2 has most"
    assert math.isnan(values(build_snapshot("acceptance", an_order(), {}, NOW, Network()))["stock_margin"])


def test_a_snapshot_is_the_same_from_states_that_went_through_bytes() -> None:
    events = [
        placed(1, NOW - DAY),
        told(EventType.NODE_STATUS, NOW - DAY, node_id="N1", region="east", cutoff_hour=20, backlog=5, capacity=50),
        told(EventType.LANE_RATE, NOW - DAY, node_id="N1", region="east", service="std", transit_days=1.5, fixed=5),
        told(EventType.STOCK_LEVEL, NOW - DAY, node_id="N1", sku="S-1", available=9, safety=1),
    ]
    states = replay(events)
    through = {key: type(state).from_bytes(state.to_bytes()) for key, state in states.items()}
    for decision_type in ("acceptance", "fraud"):
        direct, again = (build_snapshot(decision_type, an_order(), known, NOW) for known in (states, through))
        assert np.array_equal(direct.values, again.values, equal_nan=True)
        assert (direct.digest, direct.origins, direct.event_times) == (again.digest, again.origins, again.event_times)
    network = read_network(an_order(), through, NOW)
    assert network == read_network(an_order(), states, NOW)
    assert lane_snapshots(an_order(), network, through, NOW)[0][2].digest == lane_snapshots(an_order(), network, states, NOW)[0][2].digest
