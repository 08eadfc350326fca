"""The real edges of an answer: feature store and ledger, read in place from a file, or in threads from a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol, TypeVar

from sqlalchemy import Engine

from feature_store.entities import EntityKey
from feature_store.reservations import ReservationStore, Reserved
from feature_store.times import Millis
from governance.ledger.store import DecisionReader
from serving.admission import Admitted
from serving.answer import Earlier, Recall
from serving.knowing import ReadReserved, ReadStates, States

T = TypeVar("T")


class Run(Protocol):
    """Runs a blocking read."""

    def __call__(self, read: Callable[[], T], /) -> Awaitable[T]:
        """Await the result of ``read``."""


class Store(Protocol):
    """The online feature store (:class:`feature_store.online.OnlineStore`)."""

    def read(self, keys: Sequence[EntityKey]) -> States:
        """The states of these entities, in one round trip."""


def runner(engine: Engine, executor: Executor) -> Run:
    """How this database is read from an event loop.

    SQLite answers from this process's memory within microseconds, and a change of threads would cost more than the read; a server may be
    slow or gone, so a thread waits for it and the deadline goes on counting.
    """
    if engine.dialect.name == "sqlite":
        return _in_place

    def in_thread(read: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(executor, read)

    return in_thread


async def _in_place(read: Callable[[], T]) -> T:
    return read()


def states_from(store: Store, run: Run) -> ReadStates:
    """Read entity states for step 2."""

    def read(keys: Sequence[EntityKey]) -> Awaitable[States]:
        return run(lambda: store.read(keys))

    return read


def reserved_from(store: ReservationStore, run: Run) -> ReadReserved:
    """Read what other orders have reserved for step 2, beside the states."""

    def read(skus: Sequence[str], order_id: str, at: Millis) -> Awaitable[Reserved]:
        return run(lambda: store.read(skus, order_id, at))

    return read


def recall_from(reader: DecisionReader, run: Run) -> Recall:
    """Look up earlier answers for step 1, in one change of threads."""

    def recall(admitted: Admitted) -> Awaitable[Earlier]:
        return run(lambda: _recall(reader, admitted))

    return recall


def _recall(reader: DecisionReader, admitted: Admitted) -> Earlier:
    order = admitted.order
    answered, latest = reader.recall(admitted.ask.principal, admitted.key, order.order_id if order else None)
    return Earlier(latest_version=latest) if answered is None else Earlier(answered.fingerprint, answered.response)
