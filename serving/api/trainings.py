"""``/v1/trainings``: start one, watch it, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from feature_store.times import format_time
from serving.api import keys
from serving.console import streaming
from serving.console.ports import ProgressFacts, Purpose, Refused, TrainingFacts, TrainingRequest, Wiring
from serving.console.views.frame import TRAIN
from serving.errors import Problem, ProblemKind, not_found


class TrainingBody(BaseModel):
    """What a training is asked for; ``keep`` names columns to use although the check would leave them out."""

    model_config = ConfigDict(extra="forbid")

    dataset_id: Annotated[str, Field(min_length=1, max_length=64)]
    template: Annotated[str, Field(min_length=1, max_length=32)] = "custom"
    target: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    time: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    exclude: Annotated[tuple[str, ...], Field(max_length=1_000)] = ()
    keep: Annotated[tuple[str, ...], Field(max_length=1_000)] = ()
    budget_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0


def routes(wiring: Wiring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["trainings"])

    @router.post("/v1/trainings", status_code=202, response_model=None)
    def start(request: Request, body: TrainingBody) -> Response:
        """Queue a training; it runs in a process of its own."""
        account = keys.require(wiring, request, TRAIN)
        purpose = Purpose(body.template, body.target, body.time, body.exclude, body.keep)
        asked = TrainingRequest(body.dataset_id, purpose, body.name, body.budget_s)
        training = wiring.workbench.start(asked, account.principal)
        address = f"/v1/trainings/{training.training_id}"
        links = {"self": address, "events": f"{address}/events", "page": f"/console/train/runs/{training.training_id}"}
        return JSONResponse({"training_id": training.training_id, "state": training.state, "links": links}, 202, {"Location": address})

    @router.get("/v1/trainings/{training_id}", response_model=None)
    def show(request: Request, training_id: str) -> Response:
        """How far a training is, and its report when it is done."""
        keys.require(wiring, request, TRAIN)
        training = _find(wiring, training_id)
        progress = wiring.workbench.progress(training_id, -1)
        return JSONResponse(told(training, progress[-1] if progress else None))

    @router.get("/v1/trainings/{training_id}/events", response_model=None)
    async def events(request: Request, training_id: str) -> Response:
        """Its progress as server-sent events; ``Last-Event-ID`` goes on where a line was cut."""
        await run_in_threadpool(keys.require, wiring, request, TRAIN)
        training = await run_in_threadpool(_find, wiring, training_id)
        seen = request.headers.get("last-event-id", "")
        stream = streaming.told(wiring.workbench, training, _step, int(seen) if seen.isdigit() else -1)
        return StreamingResponse(stream, headers=streaming.HEADERS, media_type="text/event-stream")

    @router.delete("/v1/trainings/{training_id}", response_model=None)
    def stop(request: Request, training_id: str) -> Response:
        """Ask a training to stop."""
        keys.require(wiring, request, TRAIN)
        training = _find(wiring, training_id)
        if not wiring.workbench.cancel(training_id):
            state = (wiring.workbench.training(training_id) or training).state
            raise Refused(Problem(ProblemKind.CONFLICT, f"The training is over already: it is {state}."))
        return JSONResponse(told(_find(wiring, training_id), None), 202)

    return router


def told(training: TrainingFacts, step: ProgressFacts | None) -> dict[str, Any]:
    """A training as JSON."""
    return {
        "training_id": training.training_id,
        "state": training.state,
        "name": training.name,
        "template": training.template,
        "dataset_id": training.dataset_id,
        "spec": dict(training.spec),
        "progress": dict(step.data) if step else None,
        "started_by": training.started_by,
        "created_at": format_time(training.created_at),
        "finished_at": format_time(training.finished_at) if training.finished_at else None,
        "model": {"name": training.name, "version": training.model_version} if training.model_version else None,
        "report": dict(training.report) if training.report else None,
        "error": dict(training.error) if training.error else None,
    }


def _step(training: TrainingFacts, step: ProgressFacts | None) -> Mapping[str, Any]:
    return {"state": training.state, **(step.data if step else {})}


def _find(wiring: Wiring, training_id: str) -> TrainingFacts:
    training = wiring.workbench.training(training_id)
    if training is None:
        raise Refused(not_found(f"No training has the id {training_id!r}."))
    return training
