"""Circuit breakers: a dependency that keeps failing is left alone for a while, so that callers get their fallback at once.

One breaker a dependency and process, used on one event loop. It opens after failures that outweigh the successes, rests, lets one request at a
time through to see whether the dependency is back, and closes after several of those in a row went well: it neither trips over one failure nor
flutters around a dependency that half works.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

TRIPS_AT = 5.0
"""Failures that open it; a success takes :data:`FORGIVEN` of one back, so more than a third must fail."""
FORGIVEN = 0.5
PROVES = 3
"""Successes in a row that close it again."""
FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0
"""The rest doubles up to this each time that a trial fails."""
SLOW_S = 0.1
"""Who gives up waiting earlier than this says nothing about the dependency: it had hardly a chance."""


class Unanswered(Exception):
    """A dependency gave no answer; the message says which and why, ready for a caller to read."""


class Resting(Unanswered):
    """The dependency is not asked now; ``retry_after_s`` says when it is tried again."""

    def __init__(self, dependency: str, retry_after_s: float) -> None:
        self.dependency = dependency
        self.retry_after_s = retry_after_s
        super().__init__(f"{dependency} failed repeatedly and is tried again in {retry_after_s:.1f} s")


class TooSlow(Unanswered):
    """The dependency did not answer within the longest time that anybody waits for it."""

    def __init__(self, dependency: str, waited_s: float) -> None:
        super().__init__(f"{dependency} did not answer within {waited_s:g} s")


class Breaker:
    """One dependency's breaker.

    Args:
        dependency: its name, as callers and operators read it.
        patience_s: how long a call may take, whatever its caller would wait; ``None`` for no limit of its own.
        innocent: errors that say nothing about the dependency's health, such as a refusal of one request.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        dependency: str,
        *,
        patience_s: float | None = None,
        innocent: tuple[type[Exception], ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dependency = dependency
        self._patience_s = patience_s
        self._innocent = innocent
        self._clock = clock
        self._weight = 0.0
        self._rest_s = FIRST_REST_S
        self._until: float | None = None
        self._trying = False
        self._proved = 0
        self.opened = 0

    @property
    def state(self) -> str:
        """``closed`` (all go through), ``open`` (none does) or ``half_open`` (one at a time does)."""
        if self._until is None:
            return "closed"
        return "open" if self._clock() < self._until else "half_open"

    @property
    def retry_after_s(self) -> float:
        """Seconds until it is worth to ask again; 0 when it is closed."""
        return 0.0 if self._until is None else max(self._until - self._clock(), FIRST_REST_S / 2)

    def require(self) -> None:
        """Take leave to ask the dependency; tell :meth:`succeeded`, :meth:`failed` or :meth:`abandoned` afterwards.

        Raises:
            Resting: it may not be asked now.
        """
        if self._until is None:
            return
        if self._trying or self._clock() < self._until:
            raise Resting(self.dependency, self.retry_after_s)
        self._trying = True

    def succeeded(self) -> None:
        """A call went well."""
        if self._until is None:
            self._weight = max(0.0, self._weight - FORGIVEN)
            return
        if not self._trying:
            return  # it was asked before the breaker opened; what counts is whether a trial goes well
        self._trying = False
        self._proved += 1
        if self._proved >= PROVES:
            self._until, self._proved, self._weight, self._rest_s = None, 0, 0.0, FIRST_REST_S

    def failed(self) -> None:
        """A call failed, or took too long."""
        if self._until is None:
            self._weight += 1.0
            if self._weight >= TRIPS_AT:
                self._open()
        elif self._trying:
            self._rest_s = min(LONGEST_REST_S, self._rest_s * 2)
            self._open()

    def abandoned(self) -> None:
        """A call ended without telling anything about the dependency."""
        self._trying = False

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the dependency, unless it rests, and learn from what becomes of it.

        Raises:
            Resting: it was not asked.
            TooSlow: it took longer than the breaker's patience.
        """
        self.require()
        began = self._clock()
        try:
            answer = await self.patiently(ask)
        except asyncio.CancelledError:
            self._gave_up(began)
            raise
        except self._innocent:
            self.abandoned()
            raise
        except Exception:
            self.failed()
            raise
        self.succeeded()
        return answer

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the dependency whatever the state, and learn nothing: for a second question beside one that is a :meth:`call`.

        Raises:
            TooSlow: it took longer than the breaker's patience.
        """
        if self._patience_s is None:
            return await ask()
        try:
            async with asyncio.timeout(self._patience_s) as limit:
                return await ask()
        except TimeoutError as error:
            if limit.expired():
                raise TooSlow(self.dependency, self._patience_s) from error
            raise

    def _gave_up(self, began: float) -> None:
        if self._clock() - began >= SLOW_S:
            self.failed()
        else:
            self.abandoned()

    def _open(self) -> None:
        self.opened += 1
        self._trying, self._proved = False, 0
        self._until = self._clock() + self._rest_s


@dataclass(slots=True)
class Breakers:
    """The breakers of one deciding process.

    Attributes:
        features: around reading what is known.
        database: around looking up earlier answers and recording.
        models: around scoring, by decision type.
    """

    features: Breaker
    database: Breaker
    models: dict[str, Breaker] = field(default_factory=dict)

    @staticmethod
    def of(*, features: Breaker | None = None, database: Breaker | None = None) -> Breakers:
        """Breakers with the usual settings, but for those given."""
        return Breakers(features or Breaker("the feature store"), database or Breaker("the database"))

    def model(self, decision_type: str) -> Breaker:
        """The breaker around scoring one type."""
        found = self.models.get(decision_type)
        if found is None:
            found = self.models[decision_type] = Breaker(f"the model of {decision_type}")
        return found

    def to_json(self) -> Mapping[str, Mapping[str, object]]:
        """State of each, and how often it has opened, for operators."""
        named = {"feature_store": self.features, "database": self.database, **{f"model:{name}": one for name, one in self.models.items()}}
        return {name: {"state": one.state, "opened": one.opened} for name, one in named.items()}
