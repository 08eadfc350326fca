"""What becomes of the day's orders: from which nodes they ship, whether they are late, cancelled or returned.

``p_knowable`` sums out what cannot be known: the carriers' regime with what :class:`~training.world.travel.RegimeFilter` believes from settled
deliveries, the error of the forecast by Gauss-Hermite quadrature, chance in closed form, and the customer's hidden habit of returning
goods with what settled orders tell of it. Outcomes teach at a moment that does not depend on them, so beliefs are not biased.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from feature_store.times import DAY, HOUR, Millis
from training.world.calendar import Calendar
from training.world.catalogue import Catalogue
from training.world.drafts import Drafts
from training.world.network import CITIES, CUSTOMS_LIMIT_CNY, DOWN, NODES, OPEN, REGIME_H, NetworkDays
from training.world.people import RETURN_HABIT, People
from training.world.travel import QUADRATURE, Parcels, RegimeFilter, Travel
from training.world.values import EXPRESS, STD, Bools, Floats, Ints

LATE_RETURNS = 1.6
"""What came late is sent back that much more often."""
PROMOTED_RETURNS = 1.2
"""What was bought at a lower price is sent back more often: at 30 % off by a third."""
MOST_RETURNS = 0.9
MAX_DELAY: Millis = 10 * DAY
RETURN_CLOSES: Millis = 18 * DAY
"""A return is reported at the latest this long after the promise."""
FRAUD_SETTLES: Millis = 45 * DAY
"""A chargeback is reported at the latest this long after the order."""
LATE_SETTLES: Millis = 1 * DAY
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


class Fulfilment:
    """Decides the fate of one day's orders after the other; days must come in sequence."""

    def __init__(self, calendar: Calendar, catalogue: Catalogue, network: NetworkDays, people: People) -> None:
        self._calendar, self._goods, self._network, self._people = calendar, catalogue, network, people
        self._travel = Travel(calendar, catalogue, network, people)
        self._filter = RegimeFilter(calendar.days)
        self._regime_lessons: defaultdict[int, list[tuple[int, Ints, Ints, Floats]]] = defaultdict(list)
        self._habit_lessons: defaultdict[int, list[tuple[Ints, Floats]]] = defaultdict(list)
        self._city_region = np.array([city.region for city in CITIES])
        transit = network.lanes.transit_days[0, :, :, STD]
        self._near = np.argsort(transit + 0.01 * np.arange(len(NODES))[:, None], axis=0).T

    def decide(self, day: int, drafts: Drafts, rng: np.random.Generator) -> Fates:
        """The fate of the orders of ``day``; what it teaches is kept for the days on which it is settled."""
        self._learn(day)
        node, short, parcels = self._route(day, drafts)
        outlook = self._travel.outlook(day, drafts, parcels)
        chance = self._travel.late_chances(day, parcels, outlook)

        belief = self._filter.belief(day)[parcels.region, drafts.service]
        p_late = np.einsum("mkq,mk,q->m", chance, belief[parcels.order], QUADRATURE)
        together = np.multiply.reduceat(1.0 - chance, parcels.starts, axis=0)
        p_on_time = np.einsum("nkq,nk,q->n", together, belief, QUADRATURE)
        cancel = self._cancel_chances(day, drafts, node, short)
        p_cancel = 1.0 - np.prod(1.0 - cancel, axis=1)
        returns = self._return_chances(day, drafts)
        p_return = (returns * self._people.habit_chances(drafts.account)).sum(axis=1)
        p_failure = p_cancel + (1.0 - p_cancel) * (1.0 - p_on_time * (1.0 - p_return))

        hidden = REGIME_H[self._network.regime[day][parcels.region, drafts.service]]
        hidden = hidden + self._travel.weather_h(day, parcels.region, rng.normal(0.0, 1.0, (drafts.count, 1)))[:, 0]
        delay = hidden[parcels.order] + rng.logistic(0.0, 1.0, len(parcels.order)) * outlook.scale_h - outlook.slack_h
        late = delay > 0
        any_late = np.bitwise_or.reduceat(late, parcels.starts)
        cancelled, cause = _cancelled(rng, cancel, p_cancel)
        returns = np.minimum(returns * np.where(any_late, LATE_RETURNS, 1.0)[:, None], MOST_RETURNS)
        habit = self._people.habit[drafts.account]
        returned = (rng.random(drafts.count) < returns[np.arange(drafts.count), habit]) & ~cancelled

        each = np.where(late[:, None, None], chance, 1.0 - chance)
        on_regime = np.log(np.maximum(np.multiply.reduceat(each, parcels.starts, axis=0) @ QUADRATURE, 1e-12))
        on_habit = np.log(np.where(returned[:, None], returns, 1.0 - returns))
        for when, rows in self._by_day(outlook.promised_by + LATE_SETTLES, ~cancelled):
            self._regime_lessons[when].append((day, parcels.region[rows], drafts.service[rows], on_regime[rows]))
        for when, rows in self._by_day(outlook.promised_by + RETURN_CLOSES, ~cancelled):
            self._habit_lessons[when].append((drafts.account[rows], on_habit[rows]))

        placed, promised = drafts.placed_at[parcels.order], outlook.promised_by[parcels.order]
        shipped, delivered = _moments(rng, placed, promised, delay)
        return Fates(
            node, outlook.promised_by, cancelled, cause, returned, p_failure, parcels.order, parcels.node, shipped, delivered, late, p_late
        )

    def _learn(self, day: int) -> None:
        """Take in what is settled by the start of ``day``."""
        for placed, region, service, told in self._regime_lessons.pop(day, ()):
            self._filter.learn(placed, region, service, told)
        for account, said in self._habit_lessons.pop(day, ()):
            np.add.at(self._people.belief, account, said)

    def _by_day(self, settled: Ints, rows: Bools) -> Iterator[tuple[int, Bools]]:
        """The rows by the first day that starts after they are settled."""
        day = (settled - self._calendar.midnight) // DAY + 1
        for when in np.unique(day[rows]).tolist():
            yield when, rows & (day == when)

    def _route(self, day: int, drafts: Drafts) -> tuple[Ints, Bools, Parcels]:
        """Each line goes to the nearest open node that reports enough; where none does, to the one that reports most.

        Returns:
            the node of each line, whether it is short there, and the shipments that follow.
        """
        goods = self._goods
        region = self._city_region[self._people.city[drafts.account]]
        spare = (goods.stock[day] - goods.safety).astype(np.float64)
        spare[~goods.stocked] = -np.inf
        spare[self._network.status[day] == DOWN] -= 1e6
        near = self._near[region]
        node = np.full(drafts.skus.shape, -1, dtype=np.int64)
        short = np.zeros(drafts.skus.shape, dtype=np.bool_)
        for k in range(drafts.skus.shape[1]):
            rows = np.flatnonzero(drafts.skus[:, k] >= 0)
            found = spare[near[rows], drafts.skus[rows, k][:, None]]
            enough = found >= drafts.pieces[rows, k][:, None]
            has = enough.any(axis=1)
            node[rows, k] = near[rows, np.where(has, enough.argmax(axis=1), found.argmax(axis=1))]
            short[rows, k] = ~has
        keys = np.unique((np.arange(drafts.count)[:, None] * len(NODES) + node)[node >= 0])
        order = keys // len(NODES)
        return node, short, Parcels(order, keys % len(NODES), region, np.flatnonzero(np.diff(order, prepend=-1)))

    def _cancel_chances(self, day: int, drafts: Drafts, node: Ints, short: Bools) -> Floats:
        """Probability that we have to cancel, by cause, (n, 5)."""
        goods, net = self._goods, self._network
        there = drafts.skus >= 0
        sku, at = np.where(there, drafts.skus, 0), np.where(there, node, 0)
        spare = goods.stock[day][at, sku] - goods.safety[at, sku] - drafts.pieces
        thin = np.clip(1.0 - spare / 40.0, 0.0, 1.0)
        stock = (np.where(short, 0.30, 0.05 * thin) * there).max(axis=1)
        value = (goods.price_on(day)[sku] * drafts.pieces * there).sum(axis=1) / 100.0
        imported = (goods.imported[sku] & there).any(axis=1)
        customs = np.where(imported, net.customs[day] * np.where(value > CUSTOMS_LIMIT_CNY, 0.30, 0.05), 0.0)
        load, delay = goods.supplier_load[day][goods.supplier[sku]], goods.supplier_delay[day][goods.supplier[sku]]
        risk = 0.012 + 0.02 * np.clip(delay, 0, 8) + 0.30 * np.clip(load - 0.9, 0, 0.6)
        supplier = np.where(goods.presale[sku] & there, risk, 0.0).max(axis=1)
        trouble = ((net.status[day][at] != OPEN) & there).any(axis=1) * 0.035
        return np.stack([np.full(drafts.count, 0.002), stock, np.minimum(supplier, 0.5), customs, trouble], axis=1)

    def _return_chances(self, day: int, drafts: Drafts) -> Floats:
        """Probability of a return when on time, by hidden habit, (n, 4); fashion comes back ever more often, bargains too."""
        there = drafts.skus >= 0
        sku = np.where(there, drafts.skus, 0)
        kind = self._goods.returns[sku]
        drift = 1.0 + 0.35 * self._calendar.progress[day] * (kind > 1.5)
        bargain = 1.0 + PROMOTED_RETURNS * self._goods.discount[day][sku]
        most = np.where(there, kind * drift * bargain, 0.0).max(axis=1)
        express = 1.0 + 0.25 * (drafts.service == EXPRESS)
        return np.asarray(np.minimum(RETURN_HABIT[None, :] * (most * express)[:, None], MOST_RETURNS), dtype=np.float64)


def _cancelled(rng: np.random.Generator, chances: Floats, p_cancel: Floats) -> tuple[Bools, Ints]:
    """Which orders are cancelled, and for which cause, drawn in proportion to the causes' chances."""
    cancelled = rng.random(len(chances)) < p_cancel
    share = np.cumsum(chances, axis=1)
    cause = (rng.random(len(chances))[:, None] * share[:, -1:] > share[:, :-1]).sum(axis=1)
    return cancelled, cause.astype(np.int64)


def _moments(rng: np.random.Generator, placed: Ints, promised: Ints, delay_h: Floats) -> tuple[Ints, Ints]:
    """When shipments leave and arrive, (m,) each."""
    delay = np.where(delay_h > 0, np.maximum(delay_h * HOUR, 1.0), np.minimum(delay_h * HOUR, 0.0))
    delay = np.minimum(delay, MAX_DELAY).astype(np.int64)
    delivered = np.maximum(promised + delay, placed + 2 * HOUR)
    share = np.clip(rng.normal(0.35, 0.08, len(placed)), 0.1, 0.8)
    return placed + ((delivered - placed) * share).astype(np.int64), delivered
