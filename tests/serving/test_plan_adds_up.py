"""Contributions explain the predicted terms, the cost ledger explains the choice, and the two add up: from features to the objective's total."""

from __future__ import annotations

from decimal import Decimal

import pytest

from feature_store.network import Network, Node, Rate, Stock
from feature_store.order import MICRO, Order
from feature_store.times import HOUR, parse_time
from feature_store.views import lane_snapshots
from governance.decision import Inputs, Stage, decide
from governance.shipments import Constraints, Weights
from serving.force import Force

AT = parse_time("2026-11-11T00:00:03.120Z")
ORDER = Order.model_validate({
    "order_id": "SO-1", "placed_at": "2026-11-11T00:00:00Z", "currency": "CNY", "customer": {"customer_id": "C-1"}, "ship_to": {"region": "east"},
    "promised_by": "2026-11-14T00:00:00Z",
    "lines": [
        {"line_id": str(i), "sku": sku, "qty": 2, "weight_g": 700, "unit_price": {"amount": "10.00", "currency": "CNY"}}
        for i, sku in enumerate("ABC")
    ],
})  # fmt: skip
NETWORK = Network(
    tuple(Node(f"N{n}", "east", processing_h=2.0 + n, processing_cost_micros=MICRO, capacity_left=20) for n in range(3)),
    tuple(Stock(f"N{n}", sku, 5, 1, expected_demand=4) for n, sku in enumerate("ABC")),
    tuple(Rate(f"N{n}", "east", service, 6 * MICRO, MICRO, 1.0 + n, 40.0) for n in range(3) for service in ("exp", "std")),
)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_from_contributions_to_the_total(force: Force, weight: float) -> None:
    deployed = force.models["split-order"]
    lanes = lane_snapshots(ORDER, NETWORK, {}, AT + HOUR)
    inputs = Inputs(
        "split-order", Stage.LIVE, AT, order=ORDER, network=NETWORK, lanes=tuple(lanes), constraints=Constraints(),
        weights=Weights(lateness=weight),
    )  # fmt: skip
    details = decide(inputs, force.models, force.policies["split-order"]).details
    snapshots = {(node_id, service): snapshot for node_id, service, snapshot in lanes}
    assert len(details["shipments"]) == 3
    lateness = Decimal(0)
    for shipment in details["shipments"]:
        told = shipment["lateness"]
        assert told["base"] + sum(part["contribution"] for part in told["contributions"]) + told["others"] == pytest.approx(
            told["margin"], abs=1e-9
        )
        row = deployed.row(snapshots[shipment["node_id"], shipment["service"]])
        assert told["margin"] == pytest.approx(float(deployed.artifact.scorer.margin(row)[0]), abs=1e-9)
        assert told["probability"] == pytest.approx(deployed.confidence(told["margin"]).probability, abs=1e-12)
        assert told["probability"] == pytest.approx(1.0 - shipment["p_on_time"], abs=1e-6)
        assert Decimal(told["price"]["amount"]) == Decimal(18) * Decimal(str(weight))
        term = Decimal(shipment["terms"]["lateness"]["amount"])
        assert float(term) == pytest.approx(told["probability"] * float(told["price"]["amount"]), abs=1e-6)
        cost = sum(Decimal(part["amount"]) for part in shipment["cost"].values())
        assert cost == Decimal(shipment["terms"]["cost"]["amount"])
        lateness += term
    terms = details["objective"]["terms"]
    assert Decimal(terms["lateness"]["amount"]) == lateness
    assert (Decimal(terms["scarcity"]["amount"]) > 0) is True
    assert sum(Decimal(term["amount"]) for term in terms.values()) == Decimal(details["objective"]["total"]["amount"])
