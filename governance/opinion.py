"""What a model says of one snapshot: score, confidence, exact contributions, reasons and, for custom types, the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.snapshot import FeatureSnapshot
from governance.values import Confidence, Explanation, ModelUse, Reason
from models.artifact import ModelArtifact
from models.calibration import Calibrator
from models.specs import Task


class FeaturesMissing(ValueError):
    """A model asks for features that the type's snapshot does not have."""


@dataclass(frozen=True)
class Deployed:
    """A loaded model version in its role."""

    artifact: ModelArtifact
    use: ModelUse
    _order: dict[tuple[str, ...], NDArray[np.intp] | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def threshold(self) -> float | None:
        """From which probability on the event is predicted; only where there are two outcomes."""
        if self.artifact.task is not Task.BINARY:
            return None
        return 0.5 if self.artifact.threshold is None else self.artifact.threshold

    @property
    def names(self) -> tuple[str, ...]:
        """The features that the model reads, in its order."""
        return self.artifact.names

    def row(self, snapshot: FeatureSnapshot) -> NDArray[np.float64]:
        """The snapshot's values in the model's order, float64 (n,).

        Raises:
            FeaturesMissing: the snapshot lacks a feature.
        """
        if snapshot.names not in self._order:
            self._order[snapshot.names] = self._selection(snapshot.names)
        selection = self._order[snapshot.names]
        return snapshot.values if selection is None else snapshot.values[selection]

    def confidence(self, margin: float) -> Confidence:
        """The calibrated probability of the event of a model with two outcomes, at this margin."""
        calibrator = self.artifact.calibrator
        assert isinstance(calibrator, Calibrator)
        told = calibrator.confidence(margin)
        return Confidence(self.artifact.event, told.probability, told.low, told.high, calibrator.level)

    @cached_property
    def described(self) -> tuple[Mapping[str, Any], ...]:
        """What a person has to know about each feature, for the record: it is kept as it was when the model was trained."""
        return tuple(
            {
                "label": dict(card.label),
                "unit": card.unit,
                "usual": card.raw(card.usual) if card.usual is not None else None,
                "group": card.group,
            }
            for card in self.artifact.features
        )

    def _selection(self, names: tuple[str, ...]) -> NDArray[np.intp] | None:
        if names == self.names:
            return None
        at = {name: index for index, name in enumerate(names)}
        missing = [name for name in self.names if name not in at]
        if missing:
            raise FeaturesMissing(f"model {self.use.name} {self.use.version} reads {', '.join(missing)}, which the features do not have")
        return np.array([at[name] for name in self.names], dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model says.

    Attributes:
        prediction: the predicted label of a custom type, as an outcome.
        answer: ``label`` or ``value``, and ``probabilities``.
        threshold: from which probability on the event is predicted.
    """

    confidence: Confidence | None
    explanation: Explanation
    reasons: tuple[Reason, ...]
    prediction: str | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None

    def facts(self) -> dict[str, Any]:
        """``model.*`` as a policy sees it."""
        told: dict[str, Any] = {"prediction": self.prediction, "threshold": self.threshold, "value": self.answer.get("value")}
        if self.confidence is not None:
            low, high = self.confidence.low, self.confidence.high
            told |= {"probability": self.confidence.probability, "low": low, "high": high, "width": high - low}
        return told


def form_opinion(deployed: Deployed, snapshot: FeatureSnapshot) -> Opinion:
    """Score and explain one snapshot. Pure.

    Raises:
        FeaturesMissing: the model reads features that the snapshot does not have.
    """
    artifact = deployed.artifact
    row = deployed.row(snapshot)
    said = artifact.predict(row)
    explanation = Explanation(said.base, said.margin, artifact.link, artifact.names, row, said.contributions)
    reasons = tuple(Reason(r.rank, r.code, r.text, r.direction, r.contribution, r.feature, r.value) for r in artifact.reasons(row, said))
    if said.probability is None:  # a number has an interval of its own, and no event to be sure of
        answer = {"value": said.value, "low": said.low, "high": said.high, "level": said.level}
        return Opinion(None, explanation, reasons, f"{said.value:.6g}", answer)
    event = said.label if artifact.task is Task.MULTICLASS and said.label is not None else artifact.event
    return Opinion(
        confidence=Confidence(event, said.probability, said.low, said.high, said.level),
        explanation=explanation,
        reasons=reasons,
        prediction=said.label,
        answer={"label": said.label, "probabilities": dict(said.probabilities)},
        threshold=deployed.threshold,
    )
