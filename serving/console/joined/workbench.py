"""Datasets, checks and trainings as they are on this home. Training itself runs elsewhere: ``launch`` is told its id."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine

from feature_store import datasets
from feature_store.datasets import Dataset
from feature_store.problems import DataProblem, DataRefused
from feature_store.wording import told
from governance import promotion
from governance.changes import Scribe
from serving.console.ports import (
    DatasetFacts,
    ProgressFacts,
    Purpose,
    Refused,
    TemplateFacts,
    TrainingFacts,
    TrainingRequest,
)
from serving.errors import Problem, ProblemKind, problem_for, unavailable
from training import jobs, templates
from training.accepted import recording

_CHECKS_KEPT = 64
_SPREADS = "distributions.json"


class LocalWorkbench:
    """Fulfils :class:`serving.console.ports.Workbench`.

    Args:
        engine: of the database.
        folder: the home's folder of datasets.
        launch: starts a queued training in a process of its own.
        limits: what a file may be at most.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        launch: Callable[[str], None],
        limits: datasets.Limits | None = None,
        scribe: Scribe | None = None,
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._launch = launch
        self._limits = limits
        self._scribe = scribe
        self._checked = lru_cache(_CHECKS_KEPT)(self._check)

    def templates(self) -> Sequence[TemplateFacts]:
        """What can be trained."""
        return [
            TemplateFacts(it.name, it.title, it.description, it.type, it.target, it.time)
            for it in (templates.find(name) for name in templates.names())
        ]

    def receive(self) -> _Incoming:
        """Begin to take a file in."""
        return _Incoming(self._engine, datasets.Receiver(self._folder, self._limits), self._scribe)

    def dataset(self, dataset_id: str) -> DatasetFacts | None:
        """One dataset."""
        found = self._find(dataset_id)
        return _dataset(found) if found else None

    def datasets(self, limit: int) -> Sequence[DatasetFacts]:
        """The newest datasets."""
        return [_dataset(it) for it in datasets.listing(self._engine, self._folder, limit)]

    def check(self, dataset_id: str, purpose: Purpose) -> Mapping[str, Any]:
        """Check a dataset for one purpose; the same question is answered from memory."""
        try:
            return self._checked(dataset_id, purpose)
        except DataRefused as error:
            raise refused(error) from error

    def start(self, request: TrainingRequest, principal: str) -> TrainingFacts:
        """Queue a training and launch it."""
        from training import service  # its libraries are slow to import: only who trains waits for them

        purpose = request.purpose
        choices = service.Choices(purpose.target, purpose.time, None, purpose.exclude, purpose.keep)
        try:
            queued = service.ask(
                self._engine,
                self._folder,
                dataset_id=request.dataset_id,
                template=purpose.template,
                name=request.name,
                wanted=service.Wanted(choices, request.budget_s),
                started_by=principal,
            )
        except DataRefused as error:
            raise refused(error) from error
        try:
            self._launch(queued.training_id)
        except Exception as error:
            detail = told("not_launched")
            jobs.fail(self._engine, queued.training_id, "not_launched", detail, scribe=self._scribe)
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, detail, 5)) from error
        return self._training(queued)

    def training(self, training_id: str) -> TrainingFacts | None:
        """One training, with its report once it is done."""
        found = jobs.find(self._engine, training_id)
        return self._training(found) if found else None

    def trainings(self, limit: int) -> Sequence[TrainingFacts]:
        """The newest trainings, without reports."""
        return [_training(it, None) for it in jobs.listing(self._engine, limit)]

    def progress(self, training_id: str, after_step: int) -> Sequence[ProgressFacts]:
        """The steps after one."""
        return [ProgressFacts(it.step, it.at, it.data) for it in jobs.steps(self._engine, training_id, after_step)]

    def cancel(self, training_id: str) -> bool:
        """Ask a training to stop."""
        return jobs.cancel(self._engine, training_id, self._scribe)

    def _training(self, found: jobs.Training) -> TrainingFacts:
        version = None
        if found.model_version is not None:
            version = promotion.find_version(self._engine, found.name, found.model_version)
        return _training(found, version.report if version else None)

    def _find(self, dataset_id: str) -> Dataset | None:
        try:
            return datasets.find(self._engine, self._folder, dataset_id)
        except DataRefused as error:
            raise refused(error) from error

    def _check(self, dataset_id: str, purpose: Purpose) -> Mapping[str, Any]:
        from feature_store.checks import Choices, examine
        from serving.console.distributions import distributions

        dataset = self._find(dataset_id)
        if dataset is None:
            msg = told("unknown_dataset", dataset_id=dataset_id)
            raise DataRefused([DataProblem("unknown_dataset", ("dataset_id",), msg, fix=told("unknown_dataset.fix"))])
        choices = Choices(purpose.target, purpose.time, None, purpose.exclude, purpose.keep)
        checked = examine(dataset, templates.find(purpose.template), choices)
        report = checked.report.to_json()
        kept = dataset.path.parent / _SPREADS
        if not kept.exists():  # made of the file's bytes alone, so once is enough; the first check sees every column
            typed = checked.features if purpose.target is None else examine(dataset, templates.find("custom")).features
            _write(kept, orjson.dumps(distributions(typed)))
        with contextlib.suppress(OSError, orjson.JSONDecodeError):
            report["distributions"] = orjson.loads(kept.read_bytes())
        if purpose.target is None:
            datasets.save_report(self._engine, dataset_id, checked.report.to_json())
        return report


class _Incoming:
    """Fulfils :class:`serving.console.ports.Upload`."""

    def __init__(self, engine: Engine, receiver: datasets.Receiver, scribe: Scribe | None) -> None:
        self._engine = engine
        self._also = None if scribe is None else recording(scribe)
        self._receiver = receiver

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        try:
            self._receiver.write(chunk)
        except DataRefused as error:
            raise refused(error) from error

    def finish(self, filename: str, template: str, principal: str) -> DatasetFacts:
        """Read it as a table and keep it."""
        try:
            known = templates.find(template)
            dataset = self._receiver.finish(name=filename, template=known.name, uploaded_by=principal)
        except DataRefused as error:
            raise refused(error) from error
        datasets.note(self._engine, dataset, self._also)
        return _dataset(dataset)

    def abort(self) -> None:
        """Forget it."""
        self._receiver.abort()


def refused(error: DataRefused) -> Refused:
    """What is wrong with the data, as a problem: 413 for what is too large, else 422 with rows and columns."""
    if any(problem.code == "too_large" for problem in error.problems):
        return Refused(Problem(ProblemKind.TOO_LARGE, str(error), [problem.to_json() for problem in error.problems]))
    return Refused(problem_for(error))


def _dataset(dataset: Dataset) -> DatasetFacts:
    return DatasetFacts(
        dataset.dataset_id,
        dataset.name,
        dataset.sha256,
        dataset.rows,
        dataset.bytes,
        dataset.template,
        dataset.uploaded_by,
        dataset.uploaded_at,
    )


def _training(found: jobs.Training, report: Mapping[str, Any] | None) -> TrainingFacts:
    facts = asdict(found) | {"state": found.state.value, "spec": found.wanted.to_json(), "report": report, "error": found.error}
    del facts["wanted"]
    return TrainingFacts(**facts)


def _write(path: Path, data: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(data)
    scratch.replace(path)
