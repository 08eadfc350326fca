"""The routes that compute a past decision again: replay, what-if, recourse.

They run in a thread of their own, one at a time, so that live decisions never wait for more than one that is looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

from governance.ledger.store import DecisionReader
from governance.replay import Replay, Replayer
from serving.answer import Reply, refuse
from serving.errors import not_found
from serving.rendering import to_bytes

T = TypeVar("T")


class Again:
    """Computes past decisions again.

    Args:
        reader: finds them.
        replayer: replays them.
        executor: of one thread.
    """

    def __init__(self, reader: DecisionReader, replayer: Replayer, executor: Executor) -> None:
        self._reader = reader
        self._replayer = replayer
        self._executor = executor

    async def replay(self, decision_id: str) -> Reply:
        """``POST /v1/decisions/{id}/replay``: the verdict, and what differs."""
        found = await self._aside(lambda: self._replay(decision_id))
        if found is None:
            return refuse(not_found(f"There is no decision {decision_id!r}."))
        return Reply(200, to_bytes(found.to_json()))

    def _replay(self, decision_id: str) -> Replay | None:
        stored = self._reader.read(decision_id)
        return None if stored is None else self._replayer.replay(stored)

    def _aside(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)
