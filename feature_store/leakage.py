"""Columns that know the outcome: found by what they say about the target, never by what they are called.

A column leaks when it was filled after, or because of, what is to be predicted. Seen from the table this shows as one of:

- its values alone tell the target almost perfectly (judged on rows that were not used to learn them);
- it is a time, and how far it lies from the decision's time tells the target (a delivery later than promised *is* lateness);
- it is filled, or empty, only where the rarer class happened.

Names that speak of outcomes only warn: a name proves nothing. Rows that share a group count as one when learning, so that an identifier
is not taken for a cause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_store.columns import Column, Kind
from feature_store.ranks import auc
from feature_store.wording import Text
from feature_store.wording import told as tell

TOO_GOOD_AUC = 0.97
TOO_GOOD_TIME_AUC = 0.90
SUSPICIOUS_AUC = 0.90
TOO_GOOD_R2 = 0.98
_SAMPLE = 200_000
_BINS = 64
_PURE_ROWS = 30
_PURITY = 0.99
_PURE_SHARE = 0.05

_OUTCOME_NAMES = re.compile(
    r"(?<![a-z])(actual|actually|delivered|received|recorded|closed|resolved|resolution|settled|refund(ed)?|returned|chargeback|cancel+(l?ed|lation)"
    r"|completed|outcome|result|final|reviewed|disputed?|label|ground.?truth)(?![a-z])"
    r"|实际|签收|送达|退款|退货|拒付|取消|完成|结果|最终"
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be predicted, as numbers.

    Attributes:
        values: float64 (n,): class index, or the value itself for a regression; NaN where unknown.
        classes: names of the classes; empty for a regression.
    """

    column: str
    values: NDArray[np.float64]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leak:
    """One column that knows, or may know, the outcome.

    Attributes:
        code: ``determines_target``, ``dated_by_outcome``, ``filled_by_outcome``, ``suspicious`` or ``named_like_outcome``.
        excluded: whether it is kept out of the model; otherwise it is a warning.
        strength: AUC (R² for a regression), or the purity of the rows where it is filled.
    """

    column: str
    code: str
    msg: Text
    excluded: bool
    strength: float | None = None


def find_leaks(columns: Sequence[Column], target: Target, time: Column | None, group: NDArray[np.int64] | None) -> tuple[Leak, ...]:
    """Look at every column but the target and the time.

    Args:
        columns: the candidates for features.
        target: what is to be predicted, over the same rows.
        time: when each decision was made, where the table says so.
        group: int64 (n,), rows that belong together.
    """
    rows = _sample(target)
    fold = _folds(rows, group)
    truth = Target(target.column, target.values[rows], target.classes)
    leaks: list[Leak] = []
    for column in columns:
        values = column.values[rows]
        leak = None
        if column.kind is Kind.TIME and time is not None:
            leak = _dated(column, values, time, rows=rows, target=truth, fold=fold)
        if leak is None:
            leak = _filled(column, values, truth)
        if leak is None and column.kind is not Kind.TIME:
            leak = _determines(column, values, truth, fold)
        if leak is None and speaks_of_outcome(column.name):
            leak = Leak(
                column.name,
                "named_like_outcome",
                tell("named_like_outcome", target=target.column),
                False,
            )
        if leak is not None:
            leaks.append(leak)
    leaks += _pairs(
        [c for c in columns if c.kind is Kind.TIME and not any(k.column == c.name and k.excluded for k in leaks)], rows, truth, fold
    )
    return tuple(leaks)


def speaks_of_outcome(name: str) -> bool:
    """Whether a column's name sounds like something that is known only afterwards. A hint, no proof."""
    return _OUTCOME_NAMES.search(_words(name)) is not None


def strength(bins: NDArray[np.int64], target: Target, fold: NDArray[np.int64]) -> float:
    """How well the target is told by the bin alone, learnt on one half of the rows and judged on the other.

    Returns:
        The AUC of the best-told class against the rest, or R² for a regression; 0.5 or 0 when nothing can be said.
    """
    if not target.classes:
        told = _out_of_fold(bins, target.values, fold)
        total = ((target.values - target.values.mean()) ** 2).sum()
        return float(1 - ((target.values - told) ** 2).sum() / total) if total > 0 else 0.0
    best = 0.5
    indexes = range(len(target.classes)) if len(target.classes) > 2 else (1,)
    for index in indexes:
        positive = target.values == index
        if min(positive.sum(), (~positive).sum()) < 10:
            continue
        best = max(best, auc(_out_of_fold(bins, positive.astype(np.float64), fold), positive))
    return best


def bin_values(column: Column, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Up to 64 bins of equal weight for numbers, one bin a level for categories, and a bin for missing values."""
    if column.kind is Kind.CATEGORY:
        return np.where(np.isnan(values), -1, np.nan_to_num(values)).astype(np.int64) + 1
    return _quantile_bins(values)


def _quantile_bins(values: NDArray[np.float64], cuts: Sequence[float] = ()) -> NDArray[np.int64]:
    present = values[~np.isnan(values)]
    if len(present) == 0:
        return np.zeros(len(values), np.int64)
    distinct = np.unique(present)
    edges = distinct if len(distinct) <= _BINS else np.unique(np.quantile(present, np.linspace(0, 1, _BINS)))
    edges = np.unique(np.r_[edges, list(cuts)])
    # Twice as many bins as edges: a value on an edge is a bin of its own, so that "exactly on time" differs from "a little late".
    placed = np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), 0, placed + 1).astype(np.int64)


def _out_of_fold(bins: NDArray[np.int64], truth: NDArray[np.float64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    told = np.empty(len(truth))
    size = int(bins.max(initial=0)) + 1
    for side in (0, 1):
        learn, judge = fold != side, fold == side
        prior = truth[learn].mean() if learn.any() else 0.0
        counts = np.bincount(bins[learn], minlength=size)
        sums = np.bincount(bins[learn], weights=truth[learn], minlength=size)
        told[judge] = ((sums + 0.5 * prior) / (counts + 0.5))[bins[judge]]
    return told


def _dated(
    column: Column, values: NDArray[np.float64], time: Column, *, rows: NDArray[np.int64], target: Target, fold: NDArray[np.int64]
) -> Leak | None:
    distance = values - time.values[rows]
    both = ~np.isnan(distance)
    if both.sum() < 100:
        return None
    part = Target(target.column, target.values[both], target.classes)
    told = strength(_quantile_bins(distance[both], cuts=(0.0,)), part, fold[both])
    if told < (TOO_GOOD_TIME_AUC if target.classes else TOO_GOOD_R2):
        return None
    after = float((distance[both] > 0).mean())
    msg = tell("dated_by_outcome", time=time.name, target=target.column, how_well=_how_well(told, target), after=after)
    return Leak(column.name, "dated_by_outcome", msg, True, told)


def _determines(column: Column, values: NDArray[np.float64], target: Target, fold: NDArray[np.int64]) -> Leak | None:
    told = strength(bin_values(column, values), target, fold)
    if told >= (TOO_GOOD_AUC if target.classes else TOO_GOOD_R2):
        msg = tell("determines_target", target=target.column, how_well=_how_well(told, target))
        return Leak(column.name, "determines_target", msg, True, told)
    if target.classes and told >= SUSPICIOUS_AUC:
        msg = tell("suspicious", target=target.column, how_well=_how_well(told, target))
        return Leak(column.name, "suspicious", msg, False, told)
    return None


def _filled(column: Column, values: NDArray[np.float64], target: Target) -> Leak | None:
    """Filled, or empty, only where the rarer class happened. Pure segments of a common class are everyday and say nothing."""
    filled = ~np.isnan(values)
    for index, name in enumerate(target.classes):
        positive = target.values == index
        if positive.mean() > 0.5:
            continue
        for state, key in ((filled, "filled"), (~filled, "empty")):
            hits = int((state & positive).sum())
            purity = hits / max(1, int(state.sum()))
            if state.sum() >= _PURE_ROWS and purity >= _PURITY and hits >= _PURE_SHARE * positive.sum():
                word = tell(f"state.{key}")
                msg = tell("filled_by_outcome", state=word, target=target.column, value=name, purity=purity, rows=int(state.sum()))
                return Leak(column.name, "filled_by_outcome", msg, True, purity)
    return None


def _pairs(times: list[Column], rows: NDArray[np.int64], target: Target, fold: NDArray[np.int64]) -> list[Leak]:
    """Two times whose distance tells the target: the one that speaks of an outcome, or else the later one, is the leak."""
    leaks: list[Leak] = []
    gone: set[str] = set()
    for index, one in enumerate(times[:12]):
        for other in times[index + 1 : 12]:
            distance = other.values[rows] - one.values[rows]
            both = ~np.isnan(distance)
            if {one.name, other.name} & gone or both.sum() < 100:
                continue
            part = Target(target.column, target.values[both], target.classes)
            told = strength(_quantile_bins(distance[both], cuts=(0.0,)), part, fold[both])
            if told < (TOO_GOOD_TIME_AUC if target.classes else TOO_GOOD_R2):
                continue
            named = [column for column in (one, other) if speaks_of_outcome(column.name)]
            later, earlier = (other, one) if distance[both].mean() > 0 else (one, other)
            if len(named) == 1:
                later, earlier = named[0], one if named[0] is other else other
            gone.add(later.name)
            msg = tell("dated_by_outcome.pair", time=earlier.name, target=target.column, how_well=_how_well(told, target))
            leaks.append(Leak(later.name, "dated_by_outcome", msg, True, told))
    return leaks


def _sample(target: Target) -> NDArray[np.int64]:
    rows = np.flatnonzero(~np.isnan(target.values))
    return rows[:: max(1, -(-len(rows) // _SAMPLE))]


def _folds(rows: NDArray[np.int64], group: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Two halves by a mixed hash of the group (or the row): neither order nor neighbourhood decides."""
    key = (rows if group is None else group[rows]).astype(np.uint64)
    mixed = (key + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)) & np.uint64(1)).astype(np.int64)


def _words(name: str) -> str:
    """A name with CamelCase and underscores taken apart, lower-cased."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).lower()


def _how_well(told: float, target: Target) -> Text:
    return tell("how_well.almost" if told >= 0.95 else "how_well.very", measure="AUC" if target.classes else "R²", value=told)
