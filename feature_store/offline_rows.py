"""The rest of a training set: what pure functions make of declared parts, of facts and of the request, by the very code that answers requests.

Requests go by in the order of their moments. The facts and forecasts that these functions read are entered into states as they became known,
as they were online; entities that many orders name keep theirs, those of single orders are read for a slice of requests and forgotten with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import duckdb
import numpy as np
import orjson
from numpy.typing import NDArray

from feature_store.entities import Entity, EntityKey
from feature_store.folding import FOLDS, Fold, Shape, fold_of
from feature_store.order import Order
from feature_store.state import EntityState, Item
from feature_store.times import Millis
from feature_store.views.aggregations import evaluator
from feature_store.views.definition import Feature, Known, settle
from feature_store.views.parts import Aggregate
from feature_store.views.situation import Own, Situation

LASTING: Final = frozenset({Entity.SKU, Entity.SUPPLIER, Entity.REGION, Entity.NETWORK})
"""Entities that many orders name."""

_OF_LANES: Final = frozenset({Own.NODE, Own.SERVICE, Own.LANE})

Numbers = NDArray[np.float64]
Times = NDArray[np.int64]


class OrderMissing(Exception):
    """A feature looks at the order, and the request has none."""


class Part(NamedTuple):
    """What DuckDB computed of an aggregate for the requests of a slice: values, NaN where unknown, and event times, -1 where none."""

    values: list[float]
    times: list[int]


def plain(feature: Feature) -> Aggregate | None:
    """The aggregate that is the feature's value as it is; ``None`` when it is more, or something else."""
    parts = feature.calculation.parts
    if feature.calculation.combine is not None or len(parts) != 1:
        return None
    part = parts[0]
    return part if isinstance(part, Aggregate) and part.item not in _OF_LANES else None


def aggregates(feature: Feature) -> tuple[Aggregate, ...]:
    """The aggregates that a feature's value is made from."""
    return tuple(part for part in feature.calculation.parts if isinstance(part, Aggregate))


def histories(features: Sequence[Feature]) -> tuple[tuple[Entity, str], ...]:
    """The histories that the code of these features reads itself: what it declares, and the facts of entities that many orders name."""
    found: list[tuple[Entity, str]] = []
    for feature in features:
        calculation, declared = feature.calculation, aggregates(feature)
        done = {(part.entity, name) for part in declared for name in part.reads}
        own = [one for one in calculation.sources if one not in done]
        if own or any(part.item in _OF_LANES for part in declared):
            found += [*own, *_FACTS]
    return tuple(dict.fromkeys(found))


_FACTS: Final = tuple(
    dict.fromkeys(
        (fold.entity, fold.into)
        for folds in FOLDS.values()
        for fold in folds
        if fold.entity in LASTING and fold.shape in (Shape.FACTS, Shape.FORECAST)
    )
)


@dataclass(frozen=True, slots=True)
class Slice:
    """Requests that follow each other: from ``first`` to ``last`` (not included), the latest at ``until``."""

    first: int
    last: int
    until: Millis


class Replay:
    """States as they were, request by request.

    Needs the tables ``named`` and ``bodies``, and a table or view ``entries``.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, reads: Sequence[tuple[Entity, str]]) -> None:
        self._connection = connection
        self._folds = {(entity.value, name): fold_of(entity, name) for entity, name in reads}
        self._lasting: dict[EntityKey, EntityState] = {}
        self._seen: Millis = -(2**62)
        if reads:
            wanted = ", ".join(f"('{entity.value}', '{name}')" for entity, name in reads)
            connection.execute(
                f"CREATE TABLE told AS SELECT entity, key, history, item, happened, known, ref, value, facts FROM entries "
                f"SEMI JOIN named USING (entity, key) WHERE (entity, history) IN ({wanted}) ORDER BY known"
            )

    def situations(self, part: Slice) -> Iterator[Situation]:
        """Each request of the slice with the states of its moment."""
        rows = self._connection.execute(
            f"SELECT as_of, body, node, service FROM requests JOIN bodies USING (rid) WHERE rid >= {part.first} AND rid < {part.last} ORDER BY rid"
        ).fetchall()
        states = dict(self._lasting)
        told = self._told(part)
        at = 0
        for as_of, body, node, service in rows:
            while at < len(told) and told[at][5] <= as_of:
                self._enter(states, told[at])
                at += 1
            yield _situation(as_of, body, None if node is None else (node, service), states)
        self._lasting = {key: state for key, state in states.items() if key.entity in LASTING}
        self._seen = part.until

    def _told(self, part: Slice) -> list[tuple[Any, ...]]:
        if not self._folds:
            return []
        lasting = ", ".join(f"'{entity.value}'" for entity in sorted(LASTING))
        own = f"SELECT entity, key FROM named WHERE rid >= {part.first} AND rid < {part.last}"
        rows: list[tuple[Any, ...]] = self._connection.execute(
            f"SELECT * FROM told WHERE known <= {part.until} AND CASE WHEN entity IN ({lasting}) THEN known > {self._seen} "
            f"ELSE (entity, key) IN ({own}) END ORDER BY known"
        ).fetchall()
        return rows

    def _enter(self, states: dict[EntityKey, EntityState], row: tuple[Any, ...]) -> None:
        entity, key, history, item, when, known, ref, value, facts = row
        name = EntityKey(Entity(entity), key)
        state = states.get(name)
        if state is None:
            state = states[name] = EntityState()
        fold = self._folds[entity, history]
        enter(state, fold, item, Item(when, known, ref, value), {} if facts is None else orjson.loads(facts))


def enter(state: EntityState, fold: Fold, item: str, entered: Item, facts: Mapping[str, Any]) -> None:
    """Enter a row of the archive into a state, as folding entered the event."""
    match fold.shape:
        case Shape.FACTS:
            state.tell(fold.into, item, entered.when, entered.known, facts)
        case Shape.TALLY:
            state.add_count(f"{fold.into}/{item}" if item else fold.into, entered.when, fold.period, entered.value, fold.keep)
        case Shape.FORECAST:
            state.add_item(f"{fold.into}/{item}" if item else fold.into, entered, fold.keep, once=True)
        case _:
            state.add_item(fold.into, entered, fold.keep)
    state.known_at = max(state.known_at, entered.known)


class _NoOrder:
    """Stands where an order would be; whoever looks at it learns that there is none."""

    order_id = ""

    def __getattr__(self, name: str) -> Any:
        raise OrderMissing(name)


def _situation(as_of: Millis, body: str | None, lane: tuple[str, str] | None, states: Mapping[EntityKey, EntityState]) -> Situation:
    if body is None:
        return Situation(cast("Order", _NoOrder()), states, as_of)
    situation = Situation(Order.model_validate_json(body), states, as_of)
    if lane is None:
        return situation
    for rate in situation.network.lanes(situation.order.ship_to.region):
        if (rate.node_id, rate.service) == lane:
            return situation.on(rate)
    return situation


Step = Callable[[Situation, int], Known | None]
"""Computes a feature for a situation, the so-and-so-many-th of its slice."""


def step(feature: Feature, parts: Mapping[Aggregate, Part]) -> Step:
    """What computes one feature for the requests of a slice, given what was computed of its aggregates."""
    calculation = feature.calculation
    if not calculation.parts:
        return lambda situation, _: calculation.run(situation)
    ways = [_way(part, parts) for part in calculation.parts]
    combine = calculation.combine
    if combine is None:
        return ways[0]
    return lambda situation, i: combine(situation, [way(situation, i) for way in ways])


def _way(part: Any, parts: Mapping[Aggregate, Part]) -> Step:
    if not isinstance(part, Aggregate):
        evaluate = evaluator(part)
        return lambda situation, _: evaluate(situation)
    values, times = parts[part]
    of_lane, of_node = part.item in _OF_LANES, part.item is Own.NODE

    def read(situation: Situation, i: int) -> Known | None:
        value, at = values[i], times[i]
        # DuckDB took the lane by its name; where nobody had told of it, it is not known.
        if value != value or (of_lane and (situation.node if of_node else situation.rate) is None):  # noqa: PLR0124 - NaN
            return None
        return Known(value, None if at < 0 else at)

    return read


def compute(
    features: Mapping[int, Feature], situations: Iterable[Situation], parts: Mapping[Aggregate, Part], values: Numbers, times: Times
) -> None:
    """Compute features for a slice, into their columns.

    Args:
        features: by their column; any but :func:`plain` ones.
        situations: of the requests; the states of one are as they should be until the next is asked for.
        parts: what was computed of aggregates.
        values: float64, (features, requests); written to.
        times: int64, (features, requests), -1 for none; written to.

    Raises:
        OrderMissing: a feature looks at the order of a request that has none; the message names the feature.
    """
    steps = [(column, feature, step(feature, parts)) for column, feature in features.items()]
    for i, situation in enumerate(situations):
        for column, feature, one in steps:
            try:
                value, at, _ = settle(feature, one(situation, i), situation.as_of)
            except OrderMissing:
                raise OrderMissing(f"{feature.name} looks at the order, and a request has none; leave it out or give the order") from None
            values[column, i] = value
            times[column, i] = -1 if at is None else at
