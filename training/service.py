"""Run a training from its row to a registered version; the command line and the worker of the pages call the same functions."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from feature_store import datasets
from feature_store.checks import Checked, Choices, examine
from feature_store.problems import DataProblem, DataRefused
from feature_store.schema import Template
from feature_store.wording import told
from governance import promotion
from governance.changes import Scribe
from governance.ledger.receipt import Signer, Verifier
from governance.policy_document import default_policies
from models.artifact import CARD_FILE, CAUSES_FILE, MANIFEST_FILE, MODEL_FILE, artifact_folder, digest_of, write_artifact
from models.features import cards_of_table, cards_of_views
from models.registry import Registry, Run
from models.specs import SPECS, DecisionType
from training import jobs, templates
from training.history import HistoryFrame
from training.jobs import Training, Wanted
from training.pipeline import TrainedModel, TrainingSpec, train
from training.prepare import from_checked, from_history
from training.progress import Progress, Report, TrainingCancelled, silent, step

log = logging.getLogger(__name__)

_WRITE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a training works.

    Attributes:
        datasets: folder of accepted files.
        models: folder of artifacts.
        mlflow: folder of MLflow's database and runs.
        tracking_uri: an MLflow server instead.
        tenant: named in records.
    """

    engine: Engine
    signer: Signer
    datasets: Path
    models: Path
    mlflow: Path
    tracking_uri: str | None = None
    tenant: str = "default"

    @property
    def registry(self) -> Registry:
        """MLflow as this home has it."""
        return Registry(self.mlflow, self.tracking_uri)

    @property
    def scribe(self) -> Scribe:
        """Who writes down what becomes of trainings and versions."""
        return Scribe(self.signer, self.tenant)


@dataclass(frozen=True, slots=True)
class Registered:
    """A model version that exists from now on."""

    name: str
    version: int
    type: str
    digest: str
    report: Mapping[str, Any]


def ask(engine: Engine, folder: Path, *, dataset_id: str, template: str, name: str | None, wanted: Wanted, started_by: str) -> Training:
    """Queue a training after what can be checked at once.

    Raises:
        DataRefused: unknown dataset or template, no target, a name that is not usable or answers another type; nothing is queued.
    """
    dataset = datasets.find(engine, folder, dataset_id)
    if dataset is None:
        raise DataRefused([unknown_dataset(dataset_id)])
    name = name_of(template=template, name=name, file=dataset.name, target=wanted.choices.target)
    check_name_is_free(engine, name, template)
    return jobs.create(engine, dataset_id=dataset_id, name=name, template=template, wanted=wanted, started_by=started_by)


def unknown_dataset(dataset_id: str) -> DataProblem:
    """There is no such dataset, or not any more."""
    return DataProblem("unknown_dataset", ("dataset_id",), told("unknown_dataset", dataset_id=dataset_id), fix=told("unknown_dataset.fix"))


def name_of(*, template: str, name: str | None, file: str, target: str | None) -> str:
    """The name that a training's model gets, after what can be checked without its file.

    Raises:
        DataRefused: unknown template, no target, an unusable name.
    """
    chosen = templates.find(template)
    if target is None and chosen.target is None:
        raise DataRefused([DataProblem("no_target", ("target",), told("no_target"), fix=told("empty_target.fix"))])
    name = name or chosen.type or suggested_name(file, target or "")
    try:
        promotion.check_name(name, chosen.type)
    except promotion.ModelRefused as error:
        raise DataRefused([DataProblem("bad_name", ("name",), error.text)]) from error
    return name


def check_name_is_free(engine: Engine, name: str, template: str) -> None:
    """Check that a model of a template may go on under a name: to be asked before a training, which takes its time.

    Raises:
        DataRefused: the versions of that name answer another decision type.
    """
    try:
        promotion.check_type(engine, name, templates.find(template).type or name)
    except promotion.ModelRefused as error:
        raise DataRefused([DataProblem("bad_name", ("name",), error.text)]) from error


def suggested_name(file: str, target: str) -> str:
    """A name for a model made from the file's name and its target: ``orders 2025.csv.gz``, ``late`` → ``orders-2025-late``."""
    stem = re.sub(r"(\.csv|\.txt|\.tsv)?(\.gz)?$", "", Path(file).name, flags=re.IGNORECASE)
    words = re.sub(r"[^a-z0-9]+", "-", f"{stem} {target}".lower()).strip("-")
    return ("model-" + words if not words[:1].isalpha() else words)[:63].strip("-") or "model"


def run_training(workshop: Workshop, training_id: str, also: Report = silent) -> Training:
    """Run a queued training to its end; its row then says how it ended.

    Args:
        workshop: where to work.
        training_id: of :func:`ask`.
        also: is told of progress too.

    Raises:
        LookupError: there is no such training.
        Exception: a defect of ours; the row says so as well.
    """
    engine = workshop.engine
    if jobs.claim(engine, training_id):
        training = _known(engine, training_id)
        try:
            registered = _run(workshop, training, _writing(engine, training_id, also))
            jobs.finish(engine, training_id, registered.version, workshop.scribe)
        except DataRefused as error:
            jobs.fail(engine, training_id, "data_refused", str(error), error.problems, workshop.scribe)
        except promotion.ModelRefused as error:
            jobs.fail(engine, training_id, "model_refused", error.text, scribe=workshop.scribe)
        except TrainingCancelled:
            jobs.stop(engine, training_id, workshop.scribe)
        except BaseException as error:
            detail = f"A defect of Ordinance stopped this training: {type(error).__name__}: {error}"
            jobs.fail(engine, training_id, "defect", detail, scribe=workshop.scribe)
            raise
    return _known(engine, training_id)


def train_history(
    workshop: Workshop, kind: DecisionType, frame: HistoryFrame, *, budget_s: float, created_by: str, progress: Report = silent
) -> Registered:
    """Train a built-in type on our own history and register it.

    Raises:
        DataRefused: too few rows or outcomes.
    """
    from feature_store.views import SERVICES

    service = SERVICES[kind.value]
    facts = {"source": "history", "rows": len(frame), "view_version": frame.view_version}
    spec = TrainingSpec(
        kind.value,
        kind.value,
        SPECS[kind.value].event,
        view_version=frame.view_version,
        budget_s=budget_s,
        facts=facts,
        policy=default_policies().get(kind.value),
    )
    trained = train(from_history(frame), spec, lambda rows: cards_of_views(service.features, rows), progress)
    return register(workshop, trained, template=kind.value, created_by=created_by, progress=progress)


def register(workshop: Workshop, trained: TrainedModel, *, template: str, created_by: str, progress: Report = silent) -> Registered:
    """Write the artifact, log the run, sign the version. Nothing is served by it yet."""
    progress(step("registering", 0.93))
    contents = trained.contents
    folder = artifact_folder(workshop.models, digest_of(contents))
    digest = write_artifact(folder, contents)
    report = trained.report() | {"digest": digest}
    run_id = _log_run(workshop, trained, folder, digest)
    version = promotion.register_version(
        workshop.engine,
        workshop.signer,
        name=contents.name,
        kind=contents.type,
        template=template,
        digest=digest,
        report=report,
        created_by=created_by,
        mlflow_run_id=run_id,
        tenant=workshop.tenant,
    )
    progress(step("done", 1.0, name=contents.name, version=version, digest=digest))
    return Registered(contents.name, version, contents.type, digest, report)


def publish(workshop: Workshop, name: str, version: int, *, changed_by: str, note: str) -> int:
    """Make a version the champion of its type, here and in MLflow; returns the new generation.

    Raises:
        ModelRefused: there is no such version.
        ModelNotAllowed: its signature is not ours.
    """
    verifier: Verifier = workshop.signer.verifier
    model = promotion.find_version(workshop.engine, name, version)
    if model is None:
        raise promotion.ModelRefused(f"There is no version {version} of {name!r}.")
    generation = promotion.set_alias(
        workshop.engine, verifier, kind=model.type, alias=promotion.CHAMPION, name=name, version=version, changed_by=changed_by, note=note,
        scribe=workshop.scribe,
    )  # fmt: skip
    try:
        workshop.registry.alias(name, promotion.CHAMPION, model.digest)
    except Exception:  # MLflow is for people; what is served does not depend on it
        log.exception("the alias of %s version %d was not set in MLflow", name, version)
    return generation


def _run(workshop: Workshop, training: Training, progress: Report) -> Registered:
    # 1. The file as it was accepted.
    progress(step("reading", 0.01))
    template = templates.find(training.template)
    dataset = datasets.find(workshop.engine, workshop.datasets, training.dataset_id or "")
    if dataset is None:
        raise DataRefused([unknown_dataset(training.dataset_id or "")])
    datasets.verify(dataset)
    # 2. What is wrong with it, and what must stay out of the model.
    progress(step("checking", 0.03))
    checked = examine(dataset, template, training.wanted.choices)
    datasets.save_report(workshop.engine, dataset.dataset_id, checked.report.to_json())
    if not checked.report.ok:
        raise DataRefused(checked.report.errors)
    # 3. Learn, and register what was learnt.
    trained = train_checked(checked, template, training.name, training.wanted.budget_s, progress)
    return register(workshop, trained, template=template.name, created_by=training.started_by, progress=progress)


def train_checked(checked: Checked, template: Template, name: str, budget_s: float, progress: Report = silent) -> TrainedModel:
    """Train on a checked file.

    Raises:
        DataRefused: no target is chosen, or it cannot be learnt from.
    """
    if checked.target is None:
        raise DataRefused([DataProblem("no_target", ("target",), told("no_target"), fix=told("empty_target.fix"))])
    table, encoder = from_checked(checked)
    report = checked.report
    facts = {
        "source": "file",
        "sha256": report.facts["sha256"],
        "target": report.target,
        "time": report.time,
        "group": report.group,
        "rows": report.rows,
        "excluded": [column.left_out() for column in report.excluded],
        "warnings": [problem.to_json() for problem in report.warnings],
    }
    event = template.event or (checked.target.target.column if table.classes else "")
    if template.type is None:
        spec = TrainingSpec(name, name, event, encoder=encoder, budget_s=budget_s, facts=facts)
        return train(table, spec, lambda rows: cards_of_table(encoder, rows), progress)
    return _train_built_in(checked, template, name, TrainingSpec(name, template.type, event, budget_s=budget_s, facts=facts), progress)


def _train_built_in(checked: Checked, template: Template, name: str, spec: TrainingSpec, progress: Report) -> TrainedModel:
    """A built-in type takes the vector as the feature store makes it: the file's columns in the service's order, not encoded."""
    from feature_store.views import SERVICES

    service = SERVICES[template.type or name]
    table, _ = from_checked(checked)
    by_name = {column.name: column for column in checked.features}
    features = np.column_stack([by_name[feature].values for feature in service.names])
    table = replace(table, names=service.names, features=features, categorical=(), group=None, cluster=table.group)
    spec = replace(spec, view_version=service.view_version)
    return train(table, spec, lambda rows: cards_of_views(service.features, rows), progress)


def _log_run(workshop: Workshop, trained: TrainedModel, folder: Path, digest: str) -> str | None:
    contents, recipe = trained.contents, trained.recipe
    metrics = {name: metric.value for name, metric in trained.evaluation.metrics.items() if metric.value is not None}
    files = [MODEL_FILE, CARD_FILE, MANIFEST_FILE, *([CAUSES_FILE] if contents.causes else [])]
    run = Run(
        params={**recipe.params, "rounds": recipe.rounds, "trials": len(trained.trials)},
        metrics=metrics,
        tags={"digest": digest, "type": contents.type, "task": contents.task.value},
        files=tuple(folder / name for name in files),
    )
    try:
        return workshop.registry.log(contents.name, run).run_id
    except Exception:  # MLflow is for people; a version without its run still answers
        log.exception("the run of %s was not logged in MLflow", contents.name)
        return None


def _writing(engine: Engine, training_id: str, also: Report) -> Report:
    """Progress into the database, not more often than somebody can read; a request to stop comes back the same way."""
    last_stage, last_at = "", 0.0

    def write(progress: Progress) -> None:
        nonlocal last_stage, last_at
        also(progress)
        at = time.monotonic()
        if progress.stage != last_stage or at - last_at >= _WRITE_EVERY_S:
            last_stage, last_at = progress.stage, at
            if not jobs.advance(engine, training_id, progress) and progress.stage != "done":
                raise TrainingCancelled(training_id)

    return write


def _known(engine: Engine, training_id: str) -> Training:
    training = jobs.find(engine, training_id)
    if training is None:
        raise LookupError(f"there is no training {training_id}")
    return training


__all__ = [
    "Choices", "Registered", "Wanted", "Workshop", "ask", "check_name_is_free", "name_of", "publish", "register", "run_training", "suggested_name",
    "train_checked", "train_history",
]  # fmt: skip
