"""Every part of the service, asked at once and within bounds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from feature_store.backfill import standing
from feature_store.database import reading
from feature_store.gaps import read_gaps
from feature_store.tables import events
from feature_store.times import DAY, HOUR, Millis
from governance.ledger.tables import decisions
from governance.promotion import generation
from governance.tables import trainings
from serving import expiry, parity
from serving.api.system import Probes
from serving.confidence import ConfidenceWatch
from serving.console.watching import MANY_EVENTS, Features, HealthFacts, ReplicaFacts

_ASKS = 4
"""Questions for each replica that is expected: the balancer chooses who answers."""

_RUNNING = ("queued", "running", "stopping")


class ServiceHealth:
    """Fulfils :class:`serving.console.watching.Health`.

    Args:
        probes: how database and replicas are asked.
        features: for the newest fact that decisions used.
        replicas: how many decision processes there should be.
        parity_every_s: how often the parity check is made; ``None`` where it is not.
        expiry_every_s: how often what is past its time is forgotten; ``None`` where it is not.
        now: the clock.
    """

    def __init__(
        self,
        probes: Probes,
        features: Features,
        *,
        replicas: int,
        parity_every_s: float | None,
        expiry_every_s: float | None = None,
        now: Callable[[], Millis],
    ) -> None:
        self._probes = probes
        self._engine: Engine = probes.engine
        self._features = features
        self._replicas = replicas
        self._parity_every_s = parity_every_s
        self._expiry_every_s = expiry_every_s
        self._now = now
        self._confidence = ConfidenceWatch(self._engine, now)

    def look(self) -> HealthFacts:
        """Ask every part."""
        at = self._now()
        began = time.monotonic()
        problem = self._probes.database()
        facts: dict[str, Any] = {
            "database": self._engine.dialect.name,
            "database_problem": problem,
            "write_ms": None if problem else (time.monotonic() - began) * 1000,
            "wanted": self._replicas,
            "parity_every_s": self._parity_every_s,
            "expiry_every_s": self._expiry_every_s,
        }
        facts |= self._ask_replicas()
        if problem is None:
            with contextlib.suppress(SQLAlchemyError):
                facts |= self._read(at)
        return HealthFacts(at=at, **facts)

    def _ask_replicas(self) -> dict[str, Any]:
        found: dict[str, ReplicaFacts] = {}
        for _ in range(_ASKS * self._replicas):
            told, problem = self._probes.deciding()
            if "generation" not in told:
                return {"replicas": tuple(found.values()), "replica_problem": problem}
            replica = ReplicaFacts(str(told.get("replica", "")), told["generation"], told.get("models", {}), told.get("problems", {}))
            found[replica.replica] = replica
            if len(found) == self._replicas:
                break
        return {"replicas": tuple(found[name] for name in sorted(found))}

    def _read(self, at: Millis) -> dict[str, Any]:
        recent = select(events.c.event_id).where(events.c.known_at > at - HOUR).limit(MANY_EVENTS).subquery()
        failed = trainings.c.state == "failed", trainings.c.finished_at > at - DAY
        with reading(self._engine).connect() as connection:
            found = {
                "recorded_at": connection.execute(select(func.max(decisions.c.decided_at))).scalar_one(),
                "known_at": connection.execute(select(func.max(events.c.known_at))).scalar_one(),
                "events_last_hour": connection.execute(select(func.count()).select_from(recent)).scalar_one(),
                "trainings": tuple(
                    (row.training_id, row.name, row.state)
                    for row in connection.execute(select(trainings).where(trainings.c.state.in_(_RUNNING)).limit(20))
                ),
                "failed_trainings": connection.execute(select(func.count()).select_from(trainings).where(*failed)).scalar_one(),
            }
        newest = (one.live.newest_at for one in self._features.book().features if one.live and one.live.newest_at)
        return {
            **found,
            "generation": generation(self._engine),
            "fact_at": max(newest, default=None),
            "gap": read_gaps(self._engine).before,
            "standing": standing(self._engine),
            "parity": parity.newest(self._engine),
            "watched": self._confidence.current(),
            "expiry": expiry.newest(self._engine),
        }
