"""The states of entities in the database: read in one round trip, changed in one transaction with the events that change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import orjson
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite

from feature_store.database import Reads
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event
from feature_store.folding import apply, touched
from feature_store.state import EntityState
from feature_store.tables import entity_states, events
from feature_store.times import now

_CHUNK = 500

_SHARED = frozenset({Entity.SKU, Entity.SUPPLIER, Entity.REGION, Entity.NETWORK})
"""Entities that many orders name; between two of their events the same bytes are read again and again."""

_KEPT = 20_000
"""Decoded states that are kept at most: a shop's SKUs, its suppliers, its regions."""

_NAMED: Mapping[str, Entity] = {entity.value: entity for entity in Entity}

_EMPTY = EntityState().to_bytes()


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a batch: events that were new, and those that we had already."""

    accepted: int
    duplicates: int


class OnlineStore:
    """What is known of every entity at this moment."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = Reads(engine)
        self._kept: dict[EntityKey, EntityState] = {}

    def read(self, keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
        """Read the states of entities in one round trip; those never seen are left out.

        A state whose bytes have not changed may be the one that was returned before, with all that was derived from it: do not change it.

        Raises:
            StateCorrupt: a stored state cannot be read.
        """
        if not keys:
            return {}
        statement, values = _selection(keys, self._reads.mark)
        found = {}
        for entity, name, raw in self._reads.rows(statement, values):
            key = EntityKey(_NAMED[entity], name)
            found[key] = self._decoded(key, raw) if key.entity in _SHARED else EntityState.from_bytes(raw)
        return found

    def _decoded(self, key: EntityKey, raw: bytes) -> EntityState:
        """The state in these bytes, decoded once: comparing the bytes costs a hundredth of decoding them."""
        kept = self._kept.get(key)
        if kept is not None and kept.was(raw):
            return kept
        state = EntityState.from_bytes(raw)
        if kept is None and len(self._kept) >= _KEPT:
            self._kept.clear()  # rare, and soon filled again
        self._kept[key] = state
        return state

    def ingest(self, batch: Iterable[Event]) -> IngestResult:
        """Take events in, once each; all of them are durable and count in the next read, or none is.

        An event whose id is known already changes nothing, also within the batch: the same id is the same fact.

        Raises:
            StateCorrupt: a stored state cannot be read; nothing was taken.
        """
        told = list(batch)
        fresh = {event.event_id: event for event in reversed(told)}
        if not fresh:
            return IngestResult(0, 0)
        with self._engine.begin() as connection:
            new = self._insert_events(connection, fresh)
            by_time = sorted((fresh[event_id] for event_id in new), key=lambda event: (event.known_at, event.event_time, event.event_id))
            if by_time:
                self._apply(connection, by_time)
        return IngestResult(len(new), len(told) - len(new))

    def load_states(self, states: Mapping[EntityKey, EntityState]) -> None:
        """Store whole states, over what was there: for filling an empty home from a replayed history."""
        with self._engine.begin() as connection:
            self._write(connection, states)

    def _insert_events(self, connection: Connection, fresh: Mapping[str, Event]) -> list[str]:
        # By id: two transactions that insert the same events must come to wait for each other in the same order.
        rows = [_event_row(fresh[event_id]) for event_id in sorted(fresh)]
        statement = _insert(connection, events).on_conflict_do_nothing(index_elements=[events.c.event_id]).returning(events.c.event_id)
        return list(connection.execute(statement, rows).scalars())

    def _apply(self, connection: Connection, by_time: Sequence[Event]) -> None:
        keys = sorted({key for event in by_time for key in touched(event)})
        states = self._read_locked(connection, keys)
        for event in by_time:
            apply(states, event)
        self._write(connection, states)

    def _read_locked(self, connection: Connection, keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
        suffix = ""
        if connection.dialect.name == "postgresql":
            # A row that is not there cannot be locked, so it is made first; SQLite's writer is alone anyway.
            blank = [{"entity": key.entity.value, "key": key.key, "state": _EMPTY, "updated_at": 0} for key in keys]
            connection.execute(_insert(connection, entity_states).on_conflict_do_nothing(), blank)
            suffix = " ORDER BY entity, key FOR UPDATE"
        states: dict[EntityKey, EntityState] = {}
        for chunk in _chunks(keys):
            states |= _fetch(connection, chunk, suffix)
        return states

    def _write(self, connection: Connection, states: Mapping[EntityKey, EntityState]) -> None:
        statement = _insert(connection, entity_states)
        statement = statement.on_conflict_do_update(
            index_elements=[entity_states.c.entity, entity_states.c.key],
            set_={"state": statement.excluded.state, "updated_at": statement.excluded.updated_at},
        )
        clock = now()
        rows = (
            {"entity": key.entity.value, "key": key.key, "state": states[key].to_bytes(), "updated_at": clock} for key in sorted(states)
        )
        while chunk := list(islice(rows, _CHUNK)):
            connection.execute(statement, chunk)


@lru_cache(maxsize=512)
def _select(shape: tuple[tuple[Entity, int], ...], mark: str, suffix: str) -> str:
    """One statement for so many keys of such kinds. Row values in a list would make SQLite scan the whole table."""
    parts = [f"(entity = '{entity.value}' AND key IN ({', '.join([mark] * count)}))" for entity, count in shape]
    return f"SELECT entity, key, state FROM entity_states WHERE {' OR '.join(parts)}{suffix}"  # noqa: S608 - entities are our own words


def _selection(keys: Iterable[EntityKey], mark: str, suffix: str = "") -> tuple[str, tuple[str, ...]]:
    """The statement that reads the states of these keys, and its values."""
    by_entity: dict[Entity, list[str]] = {}
    for entity, key in keys:
        by_entity.setdefault(entity, []).append(key)
    statement = _select(tuple((entity, len(named)) for entity, named in by_entity.items()), mark, suffix)
    return statement, tuple(key for named in by_entity.values() for key in named)


def _fetch(connection: Connection, keys: Iterable[EntityKey], suffix: str) -> dict[EntityKey, EntityState]:
    """States that are to be changed: decoded for the caller alone."""
    rows = connection.exec_driver_sql(*_selection(keys, "%s" if connection.dialect.name == "postgresql" else "?", suffix))
    return {EntityKey(_NAMED[entity], key): EntityState.from_bytes(raw) for entity, key, raw in rows}


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _chunks(keys: Sequence[EntityKey]) -> Iterable[Sequence[EntityKey]]:
    return (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))


def _event_row(event: Event) -> dict[str, object]:
    return {
        "event_id": event.event_id,
        "type": event.type.value,
        "event_time": event.event_time,
        "known_at": event.known_at,
        "valid_from": event.valid_from,
        "data": orjson.dumps(dict(event.data)),
    }
