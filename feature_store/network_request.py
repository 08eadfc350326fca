"""Nodes, stock and rates as a request may tell them; what a request leaves out comes from the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from feature_store.network import Node, Rate, Stock
from feature_store.order import Identifier, Latitude, Longitude, Moment, Money, Strict, Text
from feature_store.times import parse_time

Loc = tuple[str | int, ...]

Finite = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, strict=True)]
Pieces = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]

_LAST_CUTOFF = parse_time("9990-01-01T00:00:00Z")


def _tellable(cutoff_at: int) -> int:
    """What is shipped after it has to arrive at a time that can be written."""
    if cutoff_at >= _LAST_CUTOFF:
        raise ValueError("a cut-off lies before the year 9990; leave it out where there is none")
    return cutoff_at


class NetworkRefused(ValueError):
    """Nodes, stock or rates that contradict each other or the order; ``errors`` holds (where, what) for each."""

    def __init__(self, errors: Sequence[tuple[Loc, str]]) -> None:
        super().__init__("; ".join(message for _, message in errors))
        self.errors = tuple(errors)


class NodeRequest(Strict):
    """A place that can ship. ``processing_cost`` is per shipment, ``capacity_left`` in pieces."""

    node_id: Identifier
    region: Identifier
    lat: Latitude | None = None
    lon: Longitude | None = None
    cutoff_at: Annotated[Moment, AfterValidator(_tellable)] | None = None
    processing_h: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False, strict=True)] = 24.0
    processing_cost: Money | None = None
    capacity_left: Pieces | None = None
    temp_classes: tuple[Text, ...] = Field(default=(), max_length=32, description="What it can store; empty for everything.")
    status: Text = "open"

    def value(self) -> Node:
        """The node as the optimiser reads it."""
        return Node(
            node_id=self.node_id,
            region=self.region,
            lat=self.lat,
            lon=self.lon,
            cutoff_at=self.cutoff_at,
            processing_h=self.processing_h,
            processing_cost_micros=self.processing_cost.micros if self.processing_cost else 0,
            capacity_left=self.capacity_left,
            temp_classes=self.temp_classes,
            status=self.status,
        )


class StockRequest(Strict):
    """Pieces of a SKU at a node; usable are ``available − safety``."""

    node_id: Identifier
    sku: Identifier
    available: Pieces
    safety: Pieces = 0
    as_of: Moment | None = None
    expected_demand: Pieces | None = Field(default=None, description="Pieces that other orders are expected to take until it is refilled.")

    def value(self) -> Stock:
        """The stock as the optimiser reads it."""
        return Stock(self.node_id, self.sku, self.available, self.safety, self.as_of, expected_demand=self.expected_demand)


Grams = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False, strict=True)]


class RateStep(Strict):
    """The price of a lighter shipment."""

    up_to_g: Grams
    fixed: Money
    per_kg: Money

    def value(self) -> tuple[int, int, int]:
        """The step as the optimiser reads it."""
        return round(self.up_to_g * 1000), self.fixed.micros, self.per_kg.micros


class RateRequest(Strict):
    """What one service of a lane (node × region) costs and how long it takes.

    A shipment is charged by the cheapest that may carry its weight: one of the ``steps``, or ``fixed`` and ``per_kg`` themselves.
    """

    node_id: Identifier
    region: Identifier
    service: Identifier
    fixed: Money
    per_kg: Money
    transit_days: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False, strict=True)]
    co2e_g_per_kg: Finite = 0.0
    max_weight_g: Grams | None = Field(default=None, description="Heaviest shipment that it takes; null for no limit.")
    steps: tuple[RateStep, ...] = Field(
        default=(), max_length=20, description="Prices of lighter shipments, as a tariff has them by weight."
    )

    def value(self) -> Rate:
        """The rate as the optimiser reads it."""
        return Rate(
            self.node_id, self.region, self.service, self.fixed.micros, self.per_kg.micros, self.transit_days, self.co2e_g_per_kg,
            max_weight_mg=None if self.max_weight_g is None else round(self.max_weight_g * 1000),
            steps=tuple(step.value() for step in self.steps),
        )  # fmt: skip


def check_network(
    currency: str,
    known: Iterable[str],
    nodes: Sequence[NodeRequest] | None,
    stock: Sequence[StockRequest] | None,
    rates: Sequence[RateRequest] | None,
) -> None:
    """Refuse what cannot be meant: a node told twice, stock or rates of an unknown node, a negative or foreign amount.

    Args:
        currency: the order's.
        known: node ids of the store, which hold where the request tells no nodes.
        nodes: as in the request, ``None`` where it tells none.
        stock: likewise.
        rates: likewise.

    Raises:
        NetworkRefused: with every error and its place in the request.
    """
    errors: list[tuple[Loc, str]] = []
    ids = set(known) if nodes is None else {node.node_id for node in nodes}
    _once(errors, "nodes", [node.node_id for node in nodes or ()])
    _once(errors, "stock", [f"{item.sku} at {item.node_id}" for item in stock or ()])
    _once(errors, "rates", [f"{rate.node_id} to {rate.region} by {rate.service}" for rate in rates or ()])
    named = [("stock", i, item.node_id) for i, item in enumerate(stock or ())] + [
        ("rates", i, rate.node_id) for i, rate in enumerate(rates or ())
    ]
    errors += [((part, i, "node_id"), f"node {node_id!r} is unknown") for part, i, node_id in named if node_id not in ids]
    amounts: list[tuple[Loc, Money]] = [
        (("nodes", i, "processing_cost"), node.processing_cost) for i, node in enumerate(nodes or ()) if node.processing_cost
    ]
    for i, rate in enumerate(rates or ()):
        amounts += [(("rates", i, "fixed"), rate.fixed), (("rates", i, "per_kg"), rate.per_kg)]
        for j, step in enumerate(rate.steps):
            amounts += [(("rates", i, "steps", j, "fixed"), step.fixed), (("rates", i, "steps", j, "per_kg"), step.per_kg)]
    for loc, money in amounts:
        if money.currency != currency:
            errors.append((loc, f"is in {money.currency}, the order in {currency}"))
        elif money.amount < 0:
            errors.append((loc, "is negative"))
    if errors:
        raise NetworkRefused(errors)


def _once(errors: list[tuple[Loc, str]], part: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            errors.append(((part, index), f"{name} is told twice"))
        seen.add(name)
