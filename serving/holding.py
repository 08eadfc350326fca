"""Waiting for held decisions: any number of callers of this process wait for one poll of the database, wherever the decision is settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

EVERY_S = 0.25
"""How often the database is asked while anybody waits."""

LATER_S = 2.0
"""How long it is left alone after it did not answer."""

MOST = 128
"""Callers that wait at once in one process; each of them holds a connection and a place among the requests under way."""

log = logging.getLogger(__name__)


class Run(Protocol):
    """Runs a blocking read."""

    def __call__(self, read: Callable[[], T], /) -> Awaitable[T]:
        """Await the result of ``read``."""


class Full(Exception):
    """As many callers wait as may."""


class Holding:
    """Lets callers wait until decisions are settled.

    Args:
        settled: those of some decisions that wait no more; blocks.
        run: how blocking reads are run.
        every_s: seconds between two polls.
        most: callers that may wait.
    """

    def __init__(self, settled: Callable[[Sequence[str]], set[str]], run: Run, *, every_s: float = EVERY_S, most: int = MOST) -> None:
        self._settled = settled
        self._run = run
        self._every_s = every_s
        self._most = most
        self._waiting: dict[asyncio.Future[bool], set[str]] = {}
        self._poller: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return len(self._waiting)

    async def wait(self, decision_ids: Sequence[str], seconds: float, gone: Callable[[], Awaitable[object]] | None = None) -> bool:
        """Wait until all these decisions are settled, or the time is over; whether they are.

        Args:
            decision_ids: decisions that wait for a person.
            seconds: for how long.
            gone: returns when the caller has hung up: nobody waits for nobody.

        Raises:
            Full: too many wait already.
        """
        if len(self._waiting) >= self._most:
            raise Full
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[future] = set(decision_ids)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="held decisions")
        waits: list[asyncio.Future[Any]] = [future]
        if gone is not None:
            waits.append(asyncio.ensure_future(_until(gone)))
        try:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return future in done
        finally:
            del self._waiting[future]
            for one in waits:
                one.cancel()

    async def _poll(self) -> None:
        """Ask while anybody waits."""
        while self._waiting:
            await asyncio.sleep(self._every_s)
            ids = sorted(set().union(*self._waiting.values()))
            if not ids:
                continue
            try:
                settled = await self._run(lambda ids=ids: self._settled(ids))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001 - those who wait are told what is known when their time is over
                log.warning("held decisions could not be looked up: %s", type(error).__name__)
                await asyncio.sleep(LATER_S)
                continue
            for future, wanted in list(self._waiting.items()):
                wanted.difference_update(settled)
                if not wanted and not future.done():
                    future.set_result(True)


async def _until(gone: Callable[[], Awaitable[object]]) -> None:
    """Returns when the caller has hung up; what else arrives from it does not matter."""
    while True:
        message = await gone()
        if not isinstance(message, dict) or message.get("type") == "http.disconnect":
            return
