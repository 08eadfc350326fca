"""What checks of the log found, as it is kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from feature_store.database import reading
from feature_store.times import DAY, Millis
from governance.ledger.findings import Finding, Part
from governance.ledger.tables import ledger_checks
from governance.ledger.verify import Verified

log = logging.getLogger(__name__)

KEPT: Millis = 400 * DAY


@dataclass(frozen=True, slots=True)
class Result:
    """A check that was made.

    Attributes:
        whole: whether every record was read again; otherwise those since the check before.
        finding: the first thing that is wrong; ``None`` when nothing is.
    """

    started_at: Millis
    asked_by: str
    whole: bool
    verified: Verified
    finding: Finding | None
    models: int = 0
    policies: int = 0


def newest(engine: Engine, *, whole: bool | None = None, sound: bool | None = None) -> Result | None:
    """The newest result that is kept, of these."""
    table = ledger_checks.c
    statement = select(ledger_checks).order_by(table.started_at.desc(), table.check_id.desc()).limit(1)
    if whole is not None:
        statement = statement.where(table.whole == whole)
    if sound is not None:
        statement = statement.where(table.part.is_(None) if sound else table.part.is_not(None))
    with reading(engine).connect() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    verified = Verified(row.size, bytes(row.root), row.records, row.waiting, row.overdue, row.took_ms)
    finding = None if row.part is None else Finding(Part(row.part), "", row.problem or "")
    return Result(row.started_at, row.asked_by, row.whole, verified, finding)


def keep(engine: Engine, result: Result) -> None:
    """Keep a result; those that are older than :data:`KEPT` go."""
    one, finding = result.verified, result.finding
    row = {
        "started_at": result.started_at, "asked_by": result.asked_by, "whole": result.whole, "size": one.size, "root": one.root,
        "records": one.records, "waiting": one.waiting, "overdue": one.overdue, "took_ms": one.took_ms,
        "part": None if finding is None else finding.part.value, "problem": None if finding is None else str(finding),
    }  # fmt: skip
    try:
        with engine.begin() as connection:
            connection.execute(delete(ledger_checks).where(ledger_checks.c.started_at < result.started_at - KEPT))
            connection.execute(insert(ledger_checks), row)
    except SQLAlchemyError:  # what was found is told all the same
        log.warning("the result of a check of the log cannot be kept", exc_info=True)
