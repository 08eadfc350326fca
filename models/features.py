"""What a person has to know about a feature to read its value, as it was when the model was trained."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.columns import Kind
from feature_store.views.definition import Dtype, Feature
from models.encoding import Part, RowEncoder

LANGUAGES = ("en", "zh")

_UNITS: dict[str, tuple[str, str]] = {
    "pieces": ("{} pieces", "{}件"),
    "orders": ("{} orders", "{}单"),
    "lines": ("{} lines", "{}行"),
    "days": ("{} days", "{}天"),
    "h": ("{} h", "{}小时"),
    "min": ("{} min", "{}分钟"),
    "km": ("{} km", "{}公里"),
    "kg": ("{} kg", "{}千克"),
    "×": ("{} ×", "{}倍"),
    "customers": ("{} customers", "{}位客户"),
    "payments": ("{} payments", "{}笔"),
    "cards": ("{} cards", "{}张卡"),
    "CNY": ("CNY {}", "{}元"),
}
_FINER = {"days": ("h", 24.0), "h": ("min", 60.0)}
"""What a value below one is told in: nobody reads 0.02 days."""

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_WEEKDAYS = (
    ("Monday", "周一"),
    ("Tuesday", "周二"),
    ("Wednesday", "周三"),
    ("Thursday", "周四"),
    ("Friday", "周五"),
    ("Saturday", "周六"),
    ("Sunday", "周日"),
)
_PART_ZH = {Part.MONTH: "月份", Part.WEEKDAY: "星期", Part.HOUR: "时刻"}
_ALIKE, _ROWS_COMPARED = 0.95, 5_000
"""Columns whose ranks are correlated as closely as this tell one story."""
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class Shown(StrEnum):
    """How a value is written."""

    NUMBER = "number"
    SHARE = "share"
    FLAG = "flag"
    CATEGORY = "category"
    MONTH = "month"
    WEEKDAY = "weekday"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class FeatureCard:
    """One feature of a model.

    Attributes:
        name: its name in snapshots and records.
        label: by language, a short phrase that can begin a sentence.
        shown: how its values are written.
        unit: behind the number, a word of the feature views; empty for none.
        reason_code: the stable code of the reason that it gives.
        group: features of one group are told as one reason.
        usual: the median, or the commonest code, of the training rows; ``None`` when it was mostly unknown.
        categories: texts by code, "other" last.
        usual_written: ``usual`` as a person reads it, in English and in Chinese; made here, as it is needed in every decision.
        opening: the English label as a sentence begins with it.
    """

    name: str
    label: Mapping[str, str]
    shown: Shown
    unit: str
    reason_code: str
    group: str
    usual: float | None
    categories: tuple[str, ...] = ()
    usual_written: tuple[str, str] = field(init=False, compare=False, repr=False)
    opening: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.reason_code):
            raise ValueError(f"{self.name}: {self.reason_code!r} is no reason code")
        if any(not self.label.get(language) for language in LANGUAGES):
            raise ValueError(f"{self.name}: a label in {' and '.join(LANGUAGES)} is needed")
        object.__setattr__(self, "opening", self.label["en"][:1].upper() + self.label["en"][1:])
        object.__setattr__(self, "usual_written", ("", "") if self.usual is None else self.written(self.usual))

    def write(self, value: float, language: str) -> str:
        """The value as a person reads it; NaN is not known."""
        return self.written(value)[LANGUAGES.index(language)]

    def written(self, value: float) -> tuple[str, str]:
        """The value as a person reads it, in English and in Chinese."""
        if math.isnan(value):
            return "not known", "未知"
        match self.shown:
            case Shown.FLAG:
                return ("yes", "是") if value >= 0.5 else ("no", "否")
            case Shown.CATEGORY:
                return self._category(value)
            case Shown.SHARE:
                text = f"{_plain(100 * value)}\u00a0%"
                return text, text
            case Shown.NUMBER:
                return self._number(value)
            case _:
                return self._calendar(value)

    def raw(self, value: float) -> float | str | None:
        """The value as JSON: a category's text, ``None`` for not known."""
        if math.isnan(value):
            return None
        return self._category(value)[0] if self.shown is Shown.CATEGORY else value

    def _category(self, value: float) -> tuple[str, str]:
        code = int(value)
        if 0 <= code < len(self.categories) - 1:
            return self.categories[code], self.categories[code]
        return "rare or never seen", "罕见或从未出现"

    def _calendar(self, value: float) -> tuple[str, str]:
        if self.shown is Shown.MONTH and value in range(1, 13):
            return _MONTHS[int(value) - 1], f"{int(value)}月"
        if self.shown is Shown.WEEKDAY and value in range(7):
            return _WEEKDAYS[int(value)]
        if self.shown is Shown.CLOCK:
            minutes = round(60 * value)
            text = f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
            return text, text
        return self._number(value)

    def _number(self, value: float) -> tuple[str, str]:
        unit = self.unit
        while unit in _FINER and 0.0 < abs(value) < 1.0:
            unit, finer = _FINER[unit]
            value *= finer
        number = _plain(value)
        if not unit:
            return number, number
        english, chinese = _UNITS.get(unit, (f"{{}} {unit}", f"{{}}{unit}"))
        text = english.format(number)
        return text.removesuffix("s") if number == "1" and len(unit) > 3 else text, chinese.format(number)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name, "label": dict(self.label), "shown": self.shown.value, "unit": self.unit, "reason_code": self.reason_code,
            "group": self.group, "usual": self.usual, "categories": list(self.categories),
        }  # fmt: skip

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> FeatureCard:
        """Read back what :meth:`to_json` wrote."""
        usual = entry["usual"]
        return cls(
            name=str(entry["name"]),
            label={language: str(entry["label"][language]) for language in LANGUAGES},
            shown=Shown(entry["shown"]),
            unit=str(entry["unit"]),
            reason_code=str(entry["reason_code"]),
            group=str(entry["group"]),
            usual=None if usual is None else float(usual),
            categories=tuple(str(text) for text in entry["categories"]),
        )


def cards_of_views(features: Sequence[Feature], rows: NDArray[np.float64]) -> tuple[FeatureCard, ...]:
    """Cards of our own features; ``rows`` float64 (n, features) are the training rows."""
    shown = {Dtype.SHARE: Shown.SHARE, Dtype.FLAG: Shown.FLAG}
    return tuple(
        FeatureCard(
            name=feature.name,
            label=dict(feature.meaning),
            shown=Shown.CLOCK if feature.unit == "o'clock" else shown.get(feature.dtype, Shown.NUMBER),
            unit=feature.unit.value,
            reason_code=feature.reason,
            group=feature.group.value,
            usual=_median(rows[:, index]),
        )
        for index, feature in enumerate(features)
    )


def cards_of_table(encoder: RowEncoder, rows: NDArray[np.float64]) -> tuple[FeatureCard, ...]:
    """Cards of a user's columns; codes are derived from the columns' names. Columns that say the same of the rows are one group."""
    groups = _alike([feature.column for feature in encoder.features], rows)
    kinds = {one.name: one.kind for one in encoder.inputs}
    parts = {Part.MONTH: Shown.MONTH, Part.WEEKDAY: Shown.WEEKDAY, Part.HOUR: Shown.CLOCK}
    cards = []
    for index, feature in enumerate(encoder.features):
        shown = parts.get(feature.part, Shown.NUMBER)
        if kinds[feature.column] is Kind.BOOLEAN:
            shown = Shown.FLAG
        if feature.categories:
            shown = Shown.CATEGORY
        usual = _commonest(rows[:, index]) if shown in {Shown.CATEGORY, Shown.MONTH, Shown.WEEKDAY} else _median(rows[:, index])
        cards.append(
            FeatureCard(
                name=feature.name,
                label=_column_label(feature.column, feature.part, feature.name, encoder.reference),
                shown=shown,
                unit="days" if feature.part is Part.DAYS_BEFORE else "",
                reason_code=code_of_column(feature.column),
                group=groups[feature.column],
                usual=usual,
                categories=feature.categories,
            )
        )
    return tuple(cards)


def _alike(columns: Sequence[str], rows: NDArray[np.float64]) -> dict[str, str]:
    """The group of each column: the first of those whose values rise, or fall, together with its own."""
    ranks = rows[:: -(-len(rows) // _ROWS_COMPARED) if len(rows) else 1].copy()
    for index in range(ranks.shape[1]):
        column = ranks[:, index]
        known = ~np.isnan(column)
        column[known] = np.unique(column[known], return_inverse=True)[1]
        column[~known] = column[known].mean() if known.any() else 0.0
    varied = np.flatnonzero(ranks.std(axis=0) > 0) if len(ranks) else np.empty(0, dtype=np.int64)
    group = {name: name for name in columns}
    if len(varied) < 2:
        return group
    alike = np.abs(np.corrcoef(ranks[:, varied], rowvar=False)) >= _ALIKE
    for one, other in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
        first, second = group[columns[varied[one]]], group[columns[varied[other]]]
        group = {name: first if at == second else at for name, at in group.items()}
    return group


def code_of_column(name: str) -> str:
    """A stable reason code from a column's name: ``Vendor INCO Term`` → ``VENDOR_INCO_TERM``.

    Names with other letters than ASCII's get a short digest, so that two of them never share a code.
    """
    words = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper()
    if name.isascii() and words and words[0].isalpha() and len(words) <= 64:
        return words
    digest = hashlib.sha256(name.encode()).hexdigest()[:8].upper()
    return "_".join(("COLUMN", *([words[:40].strip("_")] if words else []), digest))


def _column_label(column: str, part: Part, name: str, reference: str | None) -> dict[str, str]:
    if part is Part.VALUE:
        return {"en": column, "zh": column}
    zh = f"{column}距{reference}的天数" if part is Part.DAYS_BEFORE else f"{column}的{_PART_ZH[part]}"
    return {"en": name, "zh": zh}


def _plain(value: float) -> str:
    """Thousands grouped, three significant digits after the point at most, no needless zeros, a true minus sign."""
    value += 0.0  # minus zero is nought
    return "\u2212" + _unsigned(-value) if value < 0 else _unsigned(value)


def _unsigned(value: float) -> str:
    if value >= 1e15:
        return f"{value:.3g}"
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 or value == 0 else 4
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if text == "0" and value:
        return f"{value:.2g}"
    return text


def _median(values: NDArray[np.float64]) -> float | None:
    """The middle value that occurs; ``None`` when most are missing."""
    present = np.sort(values[~np.isnan(values)])
    return float(present[(len(present) - 1) // 2]) if 2 * len(present) > len(values) else None


def _commonest(values: NDArray[np.float64]) -> float | None:
    present = values[~np.isnan(values)]
    if 2 * len(present) <= len(values):
        return None
    codes, counts = np.unique(present, return_counts=True)
    return float(codes[counts.argmax()])
