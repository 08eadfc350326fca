"""Plans as an order management system reads them: the ledger adds up, no hard constraint is broken, every reason names its constraint."""

from __future__ import annotations

from string import Formatter

import pytest

from feature_store.network import Network, Node, Rate, Stock
from feature_store.network_request import NetworkRefused, NodeRequest, RateRequest, StockRequest, check_network
from feature_store.order import Order
from feature_store.times import DAY, HOUR, parse_time
from governance.shipment_plan import ShipmentPlan, plan_shipments
from governance.shipment_reasons import LINE_TEXTS, NODE_TEXTS, LineReason, NodeReason
from governance.shipments import Constraints, LaneRisk, Prices, Rule, Weights, ready_at
from models.specs import Outcome
from models.splitting import ProblemRefused

NOW = parse_time("2026-11-11T00:00:03.120Z")
CUTOFF = parse_time("2026-11-11T08:00:00Z")
PRICES = Prices(late_shipment=18_000_000, carbon_per_kg=400_000, split=4_000_000, max_shipments=5)
LINES = (("A", 2, 500.0), ("B", 3, 1200.0), ("C", 1, 300.0))
STOCK = (("SH1", "A", 10, 1), ("SH1", "B", 2, 0), ("SH2", "B", 5, 0), ("SH2", "C", 4, 0), ("GZ1", "A", 9, 0), ("GZ1", "B", 9, 0), ("GZ1", "C", 9, 0),
         ("BJ1", "C", 3, 3), ("CD1", "A", 50, 0), ("CD1", "B", 50, 0), ("CD1", "C", 50, 0))  # fmt: skip
LANES = (("SH1", "std", 6.0, 1.25, 1, 40), ("SH1", "exp", 14.0, 2.5, 0.5, 120), ("SH2", "std", 6.0, 1.25, 1.2, 40), ("GZ1", "std", 8.0, 2.2, 3, 90),
         ("BJ1", "std", 8.0, 2.0, 2.5, 85), ("CD1", "std", 9.0, 3.1, 4, 120))  # fmt: skip
RISKS = {("SH1", "std"): LaneRisk(0.05), ("SH1", "exp"): LaneRisk(0.01), ("SH2", "std"): LaneRisk(0.12), ("GZ1", "std"): LaneRisk(0.2), ("CD1", "std"): LaneRisk(0.3)}  # fmt: skip


def make_order(lines=LINES, region="east", **each):
    written = [
        {"line_id": str(i + 1), "sku": sku, "qty": qty, "weight_g": weight, "unit_price": {"amount": "10.00", "currency": "CNY"}, **each}
        for i, (sku, qty, weight) in enumerate(lines)
    ]
    return Order.model_validate(
        {"order_id": "SO-1", "placed_at": "2026-11-11T00:00:00Z", "currency": "CNY", "customer": {"customer_id": "C-1"},
         "ship_to": {"region": region}, "lines": written}
    )  # fmt: skip


def make_network(stock=STOCK, **changes):
    nodes = []
    for node_id in ("SH1", "SH2", "GZ1", "BJ1", "CD1"):
        facts = {
            "cutoff_at": CUTOFF,
            "processing_h": 4.0,
            "processing_cost_micros": 1_500_000,
            "capacity_left": 400,
            **changes.get(node_id, {}),
        }
        nodes.append(Node(node_id, "east", **facts))
    rates = tuple(Rate(n, "east", s, round(f * 1e6), round(k * 1e6), days, co2e) for n, s, f, k, days, co2e in LANES)
    return Network(tuple(nodes), tuple(Stock(*entry) for entry in stock), rates)


def plan(order=None, network=None, weights=None, oms_choice=None, **constraints) -> ShipmentPlan:
    return plan_shipments(
        order or make_order(), network or make_network(), RISKS, Constraints.model_validate(constraints), weights or Weights(), PRICES, NOW,
        oms_choice=oms_choice, timer=lambda: 0.0,
    )  # fmt: skip


def micros(money) -> int:
    whole, _, rest = money["amount"].lstrip("-").partition(".")
    return (-1 if money["amount"].startswith("-") else 1) * (int(whole) * 1_000_000 + int(rest.ljust(6, "0")))


def why_node(answer, node_id):
    return next(entry["reason"] for entry in answer.details["rejected_nodes"] if entry["node_id"] == node_id)


def test_ledger_adds_up():
    answer = plan(forbid_nodes=["GZ1"])
    objective = answer.details["objective"]
    assert sum(micros(term) for term in objective["terms"].values()) == micros(objective["total"])
    shipments = answer.details["shipments"]
    assert sum(micros(part) for shipment in shipments for part in shipment["cost"].values()) == micros(objective["terms"]["cost"])
    assert [(s["node_id"], [(line["line_id"], line["qty"]) for line in s["lines"]]) for s in shipments] == [
        ("SH1", [("1", 2)]),
        ("SH2", [("2", 3), ("3", 1)]),
    ]
    assert micros(objective["terms"]["split"]) == PRICES.split
    assert micros(objective["terms"]["lateness"]) == round(0.17 * PRICES.late_shipment)
    assert micros(shipments[0]["cost"]["variable"]) == 1_250_000
    assert shipments[0]["co2e_g"] == 40.0


def test_one_shipment_costs_no_split():
    answer = plan()
    assert [s["node_id"] for s in answer.details["shipments"]] == ["GZ1"]
    assert answer.details["objective"]["terms"]["split"]["amount"] == "0.00"
    assert answer.details["optimality"]["proven"]
    assert answer.details["optimality"]["gap"] == 0.0
    assert answer.p_late == pytest.approx(0.2)


def test_runner_up_is_the_next_best():
    answer = plan()
    second = answer.details["runner_up"]
    without = plan(forbid_nodes=["GZ1"])
    assert [s["node_id"] for s in second["shipments"]] == ["SH1", "SH2"]
    assert micros(second["delta"]["objective"]) == micros(without.details["objective"]["total"]) - micros(
        answer.details["objective"]["total"]
    )
    assert second["delta"]["lateness_h"] < 0 < micros(second["delta"]["cost"])


def test_clock_changes_nothing_but_ms():
    ticks = iter(range(100))
    slow = plan_shipments(make_order(), make_network(), RISKS, Constraints(), Weights(), PRICES, NOW, timer=lambda: float(next(ticks)))
    fast = plan()
    assert slow.details["optimality"]["ms"] != fast.details["optimality"]["ms"]
    assert {**slow.details, "optimality": None} == {**fast.details, "optimality": None}


def test_order_of_nodes_and_rates_changes_nothing():
    network = make_network()
    turned = Network(network.nodes[::-1], network.stock[::-1], network.rates[::-1])
    assert plan(network=turned).details == plan(network=network).details


@pytest.mark.parametrize(
    ("decided", "cutoff", "hours", "expected"),
    [
        (NOW, None, 4.0, NOW + 4 * HOUR),
        (NOW, CUTOFF, 4.0, CUTOFF),
        (NOW, CUTOFF, 20.0, NOW + 20 * HOUR),
        (CUTOFF + 1, CUTOFF, 4.0, CUTOFF + DAY),
        (CUTOFF + DAY + 1, CUTOFF, 4.0, CUTOFF + 2 * DAY),
        (CUTOFF, CUTOFF, 0.0, CUTOFF),
    ],
)
def test_leaves_at_the_cutoff_it_was_in_time_for(decided, cutoff, hours, expected):
    assert ready_at(Node("N", "east", cutoff_at=cutoff, processing_h=hours), decided) == expected


def test_arrival_counts_from_the_handover():
    first = plan().details["shipments"][0]
    assert first["ship_at"] == "2026-11-11T08:00:00.000Z"
    assert first["deliver"] == {"p50": "2026-11-14T08:00:00.000Z", "p90": "2026-11-15T20:00:00.000Z"}


@pytest.mark.parametrize(
    ("changes", "constraints", "node_id", "reason"),
    [
        ({"SH1": {"status": "outage"}}, {}, "SH1", NodeReason.NODE_CLOSED),
        ({}, {"forbid_nodes": ["CD1"]}, "CD1", NodeReason.FORBIDDEN),
        ({}, {}, "BJ1", NodeReason.SAFETY_STOCK),
        ({"CD1": {"capacity_left": 0}}, {}, "CD1", NodeReason.NO_CAPACITY),
        ({}, {"deliver_by": "2026-11-13T12:00:00Z"}, "GZ1", NodeReason.DELIVER_BY),
        ({}, {}, "CD1", NodeReason.DEARER),
        ({}, {"require_nodes": ["BJ1"]}, "CD1", NodeReason.NO_PLAN),
        ({}, {"require_nodes": ["CD1"], "max_shipments": 1}, "SH1", NodeReason.MAX_SHIPMENTS),
    ],
)
def test_each_node_that_lost_says_why(changes, constraints, node_id, reason):
    assert why_node(plan(network=make_network(**changes), **constraints), node_id) == reason


def test_dearer_node_costs_what_it_says():
    answer = plan()
    loser = next(entry for entry in answer.details["rejected_nodes"] if entry["node_id"] == "CD1")
    forced = plan(require_nodes=["CD1"])
    assert micros(loser["delta"]) == micros(forced.details["objective"]["total"]) - micros(answer.details["objective"]["total"])


@pytest.mark.parametrize(
    ("lines", "each", "changes", "constraints", "reason"),
    [
        ((("A", 100, 1.0),), {}, {}, {}, LineReason.OUT_OF_STOCK),
        ((("A", 69, 1.0),), {}, {}, {}, LineReason.SAFETY_STOCK),
        ((("A", 1, 1.0),), {"pinned_node": "BJ1"}, {}, {}, LineReason.PINNED_NODE),
        (
            (("C", 1, 1.0),),
            {"temp_class": "frozen"},
            {n: {"temp_classes": ("ambient",)} for n in ("SH2", "GZ1", "BJ1", "CD1")},
            {},
            LineReason.TEMP_CLASS,
        ),
        ((("C", 50, 1.0),), {}, {}, {"forbid_nodes": ["CD1"]}, LineReason.FORBIDDEN),
        ((("C", 1, 1.0),), {}, {}, {"deliver_by": "2026-11-11T12:00:00Z"}, LineReason.DELIVER_BY),
        ((("A", 60, 1.0),), {}, {}, {"max_shipments": 1}, LineReason.MAX_SHIPMENTS),
        ((("A", 60, 1.0),), {"ship_together_group": "g"}, {}, {}, LineReason.SHIP_TOGETHER),
        ((("C", 50, 1.0),), {}, {"CD1": {"capacity_left": 20}}, {}, LineReason.CAPACITY),
        ((("C", 50, 1.0),), {}, {"CD1": {"status": "closed"}}, {}, LineReason.NODE_CLOSED),
        ((("A", 1, 1.0),), {}, {}, {"require_nodes": ["BJ1"]}, LineReason.REQUIRED_NODE),
    ],
)
def test_each_piece_left_behind_names_its_constraint(lines, each, changes, constraints, reason):
    answer = plan(make_order(lines, **each), make_network(**changes), **constraints)
    (entry,) = answer.details["unfilled"]
    assert entry["reason"] == reason
    assert entry["qty"] == answer.unfilled_qty
    assert answer.outcome is (Outcome.PARTIAL if answer.shipped_qty else Outcome.UNFULFILLABLE)


def test_no_lane_to_the_region():
    answer = plan(make_order(region="moon"))
    assert answer.outcome is Outcome.UNFULFILLABLE
    assert {entry["reason"] for entry in answer.details["unfilled"]} == {LineReason.NO_LANE}
    assert {entry["reason"] for entry in answer.details["rejected_nodes"]} == {NodeReason.NO_LANE}
    assert answer.details["runner_up"] is None


def test_two_rules_in_the_way_are_both_named():
    answer = plan(forbid_nodes=["GZ1", "CD1"], max_shipments=1)
    assert {rule for entry in answer.details["unfilled"] for rule in entry["rules"]} == {LineReason.FORBIDDEN, LineReason.MAX_SHIPMENTS}


def test_line_is_not_torn_apart_without_need():
    stock = (("SH1", "A", 9, 0), ("SH1", "B", 2, 0), ("SH2", "B", 5, 0), ("SH2", "C", 5, 0))
    answer = plan(make_order((("A", 1, 100.0), ("B", 4, 100.0), ("C", 1, 100.0))), make_network(stock))
    shipped = [line["line_id"] for shipment in answer.details["shipments"] for line in shipment["lines"]]
    assert sorted(shipped) == ["1", "2", "3"]


def test_oms_choice_is_priced_by_the_same_ledger():
    answer = plan(oms_choice={"shipments": [{"node_id": "CD1"}]})
    delta = answer.details["delta_vs_oms_choice"]
    forced = plan(require_nodes=["CD1"])
    assert micros(delta["objective"]) == micros(forced.details["objective"]["total"]) - micros(answer.details["objective"]["total"])
    assert delta["breaks"] == []
    broken = plan(oms_choice={"shipments": [{"node_id": "SH1", "service": "std", "lines": [{"line_id": "3", "qty": 1}]}]})
    assert broken.details["delta_vs_oms_choice"]["breaks"] == ["STOCK"]
    assert broken.details["delta_vs_oms_choice"]["unfilled_qty"] == 5


@pytest.mark.parametrize("shipment", [{"node_id": "XX"}, {"node_id": "SH1", "lines": [{"line_id": "9", "qty": 1}]}, {"node_id": "SH1", "lines": [{"line_id": "1", "qty": 7}]}, {"node_id": "SH1", "lines": 5}, {"node_id": "SH1", "lines": "1"}, {"node_id": "SH1", "service": {"a": 1}}, {"node_id": "SH1", "service": ["std"]}, 5])  # fmt: skip
def test_unreadable_oms_choice_is_refused_with_its_place(shipment):
    with pytest.raises(NetworkRefused) as refused:
        plan(oms_choice={"shipments": [shipment]})
    assert refused.value.errors[0][0][:3] == ("oms_choice", "shipments", 0)


def test_unknown_nodes_are_refused_with_their_places():
    with pytest.raises(NetworkRefused) as refused:
        plan(make_order(pinned_node="N9"), forbid_nodes=["N8"], require_nodes=["SH1", "N7"])
    assert [loc for loc, _ in refused.value.errors] == [
        ("constraints", "forbid_nodes", 0),
        ("constraints", "require_nodes", 1),
        *(("order", "lines", i, "pinned_node") for i in range(3)),
    ]
    with pytest.raises(NetworkRefused, match="forbidden too"):
        plan(forbid_nodes=["SH1"], require_nodes=["SH1"])


def test_amounts_beyond_exact_sums_are_refused():
    with pytest.raises(ProblemRefused, match="too large"):
        plan(make_order((("A", 1_000_000, 1e8),)), make_network((("CD1", "A", 10**6, 0),), CD1={"capacity_left": None}))


def test_network_of_a_request_is_checked_as_a_whole():
    money = {"amount": "1.50", "currency": "CNY"}
    nodes = [NodeRequest.model_validate({"node_id": "N1", "region": "east", "processing_cost": {"amount": "-1", "currency": "CNY"}})] * 2
    stock = [StockRequest.model_validate({"node_id": "N2", "sku": "S", "available": 5})]
    rate = {
        "node_id": "N1",
        "region": "east",
        "service": "std",
        "fixed": money,
        "per_kg": {"amount": "1", "currency": "EUR"},
        "transit_days": 2,
    }
    with pytest.raises(NetworkRefused) as refused:
        check_network("CNY", (), nodes, stock, [RateRequest.model_validate(rate)])
    assert [loc for loc, _ in refused.value.errors] == [
        ("nodes", 1),
        ("stock", 0, "node_id"),
        ("nodes", 0, "processing_cost"),
        ("nodes", 1, "processing_cost"),
        ("rates", 0, "per_kg"),
    ]
    check_network("CNY", ("N2",), None, stock, None)


@pytest.mark.parametrize(("texts", "codes"), [(NODE_TEXTS, NodeReason), (LINE_TEXTS, LineReason)])
def test_every_reason_has_both_texts_with_the_same_facts(texts, codes):
    assert set(texts) == set(codes)
    for english, chinese in texts.values():
        fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] >= fields[1]
    assert {rule.value for rule in Rule} <= {code.value for code in LineReason}
