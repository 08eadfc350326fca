"""Events on their way into the store."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from feature_store import times
from feature_store.entities import EntityKey
from feature_store.events import FUTURE_SKEW, Event
from feature_store.ingest import Also, IngestResult, ingest
from feature_store.times import Millis
from serving.console.ports import Refused
from serving.errors import ProblemKind, unavailable

BATCH = 500
"""Events of one transaction: it should not keep others from writing for much longer than a tenth of a second."""

GIVE_WAY_S = 0.026
"""What lies between two transactions on SQLite at most. Whoever waits there for the one write lock looks again at least this often during
the first tenth of a second: a decision that wants to be recorded never waits for two long ones of these transactions. After a short one,
as of a single event, twice its time has to do: a sender of single events would wait for nothing else."""

log = logging.getLogger(__name__)


class StoredIntake:
    """Fulfils :class:`serving.console.ports.Intake`; threads may share it.

    Args:
        engine: of the database.
        skew: how far an event's time may lie ahead of our clock.
        also: what else follows from events, in the transaction that takes them.
    """

    def __init__(
        self,
        engine: Engine,
        skew: Millis = FUTURE_SKEW,
        *,
        clock: Callable[[], Millis] = times.now,
        gives_way: bool = True,
        also: Also | None = None,
    ) -> None:
        self.skew = skew
        self.now = clock
        self._engine = engine
        self._also = also
        self._alone = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._longest_pause_s = GIVE_WAY_S if self._alone is not None and gives_way else 0.0
        self._free_until = -1.0

    def take(self, events: Sequence[Event]) -> IngestResult:
        """Take events in, in transactions of :data:`BATCH`. After an error the same events can be sent again."""
        accepted = duplicates = 0
        conflicts: list[int] = []
        damaged: dict[EntityKey, None] = {}
        for at in range(0, len(events), BATCH):
            try:
                done = self._ingest(events[at : at + BATCH])
            except DBAPIError as error:
                log.warning("events could not be written: %s", error.orig)
                detail = "The events could not all be written: the database does not answer. Send the same again: each counts once."
                raise Refused(unavailable(ProblemKind.UNAVAILABLE, detail, 2)) from error
            accepted, duplicates = accepted + done.accepted, duplicates + done.duplicates
            conflicts += [at + one for one in done.conflicts]
            damaged |= dict.fromkeys(done.damaged)
        if damaged:  # without their names: a log is no place for persons
            kinds = Counter(key.entity.value for key in damaged)
            log.error("states that cannot be read were left as they are: %s; 'ordinance features rebuild' makes them anew", dict(kinds))
        return IngestResult(accepted, duplicates, tuple(conflicts), tuple(damaged))

    def _ingest(self, batch: Sequence[Event]) -> IngestResult:
        if self._alone is None:
            return ingest(self._engine, batch, self._also)
        with self._alone:
            time.sleep(max(0.0, self._free_until - time.monotonic()))
            began = time.monotonic()
            try:
                return ingest(self._engine, batch, self._also)
            finally:
                ended = time.monotonic()
                self._free_until = ended + min(self._longest_pause_s, 2 * (ended - began))
