"""Engines: durable on every server, one writer at a time, readers that cannot write."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from feature_store.database import DatabaseRefused, make_engine, reading


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
