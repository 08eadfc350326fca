"""What a model's artifact says about its features, read by digest and checked against it; the model itself is not loaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from models.encoding import RowEncoder
from models.features import FeatureCard

_KEPT = 64
_SPLIT = re.compile(r"^split_feature=(.*)$", re.MULTILINE)
_GAIN = re.compile(r"^split_gain=(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Card:
    """The card of one artifact."""

    features: Mapping[str, FeatureCard]
    threshold: float | None
    encoder: RowEncoder | None


@dataclass(frozen=True, slots=True)
class Driver:
    """What a feature, or the column behind several, did for a model.

    Attributes:
        share: of the gain of all splits, from 0 to 1.
    """

    label: Mapping[str, str]
    share: float


class Cards:
    """Finds cards below a home's folder of models.

    Args:
        folder: where artifacts lie, ``sha256/<hex>/``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = lru_cache(_KEPT)(self._from_disk)

    def find(self, digest: str | None) -> Card | None:
        """The card of an artifact; ``None`` when it is not here any more, or is not what its digest says."""
        if digest is None:
            return None
        card = self._read(digest)
        if card is None:
            self._read.cache_clear()  # it may come back, from a backup
        return card

    def drivers(self, digest: str) -> tuple[Driver, ...]:
        """What the model's trees split on, by how much each split improved the fit; the largest first, none where it cannot be read."""
        card, place = self.find(digest), self._place(digest)
        if card is None or place is None:
            return ()
        try:
            text = (place / "model.txt").read_bytes()
            listed = orjson.loads((place / "manifest.json").read_bytes())["files"]["model.txt"]["sha256"]
            return _drivers(card, text.decode()) if hashlib.sha256(text).hexdigest() == listed else ()
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return ()

    def _place(self, digest: str) -> Path | None:
        algorithm, _, value = digest.partition(":")
        if algorithm != "sha256" or len(value) != 64 or not value.isalnum():
            return None
        return self._folder / "sha256" / value

    def _from_disk(self, digest: str) -> Card | None:
        if (place := self._place(digest)) is None:
            return None
        value = place.name
        try:
            manifest, card = (place / "manifest.json").read_bytes(), (place / "card.json").read_bytes()
            listed = orjson.loads(manifest)["files"]["card.json"]["sha256"]
            if hashlib.sha256(manifest).hexdigest() != value or hashlib.sha256(card).hexdigest() != listed:
                return None
            return _card(orjson.loads(card))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _drivers(card: Card, text: str) -> tuple[Driver, ...]:
    """Gains summed by feature; for a user's table by column, as one column may have become several features."""
    names = list(card.features)
    gains: dict[str, float] = {}
    labels: dict[str, Mapping[str, str]] = {}
    for split, gain in zip(_SPLIT.findall(text), _GAIN.findall(text), strict=True):
        for index, value in zip(split.split(), gain.split(), strict=True):
            feature = card.features[names[int(index)]]
            key = feature.name if card.encoder is None else feature.group
            labels[key] = feature.label if card.encoder is None else {"en": key, "zh": key}
            gains[key] = gains.get(key, 0.0) + float(value)
    total = sum(gains.values()) or 1.0
    return tuple(Driver(labels[key], gain / total) for key, gain in sorted(gains.items(), key=lambda pair: -pair[1]))


def _card(told: Mapping[str, Any]) -> Card:
    features = [FeatureCard.from_json(entry) for entry in told["features"]]
    encoder = told["encoder"]
    return Card({card.name: card for card in features}, told["threshold"], None if encoder is None else RowEncoder.from_json(encoder))
