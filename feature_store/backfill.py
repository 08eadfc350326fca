"""Rebuilding the states from the events: after their definition has changed, or when they are damaged.

The new states grow in a table of their own, a chunk of events to a transaction that also moves the place of the pass: killed at any moment,
it goes on where the last transaction ended, and no event counts twice. Events that arrive meanwhile change the states in use as always, and
count in the new ones by the notes of :mod:`feature_store.passes`. At the end the tables change places in one transaction that nobody can
take an event in beside. The old states are kept until the next rebuild.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, and_, delete, func, insert, or_, select, update

from feature_store.database import reading
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event
from feature_store.folding import FOLDS, apply, touched
from feature_store.gaps import Cause
from feature_store.parity_tables import event_gaps
from feature_store.passes import Place, after, all_events, alone, close_pass, event_passes, find_open, open_pass, take_notes
from feature_store.state import FORMAT, EntityState, StateCorrupt
from feature_store.tables import entity_states, entity_states_before, entity_states_next
from feature_store.times import Millis, now

CHUNK: Final = 2_000
"""Events in one transaction; taking events in waits for as long as one takes."""

_KEYS: Final = 500
_PURPOSE: Final = "rebuild"
_LIVE, _BEFORE = "live", "before"
_ROTATION: Final = (
    ("entity_states_before", "entity_states_spare"),
    ("entity_states", "entity_states_before"),
    ("entity_states_next", "entity_states"),
    ("entity_states_spare", "entity_states_next"),
)


class RebuildRefused(Exception):
    """States that cannot be rebuilt as asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is: events done, and events in all."""

    done: int
    total: int
    switched: bool = False

    @property
    def share(self) -> float:
        """The part that is done; 1 only when the new states are in use."""
        return 1.0 if self.switched else min(0.999, self.done / self.total) if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Which definitions the states follow.

    Attributes:
        live: version of those in use; ``None`` where it was never noted.
        wanted: version of this program.
        before: version of the states that are kept from before the last rebuild.
        open: how far a rebuild is that has begun.
        loaded_until: states hold history from up to then that was loaded without its events; ``None`` where there is none.
    """

    live: str | None
    wanted: str
    before: str | None
    open: Progress | None
    loaded_until: Millis | None

    @property
    def needed(self) -> bool:
        """Whether the states in use follow other definitions than this program."""
        return self.live != self.wanted


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rebuild would change, seen on a sample of the entities: by kind how many were looked at, and how many would change."""

    events: int
    entities: int
    sampled: Mapping[str, int]
    changed: Mapping[str, int]


def definition_version() -> str:
    """The version of what folding makes of events: another definition, or another format of the states, is another version."""
    lines = (f"{kind.value}>{fold.definition}" for kind, folds in sorted(FOLDS.items()) for fold in folds)
    return hashlib.sha256("\n".join((f"format {FORMAT}", *lines)).encode()).hexdigest()[:16]


def standing(engine: Engine) -> Standing:
    """Which definitions the states follow, and whether a rebuild is under way."""
    with reading(engine).connect() as connection:
        rows = {row.state: row for row in connection.execute(select(event_passes).where(event_passes.c.purpose == _PURPOSE))}
        loaded = connection.execute(select(func.max(event_gaps.c.until)).where(event_gaps.c.cause == Cause.LOADED.value)).scalar_one()
    begun = rows.get("open")
    return Standing(
        live=_version(rows.get(_LIVE)),
        wanted=definition_version(),
        before=_version(rows.get(_BEFORE)),
        open=None if begun is None else Progress(begun.done, begun.total),
        loaded_until=loaded,
    )


def note_empty(engine: Engine) -> None:
    """Note that the states follow this program's definitions where there are none yet."""
    with engine.begin() as connection:
        alone(connection)
        known = connection.execute(select(event_passes.c.pass_id).where(event_passes.c.purpose == _PURPOSE).limit(1)).one_or_none()
        if known is None and connection.execute(select(entity_states.c.key).limit(1)).one_or_none() is None:
            begun = open_pass(connection, _PURPOSE, definition_version())
            connection.execute(update(event_passes).where(event_passes.c.pass_id == begun.pass_id).values(state=_LIVE))


def rebuild(
    engine: Engine, tell: Callable[[Progress], None] = lambda _progress: None, *, accept_gap: bool = False, chunk: int = CHUNK
) -> Progress:
    """Rebuild all states from the events and put them in use; goes on where an interrupted rebuild of these definitions ended.

    Args:
        engine: of the database.
        tell: called after each transaction.
        accept_gap: rebuild although history was loaded without its events, and is lost with that.
        chunk: events in one transaction.

    Raises:
        RebuildRefused: states hold history that no event tells.
    """
    stands = standing(engine)
    if stands.loaded_until is not None and not accept_gap:
        raise RebuildRefused(
            "The states hold history that was loaded without its events; a rebuild would lose it. Load those events first, or accept the loss."
        )
    _begin(engine, stands.wanted)
    while True:
        progress = _step(engine, stands.wanted, chunk)
        tell(progress)
        if progress.switched:
            return progress


def readable(engine: Engine) -> bool:
    """Whether this program can read the states in use; those of another format it cannot."""
    with reading(engine).connect() as connection:
        row = connection.execute(select(entity_states.c.state).limit(1)).one_or_none()
    try:
        return row is None or bool(EntityState.from_bytes(bytes(row.state)))
    except StateCorrupt:
        return False


def preview(engine: Engine, sample: int = 500) -> Preview:
    """What a rebuild would change, on a sample of the entities; nothing is written."""
    with reading(engine).execution_options(**_snapshot(engine)).connect() as connection:
        entities = connection.execute(select(func.count()).select_from(entity_states)).scalar_one()
        step = max(1, entities // sample)
        numbered = select(entity_states.c.entity, entity_states.c.key).order_by(entity_states.c.entity, entity_states.c.key)
        wanted = {EntityKey(Entity(row.entity), row.key) for at, row in enumerate(connection.execute(numbered)) if at % step == 0}
        stored = _raw(connection, entity_states, sorted(wanted))
        told, made = 0, dict[EntityKey, EntityState]()
        for event in all_events(connection):
            told += 1
            fold_into(made, wanted, event)
    sampled: dict[str, int] = {}
    changed: dict[str, int] = {}
    for key in wanted:
        sampled[key.entity.value] = sampled.get(key.entity.value, 0) + 1
        if key not in made or made[key].to_bytes() != stored.get(key):
            changed[key.entity.value] = changed.get(key.entity.value, 0) + 1
    return Preview(told, entities, sampled, changed)


def fold_into(states: dict[EntityKey, EntityState], wanted: frozenset[EntityKey] | set[EntityKey], event: Event) -> None:
    """Enter an event into the states of the wanted entities, and of no others."""
    named = touched(event)
    if any(key in wanted for key in named):
        apply(states, event)
        for key in named:
            if key not in wanted:
                del states[key]


def start_anew(connection: Connection) -> None:
    """Let a rebuild that has begun start from nothing: events that it has gone by are not what they were. Holds :func:`alone`."""
    begun = find_open(connection, _PURPOSE)
    if begun is not None:
        close_pass(connection, begun.pass_id)
        connection.execute(delete(entity_states_next))
        open_pass(connection, _PURPOSE, begun.version)


def _version(row: Row[tuple[object, ...]] | None) -> str | None:
    return None if row is None else str(row.version)


def _snapshot(engine: Engine) -> dict[str, str]:
    """One view of the data for a whole transaction; SQLite's readers have it anyway."""
    return {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}


def _begin(engine: Engine, version: str) -> None:
    """Open the pass, where none is open that follows these definitions."""
    with engine.begin() as connection:
        alone(connection)
        begun = find_open(connection, _PURPOSE)
        if begun is not None and begun.version == version:
            return
        if begun is not None:
            close_pass(connection, begun.pass_id)
        connection.execute(delete(entity_states_next))
        open_pass(connection, _PURPOSE, version)


def _step(engine: Engine, version: str, chunk: int) -> Progress:
    """One transaction: what arrived behind the pass, the next events, and where nothing is left the switch."""
    with engine.begin() as connection:
        alone(connection)
        place = find_open(connection, _PURPOSE)
        if place is None or place.version != version:  # another process has finished it, or begun one of other definitions
            return Progress(0, 0, switched=True)
        noted = take_notes(connection, place.pass_id, chunk)
        page = after(connection, place.known_at, place.event_id, chunk)
        _enter(connection, [*noted, *page])
        done = place.done + len(noted) + len(page)
        if len(noted) < chunk and len(page) < chunk:
            _switch(connection, place)
            return Progress(done, max(done, place.total), switched=True)
        last = (page[-1].known_at, page[-1].event_id) if page else (place.known_at, place.event_id)
        change = update(event_passes).where(event_passes.c.pass_id == place.pass_id)
        connection.execute(change.values(known_at=last[0], event_id=last[1], done=done, updated_at=now()))
        return Progress(done, max(done, place.total))


def _enter(connection: Connection, told: Sequence[Event]) -> None:
    keys = sorted({key for event in told for key in touched(event)})
    states = {key: EntityState.from_bytes(raw) for key, raw in _raw(connection, entity_states_next, keys).items()}
    for event in told:
        apply(states, event)
    for at in range(0, len(keys), _KEYS):
        part = keys[at : at + _KEYS]
        connection.execute(delete(entity_states_next).where(_among(entity_states_next, part)))
        rows = [{"entity": key.entity.value, "key": key.key, "state": states[key].to_bytes(), "updated_at": now()} for key in part]
        connection.execute(insert(entity_states_next), rows)


def _raw(connection: Connection, table: Table, keys: Sequence[EntityKey]) -> dict[EntityKey, bytes]:
    found: dict[EntityKey, bytes] = {}
    for at in range(0, len(keys), _KEYS):
        query = select(table.c.entity, table.c.key, table.c.state).where(_among(table, keys[at : at + _KEYS]))
        found |= {EntityKey(Entity(row.entity), row.key): bytes(row.state) for row in connection.execute(query)}
    return found


def _among(table: Table, keys: Sequence[EntityKey]) -> ColumnElement[bool]:
    """Whether a row is one of these; row values in a list would make SQLite scan the whole table."""
    by_entity: dict[Entity, list[str]] = {}
    for entity, key in keys:
        by_entity.setdefault(entity, []).append(key)
    return or_(*(and_(table.c.entity == entity.value, table.c.key.in_(names)) for entity, names in by_entity.items()))


def _switch(connection: Connection, place: Place) -> None:
    """Put the new states in use and keep the old ones."""
    connection.execute(delete(entity_states_before))
    for old, new in _ROTATION:
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")
    rebuilds = update(event_passes).where(event_passes.c.purpose == _PURPOSE)
    connection.execute(rebuilds.where(event_passes.c.state == _BEFORE).values(state="over"))
    connection.execute(rebuilds.where(event_passes.c.state == _LIVE).values(state=_BEFORE))
    connection.execute(rebuilds.where(event_passes.c.pass_id == place.pass_id).values(state=_LIVE, event_id="", updated_at=now()))
