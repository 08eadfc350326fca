"""Forgetting what is past its time: on a schedule in one process of the service, or by command; what came of it is kept for the health page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial

import orjson
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from feature_store import retention
from feature_store.database import reading
from feature_store.entities import Entity
from feature_store.retention import Forgotten
from feature_store.tables import expiry_runs
from feature_store.times import DAY, HOUR, Millis, now
from serving.keeper import Keeper

SCHEDULE, COMMAND = "schedule", "command"

GIVEN_UP: Millis = 6 * HOUR
"""A run that has not ended after so long was killed."""

KEPT: Millis = 400 * DAY
"""How long it is kept what runs have done."""

REST_S = 0.02
"""What the schedule rests between two pages of events."""

_LOCK = 0x657870697279


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        ended_at: ``None`` while it runs, or when it was killed.
        done: what was forgotten; ``None`` unless it ended well.
        problem: why it failed.
    """

    started_at: Millis
    asked_by: str
    ended_at: Millis | None = None
    done: Forgotten | None = None
    problem: str | None = None


def newest(engine: Engine) -> Run | None:
    """The newest run."""
    with reading(engine).connect() as connection:
        return _newest(connection)


def expire(engine: Engine, days: Mapping[Entity, int]) -> Forgotten:
    """Forget at once and thoroughly what is past its time; for a command."""
    return _carry_out(engine, _begin(engine, COMMAND), days, thorough=True)


def expire_when_due(engine: Engine, days: Mapping[Entity, int], every_s: float) -> float:
    """Forget what is past its time, where nobody has for so long; of several processes one does. Returns for how many seconds to wait."""
    with engine.begin() as connection:
        _alone(connection)
        due_s = _due_s(_newest(connection), every_s)
        if due_s > 0:
            return min(due_s, every_s)
        run_id = _insert(connection, SCHEDULE)
    _carry_out(engine, run_id, days, thorough=False)
    return every_s


class ExpiryKeeper(Keeper):
    """Forgets what is past its time every now and then.

    Args:
        engine: of the database.
        days: how long each kind is kept.
        every_s: seconds between two runs.
    """

    def __init__(self, engine: Engine, days: Mapping[Entity, int], every_s: float) -> None:
        super().__init__("expiry", every_s, partial(expire_when_due, engine, days, every_s))


def _carry_out(engine: Engine, run_id: int, days: Mapping[Entity, int], *, thorough: bool) -> Forgotten:
    try:
        if thorough:
            done = retention.expire(engine, days)
        else:
            done = retention.expire(engine, days, thorough=False, rest=partial(time.sleep, REST_S))
            if done.events or done.changed:
                retention.tidy(engine)
    except Exception as error:
        _end(engine, run_id, None, f"{type(error).__name__}: {error}"[:500])
        raise
    _end(engine, run_id, done, None)
    return done


def _due_s(before: Run | None, every_s: float) -> float:
    """Seconds until the next run is due."""
    if before is None:
        return 0.0
    pause = every_s * 1000 if before.ended_at is not None else max(every_s * 1000, GIVEN_UP)
    return (before.started_at + pause - now()) / 1000


def _begin(engine: Engine, by: str) -> int:
    with engine.begin() as connection:
        return _insert(connection, by)


def _insert(connection: Connection, by: str) -> int:
    clock = now()
    connection.execute(delete(expiry_runs).where(expiry_runs.c.started_at < clock - KEPT))
    made = connection.execute(insert(expiry_runs).values(started_at=clock, asked_by=by).returning(expiry_runs.c.run_id))
    return int(made.scalar_one())


def _end(engine: Engine, run_id: int, done: Forgotten | None, problem: str | None) -> None:
    report = None if done is None else orjson.dumps(asdict(done))
    with engine.begin() as connection:
        connection.execute(update(expiry_runs).where(expiry_runs.c.run_id == run_id).values(ended_at=now(), report=report, problem=problem))


def _alone(connection: Connection) -> None:
    """Of those who ask at the same time, let one after the other; SQLite's writers take turns anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _newest(connection: Connection) -> Run | None:
    statement = select(expiry_runs).order_by(expiry_runs.c.started_at.desc(), expiry_runs.c.run_id.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    done = None if row.report is None else Forgotten(**orjson.loads(row.report))
    return Run(row.started_at, row.asked_by, row.ended_at, done, row.problem)
