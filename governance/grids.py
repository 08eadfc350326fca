"""The values that a feature could be changed to: one for each step of the model's trees, the nearest and plainest one that takes the step.

A tree model is constant between two neighbouring thresholds of a feature, so these few values are all that it can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from feature_store.views import SERVICES
from feature_store.views.definition import Dtype
from models.artifact import ModelArtifact
from models.features import FeatureCard, Shown
from models.lightgbm_text import CATEGORICAL, read_forest

_DECIMALS = 7
"""A value is written with as few decimals as its step allows, at most this many."""


@dataclass(frozen=True, slots=True)
class Lever:
    """A feature that somebody could change.

    Attributes:
        index: its place in the model's row.
        whole: whether it takes whole numbers only.
        least, most: bounds that no change goes beyond.
        thresholds: where the model's trees split it, ascending.
        codes: of a category, every value; else empty.
        effort: what the smallest change of it counts, beside its size.
    """

    card: FeatureCard
    index: int
    whole: bool
    least: float
    most: float
    thresholds: tuple[float, ...]
    codes: tuple[float, ...]
    effort: float

    @property
    def spread(self) -> float:
        """What counts as a change of size one: the width of the middle eight tenths of the thresholds."""
        if len(self.thresholds) < 2:
            return 1.0
        low, high = np.quantile(self.thresholds, (0.1, 0.9))
        return max(float(high - low), 1e-9, abs(self.card.usual or 0.0) * 0.1)

    def cost(self, before: float, after: float) -> float:
        """How large a change is: 0 for none, about 1 for one across the usual range of the feature."""
        if before == after or (math.isnan(before) and math.isnan(after)):
            return 0.0
        if self.codes or math.isnan(before) or math.isnan(after):
            return self.effort + 1.0
        return self.effort + abs(after - before) / self.spread

    def values(self, before: float) -> tuple[float, ...]:
        """Every value that the model tells apart from this one, the nearest first."""
        if self.codes:
            return tuple(code for code in self.codes if code != before)
        told = self.card.usual if math.isnan(before) else before
        start = 0.0 if told is None else told
        edges = [-math.inf, *self.thresholds, math.inf]
        found: dict[float, None] = {}
        for low, high in pairwise(edges):
            value = self._nearest(start, low, high)
            if value is not None and not (low < before <= high):
                found[value] = None
        return tuple(sorted(found, key=lambda value: (abs(value - start), value)))

    def _nearest(self, start: float, low: float, high: float) -> float | None:
        """The plainest value next to ``start`` above ``low`` and up to ``high``; ``None`` where bounds or whole numbers leave none."""
        low_open = max(low, math.nextafter(self.least, -math.inf))
        high = min(high, self.most)
        if not low_open < high:
            return None
        if self.whole:
            first, last = math.floor(low_open) + 1, math.floor(high) if math.isfinite(high) else math.inf
            nearest = min(max(round(start), first), last) if math.isfinite(first) else min(round(start), last)
            return float(nearest) if first <= last else None
        if start > high:
            return _plain(high, low_open, high, down=True)
        if start <= low_open:
            return _plain(low_open, low_open, high, down=False)
        return start


def _plain(edge: float, low: float, high: float, *, down: bool) -> float:
    """The number of fewest decimals next to an edge of the interval that is open below and closed above."""
    for decimals in range(_DECIMALS + 1):
        scale = 10.0**decimals
        steps = math.floor(round(edge * scale, 6))  # 2.05 × 100 is a little less than 205
        value = (steps if down else steps + 1) / scale
        if low < value <= high:
            return value
    return high if down else math.nextafter(low, math.inf)


def levers(artifact: ModelArtifact) -> tuple[Lever, ...]:
    """The actionable features that this model splits on. Of a user's table every column counts, because nobody said which can be changed."""
    known = _levers.get(artifact.digest)
    if known is None:
        known = _levers[artifact.digest] = tuple(_find(artifact))
        while len(_levers) > _KEPT:
            del _levers[next(iter(_levers))]
    return known


_KEPT = 32
_levers: dict[str, tuple[Lever, ...]] = {}


def _find(artifact: ModelArtifact) -> list[Lever]:
    thresholds, split = _thresholds(artifact.contents.model_text)
    actionable = _actionable(artifact.type)
    found = []
    for index, card in enumerate(artifact.features):
        if index not in split or (actionable is not None and card.name not in actionable):
            continue
        flag, category = card.shown is Shown.FLAG, card.shown is Shown.CATEGORY
        dtype = None if actionable is None else actionable[card.name]
        calendar = card.shown in {Shown.MONTH, Shown.WEEKDAY, Shown.CLOCK}
        if calendar and actionable is None:
            continue  # when a row of a table was written is nothing that anybody changes
        codes = (0.0, 1.0) if flag else tuple(float(code) for code in range(len(card.categories) - 1)) if category else ()
        found.append(
            Lever(
                card=card,
                index=index,
                whole=dtype is Dtype.INTEGER,
                least=_least(card.name, thresholds.get(index, ()), named=actionable is not None),
                most=1.0 if card.shown is Shown.SHARE else math.inf,
                thresholds=thresholds.get(index, ()),
                codes=codes,
                effort=_EFFORT.get(card.name, 0.25),
            )
        )
    return found


_AT_LEAST_ONE = frozenset({"pieces", "lines", "most_pieces"})
_EFFORT: Mapping[str, float] = {"cross_border": 2.0, "presale": 1.5, "express": 0.1, "promise_h": 0.1}
"""What is hard or easy to change: a longer promise costs little, goods that need not cross a border are other goods."""


def _least(name: str, thresholds: Sequence[float], *, named: bool) -> float:
    """The smallest value that makes sense: only what the model saw below nought can go below it."""
    if named and name in _AT_LEAST_ONE:
        return 1.0
    return 0.0 if named and (not thresholds or thresholds[0] >= 0.0) else -math.inf


def _actionable(decision_type: str) -> Mapping[str, Dtype] | None:
    """The features of a built-in type that somebody could change for an order; ``None`` for a user's table."""
    service = SERVICES.get(decision_type)
    return None if service is None else {feature.name: feature.dtype for feature in service.features if feature.actionable}


@lru_cache(maxsize=32)
def _thresholds(model_text: str) -> tuple[Mapping[int, tuple[float, ...]], frozenset[int]]:
    """By feature the thresholds of all trees, and every feature that is split on in any way."""
    found: dict[int, set[float]] = {}
    split: set[int] = set()
    for tree in read_forest(model_text).trees:
        for feature, threshold, decision in zip(tree.feature.tolist(), tree.threshold.tolist(), tree.decision.tolist(), strict=True):
            split.add(feature)
            if not decision & CATEGORICAL:
                found.setdefault(feature, set()).add(threshold)
    return {feature: tuple(sorted(told)) for feature, told in found.items()}, frozenset(split)


def coherent(values: Mapping[str, float]) -> bool:
    """Whether features of one order can have these values together: what is not among them counts as fitting."""
    pieces, lines, most = (values.get(name, math.nan) for name in ("pieces", "lines", "most_pieces"))
    impossible: Sequence[bool] = (
        pieces < most,
        pieces < lines,
        most * lines < pieces,
        values.get("billed_elsewhere", math.nan) == 0.0 and values.get("billing_street_difference", math.nan) > 0.0,
    )
    return not any(impossible)
