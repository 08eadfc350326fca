"""Learns why an event comes about: a small model over the rows where it happened, beside the one that says whether it will.

How many trees it gets and how its shares are calibrated comes from rows that no tree has seen: the folds that calibrate the main model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from models.calibration_fit import fitted_temperature
from models.causes import CauseModel
from training import boosting
from training.boosting import FoldData, Recipe
from training.splits import Fold, Split
from training.table import Integers, TrainingTable

FEWEST_OF_A_CAUSE = 40
"""With fewer of the rarest cause there is no telling it from chance."""

MOST_ROUNDS = 150
_FEWEST_ROUNDS = 10
_PATIENCE = 20
_MOST_ROWS = 40_000
_PARAMS: dict[str, Any] = {
    "num_leaves": 7,
    "learning_rate": 0.08,
    "min_data_in_leaf": 30,
    "lambda_l2": 10.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}


def learn_causes(table: TrainingTable, parts: Split) -> CauseModel | None:
    """Learn how the causes share the event, from the rows that may be learnt from.

    A pure function of table and split. ``None`` where the table tells no causes, or one of them too rarely.
    """
    if table.cause is None or table.task != "binary":
        return None
    codes = table.cause.codes
    happened = (table.label == 1) & (codes >= 0)
    develop = parts.develop[happened[parts.develop]]
    counts = np.bincount(codes[develop], minlength=len(table.cause.names))
    folds = [Fold(fold.fit[happened[fold.fit]], fold.judge[happened[fold.judge]]) for fold in parts.cross]
    told = all(len(np.unique(codes[rows])) == len(counts) for fold in folds for rows in (fold.fit, fold.judge))
    if len(counts) < 2 or counts.min() < FEWEST_OF_A_CAUSE or not folds or not told:
        return None
    why = replace(table, label=np.where(happened, codes, np.nan).astype(np.float64), classes=table.cause.names)
    recipe = Recipe(_PARAMS, _rounds(why, folds), _MOST_ROWS)
    scored = [boosting.margins(boosting.fit(why, fold.fit, recipe), why.features[fold.judge]) for fold in folds]
    labels: Integers = np.concatenate([codes[fold.judge] for fold in folds]).astype(np.int64)
    temperature = fitted_temperature(np.concatenate(scored), labels)
    booster = boosting.fit(why, develop, recipe)
    return CauseModel(table.cause.names, boosting.model_text(booster), float(f"{temperature:.9g}"))


def _rounds(table: TrainingTable, folds: list[Fold]) -> int:
    """The number of trees with the least mean loss over the folds."""
    curves = [FoldData(table, fold, _MOST_ROWS).curve(_PARAMS, MOST_ROUNDS, _PATIENCE, lambda: None) for fold in folds]
    shortest = min(len(curve) for curve in curves)
    mean = np.mean([curve[:shortest] for curve in curves], axis=0)
    return max(_FEWEST_ROUNDS, int(mean.argmin()) + 1)
