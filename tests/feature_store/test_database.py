"""Engines: durable on every server, one writer at a time, readers that cannot write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from feature_store.database import DatabaseRefused, Reads, make_engine, reading


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://localhost/x", "mysql"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
        ("what is this", "cannot be read"),
        ("nosuchthing://x/y", "not supported"),
    ],
)
def test_refuses_what_would_not_keep_records(url, says):
    with pytest.raises(DatabaseRefused, match=says):
        make_engine(url)


def test_every_connection_commits_durably(engine):
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


@pytest.mark.postgres
def test_postgresql_configured_to_lose_commits_is_corrected(postgres_server):
    url = postgres_server.new_database(migrated=False)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER ROLE {postgres_server.user} IN DATABASE {engine.url.database} SET synchronous_commit TO off"))
    engine.dispose()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    engine.dispose()
    postgres_server.release(url)


def test_a_reader_cannot_write_and_a_writer_still_can(engine):
    insert = text("INSERT INTO principals (principal, created_at) VALUES (:name, 1)")
    for turn in range(3):
        with pytest.raises(DBAPIError, match=r"read-?only"), reading(engine).begin() as connection:
            connection.execute(insert, {"name": f"r{turn}"})
        with engine.begin() as connection:
            connection.execute(insert, {"name": f"w{turn}"})
    with reading(engine).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM principals")).scalar_one() == 3


def test_readers_do_not_wait_for_a_writer(engine):
    with engine.begin() as writer:
        writer.execute(text("INSERT INTO principals (principal, created_at) VALUES ('p', 1)"))
        with reading(engine).connect() as reader:
            assert reader.execute(text("SELECT count(*) FROM principals")).scalar_one() == 0


def test_a_writer_may_read_first(engine):
    """A transaction that reads and then writes never fails because another one wrote in between."""
    with engine.begin() as connection:
        count = connection.execute(text("SELECT count(*) FROM principals")).scalar_one()
        connection.execute(text("INSERT INTO principals (principal, created_at) VALUES (:name, 1)"), {"name": f"p{count}"})
    assert count == 0


COUNT = "SELECT count(*) FROM principals"


def _add(engine, name: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO principals (principal, created_at) VALUES (:name, 1)"), {"name": name})


def test_each_read_sees_what_was_committed_before_it(engine):
    reads = Reads(engine)
    for expected in range(4):
        assert reads.rows(COUNT, ()) == [(expected,)]
        _add(engine, f"p{expected}")
    named = reads.rows(f"SELECT principal FROM principals WHERE principal IN ({reads.mark}, {reads.mark})", ("p1", "p3"))
    assert sorted(named) == [("p1",), ("p3",)]


def test_a_read_cannot_write_and_an_error_harms_nobody(engine):
    reads = Reads(engine)
    for _ in range(3):
        with pytest.raises(engine.dialect.loaded_dbapi.Error, match=r"read-?only"):
            reads.rows("INSERT INTO principals (principal, created_at) VALUES ('w', 1)", ())
        with pytest.raises(engine.dialect.loaded_dbapi.Error):
            reads.rows("SELECT nothing FROM nowhere", ())
    _add(engine, "w")
    assert reads.rows(COUNT, ()) == [(1,)]


def test_threads_share_reads(engine):
    reads = Reads(engine)
    ask = f"SELECT CAST({reads.mark} AS INTEGER) + count(*) FROM principals"
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda n: reads.rows(ask, (n,)), range(64))) == [[(n,)] for n in range(64)]


def test_reads_connect_again_after_the_engine_was_disposed_of(engine):
    reads = Reads(engine)
    assert reads.rows(COUNT, ()) == [(0,)]
    engine.dispose()
    assert reads.rows(COUNT, ()) == [(0,)]


@pytest.mark.postgres
def test_reads_survive_a_connection_that_the_server_ended(postgres_server):
    url = postgres_server.new_database(migrated=True)
    engine = make_engine(url)
    reads = Reads(engine)
    ((backend,),) = reads.rows("SELECT pg_backend_pid()", ())
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
    ((another,),) = reads.rows("SELECT pg_backend_pid()", ())
    assert another != backend
    engine.dispose()
    postgres_server.release(url)
