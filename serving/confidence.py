"""Live figures on confidence, read at most every few minutes: for ``/metrics`` and the health page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from feature_store import times
from feature_store.times import DAY, MINUTE, Millis
from governance.monitoring import FEWEST, Watched, watch

WINDOW: Millis = 60 * DAY
"""Decisions of so many days are looked at: long enough for most truths to be known."""

EVERY: Millis = 5 * MINUTE
"""So often they are read at most, however many ask: a label changes a figure slowly."""

LEAST_COVERAGE = 0.7
"""An interval told at 90 % that holds for less of the rows no longer means what it says."""

_WORST_ERROR, _OF_RATE = 0.02, 0.25


class ConfidenceWatch:
    """Holds the newest figures; safe to share between threads.

    Args:
        engine: of the database.
        now: the clock.
    """

    def __init__(self, engine: Engine, now: Callable[[], Millis] = times.now) -> None:
        self._engine = engine
        self._now = now
        self._lock = threading.Lock()
        self._at: Millis | None = None
        self._found: Sequence[Watched] = ()

    def current(self) -> Sequence[Watched]:
        """The figures by type and version, the newest version first.

        Raises:
            SQLAlchemyError: the database cannot be read.
        """
        with self._lock:
            at = self._now()
            if self._at is None or at - self._at >= EVERY:
                self._found = watch(self._engine, at - WINDOW)
                self._at = at
            return self._found


def newest(watched: Sequence[Watched]) -> list[Watched]:
    """Of each decision type the newest version that has enough labelled decisions, else the newest that has any."""
    chosen: dict[str, Watched] = {}
    for one in watched:
        there = chosen.get(one.type)
        if there is None or (there.labelled < FEWEST <= one.labelled):
            chosen[one.type] = one
    return list(chosen.values())


def strays(one: Watched) -> bool:
    """Whether its confidence no longer means what it says, as far as there are enough labels to tell."""
    error, coverage, rate = (one.figures.get(name) for name in ("ece", "coverage", "event_rate"))
    if error is not None and error > max(_WORST_ERROR, _OF_RATE * (rate or 0.0)):
        return True
    return coverage is not None and coverage < LEAST_COVERAGE
