"""LightGBM, held to what can be repeated: one thread, fixed seeds, deterministic histograms, trees no deeper than the kernel explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.splits import Fold
from training.table import Floats, Integers, TrainingTable

MAX_DEPTH = 8
"""Four quadrature points then explain a tree exactly."""

SEED = 20_261_111
_FIXED: dict[str, Any] = {
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": SEED,
    "max_depth": MAX_DEPTH,
    "feature_pre_filter": False,
    "max_bin": 255,
}
_BINNING = ("max_bin", "min_data_in_bin")
"""Parameters that shape a binned dataset; a configuration with its own needs a dataset of its own."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a model is built from, beside its rows: the same recipe over the same rows gives the same bytes.

    Attributes:
        params: LightGBM parameters on top of the fixed ones.
        rounds: trees (per class).
        most_rows: rows are thinned to so many when fitting.
    """

    params: Mapping[str, float | int | str]
    rounds: int
    most_rows: int

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; :meth:`from_json` reads it back."""
        return {"params": dict(self.params), "rounds": self.rounds, "most_rows": self.most_rows}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Recipe:
        """Read back what :meth:`to_json` wrote."""
        return cls(dict(entry["params"]), int(entry["rounds"]), int(entry["most_rows"]))


def objective(table: TrainingTable) -> dict[str, Any]:
    """LightGBM's objective and metric for a table's task."""
    match table.task:
        case "binary":
            return {"objective": "binary", "metric": "binary_logloss"}
        case "multiclass":
            return {"objective": "multiclass", "metric": "multi_logloss", "num_class": len(table.classes)}
        case _:
            return {"objective": "regression", "metric": "l2"}


class FoldData:
    """One fold's rows in LightGBM's binned form, made once for all configurations that bin alike."""

    def __init__(self, table: TrainingTable, fold: Fold, most_rows: int) -> None:
        from training.splits import thin

        self.fit = thin(fold.fit, most_rows)
        self.judge = fold.judge
        self._table = table
        self._binned: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def _data(self, params: Mapping[str, Any]) -> tuple[Any, Any]:
        binning = tuple(params.get(name) for name in _BINNING)
        if binning not in self._binned:
            train = _dataset(self._table, self.fit, params)
            self._binned[binning] = train, train.create_valid(self._table.features[self.judge], self._table.label[self.judge])
        return self._binned[binning]

    def curve(self, params: Mapping[str, Any], rounds: int, patience: int, tick: Callable[[], None]) -> NDArray[np.float64]:
        """The loss on the judging rows after each round, until it has not sunk for ``patience`` rounds."""
        import lightgbm

        history: dict[str, dict[str, list[float]]] = {}
        callbacks: list[Callable[..., Any]] = [lightgbm.record_evaluation(history), lightgbm.early_stopping(patience, verbose=False)]
        callbacks.append(lambda _env: tick())
        train, judge = self._data(params)
        lightgbm.train(_params(self._table, params), train, rounds, valid_sets=[judge], valid_names=["judge"], callbacks=callbacks)
        return np.array(next(iter(history["judge"].values())))


def fit(table: TrainingTable, rows: Integers, recipe: Recipe, tick: Callable[[], None] = lambda: None) -> Any:
    """Fit a recipe to rows of the table; returns LightGBM's booster."""
    import lightgbm

    from training.splits import thin

    data = _dataset(table, thin(rows, recipe.most_rows), recipe.params)
    return lightgbm.train(_params(table, recipe.params), data, recipe.rounds, callbacks=[lambda _env: tick()])


def margins(booster: Any, features: Floats) -> Floats:
    """Raw scores as float64 (n, outputs)."""
    raw = np.asarray(booster.predict(features, raw_score=True, num_threads=1), dtype=np.float64)
    return raw.reshape(len(features), -1)


def model_text(booster: Any) -> str:
    """The native text of a booster; the same trees give the same text."""
    return str(booster.model_to_string(num_iteration=-1))


def _params(table: TrainingTable, params: Mapping[str, Any]) -> dict[str, Any]:
    return {**_FIXED, **objective(table), **params}


def _dataset(table: TrainingTable, rows: Integers, params: Mapping[str, Any]) -> Any:
    import lightgbm

    return lightgbm.Dataset(
        table.features[rows],
        table.label[rows],
        feature_name=safe_names(table.names),
        categorical_feature=list(table.categorical) or "auto",
        params={**_FIXED, **{name: params[name] for name in _BINNING if name in params}},
        free_raw_data=True,
    )


def safe_names(names: Sequence[str]) -> list[str]:
    """Names for LightGBM's text, which knows no JSON characters or blanks: ``f0``, ``f1``, ... where a name is not plain."""
    plain = all(name.isascii() and name.replace("_", "").isalnum() for name in names)
    return list(names) if plain else [f"f{index}" for index in range(len(names))]
