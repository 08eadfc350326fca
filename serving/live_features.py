"""How features are doing at the moment: freshness, defaults and spread over the newest recorded decisions. Pure; bounded by what it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.snapshot import Origin
from feature_store.times import Millis
from feature_store.views import FeatureService
from feature_store.views.definition import Dtype, Feature
from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import numbers

BINS = 16
FEW = 6
"""Up to so many different values are told one by one."""

LEAST_PERSONAL = 20
"""Decisions below which the spread of what is said of persons is not shown: it would show the persons."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """How values lie.

    Attributes:
        quantiles: at :data:`QUANTILES`.
        edges: of the bins, one more than these; of few different values these themselves, one for each bin.
        bins: values in each bin; those beyond the edges count in the outermost.
    """

    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    bins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LiveFeature:
    """One feature over the newest decisions.

    Attributes:
        values: single values; split-order has one for each candidate lane.
        defaults: share of values that are the default, as nothing was known.
        newest_at: when the newest fact in any of them happened; ``None`` where none came from the store.
        age_s: median age of the newest fact in a value at its decision, of values from the store.
        old_age_s: 95 of 100 are younger.
        requests: share of values that the request told.
        spread: of the known values; ``None`` where there are too few to say.
    """

    values: int
    defaults: float
    requests: float = 0.0
    newest_at: Millis | None = None
    age_s: float | None = None
    old_age_s: float | None = None
    spread: Spread | None = None


@dataclass(frozen=True, slots=True)
class LiveType:
    """One decision type over its newest decisions.

    Attributes:
        decisions: that were looked at.
        others: further ones whose features were defined otherwise.
        since: when the oldest of them was made.
    """

    decisions: int
    others: int
    since: Millis | None
    features: Mapping[str, LiveFeature]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Snapshots put together: values, ages in milliseconds (NaN for none), whether each is the default; all (rows, features)."""

    values: Floats
    times: Floats
    stored: NDArray[np.bool_]
    default: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    as_of: NDArray[np.int64]
    decisions: int
    others: int


def live(service: FeatureService, decisions: Sequence[Mapping[str, Any]]) -> LiveType:
    """What the newest decisions of a type say about its features.

    Args:
        service: the definitions in force; decisions by others are counted and left out.
        decisions: groups of records, newest first.
    """
    seen = _gather(service, decisions)
    features = {feature.name: _feature(feature, index, seen) for index, feature in enumerate(service.features)} if len(seen.values) else {}
    return LiveType(seen.decisions, seen.others, int(seen.as_of.min()) if len(seen.as_of) else None, features)


def _gather(service: FeatureService, decisions: Sequence[Mapping[str, Any]]) -> _Seen:
    width = len(service.names)
    values: list[Floats] = []
    times: list[list[Millis | None]] = []
    origins: list[list[str]] = []
    as_of: list[NDArray[np.int64]] = []
    others = 0
    for groups in decisions:
        told = groups.get("snapshot")
        if told is None:
            continue
        if told["view_version"] != service.view_version:
            others += 1
            continue
        try:
            rows = numbers(groups["values"]).reshape(-1, width)
        except (RecordCorrupt, KeyError, ValueError):
            continue
        lanes = "lanes" in told
        values.append(rows)
        times.extend(told["event_times"] if lanes else [told["event_times"]])
        origins.extend(told["origins"] if lanes else [told["origins"]])
        as_of.append(np.full(len(rows), told["as_of"], dtype=np.int64))
    named = np.array(origins, dtype="U8").reshape(-1, width)
    return _Seen(
        np.concatenate(values) if values else np.zeros((0, width)),
        np.array([[np.nan if at is None else at for at in row] for row in times], dtype=np.float64).reshape(-1, width),
        named == Origin.STORE.value,
        named == Origin.DEFAULT.value,
        named == Origin.REQUEST.value,
        np.concatenate(as_of) if as_of else np.zeros(0, dtype=np.int64),
        len(values),
        others,
    )


def _feature(feature: Feature, index: int, seen: _Seen) -> LiveFeature:
    values, default = seen.values[:, index], seen.default[:, index]
    dated = seen.stored[:, index] & ~np.isnan(seen.times[:, index])
    known = values[~default & ~np.isnan(values)]
    newest_at = age_s = old_age_s = None
    if dated.any():
        at = seen.times[dated, index]
        ages = np.maximum(0.0, seen.as_of[dated] - at) / 1000
        newest_at, age_s, old_age_s = int(at.max()), float(np.median(ages)), float(np.quantile(ages, 0.95))
    shown = len(known) > 0 and (not feature.personal or seen.decisions >= LEAST_PERSONAL)
    return LiveFeature(
        len(values),
        float(default.mean()),
        float(seen.asked[:, index].mean()),
        newest_at,
        age_s,
        old_age_s,
        spread(known, feature.dtype) if shown else None,
    )


def spread(known: Floats, dtype: Dtype) -> Spread:
    """How values lie; float64 (n,), at least one, none of them NaN."""
    quantiles = tuple(np.quantile(known, QUANTILES, method="inverted_cdf").tolist())
    different, counts = np.unique(known, return_counts=True)
    if len(different) <= FEW or dtype is Dtype.FLAG:
        return Spread(quantiles, tuple(different.tolist()), tuple(counts.tolist()))
    low, high = (float(edge) for edge in np.quantile(known, (0.01, 0.99)))
    if dtype is Dtype.INTEGER and high - low < BINS:
        edges = np.arange(math.ceil(low), math.floor(high) + 1)
        counts = np.bincount((np.clip(known, edges[0], edges[-1]) - edges[0]).round().astype(np.int64), minlength=len(edges))
        return Spread(quantiles, tuple(map(float, edges)), tuple(counts.tolist()))
    if not high > low:
        low, high = float(known.min()), float(known.max())
    bins, edges = np.histogram(np.clip(known, low, high), BINS, (low, high))
    return Spread(quantiles, tuple(edges.tolist()), tuple(bins.tolist()))
