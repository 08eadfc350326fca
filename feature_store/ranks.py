"""Rank statistics on numpy arrays: what checks and evaluation share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64] | None = None) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Args:
        scores: float64 (n,).
        positive: bool (n,).
        weights: float64 (n,), how often each row counts; one each by default.

    Returns:
        NaN when one of the classes has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    ones = np.where(positive, 1.0 if weights is None else weights, 0.0)[order]
    zeros = np.where(positive, 0.0, 1.0 if weights is None else weights)[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, np.int64)
    up = np.add.reduceat(ones, starts) if len(starts) else ones
    down = np.add.reduceat(zeros, starts) if len(starts) else zeros
    total = up.sum() * down.sum()
    if total == 0:
        return float("nan")
    below = np.cumsum(down) - down
    return float((up * (below + 0.5 * down)).sum() / total)


def average_precision(scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64] | None = None) -> float:
    """Area under the precision-recall curve, as a step sum over distinct scores; NaN without positives."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    weight = np.ones(len(scores)) if weights is None else weights[order]
    hits = np.cumsum(np.where(positive[order], weight, 0.0))
    seen = np.cumsum(weight)
    if len(hits) == 0 or hits[-1] == 0:
        return float("nan")
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    last = last[seen[last] > 0]
    gained = np.diff(np.r_[0.0, hits[last]])
    return float((gained * hits[last] / seen[last]).sum() / hits[-1])
