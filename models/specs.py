"""What each built-in decision type predicts and answers. Custom types carry the same facts in their model's card."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DecisionType(StrEnum):
    """The decision types that come with the product."""

    ACCEPTANCE = "acceptance"
    FRAUD = "fraud"
    SPLIT_ORDER = "split-order"


class Task(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Outcome(StrEnum):
    """What the OMS is told by a built-in type; a custom type answers with its own labels, or REVIEW."""

    ACCEPT = "ACCEPT"
    ACCEPT_PARTIAL = "ACCEPT_PARTIAL"
    HOLD = "HOLD"
    REJECT = "REJECT"
    ALLOW = "ALLOW"
    REVIEW = "REVIEW"
    BLOCK = "BLOCK"
    PLANNED = "PLANNED"
    PARTIAL = "PARTIAL"
    UNFULFILLABLE = "UNFULFILLABLE"
    PROCEED = "PROCEED"
    STOP = "STOP"


@dataclass(frozen=True, slots=True)
class DecisionSpec:
    """The fixed facts of one decision type.

    Attributes:
        event: what the probability in ``confidence`` is the probability of.
        outcomes: every outcome that may be answered.
        cautious: the outcome that asks a person; ``None`` where there is none.
    """

    type: str
    event: str
    outcomes: tuple[Outcome, ...]
    cautious: Outcome | None


SPECS: dict[str, DecisionSpec] = {
    spec.type: spec
    for spec in (
        DecisionSpec(
            DecisionType.ACCEPTANCE.value,
            "fulfilment_failure",
            (Outcome.ACCEPT, Outcome.ACCEPT_PARTIAL, Outcome.HOLD, Outcome.REJECT),
            Outcome.HOLD,
        ),
        DecisionSpec(DecisionType.FRAUD.value, "fraud", (Outcome.ALLOW, Outcome.REVIEW, Outcome.BLOCK), Outcome.REVIEW),
        DecisionSpec(DecisionType.SPLIT_ORDER.value, "late", (Outcome.PLANNED, Outcome.PARTIAL, Outcome.UNFULFILLABLE), None),
    )
}
