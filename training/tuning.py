"""Search for a configuration under a time budget, or over so many configurations.

Each configuration is judged on the same folds, forward in time, by its mean loss there; the number of trees is where that mean is lowest.
Under a time budget, which configurations were tried depends on the clock; what is built from the winner does not: it is built anew from its
recipe. Where the number of configurations is given, the search itself comes out the same on every machine and under every load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.boosting import FoldData, Recipe
from training.progress import Report, step
from training.splits import Fold
from training.table import TrainingTable

MOST_ROUNDS = 500
_PATIENCE = 40
_FEWEST_ROUNDS = 10
_BUILDING = 2.0
"""Building, calibrating and judging the winner cost about so many trials."""
_SILENCE_S = 0.5
_CELLS_PER_SECOND = 70_000
"""Rows × features that one configuration may cost per second of budget, as measured on one core with two folds and 300 rounds."""

_SHALLOW: dict[str, float | int | str] = {
    "num_leaves": 7,
    "learning_rate": 0.06,
    "min_data_in_leaf": 40,
    "lambda_l2": 5.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "cat_smooth": 50.0,
    "cat_l2": 20.0,
    "min_data_per_group": 100,
    "max_cat_threshold": 16,
}
# In the order of trying: what most often wins comes first, since a small budget ends early.
LADDER: tuple[Mapping[str, float | int | str], ...] = (
    {**_SHALLOW, "num_leaves": 4, "learning_rate": 0.1, "feature_fraction": 0.7},
    _SHALLOW,
    {**_SHALLOW, "min_data_in_leaf": 10, "lambda_l2": 1.0},
    {**_SHALLOW, "num_leaves": 15, "min_data_in_leaf": 60},
    {**_SHALLOW, "num_leaves": 15, "learning_rate": 0.03, "min_data_in_leaf": 5, "lambda_l2": 1.0},
    {**_SHALLOW, "num_leaves": 31, "min_data_in_leaf": 100, "lambda_l2": 20.0},
    {**_SHALLOW, "learning_rate": 0.03, "feature_fraction": 0.35, "min_data_in_leaf": 80, "lambda_l2": 20.0},
    {**_SHALLOW, "num_leaves": 15, "learning_rate": 0.03, "min_data_in_leaf": 30, "feature_fraction": 0.7},
    {**_SHALLOW, "num_leaves": 63, "learning_rate": 0.04, "min_data_in_leaf": 200, "lambda_l2": 20.0, "feature_fraction": 0.6},
    {**_SHALLOW, "num_leaves": 31, "learning_rate": 0.02, "min_data_in_leaf": 50, "feature_fraction": 0.3, "bagging_fraction": 0.6},
    {**_SHALLOW, "learning_rate": 0.02, "min_data_in_leaf": 20, "cat_smooth": 20.0, "cat_l2": 5.0, "min_data_per_group": 40},
)


_FINE: dict[str, float | int | str] = {
    **_SHALLOW,
    "num_leaves": 15,
    "learning_rate": 0.03,
    "min_data_in_leaf": 5,
    "lambda_l2": 1.0,
    "max_bin": 8191,
    "min_data_in_bin": 1,
}
FINE_LADDER: tuple[Mapping[str, float | int | str], ...] = (
    {**_FINE, "feature_fraction": 0.7},
    _FINE,
    {**_FINE, "feature_fraction": 0.7, "min_data_in_leaf": 10},
    {**_FINE, "feature_fraction": 0.7, "min_data_in_leaf": 10, "lambda_l2": 5.0},
    {**_FINE, "feature_fraction": 0.7, "min_data_in_leaf": 20, "lambda_l2": 5.0},
    {**_FINE, "feature_fraction": 0.7, "min_data_in_leaf": 10, "num_leaves": 7, "learning_rate": 0.05},
)
"""Configurations with fine bins: an amount that only frauds have is rarer than a 255th of the rows, and in coarser bins it would share one with
honest amounts. They were chosen on earlier rounds of the fraud handbook's protocol (docs/fraud-handbook.md)."""


_FIRST = 4


def ladder_for(decision_type: str) -> tuple[Mapping[str, float | int | str], ...]:
    """The configurations to try for a decision type, in the order of trying; for fraud also those with fine bins, after what a small budget tries."""
    return (*LADDER[:_FIRST], *FINE_LADDER, *LADDER[_FIRST:]) if decision_type == "fraud" else LADDER


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and how it did."""

    params: Mapping[str, float | int | str]
    rounds: int
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """The winning recipe and all trials, in the order of trying."""

    recipe: Recipe
    trials: tuple[Trial, ...]


def row_limit(features: int, budget_s: float) -> int:
    """How many rows a fit may use so that a few configurations fit into the budget; known before any clock is read."""
    return max(20_000, int(_CELLS_PER_SECOND * budget_s / max(1, features)))


def tune(
    table: TrainingTable,
    folds: Sequence[Fold],
    budget_s: float,
    report: Report,
    *,
    most_trials: int | None = None,
    ladder: Sequence[Mapping[str, float | int | str]] = LADDER,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Try configurations while the budget holds another one and the building of the winner; at least one.

    Args:
        table: rows to learn from.
        folds: as :func:`training.splits.split` made them.
        budget_s: for the whole training; building and judging the winner need the rest.
        report: is told of each trial.
        most_trials: try exactly so many (or all there are) however long they take; the budget then only limits the rows.
        ladder: the configurations, in the order of trying.
        clock: seconds.
    """
    started = clock()
    most_rows = row_limit(len(table.names), budget_s)

    def share() -> float:
        return min(1.0, (clock() - started) / (0.7 * budget_s))

    said = started

    def tick() -> None:
        nonlocal said
        if clock() - said >= _SILENCE_S:  # a sign of life, and the chance to cancel
            said = clock()
            report(step("tuning", 0.1 + 0.5 * share(), "trying", trial=len(trials) + 1))

    trials: list[Trial] = []
    data = [FoldData(table, fold, most_rows) for fold in folds]
    weights = np.array([len(fold.judge) for fold in folds], dtype=np.float64)
    for params in ladder[:most_trials]:
        begun = clock()
        curves = [fold.curve(params, MOST_ROUNDS, _PATIENCE, tick) for fold in data]
        rounds, loss = _lowest(curves, weights)
        trials.append(Trial(params, rounds, loss, clock() - begun))
        best = min(trials, key=lambda trial: trial.loss)
        report(step("tuning", 0.1 + 0.5 * share(), trials=len(trials), loss=round(best.loss, 6), rounds=best.rounds))
        if most_trials is None and clock() - started + (1 + _BUILDING) * max(trial.seconds for trial in trials) > budget_s:
            break
    best = min(trials, key=lambda trial: trial.loss)
    return Tuned(Recipe(best.params, best.rounds, most_rows), tuple(trials))


def _lowest(curves: Sequence[NDArray[np.float64]], weights: NDArray[np.float64]) -> tuple[int, float]:
    """Round (from 1) and value of the lowest weighted mean loss; a curve that ended early stays at its lowest value."""
    length = max(len(curve) for curve in curves)
    padded = np.array([np.r_[curve, np.full(length - len(curve), curve.min())] for curve in curves])
    mean = weights @ padded / weights.sum()
    rounds = int(np.argmin(mean)) + 1
    return max(_FEWEST_ROUNDS, rounds), float(mean[rounds - 1])
