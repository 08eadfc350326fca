"""``/v1/reviews``: the queue of held decisions, for those who work it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from feature_store.order import MICRO
from feature_store.times import Millis, TimeUnreadable, format_time, parse_time
from governance.access import Action
from governance.ledger.errors import CursorInvalid
from governance.override_reasons import OTHER, REASONS
from governance.reviews import CLAIM, CLOSED_STATES, MAX_LIMIT, OPEN_STATES, Case, Wanted
from serving.api import keys
from serving.console.ports import Refused, Reviews, Wiring
from serving.errors import Problem, ProblemKind, fault, invalid, not_found, unavailable

DEFAULT_LIMIT = 50
STATES = ("waiting", "closed", *OPEN_STATES, *CLOSED_STATES)


def routes(wiring: Wiring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["reviews"])

    @router.get("/v1/reviews", response_model=None)
    def listing(
        request: Request,
        *,
        queue: Annotated[str | None, Query(max_length=64, description="Of this queue.", examples=["acceptance"])] = None,
        type: Annotated[str | None, Query(max_length=64, description="Decisions of this type.", examples=["fraud"])] = None,  # noqa: A002
        state: Annotated[str, Query(max_length=16, description=f"One of {', '.join(STATES)}.", examples=["waiting"])] = "waiting",
        due: Annotated[
            str | None, Query(max_length=40, description="Due before this time; `now` for what is overdue.", examples=["now"])
        ] = None,
        order_id: Annotated[str | None, Query(max_length=128, description="On this order.", examples=["SO-1001"])] = None,
        claimed: Annotated[
            str | None, Query(max_length=4, description="`me` for one's own cases, `none` for free ones.", examples=["none"])
        ] = None,
        sort: Annotated[
            Literal["rank", "due"], Query(description="What is at stake, the most first; or what is due first.", examples=["rank"])
        ] = "rank",
        cursor: Annotated[str | None, Query(max_length=128, description="Where the page before ended: its next_cursor.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Decisions on a page.", examples=[DEFAULT_LIMIT])] = DEFAULT_LIMIT,
    ) -> Response:
        """Held decisions in the order in which they should be worked."""
        account = keys.require(wiring, request, Action.REVIEW.value)
        at, reviews = wiring.now(), _reviews(wiring)
        wanted = _wanted(queue, type, state, due, order_id, claimed, account.principal, at)
        try:
            page = reviews.page(wanted, sort=sort, cursor=cursor, limit=limit, at=at)
        except CursorInvalid as error:
            raise Refused(invalid([fault(["query", "cursor"], "is none of this list; begin without a cursor")])) from error
        counts = reviews.counts(at)
        return _json(
            {
                "items": [case_json(one, at) for one in page.cases],
                "next_cursor": page.next_cursor,
                "counts": [
                    {"queue": one.queue, "type": one.type, "state": one.state, "count": one.count, "overdue": one.overdue} for one in counts
                ],
                "waiting": sum(one.count for one in counts),
                "overdue": sum(one.overdue for one in counts),
            }
        )

    @router.get("/v1/reviews/reasons", response_model=None)
    def reasons(request: Request) -> Response:
        """The reason codes of overrides with their texts."""
        keys.require(wiring, request, Action.REVIEW.value)
        return _json({"items": [{"code": code, "text": dict(text), "needs_note": code == OTHER} for code, text in REASONS.items()]})

    @router.post("/v1/reviews/{decision_id}/claim", response_model=None)
    def claim(request: Request, decision_id: str) -> Response:
        """Take a case for a quarter of an hour, so that nobody else works on it."""
        account = keys.require(wiring, request, Action.REVIEW.value)
        return _claimed(wiring, decision_id, account.principal, CLAIM)

    @router.delete("/v1/reviews/{decision_id}/claim", response_model=None)
    def give_back(request: Request, decision_id: str) -> Response:
        """Give a case back."""
        account = keys.require(wiring, request, Action.REVIEW.value)
        return _claimed(wiring, decision_id, account.principal, None)

    return router


def case_json(one: Case, at: Millis) -> dict[str, Any]:
    """A decision in the queue as JSON."""
    at_stake = {"amount": f"{one.at_stake_micros / MICRO:.2f}", "currency": one.currency} if one.currency else None
    return {
        "decision_id": one.record_id,
        "queue": one.queue,
        "type": one.type,
        "state": one.state,
        "outcome": one.outcome,
        "status": one.status,
        "at_stake": at_stake,
        "opened_at": format_time(one.opened_at),
        "due_at": format_time(one.due_at),
        "overdue": one.closed_at is None and one.due_at <= at,
        "expires_to": one.expires_to,
        "closed_at": None if one.closed_at is None else format_time(one.closed_at),
        "closed_by": one.closed_by,
        "claimed_by": one.claimed_by,
        "claimed_until": None if one.claimed_until is None else format_time(one.claimed_until),
        "order_id": one.order_id,
        "order_version": one.order_version,
        "customer_id": one.customer_id,
        "region": one.region,
        "channel": one.channel,
        "tags": list(one.tags),
        "reasons": list(one.reasons),
        "probability": one.probability,
        "links": {
            "decision": f"/v1/decisions/{one.record_id}",
            "override": f"/v1/decisions/{one.record_id}/override",
            "page": f"/console/decisions/{one.record_id}",
        },
    }


def _wanted(  # noqa: PLR0917 - the parameters of the route
    queue: str | None, kind: str | None, state: str, due: str | None, order_id: str | None, claimed: str | None, principal: str, at: Millis
) -> Wanted:
    errors = []
    before: Millis | None = None
    if state not in STATES:
        errors.append(fault(["query", "state"], f"{state!r} is none of {', '.join(STATES)}"))
    if claimed not in {None, "me", "none"}:
        errors.append(fault(["query", "claimed"], f"{claimed!r} is neither me nor none"))
    if due is not None:
        try:
            before = at if due == "now" else parse_time(due)
        except (TimeUnreadable, OverflowError) as error:
            errors.append(fault(["query", "due"], str(error)))
    if errors:
        raise Refused(invalid(errors))
    return Wanted(queue, kind, state, before, order_id, principal if claimed == "me" else None, claimed == "none")


def _claimed(wiring: Wiring, decision_id: str, principal: str, during: Millis | None) -> Response:
    at, reviews = wiring.now(), _reviews(wiring)
    case = reviews.claim(decision_id, principal, at, None if during is None else at + during)
    if case is not None:
        return _json(case_json(case, at))
    found = reviews.find(decision_id)
    if found is None:
        raise Refused(not_found(f"The decision {decision_id!r} was never held."))
    if found.closed_at is not None:
        raise Refused(Problem(ProblemKind.CONFLICT, f"It waits no more: it is {found.state} since {format_time(found.closed_at)}."))
    until = format_time(found.claimed_until or at)
    raise Refused(Problem(ProblemKind.CONFLICT, f"{found.claimed_by} works on it until {until}."))


def _reviews(wiring: Wiring) -> Reviews:
    if wiring.reviews is None:
        raise Refused(unavailable(ProblemKind.UNAVAILABLE, "No reviews are kept here.", 60))
    return wiring.reviews


def _json(told: Any) -> Response:
    return Response(orjson.dumps(told), headers={"Cache-Control": "no-store"}, media_type="application/json")
