"""The review queue: what waits for a person and in which order, and how a decision leaves it without one.

A decision enters in the transaction that records it (:mod:`governance.ledger.rows`), and a higher version of its order takes it out in the
same way. Here it is listed, reserved for somebody for a while, expired when its time is over, and closed when its order is cancelled.
"""

from __future__ import annotations

import base64
import logging
import struct
import uuid
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, case, func, select, tuple_, update
from sqlalchemy.exc import InterfaceError, OperationalError

from feature_store.database import Reads, in_transaction, reading
from feature_store.events import Event, EventType
from feature_store.ingest import Also
from feature_store.reservations import release_order
from feature_store.times import MINUTE, Millis
from governance.aftermath import BY_CLOCK, later_version
from governance.ledger.errors import CursorInvalid
from governance.ledger.record import Kind
from governance.ledger.rows import unpack
from governance.ledger.tables import decisions
from governance.ledger.vault import vault_of
from governance.review_tables import reviews as table
from governance.settling import SYSTEM, Act, Desk, Locked, close, close_superseded, lapse, lock, put_in_force, record

MAX_LIMIT: Final = 500
CLAIM: Final[Millis] = 15 * MINUTE
"""How long a reviewer keeps a case to oneself."""

OPEN_STATES: Final = ("open", "pending")
CLOSED_STATES: Final = ("overridden", "expired", "superseded", "cancelled")
RANK, DUE = "rank", "due"
"""What orders the queue: what is at stake, or what is due first."""

_CURSOR = struct.Struct(">Bqq16s")
log = logging.getLogger(__name__)

_RECENT: Final[Millis] = 10 * MINUTE
_EXPIRED_AT_ONCE = 20
"""Decisions of one transaction: it should not keep others from writing for long."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of reviews is narrowed to; ``None`` lets everything through.

    Attributes:
        state: one of the states, ``waiting`` for open and pending ones, ``closed`` for all others.
        due_before: not included.
        claimed_by: whose cases; with :attr:`unclaimed` instead those that nobody has taken.
    """

    queue: str | None = None
    type: str | None = None
    state: str = "waiting"
    due_before: Millis | None = None
    order_id: str | None = None
    claimed_by: str | None = None
    unclaimed: bool = False

    @property
    def closed(self) -> bool:
        """Whether it is a list of what is over: newest first, whatever it is sorted by."""
        return self.state == "closed" or self.state in CLOSED_STATES


@dataclass(frozen=True, slots=True)
class Case:
    """One decision in the queue, with what its row in a list tells.

    Attributes:
        at_stake_micros: the expected loss, else the order's amount, in millionths of ``currency``.
    """

    record_id: str
    queue: str
    at_stake_micros: int
    currency: str | None
    opened_at: Millis
    due_at: Millis
    expires_to: str
    state: str
    closed_at: Millis | None
    closed_by: str | None
    claimed_by: str | None
    claimed_until: Millis | None
    type: str
    outcome: str
    status: str
    order_id: str | None
    order_version: int | None
    customer_id: str | None
    region: str | None
    channel: str | None
    tags: tuple[str, ...]
    reasons: tuple[str, ...]
    probability: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """One page; ``next_cursor`` is ``None`` on the last one."""

    cases: tuple[Case, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many decisions of a type wait in a queue, and of how many the time is over."""

    queue: str
    type: str
    state: str
    count: int
    overdue: int


class ReviewQueue:
    """Reads the queue and takes cases; its methods block."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._reads = Reads(engine)

    def page(self, wanted: Wanted, *, sort: str = RANK, cursor: str | None = None, limit: int = 50, at: Millis) -> Slice:
        """One page in the order of the queue. Pages never overlap; what entered behind the cursor comes with a later page.

        Args:
            wanted: what to narrow it to.
            sort: :data:`RANK` or :data:`DUE`; what is over is listed newest first.
            cursor: ``next_cursor`` of the page before, of a list with the same filters and order.
            limit: 1 to :data:`MAX_LIMIT`; a number outside is brought inside.
            at: now, for claims that are over.

        Raises:
            CursorInvalid: the cursor is none of this list.
        """
        limit = max(1, min(limit, MAX_LIMIT))
        digest = zlib.crc32(repr((astuple(wanted), sort)).encode())
        keys, descending = _keys(wanted, sort)
        statement = (
            select(*_COLUMNS).join_from(table, decisions, decisions.c.record_id == table.c.record_id).where(*_conditions(wanted, at))
        )
        if cursor is not None:
            after = tuple_(*_read(cursor, digest)[-len(keys) :])
            statement = statement.where(tuple_(*keys) < after if descending else tuple_(*keys) > after)
        statement = statement.order_by(*(key.desc() if descending else key for key in keys)).limit(limit + 1)
        with self._reading.connect() as connection:
            cases = _cases(connection, connection.execute(statement).all())
        more = len(cases) > limit
        return Slice(tuple(cases[:limit]), _write(cases[limit - 1], digest, wanted) if more else None)

    def counts(self, at: Millis) -> list[Count]:
        """How many decisions wait, by queue, type and state."""
        by = (table.c.queue, table.c.type, table.c.state)
        overdue = func.sum(case((table.c.due_at <= at, 1), else_=0))
        statement = select(*by, func.count(), overdue).where(table.c.closed_at.is_(None)).group_by(*by).order_by(*by)
        with self._reading.connect() as connection:
            return [Count(queue, kind, state, n, int(late)) for queue, kind, state, n, late in connection.execute(statement)]

    def settled(self, record_ids: Sequence[str]) -> set[str]:
        """Those of some decisions that wait no more, or never did; one look-up by key each."""
        ids = [*record_ids]  # a list is one parameter: the statement stays the same, whoever waits
        values = (ids,) if self._reads.mark == "%s" else (orjson.dumps(ids).decode(),)
        return set(ids) - {record_id for (record_id,) in self._reads.rows(_WAITING[self._reads.mark], values)}

    def claim(self, record_id: str, principal: str, at: Millis, until: Millis | None) -> Case | None:
        """Take a case for a while, or give it back with ``until=None``; ``None`` when it waits no more or somebody else has it.

        A claim keeps others from working on the same case; it does not keep them from settling it.
        """
        free = (table.c.claimed_by.is_(None)) | (table.c.claimed_by == principal) | (table.c.claimed_until <= at)
        values = {"claimed_by": principal if until is not None else None, "claimed_until": until}
        change = update(table).where(table.c.record_id == record_id, table.c.closed_at.is_(None), free).values(values)
        with self._engine.begin() as connection:
            changed = connection.execute(change).rowcount == 1
        return self.find(record_id) if changed else None

    def find(self, record_id: str) -> Case | None:
        """One decision that waits, or did; ``None`` for one that was never held."""
        found = select(*_COLUMNS).join_from(table, decisions, decisions.c.record_id == table.c.record_id)
        with self._reading.connect() as connection:
            cases = _cases(connection, connection.execute(found.where(table.c.record_id == record_id)).all())
        return cases[0] if cases else None


def next_due(engine: Engine) -> Millis | None:
    """When the time of the first waiting decision is over; ``None`` when none waits."""
    with reading(engine).connect() as connection:
        due: Millis | None = connection.execute(select(func.min(table.c.due_at)).where(table.c.closed_at.is_(None))).scalar_one()
    return due


def expire_due(desk: Desk) -> int:
    """Let every decision whose time is over become what it expires to; returns how many did. Blocks.

    Several processes may do so at once: each decision expires once, and not when somebody settled it a moment before. One that cannot
    expire, because what is stored of it is damaged, keeps no other one waiting.
    """
    done, before = 0, None
    while (due := _due(desk)) and due != before:  # what stays in the queue now is tried again next time
        done, before = done + _expire_all(desk, due), due
    return done


def _expire_all(desk: Desk, due: Sequence[str]) -> int:
    """Expire decisions in one transaction; each in its own where that fails for another reason than the database's."""
    try:
        return in_transaction(desk.engine, lambda connection: sum(_expire(connection, desk, record_id) for record_id in sorted(due)))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if len(due) > 1:
            return sum(_expire_all(desk, [record_id]) for record_id in due)
        log.exception("the time of decision %s is over, but it cannot expire", due[0])
        return 0


def expire_one(connection: Connection, desk: Desk, locked: Locked, at: Millis) -> bool:
    """Expire a decision that the transaction has locked; ``False`` when it waits no more."""
    one = locked.decided
    place = _place(connection, one.record_id)
    if place is None:
        return False
    later = later_version(connection, one)
    if later is not None:
        close_superseded(connection, one, later, at)
        return False
    lapse(connection, one.record_id, at)
    act = Act(
        Kind.EXPIRY,
        {"outcome": place.expires_to},
        {"step": "expired", "queue": place.queue, "due_at": place.due_at},
        {"principal": SYSTEM, "role": "system"},
    )
    row = {
        "override_id": record(connection, desk, locked, act, at), "decision_id": one.record_id, "kind": BY_CLOCK, "type": one.type,
        "was": one.outcome, "outcome": place.expires_to, "principal": SYSTEM, "role": "system", "made_at": at,
    }  # fmt: skip
    put_in_force(connection, one, row, at)
    return True


def close_overtaken(desk: Desk) -> int:
    """Take decisions out of the queue that entered it after a later version of their order was decided; returns how many. Blocks.

    A decision usually leaves with the commit that overtakes it; this is for the one that was being made at the same moment.
    """
    later = select(decisions.c.record_id).where(decisions.c.order_id == table.c.order_id, decisions.c.order_version > table.c.order_version)
    recent = (table.c.closed_at.is_(None), table.c.opened_at >= desk.clock() - _RECENT)
    with reading(desk.engine).connect() as connection:
        found = connection.execute(select(table.c.record_id).where(*recent, later.exists())).scalars().all()

    def change(connection: Connection) -> int:
        done = 0
        for record_id in sorted(found):
            locked = lock(connection, record_id)
            overtaken = None if locked is None else later_version(connection, locked.decided)
            if locked is not None and overtaken is not None:
                close_superseded(connection, locked.decided, overtaken, desk.clock())
                done += 1
        return done

    return in_transaction(desk.engine, change) if found else 0


def cancel_orders(connection: Connection, desk: Desk, order_ids: Iterable[str]) -> int:
    """What follows from cancelled orders, in the transaction that notes their cancellation: their reservations are free, nobody waits for a person.

    Returns:
        How many decisions left the queue.
    """
    done, cancelled = 0, sorted(set(order_ids))
    waiting = select(table.c.record_id).where(table.c.order_id.in_(cancelled), table.c.closed_at.is_(None)).order_by(table.c.record_id)
    # Decisions before reservations, as whoever settles one: else the two would wait for each other.
    for record_id in connection.execute(waiting).scalars().all():
        locked, at = lock(connection, record_id), desk.clock()
        if locked is None or _place(connection, record_id) is None:  # somebody settled it while we waited for the lock
            continue
        act = Act(Kind.CANCELLATION, {"outcome": locked.decided.outcome}, {"step": "cancelled"}, {"principal": SYSTEM, "role": "system"})
        closing = record(connection, desk, locked, act, at)
        lapse(connection, record_id, at)
        done += close(connection, record_id, "cancelled", closing, at)
    for order_id in cancelled:
        release_order(connection, order_id)
    return done


def cancels(desk: Desk) -> Also:
    """What follows from events that tell of cancelled orders."""

    def also(connection: Connection, events: Sequence[Event]) -> None:
        cancelled = {str(event.data["order_id"]) for event in events if event.type is EventType.CANCELLED}
        if cancelled:
            cancel_orders(connection, desk, cancelled)

    return also


def _due(desk: Desk) -> Sequence[str]:
    statement = select(table.c.record_id).where(table.c.closed_at.is_(None), table.c.due_at <= desk.clock())
    with reading(desk.engine).connect() as connection:
        return connection.execute(statement.order_by(table.c.due_at, table.c.record_id).limit(_EXPIRED_AT_ONCE)).scalars().all()


def _place(connection: Connection, record_id: str) -> Row[Any] | None:
    """A decision's place in the queue; ``None`` when it waits no more."""
    return connection.execute(select(table).where(table.c.record_id == record_id, table.c.closed_at.is_(None))).one_or_none()


def _expire(connection: Connection, desk: Desk, record_id: str) -> bool:
    locked = lock(connection, record_id)
    return locked is not None and expire_one(connection, desk, locked, desk.clock())


_WAITING: Final = {
    # Look by look, whatever the statistics say: a scan of the whole queue four times a second would be felt.
    "%s": "SELECT r.record_id FROM unnest(%s::varchar[]) AS k(id)"
    " CROSS JOIN LATERAL (SELECT record_id FROM reviews WHERE record_id = k.id AND closed_at IS NULL OFFSET 0) AS r",
    "?": "SELECT record_id FROM reviews WHERE closed_at IS NULL AND record_id IN (SELECT value FROM json_each(?))",
}
_TOLD: Final = (
    "type", "outcome", "status", "order_id", "order_version", "customer_id", "region", "channel", "tags", "reasons", "probability",
)  # fmt: skip
_PLACE: Final = (
    "record_id", "queue", "rank", "currency", "opened_at", "due_at", "expires_to", "state", "closed_at", "closed_by", "claimed_by",
    "claimed_until",
)  # fmt: skip
_COLUMNS: Final = (*(table.c[name] for name in _PLACE), *(decisions.c[name] for name in _TOLD))


def _cases(connection: Connection, rows: Sequence[Any]) -> list[Case]:
    """Cases with the customers' ids in the place of their pseudonyms."""
    vault, cases = vault_of(connection), [_case(row) for row in rows]
    if vault is None:
        return cases
    names = vault.names(one.customer_id for one in cases)
    return [replace(one, customer_id=names.get(one.customer_id or "", one.customer_id)) for one in cases]


def _case(row: Any) -> Case:
    facts = {name: getattr(row, name) for name in (*_PLACE, *_TOLD) if name != "rank"}
    return Case(**{**facts, "tags": unpack(row.tags), "reasons": unpack(row.reasons)}, at_stake_micros=-row.rank)


def _conditions(wanted: Wanted, at: Millis) -> list[ColumnElement[bool]]:
    column = table.c
    conditions: list[ColumnElement[bool]] = [column.closed_at.is_not(None) if wanted.closed else column.closed_at.is_(None)]
    if wanted.state not in {"waiting", "closed"}:
        conditions.append(column.state == wanted.state)
    conditions += [column[name] == value for name in ("queue", "type", "order_id") if (value := getattr(wanted, name)) is not None]
    if wanted.due_before is not None:
        conditions.append(column.due_at < wanted.due_before)
    if wanted.claimed_by is not None:
        conditions.append(and_(column.claimed_by == wanted.claimed_by, column.claimed_until > at))
    if wanted.unclaimed:
        conditions.append(column.claimed_by.is_(None) | (column.claimed_until <= at))
    return conditions


def _keys(wanted: Wanted, sort: str) -> tuple[tuple[Any, ...], bool]:
    if wanted.closed:
        return (table.c.closed_at, table.c.record_id), True
    if sort == DUE:
        return (table.c.due_at, table.c.record_id), False
    return (table.c.rank, table.c.due_at, table.c.record_id), False


def _write(last: Case, digest: int, wanted: Wanted) -> str:
    second = last.closed_at if wanted.closed else last.due_at
    raw = struct.pack(">I", digest) + _CURSOR.pack(1, -last.at_stake_micros, second or 0, uuid.UUID(last.record_id).bytes)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read(cursor: str, digest: int) -> tuple[int, int, str]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        (of,) = struct.unpack(">I", raw[:4])
        version, rank, second, record_id = _CURSOR.unpack(raw[4:])
    except (ValueError, struct.error) as error:
        raise CursorInvalid("the cursor was not handed out by this list; start again without one") from error
    if version != 1 or of != digest:
        raise CursorInvalid("the cursor belongs to a list with other filters; start again without one")
    return rank, second, str(uuid.UUID(bytes=record_id))
