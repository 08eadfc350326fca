"""Allow and block lists: kept with their records, seen by every replica alike, counted by the decision's own time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from feature_store.order import Order
from governance.changes import Scribe, marks
from governance.controls import Listed
from governance.ledger.opened import check, read_groups, read_seeds
from governance.ledger.receipt import Signer
from governance.ledger.tables import records
from governance.lists import (
    Entry,
    EntryUnknown,
    ListRefused,
    Lists,
    NewEntry,
    add_entries,
    entries,
    find_entry,
    read_lists,
    remove_entry,
    written,
)

NOW = 1_800_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scribe(clock: Clock) -> Scribe:
    return Scribe(Signer("ordinance.test/log", b"s" * 32), clock=clock)


def order(**changes: Any) -> Order:
    made = {
        "order_id": "SO-1", "placed_at": "2026-11-11T00:00:00.000Z", "currency": "CNY", "customer": {"customer_id": "C-1"},
        "ship_to": {"region": "east", "address_id": "A-1"}, "bill_to": {"address_id": "A-2"},
        "device": {"device_id": "D-1", "ip": "2001:db8:0::1"}, "payment": {"token": "tok-1"},
        "lines": [
            {"line_id": "1", "sku": "S-1", "qty": 2, "unit_price": {"amount": "100", "currency": "CNY"}, "attributes": {"supplier_id": "V-1"}},
            {"line_id": "2", "sku": "S-1", "qty": 1, "unit_price": {"amount": "50", "currency": "CNY"}},
        ],
    }  # fmt: skip
    return Order.model_validate({**made, **changes})


def block(kind: str, value: str, **more: Any) -> NewEntry:
    return NewEntry("block", kind, value, "because", **more)


def add(engine: Engine, scribe: Scribe, *wanted: NewEntry) -> list[Entry]:
    return [entry for entry, _ in add_entries(engine, scribe, wanted, "ada")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("customer", "C-1"), ("device", "D-1"), ("address", "A-1"), ("address", "A-2"), ("ip", "2001:DB8::1"), ("card", "tok-1"), ("sku", "S-1"), ("supplier", "V-1")],
)  # fmt: skip
def test_everything_that_names_an_order_is_found_once(sqlite_engine: Engine, scribe: Scribe, kind: str, value: str) -> None:
    (entry,) = add(sqlite_engine, scribe, block(kind, f" {value} "))
    held = read_lists(sqlite_engine, Lists(), NOW)
    assert held.naming(order(), "fraud", NOW) == (Listed(entry.entry_id, "block", kind),)
    other = order(
        customer={"customer_id": "C-2"}, ship_to={"region": "east"}, bill_to=None, device=None, payment=None,
        lines=[{"line_id": "1", "sku": "S-2", "qty": 2, "unit_price": {"amount": "100", "currency": "CNY"}}],
    )  # fmt: skip
    assert held.naming(other, "fraud", NOW) == held.naming(None, "fraud", NOW) == held.naming(order(), "split-order", NOW) == ()


def test_an_entry_counts_until_it_expires_or_is_removed_and_for_its_types(engine: Engine, scribe: Scribe, clock: Clock) -> None:
    short, long, narrow = add(
        engine,
        scribe,
        block("customer", "C-1", expires_at=NOW + 1_000),
        block("device", "D-1"),
        NewEntry("allow", "sku", "S-1", "ours", types=("acceptance",)),
    )
    held = read_lists(engine, Lists(), NOW)
    assert [one.entry_id for one in held.naming(order(), "fraud", NOW + 999)] == [short.entry_id, long.entry_id]
    assert [one.entry_id for one in held.naming(order(), "fraud", NOW + 1_000)] == [long.entry_id]
    assert [one.entry_id for one in held.naming(order(), "acceptance", NOW + 1_000)] == [long.entry_id, narrow.entry_id]
    clock.now += 2_000
    remove_entry(engine, scribe, long.entry_id, reason="settled", principal="grace")
    after = read_lists(engine, held, clock.now)
    assert [one.entry_id for one in after.naming(order(), "acceptance", clock.now)] == [narrow.entry_id]
    assert held.naming(order(), "acceptance", NOW), "a replica's lists are replaced, never changed"
    assert len(after.without_expired(clock.now)) == 1
    with pytest.raises(EntryUnknown, match="removed already, by grace"):
        remove_entry(engine, scribe, long.entry_id, reason="", principal="ada")
    with pytest.raises(EntryUnknown):
        remove_entry(engine, scribe, "nope", reason="", principal="ada")
    assert [one.entry_id for one in entries(engine, clock.now)] == [narrow.entry_id]
    assert len(entries(engine, clock.now, everything=True)) == 3
    found = find_entry(engine, long.entry_id)
    assert found is not None
    assert (found.removed_by, found.in_force(clock.now), found.reason) == ("grace", False, "because")


def test_every_change_is_a_record_and_a_person_s_salt_is_their_own(engine: Engine, scribe: Scribe) -> None:
    before = marks(engine)
    (entry, other) = add(engine, scribe, block("customer", "C-1"), block("sku", "S-1"))
    remove_entry(engine, scribe, entry.entry_id, reason="settled", principal="grace")
    assert marks(engine).lists == before.lists + 3
    with engine.connect() as connection:
        rows = connection.execute(select(records).order_by(records.c.record_id)).all()
    for row in rows:
        check(bytes(row.entry), bytes(row.leaf_hash), bytes(row.body), bytes(row.seeds))
        assert b"C-1" not in bytes(row.entry)
    told = [read_groups(bytes(row.body)) for row in rows]
    assert [(one["change"]["what"], one["change"]["value"], one["change"]["reason"]) for one in told] == [
        ("entry_added", "C-1", "because"),
        ("entry_added", "S-1", "because"),
        ("entry_removed", "C-1", "settled"),
    ]
    assert [read_seeds(bytes(row.seeds)).subjects for row in rows] == [("customer:C-1",), (), ("customer:C-1",)]
    assert {row.kind for row in rows} == {"list_changed"}
    assert rows[0].record_id == entry.record_id
    assert other.record_id == rows[1].record_id


def test_all_or_none_with_every_fault(engine: Engine, scribe: Scribe) -> None:
    wrong = [
        block("customer", "C-1"),
        NewEntry("grey", "customer", "C-2", "because"),
        NewEntry("block", "shoe", "", " "),
        block("ip", "300.1.1.1"),
        block("customer", "C-3", expires_at=NOW - 1),
        block("customer", "C-4", types=("split-order",)),
    ]
    with pytest.raises(ListRefused) as caught:
        add_entries(engine, scribe, wrong, "ada")
    assert {(index, name) for index, name, _ in caught.value.errors} == {
        (1, "list"), (2, "kind"), (2, "value"), (2, "reason"), (3, "value"), (4, "expires_at"), (5, "types"),
    }  # fmt: skip
    assert entries(engine, NOW) == []
    with engine.connect() as connection:
        assert connection.execute(select(records)).all() == []


def test_what_is_there_as_asked_is_left_alone_and_anything_else_is_refused(engine: Engine, scribe: Scribe) -> None:
    first = add_entries(engine, scribe, [block("customer", "C-1")], "ada")
    again = add_entries(engine, scribe, [block("customer", "C-1"), block("customer", "C-2")], "carl")
    assert [new for _, new in [*first, *again]] == [True, False, True]
    assert again[0][0].entry_id == first[0][0].entry_id
    with pytest.raises(ListRefused, match="remove that one first"):
        add_entries(engine, scribe, [block("customer", "C-1", expires_at=NOW + 9)], "ada")


def test_the_lists_are_bounded(sqlite_engine: Engine, scribe: Scribe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.lists.MAX_ENTRIES", 2)
    add(sqlite_engine, scribe, block("customer", "C-1"))
    with pytest.raises(ListRefused, match="at most 2"):
        add(sqlite_engine, scribe, block("customer", "C-2"), block("customer", "C-3"))


def test_pages_are_those_of_the_whole(sqlite_engine: Engine, scribe: Scribe, clock: Clock) -> None:
    for number in range(5):
        clock.now += number % 2
        add(sqlite_engine, scribe, block("customer", f"C-{number}"))
    whole = entries(sqlite_engine, clock.now)
    told: list[Entry] = []
    while page := entries(sqlite_engine, clock.now, after=(told[-1].added_at, told[-1].entry_id) if told else None, limit=2):
        told += page
    assert told == whole
    assert [one.value for one in entries(sqlite_engine, clock.now, kind="customer", value="C-3")] == ["C-3"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "read"]), st.sampled_from("abc"), st.none() | st.integers(1, 50)), max_size=12))
def test_a_replica_that_follows_knows_what_one_that_starts_does(tmp_path_factory, steps) -> None:
    from feature_store.database import make_engine
    from feature_store.tables import metadata

    engine = make_engine(f"sqlite:///{tmp_path_factory.mktemp('lists')}/a.db")
    metadata.create_all(engine)
    clock = Clock()
    scribe = Scribe(Signer("ordinance.test/log", b"s" * 32), clock=clock)
    follower = Lists()
    for what, value, lasts in steps:
        clock.now += 10
        if what == "add":
            try:
                add(engine, scribe, block("sku", value, expires_at=lasts and clock.now + lasts))
            except ListRefused:
                continue
        elif what == "remove":
            for one in entries(engine, clock.now, value=value)[:1]:
                remove_entry(engine, scribe, one.entry_id, reason="", principal="ada")
        else:
            follower = read_lists(engine, follower, clock.now)
    follower, starter = read_lists(engine, follower, clock.now), read_lists(engine, Lists(), clock.now)
    engine.dispose()
    for value in "abc":
        line = {"line_id": "1", "sku": value, "qty": 1, "unit_price": {"amount": "1", "currency": "CNY"}}
        asked = order(lines=[line])
        for at in (clock.now, clock.now + 25, clock.now + 60):
            assert {one.entry_id for one in follower.naming(asked, "fraud", at)} == {
                one.entry_id for one in starter.naming(asked, "fraud", at)
            }


def test_addresses_are_compared_in_one_form() -> None:
    assert written("ip", "2001:0db8::0001") == written("ip", " 2001:DB8::1 ") == "2001:db8::1"
    assert written("ip", "not one") == "not one"
    assert written("customer", "2001:0db8::0001") == "2001:0db8::0001"
