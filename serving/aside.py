"""Slow decisions are computed beside the event loop, so that they hold up nobody and their deadline can pass.

A decision takes a millisecond: in place it is cheapest, and a change of threads would cost more than it brings. What has turned out slow (a
huge order to split, a model that has grown) goes to a thread; its kernels let go of the interpreter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")

SLOW_S = 0.02
"""From here on a decision is computed in a thread."""
SMOOTHING = 0.3
LONG_S = 0.1
"""Who has waited so long for a decision has waited long enough, whatever is usual."""


class Aside:
    """Where decisions of each type are computed.

    Args:
        threads: for those that have turned out slow; ``None`` to compute all of them in place.
        clock: seconds, monotonic.
    """

    def __init__(self, threads: Executor | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._threads = threads
        self._clock = clock
        self._takes_s: dict[str, float] = {}

    def slow(self, decision_type: str) -> bool:
        """Whether decisions of this type have turned out slow."""
        return self._threads is not None and self._takes_s.get(decision_type, 0.0) > SLOW_S

    def had_a_chance(self, decision_type: str, given_s: float) -> bool:
        """Whether a decision of this type is usually made in so long, or nobody should have to wait longer for one."""
        return given_s >= min(LONG_S, self._takes_s.get(decision_type, 0.0))

    async def run(self, decision_type: str, limit_s: float | None, compute: Callable[[], T]) -> T:
        """Compute, in place or in a thread, and remember how long it took.

        Raises:
            TimeoutError: a thread has not come to an end within ``limit_s``; its result is dropped when it comes.
        """
        if not self.slow(decision_type):
            return self._timed(decision_type, compute)
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._timed, decision_type, compute)
        if limit_s is None:
            return await future
        async with asyncio.timeout(limit_s):
            return await future

    def _timed(self, decision_type: str, compute: Callable[[], T]) -> T:
        began = self._clock()
        try:
            return compute()
        finally:
            took, before = self._clock() - began, self._takes_s.get(decision_type)
            self._takes_s[decision_type] = took if before is None else before + SMOOTHING * (took - before)


def in_place() -> Aside:
    """Everything is computed in place."""
    return Aside(None)
