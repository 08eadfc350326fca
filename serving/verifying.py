"""A home's log checked as a whole, by command or on a schedule, and the last results kept."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import partial

from feature_store.database import reading
from feature_store.times import MINUTE, SECOND, Millis, now
from governance.consequences import Consequences
from governance.kept import check_models, check_policies
from governance.leases import take
from governance.ledger.errors import NoteInvalid
from governance.ledger.findings import Mismatch, Part
from governance.ledger.fingerprint import KEY_FILE, load_fingerprint
from governance.ledger.high_water import HighWater
from governance.ledger.notes import NoteKey
from governance.ledger.published import cosigned_tree
from governance.ledger.record_check import RecordCheck
from governance.ledger.vault import vault_of
from governance.ledger.verify import Known, LogFiles, Verified, Verifier
from serving.checks import Result, keep, newest
from serving.keeper import Keeper
from serving.wiring import Base

SCHEDULE, COMMAND = "schedule", "command"
REST_S = 0.02
"""What the schedule rests between two pages of records."""
_LEASE: Millis = 30 * MINUTE
_LATE: Millis = 10 * SECOND
"""How long after its time a promise counts as broken where a service runs."""


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
        verifier = Verifier(log, RecordCheck(keys, fingerprint, vault_of(base.engine)), (consequences.page,), _cosigned(base, keys), rest)
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
    keep(base.engine, result)
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
