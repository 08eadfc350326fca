"""Lets held decisions expire when their time is over: a thread that sleeps until one is due."""

from __future__ import annotations

import logging
import os
import socket
import uuid

from feature_store.times import MINUTE, SECOND, Millis
from governance.leases import take
from governance.reviews import close_overtaken, expire_due, next_due
from governance.settling import Desk
from serving.keeper import Keeper

LEASE = "reviews"
LEASE_MS: Millis = 10 * SECOND
SWEEP_MS: Millis = MINUTE
"""How often decisions are looked for that entered the queue after they were overtaken."""

_LONGEST_S, _SHORTEST_S = 1.0, 0.05

log = logging.getLogger(__name__)


class ReviewKeeper(Keeper):
    """Expires what nobody settled; of several processes one does so at a time.

    While nothing is due it only reads, once a second: one look-up in an index.

    Args:
        desk: where decisions are settled.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__("reviews", _LONGEST_S, self.turn, niceness=0)
        self._desk = desk
        self._holder = f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._swept_at: Millis = 0

    def turn(self) -> float:
        """Do what is due; returns for how many seconds to sleep."""
        at = self._desk.clock()
        due = next_due(self._desk.engine)
        if due is None:
            return _LONGEST_S
        if at - self._swept_at >= SWEEP_MS and self._mine(at):
            self._swept_at = at
            close_overtaken(self._desk)
        if due > at:
            return min(_LONGEST_S, max(_SHORTEST_S, (due - at) / 1000))
        if self._mine(at):
            expired = expire_due(self._desk)
            if expired:
                log.info("%d held decisions expired", expired)
        return _LONGEST_S

    def _mine(self, at: Millis) -> bool:
        return take(self._desk.engine, LEASE, self._holder, at, LEASE_MS)
