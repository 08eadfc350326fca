"""Keeps a replica up to date: asks the database what is in force and loads new models in a thread, beside the requests.

Publishing is a row in the alias history. Each replica sees it within a second, whoever wrote it; the models are read and compiled off the
request path and swapped in as one value, so that no request waits or fails.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from sqlalchemy import Engine

from governance.decision import Models
from governance.ledger.receipt import Verifier
from governance.opinion import Deployed
from governance.policy_document import default_policies
from governance.promotion import CHAMPION, Deployment, ModelVersion, current, generation
from governance.values import ModelUse
from models import splitting
from models.artifact import artifact_folder, load_artifact
from serving.force import Force

log = logging.getLogger(__name__)


class ForceKeeper:
    """Holds the :class:`~serving.force.Force` of this moment; calling it costs nothing.

    Args:
        engine: of the database.
        models: the home's folder of artifacts.
        verifier: of the key that signs the allow-list.
        refresh_s: how often the database is asked.
    """

    def __init__(self, engine: Engine, models: Path, verifier: Verifier, refresh_s: float) -> None:
        self._engine = engine
        self._models = models
        self._verifier = verifier
        self._refresh_s = refresh_s
        self._force = Force({}, default_policies(), -1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="models", daemon=True)

    def __call__(self) -> Force:
        """What is in force now."""
        return self._force

    def start(self) -> None:
        """Load what is in force, then follow it in a thread.

        Raises:
            SQLAlchemyError: the database cannot be read.
            ModelNotAllowed: a champion is not signed by this home's key.
        """
        splitting.warm()
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> bool:
        """Ask once; returns whether something changed."""
        if generation(self._engine) == self._force.generation:
            return False
        self._force = self._load(current(self._engine, self._verifier))
        return True

    def _follow(self) -> None:
        while not self._stopping.wait(self._refresh_s):
            try:
                if self.refresh():
                    log.warning("generation %d is in force", self._force.generation)
            except Exception:  # what is loaded goes on deciding; the next round asks again
                log.exception("what is in force could not be read")

    def _load(self, deployment: Deployment) -> Force:
        """Load every champion. One that cannot be read leaves its type to the version before, and is named in ``problems``."""
        models: dict[str, Deployed] = {}
        problems: dict[str, str] = {}
        before: Models = self._force.models
        for decision_type, serving in deployment.champions.items():
            try:
                models[decision_type] = self._deployed(serving.model, before.get(decision_type))
            except Exception as error:
                log.exception("%s version %d cannot be loaded", serving.model.name, serving.model.version)
                problems[decision_type] = f"{serving.model.name} version {serving.model.version} cannot be loaded: {error}"
                if decision_type in before:
                    models[decision_type] = before[decision_type]
        return Force(models, self._force.policies, deployment.generation, problems)

    def _deployed(self, version: ModelVersion, before: Deployed | None) -> Deployed:
        use = ModelUse(version.name, version.version, version.digest, CHAMPION)
        if before is not None and before.use == use:
            return before
        artifact = load_artifact(artifact_folder(self._models, version.digest), version.digest)
        artifact.warm()
        return Deployed(artifact, use)
