"""What a model is trained on: one table of numbers, whether it comes from our own history or from a user's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from governance.facts import Case

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slice:
    """A way to cut the rows into segments for the report: ``codes`` int64 (n,) into ``names``, -1 for none."""

    codes: Integers
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Rows to learn from.

    Attributes:
        names: feature names, in the order of the columns.
        features: float64 (n, m); NaN stands for "not known", a category is its code.
        categorical: which columns hold codes.
        label: float64 (n,): class index, or the value of a regression; NaN where the outcome is unknown.
        classes: names of the classes, the event last for two; empty for a regression.
        time: int64 (n,), when the decision was made, milliseconds; ``None`` when unknown.
        label_known_at: int64 (n,), when its outcome was known.
        group: int64 (n,), rows that may not stand on both sides of a split.
        cluster: int64 (n,), rows that are alike without sharing an outcome (the orders of one customer): intervals count them together.
        p_knowable: float64 (n,), for simulated rows the true probability given what was knowable.
        slices: segments to report on, by name.
        cause: why the event came about, of two classes; -1 where it did not.
        cases: what a policy would have known of each row besides the features; empty where nobody kept it.
    """

    names: tuple[str, ...]
    features: Floats
    label: Floats
    classes: tuple[str, ...]
    categorical: tuple[int, ...] = ()
    time: Integers | None = None
    label_known_at: Integers | None = None
    group: Integers | None = None
    cluster: Integers | None = None
    p_knowable: Floats | None = None
    slices: Mapping[str, Slice] = field(default_factory=dict)
    cause: Slice | None = None
    cases: Sequence[Case] = ()

    def __post_init__(self) -> None:
        rows = len(self.label)
        if self.features.shape != (rows, len(self.names)):
            raise ValueError(f"features of shape {self.features.shape} for {rows} labels and {len(self.names)} names")
        for name in ("time", "label_known_at", "group", "cluster", "p_knowable"):
            part = getattr(self, name)
            if part is not None and len(part) != rows:
                raise ValueError(f"{name} has {len(part)} rows, the label {rows}")
        if self.cases and len(self.cases) != rows:
            raise ValueError(f"cases has {len(self.cases)} rows, the label {rows}")

    def __len__(self) -> int:
        return len(self.label)

    @property
    def task(self) -> str:
        """``binary``, ``multiclass`` or ``regression``."""
        return "regression" if not self.classes else "binary" if len(self.classes) == 2 else "multiclass"
