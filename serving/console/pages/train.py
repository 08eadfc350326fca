"""Training without code: hand a file in, look at it, say what to predict, watch, read the result, publish."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import ImmutableMultiDict, UploadFile
from starlette.responses import RedirectResponse, Response, StreamingResponse

from serving.console import streaming, uploads
from serving.console.contexts import TrainingPage
from serving.console.guard import Guard, text_fields
from serving.console.messages import say
from serving.console.ports import DatasetFacts, Purpose, Refused, TemplateFacts, TrainingFacts, TrainingRequest, Wiring
from serving.console.rendering import respond
from serving.console.texts import speak
from serving.console.views import dataset as dataset_view
from serving.console.views import frame, problems
from serving.console.views import training as training_view
from serving.console.views.frame import Visit
from serving.errors import Problem, ProblemKind, not_found

_RECENT = 8
_MOST_FIELDS = 2_048
"""A form may name every column of a wide file."""


@dataclass(frozen=True, slots=True)
class _Desk:
    wiring: Wiring
    guard: Guard


def routes(wiring: Wiring, guard: Guard) -> APIRouter:
    """Everything under ``/console/train``."""
    router = APIRouter(include_in_schema=False)
    desk = _Desk(wiring, guard)
    _hand_in(router, desk)
    _look_and_start(router, desk)
    _watch(router, desk)
    return router


def _hand_in(router: APIRouter, desk: _Desk) -> None:
    wiring, guard = desk.wiring, desk.guard

    @router.get("/console/train")
    def show(request: Request) -> Response:
        return _train_page(desk, guard.require(request, frame.TRAIN), template=request.query_params.get("template", "custom"))

    @router.post("/console/train/upload")
    async def upload(request: Request) -> Response:
        visit = guard.require(request, frame.TRAIN)
        assert visit.session is not None
        principal = visit.session.principal
        by_script = "x-form-token" in request.headers
        uploads.refuse_announced(wiring, request, visit.language, measured=not by_script)
        template = request.query_params.get("template", "custom")
        try:
            if by_script:
                guard.check_form(request, request.headers["x-form-token"])
                name = uploads.filename_of(request.query_params.get("filename"))
                dataset = await uploads.from_body(
                    wiring, request, filename=name, template=template, principal=principal, language=visit.language
                )
            else:
                async with request.form(max_files=1, max_fields=8) as form:
                    fields = text_fields(form)
                    template = fields.get("template", "custom")
                    guard.check_form(request, fields.get("form_token"))
                    file = form.get("file")
                    if not isinstance(file, UploadFile) or not file.filename:
                        raise Refused(Problem(ProblemKind.INVALID, say(visit.language, "train.no_file")))
                    dataset = await uploads.from_form(wiring, file, template=template, principal=principal)
        except Refused as refusal:
            if refusal.problem.kind is ProblemKind.FORBIDDEN:
                raise
            return await run_in_threadpool(_train_page, desk, visit, template=template, problem=refusal.problem)
        address = f"/console/train/datasets/{dataset.dataset_id}"
        if by_script:
            return Response(status_code=201, headers={"Location": address})
        return RedirectResponse(address, 303)


def _look_and_start(router: APIRouter, desk: _Desk) -> None:
    wiring, guard = desk.wiring, desk.guard

    @router.get("/console/train/datasets/{dataset_id}")
    def look(request: Request, dataset_id: str) -> Response:
        visit = guard.require(request, frame.TRAIN)
        return _dataset_page(desk, visit, _dataset(wiring, visit.language, dataset_id), request.query_params)

    @router.post("/console/train/check")
    async def check(request: Request) -> Response:
        guard.require(request, frame.TRAIN)
        form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
        fields = text_fields(form)
        guard.check_form(request, fields.get("form_token"))
        kept = [
            (name, str(value))
            for name, value in form.multi_items()
            if name == "time" or (name in {"template", "target", "exclude", "keep", "budget_s"} and value)
        ]
        if fields.get("name", "").strip() != fields.get("suggested"):
            kept.append(("name", fields.get("name", "").strip()[:64]))
        address = f"/console/train/datasets/{quote(fields.get('dataset_id', ''), safe='')}"
        return RedirectResponse(f"{address}?{urlencode(kept)}", 303)

    @router.post("/console/train/start")
    async def start(request: Request) -> Response:
        visit = guard.require(request, frame.TRAIN)
        assert visit.session is not None
        form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
        fields = text_fields(form)
        guard.check_form(request, fields.get("form_token"))
        dataset = await run_in_threadpool(_dataset, wiring, visit.language, fields.get("dataset_id", ""))
        name = fields.get("name", "").strip() or None
        asked = TrainingRequest(dataset.dataset_id, _purpose(form, dataset), name, _budget(fields.get("budget_s")))
        try:
            training = await run_in_threadpool(wiring.workbench.start, asked, visit.session.principal)
        except Refused as refusal:
            return await run_in_threadpool(_dataset_page, desk, visit, dataset, form, refusal.problem)
        return RedirectResponse(f"/console/train/runs/{training.training_id}", 303)


def _watch(router: APIRouter, desk: _Desk) -> None:
    wiring, guard = desk.wiring, desk.guard

    @router.get("/console/train/runs/{training_id}")
    def watch(request: Request, training_id: str) -> Response:
        visit = guard.require(request, frame.TRAIN)
        training = _training(wiring, visit.language, training_id)
        return respond(_training_page(desk, visit, training))

    @router.get("/console/train/runs/{training_id}/events")
    async def events(request: Request, training_id: str) -> Response:
        visit = guard.require(request, frame.TRAIN)
        training = await run_in_threadpool(_training, wiring, visit.language, training_id)
        told = streaming.told(wiring.workbench, training, lambda now, step: training_view.event(visit.language, now, step))
        return StreamingResponse(told, headers=streaming.HEADERS, media_type="text/event-stream")

    @router.post("/console/train/runs/{training_id}/cancel")
    async def cancel(request: Request, training_id: str) -> Response:
        visit = guard.require(request, frame.TRAIN)
        fields = text_fields(await request.form(max_files=0, max_fields=8))
        guard.check_form(request, fields.get("form_token"))
        await run_in_threadpool(_training, wiring, visit.language, training_id)
        await run_in_threadpool(wiring.workbench.cancel, training_id)
        return RedirectResponse(f"/console/train/runs/{training_id}", 303)

    @router.post("/console/train/runs/{training_id}/publish")
    async def publish(request: Request, training_id: str) -> Response:
        visit = guard.require(request, frame.TRAIN)
        assert visit.session is not None
        fields = text_fields(await request.form(max_files=0, max_fields=8))
        guard.check_form(request, fields.get("form_token"))
        training = await run_in_threadpool(_training, wiring, visit.language, training_id)
        if training.model_version is None or not wiring.models.can_publish:
            raise Refused(Problem(ProblemKind.CONFLICT, say(visit.language, "training.publish_two")))
        await run_in_threadpool(wiring.models.publish, training.name, training.model_version, visit.session.principal)
        return RedirectResponse(f"/console/train/runs/{training_id}", 303)


def _train_page(desk: _Desk, visit: Visit, *, template: str, problem: Problem | None = None) -> Response:
    wiring, language = desk.wiring, visit.language
    page = dataset_view.hand_in(
        frame.build(visit, say(language, "train.title"), wiring.accounts.may),
        wiring.workbench.templates(),
        wiring.workbench.datasets(_RECENT),
        wiring.workbench.trainings(_RECENT),
        limit=wiring.max_upload_bytes,
        template=template,
        problem=_headline(language, problem),
        problems=[problems.row(language, error) for error in problem.errors] if problem else (),
    )
    return respond(page, problem.status if problem else 200)


def _headline(language: str, problem: Problem | None) -> str:
    if problem is None:
        return ""
    return say(language, "train.refused") if problem.errors else speak(problem.detail, language)


def _why(language: str, problem: Problem) -> str:
    """Everything that is wrong, in one paragraph."""
    rows = [problems.row(language, error) for error in problem.errors]
    apart = "" if language == "zh" else " "
    return apart.join(part for row in rows for part in (row.message, row.fix) if part) or speak(problem.detail, language)


def _dataset_page(
    desk: _Desk, visit: Visit, dataset: DatasetFacts, asked: ImmutableMultiDict[str, Any], problem: Problem | None = None
) -> Response:
    wiring = desk.wiring
    purpose = _purpose(asked, dataset)
    time = purpose.time
    if "time" not in asked:  # not chosen yet, which is not the same as chosen to be none
        bare = wiring.workbench.check(dataset.dataset_id, Purpose(purpose.template))
        time = dataset_view.suggested_time(bare)
        purpose = replace(purpose, time=time if purpose.target else None)
    page = dataset_view.build(
        frame.build(visit, dataset.name, wiring.accounts.may),
        dataset,
        wiring.workbench.check(dataset.dataset_id, purpose),
        _template(wiring, purpose.template),
        time=time,
        name=str(asked.get("name", "")).strip()[:64],
        budget=int(_budget(asked.get("budget_s"))),
        problem=_why(visit.language, problem) if problem else "",
    )
    return respond(page, problem.status if problem else 200)


def _purpose(asked: ImmutableMultiDict[str, Any], dataset: DatasetFacts) -> Purpose:
    def one(name: str) -> str | None:
        value = asked.get(name)
        return value if isinstance(value, str) and value else None

    def many(name: str) -> tuple[str, ...]:
        return tuple(value for value in asked.getlist(name) if isinstance(value, str))

    return Purpose(one("template") or dataset.template, one("target"), one("time"), many("exclude"), many("keep"))


def _training_page(desk: _Desk, visit: Visit, training: TrainingFacts) -> TrainingPage:
    wiring = desk.wiring
    assert visit.session is not None
    dataset = wiring.workbench.dataset(training.dataset_id) if training.dataset_id else None
    version = training.model_version
    model = wiring.models.get(training.name, version) if version is not None else None
    watched = training_view.Watched(
        training=training,
        progress=wiring.workbench.progress(training.training_id, -1),
        filename=dataset.name if dataset else "",
        model=model,
        example=wiring.models.example(training.name, version) if version is not None and model else None,
        drivers=wiring.models.drivers(training.name, version) if version is not None and model else (),
        base_url=wiring.base_url,
        can_publish=wiring.models.can_publish,
    )
    title = say(visit.language, "training.title", name=training.name)
    return training_view.build(frame.build(visit, title, wiring.accounts.may), watched)


def _dataset(wiring: Wiring, language: str, dataset_id: str) -> DatasetFacts:
    dataset = wiring.workbench.dataset(dataset_id)
    if dataset is None:
        raise Refused(not_found(say(language, "error.404.dataset", id=dataset_id)))
    return dataset


def _training(wiring: Wiring, language: str, training_id: str) -> TrainingFacts:
    training = wiring.workbench.training(training_id)
    if training is None:
        raise Refused(not_found(say(language, "error.404.training", id=training_id)))
    return training


def _template(wiring: Wiring, name: str) -> TemplateFacts:
    known = wiring.workbench.templates()
    return next((it for it in known if it.name == name), known[0])


def _budget(text: object) -> float:
    return float(text) if isinstance(text, str) and text.isdigit() and int(text) in dataset_view.BUDGETS else 60.0
