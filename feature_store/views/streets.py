"""How alike two street addresses are, by the letters in which they differ."""

from __future__ import annotations

import re

_SIGNS = re.compile(r"[\W_]+")
_LONGEST = 120
"""Letters that are compared; what people write behind them are remarks for the courier."""


def plain(street: str) -> str:
    """A street address without what people write in different ways: capitals, blanks, punctuation."""
    return _SIGNS.sub("", street.casefold())[:_LONGEST]


def edit_distance(first: str, second: str) -> int:
    """The fewest letters to insert, leave out or replace that make ``second`` of ``first``.

    Bit-parallel (Myers 1999, as Hyyrö 2003 writes it): one step a letter of ``second``, whatever the length of ``first``.
    """
    if not first or not second:
        return max(len(first), len(second))
    places: dict[str, int] = {}
    for at, letter in enumerate(first):
        places[letter] = places.get(letter, 0) | 1 << at
    every, last, distance = (1 << len(first)) - 1, 1 << (len(first) - 1), len(first)
    up, down = every, 0
    for letter in second:
        match = places.get(letter, 0)
        same = (((match & up) + up) ^ up) | match | down
        rises, falls = down | ~(same | up), up & same
        if rises & last:
            distance += 1
        elif falls & last:
            distance -= 1
        rises, falls = rises << 1 | 1, falls << 1
        up, down = (falls | ~(same | rises)) & every, rises & same & every
    return distance


def difference(first: str | None, second: str | None) -> float | None:
    """Share of letters in which two street addresses differ, 0 to 1; ``None`` where one is not told."""
    if not first or not second:
        return None
    if first == second:
        return 0.0
    one, other = plain(first), plain(second)
    longest = max(len(one), len(other))
    return edit_distance(one, other) / longest if longest else 0.0
