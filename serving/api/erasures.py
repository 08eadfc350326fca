"""``/v1/erasures`` and ``/v1/holds``: erasing a person takes two, and a legal hold forbids it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from feature_store.retention import ErasureRefused
from feature_store.times import Millis, format_time
from governance.access import Action
from governance.erasure import Erasure, Erasures, Hold, Outcome, SecondPersonNeeded, SubjectUnknown, read_subject
from serving.api import keys
from serving.console.ports import Refused, Wiring
from serving.errors import Problem, ProblemKind, fault, invalid, not_found

NO_STORE = {"Cache-Control": "no-store"}
Subject = Annotated[str, Field(max_length=300, description="`TYPE:ID`; types: customer, device, address, payment, ip")]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="recorded for ever: name the case, not the person")]


class ErasureBody(BaseModel):
    """Whom to erase."""

    model_config = ConfigDict(extra="forbid")

    subject: Subject


class HoldBody(BaseModel):
    """Whom not to erase, and why."""

    model_config = ConfigDict(extra="forbid")

    subject: Subject
    reason: Reason


class LiftBody(BaseModel):
    """Why a hold is lifted."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


def routes(wiring: Wiring, erasures: Callable[[], Erasures]) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["privacy"])
    _erasures(router, wiring, erasures)
    _holds(router, wiring, erasures)
    return router


def _erasures(router: APIRouter, wiring: Wiring, erasures: Callable[[], Erasures]) -> None:
    @router.get("/v1/erasures", response_model=None)
    def listing(request: Request) -> Response:
        """The newest erasures, newest first."""
        keys.require(wiring, request, Action.ADMINISTER.value)
        return _json({"items": [erasure_json(one) for one in erasures().list()]})

    @router.post("/v1/erasures", response_model=None)
    def ask(request: Request, body: ErasureBody) -> Response:
        """Ask for an erasure; somebody else has to confirm it."""
        account = keys.require(wiring, request, Action.ADMINISTER.value)
        _check(body.subject)
        with _refusals():
            return _json(erasure_json(erasures().request(body.subject, account.principal)), 202)

    @router.get("/v1/erasures/{erasure_id}", response_model=None)
    def one(request: Request, erasure_id: str) -> Response:
        """One erasure."""
        keys.require(wiring, request, Action.ADMINISTER.value)
        with _refusals():
            return _json(erasure_json(erasures().get(erasure_id)))

    @router.post("/v1/erasures/{erasure_id}/confirm", response_model=None)
    def confirm(request: Request, erasure_id: str) -> Response:
        """Confirm an erasure and carry it out."""
        account = keys.require(wiring, request, Action.ADMINISTER.value)
        with _refusals():
            return _json(outcome_json(erasures().confirm(erasure_id, account.principal, thorough=False)))

    @router.post("/v1/erasures/{erasure_id}/withdraw", response_model=None)
    def withdraw(request: Request, erasure_id: str) -> Response:
        """Take a request back that nobody has confirmed."""
        account = keys.require(wiring, request, Action.ADMINISTER.value)
        with _refusals():
            return _json(erasure_json(erasures().withdraw(erasure_id, account.principal)))


def _holds(router: APIRouter, wiring: Wiring, erasures: Callable[[], Erasures]) -> None:
    @router.get("/v1/holds", response_model=None)
    def listing(request: Request) -> Response:
        """The legal holds in force, oldest first."""
        keys.require(wiring, request, Action.ADMINISTER.value)
        return _json({"items": [hold_json(one) for one in erasures().holds()]})

    @router.post("/v1/holds", response_model=None)
    def place(request: Request, body: HoldBody) -> Response:
        """Forbid that a person is erased."""
        account = keys.require(wiring, request, Action.ADMINISTER.value)
        _check(body.subject)
        with _refusals():
            return _json(hold_json(erasures().place_hold(body.subject, account.principal, body.reason)), 201)

    @router.post("/v1/holds/{hold_id}/lift", response_model=None)
    def lift(request: Request, hold_id: str, body: LiftBody) -> Response:
        """Lift a hold."""
        account = keys.require(wiring, request, Action.ADMINISTER.value)
        with _refusals():
            return _json(hold_json(erasures().lift_hold(hold_id, account.principal, body.reason)))


def erasure_json(one: Erasure) -> dict[str, Any]:
    """An erasure as JSON; whom it was about is not told once it is done."""
    return {
        "erasure_id": one.erasure_id,
        "subject": one.subject or None,
        "state": one.state.value,
        "requested_by": one.requested_by,
        "requested_at": format_time(one.requested_at),
        "settled_by": one.settled_by,
        "settled_at": _time(one.settled_at),
        "done_at": _time(one.done_at),
        "record_id": one.record_id,
    }


def outcome_json(done: Outcome) -> dict[str, Any]:
    """What an erasure did, as JSON."""
    told = {name: done.told.get(name, empty) for name, empty in (("replays", {}), ("records", {}), ("features", {}), ("left", []))}
    return {**erasure_json(done.erasure), **told, "wiped": done.wiped}


def hold_json(one: Hold) -> dict[str, Any]:
    """A legal hold as JSON."""
    return {
        "hold_id": one.hold_id,
        "subject": one.subject or None,
        "placed_by": one.placed_by,
        "placed_at": format_time(one.placed_at),
        "lifted_by": one.lifted_by,
        "lifted_at": _time(one.lifted_at),
    }


def _check(subject: str) -> None:
    try:
        read_subject(subject)
    except ErasureRefused as error:
        raise Refused(invalid([fault(["body", "subject"], str(error))])) from error


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except SubjectUnknown as error:
        raise Refused(not_found(str(error))) from error
    except SecondPersonNeeded as error:
        raise Refused(Problem(ProblemKind.SAME_PERSON, str(error))) from error
    except ErasureRefused as error:
        raise Refused(Problem(ProblemKind.CONFLICT, str(error))) from error


def _time(at: Millis | None) -> str | None:
    return None if at is None else format_time(at)


def _json(told: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(told, status, headers=NO_STORE)
