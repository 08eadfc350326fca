"""Forgetting: afterwards nothing leads to the person, and everything else is as if the person had never been there. On both databases."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from feature_store import backfill, retention
from feature_store.backfill import rebuild, standing
from feature_store.database import make_engine
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import replay
from feature_store.gaps import Cause, note_gap, read_gaps
from feature_store.online import OnlineStore
from feature_store.passes import END, all_events, alone, event_notes, event_passes, open_pass
from feature_store.reservations import Piece, Reservation, ReservationStore, reserve
from feature_store.retention import ErasureRefused, Forgotten, erase, expire
from feature_store.state import code
from feature_store.tables import entity_states, entity_states_before, entity_states_next, reservations
from feature_store.times import DAY, HOUR, MINUTE, now

AT = 1_794_000_000_000
WHO = "C-9-forget-me"
SUBJECT = EntityKey(Entity.CUSTOMER, WHO)
SHARED = {"address_id": "AD-shared", "ip": "203.0.113.7"}


def order(number: int, customer: str, day: int, **rest: object) -> list[Event]:
    """An order of a customer with what followed: what was shipped says nothing of the customer but the order."""
    order_id, at = f"SO-{customer}-{number}", AT + day * DAY + number * HOUR
    placed = {"order_id": order_id, "customer_id": customer, "amount": 10.0 + number, "skus": ("S-1",), "region": "east", **rest}
    shipped = {"order_id": order_id, "node_id": "N1", "late": number % 2 == 0}
    return [
        Event(f"placed-{customer}-{number}", EventType.ORDER_PLACED, at, at, placed),
        Event(f"shipped-{customer}-{number}", EventType.SHIPPED, at + HOUR, at + 2 * HOUR, shipped),
        Event(
            f"paid-{customer}-{number}", EventType.PAYMENT_AUTHORISED, at, at, {"payment_token": f"tok-{customer}", "order_id": order_id}
        ),
    ]


def history() -> list[Event]:
    told = []
    for number in range(6):
        told += order(number, WHO, number, device_id="D-forget-me", payment_token=f"tok-{WHO}", **SHARED)
        told += order(number, "C-1", number, device_id="D-1", payment_token="tok-C-1", **SHARED)
    noted = {"order_id": "SO-C-1-0", "customer_id": "C-1", "attributes": {"gift": {"from": WHO}}}
    told.append(Event("gift", EventType.RETURNED, AT, AT, noted))
    told.append(Event("stock", EventType.STOCK_LEVEL, AT, AT, {"node_id": "N1", "sku": "S-1", "available": 4.0}))
    return told


def about_others(told: Iterable[Event]) -> list[Event]:
    left = [event for event in told if WHO not in str(event.data) or "attributes" in event.data]
    return [replace(event, data={name: value for name, value in event.data.items() if name != "attributes"}) for event in left]


def states(engine: Engine) -> dict[EntityKey, bytes]:
    with engine.connect() as connection:
        return {EntityKey(Entity(row.entity), row.key): bytes(row.state) for row in connection.execute(select(entity_states))}


def kept(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return {event.event_id for event in all_events(connection)}


def as_replayed(engine: Engine, told: Iterable[Event]) -> bool:
    return states(engine) == {key: state.to_bytes() for key, state in replay(told).items()}


def hold(engine: Engine, order_id: str, hold_ms: int = MINUTE) -> None:
    at = now()
    one = Reservation(f"r-{code(order_id)}", order_id, 1, "oms", at, at + hold_ms, (Piece("N1", "S-1", 2),))
    names = [column.name for column in reservations.columns]
    with engine.begin() as connection:
        with contextlib.closing(connection.connection.cursor()) as cursor:
            reserve(cursor, [one], engine.dialect.name)
        connection.execute(insert(reservations), [dict(zip(names, row, strict=True)) for row in one.rows()])


def test_without_the_person_everything_is_as_if_there_had_been_none(engine: Engine) -> None:
    told = history()
    OnlineStore(engine).ingest(told)
    assert SUBJECT in states(engine)
    done = erase(engine, SUBJECT)
    others = about_others(told)
    assert kept(engine) == {event.event_id for event in others}
    assert as_replayed(engine, others)
    assert done.wiped
    assert (done.events, done.changed) == (len(told) - len(others), 1)
    assert not any(WHO in key.key or "D-forget-me" in key.key for key in states(engine))
    assert erase(engine, SUBJECT) == Forgotten(states=1, wiped=True), "again changes nothing"


def test_no_byte_of_the_person_stays_in_any_file(sqlite_engine: Engine, tmp_path: Path) -> None:
    told = history()
    for at in range(0, len(told), 4):  # states grow and move about in the file
        OnlineStore(sqlite_engine).ingest(told[at : at + 4])
    rebuild(sqlite_engine, chunk=10)
    backfill._begin(sqlite_engine, "half done")
    backfill._step(sqlite_engine, "half done", 20)
    hold(sqlite_engine, f"SO-{WHO}-0")
    hold(sqlite_engine, f"SO-{WHO}-1", hold_ms=-1)
    files = sqlite_engine.url.database
    assert files is not None
    assert traces(Path(files).parent)
    erase(sqlite_engine, SUBJECT)
    assert traces(Path(files).parent) == []
    with sqlite_engine.connect() as connection:
        assert len(connection.execute(select(reservations)).all()) == 1, "what holds no more is gone altogether"


def traces(folder: Path) -> list[str]:
    """The files in which the person, what only the person used, or an order of the person can be found."""
    needles = [b"forget-me", *(code(f"SO-{WHO}-{number}").to_bytes(4, "little") for number in range(6)), code(WHO).to_bytes(4, "little")]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path.name}: {needle!r}" for needle in needles if needle in content]
    return found


def test_what_an_order_holds_goes_on_counting_without_a_name(engine: Engine) -> None:
    hold(engine, f"SO-{WHO}-0")
    hold(engine, "SO-known-elsewhere")
    hold(engine, "SO-of-another")
    OnlineStore(engine).ingest(history())
    erase(engine, SUBJECT, order_ids=["SO-known-elsewhere"])
    with engine.connect() as connection:
        orders = set(connection.execute(select(reservations.c.order_id)).scalars())
    assert "SO-of-another" in orders
    assert not any("forget-me" in name or "elsewhere" in name for name in orders)
    assert ReservationStore(engine).read(["S-1"], "x", now()).of("N1", "S-1", 0) == 6


def test_a_device_or_an_ip_is_taken_out_of_what_it_is_part_of(engine: Engine) -> None:
    told = history()
    OnlineStore(engine).ingest(told)
    done = erase(engine, EntityKey(Entity.IP, SHARED["ip"]))
    assert (done.events, done.changed) == (0, 12)
    left = [replace(event, data={name: value for name, value in event.data.items() if name != "ip"}) for event in told]
    assert as_replayed(engine, left)
    done = erase(engine, EntityKey(Entity.PAYMENT, f"tok-{WHO}"))
    assert (done.events, done.changed) == (6, 6), "an authorisation without its means of payment says nothing"
    with pytest.raises(ErasureRefused, match="not about a person"):
        erase(engine, EntityKey(Entity.SKU, "S-1"))


def test_what_arrives_meanwhile_is_neither_lost_nor_spared(engine: Engine, database_url: str) -> None:
    told = history()
    OnlineStore(engine).ingest(told)
    other = make_engine(database_url)
    more = [event for number in range(20, 50) for event in order(number, "C-2", 30, device_id="D-2", **SHARED)]
    started = threading.Event()

    def take_in() -> None:
        for at in range(0, len(more), 2):
            OnlineStore(other).ingest(more[at : at + 2])
            started.set()

    writer = threading.Thread(target=take_in)
    writer.start()
    started.wait()
    erase(engine, SUBJECT, thorough=False)
    writer.join()
    other.dispose()
    assert as_replayed(engine, about_others([*told, *more]))
    with engine.connect() as connection:
        assert connection.execute(select(event_notes)).all() == []
        assert "open" not in set(connection.execute(select(event_passes.c.state)).scalars())


def test_what_is_told_of_the_person_while_it_is_forgotten_goes_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    told = history()
    OnlineStore(engine).ingest(told)
    late = iter([order(70, WHO, 8, device_id="D-9", **SHARED), order(71, "C-3", 8, **SHARED)])
    look = retention._refolded_keys

    def while_looking(connection: object, keys: set[EntityKey]) -> set[EntityKey]:
        OnlineStore(engine).ingest(next(late, []))
        return look(connection, keys)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "_refolded_keys", while_looking)
    erase(engine, SUBJECT, thorough=False)
    assert as_replayed(engine, about_others([*told, *order(71, "C-3", 8, **SHARED)]))


def test_a_sender_who_never_stops_is_told_of(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(100, 200))
    look = retention._refolded_keys

    def while_looking(connection: object, keys: set[EntityKey]) -> set[EntityKey]:
        OnlineStore(engine).ingest(order(next(numbers), WHO, 8))
        return look(connection, keys)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "_refolded_keys", while_looking)
    with pytest.raises(ErasureRefused, match="go on arriving"):
        erase(engine, SUBJECT, thorough=False)


def test_a_rebuild_under_way_starts_over_and_old_states_forget_too(engine: Engine) -> None:
    told = history()
    OnlineStore(engine).ingest(told)
    rebuild(engine)
    backfill._begin(engine, standing(engine).wanted)
    backfill._step(engine, standing(engine).wanted, 20)
    erase(engine, SUBJECT, thorough=False)
    begun = standing(engine).open
    assert begun is not None
    assert begun.done == 0
    with engine.connect() as connection:
        assert connection.execute(select(entity_states_next)).all() == []
        names = {row.key for row in connection.execute(select(entity_states_before))}
    assert not any("forget-me" in name for name in names)
    rebuild(engine)
    assert as_replayed(engine, about_others(told))


def test_counts_of_loaded_history_stay(engine: Engine) -> None:
    told = history()
    OnlineStore(engine).load_states(replay(told))
    with engine.begin() as connection:
        note_gap(connection, AT, Cause.LOADED)
    before = states(engine)
    OnlineStore(engine).ingest(order(80, WHO, 9, device_id="D-forget-me"))
    erase(engine, SUBJECT, thorough=False)
    after = states(engine)
    assert SUBJECT not in after
    assert after[EntityKey(Entity.DEVICE, "D-1")] == before[EntityKey(Entity.DEVICE, "D-1")]
    assert EntityKey(Entity.SKU, "S-1") in after


def test_each_kind_is_kept_as_long_as_it_may_be(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    told = history()
    OnlineStore(engine).ingest(told)
    monkeypatch.setattr(retention, "_ROUND", 7)
    done = expire(engine, {Entity.CUSTOMER: 7, Entity.IP: 5}, AT + 9 * DAY)
    left = []
    for event in told:
        if event.known_at < AT + 2 * DAY and "customer_id" in event.data:
            continue
        young = event.known_at >= AT + 4 * DAY
        left.append(event if young else replace(event, data={name: value for name, value in event.data.items() if name != "ip"}))
    assert done.events == len(told) - len(left)
    assert kept(engine) == {event.event_id for event in left}
    assert as_replayed(engine, left)
    assert read_gaps(engine).before is not None
    assert expire(engine, {Entity.CUSTOMER: 7, Entity.IP: 5}, AT + 9 * DAY) == Forgotten()
    assert expire(engine, {}) == Forgotten()
    with pytest.raises(ErasureRefused):
        expire(engine, {Entity.SKU: 3})


def test_who_is_forgotten_beside_another_stays_forgotten(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has looked at before the other was done would bring the other's subject back."""
    told = history()
    OnlineStore(engine).ingest(told)
    look, beside = retention._refolded_keys, iter([EntityKey(Entity.CUSTOMER, "C-1")])

    def while_looking(connection: object, keys: set[EntityKey]) -> set[EntityKey]:
        for other in beside:
            erase(engine, other, thorough=False)
        return look(connection, keys)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "_refolded_keys", while_looking)
    erase(engine, SUBJECT, thorough=False)
    left = [event for event in about_others(told) if "C-1" not in str(event.data)]
    assert as_replayed(engine, left)
    assert kept(engine) == {event.event_id for event in left}


def test_what_time_takes_does_not_bring_back_what_was_erased_meanwhile(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    told = history()
    OnlineStore(engine).ingest(told)
    look, beside = retention._refolded_keys, iter([EntityKey(Entity.IP, SHARED["ip"])])

    def while_looking(connection: object, keys: set[EntityKey]) -> set[EntityKey]:
        for other in beside:
            erase(engine, other, thorough=False)
        return look(connection, keys)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "_refolded_keys", while_looking)
    expire(engine, {Entity.ADDRESS: 1}, AT + 30 * DAY, thorough=False)
    gone = {"ip", "address_id"}
    left = [replace(event, data={name: value for name, value in event.data.items() if name not in gone}) for event in told]
    assert as_replayed(engine, left)
    with engine.connect() as connection:
        assert not [event for event in all_events(connection) if gone.intersection(event.data)]


def test_what_a_killed_process_left_open_ends_with_the_next(engine: Engine) -> None:
    OnlineStore(engine).ingest(history())
    with engine.begin() as connection:
        alone(connection)
        open_pass(connection, retention.PURPOSE, place=END)
    OnlineStore(engine).ingest(order(90, "C-4", 9))
    with engine.connect() as connection:
        assert len(connection.execute(select(event_notes)).all()) == 3
    erase(engine, SUBJECT, thorough=False)
    OnlineStore(engine).ingest(order(91, "C-4", 9))
    with engine.connect() as connection:
        assert connection.execute(select(event_notes)).all() == [], "nobody would ever take these"
        assert "open" not in set(connection.execute(select(event_passes.c.state)).scalars())


def test_tidying_keeps_nobody_waiting_and_leaves_no_byte(sqlite_engine: Engine, tmp_path: Path) -> None:
    OnlineStore(sqlite_engine).ingest(history())
    erase(sqlite_engine, SUBJECT, thorough=False)
    files = sqlite_engine.url.database
    assert files is not None
    assert retention.tidy(sqlite_engine)
    assert traces(Path(files).parent) == []


def test_a_reader_who_stands_in_the_way_is_said(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    OnlineStore(sqlite_engine).ingest(history())
    monkeypatch.setattr(retention, "_CHECKPOINT_S", 0.1)
    reader = sqlite3.connect(str(sqlite_engine.url.database))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    assert not erase(sqlite_engine, SUBJECT).wiped
    reader.close()
    assert retention.wipe(sqlite_engine)
