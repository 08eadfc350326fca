"""Forgetting on a schedule: when it is due, by one process only, and what is told of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select, update

from feature_store import retention
from feature_store.entities import Entity
from feature_store.events import Event, EventType
from feature_store.online import OnlineStore
from feature_store.retention import Forgotten
from feature_store.tables import events, expiry_runs
from feature_store.times import DAY, HOUR, now
from serving import expiry
from serving.expiry import COMMAND, GIVEN_UP, SCHEDULE, ExpiryKeeper, expire, expire_when_due, newest

DAYS = {Entity.CUSTOMER: 365}


def tell(engine: Engine, number: int, days_ago: int) -> None:
    at = now() - days_ago * DAY
    data = {"order_id": f"SO-{number}", "customer_id": f"C-{number}", "amount": 5.0}
    OnlineStore(engine).ingest([Event(f"e-{number}", EventType.ORDER_PLACED, at, at, data)])


def left(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(select(events.c.event_id)).scalars())


def earlier(engine: Engine, by: int) -> None:
    """Let all runs have begun so much earlier."""
    with engine.begin() as connection:
        connection.execute(update(expiry_runs).values(started_at=expiry_runs.c.started_at - by))


def test_what_is_past_its_time_goes_when_it_is_due_and_only_then(engine: Engine) -> None:
    tell(engine, 1, 400)
    tell(engine, 2, 10)
    assert newest(engine) is None
    assert expire_when_due(engine, DAYS, 86_400) == 86_400
    assert left(engine) == {"e-2"}
    run = newest(engine)
    assert run is not None
    assert run.done == Forgotten(events=1, states=1, wiped=False) or run.done == Forgotten(events=1, states=1)
    assert (run.asked_by, run.problem, run.ended_at is not None) == (SCHEDULE, None, True)
    tell(engine, 3, 400)
    assert 86_000 < expire_when_due(engine, DAYS, 86_400) <= 86_400
    assert left(engine) == {"e-2", "e-3"}
    earlier(engine, DAY)
    expire_when_due(engine, DAYS, 86_400)
    assert left(engine) == {"e-2"}


def test_of_many_processes_one_forgets(engine: Engine) -> None:
    tell(engine, 1, 400)
    with ThreadPoolExecutor(4) as pool:
        waits = list(pool.map(lambda _: expire_when_due(engine, DAYS, 86_400), range(4)))
    assert all(wait > 86_000 for wait in waits)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(expiry_runs)).scalar_one() == 1


def test_a_run_that_was_killed_is_repeated(sqlite_engine: Engine) -> None:
    tell(sqlite_engine, 1, 400)
    with sqlite_engine.begin() as connection:
        expiry._insert(connection, SCHEDULE)
    assert expire_when_due(sqlite_engine, DAYS, 3_600) <= 3_600
    assert left(sqlite_engine) == {"e-1"}, "it may be at work"
    earlier(sqlite_engine, GIVEN_UP + HOUR)
    expire_when_due(sqlite_engine, DAYS, 3_600)
    assert left(sqlite_engine) == set()


def test_a_failure_is_told(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> Forgotten:
        raise RuntimeError("no room on the disk")

    with monkeypatch.context() as patch:
        patch.setattr(retention, "expire", fails)
        with pytest.raises(RuntimeError):
            expire_when_due(sqlite_engine, DAYS, 3_600)
    run = newest(sqlite_engine)
    assert run is not None
    assert (run.problem, run.done) == ("RuntimeError: no room on the disk", None)
    expire(sqlite_engine, DAYS)
    run = newest(sqlite_engine)
    assert run is not None
    assert (run.asked_by, run.problem, run.done) == (COMMAND, None, Forgotten())


def test_the_keeper_forgets(sqlite_engine: Engine) -> None:
    tell(sqlite_engine, 1, 400)
    keeper = ExpiryKeeper(sqlite_engine, DAYS, 0.01)
    keeper.start()
    while left(sqlite_engine):
        assert keeper.alive
        time.sleep(0.01)
    keeper.stop()
