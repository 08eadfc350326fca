"""Events into the database: each once, and with the states that they change, in one transaction.

A batch is read, applied and written as a whole: however many of its events name the same SKU, its state is read, decoded, encoded and
written once. Statements are given to the driver as they are, a few for any number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine

from feature_store.database import in_transaction
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event
from feature_store.folding import enter, entering
from feature_store.passes import note_arrivals
from feature_store.state import EntityState, StateCorrupt
from feature_store.times import now

_CHUNK: Final = 5_000
"""States that are written by one statement at most, so that a whole history does not have to be in memory twice."""

_NAMED: Final[Mapping[str, Entity]] = {entity.value: entity for entity in Entity}
_COLUMNS: Final = "event_id, type, event_time, known_at, valid_from, data"
_CONTENT: Final = "event_id, type, event_time, valid_from, data"
_UPSERT: Final = "ON CONFLICT (entity, key) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at"

_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a batch.

    Attributes:
        accepted: events that were new.
        duplicates: events that we had already.
        conflicts: where in the batch events stand whose id is known with another content; nothing was taken of them.
        damaged: entities whose stored state cannot be read. Events about them are stored like all others, and count when the states are
            rebuilt from the events; until then these states stay as they are.
    """

    accepted: int
    duplicates: int
    conflicts: tuple[int, ...] = ()
    damaged: tuple[EntityKey, ...] = ()


Also = Callable[[Connection, Sequence[Event]], None]
"""What else follows from events that are new, in the transaction that takes them."""


def ingest(engine: Engine, batch: Iterable[Event], also: Also | None = None) -> IngestResult:
    """Take events in, once each; all that are taken are durable and count in the next read, or none is.

    An event whose id is known changes nothing, also within the batch. Told again with the same content it is a duplicate, whenever it
    is said to have become known: what we learned first stays. With another content it is a conflict: a correction is a new event.
    """
    told = list(batch)
    fresh: dict[str, Event] = {}
    for event in told:
        fresh.setdefault(event.event_id, event)
    if not fresh:
        return IngestResult(0, 0)
    # By id: two transactions that insert the same events must come to wait for each other in the same order.
    by_id = [fresh[event_id] for event_id in sorted(fresh)]
    new, known, damaged = _taken(engine, by_id, also)
    if len(new) == len(told):
        return IngestResult(len(new), 0, (), damaged)
    conflicts = tuple(at for at, event in enumerate(told) if _differs(event, fresh[event.event_id], known.get(event.event_id)))
    return IngestResult(len(new), len(told) - len(new) - len(conflicts), conflicts, damaged)


class _Raced(Exception):
    """Somebody else has just made the state of an entity that was new to us as well; nothing of ours is written."""


def _taken(engine: Engine, by_id: Sequence[Event], also: Also | None) -> tuple[Sequence[Event], dict[str, _Row], tuple[EntityKey, ...]]:
    """Insert and apply in one transaction; the events that were new, the content of those that were known, and what is damaged."""

    def change(connection: Connection) -> tuple[Sequence[Event], dict[str, _Row], tuple[EntityKey, ...]]:
        damaged: tuple[EntityKey, ...] = ()
        new, known = _insert(connection, by_id)
        if new:
            note_arrivals(connection, new)
            damaged = _change(connection, new)
            if also is not None:
                also(connection, new)
        return new, known, damaged

    while True:
        try:
            return in_transaction(engine, change)
        except _Raced:
            continue  # what the other one made is there now


def load_events(connection: Connection, told: Sequence[Event]) -> None:
    """Store events whose effects are stored as whole states (:func:`write_states`); one whose id is known changes nothing."""
    for at in range(0, len(told), _CHUNK):
        _insert(connection, sorted(told[at : at + _CHUNK], key=lambda event: event.event_id))


def _differs(event: Event, first: Event, known: _Row | None) -> bool:
    """Whether it tells something else than what is known by its id, or than the first of that id in the batch."""
    if known is None and event is first:
        return False
    return _content(event) != (_content(first) if known is None else known)


def write_states(connection: Connection, states: Mapping[EntityKey, EntityState]) -> None:
    """Store whole states, over what was there."""
    keys = sorted(states)
    for at in range(0, len(keys), _CHUNK):
        _write(connection, [(key, states[key].to_bytes()) for key in keys[at : at + _CHUNK]])


def _insert(connection: Connection, events: Sequence[Event]) -> tuple[Sequence[Event], dict[str, _Row]]:
    """Insert events whose id is new; returns them, and the content of those whose id is known."""
    if connection.dialect.name != "postgresql":  # this writer is alone: nobody inserts between the question and the answer
        found = connection.exec_driver_sql(
            f"SELECT {_CONTENT} FROM events WHERE event_id IN (SELECT value FROM json_each(?))",  # noqa: S608 - our own columns
            (orjson.dumps([event.event_id for event in events]).decode(),),
        )
        known = _contents(found)
        new = [event for event in events if event.event_id not in known]
        if new:
            connection.exec_driver_sql(f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", list(map(_row, new)))  # noqa: S608
        return new, known
    columns = [list(column) for column in zip(*map(_row, events), strict=True)]
    statement = (
        f"INSERT INTO events ({_COLUMNS}) "  # noqa: S608
        "SELECT * FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[]) "
        "ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
    )
    inserted = {event_id for (event_id,) in connection.exec_driver_sql(statement, tuple(columns))}
    if len(inserted) == len(events):
        return events, {}
    rest = [event.event_id for event in events if event.event_id not in inserted]
    return [event for event in events if event.event_id in inserted], _contents(
        connection.exec_driver_sql(f"SELECT {_CONTENT} FROM events WHERE event_id = ANY(%b::text[])", (rest,))  # noqa: S608
    )


def _contents(rows: Iterable[Sequence[Any]]) -> dict[str, _Row]:
    return {event_id: (kind, event_time, valid_from, orjson.loads(data)) for event_id, kind, event_time, valid_from, data in rows}


def _content(event: Event) -> _Row:
    """What makes an event the same fact: all but when it became known, as the database gives it back."""
    return (event.type.value, event.event_time, event.valid_from, orjson.loads(orjson.dumps(event.data)))


def _row(event: Event) -> _Row:
    return (event.event_id, event.type.value, event.event_time, event.known_at, event.valid_from, orjson.dumps(event.data))


def _change(connection: Connection, events: Sequence[Event]) -> tuple[EntityKey, ...]:
    """Enter events into the states of all that they name; returns those whose states cannot be read, which stay as they are."""
    told = [(event, entering(event)) for event in sorted(events, key=lambda event: (event.known_at, event.event_time, event.event_id))]
    states, damaged = _read(connection, sorted({key for _, there in told for key, _ in there}))
    known = set(states)
    for event, there in told:
        enter(states, event, there)
    for key in damaged:
        del states[key]
    if connection.dialect.name != "postgresql":
        write_states(connection, states)
        return damaged
    # What is not there cannot be locked. Nobody waits in a circle: all lock what is there, then make what is missing, each by its key.
    write_states(connection, {key: states[key] for key in known})
    fresh = [(key, states[key].to_bytes()) for key in sorted(states.keys() - known)]
    if fresh and _write(connection, fresh, "ON CONFLICT DO NOTHING") < len(fresh):
        raise _Raced
    return damaged


def _read(connection: Connection, keys: Sequence[EntityKey]) -> tuple[dict[EntityKey, EntityState], tuple[EntityKey, ...]]:
    """The states of these entities as far as there are any, decoded for the caller alone and locked until the transaction ends.

    Also the entities whose states cannot be read.
    """
    found: list[Sequence[Any]] = []
    if connection.dialect.name != "postgresql":
        for entity, same in groupby(keys, key=lambda key: key.entity):
            statement = (
                "SELECT s.entity, s.key, s.state FROM json_each(?) AS k CROSS JOIN entity_states AS s ON s.entity = ? AND s.key = k.value"
            )
            found += connection.exec_driver_sql(statement, (orjson.dumps([key.key for key in same]).decode(), entity.value))
    else:
        statement = (
            "SELECT s.entity, s.key, s.state FROM unnest(%b::text[], %b::text[]) AS k(entity, key) "
            "JOIN entity_states AS s ON s.entity = k.entity AND s.key = k.key ORDER BY s.entity, s.key FOR UPDATE OF s"
        )
        found += connection.exec_driver_sql(statement, ([key.entity.value for key in keys], [key.key for key in keys]))
    states: dict[EntityKey, EntityState] = {}
    damaged: list[EntityKey] = []
    for entity, name, raw in found:
        key = EntityKey(_NAMED[entity], name)
        try:
            states[key] = EntityState.from_bytes(raw)
        except StateCorrupt:
            damaged.append(key)
    return states, tuple(damaged)


def _write(connection: Connection, states: Sequence[tuple[EntityKey, bytes]], conflict: str = _UPSERT) -> int:
    """Write states with one statement; returns how many rows it made or changed."""
    clock = now()
    if connection.dialect.name != "postgresql":
        rows = [(key.entity.value, key.key, raw, clock) for key, raw in states]
        connection.exec_driver_sql(f"INSERT INTO entity_states (entity, key, state, updated_at) VALUES (?, ?, ?, ?) {conflict}", rows)  # noqa: S608
        return len(rows)
    statement = (
        "INSERT INTO entity_states (entity, key, state, updated_at) "  # noqa: S608
        f"SELECT k.entity, k.key, k.state, {clock} FROM unnest(%b::text[], %b::text[], %b::bytea[]) AS k(entity, key, state) {conflict}"
    )
    columns = [key.entity.value for key, _ in states], [key.key for key, _ in states], [raw for _, raw in states]
    return connection.exec_driver_sql(statement, columns).rowcount
