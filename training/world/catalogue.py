"""What is sold and who supplies it: SKUs, suppliers with their delays, stock by node as it is reported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world.calendar import Calendar
from training.world.network import NODES
from training.world.values import Bools, Floats, Ints, WorldConfig, rng_of

SKUS = 160
SUPPLIERS = 24
SUPPLIER_REPORT_DAYS = 2
"""Suppliers report every second day; in between the last report is all that anybody knows."""


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of goods. ``returns``: how often it comes back, relative to the mean."""

    name: str
    share: float
    price: float
    weight_g: float
    volume_cm3: float
    returns: float
    chilled: bool = False
    bulky: bool = False
    imported: float = 0.0


CATEGORIES: tuple[Category, ...] = (
    Category("fashion", 0.22, 190.0, 450, 2400, 1.9),
    Category("beauty", 0.18, 220.0, 260, 700, 0.9, imported=0.35),
    Category("electronics", 0.16, 1300.0, 700, 2600, 1.1, imported=0.08),
    Category("home", 0.12, 820.0, 14000, 90000, 1.0, bulky=True),
    Category("fresh", 0.10, 85.0, 1600, 4500, 0.25, chilled=True),
    Category("grocery", 0.10, 60.0, 1300, 3000, 0.35),
    Category("baby", 0.07, 260.0, 1100, 5200, 0.6, imported=0.4),
    Category("sport", 0.05, 330.0, 1500, 8000, 1.2),
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All SKUs as arrays of length 160, the suppliers' reports, the reported stock.

    Attributes:
        price_cents: list price in fen.
        discount: share of the list price that is taken off, (days, 160).
        launch_day: the day a limited SKU goes on sale; -1 for all others.
        stocked: which node keeps which SKU, (12, 160).
        supplier_load: open orders as a share of capacity, as last reported, (days, 24).
        supplier_delay: announced delay in days, as last reported, (days, 24).
        stock: pieces available as last reported, (days, 12, 160).
        reported: where a new report came in that day, (days, 12, 160).
        safety: pieces kept back, (12, 160).
    """

    category: Ints
    supplier: Ints
    price_cents: Ints
    discount: Floats
    weight_g: Ints
    volume_cm3: Ints
    presale: Bools
    imported: Bools
    popularity: Floats
    launch_day: Ints
    stocked: Bools
    supplier_capacity: Ints
    supplier_load: Floats
    supplier_delay: Floats
    stock: Ints
    reported: Bools
    safety: Ints

    def price_on(self, day: int) -> Ints:
        """What each SKU costs on a day, in fen."""
        reduced = np.round(self.price_cents * (1.0 - self.discount[day]) / 100.0).astype(np.int64) * 100 - 10
        return np.where(self.discount[day] > 0.0, np.maximum(reduced, 90), self.price_cents)

    @property
    def chilled(self) -> Bools:
        """Which SKUs must be kept cold."""
        return np.array([c.chilled for c in CATEGORIES])[self.category]

    @property
    def bulky(self) -> Bools:
        """Which SKUs need a node and a van for large goods."""
        return np.array([c.bulky for c in CATEGORIES])[self.category]

    @property
    def returns(self) -> Floats:
        """How often each SKU comes back, relative to the mean."""
        return np.array([c.returns for c in CATEGORIES])[self.category]


def sku_id(index: int) -> str:
    """The SKU's name."""
    return f"SKU-{index + 1:04d}"


def supplier_id(index: int) -> str:
    """The supplier's name."""
    return f"SUP-{index + 1:02d}"


def _suppliers(calendar: Calendar, rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
    capacity = rng.integers(300, 2400, SUPPLIERS)
    habit = rng.normal(0.62, 0.10, SUPPLIERS)
    load, delay = np.zeros((calendar.days, SUPPLIERS)), np.zeros((calendar.days, SUPPLIERS))
    state, trouble = np.zeros(SUPPLIERS), np.zeros(SUPPLIERS)
    for day in range(calendar.days):
        state = 0.9 * state + rng.normal(0.0, 0.06, SUPPLIERS)
        hit = rng.random(SUPPLIERS) < 0.010 + 0.012 * calendar.closed[day]
        trouble = np.maximum(trouble * 0.9, np.where(hit, rng.gamma(2.0, 2.0, SUPPLIERS), 0.0))
        load[day] = np.clip(habit * (0.75 + 0.3 * min(calendar.volume[day], 2.0)) + state + 0.04 * trouble, 0.05, 1.8)
        delay[day] = trouble + 3.0 * np.clip(load[day] - 0.95, 0.0, 1.0)
        if day % SUPPLIER_REPORT_DAYS:
            load[day], delay[day] = load[day - 1], delay[day - 1]
    return capacity, load.round(3), delay.round(1)


def _stock(calendar: Calendar, base: Floats, safety: Floats, delay: Floats, rng: np.random.Generator) -> tuple[Ints, Bools]:
    """Stock falls with demand and is filled up after the supplier's time; a report goes out when it matters."""
    stock = base * rng.uniform(0.5, 1.4, base.shape)
    arrives = np.full(base.shape, -1)
    seen = np.zeros((calendar.days, *base.shape), dtype=np.int64)
    reported = np.zeros(seen.shape, dtype=np.bool_)
    for day in range(calendar.days):
        if day:
            stock = np.maximum(0.0, stock - base * 0.022 * calendar.volume[day - 1] * rng.gamma(2.0, 0.5, base.shape))
        stock = np.where(arrives == day, stock + base, stock)
        order = (stock < 0.32 * base) & (arrives < day)
        arrives = np.where(order, day + 5 + np.round(delay[day]).astype(np.int64) + rng.integers(0, 3, base.shape), arrives)
        now = np.round(stock).astype(np.int64)
        last = seen[day - 1] if day else np.full(base.shape, -1)
        changed = np.abs(now - last) > np.maximum(5, 0.6 * last)
        scarce = (now < 1.5 * safety) & (last >= 1.5 * safety) | (now <= safety) & (last > safety)
        reported[day] = (scarce | changed | (day == 0)) & (base > 0)
        seen[day] = np.where(reported[day], now, last)
    return seen, reported


def _promotions(calendar: Calendar, launch_day: Ints, rng: np.random.Generator) -> Floats:
    """Prices fall by 10 to 40 % for a few days, more often around sales; a limited SKU never before its launch."""
    discount = np.zeros((calendar.days, SKUS))
    for day in range(calendar.days):
        chance = 0.012 + 0.03 * (calendar.volume[day] > 1.5)
        for sku in np.flatnonzero(rng.random(SKUS) < chance):
            until = day + int(rng.integers(2, 8))
            discount[max(day, int(launch_day[sku]) + 3) : until, sku] = 0.05 * rng.integers(2, 9)
    return discount.round(2)


def make_catalogue(config: WorldConfig, calendar: Calendar) -> Catalogue:
    """All goods, suppliers and stock of a world."""
    rng = rng_of(config.seed, 3)
    shares = np.array([c.share for c in CATEGORIES])
    category = np.sort(rng.choice(len(CATEGORIES), SKUS, p=shares / shares.sum()))
    kinds = [CATEGORIES[c] for c in category]
    price = np.array([k.price for k in kinds]) * np.exp(rng.normal(0.0, 0.55, SKUS))
    price_cents = np.maximum(9, np.round(price)).astype(np.int64) * 100 - 10
    imported = rng.random(SKUS) < np.array([k.imported for k in kinds])
    chilled = np.array([k.chilled for k in kinds])
    bulky = np.array([k.bulky for k in kinds])
    presale = (rng.random(SKUS) < 0.10) & ~chilled & ~imported
    launch_day = np.full(SKUS, -1)
    candidates = np.flatnonzero(np.isin(category, (0, 1, 2, 7)) & ~imported & ~presale)
    days = np.arange(9, calendar.days, 12)[: len(candidates) // 2]
    launch_day[rng.choice(candidates, len(days), replace=False)] = days
    popularity = np.asarray((1.0 + rng.permutation(SKUS)) ** -0.7 * np.where(presale, 0.8, 1.0), dtype=np.float64)
    keeps = rng.random((len(NODES), SKUS)) < np.array([0.35 if n.kind == "store" else 0.65 for n in NODES])[:, None]
    keeps &= ~chilled | np.array([n.chilled for n in NODES])[:, None]
    keeps &= ~bulky | np.array([n.bulky for n in NODES])[:, None]
    keeps &= imported == np.array([n.bonded for n in NODES])[:, None]
    home = np.flatnonzero([n.chilled and n.bulky for n in NODES])
    keeps[rng.choice(home, SKUS), np.arange(SKUS)] |= ~imported
    keeps[4] |= imported
    size = np.array([0.15 if n.kind == "store" else 1.0 for n in NODES])[:, None]
    base = np.round(keeps * size * rng.uniform(60, 900, SKUS) * (popularity / popularity.mean()) ** 0.5)
    safety = np.round(base * 0.07)
    supplier = rng.integers(0, SUPPLIERS, SKUS)
    capacity, load, delay = _suppliers(calendar, rng)
    stock, reported = _stock(calendar, base, safety, delay[:, supplier], rng)
    weight = np.array([k.weight_g for k in kinds]) * np.exp(rng.normal(0.0, 0.35, SKUS))
    volume = np.array([k.volume_cm3 for k in kinds]) * np.exp(rng.normal(0.0, 0.35, SKUS))
    discount = _promotions(calendar, launch_day, rng_of(config.seed, 8))
    return Catalogue(
        category, supplier, price_cents, discount, np.round(weight).astype(np.int64), np.round(volume).astype(np.int64), presale, imported, popularity,
        launch_day, base > 0, capacity, load, delay, stock, reported, safety.astype(np.int64),
    )  # fmt: skip
