"""MLflow: every training is a run, every model a registered version with aliases. For people and their tools; no decision depends on it.

Replicas load models by digest from the signed allow-list (:mod:`governance.promotion`), never from here. Only LightGBM's text and JSON are
logged, no pickles and no MLflow flavours.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_EXPERIMENT = "ordinance"
_LONGEST_PARAM = 500


@dataclass(frozen=True, slots=True)
class Logged:
    """Where MLflow keeps a training: its run and the version it registered."""

    run_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Run:
    """What a run tells.

    Attributes:
        params: configuration of the training.
        metrics: numbers of its evaluation.
        tags: digests and names; ``digest`` finds the artifact.
        files: files to keep beside it.
    """

    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: tuple[Path, ...]


class Registry:
    """One MLflow database and its files in a folder of the home.

    Args:
        folder: ``home/mlflow``.
        tracking_uri: an MLflow server instead of the embedded database.
    """

    def __init__(self, folder: Path, tracking_uri: str | None = None) -> None:
        self._folder = folder
        self._uri = tracking_uri or f"sqlite:///{folder / 'mlflow.db'}"

    def log(self, name: str, run: Run) -> Logged:
        """Log one training as a run and register its model as the next version of ``name``."""
        with self._client() as client:
            experiment = client.get_experiment_by_name(_EXPERIMENT)
            if experiment is None:
                place = (self._folder / "artifacts").resolve().as_uri()
                identifier = client.create_experiment(_EXPERIMENT, artifact_location=place)
            else:
                identifier = experiment.experiment_id
            started = client.create_run(identifier, run_name=name, tags=dict(run.tags))
            run_id = str(started.info.run_id)
            for key, value in run.params.items():
                client.log_param(run_id, key, str(value)[:_LONGEST_PARAM])
            for key, number in run.metrics.items():
                client.log_metric(run_id, key, number)
            for file in run.files:
                client.log_artifact(run_id, str(file), "model")
            client.set_terminated(run_id)
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            version = client.create_model_version(name, f"{started.info.artifact_uri}/model", run_id, tags=dict(run.tags))
            return Logged(run_id, int(version.version))

    def alias(self, name: str, alias: str, digest: str) -> bool:
        """Point an alias at the registered version with that digest; False when MLflow does not know it."""
        with self._client() as client:
            for version in client.search_model_versions(f"name = '{name}'"):
                if version.tags.get("digest") == digest:
                    client.set_registered_model_alias(name, alias, version.version)
                    return True
        return False

    def by_alias(self, name: str, alias: str) -> str | None:
        """The digest that an alias points at, or None."""
        with self._client() as client:
            for model in client.search_registered_models(f"name = '{name}'"):
                if alias in model.aliases:
                    return str(client.get_model_version_by_alias(name, alias).tags["digest"])
        return None

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        """A client of this registry only; one process at a time, since MLflow migrates its database when it opens it."""
        os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock, warnings.catch_warnings():
            fcntl.flock(lock, fcntl.LOCK_EX)
            warnings.simplefilter("ignore")  # of MLflow and its plugins; none concerns us
            from mlflow import MlflowClient

            for name in ("mlflow", "alembic"):  # after the import, which sets them to INFO
                logging.getLogger(name).setLevel(logging.ERROR)
            yield MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
