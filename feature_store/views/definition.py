"""What a feature is: its number, and everything that a person has to know about that number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from feature_store.entities import Entity
from feature_store.events import EventType
from feature_store.folding import sources
from feature_store.snapshot import Origin
from feature_store.times import DAY, HOUR, Millis
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


@dataclass(frozen=True, slots=True)
class Calculation:
    """How a value comes about.

    Attributes:
        run: computes it; ``None`` when nothing is known. Pure.
        formula: what is computed, exactly; part of the view's version.
        entity: whose history is read; ``None`` when the request alone is.
        reads: names of the series, tallies and facts that are read.
        within: how far back; ``None`` where there is no window.
    """

    run: Callable[[Situation], Known | None]
    formula: str
    entity: Entity | None = None
    reads: tuple[str, ...] = ()
    within: Millis | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Attributes:
        en, zh: its meaning in one short phrase that can head a column; also the label in reasons.
        reason: stable code of the reason that it gives, grouped by ``group``.
        default: its value for "never seen".
        actionable: whether somebody could change it for this order (for recourse).
        personal: whether it speaks of a person (for erasure and disclosure).
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
        entity = self.calculation.entity
        if entity is None:
            return ()
        return tuple(dict.fromkeys(kind for into in self.calculation.reads for kind in sources(entity, into)))

    @property
    def window(self) -> str | None:
        """How far back it looks, such as ``30d`` or ``1h``."""
        within = self.calculation.within
        if within is None:
            return None
        return f"{within // DAY}d" if within % DAY == 0 else f"{within / HOUR:g}h"

    @property
    def definition(self) -> str:
        """All that decides its value, as one line."""
        return f"{self.name}|{self.calculation.formula}|{self.default!r}|{self.revision}"


@dataclass(frozen=True)
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
