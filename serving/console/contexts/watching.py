"""What the pages about features and health show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from serving.console.contexts.common import Badge, Frame, Option, Pair
from serving.console.contexts.training import Column


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One feature: what it means, how its values lie, how fresh they are; ``facts`` is its definition.

    Attributes:
        usual_x: where the usual value of the training lies in the drawing; empty where it is unknown or outside.
        range: the middle half of the values, or why there is none.
        tone: of the freshness: ``hold`` where facts are older than they may be, or mostly missing.
    """

    anchor: str
    name: str
    label: str
    about: str
    tags: tuple[str, ...]
    bars: tuple[Column, ...]
    bars_label: str
    usual_x: str
    range: str
    usual: str
    fresh: str
    defaults: str
    tone: str
    facts: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """The features of one decision type."""

    anchor: str
    label: str
    looked: str
    version: str
    rows: tuple[FeatureRow, ...]


@dataclass(frozen=True, slots=True)
class FeaturesPage:
    """``/console/features``: what models see."""

    TEMPLATE: ClassVar[str] = "features.html"
    frame: Frame
    types: tuple[Option, ...]
    entities: tuple[Option, ...]
    words: str
    narrowed: bool
    count: str
    groups: tuple[FeatureGroup, ...]


@dataclass(frozen=True, slots=True)
class OddFeature:
    """A feature that came out otherwise, with one example."""

    name: str
    label: str
    count: str
    example: str
    href: str


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of the service: how it is in one word and one sentence, and the facts behind it."""

    anchor: str
    name: str
    meaning: str
    badge: Badge
    text: str
    facts: tuple[Pair, ...]
    odd: tuple[OddFeature, ...] = ()
    href: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class HealthPage:
    """``/console/health``: how the service is."""

    TEMPLATE: ClassVar[str] = "health.html"
    frame: Frame
    badge: Badge
    text: str
    at: str
    at_machine: str
    parts: tuple[PartRow, ...]
