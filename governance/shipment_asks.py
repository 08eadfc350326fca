"""What a request demands of a plan, what is predicted of its lanes, and what the policy pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from feature_store.order import Identifier, Moment, Strict

Weight = Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False, strict=True)]


class Constraints(Strict):
    """Hard constraints of one request; nothing overrides them."""

    max_shipments: Annotated[int, Field(ge=1, le=1_000, strict=True)] | None = None
    deliver_by: Moment | None = None
    deliver_from: Moment | None = Field(default=None, description="No shipment is planned to arrive (p50) before it.")
    forbid_nodes: tuple[Identifier, ...] = Field(default=(), max_length=1_000)
    require_nodes: tuple[Identifier, ...] = Field(default=(), max_length=1_000, description="Nodes that have to ship at least one piece.")
    split_lines: bool = Field(default=True, strict=True, description="false: a line leaves whole and in one shipment, or not at all.")
    partial: bool = Field(default=True, strict=True, description="false: the order ships in full, or not at all.")


class Weights(Strict):
    """Multiply the policy's money rates term by term; 0 switches a term off."""

    cost: Weight = 1.0
    lateness: Weight = 1.0
    carbon: Weight = 1.0
    split: Weight = 1.0
    scarcity: Weight = 1.0


@dataclass(frozen=True, slots=True)
class LaneRisk:
    """What is predicted for one lane.

    Attributes:
        p_late: probability that a shipment on it is late.
        transit_p50_h: hours from hand-over to delivery that half of the shipments keep; ``None`` for the carrier's plan.
        transit_p90_h: hours that nine in ten keep; ``None`` for the plan times :attr:`Prices.p90_factor`.
    """

    p_late: float
    transit_p50_h: float | None = None
    transit_p90_h: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """The policy's money rates, millionths of the currency.

    Attributes:
        late_shipment: for a shipment that is certainly late.
        carbon_per_kg: for a kilogram CO₂e.
        split: for each shipment after the first.
        max_shipments: limit where the request sets none.
        unknown_weight_g: weight of a piece whose weight nobody told.
        p90_factor: transit at p90 as a multiple of the carrier's plan where nothing is predicted.
        scarce_stock: what a piece is worth that a later order will miss.
    """

    late_shipment: int
    carbon_per_kg: int
    split: int
    max_shipments: int | None = None
    unknown_weight_g: float = 500.0
    p90_factor: float = 1.5
    scarce_stock: int = 0
