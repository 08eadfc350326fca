"""``POST /v1/outcomes``: what really happened, one or many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from feature_store.order import FROM_WIRE
from feature_store.times import format_time
from governance.access import OWN_ONLY, Action
from governance.labelling import MOST, NotTaken, Taken, Told
from serving.api import keys
from serving.api.review_schemas import OutcomeBody
from serving.console.ports import Account, Labels, Refused, Wiring
from serving.errors import MEDIA_TYPE, Problem, ProblemKind, fault, invalid, not_found, unavailable, validation_problem

MAX_BYTES = 2**20

EXAMPLE = {
    "outcomes": [
        {"decision_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "label": "fulfilled", "observed_at": "2026-11-16T09:30:00.000Z"},
        {"order_id": "SO-1001", "type": "fraud", "label": "legitimate", "observed_at": "2026-12-30T00:00:00.000Z"},
    ]
}
ONE = {"order_id": "SO-1001", "type": "acceptance", "label": "late", "observed_at": "2026-11-16T09:30:00.000Z"}


def routes(wiring: Wiring) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["outcomes"])

    @router.post("/v1/outcomes", response_model=None)
    async def take(request: Request) -> Response:
        """Tell what really happened: a list, or one alone."""
        account = await run_in_threadpool(keys.require, wiring, request, Action.DECIDE.value)
        if wiring.labels is None:
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, "No outcomes are taken here.", 60))
        told, many = _listed(await _body(request))
        return await run_in_threadpool(_take, wiring.labels, told, account, many=many)

    return router


def _take(labels: Labels, told: Sequence[object], account: Account, *, many: bool) -> Response:
    readable: list[tuple[int, Told]] = []
    refused: list[dict[str, Any]] = []
    for index, one in enumerate(told):
        try:
            readable.append((index, _read(one)))
        except ValidationError as error:
            problem = validation_problem(error)
            first = problem.errors[0]
            refused.append(_refusal(index, [*first["loc"]], str(first["msg"]), many=many))
        except ValueError as error:
            refused.append(_refusal(index, [], str(error), many=many))
    own_only = account.role in {role.value for role in OWN_ONLY}
    taken, not_taken = labels.take([one for _, one in readable], account.principal, account.role, own_only=own_only)
    refused += [_refusal(readable[one.index][0], [one.place], one.msg, many=many) for one in not_taken]
    refused.sort(key=lambda one: int(one["index"]))
    answer = {
        "accepted": sum(one.new for one in taken),
        "duplicates": sum(not one.new for one in taken),
        "refused": refused,
        "labels": [_kept(readable[one.index][0], one) for one in taken],
    }
    if taken:
        return JSONResponse(answer)
    if not many and not_taken and not_taken[0].unknown:
        raise Refused(not_found(_sentence(not_taken[0])))
    problem = invalid([fault(one["loc"], one["msg"]) for one in refused])
    return JSONResponse(problem.to_json() | answer, problem.status, media_type=MEDIA_TYPE)


def _read(one: object) -> Told:
    body = OutcomeBody.model_validate(one, context=FROM_WIRE)
    if (body.decision_id is None) == (body.order_id is None):
        raise ValueError("say which decision: decision_id, or order_id and type")
    if body.order_id is not None and body.type is None:
        raise ValueError("order_id needs type: an order has a decision of each")
    return Told(body.label, body.observed_at, body.decision_id, body.order_id, body.type)


def _kept(index: int, one: Taken) -> dict[str, Any]:
    return {
        "index": index, "label_id": one.label_id, "decision_id": one.decision_id, "type": one.type, "label": one.label,
        "observed_at": format_time(one.observed_at), "new": one.new,
    }  # fmt: skip


def _refusal(index: int, place: list[str | int], msg: str, *, many: bool) -> dict[str, Any]:
    return {"index": index, "msg": msg, "loc": [*(["outcomes", index] if many else []), *place]}


def _sentence(one: NotTaken) -> str:
    return f"{one.msg[0].upper()}{one.msg[1:]}."


async def _body(request: Request) -> object:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BYTES:
                raise Refused(
                    Problem(ProblemKind.TOO_LARGE, f"The body is larger than the {MAX_BYTES // 2**20} MiB that are accepted here.")
                )
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise Refused(Problem(ProblemKind.MALFORMED, "The connection was closed before the whole body arrived.")) from error
    try:
        return orjson.loads(b"".join(chunks))
    except orjson.JSONDecodeError as error:
        msg = f"The body cannot be read as JSON: {error}."
        raise Refused(Problem(ProblemKind.MALFORMED, msg, [fault(["body"], str(error))])) from error


def _listed(body: object) -> tuple[Sequence[object], bool]:
    """The labels of a body, and whether it is a list of them."""
    if not isinstance(body, dict):
        raise Refused(invalid([fault([], 'send {"outcomes": [...]} or one outcome alone')]))
    if "outcomes" not in body:
        return [body], False
    unknown = [fault([name], "unknown field beside outcomes") for name in body if name != "outcomes"]
    if unknown:
        raise Refused(invalid(unknown))
    told = body["outcomes"]
    if not isinstance(told, list) or not told:
        raise Refused(invalid([fault(["outcomes"], "a list of at least one outcome is required")]))
    if len(told) > MOST:
        raise Refused(Problem(ProblemKind.TOO_LARGE, f"{len(told):,} outcomes are more than the {MOST:,} that are taken at once."))
    return told, True
