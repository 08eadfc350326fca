"""Decisions: one, many, and those of an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from serving.console.contexts.common import Badge, Bar, CostRow, Crumb, Fact, Frame, Option, Pair, Scale, Tick


@dataclass(frozen=True, slots=True)
class WaterfallRow:
    """One step from the usual order to this one."""

    label: str
    note: str
    kind: str
    bar: Bar
    text: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """How the margin came about, largest steps first."""

    hint: str
    note: str
    ticks: tuple[Tick, ...]
    rows: tuple[WaterfallRow, ...]


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One feature of the snapshot."""

    label: str
    name: str
    value: str
    usual: str
    contribution: str
    direction: str
    origin: str
    origin_kind: str
    age: str
    since: str


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason, as it was told."""

    text: str
    code: str
    direction: str


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One rule or hard constraint and what came of it; the tone is ``pass``, ``hit`` or ``miss``."""

    title: str
    detail: str
    tone: str


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One moment in the life of an order."""

    when: str
    text: str
    note: str
    tone: str
    href: str | None
    current: bool


@dataclass(frozen=True, slots=True)
class ShipmentCard:
    """One shipment of a plan."""

    title: str
    service: str
    lines: tuple[str, ...]
    facts: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A shipment plan and why it won."""

    shipments: tuple[ShipmentCard, ...]
    costs: tuple[CostRow, ...]
    total: str
    proof: str
    runner_up: str
    rejected: tuple[Pair, ...]
    unfilled: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class OrderDecision:
    """One decision among those on the same order; ``when`` is what its number is about where all were made at once."""

    href: str
    type: str
    badge: Badge
    when: str
    version: str
    headline: str
    probability: str
    scale: Scale | None


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """``/console/decisions/{id}``."""

    TEMPLATE: ClassVar[str] = "decision.html"
    frame: Frame
    crumbs: tuple[Crumb, ...]
    kind: str
    badge: Badge
    headline: str
    fallback: str
    facts: tuple[Fact, ...]
    reasons: tuple[ReasonRow, ...]
    more_reasons: tuple[ReasonRow, ...]
    waterfall: Waterfall | None
    no_waterfall: str
    parts: tuple[OrderDecision, ...]
    plan: Plan | None
    prediction: tuple[CostRow, ...]
    snapshot: tuple[SnapshotRow, ...]
    snapshot_hint: str
    policy: tuple[PolicyRow, ...]
    policy_hint: str
    timeline: tuple[TimelineItem, ...]
    since: tuple[TimelineItem, ...]
    holds_now: str
    record: tuple[Pair, ...]
    raw_href: str
    similar_href: str


@dataclass(frozen=True, slots=True)
class Filter:
    """One field of the filter form: a list of choices, or a text where there are none."""

    name: str
    label: str
    value: str
    kind: str = "text"
    options: tuple[Option, ...] = ()
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision in a list."""

    href: str
    badge: Badge
    type: str
    order: str
    order_href: str
    why: str
    where: str
    probability: str
    when: str
    when_machine: str
    model: str
    status: str


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter in force, and the link that lifts it."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class DecisionsPage:
    """``/console/decisions``."""

    TEMPLATE: ClassVar[str] = "decisions.html"
    frame: Frame
    filters: tuple[Filter, ...]
    open_filters: bool
    chips: tuple[Chip, ...]
    problem: str
    rows: tuple[DecisionRow, ...]
    next_href: str | None
    previous_href: str | None
    export_href: str = ""


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line of an order."""

    line_id: str
    sku: str
    category: str
    qty: str
    price: str


@dataclass(frozen=True, slots=True)
class OrderPage:
    """``/console/orders/{order_id}``."""

    TEMPLATE: ClassVar[str] = "order.html"
    frame: Frame
    crumbs: tuple[Crumb, ...]
    order_id: str
    summary: str
    facts: tuple[Pair, ...]
    lines: tuple[LineRow, ...]
    decisions: tuple[OrderDecision, ...]
