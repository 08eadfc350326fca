"""Tests on the feature values that a decision was made with: ``feature.<name>=<op>:<value>`` over what its record holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import numbers

MAX_TESTS = 8
MAX_NAME = 128
_EMPTY: Mapping[str, Any] = {}


class Op(StrEnum):
    """What a value is held against."""

    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    EQ = "eq"
    NE = "ne"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class FeatureTest:
    """One test.

    Attributes:
        name: of the feature, as the snapshot names it.
        value: as the snapshot holds it, a float64; 0 for ``missing``.
    """

    name: str
    op: Op
    value: float = 0.0

    def passes(self, value: float) -> bool:
        """Whether a recorded value passes; a missing one passes ``missing`` alone, also not ``ne``."""
        if self.op is Op.MISSING or math.isnan(value):
            return self.op is Op.MISSING and math.isnan(value)
        return _COMPARE[self.op](value, self.value)


_COMPARE: Mapping[Op, Callable[[float, float], bool]] = {
    Op.LT: lambda a, b: a < b,
    Op.LE: lambda a, b: a <= b,
    Op.GT: lambda a, b: a > b,
    Op.GE: lambda a, b: a >= b,
    Op.EQ: lambda a, b: a == b,
    Op.NE: lambda a, b: a != b,
}


def read_test(name: str, text: str) -> FeatureTest:
    """Read ``<op>:<value>``, or ``missing``.

    Raises:
        ValueError: it is none; the message says what is wanted.
    """
    if not 1 <= len(name) <= MAX_NAME or "\x00" in name:
        raise ValueError(f"a feature's name has 1 to {MAX_NAME} characters")
    op, colon, value = text.partition(":")
    if op not in set(Op):
        raise ValueError(f"{op[:40]!r} is no comparison; write <op>:<value> with one of {', '.join(Op)}")
    if op == Op.MISSING:
        if value:
            raise ValueError("missing takes no value")
        return FeatureTest(name, Op.MISSING)
    try:
        number = float(_FLAGS.get(value, value)) if colon else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{op}: takes a finite number, as {op}:2.5, or true or false; {value[:40]!r} is none")
    return FeatureTest(name, Op(op), number)


_FLAGS = {"true": "1", "false": "0"}


def passes_all(tests: Sequence[FeatureTest], groups: Mapping[str, Any]) -> bool:
    """Whether the values in a record's groups pass every test; a decision without such a feature passes none.

    Of split-order those of the lane that its answer explains.

    Raises:
        RecordCorrupt: names and values do not fit together.
    """
    snapshot = groups.get("snapshot") or _EMPTY
    names = snapshot.get("names") or ()
    if any(test.name not in names for test in tests):
        return False
    values = numbers(groups.get("values"))
    start = (snapshot.get("explained") or 0) * len(names) if "lanes" in snapshot else 0
    if len(values) < start + len(names):
        raise RecordCorrupt("a snapshot has fewer values than names")
    return all(test.passes(float(values[start + names.index(test.name)])) for test in tests)
