"""Why an event would come about: its probability broken down by cause, so that the parts add up to it.

A small model of several classes, fitted to the rows where the event happened, says how the causes share the probability that the main model
tells. It has no word on how likely the event is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.lightgbm_text import Link
from models.links import softmax, softmax_many
from models.scorer import TreeScorer

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CauseModel:
    """Row → share of each cause, given that the event happens.

    Attributes:
        names: of the causes, in the order of the model's classes; at least two.
        model_text: LightGBM's native text; it reads the same row as the model that it belongs to.
        temperature: the margins are divided by it, which calibrates the shares (Guo et al. 2017).
    """

    names: tuple[str, ...]
    model_text: str
    temperature: float
    scorer: TreeScorer = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        scorer = TreeScorer.from_text(self.model_text)
        if len(self.names) < 2 or len(set(self.names)) != len(self.names):
            raise ValueError(f"{self.names}: at least two causes of different names are needed")
        if scorer.link is not Link.SOFTMAX or scorer.outputs != len(self.names):
            raise ValueError(f"a model of {scorer.outputs} outputs with the link {scorer.link.value} for {len(self.names)} causes")
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"temperature {self.temperature}")
        object.__setattr__(self, "scorer", scorer)

    def shares(self, row: Floats) -> tuple[float, ...]:
        """How the causes share the event, float64 (n,) → one share for each, together 1."""
        temperature = self.temperature
        return softmax([margin / temperature for margin in self.scorer.margin(row).tolist()])

    def shares_many(self, rows: Floats) -> Floats:
        """:meth:`shares` of each row, bit for bit: (rows, n) → (rows, causes)."""
        return softmax_many(self.scorer.margins(rows) / self.temperature)

    def break_down(self, row: Floats, probability: float) -> dict[str, float]:
        """The event's probability by cause; the last cause gets what is left, so that nothing is lost to rounding."""
        parts = [probability * share for share in self.shares(row)[:-1]]
        return dict(zip(self.names, [*parts, max(0.0, probability - sum(parts))], strict=True))

    def to_json(self) -> dict[str, Any]:
        """What the card says of it; the model's text is a file of its own."""
        return {"names": list(self.names), "temperature": self.temperature}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any], model_text: str) -> CauseModel:
        """Read back what :meth:`to_json` wrote."""
        return cls(tuple(str(name) for name in entry["names"]), model_text, float(entry["temperature"]))
