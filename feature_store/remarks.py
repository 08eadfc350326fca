"""Texts among a column's numbers or times, such as "Freight Included in Commodity Cost": told apart by their words.

A model remembers those of its training file (:mod:`models.placeholders`). Where they are too many to remember, any text counts as missing,
and the check of the file says so.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from feature_store.columns import Column

MOST = 50
"""Patterns that a column remembers."""

_LONGEST = 200
_DIGITS = re.compile(r"\d+")
_RUN = re.compile(r"[^\W\d_]{2,}")
_LIKE_DIGITS = frozenset("ooilsbz")
_DATED = re.compile(
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?"
    "|mon(day)?|tue(s|sday)?|wed(nesday)?|thu(r|rs|rsday)?|fri(day)?|sat(urday)?|sun(day)?"
    "|st|nd|rd|th|am|pm|utc|gmt|星期[一二三四五六日天]|周[一二三四五六日]|礼拜[一二三四五六日天]"
    "|kg|km|cm|mm|ml|lbs?|oz|usd|eur|cny|rmb|gbp|hkd"
)
"""What belongs to a date, a time, an amount or a measure is no word."""


@dataclass(frozen=True, slots=True)
class Remarks:
    """What texts a column holds that its kind cannot.

    Attributes:
        patterns: as :func:`pattern_of` makes them, commonest first, each in its commonest spelling; none where there are too many.
        too_many: more than :data:`MOST` patterns, or one too long to remember.
    """

    patterns: tuple[str, ...]
    too_many: bool = False


def pattern_of(text: str) -> str:
    """A text as remarks are told apart, any number in it as 0: "See ASN-93 (ID#:1281)" → "See ASN-0 (ID#:0)".

    Only among words. Elsewhere the digits stay: a date or a number with a slip of the pen ("31-Feb-06", "12.5O") stands for no other.
    """
    text = " ".join(text.split())
    return _DIGITS.sub("0", text) if has_words(text) else text


def has_words(text: str) -> bool:
    """Whether words remain beside what belongs to a date, a time, an amount or a measure, so that numbers may differ."""
    return any(not _DATED.fullmatch(run) and not _LIKE_DIGITS.issuperset(run) for run in _RUN.findall(text.casefold()))


def remarks_of(column: Column) -> Remarks:
    """The texts that the column's kind cannot hold."""
    levels, rows = np.unique(column.text.codes[column.unread], return_counts=True)
    spellings: dict[str, Counter[str]] = {}
    for level, count in zip(levels.tolist(), rows.tolist(), strict=True):
        pattern = pattern_of(column.text.levels[level])
        spellings.setdefault(pattern.casefold(), Counter())[pattern] += count
    if len(spellings) > MOST or any(len(pattern) > _LONGEST for pattern in spellings):
        return Remarks((), too_many=True)
    ranked = sorted((-counts.total(), min(counts, key=lambda one: (-counts[one], one))) for counts in spellings.values())
    return Remarks(tuple(pattern for _, pattern in ranked))
