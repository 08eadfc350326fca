"""Decisions, one decision, one order. Plain functions: the server runs them in threads, as they read the database."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.console.guard import Guard
from serving.console.messages import say
from serving.console.ports import Account, CursorRefused, DecisionFacts, DecisionFilters, Refused, Wiring
from serving.console.rendering import SECURITY_HEADERS, respond
from serving.console.views import decision as decision_view
from serving.console.views import decisions as list_view
from serving.console.views import frame
from serving.console.views import order as order_view
from serving.errors import not_found

_SIBLINGS = 60


def routes(wiring: Wiring, guard: Guard) -> APIRouter:
    """``/console/decisions``, ``/console/decisions/{id}``, ``/console/orders/{order_id}``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/console/decisions")
    def listing(request: Request) -> Response:
        visit = guard.require(request, frame.SEARCH)
        asked = list_view.read(visit.language, request.query_params)
        cursor, problem = request.query_params.get("cursor"), ""
        try:
            found = wiring.decisions.search(asked.filters, cursor, list_view.PER_PAGE)
        except CursorRefused:
            found, cursor = wiring.decisions.search(asked.filters, None, list_view.PER_PAGE), None
            problem = say(visit.language, "list.bad_cursor")
        _note(wiring, visit, "search", asked.typed)
        page = list_view.build(
            frame.build(visit, say(visit.language, "list.title"), wiring.accounts.may),
            asked,
            found,
            wiring.decisions.types(),
            cursor=cursor,
            problem=problem,
            reason_text=lambda code: wiring.decisions.reason_text(code, visit.language),
            exports=wiring.export is not None,
        )
        return respond(page)

    @router.get("/console/decisions/export")
    def export(request: Request) -> Response:
        visit = guard.require(request, frame.SEARCH)
        if wiring.export is None or visit.session is None:
            raise Refused(not_found(say(visit.language, "error.404.decision", id="export")))
        asked = list_view.read(visit.language, request.query_params)
        return wiring.export(Account(visit.session.principal, visit.session.role), list_view.as_query(asked.filters))

    @router.get("/console/decisions/{record_id}")
    def one(request: Request, record_id: str) -> Response:
        visit = guard.require(request, frame.SEARCH)
        facts = _find(wiring, guard, request, record_id)
        _note(wiring, visit, "decision", {"decision_id": record_id})
        same = DecisionFilters(order_id=facts.line.order_id)
        siblings = wiring.decisions.search(same, None, _SIBLINGS).lines if facts.line.order_id else ()
        built = frame.build(visit, decision_view.title(visit.language, facts), wiring.accounts.may)
        return respond(decision_view.build(built, facts, siblings))

    @router.get("/console/decisions/{record_id}/record.json")
    def record(request: Request, record_id: str) -> Response:
        visit = guard.require(request, frame.SEARCH)
        facts = _find(wiring, guard, request, record_id)
        _note(wiring, visit, "decision", {"decision_id": record_id})
        body = orjson.dumps(facts.raw, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        return Response(body, headers={**SECURITY_HEADERS, "Cache-Control": "no-store"}, media_type="application/json")

    @router.get("/console/orders/{order_id:path}")
    def order(request: Request, order_id: str) -> Response:
        visit = guard.require(request, frame.SEARCH)
        found = wiring.decisions.of_order(order_id)
        if not found:
            raise Refused(not_found(say(visit.language, "error.404.order", id=order_id)))
        _note(wiring, visit, "timeline", {"order_id": order_id})
        built = frame.build(visit, say(visit.language, "order.title", order=order_id), wiring.accounts.may)
        return respond(order_view.build(built, order_id, found))

    return router


def _note(wiring: Wiring, visit: frame.Visit, what: str, of: Mapping[str, str]) -> None:
    if wiring.reads is not None and visit.session is not None:
        wiring.reads.note_as(visit.session.principal, visit.session.role, what, of)


def _find(wiring: Wiring, guard: Guard, request: Request, record_id: str) -> DecisionFacts:
    facts = wiring.decisions.get(record_id)
    if facts is None:
        raise Refused(not_found(say(guard.language(request), "error.404.decision", id=record_id)))
    return facts
