"""How long shipments take and what is promised: from pick list to door, cause by cause.

Hours add up from causes that can be seen (backlog, staffing, status, cut-off, transit, customs, supplier, holidays, the forecast) and from three
that cannot: the carrier's hidden regime, the error of the forecast, and plain chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feature_store.times import DAY, HOUR
from training.world.calendar import Calendar
from training.world.catalogue import Catalogue
from training.world.drafts import Drafts
from training.world.network import CITIES, CUSTOMS_BEFORE, NODES, PORTS, REGIME_H, REGIME_REST, REGIME_STEP, NetworkDays
from training.world.people import People
from training.world.values import REGIONS, SERVICES, Bools, Floats, Ints, sigmoid

PROMISE_HOUR = 22
"""Promises end at ten in the evening, China's time."""
BUFFER_H = (51.0, 33.0)
SCALE_H = (12.5, 8.0)
PRESALE_LEAD_DAYS = 10.0
PRESALE_SCALE_H = 30.0
CUTOFF_QUOTED = 0.5
"""Promises reckon with half of the wait after a cut-off."""
BACKLOG_H = 17.0
STATUS_H: Floats = np.array([0.0, 14.0, 30.0])
UNDERSTAFFED_H = 14.0
BULKY_H = 9.0
WEATHER_H = 26.0
FORECAST_ERROR = 0.20
HOLIDAY_H, HOLIDAY_QUOTED_H = 34.0, 30.0
CUSTOMS_BASE_H, CUSTOMS_STRICT_H = 14.0, 46.0
CUSTOMS_LEARN_DAYS = 35.0
"""After a change the promises need this long until they reckon with it."""
PORT_H = 7.0
"""A day that ships wait before the port costs imported goods so many hours; promises do not reckon with it."""
SUPPLIER_DELAY_H, SUPPLIER_LOAD_H, SUPPLIER_RESERVE_H = 16.0, 60.0, 20.0

_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
QUADRATURE: Floats = np.asarray(_WEIGHTS / _WEIGHTS.sum(), dtype=np.float64)
"""Weights of the seven forecast errors over which ``p_knowable`` integrates."""
ERRORS: Floats = np.asarray(_POINTS, dtype=np.float64)


def clearance_h(strictness: float) -> float:
    """Hours that customs need for a parcel."""
    return CUSTOMS_BASE_H + CUSTOMS_STRICT_H * strictness


@dataclass(frozen=True, slots=True)
class Parcels:
    """One day's shipments of n orders: m rows by order, then node.

    Attributes:
        order: row of the order, ascending, (m,).
        node: (m,).
        region: where each order goes, (n,).
        starts: first row of each order, (n,).
    """

    order: Ints
    node: Ints
    region: Ints
    starts: Ints


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can be foreseen of shipments: hours between the expected arrival and the promise, and the scale of chance, (m,)."""

    slack_h: Floats
    scale_h: Floats
    promised_by: Ints


class RegimeFilter:
    """What settled deliveries tell about the carriers' hidden regimes, by region and service: an exact forward filter over 25 days."""

    WINDOW = 25

    def __init__(self, days: int) -> None:
        self._told = np.zeros((days, len(REGIONS), len(SERVICES), len(REGIME_H)))

    def learn(self, day: int, region: Ints, service: Ints, told: Floats) -> None:
        """Add the log-likelihoods, (n, 3), of deliveries of orders that were placed on ``day``."""
        np.add.at(self._told[day], (region, service), told)

    def belief(self, day: int) -> Floats:
        """Probability of each regime on ``day``, (regions, services, 3)."""
        belief = np.broadcast_to(REGIME_REST / REGIME_REST.sum(), self._told.shape[1:]).copy()
        for before in range(max(0, day - self.WINDOW), day):
            told = self._told[before]
            belief = belief * np.exp(told - told.max(axis=-1, keepdims=True))
            belief = belief / belief.sum(axis=-1, keepdims=True) @ REGIME_STEP
        return belief


class Travel:
    """Reckons hours and promises for one day's shipments."""

    def __init__(self, calendar: Calendar, catalogue: Catalogue, network: NetworkDays, people: People) -> None:
        self._calendar, self._goods, self._network, self._people = calendar, catalogue, network, people
        self._port = np.array([next(p for p, (_, served) in enumerate(PORTS) if r in served) for r in range(len(REGIONS))])
        self._remote = np.array([city.remote_h for city in CITIES])
        self._cutoff = np.array([node.cutoff_hour for node in NODES])
        self._processing = np.array([node.processing_h for node in NODES])

    def outlook(self, day: int, drafts: Drafts, parcels: Parcels) -> Outlook:
        """What can be foreseen; the promise is the first ten in the evening after the slowest shipment's quoted time."""
        mean_h, quoted_h = self._node_and_lane(day, drafts, parcels)
        extra_h, extra_quoted_h, presale = self._goods_hours(day, drafts, parcels.region)
        order = parcels.order
        mean_h, quoted_h = mean_h + extra_h[order], quoted_h + extra_quoted_h[order]
        slowest = np.maximum.reduceat(quoted_h, parcels.starts)
        evening = self._calendar.midnight + PROMISE_HOUR * HOUR
        at = drafts.placed_at + (slowest * HOUR).astype(np.int64)
        promised = np.asarray(evening - (evening - at) // DAY * DAY, dtype=np.int64)
        slack = (promised - drafts.placed_at)[order] / HOUR - mean_h
        scale = np.where(presale, PRESALE_SCALE_H, np.array(SCALE_H)[drafts.service])[order]
        return Outlook(slack, scale, promised)

    def weather_h(self, day: int, region: Ints, error: Floats) -> Floats:
        """Hours that the weather adds, (n, q) for standardised forecast errors (n or 1, q)."""
        severity = np.clip(self._network.forecast[day][region][:, None] + FORECAST_ERROR * error, 0.0, 2.0)
        return np.asarray(WEATHER_H * severity**1.3, dtype=np.float64)

    def late_chances(self, day: int, parcels: Parcels, outlook: Outlook) -> Floats:
        """Probability of late per shipment, regime and forecast error, (m, 3, 7)."""
        weather = self.weather_h(day, parcels.region, ERRORS[None, :])[parcels.order]
        late_h = weather[:, None, :] + REGIME_H[None, :, None] - outlook.slack_h[:, None, None]
        return sigmoid(late_h / outlook.scale_h[:, None, None])

    def _node_and_lane(self, day: int, drafts: Drafts, parcels: Parcels) -> tuple[Floats, Floats]:
        """Hours at the node and on the lane, expected and as promises reckon, (m,)."""
        net, node, order = self._network, parcels.node, parcels.order
        epoch, service, region = net.lanes.epoch(day), drafts.service[order], parcels.region[order]
        transit = net.lanes.transit_days[epoch][node, region, service] * 24.0
        hour = (drafts.placed_at[order] - self._calendar.start_of(day)) / HOUR
        wait = np.where(hour >= self._cutoff[node], 32.0 - hour, 0.0)
        work = self._processing[node] + BACKLOG_H * net.backlog_days[day][node] + STATUS_H[net.status[day][node]]
        work = work + UNDERSTAFFED_H * np.clip(0.95 - net.staffing[day][node], 0.0, 1.0)
        remote = self._remote[self._people.city[drafts.account]][order]
        closed = self._calendar.closed[day : day + 2].max()
        mean = wait + work + transit + net.lanes.slip_h[epoch][region, service] + remote + closed * HOLIDAY_H
        quoted = self._processing[node] + CUTOFF_QUOTED * wait + transit + np.array(BUFFER_H)[service] + closed * HOLIDAY_QUOTED_H
        return mean, quoted

    def _goods_hours(self, day: int, drafts: Drafts, region: Ints) -> tuple[Floats, Floats, Bools]:
        """Hours that the goods bring with them, expected and as promises reckon, and which orders hold a presale SKU, (n,)."""
        goods, net = self._goods, self._network
        there = drafts.skus >= 0
        sku = np.where(there, drafts.skus, 0)
        presale, imported, bulky = (np.asarray((flag[sku] & there).any(axis=1)) for flag in (goods.presale, goods.imported, goods.bulky))
        load, delay = goods.supplier_load[day], goods.supplier_delay[day]
        lag = SUPPLIER_DELAY_H * delay + SUPPLIER_LOAD_H * np.clip(load - 0.8, 0.0, 1.0) - SUPPLIER_RESERVE_H
        slowest = np.where(goods.presale[sku] & there, lag[goods.supplier[sku]], -np.inf).max(axis=1)
        lead = PRESALE_LEAD_DAYS * 24.0
        learnt = np.clip((day - net.customs_day) / CUSTOMS_LEARN_DAYS, 0.0, 1.0)
        expected = CUSTOMS_BEFORE + learnt * (net.customs[day] - CUSTOMS_BEFORE)
        port_h = PORT_H * net.port[day][self._port[region]]
        mean = np.where(imported, clearance_h(net.customs[day]) + port_h, 0.0) + np.where(bulky, BULKY_H, 0.0)
        mean = mean + np.where(presale, lead + slowest, 0.0)
        quoted = np.where(imported, clearance_h(expected), 0.0) + np.where(presale, lead, 0.0)
        return mean, quoted, presale
