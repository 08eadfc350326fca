"""What the events table does not hold: history that came as finished states, or events that were deleted when their time was over.

A feature that looks back into such a gap cannot be rebuilt from events. Whoever makes one says so here, in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, delete, func, insert, select

from feature_store.database import reading
from feature_store.parity_tables import event_gaps
from feature_store.times import Millis, now


class Cause(StrEnum):
    """Why events are missing."""

    LOADED = "loaded"
    """States were loaded without the events that made them."""
    RETENTION = "retention"
    """Events were deleted: their time was over."""
    LATE = "late"
    """Events were loaded after the time at which they say they were known: decisions in between did not see them."""
    ERASURE = "erasure"
    """Events of a subject were forgotten: decisions before that may have seen them."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What cannot be expected of the events table.

    Attributes:
        before: events that became known by then may be missing; ``None`` where all are here.
        late: decisions until then may have seen other events than are here by now; ``None`` where nothing was changed afterwards.
    """

    before: Millis | None = None
    late: Millis | None = None

    def excuses_all_at(self, as_of: Millis) -> bool:
        """Whether a decision may have seen something else than is here."""
        return self.late is not None and as_of <= self.late


def note_gap(connection: Connection, until: Millis, cause: Cause) -> None:
    """Say that events which became known by ``until`` may be missing."""
    connection.execute(insert(event_gaps).values(until=until, cause=cause.value, noted_at=now()))


def move_gap(connection: Connection, before: Millis, until: Millis, cause: Cause) -> None:
    """Say another end of a gap that was noted until ``before``."""
    connection.execute(delete(event_gaps).where(event_gaps.c.cause == cause.value, event_gaps.c.until == before))
    note_gap(connection, until, cause)


def read_gaps(engine: Engine) -> Gaps:
    """All gaps together."""
    with reading(engine).connect() as connection:
        rows = connection.execute(
            select(event_gaps.c.cause, func.max(event_gaps.c.until).label("until")).group_by(event_gaps.c.cause)
        ).all()
    found: dict[str, Millis] = {row.cause: row.until for row in rows}
    later = [found.pop(cause.value, None) for cause in (Cause.LATE, Cause.ERASURE)]
    return Gaps(max(found.values(), default=None), max((until for until in later if until is not None), default=None))


def known_until(engine: Engine) -> Millis | None:
    """Up to when events may be missing; ``None`` where all are here."""
    return read_gaps(engine).before
