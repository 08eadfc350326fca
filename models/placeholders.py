"""Placeholders: texts that stand for a missing value among a column's numbers or times, such as "Freight Included in Commodity Cost".

A model remembers those that its training file held. Only they count as missing in a request; any other text is an error, so that a number
with a slip of the pen is never taken for a missing one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from feature_store.columns import Column

MOST = 50
"""Placeholders that a column remembers, commonest first."""

_LONGEST = 200
_NAMED = 4
_DESCRIBED = 20
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")


def pattern_of(text: str) -> str:
    """A text as placeholders are told apart: "See ASN-93 (ID#:1281)" → "See ASN-# (ID#:#)".

    Where there is no letter the digits stay: a date or a number written in another way stands for no other.
    """
    text = " ".join(text.split())
    return _DIGITS.sub("#", text) if _LETTER.search(text) else text


def learn(column: Column) -> tuple[str, ...]:
    """The commonest patterns of texts that the column's kind cannot hold, each in its commonest spelling; at most :data:`MOST`."""
    levels, rows = np.unique(column.text.codes[column.unread], return_counts=True)
    spellings: dict[str, Counter[str]] = {}
    for level, count in zip(levels.tolist(), rows.tolist(), strict=True):
        pattern = pattern_of(column.text.levels[level])
        if len(pattern) <= _LONGEST:
            spellings.setdefault(pattern.casefold(), Counter())[pattern] += count
    ranked = sorted((-counts.total(), min(counts, key=lambda one: (-counts[one], one))) for counts in spellings.values())
    return tuple(pattern for _, pattern in ranked[:MOST])


def holds(placeholders: Sequence[str], text: str) -> bool:
    """Whether a text is one of the placeholders; capitals, blanks and digits may differ."""
    wanted = pattern_of(text).casefold()
    return any(known.casefold() == wanted for known in placeholders)


def named(placeholders: Sequence[str]) -> str:
    """The commonest, for an error message."""
    more = len(placeholders) - _NAMED
    return ", ".join(repr(one) for one in placeholders[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def described(placeholders: Sequence[str]) -> str:
    """A sentence for an endpoint's documentation; empty where there is none."""
    if not placeholders:
        return ""
    shown = placeholders[:_DESCRIBED]
    rest = ", ..." if len(placeholders) > _DESCRIBED else ""
    digits = " (# stands for digits)" if any("#" in one for one in shown) else ""
    return f"As in the training file these count as missing: {', '.join(f'“{one}”' for one in shown)}{rest}{digits}."
