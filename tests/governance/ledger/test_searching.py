"""Pages of bounded work: what they find, how far they looked, and that following the cursor finds everything once."""

from __future__ import annotations

import math
import struct
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.ledger import searching
from governance.ledger.errors import RecordCorrupt
from governance.ledger.feature_tests import FeatureTest, Op, passes_all, read_test
from governance.ledger.log import append
from governance.ledger.store import DecisionReader, Filters

AT = 1_794_000_000_000


@pytest.fixture
def reader(engine):
    return DecisionReader(engine)


def record(engine, *rows):
    with engine.begin() as connection:
        append(connection, rows)
    return rows


def every_page(reader: DecisionReader, filters: Filters, limit: int = 7) -> tuple[list[str], int]:
    seen, cursor, pages = [], None, 0
    while True:
        page = reader.search(filters, cursor, limit)
        seen += [line.record_id for line in page.lines]
        pages += 1
        if (cursor := page.next_cursor) is None:
            return seen, pages
        assert len(page.lines) == limit or page.looked is not None  # a short page with a next one says why


@pytest.mark.parametrize(
    "wanted", [{"reason": "RARE"}, {"type": "fraud", "reason": "RARE"}, {"q": "RARE"}, {"since": AT, "reason": "RARE"}]
)
def test_what_has_no_index_is_found_however_far_back(engine, reader, make_row, monkeypatch, wanted):
    monkeypatch.setattr(searching, "LOOK", 10)
    rare = [make_row(type="fraud", reasons=("RARE",), decided_at=AT + i * 31) for i in range(4)]
    record(engine, *rare, *(make_row(type="fraud", decided_at=AT + i) for i in range(120)))
    expected = [row.sealed.record_id for row in reversed(rare)]
    found, pages = every_page(reader, Filters(**wanted), limit=2)
    assert found == expected
    assert pages >= 12
    assert not reader.bounded_count(Filters(**wanted)).exact


def test_pages_end_where_the_bound_ends_exactly(engine, reader, make_row, monkeypatch):
    monkeypatch.setattr(searching, "LOOK", 10)
    record(engine, *(make_row(decided_at=AT + i) for i in range(10)))
    assert reader.search(Filters(reason="NONE"), None, 5).next_cursor is None
    record(engine, make_row(decided_at=AT - 1, reasons=("NONE",)))
    first = reader.search(Filters(reason="NONE"), None, 5)
    assert (first.lines, first.looked.decisions, first.looked.back_to) == ((), 10, AT)
    assert len(reader.search(Filters(reason="NONE"), first.next_cursor, 5).lines) == 1


def test_q_names_ids_first_and_words_where_there_are_none(engine, reader, make_row):
    one, two, three = record(
        engine,
        make_row(order_id="SO-1", tags=("gift",)),
        make_row(order_id="gift"),
        make_row(order_id="SO-2", request_id="r-9", customer_id="C-1"),
    )
    ids = [row.sealed.record_id for row in (one, two, three)]
    for text, expected in {"SO-1": 0, ids[2]: 2, "gift": 1, "r-9": 2, "C-1": 2}.items():
        assert [line.record_id for line in reader.search(Filters(q=text)).lines] == [ids[expected]], text
    assert not reader.search(Filters(q="SO-")).lines
    assert [one.number for one in reader.count(Filters(q="gift"))] == [1]


def test_counts_say_whether_they_are_all(engine, reader, make_row, monkeypatch):
    monkeypatch.setattr(searching, "MAX_COUNT", 5)
    record(engine, *(make_row(decided_at=AT + i, region="east" if i < 5 else "west") for i in range(11)))
    told = {
        name: reader.bounded_count(Filters(**wanted))
        for name, wanted in {"all": {}, "east": {"region": "east"}, "west": {"region": "west"}}.items()
    }
    assert {name: (one.number, one.exact) for name, one in told.items()} == {"all": (5, False), "east": (5, True), "west": (5, False)}


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("lt:2", [1]),
        ("le:2", [1, 2]),
        ("gt:2", [3]),
        ("ge:2", [2, 3]),
        ("eq:2", [2]),
        ("ne:2", [1, 3]),
        ("missing", [math.nan]),
        ("eq:true", [1]),
    ],
)
def test_operators(text, passing):
    found = [value for value in (1.0, 2.0, 3.0, math.nan) if read_test("x", text).passes(value)]
    assert repr(found) == repr([float(one) for one in passing])


@pytest.mark.parametrize("text", ["", "lt", "lt:", "lt:nan", "eq:inf", "like:3", "missing:1", ":3", "LT:3", "eq:abc"])
def test_unusable_tests_are_refused(text):
    with pytest.raises(ValueError, match=r"comparison|finite|no value"):
        read_test("x", text)


@given(st.lists(st.floats(width=64), min_size=2, max_size=6), st.integers(0, 5), st.floats(allow_nan=False, allow_infinity=False))
def test_values_are_compared_bit_for_bit(values, place, bound):
    names = [f"f{i}" for i in range(len(values))]
    place %= len(values)
    groups = {"snapshot": {"names": names}, "values": _raw(values)}
    assert passes_all([FeatureTest(names[place], Op.LE, bound)], groups) == (values[place] <= bound)
    assert not passes_all([FeatureTest("other", Op.MISSING)], groups)
    lanes = {"snapshot": {"names": names, "lanes": [[], []], "explained": 1}, "values": _raw([0.0] * len(values) + values)}
    assert passes_all([FeatureTest(names[place], Op.MISSING)], lanes) == math.isnan(values[place])


def test_too_few_values_are_damage():
    with pytest.raises(RecordCorrupt):
        passes_all([FeatureTest("b", Op.EQ, 1)], {"snapshot": {"names": ["a", "b"]}, "values": _raw([1.0])})


def _raw(values) -> str:
    return urlsafe_b64encode(struct.pack(f"<{len(values)}d", *values)).rstrip(b"=").decode()
