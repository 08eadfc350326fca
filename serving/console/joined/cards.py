"""What a model's artifact says about its features, read by digest and checked against it; the model itself is not loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from models.encoding import RowEncoder
from models.features import FeatureCard

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Card:
    """The card of one artifact."""

    features: Mapping[str, FeatureCard]
    threshold: float | None
    encoder: RowEncoder | None


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

    def _from_disk(self, digest: str) -> Card | None:
        algorithm, _, value = digest.partition(":")
        if algorithm != "sha256" or len(value) != 64 or not value.isalnum():
            return None
        place = self._folder / "sha256" / value
        try:
            manifest, card = (place / "manifest.json").read_bytes(), (place / "card.json").read_bytes()
            listed = orjson.loads(manifest)["files"]["card.json"]["sha256"]
            if hashlib.sha256(manifest).hexdigest() != value or hashlib.sha256(card).hexdigest() != listed:
                return None
            return _card(orjson.loads(card))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _card(told: Mapping[str, Any]) -> Card:
    features = [FeatureCard.from_json(entry) for entry in told["features"]]
    encoder = told["encoder"]
    return Card({card.name: card for card in features}, told["threshold"], None if encoder is None else RowEncoder.from_json(encoder))
