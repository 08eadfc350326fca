"""Turns a row of a user's table into the numbers that a model was trained on: one code for training and serving.

A number, integer or boolean column is one feature. A category is its code, numbered by how common it was; one more code stands for
"rare or never seen". A time becomes the parts that can repeat (month, weekday, hour) or, where the table has a time of decision,
the days between the two. What is missing is NaN: an empty cell, and the placeholders that the training file held among its numbers and times
("Freight Included in Commodity Cost"). Any other text among them is an error.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.columns import MISSING, Column, Kind, read_number
from feature_store.moments import read_one, read_times
from feature_store.remarks import remarks_of
from feature_store.times import DAY, HOUR, Millis, format_time
from models import placeholders

Floats = NDArray[np.float64]

MOST_CATEGORIES = 250
"""Categories with a code of their own; rarer ones share the code for "other"."""
FEWEST_ROWS = 5
"""A category seen in fewer training rows has no code of its own."""

_TRUTHS: dict[object, float] = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0}
_LONGEST = 4_096
_LONGEST_SHOWN = 60


class Part(StrEnum):
    """What a feature takes from its column."""

    VALUE = "value"
    MONTH = "month"
    WEEKDAY = "weekday"
    HOUR = "hour"
    DAYS_BEFORE = "days_before"
    """Days from this time to the table's time of decision; negative when it comes later."""


@dataclass(frozen=True, slots=True)
class Input:
    """One column that the model reads.

    Attributes:
        name: as in the header of the training file.
        kind: what its values are.
        required: no training row lacked it, so no request may.
        categories: the texts with a code of their own, by code.
        format: for times the format of the file; RFC 3339 is understood as well.
        placeholders: texts that the training file had among numbers or times ("See ASN-0 (ID#:0)"), as :mod:`feature_store.remarks` writes
            them; they count as missing.
        remarks: any text counts as missing, as the training file held too many to remember; so it is of older models too.
        parts: the features made from it.
        example: a common value, as JSON.
    """

    name: str
    kind: Kind
    required: bool
    parts: tuple[Part, ...] = (Part.VALUE,)
    categories: tuple[str, ...] = ()
    format: str | None = None
    placeholders: tuple[str, ...] = ()
    remarks: bool = False
    example: str | float | bool | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """One feature that comes out: a column and the part of it."""

    name: str
    column: str
    part: Part
    categories: tuple[str, ...] = ()
    """Texts by code, "other" last; empty for numbers."""


class RowInvalid(ValueError):
    """A row that cannot be encoded; ``errors`` lists every (column, message)."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{column}: {message}" for column, message in self.errors))


@dataclass(frozen=True, slots=True)
class RowEncoder:
    """Columns → features.

    Attributes:
        inputs: the columns read, in the order of their features.
        reference: the column that tells when a row is decided, if there is one.
        ignored: columns of the training file that a request may carry and the model does not read (the target, what leaked).
    """

    inputs: tuple[Input, ...]
    reference: str | None = None
    ignored: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        columns: Sequence[Column],
        *,
        rows: NDArray[np.int64] | NDArray[np.bool_] | None = None,
        reference: str | None = None,
        ignored: Iterable[str] = (),
    ) -> RowEncoder:
        """Learn categories, which cells may be empty, and example values from the training rows.

        Args:
            columns: those the model may read; empty ones are left out.
            rows: the training rows among them; default all.
            reference: the time of decision, one of the columns.
            ignored: the file's other columns.
        """
        at = slice(None) if rows is None else rows
        known = {column.name for column in columns if column.kind is Kind.TIME}
        usable = reference if reference in known else None
        inputs = [_learn(column, at, usable) for column in columns if column.kind is not Kind.EMPTY]
        left_out = [column.name for column in columns if column.kind is Kind.EMPTY]
        return cls(tuple(inputs), usable, (*ignored, *left_out))

    @property
    def features(self) -> tuple[Encoded, ...]:
        """The features in the order of the vector."""
        return tuple(
            Encoded(_feature_name(one.name, part, self.reference), one.name, part, (*one.categories, "other") if one.categories else ())
            for one in self.inputs
            for part in one.parts
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(feature.name for feature in self.features)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Which features are codes of categories."""
        return tuple(index for index, feature in enumerate(self.features) if feature.categories)

    def encode(self, row: Mapping[str, Any]) -> Floats:
        """One row as JSON gives it, float64 (features,).

        Raises:
            RowInvalid: a required column is missing, a value is not of its kind, a column is unknown; all errors at once.
        """
        errors = self._unknown(row)
        read: dict[str, float] = {}
        for one in self.inputs:
            try:
                read[one.name] = _read(one, row.get(one.name))
            except _Unfit as error:
                errors.append((one.name, str(error)))
        if errors:
            raise RowInvalid(errors)
        decided = read[self.reference] if self.reference is not None else math.nan
        return np.array([_part(part, read[one.name], decided) for one in self.inputs for part in one.parts], dtype=np.float64)

    def encode_columns(self, columns: Sequence[Column]) -> Floats:
        """A whole table, float64 (rows, features): the same numbers as :meth:`encode` row by row.

        Raises:
            KeyError: a column is missing.
        """
        by_name = {column.name: column for column in columns}
        decided = by_name[self.reference].values if self.reference is not None else None
        vectors = []
        for one in self.inputs:
            values = _table_values(one, by_name[one.name])
            vectors += [_table_part(part, values, decided) for part in one.parts]
        rows = len(columns[0].values) if columns else 0
        return np.column_stack(vectors) if vectors else np.empty((rows, 0))

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of ``row`` for the endpoint's documentation."""
        properties = {one.name: _property(one) for one in self.inputs}
        properties |= {name: {"description": "Accepted, and not used by the model."} for name in self.ignored}
        required = [one.name for one in self.inputs if one.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def example(self) -> dict[str, Any]:
        """A row of common values that encodes."""
        return {one.name: one.example for one in self.inputs if one.example is not None}

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; :meth:`from_json` reads it back."""
        inputs = [
            {
                "name": one.name, "kind": one.kind.value, "required": one.required, "parts": [part.value for part in one.parts],
                "categories": list(one.categories), "format": one.format, "placeholders": list(one.placeholders), "remarks": one.remarks,
                "example": one.example,
            }
            for one in self.inputs
        ]  # fmt: skip
        return {"inputs": inputs, "reference": self.reference, "ignored": list(self.ignored)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> RowEncoder:
        """Read back what :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        inputs = tuple(
            Input(
                name=str(one["name"]),
                kind=Kind(one["kind"]),
                required=bool(one["required"]),
                parts=tuple(Part(part) for part in one["parts"]),
                categories=tuple(str(text) for text in one["categories"]),
                format=one["format"],
                placeholders=tuple(str(text) for text in one.get("placeholders", ())),
                remarks=bool(one["remarks"]),
                example=one["example"],
            )
            for one in entry["inputs"]
        )
        return cls(inputs, entry["reference"], tuple(str(name) for name in entry["ignored"]))

    def _unknown(self, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        known = {one.name for one in self.inputs} | set(self.ignored)
        errors = []
        for name in row:
            if name not in known:
                close = difflib.get_close_matches(str(name), sorted(known), n=1)
                errors.append((str(name), f"unknown column; did you mean {close[0]!r}?" if close else "unknown column"))
        return errors


class _Unfit(ValueError):
    """A value that its column cannot hold."""


def _learn(column: Column, at: slice | NDArray[Any], reference: str | None) -> Input:
    values = column.values[at]
    present = values[~np.isnan(values)]
    remarks = remarks_of(column)
    one = Input(
        name=column.name,
        kind=column.kind,
        required=len(present) == len(values) and not column.unread.any(),
        format=column.format,
        placeholders=remarks.patterns,
        remarks=remarks.too_many,
    )
    match column.kind:
        case Kind.CATEGORY:
            categories = _categories(column, present)
            return replace(one, categories=categories, example=categories[0] if categories else None)
        case Kind.TIME:
            example = format_time(int(np.sort(present)[len(present) // 2])) if len(present) else None
            return replace(one, parts=_time_parts(column, present, reference), example=example)
        case Kind.BOOLEAN:
            return replace(one, example=bool(np.median(present) >= 0.5) if len(present) else None)
        case _:
            middle = float(np.sort(present)[len(present) // 2]) if len(present) else None
            return replace(one, example=int(middle) if middle is not None and column.kind is Kind.INTEGER else middle)


def _categories(column: Column, present: Floats) -> tuple[str, ...]:
    """The common texts, commonest first; ties by text, so that the order of rows does not matter."""
    counts = np.bincount(present.astype(np.int64), minlength=len(column.text.levels))
    ranked = sorted((-int(count), text) for text, count in zip(column.text.levels, counts, strict=True) if count >= FEWEST_ROWS)
    if not ranked:
        ranked = sorted((-int(count), text) for text, count in zip(column.text.levels, counts, strict=True) if count)
    return tuple(text for _, text in ranked[:MOST_CATEGORIES])


def _expected(one: Input, value: object, what: str) -> str:
    """Why a value does not fit, and what would."""
    shown = repr(value)
    shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"
    if not one.placeholders:
        return f"{shown} is not {what}"
    return f"{shown} is not {what}, nor a text that stood for a missing one in the training file: {placeholders.named(one.placeholders)}"


def _time_parts(column: Column, present: Floats, reference: str | None) -> tuple[Part, ...]:
    if reference is not None and column.name != reference:
        return (Part.DAYS_BEFORE,)
    hours = (Part.HOUR,) if np.any(present % DAY) else ()
    return (Part.MONTH, Part.WEEKDAY, *hours)


def _feature_name(column: str, part: Part, reference: str | None) -> str:
    match part:
        case Part.VALUE:
            return column
        case Part.DAYS_BEFORE:
            return f"{column} (days before {reference})"
        case _:
            return f"{column} ({part.value})"


def _read(one: Input, value: object) -> float:
    """A JSON value as a number: the value itself, a code, a truth, or milliseconds."""
    if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
        if one.required:
            raise _Unfit("required: no row of the training data lacked it")
        return math.nan
    if isinstance(value, str) and len(value) > _LONGEST:
        raise _Unfit(f"longer than {_LONGEST} characters")
    match one.kind:
        case Kind.CATEGORY:
            return _code(one, value)
        case Kind.BOOLEAN:
            return _truth(value)
        case Kind.TIME:
            return _moment(one, value)
        case _:
            return _number(one, value)


def _code(one: Input, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Unfit(f"{value!r} is not a text")
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    try:
        return float(one.categories.index(text))
    except ValueError:
        return float(len(one.categories))


def _truth(value: object) -> float:
    if isinstance(value, bool):
        return float(value)
    truth = _TRUTHS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if truth is None:
        raise _Unfit(f"{value!r} is not true or false")
    return truth


def _number(one: Input, value: object) -> float:
    if isinstance(value, str):
        number = read_number(value.strip())
        if math.isnan(number):
            if one.remarks or placeholders.holds(one.placeholders, value):
                return math.nan
            raise _Unfit(_expected(one, value, "a number"))
        return number
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit(_expected(one, value, "a number"))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _Unfit("the number is too large")
    return number


def _moment(one: Input, value: object) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise _Unfit(_expected(one, value, f"a time such as {one.example}"))
    text = value.strip()
    moment: Millis | None
    if one.format == "epoch":
        (moment,) = read_times([text], compact=True).values
    else:
        moment = read_one(text, one.format or "iso")
    if moment is None:
        moment = read_one(text, "iso")
    if moment is None:
        if one.remarks or placeholders.holds(one.placeholders, text):
            return math.nan
        raise _Unfit(_expected(one, value, f"a time such as {one.example}"))
    return float(moment)


def _part(part: Part, value: float, decided: float) -> float:
    if math.isnan(value) or part is Part.VALUE:
        return value
    days = math.floor(value / DAY)
    match part:
        case Part.WEEKDAY:
            return float((days + 3) % 7)  # 1970-01-01 was a Thursday; Monday is 0
        case Part.HOUR:
            return float(math.floor((value - days * DAY) / HOUR))
        case Part.MONTH:
            return float(np.datetime64(days, "D").astype("datetime64[M]").astype(np.int64) % 12 + 1)
        case _:
            return (decided - value) / DAY


def _table_values(one: Input, column: Column) -> Floats:
    if one.kind is not Kind.CATEGORY:
        return column.values
    numbers = {text: code for code, text in enumerate(one.categories)}
    by_level = np.array([float(numbers.get(level, len(numbers))) for level in column.text.levels])
    missing = np.isnan(column.values)
    levels = np.where(missing, 0, column.values).astype(np.int64)
    return np.where(missing, np.nan, by_level[levels])


def _table_part(part: Part, values: Floats, decided: Floats | None) -> Floats:
    if part is Part.VALUE:
        return values
    distinct, index = np.unique(values, return_inverse=True)
    if part is Part.DAYS_BEFORE:
        assert decided is not None
        return (decided - values) / DAY
    parts = np.array([_part(part, value, math.nan) for value in distinct.tolist()])
    return parts[index] if len(distinct) else values


def _property(one: Input) -> dict[str, Any]:
    kinds: list[str] = {Kind.BOOLEAN: ["boolean"], Kind.CATEGORY: ["string", "number"], Kind.TIME: ["string"]}.get(one.kind, ["number"])
    entry: dict[str, Any] = {"type": kinds if one.required else [*kinds, "null"]}
    if len(entry["type"]) == 1:
        entry["type"] = entry["type"][0]
    if one.example is not None:
        entry["examples"] = [one.example]
    entry["description"] = _description(one)
    return entry


def _description(one: Input) -> str:
    match one.kind:
        case Kind.TIME:
            as_before = f", or as in the training file ({one.format})" if one.format not in {None, "iso"} else ""
            return f"A time: RFC 3339{as_before}.{_described_placeholders(one)}"
        case Kind.CATEGORY:
            shown = ", ".join(one.categories[:20])
            return f"One of {len(one.categories)} known: {shown}{', ...' if len(one.categories) > 20 else ''}. Others count as never seen."
        case Kind.BOOLEAN:
            return "True or false."
        case _:
            return f"A number; texts such as “1,234.50” are read as numbers.{_described_placeholders(one)}"


def _described_placeholders(one: Input) -> str:
    told = "Any other text counts as missing." if one.remarks else placeholders.described(one.placeholders)
    return f" {told}" if told else ""
