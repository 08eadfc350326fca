"""What records name by digest, compared with what is kept: model artifacts, the signed allow-list, policies."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine, select

from feature_store.database import reading
from governance.ledger.findings import Mismatch, Part
from governance.ledger.notes import NoteKey
from governance.ledger.tables import decisions
from governance.promotion import ModelNotAllowed, ModelVersion, versions
from governance.tables import policies
from models.artifact import ArtifactCorrupt, artifact_folder, verify_artifact


def check_models(engine: Engine, keys: Sequence[NoteKey], models: Path) -> int:
    """Check the signature of every version and every byte of every artifact that one names or that ever decided; returns how many artifacts.

    Raises:
        Mismatch: a version is not signed, or an artifact is missing or another one.
    """
    digests: dict[str, str] = {}
    for version in versions(engine):
        name = f"{version.name} version {version.version}"
        if not any(_signed(version, key) for key in keys):
            raise Mismatch(Part.MODEL, name, "the allow-list does not carry this log's signature for it")
        digests.setdefault(version.digest, name)
    with reading(engine).connect() as connection:
        used = select(decisions.c.model_digest).where(decisions.c.model_digest.is_not(None)).distinct()
        for digest in connection.execute(used).scalars():
            digests.setdefault(digest, digest)
    for digest, name in digests.items():
        try:
            verify_artifact(artifact_folder(models, digest), digest)
        except (ArtifactCorrupt, ValueError) as error:
            raise Mismatch(Part.MODEL, name, str(error)) from error
    return len(digests)


def _signed(version: ModelVersion, key: NoteKey) -> bool:
    try:
        version.check(key)
    except ModelNotAllowed:
        return False
    return True


def check_policies(engine: Engine) -> int:
    """Check that every policy is what its digest says, and that those which ever decided are kept; returns how many.

    Raises:
        Mismatch: one is not.
    """
    kept = set()
    with reading(engine).connect() as connection:
        for row in connection.execute(select(policies.c.policy_id, policies.c.version, policies.c.digest, policies.c.document)):
            if f"sha256:{sha256(bytes(row.document)).hexdigest()}" != row.digest:
                raise Mismatch(Part.POLICY, f"{row.policy_id} version {row.version}", "its document is not what its digest says")
            kept.add(row.digest)
        used = select(decisions.c.policy_digest).where(decisions.c.policy_digest.is_not(None)).distinct()
        for digest in connection.execute(used).scalars():
            if digest not in kept:
                raise Mismatch(Part.POLICY, digest, "decisions were made by it, and it is not kept")
    return len(kept)
