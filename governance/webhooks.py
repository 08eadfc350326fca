"""Webhooks as the database has them: endpoints, how far each has come, what waits for another attempt, what was given up.

Every change of an endpoint is a record of the ledger in the same transaction. What is delivered moves a cursor; what fails gets a row. Both
are written after the attempt: a process that dies in between leaves them as they were, and the messages are sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, case, delete, func, insert, or_, select, update

from feature_store.database import in_transaction, reading
from feature_store.times import DAY, Millis
from governance import outbox
from governance.changes import Scribe
from governance.ledger.record import Kind
from governance.ledger.rows import pack, unpack
from governance.ledger.tables import log_entries
from governance.outbox import Message, Notice
from governance.webhook_tables import deliveries, endpoints

MAX_ENDPOINTS: Final = 50
MAX_WAITING: Final = 1_000
"""Messages of one endpoint that wait for another attempt; with as many, nothing new is taken from the log until they are fewer."""
OVERLAP: Final[Millis] = DAY
"""How long the secret before a new one signs as well."""
MAX_PAGE: Final = 500


class WebhookUnknown(Exception):
    """There is no such endpoint, or no such message of it."""


class WebhookRefused(Exception):
    """A change that cannot be made; the message says why."""


class State(StrEnum):
    """What becomes of messages to an endpoint."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is told.

    Attributes:
        events: what it is told of; empty for everything.
        secrets: sealed: the one that signs, and until ``secret_until`` the one before it.
        next_seq: the first place of the log that it was not told of.
    """

    endpoint_id: str
    url: str
    description: str
    events: frozenset[Notice]
    secrets: tuple[bytes, ...]
    secret_until: Millis | None
    state: State
    disabled_at: Millis | None
    disabled_because: str | None
    next_seq: int
    created_by: str
    created_at: Millis
    delivered: int
    delivered_at: Millis | None
    failed_at: Millis | None
    failure: str | None

    def signing(self, at: Millis) -> tuple[bytes, ...]:
        """The sealed secrets that sign at this time."""
        return self.secrets if self.secret_until is not None and at < self.secret_until else self.secrets[:1]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an endpoint has still to be told."""

    behind: int
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that was not taken yet."""

    message_id: str
    event: str
    seq: int
    state: str
    attempts: int
    first_at: Millis
    last_at: Millis
    next_at: Millis
    status: int | None
    error: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending one message once.

    Attributes:
        taken: whether the receiver has it.
        next_at: when it is tried again; ``None`` when it is given up.
        first_at: when it was first tried.
    """

    message: Message
    taken: bool
    attempts: int
    first_at: Millis
    at: Millis
    next_at: Millis | None = None
    status: int | None = None
    error: str = ""


def create(
    engine: Engine,
    scribe: Scribe,
    *,
    endpoint_id: str,
    url: str,
    events: Collection[Notice],
    description: str,
    sealed: bytes,
    principal: str,
) -> Endpoint:
    """Make an endpoint; it is told of what gets its place in the log from now on.

    Raises:
        WebhookRefused: there are too many.
    """
    kept = pack(sorted(events))

    def change(connection: Connection) -> None:
        if connection.execute(select(func.count()).select_from(endpoints)).scalar_one() >= MAX_ENDPOINTS:
            raise WebhookRefused(f"There are {MAX_ENDPOINTS} webhooks already. Remove one that is not needed.")
        at = scribe.clock()
        row = {
            "endpoint_id": endpoint_id, "url": url, "description": description, "events": kept, "secret": sealed, "state": State.ACTIVE.value,
            "next_seq": outbox.end_of_log(connection), "created_by": principal, "created_at": at, "delivered": 0,
        }  # fmt: skip
        connection.execute(insert(endpoints), row)
        _record(connection, scribe, endpoint_id, "created", principal, at, events=sorted(events), url=url.partition("?")[0])

    in_transaction(engine, change)
    return find(engine, endpoint_id)


def remove(engine: Engine, scribe: Scribe, endpoint_id: str, principal: str) -> Endpoint:
    """Remove an endpoint with its secret and everything that waits for it.

    Raises:
        WebhookUnknown: there is none.
    """

    def change(connection: Connection) -> Endpoint:
        found = _locked(connection, endpoint_id)
        connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id))
        connection.execute(delete(endpoints).where(endpoints.c.endpoint_id == endpoint_id))
        _record(connection, scribe, endpoint_id, "removed", principal, scribe.clock())
        return found

    return in_transaction(engine, change)


def enable(engine: Engine, scribe: Scribe, endpoint_id: str, principal: str) -> Endpoint:
    """Tell a disabled endpoint again, from where it stopped.

    Raises:
        WebhookUnknown: there is none.
    """

    def change(connection: Connection) -> None:
        if _locked(connection, endpoint_id).state is State.ACTIVE:
            return
        values = {"state": State.ACTIVE.value, "disabled_at": None, "disabled_because": None}
        connection.execute(update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(values))
        _record(connection, scribe, endpoint_id, "enabled", principal, scribe.clock())

    in_transaction(engine, change)
    return find(engine, endpoint_id)


def disable(engine: Engine, scribe: Scribe, endpoint_id: str, because: str, principal: str) -> None:
    """Tell an endpoint nothing more until it is enabled; nothing is lost meanwhile."""

    def change(connection: Connection) -> None:
        try:
            found = _locked(connection, endpoint_id)
        except WebhookUnknown:
            return
        if found.state is State.DISABLED:
            return
        at = scribe.clock()
        values = {"state": State.DISABLED.value, "disabled_at": at, "disabled_because": because}
        connection.execute(update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(values))
        _record(connection, scribe, endpoint_id, "disabled", principal, at, because=because)

    in_transaction(engine, change)


def renew_secret(engine: Engine, scribe: Scribe, endpoint_id: str, sealed: bytes, principal: str) -> Endpoint:
    """Sign with another secret, for :data:`OVERLAP` also with the one before.

    Raises:
        WebhookUnknown: there is none.
    """

    def change(connection: Connection) -> None:
        before, at = _locked(connection, endpoint_id).secrets[0], scribe.clock()
        values = {"secret": sealed, "secret_before": before, "secret_until": at + OVERLAP}
        connection.execute(update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(values))
        _record(connection, scribe, endpoint_id, "secret_renewed", principal, at)

    in_transaction(engine, change)
    return find(engine, endpoint_id)


def replay_dead(engine: Engine, scribe: Scribe, endpoint_id: str, principal: str) -> int:
    """Try every message again that was given up; returns how many.

    Raises:
        WebhookUnknown: there is no such endpoint.
    """

    def change(connection: Connection) -> int:
        _locked(connection, endpoint_id)
        at = scribe.clock()
        again = {"state": "waiting", "attempts": 0, "first_at": at, "next_at": at}
        these = (deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "dead")
        count = connection.execute(update(deliveries).where(*these).values(again)).rowcount
        _record(connection, scribe, endpoint_id, "replayed", principal, at, because=f"{count} dead letters")
        return count

    return in_transaction(engine, change)


def replay_one(engine: Engine, scribe: Scribe, endpoint_id: str, message_id: str, principal: str) -> None:
    """Send one message again, whatever became of it.

    Raises:
        WebhookUnknown: there is no such endpoint or message.
    """
    named = outbox.parse_message_id(message_id)

    def change(connection: Connection) -> None:
        _locked(connection, endpoint_id)
        seq = None if named is None else outbox.seq_of(connection, named[0])
        known = set() if seq is None else {one.message_id for one in outbox.at_places(connection, [seq])}
        if seq is None or named is None or message_id not in known:
            raise WebhookUnknown(f"There is no message {message_id!r} that could be sent again.")
        at = scribe.clock()
        connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id, deliveries.c.message_id == message_id))
        row = {
            "endpoint_id": endpoint_id, "message_id": message_id, "event": named[1].value, "seq": seq, "state": "waiting", "attempts": 0,
            "first_at": at, "last_at": at, "next_at": at, "error": "replayed",
        }  # fmt: skip
        connection.execute(insert(deliveries), row)
        _record(connection, scribe, endpoint_id, "replayed", principal, at, because=message_id)

    in_transaction(engine, change)


def replay_from(engine: Engine, scribe: Scribe, endpoint_id: str, since: Millis, principal: str) -> int:
    """Tell everything again that was recorded since then; returns how many places of the log that is.

    Raises:
        WebhookUnknown: there is no such endpoint.
    """

    def change(connection: Connection) -> int:
        before = _locked(connection, endpoint_id).next_seq
        start = min(before, outbox.place_at(connection, since))
        connection.execute(update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(next_seq=start))
        _record(connection, scribe, endpoint_id, "replayed", principal, scribe.clock(), because=f"places {start} to {before - 1}")
        return before - start

    return in_transaction(engine, change)


def find(engine: Engine, endpoint_id: str) -> Endpoint:
    """One endpoint.

    Raises:
        WebhookUnknown: there is none.
    """
    with reading(engine).connect() as connection:
        row = connection.execute(select(endpoints).where(endpoints.c.endpoint_id == endpoint_id)).one_or_none()
    if row is None:
        raise _unknown(endpoint_id)
    return _endpoint(row)


def listed(engine: Engine, state: State | None = None) -> list[Endpoint]:
    """Every endpoint, or those of one state, oldest first."""
    statement = select(endpoints).order_by(endpoints.c.created_at, endpoints.c.endpoint_id)
    with reading(engine).connect() as connection:
        return [
            _endpoint(row) for row in connection.execute(statement if state is None else statement.where(endpoints.c.state == state.value))
        ]


def with_work(engine: Engine, at: Millis) -> list[Endpoint]:
    """The active endpoints that are behind the log, or have something to be tried again now. One cheap statement."""
    end = select(func.coalesce(func.max(log_entries.c.seq) + 1, 0)).scalar_subquery()
    waits = select(deliveries.c.endpoint_id).where(deliveries.c.state == "waiting", deliveries.c.next_at <= at)
    work = or_(endpoints.c.next_seq < end, endpoints.c.endpoint_id.in_(waits))
    with reading(engine).connect() as connection:
        return [_endpoint(row) for row in connection.execute(select(endpoints).where(endpoints.c.state == State.ACTIVE.value, work))]


def backlogs(engine: Engine) -> Mapping[str, Backlog]:
    """What each endpoint has still to be told."""
    waiting, dead = (func.coalesce(func.sum(case((deliveries.c.state == state, 1), else_=0)), 0) for state in ("waiting", "dead"))
    statement = (
        select(endpoints.c.endpoint_id, endpoints.c.next_seq, waiting.label("waiting"), dead.label("dead"))
        .join_from(endpoints, deliveries, deliveries.c.endpoint_id == endpoints.c.endpoint_id, isouter=True)
        .group_by(endpoints.c.endpoint_id, endpoints.c.next_seq)
    )
    with reading(engine).connect() as connection:
        end = outbox.end_of_log(connection)
        rows = connection.execute(statement).all()
    return {row.endpoint_id: Backlog(max(0, end - row.next_seq), int(row.waiting), int(row.dead)) for row in rows}


def dead_letters(engine: Engine, endpoint_id: str, after: str | None, limit: int) -> list[Delivery]:
    """Messages that were given up, in the order of their ids, from the one after ``after`` on.

    Raises:
        WebhookUnknown: there is no such endpoint.
    """
    find(engine, endpoint_id)
    these = [deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "dead"]
    if after is not None:
        these.append(deliveries.c.message_id > after)
    with reading(engine).connect() as connection:
        rows = connection.execute(select(deliveries).where(*these).order_by(deliveries.c.message_id).limit(limit)).all()
    return [_delivery(row) for row in rows]


def due(connection: Connection, endpoint_id: str, at: Millis, limit: int) -> list[Delivery]:
    """What is to be tried again now, the longest due first."""
    these = (deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "waiting", deliveries.c.next_at <= at)
    rows = connection.execute(select(deliveries).where(*these).order_by(deliveries.c.next_at, deliveries.c.message_id).limit(limit))
    return [_delivery(row) for row in rows]


def waiting(connection: Connection, endpoint_id: str) -> int:
    """How many messages wait for another attempt."""
    these = (deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "waiting")
    return int(connection.execute(select(func.count()).select_from(deliveries).where(*these)).scalar_one())


def note(engine: Engine, endpoint_id: str, attempts: Sequence[Attempt], was: int, then: int) -> None:
    """Write down what came of a round: forget what was taken, keep what was not, move the cursor.

    The cursor moves only from where the round found it: a replay that moved it back meanwhile stands. Nothing is written for an endpoint that
    was removed meanwhile.
    """

    def change(connection: Connection) -> None:
        mine = endpoints.c.endpoint_id == endpoint_id
        if connection.execute(select(endpoints.c.endpoint_id).where(mine).with_for_update()).first() is None:
            return
        ids = [one.message.message_id for one in attempts]
        if ids:
            connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id, deliveries.c.message_id.in_(ids)))
        failed = [one for one in attempts if not one.taken]
        if failed:
            connection.execute(insert(deliveries), [_row(endpoint_id, one) for one in failed])
        connection.execute(update(endpoints).where(mine, endpoints.c.next_seq == was).values(next_seq=then))
        taken = [one for one in attempts if one.taken]
        values: dict[str, Any] = {}
        if taken:
            values |= {"delivered": endpoints.c.delivered + len(taken), "delivered_at": taken[-1].at}
        if failed:
            values |= {"failed_at": failed[-1].at, "failure": failed[-1].error}
        if values:
            connection.execute(update(endpoints).where(mine).values(values))

    in_transaction(engine, change)


def _row(endpoint_id: str, one: Attempt) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint_id, "message_id": one.message.message_id, "event": one.message.notice.value, "seq": one.message.seq,
        "state": "dead" if one.next_at is None else "waiting", "attempts": one.attempts, "first_at": one.first_at, "last_at": one.at,
        "next_at": one.at if one.next_at is None else one.next_at, "status": one.status, "error": one.error,
    }  # fmt: skip


def _record(  # noqa: PLR0917 - who did what to which, and when
    connection: Connection, scribe: Scribe, endpoint_id: str, what: str, principal: str, at: Millis, **more: Any
) -> None:
    scribe.record(connection, Kind.WEBHOOK_CHANGED, {"what": what, "webhook_id": endpoint_id, **more}, principal=principal, at=at)


def _locked(connection: Connection, endpoint_id: str) -> Endpoint:
    row = connection.execute(select(endpoints).where(endpoints.c.endpoint_id == endpoint_id).with_for_update()).one_or_none()
    if row is None:
        raise _unknown(endpoint_id)
    return _endpoint(row)


def _unknown(endpoint_id: str) -> WebhookUnknown:
    return WebhookUnknown(f"There is no webhook {endpoint_id!r}.")


def _endpoint(row: Any) -> Endpoint:
    before = () if row.secret_before is None else (bytes(row.secret_before),)
    plain = ("endpoint_id", "url", "description", "secret_until", "disabled_at", "disabled_because", "next_seq", "created_by", "created_at",
             "delivered", "delivered_at", "failed_at", "failure")  # fmt: skip
    return Endpoint(
        **{name: getattr(row, name) for name in plain},
        events=frozenset(Notice(one) for one in unpack(row.events)),
        secrets=(bytes(row.secret), *before),
        state=State(row.state),
    )


def _delivery(row: Any) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__dataclass_fields__})
