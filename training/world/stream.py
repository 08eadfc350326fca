"""The stream: orders and events of all days, in the order in which they become known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from feature_store.events import Event
from feature_store.times import Millis
from training.world.aftermath import Aftermath
from training.world.build import OrderBuilder
from training.world.calendar import Calendar, make_calendar
from training.world.catalogue import Catalogue, make_catalogue
from training.world.drafts import DayDrawer
from training.world.facts import base_events, daily_events, registration
from training.world.fulfilment import Fulfilment
from training.world.network import NetworkDays, make_network
from training.world.people import make_people
from training.world.rows import rows_of
from training.world.values import SimulatedOrder, WorldConfig, rng_of


class _Known(NamedTuple):
    """One thing and when it is known; at the same instant an order comes before the events that it causes."""

    at: Millis
    rank: int
    serial: int
    item: Event | SimulatedOrder


class Setting(NamedTuple):
    """What does not depend on the orders: calendar, network, goods."""

    calendar: Calendar
    network: NetworkDays
    catalogue: Catalogue


def make_setting(config: WorldConfig) -> Setting:
    """The stage on which the orders of a world are played."""
    calendar = make_calendar(config)
    return Setting(calendar, make_network(config, calendar), make_catalogue(config, calendar))


class _Outbox:
    """Holds what is not yet known, by the day on which it will be."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._days: dict[int, list[_Known]] = {}
        self._serial = 0

    def put(self, item: Event | SimulatedOrder) -> None:
        at, rank = (item.known_at, 1) if isinstance(item, Event) else (item.placed_at, 0)
        day = max(-1, self._calendar.day_of(at))
        self._serial += 1
        self._days.setdefault(day, []).append(_Known(at, rank, self._serial, item))

    def take(self, day: int) -> Iterator[Event | SimulatedOrder]:
        """Everything that becomes known on ``day`` (-1: before the first), in order."""
        known = self._days.pop(day, [])
        known.sort()
        for entry in known:
            yield entry.item

    def take_rest(self) -> Iterator[Event | SimulatedOrder]:
        """Everything that is still to become known, in order."""
        for day in sorted(self._days):
            yield from self.take(day)


def stream(config: WorldConfig) -> Iterator[Event | SimulatedOrder]:
    """One pass over a world: events by ``known_at`` and orders by ``placed_at``, merged.

    Memory holds the accounts and what has happened but is not yet known; it does not grow with the stream.
    """
    calendar, network, catalogue = setting = make_setting(config)
    launches = {int(day): sku for sku, day in enumerate(catalogue.launch_day) if day >= 0}
    people, plan = make_people(config, calendar, launches)
    drawer = DayDrawer(calendar, catalogue, people, plan)
    fulfilment = Fulfilment(calendar, catalogue, network, people)
    builder, aftermath = OrderBuilder(network, catalogue), Aftermath()
    outbox = _Outbox(calendar)
    for event in base_events(*setting):
        outbox.put(event)
    registered = iter(people.by_registration.tolist())
    waiting = next(registered, None)
    for day in range(-1, calendar.days):
        while waiting is not None and int(people.registered_at[waiting]) < calendar.start_of(day + 1):
            outbox.put(registration(people, waiting))
            waiting = next(registered, None)
        for event in daily_events(*setting, day + 1):
            outbox.put(event)
        if day >= 0:
            drafts = drawer.draw(day, rng_of(config.seed, 5, day))
            fates = fulfilment.decide(day, drafts, rng_of(config.seed, 6, day))
            for row, order in builder.build(day, rows_of(drafts, fates, people, rng_of(config.seed, 7, day))):
                outbox.put(order)
                for event in aftermath.events(row, order, calendar.start_of(day)):
                    outbox.put(event)
        yield from outbox.take(day)
    yield from outbox.take_rest()
