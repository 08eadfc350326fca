"""What a model says of one snapshot: score, confidence, exact contributions, reasons and, for custom types, the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from feature_store.snapshot import FeatureSnapshot
from governance.values import Confidence, Explanation, ModelUse, Reason
from models.calibration import Calibrator, ClassCalibrator, ConformalInterval
from models.reasons import Effect, explain

if TYPE_CHECKING:
    from models.artifact import ModelArtifact


class FeaturesMissing(ValueError):
    """A model asks for features that the type's snapshot does not have."""


@dataclass(frozen=True)
class Deployed:
    """A loaded model version in its role."""

    artifact: ModelArtifact
    use: ModelUse
    _order: dict[tuple[str, ...], NDArray[np.intp] | None] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features that the model reads, in its order."""
        return tuple(feature.name for feature in self.artifact.features)

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
    row = deployed.row(snapshot)
    match deployed.artifact.calibrator:
        case Calibrator():
            return _of_two(deployed, row)
        case ClassCalibrator() as calibrator:
            return _of_many(deployed, calibrator, row)
        case ConformalInterval() as calibrator:
            return _of_number(deployed, calibrator, row)


def _of_two(deployed: Deployed, row: NDArray[np.float64]) -> Opinion:
    artifact = deployed.artifact
    explanation = _explain(deployed, row, 0)
    confidence = deployed.confidence(explanation.margin)
    threshold = artifact.threshold
    predicted, answer = None, {}
    if artifact.labels:
        negative, positive = artifact.labels
        predicted = positive if confidence.probability >= threshold else negative
        answer = {"label": predicted, "probabilities": {negative: 1.0 - confidence.probability, positive: confidence.probability}}
    return Opinion(confidence, explanation, _reasons(deployed, explanation, Effect.of(artifact.event)), predicted, answer, threshold)


def _of_many(deployed: Deployed, calibrator: ClassCalibrator, row: NDArray[np.float64]) -> Opinion:
    """The likeliest class: its probability, and what speaks for it."""
    artifact = deployed.artifact
    margins = artifact.scorer.margin(row)
    probabilities = calibrator.of(margins)
    top = max(range(len(probabilities)), key=lambda index: (probabilities[index], -index))
    label = artifact.labels[top]
    explanation = _explain(deployed, row, top)
    told = calibrator.confidence(margins)
    confidence = Confidence(label, told.probability, told.low, told.high, calibrator.top.level)
    answer = {"label": label, "probabilities": dict(zip(artifact.labels, probabilities, strict=True))}
    return Opinion(confidence, explanation, _reasons(deployed, explanation, Effect.of("", label=label)), label, answer)


def _of_number(deployed: Deployed, calibrator: ConformalInterval, row: NDArray[np.float64]) -> Opinion:
    """A predicted number with its interval; there is no event, so there is no probability."""
    explanation = _explain(deployed, row, 0)
    told = calibrator.confidence(explanation.margin)
    answer = {"value": told.probability, "low": told.low, "high": told.high, "level": calibrator.level}
    return Opinion(None, explanation, _reasons(deployed, explanation, Effect.of("")), f"{told.probability:.6g}", answer)


def _explain(deployed: Deployed, row: NDArray[np.float64], output: int) -> Explanation:
    scorer = deployed.artifact.scorer
    explained = scorer.explain(row, output)
    return Explanation(explained.base, explained.margin, str(scorer.link), deployed.names, row, explained.contributions)


def _reasons(deployed: Deployed, explanation: Explanation, effect: Effect) -> tuple[Reason, ...]:
    found = explain(deployed.artifact.features, explanation.values, explanation.contributions, effect)
    return tuple(Reason(r.rank, r.code, r.text, r.direction, r.contribution, r.feature, r.value) for r in found)
