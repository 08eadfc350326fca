"""What a training says while it runs, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of progress.

    Attributes:
        stage: ``reading``, ``checking``, ``splitting``, ``tuning``, ``building``, ``calibrating``, ``evaluating``, ``registering``, ``done``.
        share: of the whole, from 0 to 1.
        message: for a person.
        data: numbers behind the message.
    """

    stage: str
    share: float
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


class TrainingCancelled(Exception):
    """Raised out of a training by its progress callback when it shall stop."""


Report = Callable[[Progress], None]
"""Is told of progress; raises :class:`TrainingCancelled` to stop the training."""


def silent(_progress: Progress) -> None:
    """Tell nobody."""
