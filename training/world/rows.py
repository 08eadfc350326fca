"""One order's numbers as plain Python values: reading them one by one out of arrays would cost more than all the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from feature_store.times import Millis
from training.world.drafts import Drafts
from training.world.fulfilment import Fates
from training.world.people import People
from training.world.values import pick

CHANNELS: tuple[str, ...] = ("app", "mini_program", "web", "marketplace", "store")
_CHANNEL_SHARES = np.cumsum([0.48, 0.22, 0.14, 0.11, 0.05])
METHODS: tuple[str, ...] = ("wallet", "card", "instalment")
_METHOD_SHARES = np.cumsum([0.62, 0.30, 0.08])
_CHANCES = 8


class Parcel(NamedTuple):
    """One shipment's numbers."""

    node: int
    shipped_at: Millis
    delivered_at: Millis
    late: bool
    p_late: float


class Row(NamedTuple):
    """One order's numbers: drafted, fated, and a few more that mean nothing for its outcome.

    Attributes:
        offset: degrees of latitude and longitude from the middle of the city.
        chances: eight uniform numbers for what remains to be drawn.
    """

    placed_at: Millis
    account: int
    scene: int
    device: int
    address: int
    ip: int
    mismatch: bool
    near: bool
    service: int
    declines: int
    foreign: int
    skus: list[int]
    pieces: list[int]
    fraud: bool
    p_fraud: float
    node: list[int]
    promised_by: Millis
    cancelled: bool
    cause: int
    returned: bool
    p_failure: float
    city: int
    segment: int
    registered_at: Millis
    channel: int
    method: int
    offset: list[float]
    chances: list[float]
    parcels: list[Parcel]


def rows_of(drafts: Drafts, fates: Fates, people: People, rng: np.random.Generator) -> Iterator[Row]:
    """The rows of one day, by time."""
    n, account = drafts.count, drafts.account
    columns = [getattr(drafts, name) for name in Drafts.__slots__]
    columns += [fates.node, fates.promised_by, fates.cancelled, fates.cause, fates.returned, fates.p_failure]
    columns += [people.city[account], people.segment[account], people.registered_at[account]]
    columns += [pick(rng, _CHANNEL_SHARES, n), pick(rng, _METHOD_SHARES, n)]
    columns += [rng.normal(0.0, 0.06, (n, 2)).round(4), rng.random((n, _CHANCES))]
    parcels: list[list[Parcel]] = [[] for _ in range(n)]
    told = (fates.shipment_node, fates.shipped_at, fates.delivered_at, fates.late, fates.p_late)
    for order, *values in zip(fates.shipment_order.tolist(), *(column.tolist() for column in told), strict=True):
        parcels[order].append(Parcel(*values))
    for numbers in zip(*(column.tolist() for column in columns), parcels, strict=True):
        yield Row(*numbers)
