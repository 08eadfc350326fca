"""One declared order of precedence between the decisions on one order: which of them wins when they disagree.

Recorded with every decision of ``/v1/orders/decide``, so that nobody has to guess later whose word counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.specs import DecisionType, Outcome

STOP, HOLD, PROCEED = Outcome.STOP, Outcome.HOLD, Outcome.PROCEED


@dataclass(frozen=True, slots=True)
class Precedence:
    """If ``type`` answers ``outcome``, the order gets ``gives``."""

    type: str
    outcome: str
    gives: Outcome

    def __str__(self) -> str:
        return f"{self.type}:{self.outcome} → {self.gives}"


PRECEDENCE: tuple[Precedence, ...] = (
    Precedence(DecisionType.FRAUD, Outcome.BLOCK, STOP),
    Precedence(DecisionType.ACCEPTANCE, Outcome.REJECT, STOP),
    Precedence(DecisionType.FRAUD, Outcome.REVIEW, HOLD),
    Precedence(DecisionType.ACCEPTANCE, Outcome.HOLD, HOLD),
    Precedence(DecisionType.SPLIT_ORDER, Outcome.UNFULFILLABLE, HOLD),
)
"""Strongest first: fraud stops an order before acceptance may take it; a plan that ships nothing holds it, a partial plan does not."""


@dataclass(frozen=True, slots=True)
class Together:
    """What the decisions on one order come to.

    Attributes:
        decided_by: the line of :data:`PRECEDENCE` that decided; ``None`` when nothing objected.
    """

    outcome: Outcome
    decided_by: Precedence | None


def resolve(outcomes: Mapping[str, str]) -> Together:
    """Combine outcomes by decision type; a type that was skipped is absent and has no say."""
    for rule in PRECEDENCE:
        if outcomes.get(rule.type) == rule.outcome:
            return Together(rule.gives, rule)
    return Together(PROCEED, None)
