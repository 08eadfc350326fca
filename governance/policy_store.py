"""Every policy version that ever judged, kept by id and version, so that a digest in a record leads to its document."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine, insert, select

from feature_store.database import reading
from feature_store.times import now
from governance.policy import Policy
from governance.policy_document import read_policy
from governance.tables import policies


class PolicyConflict(Exception):
    """A version of a policy that exists already with other content; the message says what to do."""


def keep_policies(engine: Engine, kept: Iterable[Policy], created_by: str) -> int:
    """Store the policies that are not stored yet; returns how many those were. Safe to repeat.

    Raises:
        PolicyConflict: a stored version has the same number and another digest.
    """
    new = 0
    with engine.begin() as connection:
        for policy in kept:
            same = (policies.c.policy_id == policy.id, policies.c.version == policy.version)
            stored = connection.execute(select(policies.c.digest).where(*same)).scalar_one_or_none()
            if stored is None:
                new += 1
                row = {"policy_id": policy.id, "version": policy.version, "digest": policy.digest, "document": policy.document}
                connection.execute(insert(policies), {**row, "created_by": created_by, "created_at": now()})
            elif stored != policy.digest:
                raise PolicyConflict(
                    f"Version {policy.version} of the policy {policy.id!r} is stored with digest {stored}, this one has {policy.digest}. "
                    "A policy that changes gets a new version number."
                )
    return new


def find_policy(engine: Engine, digest: str) -> Policy | None:
    """The policy with this digest; ``None`` where it was never kept."""
    with reading(engine).connect() as connection:
        document = connection.execute(select(policies.c.document).where(policies.c.digest == digest)).scalars().first()
    return None if document is None else read_policy(bytes(document))
