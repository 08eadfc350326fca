"""Whether decisions saw what the events say: recorded snapshots against features rebuilt from raw events, byte by byte.

The two paths meet in production. Online, each event changed stored states, and a decision read those. Here the events themselves are read
again, as far as they were known at the decision, folded from nothing by the same folds, and each value is compared with the recorded one,
bit for bit. A difference is a defect: an event lost or counted twice, a state that was damaged, a definition that changed under its name.

What cannot be compared is said, never counted as equal: decisions of other definitions, of a time whose events are not here, or made in
the very moment in which an event about the same entity arrived.
"""

from __future__ import annotations

import math
import struct
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, select

from feature_store.database import reading
from feature_store.entities import Entity, EntityKey
from feature_store.event_pages import paged
from feature_store.events import Event
from feature_store.folding import apply, touched
from feature_store.gaps import Gaps, read_gaps
from feature_store.network import Network, Node, Rate, Stock, network_from_request, read_network
from feature_store.order import Order
from feature_store.reservations import NONE_RESERVED, Reserved
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.state import EntityState
from feature_store.tables import events
from feature_store.times import DAY, SECOND, Millis
from feature_store.views import SERVICES, build_snapshot, entity_keys, lane_snapshots
from feature_store.views.definition import Feature
from feature_store.views.parts import Aggregate

AT_ONCE: Millis = SECOND
"""An event and a decision so close together may have met in either order: the clock that stamps one is not the lock that orders both."""

PAGE = 2_000
"""Events that are read at a time; between two pages others get their turn."""

_NEVER: Millis = 2**62

EXAMPLES = 3
"""Differences of one feature that are told in full."""


class Why(StrEnum):
    """Why a decision cannot be compared."""

    OTHER_VERSION = "other_version"
    """Its features were defined otherwise than now."""
    BEFORE_EVENTS = "before_events"
    """It looked at a time whose events are not here: history that was loaded as states, or events past their retention."""
    CHANGED_LATER = "changed_later"
    """Events that say they were known by then were loaded after it, or events that it saw were forgotten."""
    AT_ONCE = "at_once"
    """An event about the same entity arrived in the same moment."""
    TOO_MANY_EVENTS = "too_many_events"
    """It looks back beyond the newest events, which are all that one check may read."""
    UNREADABLE = "unreadable"
    """Its record does not hold what is needed any more, or is damaged."""


@dataclass(frozen=True, slots=True)
class Told:
    """Nodes, stock and rates that came with the request; ``None`` for what came from the store."""

    nodes: Sequence[Node] | None = None
    stock: Sequence[Stock] | None = None
    rates: Sequence[Rate] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one decision knew, as its record tells.

    Attributes:
        snapshots: by lane ``node|service``; of types without lanes one, under an empty name.
        reserved: pieces that other orders' plans held, as recorded: no event tells that.
    """

    record_id: str
    type: str
    order: Order
    as_of: Millis
    snapshots: Mapping[str, FeatureSnapshot]
    told: Told = field(default_factory=Told)
    reserved: Reserved = NONE_RESERVED


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that came out otherwise; ``None`` stands for not known."""

    record_id: str
    lane: str
    recorded: float | None
    rebuilt: float | None


@dataclass(frozen=True, slots=True)
class FeatureParity:
    """One feature over all decisions that were compared; ``examples`` are the first few differences."""

    type: str
    name: str
    checked: int
    differing: int
    examples: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What one check found.

    Attributes:
        sampled: decisions that were looked at; each is equal, differing or not comparable.
        not_comparable: decisions by :class:`Why`.
        values: single values that were compared.
        features: those of which at least one value was compared, differing ones first.
        events: that were read.
    """

    sampled: int
    equal: int
    differing: int
    not_comparable: Mapping[str, int]
    values: int
    features: tuple[FeatureParity, ...]
    events: int
    took_ms: int

    @property
    def compared(self) -> int:
        """Decisions of which every value could be compared."""
        return self.equal + self.differing


def check(
    engine: Engine,
    recorded: Sequence[Recorded],
    *,
    unreadable: int = 0,
    max_events: int = 2_000_000,
    rest: Callable[[], None] | None = None,
) -> ParityReport:
    """Rebuild the features of decisions from the events table and compare them with what was recorded.

    One pass over the events in the order in which they became known, for all decisions together; only the entities of these are kept.

    Args:
        engine: of the database with the events.
        recorded: the decisions.
        unreadable: how many more were sampled whose record could not be read.
        max_events: the newest so many are read; values that look back further, and differ, are not comparable.
        rest: called between pages, to let others have their turn.
    """
    began = time.monotonic()
    tally = _Tally()
    tally.skip(Why.UNREADABLE, unreadable)
    current = [one for one in recorded if _is_current(one)]
    tally.skip(Why.OTHER_VERSION, len(recorded) - len(current))
    read = 0
    if current:
        ends = max(one.as_of for one in current) + AT_ONCE
        unread = _unread(engine, ends, max_events)
        walk = _Walk(current, read_gaps(engine), unread)
        for event in told(engine, known_from=None if unread is None else unread + 1, until=ends, rest=rest):
            read += 1
            walk.take(event)
        walk.finish()
        for one, differences in walk.done:
            tally.enter(one, differences)
    return tally.report(read, round((time.monotonic() - began) * 1000))


def rebuild(one: Recorded, states: Mapping[EntityKey, EntityState]) -> dict[str, FeatureSnapshot]:
    """The snapshots of a decision from states, as :mod:`serving.knowing` makes them."""
    order, as_of = one.order, one.as_of
    if one.type != "split-order":
        known: Network | None = read_network(order, states, as_of, one.reserved) if one.type == "acceptance" else None
        return {"": build_snapshot(one.type, order, states, as_of, known)}
    network = network_from_request(as_of, read_network(order, states, as_of, one.reserved), one.told.nodes, one.told.stock, one.told.rates)
    return {f"{node_id}|{service}": snapshot for node_id, service, snapshot in lane_snapshots(order, network, states, as_of)}


def told(engine: Engine, *, known_from: Millis | None = None, until: Millis, rest: Callable[[], None] | None = None) -> Iterator[Event]:
    """The events that became known by ``until``, in that order, read in pages: no transaction stays open."""
    return paged(engine, known_from=known_from, until=until, page=PAGE, rest=rest)


def _unread(engine: Engine, until: Millis, most: int) -> Millis | None:
    """What became known up to here lies beyond the newest ``most`` events that were known by ``until``; ``None`` when there are no more."""
    query = select(events.c.known_at).where(events.c.known_at <= until).order_by(events.c.known_at.desc()).offset(most).limit(1)
    with reading(engine).connect() as connection:
        found: Millis | None = connection.execute(query).scalar()
    return found


def _is_current(one: Recorded) -> bool:
    service = SERVICES.get(one.type)
    return service is not None and all(snapshot.view_version == service.view_version for snapshot in one.snapshots.values())


class _Walk:
    """Plays the events once and stops at each decision to compare it."""

    def __init__(self, recorded: Sequence[Recorded], gaps: Gaps, unread: Millis | None) -> None:
        self._waiting = sorted(recorded, key=lambda one: (-one.as_of, one.record_id))  # the next one last
        self._keys = {id(one): frozenset(entity_keys(one.order, one.type)) for one in recorded}
        self._wanted = frozenset().union(*self._keys.values())
        self._states: dict[EntityKey, EntityState] = {}
        self._touched_at: dict[EntityKey, Millis] = {}
        self._gaps = gaps
        self._unread = unread
        self._fresh: list[tuple[Recorded, list[_Odd]]] = []
        self.done: list[tuple[Recorded, list[_Odd]]] = []

    def take(self, event: Event) -> None:
        """The next event; decisions before it are compared first."""
        self._compare_before(event.known_at)
        keys = touched(event)
        if self._wanted.isdisjoint(keys):
            return
        apply(self._states, event)
        for key in keys:
            if key in self._wanted:
                self._touched_at[key] = event.known_at
            else:
                self._states.pop(key, None)
        for one, odd in self._fresh:
            for difference in odd:
                difference.notice(self._keys[id(one)].intersection(keys))

    def finish(self) -> None:
        """No event is left."""
        self._compare_before(_NEVER)

    def _compare_before(self, moment: Millis) -> None:
        while self._waiting and self._waiting[-1].as_of < moment:
            one = self._waiting.pop()
            self._fresh.append((one, list(self._odds(one))))
        while self._fresh and self._fresh[0][0].as_of + AT_ONCE < moment:
            self.done.append(self._fresh.pop(0))

    def _odds(self, one: Recorded) -> Iterator[_Odd]:
        """The values that came out otherwise."""
        service = SERVICES[one.type]
        states = {key: self._states[key] for key in self._keys[id(one)] if key in self._states}
        made = rebuild(one, states)
        just_now = {key for key in self._keys[id(one)] if self._touched_at.get(key, -AT_ONCE) >= one.as_of - AT_ONCE}
        for lane in sorted({*one.snapshots, *made}):
            before, now = one.snapshots.get(lane), made.get(lane)
            for index, feature in enumerate(service.features):
                old = math.nan if before is None else float(before.values[index])
                new = math.nan if now is None else float(now.values[index])
                if before is not None and now is not None and _same(old, new):
                    continue
                pending = before is not None and before.origins[index] is Origin.PENDING
                odd = _Odd(feature, lane, old, new, Why.AT_ONCE if pending else self._excuse(feature, one.as_of))
                odd.notice(just_now)
                yield odd

    def _excuse(self, feature: Feature, as_of: Millis) -> Why | None:
        if self._gaps.excuses_all_at(as_of):
            return Why.CHANGED_LATER
        for gap, why in ((self._gaps.before, Why.BEFORE_EVENTS), (self._unread, Why.TOO_MANY_EVENTS)):
            if gap is not None and _reaches(feature, as_of, gap):
                return why
        return None


@dataclass(slots=True)
class _Odd:
    """A value that came out otherwise, and what excuses it."""

    feature: Feature
    lane: str
    recorded: float
    rebuilt: float
    excuse: Why | None

    def notice(self, keys: Collection[EntityKey]) -> None:
        """An event about these entities came at the time of the decision."""
        if self.excuse is None and any(key.entity in _entities(self.feature) for key in keys):
            self.excuse = Why.AT_ONCE


def _same(recorded: float, rebuilt: float) -> bool:
    """Bit for bit, as the snapshot's digest has it."""
    return struct.pack("<d", recorded) == struct.pack("<d", rebuilt)


def _reaches(feature: Feature, as_of: Millis, gap: Millis) -> bool:
    """Whether a feature looks at anything that became known by ``gap``; windows of whole days begin up to a day earlier."""
    calculation = feature.calculation
    windows = [(part.within, part.lag if isinstance(part, Aggregate) else 0) for part in calculation.parts] or [(calculation.within, 0)]
    return any(within is None or as_of - lag - within - DAY <= gap for within, lag in windows)


def _entities(feature: Feature) -> frozenset[Entity]:
    """Whose histories a feature may read. What is said of likely lanes also depends on the network, the region and the goods."""
    read = {entity for entity, _ in feature.calculation.sources}
    network = {Entity.NETWORK, Entity.REGION, Entity.SKU}
    return frozenset(read | network if read & network else read)


@dataclass(slots=True)
class _Count:
    checked: int = 0
    differing: int = 0
    examples: list[Difference] = field(default_factory=list)


class _Tally:
    """Adds decisions up."""

    def __init__(self) -> None:
        self._equal = self._differing = 0
        self._skipped: Counter[str] = Counter()
        self._features: dict[tuple[str, str], _Count] = {}

    def skip(self, why: Why, decisions: int) -> None:
        """Count decisions that cannot be compared."""
        if decisions:
            self._skipped[why.value] += decisions

    def enter(self, one: Recorded, odds: Sequence[_Odd]) -> None:
        """Count one decision that was rebuilt."""
        for feature in SERVICES[one.type].features:
            self._features.setdefault((one.type, feature.name), _Count()).checked += len(one.snapshots)
        for odd in odds:
            count = self._features[one.type, odd.feature.name]
            if odd.excuse is not None:
                count.checked -= 1
                continue
            count.differing += 1
            if len(count.examples) < EXAMPLES:
                count.examples.append(Difference(one.record_id, odd.lane, _known(odd.recorded), _known(odd.rebuilt)))
        excuses = [odd.excuse for odd in odds]
        if None in excuses:
            self._differing += 1
        elif excuses:
            self.skip(min(why for why in excuses if why is not None), 1)
        else:
            self._equal += 1

    def report(self, events_read: int, took_ms: int) -> ParityReport:
        """What it comes to."""
        features = [
            FeatureParity(kind, name, count.checked, count.differing, tuple(count.examples))
            for (kind, name), count in self._features.items()
            if count.checked or count.differing
        ]
        features.sort(key=lambda one: -one.differing)
        skipped = dict(sorted(self._skipped.items()))
        sampled = self._equal + self._differing + sum(skipped.values())
        values = sum(one.checked for one in features)
        return ParityReport(sampled, self._equal, self._differing, skipped, values, tuple(features), events_read, took_ms)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def to_json(report: ParityReport) -> dict[str, Any]:
    """Ready for JSON."""
    return asdict(report)


def from_json(entry: Mapping[str, Any]) -> ParityReport:
    """Read back what :func:`to_json` wrote."""
    features = tuple(
        FeatureParity(**{**one, "examples": tuple(Difference(**example) for example in one["examples"])}) for one in entry["features"]
    )
    return ParityReport(**{**entry, "features": features})
