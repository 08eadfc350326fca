"""What the simulated world is asked for and what it tells: plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from feature_store.order import Order
from feature_store.times import Millis

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

REGIONS: tuple[str, ...] = ("north", "east", "south", "west", "central")
SERVICES: tuple[str, ...] = ("std", "express")
STD, EXPRESS = 0, 1
DEFAULT_START = date(2025, 9, 1)
DEFAULT_DAYS = 300
MAX_ORDERS = 1_000_000
"""Beyond it, identifiers would repeat."""


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """What makes one world: equal configurations give equal streams.

    Attributes:
        orders: how many orders are placed in total, spread over the days by the calendar.
        seed: chooses the world.
        start: the first day, in China's time.
        days: how many days orders are placed; their labels settle up to ten weeks later.
    """

    orders: int
    seed: int
    start: date = DEFAULT_START
    days: int = DEFAULT_DAYS

    def __post_init__(self) -> None:
        if not 1 <= self.orders <= MAX_ORDERS:
            raise ValueError(f"orders: {self.orders} is not between 1 and {MAX_ORDERS:,}")
        if self.days < 30:
            raise ValueError(f"days: {self.days} is too short a time, give at least 30")
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed} is negative")


@dataclass(frozen=True, slots=True)
class Label:
    """What really happened, settled.

    Attributes:
        label: 1 when the event came about, else 0.
        known_at: when the label is settled, whichever value it has. It does not depend on the value, so that cutting a training set at
            a moment does not keep the bad cases and lose the good ones.
        p_knowable: its probability given everything that could be known when the order was placed. For tests only: no model may see it.
    """

    label: int
    known_at: Millis
    p_knowable: float


@dataclass(frozen=True, slots=True)
class SimulatedShipment:
    """One shipment as it really went.

    Attributes:
        lines: (line_id, pieces).
        late: delivered after the promise.
        known_at: when ``late`` is settled, whichever value it has.
        p_knowable: probability of ``late`` given what could be known when the order was placed. For tests only.
    """

    shipment_id: str
    node_id: str
    region: str
    service: str
    carrier: str
    lines: tuple[tuple[str, int], ...]
    weight_g: float
    shipped_at: Millis
    delivered_at: Millis
    promised_by: Millis
    late: int
    known_at: Millis
    p_knowable: float


@dataclass(frozen=True, slots=True)
class SimulatedOrder:
    """One order at the moment it is placed, with what became of it.

    Attributes:
        order: the OMS's request.
        labels: ``fraud`` and ``acceptance`` (fulfilment_failure: late, cancelled by us, or returned).
        shipments: what was shipped; empty when it was cancelled.
        scene: the visible pattern that the order belongs to (see docs/world.md).
        failure: ``late``, ``returned``, the reason of our cancelling, or ``None``.
    """

    order: Order
    labels: Mapping[str, Label]
    shipments: tuple[SimulatedShipment, ...]
    scene: str
    failure: str | None

    @property
    def placed_at(self) -> Millis:
        """When it is placed, and has to be decided."""
        return self.order.placed_at


def rng_of(seed: int, *path: int) -> np.random.Generator:
    """An independent generator for one part of the world, so that parts do not disturb each other's draws."""
    return np.random.default_rng([seed, *path])


def pick(rng: np.random.Generator, cumulative: Floats, count: int) -> Ints:
    """Draw ``count`` indices with the weights whose running sum is ``cumulative``."""
    drawn = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    return np.asarray(np.minimum(drawn, len(cumulative) - 1), dtype=np.int64)


def sigmoid(x: Floats) -> Floats:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=np.float64)


_PRIME = 9_999_991
_FACTOR = 48_271


def public_id(prefix: str, serial: int) -> str:
    """An identifier that does not tell in which order or for whom the world made it; distinct for serials below ten million."""
    return f"{prefix}-{serial * _FACTOR % _PRIME:07d}"


def public_ip(serial: int) -> str:
    """An address of the shared range 100.64.0.0/10, which belongs to nobody."""
    number = serial * _FACTOR % 4_194_301
    return f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
