"""Which of several policies judges a decision: the most specific one whose scope holds for this order at this time.

A scope that names more of region, channel, tag and period is more specific; of two that name as many, the one of the higher declared rank;
of the same rank, the one that lies within the other. Two scopes that could both hold and that nothing tells apart are refused when a policy
is saved. So the policies that hold for a decision are a chain, and :func:`choose` finds its end, whatever the order in which it looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from feature_store.order import Order
from feature_store.times import Millis, format_time

_PARTS = ("regions", "channels", "tags")


class Ambiguous(Exception):
    """Two policies judge the same decision and nothing tells which; saving refuses this, so only an edited database can hold it."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a scope asks of a decision; all unknown where there is no order."""

    region: str | None = None
    channel: str | None = None
    tags: frozenset[str] = frozenset()

    @classmethod
    def of(cls, order: Order | None) -> Traits:
        """Those of an order."""
        return cls() if order is None else cls(order.ship_to.region, order.channel, frozenset(order.tags))


@dataclass(frozen=True, slots=True)
class Scope:
    """For which decisions a policy is meant; a part that is empty lets everything through.

    Attributes:
        regions: the order goes to one of them.
        channels: it came from one of them.
        tags: it has at least one of them.
        since: first moment at which it holds; ``until`` is the first at which it does not any more.
        rank: tells apart what is equally specific; the higher one judges.
    """

    regions: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    since: Millis | None = None
    until: Millis | None = None
    rank: int = 0

    @property
    def dated(self) -> bool:
        """Whether it names a period."""
        return self.since is not None or self.until is not None

    @property
    def named(self) -> int:
        """How many of region, channel, tag and period it names."""
        return sum(bool(getattr(self, part)) for part in _PARTS) + self.dated

    def holds(self, traits: Traits, at: Millis) -> bool:
        """Whether a decision at this time falls under it."""
        return (
            (not self.regions or traits.region in self.regions)
            and (not self.channels or traits.channel in self.channels)
            and (not self.tags or not self.tags.isdisjoint(traits.tags))
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )

    def within(self, other: Scope) -> bool:
        """Whether every decision under this one is under the other too."""
        return all(_part_within(getattr(self, part), getattr(other, part)) for part in _PARTS) and (
            (other.since is None or (self.since is not None and self.since >= other.since))
            and (other.until is None or (self.until is not None and self.until <= other.until))
        )

    def meets(self, other: Scope) -> bool:
        """Whether one decision could be under both. An order has many tags, so tags never keep scopes apart."""
        for part in ("regions", "channels"):
            mine, theirs = getattr(self, part), getattr(other, part)
            if mine and theirs and mine.isdisjoint(theirs):
                return False
        ended = self.until is not None and other.since is not None and self.until <= other.since
        early = other.until is not None and self.since is not None and other.until <= self.since
        return not ended and not early

    def beats(self, other: Scope) -> bool:
        """Whether it is the more specific one."""
        mine, theirs = (self.named, self.rank), (other.named, other.rank)
        return mine > theirs if mine != theirs else self.within(other) and not other.within(self)

    @property
    def text(self) -> str:
        """In words, for messages."""
        parts = [f"{part[:-1]} {' or '.join(sorted(getattr(self, part)))}" for part in _PARTS if getattr(self, part)]
        parts += [f"from {format_time(self.since)}"] if self.since is not None else []
        parts += [f"until {format_time(self.until)}"] if self.until is not None else []
        return ", ".join(parts) or "every decision of the type"


EVERYTHING = Scope()


class Scoped(Protocol):
    """What has a scope: a policy."""

    @property
    def scope(self) -> Scope:
        """Its scope."""


P = TypeVar("P", bound=Scoped)


def ambiguous(one: Scope, other: Scope) -> bool:
    """Whether a decision could be under both, and nothing tells which judges it."""
    return one.meets(other) and not one.beats(other) and not other.beats(one)


def choose(candidates: Sequence[P], traits: Traits, at: Millis) -> P | None:
    """The policy that judges; ``None`` where no scope holds. Pure, and independent of the order of the candidates.

    Raises:
        Ambiguous: two judge, and nothing tells which.
    """
    holding = [one for one in candidates if one.scope.holds(traits, at)]
    return _winner(holding) if len(holding) > 1 else holding[0] if holding else None


def _winner(holding: Iterable[P]) -> P:
    several = list(holding)
    for one in several:
        if all(one is other or one.scope.beats(other.scope) for other in several):
            return one
    raise Ambiguous("; ".join(one.scope.text for one in several))


def _part_within(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    return not theirs or (bool(mine) and mine <= theirs)
