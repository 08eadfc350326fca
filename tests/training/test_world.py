"""The simulated world as its users see it: one merged stream, labels that can be trusted, files."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import orjson
import pytest
from sklearn.metrics import roc_auc_score

from feature_store.events import Event, EventType, event_to_json, parse_event
from feature_store.order import Order
from feature_store.times import DAY, HOUR, format_time
from training.world import SimulatedOrder, simulate, write_world
from training.world.catalogue import CATEGORIES
from training.world.fulfilment import CANCEL_CAUSES
from training.world.network import NODES, STATUS
from training.world.scenes import Scene
from training.world.values import REGIONS, SERVICES

ORDERS = 4_000
TOLD = {
    EventType.CUSTOMER_REGISTERED, EventType.ORDER_PLACED, EventType.PAYMENT_AUTHORISED, EventType.PAYMENT_DECLINED, EventType.SHIPPED,
    EventType.DELIVERED, EventType.RETURNED, EventType.CANCELLED, EventType.CHARGEBACK, EventType.SKU_LISTED, EventType.PRICE_CHANGED,
    EventType.LANE_RATE, EventType.CUSTOMS_RULE, EventType.NODE_STATUS, EventType.NODE_OUTAGE, EventType.STOCK_LEVEL,
    EventType.SUPPLIER_STATUS, EventType.WEATHER, EventType.PORT_CONGESTION,
}  # fmt: skip
"""The kinds of events that happen in this world."""
DOCS = Path(__file__).parents[2] / "docs" / "world.md"


@pytest.fixture(scope="module")
def items():
    return list(simulate(ORDERS, seed=11).stream())


@pytest.fixture(scope="module")
def orders(items):
    return [item for item in items if isinstance(item, SimulatedOrder)]


@pytest.fixture(scope="module")
def events(items):
    return [item for item in items if isinstance(item, Event)]


def _known_at(item):
    return item.known_at if isinstance(item, Event) else item.placed_at


def _told(item):
    return event_to_json(item) if isinstance(item, Event) else (item.order.model_dump_json(), item.labels, item.shipments, item.failure)


def test_the_same_seed_plays_the_same_world(items):
    again = simulate(ORDERS, seed=11).stream()
    for first, second in zip(items[:15_000], itertools.islice(again, 15_000), strict=True):
        assert _told(first) == _told(second)


def test_another_seed_plays_another_world(orders):
    other = simulate(ORDERS, seed=12).orders()
    assert [order.order for order in itertools.islice(other, 50)] != [order.order for order in orders[:50]]


def test_exactly_as_many_orders_as_asked_for(orders):
    assert len(orders) == ORDERS
    assert [order.order.order_id for order in orders] == [f"SO-{i + 1:07d}" for i in range(ORDERS)]


def test_the_stream_is_in_the_order_of_knowing(items):
    times = np.array([_known_at(item) for item in items])
    assert (np.diff(times) >= 0).all()


def test_nothing_is_known_before_it_happened(events):
    assert all(event.known_at >= event.event_time for event in events)


def test_an_order_comes_before_what_it_causes(items):
    seen = set()
    for item in items:
        if isinstance(item, SimulatedOrder):
            seen.add(item.order.order_id)
        elif "order_id" in item.data:
            assert item.data["order_id"] in seen, item


def test_event_ids_are_distinct(events):
    assert len({event.event_id for event in events}) == len(events)


def test_every_event_is_taken_as_it_is_written(events):
    kinds = Counter(event.type for event in events)
    assert set(kinds) == TOLD
    taken = Counter()
    for event in events:
        taken[event.type] += 1
        if taken[event.type] <= 200:
            assert parse_event(orjson.loads(orjson.dumps(event_to_json(event))), received_at=event.known_at) == event


def test_every_order_is_a_valid_request(orders):
    for simulated in orders[::20]:
        assert Order.model_validate(simulated.order.model_dump(mode="json")) == simulated.order


def test_rates_are_those_of_a_retailer(orders):
    fraud = np.mean([order.labels["fraud"].label for order in orders])
    failure = np.mean([order.labels["acceptance"].label for order in orders])
    late = np.mean([shipment.late for order in orders for shipment in order.shipments])
    assert 0.010 < fraud < 0.030
    assert 0.09 < failure < 0.19
    assert 0.05 < late < 0.13


def test_labels_agree_with_the_events(orders, events):
    told = {kind: {event.data["order_id"] for event in events if event.type is kind} for kind in EventType if kind in _ORDER_EVENTS}
    late = {event.data["shipment_id"]: event.data["late"] for event in events if event.type is EventType.DELIVERED}
    for simulated in orders:
        order_id = simulated.order.order_id
        assert (order_id in told[EventType.CHARGEBACK]) == bool(simulated.labels["fraud"].label)
        assert (order_id in told[EventType.CANCELLED]) == (not simulated.shipments)
        assert all(late[shipment.shipment_id] == shipment.late for shipment in simulated.shipments)
        bad = not simulated.shipments or order_id in told[EventType.RETURNED] or any(shipment.late for shipment in simulated.shipments)
        assert bad == bool(simulated.labels["acceptance"].label) == (simulated.failure is not None)


_ORDER_EVENTS = {EventType.CHARGEBACK, EventType.CANCELLED, EventType.RETURNED, EventType.DELIVERED}


def test_labels_settle_when_nothing_can_change_them_any_more(orders, events):
    by_id = {order.order.order_id: order for order in orders}
    for event in events:
        if event.type is EventType.CHARGEBACK:
            assert event.known_at <= by_id[event.data["order_id"]].labels["fraud"].known_at
        elif event.type in {EventType.RETURNED, EventType.CANCELLED}:
            assert event.known_at <= by_id[event.data["order_id"]].labels["acceptance"].known_at


def test_when_a_label_settles_does_not_tell_its_value(orders):
    waits = {value: {o.labels["fraud"].known_at - o.placed_at for o in orders if o.labels["fraud"].label == value} for value in (0, 1)}
    assert waits[0] == waits[1]
    for order in orders:
        assert order.order.promised_by is not None
        assert order.labels["acceptance"].known_at - order.order.promised_by == 18 * DAY


def test_chargebacks_come_weeks_and_late_deliveries_days_later(events, orders):
    placed = {order.order.order_id: order.placed_at for order in orders}
    waits = [(event.known_at - placed[event.data["order_id"]]) / DAY for event in events if event.type is EventType.CHARGEBACK]
    assert 10 < np.median(waits) < 30
    late = [event for event in events if event.type is EventType.DELIVERED and event.data["late"]]
    assert all(event.event_time > event.data["promised_by"] for event in late)
    assert 1.0 < np.median([(event.known_at - placed[event.data["order_id"]]) / DAY for event in late]) < 14.0


def test_shipments_hold_every_line_once(orders):
    for simulated in orders:
        if simulated.shipments:
            shipped = [part for shipment in simulated.shipments for part in shipment.lines]
            assert sorted(shipped) == sorted((line.line_id, line.qty) for line in simulated.order.lines)
            assert len({shipment.node_id for shipment in simulated.shipments}) == len(simulated.shipments)
            for shipment in simulated.shipments:
                assert simulated.placed_at < shipment.shipped_at < shipment.delivered_at


def test_people_buy_on_singles_day_and_rest_in_the_spring_festival(orders):
    days = Counter(format_time(order.placed_at + 8 * HOUR)[:10] for order in orders)
    usual = np.median(list(days.values()))
    assert days["2025-11-11"] > 3 * usual
    assert days["2026-02-17"] < 0.8 * usual
    rush = sum(order.placed_at % DAY < 18 * HOUR and format_time(order.placed_at + 8 * HOUR)[:13] == "2025-11-11T00" for order in orders)
    assert rush > 0.1 * days["2025-11-11"]


def test_the_customs_rule_changes_on_a_date_that_is_announced(events, orders):
    rules = sorted((event for event in events if event.type is EventType.CUSTOMS_RULE), key=lambda event: event.known_at)
    before, after = rules[0], rules[-1]
    assert after.data["strictness"] > before.data["strictness"]
    assert after.valid_from is not None
    assert after.valid_from - after.known_at > 10 * DAY
    held = {False: [], True: []}
    for order in orders:
        if "cross_border" in order.order.tags:
            held[order.placed_at >= after.valid_from].append(order.failure == "customs")
    assert np.mean(held[True]) > 1.5 * np.mean(held[False])


def test_signals_of_fraud_are_visible_in_events(orders, events):
    """Before the first order of card testing, several declined payments are known on its network; a ring's accounts share an address."""
    declined = Counter(event.data["ip"] for event in events if event.type is EventType.PAYMENT_DECLINED)
    registered = Counter(event.data["address_id"] for event in events if event.type is EventType.CUSTOMER_REGISTERED)
    testing = [order.order for order in orders if order.scene == "card_testing"]
    assert testing
    assert all(declined[order.device.ip] >= 3 for order in testing)
    rings = Counter(order.order.ship_to.address_id for order in orders if order.scene == "shared_address")
    assert all(registered[address] == count for address, count in rings.items())


def test_an_order_costs_what_was_told_last(items):
    price, reduced = {}, 0
    for item in items:
        if isinstance(item, SimulatedOrder):
            for line in item.order.lines:
                assert float(line.unit_price.amount) == pytest.approx(price[line.sku][-1])
                reduced += price[line.sku][-1] < price[line.sku][0]
        elif item.type in {EventType.SKU_LISTED, EventType.PRICE_CHANGED}:
            price.setdefault(item.data["sku"], []).append(item.data["price"])
    assert reduced > 50


def test_an_outage_is_told_with_the_status_that_it_causes(events):
    status = {(e.data["node_id"], e.event_time): e.data["status"] for e in events if e.type is EventType.NODE_STATUS}
    outages = [event for event in events if event.type is EventType.NODE_OUTAGE]
    assert outages
    for outage in outages:
        assert status[outage.data["node_id"], outage.event_time] != "open"
        assert outage.valid_from is not None
        assert outage.data["valid_to"] > outage.valid_from > outage.known_at


def test_a_billing_address_that_differs_is_told_with_its_street(orders):
    for simulated in orders:
        order = simulated.order
        assert (order.bill_to.address_id == order.ship_to.address_id) == (order.bill_to.street == order.ship_to.street)


def test_a_world_from_another_date_has_its_own_calendar():
    world = simulate(200, seed=3, start=date(2026, 10, 1), days=60)
    first = next(world.orders())
    assert format_time(first.placed_at + 8 * HOUR) >= "2026-10-01"
    assert format_time(max(order.placed_at for order in world.orders()) + 8 * HOUR) < "2026-11-30T00"


@pytest.mark.parametrize(("orders", "seed", "days"), [(0, 1, 300), (2_000_000, 1, 300), (100, -1, 300), (100, 1, 10)])
def test_a_senseless_world_is_refused(orders, seed, days):
    with pytest.raises(ValueError, match=r"^(orders|seed|days): "):
        simulate(orders, seed, days=days)


def test_a_tiny_world_plays():
    assert sum(1 for _ in simulate(1, seed=0, days=30).orders()) == 1


def test_files_hold_the_world(tmp_path):
    world = simulate(150, seed=4, days=40)
    written = write_world(world, tmp_path / "world")
    lines = (tmp_path / "world" / "events.jsonl").read_bytes().splitlines()
    assert len(lines) == written.events == sum(1 for _ in world.events())
    assert all(parse_event(orjson.loads(line)) for line in lines[::50])
    bodies = [orjson.loads(line) for line in (tmp_path / "world" / "orders.jsonl").read_bytes().splitlines()]
    assert [Order.model_validate(body["order"]) for body in bodies] == [order.order for order in world.orders()]
    tables = {name: list(csv.DictReader((tmp_path / "world" / name).read_text(encoding="utf-8").splitlines())) for name in _TABLES}
    assert {name: len(rows) for name, rows in tables.items()} == {
        "orders.csv": 150, "labels.csv": 300, "shipments.csv": written.shipments, "nodes.csv": 12,
    }  # fmt: skip
    assert all(0.0 <= float(row["p_knowable"]) <= 1.0 for row in tables["labels.csv"])
    assert not {"p_knowable", "scene", "failure"} & set(tables["orders.csv"][0])


_TABLES = ("orders.csv", "labels.csv", "shipments.csv", "nodes.csv")


def test_files_are_never_overwritten(tmp_path):
    (tmp_path / "labels.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=re.escape("labels.csv")):
        write_world(simulate(10, seed=1, days=30), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_the_documentation_names_everything_that_the_code_knows():
    text = DOCS.read_text(encoding="utf-8")
    named = [
        *(scene.name.lower() for scene in Scene), *(kind.value for kind in TOLD), *CANCEL_CAUSES, *REGIONS, *SERVICES, *STATUS[1:],
        *(node.node_id for node in NODES), *({node.kind for node in NODES}), "fashion", "fresh",
    ]  # fmt: skip
    assert [name for name in named if not re.search(rf"\b{name}\b", text)] == []
    assert f"{len(CATEGORIES)}" in text or "eight" in text


@pytest.mark.slow
def test_what_could_be_known_orders_the_cases(orders):
    """The realistic ceiling of any model, on a larger world."""
    labels = {"fraud": ([], []), "acceptance": ([], []), "late": ([], [])}
    for order in simulate(40_000, seed=5).orders():
        for kind, label in order.labels.items():
            labels[kind][0].append(label.label)
            labels[kind][1].append(label.p_knowable)
        for shipment in order.shipments:
            labels["late"][0].append(shipment.late)
            labels["late"][1].append(shipment.p_knowable)
    assert 0.90 < roc_auc_score(*labels["fraud"]) < 0.96
    assert 0.74 < roc_auc_score(*labels["acceptance"]) < 0.84
    assert 0.78 < roc_auc_score(*labels["late"]) < 0.88
