"""The read side: every filter of the API, pages that never overlap, and records that come back whole."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from governance.ledger.errors import CursorInvalid, RecordCorrupt
from governance.ledger.log import append
from governance.ledger.store import MAX_LIMIT, DecisionReader, Filters
from governance.ledger.tables import decisions, records

AT = 1_794_000_000_000


@pytest.fixture
def reader(engine):
    return DecisionReader(engine)


def record(engine, *rows):
    with engine.begin() as connection:
        append(connection, rows)
    return rows


def test_an_empty_ledger(reader):
    assert reader.search().lines == ()
    assert reader.search().next_cursor is None
    assert reader.get("0193a5a0-0000-7000-8000-000000000001") is None
    assert reader.lookup("p", "k") is None
    assert reader.latest_version("SO-1", "fraud") is None
    assert list(reader.of_order("SO-1")) == list(reader.types()) == []


def test_looks_answers_up_by_principal_and_key(engine, reader, make_row):
    (row,) = record(engine, make_row("k", principal="p"))
    found = reader.lookup("p", "k")
    assert (found.record_id, found.fingerprint, found.response) == (row.sealed.record_id, row.fingerprint, row.response)
    assert reader.lookup("p", "K") is reader.lookup("q", "k") is None


def test_the_latest_version_of_an_order_by_type(engine, reader, make_row):
    record(
        engine,
        *(make_row(order_id="SO-1", order_version=version) for version in (2, 10, 9)),
        make_row(order_id="SO-1", type="acceptance", order_version=11),
    )
    assert reader.latest_version("SO-1", "fraud") == 10
    assert reader.latest_version("SO-1", "acceptance") == 11
    assert reader.latest_version("SO-1", "split-order") is None


WANTED = [
    {"order_id": "SO-7"},
    {"customer_id": "C-7"},
    {"type": "acceptance"},
    {"outcome": "HOLD"},
    {"status": "fallback"},
    {"model_version": 7},
    {"policy_version": 7},
    {"region": "east"},
    {"channel": "app"},
    {"reason": "LATE_NODE"},
    {"tag": "pre|sale"},
    {"min_confidence": 0.75},
    {"since": AT + 1_000_000},
    {"principal": "oms-7"},
    {"tag": "100%", "reason": "LATE_NODE", "type": "acceptance"},
]


def test_each_filter_lets_through_what_it_names(engine, reader, make_row):
    special = {
        "order_id": "SO-7",
        "customer_id": "C-7",
        "type": "acceptance",
        "outcome": "HOLD",
        "status": "fallback",
        "model_version": 7,
        "policy_version": 7,
        "region": "east",
        "channel": "app",
        "reasons": ("OTHER", "LATE_NODE"),
        "tags": ("pre|sale", "100%", "x"),
        "probability": 0.75,
        "decided_at": AT + 1_000_000,
    }
    near = {
        "order_id": "so-7",
        "channel": "APP",
        "reasons": ("LATE_NODES", "late_node"),
        "tags": ("pre", "sale", "PRE|SALE", "100"),
        "probability": 0.7499,
    }
    (hit, *_) = record(engine, make_row(principal="oms-7", **special), make_row(**near), make_row())
    for wanted in WANTED:
        assert [line.record_id for line in reader.search(Filters(**wanted)).lines] == [hit.sealed.record_id], wanted
    elsewhere = {"max_confidence", "until", "overridden", "model_digest", "policy_digest", "model_digests", "q", "features"}
    assert set().union(*WANTED) | elsewhere == set(Filters.__dataclass_fields__)


def test_bounds(engine, reader, make_row):
    record(engine, *(make_row(decided_at=AT + i, probability=i / 10) for i in range(10)), make_row(decided_at=AT))
    assert [line.probability for line in reader.search(Filters(min_confidence=0.2, max_confidence=0.4)).lines] == [0.4, 0.3, 0.2]
    assert [line.decided_at - AT for line in reader.search(Filters(since=AT + 3, until=AT + 6)).lines] == [5, 4, 3]


def test_pages_are_stable_while_new_decisions_arrive(engine, reader, make_row):
    """Also where many decisions share a millisecond."""
    rows = record(engine, *(make_row(decided_at=AT + i // 10) for i in range(45)))
    expected = [row.sealed.record_id for row in sorted(rows, key=lambda row: (row.facets.decided_at, row.sealed.record_id), reverse=True)]
    seen, cursor, pages = [], None, 0
    while True:
        page = reader.search(Filters(type="fraud"), cursor, limit=7)
        seen += [line.record_id for line in page.lines]
        pages += 1
        record(engine, make_row(decided_at=AT + 1000 + pages))
        if (cursor := page.next_cursor) is None:
            break
    assert seen == expected
    assert pages == 7


def test_the_last_page_may_be_full(engine, reader, make_row):
    record(engine, *(make_row() for _ in range(4)))
    first = reader.search(limit=2)
    last = reader.search(cursor=first.next_cursor, limit=2)
    assert (len(last.lines), last.next_cursor) == (2, None)


def test_limits_are_brought_inside(engine, reader, make_row):
    record(engine, *(make_row() for _ in range(MAX_LIMIT + 1)))
    assert len(reader.search(limit=10**9).lines) == MAX_LIMIT
    assert len(reader.search(limit=-1).lines) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=50) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_a_cursor_from_elsewhere_is_one_error(sqlite_engine, cursor):
    with pytest.raises(CursorInvalid):
        DecisionReader(sqlite_engine).search(cursor=cursor)


def test_a_cursor_belongs_to_its_filters(engine, reader, make_row):
    record(engine, *(make_row() for _ in range(3)))
    cursor = reader.search(Filters(type="fraud"), limit=1).next_cursor
    with pytest.raises(CursorInvalid, match="other filters"):
        reader.search(Filters(type="acceptance"), cursor)


def test_the_decisions_of_an_order_oldest_first(engine, reader, make_row):
    rows = record(engine, *(make_row(order_id="SO-1", decided_at=AT - i) for i in range(3)), make_row(order_id="SO-2"))
    assert [one.line.record_id for one in reader.of_order("SO-1")] == [row.sealed.record_id for row in reversed(rows[:3])]
    assert [one.line.record_id for one in reader.of_order("SO-1", limit=1)] == [rows[0].sealed.record_id]


def test_types_that_exist(engine, reader, make_row):
    record(engine, *(make_row(type=name) for name in ("fraud", "scms-late", "acceptance", "fraud")))
    assert reader.types() == ["acceptance", "fraud", "scms-late"]


def test_groups_come_back_and_check(engine, reader, make_row):
    (row,) = record(engine, make_row(order_id="SO-1", customer_id="C-9"))
    stored = reader.get(row.sealed.record_id)
    stored.check()
    assert stored.groups["order"] == {"order_id": "SO-1", "customer_id": "C-9"}
    assert stored.groups["request"] == '{"order":{}}'
    assert row.response.startswith(stored.groups["response"].encode()[:-1])


def test_an_exchanged_column_is_noticed(engine, reader, make_row):
    ours, other = record(engine, make_row(), make_row())
    kept = reader.get(ours.sealed.record_id)
    kept.check()
    for column in ("entry", "leaf_hash", "body", "seeds", "response"):
        table = decisions if column == "response" else records
        with engine.begin() as connection:
            values = {row.record_id: row[1] for row in connection.execute(select(table.c.record_id, table.c[column]))}
            change = update(table).where(table.c.record_id == ours.sealed.record_id)
            connection.execute(change.values({column: values[other.sealed.record_id]}))
        with pytest.raises(RecordCorrupt):
            reader.get(ours.sealed.record_id).check()
        with engine.begin() as connection:
            connection.execute(change.values({column: values[ours.sealed.record_id]}))
    reader.get(ours.sealed.record_id).check()


def test_damaged_bytes_are_one_error(engine, reader, make_row):
    (row,) = record(engine, make_row())
    with engine.begin() as connection:
        connection.execute(update(records).values(body=b"not zstd"))
    stored = reader.get(row.sealed.record_id)
    with pytest.raises(RecordCorrupt):
        _ = stored.groups
    with engine.begin() as connection:
        connection.execute(update(decisions).values(response=b"not zstd"))
    with pytest.raises(RecordCorrupt):
        reader.get(row.sealed.record_id)
    assert replace(stored.line) in reader.search().lines  # a list still shows it
