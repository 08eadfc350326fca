"""What the events table does not hold: history that came as finished states, or events that were deleted when their time was over.

A feature that looks back into such a gap cannot be rebuilt from events. Whoever makes one says so here, in the same transaction.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection, Engine, func, insert, select

from feature_store.database import reading
from feature_store.parity_tables import event_gaps
from feature_store.times import Millis, now


class Cause(StrEnum):
    """Why events are missing."""

    LOADED = "loaded"
    """States were loaded without the events that made them."""
    RETENTION = "retention"
    """Events were deleted: their time was over."""


def note_gap(connection: Connection, until: Millis, cause: Cause) -> None:
    """Say that events which became known by ``until`` may be missing."""
    connection.execute(insert(event_gaps).values(until=until, cause=cause.value, noted_at=now()))


def known_until(engine: Engine) -> Millis | None:
    """Up to when events may be missing; ``None`` where all are here."""
    with reading(engine).connect() as connection:
        until: Millis | None = connection.execute(select(func.max(event_gaps.c.until))).scalar_one()
    return until
