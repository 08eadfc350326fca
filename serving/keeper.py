"""Threads that do something every now and then, beside everything else."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

FIRST_S = 30.0
"""How long after its start it takes its first turn at the latest: a start has enough to do."""


class Background:
    """A thread beside everything else, which begins and ends with its process.

    Args:
        name: of the thread.
        niceness: 19 for the lowest priority, 0 for that of the process; on Linux it is that of this thread alone.
    """

    def __init__(self, name: str, *, niceness: int) -> None:
        self._niceness = niceness
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._begin, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it is doing ends first."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _begin(self) -> None:
        if self._niceness and hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        self._run()

    def _run(self) -> None:
        """What the thread does until it is told to stop."""
        raise NotImplementedError


class Keeper(Background):
    """Takes a turn every now and then.

    Args:
        name: of the thread.
        every_s: seconds between two turns, where a turn does not say otherwise.
        turn: does what is due; returns for how many seconds to wait.
        first_s: seconds before the first turn; by default a start has enough to do.
        niceness: see :class:`Background`.
    """

    def __init__(self, name: str, every_s: float, turn: Callable[[], float], *, first_s: float = FIRST_S, niceness: int = 19) -> None:
        super().__init__(name, niceness=niceness)
        self._every_s = every_s
        self._turn = turn
        self._first_s = min(every_s, first_s)

    def _run(self) -> None:
        wait = self._first_s
        while not self._stopping.wait(wait):
            try:
                wait = self._turn()
            except Exception:  # the next turn tries again; the health page says how old the result is
                log.exception("%s failed", self._thread.name)
                wait = self._every_s
