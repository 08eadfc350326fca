"""One day's orders as columns: who, when, from what device to where, which SKUs; and how much all of it speaks of fraud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feature_store.times import DAY, HOUR, MINUTE, SECOND
from training.world.calendar import Calendar
from training.world.catalogue import Catalogue
from training.world.people import MOBILE_NETWORKS, Author, People, Plan, device_serial, foreign_serial
from training.world.scenes import (
    NEAR,
    SIGNALS,
    Scene,
    age_evidence,
    bernoulli_evidence,
    draw_declines,
    draw_launch_pieces,
    draw_testing,
    family_evidence,
    logit,
    night_density,
    order_count_evidence,
    pair,
    prior_of,
    taste_evidence,
)
from training.world.values import EXPRESS, STD, Bools, Floats, Ints, pick, sigmoid

CHANGED_SHARE = 0.024
GIFT_SHARE, NEW_PHONE_SHARE, MOBILE_SHARE = 0.05, 0.012, 0.15
MAX_LINES = 4
PROMOTED_DEMAND = 1.5
"""A SKU that costs 20 % less is bought 30 % more often."""
_LINES = np.cumsum([0.62, 0.24, 0.10, 0.04])
_PIECES = np.cumsum([0.80, 0.13, 0.05, 0.02])


@dataclass(slots=True)
class Drafts:
    """One day's orders by time; every array has n entries, ``skus`` and ``pieces`` are (n, 4) with -1 where there is no line.

    Attributes:
        placed_at: milliseconds.
        near: whether a billing address that differs looks like the delivery address.
        declines: declined payments just before the order; ``foreign`` of them with somebody else's card.
        fraud: whether it is one.
        p_fraud: its probability given all that is visible.
    """

    placed_at: Ints
    account: Ints
    scene: Ints
    device: Ints
    address: Ints
    ip: Ints
    mismatch: Bools
    near: Bools
    service: Ints
    declines: Ints
    foreign: Ints
    skus: Ints
    pieces: Ints
    fraud: Bools
    p_fraud: Floats

    @property
    def count(self) -> int:
        """How many orders there are."""
        return len(self.placed_at)

    def sort(self) -> None:
        """Bring all columns into the order of time."""
        by_time = np.argsort(self.placed_at, kind="stable")
        for name in self.__slots__:
            setattr(self, name, getattr(self, name)[by_time])


class DayDrawer:
    """Draws the orders of one day after the other; days must come in sequence because people change."""

    def __init__(self, calendar: Calendar, catalogue: Catalogue, people: People, plan: Plan) -> None:
        self._calendar, self._catalogue, self._people, self._plan = calendar, catalogue, people, plan
        self._serial = sum(len(day) for day in plan.authors)
        self._eligible = people.by_registration[people.by_registration < people.regulars]
        self._eligible_since = people.registered_at[self._eligible]

    def draw(self, day: int, rng: np.random.Generator) -> Drafts:
        """All orders of ``day``, sorted by time."""
        firsts, authors = self._plan.first_orders[day], self._plan.authors[day]
        laid_out = sum(author.orders for author in authors)
        count = int(self._plan.orders[day])
        single = count - laid_out - len(firsts)
        drafts, evidence = self._blank(count), np.zeros(count)
        own, fresh = slice(0, single), slice(single, single + len(firsts))
        self._ordinary(day, rng, drafts, own)
        drafts.scene[fresh] = Scene.NEW_ACCOUNT
        drafts.account[fresh] = [account for account, _ in firsts]
        drafts.placed_at[fresh] = [moment for _, moment in firsts]
        for scene in (Scene.ORDINARY, Scene.NEW_ACCOUNT, Scene.CHANGED_DEVICE):
            chosen = drafts.scene[: single + len(firsts)] == scene
            prior = prior_of(scene, float(self._calendar.progress[day]))
            drafts.fraud[: len(chosen)][chosen] = rng.random(int(chosen.sum())) < prior
            evidence[: len(chosen)][chosen] = logit(prior)
        self._times(day, rng, drafts, evidence, own)
        at = single + len(firsts)
        self._places(rng, drafts, slice(0, at))
        groups = []
        for author in authors:
            rows = slice(at, at + author.orders)
            evidence[rows] += self._laid_out(day, rng, drafts, rows, author=author)
            groups.append(rows)
            at = rows.stop
        self._signals(rng, drafts, evidence)
        self._goods(day, rng, drafts, evidence)
        for rows in groups:
            evidence[rows] = np.cumsum(evidence[rows])
        drafts.p_fraud = sigmoid(evidence)
        self._people.orders += np.bincount(drafts.account, minlength=len(self._people.orders))
        drafts.sort()
        return drafts

    def _blank(self, n: int) -> Drafts:
        def zeros() -> Ints:
            return np.zeros(n, dtype=np.int64)

        return Drafts(
            placed_at=zeros(), account=zeros(), scene=zeros(), device=zeros(), address=zeros(), ip=zeros(), mismatch=np.zeros(n, dtype=np.bool_),
            near=np.zeros(n, dtype=np.bool_), service=zeros(), declines=zeros(), foreign=zeros(), skus=np.full((n, MAX_LINES), -1), pieces=np.ones((n, MAX_LINES), dtype=np.int64),
            fraud=np.zeros(n, dtype=np.bool_), p_fraud=np.zeros(n),
        )  # fmt: skip

    def _ordinary(self, day: int, rng: np.random.Generator, drafts: Drafts, rows: slice) -> None:
        """Accounts with a history order; some from a new device and to a new address."""
        known = int(np.searchsorted(self._eligible_since, self._calendar.start_of(day)))
        eligible = self._eligible[:known]
        drafts.account[rows] = eligible[pick(rng, np.cumsum(self._people.activity[eligible]), rows.stop - rows.start)]
        changed = (rng.random(rows.stop) < CHANGED_SHARE) & (self._people.orders[drafts.account[rows]] >= 2)
        drafts.scene[rows] = np.where(changed, Scene.CHANGED_DEVICE, Scene.ORDINARY)

    def _times(self, day: int, rng: np.random.Generator, drafts: Drafts, evidence: Floats, rows: slice) -> None:
        hours = self._calendar.hours(day)
        for scene in (Scene.ORDINARY, Scene.CHANGED_DEVICE):
            chosen = np.flatnonzero(drafts.scene[rows] == scene)
            night = night_density(hours, SIGNALS[scene].night[1])
            fraud = drafts.fraud[chosen]
            honest_hour, other_hour = pick(rng, np.cumsum(hours), len(chosen)), pick(rng, np.cumsum(night), len(chosen))
            hour = np.where(fraud, other_hour, honest_hour)
            drafts.placed_at[chosen] = self._calendar.start_of(day) + hour * HOUR + rng.integers(0, HOUR, len(chosen))
            with np.errstate(divide="ignore", invalid="ignore"):
                evidence[chosen] += np.log(night / hours)[hour]
        if self._calendar.rush[day]:
            evidence[rows] = np.minimum(evidence[rows], 12.0)

    def _places(self, rng: np.random.Generator, drafts: Drafts, rows: slice) -> None:
        """Devices, addresses and networks of customers who order for themselves; dishonest ones bring their own."""
        people, account = self._people, drafts.account[rows]
        n = len(account)
        changed, fraud = drafts.scene[rows] == Scene.CHANGED_DEVICE, drafts.fraud[rows]
        moved = changed & ~fraud
        phone = moved | ((drafts.scene[rows] == Scene.ORDINARY) & (rng.random(n) < NEW_PHONE_SHARE))
        np.add.at(people.device, account[phone], 1)
        np.add.at(people.address, account[moved], 1)
        foreign = foreign_serial(np.arange(self._serial, self._serial + n, dtype=np.int64))
        people.network[account[moved]] = foreign[moved]
        gift = (drafts.scene[rows] == Scene.ORDINARY) & (rng.random(n) < GIFT_SHARE)
        mobile = rng.random(n) < MOBILE_SHARE
        drafts.device[rows] = np.where(changed & fraud, foreign, device_serial(account, people.device[account]))
        drafts.address[rows] = np.where((changed & fraud) | gift, foreign, device_serial(account, people.address[account]))
        home = np.where(changed & fraud, foreign, people.network[account])
        drafts.ip[rows] = np.where(mobile, rng.integers(0, MOBILE_NETWORKS, n), home)
        self._serial += n

    def _laid_out(self, day: int, rng: np.random.Generator, drafts: Drafts, rows: slice, *, author: Author) -> Floats:
        """The orders of one author, one account each; returns what each adds to the evidence, the first also what is known of the author."""
        people, signals, n = self._people, SIGNALS[author.scene], author.orders
        assert signals.age_d is not None
        assert signals.same_device is not None
        account = np.arange(author.first_account, author.first_account + n, dtype=np.int64)
        gaps = np.concatenate([[0.0], np.cumsum(rng.exponential(signals.gap_s, n - 1))]) * SECOND
        end = self._calendar.start_of(day + 1) - 10 * SECOND + 100 * np.arange(n)
        drafts.placed_at[rows] = np.minimum(author.start + gaps.astype(np.int64) + 100 * np.arange(n), end)
        drafts.account[rows], drafts.scene[rows], drafts.fraud[rows] = account, author.scene, author.fraud
        shared = people.group_device[account] >= 0
        serial = foreign_serial(author.serial)
        drafts.device[rows] = np.where(shared, serial, device_serial(account, people.device[account]))
        ring = author.scene is Scene.SHARED_ADDRESS
        drafts.address[rows] = serial if ring else device_serial(account, people.address[account])
        drafts.ip[rows] = people.network[account] if ring else serial
        ages = age_evidence((author.start - MINUTE - people.registered_at[account]) / DAY, signals.age_d)
        said = bernoulli_evidence(shared, signals.same_device)
        known = logit(prior_of(author.scene, float(self._calendar.progress[day])))
        if ring:
            known += family_evidence(n, signals.goes_on) + float(ages.sum())
        else:
            said += ages + np.diff(order_count_evidence(np.arange(n), signals.goes_on), prepend=0.0)
        said[0] += known
        if author.scene is Scene.CARD_TESTING:
            drafts.declines[rows.start], drafts.foreign[rows.start], more = draw_testing(rng, author.fraud)
            said[0] += more
        drafts.skus[rows, 0] = author.sku
        return said

    def _signals(self, rng: np.random.Generator, drafts: Drafts, evidence: Floats) -> None:
        """Billing address and how alike it is, express and declined payments."""
        for scene, signals in SIGNALS.items():
            rows = np.flatnonzero(drafts.scene == scene)
            fraud = drafts.fraud[rows]
            mismatch = rng.random(len(rows)) < pair(signals.mismatch, fraud)
            express = rng.random(len(rows)) < pair(signals.express, fraud)
            near = mismatch & (rng.random(len(rows)) < pair(NEAR, fraud))
            drafts.mismatch[rows], drafts.near[rows], drafts.service[rows] = mismatch, near, np.where(express, EXPRESS, STD)
            evidence[rows] += np.where(mismatch, bernoulli_evidence(near, NEAR), 0.0)
            evidence[rows] += bernoulli_evidence(mismatch, signals.mismatch) + bernoulli_evidence(express, signals.express)
            if scene is not Scene.CARD_TESTING:
                drafts.declines[rows], said = draw_declines(rng, fraud)
                evidence[rows] += said

    def _goods(self, day: int, rng: np.random.Generator, drafts: Drafts, evidence: Floats) -> None:
        """Lines: the first SKU by taste, further ones by popularity; a launch order is about its SKU."""
        goods, n = self._catalogue, drafts.count
        weights = np.where((goods.launch_day < 0) | (goods.launch_day < day), goods.popularity, 0.0)
        weights = weights * (1.0 + PROMOTED_DEMAND * goods.discount[day])
        if self._calendar.rush[day]:
            weights = weights * np.where(goods.presale, 2.0, 1.0)
        lured, said = taste_evidence(weights, goods.price_on(day) / 100.0)
        first = np.where(drafts.fraud, pick(rng, np.cumsum(lured), n), pick(rng, np.cumsum(weights), n))
        launch = drafts.scene == Scene.LAUNCH
        evidence += np.where(launch, 0.0, said[first])
        drafts.skus[:, 0] = np.where(launch, drafts.skus[:, 0], first)
        drafts.pieces[:] = pick(rng, _PIECES, n * MAX_LINES).reshape(n, MAX_LINES) + 1
        lines = np.where(launch, 1, pick(rng, _LINES, n) + 1)
        for k in range(1, MAX_LINES):
            more = pick(rng, np.cumsum(weights), n)
            repeated = (drafts.skus[:, :k] == more[:, None]).any(axis=1)
            drafts.skus[:, k] = np.where((lines > k) & ~repeated, more, -1)
        rows = np.flatnonzero(launch)
        pieces, told = draw_launch_pieces(rng, drafts.fraud[rows])
        drafts.pieces[rows, 0] = pieces
        evidence[rows] += told
