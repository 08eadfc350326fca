"""How declared parts become numbers online, and short names for what features are put together from.

Windows look back from the decision over ``event_time``; only what was known at the decision counts. The order's own placing never counts,
so that it does not matter whether the OMS reports it before or after it asks. What exactly is computed says
:class:`~feature_store.views.parts.Aggregate`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from feature_store.entities import Entity
from feature_store.folding import Shape
from feature_store.folding import scale as scale_of
from feature_store.snapshot import Origin
from feature_store.state import EntityState, Series, code
from feature_store.times import DAY, HOUR, MINUTE, Millis
from feature_store.views.definition import Calculation, Combine, Known
from feature_store.views.parts import Aggregate, Fact, Forecast, How, Part
from feature_store.views.situation import Own, Situation

OneHistory = Callable[[EntityState, Situation], Known | None]

MINUTES_5: Millis = 5 * MINUTE
WEEK: Millis = 7 * DAY
MONTH: Millis = 30 * DAY
QUARTER: Millis = 90 * DAY


def request(formula: str, read: Callable[[Situation], float | None]) -> Calculation:
    """A number that the request alone tells."""

    def run(situation: Situation) -> Known | None:
        value = read(situation)
        return None if value is None else Known(float(value), situation.order.placed_at, Origin.REQUEST)

    return Calculation(run, f"request({formula})")


def of(part: Part) -> Calculation:
    """The value of one part, as it is."""
    return Calculation(evaluator(part), part.formula, part.entity, part.reads, part.within, (part,))


def combined(formula: str, parts: Sequence[Part], combine: Combine) -> Calculation:
    """What a pure function makes of the values of several parts (``None`` where unknown) and the request."""
    evaluate = tuple(evaluator(part) for part in parts)

    def run(situation: Situation) -> Known | None:
        return combine(situation, [one(situation) for one in evaluate])

    windows = [part.within for part in parts if part.within is not None]
    whole = f"{formula}[{'; '.join(part.formula for part in parts)}]"
    return Calculation(run, whole, parts[0].entity if parts else None, (), max(windows, default=None), tuple(parts), combine)


def ratio(part: Aggregate, whole: Aggregate, *, prior: float = 0.0, weight: float = 0.0) -> Calculation:
    """One aggregate over another, (part + prior·weight) / (whole + weight); unknown when either is, or the divisor is 0."""

    def divide(_: Situation, values: Sequence[Known | None]) -> Known | None:
        above, below = values
        if above is None or below is None or below.value + weight == 0:
            return None
        return Known((above.value + prior * weight) / (below.value + weight), newest(values))

    return combined(f"ratio(prior={prior!r}, weight={weight!r})", (part, whole), divide)


def newest(values: Iterable[Known | None]) -> Millis | None:
    """When the newest fact in any of the values happened."""
    return max((one.event_time for one in values if one is not None and one.event_time is not None), default=None)


def count(entity: Entity, name: str, *, within: Millis | None = None, lag: Millis = 0, last: int | None = None) -> Calculation:
    """How many items."""
    return of(Aggregate(entity, name, How.COUNT, within, lag, last))


def distinct(entity: Entity, name: str, *, within: Millis | None = None, but: Own | None = None) -> Calculation:
    """How many different values, not counting the order's own one where ``but`` names it."""
    return of(Aggregate(entity, name, How.DISTINCT, within, own=but))


def mean(
    entity: Entity, name: str, *, within: Millis | None = None, last: int | None = None, prior: float = 0.0, weight: float = 0.0
) -> Calculation:
    """The mean value; of flags, the share."""
    return of(Aggregate(entity, name, How.MEAN, within, last=last, prior=prior, weight=weight))


def hours_since(entity: Entity, name: str) -> Calculation:
    """Hours since the newest item."""
    return of(Aggregate(entity, name, How.SINCE, per=HOUR))


def unseen(entity: Entity, name: str, own: Own) -> Calculation:
    """1 when the order's own identifier never occurred in a series that has items, else 0."""
    return of(Aggregate(entity, name, How.UNSEEN, own=own))


def share_having(
    entity: Entity,
    base: str,
    having: str,
    *,
    within: Millis | None = None,
    lag: Millis = 0,
    last: int | None = None,
    prior: float = 0.0,
    weight: float = 0.0,
) -> Calculation:
    """Share of the last ``last`` orders in ``base`` that also occur in ``having`` by now, drawn to ``prior`` with the weight of ``weight`` orders."""
    return of(Aggregate(entity, base, How.SHARE, within, lag, last, having, prior=prior, weight=weight))


def rate(
    entity: Entity, part: str, whole: str | None, *, within: Millis, prior: float, weight: float, item: Own | None = None
) -> Calculation:
    """A smoothed share over a daily tally: totals of ``part`` by its counts, or counts of ``part`` by counts of ``whole``."""
    if whole is None:
        return of(Aggregate(entity, part, How.MEAN, within, item=item, prior=prior, weight=weight))
    return of(Aggregate(entity, whole, How.SHARE, within, having=part, item=item, prior=prior, weight=weight))


def tally_mean(entity: Entity, name: str, *, within: Millis, item: Own | None = None) -> Calculation:
    """The mean of what a daily tally adds up, over today and the whole days (UTC) before it."""
    return of(Aggregate(entity, name, How.MEAN, within, item=item))


def fact(entity: Entity, group: str, field: str, *, least: bool = False) -> Calculation:
    """The newest told value of a field."""
    return of(Fact(entity, group, field, least))


def forecast(entity: Entity, name: str, ahead: tuple[Millis, ...] = (0,)) -> Calculation:
    """The worst of what holds now and at each moment ``ahead``, by what is known now."""
    return of(Forecast(entity, name, ahead))


def worst(known: Iterable[Known | None]) -> Known | None:
    """The largest of the values that are known; of equal ones the newest."""
    return max((one for one in known if one is not None), key=_by_value, default=None)


def _by_value(known: Known) -> tuple[float, Millis]:
    return known.value, known.event_time or 0


def _least_first(known: Known) -> tuple[float, Millis]:
    return known.value, -(known.event_time or 0)


def evaluator(part: Part) -> Callable[[Situation], Known | None]:
    """What computes a part online: a function made once, when the feature is defined."""
    if isinstance(part, Aggregate):
        one = _tallied(part) if part.fold.shape is Shape.TALLY else _picked(part)
    else:
        one = _told(part) if isinstance(part, Fact) else _foreseen(part)
    return _over(part.entity, one, least=not isinstance(part, Forecast) and part.least)


def _over(entity: Entity, one: OneHistory, *, least: bool) -> Callable[[Situation], Known | None]:
    def run(situation: Situation) -> Known | None:
        histories = situation.histories(entity)
        if len(histories) == 1:
            return one(histories[0], situation)
        known = [value for state in histories if (value := one(state, situation)) is not None]
        if not known:
            return None
        return min(known, key=_least_first) if least else max(known, key=_by_value)

    return run


Found = tuple[float, Millis | None]
"""A value and when the newest fact in it happened: :class:`Known` without the cost of making one."""

Reduce = Callable[[Series, int, int, EntityState, Situation], Found | None]
"""Makes a value of the items ``low`` to ``high`` (not included; at least one) of a series."""


def window(when: Sequence[Millis], until: Millis, within: Millis | None) -> tuple[int, int]:
    """Of items in the order of their time: where those of a window that ends with ``until`` begin, and where they end."""
    high = len(when) if when[-1] <= until else bisect_right(when, until)
    return 0 if within is None else bisect_right(when, until - within, 0, high), high


def nothing_picked(part: Aggregate, situation: Situation) -> float | None:
    """The value of a window without items, of a history that has some."""
    if part.how is How.UNSEEN and (part.own is None or situation.own(part.own) is None):
        return None
    return EMPTY.get(part.how)


EMPTY = {How.COUNT: 0.0, How.SUM: 0.0, How.DISTINCT: 0.0, How.UNSEEN: 1.0}
"""What is made of no items, where that is known; of identifiers that the order does not name it is not."""


def reduction(part: Aggregate) -> Reduce:
    """What makes a value of the picked items."""
    return _REDUCTIONS[part.how](part)


def _picked(part: Aggregate) -> OneHistory:
    name, skip_own, lag, within, last = part.series, part.skips_own, part.lag, part.within, part.last
    if part.how is How.SHARE:
        last = None  # there it counts orders
    reduce = reduction(part)

    def one(state: EntityState, situation: Situation) -> Known | None:
        series = situation.seen(state, name, skip_own=skip_own)
        if series is None:
            return None
        low, high = window(series.when, situation.as_of - lag, within)
        if low == high:
            empty = nothing_picked(part, situation) if high else None
            return None if empty is None else Known(empty)
        if last is not None and high - low > last:
            low = high - last
        found = reduce(series, low, high, state, situation)
        return None if found is None else Known(*found)

    return one


def _number(reduce: Callable[[Sequence[int]], int]) -> Callable[[Aggregate], Reduce]:
    """A reduction of the values alone to one whole number."""

    def made(part: Aggregate) -> Reduce:
        scale = scale_of(part.entity, part.series)
        return lambda series, low, high, _state, _situation: (reduce(series.value[low:high]) / scale, series.when[high - 1])

    return made


def _count(_: Aggregate) -> Reduce:
    return lambda series, low, high, _state, _situation: (float(high - low), series.when[high - 1])


def _mean(part: Aggregate) -> Reduce:
    scale, weight, assumed = scale_of(part.entity, part.series), part.weight, part.prior * part.weight
    return lambda series, low, high, _state, _situation: (
        (sum(series.value[low:high]) / scale + assumed) / (high - low + weight),
        series.when[high - 1],
    )


def _since(part: Aggregate) -> Reduce:
    return lambda series, _low, high, _state, situation: ((situation.as_of - series.when[high - 1]) / part.per, series.when[high - 1])


def _distinct(part: Aggregate) -> Reduce:
    def reduce(series: Series, low: int, high: int, _: EntityState, situation: Situation) -> Found:
        values = set(series.value[low:high])
        own = None if part.own is None else situation.own(part.own)
        return float(len(values) - (own is not None and code(own) in values)), series.when[high - 1]

    return reduce


def _unseen(part: Aggregate) -> Reduce:
    def reduce(series: Series, low: int, high: int, _: EntityState, situation: Situation) -> Found | None:
        own = None if part.own is None else situation.own(part.own)
        return None if own is None else (float(code(own) not in series.value[low:high]), series.when[high - 1])

    return reduce


def _share(part: Aggregate) -> Reduce:
    having, last, weight, assumed = part.having or "", part.last, part.weight, part.prior * part.weight

    def reduce(series: Series, low: int, high: int, state: EntityState, situation: Situation) -> Found:
        orders = list(dict.fromkeys(reversed(series.ref[low:high])))[:last]
        at = series.when[high - 1]
        marks = situation.seen(state, having, skip_own=True)
        hits = 0
        if marks is not None:
            until = bisect_right(marks.when, situation.as_of)
            newest_of = dict(zip(marks.ref[:until], marks.when[:until], strict=True))
            found = [newest_of[order] for order in orders if order in newest_of]
            hits, at = len(found), max([at, *found])
        return (hits + assumed) / (len(orders) + weight), at

    return reduce


_REDUCTIONS: dict[How, Callable[[Aggregate], Reduce]] = {
    How.COUNT: _count,
    How.SUM: _number(sum),
    How.MEAN: _mean,
    How.MIN: _number(min),
    How.MAX: _number(max),
    How.LAST: _number(lambda values: values[-1]),
    How.DISTINCT: _distinct,
    How.UNSEEN: _unseen,
    How.SINCE: _since,
    How.SHARE: _share,
}


def _tallied(part: Aggregate) -> OneHistory:
    period, how, having = part.fold.period, part.how, part.having or ""
    scale, weight, assumed = scale_of(part.entity, part.series), part.weight, part.prior * part.weight
    back, of_item = (part.within or 0) // period - 1, part.item

    def one(state: EntityState, situation: Situation) -> Known | None:
        key = situation.own(of_item) if of_item is not None else ""
        tally = None if key is None else state.tally(_named(part.series, key))
        if tally is None:
            return None
        until = situation.as_of - part.lag
        period_now = until // period
        events, total = tally.between(period_now - back, period_now)
        at = min(tally.newest, until) if events else None
        if how is How.COUNT:
            return Known(float(events), at)
        if how is How.SUM:
            return Known(total / scale, at)
        if how is How.SHARE:
            marks = state.tally(_named(having, key or ""))
            total = marks.between(period_now - back, period_now)[0] if marks else 0
        return Known((total / scale + assumed) / (events + weight), at) if events else None

    if how is How.SHARE:
        scale = 1
    return one


def _named(series: str, item: str) -> str:
    return f"{series}/{item}" if item else series


def _told(part: Fact) -> OneHistory:
    def one(state: EntityState, situation: Situation) -> Known | None:
        facts = state.facts(part.group, "", situation.as_of)
        value = facts.values.get(part.field) if facts else None
        return None if facts is None or value is None else Known(float(value), facts.event_time)

    return one


def in_force(series: Series, situation: Situation, moment: Millis) -> int | None:
    """Position of the forecast or rule that holds at ``moment`` by what is known: the one that began last. Its value is in millionths."""
    as_of, reach = situation.as_of, series.reach
    i = bisect_right(series.when, moment) - 1
    while i >= 0 and reach[i] > moment:
        ends = series.ref[i]
        if series.known[i] <= as_of and (ends == 0 or series.when[i] + ends * MINUTE > moment):
            return i
        i -= 1
    return None


def _foreseen(part: Forecast) -> OneHistory:
    scale = scale_of(part.entity, part.series)

    def one(state: EntityState, situation: Situation) -> Known | None:
        series = state.series(part.series)
        if series is None:
            return None
        found = [at for step in part.ahead if (at := in_force(series, situation, situation.as_of + step)) is not None]
        if not found:
            return Known(0.0) if min(series.known) <= situation.as_of else None
        at = max(found, key=lambda one: (series.value[one], one))
        return Known(series.value[at] / scale, min(series.when[at], situation.as_of))

    return one
