"""What is answered, as frozen values; parts within are as the API tells them. Members that are new appear in ``raw`` first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, TypeVar

from governance.ledger.checkpoint import Checkpoint
from governance.ledger.receipt import Receipt


class Money(TypedDict):
    """A decimal text and its currency."""

    amount: str
    currency: str


class Confidence(TypedDict):
    """The calibrated probability of an event, with an interval."""

    event: str
    probability: float
    low: float
    high: float
    level: float


class Reason(TypedDict):
    """A stable code with its texts by language."""

    rank: int
    code: str
    text: dict[str, str]
    direction: str
    contribution: float | None
    feature: str | None
    value: float | str | bool | None


class Model(TypedDict):
    """The model version that answered."""

    name: str
    version: int
    digest: str
    role: str


class Review(TypedDict):
    """Where a held decision waits, until when, and what it becomes then."""

    queue: str
    due_at: str
    expires_to: str


class Arrival(TypedDict):
    """When it arrives: times of which half, and nine in ten, are before."""

    p50: str
    p90: str


class PlannedLine(TypedDict):
    """Pieces of one line."""

    line_id: str
    qty: int


class Shipment(TypedDict):
    """What one node ships."""

    node_id: str
    service: str
    lines: list[PlannedLine]
    ship_at: str
    deliver: Arrival
    p_on_time: float
    cost: dict[str, Money]
    co2e_g: float


class Objective(TypedDict):
    """What the plan costs, by term."""

    total: Money
    terms: dict[str, Money]


class Optimality(TypedDict):
    """How sure it is that no plan is better."""

    proven: bool
    gap: float
    nodes_explored: int
    ms: float
    method: str


class Unfilled(TypedDict):
    """Pieces that nobody ships, and why."""

    line_id: str
    qty: int
    reason: str


class Reservation(TypedDict):
    """What the plan keeps for the order, until when."""

    id: str
    expires_at: str


class Prediction(TypedDict):
    """What a custom model predicts."""

    label: NotRequired[str]
    value: NotRequired[float]
    probabilities: NotRequired[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What every decision answers.

    Attributes:
        decision_id: ``None`` for a dry run.
        status: ``decided``, ``fallback`` or ``abstained``.
        receipt: checked; ``None`` for a dry run.
        raw: the whole answer.
        attempts: how often it was asked for.
    """

    decision_id: str | None
    type: str
    outcome: str
    status: str
    fallback_reason: str | None
    order_id: str | None
    order_version: int | None
    decided_at: str
    latency_ms: float
    confidence: Confidence | None
    reasons: tuple[Reason, ...]
    model: Model | None
    review: Review | None
    receipt: Receipt | None
    raw: Mapping[str, Any] = field(repr=False)
    attempts: int = 1

    @property
    def recorded(self) -> bool:
        """Whether the ledger has it."""
        return self.receipt is not None

    @property
    def held(self) -> bool:
        """Whether it waits for a person."""
        return self.review is not None


@dataclass(frozen=True, slots=True)
class AcceptanceDecision(Decision):
    """ACCEPT, ACCEPT_PARTIAL, HOLD or REJECT."""

    accepted_lines: tuple[str, ...] | None = None
    promise: Arrival | None = None


@dataclass(frozen=True, slots=True)
class FraudDecision(Decision):
    """ALLOW, REVIEW or BLOCK."""

    expected_loss: Money | None = None


@dataclass(frozen=True, slots=True)
class SplitOrderDecision(Decision):
    """PLANNED, PARTIAL or UNFULFILLABLE."""

    shipments: tuple[Shipment, ...] = ()
    objective: Objective | None = None
    optimality: Optimality | None = None
    unfilled: tuple[Unfilled, ...] = ()
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class CustomDecision(Decision):
    """The predicted label, or REVIEW."""

    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class OrderDecision:
    """PROCEED, HOLD or STOP for a whole order.

    Attributes:
        fraud, acceptance, split_order: ``None`` where the part was skipped; ``skipped`` says why.
    """

    decision_id: str | None
    order_id: str
    order_version: int
    outcome: str
    fraud: FraudDecision | None
    acceptance: AcceptanceDecision | None
    split_order: SplitOrderDecision | None
    skipped: Mapping[str, str]
    receipt: Receipt | None
    raw: Mapping[str, Any] = field(repr=False)
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One item of a batch: its decision, or the problem."""

    status: int
    decision: Decision | None
    problem: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What has become of a decision.

    Attributes:
        state: ``decided``, ``held``, ``pending``, ``overridden``, ``expired``, ``superseded`` or ``cancelled``.
        outcome: the one that holds now.
        resolved: whether nobody is waited for.
    """

    decision_id: str
    state: str
    outcome: str
    resolved: bool
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """That a record is in the log.

    Attributes:
        index: its place.
        checkpoint: the signed size and root that it was proved against.
        raw: the ``.tlog-proof`` file, which stands by itself.
    """

    record_id: str
    index: int
    checkpoint: Checkpoint
    raw: bytes = field(repr=False)


D = TypeVar("D", bound=Decision)


def decision(kind: type[D], told: Mapping[str, Any], receipt: Receipt | None, attempts: int = 1) -> D:
    """An answer as a value of its kind."""
    more = {name: _frozen(told[name]) for name in _MORE[kind] if name in told}
    return kind(
        decision_id=told["decision_id"],
        type=told["type"],
        outcome=told["outcome"],
        status=told["status"],
        fallback_reason=told["fallback_reason"],
        order_id=told["order_id"],
        order_version=told["order_version"],
        decided_at=told["decided_at"],
        latency_ms=told["latency_ms"],
        confidence=told["confidence"],
        reasons=tuple(told["reasons"]),
        model=told["model"],
        review=told["review"],
        receipt=receipt,
        raw=told,
        attempts=attempts,
        **more,
    )


def order_decision(told: Mapping[str, Any], check: Callable[[Mapping[str, Any]], Receipt | None], attempts: int = 1) -> OrderDecision:
    """The answer on a whole order; ``check`` checks and reads the receipt of an answer."""
    parts, skipped = told["decisions"], {}

    def part(name: str, kind: type[D]) -> D | None:
        one = parts[name]
        if "skipped" in one:
            skipped[name] = one["skipped"]
            return None
        return decision(kind, one, check(one))

    return OrderDecision(
        decision_id=told["decision_id"],
        order_id=told["order_id"],
        order_version=told["order_version"],
        outcome=told["outcome"],
        fraud=part("fraud", FraudDecision),
        acceptance=part("acceptance", AcceptanceDecision),
        split_order=part("split_order", SplitOrderDecision),
        skipped=skipped,
        receipt=check(told),
        raw=told,
        attempts=attempts,
    )


def kind_of(decision_type: str) -> type[Decision]:
    """The value that a decision type answers with."""
    return _KINDS.get(decision_type, CustomDecision)


_KINDS: Mapping[str, type[Decision]] = {"acceptance": AcceptanceDecision, "fraud": FraudDecision, "split-order": SplitOrderDecision}
_MORE: Mapping[type[Decision], Sequence[str]] = {
    AcceptanceDecision: ("accepted_lines", "promise"),
    FraudDecision: ("expected_loss",),
    SplitOrderDecision: ("shipments", "objective", "optimality", "unfilled", "reservation"),
    CustomDecision: ("prediction",),
}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
