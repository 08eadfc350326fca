"""Pieces of stock that a plan has promised: they are missing from the usable stock at once, until they are settled, released or expired.

A reservation is made in the transaction that records its decision: :func:`reserve` checks there, behind locks, that the pieces are still
free. So the last piece is promised once, however many replicas decide about it in the same moment; who comes second decides again.

A stock level counts what lies on the shelf. Reserved pieces lie there until they are settled, that is, have left; they stay missing from then
on until the node tells a stock level of a later time. Expiry needs nobody to run: every count compares with the clock.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, select, update

from feature_store.database import Reads
from feature_store.entities import Entity
from feature_store.state import EntityState, StateCorrupt
from feature_store.tables import entity_states, reserved_stock
from feature_store.tables import reservations as table
from feature_store.times import DAY, Millis, now

FOR_EVER: Final[Millis] = 2**62
"""Settled pieces count until a stock level of a later time is told."""

Place = tuple[str, str]
"""(node id, SKU)."""


class PiecesTaken(Exception):
    """Pieces that were free when the plan was made are not any more; nothing was written.

    Attributes:
        ids: the reservations that do not fit.
    """

    def __init__(self, ids: frozenset[str]) -> None:
        super().__init__(f"{len(ids)} plans reserve pieces that were taken meanwhile")
        self.ids = ids


class ReservationUnknown(LookupError):
    """There is no such reservation, or another principal made it."""


class ReservationOver(Exception):
    """A reservation that ended otherwise; the message says how and when."""


class State(StrEnum):
    """What became of a reservation."""

    HELD = "held"
    EXPIRED = "expired"
    SETTLED = "settled"
    RELEASED = "released"
    SUPERSEDED = "superseded"


_OVER: Final[Mapping[State, str]] = MappingProxyType(
    {State.SETTLED: "its pieces have left", State.RELEASED: "its pieces are free", State.SUPERSEDED: "a later plan took its place"}
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Pieces of one SKU that a plan takes from one node.

    Attributes:
        limit: usable pieces before any reservation, as the stock was told; ``None`` where the caller told it and so answers for it.
        told_at: when that stock level was true.
    """

    node_id: str
    sku: str
    qty: int
    limit: int | None = None
    told_at: Millis = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one plan reserves; it takes the place of everything that its order had reserved before, also when it has no pieces itself."""

    reservation_id: str
    order_id: str
    order_version: int
    principal: str
    reserved_at: Millis
    expires_at: Millis
    pieces: tuple[Piece, ...]

    def rows(self) -> Iterable[tuple[object, ...]]:
        """Its rows, in the order of the table's columns."""
        fixed = (self.order_id, self.order_version, self.principal, self.reserved_at, self.expires_at, None, None, self.expires_at)
        return ((self.reservation_id, piece.node_id, piece.sku, piece.qty, *fixed) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as it is stored; ``ended_at`` is ``None`` while it holds, and after it expired."""

    reservation_id: str
    order_id: str
    order_version: int
    state: State
    reserved_at: Millis
    expires_at: Millis
    ended_at: Millis | None
    pieces: tuple[Piece, ...]


class Reserved:
    """How many pieces of each SKU are reserved at each node."""

    __slots__ = ("_parts",)

    def __init__(self, rows: Iterable[Sequence[Any]] = ()) -> None:
        """Take rows of (node id, SKU, when settled or 0, pieces)."""
        self._parts: dict[Place, list[tuple[Millis, int]]] = {}
        for node_id, sku, settled_at, qty in rows:
            self._parts.setdefault((node_id, sku), []).append((settled_at, int(qty)))

    def __bool__(self) -> bool:
        return bool(self._parts)

    def of(self, node_id: str, sku: str, told_at: Millis | None) -> int:
        """Pieces to be taken off a stock level that was true at ``told_at``; it knows of what was settled until then."""
        parts = self._parts.get((node_id, sku), ())
        return sum(qty for settled_at, qty in parts if not settled_at or told_at is None or settled_at > told_at)


NONE_RESERVED: Final = Reserved()


def reserve(cursor: Any, wanted: Sequence[Reservation], dialect: str) -> None:
    """Free what the orders had reserved before, check that all pieces are still there, and count them as reserved.

    The caller inserts the rows of the reservations and commits.

    Args:
        cursor: of the driver, in an open transaction: on SQLite one that holds the write lock.
        wanted: in the order in which they are served.
        dialect: ``sqlite`` or ``postgresql``.

    Raises:
        PiecesTaken: some do not fit; roll back, and leave them out.
    """
    clock, mark = now(), "?"
    orders = [(one.order_id, one.order_version) for one in wanted]
    if dialect == "postgresql":
        # Locks first, in one order for everybody; the statements after it see what those who held them have committed.
        mark, places = "%s", {(piece.node_id, piece.sku) for one in wanted for piece in one.pieces}
        cursor.execute(_LOCKS, (sorted({_lock(order_id) for order_id, _ in orders} | {_lock(*place) for place in places}),))
        ids = [order_id for order_id, _ in orders]
        cursor.execute(_SUPERSEDE_ALL, (clock, clock, ids, [version for _, version in orders], ids))
        freed = cursor.fetchall()
    else:
        freed = []
        for order_id, version in orders:
            cursor.execute(_SUPERSEDE, (clock, clock, order_id, version))
            freed += cursor.fetchall()
    if freed:
        _add(cursor, mark, [(sku, until, node_id, 0, -qty) for sku, until, node_id, qty in freed])
    skus = sorted({piece.sku for one in wanted for piece in one.pieces if piece.limit is not None})
    if skus:
        cursor.execute(_count(mark, len(skus)), (*skus, clock))
        lost = _overtaken(wanted, Reserved(cursor.fetchall()))
        if lost:
            raise PiecesTaken(lost)
    _add(cursor, mark, [(piece.sku, one.expires_at, piece.node_id, 0, piece.qty) for one in wanted for piece in one.pieces])


def _add(cursor: Any, mark: str, sums: Iterable[tuple[str, Millis, str, Millis, int]]) -> None:
    """Add pieces to the sums of (SKU, until, node id, settled at), or take them off."""
    together: Counter[tuple[str, Millis, str, Millis]] = Counter()
    for *place, qty in sums:
        together[tuple(place)] += qty  # type: ignore[index]
    rows = sorted((*place, qty) for place, qty in together.items() if qty)
    for at in range(0, len(rows), _ROWS):
        part = rows[at : at + _ROWS]
        cursor.execute(_sum(mark, len(part)), tuple(value for row in part for value in row))


@cache
def _sum(mark: str, rows: int) -> str:
    values = ", ".join([f"({', '.join([mark] * 5)})"] * rows)
    return (
        f"INSERT INTO reserved_stock (sku, until, node_id, settled_at, qty) VALUES {values} "  # noqa: S608 - our own names
        "ON CONFLICT (sku, until, node_id, settled_at) DO UPDATE SET qty = reserved_stock.qty + excluded.qty"
    )


def _overtaken(wanted: Sequence[Reservation], reserved: Reserved) -> frozenset[str]:
    """Those that do not fit any more beside what is reserved and those before them."""
    promised: Counter[Place] = Counter()
    lost = set()
    for one in wanted:
        if any(_lacks(piece, reserved, promised) for piece in one.pieces):
            lost.add(one.reservation_id)
        else:
            promised.update({(piece.node_id, piece.sku): piece.qty for piece in one.pieces})
    return frozenset(lost)


def _lacks(piece: Piece, reserved: Reserved, promised: Mapping[Place, int]) -> bool:
    if piece.limit is None:
        return False
    gone = reserved.of(piece.node_id, piece.sku, piece.told_at) + promised[piece.node_id, piece.sku]
    return gone + piece.qty > piece.limit


_ROWS: Final = 500
_LOCKS: Final = "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key"
_SUPERSEDE: Final = (
    "UPDATE reservations SET ending = 'superseded', ended_at = ?, counts_until = ?"
    " WHERE order_id = ? AND order_version <= ? AND ending IS NULL RETURNING sku, expires_at, node_id, qty"
)
_SUPERSEDE_ALL: Final = (  # by a list of orders, which the index finds; a join with one may be planned as a scan for each
    "UPDATE reservations AS r SET ending = 'superseded', ended_at = %s, counts_until = %s"
    " WHERE r.order_id = ANY(%s::text[]) AND r.ending IS NULL"
    " AND r.order_version <= (%s::int[])[array_position(%s::text[], r.order_id::text)]"
    " RETURNING r.sku, r.expires_at, r.node_id, r.qty"
)


@cache
def _count(mark: str, skus: int) -> str:
    """Pieces that count, by node, SKU and when they were settled."""
    return (
        f"SELECT node_id, sku, settled_at, sum(qty) FROM reserved_stock WHERE sku IN ({', '.join([mark] * skus)})"  # noqa: S608 - our own names
        f" AND until > {mark} GROUP BY node_id, sku, settled_at"
    )


@cache
def _count_others(mark: str, skus: int) -> str:
    """The same without those that one order holds itself."""
    own = f"SELECT node_id, sku, 0, -qty FROM reservations WHERE order_id = {mark} AND ending IS NULL AND expires_at > {mark}"  # noqa: S608
    return f"{_count(mark, skus)} UNION ALL {own}"


def _lock(*parts: str) -> int:
    """The advisory lock of an order, or of a SKU at a node."""
    digest = hashlib.blake2b("\x1f".join(("reservations", *parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class ReservationStore:
    """Reads and ends reservations; its methods block."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = Reads(engine)

    def read(self, skus: Iterable[str], order_id: str, at: Millis) -> Reserved:
        """What is reserved of these SKUs by all other orders, in one round trip."""
        names = tuple(dict.fromkeys(skus))
        if not names:
            return NONE_RESERVED
        return Reserved(self._reads.rows(_count_others(self._reads.mark, len(names)), (*names, at, order_id, at)))

    def get(self, reservation_id: str, principal: str) -> Held:
        """One reservation, as it stands.

        Raises:
            ReservationUnknown: there is none of this principal.
        """
        with self._engine.connect() as connection:
            return _found(connection, reservation_id, principal, now())

    def settle(self, reservation_id: str, principal: str) -> Held:
        """The pieces have left the shelf, also when the reservation has expired before; once settled, it stays so.

        Raises:
            ReservationUnknown: there is none of this principal.
            ReservationOver: it was released or superseded.
        """
        return self._end(reservation_id, principal, State.SETTLED)

    def release(self, reservation_id: str, principal: str) -> Held:
        """The pieces are not needed; they are free at once. Once released, it stays so.

        Raises:
            ReservationUnknown: there is none of this principal.
            ReservationOver: it was settled or superseded.
        """
        return self._end(reservation_id, principal, State.RELEASED)

    def _end(self, reservation_id: str, principal: str, state: State) -> Held:
        with self._engine.begin() as connection:
            clock = now()
            found = _found(connection, reservation_id, principal, clock)
            if connection.dialect.name == "postgresql":
                locks = sorted({_lock(found.order_id), *(_lock(piece.node_id, piece.sku) for piece in found.pieces)})
                connection.exec_driver_sql(_LOCKS, (locks,))
                found = _found(connection, reservation_id, principal, clock)
            if found.state is state:
                return found
            if found.state not in {State.HELD, State.EXPIRED}:
                raise ReservationOver(f"The reservation {reservation_id} is {found.state} already: {_OVER[found.state]}.")
            until = FOR_EVER if state is State.SETTLED else clock
            change = update(table).where(table.c.reservation_id == reservation_id)
            connection.execute(change.values(ending=state.value, ended_at=clock, counts_until=until))
            _move(connection, found, clock, settled=state is State.SETTLED)
            if state is State.SETTLED:
                _forget_counted(connection, found.pieces, clock)
            return _found(connection, reservation_id, principal, clock)


def release_order(connection: Connection, order_id: str, up_to_version: int | None = None) -> int:
    """Free all that an order has reserved, in the caller's transaction: nothing of it will be shipped.

    Args:
        connection: in a transaction; on SQLite one that holds the write lock.
        order_id: the order.
        up_to_version: leaves alone what later versions have reserved; ``None`` for all.

    Returns:
        How many reserved places were freed.
    """
    clock, mark = now(), "%s" if connection.dialect.name == "postgresql" else "?"
    version = "" if up_to_version is None else f" AND order_version <= {mark}"
    statement = (
        f"UPDATE reservations SET ending = 'released', ended_at = {mark}, counts_until = {mark}"  # noqa: S608 - our own names
        f" WHERE order_id = {mark} AND ending IS NULL{version} RETURNING sku, expires_at, node_id, qty"
    )
    values = (clock, clock, order_id, *(() if up_to_version is None else (up_to_version,)))
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement, values)
        freed = cursor.fetchall()
        _add(cursor, mark, [(sku, until, node_id, 0, -qty) for sku, until, node_id, qty in freed])
    return len(freed)


def _move(connection: Connection, found: Held, clock: Millis, *, settled: bool) -> None:
    """Take what was held off the sums; where it is settled, count it there from now on."""
    sums = [(piece.sku, found.expires_at, piece.node_id, 0, -piece.qty) for piece in found.pieces]
    if settled:
        sums += [(piece.sku, FOR_EVER, piece.node_id, clock, piece.qty) for piece in found.pieces]
    cursor = connection.connection.cursor()
    with contextlib.closing(cursor):
        _add(cursor, "%s" if connection.dialect.name == "postgresql" else "?", sums)
        for sku in sorted({piece.sku for piece in found.pieces}):  # what counts no more need not be kept
            mark = "%s" if connection.dialect.name == "postgresql" else "?"
            cursor.execute(f"DELETE FROM reserved_stock WHERE sku = {mark} AND until <= {mark}", (sku, clock - DAY))  # noqa: S608


def _found(connection: Connection, reservation_id: str, principal: str, clock: Millis) -> Held:
    rows = connection.execute(select(table).where(table.c.reservation_id == reservation_id).order_by(table.c.node_id, table.c.sku)).all()
    if not rows or rows[0].principal != principal:
        raise ReservationUnknown(f"There is no reservation {reservation_id!r}.")
    first = rows[0]
    pieces = tuple(Piece(row.node_id, row.sku, row.qty) for row in rows)
    return Held(reservation_id, first.order_id, first.order_version, _state(first, clock), first.reserved_at, first.expires_at, first.ended_at, pieces)  # fmt: skip


def _state(row: Row[Any], clock: Millis) -> State:
    if row.ending is not None:
        return State(row.ending)
    return State.HELD if row.expires_at > clock else State.EXPIRED


def _forget_counted(connection: Connection, pieces: Iterable[Piece], clock: Millis) -> None:
    """Settled pieces that the stock level knows of need not be looked at any more; so their number stays small."""
    for piece in pieces:
        row = connection.execute(
            select(entity_states.c.state).where(entity_states.c.entity == Entity.SKU.value, entity_states.c.key == piece.sku)
        ).one_or_none()
        try:
            told = EntityState.from_bytes(bytes(row.state)).facts("stock", piece.node_id, clock) if row else None
        except StateCorrupt:  # who settles can do nothing about that; a later settlement looks again
            told = None
        if told is not None:
            connection.execute(
                update(table)
                .where(table.c.sku == piece.sku, table.c.counts_until == FOR_EVER, table.c.node_id == piece.node_id)
                .where(table.c.ended_at <= told.event_time)
                .values(counts_until=table.c.ended_at)
            )
            sums = delete(reserved_stock).where(reserved_stock.c.sku == piece.sku, reserved_stock.c.until == FOR_EVER)
            connection.execute(sums.where(reserved_stock.c.node_id == piece.node_id, reserved_stock.c.settled_at <= told.event_time))
