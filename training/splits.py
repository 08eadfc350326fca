"""Split rows the way the model will be used: learn from the past, be judged on the future, never on both sides of one group.

A row may be learnt from only when its outcome was known before the first judged row. Outcomes differ in how soon they are known (a
charge-back tells of fraud, its absence only after weeks), so the newest rows, of which only some outcomes are known, are left out as a
whole: taking those that are known would teach a wrong base rate.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.table import Integers, TrainingTable

TEST_SHARE = 0.2
_FOLD_STARTS = (0.7, 0.85)
_CROSS = 5
_CROSS_LARGE = 3
_LARGE = 40_000
"""From so many rows on three parts are enough: a model of two thirds of them ranks as sharply as one of all."""
_NEWEST = 0.7
_ENOUGH = 500
"""So many of each outcome tell its rate to about a twentieth; rows are calibrated on from further back until there are as many."""
_KNOWN = 0.95
_LONGEST_WAIT = 0.4


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows to fit on and rows to judge by, as indexes into the table."""

    fit: Integers
    judge: Integers


@dataclass(frozen=True, slots=True)
class Split:
    """How a table was split.

    Attributes:
        method: ``time`` (the newest rows judge), ``hash`` (no times: a fifth of the groups judge) or ``prescribed``.
        develop: rows that may be learnt from, oldest first.
        test: rows that judge the final model and nothing else.
        folds: splits inside ``develop``, forward in time, for tuning.
        cross: splits of ``develop`` by a hash of the groups, whose judging rows together are its newer part, or all of it where an
            outcome is rare; for calibration.
        cut_at: time of the first test row.
        purged: rows left out because of their group or because their outcome was not known yet.
    """

    method: str
    develop: Integers
    test: Integers
    folds: tuple[Fold, ...]
    cross: tuple[Fold, ...]
    cut_at: int | None
    purged: int


def split(table: TrainingTable) -> Split:
    """Split a table; rows without an outcome take no part."""
    rows = np.flatnonzero(~np.isnan(table.label))
    if table.time is None or len(np.unique(table.time[rows])) < 20:
        return _by_hash(table, rows)
    order = rows[np.argsort(table.time[rows], kind="stable")]
    times = table.time[order]
    cut = int(times[int(len(order) * (1 - TEST_SHARE))])
    test = order[times >= cut]
    develop = _learnable(table, order[times < cut], test, cut)
    folds = []
    edges = [int(len(develop) * start) for start in _FOLD_STARTS] + [len(develop)]
    for begin, end in itertools.pairwise(edges):
        if begin == end:
            continue
        start = int(table.time[develop[begin]])
        inside = table.time[develop]
        judge = develop[(inside >= start) & (np.arange(len(develop)) < end)]
        fit = _learnable(table, develop[inside < start], judge, start)
        if len(fit) and len(judge):
            folds.append(Fold(fit, judge))
    cross = _cross(table, develop, first=_first_calibrated(table, develop))
    return Split("time", develop, test, tuple(folds), cross, cut, len(order) - len(test) - len(develop))


def prescribed(table: TrainingTable, develop: Integers, test: Integers, folds: Sequence[tuple[Integers, Integers]]) -> Split:
    """A split that somebody else has laid down, such as a published comparison's weeks.

    Args:
        table: where the rows are; it has times.
        develop: rows to learn from.
        test: rows that judge the final model.
        folds: (rows to fit on, rows to judge by) for tuning; they may lie before ``develop``.

    Raises:
        ValueError: rows to learn from lie behind rows that judge, or their outcome was not known by then; a fold touches the test rows.
    """
    if table.time is None:
        raise ValueError("a prescribed split needs times")
    for past, future in ((develop, test), *folds):
        begins = int(table.time[future].min())
        known = table.time if table.label_known_at is None else table.label_known_at
        if table.time[past].max() >= begins or known[past].max() > begins:
            raise ValueError("rows to learn from must be over, and their outcome known, before the first row that judges")
    cut = int(table.time[test].min())
    if any(np.isin(rows, test).any() for fold in folds for rows in fold):
        raise ValueError("configurations may not be chosen on the test rows")
    develop, test = (rows[np.argsort(table.time[rows], kind="stable")] for rows in (develop, test))
    cross = _cross(table, develop, first=_first_calibrated(table, develop))
    left_out = int((table.time < cut).sum()) - len(develop)
    return Split("prescribed", develop, test, tuple(Fold(fit, judge) for fit, judge in folds), cross, cut, left_out)


def _learnable(table: TrainingTable, past: Integers, future: Integers, cut: int) -> Integers:
    """The past rows that may be learnt from when the future rows judge."""
    keep = np.ones(len(past), dtype=bool)
    if table.group is not None:
        keep &= ~np.isin(table.group[past], table.group[future])
    if table.label_known_at is not None and table.time is not None and len(past):
        known, time = table.label_known_at[past], table.time[past]
        wait = np.quantile(known - time, _KNOWN, method="higher")
        span = (1 - _LONGEST_WAIT) * (cut - int(time[0]))
        keep &= (known <= cut) & (time <= max(cut - int(wait), int(time[0]) + int(span)))
    return past[keep]


def _by_hash(table: TrainingTable, rows: Integers) -> Split:
    group = table.group if table.group is not None else np.arange(len(table), dtype=np.int64)
    part = _part(group[rows], 10)
    test, develop = rows[part < 2], rows[part >= 2]
    inner = part[part >= 2]
    folds = tuple(Fold(develop[inner != judged], develop[inner == judged]) for judged in (2, 3))
    folds = tuple(fold for fold in folds if len(fold.fit) and len(fold.judge))
    return Split("hash", develop, test, folds, _cross(table, develop, first=0), None, 0)


def _first_calibrated(table: TrainingTable, develop: Integers) -> int:
    """Where among ``develop``, oldest first, the rows to calibrate on begin: old ones tell a base rate of the past, few ones none at all."""
    first = int((1 - _NEWEST) * len(develop))
    for index in range(len(table.classes)):
        having = np.flatnonzero(table.label[develop] == index)
        first = min(first, int(having[-_ENOUGH]) if len(having) >= _ENOUGH else 0)
    return first


def _cross(table: TrainingTable, develop: Integers, *, first: int) -> tuple[Fold, ...]:
    """Every row is judged by a model that has seen neither it nor its group, but rows before and after it.

    Such a model ranks as sharply as the final one, which is fitted to all of ``develop``; one that has seen only older and fewer rows ranks
    worse, and a calibration on its scores would call the final one less sure than it is. Rows before the ``first`` do not judge.
    """
    keys = table.group if table.group is not None else np.arange(len(table), dtype=np.int64)
    parts = _CROSS if len(develop) < _LARGE else _CROSS_LARGE
    part = _part(keys[develop] + 1, parts)
    judges = np.arange(len(develop)) >= first
    folds = (Fold(develop[part != judged], develop[(part == judged) & judges]) for judged in range(parts))
    return tuple(fold for fold in folds if len(fold.fit) and len(fold.judge))


def _part(keys: Integers, parts: int) -> Integers:
    """A part for each row: equal keys fall into one part, and parts are as equal as the keys allow.

    The keys stand in the order of a mixing hash; where a key's rows begin tells its part. So the first parts together never fall short of
    their share, however few the rows; a key with very many rows may leave a later part empty.
    """
    distinct, which, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    mixed = (distinct.astype(np.uint64) + np.uint64(0x9E37)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    order = np.argsort(mixed, kind="stable")
    begins = np.empty(len(distinct), dtype=np.int64)
    begins[order] = np.cumsum(sizes[order]) - sizes[order]
    part: Integers = begins[which] * parts // max(1, len(keys))
    return part


def thin(rows: Integers, most: int) -> Integers:
    """Every k-th row, so that at most so many remain: the order in time stays as it was."""
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows
