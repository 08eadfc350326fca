"""Models and policies of the past, by the digests that records name; loaded once, and looked at again whenever their files changed."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Engine

from governance.opinion import Deployed
from governance.policy import Policy
from governance.policy_document import PolicyInvalid
from governance.policy_store import find_policy
from governance.reconstruct import NotReplayable, Why
from governance.values import ModelUse
from models.artifact import ArtifactCorrupt, ModelArtifact, artifact_folder, load_artifact

_Seen = tuple[tuple[str, int, int, int], ...]


class Shelf:
    """Every model and policy that ever decided, by digest. Safe to share between threads.

    Args:
        engine: of the database that keeps the policies.
        models: the home's folder of artifacts.
    """

    def __init__(self, engine: Engine, models: Path) -> None:
        self._engine = engine
        self._models = models
        self._artifacts: dict[str, tuple[_Seen, ModelArtifact]] = {}
        self._deployed: dict[tuple[ModelUse, int], Deployed] = {}
        self._policies: dict[str, Policy] = {}
        self._lock = threading.RLock()

    def artifact(self, digest: str) -> ModelArtifact:
        """The artifact with this digest, every byte of it checked; from memory while its files are untouched.

        Raises:
            NotReplayable: it is not there any more, or not what the digest says.
        """
        try:
            folder = artifact_folder(self._models, digest)
        except ValueError as error:
            raise NotReplayable(Why.MODEL_MISSING, str(error)) from error
        with self._lock:
            try:
                seen = _seen(folder)
                kept = self._artifacts.get(digest)
                if kept is None or kept[0] != seen:
                    kept = seen, load_artifact(folder, digest)
                    self._artifacts[digest] = kept
                return kept[1]
            except OSError as error:
                self._artifacts.pop(digest, None)
                raise NotReplayable(Why.MODEL_MISSING, f"the model {digest} cannot be read: {error.strerror}") from error
            except ArtifactCorrupt as error:
                self._artifacts.pop(digest, None)
                told = f"the model {digest} is not what its digest says: {error.file.name}{str(error).removeprefix(str(error.file))}"
                raise NotReplayable(Why.MODEL_CORRUPT, told) from error

    def deployed(self, use: ModelUse) -> Deployed:
        """A model version in the role that it had.

        Raises:
            NotReplayable: as :meth:`artifact`.
        """
        artifact = self.artifact(use.digest)
        with self._lock:
            key = use, id(artifact)
            if key not in self._deployed:
                self._deployed[key] = Deployed(artifact, use)
            return self._deployed[key]

    def policy(self, digest: str) -> Policy:
        """The policy with this digest.

        Raises:
            NotReplayable: it was never kept, or what is kept has another digest.
        """
        with self._lock:
            kept = self._policies.get(digest)
            if kept is None:
                try:
                    kept = find_policy(self._engine, digest)
                except PolicyInvalid as error:
                    raise NotReplayable(Why.POLICY_CORRUPT, f"the policy {digest} cannot be read: {error}") from error
                if kept is None:
                    raise NotReplayable(Why.POLICY_MISSING, f"the policy {digest} is not kept here")
                if kept.digest != digest:
                    raise NotReplayable(Why.POLICY_CORRUPT, f"the policy kept as {digest} has the digest {kept.digest}")
                self._policies[digest] = kept
            return kept


def _seen(folder: Path) -> _Seen:
    """What changes when a file does: its name, its size, and the times of its content and of its entry."""
    states = sorted((path.name, path.stat()) for path in folder.iterdir())
    return tuple((name, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for name, state in states)
