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
from models.calibration import Calibrator, ClassCalibrator, ConformalInterval
from models.reasons import Effect, explain


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
        return tuple(card.name for card in self.artifact.features)

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

    def confidences(self, margins: NDArray[np.float64]) -> list[Confidence]:
        """:meth:`confidence` of each margin, float64 (n,)."""
        calibrator = self.artifact.calibrator
        assert isinstance(calibrator, Calibrator)
        event, level = self.artifact.event, calibrator.level
        return [Confidence(event, *told, level) for told in calibrator.confidences(margins)]

    @cached_property
    def described(self) -> tuple[Mapping[str, Any], ...]:
        """What a person has to know about each feature, for the record: it is kept as it was when the model was trained."""
        described = []
        for card in self.artifact.features:
            usual = card.usual  # a whole number goes without its fraction, as canonical JSON writes it
            described.append({**card.to_json(), "usual": int(usual) if usual is not None and usual.is_integer() else usual})
        return tuple(described)

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
        causes: the probability broken down by cause, adding up to it; ``None`` where the model does not say.
    """

    confidence: Confidence | None
    explanation: Explanation
    reasons: tuple[Reason, ...]
    prediction: str | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    causes: Mapping[str, float] | None = None

    def facts(self) -> dict[str, Any]:
        """``model.*`` as a policy sees it."""
        told: dict[str, Any] = {"prediction": self.prediction, "threshold": self.threshold, "value": self.answer.get("value")}
        if self.confidence is not None:
            low, high = self.confidence.low, self.confidence.high
            told |= {"probability": self.confidence.probability, "low": low, "high": high, "width": high - low}
        return told if self.causes is None else {**told, **self.causes}


def form_opinion(deployed: Deployed, snapshot: FeatureSnapshot) -> Opinion:
    """Score and explain one snapshot. Pure.

    Raises:
        FeaturesMissing: the model reads features that the snapshot does not have.
    """
    row = deployed.row(snapshot)
    calibrator = deployed.artifact.calibrator
    if isinstance(calibrator, Calibrator):
        return _of_two(deployed, row)
    if isinstance(calibrator, ClassCalibrator):
        return _of_many(deployed, calibrator, row)
    return _of_number(deployed, calibrator, row)


def _of_two(deployed: Deployed, row: NDArray[np.float64]) -> Opinion:
    artifact = deployed.artifact
    explanation = _explain(deployed, row, 0)
    confidence = deployed.confidence(explanation.margin)
    negative, positive = artifact.labels
    threshold = 0.5 if artifact.threshold is None else artifact.threshold
    label = positive if confidence.probability >= threshold else negative
    probabilities = {negative: 1.0 - confidence.probability, positive: confidence.probability}
    effect = Effect.of(artifact.event, label=None if artifact.encoder is None else f"{artifact.event} = {positive}")
    reasons = _reasons(deployed, explanation, effect, 0)
    answer = {"label": label, "probabilities": probabilities}
    causes = None if artifact.causes is None else artifact.causes.break_down(row, confidence.probability)
    return Opinion(confidence, explanation, reasons, label, answer, threshold, causes)


def _of_many(deployed: Deployed, calibrator: ClassCalibrator, row: NDArray[np.float64]) -> Opinion:
    """The likeliest class: how likely it is, and what speaks for it."""
    artifact = deployed.artifact
    margins = artifact.scorer.margin(row)
    top = int(margins.argmax())
    label = artifact.labels[top]
    explanation = _explain(deployed, row, top)
    told = calibrator.confidence(margins)
    confidence = Confidence(label, told.probability, told.low, told.high, calibrator.top.level)
    answer = {"label": label, "probabilities": dict(zip(artifact.labels, calibrator.of(margins), strict=True))}
    return Opinion(confidence, explanation, _reasons(deployed, explanation, Effect.of(artifact.event, label=label), top), label, answer)


def _of_number(deployed: Deployed, calibrator: ConformalInterval, row: NDArray[np.float64]) -> Opinion:
    """A predicted number with its interval; there is no event, so there is no probability."""
    explanation = _explain(deployed, row, 0)
    told = calibrator.confidence(explanation.margin)
    answer = {"value": told.probability, "low": told.low, "high": told.high, "level": calibrator.level}
    return Opinion(None, explanation, _reasons(deployed, explanation, Effect.of(""), 0), f"{told.probability:.6g}", answer)


def _explain(deployed: Deployed, row: NDArray[np.float64], output: int) -> Explanation:
    artifact = deployed.artifact
    margin, base, contributions = artifact.scorer.explain(row, output)
    return Explanation(base, margin, artifact.link, deployed.names, row, contributions)


def _reasons(deployed: Deployed, explanation: Explanation, effect: Effect, output: int) -> tuple[Reason, ...]:
    scorer = deployed.artifact.scorer

    def change(index: int, value: float) -> float:
        row = explanation.values.copy()
        row[index] = value
        return float(scorer.margin(row)[output]) - explanation.margin

    return explain(deployed.artifact.features, explanation.values, explanation.contributions, effect, change)
