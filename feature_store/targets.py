"""Read a target column: what is predicted, in which classes, and whether it can be learnt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_store.columns import Column, Kind
from feature_store.leakage import Target
from feature_store.problems import DataProblem, Severity
from feature_store.wording import told

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
        msg, fix = told("empty_target", column=column.name), told("empty_target.fix")
        empty = DataProblem("empty_target", loc, msg, column=column.name, fix=fix)
        return TargetReading(Target(column.name, np.full(len(known), np.nan), ()), "binary", {}, (empty,))
    distinct = np.unique(column.values[known])
    if column.kind in (Kind.NUMBER, Kind.INTEGER) and (len(distinct) > _WHOLE_CLASSES or column.kind is Kind.NUMBER) and len(distinct) > 2:
        target, counts, task = Target(column.name, column.values, ()), dict[str, int](), "regression"
    elif column.kind is Kind.TIME:
        msg, fix = told("time_target", column=column.name), told("time_target.fix")
        problems.append(DataProblem("time_target", loc, msg, column=column.name, fix=fix))
        target, counts, task = Target(column.name, column.values, ()), {}, "regression"
    else:
        target, counts = _classes(column, known)
        task = "binary" if len(counts) <= 2 else "multiclass"
        problems += _check_classes(column, counts)
    if not known.all():
        gone = int((~known).sum())
        msg, fix = told("target_missing", count=gone, column=column.name), told("target_missing.fix")
        row = int(np.flatnonzero(~known)[0]) + 2
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
        msg = told("one_class_target", column=column.name, value=only)
        return [DataProblem("one_class_target", loc, msg, column=column.name, fix=told("one_class_target.fix"))]
    if len(counts) > MOST_CLASSES:
        msg = told("too_many_classes", column=column.name, count=len(counts), most=MOST_CLASSES)
        return [DataProblem("too_many_classes", loc, msg, column=column.name, fix=told("too_many_classes.fix"))]
    rare = {name: count for name, count in counts.items() if count < FEWEST_OF_A_CLASS}
    if not rare:
        return []
    listed = ", ".join(f"{name!r} ({count})" for name, count in list(rare.items())[:5])
    msg = told("too_few_of_class", classes=listed, column=column.name, least=FEWEST_OF_A_CLASS)
    return [DataProblem("too_few_of_class", loc, msg, column=column.name, fix=told("too_few_of_class.fix"))]
