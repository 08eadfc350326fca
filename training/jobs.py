"""Trainings as rows: asked for, claimed by one worker, told of, cancelled, ended. The one module with their SQL."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from feature_store.checks import Choices
from feature_store.database import reading
from feature_store.problems import DataProblem
from feature_store.times import Millis, now
from feature_store.wording import Text
from governance.changes import Scribe
from governance.ledger.record import Kind
from governance.tables import training_progress, trainings
from training.progress import Progress


class State(StrEnum):
    """Where a training is."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self in {State.DONE, State.FAILED, State.CANCELLED}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a training was asked for, beside its dataset."""

    choices: Choices
    budget_s: float

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        c = self.choices
        return {
            "target": c.target,
            "time": c.time,
            "group": c.group,
            "exclude": list(c.exclude),
            "keep": list(c.keep),
            "budget_s": self.budget_s,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Wanted:
        """Read back what :meth:`to_json` wrote."""
        choices = Choices(entry["target"], entry["time"], entry["group"], tuple(entry["exclude"]), tuple(entry["keep"]))
        return cls(choices, float(entry["budget_s"]))


@dataclass(frozen=True, slots=True)
class Training:
    """One training as it stands.

    Attributes:
        error: ``{code, detail, errors}`` when it failed.
    """

    training_id: str
    dataset_id: str | None
    name: str
    template: str
    wanted: Wanted
    state: State
    started_by: str
    created_at: Millis
    finished_at: Millis | None = None
    model_version: int | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a training's progress; ``data`` has stage, share, message and what belongs to it."""

    step: int
    at: Millis
    data: Mapping[str, Any] = field(default_factory=dict)


def create(engine: Engine, *, dataset_id: str, name: str, template: str, wanted: Wanted, started_by: str) -> Training:
    """Queue a training."""
    training_id = str(uuid.uuid4())
    at = now()
    row = {
        "training_id": training_id,
        "dataset_id": dataset_id,
        "name": name,
        "template": template,
        "spec": orjson.dumps(wanted.to_json()),
        "state": State.QUEUED.value,
        "started_by": started_by,
        "created_at": at,
    }
    with engine.begin() as connection:
        connection.execute(insert(trainings).values(row))
    return Training(training_id, dataset_id, name, template, wanted, State.QUEUED, started_by, at)


def find(engine: Engine, training_id: str) -> Training | None:
    """One training, or None."""
    with reading(engine).connect() as connection:
        row = connection.execute(select(trainings).where(trainings.c.training_id == training_id)).one_or_none()
    return None if row is None else _from_row(row)


def listing(engine: Engine, limit: int = 100) -> list[Training]:
    """The newest trainings."""
    query = select(trainings).order_by(trainings.c.created_at.desc(), trainings.c.training_id).limit(limit)
    with reading(engine).connect() as connection:
        return [_from_row(row) for row in connection.execute(query).all()]


def steps(engine: Engine, training_id: str, after: int = -1) -> list[Step]:
    """The progress after a step, oldest first."""
    query = (
        select(training_progress)
        .where(training_progress.c.training_id == training_id, training_progress.c.step > after)
        .order_by(training_progress.c.step)
    )
    with reading(engine).connect() as connection:
        return [Step(row.step, row.at, orjson.loads(row.data)) for row in connection.execute(query).all()]


def claim(engine: Engine, training_id: str) -> bool:
    """Take a queued training; False when another worker has it, or it is over."""
    return _move(engine, training_id, (State.QUEUED,), State.RUNNING)


def cancel(engine: Engine, training_id: str, scribe: Scribe | None = None) -> bool:
    """Ask a training to stop; False when it is over already (or unknown)."""
    if _end(engine, training_id, (State.QUEUED,), State.CANCELLED, scribe):
        return True
    return _move(engine, training_id, (State.RUNNING, State.STOPPING), State.STOPPING)


def advance(engine: Engine, training_id: str, progress: Progress) -> bool:
    """Write one step of progress; False when the training was asked to stop."""
    data = {"stage": progress.stage, "share": round(progress.share, 4), "message": progress.message, **progress.data}
    with engine.begin() as connection:
        step = _next_step(connection, training_id)
        row = {"training_id": training_id, "step": step, "at": now(), "data": orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)}
        connection.execute(insert(training_progress).values(row))
        state = connection.execute(select(trainings.c.state).where(trainings.c.training_id == training_id)).scalar_one()
    return bool(state == State.RUNNING.value)


def finish(engine: Engine, training_id: str, model_version: int, scribe: Scribe | None = None) -> None:
    """Note that it is done; with a ``scribe``, as wherever a training ends, the record of it is written in the same transaction."""
    _end(engine, training_id, (State.RUNNING, State.STOPPING), State.DONE, scribe, model_version=model_version)


def stop(engine: Engine, training_id: str, scribe: Scribe | None = None) -> None:
    """Note that it has stopped because somebody asked."""
    _end(engine, training_id, (State.RUNNING, State.STOPPING), State.CANCELLED, scribe)


def fail(  # noqa: PLR0917 - what went wrong, and who writes it down
    engine: Engine, training_id: str, code: str, detail: str, problems: tuple[DataProblem, ...] = (), scribe: Scribe | None = None
) -> None:
    """Note why it failed."""
    error: dict[str, Any] = {"code": code, "detail": detail, "errors": [problem.to_json() for problem in problems]}
    if isinstance(detail, Text):
        error["zh"] = {"detail": detail.zh}
    live = (State.QUEUED, State.RUNNING, State.STOPPING)
    _end(engine, training_id, live, State.FAILED, scribe, error=orjson.dumps(error))


def fail_interrupted(engine: Engine, scribe: Scribe | None = None) -> int:
    """At a service's start: trainings that were under way when it ended will never go on. Returns how many."""
    error = {"code": "interrupted", "detail": "The service ended while this training was under way. Start it again.", "errors": []}
    live = tuple(state for state in State if not state.over)
    with reading(engine).connect() as connection:
        found = (
            connection.execute(select(trainings.c.training_id).where(trainings.c.state.in_([state.value for state in live])))
            .scalars()
            .all()
        )
    return sum(_end(engine, training_id, live, State.FAILED, scribe, error=orjson.dumps(error)) for training_id in found)


def _move(engine: Engine, training_id: str, before: tuple[State, ...], after: State, **values: Any) -> bool:
    with engine.begin() as connection:
        result = connection.execute(
            update(trainings)
            .where(trainings.c.training_id == training_id, trainings.c.state.in_([state.value for state in before]))
            .values(state=after.value, **values)
        )
    return bool(result.rowcount == 1)


def _end(engine: Engine, training_id: str, before: tuple[State, ...], after: State, scribe: Scribe | None, **values: Any) -> bool:
    """Move a training to where it stays; what was learnt from which data, or why nothing was, becomes a record."""
    at = now()
    ours = (trainings.c.training_id == training_id, trainings.c.state.in_([state.value for state in before]))
    with engine.begin() as connection:
        statement = update(trainings).where(*ours).values(state=after.value, finished_at=at, **values).returning(trainings)
        row = connection.execute(statement).one_or_none()
        if row is not None and scribe is not None:
            error = orjson.loads(row.error) if row.error else None
            change = {
                "training_id": training_id, "dataset_id": row.dataset_id, "name": row.name, "template": row.template, "state": after.value,
                "spec": orjson.loads(row.spec), "model_version": row.model_version, "error": None if error is None else error["code"],
            }  # fmt: skip
            scribe.record(connection, Kind.TRAINING_FINISHED, change, principal=row.started_by, at=at)
    return row is not None


def _next_step(connection: Connection, training_id: str) -> int:
    last = connection.execute(select(func.max(training_progress.c.step)).where(training_progress.c.training_id == training_id)).scalar()
    return 0 if last is None else int(last) + 1


def _from_row(row: Row[Any]) -> Training:
    return Training(
        row.training_id,
        row.dataset_id,
        row.name,
        row.template,
        Wanted.from_json(orjson.loads(row.spec)),
        State(row.state),
        row.started_by,
        row.created_at,
        row.finished_at,
        row.model_version,
        orjson.loads(row.error) if row.error else None,
    )
