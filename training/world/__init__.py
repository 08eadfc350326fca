"""The simulated order world: an omnichannel retailer in China, for the demo and for tests (docs/world.md tells its causes).

Example::

    world = simulate(orders=1_000, seed=7)
    for item in world.stream():
        if isinstance(item, SimulatedOrder):
            ...  # decide item.order with what is known so far
        else:
            ...  # an Event that has just become known
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from feature_store.events import Event
from training.world.export import Written, write_world
from training.world.stream import stream as _stream
from training.world.values import DEFAULT_DAYS, DEFAULT_START, Label, SimulatedOrder, SimulatedShipment, WorldConfig

__all__ = ["Label", "SimulatedOrder", "SimulatedShipment", "World", "WorldConfig", "Written", "simulate", "write_world"]


@dataclass(frozen=True, slots=True)
class World:
    """One world; every call plays it anew from its first day, always the same."""

    config: WorldConfig

    def stream(self) -> Iterator[Event | SimulatedOrder]:
        """Events by ``known_at`` and orders by ``placed_at``, merged; an order comes before the events that it causes."""
        return _stream(self.config)

    def events(self) -> Iterator[Event]:
        """The events alone, by ``known_at``."""
        return (item for item in self.stream() if isinstance(item, Event))

    def orders(self) -> Iterator[SimulatedOrder]:
        """The orders alone, by the time at which they are placed."""
        return (item for item in self.stream() if isinstance(item, SimulatedOrder))


def simulate(orders: int, seed: int, start: date = DEFAULT_START, days: int = DEFAULT_DAYS) -> World:
    """A world of ``orders`` orders, spread over ``days`` days from ``start`` on (China's time).

    Nothing is computed before its stream is read.

    Raises:
        ValueError: a number that makes no world.
    """
    return World(WorldConfig(orders, seed, start, days))
