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
        """The calibrated probability of the type's event at this margin."""
        raise NotImplementedError

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
    """Score and explain one snapshot. Pure."""
    raise NotImplementedError
