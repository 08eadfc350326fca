"""All features of a service at once: each history is looked at once, each window is found once, whatever number of features look at it.

The values are those of each feature's own calculation; only the way there is shorter. What is not declared runs as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from feature_store.entities import Entity
from feature_store.folding import Shape
from feature_store.snapshot import Origin
from feature_store.state import EntityState, Series
from feature_store.times import Millis
from feature_store.views.aggregations import EMPTY, Reduce, evaluator, nothing_picked, reduction
from feature_store.views.definition import Combine, FeatureService, Known, Row, settle
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
    """How the features of a service are computed together; made once.

    The first slots are the features, in their order; more slots hold parts that features only combine.
    """

    def __init__(self, service: FeatureService) -> None:
        self._features = service.features
        self._combined: list[_Combined] = []
        self._alone: list[int] = []
        self._evaluated: list[tuple[int, Callable[[Situation], Known | None]]] = []
        self._ttl = [i for i, feature in enumerate(service.features) if feature.ttl is not None]
        self._blank: list[Row] = [(feature.default, None, _DEFAULT) for feature in service.features]
        planned: list[tuple[int, Aggregate]] = []
        extra: dict[Part, int] = {}
        for i, feature in enumerate(service.features):
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
                self._alone.append(i)
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
        for i in self._alone:
            rows[i] = settle(features[i], features[i].calculation.run(situation), as_of)


@lru_cache(maxsize=64)
def plan_of(service: FeatureService) -> Plan:
    """The plan of a service, made when it is first asked for."""
    return Plan(service)


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
