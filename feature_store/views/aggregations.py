"""The ways in which a history becomes a number. Each returns a :class:`Calculation`; features are put together from these.

Windows look back from the decision over ``event_time``; only what was known at the decision counts. The order's own placing never counts,
so that it does not matter whether the OMS reports it before or after it asks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from feature_store.entities import Entity
from feature_store.events import EventType
from feature_store.folding import sources
from feature_store.snapshot import Origin
from feature_store.state import EntityState, Series, code
from feature_store.times import DAY, HOUR, MINUTE, Millis
from feature_store.views.definition import Calculation, Known
from feature_store.views.situation import Situation

OneHistory = Callable[[EntityState, Situation], Known | None]


def request(formula: str, read: Callable[[Situation], float | None]) -> Calculation:
    """A number that the request alone tells."""

    def run(situation: Situation) -> Known | None:
        value = read(situation)
        return None if value is None else Known(float(value), situation.order.placed_at, Origin.REQUEST)

    return Calculation(run, f"request({formula})")


def over(
    entity: Entity, formula: str, reads: tuple[str, ...], one: OneHistory, *, within: Millis | None = None, least: bool = False
) -> Calculation:
    """A number about each of the order's entities of a kind; of several (SKUs, suppliers) the largest, or the least."""

    def run(situation: Situation) -> Known | None:
        histories = situation.histories(entity)
        if len(histories) == 1:
            return one(histories[0], situation)
        known = [value for state in histories if (value := one(state, situation)) is not None]
        if not known:
            return None
        return min(known, key=_by_value) if least else max(known, key=_by_value)

    pick = "min" if least else "max"
    return Calculation(run, f"{pick}({entity.value}: {formula}, within={within})", entity, reads, within)


def _by_value(known: Known) -> tuple[float, Millis]:
    return known.value, known.event_time or 0


def worst(known: Iterable[Known | None]) -> Known | None:
    """The largest of the values that are known; of equal ones the newest."""
    return max((one for one in known if one is not None), key=_by_value, default=None)


def picked(series: Series, situation: Situation, within: Millis | None, *, skip_own: bool) -> list[int]:
    """Positions of the items that happened in the window and were known, oldest first."""
    as_of = situation.as_of
    high = bisect_right(series.when, as_of)
    low = 0 if within is None else bisect_right(series.when, as_of - within, 0, high)
    known, ref, own = series.known, series.ref, situation.ref
    if skip_own:
        return [i for i in range(low, high) if known[i] <= as_of and ref[i] != own]
    return [i for i in range(low, high) if known[i] <= as_of]


Reduction = Callable[[Series, list[int], Situation], float | None]


def _series(
    entity: Entity, name: str, formula: str, reduce: Reduction, *, within: Millis | None = None, last: int | None = None
) -> Calculation:
    skip_own = EventType.ORDER_PLACED in sources(entity, name)

    def one(state: EntityState, situation: Situation) -> Known | None:
        series = state.series(name)
        at = [] if series is None else picked(series, situation, within, skip_own=skip_own)
        if last is not None:
            at = at[-last:]
        if series is None or not at:
            empty = reduce(_NO_ITEMS, [], situation)
            return None if empty is None else Known(empty)
        value = reduce(series, at, situation)
        return None if value is None else Known(value, series.when[at[-1]])

    return over(entity, f"{formula}({name}, last={last})", (name,), one, within=within)


_NO_ITEMS = Series()


def count(entity: Entity, name: str, *, within: Millis | None = None) -> Calculation:
    """How many items of a series."""
    return _series(entity, name, "count", lambda _series, at, _: float(len(at)), within=within)


def distinct(
    entity: Entity, name: str, *, within: Millis | None = None, but: Callable[[Situation], str | None] | None = None
) -> Calculation:
    """How many different values, not counting the order's own one where ``but`` names it."""

    def reduce(series: Series, at: list[int], situation: Situation) -> float:
        values = {series.value[i] for i in at}
        own = but(situation) if but else None
        return float(len(values - {float(code(own))} if own else values))

    return _series(entity, name, f"distinct(but_own={but is not None})", reduce, within=within)


def mean(entity: Entity, name: str, *, within: Millis | None = None, last: int | None = None) -> Calculation:
    """The mean value; of flags, the share."""

    def reduce(series: Series, at: list[int], _: Situation) -> float | None:
        return sum(series.value[i] for i in at) / len(at) if at else None

    return _series(entity, name, "mean", reduce, within=within, last=last)


def hours_since(entity: Entity, name: str) -> Calculation:
    """Hours since the newest item."""

    def reduce(series: Series, at: list[int], situation: Situation) -> float | None:
        return (situation.as_of - series.when[at[-1]]) / HOUR if at else None

    return _series(entity, name, "hours_since", reduce)


def unseen(entity: Entity, name: str, own: Callable[[Situation], str | None]) -> Calculation:
    """1 when the order's own identifier never occurred in a series that has items, else 0."""

    def reduce(series: Series, at: list[int], situation: Situation) -> float | None:
        key = own(situation)
        if not at or key is None:
            return None
        wanted = float(code(key))
        return float(all(series.value[i] != wanted for i in at))

    return _series(entity, name, "unseen", reduce)


def share_having(
    entity: Entity, base: str, having: str, *, last: int | None = None, prior: float = 0.0, weight: float = 0.0
) -> Calculation:
    """Share of the last ``last`` orders in ``base`` that also occur in ``having`` by now, drawn to ``prior`` with the weight of ``weight`` orders."""

    def one(state: EntityState, situation: Situation) -> Known | None:
        series, marks = state.series(base), state.series(having)
        at = [] if series is None else picked(series, situation, None, skip_own=True)
        if series is None or not at:
            return None
        orders = list(dict.fromkeys(series.ref[i] for i in reversed(at)))[:last]
        newest = series.when[at[-1]]
        marked: set[int] = set()
        if marks is not None:
            seen = picked(marks, situation, None, skip_own=True)
            marked = {marks.ref[i] for i in seen}
            newest = max([newest, *(marks.when[i] for i in seen)])
        hits = sum(order in marked for order in orders)
        return Known((hits + prior * weight) / (len(orders) + weight), newest)

    return over(entity, f"share_having({base}, {having}, last={last}, prior={prior}, weight={weight})", (base, having), one)


def rate(
    entity: Entity,
    part: str,
    whole: str | None,
    *,
    within: Millis,
    prior: float,
    weight: float,
    item: Callable[[Situation], str | None] | None = None,
) -> Calculation:
    """A smoothed share over a daily tally: totals of ``part`` by its counts, or counts of ``part`` by counts of ``whole``.

    The window is today and the whole days (UTC) before it. ``prior`` with the weight of ``weight`` events stands in where little is seen.
    ``item`` names one of several tallies, ``part/item``.
    """

    def one(state: EntityState, situation: Situation) -> Known | None:
        key = item(situation) if item else None
        if item and key is None:
            return None
        tally = state.tally(f"{part}/{key}" if key else part)
        base = tally if whole is None else state.tally(whole)
        if base is None:
            return None
        today = situation.as_of // DAY
        first = today - within // DAY + 1
        events, total = base.between(first, today)
        if whole is not None:
            total = tally.between(first, today)[0] if tally else 0
        return Known((total + prior * weight) / (events + weight), min(base.newest, situation.as_of)) if events else None

    formula = f"rate({part}/{whole}, prior={prior}, weight={weight}, by_item={item is not None})"
    return over(entity, formula, (part,) if whole is None else (part, whole), one, within=within)


def tally_mean(entity: Entity, name: str, *, within: Millis, item: Callable[[Situation], str | None] | None = None) -> Calculation:
    """The mean of what a daily tally adds up, over today and the whole days (UTC) before it."""

    def one(state: EntityState, situation: Situation) -> Known | None:
        key = item(situation) if item else None
        tally = None if item and key is None else state.tally(f"{name}/{key}" if key else name)
        if tally is None:
            return None
        today = situation.as_of // DAY
        events, total = tally.between(today - within // DAY + 1, today)
        return Known(total / events, min(tally.newest, situation.as_of)) if events else None

    return over(entity, f"tally_mean({name}, by_item={item is not None})", (name,), one, within=within)


def fact(entity: Entity, group: str, field: str, *, least: bool = False) -> Calculation:
    """The newest told value of a field."""

    def one(state: EntityState, situation: Situation) -> Known | None:
        facts = state.facts(group, "", situation.as_of)
        value = facts.values.get(field) if facts else None
        return None if facts is None or value is None else Known(float(value), facts.event_time)

    return over(entity, f"fact({group}.{field})", (group,), one, least=least)


def in_force(series: Series, situation: Situation, moment: Millis) -> int | None:
    """Position of the forecast or rule that holds at ``moment`` by what is known: the one that began last."""
    as_of = situation.as_of
    for i in range(bisect_right(series.when, moment) - 1, -1, -1):
        ends = series.ref[i]
        if series.known[i] <= as_of and (ends == 0 or series.when[i] + ends * MINUTE > moment):
            return i
    return None


def forecast(entity: Entity, name: str, ahead: tuple[Millis, ...] = (0,)) -> Calculation:
    """The worst of what holds now and at each moment ``ahead``, by what is known now."""

    def one(state: EntityState, situation: Situation) -> Known | None:
        series = state.series(name)
        if series is None:
            return None
        found = [at for step in ahead if (at := in_force(series, situation, situation.as_of + step)) is not None]
        if not found:
            return Known(0.0)
        worst = max(found, key=lambda at: series.value[at])
        return Known(series.value[worst], min(series.when[worst], situation.as_of))

    return over(entity, f"forecast({name}, ahead={ahead})", (name,), one)
