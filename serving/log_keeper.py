"""The thread that leads the log: every fraction of a second it takes a turn, so that a promise is kept within a second."""

from __future__ import annotations

import logging
import time

from governance.ledger.errors import LedgerError
from governance.ledger.leader import Leader
from serving.keeper import Keeper

log = logging.getLogger(__name__)

EVERY_S = 0.25
REFUSED_S = 5.0
"""How long it waits after it refused to sign: what is wrong then does not go away by itself."""


class LogKeeper(Keeper):
    """Takes turns of the leader in a thread; of several processes one leads at a time.

    Args:
        leader: whose turns.
        every_s: seconds between two turns with nothing to do in between.
    """

    def __init__(self, leader: Leader, every_s: float = EVERY_S) -> None:
        super().__init__("log", every_s, self._lead, first_s=0.0, niceness=0)
        self._leader = leader
        self.refusal: str | None = None
        self.turned_at: float | None = None

    def _lead(self) -> float:
        """Take a turn; returns for how many seconds to wait."""
        try:
            turn = self._leader.turn()
        except LedgerError as error:
            if self.refusal != str(error):
                log.error("the log is not signed: %s", error)
            self.refusal = str(error)
            return REFUSED_S
        except Exception:  # the thread must live on: without it no promise is kept
            log.exception("a turn of the log failed; it is repeated")
            return 1.0
        self.refusal = None
        self.turned_at = time.monotonic()
        return 0.0 if turn is not None and turn.more else self._every_s
