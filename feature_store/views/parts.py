"""What features are made of: numbers from histories, declared as data. The evaluators, online and offline, say how they are computed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from feature_store.entities import Entity
from feature_store.events import EventType
from feature_store.folding import Fold, Shape, fold_of, sources
from feature_store.times import HOUR, Millis
from feature_store.views.situation import Own


class How(StrEnum):
    """What an :class:`Aggregate` makes of the items that it picks."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SHARE = "share"
    DISTINCT = "distinct"
    SINCE = "since"
    LAST = "last"
    UNSEEN = "unseen"


_OF_TALLIES = frozenset({How.COUNT, How.SUM, How.MEAN, How.SHARE})
_OF_NUMBERS = frozenset({How.SUM, How.MEAN, How.MIN, How.MAX, How.LAST})


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A number made from the history of one entity. Declarative: it says what, the evaluators (online, offline) say how.

    **Which items.** An item is ``(when, known, ref, value)`` (:class:`~feature_store.state.Item`), entered by the folds that
    :func:`~feature_store.folding.feeding` lists for ``entity`` and ``series``. At a decision at ``as_of``:

    1. *kept*: of the items with ``known <= as_of`` the newest ``keep`` of the fold, ordered by ``(when, known, ref, value)``;
    2. *candidates*: of these the ones with ``when <= as_of - lag``; where ``skips_own``, without those whose ``ref`` is the order's own
       (``code(order_id)``);
    3. *picked*: of these the ones with ``when > as_of - lag - within`` (all without ``within``); then the newest ``last`` of them.

    No candidates at all means never seen: the value is unknown, and the feature has its default. Is nothing picked, ``count``, ``sum`` and
    ``distinct`` are 0, ``unseen`` is 1, all else is unknown.

    **What of them.** With *n* picked items, their whole-number values *v*, ``s =`` :func:`~feature_store.folding.scale`; each result is a
    float64, every division is done once, on whole numbers turned into float64:

    - ``count``: n. ``sum``: Σv / s. ``min``, ``max``: v / s. ``last``: v / s of the newest. ``distinct``: how many different v, without
      ``code`` of the order's own identifier where ``own`` names one.
    - ``mean``: (Σv / s + prior·weight) / (n + weight). Of a flag it is the share.
    - ``share``: the distinct refs of the picked items, newest first, the first ``last`` of them, are *orders*; *hits* are those that are the ref of
      an item that is kept in the series ``having`` (of the same entity, ``known <= as_of``, ``when <= as_of``, no window, not the order's own):
      (hits + prior·weight) / (orders + weight). Here ``last`` counts orders, not items.
    - ``since``: (as_of - when of the newest) / ``per``.
    - ``unseen``: 1 when ``code`` of the order's own identifier ``own`` is none of v, else 0; unknown when the order names none.

    **Tallies** (shape ``TALLY``: counts and totals per period, for what sees too much to keep items). Windows are whole periods (UTC):
    ``(as_of - lag) // period`` and the ``within // period - 1`` before it, all events with ``known <= as_of`` in them; the order's own
    is not left out. ``count`` (events), ``sum`` (Σv / s), ``mean`` (total over events), ``share`` (events of the tally ``having`` over events of
    ``series``). ``item`` names one of the tallies ``series/item``; where the order or lane names none the value is unknown. Never seen: the tally has no
    event. ``within`` is needed.

    **When.** A value's event time is the ``when`` of its newest picked item, for ``share`` of series also that of the newest hit; ``None`` when nothing was
    picked. Of tallies: when the newest event in ``series`` happened, at most ``as_of - lag``.

    **Several entities.** An order has several SKUs and suppliers: each gives a value as above (or none), the largest counts (``least``: the smallest),
    of equal ones the newest.

    **Pairs.** ``Entity.CUSTOMER_DEVICE`` and the like are entities of their own, whose key is
    :func:`~feature_store.entities.pair_key` of two.

    Attributes:
        entity: whose history; a pair is an entity too.
        series: name of the series or tally in it.
        how: what is made of it.
        within: length of the window; ``None`` for all that is remembered.
        lag: the window ends that long before the decision.
        last: only the newest so many.
        having: for ``share``: the series in which an order must occur too.
        own: for ``distinct``, ``unseen``: the order's own identifier.
        item: for tallies by item: what names the item.
        prior, weight: for ``mean``, ``share``: a value that stands in with the weight of so many items where little is seen.
        per: for ``since``: the unit.
        least: of several entities the smallest value.

    Raises:
        ValueError: at definition, of anything that the folds cannot answer: unknown series, a window longer than what is remembered.
    """

    entity: Entity
    series: str
    how: How
    within: Millis | None = None
    lag: Millis = 0
    last: int | None = None
    having: str | None = None
    own: Own | None = None
    item: Own | None = None
    prior: float = 0.0
    weight: float = 0.0
    per: Millis = HOUR
    least: bool = False

    def __post_init__(self) -> None:
        fold = self.fold
        problem = self._of_tally(fold) if fold.shape is Shape.TALLY else self._of_series(fold)
        if (self.how is How.SHARE) != (self.having is not None):
            problem = "share needs the series that an order must occur in (having); nothing else has one"
        elif self.having is not None and fold_of(self.entity, self.having).shape is not fold.shape:
            problem = f"{self.having!r} is no {fold.shape.value}"
        elif self.having is not None and fold_of(self.entity, self.having).period != fold.period:
            problem = f"{self.having!r} counts by other periods"
        elif self.weight and self.how not in (How.MEAN, How.SHARE):
            problem = "only a mean and a share have a prior"
        if problem:
            raise ValueError(f"{self.how.value} of {self.entity.value} {self.series!r}: {problem}")

    def _of_tally(self, fold: Fold) -> str | None:
        if self.how not in _OF_TALLIES:
            return "a tally keeps no items; it has count, sum, mean and share"
        if self.within is None or self.within % fold.period or self.lag % fold.period or self.within <= 0:
            return "a tally needs a window and a lag of whole periods"
        if (self.within + self.lag) // fold.period >= fold.keep:
            return f"the tally remembers {fold.keep} periods only"
        if bool(fold.per) != (self.item is not None) or self.last is not None or self.own is not None:
            return "a tally by item needs the item; it knows no last items and no identifiers"
        return None

    def _of_series(self, fold: Fold) -> str | None:
        if fold.shape is not Shape.SERIES:
            return f"{fold.shape.value} is neither a series nor a tally"
        if self.last is not None and not 0 < self.last <= fold.keep:
            return f"the series remembers {fold.keep} items only"
        if (self.how is How.UNSEEN and self.own is None) or (self.how not in (How.DISTINCT, How.UNSEEN) and self.own is not None):
            return "unseen needs an identifier of the order, distinct may have one, nothing else has"
        if self.item is not None or self.lag < 0 or (self.within is not None and self.within <= 0):
            return "a series has no items by name, and its window a length"
        return None

    @property
    def fold(self) -> Fold:
        """One of the folds that feed the series: its shape, scale, keep and period."""
        return fold_of(self.entity, self.series)

    @property
    def reads(self) -> tuple[str, ...]:
        """The series or tallies that it reads."""
        return (self.series,) if self.having is None else (self.series, self.having)

    @property
    def skips_own(self) -> bool:
        """Whether the order's own items are left out: its placing never counts, whether the OMS reports it before or after it asks."""
        return self.fold.shape is Shape.SERIES and (self.how is How.SHARE or EventType.ORDER_PLACED in sources(self.entity, self.series))

    @property
    def formula(self) -> str:
        """All that it says, as one line."""
        rest = (
            f"within={self.within}", f"lag={self.lag}", f"last={self.last}", f"having={self.having}", f"own={self.own}", f"item={self.item}",
            f"prior={self.prior!r}", f"weight={self.weight!r}", f"per={self.per}", f"least={self.least}",
        )  # fmt: skip
        return f"{self.how.value}({self.entity.value}.{self.series}, {', '.join(rest)})"


@dataclass(frozen=True, slots=True)
class Fact:
    """The newest told value of a field of facts, by ``(event_time, known_at)`` among what is known; of several entities the largest or the least."""

    entity: Entity
    group: str
    field: str
    least: bool = False

    def __post_init__(self) -> None:
        if fold_of(self.entity, self.group).shape is not Shape.FACTS:
            raise ValueError(f"{self.entity.value} {self.group!r} are no facts")

    @property
    def reads(self) -> tuple[str, ...]:
        """The facts that it reads."""
        return (self.group,)

    @property
    def within(self) -> None:
        """Facts have no window."""
        return

    @property
    def formula(self) -> str:
        """All that it says, as one line."""
        return f"fact({self.entity.value}.{self.group}.{self.field}, least={self.least})"


@dataclass(frozen=True, slots=True)
class Forecast:
    """The worst of what holds now and at each moment ``ahead``, by what is known now.

    Of a series of shape ``FORECAST`` an item holds from ``when`` for ``ref`` minutes (0: for ever); of items that begin together only the one known
    last is kept. At a moment the one of the known that began last holds. Nothing known at all is unknown; nothing that holds is 0.
    """

    entity: Entity
    series: str
    ahead: tuple[Millis, ...] = (0,)

    def __post_init__(self) -> None:
        fold = fold_of(self.entity, self.series)
        if fold.shape is not Shape.FORECAST or fold.per:
            raise ValueError(f"{self.entity.value} {self.series!r} is no forecast, or one for each of several items")

    @property
    def reads(self) -> tuple[str, ...]:
        """The series that it reads."""
        return (self.series,)

    @property
    def within(self) -> None:
        """A forecast has no window."""
        return

    @property
    def formula(self) -> str:
        """All that it says, as one line."""
        return f"forecast({self.entity.value}.{self.series}, ahead={self.ahead})"


Part = Aggregate | Fact | Forecast
"""What an evaluator interprets."""
