"""The columns of an accepted file as numpy arrays: text first, numbers and times where the column holds them.

A column is held as codes into its distinct texts, so that reading, typing and comparing cost as much as there are different values.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from feature_store.moments import TimeReading, read_times

MISSING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "nan", "nat", "\\n", "-", "--", "?"})
"""Texts, lower-cased, that say that there is no value."""

_BOOLEANS = {"true": 1.0, "false": 0.0}
_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_LEADING_ZERO = re.compile(r"[-+]?0\d")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_MOSTLY = 0.4
_DISTINCT = 20


class Kind(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    INTEGER = "integer"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    TIME = "time"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column as it is written.

    Attributes:
        codes: int32 (rows,), index into ``levels``.
        levels: the distinct texts, trimmed, in order of first appearance.
    """

    name: str
    codes: NDArray[np.int32]
    levels: tuple[str, ...]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each level occurs."""
        return np.bincount(self.codes, minlength=len(self.levels)).astype(np.int64)

    @property
    def missing_levels(self) -> NDArray[np.bool_]:
        """Which levels say that there is no value."""
        return np.array([level.lower() in MISSING for level in self.levels], dtype=bool)


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its kind.

    Attributes:
        values: float64 (rows,): the number, the moment in milliseconds, 0 or 1; NaN where there is none. For a category the
            index into ``text.levels``, NaN where missing.
        format: for times, the format that reads them.
        unread: bool (rows,), cells with a text that the kind cannot hold; they count as missing.
    """

    text: TextColumn
    kind: Kind
    values: NDArray[np.float64]
    unread: NDArray[np.bool_]
    format: str | None = None

    @property
    def name(self) -> str:
        """The name in the header."""
        return self.text.name

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which cells have a value, bool (rows,)."""
        return ~np.isnan(self.values)

    def cell(self, row: int) -> str:
        """The text of a cell as written (trimmed)."""
        return self.text.levels[int(self.text.codes[row])]


def read_columns(names: Sequence[str], records: Iterable[Sequence[str]]) -> tuple[TextColumn, ...]:
    """Read records, each as wide as ``names``, into columns."""
    indexes: list[dict[str, int]] = [{} for _ in names]
    codes: list[array[int]] = [array("i") for _ in names]
    slots = list(zip(indexes, codes, strict=True))
    for record in records:
        for (index, column), cell in zip(slots, record, strict=True):
            column.append(index.setdefault(cell.strip(), len(index)))
    return tuple(
        TextColumn(name, np.frombuffer(column, dtype=np.int32).copy() if column else np.zeros(0, np.int32), tuple(index))
        for name, index, column in zip(names, indexes, codes, strict=True)
    )


def type_column(text: TextColumn, want: Kind | None = None) -> Column:
    """Find out what a column holds, or read it as the kind that is wanted.

    A column counts as numbers or times when all its values are; or when two fifths of them are, in at least twenty different values and
    with most of the distinct texts: then the rest are remarks ("not captured") and count as missing.
    """
    missing = text.missing_levels
    counts = text.counts
    levels = [level for level, gone in zip(text.levels, missing, strict=True) if not gone]
    weights = counts[~missing]
    if not levels and want is None:
        return _column(text, Kind.EMPTY, np.full(len(text.levels), np.nan), missing)
    if want in (None, Kind.BOOLEAN) and all(level.lower() in _BOOLEANS for level in levels):
        truths = np.array([_BOOLEANS.get(level.lower(), math.nan) for level in text.levels])
        return _column(text, Kind.BOOLEAN, truths, missing)
    if want in (None, Kind.NUMBER, Kind.INTEGER):
        numbers = np.array([math.nan if gone else read_number(level) for level, gone in zip(text.levels, missing, strict=True)])
        if want is not None or _holds(numbers[~missing], weights, remarks=not any(_LEADING_ZERO.match(level) for level in levels)):
            whole = bool(np.all(np.isnan(numbers) | (numbers == np.floor(numbers)))) and bool(
                np.all(np.abs(np.nan_to_num(numbers)) < 2**53)
            )
            return _column(text, Kind.INTEGER if whole else Kind.NUMBER, numbers, missing)
    if want in (None, Kind.TIME):
        reading = read_times(levels, weights.tolist(), compact=want is Kind.TIME)
        moments = _spread(reading, missing)
        if want is Kind.TIME or _holds(moments[~missing], weights):
            return _column(text, Kind.TIME, moments, missing, reading.format)
    values = np.where(missing, np.nan, np.arange(len(text.levels), dtype=np.float64))
    return _column(text, Kind.CATEGORY, values, missing)


def read_number(text: str) -> float:
    """A number as people write it (``1,234.50``, ``$ 12``, ``45 %``), NaN when it is none."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else math.nan
    bare = text.strip().lstrip("$€£¥").strip()
    if bare.endswith("%"):
        inner = read_number(bare[:-1].strip())
        return inner / 100
    if _GROUPED.fullmatch(bare):
        return float(bare.replace(",", ""))
    return float(bare) if bare != text and _NUMBER.fullmatch(bare) else math.nan


def _holds(values: NDArray[np.float64], weights: NDArray[np.int64], *, remarks: bool = True) -> bool:
    """Whether the values that read are the column's substance. Codes with leading zeros (postcodes) are never numbers."""
    read = ~np.isnan(values)
    if not remarks:
        return False
    if read.all():
        return True
    enough = weights[read].sum() >= _MOSTLY * weights.sum()
    return bool(enough and read.sum() >= _DISTINCT and 2 * read.sum() >= len(values))


def _spread(reading: TimeReading, missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    moments = np.full(len(missing), np.nan)
    moments[~missing] = [math.nan if value is None else float(value) for value in reading.values]
    return moments


def _column(text: TextColumn, kind: Kind, by_level: NDArray[np.float64], missing: NDArray[np.bool_], pattern: str | None = None) -> Column:
    unread = np.isnan(by_level) & ~missing
    return Column(text, kind, by_level[text.codes], unread[text.codes], pattern)
