"""Whether confidence keeps meaning what it says, and whether it does so for everybody: figures over decisions whose truth is known.

The same functions judge a version when it is trained (on rows that it has never seen) and watch it afterwards (on live decisions joined to the labels
that the OMS sends back). They are pure; :func:`watch` reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from feature_store.ranks import auc
from feature_store.times import Millis
from governance.outcomes import Labelled, labelled
from models.specs import Outcome

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEVEL = 0.9
BINS = 10
FEWEST = 100
"""Below so many labelled decisions a figure would tell chance."""
FEWEST_OF_A_SIDE = 5
SMALLEST_SEGMENT = 50
PASSING = frozenset({Outcome.ACCEPT.value, Outcome.ACCEPT_PARTIAL.value, Outcome.ALLOW.value})
"""Outcomes that let an order through."""

_Z = 1.6448536269514722
_TINY = 1e-7


def calibration_error(event: Floats, probability: Floats, weight: Floats, bins: int = BINS) -> float:
    """Expected calibration error: the mean distance of said and seen over tenths of equal weight."""
    place = _places(probability, weight, bins)
    gap = np.bincount(place, weights=weight * (event - probability), minlength=bins)
    return float(np.abs(gap).sum() / max(weight.sum(), _TINY))


def interval_coverage(event: Floats, probability: Floats, low: Floats, high: Floats, bins: int = 2 * BINS) -> float:
    """Share of the rows in bins by probability whose observed rate lies within the interval that was told there.

    The interval speaks of the rate behind a score, a bin shows a count: the bin's own binomial chance is allowed on top of the interval's half
    width. An honest interval at 90 % covers about nine bins in ten; one that is too narrow covers fewer.

    Args:
        event: 0 or 1, (n,).
        probability: as told, (n,).
        low: the interval's lower end, (n,).
        high: its upper end, (n,).
        bins: of equally many rows.
    """
    if not len(event):
        return float("nan")
    place = _places(probability, np.ones(len(event)), bins)
    rows = np.bincount(place, minlength=bins).astype(np.float64)
    filled = rows > 0
    rows, place = rows[filled], (np.cumsum(filled) - 1)[place]
    seen, told, least, most = (np.bincount(place, values) / rows for values in (event, probability, low, high))
    chance = _Z * np.sqrt(np.maximum(told * (1.0 - told), _TINY) / rows)
    half = np.where(seen < told, told - least, most - told)
    return float(rows[np.abs(seen - told) <= np.hypot(half, chance)].sum() / rows.sum())


def rate(count: float, rows: float) -> dict[str, float | None]:
    """A share with its Wilson interval at :data:`LEVEL`: it stays honest for few rows and for shares near 0 and 1."""
    if rows <= 0:
        return {"value": None, "low": None, "high": None}
    share, width = count / rows, _Z * _Z / rows
    centre = (share + width / 2) / (1 + width)
    half = _Z / (1 + width) * math.sqrt(share * (1 - share) / rows + width / (4 * rows))
    low, high = max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
    return {"value": _short(share), "low": _short(low), "high": _short(high)}


@dataclass(frozen=True, slots=True)
class Segment:
    """Decisions of one segment: its name, and for each decision whether it let through and whether the event came."""

    cut: str
    name: str
    passed: Bools
    event: Bools

    def to_json(self) -> dict[str, Any]:
        """Rates with intervals, ready for JSON.

        ``accept_rate``: share let through; ``false_alarm_rate``: of the good ones, share not let through; ``miss_rate``: of the bad
        ones, share let through; ``event_rate``: share of bad ones.
        """
        good, bad = ~self.event, self.event
        return {
            "cut": self.cut,
            "segment": self.name,
            "rows": len(self.event),
            "event_rate": rate(float(bad.sum()), len(bad)),
            "accept_rate": rate(float(self.passed.sum()), len(self.passed)),
            "false_alarm_rate": rate(float((good & ~self.passed).sum()), float(good.sum())),
            "miss_rate": rate(float((bad & self.passed).sum()), float(bad.sum())),
        }


def fairness(segments: Iterable[Segment], smallest: int = SMALLEST_SEGMENT) -> dict[str, Any]:
    """Error rates and accept rates by segment, and how far apart the segments of each cut lie.

    A gap counts as ``clear`` when the intervals of its two ends do not touch. That a gap is there does not say that it is unfair: a remote region may
    truly be slower. Compare ``false_alarm_rate``: good orders of a segment that are refused more often pay for their neighbours.
    """
    told = [segment.to_json() for segment in segments if len(segment.event) >= smallest]
    gaps = []
    for cut, members in groupby(told, key=lambda one: str(one["cut"])):
        listed = list(members)
        gaps += [gap for measure in ("accept_rate", "false_alarm_rate", "miss_rate") if (gap := _gap(cut, measure, listed)) is not None]
    return {"level": LEVEL, "segments": told, "gaps": gaps}


def _gap(cut: str, measure: str, listed: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    known = [one for one in listed if one[measure]["value"] is not None]
    if len(known) < 2:
        return None
    least = min(known, key=lambda one: float(one[measure]["value"]))
    most = max(known, key=lambda one: float(one[measure]["value"]))
    return {
        "cut": cut,
        "measure": measure,
        "lowest": least["segment"],
        "highest": most["segment"],
        "difference": _short(most[measure]["value"] - least[measure]["value"]),
        "clear": bool(most[measure]["low"] > least[measure]["high"]),
    }


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of a version's live decisions.

    Attributes:
        labelled: decisions whose truth is known.
        figures: ``event_rate``, ``mean_probability``, ``ece``, ``coverage``, ``auc``, ``brier``; ``None`` where there are too few.
        fairness: as :func:`fairness` tells it, by region, segment and channel.
    """

    type: str
    model_name: str
    model_version: int
    labelled: int
    figures: Mapping[str, float | None]
    fairness: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        model = {"name": self.model_name, "version": self.model_version}
        return {"type": self.type, "model": model, "labelled": self.labelled, "figures": dict(self.figures), "fairness": self.fairness}


def watch(engine: Engine, since: Millis, until: Millis | None = None) -> list[Watched]:
    """What the versions that answered since then were worth, by type and version, the newest version first.

    Only labels tell: decisions whose truth is not known yet take no part, so the newest days are thin, and where only bad ends are reported the
    figures say so by a mean probability far below the event's rate.
    """
    return summarise(labelled(engine, since, until=until))


def summarise(rows: Iterable[Labelled]) -> list[Watched]:
    """:func:`watch` over rows at hand."""
    found: dict[tuple[str, str, int], list[Labelled]] = {}
    for row in rows:
        if row.model_name is not None and row.model_version is not None and row.positive is not None and row.probability is not None:
            found.setdefault((row.type, row.model_name, row.model_version), []).append(row)
    return [_watched(*key, found[key]) for key in sorted(found, key=lambda key: (key[0], key[1], -key[2]))]


def _watched(kind: str, name: str, version: int, rows: Sequence[Labelled]) -> Watched:
    event = np.array([bool(row.positive) for row in rows])
    probability = np.array([row.probability for row in rows], dtype=np.float64)
    return Watched(kind, name, version, len(rows), _figures(event, probability, rows), fairness(_segments(rows, event)))


def _figures(event: Bools, probability: Floats, rows: Sequence[Labelled]) -> dict[str, float | None]:
    enough = len(event) >= FEWEST
    truth = event.astype(np.float64)
    bounded = np.array([row.low is not None and row.high is not None for row in rows])
    low, high = (np.array([getattr(row, end) for row in rows], dtype=np.float64) for end in ("low", "high"))
    sides = min(int(event.sum()), int((~event).sum())) >= FEWEST_OF_A_SIDE
    covered = bounded.sum() >= FEWEST
    return {
        "event_rate": _short(float(truth.mean())),
        "mean_probability": _short(float(probability.mean())),
        "ece": _short(calibration_error(truth, probability, np.ones(len(truth)))) if enough else None,
        "coverage": _short(interval_coverage(truth[bounded], probability[bounded], low[bounded], high[bounded])) if covered else None,
        "auc": _short(auc(probability, event)) if enough and sides else None,
        "brier": _short(float(((probability - truth) ** 2).mean())) if enough else None,
    }


def _segments(rows: Sequence[Labelled], event: Bools) -> Iterable[Segment]:
    passed = np.array([row.outcome in PASSING for row in rows])
    if not passed.any():
        return
    for cut in ("region", "segment", "channel"):
        names = np.array([getattr(row, cut) or "" for row in rows])
        for name in np.unique(names[names != ""]).tolist():
            inside = names == name
            yield Segment(cut, str(name), passed[inside], event[inside])


def _places(probability: Floats, weight: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each row: bins of equal weight by probability."""
    order = np.argsort(probability, kind="stable")
    mass = np.cumsum(weight[order])
    place = np.empty(len(order), np.int64)
    place[order] = np.minimum(bins - 1, ((mass - weight[order] / 2) / max(mass[-1], _TINY) * bins).astype(np.int64))
    return place


def _short(value: float) -> float | None:
    """Six significant digits: what a report can honestly claim."""
    return None if math.isnan(value) else float(f"{value:.6g}")
