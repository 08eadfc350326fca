"""What becomes of the day's orders: from which nodes they ship, whether they are late, cancelled or returned.

Hours add up from causes that can be seen (backlog, staffing, status, cut-off, transit, forecast, customs, supplier) and from three that cannot:
the carrier's hidden regime, the error of the forecast and plain chance. ``p_knowable`` sums these out: the regime with what
:class:`RegimeFilter` believes from settled deliveries, the error of the forecast by Gauss-Hermite quadrature, chance in closed form. The
customer's hidden habit of returning goods is treated the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feature_store.times import DAY, HOUR, Millis
from training.world.calendar import Calendar
from training.world.catalogue import Catalogue
from training.world.drafts import Drafts
from training.world.network import (
    CITIES,
    CUSTOMS_BEFORE,
    CUSTOMS_LIMIT_CNY,
    NODES,
    OPEN,
    REGIME_H,
    REGIME_REST,
    REGIME_STEP,
    REGIONS,
    NetworkDays,
)
from training.world.people import RETURN_HABIT, People
from training.world.values import EXPRESS, SERVICES, Bools, Floats, Ints, sigmoid

PROMISE_HOUR = 22
"""Promises end at ten in the evening, China's time."""
BUFFER_H = (53.0, 34.0)
SCALE_H = (12.5, 8.0)
PRESALE_LEAD_DAYS = 10.0
PRESALE_SCALE_H = 30.0
CUTOFF_QUOTED = 0.5
"""Promises reckon with half of the wait after a cut-off."""
WEATHER_H = 26.0
FORECAST_ERROR = 0.20
HOLIDAY_H, HOLIDAY_QUOTED_H = 34.0, 30.0
CUSTOMS_BASE_H, CUSTOMS_STRICT_H = 14.0, 46.0
CUSTOMS_LEARN_DAYS = 70.0
"""After a change the promises need this long until they reckon with it."""
LATE_RETURNS = 1.6
MAX_DELAY: Millis = 10 * DAY
RETURN_CLOSES: Millis = 18 * DAY
"""A return is reported at the latest this long after the promise."""
FRAUD_SETTLES: Millis = 45 * DAY
LATE_SETTLES: Millis = 1 * DAY

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
CANCEL_CAUSES: tuple[str, ...] = ("unforeseen", "out_of_stock", "supplier", "customs", "node_trouble")


@dataclass(slots=True)
class Fates:
    """What becomes of n orders with m shipments.

    Attributes:
        node: node of each line, (n, 4); -1 where there is no line.
        promised_by: (n,).
        cancelled: by us; ``cause`` is an index into :data:`CANCEL_CAUSES`.
        returned: (n,).
        p_failure: probability of being cancelled, late or returned, given what is knowable, (n,).
        shipment_order: row of the order of each shipment, ascending, (m,).
        shipped_at: (m,), as are all that follow.
    """

    node: Ints
    first_node: Ints
    promised_by: Ints
    cancelled: Bools
    cause: Ints
    returned: Bools
    p_failure: Floats
    shipment_order: Ints
    shipment_node: Ints
    shipped_at: Ints
    delivered_at: Ints
    late: Bools
    p_late: Floats


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
        first = max(0, day - self.WINDOW)
        belief = np.broadcast_to(REGIME_REST / REGIME_REST.sum(), self._told.shape[1:]).copy()
        for before in range(first, day):
            told = self._told[before]
            belief = belief * np.exp(told - told.max(axis=-1, keepdims=True))
            belief = belief / belief.sum(axis=-1, keepdims=True) @ REGIME_STEP
        return belief


class Fulfilment:
    """Decides the fate of one day's orders after the other; days must come in sequence."""

    def __init__(self, calendar: Calendar, catalogue: Catalogue, network: NetworkDays, people: People) -> None:
        self._calendar, self._goods, self._network, self._people = calendar, catalogue, network, people
        self._filter = RegimeFilter(calendar.days)
        self._regime_lessons: dict[int, list[tuple[int, Ints, Ints, Floats]]] = {}
        self._habit_lessons: dict[int, list[tuple[Ints, Floats]]] = {}
        self._city_region = np.array([city.region for city in CITIES])
        self._remote = np.array([city.remote_h for city in CITIES])
        self._cutoff = np.array([node.cutoff_hour for node in NODES])
        self._processing = np.array([node.processing_h for node in NODES])
        self._near = np.argsort(network.lanes.transit_days[0, :, :, 0] + 0.01 * np.arange(len(NODES))[:, None], axis=0).T

    def decide(self, day: int, drafts: Drafts, rng: np.random.Generator) -> Fates:
        """The fate of the orders of ``day``, and what it teaches later."""
        self._learn(day)
        region = self._city_region[self._people.city[drafts.account]]
        node, short = self._route(day, drafts, region)
        order, ship_node, first_node = self._shipments(node)
        mean_h, quoted_h, scale = self._hours(day, drafts, region, order, ship_node)
        promised = self._promise(drafts, order, quoted_h)
        slack = (promised[order] - drafts.placed_at[order]) / HOUR - mean_h
        chance = self._late_chances(day, drafts, region, order, slack, scale)
        belief = self._filter.belief(day)[region, drafts.service]
        p_late = np.einsum("mkq,mk,q->m", chance, belief[order], _WEIGHTS)
        on_time = np.multiply.reduceat(1.0 - chance, np.flatnonzero(np.diff(order, prepend=-1)), axis=0)
        p_all_on_time = np.einsum("nkq,nk,q->n", on_time, belief, _WEIGHTS)

        hidden = self._network.regime[day][region, drafts.service]
        error = rng.normal(0.0, 1.0, drafts.count)
        extra = REGIME_H[hidden] + self._weather_h(day, drafts, region, error[:, None])[:, 0]
        noise = rng.logistic(0.0, 1.0, len(order)) * scale
        delay = extra[order] + noise - slack
        late = delay > 0
        cancel_chances = self._cancel_chances(day, drafts, node, short)
        p_cancel = 1.0 - np.prod(1.0 - cancel_chances, axis=1)
        cancelled = rng.random(drafts.count) < p_cancel
        share = np.cumsum(cancel_chances, axis=1)
        cause = (rng.random(drafts.count)[:, None] * share[:, -1:] > share[:, :-1]).sum(axis=1)
        any_late = np.bincount(order, weights=late, minlength=drafts.count) > 0
        kept = self._return_chances(day, drafts)
        habit = self._people.habit[drafts.account]
        own = np.clip(kept[np.arange(drafts.count), habit] * np.where(any_late, LATE_RETURNS, 1.0), 0.0, 0.9)
        returned = (rng.random(drafts.count) < own) & ~cancelled
        p_return = (np.clip(kept, 0.0, 0.9) * self._people.habit_chances(drafts.account)).sum(axis=1)
        p_failure = p_cancel + (1.0 - p_cancel) * (1.0 - p_all_on_time * (1.0 - p_return))
        self._keep_lessons(day, drafts, region, promised, order, chance, late, any_late, returned, cancelled, kept)

        shipped, delivered = self._moments(drafts, promised, order, mean_h, delay, rng)
        return Fates(
            node, first_node, promised, cancelled, cause, returned, p_failure, order, ship_node, shipped, delivered, late, p_late
        )  # fmt: skip

    def _route(self, day: int, drafts: Drafts, region: Ints) -> tuple[Ints, Bools]:
        """Each line goes to the nearest open node that reports enough; where none does, to the one that reports most."""
        goods, network = self._goods, self._network
        spare = (goods.stock[day] - goods.safety).astype(np.float64)
        spare[~goods.stocked] = -np.inf
        spare[network.status[day] == 2] -= 1e6
        near = self._near[region]
        node = np.full(drafts.skus.shape, -1, dtype=np.int64)
        short = np.zeros(drafts.skus.shape, dtype=np.bool_)
        for k in range(drafts.skus.shape[1]):
            rows = np.flatnonzero(drafts.skus[:, k] >= 0)
            found = spare[near[rows], drafts.skus[rows, k][:, None]]
            enough = found >= drafts.pieces[rows, k][:, None]
            has = enough.any(axis=1)
            at = np.where(has, enough.argmax(axis=1), found.argmax(axis=1))
            node[rows, k], short[rows, k] = near[rows, at], ~has
        return node, short

    def _shipments(self, node: Ints) -> tuple[Ints, Ints, Ints]:
        keys = np.arange(len(node))[:, None] * len(NODES) + node
        unique = np.unique(keys[node >= 0])
        return unique // len(NODES), unique % len(NODES), node[:, 0]

    def _hours(self, day: int, drafts: Drafts, region: Ints, order: Ints, node: Ints) -> tuple[Floats, Floats, Floats]:
        """Hours to the door per shipment as far as they can be foreseen, as the promise reckons, and the scale of chance."""
        net, goods, calendar = self._network, self._goods, self._calendar
        epoch = net.lanes.epoch(day)
        service, where = drafts.service[order], region[order]
        transit = net.lanes.transit_days[epoch][node, where, service] * 24.0
        hour = (drafts.placed_at[order] - calendar.start_of(day)) / HOUR
        wait = np.where(hour >= self._cutoff[node], 32.0 - hour, 0.0)
        work = self._processing[node] + 17.0 * net.backlog_days[day][node] + np.array([0.0, 14.0, 30.0])[net.status[day][node]]
        work = work + 14.0 * np.clip(0.95 - net.staffing[day][node], 0.0, 1.0)
        first = np.where(drafts.skus >= 0, drafts.skus, 0)
        there = drafts.skus >= 0
        presale, imported, bulky = ((flag[first] & there).any(axis=1)[order] for flag in (goods.presale, goods.imported, goods.bulky))
        lag = np.where(goods.presale[first] & there, self._supplier_lag(day)[goods.supplier[first]], 0.0).max(axis=1)[order]
        learnt = np.clip((day - net.customs_day) / CUSTOMS_LEARN_DAYS, 0.0, 1.0)
        expected = CUSTOMS_BEFORE + learnt * (net.customs[day] - CUSTOMS_BEFORE)
        closed = calendar.closed[day : day + 2].max()
        mean = wait + work + transit + net.lanes.slip_h[epoch][where, service] + self._remote[self._people.city[drafts.account]][order]
        mean = mean + np.where(imported, CUSTOMS_BASE_H + CUSTOMS_STRICT_H * net.customs[day], 0.0) + np.where(bulky, 9.0, 0.0)
        mean = mean + np.where(presale, PRESALE_LEAD_DAYS * 24.0 + lag, 0.0) + closed * HOLIDAY_H
        quoted = self._processing[node] + CUTOFF_QUOTED * wait + transit + np.array(BUFFER_H)[service] + closed * HOLIDAY_QUOTED_H
        quoted = (
            quoted
            + np.where(imported, CUSTOMS_BASE_H + CUSTOMS_STRICT_H * expected, 0.0)
            + np.where(presale, PRESALE_LEAD_DAYS * 24.0, 0.0)
        )
        scale = np.where(presale, PRESALE_SCALE_H, np.array(SCALE_H)[service])
        return mean, quoted, scale

    def _supplier_lag(self, day: int) -> Floats:
        goods = self._goods
        return np.asarray(
            16.0 * goods.supplier_delay[day] + 60.0 * np.clip(goods.supplier_load[day] - 0.8, 0.0, 1.0) - 20.0, dtype=np.float64
        )

    def _promise(self, drafts: Drafts, order: Ints, quoted_h: Floats) -> Ints:
        """The first ten in the evening after the slowest shipment's quoted time."""
        starts = np.flatnonzero(np.diff(order, prepend=-1))
        slowest = np.maximum.reduceat(quoted_h, starts)
        at = drafts.placed_at + (slowest * HOUR).astype(np.int64)
        evening = self._calendar.midnight + PROMISE_HOUR * HOUR
        return np.asarray(evening - (evening - at) // DAY * DAY, dtype=np.int64)

    def _weather_h(self, day: int, drafts: Drafts, region: Ints, error: Floats) -> Floats:
        """Hours that the weather adds, (n, q) for standardised forecast errors (n or 1, q)."""
        severity = np.clip(self._network.forecast[day][region][:, None] + FORECAST_ERROR * error, 0.0, 2.0)
        return np.asarray(WEATHER_H * severity**1.3, dtype=np.float64)

    def _late_chances(self, day: int, drafts: Drafts, region: Ints, order: Ints, slack: Floats, scale: Floats) -> Floats:
        """Probability of late per shipment, regime and forecast error, (m, 3, 7)."""
        weather = self._weather_h(day, drafts, region, _NODES[None, :])[order]
        late_h = weather[:, None, :] + REGIME_H[None, :, None] - slack[:, None, None]
        return sigmoid(late_h / scale[:, None, None])

    def _cancel_chances(self, day: int, drafts: Drafts, node: Ints, short: Bools) -> Floats:
        """Probability that we have to cancel, by cause, (n, 5)."""
        goods, net = self._goods, self._network
        there = drafts.skus >= 0
        sku = np.where(there, drafts.skus, 0)
        at = np.where(there, node, 0)
        spare = goods.stock[day][at, sku] - goods.safety[at, sku] - drafts.pieces
        thin = np.clip(1.0 - spare / 25.0, 0.0, 1.0)
        stock = (np.where(short, 0.30, 0.025 * thin) * there).max(axis=1)
        value = (goods.price_cents[sku] * drafts.pieces * there).sum(axis=1) / 100.0
        imported = (goods.imported[sku] & there).any(axis=1)
        customs = np.where(imported, net.customs[day] * np.where(value > CUSTOMS_LIMIT_CNY, 0.30, 0.05), 0.0)
        load, delay = goods.supplier_load[day][goods.supplier[sku]], goods.supplier_delay[day][goods.supplier[sku]]
        presale = goods.presale[sku] & there
        supplier = np.where(presale, 0.012 + 0.02 * np.clip(delay, 0, 8) + 0.30 * np.clip(load - 0.9, 0, 0.6), 0.0).max(axis=1)
        trouble = ((net.status[day][at] != OPEN) & there).any(axis=1) * 0.035
        return np.stack([np.full(drafts.count, 0.002), stock, np.minimum(supplier, 0.5), customs, trouble], axis=1)

    def _return_chances(self, day: int, drafts: Drafts) -> Floats:
        """Probability of a return when on time, by hidden habit, (n, 4); fashion comes back ever more often."""
        goods = self._goods
        there = drafts.skus >= 0
        most = np.where(there, goods.returns[np.where(there, drafts.skus, 0)], 0.0).max(axis=1)
        drift = 1.0 + 0.35 * self._calendar.progress[day] * (most > 1.5)
        return np.asarray(RETURN_HABIT[None, :] * (most * drift)[:, None] * (1.0 + 0.25 * (drafts.service == EXPRESS))[:, None])

    def _moments(
        self, drafts: Drafts, promised: Ints, order: Ints, mean_h: Floats, delay_h: Floats, rng: np.random.Generator
    ) -> tuple[Ints, Ints]:
        placed = drafts.placed_at[order]
        delay = np.minimum((delay_h * HOUR).astype(np.int64), MAX_DELAY)
        delay = np.where(delay_h > 0, np.maximum(delay, 1), np.minimum(delay, 0))
        delivered = np.maximum(promised[order] + delay, placed + 2 * HOUR)
        share = np.clip(rng.normal(0.35, 0.08, len(order)), 0.1, 0.8)
        return placed + ((delivered - placed) * share).astype(np.int64), delivered

    def _keep_lessons(
        self, day: int, drafts: Drafts, region: Ints, promised: Ints, order: Ints, chance: Floats, late: Bools, any_late: Bools,
        returned: Bools, cancelled: Bools, kept: Floats,
    ) -> None:  # fmt: skip
        """Note what the outcomes say about regimes and habits, for the days on which they are settled."""
        shipped = ~cancelled
        each = np.where(late[:, None, None], chance, 1.0 - chance)
        together = np.multiply.reduceat(each, np.flatnonzero(np.diff(order, prepend=-1)), axis=0)
        on_regime = np.log(np.maximum(together @ _WEIGHTS, 1e-12))
        due = (promised + LATE_SETTLES - self._calendar.midnight) // DAY + 1
        for when in np.unique(due[shipped]):
            rows = shipped & (due == when)
            self._regime_lessons.setdefault(int(when), []).append((day, region[rows], drafts.service[rows], on_regime[rows]))
        chances = np.clip(kept * np.where(any_late, LATE_RETURNS, 1.0)[:, None], 0.0, 0.9)
        on_habit = np.log(np.where(returned[:, None], chances, 1.0 - chances))
        due = (promised + RETURN_CLOSES - self._calendar.midnight) // DAY + 1
        for when in np.unique(due[shipped]):
            rows = shipped & (due == when)
            self._habit_lessons.setdefault(int(when), []).append((drafts.account[rows], on_habit[rows]))

    def _learn(self, day: int) -> None:
        for placed, region, service, told in self._regime_lessons.pop(day, ()):
            self._filter.learn(placed, region, service, told)
        for account, said in self._habit_lessons.pop(day, ()):
            np.add.at(self._people.belief, account, said)
