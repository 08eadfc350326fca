"""How a policy version comes to judge: submitted, approved by a second person, rolled out, rolled back. Every step is a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select

from feature_store.database import reading
from feature_store.times import Millis
from governance.approvals import Approval, Submission, approved, submit
from governance.changes import Scribe, in_turn
from governance.ledger.record import Kind
from governance.policy import Policy
from governance.policy_scope import ambiguous
from governance.policy_store import PolicyVersion, find_version, overlapping, ready, shipped_versions, standing_policies
from governance.tables import alias_history, policies

CHAMPION = "champion"
_ROLLOUT, _ROLLBACK = "rollout", "rollback"


class RolloutRefused(Exception):
    """A step that cannot be taken; the message says why and what to do."""


class PolicyUnknown(LookupError):
    """There is no such policy or version."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Which version of a policy is in force, and since when.

    Attributes:
        version: 0 when none is.
        since: ``None`` for what came with the product and was never changed.
    """

    policy_id: str
    version: int
    since: Millis | None = None
    changed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a policy's history."""

    change_id: int
    version: int
    how: str
    changed_by: str
    changed_at: Millis
    note: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What a rollout or rollback did.

    Attributes:
        version: in force from now on; 0 when the policy judges nothing any more.
        before: in force until now.
        change_id: its number in the history.
    """

    policy_id: str
    type: str
    version: int
    before: int
    change_id: int
    record_id: str
    changed_at: Millis


def submit_policy(
    engine: Engine, scribe: Scribe, policy_id: str, version: int | None, *, note: str, principal: str
) -> tuple[Approval, bool]:
    """Put a version, by default the newest, before a second person.

    Raises:
        PolicyUnknown: there is no such version.
        ApprovalRefused: it is approved already.
    """
    with engine.begin() as connection:
        in_turn(connection)
        found = _existing(connection, policy_id, version or _newest(connection, policy_id))
        digests = {"policy": found.digest}
        what = Submission("policy", found.id, found.version, found.digest, found.created_by, found.type, digests)
        return submit(connection, scribe, what, note=note, principal=principal)


def roll_out(engine: Engine, scribe: Scribe, policy_id: str, version: int, *, note: str, principal: str) -> Moved:
    """Let an approved version judge from now on.

    Raises:
        PolicyUnknown: there is no such version.
        RolloutRefused: nobody approved it, it is in force already, or it could not be told from another policy that is.
    """
    with engine.begin() as connection:
        in_turn(connection)
        found = _existing(connection, policy_id, version)
        in_force = standing(connection)
        before = in_force[policy_id].version if policy_id in in_force else 0
        if before == version:
            raise RolloutRefused(f"Version {version} of {policy_id!r} is in force already.")
        shipped = shipped_versions(connection).get(policy_id) == version
        if not shipped and approved(connection, "policy", policy_id, version) is None:
            raise RolloutRefused(f"Version {version} of {policy_id!r} is not approved: submit it, and let a second person approve it.")
        others = [(one.policy_id, one.version) for one in in_force.values() if one.version]
        for name, number, scope in overlapping(connection, ready(found), others):
            raise RolloutRefused(
                f"{name!r} version {number} is in force with an equally specific scope ({scope.text}): nothing tells which of them would judge."
            )
        return _move(connection, scribe, found.type, _To(policy_id, version, before, found.digest), _ROLLOUT, note, principal)


def roll_back(engine: Engine, scribe: Scribe, policy_id: str, *, note: str, principal: str) -> Moved:
    """Return to the version that was in force before; a policy that had none goes out of force.

    Raises:
        PolicyUnknown: there is no such policy.
        RolloutRefused: there is nothing to return from, or what it returns to could not be told from another policy in force.
    """
    with engine.begin() as connection:
        in_turn(connection)
        newest = _existing(connection, policy_id, _newest(connection, policy_id))
        shipped = shipped_versions(connection).get(policy_id, 0)
        stack = _stack(_steps(connection, policy_id), shipped)
        if len(stack) < 2:
            raise RolloutRefused(f"No version of {policy_id!r} was rolled out, so there is nothing to return from.")
        before, version = stack[-1], stack[-2]
        target = _existing(connection, policy_id, version) if version else None
        if target is not None:
            others = [(one.policy_id, one.version) for one in standing(connection).values() if one.version]
            for name, number, scope in overlapping(connection, ready(target), others):
                raise RolloutRefused(
                    f"{name!r} version {number} is in force with an equally specific scope ({scope.text}) by now; roll that one back first."
                )
        digest = target.digest if target is not None else None
        return _move(connection, scribe, newest.type, _To(policy_id, version, before, digest), _ROLLBACK, note, principal)


def standing(connection: Connection) -> dict[str, Standing]:
    """Every policy that was ever in force, by id."""
    found = {name: Standing(name, version) for name, version in shipped_versions(connection).items()}
    for name, row in standing_policies(connection).items():
        found[name] = Standing(name, row.version, row.changed_at, row.changed_by)
    return found


def in_force(engine: Engine) -> Mapping[str, Standing]:
    """:func:`standing` of this moment."""
    with reading(engine).begin() as connection:
        return standing(connection)


def steps(engine: Engine, policy_id: str) -> list[Step]:
    """What was rolled out and back, newest first."""
    with reading(engine).connect() as connection:
        return _steps(connection, policy_id)[::-1]


def load_in_force(engine: Engine, before: Mapping[str, Policy]) -> tuple[dict[str, Policy], dict[str, str]]:
    """Every policy in force, by id, and what cannot be used, in words.

    Args:
        engine: of the database.
        before: policies by digest that are loaded already.

    Of two policies that nothing tells apart, which only an edited database can hold, the one rolled out later is left out.
    """
    loaded: dict[str, Policy] = {}
    problems: dict[str, str] = {}
    with reading(engine).begin() as connection:
        found = sorted(standing(connection).values(), key=lambda one: (one.since or 0, one.policy_id))
        versions = [(one, find_version(connection, one.policy_id, one.version)) for one in found if one.version]
    for one, version in versions:
        try:
            if version is None:
                raise LookupError(f"there is no version {one.version}")
            policy = before.get(version.digest) or ready(version)
            if policy.digest != version.digest:
                raise LookupError("its document is not what its digest says")
            other = next((it for it in loaded.values() if it.type == policy.type and ambiguous(it.scope, policy.scope)), None)
            if other is not None:
                raise LookupError(f"nothing tells it from {other.id!r}")
        except (LookupError, ValueError) as error:
            problems[f"policy {one.policy_id}"] = f"policy {one.policy_id} version {one.version} cannot be used: {error}"
        else:
            loaded[policy.id] = policy
    return loaded, problems


@dataclass(frozen=True, slots=True)
class _To:
    policy_id: str
    version: int
    before: int
    digest: str | None


def _move(connection: Connection, scribe: Scribe, kind: str, to: _To, how: str, note: str, principal: str) -> Moved:  # noqa: PLR0917
    at = scribe.clock()
    row = {"kind": "policy", "type": kind, "alias": CHAMPION, "name": to.policy_id, "version": to.version}
    statement = insert(alias_history).values(**row, changed_by=principal, changed_at=at, note=f"{how}: {note}")
    change_id = int(connection.execute(statement.returning(alias_history.c.change_id)).scalar_one())
    change = {
        "what": how, "of": "policy", "alias": CHAMPION, "name": to.policy_id, "version": to.version, "before": to.before, "note": note,
        "change_id": change_id,
    }  # fmt: skip
    digests = {} if to.digest is None else {"policy": to.digest}
    sealed = scribe.record(connection, Kind.ALIAS_MOVED, change, principal=principal, at=at, decision_type=kind, digests=digests)
    return Moved(to.policy_id, kind, to.version, to.before, change_id, sealed.record_id, at)


def _stack(told: Sequence[Step], shipped: int) -> list[int]:
    """The versions one above the other as they were rolled out; a rollback takes the uppermost off. The lowest is what shipped, or none."""
    stack = [shipped]
    for step in told:
        if step.how != _ROLLBACK:
            stack.append(step.version)
        elif len(stack) > 1:
            stack.pop()
    return stack


def _steps(connection: Connection, policy_id: str) -> list[Step]:
    mine = (alias_history.c.kind == "policy", alias_history.c.name == policy_id)
    return [_step(row) for row in connection.execute(select(alias_history).where(*mine).order_by(alias_history.c.change_id))]


def _step(row: Row[Any]) -> Step:
    how, _, note = row.note.partition(": ")
    return Step(row.change_id, row.version, how, row.changed_by, row.changed_at, note)


def _existing(connection: Connection, policy_id: str, version: int) -> PolicyVersion:
    found = find_version(connection, policy_id, version)
    if found is None:
        raise PolicyUnknown(
            f"There is no version {version} of a policy {policy_id!r}." if version else f"There is no policy {policy_id!r}."
        )
    return found


def _newest(connection: Connection, policy_id: str) -> int:
    return int(connection.execute(select(func.max(policies.c.version)).where(policies.c.policy_id == policy_id)).scalar_one() or 0)
