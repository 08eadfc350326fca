"""The write side of the ledger: records become durable here, several requests to a commit.

A :class:`Recorder` has one thread with one connection. It takes everything that waits, writes it in one transaction, and tells each caller
what became of its rows. While a commit is under way the next ones gather, so a slow disk makes larger commits, not a longer queue.

The first commit under an idempotency key wins (a unique index decides, also between processes); a loser gets the winner's bytes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, select, tuple_

from feature_store.database import reading
from feature_store.reservations import PiecesTaken
from governance.ledger.compression import decompress
from governance.ledger.errors import KeyReused, LedgerError, NotDurable, StockTaken
from governance.ledger.rows import DecisionRow, RecordRow, Row, reserving, statements
from governance.ledger.tables import decisions, records
from governance.ledger.vault import sealing, vault_of
from governance.ledger.writer import Writer

_RETRIES = 3
_ROUNDS = 2
"""Rounds of the event loop that a commit waits for company: one reads what has arrived meanwhile, the next one decides it. Microseconds when
nothing has (measured at 4 connections: half as many commits)."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A durable answer.

    Attributes:
        won: whether these rows were recorded; otherwise an earlier request under the same key was, and this one left nothing.
        response: the bytes to answer: those of the first row, or the winner's.
    """

    won: bool
    response: bytes


Settled = Committed | LedgerError


@dataclass(slots=True, eq=False)
class _Waiting:
    """The rows of one request, written together or not at all, and whom to tell."""

    rows: tuple[Row, ...]
    tell: Callable[[Settled], None]
    loop: asyncio.AbstractEventLoop | None = None
    keys: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        # Plans of one order take turns too: the later one takes the place of the earlier one.
        orders = [("", f"reserves\x1f{one.order_id}") for one in reserving(self.rows)]
        self.keys = (*(row.key for row in self.rows if isinstance(row, DecisionRow)), *orders)

    @property
    def ids(self) -> list[str]:
        return [row.sealed.record_id for row in self.rows]


class Recorder:
    """Makes records durable, with group commit. Its thread starts with it; :meth:`close` ends it.

    Args:
        engine: of the database; the recorder opens its own connection.
        max_batch: rows in one transaction at most.
        max_waiting: requests that may wait; further ones are refused at once.
    """

    def __init__(self, engine: Engine, *, max_batch: int = 512, max_waiting: int = 4096) -> None:
        self._reading = reading(engine)
        self._writer = Writer(engine)
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._waking: set[asyncio.AbstractEventLoop] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    async def commit(self, rows: Sequence[Row]) -> Committed:
        """Make the rows of one request durable, together or not at all; return when they are.

        Args:
            rows: the first one's key is that of the request, its response the answer; the others are its parts.

        Raises:
            KeyReused: a key was used before for another request.
            StockTaken: pieces that it reserves are not free any more; nothing was written. Decide again.
            NotDurable: it is not known to be on disk, so nothing may be told.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed] = loop.create_future()

        def tell(settled: Settled) -> None:
            if future.done():  # the caller has given up; the record stays, a retry finds it
                return
            if isinstance(settled, Committed):
                future.set_result(settled)
            else:
                future.set_exception(settled)

        self._enqueue(_Waiting(tuple(rows), tell, loop))
        if loop not in self._waking:
            # The recorder is woken when the loop has come round: requests that are decided meanwhile share a commit. Its answers could not
            # be sent earlier, and with a commit for each the two threads would wrestle for the interpreter after every decision.
            self._waking.add(loop)
            loop.call_soon(self._wake, loop, _ROUNDS)
        return await future

    def _wake(self, loop: asyncio.AbstractEventLoop, rounds: int) -> None:
        if rounds:
            loop.call_soon(self._wake, loop, rounds - 1)
            return
        self._waking.discard(loop)
        with self._changed:
            self._changed.notify()

    def commit_blocking(self, rows: Sequence[Row], timeout_s: float | None = None) -> Committed:
        """As :meth:`commit`, for callers without an event loop.

        Raises:
            KeyReused: a key was used before for another request.
            StockTaken: pieces that it reserves are not free any more; nothing was written.
            NotDurable: it is not known to be on disk, or not after ``timeout_s``.
        """
        future: Future[Settled] = Future()

        def tell(settled: Settled) -> None:
            if not future.done():
                future.set_result(settled)

        self._enqueue(_Waiting(tuple(rows), tell))
        with self._changed:
            self._changed.notify()
        try:
            settled = future.result(timeout_s)
        except TimeoutError as error:
            raise NotDurable("the database has not confirmed the record in time") from error
        if isinstance(settled, Committed):
            return settled
        raise settled

    @property
    def alive(self) -> bool:
        """Whether its thread runs: without it nothing becomes durable."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Write what waits, then end the thread. What comes later is refused."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> None:
        if not waiting.rows:
            raise ValueError("a commit needs at least one row")
        with self._changed:
            if self._closing:
                raise NotDurable("the recorder is closing")
            if len(self._waiting) >= self._max_waiting:
                raise NotDurable(f"{self._max_waiting} requests wait for the database already")
            self._waiting.append(waiting)

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._write(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, callers are told and the thread lives on
                _tell((waiting, _not_durable(error)) for waiting in batch)
        self._writer.close()

    def _take(self) -> list[_Waiting]:
        """Everything that waits, as far as it fits one transaction; empty when the recorder closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            batch: list[_Waiting] = []
            rows = 0
            while self._waiting and (not batch or rows + len(self._waiting[0].rows) <= self._max_batch):
                rows += len(self._waiting[0].rows)
                batch.append(self._waiting.popleft())
            return batch

    def _write(self, batch: list[_Waiting]) -> None:
        """Write a batch and tell everyone; requests that meet in it under one key take turns."""
        while batch:
            turn, batch = _one_per_key(batch)
            _tell(self._settle(turn))

    def _settle(self, turn: list[_Waiting]) -> list[tuple[_Waiting, Settled]]:
        """Write requests without common keys; those whose key is taken get what is recorded under it."""
        settled: list[tuple[_Waiting, Settled]] = []
        failure: Exception | None = None
        for _ in range(_RETRIES):
            if not turn:
                return settled
            try:
                self._writer.write([row for waiting in turn for row in waiting.rows])
            except Exception as error:  # noqa: BLE001 - drivers raise more than their own errors, and the thread must live on
                failure = error
                losers = self._losers(turn, error)
                if not losers and not self._writer.may_repeat(error):
                    break
                settled += losers
                lost = {id(waiting) for waiting, _ in losers}
                turn = [waiting for waiting in turn if id(waiting) not in lost]
            else:
                return settled + [(waiting, Committed(True, _response(waiting))) for waiting in turn]
        if failure is None or not turn:
            return settled
        if len(turn) > 1 and not self._writer.is_outage(failure):
            # One request that the database refuses must not take the others with it: each for itself.
            return settled + [answer for waiting in turn for answer in self._settle([waiting])]
        return settled + [(waiting, _not_durable(failure)) for waiting in turn]

    def _losers(self, turn: list[_Waiting], error: Exception) -> list[tuple[_Waiting, Settled]]:
        """Those that cannot be written, with what they are told: the others are tried again without them."""
        if isinstance(error, PiecesTaken):
            lost = [waiting for waiting in turn if any(one.reservation_id in error.ids for one in reserving(waiting.rows))]
            return [(waiting, StockTaken("pieces that the plan reserves were taken meanwhile")) for waiting in lost]
        if not self._writer.is_conflict(error):
            return []
        with self._reading.connect() as connection:
            return [(waiting, winner) for waiting in turn if (winner := find_winner(connection, waiting.rows)) is not None]


def append(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert records in the caller's own transaction, together with the change that they record.

    Raises:
        sqlalchemy.exc.IntegrityError: a key or a record id is there already.
    """
    with sealing(vault_of(connection), rows) as keys:
        for statement in statements(rows, connection.dialect.name, keys):
            connection.exec_driver_sql(*statement)


def find_winner(connection: Connection, rows: Sequence[Row]) -> Settled | None:
    """What was recorded under the keys of a request before; ``None`` when nothing was."""
    first = rows[0]
    if isinstance(first, RecordRow):
        found = connection.execute(select(records.c.leaf_hash).where(records.c.record_id == first.sealed.record_id)).scalar_one_or_none()
        return Committed(True, b"") if found == first.sealed.leaf_hash else None
    keys = [row.key for row in rows if isinstance(row, DecisionRow)]
    columns = (decisions.c.principal, decisions.c.idempotency_key, decisions.c.fingerprint, decisions.c.response, decisions.c.record_id)
    statement = select(*columns).where(tuple_(decisions.c.principal, decisions.c.idempotency_key).in_(keys))
    found_rows = {(row.principal, row.idempotency_key): row for row in connection.execute(statement)}
    if not found_rows:
        return None
    winner = found_rows.get(first.key)
    if winner is None or bytes(winner.fingerprint) != first.fingerprint:
        return KeyReused(f"the idempotency key {first.idempotency_key!r} was used before for another request")
    vault, response = vault_of(connection), bytes(winner.response)
    opened = response if vault is None else vault.open(winner.record_id, "response", response)
    return Committed(winner.record_id == first.sealed.record_id, decompress(opened))


def _one_per_key(batch: list[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
    taken: set[tuple[str, str]] = set()
    now: list[_Waiting] = []
    later: list[_Waiting] = []
    for waiting in batch:
        if taken.isdisjoint(waiting.keys):
            now.append(waiting)
        else:
            later.append(waiting)
        taken.update(waiting.keys)
    return now, later


def _tell(settled: Iterable[tuple[_Waiting, Settled]]) -> None:
    """Tell every caller; a loop is woken once, however many of its callers are told."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Settled]]] = defaultdict(list)
    for waiting, what in settled:
        if waiting.loop is None:
            waiting.tell(what)
        else:
            by_loop[waiting.loop].append((waiting, what))
    for loop, calls in by_loop.items():
        try:
            loop.call_soon_threadsafe(_tell_all, calls)
        except RuntimeError:  # the loop is closed: nobody waits there any more
            continue


def _tell_all(calls: list[tuple[_Waiting, Settled]]) -> None:
    for waiting, what in calls:
        waiting.tell(what)


def _response(waiting: _Waiting) -> bytes:
    first = waiting.rows[0]
    return first.response if isinstance(first, DecisionRow) else b""


def _not_durable(error: Exception) -> NotDurable:
    refused = NotDurable(f"the record could not be made durable: {error}".strip())
    refused.__cause__ = error
    return refused
