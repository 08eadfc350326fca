"""Texts among numbers are told apart by their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store import remarks
from feature_store.columns import Column, read_columns, type_column


def column(*texts: str) -> Column:
    """Numbers enough to be a column of numbers, and these texts."""
    (text,) = read_columns(["freight"], [[f"{number}.5"] for number in range(100)] + [[one] for one in texts])
    return type_column(text)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("See ASN-93 (ID#:1281)", "See ASN-0 (ID#:0)"),
        (" Invoiced   Separately ", "Invoiced Separately"),
        ("見 DN-12", "見 DN-0"),
        ("见订单12", "见订单0"),
        ("not before 31-Feb-06", "not before 0-Feb-0"),
        ("#REF!", "#REF!"),
    ],
)
def test_numbers_among_words_may_differ(text: str, pattern: str) -> None:
    assert remarks.pattern_of(text) == pattern


@pytest.mark.parametrize(
    "text",
    ["31/12/2026", "1.234,50", "12.5O", "1OO", "1l2", "31-Feb-06", "Tues 31 Sept", "8:61 PM", "12 kg", "USD 12.5O", "5月32日", "星期一 99"],
)
def test_a_date_or_a_number_with_a_slip_stands_for_no_other(text: str) -> None:
    assert remarks.pattern_of(text) == text


@given(st.text(max_size=40))
def test_a_pattern_is_its_own_pattern(text: str) -> None:
    pattern = remarks.pattern_of(text)
    assert remarks.pattern_of(pattern) == pattern


def test_the_commonest_come_first_in_their_commonest_spelling() -> None:
    found = remarks.remarks_of(column("see DN-1", "See DN-2", "See DN-3", *["Included"] * 4, "?", "later"))
    assert found == remarks.Remarks(("Included", "See DN-0", "later"))


def test_no_more_are_remembered_than_the_limit() -> None:
    many = [letter * length for letter in "abcdefghij" for length in range(1, 6)]
    assert len(many) == remarks.MOST
    assert len(remarks.remarks_of(column(*many)).patterns) == remarks.MOST
    for one_more in ("k", "x" * 300):
        assert remarks.remarks_of(column(*many, one_more)) == remarks.Remarks((), too_many=True)
    assert remarks.remarks_of(column("x" * 300)).too_many
    assert remarks.remarks_of(column()) == remarks.Remarks(())
