"""The order of the queue: whatever waits, pages join to the whole list, sorted, each decision once."""

from __future__ import annotations

import itertools
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from feature_store.times import HOUR, now
from governance.ledger.errors import CursorInvalid
from governance.ledger.tables import decisions, records
from governance.review_tables import reviews
from governance.reviews import DUE, RANK, ReviewQueue, Wanted, next_due

AT = now()

CASES = st.lists(
    st.tuples(
        st.integers(-(10**15), 0),  # rank
        st.integers(-3, 3),  # hours until it is due
        st.sampled_from(["fraud", "acceptance"]),
        st.sampled_from(["open", "open", "pending", "expired", "overridden"]),
    ),
    max_size=25,
)


def fill(engine, cases):
    with engine.begin() as connection:
        for table in (reviews, decisions, records):
            connection.execute(delete(table))
        for number, (rank, due, kind, state) in enumerate(cases):
            record_id = str(uuid.UUID(int=(number * 7919) % 10_007 + 1))
            connection.execute(
                insert(records),
                {
                    "record_id": record_id, "kind": "decision", "tenant": "t", "recorded_at": AT, "entry": b"", "leaf_hash": b"", "body": b"",
                    "seeds": b"", "promised_at": AT, "publish_by": AT, "key_id": "k", "signature": b"",
                },
            )  # fmt: skip
            connection.execute(
                insert(decisions),
                {
                    "record_id": record_id, "principal": "p", "idempotency_key": str(number), "fingerprint": b"", "response": b"", "type": kind,
                    "mode": "live", "outcome": "HOLD", "status": "decided", "tags": "", "reasons": "", "decided_at": AT, "latency_us": 1,
                },
            )  # fmt: skip
            over = state not in {"open", "pending"}
            connection.execute(
                insert(reviews),
                {
                    "record_id": record_id, "type": kind, "queue": kind, "rank": rank, "opened_at": AT, "due_at": AT + due * HOUR,
                    "expires_to": "REJECT", "state": state, "closed_at": AT + abs(rank) % 5 if over else None,
                },
            )  # fmt: skip


def read(queue, wanted, sort, limit):
    found, cursor = [], None
    for _ in range(100):
        page = queue.page(wanted, sort=sort, cursor=cursor, limit=limit, at=AT)
        assert len(page.cases) <= limit
        found += page.cases
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the pages never end")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases=CASES, limit=st.integers(1, 7))
def test_pages_are_the_whole_list_in_order(engine, cases, limit):
    fill(engine, cases)
    queue = ReviewQueue(engine)
    for sort, state in itertools.product((RANK, DUE), ("waiting", "closed", "pending")):
        found = read(queue, Wanted(state=state), sort, limit)
        closed = state == "closed"
        wanted = [one for one in cases if (one[3] not in {"open", "pending"}) == closed and (state != "pending" or one[3] == "pending")]
        assert len({one.record_id for one in found}) == len(found) == len(wanted)
        if closed:
            assert found == sorted(found, key=lambda one: (one.closed_at or 0, one.record_id), reverse=True)
        elif sort == RANK:
            assert found == sorted(found, key=lambda one: (-one.at_stake_micros, one.due_at, one.record_id))
        else:
            assert found == sorted(found, key=lambda one: (one.due_at, one.record_id))
    waiting = [one for one in cases if one[3] in {"open", "pending"}]
    counted = queue.counts(AT)
    assert sum(one.count for one in counted) == len(waiting)
    assert sum(one.overdue for one in counted) == sum(one[1] <= 0 for one in waiting)
    assert next_due(engine) == min((AT + one[1] * HOUR for one in waiting), default=None)


def test_a_cursor_belongs_to_its_list(sqlite_engine):
    fill(sqlite_engine, [(-1, 1, "fraud", "open"), (-2, 1, "fraud", "open"), (-3, 1, "fraud", "open")])
    queue = ReviewQueue(sqlite_engine)
    cursor = queue.page(Wanted(), cursor=None, limit=1, at=AT).next_cursor
    assert len(queue.page(Wanted(), cursor=cursor, limit=9, at=AT).cases) == 2
    for wanted, sort, told in (
        (Wanted(type="fraud"), RANK, cursor),
        (Wanted(), DUE, cursor),
        (Wanted(), RANK, "abc"),
        (Wanted(), RANK, "é"),
    ):
        with pytest.raises(CursorInvalid):
            queue.page(wanted, sort=sort, cursor=told, limit=1, at=AT)


def test_what_enters_while_somebody_reads_is_not_read_twice(sqlite_engine):
    fill(sqlite_engine, [(-10, 1, "fraud", "open"), (-5, 1, "fraud", "open")])
    queue = ReviewQueue(sqlite_engine)
    first = queue.page(Wanted(), cursor=None, limit=1, at=AT)
    fill(sqlite_engine, [(-10, 1, "fraud", "open"), (-5, 1, "fraud", "open"), (-99, 1, "fraud", "open"), (-1, 1, "fraud", "open")])
    rest = queue.page(Wanted(), cursor=first.next_cursor, limit=9, at=AT)
    assert [one.at_stake_micros for one in (*first.cases, *rest.cases)] == [10, 5, 1]
