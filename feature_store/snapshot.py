"""What a decision knew: names, raw values, where each came from and since when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from feature_store.times import Millis


class Origin(StrEnum):
    """Where a feature's value came from."""

    STORE = "store"
    REQUEST = "request"
    DEFAULT = "default"
    PENDING = "pending"
    """Of an order that is being decided at the same time, whose event has not come in (:mod:`feature_store.pending`)."""


@dataclass(frozen=True)
class FeatureSnapshot:
    """The vector a decision used.

    Attributes:
        names: feature names, in the order of the values.
        values: float64, shape (n,); NaN stands for "not known".
        event_times: for each value the time of the newest fact in it, ``None`` where there is none.
        origins: for each value where it came from.
        view_version: the version of the feature definitions.
        as_of: the moment for which it was read.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    event_times: tuple[Millis | None, ...]
    origins: tuple[Origin, ...]
    view_version: str
    as_of: Millis

    @cached_property
    def digest(self) -> str:
        """``sha256:`` over view version, names and the raw little-endian IEEE-754 values."""
        values = self.values.astype("<f8").tobytes()
        return "sha256:" + hashlib.sha256(_digest_head(self.view_version, self.names) + values).hexdigest()

    @property
    def oldest_age_s(self) -> float | None:
        """Seconds since the oldest stored fact in it; ``None`` when nothing came from the store."""
        stored = [at for at, origin in zip(self.event_times, self.origins, strict=True) if origin is Origin.STORE and at is not None]
        return max(0.0, (self.as_of - min(stored)) / 1000) if stored else None


@lru_cache(maxsize=256)
def _digest_head(view_version: str, names: tuple[str, ...]) -> bytes:
    """What a digest covers besides the values: the same for all snapshots of a view."""
    return b"\x00".join([view_version.encode(), *(name.encode() for name in names)]) + b"\x00\x00"
