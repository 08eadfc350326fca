"""Request bodies of the decision routes: what they may hold, with an example of each.

They validate what arrives and feed ``/openapi.json``. The order itself is :class:`feature_store.order.Order`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from feature_store import network
from feature_store.order import Identifier, Moment, Money, Order, Strict, Text

MAX_BATCH = 1_000
MAX_KEY = 255
Label = Annotated[str, Field(min_length=1, max_length=128)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Pieces = Annotated[int, Field(ge=0, le=10**9)]
Region = Annotated[str, Field(min_length=1, max_length=128)]


class OmsChoice(Strict):
    """What the OMS would have done by itself; recorded beside our answer."""

    outcome: Label | None = None
    shipments: tuple[dict[str, Any], ...] | None = Field(default=None, max_length=200)


class DecideBody(Strict):
    """What every decision request may say about how it is to be answered."""

    mode: Literal["live", "dry_run"] = "live"
    deadline_ms: Annotated[int, Field(ge=1, le=60_000)] | None = Field(default=None, examples=[200])
    fallback: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(default=None, examples=["hold"])
    oms_choice: OmsChoice | None = None


class OrderBody(DecideBody):
    """``POST /v1/decisions/acceptance`` and ``/fraud``."""

    order: Order


class NodeBody(Strict):
    """A node, as the OMS knows it right now."""

    node_id: Identifier
    region: Region
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    cutoff_at: Moment | None = None
    processing_h: Annotated[float, Field(ge=0, le=10_000)] = network.DEFAULT_PROCESSING_H
    processing_cost: Money | None = None
    capacity_left: Pieces | None = None
    temp_classes: tuple[Text, ...] = Field(default=(), max_length=20)
    status: Text = network.OPEN

    def to_node(self) -> network.Node:
        """The node as the optimiser reads it."""
        return network.Node(
            node_id=self.node_id, region=self.region, lat=self.lat, lon=self.lon, cutoff_at=self.cutoff_at, processing_h=self.processing_h,
            processing_cost_micros=0 if self.processing_cost is None else self.processing_cost.micros,
            capacity_left=self.capacity_left, temp_classes=self.temp_classes, status=self.status,
        )  # fmt: skip


class StockBody(Strict):
    """How many pieces of a SKU a node has; usable are ``available − safety``."""

    node_id: Identifier
    sku: Identifier
    available: Pieces
    safety: Pieces = 0
    as_of: Moment | None = None

    def to_stock(self) -> network.Stock:
        """The stock as the optimiser reads it."""
        return network.Stock(self.node_id, self.sku, self.available, self.safety, self.as_of)


class RateBody(Strict):
    """What one service of a lane costs and how long it takes."""

    node_id: Identifier
    region: Region
    service: Identifier
    fixed: Money
    per_kg: Money
    transit_days: Annotated[float, Field(ge=0, le=400)]
    co2e_g_per_kg: Annotated[float, Field(ge=0, le=1e7)] = 0.0

    def to_rate(self) -> network.Rate:
        """The rate as the optimiser reads it."""
        return network.Rate(
            self.node_id, self.region, self.service, self.fixed.micros, self.per_kg.micros, self.transit_days, self.co2e_g_per_kg
        )  # fmt: skip


class ConstraintsBody(Strict):
    """What a plan must keep, beside what the policy demands."""

    max_shipments: Annotated[int, Field(ge=1, le=100)] | None = None
    deliver_by: Moment | None = None
    forbid_nodes: tuple[Identifier, ...] = Field(default=(), max_length=200)
    require_nodes: tuple[Identifier, ...] = Field(default=(), max_length=200)

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        both = set(self.forbid_nodes) & set(self.require_nodes)
        if both:
            raise ValueError(f"node {sorted(both)[0]!r} is both forbidden and required")
        return self


class WeightsBody(Strict):
    """Factors on the policy's money rates; 0 switches a term off."""

    cost: Weight = 1.0
    lateness: Weight = 1.0
    carbon: Weight = 1.0
    split: Weight = 1.0


class SplitBody(OrderBody):
    """``POST /v1/decisions/split-order``: the order, and what the feature store need not supply."""

    nodes: tuple[NodeBody, ...] | None = Field(default=None, min_length=1, max_length=200)
    stock: tuple[StockBody, ...] | None = Field(default=None, max_length=20_000)
    rates: tuple[RateBody, ...] | None = Field(default=None, max_length=20_000)
    constraints: ConstraintsBody = ConstraintsBody()
    weights: WeightsBody = WeightsBody()

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        currency = self.order.currency
        for place, money in self._money():
            if money.currency != currency:
                raise ValueError(f"{place} is in {money.currency}, the order in {currency}")
        return self

    @model_validator(mode="after")
    def _no_node_twice(self) -> Self:
        names = [node.node_id for node in self.nodes or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"node {twice!r} occurs twice")
        return self

    def _money(self) -> list[tuple[str, Money]]:
        priced = [(f"nodes.{i}.processing_cost", node.processing_cost) for i, node in enumerate(self.nodes or ())]
        priced += [(f"rates.{i}.fixed", rate.fixed) for i, rate in enumerate(self.rates or ())]
        priced += [(f"rates.{i}.per_kg", rate.per_kg) for i, rate in enumerate(self.rates or ())]
        return [(place, money) for place, money in priced if money is not None]


class CustomBody(DecideBody):
    """``POST /v1/decisions/{name}`` of a published custom type: one row, by the original column names."""

    row: dict[str, Any] = Field(max_length=5_000)
    order_id: Identifier | None = None


ItemKey = Annotated[str, Field(min_length=1, max_length=MAX_KEY)]

ORDER_EXAMPLE: dict[str, Any] = {
    "order_id": "SO-1001",
    "order_version": 1,
    "placed_at": "2026-11-11T00:00:03.120Z",
    "channel": "app",
    "currency": "CNY",
    "tags": ["presale", "cross_border"],
    "promised_by": "2026-11-14T12:00:00.000Z",
    "attributes": {"anchor_id": "A-7"},
    "customer": {"customer_id": "C-9", "segment": "gold", "registered_at": "2024-03-01T00:00:00.000Z"},
    "ship_to": {
        "address_id": "AD-3",
        "country": "CN",
        "region": "east",
        "city": "Shanghai",
        "postcode": "200000",
        "lat": 31.23,
        "lon": 121.47,
    },
    "bill_to": {"address_id": "AD-3"},
    "device": {"device_id": "D-5", "ip": "127.0.0.1"},
    "payment": {"method": "card", "status": "authorised", "token": "tok_1"},
    "lines": [
        {
            "line_id": "1",
            "sku": "SKU-1",
            "qty": 2,
            "unit_price": {"amount": "129.99", "currency": "CNY"},
            "weight_g": 500,
            "volume_cm3": 900,
            "category": "beauty",
            "ship_together_group": "g1",
            "temp_class": "ambient",
            "pinned_node": None,
            "attributes": {},
        }
    ],
}

ACCEPTANCE_EXAMPLE: dict[str, Any] = {
    "mode": "live",
    "deadline_ms": 200,
    "fallback": "hold",
    "oms_choice": {"outcome": "ACCEPT"},
    "order": ORDER_EXAMPLE,
}
FRAUD_EXAMPLE: dict[str, Any] = {"mode": "live", "deadline_ms": 200, "fallback": "review", "order": ORDER_EXAMPLE}
SPLIT_EXAMPLE: dict[str, Any] = {
    "mode": "live",
    "order": ORDER_EXAMPLE,
    "nodes": [
        {
            "node_id": "N1",
            "region": "east",
            "lat": 31.0,
            "lon": 121.0,
            "cutoff_at": "2026-11-11T16:00:00.000Z",
            "processing_h": 4,
            "processing_cost": {"amount": "1.50", "currency": "CNY"},
            "capacity_left": 400,
        }
    ],
    "stock": [{"node_id": "N1", "sku": "SKU-1", "available": 5, "safety": 1, "as_of": "2026-11-11T00:00:00.000Z"}],
    "rates": [
        {
            "node_id": "N1",
            "region": "east",
            "service": "std",
            "fixed": {"amount": "6.00", "currency": "CNY"},
            "per_kg": {"amount": "1.255", "currency": "CNY"},
            "transit_days": 2,
            "co2e_g_per_kg": 40,
        }
    ],
    "constraints": {"max_shipments": 3, "deliver_by": None, "forbid_nodes": [], "require_nodes": []},
    "weights": {"cost": 1, "lateness": 1, "carbon": 1, "split": 1},
}
CUSTOM_EXAMPLE: dict[str, Any] = {"mode": "live", "row": {"Country": "Nigeria", "Weight (Kilograms)": 1200}, "order_id": "SO-1001"}
