"""Forgetting: one entity on demand, and personal data when its time is over. Nothing of it stays in a table, an index or a file of ours.

Events that name a customer go, with all that tell of its orders; from other events a device, address, payment means or IP is taken out where
the event means something without it. The states of all that those events had named are folded anew from the events that stay, so states and
events go on telling the same. Taking events in goes on meanwhile (:mod:`feature_store.passes`). At last the freed pages are written over:
a deleted row is not gone from its file before.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, LargeBinary, bindparam, delete, func, literal, or_, select, update

from feature_store.backfill import fold_into, start_anew
from feature_store.database import reading
from feature_store.entities import PAIRS, Entity, EntityKey
from feature_store.events import ATTRIBUTES, VOCABULARY, Event
from feature_store.folding import touched
from feature_store.gaps import Cause, note_gap
from feature_store.ingest import write_states
from feature_store.parity_tables import event_gaps
from feature_store.passes import (
    BEGINNING,
    END,
    after,
    all_events,
    alone,
    close_pass,
    end_passes,
    event_notes,
    event_of,
    is_open,
    open_pass,
    take_notes,
)
from feature_store.state import EntityState
from feature_store.tables import entity_states, entity_states_before, events, reservations
from feature_store.times import DAY, Millis, now

FIELDS: Final[Mapping[Entity, str]] = {
    Entity.CUSTOMER: "customer_id",
    Entity.DEVICE: "device_id",
    Entity.ADDRESS: "address_id",
    Entity.PAYMENT: "payment_token",
    Entity.IP: "ip",
}
"""The kinds of entities that are about persons, and the field of an event that names each."""

_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {"address_id": ("street", "lat", "lon")}
"""What else an event tells of the one whose field is taken out."""

PURPOSE: Final = "erasure"
"""Of the passes that forget."""

_PERSONAL: Final = frozenset({*FIELDS, *PAIRS})
_TRIES: Final = 5
_NEEDLES: Final = 40
_IDS: Final = 500
_ROUND: Final = 20_000
"""Events that are changed in one transaction by :func:`expire`."""
_REST_EVERY: Final = 2_000
_CHECKPOINT_S: Final = 10.0

Judge = Callable[[Event], Event | None]
"""What stays of an event: itself, another one, or nothing."""


class ErasureRefused(Exception):
    """Something that cannot be erased as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten.

    Attributes:
        events: deleted.
        changed: events that stay without what named the entity.
        states: deleted.
        refolded: states that were made anew without it.
        wiped: whether the freed pages were written over; ``False`` where a reader kept them from it, then :func:`wipe` has to be repeated.
    """

    events: int = 0
    changed: int = 0
    states: int = 0
    refolded: int = 0
    wiped: bool = True


@dataclass(slots=True)
class _Plan:
    """What is to happen to events, and to the states of what they name."""

    removed: set[str] = field(default_factory=set)
    changed: dict[str, Event] = field(default_factory=dict)
    keys: set[EntityKey] = field(default_factory=set)

    def judge(self, event: Event, stays: Event | None) -> None:
        if stays is event:
            return
        self.keys.update(touched(event))
        if stays is None:
            self.removed.add(event.event_id)
        else:
            self.changed[event.event_id] = stays

    def __len__(self) -> int:
        return len(self.removed) + len(self.changed)

    def kept(self, event: Event) -> Event | None:
        return None if event.event_id in self.removed else self.changed.get(event.event_id, event)


def erase(engine: Engine, subject: EntityKey, *, order_ids: Collection[str] = (), thorough: bool = True) -> Forgotten:
    """Forget one customer, device, address, payment means or IP.

    Args:
        engine: of the database.
        subject: whom to forget.
        order_ids: orders of the subject that no event tells of.
        thorough: write the freed pages over, too. On PostgreSQL that rewrites the tables and keeps readers waiting meanwhile.

    Raises:
        ErasureRefused: its kind is not about persons.
    """
    if subject.entity not in FIELDS:
        raise ErasureRefused(f"{subject.entity.value!r} is not about a person; there are {', '.join(kind.value for kind in FIELDS)}.")
    orders = set(order_ids)

    def plan(connection: Connection) -> tuple[_Plan, Judge]:
        if subject.entity is Entity.CUSTOMER:
            theirs = (event for event in _telling(connection, {subject.key}) if event.data.get(FIELDS[subject.entity]) == subject.key)
            orders.update(order for event in theirs for order in _order(event))
        judge = without(subject, frozenset(orders))
        found = _Plan(keys={subject})
        for event in _telling(connection, {subject.key, *orders}):
            found.judge(event, judge(event))
        return found, judge

    def also(connection: Connection) -> None:
        _forget_orders(connection, orders)
        note_gap(connection, now(), Cause.ERASURE)  # decisions so far may have seen what is gone

    done = _forget(engine, plan, also, lambda: None)
    return replace(done, wiped=wipe(engine)) if thorough else replace(done, wiped=False)


def expire(
    engine: Engine,
    days: Mapping[Entity, int],
    at: Millis | None = None,
    *,
    thorough: bool = True,
    rest: Callable[[], None] = lambda: None,
) -> Forgotten:
    """Forget what was told about persons longer ago than its kind may be kept.

    Args:
        engine: of the database.
        days: how long each kind is kept; a kind that is missing is kept for ever.
        at: now.
        thorough: as for :func:`erase`.
        rest: called between pages of events, to let others have their turn.

    Raises:
        ErasureRefused: a kind that is not about persons.
    """
    clock = now() if at is None else at
    if other := sorted(kind.value for kind in set(days) - set(FIELDS)):
        raise ErasureRefused(f"{', '.join(other)}: not about persons; there are {', '.join(kind.value for kind in FIELDS)}.")
    ends = {FIELDS[kind]: clock - count * DAY for kind, count in days.items()}
    stale, last = _younger(ends), max(ends.values(), default=BEGINNING[0])
    whole = Forgotten()
    place = _first_stale(engine, BEGINNING, last, stale, rest)
    while place is not None:
        done, place = _expire_from(engine, place, last, stale, rest)
        whole = _sum(whole, done)
        place = _first_stale(engine, place, last, stale, rest)
    return replace(whole, wiped=wipe(engine)) if thorough and (whole.events or whole.changed) else whole


_Place = tuple[Millis, str]


def _expire_from(engine: Engine, begin: _Place, last: Millis, stale: Judge, rest: Callable[[], None]) -> tuple[Forgotten, _Place]:
    """Forget what is stale behind a place, about :data:`_ROUND` events of it; returns the place that was reached, too."""
    reached = begin

    def plan(connection: Connection) -> tuple[_Plan, Judge]:
        nonlocal reached
        planned, reached = _Plan(), begin
        while len(planned) < _ROUND and (page := _older(connection, reached, last)):
            for event in page:
                planned.judge(event, stale(event))
            reached = page[-1].known_at, page[-1].event_id
        return planned, lambda event: event  # what arrives late with an old time is left to the next run

    def also(connection: Connection) -> None:
        note_gap(connection, reached[0], Cause.RETENTION)

    return _forget(engine, plan, also, rest), reached


def _older(connection: Connection, place: _Place, until: Millis) -> list[Event]:
    """The next events behind a place that became known before ``until``."""
    return [event for event in after(connection, *place, _ROUND) if event.known_at < until]


def _first_stale(engine: Engine, place: _Place, until: Millis, judge: Judge, rest: Callable[[], None]) -> _Place | None:
    """The place before the next page of which something has to go; ``None`` when nothing has."""
    while True:
        with reading(engine).connect() as connection:
            page = _older(connection, place, until)
        if not page:
            return None
        if any(judge(event) is not event for event in page):
            return place
        place = page[-1].known_at, page[-1].event_id
        rest()


def _sum(one: Forgotten, other: Forgotten) -> Forgotten:
    counts = (one.events + other.events, one.changed + other.changed, one.states + other.states, one.refolded + other.refolded)
    return Forgotten(*counts)


def without(subject: EntityKey, orders: frozenset[str]) -> Judge:
    """What stays of an event when a subject is forgotten, with these orders of it."""
    name = FIELDS[subject.entity]

    def judge(event: Event) -> Event | None:
        named = event.data.get(name) == subject.key
        if subject.entity is Entity.CUSTOMER and (named or orders.intersection(_order(event))):
            return None
        stays = _less(event, name) if named else event
        if stays is not None and _mentions(stays.data.get(ATTRIBUTES), subject.key):
            stays = _less(stays, ATTRIBUTES)
        return stays

    return judge


def _younger(until: Mapping[str, Millis]) -> Judge:
    """What stays of an event when each field may be kept only so long."""

    def judge(event: Event) -> Event | None:
        stays: Event | None = event
        for name, last in until.items():
            if stays is not None and stays.known_at < last and name in stays.data:
                stays = _less(stays, name)
        return stays

    return judge


def _less(event: Event, name: str) -> Event | None:
    """An event without one of its fields; ``None`` where it means nothing without."""
    spec = VOCABULARY[event.type].get(name)
    if spec is not None and spec.required:
        return None
    return replace(event, data={key: value for key, value in event.data.items() if key != name and key not in _BESIDE.get(name, ())})


def _mentions(value: Any, name: str) -> bool:
    """Whether a text stands anywhere in it."""
    if isinstance(value, Mapping):
        return any(_mentions(item, name) for item in (*value, *value.values()))
    if isinstance(value, list | tuple):
        return any(_mentions(item, name) for item in value)
    return bool(value == name)


def _order(event: Event) -> tuple[str, ...]:
    order = event.data.get("order_id")
    return () if order is None else (order,)


def _telling(connection: Connection, names: Iterable[str]) -> Iterator[Event]:
    """Events in which one of these texts stands; the database looks through their bytes."""
    position = func.instr if connection.dialect.name == "sqlite" else func.strpos
    listed, seen = sorted(names), set[str]()
    for at in range(0, len(listed), _NEEDLES):
        needles = [orjson.dumps(name) for name in listed[at : at + _NEEDLES]]
        if connection.dialect.name == "sqlite":
            found = [position(events.c.data, literal(needle, LargeBinary)) > 0 for needle in needles]
        else:
            found = [func.position(literal(needle, LargeBinary).op("IN")(events.c.data)) > 0 for needle in needles]
        for row in connection.execute(select(events).where(or_(*found))):
            if row.event_id not in seen:
                seen.add(row.event_id)
                yield event_of(row)


def _forget(
    engine: Engine, plan: Callable[[Connection], tuple[_Plan, Judge]], also: Callable[[Connection], None], rest: Callable[[], None]
) -> Forgotten:
    """Carry a plan out: look and fold on a view of the data that stands still, then change everything in one transaction.

    Whoever is first to change ends the passes of all others, also of those that were killed: what they have looked at is not what is there
    any more, and writing it would bring back what was forgotten. They look again.
    """
    snapshot = reading(engine)
    if engine.dialect.name == "postgresql":
        snapshot = snapshot.execution_options(isolation_level="REPEATABLE READ")
    for _ in range(_TRIES):
        with engine.begin() as connection:
            alone(connection)
            begun = open_pass(connection, PURPOSE, place=END)
        try:
            with snapshot.connect() as connection:
                seen = set(connection.execute(select(event_notes.c.event_id).where(event_notes.c.pass_id == begun.pass_id)).scalars())
                planned, judge = plan(connection)
                keys = _refolded_keys(connection, planned.keys)
                states: dict[EntityKey, EntityState] = {}
                for number, event in enumerate(all_events(connection) if keys else (), start=1):
                    if number % _REST_EVERY == 0:
                        rest()
                    kept = planned.kept(event)
                    if kept is not None:
                        fold_into(states, keys, kept)
            with engine.begin() as connection:
                alone(connection)
                if not is_open(connection, begun.pass_id):
                    continue
                late = [event for event in take_notes(connection, begun.pass_id, 2**31) if event.event_id not in seen]
                if all(judge(event) is event for event in late):
                    for event in late:
                        fold_into(states, keys, event)
                    also(connection)
                    end_passes(connection, PURPOSE)
                    return _carry_out(connection, planned, keys, states)
        finally:
            with engine.begin() as connection:
                alone(connection)
                close_pass(connection, begun.pass_id)
    raise ErasureRefused(
        "Events about the subject go on arriving while it is forgotten, or others go on being forgotten beside it. Try again later."
    )


def _refolded_keys(connection: Connection, keys: set[EntityKey]) -> set[EntityKey]:
    """The entities whose states are made anew.

    Where history was loaded without its events, the states that are not about persons stay as they are: they hold counts and plain facts,
    nothing that leads to a person, and what they count of the loaded history could not be made again.
    """
    loaded = connection.execute(select(event_gaps.c.gap_id).where(event_gaps.c.cause == Cause.LOADED.value).limit(1)).one_or_none()
    return keys if loaded is None else {key for key in keys if key.entity in _PERSONAL}


def _carry_out(connection: Connection, plan: _Plan, keys: set[EntityKey], states: Mapping[EntityKey, EntityState]) -> Forgotten:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    for part in _parts(sorted(plan.removed)):
        connection.execute(delete(events).where(events.c.event_id.in_(part)))
    if plan.changed:
        rows = [{"id": event.event_id, "told": orjson.dumps(dict(event.data))} for event in plan.changed.values()]
        connection.execute(update(events).where(events.c.event_id == bindparam("id")).values(data=bindparam("told")), rows)
    gone = sorted(keys - set(states))
    for table in (entity_states, entity_states_before):
        for key in sorted(keys) if table is entity_states_before else gone:
            connection.execute(delete(table).where(table.c.entity == key.entity.value, table.c.key == key.key))
    write_states(connection, states)
    start_anew(connection)
    return Forgotten(len(plan.removed), len(plan.changed), len(gone), len(states))


def _forget_orders(connection: Connection, orders: Collection[str]) -> None:
    """What orders hold goes on counting until it ends, but no longer says whose it is."""
    for part in _parts(sorted(orders)):
        ours = reservations.c.order_id.in_(part)
        connection.execute(delete(reservations).where(ours, reservations.c.counts_until <= now()))
        connection.execute(update(reservations).where(ours).values(order_id=reservations.c.reservation_id))


def _parts(ids: list[str]) -> Iterator[list[str]]:
    return (ids[at : at + _IDS] for at in range(0, len(ids), _IDS))


def wipe(engine: Engine) -> bool:
    """Write the freed pages of the feature store's tables over; returns whether that could be done.

    SQLite writes its file anew and empties the log beside it, which needs a moment without readers. PostgreSQL rewrites the tables; what its
    own log and its backups hold is in the hands of who runs it.
    """
    if engine.dialect.name == "postgresql":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for table in (events, entity_states, entity_states_before, reservations):
                connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table.name}")
        return True
    return _empty_log(engine, anew=True)


def tidy(engine: Engine) -> bool:
    """As :func:`wipe`, as far as nobody has to wait for it: for a running service.

    SQLite's log is emptied; in the file itself what is forgotten is written over when it is deleted. PostgreSQL makes the freed space usable
    again: it is written over with time.
    """
    if engine.dialect.name == "postgresql":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for table in (events, entity_states, entity_states_before, reservations):
                connection.exec_driver_sql(f"VACUUM {table.name}")
        return True
    return _empty_log(engine, anew=False)


def _empty_log(engine: Engine, *, anew: bool) -> bool:
    """Empty SQLite's log, after writing the file anew where asked; ``False`` when a reader stands in the way."""
    borrowed = engine.raw_connection()
    connection_: Any = borrowed.driver_connection
    borrowed.detach()
    with contextlib.closing(connection_):
        connection_.execute("PRAGMA query_only=OFF")
        if anew:
            connection_.execute("PRAGMA temp_store=FILE")
            connection_.execute("VACUUM")
        connection_.execute("PRAGMA busy_timeout=0")
        until = time.monotonic() + _CHECKPOINT_S
        while connection_.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
    return True
