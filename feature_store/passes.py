"""Passes over all events while new ones arrive: each event is looked at exactly once, by the pass or by its notes.

A pass goes through the events by (known_at, event_id) and keeps its place in the database. An event that arrives behind that place would be
missed, so whoever takes it in leaves a note of it, in the same transaction (:func:`note_arrivals`). Taking in holds a lock that many may
share; whoever opens a pass or moves its place holds it alone, so that no event slips by in between. SQLite's one writer needs no lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import BigInteger, Column, Connection, Integer, Row, String, Table, and_, collate, delete, func, insert, or_, select, text

from feature_store.events import Event, EventType
from feature_store.tables import events, metadata
from feature_store.times import Millis, now

event_passes = Table(
    "event_passes",
    metadata,
    Column("pass_id", Integer, primary_key=True, autoincrement=True),
    Column("purpose", String(16), nullable=False, comment="rebuild, erasure"),
    Column("version", String(32), nullable=False, comment="of the definitions that a rebuild follows"),
    Column("state", String(16), nullable=False, comment="open, live, before, over"),
    Column("known_at", BigInteger, nullable=False, comment="place: the events up to here were looked at"),
    Column("event_id", String(255), nullable=False),
    Column("done", BigInteger, nullable=False, comment="events looked at"),
    Column("total", BigInteger, nullable=False, comment="events there were when it began"),
    Column("started_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

event_notes = Table(
    "event_notes",
    metadata,
    Column("pass_id", Integer, primary_key=True),
    Column("event_id", String(255), primary_key=True, comment="of an event that arrived behind the place of the pass"),
)

OPEN: Final = "open"
BEGINNING: Final[tuple[Millis, str]] = (-(2**62), "")
END: Final[tuple[Millis, str]] = (2**62, "")
"""A pass with its place here gets a note of every event that arrives."""

_LOCK: Final = 0x6576656E7473
_CHUNK: Final = 5_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pass is."""

    pass_id: int
    version: str
    known_at: Millis
    event_id: str
    done: int
    total: int


def note_arrivals(connection: Connection, arrived: Sequence[Event]) -> None:
    """Tell open passes of events that they have gone by already; to be called in the transaction that takes the events in.

    It has to come before the first look at any state: what a pass changes is locked from here on.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _LOCK})
    for row in connection.exec_driver_sql("SELECT pass_id, known_at, event_id FROM event_passes WHERE state = 'open'").all():
        behind = [event.event_id for event in arrived if (event.known_at, event.event_id) <= (row.known_at, row.event_id)]
        if behind:
            connection.execute(insert(event_notes), [{"pass_id": row.pass_id, "event_id": event_id} for event_id in behind])


def alone(connection: Connection) -> None:
    """Keep everyone from taking events in until this transaction ends; to be its first statement."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def open_pass(connection: Connection, purpose: str, version: str = "", place: tuple[Millis, str] = BEGINNING) -> Place:
    """Begin a pass; the transaction holds :func:`alone`."""
    total = connection.execute(select(func.count()).select_from(events)).scalar_one()
    clock = now()
    values = {"purpose": purpose, "version": version, "state": OPEN, "known_at": place[0], "event_id": place[1], "done": 0, "total": total}
    made = connection.execute(insert(event_passes).values(**values, started_at=clock, updated_at=clock).returning(event_passes.c.pass_id))
    return Place(made.scalar_one(), version, place[0], place[1], 0, total)


def find_open(connection: Connection, purpose: str) -> Place | None:
    """The open pass of a purpose."""
    row = connection.execute(select(event_passes).where(event_passes.c.purpose == purpose, event_passes.c.state == OPEN)).one_or_none()
    return None if row is None else Place(row.pass_id, row.version, row.known_at, row.event_id, row.done, row.total)


def close_pass(connection: Connection, pass_id: int) -> None:
    """End a pass for good, and forget its notes; the transaction holds :func:`alone`."""
    connection.execute(delete(event_notes).where(event_notes.c.pass_id == pass_id))
    # The id of an event may name somebody, so that of its last place goes too.
    connection.execute(event_passes.update().where(event_passes.c.pass_id == pass_id).values(state="over", event_id="", updated_at=now()))


def is_open(connection: Connection, pass_id: int) -> bool:
    """Whether a pass goes on: another one of its purpose may have ended it (:func:`end_passes`)."""
    state = connection.execute(select(event_passes.c.state).where(event_passes.c.pass_id == pass_id)).scalar_one_or_none()
    return state == OPEN


def end_passes(connection: Connection, purpose: str) -> None:
    """End every open pass of a purpose, also those that were left behind by processes that are no more; holds :func:`alone`."""
    begun = select(event_passes.c.pass_id).where(event_passes.c.purpose == purpose, event_passes.c.state == OPEN)
    for pass_id in list(connection.execute(begun).scalars()):
        close_pass(connection, pass_id)


def take_notes(connection: Connection, pass_id: int, limit: int) -> list[Event]:
    """Some of the events that a pass has notes of; their notes are gone with this transaction."""
    noted = select(event_notes.c.event_id).where(event_notes.c.pass_id == pass_id).order_by(event_notes.c.event_id).limit(limit)
    ids = list(connection.execute(noted).scalars())
    found: list[Event] = []
    for at in range(0, len(ids), _CHUNK):
        part = ids[at : at + _CHUNK]
        found += map(event_of, connection.execute(select(events).where(events.c.event_id.in_(part))))
        connection.execute(delete(event_notes).where(event_notes.c.pass_id == pass_id, event_notes.c.event_id.in_(part)))
    return found


def after(connection: Connection, known_at: Millis, event_id: str, limit: int) -> list[Event]:
    """The next events behind a place, in order."""
    column = events.c
    # In the order of the code points, as note_arrivals compares: a database's language may order ids otherwise.
    name = column.event_id if connection.dialect.name == "sqlite" else collate(column.event_id, "C")
    query = (
        select(events)
        .where(column.known_at >= known_at, or_(column.known_at > known_at, and_(column.known_at == known_at, name > event_id)))
        .order_by(column.known_at, name)
        .limit(limit)
    )
    return [event_of(row) for row in connection.execute(query)]


def all_events(connection: Connection, chunk: int = _CHUNK) -> Iterator[Event]:
    """Every event that this connection sees, in order, a chunk in memory at a time."""
    place = BEGINNING
    while page := after(connection, *place, chunk):
        yield from page
        place = page[-1].known_at, page[-1].event_id


def event_of(row: Row[tuple[object, ...]]) -> Event:
    """An event as it was taken in."""
    data = {name: tuple(value) if isinstance(value, list) else value for name, value in orjson.loads(row.data).items()}
    return Event(row.event_id, EventType(row.type), row.event_time, row.known_at, data, row.valid_from)
