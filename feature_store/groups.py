"""Columns that name rather than describe: identifiers, and groups of rows that share one outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_store.columns import Column, Kind
from feature_store.leakage import Target
from feature_store.wording import Text, told

_SHARED = 0.98
_MANY = 0.2
_UNSEEN = 0.6
_NEWEST = 0.2


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together.

    Attributes:
        ids: int64 (n,), equal for rows of one group; rows without a value are groups of their own.
        agreement: share of the groups of several rows whose rows all have the same target.
    """

    column: str
    ids: NDArray[np.int64]
    groups: int
    agreement: float


@dataclass(frozen=True, slots=True)
class Identifier:
    """A column that says which row it is, not what it is like."""

    column: str
    code: str
    msg: Text


def find_group(columns: Sequence[Column], target: Target) -> Group | None:
    """The column whose repeated values share one outcome: the lines of one delivery, the attempts on one card.

    Such rows must not stand on both sides of a split. Only columns with many different values are looked at, and agreement must be far
    above what chance would give. Of several the one with the fewest groups is taken.
    """
    known = ~np.isnan(target.values)
    found: list[Group] = []
    for column in columns:
        if column.kind not in (Kind.CATEGORY, Kind.INTEGER) or not known.any():
            continue
        ids = group_ids(column)
        _, first, inverse, sizes = np.unique(ids[known], return_index=True, return_inverse=True, return_counts=True)
        truth = target.values[known]
        repeated = sizes > 1
        if repeated.sum() < 20 or len(sizes) < _MANY * known.sum() or sizes[repeated].sum() < 0.02 * known.sum():
            continue
        odd = np.bincount(inverse, weights=(truth != truth[first][inverse]).astype(np.float64)) > 0
        agreement = float(1 - odd[repeated].mean())
        if agreement >= _SHARED and agreement > _by_chance(truth, sizes[repeated]) + 0.02:
            found.append(Group(column.name, ids, len(sizes), agreement))
    return min(found, key=lambda group: group.groups) if found else None


def group_ids(column: Column) -> NDArray[np.int64]:
    """One number a value; every missing value is a group of its own."""
    _, ids = np.unique(column.values, return_inverse=True, equal_nan=True)
    missing = np.flatnonzero(~column.present)
    ids = ids.astype(np.int64)
    ids[missing] = ids.max(initial=0) + 1 + np.arange(len(missing))
    return ids


def _by_chance(truth: NDArray[np.float64], sizes: NDArray[np.int64]) -> float:
    """Share of groups of these sizes that would agree if targets were dealt at random."""
    _, counts = np.unique(truth, return_counts=True)
    shares = counts / counts.sum()
    return float(np.mean([(shares**size).sum() for size in sizes[:10_000]]))


def find_identifiers(columns: Sequence[Column], time: Column | None) -> tuple[Identifier, ...]:
    """Columns that a model cannot learn from: a value for each row, only one value, or values that are new each time."""
    found = []
    newest = None if time is None else np.argsort(np.nan_to_num(time.values), kind="stable")
    for column in columns:
        present = int(column.present.sum())
        distinct = len(np.unique(column.values[column.present]))
        if present == 0:
            found.append(Identifier(column.name, "empty_column", told("empty_column")))
        elif distinct == 1 and present == len(column.values):
            found.append(Identifier(column.name, "constant", told("constant", value=column.cell(0))))
        elif _is_counter(column, distinct, present) or (column.kind is Kind.CATEGORY and distinct > max(50, 0.5 * present)):
            found.append(Identifier(column.name, "identifier", told("identifier", distinct=distinct, rows=present)))
        elif newest is not None and column.kind is Kind.CATEGORY and distinct > 100:
            unseen = _unseen(column, newest)
            if unseen >= _UNSEEN:
                found.append(Identifier(column.name, "values_never_return", told("values_never_return", unseen=unseen)))
    return tuple(found)


def _is_counter(column: Column, distinct: int, present: int) -> bool:
    """Whole numbers, (nearly) one for each row, that run densely or along with the rows."""
    if column.kind is not Kind.INTEGER or present < 50 or distinct < 0.98 * present:
        return False
    values = column.values[column.present]
    dense = float(values.max() - values.min()) < 20 * present
    steps = np.diff(values)
    ordered = max((steps > 0).mean(), (steps < 0).mean()) > 0.95
    return dense or bool(ordered) or distinct == present


def _unseen(column: Column, newest: NDArray[np.int64]) -> float:
    """Share of the newest fifth of the rows whose value does not occur in the rows before."""
    cut = int(len(newest) * (1 - _NEWEST))
    before, after = column.values[newest[:cut]], column.values[newest[cut:]]
    after = after[~np.isnan(after)]
    return float((~np.isin(after, before[~np.isnan(before)])).mean()) if len(after) else 0.0
