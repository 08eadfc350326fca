"""Features of an order computed together: each history is looked at once, each window is found once, whatever number of features look at it.

The values are those of each feature's own calculation; only the way there is shorter. What is not declared runs as it is. A :class:`Plan` is for
one situation; :class:`LanePlan` for all lanes of an order; :class:`Joint` for several services at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from feature_store.entities import Entity
from feature_store.folding import Shape
from feature_store.network import Rate
from feature_store.snapshot import Origin
from feature_store.state import EntityState, Series
from feature_store.times import Millis
from feature_store.views.aggregations import EMPTY, Reduce, evaluator, nothing_picked, reduction
from feature_store.views.definition import Combine, Feature, FeatureService, Known, Row, Scope, settle
from feature_store.views.parts import Aggregate, How, Part
from feature_store.views.situation import ONE_AT_MOST, Situation

_FOR_EVER: Millis = 2**62
_STORE, _DEFAULT = Origin.STORE, Origin.DEFAULT


class _Reader(NamedTuple):
    """A part over one window of one series, and the slot in which its value goes; ``last``: of the items only so many."""

    slot: int
    last: int | None
    reduce: Reduce


class _Window(NamedTuple):
    """Parts that look at the same items.

    Attributes:
        counts: the slots of those that only ask how many there are.
        readers: the others.
        empty: what those are that have a value where there are none.
        asks: those of which that depends on the order.
    """

    within: Millis
    counts: tuple[int, ...]
    readers: tuple[_Reader, ...]
    empty: tuple[tuple[int, Row], ...]
    asks: tuple[tuple[int, Aggregate], ...]


class _Look(NamedTuple):
    """One series as it ends ``lag`` before the decision, and the windows over it."""

    name: str
    skip_own: bool
    lag: Millis
    windows: tuple[_Window, ...]


class _Combined(NamedTuple):
    """A feature made of several parts, and the slots of these."""

    slot: int
    combine: Combine
    parts: tuple[int, ...]


class Plan:
    """How features are computed together; made once.

    The first slots are the features, in their order; more slots hold parts that features only combine.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = tuple(features)
        self._combined: list[_Combined] = []
        self._alone: list[tuple[int, Feature, Callable[[Situation], Known | None]]] = []
        self._evaluated: list[tuple[int, Callable[[Situation], Known | None]]] = []
        self._ttl = [i for i, feature in enumerate(features) if feature.ttl is not None]
        self._blank: list[Row] = [(feature.default, None, _DEFAULT) for feature in features]
        planned: list[tuple[int, Aggregate]] = []
        extra: dict[Part, int] = {}
        for i, feature in enumerate(features):
            calculation = feature.calculation
            if calculation.combine is not None:
                for part in calculation.parts:
                    if part not in extra:
                        extra[part] = len(self._blank)
                        self._blank.append((0.0, None, _DEFAULT))
                self._combined.append(_Combined(i, calculation.combine, tuple(extra[part] for part in calculation.parts)))
            elif len(calculation.parts) == 1 and _shared(calculation.parts[0]):
                planned += [(i, part) for part in calculation.parts if isinstance(part, Aggregate)]
            else:
                self._alone.append((i, feature, calculation.run))
        for part, slot in extra.items():
            if isinstance(part, Aggregate) and _shared(part):
                planned.append((slot, part))
            else:
                self._evaluated.append((slot, evaluator(part)))
        self._looks = _looks(planned)

    def run(self, situation: Situation) -> list[Row]:
        """The features, in their order; pure."""
        rows, as_of = self._blank.copy(), situation.as_of
        for entity, looks in self._looks:
            histories = situation.histories(entity)
            if histories:
                state = histories[0]
                plain = state.known_at <= as_of and not state.mentions(situation.ref)
                for look in looks:
                    series = state.series(look.name) if plain else situation.seen(state, look.name, skip_own=look.skip_own)
                    if series is not None:
                        _look(look, series, state, situation, rows)
        self._rest(situation, rows)
        if len(rows) > len(self._features):
            del rows[len(self._features) :]
        return rows

    def _rest(self, situation: Situation, rows: list[Row]) -> None:
        as_of, features = situation.as_of, self._features
        for slot, evaluate in self._evaluated:
            known = evaluate(situation)
            if known is not None:
                rows[slot] = (known.value, known.event_time, _STORE)
        for i in self._ttl:
            if rows[i][2] is _STORE:
                rows[i] = settle(features[i], Known(*rows[i]), as_of)
        for i, combine, parts in self._combined:
            told = [Known(rows[slot][0], rows[slot][1]) if rows[slot][2] is _STORE else None for slot in parts]
            rows[i] = settle(features[i], combine(situation, told), as_of)
        for i, feature, run in self._alone:
            known = run(situation)
            if known is None:
                continue
            if feature.ttl is not None:
                rows[i] = settle(feature, known, as_of)
            elif known[0] == known[0]:  # no NaN: what settle does without a ttl, spared a call for each of the hundreds of values of lanes
                rows[i] = (known[0], known[1], known[2] or _STORE)


class LanePlan:
    """How the features of lanes are computed: those of the order once, those of a node or a service once for each, the others for each lane."""

    def __init__(self, service: FeatureService) -> None:
        self._width = len(service.features)
        self._scopes = {scope: _Scoped(service, scope) for scope in Scope}

    @property
    def of_order(self) -> tuple[Feature, ...]:
        """The features that do not depend on the lane."""
        return self._scopes[Scope.ORDER].features

    def run(self, situation: Situation, lanes: Iterable[Rate], of_order: Sequence[Row] | None = None) -> list[list[Row]]:
        """The features of each lane, in their order; pure.

        Args:
            situation: of the order.
            lanes: to be looked at.
            of_order: the rows of :attr:`of_order`, where they are known already.
        """
        scopes, blank = self._scopes, (0.0, None, _DEFAULT)
        base: list[Row] = [blank] * self._width
        scopes[Scope.ORDER].enter(base, scopes[Scope.ORDER].plan.run(situation) if of_order is None else of_order)
        of_node: dict[str, list[Row]] = {}
        of_service: dict[str, list[Row]] = {}
        found = []
        for lane in lanes:
            seen = situation.on(lane)
            known = of_node.get(lane.node_id)
            if known is None:
                known = of_node[lane.node_id] = base.copy()
                scopes[Scope.NODE].enter(known, scopes[Scope.NODE].plan.run(seen))
            shared = of_service.get(lane.service)
            if shared is None:
                shared = of_service[lane.service] = scopes[Scope.SERVICE].plan.run(seen)
            row = known.copy()
            scopes[Scope.SERVICE].enter(row, shared)
            scopes[Scope.LANE].enter(row, scopes[Scope.LANE].plan.run(seen))
            found.append(row)
        return found


class _Scoped:
    """The features of a service that are computed once for the same thing, and their places."""

    def __init__(self, service: FeatureService, scope: Scope) -> None:
        chosen = [(at, feature) for at, feature in enumerate(service.features) if feature.scope is scope]
        self.features = tuple(feature for _, feature in chosen)
        self.plan = Plan(self.features)
        self._places = tuple(at for at, _ in chosen)

    def enter(self, row: list[Row], found: Sequence[Row]) -> None:
        """Put what was found into its places."""
        for at, one in zip(self._places, found, strict=True):
            row[at] = one


class Joint:
    """The features of several services for one order, each computed once however many of them have it."""

    def __init__(self, services: Iterable[FeatureService]) -> None:
        slots: dict[Feature, int] = {}
        self._places: dict[str, list[int]] = {}
        self._lanes: dict[str, LanePlan] = {}
        for service in services:
            features = service.features
            if any(feature.scope is not Scope.ORDER for feature in features):
                self._lanes[service.type] = lane_plan_of(service)
                features = lane_plan_of(service).of_order
            self._places[service.type] = [slots.setdefault(feature, len(slots)) for feature in features]
        self._plan = Plan(tuple(slots))

    def run(self, situation: Situation, lanes: Iterable[Rate]) -> Mapping[str, list[list[Row]]]:
        """The features by service: of one about lanes a row for each of ``lanes``, of others one row; pure."""
        found = self._plan.run(situation)
        rows = {}
        for kind, places in self._places.items():
            mine, of_lanes = [found[at] for at in places], self._lanes.get(kind)
            rows[kind] = [mine] if of_lanes is None else of_lanes.run(situation, lanes, mine)
        return rows


@lru_cache(maxsize=64)
def plan_of(service: FeatureService) -> Plan:
    """The plan of a service, made when it is first asked for."""
    return Plan(service.features)


@lru_cache(maxsize=8)
def lane_plan_of(service: FeatureService) -> LanePlan:
    """The plan of a service about lanes, made when it is first asked for."""
    return LanePlan(service)


def _shared(part: Part) -> bool:
    """Whether it is about a series of an entity of which an order names one at most."""
    return isinstance(part, Aggregate) and part.entity in ONE_AT_MOST and part.fold.shape is Shape.SERIES


def _looks(planned: list[tuple[int, Aggregate]]) -> list[tuple[Entity, list[_Look]]]:
    """Parts by entity, then by series and lag, then by window."""
    found: dict[Entity, dict[tuple[str, bool, Millis], dict[Millis | None, list[tuple[int, Aggregate]]]]] = {}
    for slot, part in planned:
        windows = found.setdefault(part.entity, {}).setdefault((part.series, part.skips_own, part.lag), {})
        windows.setdefault(part.within, []).append((slot, part))
    return [
        (entity, [_Look(*key, tuple(_window(within, parts) for within, parts in windows.items())) for key, windows in of.items()])
        for entity, of in found.items()
    ]


def _window(within: Millis | None, parts: list[tuple[int, Aggregate]]) -> _Window:
    counts = tuple(slot for slot, part in parts if part.how is How.COUNT and part.last is None)
    # Of a share the last so many are orders, which only its own reduction can tell.
    readers = tuple(
        _Reader(slot, None if part.how is How.SHARE else part.last, reduction(part)) for slot, part in parts if slot not in counts
    )
    empty = tuple((slot, (EMPTY[part.how], None, _STORE)) for slot, part in parts if part.how in EMPTY and part.how is not How.UNSEEN)
    return _Window(
        _FOR_EVER if within is None else within,
        counts,
        readers,
        empty,
        tuple((slot, part) for slot, part in parts if part.how is How.UNSEEN),
    )


def _look(look: _Look, series: Series, state: EntityState, situation: Situation, rows: list[Row]) -> None:
    """Answer all that is asked of one series; what is never seen keeps its default."""
    until, when = situation.as_of - look.lag, series.when
    high = len(when) if when[-1] <= until else bisect_right(when, until)
    if not high:
        return
    at = when[high - 1]
    oldest_age, newest_age = until - when[0], until - at
    for within, counts, readers, empty, asks in look.windows:
        if oldest_age < within:
            low = 0
        elif newest_age < within:
            low = bisect_right(when, until - within, 0, high)
        else:
            for slot, row in empty:
                rows[slot] = row
            for slot, part in asks:
                _ask(slot, part, situation, rows)
            continue
        for slot in counts:
            rows[slot] = (float(high - low), at, _STORE)
        for slot, last, reduce in readers:
            known = reduce(series, low if last is None or high - low <= last else high - last, high, state, situation)
            if known is not None:
                rows[slot] = (known[0], known[1], _STORE)


def _ask(slot: int, part: Aggregate, situation: Situation, rows: list[Row]) -> None:
    value = nothing_picked(part, situation)
    if value is not None:
        rows[slot] = (value, None, _STORE)
