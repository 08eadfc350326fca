"""How good a model is on rows it has never seen: numbers with intervals, calibration, and segments.

Intervals are bootstrap percentiles over groups of rows (over rows where there are no groups), from fixed seeds, so that the same rows give
the same report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_store.ranks import auc, average_precision
from governance.monitoring import calibration_error, interval_coverage
from training.table import Floats, Integers, Slice, TrainingTable

LEVEL = 0.9
_SEED = 7
_RESAMPLES = 200
_CELLS = 4_000_000
_BINS = 10
_SMALLEST_SLICE = 100
_TINY = 1e-7
_FLAT = 1e-4
"""Predicted logits that differ by less say the same of every row: a line through them would be made of rounding."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number with its interval at :data:`LEVEL`; ``None`` where it cannot be computed."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Ready for JSON."""
        return {"value": _short(self.value), "low": _short(self.low), "high": _short(self.high)}


@dataclass(frozen=True, slots=True)
class Bin:
    """One tenth of the rows by predicted probability: what was said, and what happened."""

    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One segment: how often the event happened, what was predicted on average, and how well it was ranked."""

    slice: str
    segment: str
    rows: int
    observed: float
    predicted: float
    auc: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model was worth on the test rows.

    Attributes:
        rows: test rows.
        metrics: by name; see :func:`evaluate`.
        reliability: calibration in tenths, for a binary target.
        slices: segments with at least a hundred rows.
        ceiling: AUC of the true probability where the world is simulated.
        causes: how well each cause's share of the probability is told (:func:`judge_causes`).
        policy: what the type's policy makes of the model, in outcomes, money and fairness (:mod:`training.worth`).
    """

    rows: int
    metrics: Mapping[str, Metric]
    reliability: tuple[Bin, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    ceiling: float | None = None
    causes: tuple[Mapping[str, Any], ...] = ()
    policy: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "rows": self.rows,
            "level": LEVEL,
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
            "reliability": [{"rows": b.rows, "predicted": _short(b.predicted), "observed": _short(b.observed)} for b in self.reliability],
            "slices": [
                {
                    "slice": s.slice,
                    "segment": s.segment,
                    "rows": s.rows,
                    "observed": _short(s.observed),
                    "predicted": _short(s.predicted),
                    "auc": _short(s.auc),
                }
                for s in self.slices
            ],
            "ceiling": _short(self.ceiling),
            "causes": [dict(cause) for cause in self.causes],
            "policy": None if self.policy is None else dict(self.policy),
        }


def evaluate(table: TrainingTable, test: Integers, predicted: Floats, interval: tuple[Floats, Floats] | None = None) -> Evaluation:
    """Judge predictions on the test rows.

    Args:
        table: where the rows are.
        test: indexes of the test rows, t of them.
        predicted: binary: float64 (t,) probabilities of the event; multiclass: (t, classes); regression: (t,) values.
        interval: low and high ends (t,) of the interval that is told with a prediction.

    Returns:
        For two classes ``auc``, ``average_precision``, ``brier``, ``log_loss``, ``ece``, ``coverage`` (of the interval, by
        :func:`governance.monitoring.interval_coverage`), ``calibration_slope``, ``calibration_intercept``, ``base_rate``; for more
        ``auc`` (mean of each against the rest), ``accuracy``, ``log_loss``, ``ece`` and ``coverage`` (of the most likely class); for a
        regression ``mae``, ``rmse``, ``r2``, ``coverage``.
    """
    label = table.label[test]
    together = table.group if table.group is not None else table.cluster
    group = None if together is None else together[test]
    if table.task == "binary":
        event = label == 1
        metrics = _with_intervals(lambda weight: _binary(event, predicted, weight), len(test), group)
        ceiling = None
        if table.p_knowable is not None:
            ceiling = auc(table.p_knowable[test], event)
        metrics |= _covered(event.astype(np.float64), predicted, interval)
        return Evaluation(len(test), metrics, reliability(event, predicted), _slices(table, test, event, predicted), ceiling)
    if table.task == "multiclass":
        metrics = _with_intervals(lambda weight: _multiclass(label, predicted, weight), len(test), group)
        right = (predicted.argmax(axis=1) == label).astype(np.float64)
        return Evaluation(len(test), metrics | _covered(right, predicted.max(axis=1), interval))
    return Evaluation(len(test), _with_intervals(lambda weight: _regression(label, predicted, interval, weight), len(test), group))


def judge_causes(cause: Slice, test: Integers, probability: Floats, shares: Floats) -> tuple[Mapping[str, Any], ...]:
    """How well the probability is broken down by cause.

    Args:
        cause: of every row of the table; -1 where the event did not come about.
        test: indexes of the test rows, t of them.
        probability: of the event, (t,).
        shares: of each cause given the event, (t, causes).

    Returns:
        for each cause ``observed`` and ``predicted`` rates, ``auc`` and ``ece`` of the part of the probability that it is given.
    """
    codes, even = cause.codes[test], np.ones(len(test))
    told = []
    for index, name in enumerate(cause.names):
        event, part = codes == index, probability * shares[:, index]
        told.append(
            {
                "cause": name,
                "observed": _short(float(event.mean())),
                "predicted": _short(float(part.mean())),
                "auc": _short(_number(auc(part, event))),
                "ece": _short(calibration_error(event.astype(np.float64), part, even)),
            }
        )
    return tuple(told)


def compare(event: Floats, one: Floats, other: Floats, group: Integers | None = None) -> Metric:
    """How much higher the AUC of ``one`` is than that of ``other`` on the same rows, with its paired interval."""
    positive = event == 1
    difference = _with_intervals(
        lambda weight: {"difference": auc(one, positive, weight) - auc(other, positive, weight)}, len(event), group
    )
    return difference["difference"]


def reliability(event: np.ndarray[Any, np.dtype[np.bool_]], probability: Floats, bins: int = _BINS) -> tuple[Bin, ...]:
    """Tenths of equal size by predicted probability."""
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    return tuple(Bin(len(rows), float(probability[rows].mean()), float(event[rows].mean())) for rows in parts if len(rows))


def calibration_line(event: Floats, probability: Floats, weight: Floats) -> tuple[float, float]:
    """Slope and intercept of the outcome's logit over the predicted logit: 1 and 0 when confidence means what it says.

    Weighted logistic regression by Newton's method (Cox 1958); NaN where it does not settle.
    """
    clipped = np.clip(probability, _TINY, 1 - _TINY)
    logit = np.log(clipped / (1 - clipped))
    total = weight.sum()
    rate = float((weight * event).sum() / max(total, _TINY))
    if not 0 < rate < 1:
        return float("nan"), float("nan")
    # From the constant model, over a standardised logit.
    centre = float((weight * logit).sum() / total)
    scale = float(np.sqrt((weight * (logit - centre) ** 2).sum() / total))
    if scale < _FLAT:
        return float("nan"), float("nan")
    x = (logit - centre) / scale
    slope, intercept = 0.0, float(np.log(rate / (1 - rate)))
    for _ in range(50):
        mean = 1 / (1 + np.exp(-np.clip(intercept + slope * x, -30, 30)))
        residual, curve = weight * (event - mean), weight * mean * (1 - mean)
        a, b, c = curve.sum(), (curve * x).sum(), (curve * x * x).sum()
        determinant = a * c - b * b
        if determinant <= 1e-12 * a * c:
            return float("nan"), float("nan")
        up, along = residual.sum(), (residual * x).sum()
        step = ((c * up - b * along) / determinant, (a * along - b * up) / determinant)
        size = max(abs(step[0]), abs(step[1]))
        shorter = 1 / max(1.0, size)  # a rare event's curve is steep: full steps overshoot at first
        intercept, slope = intercept + shorter * step[0], slope + shorter * step[1]
        if size < 1e-8:
            return float(slope / scale), float(intercept - slope * centre / scale)
    return float("nan"), float("nan")  # perfectly separated: no finite line is best


def _covered(event: Floats, probability: Floats, interval: tuple[Floats, Floats] | None) -> dict[str, Metric]:
    """Coverage has no interval of its own: resampled rows stray from their bins' rates more than rows do."""
    if interval is None:
        return {}
    return {"coverage": Metric(_number(interval_coverage(event, probability, *interval)))}


def _binary(event: np.ndarray[Any, np.dtype[np.bool_]], probability: Floats, weight: Floats) -> dict[str, float]:
    truth = event.astype(np.float64)
    total = weight.sum()
    clipped = np.clip(probability, _TINY, 1 - _TINY)
    slope, intercept = calibration_line(truth, probability, weight)
    return {
        "auc": auc(probability, event, weight),
        "average_precision": average_precision(probability, event, weight),
        "brier": float((weight * (probability - truth) ** 2).sum() / total),
        "log_loss": float(-(weight * np.where(event, np.log(clipped), np.log(1 - clipped))).sum() / total),
        "ece": calibration_error(truth, probability, weight),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "base_rate": float((weight * truth).sum() / total),
    }


def _multiclass(label: Floats, probability: Floats, weight: Floats) -> dict[str, float]:
    index = label.astype(np.int64)
    total = weight.sum()
    told = np.clip(probability[np.arange(len(index)), index], _TINY, 1)
    guess = probability.argmax(axis=1)
    areas = np.array([auc(probability[:, k], index == k, weight) for k in range(probability.shape[1])])
    areas = areas[~np.isnan(areas)]
    right = (guess == index).astype(np.float64)
    return {
        "auc": float(areas.mean()) if len(areas) else float("nan"),
        "accuracy": float((weight * right).sum() / total),
        "log_loss": float(-(weight * np.log(told)).sum() / total),
        "ece": calibration_error(right, probability.max(axis=1), weight),
    }


def _regression(label: Floats, value: Floats, interval: tuple[Floats, Floats] | None, weight: Floats) -> dict[str, float]:
    total = weight.sum()
    error = value - label
    mean = (weight * label).sum() / total
    variance = float((weight * (label - mean) ** 2).sum() / total)
    square = float((weight * error**2).sum() / total)
    found = {
        "mae": float((weight * np.abs(error)).sum() / total),
        "rmse": square**0.5,
        "r2": 1 - square / variance if variance > 0 else float("nan"),
    }
    if interval is not None:
        inside = (label >= interval[0]) & (label <= interval[1])
        found["coverage"] = float((weight * inside).sum() / total)
    return found


def _with_intervals(compute: Callable[[Floats], dict[str, float]], rows: int, group: Integers | None) -> dict[str, Metric]:
    """The metrics over all rows, and their percentiles over resampled groups."""
    point = compute(np.ones(rows))
    ids = np.arange(rows) if group is None else np.unique(group, return_inverse=True)[1]
    groups = int(ids.max(initial=-1)) + 1
    rng = np.random.default_rng(_SEED)
    times = int(np.clip(_CELLS / max(1, rows), 50, _RESAMPLES))
    samples = [compute(np.bincount(rng.integers(0, groups, groups), minlength=groups)[ids].astype(np.float64)) for _ in range(times)]
    metrics = {}
    for name, value in point.items():
        drawn = np.array([sample[name] for sample in samples])
        drawn = drawn[~np.isnan(drawn)]
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(drawn) else (None, None)
        metrics[name] = Metric(_number(value), _number(low), _number(high))
    return metrics


def _slices(
    table: TrainingTable, test: Integers, event: np.ndarray[Any, np.dtype[np.bool_]], probability: Floats
) -> tuple[SliceResult, ...]:
    found = []
    for name, cut in table.slices.items():
        codes = cut.codes[test]
        sizes = np.bincount(codes[codes >= 0], minlength=len(cut.names))
        for code in np.argsort(-sizes, kind="stable")[:12]:
            rows = codes == code
            if sizes[code] >= _SMALLEST_SLICE:
                ranked = _number(auc(probability[rows], event[rows])) if min(event[rows].sum(), (~event[rows]).sum()) >= 5 else None
                observed, predicted = float(event[rows].mean()), float(probability[rows].mean())
                found.append(SliceResult(name, cut.names[code], int(sizes[code]), observed, predicted, ranked))
    return tuple(found)


def _number(value: Any) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _short(value: float | None) -> float | None:
    """Six significant digits: what a report can honestly claim."""
    return None if value is None else float(f"{value:.6g}")
