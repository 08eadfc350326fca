"""Four eyes: what was submitted is approved or refused by somebody who neither made nor submitted it. Principals are compared, not keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from feature_store.database import reading
from feature_store.times import Millis
from governance.changes import Scribe, in_turn
from governance.ledger.ids import new_record_id
from governance.ledger.record import Kind
from governance.tables import approvals

OPEN, APPROVED, REFUSED = "open", "approved", "refused"


class ApprovalRefused(Exception):
    """What cannot be submitted or decided; the message says why."""


class ApprovalUnknown(LookupError):
    """There is no such approval."""


class OwnWork(ApprovalRefused):
    """Somebody wants to approve what they made or submitted."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One submission, and what was decided on it."""

    approval_id: str
    kind: str
    name: str
    version: int
    digest: str
    author: str
    submitted_by: str
    submitted_at: Millis
    note: str
    state: str
    decided_by: str | None
    decided_at: Millis | None
    decision_note: str | None
    record_id: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What is put before a second person.

    Attributes:
        kind: ``policy`` or ``model``.
        digest: of exactly what is approved.
        author: who made it.
        digests: what the record names.
    """

    kind: str
    name: str
    version: int
    digest: str
    author: str
    decision_type: str
    digests: Mapping[str, str]


def submit(connection: Connection, scribe: Scribe, what: Submission, *, note: str, principal: str) -> tuple[Approval, bool]:
    """Put a version before a second person; returns the approval and whether it is new. The caller holds its turn.

    Raises:
        ApprovalRefused: it is approved already.
    """
    for one in _of(connection, what.kind, what.name, what.version):
        if one.state == APPROVED:
            raise ApprovalRefused(
                f"Version {what.version} of {what.name!r} is approved already, by {one.decided_by}; it can be rolled out."
            )
        if one.state == OPEN:
            return one, False
    at, approval_id = scribe.clock(), new_record_id()
    change = {"what": "submitted", "approval_id": approval_id, **_named(what), "author": what.author, "note": note}
    sealed = scribe.record(
        connection, Kind.APPROVAL, change, principal=principal, at=at, decision_type=what.decision_type, digests=what.digests
    )
    made = Approval(
        approval_id, what.kind, what.name, what.version, what.digest, what.author, principal, at, note, OPEN, None, None, None,
        sealed.record_id,
    )  # fmt: skip
    connection.execute(insert(approvals), {name: getattr(made, name) for name in Approval.__dataclass_fields__})
    return made, True


def decide(engine: Engine, scribe: Scribe, approval_id: str, *, approve: bool, note: str, principal: str) -> Approval:
    """Approve or refuse what somebody else submitted.

    Raises:
        ApprovalUnknown: there is none.
        OwnWork: the principal made or submitted it.
        ApprovalRefused: it was decided already.
    """
    with engine.begin() as connection:
        in_turn(connection)
        row = connection.execute(select(approvals).where(approvals.c.approval_id == approval_id)).one_or_none()
        if row is None:
            raise ApprovalUnknown(f"There is no approval {approval_id!r}.")
        one = _approval(row)
        if one.state != OPEN:
            raise ApprovalRefused(f"It was {one.state} already, by {one.decided_by}.")
        if principal in {one.author, one.submitted_by}:
            did = "made" if principal == one.author else "submitted"
            raise OwnWork(f"{principal!r} {did} version {one.version} of {one.name!r}; a second person approves it or refuses it.")
        at, state = scribe.clock(), APPROVED if approve else REFUSED
        decided = {"state": state, "decided_by": principal, "decided_at": at, "decision_note": note}
        connection.execute(update(approvals).where(approvals.c.approval_id == approval_id).values(**decided))
        what = {"name": one.name, "version": one.version, "digest": one.digest, "of": one.kind}
        change = {"what": state, "approval_id": approval_id, **what, "submitted_by": one.submitted_by, "author": one.author, "note": note}
        digests = {one.kind: one.digest}
        scribe.record(connection, Kind.APPROVAL, change, principal=principal, at=at, digests=digests, refers_to=one.record_id)
    return Approval(**{**{name: getattr(one, name) for name in Approval.__dataclass_fields__}, **decided})


def approved(connection: Connection, kind: str, name: str, version: int) -> Approval | None:
    """The approval of a version; ``None`` where nobody approved it."""
    return next((one for one in _of(connection, kind, name, version) if one.state == APPROVED), None)


def approvals_of(engine: Engine, kind: str, name: str | None = None, *, state: str | None = None) -> list[Approval]:
    """Submissions, newest first."""
    query = select(approvals).where(approvals.c.kind == kind).order_by(approvals.c.submitted_at.desc(), approvals.c.approval_id.desc())
    if name is not None:
        query = query.where(approvals.c.name == name)
    if state is not None:
        query = query.where(approvals.c.state == state)
    with reading(engine).connect() as connection:
        return [_approval(row) for row in connection.execute(query)]


def _of(connection: Connection, kind: str, name: str, version: int) -> list[Approval]:
    mine = (approvals.c.kind == kind, approvals.c.name == name, approvals.c.version == version)
    return [_approval(row) for row in connection.execute(select(approvals).where(*mine).order_by(approvals.c.submitted_at))]


def _named(what: Submission) -> dict[str, Any]:
    return {"of": what.kind, "name": what.name, "version": what.version, "digest": what.digest}


def _approval(row: Row[Any]) -> Approval:
    return Approval(**{name: getattr(row, name) for name in Approval.__dataclass_fields__})
