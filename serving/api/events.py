"""``POST /v1/events``: business facts as they happen, one or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from feature_store.events import ATTRIBUTES, Event, EventRefused, EventType, parse_event
from feature_store.order import Moment
from governance.access import Action
from serving.api import keys
from serving.console.ports import Intake, Refused, Wiring
from serving.errors import MEDIA_TYPE, Problem, ProblemKind, fault, invalid, unavailable

MAX_EVENTS = 5_000
MAX_BYTES = 8 * 2**20
LINES = ("application/x-ndjson", "application/jsonl", "application/jsonlines", "application/x-jsonlines")
"""Media types of a body with one event on each line."""

CONFLICT = "was told before with another content: the same id is the same fact, and a correction is an event of its own"

DAMAGED = "its history cannot be read. What was told of it is kept, and counts when whoever runs the service has made it anew: 'ordinance features rebuild'"


class EventBody(BaseModel):
    """One business fact; beside these fields it has those of its type, as docs/events.md lists them."""

    model_config = ConfigDict(extra="allow")

    event_id: Annotated[str, Field(min_length=1, max_length=255, description="the same on every retry")]
    type: EventType
    event_time: Annotated[Moment, Field(description="when it happened")]
    valid_from: Annotated[Moment | None, Field(description="of a forecast: from when it holds")] = None
    attributes: Annotated[dict[str, Any], Field(description="a sender's own fields; kept, seen by no feature")] = {}


class EventsBody(BaseModel):
    """Events in any order; what happened late or out of turn counts from its event_time."""

    model_config = ConfigDict(extra="forbid")

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MAX_EVENTS)]


class RefusedEvent(BaseModel):
    """An event that was not taken, by its position from 0."""

    index: int
    msg: str
    loc: list[str | int]


class DamagedHistory(BaseModel):
    """An entity whose history cannot be read."""

    entity: str
    key: str
    msg: str


class EventsAnswer(BaseModel):
    """What became of the events: every one that is not refused is durable, and counts in the next decision."""

    accepted: int
    duplicates: Annotated[int, Field(description="had come before, and changed nothing")]
    refused: list[RefusedEvent]
    damaged: Annotated[
        list[DamagedHistory],
        Field(
            description="histories that cannot be read: what is told of them is kept, and counts when they were rebuilt; absent for none"
        ),
    ] = []


EXAMPLE = {
    "events": [
        {
            "event_id": "oms-7f3a-1", "type": "order_placed", "event_time": "2026-11-11T00:00:03.120Z", "order_id": "SO-1001",
            "customer_id": "C-9", "device_id": "D-5", "address_id": "AD-3", "region": "east", "channel": "app", "skus": ["SKU-1"],
            "qty": 2, "amount": {"amount": "259.98", "currency": "CNY"}, ATTRIBUTES: {"anchor_id": "A-7"},
        },
        {"event_id": "wms-19-204", "type": "stock_level", "event_time": "2026-11-11T00:00:03.200Z", "node_id": "N1", "sku": "SKU-1", "available": 3},
        {
            "event_id": "met-east-12", "type": "weather", "event_time": "2026-11-11T00:00:00.000Z", "valid_from": "2026-11-12T06:00:00.000Z",
            "valid_to": "2026-11-12T18:00:00.000Z", "region": "east", "severity": 0.8, "kind": "typhoon",
        },
        {"event_id": "wms-19-205", "type": "stock_level", "event_time": "2026-11-11T00:00:03.200Z", "node_id": "N1", "available": 4},
    ]
}  # fmt: skip
"""What the contract shows; the last event misses the key of its SKU."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no JSON."""

    msg: str


def routes(wiring: Wiring) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["events"])

    @router.post("/v1/events", response_model=None)
    async def take(request: Request) -> Response:
        """Take events in: a list, one alone, or one on each line."""
        await run_in_threadpool(keys.require, wiring, request, Action.DECIDE.value)
        if wiring.intake is None:
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, "No events are taken here.", 60))
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        told = read(await _body(request), lines=media in LINES)
        return await run_in_threadpool(_take, wiring.intake, told)

    return router


def read(body: bytes, *, lines: bool) -> Sequence[object]:
    """The events of a body as they were told, each to be judged by itself.

    Raises:
        Refused: 400 when it is no JSON, 413 for too many, 422 for none or for another shape.
    """
    told = [_line(line) for line in body.split(b"\n") if line.strip()] if lines else _unwrapped(_json(body))
    if not told:
        raise Refused(invalid([fault(["events"], "at least 1 required")]))
    if len(told) > MAX_EVENTS:
        raise Refused(Problem(ProblemKind.TOO_LARGE, f"{len(told):,} events are more than the {MAX_EVENTS:,} that are taken at once."))
    return told


def sort_out(told: Sequence[object], intake: Intake) -> tuple[list[int], list[Event], list[dict[str, Any]]]:
    """Where the events stand that can be taken, these events, and the refusals of all others."""
    places, events, refused = [], [], []
    clock, skew = intake.now(), intake.skew
    for at, one in enumerate(told):
        try:
            if isinstance(one, Unreadable):
                raise EventRefused("", one.msg)
            events.append(parse_event(one, clock, live=True, skew=skew))
            places.append(at)
        except EventRefused as error:
            refused.append(_refusal(at, error.name, error.msg))
    return places, events, refused


def _take(intake: Intake, told: Sequence[object]) -> Response:
    places, events, refused = sort_out(told, intake)
    result = intake.take(events)
    refused += [_refusal(places[at], "event_id", f"{events[at].event_id!r} {CONFLICT}") for at in result.conflicts]
    refused.sort(key=lambda one: int(one["index"]))
    answer: dict[str, Any] = {"accepted": result.accepted, "duplicates": result.duplicates, "refused": refused}
    if result.damaged:
        answer["damaged"] = [{"entity": key.entity.value, "key": key.key, "msg": DAMAGED} for key in result.damaged]
    if len(refused) < len(told):
        return JSONResponse(answer)
    problem = invalid([fault(one["loc"], one["msg"]) for one in refused])
    return JSONResponse(problem.to_json() | answer, problem.status, media_type=MEDIA_TYPE)


def _refusal(index: int, name: str, msg: str) -> dict[str, Any]:
    return {"index": index, "msg": f"{name}: {msg}" if name else msg, "loc": ["events", index, *([name] if name else [])]}


async def _body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BYTES:
                raise _too_large()
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise Refused(Problem(ProblemKind.MALFORMED, "The connection was closed before the whole body arrived.")) from error
    return b"".join(chunks)


def _too_large() -> Refused:
    return Refused(Problem(ProblemKind.TOO_LARGE, f"The body is larger than the {MAX_BYTES // 2**20} MiB that are accepted here."))


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(
            Problem(ProblemKind.MALFORMED, f"The body cannot be read as JSON: {error}.", [fault(["body"], str(error))])
        ) from error


def _line(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Unreadable(f"the line is no JSON: {error}")


def _unwrapped(body: object) -> list[object]:
    if not isinstance(body, dict):
        raise Refused(invalid([fault([], 'send {"events": [...]}, one event alone, or one event a line as application/x-ndjson')]))
    if "events" not in body:
        return [body]
    unknown = [fault([name], "unknown field beside events") for name in body if name != "events"]
    if unknown:
        raise Refused(invalid(unknown))
    events = body["events"]
    if not isinstance(events, list):
        raise Refused(invalid([fault(["events"], "is not a list of events")]))
    return events
