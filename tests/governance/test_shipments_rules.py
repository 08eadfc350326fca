"""No hard constraint is ever broken, checked by a reader of the answer that knows nothing of the optimiser; and the answer adds up.

The checker reads what was asked and what was answered as an outsider would: order, nodes, stock and rates on one side, the answer's JSON on the other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.network import Network, Node, Rate, Stock
from feature_store.order import Order
from feature_store.times import parse_time
from governance.shipment_plan import ShipmentPlan, plan_shipments
from governance.shipments import Constraints, LaneRisk, Prices, Weights
from models.specs import Outcome

NOW = parse_time("2026-11-11T00:00:03.120Z")
CUTOFF = parse_time("2026-11-11T08:00:00Z")
PRICES = Prices(late_shipment=18_000_000, carbon_per_kg=400_000, split=4_000_000, max_shipments=4, scarce_stock=3_000_000)


@dataclass(frozen=True)
class Situation:
    order: Order
    network: Network
    constraints: Constraints
    weights: Weights
    risks: dict[tuple[str, str], LaneRisk]

    def plan(self) -> ShipmentPlan:
        return plan_shipments(self.order, self.network, self.risks, self.constraints, self.weights, PRICES, NOW, timer=lambda: 0.0)


amounts = st.integers(0, 12)
SERVICES = ("std", "exp")
SKUS = ("A", "B", "C", "D")


@st.composite
def rates(draw: st.DrawFn, node: str, service: str) -> Rate:
    steps = [
        (draw(st.integers(1, 8)) * 500_000, draw(amounts) * 1_000_000, draw(amounts) * 100_000) for _ in range(draw(st.integers(0, 2)))
    ]
    return Rate(
        node, "east", service, draw(amounts) * 1_000_000, draw(amounts) * 333_333, draw(st.integers(1, 5)), 40.0,
        max_weight_mg=draw(st.sampled_from([None, None, 2_000_000, 6_000_000])), steps=tuple(steps),
    )  # fmt: skip


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    nodes = [f"N{i}" for i in range(draw(st.integers(1, 5)))]
    lines = [
        {"line_id": str(i), "sku": draw(st.sampled_from(SKUS)), "qty": draw(st.integers(1, 6)), "weight_g": draw(st.sampled_from([None, 0, 333.3, 1250.0])),
         "unit_price": {"amount": "9.99", "currency": "CNY"}, "ship_together_group": draw(st.sampled_from([None, None, "g", "h"])),
         "temp_class": draw(st.sampled_from([None, "chilled"])), "pinned_node": draw(st.sampled_from([None, None, None, nodes[0]]))}
        for i in range(draw(st.integers(1, 5)))
    ]  # fmt: skip
    order = Order.model_validate(
        {"order_id": "SO-1", "placed_at": "2026-11-11T00:00:00Z", "currency": "CNY", "customer": {"customer_id": "C-1"},
         "ship_to": {"region": "east"}, "lines": lines}
    )  # fmt: skip
    network = Network(
        tuple(
            Node(n, "east", cutoff_at=draw(st.sampled_from([None, CUTOFF])), processing_cost_micros=draw(amounts) * 100_000,
                 capacity_left=draw(st.none() | amounts), temp_classes=draw(st.sampled_from([(), ("chilled",), ("ambient",)])),
                 status=draw(st.sampled_from(["open", "open", "outage"])))
            for n in nodes
        ),
        tuple(Stock(n, sku, draw(amounts), draw(st.integers(0, 2)), reserved=draw(st.integers(0, 2)), expected_demand=draw(st.sampled_from([None, 0, 4]))) for n in nodes for sku in SKUS),
        tuple(draw(rates(n, s)) for n in nodes for s in SERVICES[: draw(st.integers(0, 2))]),
    )  # fmt: skip
    constraints = Constraints.model_validate({
        "max_shipments": draw(st.none() | st.integers(1, 3)),
        "deliver_by": draw(st.none() | st.just("2026-11-16T00:00:00Z")),
        "deliver_from": draw(st.none() | st.just("2026-11-13T12:00:00Z")),
        "forbid_nodes": draw(st.sampled_from([[], [nodes[-1]]])),
        "require_nodes": draw(st.sampled_from([[], [], [nodes[0]]])) if len(nodes) > 1 else [],
        "split_lines": draw(st.booleans()), "partial": draw(st.sampled_from([True, True, False])),
    })  # fmt: skip
    weights = Weights(**{name: draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) for name in ("cost", "lateness", "carbon", "split", "scarcity")})
    risks = {(n, s): LaneRisk(draw(st.floats(0, 1))) for n in nodes for s in SERVICES if draw(st.booleans())}
    return Situation(order, network, constraints, weights, risks)


def breaches(asked: Situation, answer: dict[str, Any]) -> list[str]:  # noqa: C901 - one constraint after the other
    """Every hard constraint that an answer breaks, read from the request alone."""
    lines = {line.line_id: line for line in asked.order.lines}
    nodes = {node.node_id: node for node in asked.network.nodes}
    lanes = {(rate.node_id, rate.service): rate for rate in asked.network.rates if rate.region == asked.order.ship_to.region}
    usable = {(s.node_id, s.sku): max(0, s.available - s.safety - s.reserved) for s in asked.network.stock}
    limits = asked.constraints
    shipped: Counter[str] = Counter()
    drawn: Counter[tuple[str, str]] = Counter()
    homes: dict[str, set[str]] = {}
    broken = []
    for shipment in answer["shipments"]:
        node, rate = nodes[shipment["node_id"]], lanes[shipment["node_id"], shipment["service"]]
        pieces, weight = 0, 0
        for item in shipment["lines"]:
            line, qty = lines[item["line_id"]], item["qty"]
            assert qty > 0
            shipped[line.line_id] += qty
            drawn[node.node_id, line.sku] += qty
            homes.setdefault(line.line_id, set()).add(node.node_id)
            pieces += qty
            weight += qty * round((500.0 if line.weight_g is None else line.weight_g) * 1000)
            if line.temp_class and node.temp_classes and line.temp_class not in node.temp_classes:
                broken.append("temperature")
            if line.pinned_node not in {None, node.node_id}:
                broken.append("pin")
        if node.status != "open":
            broken.append("closed")
        if node.node_id in limits.forbid_nodes:
            broken.append("forbidden")
        if node.capacity_left is not None and pieces > node.capacity_left:
            broken.append("capacity")
        if rate.max_weight_mg is not None and weight > rate.max_weight_mg:
            broken.append("weight")
        if limits.deliver_by is not None and parse_time(shipment["deliver"]["p90"]) > limits.deliver_by:
            broken.append("deliver_by")
        if limits.deliver_from is not None and parse_time(shipment["deliver"]["p50"]) < limits.deliver_from:
            broken.append("deliver_from")
    used = [shipment["node_id"] for shipment in answer["shipments"]]
    if len(used) != len(set(used)):
        broken.append("one service a node")
    if len(used) > (limits.max_shipments or PRICES.max_shipments or 99):
        broken.append("max_shipments")
    if used and not set(limits.require_nodes) <= set(used):
        broken.append("required")
    broken += ["stock" for at, qty in drawn.items() if qty > usable.get(at, 0)]
    left = {entry["line_id"]: entry["qty"] for entry in answer["unfilled"]}
    broken += ["quantity" for line in lines.values() if shipped[line.line_id] + left.get(line.line_id, 0) != line.qty]
    wholes = [[line] for line in lines.values() if not limits.split_lines]
    groups: dict[str, list[Any]] = {}
    for line in lines.values():
        if line.ship_together_group:
            groups.setdefault(line.ship_together_group, []).append(line)
    for whole in [*wholes, *groups.values()]:
        there = set().union(*(homes.get(line.line_id, set()) for line in whole))
        if there and (len(there) > 1 or any(shipped[line.line_id] != line.qty for line in whole)):
            broken.append("whole")
    if not limits.partial and used and left:
        broken.append("partial")
    return broken


def amount(money: dict[str, str]) -> Decimal:
    return Decimal(money["amount"])


def paid(asked: Situation, shipment: dict[str, Any]) -> Decimal:
    """What the tariff charges for a shipment, from the rate as it was told: the cheapest of its prices that may carry the weight."""
    rate = next(r for r in asked.network.rates if (r.node_id, r.service) == (shipment["node_id"], shipment["service"]))
    lines = {line.line_id: line for line in asked.order.lines}
    grams = [
        (item["qty"], 500.0 if lines[item["line_id"]].weight_g is None else lines[item["line_id"]].weight_g) for item in shipment["lines"]
    ]
    weight = sum(qty * round(each * 1000) for qty, each in grams)
    prices = [(rate.fixed_micros, rate.per_kg_micros)] + [(fixed, per_kg) for up_to, fixed, per_kg in rate.steps if weight <= up_to]
    return min(Decimal(fixed + sum(qty * round(each * per_kg / 1000) for qty, each in grams)) for fixed, per_kg in prices) / 1_000_000


@settings(max_examples=100, deadline=None)
@given(situations())
def test_no_hard_constraint_is_ever_broken_and_the_ledger_adds_up(asked: Situation) -> None:
    found = asked.plan()
    answer = dict(found.details)
    assert breaches(asked, answer) == []
    runner_up = answer["runner_up"]
    if runner_up is not None:
        (full,) = found.alternatives
        missing = [
            {
                "line_id": line.line_id,
                "qty": line.qty - sum(i["qty"] for s in full["shipments"] for i in s["lines"] if i["line_id"] == line.line_id),
            }
            for line in asked.order.lines
        ]
        told = {"shipments": full["shipments"], "unfilled": [entry for entry in missing if entry["qty"]]}
        assert [reason for reason in breaches(asked, told) if reason != "partial"] == []
    terms = answer["objective"]["terms"]
    assert sum(amount(term) for term in terms.values()) == amount(answer["objective"]["total"])
    for name, term in terms.items():
        assert sum(amount(shipment["terms"][name]) for shipment in answer["shipments"]) == amount(term)
    for shipment in answer["shipments"]:
        late = shipment["lateness"]
        assert abs(Decimal(late["probability"]) * amount(late["price"]) - amount(shipment["terms"]["lateness"])) <= Decimal("0.000001")
        if asked.weights.cost == 1.0:
            assert amount(shipment["cost"]["fixed"]) + amount(shipment["cost"]["variable"]) == paid(asked, shipment)
    assert len(answer["rejected_nodes"]) + len(answer["shipments"]) == len(asked.network.nodes)
    assert answer["optimality"]["proven"]


@settings(max_examples=40, deadline=None)
@given(situations())
def test_what_made_an_order_infeasible_is_true_and_smallest(asked: Situation) -> None:
    found = asked.plan()
    blame = found.details.get("infeasible")
    if found.outcome is Outcome.PLANNED:
        assert blame is None
        return
    assert blame is not None
    assert bool(blame["constraints"]) == (blame["qty_with_them_lifted"] > 0)
    lifted = lift(asked, blame["constraints"])
    if lifted is None or not asked.constraints.partial:
        return
    assert lifted.plan().shipped_qty == found.shipped_qty + blame["qty_with_them_lifted"]
    for kept in blame["constraints"]:
        fewer = lift(asked, [rule for rule in blame["constraints"] if rule != kept])
        assert fewer is not None
        assert fewer.plan().shipped_qty < found.shipped_qty + blame["qty_with_them_lifted"]


def lift(asked: Situation, rules: list[str]) -> Situation | None:
    """The same request without these constraints; ``None`` for the policy's own limit, which a request cannot lift."""
    gone = set(rules)
    if "MAX_SHIPMENTS" in gone and asked.constraints.max_shipments is None:
        return None
    drop = {"DELIVER_BY": ("deliver_by", None), "DELIVER_FROM": ("deliver_from", None), "FORBIDDEN": ("forbid_nodes", ()),
            "REQUIRED_NODE": ("require_nodes", ()), "SPLIT_LINES": ("split_lines", True), "MAX_SHIPMENTS": ("max_shipments", 1_000)}  # fmt: skip
    constraints = asked.constraints.model_copy(update=dict(drop[rule] for rule in gone if rule in drop))
    off = {"TEMP_CLASS": "temp_class", "PINNED_NODE": "pinned_node", "SHIP_TOGETHER": "ship_together_group"}
    lines = tuple(line.model_copy(update={off[rule]: None for rule in gone if rule in off}) for line in asked.order.lines)
    nodes = tuple(
        replace(
            node,
            status="open" if "NODE_CLOSED" in gone else node.status,
            capacity_left=None if "CAPACITY" in gone else node.capacity_left,
        )
        for node in asked.network.nodes
    )
    tariff = tuple(replace(rate, max_weight_mg=None if "WEIGHT_LIMIT" in gone else rate.max_weight_mg) for rate in asked.network.rates)
    return Situation(
        asked.order.model_copy(update={"lines": lines}),
        Network(nodes, asked.network.stock, tariff),
        constraints,
        asked.weights,
        asked.risks,
    )


@pytest.mark.parametrize("up_to", [2_000_000, 5_000_000])
def test_a_step_as_wide_as_the_heaviest_shipment_is_charged_too(up_to: int) -> None:
    line = {"line_id": "1", "sku": "A", "qty": 1, "unit_price": {"amount": "9.99", "currency": "CNY"}}
    order = Order.model_validate(
        {"order_id": "SO-1", "placed_at": "2026-11-11T00:00:00Z", "currency": "CNY", "customer": {"customer_id": "C-1"},
         "ship_to": {"region": "east"}, "lines": [line]}
    )  # fmt: skip
    rate = Rate("N0", "east", "std", 0, 333_333, 1, 40.0, max_weight_mg=2_000_000, steps=((up_to, 0, 0),))
    asked = Situation(order, Network((Node("N0", "east"),), (Stock("N0", "A", 2, 0),), (rate,)), Constraints(), Weights(), {})
    (shipment,) = asked.plan().details["shipments"]
    assert amount(shipment["cost"]["variable"]) == paid(asked, shipment) == 0
