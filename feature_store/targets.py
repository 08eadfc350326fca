"""Read a target column: what is predicted, in which classes, and whether it can be learnt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_store.columns import Column, Kind
from feature_store.leakage import Target
from feature_store.problems import DataProblem, Severity

MOST_CLASSES = 50
FEWEST_OF_A_CLASS = 20
_WHOLE_CLASSES = 10
_POSITIVE = ("1", "true", "yes", "y", "t", "是")
_NEGATIVE = ("0", "false", "no", "n", "f", "否")


@dataclass(frozen=True, slots=True)
class TargetReading:
    """A target, what kind of task it makes, and what is wrong with it."""

    target: Target
    task: str
    counts: dict[str, int]
    problems: tuple[DataProblem, ...]

    @property
    def event(self) -> str | None:
        """What the probability of a binary model is the probability of."""
        if self.task != "binary" or len(self.target.classes) != 2:
            return None
        positive = self.target.classes[1]
        return self.target.column if positive.lower() in _POSITIVE else f"{self.target.column} = {positive}"


def read_target(column: Column) -> TargetReading:
    """Classes for texts, booleans and few whole numbers; a regression for other numbers.

    The positive class of a binary target is the one that says yes (1, true, yes), or else the rarer one.
    """
    known = column.present
    loc = ("target",)
    problems = []
    if not known.any():
        fix = "Choose the column that says what happened."
        empty = DataProblem("empty_target", loc, f"The target {column.name!r} holds no values.", column=column.name, fix=fix)
        return TargetReading(Target(column.name, np.full(len(known), np.nan), ()), "binary", {}, (empty,))
    distinct = np.unique(column.values[known])
    if column.kind in (Kind.NUMBER, Kind.INTEGER) and (len(distinct) > _WHOLE_CLASSES or column.kind is Kind.NUMBER) and len(distinct) > 2:
        target, counts, task = Target(column.name, column.values, ()), dict[str, int](), "regression"
    elif column.kind is Kind.TIME:
        fix = "Choose a column that holds classes or numbers; of two times take the difference in a column of its own."
        problems.append(DataProblem("time_target", loc, f"The target {column.name!r} holds times.", column=column.name, fix=fix))
        target, counts, task = Target(column.name, column.values, ()), {}, "regression"
    else:
        target, counts = _classes(column, known)
        task = "binary" if len(counts) <= 2 else "multiclass"
        problems += _check_classes(column, counts)
    if not known.all():
        gone = int((~known).sum())
        msg = f"{gone:,} rows have no value in the target {column.name!r}: they are left out."
        row = int(np.flatnonzero(~known)[0]) + 2
        fix = "Nothing to do, if their outcome is not known yet."
        problems.append(DataProblem("target_missing", loc, msg, row, column.name, fix, Severity.WARNING, gone))
    return TargetReading(target, task, counts, tuple(problems))


def _classes(column: Column, known: NDArray[np.bool_]) -> tuple[Target, dict[str, int]]:
    names: dict[str, int] = {}
    keys, inverse = np.unique(column.values[known], return_inverse=True)
    first = np.flatnonzero(known)[np.unique(inverse, return_index=True)[1]]
    texts = [_class_name(column, float(key), int(row)) for key, row in zip(keys, first, strict=True)]
    sizes = np.bincount(inverse)
    order = sorted(range(len(texts)), key=lambda index: texts[index])
    if len(texts) == 2:
        order.sort(key=lambda index: (_says_yes(texts[index]), -int(sizes[index]), texts[index]))
    place = np.empty(len(order), np.float64)
    place[order] = np.arange(len(order))
    values = np.full(len(known), np.nan)
    values[known] = place[inverse]
    for index in order:
        names[texts[index]] = int(sizes[index])
    return Target(column.name, values, tuple(names)), names


def _class_name(column: Column, key: float, row: int) -> str:
    if column.kind in (Kind.INTEGER, Kind.NUMBER):
        return str(int(key)) if key == int(key) else repr(key)
    return column.cell(row).lower() if column.kind is Kind.BOOLEAN else column.cell(row)


def _says_yes(text: str) -> int:
    lowered = text.lower()
    return 1 if lowered in _POSITIVE else -1 if lowered in _NEGATIVE else 0


def _check_classes(column: Column, counts: dict[str, int]) -> list[DataProblem]:
    loc = ("target",)
    if len(counts) == 1:
        only = next(iter(counts))
        msg = f"Every row has the same value in the target {column.name!r} ({only!r}): there is nothing to tell apart."
        return [
            DataProblem("one_class_target", loc, msg, column=column.name, fix="Add rows with another outcome, or choose another column.")
        ]
    if len(counts) > MOST_CLASSES:
        msg = f"The target {column.name!r} has {len(counts):,} different values; at most {MOST_CLASSES} classes can be told apart."
        return [DataProblem("too_many_classes", loc, msg, column=column.name, fix="Choose a column with fewer classes, or join rare ones.")]
    rare = {name: count for name, count in counts.items() if count < FEWEST_OF_A_CLASS}
    if not rare:
        return []
    listed = ", ".join(f"{name!r} ({count})" for name, count in list(rare.items())[:5])
    msg = f"Too few rows of {listed} in the target {column.name!r}; at least {FEWEST_OF_A_CLASS} of each class are needed."
    return [DataProblem("too_few_of_class", loc, msg, column=column.name, fix="Add rows of it, or join it with another class.")]
