"""Fits calibrators. Every way of calibrating ends as one strictly increasing curve from margin to log-odds.

- ``sigmoid``: Platt's line, with his smoothed targets (1999);
- ``spline``: logistic regression on a few hinges of the margin;
- ``isotonic``: pooled adjacent violators over quantile bins, drawn through the blocks' centres instead of as steps;
- ``venn_abers``: the inductive Venn–Abers predictor (Vovk and Petej 2014) over the same bins, merged to one probability.

The sigmoid, with the fewest parameters, is kept unless another one's out-of-fold log loss is better by more than its standard error.
The interval comes from the spline whichever is chosen: its standard error tells how little the rows say at a score.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.calibration import CalibrationImpossible, Calibrator, ClassCalibrator, ConformalInterval, Curve, stretched
from models.links import logit, sigmoid_many, softmax_many

Floats = NDArray[np.float64]

FEWEST_ROWS = 20
FEWEST_EVENTS_TO_CHOOSE = 40
"""With fewer of the rarer outcome there is only the sigmoid."""

_BINS = 150
_FOLDS = 5
_STEEPEST, _FLATTEST = 20.0, 1e-6
_RIDGE = 1e-4
_MOST_HINGES, _EVENTS_OF_A_HINGE = 5, 60
_BAND_POINTS, _CLOSEST = 40, 1e-6
_ROWS_OF_A_RANGE = 200
_RANGES = 5


class _Bins(NamedTuple):
    """Calibration rows pooled by margin: float64 (bins,) each; equal margins are in one bin."""

    center: Floats
    rows: Floats
    events: Floats


def fit_binary(margins: Floats, labels: Floats, level: float) -> Calibrator:
    """See :meth:`models.calibration.Calibrator.fit`."""
    _check(margins, labels)
    rare = int(min(labels.sum(), len(labels) - labels.sum()))
    method, measured = _choose(margins, labels) if rare >= FEWEST_EVENTS_TO_CHOOSE else ("sigmoid", {})
    curve = _METHODS[method](margins, labels)
    assert curve is not None, "a method that was chosen fits"
    low, high = _band(margins, labels, curve, level)
    return Calibrator(method, curve, low, high, level, len(labels), int(labels.sum()), measured)


def fit_classes(margins: Floats, labels: NDArray[np.int64], level: float) -> ClassCalibrator:
    """See :meth:`models.calibration.ClassCalibrator.fit`."""
    if len(labels) < FEWEST_ROWS:
        raise CalibrationImpossible(f"{len(labels)} calibration rows; at least {FEWEST_ROWS} are needed")
    temperature = fitted_temperature(margins, labels)
    probabilities = softmax_many(margins / temperature)
    top = np.array([stretched(p) for p in probabilities.max(axis=1).tolist()])
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    if right.min() == right.max():  # all right or all wrong: one row against it at either end keeps a doubt
        top, right = np.append(top, [top.min(), top.max()]), np.append(right, [0.0, 1.0])
    return ClassCalibrator(temperature, fit_binary(top, right, level))


def fit_interval(predictions: Floats, targets: Floats, level: float) -> ConformalInterval:
    """See :meth:`models.calibration.ConformalInterval.fit`."""
    fewest = math.ceil(2 / (1 - level) - 1e-9)
    if len(targets) < fewest:
        raise CalibrationImpossible(f"{len(targets)} calibration rows; an interval at level {level:g} needs at least {fewest}")
    ranges = max(1, min(_RANGES, len(targets) // max(_ROWS_OF_A_RANGE, fewest)))
    edges = np.unique(np.quantile(predictions, np.arange(1, ranges) / ranges, method="higher")) if ranges > 1 else np.empty(0)
    part = np.searchsorted(edges, predictions, side="right")
    sizes = np.bincount(part, minlength=len(edges) + 1)
    if sizes.min() < fewest:  # many equal predictions: one range for all
        edges, part = np.empty(0), np.zeros(len(predictions), dtype=np.int64)
    lows, highs = [], []
    for number in range(len(edges) + 1):
        residuals = np.sort((targets - predictions)[part == number])
        n, tail = len(residuals), (1 - level) / 2
        lows.append(float(residuals[max(0, math.floor((n + 1) * tail) - 1)]))
        highs.append(float(residuals[min(n - 1, math.ceil((n + 1) * (1 - tail)) - 1)]))
    return ConformalInterval(tuple(edges.tolist()), tuple(lows), tuple(highs), level, len(targets))


def log_losses(p: Floats, labels: Floats) -> Floats:
    """The log loss of each row."""
    p = np.clip(p, 1e-12, 1 - 1e-12)
    result: Floats = -np.where(labels > 0, np.log(p), np.log1p(-p))
    return result


def expected_calibration_error(p: Floats, labels: Floats, bins: int = 10) -> float:
    """Mean |predicted − observed| over bins of equally many rows."""
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    return float(sum(abs(p[part].mean() - labels[part].mean()) * len(part) for part in parts) / len(p))


def _check(margins: Floats, labels: Floats) -> None:
    if len(margins) != len(labels) or margins.ndim != 1:
        raise ValueError(f"{margins.shape} margins for {labels.shape} labels")
    if not np.isfinite(margins).all():
        raise ValueError("a margin is not finite")
    if len(labels) < FEWEST_ROWS:
        raise CalibrationImpossible(f"{len(labels)} calibration rows; at least {FEWEST_ROWS} are needed")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("a label is neither 0 nor 1")
    if labels.min() == labels.max():
        raise CalibrationImpossible(f"all {len(labels)} calibration rows have the same outcome")


def _choose(margins: Floats, labels: Floats) -> tuple[str, dict[str, dict[str, float]]]:
    """The method with the best out-of-fold log loss, and what was measured of each."""
    fold = _folds(margins)
    losses: dict[str, Floats] = {}
    measured: dict[str, dict[str, float]] = {}
    for method, fit in _METHODS.items():
        p = np.full(len(labels), np.nan)
        for number in range(_FOLDS):
            curve = fit(margins[fold != number], labels[fold != number])
            if curve is not None:
                p[fold == number] = sigmoid_many(curve.at_many(margins[fold == number]))
        if np.isnan(p).any() or fit(margins, labels) is None:
            continue
        losses[method] = log_losses(p, labels)
        measured[method] = {
            "log_loss": float(losses[method].mean()),
            "brier": float(((p - labels) ** 2).mean()),
            "ece": expected_calibration_error(p, labels),
        }
    best = min(losses, key=lambda method: measured[method]["log_loss"])
    gain = losses["sigmoid"] - losses[best]
    clear = gain.mean() > gain.std() / math.sqrt(len(gain))
    return (best if clear else "sigmoid"), measured


def _folds(margins: Floats) -> NDArray[np.int64]:
    """Folds that share out the margins evenly. They must not look at the labels: balanced ones would tell the fold left out."""
    fold = np.empty(len(margins), dtype=np.int64)
    fold[np.argsort(margins, kind="stable")] = np.arange(len(margins)) % _FOLDS
    return fold


def _sigmoid(margins: Floats, labels: Floats) -> Curve:
    events = labels.sum()
    targets = np.where(labels > 0, (events + 1) / (events + 2), 1 / (len(labels) - events + 2))
    center, scale = _scale(margins)
    x = (margins - center) / scale
    beta, _ = _logistic(np.column_stack([np.ones_like(x), x]), targets, np.array([0.0, 1e-6]))
    slope = float(np.clip(beta[1] / scale, _FLATTEST, _STEEPEST))
    return Curve((float(center),), (float(beta[0]),), slope, slope)


def _spline(margins: Floats, labels: Floats) -> Curve | None:
    knots, beta, _, center, scale = _hinges(margins, labels)
    slopes = np.cumsum(beta[1:]) / scale
    if len(knots) == 0 or (slopes <= _FLATTEST).any():
        return None
    heights: Floats = _hinge_basis((knots - center) / scale, (knots - center) / scale) @ beta
    return _rising(knots, heights, float(slopes[0]), float(slopes[-1]))


def _isotonic(margins: Floats, labels: Floats) -> Curve | None:
    bins = _pool(margins, labels)
    blocks: list[list[float]] = []  # rows, events, rows · center
    for rows, events, center in zip(bins.rows.tolist(), bins.events.tolist(), bins.center.tolist(), strict=True):
        blocks.append([rows, events, rows * center])
        while len(blocks) > 1 and _smoothed(blocks[-2]) >= _smoothed(blocks[-1]):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    knots = np.array([block[2] / block[0] for block in blocks])
    heights = np.array([logit(_smoothed(block)) for block in blocks])
    slope = _sigmoid(margins, labels).left
    return _rising(knots, heights, slope, slope)


def _smoothed(block: list[float]) -> float:
    return (block[1] + 0.5) / (block[0] + 1.0)


def _venn_abers(margins: Floats, labels: Floats) -> Curve | None:
    bins = _pool(margins, labels)
    merged = np.empty(len(bins.center))
    for index in range(len(merged)):
        p_0, p_1 = (_isotonic_at(bins, index, outcome) for outcome in (0.0, 1.0))
        merged[index] = p_1 / (1 - p_0 + p_1)
    merged = np.maximum.accumulate(merged)
    levels, which = np.unique(merged, return_inverse=True)
    rows = np.bincount(which, bins.rows)
    knots = np.bincount(which, bins.rows * bins.center) / rows
    slope = _sigmoid(margins, labels).left
    return _rising(knots, np.array([logit(p) for p in levels.tolist()]), slope, slope)


def _isotonic_at(bins: _Bins, index: int, outcome: float) -> float:
    """The isotonic rate at one bin with one more row of this outcome in it."""
    rows, events = bins.rows.copy(), bins.events.copy()
    rows[index] += 1
    events[index] += outcome
    blocks: list[tuple[float, float, int]] = []
    for row_count, event_count in zip(rows.tolist(), events.tolist(), strict=True):
        block = (row_count, event_count, 1)
        while blocks and blocks[-1][1] * block[0] >= block[1] * blocks[-1][0]:
            last = blocks.pop()
            block = (block[0] + last[0], block[1] + last[1], block[2] + last[2])
        blocks.append(block)
    seen = 0
    for row_count, event_count, size in blocks:
        seen += size
        if seen > index:
            return event_count / row_count
    raise AssertionError("the index lies in a block")


_METHODS: dict[str, Callable[[Floats, Floats], Curve | None]] = {
    "sigmoid": _sigmoid,
    "spline": _spline,
    "isotonic": _isotonic,
    "venn_abers": _venn_abers,
}


def _pool(margins: Floats, labels: Floats) -> _Bins:
    values, which = np.unique(margins, return_inverse=True)
    if len(values) > _BINS:  # neighbours share a bin, as many rows in each
        before = np.cumsum(np.bincount(which)) - np.bincount(which)
        _, group = np.unique(before * _BINS // len(margins), return_inverse=True)
        which = group[which]
    rows = np.bincount(which).astype(np.float64)
    return _Bins(np.bincount(which, margins) / rows, rows, np.bincount(which, labels).astype(np.float64))


def _rising(knots: Floats, heights: Floats, left: float, right: float) -> Curve | None:
    """A curve through the knots that stand apart; ``None`` where it does not rise."""
    apart = np.diff(knots, prepend=-np.inf) > _CLOSEST * np.ptp(knots)
    curve = Curve(tuple(knots[apart].tolist()), tuple(heights[apart].tolist()), min(left, _STEEPEST), min(right, _STEEPEST))
    return curve if curve.rises else None


def _scale(margins: Floats) -> tuple[float, float]:
    scale = float(margins.std())
    return float(margins.mean()), scale if scale > 0 else 1.0


def _hinges(margins: Floats, labels: Floats) -> tuple[Floats, Floats, Floats, float, float]:
    """Logistic regression on the margin and on its excess over a few knots: knots, coefficients, their covariance, scale."""
    center, scale = _scale(margins)
    rarer = margins[labels == (labels.mean() < 0.5)]
    count = min(_MOST_HINGES, len(rarer) // _EVENTS_OF_A_HINGE)
    shares = (np.arange(count) + 0.5) / max(count, 1)
    knots = np.unique(np.concatenate([np.quantile(rarer, shares), np.quantile(margins, shares)]))
    knots = knots[(knots > margins.min()) & (knots < margins.max())]
    basis = _hinge_basis((margins - center) / scale, (knots - center) / scale)
    ridge = np.array([0.0, 1e-6, *([_RIDGE * len(rarer)] * len(knots))])
    beta, covariance = _logistic(basis, labels, ridge)
    return knots, beta, covariance, center, scale


def _hinge_basis(x: Floats, knots: Floats) -> Floats:
    return np.column_stack([np.ones_like(x), x, *(np.maximum(x - knot, 0.0) for knot in knots)])


def _logistic(basis: Floats, targets: Floats, ridge: Floats) -> tuple[Floats, Floats]:
    """Ridge logistic regression by Newton's method with step halving: coefficients and their covariance."""
    rate = float(np.clip(targets.mean(), 1e-6, 1 - 1e-6))
    beta = np.zeros(basis.shape[1])
    beta[0] = logit(rate)

    def loss(candidate: Floats) -> float:
        eta = basis @ candidate
        return float((np.logaddexp(0.0, eta) - targets * eta).sum() + 0.5 * (ridge * candidate**2).sum())

    here = loss(beta)
    hessian = np.eye(len(beta))
    for _ in range(50):
        p = sigmoid_many(basis @ beta)
        gradient = basis.T @ (p - targets) + ridge * beta
        hessian = (basis * (p * (1 - p))[:, None]).T @ basis + np.diag(ridge + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-4 and loss(beta - size * step) > here:
            size /= 2
        beta = np.asarray(beta - size * step, dtype=np.float64)
        before, here = here, loss(beta)
        if before - here < 1e-10 * (1 + abs(here)):
            break
    return beta, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def _band(margins: Floats, labels: Floats, curve: Curve, level: float) -> tuple[Curve, Curve]:
    """The interval in log-odds as two curves: the spline's standard error around both the spline and the chosen curve."""
    knots, beta, covariance, center, scale = _hinges(margins, labels)
    points = np.unique(np.concatenate([np.quantile(margins, np.linspace(0, 1, _BAND_POINTS)), knots]))
    points = points[np.diff(points, prepend=-np.inf) > _CLOSEST * scale]
    if len(points) == 1:
        points = np.array([points[0] - 1.0, points[0] + 1.0])
    basis = _hinge_basis((points - center) / scale, (knots - center) / scale)
    spline, chosen = basis @ beta, curve.at_many(points)
    few = 1 + 2 / min(labels.sum(), len(labels) - labels.sum())  # the normal approximation is too sure of few events
    half = few * NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(np.einsum("ij,jk,ik->i", basis, covariance, basis))
    return _through(points, np.minimum(spline, chosen) - half), _through(points, np.maximum(spline, chosen) + half)


def _through(points: Floats, heights: Floats) -> Curve:
    slopes = np.diff(heights) / np.diff(points)
    return Curve(tuple(points.tolist()), tuple(heights.tolist()), float(slopes[0]), float(slopes[-1]))


def fitted_temperature(margins: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature with the least log loss, by golden section over its logarithm.

    Args:
        margins: (rows, classes), of rows that the model was not fitted to.
        labels: (rows,), class index.
    """
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        p = softmax_many(margins / math.exp(log_temperature))[rows, labels]
        return float(-np.log(np.clip(p, 1e-12, 1.0)).mean())

    low, high, golden = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2
    for _ in range(40):
        first, second = high - golden * (high - low), low + golden * (high - low)
        if loss(first) <= loss(second):
            high = second
        else:
            low = first
    return math.exp((low + high) / 2)
