"""Request bodies of the decision routes: what they may hold, with an example of each.

They validate what arrives and feed ``/openapi.json``. The order itself is :class:`feature_store.order.Order`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from feature_store.network_request import NodeRequest, RateRequest, StockRequest
from feature_store.order import Identifier, Order, Strict
from governance.shipments import Constraints, Weights

MAX_BATCH = 1_000
MAX_KEY = 255
Label = Annotated[str, Field(min_length=1, max_length=128)]


class OmsLine(BaseModel):
    """Pieces of one line in a shipment of the OMS."""

    model_config = ConfigDict(frozen=True, extra="allow")

    line_id: Identifier
    qty: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class OmsShipment(BaseModel):
    """A shipment as the OMS would have made it; what else it tells of it is recorded, and counts for nothing."""

    model_config = ConfigDict(frozen=True, extra="allow")

    node_id: Identifier
    service: Identifier | None = Field(default=None, description="The cheapest of the node's, where none is told.")
    lines: tuple[OmsLine, ...] | None = Field(
        default=None, max_length=500, description="May be absent where there is one shipment: the whole order."
    )


class OmsChoice(Strict):
    """What the OMS would have done by itself; recorded beside our answer."""

    outcome: Label | None = None
    shipments: tuple[OmsShipment, ...] | None = Field(default=None, max_length=200)


class DecideBody(Strict):
    """What every decision request may say about how it is to be answered."""

    mode: Literal["live", "dry_run"] = "live"
    deadline_ms: Annotated[int, Field(ge=1, le=60_000, strict=True)] | None = Field(default=None, examples=[200])
    fallback: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(default=None, examples=["hold"])
    oms_choice: OmsChoice | None = None


class OrderBody(DecideBody):
    """``POST /v1/decisions/acceptance`` and ``/fraud``."""

    order: Order


class SplitBody(OrderBody):
    """``POST /v1/decisions/split-order`` and ``/v1/orders/decide``: the order, and what the feature store need not supply."""

    nodes: tuple[NodeRequest, ...] | None = Field(default=None, min_length=1, max_length=200)
    stock: tuple[StockRequest, ...] | None = Field(default=None, max_length=20_000)
    rates: tuple[RateRequest, ...] | None = Field(default=None, max_length=20_000)
    constraints: Constraints = Constraints()
    weights: Weights = Weights()


class CustomBody(DecideBody):
    """``POST /v1/decisions/{name}`` of a published custom type: one row, by the original column names."""

    row: dict[str, Any] = Field(max_length=5_000)
    order_id: Identifier | None = None


ItemKey = Annotated[str, Field(min_length=1, max_length=MAX_KEY, description="As the header Idempotency-Key; a dry run needs none.")]


class OrderItem(OrderBody):
    """One item of a batch for acceptance or fraud."""

    idempotency_key: ItemKey | None = None


class SplitItem(SplitBody):
    """One item of a batch for split-order."""

    idempotency_key: ItemKey | None = None


class CustomItem(CustomBody):
    """One item of a batch for a custom type."""

    idempotency_key: ItemKey | None = None


class BatchBody(Strict):
    """``POST /v1/decisions/{type}/batch``. Each item is validated by itself, so that a wrong one does not stop the others."""

    items: tuple[OrderItem | SplitItem | CustomItem, ...] = Field(min_length=1, max_length=MAX_BATCH)


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
CUSTOM_EXAMPLE: dict[str, Any] = {
    "mode": "live",
    "row": {
        "placed_at": "2026-11-11T00:00:03.120Z", "region": "west", "service": "std", "carrier": "Jade Express", "pieces": 2, "weight_g": 1200,
    },
    "order_id": "SO-1001",
}  # fmt: skip
