"""The thread that leads the log: every fraction of a second it takes a turn, so that a promise is kept within a second."""

from __future__ import annotations

import logging
import threading
import time

from governance.ledger.errors import LedgerError
from governance.ledger.leader import Leader

log = logging.getLogger(__name__)

EVERY_S = 0.25
REFUSED_S = 5.0
"""How long it waits after it refused to sign: what is wrong then does not go away by itself."""


class LogKeeper:
    """Takes turns of the leader in a thread; of several processes one leads at a time.

    Args:
        leader: whose turns.
        every_s: seconds between two turns with nothing to do in between.
    """

    def __init__(self, leader: Leader, every_s: float = EVERY_S) -> None:
        self._leader = leader
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="log", daemon=True)
        self.refusal: str | None = None
        self.turned_at: float | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a turn that is being taken ends first."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            wait = self._turn()

    def _turn(self) -> float:
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
