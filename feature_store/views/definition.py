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
from feature_store.folding import definition_of, sources
from feature_store.snapshot import Origin
from feature_store.times import DAY, HOUR, MINUTE, Millis
from feature_store.views.parts import Part
from feature_store.views.situation import Situation

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
    SERVICE = "service"
    LANE = "lane"


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
        ttl: how old the newest fact in a value from the store may be; an older one counts as never seen. ``None``: any age.
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

    The last step of every evaluator, online and offline. What the request tells is of now, however long ago its order was placed.
    """
    if known is None:
        return feature.default, None, Origin.DEFAULT
    value, event_time, told = known
    origin = told or Origin.STORE
    if math.isnan(value):
        return feature.default, None, Origin.DEFAULT
    if feature.ttl is not None and event_time is not None and origin is Origin.STORE and as_of - event_time > feature.ttl:
        return feature.default, None, Origin.DEFAULT
    return value, event_time, origin


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
