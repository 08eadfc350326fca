"""How alike two streets are: equal to the obvious edit distance, blind to how people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.views.streets import difference, edit_distance, plain

WORDS = st.text("abc", max_size=12)


def slow(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        above, row = row, [i]
        for j, other in enumerate(second, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (one != other)))
    return row[-1]


@given(WORDS, WORDS)
def test_the_distance_is_the_obvious_one(first: str, second: str) -> None:
    assert edit_distance(first, second) == slow(first, second)


@given(st.text(max_size=40), st.text(max_size=40))
def test_it_is_a_distance(first: str, second: str) -> None:
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert (distance == 0) == (first == second)
    assert distance <= max(len(first), len(second))


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ("Renmin Road 5, room 12", "RENMIN ROAD 5 ROOM 12", 0.0),
        ("建国路88号3栋", "建国路88号4栋", 1 / 8),
        ("Renmin Road 5", "Renmin Road 6", 1 / 11),
        ("...", "---", 0.0),
        ("", "Renmin Road 5", None),
        (None, "Renmin Road 5", None),
    ],
)
def test_what_people_write_differently_is_alike(first: str | None, second: str | None, share: float | None) -> None:
    assert difference(first, second) == (None if share is None else pytest.approx(share))


@given(st.text(max_size=600))
def test_only_so_many_letters_count(street: str) -> None:
    assert len(plain(street)) <= 120
