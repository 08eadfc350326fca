"""Confidence that means something: margins → calibrated probabilities or values, with intervals.

A binary model's map is strictly increasing, so it changes no ranking: an AUC before is the AUC after. Its interval answers "how
often did the event happen among calibration rows that scored like this one, and how sure is that": at level 0.9 it covers the true
rate of nine scores in ten. It does not promise that tomorrow's orders are like the calibration rows.

- two outcomes: :class:`Calibrator`, fitted and chosen in :mod:`models.calibration_fit`;
- several classes: :class:`ClassCalibrator`: one temperature for all margins (Guo et al. 2017), which keeps their order, and the interval
  of "the likeliest class is right" (top-label calibration, Gupta and Ramdas 2022);
- a number: :class:`ConformalInterval`: split conformal prediction, separately for a few ranges of the predicted value.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.links import sigmoid, sigmoid_many, softmax, softmax_many

Floats = NDArray[np.float64]

LEVEL = 0.9


class CalibrationImpossible(ValueError):
    """The calibration rows cannot tell a probability; the message says why."""


class Confident(NamedTuple):
    """A calibrated probability, or a predicted value, and its interval."""

    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function: through the knots, with given slopes outside.

    Attributes:
        knots: increasing, at least one.
        heights: as many.
        left: slope before the first knot.
        right: slope after the last one.
    """

    knots: tuple[float, ...]
    heights: tuple[float, ...]
    left: float
    right: float

    def at(self, x: float) -> float:
        """The height at x."""
        knots, heights = self.knots, self.heights
        after = bisect_right(knots, x)
        if after == 0:
            return heights[0] + (x - knots[0]) * self.left
        if after == len(knots):
            return heights[-1] + (x - knots[-1]) * self.right
        slope = (heights[after] - heights[after - 1]) / (knots[after] - knots[after - 1])
        return heights[after - 1] + (x - knots[after - 1]) * slope

    def at_many(self, x: Floats) -> Floats:
        """:meth:`at` for each element, bit for bit."""
        knots, heights, slopes = self._arrays
        after = np.searchsorted(knots, x, side="right")
        before = np.maximum(after - 1, 0)
        result: Floats = heights[before] + (x - knots[before]) * slopes[after]
        return result

    @cached_property
    def _arrays(self) -> tuple[Floats, Floats, Floats]:
        """Knots, heights, and the slope before, between and after the knots."""
        knots, heights = np.array(self.knots), np.array(self.heights)
        return knots, heights, np.concatenate([[self.left], np.diff(heights) / np.diff(knots), [self.right]])

    @property
    def rises(self) -> bool:
        """Whether it rises strictly everywhere."""
        return self.left > 0 and self.right > 0 and all(a < b for a, b in pairwise(self.heights))

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"knots": list(self.knots), "heights": list(self.heights), "left": self.left, "right": self.right}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Curve:
        """Read back what :meth:`to_json` wrote."""
        knots = tuple(float(x) for x in entry["knots"])
        heights = tuple(float(x) for x in entry["heights"])
        if not knots or len(knots) != len(heights) or any(a >= b for a, b in pairwise(knots)):
            raise ValueError("a curve needs increasing knots, each with its height")
        return cls(knots, heights, float(entry["left"]), float(entry["right"]))


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Margin → probability of the event, for models with two outcomes.

    Attributes:
        method: ``sigmoid``, ``spline``, ``isotonic`` or ``venn_abers``.
        curve: margin → log-odds of the calibrated probability; rises strictly.
        low: margin → log-odds of the interval's lower end.
        high: of its upper end.
        level: the interval's level.
        rows: calibration rows.
        events: of these, how many had the event.
        measured: per method that was tried its out-of-fold ``log_loss``, ``brier`` and ``ece``.
    """

    method: str
    curve: Curve
    low: Curve
    high: Curve
    level: float
    rows: int
    events: int
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def fit(cls, margins: Floats, labels: Floats, level: float = LEVEL) -> Calibrator:
        """Try every method by cross-validation on these rows, take the best, and fit it to all of them.

        Args:
            margins: float64 (rows,), of rows that the model was not fitted to.
            labels: (rows,), 1 where the event happened, else 0.
            level: of the interval.

        Raises:
            CalibrationImpossible: too few rows, or only one outcome among them.
        """
        from models.calibration_fit import fit_binary

        return fit_binary(np.asarray(margins, dtype=np.float64), np.asarray(labels, dtype=np.float64), level)

    def confidence(self, margin: float) -> Confident:
        """Probability and interval of one margin."""
        p = sigmoid(self.curve.at(margin))
        return Confident(p, min(p, sigmoid(self.low.at(margin))), max(p, sigmoid(self.high.at(margin))))

    def confidences(self, margins: Floats) -> list[Confident]:
        """:meth:`confidence` of each margin, bit for bit."""
        p = self.probabilities(margins)
        low = np.minimum(p, sigmoid_many(self.low.at_many(margins)))
        high = np.maximum(p, sigmoid_many(self.high.at_many(margins)))
        return [Confident(*told) for told in zip(p.tolist(), low.tolist(), high.tolist(), strict=True)]

    def probabilities(self, margins: Floats) -> Floats:
        """The probabilities of many margins, the same bits as :meth:`confidence`."""
        return sigmoid_many(self.curve.at_many(np.asarray(margins, dtype=np.float64)))

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "kind": "binary", "method": self.method, "curve": self.curve.to_json(), "low": self.low.to_json(), "high": self.high.to_json(),
            "level": self.level, "rows": self.rows, "events": self.events,
            "measured": {method: dict(figures) for method, figures in self.measured.items()},
        }  # fmt: skip

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Calibrator:
        """Read back what :meth:`to_json` wrote."""
        curves = (Curve.from_json(entry[name]) for name in ("curve", "low", "high"))
        curve, low, high = curves
        if not curve.rises:
            raise ValueError("the curve of a calibrator must rise everywhere")
        return cls(
            str(entry["method"]), curve, low, high, float(entry["level"]), int(entry["rows"]), int(entry["events"]), entry["measured"]
        )


@dataclass(frozen=True, slots=True)
class ClassCalibrator:
    """Margins → probabilities, for models with several classes.

    Attributes:
        temperature: the margins are divided by it.
        top: log-odds of the likeliest class → whether it is right; gives the interval.
    """

    temperature: float
    top: Calibrator

    @classmethod
    def fit(cls, margins: Floats, labels: Floats, level: float = LEVEL) -> ClassCalibrator:
        """Fit to rows that the model was not fitted to.

        Args:
            margins: float64 (rows, classes).
            labels: (rows,), class index.
            level: of the interval.

        Raises:
            CalibrationImpossible: too few rows.
        """
        from models.calibration_fit import fit_classes

        return fit_classes(np.asarray(margins, dtype=np.float64), np.asarray(labels, dtype=np.int64), level)

    def probabilities(self, margins: Floats) -> Floats:
        """(rows, classes) → (rows, classes), the same bits as :meth:`of`."""
        return softmax_many(np.asarray(margins, dtype=np.float64) / self.temperature)

    def of(self, margins: Floats) -> tuple[float, ...]:
        """The probabilities of one row's classes."""
        return softmax([margin / self.temperature for margin in margins.tolist()])

    def confidence(self, margins: Floats) -> Confident:
        """The likeliest class's probability and its interval."""
        p = max(self.of(margins))
        top = self.top.confidence(stretched(p))
        return Confident(p, min(p, top.low), max(p, top.high))

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"kind": "classes", "temperature": self.temperature, "top": self.top.to_json()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> ClassCalibrator:
        """Read back what :meth:`to_json` wrote."""
        temperature = float(entry["temperature"])
        if not temperature > 0:
            raise ValueError("a temperature is positive")
        return cls(temperature, Calibrator.from_json(entry["top"]))


def stretched(p: float) -> float:
    """What the likeliest class's interval is read off at: a stretch of its probability without logarithms, the same everywhere."""
    p = min(max(p, 1e-9), 1 - 1e-9)
    return (2 * p - 1) / math.sqrt(p * (1 - p))


@dataclass(frozen=True, slots=True)
class ConformalInterval:
    """Predicted value → interval that holds the true value with probability ``level`` (Vovk; Lei et al. 2018).

    Attributes:
        edges: the ranges of the predicted value meet here, increasing; one range more than edges.
        lows: per range what to add for the lower end.
        highs: per range what to add for the upper end.
    """

    edges: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    level: float
    rows: int

    @classmethod
    def fit(cls, predictions: Floats, targets: Floats, level: float = LEVEL) -> ConformalInterval:
        """Fit to rows that the model was not fitted to.

        Raises:
            CalibrationImpossible: too few rows for the level.
        """
        from models.calibration_fit import fit_interval

        return fit_interval(np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64), level)

    def confidence(self, prediction: float) -> Confident:
        """The value itself, and its interval."""
        part = bisect_right(self.edges, prediction)
        return Confident(prediction, prediction + self.lows[part], prediction + self.highs[part])

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "kind": "interval", "edges": list(self.edges), "lows": list(self.lows), "highs": list(self.highs), "level": self.level, "rows": self.rows
        }  # fmt: skip

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> ConformalInterval:
        """Read back what :meth:`to_json` wrote."""
        edges, lows, highs = (tuple(float(x) for x in entry[name]) for name in ("edges", "lows", "highs"))
        if len(lows) != len(edges) + 1 or len(highs) != len(lows):
            raise ValueError("an interval needs one range more than edges")
        return cls(edges, lows, highs, float(entry["level"]), int(entry["rows"]))


AnyCalibrator = Calibrator | ClassCalibrator | ConformalInterval


def calibrator_from_json(entry: Mapping[str, Any]) -> AnyCalibrator:
    """Read back whichever kind was written.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    match entry["kind"]:
        case "binary":
            return Calibrator.from_json(entry)
        case "classes":
            return ClassCalibrator.from_json(entry)
        case "interval":
            return ConformalInterval.from_json(entry)
        case other:
            raise ValueError(f"unknown calibrator {other!r}")
