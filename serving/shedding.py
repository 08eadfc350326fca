"""Load shedding: a request that would wait longer than it may is refused at once, so that the others are answered in time.

How long it would wait follows from Little's law: those that are under way, times the interval at which answers leave. Both are counted here,
without a clock but the one that tells the interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from serving.errors import Problem, ProblemKind, unavailable

ALWAYS = 16
"""So many are let in whatever the estimate says: it may be old, and only answers renew it."""
SHARE = 0.5
"""A caller that holds more than this of a process that is too busy is told that it is its own requests: 429."""
SMOOTHING = 0.05
"""Weight of the newest interval."""


class Shedder:
    """Lets requests into one process, on one event loop.

    Args:
        patience_s: how long a request without a deadline may be expected to take.
        most: that are under way at once, whatever the estimate says.
        clock: seconds, monotonic.
    """

    def __init__(self, *, patience_s: float = 2.0, most: int = 400, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._most = most
        self._clock = clock
        self._inside: dict[str, int] = {}
        self._count = 0
        self._interval_s = 0.0
        self._left_at: float | None = None
        self.shed = 0

    @property
    def under_way(self) -> int:
        """Requests inside."""
        return self._count

    def expected_s(self) -> float:
        """How long a request that comes now is expected to take, seconds."""
        if self._count == 0:
            return 0.0
        standing = 0.0 if self._left_at is None else self._clock() - self._left_at
        return max(self._count * self._interval_s, standing if self._interval_s else 0.0)

    def enter(self, caller: str, deadline_s: float | None) -> Problem | None:
        """Let a request in, or say why not. Whoever was let in has to :meth:`leave`.

        Args:
            caller: the principal.
            deadline_s: how long the caller waits at most; ``None`` when it does not say.
        """
        if self._count >= ALWAYS:
            expected = self.expected_s()
            allowed = self._patience_s if deadline_s is None else min(self._patience_s, deadline_s)
            if expected > allowed or self._count >= self._most:
                self.shed += 1
                return self._refuse(caller, expected)
        elif self._count == 0:
            self._left_at = None  # the time without any request is no interval between answers
        self._inside[caller] = self._inside.get(caller, 0) + 1
        self._count += 1
        return None

    def leave(self, caller: str) -> None:
        """A request that was let in is answered."""
        now = self._clock()
        if self._left_at is not None:
            self._interval_s += SMOOTHING * (now - self._left_at - self._interval_s)
        self._left_at = now
        self._count -= 1
        left = self._inside[caller] - 1
        if left:
            self._inside[caller] = left
        else:
            del self._inside[caller]

    def _refuse(self, caller: str, expected: float) -> Problem:
        own = self._inside.get(caller, 0)
        wait = max(1, round(expected + 0.5))
        then = f" Nothing was decided; try again in {wait} s with the same Idempotency-Key."
        if own > SHARE * self._count and len(self._inside) > 1:
            detail = f"{own} of the {self._count} requests under way here are yours, and the next would wait about {expected:.1f} s." + then
            return Problem(ProblemKind.TOO_MANY, detail, headers={"retry-after": str(wait)})
        return unavailable(
            ProblemKind.UNAVAILABLE, f"{self._count} requests are under way and the next would wait about {expected:.1f} s." + then, wait
        )
