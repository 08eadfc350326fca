"""A home's log checked as a whole, by command or on a schedule, and the last results kept."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine, delete, insert, select

from feature_store.database import reading
from feature_store.times import DAY, MINUTE, SECOND, Millis, now
from governance.consequences import Consequences
from governance.kept import check_models, check_policies
from governance.leases import take
from governance.ledger.errors import NoteInvalid
from governance.ledger.findings import Finding, Mismatch, Part
from governance.ledger.fingerprint import KEY_FILE, load_fingerprint
from governance.ledger.high_water import HighWater
from governance.ledger.notes import NoteKey
from governance.ledger.published import cosigned_tree
from governance.ledger.record_check import RecordCheck
from governance.ledger.tables import ledger_checks
from governance.ledger.verify import Known, LogFiles, Verified, Verifier
from serving.keeper import Keeper
from serving.wiring import Base

SCHEDULE, COMMAND = "schedule", "command"
KEPT: Millis = 400 * DAY
REST_S = 0.02
"""What the schedule rests between two pages of records."""
_LEASE: Millis = 30 * MINUTE
_LATE: Millis = 10 * SECOND
"""How long after its time a promise counts as broken where a service runs."""


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


def verify_home(
    base: Base, *, before: Result | None = None, by: str = COMMAND, rest: Callable[[], None] = lambda: None, serving: bool = False
) -> Result:
    """Check a home and keep what was found.

    Args:
        base: the home with its database.
        before: a check that found nothing: only what came after it is read.
        by: who asked.
        rest: called between two pages.
        serving: whether a service runs, so that a promise which has passed is broken, not waiting for its start.
    """
    started = now()
    keys = log_keys(base)
    fingerprint = load_fingerprint(base.home.keys) if (base.home.keys / KEY_FILE).exists() else None
    consequences = Consequences(whole=before is None, until=started)
    log = LogFiles(base.engine, base.home.ledger, keys, HighWater(base.settings.mark_folder, base.signer.verifier.name), keys[0].name)
    finding, models, policies = None, 0, 0
    verified = Verified(0, b"", 0, 0, 0, 0)
    began = time.perf_counter()
    try:
        verifier = Verifier(log, RecordCheck(keys, fingerprint), (consequences.page,), _cosigned(base, keys), rest)
        verified = verifier.run(None if before is None else _known(before))
        with reading(base.engine).connect() as connection:
            consequences.finish(connection)
        models, policies = check_models(base.engine, keys, base.home.models), check_policies(base.engine)
        if serving and verified.overdue and verifier.overdue(verified.size, started - _LATE):
            raise Mismatch(Part.OVERDUE, f"{verified.overdue} records", "their time has passed and no checkpoint covers them")
    except Mismatch as error:
        finding = error.finding
    took_ms = round((time.perf_counter() - began) * 1e3)
    verified = Verified(verified.size, verified.root, verified.records, verified.waiting, verified.overdue, took_ms)
    result = Result(started, by, before is None, verified, finding, models, policies)
    _keep(base.engine, result)
    return result


def log_keys(base: Base) -> list[NoteKey]:
    """The keys of the log, the one that signs now first."""
    return [base.signer.verifier]


def _cosigned(base: Base, keys: list[NoteKey]) -> list[Known]:
    """The newest tree that a witness cosigned."""
    try:
        tree = cosigned_tree(base.home.ledger, keys)
    except NoteInvalid as error:
        raise Mismatch(Part.COSIGNED, "checkpoint.cosigned", str(error)) from error
    if tree is None:
        return []
    return [Known(Part.COSIGNED, "checkpoint.cosigned", "witnesses have cosigned another tree of that size", tree.size, tree.root)]


def _known(before: Result) -> Known:
    told = "the last check has seen another tree of that size"
    return Known(Part.FORK, "last check", told, before.verified.size, before.verified.root)


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


def _keep(engine: Engine, result: Result) -> None:
    one, finding = result.verified, result.finding
    row = {
        "started_at": result.started_at, "asked_by": result.asked_by, "whole": result.whole, "size": one.size, "root": one.root,
        "records": one.records, "waiting": one.waiting, "overdue": one.overdue, "took_ms": one.took_ms,
        "part": None if finding is None else finding.part.value, "problem": None if finding is None else str(finding),
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(delete(ledger_checks).where(ledger_checks.c.started_at < result.started_at - KEPT))
        connection.execute(insert(ledger_checks), row)


class VerifyKeeper(Keeper):
    """Checks the log every now and then; of several processes one checks at a time.

    Args:
        base: the home.
        every_s: seconds between two checks of what is new.
        whole_every_s: seconds between two checks of everything.
    """

    def __init__(self, base: Base, every_s: float, whole_every_s: float) -> None:
        super().__init__("verify", every_s, partial(verify_when_due, base, every_s, whole_every_s))


def verify_when_due(base: Base, every_s: float, whole_every_s: float) -> float:
    """Check when it is time; returns for how many seconds to wait."""
    last = newest(base.engine)
    due_s = 0.0 if last is None else every_s - (now() - last.started_at) / 1000
    if due_s > 0:
        return min(due_s, every_s)
    if not take(base.engine, "verify", f"{socket.gethostname()[:40]}:{os.getpid()}", now(), _LEASE):
        return every_s
    whole = newest(base.engine, whole=True)
    sound = newest(base.engine, sound=True)
    again = whole is None or sound is None or last is None or last.finding is not None
    before = None if again or whole is None or (now() - whole.started_at) / 1000 > whole_every_s else sound
    verify_home(base, before=before, by=SCHEDULE, rest=partial(time.sleep, REST_S), serving=True)
    return every_s
