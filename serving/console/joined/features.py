"""The features as they are defined, and how they are doing by the newest recorded decisions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from sqlalchemy import Engine

from feature_store.times import Millis
from feature_store.views import SERVICES
from governance import promotion
from governance.ledger.store import DecisionReader, Filters
from models.features import FeatureCard, cards_of_views
from serving.console.joined.cards import Cards
from serving.console.watching import ColumnFacts, FeatureBook, FeatureFacts, Looked
from serving.live_features import LiveType, live

DECISIONS = 200
"""The newest decisions of each type that are looked at."""

AGE_S = 20.0
"""Figures are counted at most this often, however many readers there are."""


class LiveFeatures:
    """Fulfils :class:`serving.console.watching.Features`.

    Args:
        engine: of the database.
        cards: of the models' artifacts.
        now: the clock that is shown.
        clock: monotonic seconds.
    """

    def __init__(self, engine: Engine, cards: Cards, now: Callable[[], Millis], clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._cards = cards
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._made: tuple[float, FeatureBook] | None = None

    def book(self) -> FeatureBook:
        """All features, with figures that are a few seconds old at most; who comes while they are counted waits for them."""
        with self._lock:
            if self._made is None or self._clock() - self._made[0] > AGE_S:
                self._made = (self._clock(), self._make())
            return self._made[1]

    def _make(self) -> FeatureBook:
        reader = DecisionReader(self._engine)
        champions = promotion.champions(self._engine)
        looked: dict[str, Looked] = {}
        features: list[FeatureFacts] = []
        for kind, service in SERVICES.items():
            seen: LiveType = live(service, reader.newest_groups(Filters(type=kind, status="decided"), DECISIONS))
            looked[kind] = Looked(seen.decisions, seen.others, seen.since)
            card = self._cards.find(champions[kind].digest) if kind in champions else None
            learnt = card.features if card else {}
            features += [
                FeatureFacts(kind, feature, service.view_version, learnt.get(feature.name, plain), seen.features.get(feature.name))
                for feature, plain in zip(service.features, _cards(kind), strict=True)
            ]
        columns = [one for kind, model in champions.items() if kind not in SERVICES for one in self._columns(model)]
        return FeatureBook(features, looked, self._now(), columns)

    def _columns(self, model: promotion.ModelVersion) -> Iterable[ColumnFacts]:
        """The columns that a custom type is asked with; none where its artifact is not here."""
        card = self._cards.find(model.digest)
        if card is None or card.encoder is None:
            return
        for one in card.encoder.inputs:
            made = [feature for feature in card.features.values() if feature.group == one.name]
            yield ColumnFacts(model.type, (model.name, model.version, model.digest), one.name, one.kind, one.required, made)


@cache
def _cards(kind: str) -> tuple[FeatureCard, ...]:
    """How the features of a type are written where no model has learnt from them: without a usual value."""
    service = SERVICES[kind]
    return cards_of_views(service.features, np.full((1, len(service.names)), np.nan))
