"""What a feature is: its number, and everything that a person has to know about that number."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from feature_store.entities import Entity
from feature_store.events import EventType
from feature_store.folding import Fold, Shape, definition_of, fold_of, sources
from feature_store.snapshot import Origin
from feature_store.times import DAY, HOUR, MINUTE, Millis
from feature_store.views.situation import Own, Situation

NOT_KNOWN = float("nan")
"""The default of a number that has no honest stand-in."""


class Dtype(StrEnum):
    """How a value is to be read; the model always gets a float64."""

    NUMBER = "number"
    INTEGER = "integer"
    SHARE = "share"
    """0 to 1, shown in per cent."""
    FLAG = "flag"
    """0 or 1, shown as no or yes."""


class Unit(StrEnum):
    """The unit of a value, in the words of the interface."""

    NONE = ""
    CNY = "CNY"
    PIECES = "pieces"
    ORDERS = "orders"
    DAYS = "days"
    HOURS = "h"
    KM = "km"
    KG = "kg"
    TIMES = "×"
    PEOPLE = "customers"
    PAYMENTS = "payments"
    CARDS = "cards"
    O_CLOCK = "o'clock"


class Group(StrEnum):
    """What correlated features have in common: their contributions are told as one reason."""

    BASKET = "basket"
    PROMISE = "promise"
    CALENDAR = "calendar"
    CUSTOMER = "customer"
    IDENTITY = "identity"
    SHARING = "sharing"
    VELOCITY = "velocity"
    PAYMENT = "payment"
    DISPUTES = "disputes"
    LAUNCH = "launch"
    RETURNS = "returns"
    STOCK = "stock"
    SUPPLIER = "supplier"
    CUSTOMS = "customs"
    WEATHER = "weather"
    NODE = "node"
    LANE = "lane"
    DESTINATION = "destination"


class Owner(StrEnum):
    """Who answers for a definition."""

    RISK = "risk"
    FULFILMENT = "fulfilment"
    SUPPLY = "supply"
    CUSTOMER_CARE = "customer care"
    SALES = "sales"


_OWNERS: Mapping[Group, Owner] = {
    **dict.fromkeys((Group.IDENTITY, Group.SHARING, Group.VELOCITY, Group.PAYMENT, Group.DISPUTES), Owner.RISK),
    **dict.fromkeys((Group.STOCK, Group.SUPPLIER, Group.CUSTOMS), Owner.SUPPLY),
    **dict.fromkeys((Group.CUSTOMER, Group.RETURNS), Owner.CUSTOMER_CARE),
    **dict.fromkeys((Group.BASKET, Group.LAUNCH), Owner.SALES),
}
"""Who owns the features of a group; fulfilment owns the rest."""


class Known(NamedTuple):
    """A value, and when the newest fact in it happened; ``origin`` only where it is not the feature's usual one."""

    value: float
    event_time: Millis | None = None
    origin: Origin | None = None


class Scope(StrEnum):
    """For what a feature is computed once; only lane features go beyond the order."""

    ORDER = "order"
    NODE = "node"
    LANE = "lane"


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

    Of a series of shape ``FORECAST`` an item holds from ``when`` for ``ref`` minutes (0: for ever); at a moment the one of the known that began
    last holds. Nothing known at all is unknown; nothing that holds is 0.
    """

    entity: Entity
    series: str
    ahead: tuple[Millis, ...] = (0,)

    def __post_init__(self) -> None:
        if fold_of(self.entity, self.series).shape is not Shape.FORECAST:
            raise ValueError(f"{self.entity.value} {self.series!r} is no forecast")

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

Combine = Callable[[Situation, Sequence[Known | None]], Known | None]
"""Makes one value of the parts' values, in their order, and the request. Pure; the same code online and offline."""


@dataclass(frozen=True, slots=True)
class Calculation:
    """How a value comes about.

    Made by the functions of :mod:`feature_store.views.aggregations`: ``of(part)``, ``combined(formula, parts, combine)``,
    ``ratio(a, b)``, ``request(formula, read)``; written out only for what reads facts of the network in ways of its own.

    Attributes:
        run: computes it online; ``None`` when nothing is known. Pure.
        formula: what is computed, exactly; part of the view's version.
        entity: whose history is read; ``None`` when the request alone is.
        reads: names of the series, tallies and facts of ``entity`` that are read, besides those of ``parts``.
        within: how far back; ``None`` where there is no window.
        parts: what is read of histories, declared; an evaluator elsewhere computes these, then ``combine``.
        combine: ``None`` where the value is that of the one part.
    """

    run: Callable[[Situation], Known | None]
    formula: str
    entity: Entity | None = None
    reads: tuple[str, ...] = ()
    within: Millis | None = None
    parts: tuple[Part, ...] = ()
    combine: Combine | None = None

    @property
    def sources(self) -> tuple[tuple[Entity, str], ...]:
        """Every history that is read, by entity and name."""
        own = [(self.entity, name) for name in self.reads] if self.entity is not None else []
        return tuple(dict.fromkeys([*own, *((part.entity, name) for part in self.parts for name in part.reads)]))


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Attributes:
        en, zh: its meaning in one short phrase that can head a column; also the label in reasons.
        reason: stable code of the reason that it gives, grouped by ``group``.
        default: its value for "never seen".
        actionable: whether somebody could change it for this order (for recourse).
        personal: whether it speaks of a person (for erasure and disclosure).
        ttl: how old the newest fact in the value may be; older ones count as unknown. ``None``: any age.
        revision: raised when ``calculation`` changes in a way that its formula does not tell.
    """

    name: str
    dtype: Dtype
    unit: Unit
    en: str
    zh: str
    reason: str
    group: Group
    calculation: Calculation
    default: float = NOT_KNOWN
    actionable: bool = False
    personal: bool = False
    scope: Scope = Scope.ORDER
    ttl: Millis | None = None
    revision: int = 1

    @property
    def entity(self) -> Entity | None:
        """Whose history it reads; ``None`` for a feature of the request alone."""
        return self.calculation.entity

    @property
    def meaning(self) -> Mapping[str, str]:
        """Its meaning by language."""
        return {"en": self.en, "zh": self.zh}

    @property
    def source_events(self) -> tuple[EventType, ...]:
        """The types of events that feed it."""
        return tuple(dict.fromkeys(kind for entity, name in self.calculation.sources for kind in sources(entity, name)))

    @property
    def owner(self) -> Owner:
        """Who answers for it."""
        return _OWNERS.get(self.group, Owner.FULFILMENT)

    @property
    def window(self) -> str | None:
        """How far back it looks, such as ``30d``, ``1h`` or ``5min``."""
        within = self.calculation.within
        return None if within is None else duration(within)

    @property
    def definition(self) -> str:
        """All that decides its value, as one line: the calculation, what feeds the histories that it reads, default and ttl."""
        feeds = " ".join(definition_of(entity, name) for entity, name in self.calculation.sources)
        return f"{self.name}|{self.calculation.formula}|{feeds}|{self.default!r}|{self.ttl}|{self.revision}"

    @property
    def version(self) -> str:
        """Changes when its definition does, and only then."""
        return f"{self.name}-{hashlib.sha256(self.definition.encode()).hexdigest()[:12]}"


Row = tuple[float, Millis | None, Origin]
"""A value as a snapshot holds it: number, event time, origin."""


def settle(feature: Feature, known: Known | None, as_of: Millis) -> Row:
    """What a feature is, given what its calculation found: its default where that is nothing, not a number, or older than the feature's ttl.

    The last step of every evaluator, online and offline.
    """
    if known is None:
        return feature.default, None, Origin.DEFAULT
    value, event_time, origin = known
    if math.isnan(value) or (feature.ttl is not None and event_time is not None and as_of - event_time > feature.ttl):
        return feature.default, None, Origin.DEFAULT
    return value, event_time, origin or Origin.STORE


def duration(length: Millis) -> str:
    """A length of time in the largest unit that divides it, such as ``30d``, ``1h`` or ``5min``."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if length % unit == 0:
            return f"{length // unit}{name}"
    return f"{length / 1000:g}s"


@dataclass(frozen=True, eq=False)
class FeatureService:
    """The features of one decision type, in the order in which a model gets them.

    Attributes:
        view_version: changes when any definition in it does.
    """

    type: str
    features: tuple[Feature, ...]
    names: tuple[str, ...] = field(init=False)
    view_version: str = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(feature.name for feature in self.features)
        if len(set(names)) != len(names):
            raise ValueError(f"{self.type}: a feature occurs twice")
        digest = hashlib.sha256("\n".join(feature.definition for feature in self.features).encode()).hexdigest()
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "view_version", f"{self.type}-{digest[:12]}")

    def feature(self, name: str) -> Feature:
        """The feature of that name.

        Raises:
            KeyError: there is none.
        """
        return self.features[self.names.index(name)] if name in self.names else _missing(self.type, name)


def _missing(kind: str, name: str) -> Feature:
    raise KeyError(f"{kind} has no feature {name!r}")
