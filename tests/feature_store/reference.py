"""What the declared parts of features are, computed the slow and obvious way: from raw events, by loops over all of them.

It takes the table of folds as what it is, a table, and shares no code with the store that keeps histories nor with the evaluators.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from feature_store.entities import Entity
from feature_store.events import Event, EventType, Kind
from feature_store.folding import FOLDS, Fold, Shape
from feature_store.views.parts import Aggregate, Fact, Forecast, How, Part
from feature_store.views.situation import Own
from feature_store.vocabulary import VOCABULARY

Value = tuple[float, int | None]
"""A number, and when the newest fact in it happened."""


@dataclass(frozen=True)
class Question:
    """Who asks, and when.

    Attributes:
        keys: for each entity the keys that the order names, each a tuple: of one, or of two for a pair.
        own: the identifiers of the order and the lane.
    """

    as_of: int
    order_id: str
    keys: Mapping[Entity, Sequence[tuple[str, ...]]]
    own: Mapping[Own, str | None]


@dataclass(frozen=True)
class Row:
    """An event as one history sees it; ``value`` as the business tells it: money in CNY, a flag as 0 or 1, an identifier as text."""

    when: int
    known: int
    ref: int
    value: int
    number: Fraction
    label: str
    until: int | None
    facts: Mapping[str, Any]


def check_sum(text: str) -> int:
    return zlib.crc32(text.encode())


def kind_of(event: EventType, field: str) -> Kind:
    return VOCABULARY[event][field].kind


def number_of(event: Event, fold: Fold) -> tuple[int, Fraction] | None:
    """The value as it lies in the history, and as a number in the unit of the event."""
    if fold.field is None:
        return 1, Fraction(1)
    told = event.data.get(fold.field)
    if told is None:
        return None
    kind = kind_of(event.type, fold.field)
    if kind is Kind.NUMBER:
        micros = round(told * 1_000_000)
        return micros, Fraction(micros, 1_000_000)
    whole = check_sum(told) if kind is Kind.TEXT else int(told)
    return whole, Fraction(whole)


def names(event: Event, fold: Fold, key: tuple[str, ...]) -> bool:
    """Whether the event names this entity."""
    for field, wanted in zip(fold.by, key, strict=False):
        told = event.data.get(field)
        if told is None or (wanted != told and (isinstance(told, str) or wanted not in told)):
            return False
    return True


def history(events: Iterable[Event], entity: Entity, key: tuple[str, ...], into: str, as_of: int) -> list[Row]:
    """All rows of one history that were known at ``as_of``, oldest first."""
    rows = []
    for event in events:
        if event.known_at > as_of:
            continue
        for fold in FOLDS[event.type]:
            if fold.entity is not entity or fold.into != into or not names(event, fold, key):
                continue
            label = [event.data.get(field) for field in fold.per]
            told = (0, Fraction(0)) if fold.shape is Shape.FACTS else number_of(event, fold)
            if told is None or None in label:
                continue
            when, until, ref = event.event_time, None, check_sum(event.data["order_id"]) if "order_id" in event.data else 0
            if fold.shape is Shape.FORECAST:
                when = event.valid_from if event.valid_from is not None else when
                until = event.data.get("valid_to")
                ref = 0 if until is None else max(1, (until - when) // 60_000)
            facts = {name: value for name, value in event.data.items() if name not in {*fold.by, *fold.per}}
            rows.append(Row(when, event.known_at, ref, *told, "|".join(map(str, label)), until, facts))
    return sorted(rows, key=lambda row: (row.when, row.known, row.ref, row.value))


def of_one(part: Part, events: Sequence[Event], key: tuple[str, ...], question: Question) -> Value | None:
    """The value for one entity."""
    if isinstance(part, Fact):
        return newest_told(part, history(events, part.entity, key, part.group, question.as_of))
    rows = history(events, part.entity, key, part.series, question.as_of)
    if isinstance(part, Forecast):
        return worst_ahead(part, rows[-part_keep(part) :], question.as_of)
    marks = [] if part.having is None else history(events, part.entity, key, part.having, question.as_of)
    if part_shape(part) is Shape.TALLY:
        return of_periods(part, rows, marks, question)
    return of_items(part, rows, marks, question)


def part_fold(entity: Entity, into: str) -> Fold:
    return next(fold for folds in FOLDS.values() for fold in folds if fold.entity is entity and fold.into == into)


def part_keep(part: Aggregate | Forecast) -> int:
    return part_fold(part.entity, part.series).keep


def part_shape(part: Aggregate) -> Shape:
    return part_fold(part.entity, part.series).shape


def of_items(part: Aggregate, rows: list[Row], marks: list[Row], question: Question) -> Value | None:
    own_placing = any(part.entity is fold.entity and part.series == fold.into for fold in FOLDS[EventType.ORDER_PLACED])
    own_ref = check_sum(question.order_id) if own_placing or part.how is How.SHARE else None
    end = question.as_of - part.lag
    candidates = [row for row in rows[-part_keep(part) :] if row.when <= end and row.ref != own_ref]
    if not candidates:
        return None
    picked = [row for row in candidates if part.within is None or row.when > end - part.within]
    if part.last is not None and part.how is not How.SHARE:
        picked = picked[-part.last :]
    own = None if part.own is None else question.own.get(part.own)
    if part.how is How.UNSEEN and own is None:
        return None
    at = picked[-1].when if picked else None
    match part.how:
        case How.COUNT:
            return float(len(picked)), at
        case How.SUM:
            return float(sum((row.number for row in picked), Fraction(0))), at
        case How.DISTINCT:
            return float(len({row.value for row in picked} - {None if own is None else check_sum(own)})), at
        case How.UNSEEN:
            return float(all(row.value != check_sum(own or "") for row in picked)), at
        case How.SHARE:
            kept = marks[-part_fold(part.entity, part.having or "").keep :]
            return of_orders(part, picked, [row for row in kept if row.when <= question.as_of and row.ref != own_ref]) if picked else None
    return of_some(part, picked, question.as_of) if picked else None


def of_some(part: Aggregate, picked: list[Row], as_of: int) -> Value:
    numbers, at = [row.number for row in picked], picked[-1].when
    match part.how:
        case How.MEAN:
            return smoothed(part, float(sum(numbers)), len(picked)), at
        case How.MIN:
            return float(min(numbers)), at
        case How.MAX:
            return float(max(numbers)), at
        case How.SINCE:
            return float(Fraction(as_of - at, part.per)), at
    return float(numbers[-1]), at


def of_orders(part: Aggregate, picked: list[Row], marks: list[Row]) -> Value:
    orders: list[int] = []
    for row in reversed(picked):
        if row.ref not in orders and (part.last is None or len(orders) < part.last):
            orders.append(row.ref)
    hits = [row for row in marks if row.ref in orders]
    return smoothed(part, len({row.ref for row in hits}), len(orders)), max([picked[-1].when, *(row.when for row in hits)])


def smoothed(part: Aggregate, hits: float, cases: int) -> float:
    return (hits + part.prior * part.weight) / (cases + part.weight)


def of_periods(part: Aggregate, rows: list[Row], marks: list[Row], question: Question) -> Value | None:
    wanted = "" if part.item is None else question.own.get(part.item)
    if wanted is None:
        return None
    rows = [row for row in rows if row.label == wanted]
    if not rows:
        return None
    period, end = part_fold(part.entity, part.series).period, question.as_of - part.lag
    first, last = end // period - (part.within or 0) // period + 1, end // period

    def within(found: list[Row]) -> list[Row]:
        return [row for row in found if row.label == wanted and first <= row.when // period <= last]

    picked = within(rows)
    at = min(max(row.when for row in rows), end) if picked else None
    total = float(sum((row.number for row in picked), Fraction(0)))
    match part.how:
        case How.COUNT:
            return float(len(picked)), at
        case How.SUM:
            return total, at
    if not picked:
        return None
    return smoothed(part, total if part.how is How.MEAN else len(within(marks)), len(picked)), at


def newest_told(part: Fact, rows: list[Row]) -> Value | None:
    told = [row for row in rows if row.label == "" and part.field in row.facts]
    if not told:
        return None
    newest: dict[str, int] = {}
    for row in rows:
        newest.update(dict.fromkeys(row.facts, row.when))
    best = max(told, key=lambda row: (row.when, row.known, repr(row.facts[part.field])))
    return float(best.facts[part.field]), max(newest.values())


def worst_ahead(part: Forecast, rows: list[Row], as_of: int) -> Value | None:
    if not rows:
        return None
    rows = list({row.when: row for row in rows}.values())  # told anew, the later one counts
    found = []
    for step in part.ahead:
        holding = [row for row in rows if row.when <= as_of + step and (row.ref == 0 or row.when + row.ref * 60_000 > as_of + step)]
        found += holding[-1:]
    if not found:
        return 0.0, None
    worst = max(found, key=lambda row: (row.number, row.when))
    return float(worst.number), min(worst.when, as_of)


def value_of(part: Part, events: Sequence[Event], question: Question) -> Value | None:
    """The value of a part for an order; of several entities the largest, or the least."""
    found = [of_one(part, events, key, question) for key in question.keys.get(part.entity, ())]
    known = [one for one in found if one is not None]
    if not known:
        return None
    if not isinstance(part, Forecast) and part.least:
        return min(known, key=lambda one: (one[0], -(one[1] or 0)))
    return max(known, key=lambda one: (one[0], one[1] or 0))
