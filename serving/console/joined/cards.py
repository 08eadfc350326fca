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

from models.artifact import CARD_FILE, MANIFEST_FILE, MODEL_FILE
from models.encoding import RowEncoder
from models.features import FeatureCard

_KEPT = 64
_HEX = re.compile(r"[0-9a-f]{64}")
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError)
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
        self._read = lru_cache(_KEPT)(self._from_disk)  # what raises is not kept: an artifact may come back, from a backup

    def find(self, digest: str | None) -> Card | None:
        """The card of an artifact; ``None`` when it is not here any more, or is not what its digest says."""
        if digest is None:
            return None
        try:
            return self._read(digest)
        except _UNREADABLE:
            return None

    def drivers(self, digest: str) -> tuple[Driver, ...]:
        """What the model's trees split on, by how much each split improved the fit; the largest first, none where it cannot be read."""
        try:
            return _drivers(self._read(digest), self._verified(digest, MODEL_FILE).decode())
        except _UNREADABLE:
            return ()

    def _from_disk(self, digest: str) -> Card:
        return _card(orjson.loads(self._verified(digest, CARD_FILE)))

    def _verified(self, digest: str, name: str) -> bytes:
        """A file of an artifact, held against the manifest, and the manifest against the digest; each time anew.

        Raises:
            OSError: it is not here.
            ValueError: it is not what the digest says.
        """
        algorithm, _, value = digest.partition(":")
        if algorithm != "sha256" or not _HEX.fullmatch(value):
            raise ValueError("no digest of an artifact")
        place = self._folder / "sha256" / value
        manifest, data = (place / MANIFEST_FILE).read_bytes(), (place / name).read_bytes()
        if hashlib.sha256(manifest).hexdigest() != value:
            raise ValueError("the manifest is another one")
        if hashlib.sha256(data).hexdigest() != orjson.loads(manifest)["files"][name]["sha256"]:
            raise ValueError(f"{name} is another one")
        return data


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
