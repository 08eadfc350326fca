"""The one way to reach the database: SQLite in the home, or PostgreSQL by URL.

Nothing connects here; an :class:`~sqlalchemy.Engine` connects when it is first used. Durability is not left to defaults: SQLite runs in WAL
mode with ``synchronous=FULL``, PostgreSQL with ``synchronous_commit`` on.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS = 10_000
"""How long a SQLite writer waits for another one before it gives up."""

POSTGRESQL_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # A server that vanished without a word is noticed after this many ms: a caller waits for the commit.
    "tcp_user_timeout": 10_000,
}


class DatabaseRefused(Exception):
    """A database URL that cannot be used; the message says why and what to write instead."""


def make_engine(url: str | URL, *, pool_size: int = 8) -> Engine:
    """Make an engine for a SQLite file or a PostgreSQL server.

    On SQLite every transaction of this engine takes the write lock at its beginning (``BEGIN IMMEDIATE``), so that it never fails halfway
    because another process wrote in between; use :func:`reading` for whatever only reads.

    Args:
        url: ``sqlite:////path/to/file`` or ``postgresql+psycopg://user@host/name``; plain ``postgresql://`` means the same.
        pool_size: connections kept open; twice as many at peaks.

    Raises:
        DatabaseRefused: the URL is unreadable, names another database, or one that lives in memory only.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseRefused(
            "The database URL cannot be read; write sqlite:////path/to/file or postgresql+psycopg://user@host/name."
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite(parsed, pool_size)
    if backend == "postgresql":
        return _postgresql(parsed.set(drivername="postgresql+psycopg"), pool_size)
    raise DatabaseRefused(f"The database {backend!r} is not supported; use sqlite or postgresql+psycopg.")


def reading(engine: Engine) -> Engine:
    """The same database and pool, for transactions that only read: they take no lock, and the database refuses a write."""
    return engine.execution_options(read_only=True, postgresql_readonly=engine.dialect.name == "postgresql")


def _sqlite(url: URL, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:" or url.query.get("mode") == "memory":
        raise DatabaseRefused("A database in memory forgets its records; name a file: sqlite:////path/to/file.")
    engine = create_engine(url, pool_size=pool_size, max_overflow=pool_size, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-16384",
            "wal_autocheckpoint=4000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = bool(connection.get_execution_options().get("read_only"))
        if connection.info.get("query_only", False) != read_only:
            connection.exec_driver_sql(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
            connection.info["query_only"] = read_only
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, pool_size: int) -> Engine:
    engine = create_engine(url, pool_size=pool_size, max_overflow=pool_size, connect_args=POSTGRESQL_CONNECT)

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT current_setting('synchronous_commit')")
        (found,) = cursor.fetchone() or ("off",)
        if found == "off":  # stronger settings (remote_apply) stay as the operator wants them
            cursor.execute("SET synchronous_commit TO on")
        cursor.close()
        connection.commit()

    return engine
