"""The decision as a value: what was decided, why, how sure, and by which model and policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.snapshot import FeatureSnapshot
from feature_store.times import Millis
from models.reasons import Reason


class Stage(StrEnum):
    """Why the core was asked; a stage is an input of the decision and part of its record."""

    LIVE = "live"
    DRY_RUN = "dry_run"
    SHADOW = "shadow"
    WHAT_IF = "what_if"
    REPLAY = "replay"
    TRAINING = "training"


class Status(StrEnum):
    """How the outcome came about."""

    DECIDED = "decided"
    FALLBACK = "fallback"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class Confidence:
    """A calibrated probability of ``event`` with an interval at ``level``."""

    event: str
    probability: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Exact SHAP values in the model's margin: ``base + contributions.sum() == margin`` within 1e-9.

    Attributes:
        names: feature names, length n.
        values: the model's input, float64 (n,).
        contributions: float64 (n,), in units of the margin.
        link: ``logit``, ``softmax`` or ``identity``.
    """

    base: float
    margin: float
    link: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    contributions: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Which model version answered, and in which role."""

    name: str
    version: int
    digest: str
    role: str = "champion"


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One rule or hard constraint, and what came of it."""

    id: str
    hard: bool
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class PolicyUse:
    """Which policy version judged, with the result of every rule."""

    id: str
    version: int
    digest: str
    results: Sequence[PolicyResult] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """Where a held decision waits, until when, and what it becomes then."""

    queue: str
    due_at: Millis
    expires_to: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, complete.

    Attributes:
        details: what only this type answers (``promise``, ``expected_loss``, ``shipments``, ``prediction``, ...), ready for JSON.
        alternatives: what else was considered, ready for JSON.
        reasons: all of them, by rank; an answer shows four.
    """

    type: str
    outcome: str
    status: Status
    decided_at: Millis
    stage: Stage
    order_id: str | None = None
    order_version: int | None = None
    fallback_reason: str | None = None
    confidence: Confidence | None = None
    reasons: tuple[Reason, ...] = ()
    model: ModelUse | None = None
    policy: PolicyUse | None = None
    snapshot: FeatureSnapshot | None = None
    explanation: Explanation | None = None
    review: Review | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    alternatives: Sequence[Mapping[str, Any]] = ()


__all__ = [
    "Confidence",
    "Decision",
    "Explanation",
    "ModelUse",
    "PolicyResult",
    "PolicyUse",
    "Reason",
    "Review",
    "Stage",
    "Status",
]
