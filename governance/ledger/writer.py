"""One connection that writes batches of records, without anything between us and the driver: its cost is paid for every commit."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection

from feature_store.database import lost_race
from feature_store.reservations import Reservation, reserve
from governance.ledger.rows import Row, Statement, reserving, statements
from governance.ledger.vault import sealing, vault_of


class Writer:
    """Writes batches, each in one durable transaction. Connects when it first writes, and again after the connection was lost.

    Used by one thread at a time. Its errors are the driver's; the predicates here tell them apart.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dialect = engine.dialect.name
        self._vault = vault_of(engine)
        self._connection: Any = None

    def write(self, rows: Sequence[Row]) -> None:
        """Insert all rows and commit, or leave nothing; when the connection is lost meanwhile, nobody knows which.

        Raises:
            PiecesTaken: some of the rows reserve pieces that are not free any more; nothing was written.
        """
        with sealing(self._vault, rows) as keys:
            self._write(statements(rows, self._dialect, keys), reserving(rows))

    def _write(self, todo: Sequence[Statement], wanted: Sequence[Reservation]) -> None:
        if self._connection is None:
            self._connection = self._connect()
        try:
            # Closed here, whatever happens: a cursor that an exception's traceback keeps would be freed by some other thread's garbage
            # collection, which then waits for this connection, which may wait for that very thread's write lock.
            with contextlib.closing(self._connection.cursor()) as cursor:
                if self._dialect == "postgresql" and not wanted:  # autocommit: the one statement is the transaction, in one round trip
                    cursor.execute(*todo[0])
                else:
                    cursor.execute("BEGIN" if self._dialect == "postgresql" else "BEGIN IMMEDIATE")
                    if wanted:
                        reserve(cursor, wanted, self._dialect)
                    for statement in todo:
                        cursor.execute(*statement)
                    cursor.execute("COMMIT")
        except Exception as error:
            self._recover(error)
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def is_conflict(self, error: Exception) -> bool:
        """Whether a row is there already (or breaks another constraint)."""
        return isinstance(error, self._engine.dialect.loaded_dbapi.IntegrityError)

    def is_outage(self, error: Exception) -> bool:
        """Whether the database fails for everybody, so that trying requests one by one only takes longer."""
        driver = self._engine.dialect.loaded_dbapi
        return isinstance(error, driver.OperationalError | driver.InterfaceError)

    def may_repeat(self, error: Exception) -> bool:
        """Whether trying again is safe and may help: a lost race left nothing; after a lost connection, the keys tell what was written."""
        lost_connection = self._connection is None and self.is_outage(error)
        return lost_connection or lost_race(error)

    def _connect(self) -> DBAPIConnection:
        # Ours from now on: the pool neither resets nor hands it out.
        borrowed = self._engine.raw_connection()
        connection: Any = borrowed.driver_connection
        borrowed.detach()
        if self._dialect == "postgresql":
            connection.autocommit = True
        else:
            connection.execute("PRAGMA query_only=OFF")
        return connection  # type: ignore[no-any-return]

    def _recover(self, error: Exception) -> None:
        """Leave the connection ready for the next batch, or drop it."""
        lost = isinstance(error, self._engine.dialect.loaded_dbapi.Error) and self._engine.dialect.is_disconnect(
            error, self._connection, None
        )
        if not lost:
            try:
                self._connection.rollback()
            except Exception:  # noqa: BLE001 - then the connection is of no more use
                lost = True
        if lost:
            self.close()
