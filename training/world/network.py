"""Where goods are and how they travel: regions, nodes, lanes, carriers, weather, customs; and how these go from day to day.

What happens here does not depend on the orders of the stream: they are a small part of what the nodes handle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.world.calendar import Calendar
from training.world.values import EXPRESS, REGIONS, SERVICES, STD, Floats, Ints, WorldConfig, rng_of

OPEN, DEGRADED, DOWN = 0, 1, 2
STATUS: tuple[str, ...] = ("open", "degraded", "down")
WORKS: Floats = np.array([1.0, 0.55, 0.15])
"""What a node still does, by its status."""


@dataclass(frozen=True, slots=True)
class City:
    """Where customers live; ``remote_h``: hours that its last mile takes beyond what carriers quote for the region."""

    name: str
    region: int
    lat: float
    lon: float
    weight: float
    remote_h: float = 0.0


CITIES: tuple[City, ...] = (
    City("Beijing", 0, 39.90, 116.40, 9.0), City("Tianjin", 0, 39.13, 117.20, 4.0), City("Harbin", 0, 45.80, 126.53, 3.0, 7.0),
    City("Shanghai", 1, 31.23, 121.47, 11.0), City("Hangzhou", 1, 30.27, 120.15, 7.0), City("Nanjing", 1, 32.06, 118.80, 6.0),
    City("Guangzhou", 2, 23.13, 113.26, 9.0), City("Shenzhen", 2, 22.54, 114.06, 9.0), City("Haikou", 2, 20.04, 110.34, 2.0, 8.0),
    City("Chengdu", 3, 30.57, 104.07, 6.0), City("Xi'an", 3, 34.34, 108.94, 4.0), City("Urumqi", 3, 43.83, 87.62, 2.0, 16.0),
    City("Wuhan", 4, 30.59, 114.31, 6.0), City("Zhengzhou", 4, 34.75, 113.63, 5.0), City("Changsha", 4, 28.23, 112.94, 4.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A place that can ship. ``capacity`` in pieces a day, ``processing_cost`` in CNY a shipment, ``cutoff_hour`` in China's time."""

    node_id: str
    city: str
    kind: str
    region: int
    lat: float
    lon: float
    cutoff_hour: int
    processing_h: float
    processing_cost: float
    capacity: int
    chilled: bool = False
    bulky: bool = False
    bonded: bool = False

    @property
    def temp_classes(self) -> tuple[str, ...]:
        """What it can keep."""
        return ("ambient", "chilled") if self.chilled else ("ambient",)


NODES: tuple[NodeSpec, ...] = (
    NodeSpec("N01", "Beijing", "warehouse", 0, 39.80, 116.60, 17, 6.0, 1.60, 6000, chilled=True, bulky=True),
    NodeSpec("N02", "Tianjin", "warehouse", 0, 39.05, 117.40, 16, 7.0, 1.30, 4500, bulky=True),
    NodeSpec("N03", "Beijing", "store", 0, 39.92, 116.45, 20, 3.0, 2.80, 500),
    NodeSpec("N04", "Shanghai", "warehouse", 1, 31.10, 121.30, 18, 5.0, 1.70, 8000, chilled=True, bulky=True),
    NodeSpec("N05", "Hangzhou", "bonded", 1, 30.30, 120.40, 16, 9.0, 2.20, 3500, bonded=True),
    NodeSpec("N06", "Nanjing", "warehouse", 1, 32.00, 118.90, 17, 6.0, 1.40, 4500),
    NodeSpec("N07", "Guangzhou", "warehouse", 2, 23.20, 113.40, 18, 5.0, 1.50, 7000, chilled=True, bulky=True),
    NodeSpec("N08", "Shenzhen", "bonded", 2, 22.60, 114.00, 16, 9.0, 2.30, 3500, bonded=True),
    NodeSpec("N09", "Shenzhen", "store", 2, 22.53, 114.05, 20, 3.0, 2.90, 450),
    NodeSpec("N10", "Chengdu", "warehouse", 3, 30.65, 104.20, 16, 8.0, 1.30, 4000, chilled=True, bulky=True),
    NodeSpec("N11", "Wuhan", "warehouse", 4, 30.50, 114.40, 17, 6.0, 1.40, 5500, chilled=True, bulky=True),
    NodeSpec("N12", "Zhengzhou", "warehouse", 4, 34.70, 113.80, 17, 7.0, 1.20, 5000),
)
"""Twelve nodes over five regions."""

REGIME_H: Floats = np.array([0.0, 6.0, 18.0])
"""Hidden state of a carrier in a region, smooth, strained, jammed: hours it adds."""
REGIME_STEP: Floats = np.array([[0.965, 0.030, 0.005], [0.110, 0.850, 0.040], [0.040, 0.140, 0.820]])
REGIME_REST: Floats = np.array([0.727, 0.207, 0.066])
CUSTOMS_BEFORE, CUSTOMS_AFTER = 0.25, 0.85
CUSTOMS_NOTICE_DAYS = 14
CUSTOMS_LIMIT_CNY = 5000.0
"""Above this value a cross-border order is taxed as general trade, and is held up more often."""


PORTS: tuple[tuple[str, tuple[int, ...]], ...] = (("Ningbo", (0, 1, 4)), ("Yantian", (2, 3)))
"""Through which port the imported goods of which regions come."""
OUTAGE_KINDS: tuple[str, ...] = ("sorter", "conveyor", "power", "warehouse_system")


class Outage(NamedTuple):
    """A failure of a node's equipment: ``days`` days from ``day`` on, with :data:`STATUS` ``status``."""

    day: int
    days: int
    node: int
    status: int
    kind: str


@dataclass(frozen=True, slots=True)
class Lanes:
    """Node × region × service, as contracted. Arrays are (12, 5, 2).

    Attributes:
        transit_days: quoted by the carrier before and after the contracts change, (2, 12, 5, 2).
        change_day: the day on which two regions change their carrier.
        slip_h: hours by which the real transit differs from the quoted one, (2, 5, 2).
    """

    transit_days: Floats
    fixed: Floats
    per_kg: Floats
    co2e_g_per_kg: Floats
    change_day: int
    slip_h: Floats

    def epoch(self, day: int) -> int:
        """0 before the contracts change, then 1."""
        return int(day >= self.change_day)


_CARRIERS = (("Jade Express", "Jade Air"), ("River Post", "Crane Air"))
CHANGED_REGIONS: tuple[int, ...] = (2, 3)


def carrier(region: int, service: int, epoch: int) -> str:
    """Who carries to a region with a service: the south and the west change on the day of the new contracts."""
    return _CARRIERS[int(epoch == 1 and region in CHANGED_REGIONS)][service]


@dataclass(frozen=True, slots=True)
class NetworkDays:
    """The network day by day: (days, nodes) and (days, regions).

    Attributes:
        staffing: people at work as a share of the plan.
        status: open, degraded or down.
        backlog: pieces waiting at the start of the day.
        forecast: severity of the weather, 0 calm to about 1.5, as forecast the evening before.
        customs: strictness of customs, 0 to 1, (days,).
        port: days that ships wait before the ports, (days, ports).
        outages: what fails, by day.
        regime: hidden state of the carriers, (days, regions, services).
    """

    staffing: Floats
    status: Ints
    backlog: Floats
    forecast: Floats
    customs: Floats
    customs_day: int
    port: Floats
    outages: tuple[Outage, ...]
    regime: Ints
    lanes: Lanes

    @property
    def backlog_days(self) -> Floats:
        """The backlog in days of the node's capacity, as staffed."""
        capacity = np.array([node.capacity for node in NODES], dtype=np.float64)
        return np.asarray(self.backlog / (capacity * np.maximum(self.staffing, 0.2)), dtype=np.float64)


def _distances() -> Floats:
    """Kilometres from each node to the weighted centre of each region, (12, 5)."""
    out = np.zeros((len(NODES), len(REGIONS)))
    for r in range(len(REGIONS)):
        cities = [city for city in CITIES if city.region == r]
        total = sum(city.weight for city in cities)
        lat = sum(city.lat * city.weight for city in cities) / total
        lon = sum(city.lon * city.weight for city in cities) / total
        for n, node in enumerate(NODES):
            out[n, r] = 111.0 * np.hypot(node.lat - lat, (node.lon - lon) * np.cos(np.radians(33.0)))
    return out


def _make_lanes(calendar: Calendar) -> Lanes:
    km = _distances()
    transit = np.stack([0.8 + km / 620.0, 0.5 + km / 1500.0], axis=2).round(1)
    after = transit.copy()
    after[:, CHANGED_REGIONS, :] = np.maximum(0.4, transit[:, CHANGED_REGIONS, :] - 0.4).round(1)
    slip = np.zeros((2, len(REGIONS), len(SERVICES)))
    slip[1, CHANGED_REGIONS, STD] = 10.0
    slip[1, CHANGED_REGIONS, EXPRESS] = 6.0
    fixed = np.stack([4.0 + km / 500.0, 9.0 + km / 260.0], axis=2).round(2)
    per_kg = np.stack([0.8 + km / 900.0, 2.4 + km / 380.0], axis=2).round(3)
    carbon = np.stack([18.0 + km * 0.07, 60.0 + km * 0.45], axis=2).round(1)
    return Lanes(np.stack([transit, after]), fixed, per_kg, carbon, int(calendar.days * 0.45), slip)


def _planned_staff(calendar: Calendar, rng: np.random.Generator) -> Floats:
    """Staff as rostered: more in the sale weeks, few in the Spring Festival, ever fewer in the north."""
    noise = np.zeros((calendar.days, len(NODES)))
    for day in range(1, calendar.days):
        noise[day] = 0.88 * noise[day - 1] + rng.normal(0.0, 0.05, len(NODES))
    season = 1.0 + 0.8 * np.clip(np.convolve(calendar.volume, np.ones(7) / 7, mode="same") - 1.1, 0.0, 1.2)
    staffing = season[:, None] * (1.0 - 0.5 * calendar.closed[:, None]) + noise
    north = [n for n, node in enumerate(NODES) if node.region == 0]
    staffing[:, north] -= 0.12 * np.clip((calendar.progress - 0.5) * 3.0, 0.0, 1.0)[:, None]
    return staffing


def _outages(calendar: Calendar, rng: np.random.Generator) -> tuple[Ints, tuple[Outage, ...]]:
    """Equipment fails; a node works with a part of its capacity, or hardly, until it is repaired."""
    found: list[Outage] = []
    status = np.zeros((calendar.days, len(NODES)), dtype=np.int64)
    for day in range(calendar.days):
        for n in np.flatnonzero(rng.random(len(NODES)) < 0.011):
            length = 1 + int(rng.geometric(0.4))
            level = DOWN if rng.random() < 0.25 else DEGRADED
            status[day : day + length, n] = level
            found.append(Outage(day, length, int(n), level, OUTAGE_KINDS[(day * 7 + int(n)) % len(OUTAGE_KINDS)]))
    return status, tuple(found)


def _work(calendar: Calendar, planned: Floats, status: Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """What waits at each node at the start of each day, and the staff at work: a backlog brings overtime."""
    capacity = np.array([node.capacity for node in NODES], dtype=np.float64)
    works = WORKS[status]
    backlog, staffing = np.zeros((calendar.days + 1, len(NODES))), np.zeros((calendar.days, len(NODES)))
    tilt = np.zeros(len(NODES))
    for day in range(calendar.days):
        tilt = 0.85 * tilt + rng.normal(0.0, 0.10, len(NODES))
        overtime = 0.30 * np.minimum(backlog[day] / capacity, 2.0) * (1.0 - 0.6 * calendar.closed[day])
        staffing[day] = np.clip(planned[day] + overtime, 0.25, 2.2).round(3)
        arriving = capacity * 0.89 * calendar.volume[day] * np.exp(tilt)
        backlog[day + 1] = np.clip(backlog[day] + arriving - capacity * staffing[day] * works[day], 0.0, 3.5 * capacity)
    return backlog[:-1].round(), staffing


def _weather(config: WorldConfig, calendar: Calendar, rng: np.random.Generator) -> Floats:
    """Snow in the north and west in winter, typhoons in the east and south in late summer, rain elsewhere."""
    first = config.start.timetuple().tm_yday
    year = 2 * np.pi * (first + np.arange(calendar.days)) / 365.0
    winter, summer = np.clip(np.cos(year - 0.3), 0, 1), np.clip(-np.cos(year - 0.9), 0, 1)
    season = np.stack([winter, summer, summer, 0.8 * winter, 0.4 * winter + 0.3 * summer], axis=1)
    state = np.zeros((calendar.days, len(REGIONS)))
    for day in range(1, calendar.days):
        state[day] = 0.7 * state[day - 1] + rng.normal(0.0, 0.28, len(REGIONS))
    return np.clip(state + 0.75 * season - 0.25, 0.0, 1.6).round(2)


def _ports(calendar: Calendar, rng: np.random.Generator) -> Floats:
    """Now and then ships wait for days, and it takes weeks until a port is clear again."""
    wait, queue = np.zeros((calendar.days, len(PORTS))), np.zeros(len(PORTS))
    for day in range(calendar.days):
        hit = rng.random(len(PORTS)) < 0.022
        queue = np.minimum(0.9 * queue + np.where(hit, rng.gamma(3.0, 1.0, len(PORTS)), 0.0), 7.0)
        wait[day] = np.where(queue > 0.25, queue, 0.0)
    return wait.round(1)


def _regimes(calendar: Calendar, rng: np.random.Generator) -> Ints:
    cumulative = np.cumsum(REGIME_STEP, axis=1)
    state = np.zeros((calendar.days, len(REGIONS), len(SERVICES)), dtype=np.int64)
    draws = rng.random(state.shape)
    state[0] = (draws[0][..., None] > np.cumsum(REGIME_REST)[:2]).sum(axis=-1)
    for day in range(1, calendar.days):
        state[day] = (draws[day][..., None] > cumulative[state[day - 1]][..., :2]).sum(axis=-1)
    return state


def make_network(config: WorldConfig, calendar: Calendar) -> NetworkDays:
    """Everything about nodes, lanes, weather and customs, for all days."""
    rng = rng_of(config.seed, 2)
    planned = _planned_staff(calendar, rng)
    status, outages = _outages(calendar, rng)
    backlog, staffing = _work(calendar, planned, status, rng)
    customs_day = int(calendar.days * 0.55)
    customs = np.where(np.arange(calendar.days) < customs_day, CUSTOMS_BEFORE, CUSTOMS_AFTER)
    return NetworkDays(
        staffing, status, backlog, _weather(config, calendar, rng), customs, customs_day,
        _ports(calendar, rng_of(config.seed, 9)), outages, _regimes(calendar, rng), _make_lanes(calendar),
    )  # fmt: skip
