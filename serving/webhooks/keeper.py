"""The thread that tells systems outside what happened: it follows the log for each endpoint, and tries again what failed."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import Engine

from feature_store.database import reading
from feature_store.times import HOUR, SECOND, Millis
from governance import outbox, webhooks
from governance.changes import Scribe
from governance.leases import take
from governance.ledger.errors import KeyFileInvalid
from governance.outbox import Message
from governance.settling import SYSTEM
from governance.webhooks import Attempt, Delivery, Endpoint, State
from serving.keeper import Background
from serving.webhooks import secrets
from serving.webhooks.addresses import Networks
from serving.webhooks.secrets import Vault
from serving.webhooks.sending import Lookup, Sender, Sent

LEASE = "webhooks"
LEASE_MS: Millis = 60 * SECOND
AT_ONCE = 8
"""Attempts to one endpoint at a time."""
PER_ROUND = 64
"""Messages of one round, after which what came of them is written down."""
GROWTH = 3
LONGEST_WAIT: Millis = 6 * HOUR
_BUSY_S, _IDLE_S = 0.25, 1.0

log = logging.getLogger(__name__)

Step = Callable[[str], None]
"""Told before each step that changes something; tests stop the process there."""


class Came(Enum):
    """What a round came to."""

    IDLE = "idle"
    """Nothing more is due."""
    MORE = "more"
    """Another one should follow at once."""
    FAILING = "failing"
    """The endpoint takes nothing."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a message is tried.

    Attributes:
        timeout_s: for one attempt.
        first: wait after the first failure; each further one is three times as long, six hours at most.
        give_up: after so long a message becomes a dead letter.
    """

    timeout_s: float = 15.0
    first: Millis = 5 * SECOND
    give_up: Millis = 24 * HOUR

    def next_at(self, attempts: int, first_at: Millis, at: Millis, asked_s: float, chance: float) -> Millis | None:
        """When to try again after so many attempts; ``None`` when it is given up.

        Args:
            attempts: so far.
            first_at: when the first one was made.
            at: now.
            asked_s: what the receiver asked for.
            chance: 0 to 1, spreads the waits so that what failed together does not come back together.
        """
        usual = min(LONGEST_WAIT, self.first * GROWTH ** min(attempts - 1, 40)) * (0.8 + 0.4 * chance)
        then = at + round(max(usual, min(asked_s * 1_000, LONGEST_WAIT)))
        return None if then - first_at > self.give_up else then


@dataclass(frozen=True)
class Courier:
    """Tells one endpoint after another what is due.

    Attributes:
        engine: of the database.
        scribe: of the records of endpoints that are disabled.
        vault: of their secrets.
        networks: that are allowed beside public addresses.
        patience: how long and how often.
    """

    engine: Engine
    scribe: Scribe
    vault: Vault
    networks: Networks
    patience: Patience = field(default_factory=Patience)
    chance: Callable[[], float] = random.random
    step: Step = lambda _name: None
    lookup: Lookup | None = None

    def sender(self) -> Sender:
        """What sends; to be used in one event loop."""
        return Sender(self.networks, self.patience.timeout_s, self.lookup)

    async def round(self, endpoint: Endpoint, sender: Sender) -> Came:
        """One round for one endpoint: what is due again, and what is new."""
        # 1. What is to be told, from the rows of what failed and from the log behind the cursor.
        at = self.scribe.clock()
        again, fresh, full = self._take(endpoint, at)
        work: list[tuple[Message, Delivery | None]] = [*again, *((one, None) for one in fresh.messages)]
        if not work and fresh.next_seq == endpoint.next_seq:
            return Came.IDLE
        # 2. Told, a few at a time; where all of these fail, the rest waits where it is.
        try:
            keys = tuple(self.vault.open(endpoint.endpoint_id, one) for one in endpoint.signing(at))
        except KeyFileInvalid as error:
            webhooks.disable(self.engine, self.scribe, endpoint.endpoint_id, str(error), SYSTEM)
            return Came.IDLE
        made: list[Attempt] = []
        gone = failing = False
        for begin in range(0, len(work), AT_ONCE):
            some = work[begin : begin + AT_ONCE]
            self.step("send")
            results = await asyncio.gather(*(self._attempt(endpoint, keys, message, before, sender) for message, before in some))
            self.step("sent")
            made += [attempt for attempt, _ in results]
            gone = any(sent.gone for _, sent in results)
            # One message that is refused again and again says nothing of the others.
            telling = len(some) == AT_ONCE or any(before is None for _, before in some)
            failing = telling and not any(attempt.taken for attempt, _ in results)
            if gone or failing:
                break
        # 3. What came of it, in one transaction.
        left = [message.seq for message, before in work[len(made) :] if before is None]
        then = min(left) if left else fresh.next_seq
        webhooks.note(
            self.engine,
            endpoint.endpoint_id,
            [one for one in made if one.taken or not gone],
            endpoint.next_seq,
            self._kept(gone, made, then),
        )
        self.step("noted")
        if gone:
            webhooks.disable(self.engine, self.scribe, endpoint.endpoint_id, "it answered 410: it wants no more", SYSTEM)
        if failing:
            return Came.FAILING
        return Came.MORE if not gone and (full or left) else Came.IDLE

    @staticmethod
    def _kept(gone: bool, made: Sequence[Attempt], then: int) -> int:
        """Where the cursor goes: an endpoint that wants no more stops before what it did not take."""
        refused = [one.message.seq for one in made if not one.taken]
        return min([then, *refused]) if gone else then

    def _take(self, endpoint: Endpoint, at: Millis) -> tuple[list[tuple[Message, Delivery]], outbox.Stretch, bool]:
        with reading(self.engine).connect() as connection:
            due = webhooks.due(connection, endpoint.endpoint_id, at, PER_ROUND)
            known = {one.message_id: one for one in outbox.at_places(connection, [one.seq for one in due])} if due else {}
            again = [(known[one.message_id], one) for one in due if one.message_id in known]
            room = webhooks.waiting(connection, endpoint.endpoint_id) < webhooks.MAX_WAITING
            fresh = (
                outbox.read(connection, endpoint.next_seq, endpoint.events, PER_ROUND)
                if room
                else outbox.Stretch((), endpoint.next_seq, more=False)
            )
        return again, fresh, len(due) == PER_ROUND or fresh.more or not room

    async def _attempt(
        self, endpoint: Endpoint, keys: tuple[str, ...], message: Message, before: Delivery | None, sender: Sender
    ) -> tuple[Attempt, Sent]:
        began, body = self.scribe.clock(), message.body
        sent = await sender.send(endpoint.url, body, secrets.headers(message.message_id, began, body, keys))
        at = self.scribe.clock()
        attempts = 1 if before is None else before.attempts + 1
        first_at = began if before is None else before.first_at
        then = None if sent.taken else self.patience.next_at(attempts, first_at, at, sent.wait_s, self.chance())
        return Attempt(message, sent.taken, attempts, first_at, at, then, sent.status, sent.error), sent


class WebhookKeeper(Background):
    """Follows the log in a thread of its own; of several processes one does so at a time.

    Endpoints do not wait for each other. One that takes nothing at all is left alone for a while that grows, a minute at most.
    """

    def __init__(self, courier: Courier) -> None:
        super().__init__("webhooks", niceness=10)
        self._courier = courier
        self._holder = f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._until: Millis = 0
        self._rounds: dict[str, asyncio.Task[None]] = {}
        self._quiet: dict[str, tuple[float, float]] = {}

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        async with self._courier.sender() as sender:
            while not self._stopping.is_set():
                wait = _IDLE_S
                try:
                    wait = self._turn(sender)
                except Exception:  # the database may be away; the next turn tries again
                    log.exception("webhooks could not be looked after")
                await asyncio.sleep(wait)
            for task in self._rounds.values():
                task.cancel()
            await asyncio.gather(*self._rounds.values(), return_exceptions=True)

    def _turn(self, sender: Sender) -> float:
        """Begin a round for every endpoint that has none under way; returns for how many seconds to sleep."""
        self._rounds = {name: task for name, task in self._rounds.items() if not task.done()}
        at = self._courier.scribe.clock()
        working = webhooks.with_work(self._courier.engine, at)
        if not working:
            return _BUSY_S
        if not self._mine(at):
            return _IDLE_S
        moment = asyncio.get_running_loop().time()
        for endpoint in working:
            name = endpoint.endpoint_id
            if name not in self._rounds and self._quiet.get(name, (0.0, 0.0))[0] <= moment:
                self._rounds[name] = asyncio.create_task(self._serve(endpoint, sender))
        return _BUSY_S

    def _mine(self, at: Millis) -> bool:
        """Whether this process tells; the lease is renewed when half of it is over, because that is a write."""
        if at >= self._until - LEASE_MS // 2:
            self._until = at + LEASE_MS if take(self._courier.engine, LEASE, self._holder, at, LEASE_MS) else 0
        return self._until > at

    async def _serve(self, endpoint: Endpoint, sender: Sender) -> None:
        name, came = endpoint.endpoint_id, Came.MORE
        try:
            while came is Came.MORE and endpoint.state is State.ACTIVE:
                came = await self._courier.round(endpoint, sender)
                if came is Came.MORE:
                    endpoint = webhooks.find(self._courier.engine, name)
        except webhooks.WebhookUnknown:  # removed meanwhile
            return
        except Exception:
            log.exception("webhook %s could not be told", name)
            came = Came.FAILING
        if came is Came.FAILING:
            length = min(60.0, max(self._courier.patience.first / 1_000, 2 * self._quiet.get(name, (0.0, 0.0))[1]))
            self._quiet[name] = (asyncio.get_running_loop().time() + length, length)
        else:
            self._quiet.pop(name, None)
