"""The one way to reach the database: SQLite in the home, or PostgreSQL by URL.

Nothing connects here; an :class:`~sqlalchemy.Engine` connects when it is first used. Durability is not left to defaults: SQLite runs in WAL
mode with ``synchronous=FULL``, PostgreSQL with ``synchronous_commit`` on.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")

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

_ATTEMPTS = 4
_LOST_RACES = ("40001", "40P01")


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


def lost_race(error: BaseException | None) -> bool:
    """Whether PostgreSQL rolled a transaction back in favour of another one: nothing was written, it can be tried again.

    Args:
        error: of the driver.
    """
    return getattr(error, "sqlstate", None) in _LOST_RACES


def in_transaction(engine: Engine, change: Callable[[Connection], T]) -> T:
    """Run a change in a transaction of its own; again when the database gave way to another one, which leaves nothing."""
    for attempt in range(_ATTEMPTS):
        try:
            with engine.begin() as connection:
                return change(connection)
        except DBAPIError as error:
            if attempt + 1 == _ATTEMPTS or not lost_race(error.orig):
                raise
    raise AssertionError("unreachable")


class Reads:
    """Single statements that only read, given to the driver as they are.

    For the reads before every decision, where building a statement and a transaction around it would cost several times what the database
    does. Each statement is a transaction of its own: it sees all that was committed before it, and none stays open behind it. Threads may
    share one of these; a connection serves one of them at a time. A connection that was lost is replaced, and the statement repeated.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self.mark = "%s" if engine.dialect.name == "postgresql" else "?"
        # A list's append and pop are atomic. Those who close it later must not hold this object itself, or it would never be freed.
        idle: list[Any] = []
        self._idle = idle
        weakref.finalize(self, _close_all, idle)
        event.listen(engine, "engine_disposed", lambda _engine: _close_all(idle))

    def rows(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """All rows of one statement, whose placeholder is :attr:`mark`. Errors are the driver's."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._run(self._connect(), statement, values)
        try:
            return self._run(connection, statement, values)
        except Exception as error:
            if not self._lost(error, connection):
                raise
            _close_all(self._idle)  # they lead to the same server, which is gone or was started anew
        return self._run(self._connect(), statement, values)

    def _run(self, connection: Any, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(statement, values)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
        except BaseException as error:
            if isinstance(error, self._error) and not self._lost(error, connection):
                self._idle.append(connection)
            else:
                _close_all([connection])
            raise
        self._idle.append(connection)
        return rows

    def _lost(self, error: Exception, connection: Any) -> bool:
        return isinstance(error, self._error) and self._engine.dialect.is_disconnect(error, connection, None)  # type: ignore[arg-type]

    def _connect(self) -> Any:
        borrowed = self._engine.raw_connection()
        connection: Any = borrowed.driver_connection
        borrowed.detach()  # ours from now on: the pool neither resets nor hands it out
        if self._engine.dialect.name == "postgresql":
            connection.autocommit = True
            connection.execute("SET default_transaction_read_only TO on")
        else:
            connection.execute("PRAGMA query_only=ON")
        return connection


def _close_all(connections: list[Any]) -> None:
    while connections:
        with contextlib.suppress(Exception):
            connections.pop().close()


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
