"""Threads that do something every now and then, beside everything else."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

FIRST_S = 30.0
"""How long after its start it takes its first turn at the latest: a start has enough to do."""


class Keeper:
    """Takes a turn every now and then in a thread of the lowest priority.

    Args:
        name: of the thread.
        every_s: seconds between two turns, where a turn does not say otherwise.
        turn: does what is due; returns for how many seconds to wait.
    """

    def __init__(self, name: str, every_s: float, turn: Callable[[], float]) -> None:
        self._every_s = every_s
        self._turn = turn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a turn that is being taken ends first."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # on Linux: of this thread alone
        wait = min(self._every_s, FIRST_S)
        while not self._stopping.wait(wait):
            try:
                wait = self._turn()
            except Exception:  # the next turn tries again; the health page says how old the result is
                log.exception("%s failed", self._thread.name)
                wait = self._every_s
