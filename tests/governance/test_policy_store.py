from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from governance.policy_document import default_policies
from governance.policy_store import PolicyConflict, find_policy, keep_policies


def test_a_digest_leads_to_the_policy_that_judged(sqlite_engine: Engine) -> None:
    kept = list(default_policies().values())
    assert keep_policies(sqlite_engine, kept, "setup") == len(kept)
    assert keep_policies(sqlite_engine, kept, "setup") == 0
    for policy in kept:
        found = find_policy(sqlite_engine, policy.digest)
        assert found is not None
        assert (found.document, found.digest, found.checks) == (policy.document, policy.digest, policy.checks)
    assert find_policy(sqlite_engine, "sha256:none") is None


def test_a_version_never_changes_its_content(sqlite_engine: Engine) -> None:
    policy = default_policies()["fraud"]
    keep_policies(sqlite_engine, [policy], "setup")
    with pytest.raises(PolicyConflict, match="new version number"):
        keep_policies(sqlite_engine, [replace(policy, digest="sha256:other")], "setup")
