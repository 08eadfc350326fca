"""Changes of what is in force: one after another, each with its record in the same transaction, noticed by every replica.

A replica asks for :func:`marks` and reads again what has grown. A mark is the largest number that was given to a change, so a change must
become visible in the order of its number: writers take :func:`in_turn` before they take one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, func, select, text

from feature_store.database import reading
from feature_store.times import Millis, now
from governance.ledger.log import append
from governance.ledger.receipt import Signer
from governance.ledger.record import Draft, Kind, Sealed, seal
from governance.ledger.rows import RecordRow
from governance.tables import alias_history, list_entries, switches

_TURN = 0x6F7264696E630001
"""Advisory lock on PostgreSQL; on SQLite the write lock does the same."""


class Marks(NamedTuple):
    """How far each kind of change has come."""

    aliases: int
    lists: int
    switches: int


_MARKS = select(
    select(func.max(alias_history.c.change_id)).scalar_subquery(),
    select(func.max(list_entries.c.change_id)).scalar_subquery(),
    select(func.max(switches.c.change_id)).scalar_subquery(),
)


def marks(engine: Engine) -> Marks:
    """One cheap read: three ends of indexes."""
    with reading(engine).connect() as connection:
        return Marks(*(int(value or 0) for value in connection.execute(_MARKS).one()))


def in_turn(connection: Connection) -> None:
    """Wait until every earlier change is committed or gone; holds until the end of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TURN})


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes the record of a change in the change's own transaction.

    Attributes:
        signer: of receipts.
        tenant: whose records they are.
        clock: milliseconds.
    """

    signer: Signer
    tenant: str = "default"
    clock: Callable[[], Millis] = field(default=now)

    def record(
        self,
        connection: Connection,
        kind: Kind,
        change: Mapping[str, Any],
        *,
        principal: str,
        at: Millis,
        decision_type: str | None = None,
        digests: Mapping[str, str] | None = None,
        subjects: Mapping[str, Collection[str]] | None = None,
        refers_to: str | None = None,
    ) -> Sealed:
        """Seal the record and insert it; the caller commits both or neither."""
        draft = Draft(
            kind=kind,
            decision_type=decision_type,
            digests=digests or {},
            groups={"change": dict(change), "people": {"principal": principal}},
            subjects=subjects or {},
            tenant=self.tenant,
            refers_to=refers_to,
        )
        sealed = seal(draft, self.signer, at)
        append(connection, [RecordRow(sealed)])
        return sealed
