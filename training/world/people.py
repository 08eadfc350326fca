"""The customers, and the plan of who orders when: all accounts and all authors of several orders are laid out before the first day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from feature_store.times import DAY, HOUR, MINUTE, Millis
from training.world.calendar import Calendar
from training.world.network import CITIES
from training.world.scenes import MAX_ORDERS, SIGNALS, Scene, prior_of
from training.world.values import Floats, Ints, WorldConfig, pick, rng_of

SEGMENTS: tuple[str, ...] = ("bronze", "silver", "gold", "platinum")
RETURN_HABIT: Floats = np.array([0.004, 0.020, 0.09, 0.34])
"""Hidden habits of customers: chance of returning a usual order."""
RETURN_HABIT_SHARE: Floats = np.array([0.60, 0.27, 0.095, 0.035])
NEW_SHARE = 0.09
MOBILE_NETWORKS = 400
_DEVICES_PER_CUSTOMER = 16
_FOREIGN = 8_000_000


@dataclass(frozen=True, slots=True)
class Author:
    """One author of a scene on one day: one or several orders, each from an account of its own."""

    scene: Scene
    fraud: bool
    start: Millis
    first_account: int
    orders: int
    serial: int
    sku: int = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """How many orders each day has, and which of them are laid out beforehand.

    Attributes:
        orders: orders by day.
        first_orders: by day the accounts that are new, with the moment of their first order.
        authors: by day.
    """

    orders: Ints
    first_orders: tuple[tuple[tuple[int, Millis], ...], ...]
    authors: tuple[tuple[Author, ...], ...]


@dataclass(slots=True)
class People:
    """All accounts as arrays; changes as people move, change phones, and are seen to return goods.

    Attributes:
        regulars: accounts 0..regulars-1 order on their own; later ones belong to authors of scenes.
        habit: hidden kind of returner.
        belief: log-probability of each kind given the returns that are known so far, (accounts, 4), up to a constant.
        orders: orders placed so far.
        network: serial of the network at home; who moves gets another.
        group: serial of the author whose address an account was registered with; -1 for none.
    """

    regulars: int
    city: Ints
    registered_at: Ints
    segment: Ints
    activity: Floats
    habit: Ints
    belief: Floats
    orders: Ints
    device: Ints
    address: Ints
    network: Ints
    group: Ints
    group_device: Ints
    by_registration: Ints

    def habit_chances(self, accounts: Ints) -> Floats:
        """Probability of each kind of returner for each account, (n, 4)."""
        belief = self.belief[accounts]
        weights = np.exp(belief - belief.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


Serial = TypeVar("Serial", int, Ints)


def device_serial(account: Serial, version: Serial) -> Serial:
    """Serial of the ``version``-th device, or address, of an account."""
    return account * _DEVICES_PER_CUSTOMER + version % _DEVICES_PER_CUSTOMER


def foreign_serial(serial: Serial) -> Serial:
    """Serial of a device, address, card or network that belongs to no regular account."""
    return _FOREIGN + serial


class _Casting:
    """Lays out the authors of scenes day by day, and the accounts that they use."""

    RATES: Mapping[Scene, float] = MappingProxyType({Scene.CARD_TESTING: 0.0052, Scene.SHARED_ADDRESS: 0.0034, Scene.LAUNCH: 0.11})
    """Authors per order of the day; launches on their day only."""

    def __init__(self, calendar: Calendar, launches: dict[int, int], rng: np.random.Generator, first_account: int) -> None:
        self._calendar, self._launches, self._rng = calendar, launches, rng
        self.next_account, self._serial = first_account, 0

    def authors(self, day: int, orders: int) -> tuple[Author, ...]:
        """The authors of ``day``, with at most half of its ``orders``."""
        found: list[Author] = []
        budget = orders // 2
        for scene, rate in self.RATES.items():
            if scene is Scene.LAUNCH and day not in self._launches:
                continue
            for _ in range(int(self._rng.poisson(orders * rate))):
                author = self._author(scene, day, budget)
                if author is None:
                    break
                budget -= author.orders
                found.append(author)
        return tuple(found)

    def _author(self, scene: Scene, day: int, budget: int) -> Author | None:
        rng = self._rng
        fraud = bool(rng.random() < prior_of(scene, float(self._calendar.progress[day])))
        count = int(min(rng.geometric(1.0 - SIGNALS[scene].goes_on[fraud]), MAX_ORDERS, budget))
        if count < 1:
            return None
        hour = 10.0 + rng.exponential(0.6) if scene is Scene.LAUNCH else rng.uniform(7.0, 23.0)
        start = self._calendar.start_of(day) + int(min(hour, 23.0) * HOUR)
        sku = self._launches[day] if scene is Scene.LAUNCH else -1
        author = Author(scene, fraud, start, self.next_account, count, self._serial, sku)
        self.next_account += count
        self._serial += 1
        return author


def make_people(config: WorldConfig, calendar: Calendar, launches: dict[int, int]) -> tuple[People, Plan]:
    """All accounts of a world and the plan of its days.

    ``launches`` tells for days on which a limited SKU goes on sale, which.
    """
    rng = rng_of(config.seed, 4)
    orders = rng.multinomial(config.orders, calendar.volume / calendar.volume.sum()).astype(np.int64)
    known = max(200, config.orders // 6)
    fresh = rng.binomial(orders, NEW_SHARE)
    regulars = known + int(fresh.sum())
    registered = np.zeros(regulars, dtype=np.int64)
    registered[:known] = calendar.midnight - (DAY * (2.0 + rng.exponential(420.0, known))).astype(np.int64)
    first_orders: list[tuple[tuple[int, Millis], ...]] = []
    authors: list[tuple[Author, ...]] = []
    at, casting = known, _Casting(calendar, launches, rng, regulars)
    for day in range(calendar.days):
        hours = pick(rng, np.cumsum(calendar.hours(day)), int(fresh[day])) * HOUR + rng.integers(0, HOUR, fresh[day])
        gaps = np.minimum(rng.exponential(40 * MINUTE, fresh[day]) + MINUTE, 12 * HOUR).astype(np.int64)
        moments = np.sort(calendar.start_of(day) + hours)
        registered[at : at + len(moments)] = moments - gaps
        first_orders.append(tuple((at + i, int(m)) for i, m in enumerate(moments)))
        at += len(moments)
        authors.append(casting.authors(day, int(orders[day]) - len(moments)))
    people = _make_accounts(rng, regulars, casting.next_account, registered, authors)
    return people, Plan(orders, tuple(first_orders), tuple(authors))


def _make_accounts(rng: np.random.Generator, regulars: int, total: int, registered: Ints, authors: list[tuple[Author, ...]]) -> People:
    weights = np.cumsum([city.weight for city in CITIES])
    city = pick(rng, weights, total)
    registered_at = np.zeros(total, dtype=np.int64)
    registered_at[:regulars] = registered
    group, group_device = np.full(total, -1), np.full(total, -1)
    for author in (author for day in authors for author in day):
        mine = slice(author.first_account, author.first_account + author.orders)
        signals = SIGNALS[author.scene]
        assert signals.age_d is not None
        assert signals.same_device is not None
        age = rng.exponential(signals.age_d[author.fraud], author.orders) * DAY
        registered_at[mine] = author.start - age.astype(np.int64) - MINUTE
        group_device[mine] = np.where(rng.random(author.orders) < signals.same_device[author.fraud], author.serial, -1)
        if author.scene is Scene.SHARED_ADDRESS:
            group[mine], city[mine] = author.serial, city[author.first_account]
    return People(
        regulars=regulars,
        city=city,
        registered_at=registered_at,
        segment=pick(rng, np.cumsum([0.55, 0.27, 0.13, 0.05]), total),
        activity=rng.gamma(0.8, 1.0, total) + 0.05,
        habit=pick(rng, np.cumsum(RETURN_HABIT_SHARE), total),
        belief=np.tile(np.log(RETURN_HABIT_SHARE), (total, 1)),
        orders=np.zeros(total, dtype=np.int64),
        device=np.zeros(total, dtype=np.int64),
        address=np.zeros(total, dtype=np.int64),
        network=np.arange(total, dtype=np.int64) + MOBILE_NETWORKS,
        group=group,
        group_device=group_device,
        by_registration=np.argsort(registered_at, kind="stable").astype(np.int64),
    )
