"""Keeps a replica up to date: asks the database what is in force and loads new models in a thread, beside the requests.

Publishing a model, rolling out a policy, an entry on a list and the turn of a switch are rows with growing numbers. Each replica sees them
within a second, whoever wrote them; what they name is read and compiled off the request path and swapped in as one value, so that no request
waits or fails.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from feature_store.times import HOUR, MINUTE, now
from governance.changes import Marks, marks
from governance.decision import Models
from governance.killswitch import off_normal, standing
from governance.ledger.receipt import Verifier
from governance.lists import read_lists
from governance.opinion import Deployed
from governance.policy_document import default_policies
from governance.policy_rollout import load_in_force
from governance.promotion import CHAMPION, Deployment, ModelVersion, current
from governance.values import ModelUse
from models import splitting
from models.artifact import artifact_folder, load_artifact
from serving.force import Force, sorted_policies

log = logging.getLogger(__name__)

_LATE = 10 * MINUTE
"""A list entry is kept in memory for so long after it expired: no decision that is under way is older."""


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
        self._marks = Marks(-1, 0, 0)
        self._pruned_at = now()
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
        """Ask once; returns whether something changed.

        Switches and lists first: they stop what goes wrong, so neither a model that takes long to load nor one that must not be served keeps
        them from being obeyed.
        """
        told = marks(self._engine)
        if told == self._marks:
            return False
        self._obey(told)
        if told.aliases != self._marks.aliases or self._force.generation < 0:
            self._force = self._load(current(self._engine, self._verifier))
            self._marks = self._marks._replace(aliases=told.aliases)
        return True

    def _obey(self, told: Marks) -> None:
        """Take over what people have switched and listed."""
        if told.switches != self._marks.switches:
            self._force = replace(self._force, switches=off_normal(standing(self._engine)))
            self._marks = self._marks._replace(switches=told.switches)
        if told.lists != self._marks.lists:
            self._force = replace(self._force, lists=read_lists(self._engine, self._force.lists, now() - _LATE))
            self._marks = self._marks._replace(lists=told.lists)

    def _follow(self) -> None:
        while not self._stopping.wait(self._refresh_s):
            try:
                before = self._marks
                if self.refresh():
                    log.warning("in force is now %s, before it was %s", self._marks, before)
                if now() - self._pruned_at > HOUR:
                    self._force, self._pruned_at = replace(self._force, lists=self._force.lists.without_expired(now() - _LATE)), now()
            except Exception:  # what is loaded goes on deciding; the next round asks again
                log.exception("what is in force could not be read")

    def _load(self, deployment: Deployment) -> Force:
        """Load every champion and every policy in force. One that cannot be read leaves its type to the version before, and is named in ``problems``."""
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
            if models.get(decision_type) is not before.get(decision_type):
                self._obey(marks(self._engine))  # loading takes its time, and the next model may take as long
        known = {one.digest: one for one in (*self._force.policies.values(), *(it for some in self._force.scoped.values() for it in some))}
        loaded, unusable = load_in_force(self._engine, known)
        for problem in unusable.values():
            log.error("%s", problem)
        policies, scoped = sorted_policies(default_policies(), list(loaded.values()))
        return replace(
            self._force,
            models=models,
            policies=policies,
            scoped=scoped,
            generation=deployment.generation,
            problems={**problems, **unusable},
        )

    def _deployed(self, version: ModelVersion, before: Deployed | None) -> Deployed:
        use = ModelUse(version.name, version.version, version.digest, CHAMPION)
        if before is not None and before.use == use:
            return before
        artifact = load_artifact(artifact_folder(self._models, version.digest), version.digest)
        artifact.warm()
        return Deployed(artifact, use)
