"""Every policy version that ever judged, kept by id and version, so that a digest in a record leads to its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, func, insert, select

from feature_store.database import reading
from feature_store.times import Millis, now
from feature_store.views import SERVICES
from governance.access import SERVICE
from governance.changes import Scribe, in_turn
from governance.ledger.record import Kind
from governance.policy import Policy
from governance.policy_document import Fault, PolicyInvalid, read_policy
from governance.policy_lint import review
from governance.policy_scope import Scope, ambiguous
from governance.tables import alias_history, model_versions, policies
from models.specs import SPECS, DecisionType

SHIPPED = SERVICE
"""The author of the policies that come with the product."""


_SHARED = "custom"
"""The type of the policy that judges every published type that has none of its own."""


class PolicyConflict(Exception):
    """A version of a policy that exists already with other content; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One stored version."""

    id: str
    version: int
    digest: str
    document: Mapping[str, Any]
    created_by: str
    created_at: Millis

    @property
    def type(self) -> str:
        """The decision type that it judges."""
        return str(self.document["type"])


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a document.

    Attributes:
        new: whether it became a version; the newest one had this content already otherwise.
        warnings: what may be meant and probably is not, by place.
        record_id: of the change; ``None`` when there was none.
    """

    version: PolicyVersion
    new: bool
    warnings: tuple[Fault, ...]
    record_id: str | None


def keep_policies(engine: Engine, kept: Iterable[Policy], created_by: str, scribe: Scribe | None = None) -> int:
    """Store the policies that are not stored yet; returns how many those were. Safe to repeat.

    A number that somebody has taken for a version of their own stays theirs: what comes with the product then gets the next one.

    Args:
        engine: of the database.
        kept: the policies.
        created_by: their author.
        scribe: writes the records; ``None`` writes none.

    Raises:
        PolicyConflict: a stored version of the same author has the same number and another digest.
    """
    new = 0
    with engine.begin() as connection:
        in_turn(connection)
        for policy in kept:
            rows = connection.execute(select(policies).where(policies.c.policy_id == policy.id)).all()
            taken = {row.version: row for row in rows}
            there = taken.get(policy.version)
            if there is not None and there.digest == policy.digest:
                continue
            if there is not None and there.created_by == created_by:
                raise PolicyConflict(
                    f"Version {policy.version} of the policy {policy.id!r} is stored with digest {there.digest}, this one has {policy.digest}. "
                    "A policy that changes gets a new version number."
                )
            if any(_same_content(policy.document, row.document) and row.created_by == created_by for row in rows):
                continue
            stored = policy if there is None else _numbered(policy, max(taken) + 1)
            new += 1
            _insert(connection, stored, created_by, now() if scribe is None else scribe.clock())
            if scribe is not None:
                _record(connection, scribe, stored, created_by, scribe.clock())
    return new


def find_policy(engine: Engine, digest: str) -> Policy | None:
    """The policy with this digest; ``None`` where it was never kept."""
    with reading(engine).connect() as connection:
        document = connection.execute(select(policies.c.document).where(policies.c.digest == digest)).scalars().first()
    return None if document is None else read_policy(bytes(document))


def save_policy(engine: Engine, scribe: Scribe, document: Mapping[str, Any], principal: str) -> Saved:
    """Store a document as the next version of its policy, if nothing is wrong with it. Nothing judges by it yet.

    Args:
        engine: of the database.
        scribe: writes the record.
        document: as it was sent; its own version number does not count.
        principal: its author.

    Raises:
        PolicyInvalid: with every fault.
    """
    reviewed = review({**document, "version": 1}, _features(document.get("type")))
    faults = list(reviewed.faults)
    with engine.begin() as connection:
        in_turn(connection)
        at = scribe.clock()
        rows = connection.execute(select(policies).where(policies.c.policy_id == str(document.get("id", "")))).all()
        faults += _identity_faults(connection, document, rows)
        if reviewed.policy is not None:
            faults += _overlaps(connection, reviewed.policy)
        if faults or reviewed.policy is None:
            raise PolicyInvalid(faults)
        newest = max(rows, key=lambda row: row.version, default=None)
        if newest is not None and _same_content(reviewed.policy.document, newest.document):
            return Saved(_version(newest), False, reviewed.warnings, None)
        policy = _numbered(reviewed.policy, 1 if newest is None else newest.version + 1)
        _insert(connection, policy, principal, at)
        record_id = _record(connection, scribe, policy, principal, at)
    stored = PolicyVersion(policy.id, policy.version, policy.digest, orjson.loads(policy.document), principal, at)
    return Saved(stored, True, reviewed.warnings, record_id)


def policy_versions(engine: Engine, policy_id: str | None = None) -> list[PolicyVersion]:
    """All versions, or those of one policy, newest first."""
    query = select(policies).order_by(policies.c.created_at.desc(), policies.c.policy_id, policies.c.version.desc())
    if policy_id is not None:
        query = query.where(policies.c.policy_id == policy_id)
    with reading(engine).connect() as connection:
        return [_version(row) for row in connection.execute(query)]


def find_version(connection: Connection, policy_id: str, version: int) -> PolicyVersion | None:
    """One version."""
    query = select(policies).where(policies.c.policy_id == policy_id, policies.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else _version(row)


def overlapping(connection: Connection, policy: Policy, versions: Iterable[tuple[str, int]]) -> list[tuple[str, int, Scope]]:
    """Which of these versions, as id and number, could judge what this policy judges, with nothing to tell them apart."""
    found = []
    for policy_id, version in versions:
        other = find_version(connection, policy_id, version) if policy_id != policy.id else None
        if other is not None and other.type == policy.type:
            scope = read_policy(orjson.dumps(other.document)).scope
            if ambiguous(policy.scope, scope):
                found.append((policy_id, version, scope))
    return found


def _overlaps(connection: Connection, policy: Policy) -> list[Fault]:
    """Against the newest version of every other policy, and against what judges now."""
    newest = connection.execute(select(policies.c.policy_id, func.max(policies.c.version)).group_by(policies.c.policy_id)).all()
    standing = standing_policies(connection)
    wanted = {(name, version) for name, version in newest} | {(name, row.version) for name, row in standing.items() if row.version}
    faults: list[Fault] = []
    for name, version, scope in sorted(overlapping(connection, policy, wanted), key=lambda one: one[:2]):
        same = "the same" if scope == policy.scope else "an equally specific"
        told = f"{name!r} version {version} has {same} scope ({scope.text}): nothing tells which of them judges an order that is under both"
        faults.append((("scope",), f"{told}; narrow one, or give one a higher rank"))
    return faults


def _identity_faults(connection: Connection, document: Mapping[str, Any], rows: Sequence[Row[Any]]) -> list[Fault]:
    name, kind, faults = document.get("id"), document.get("type"), list[Fault]()
    if rows and _version(rows[0]).type != kind:
        faults.append((("type",), f"the policy {name!r} judges {_version(rows[0]).type!r}; a policy for another type has another id"))
    registered = select(model_versions.c.type).where(model_versions.c.type == str(kind)).limit(1)
    if isinstance(kind, str) and kind not in {*SPECS, _SHARED} and connection.execute(registered).first() is None:
        told = (
            f"there is no decision type {kind!r}: {', '.join(SPECS)}, {_SHARED} for all published types, or the name of a registered model"
        )
        faults.append((("type",), told))
    scope = document.get("scope")
    if isinstance(scope, Mapping) and set(scope) - {"rank"} and name in shipped_versions(connection):
        told = f"{name!r} judges whatever no other policy is meant for, so it has no scope; give the one with a scope an id of its own"
        faults.append((("scope",), told))
    return faults


def standing_policies(connection: Connection) -> dict[str, Row[Any]]:
    """The last change of what is in force, by policy id; a version of 0 means that nothing is."""
    mine = alias_history.c.kind == "policy"
    newest = select(func.max(alias_history.c.change_id)).where(mine).group_by(alias_history.c.name)
    return {row.name: row for row in connection.execute(select(alias_history).where(alias_history.c.change_id.in_(newest)))}


def shipped_versions(connection: Connection) -> dict[str, int]:
    """The newest version that came with the product, by policy id."""
    query = (
        select(policies.c.policy_id, func.max(policies.c.version)).where(policies.c.created_by == SHIPPED).group_by(policies.c.policy_id)
    )
    return {name: int(version) for name, version in connection.execute(query)}


def _features(kind: object) -> frozenset[str] | None:
    """The features that a type's expressions may name; not known of published types, whose models come and go."""
    if kind not in set(DecisionType) or not isinstance(kind, str):
        return None
    return frozenset(SERVICES[kind].names)


def _numbered(policy: Policy, version: int) -> Policy:
    return policy if policy.version == version else read_policy({**orjson.loads(policy.document), "version": version})


def _same_content(one: bytes, other: bytes) -> bool:
    first, second = orjson.loads(one), orjson.loads(bytes(other))
    return bool({**first, "version": 0} == {**second, "version": 0})


def _insert(connection: Connection, policy: Policy, created_by: str, at: Millis) -> None:
    row = {"policy_id": policy.id, "version": policy.version, "digest": policy.digest, "document": policy.document}
    connection.execute(insert(policies), {**row, "created_by": created_by, "created_at": at})


def _record(connection: Connection, scribe: Scribe, policy: Policy, principal: str, at: Millis) -> str:
    document = orjson.loads(policy.document)
    change = {"what": "policy_saved", "id": policy.id, "version": policy.version, "digest": policy.digest, "document": document}
    sealed = scribe.record(
        connection,
        Kind.POLICY_CHANGED,
        change,
        principal=principal,
        at=at,
        decision_type=policy.type,
        digests={"policy": policy.digest},
    )
    return sealed.record_id


def _version(row: Row[Any]) -> PolicyVersion:
    return PolicyVersion(row.policy_id, row.version, row.digest, orjson.loads(bytes(row.document)), row.created_by, row.created_at)


def ready(version: PolicyVersion) -> Policy:
    """A stored version, ready to judge."""
    return read_policy(orjson.dumps(version.document))


__all__ = [
    "SHIPPED", "PolicyConflict", "PolicyVersion", "Saved", "find_policy", "find_version", "keep_policies", "overlapping", "policy_versions",
    "ready", "save_policy", "shipped_versions", "standing_policies",
]  # fmt: skip
