"""Placeholders: texts that stand for a missing value among a column's numbers or times, such as "Freight Included in Commodity Cost".

A model remembers those that its training file held (:mod:`feature_store.remarks`). Only they count as missing in a request; any other text is
an error, so that a number with a slip of the pen is never taken for a missing one.
"""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.remarks import has_words, pattern_of

_NAMED = 4
_DESCRIBED = 20


def holds(placeholders: Sequence[str], text: str) -> bool:
    """Whether a text is one of the placeholders; capitals and blanks may differ, and among words numbers."""
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
    numbers = " (0 stands for any number)" if any("0" in one and has_words(one) for one in shown) else ""
    return f"As in the training file these count as missing: {', '.join(f'“{one}”' for one in shown)}{rest}{numbers}."
