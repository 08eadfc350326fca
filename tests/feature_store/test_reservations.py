"""Reservations: what counts against the stock, until when, and who may end it. On both databases."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from sqlalchemy import Engine, insert, select

from feature_store import reservations
from feature_store.events import Event, EventType
from feature_store.network import Stock
from feature_store.online import OnlineStore
from feature_store.reservations import (
    Piece,
    PiecesTaken,
    Reservation,
    ReservationOver,
    ReservationStore,
    ReservationUnknown,
    Reserved,
    State,
    reserve,
)
from feature_store.tables import entity_states
from feature_store.tables import reservations as table
from feature_store.times import MINUTE, now

NUMBERS = itertools.count(1)
HALF_AN_HOUR = 30 * MINUTE


def made(order: str, *pieces: Piece, version: int = 1, hold: int = HALF_AN_HOUR) -> Reservation:
    at = now()
    return Reservation(f"r-{next(NUMBERS)}", order, version, "oms", at, at + hold, pieces)


def piece(qty: int, limit: int | None = 5, node: str = "N1", sku: str = "A", told_at: int = 0) -> Piece:
    return Piece(node, sku, qty, limit, told_at)


def commit(engine: Engine, *wanted: Reservation) -> None:
    """As the ledger's writer does it: check, insert, commit; or nothing."""
    connection = engine.raw_connection()
    dialect = engine.dialect.name
    mark = "%s" if dialect == "postgresql" else "?"
    try:
        with contextlib.closing(connection.cursor()) as cursor:
            if dialect == "sqlite":
                cursor.execute("BEGIN IMMEDIATE")
            reserve(cursor, wanted, dialect)
            for row in (row for one in wanted for row in one.rows()):
                cursor.execute(f"INSERT INTO reservations VALUES ({', '.join([mark] * len(row))})", row)
            if dialect == "sqlite":
                cursor.execute("COMMIT")
        connection.commit()
    except PiecesTaken:
        connection.rollback()
        raise
    finally:
        connection.close()


def counted(engine: Engine, sku: str = "A", order: str = "another", node: str = "N1", told_at: int = 0) -> int:
    return ReservationStore(engine).read([sku], order, now()).of(node, sku, told_at)


@pytest.fixture
def store(engine: Engine) -> ReservationStore:
    return ReservationStore(engine)


def test_reserved_pieces_count_for_others_and_not_for_their_own_order(engine: Engine) -> None:
    commit(engine, made("SO-1", piece(2), piece(1, sku="B")))
    commit(engine, made("SO-2", piece(1)))
    assert counted(engine) == 3
    assert counted(engine, order="SO-1") == 1
    assert counted(engine, sku="B") == 1
    assert counted(engine, node="N2") == 0


def test_the_last_piece_is_reserved_once(engine: Engine) -> None:
    commit(engine, made("SO-1", piece(3)))
    commit(engine, made("SO-2", piece(2)))
    late = made("SO-3", piece(1))
    with pytest.raises(PiecesTaken) as taken:
        commit(engine, late)
    assert taken.value.ids == {late.reservation_id}
    assert counted(engine) == 5


def test_in_one_batch_those_in_front_are_served_and_the_others_named(engine: Engine) -> None:
    wanted = [made("SO-1", piece(3)), made("SO-2", piece(3)), made("SO-3", piece(2)), made("SO-4", piece(1, limit=None))]
    with pytest.raises(PiecesTaken) as taken:
        commit(engine, *wanted)
    assert taken.value.ids == {wanted[1].reservation_id}
    assert counted(engine) == 0, "nothing was written"
    commit(engine, wanted[0], *wanted[2:])
    assert counted(engine) == 6


def test_a_plan_on_stock_that_the_caller_told_is_not_checked_but_counts(engine: Engine) -> None:
    commit(engine, made("SO-1", piece(9, limit=None)))
    with pytest.raises(PiecesTaken):
        commit(engine, made("SO-2", piece(1)))


def test_expiry_needs_nobody(engine: Engine, store: ReservationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    short = made("SO-1", piece(5), hold=MINUTE)
    commit(engine, short)
    assert counted(engine) == 5
    later = now() + 2 * MINUTE
    assert store.read(["A"], "x", later).of("N1", "A", 0) == 0
    monkeypatch.setattr(reservations, "now", lambda: later)
    assert store.get(short.reservation_id, "oms").state is State.EXPIRED
    commit(engine, made("SO-2", piece(5)))


def test_a_later_plan_of_the_order_takes_the_place_of_the_earlier(engine: Engine, store: ReservationStore) -> None:
    first = made("SO-1", piece(4))
    commit(engine, first)
    commit(engine, made("SO-1", piece(5), version=2))
    assert counted(engine) == 5
    assert store.get(first.reservation_id, "oms").state is State.SUPERSEDED
    with pytest.raises(ReservationOver, match="superseded"):
        store.settle(first.reservation_id, "oms")
    commit(engine, made("SO-1", version=3))
    assert counted(engine) == 0


def test_a_lower_version_frees_nothing_of_a_higher_one(engine: Engine) -> None:
    commit(engine, made("SO-1", piece(2), version=3))
    commit(engine, made("SO-1", version=2))
    assert counted(engine) == 2


def test_released_pieces_are_free_at_once_and_for_good(engine: Engine, store: ReservationStore) -> None:
    one = made("SO-1", piece(5))
    commit(engine, one)
    first = store.release(one.reservation_id, "oms")
    assert (first.state, first.pieces) == (State.RELEASED, (Piece("N1", "A", 5),))
    assert store.release(one.reservation_id, "oms") == first
    assert counted(engine) == 0
    with pytest.raises(ReservationOver, match="its pieces are free"):
        store.settle(one.reservation_id, "oms")
    commit(engine, made("SO-2", piece(5)))


def test_settled_pieces_stay_missing_until_the_stock_is_told_anew(engine: Engine, store: ReservationStore) -> None:
    one = made("SO-1", piece(2), hold=1)
    commit(engine, one)
    first = store.settle(one.reservation_id, "oms")
    assert first.state is State.SETTLED
    assert store.settle(one.reservation_id, "oms") == first
    assert first.ended_at is not None
    assert counted(engine, told_at=first.ended_at - 1) == 2, "the shelf was counted before the pieces left"
    assert counted(engine, told_at=first.ended_at) == 0
    assert counted(engine, order="SO-1") == 2, "also for a later plan of the same order"
    with pytest.raises(ReservationOver, match="its pieces have left"):
        store.release(one.reservation_id, "oms")


def test_settled_pieces_that_the_stock_level_knows_of_are_not_looked_at_again(engine: Engine, store: ReservationStore) -> None:
    old, new = made("SO-1", piece(1)), made("SO-2", piece(1))
    commit(engine, old, new)
    ended = store.settle(old.reservation_id, "oms").ended_at
    told = Event("stock", EventType.STOCK_LEVEL, ended, ended, {"node_id": "N1", "sku": "A", "available": 4.0})
    OnlineStore(engine).ingest([told])
    store.settle(new.reservation_id, "oms")
    with engine.connect() as connection:
        until = {row.order_id: row.counts_until for row in connection.execute(select(table.c.order_id, table.c.counts_until))}
    assert until["SO-1"] == ended
    assert until["SO-2"] == reservations.FOR_EVER


def test_only_who_asked_may_end_it(engine: Engine, store: ReservationStore) -> None:
    one = made("SO-1", piece(1))
    commit(engine, one)
    for end in (store.settle, store.release, store.get):
        with pytest.raises(ReservationUnknown):
            end(one.reservation_id, "another")
        with pytest.raises(ReservationUnknown):
            end("no-such", "oms")
    assert store.get(one.reservation_id, "oms").state is State.HELD


def test_stock_less_what_is_reserved() -> None:
    reserved = Reserved([("N1", "A", 0, 3), ("N1", "A", 100, 2), ("N2", "A", 100, 7)])
    assert [reserved.of("N1", "A", told_at) for told_at in (99, 100, None)] == [5, 3, 5]
    assert reserved.of("N1", "B", 0) == 0
    stock = Stock("N1", "A", 10, 2, 99, reserved=5)
    assert (stock.free, stock.usable) == (8, 3)
    assert Stock("N1", "A", 3, 2, reserved=5).usable == 0


def test_pieces_of_a_sku_whose_state_is_damaged_can_be_settled(engine: Engine) -> None:
    one = made("SO-1", piece(2))
    commit(engine, one)
    with engine.begin() as connection:
        connection.execute(insert(entity_states), {"entity": "sku", "key": "A", "state": b"damaged", "updated_at": 0})
    store = ReservationStore(engine)
    assert store.settle(one.reservation_id, "oms").state is State.SETTLED
    assert store.read(["A"], "SO-2", now()).of("N1", "A", 0) == 2
