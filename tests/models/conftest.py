"""Small LightGBM models of every kind that the scorer reads, trained once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import lightgbm
import numpy as np
import pytest


@dataclass(frozen=True)
class Trained:
    booster: Any
    text: str
    rows: np.ndarray
    labels: np.ndarray


def rows_with_everything(rng: np.random.Generator, count: int) -> np.ndarray:
    """Numbers, zeros, tiny numbers, a category of 70 codes, a category of 4, a rarely known column, a constant one."""
    rows = rng.normal(size=(count, 8))
    rows[:, 1] = rng.integers(0, 70, count)
    rows[:, 2] = rng.integers(0, 4, count)
    rows[:, 3] = np.where(rng.random(count) < 0.5, 0.0, rows[:, 3])
    rows[:, 4] = np.where(rng.random(count) < 0.9, np.nan, rows[:, 4])
    rows[:, 5] = np.round(rows[:, 5] * 3)
    rows[:, 7] = 1.0
    rows[rng.random(rows.shape) < 0.05] = np.nan
    return rows


@lru_cache
def train(kind: str, seed: int = 0, **params: Any) -> Trained:
    rng = np.random.default_rng(seed)
    rows = rows_with_everything(rng, 900)
    known = np.nan_to_num(rows)
    signal = (
        known[:, 0] + np.isin(known[:, 1], [3, 5, 40, 69]) + (known[:, 2] == 2) * known[:, 3] - (known[:, 5] == 0) + np.isnan(rows[:, 4])
    )
    signal = signal + rng.normal(size=len(rows)) * 0.5
    settings: dict[str, Any] = {
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 1,
        "min_data_in_leaf": 5,
    }
    match kind:
        case "binary":
            labels = (signal > 0.5).astype(float)
            settings |= {"objective": "binary", "max_depth": 8}
        case "multiclass":
            labels = np.digitize(signal, [0.0, 1.0]).astype(float)
            settings |= {"objective": "multiclass", "num_class": 3, "num_leaves": 9}
        case _:
            labels = 1e4 * signal
            settings |= {"objective": "regression", "num_leaves": 20}
    data = lightgbm.Dataset(rows, labels, categorical_feature=[1, 2], params=settings | params)
    booster = lightgbm.train(settings | params, data, params.get("rounds", 15))
    return Trained(booster, booster.model_to_string(), rows, labels)


@pytest.fixture(name="train", scope="session")
def train_fixture() -> Callable[..., Trained]:
    return train


@pytest.fixture(scope="session")
def hostile_rows() -> np.ndarray:
    """Rows as nobody trained them: infinities, negative and unseen and fractional categories, tiny and huge numbers."""
    rng = np.random.default_rng(99)
    rows = rows_with_everything(rng, 120)
    odd = np.array(
        [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-36, -1e-36, 1e-35, 1e300, -1.0, -0.5, 2.9, 31.0, 32.0, 63.0, 64.0, 1e9, 2.0**31, 2.0**40]
    )
    place = rng.random(rows.shape) < 0.4
    rows[place] = rng.choice(odd, int(place.sum()))
    return rows
