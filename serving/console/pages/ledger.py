"""The log. A plain function: the server runs it in a thread, as it reads the database."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.console.guard import Guard
from serving.console.messages import say
from serving.console.ports import Wiring
from serving.console.rendering import respond
from serving.console.views import frame
from serving.console.views import ledger as ledger_view


def routes(wiring: Wiring, guard: Guard) -> APIRouter:
    """``/console/ledger``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/console/ledger")
    def ledger(request: Request) -> Response:
        visit = guard.require(request, frame.LEDGER)
        built = frame.build(visit, say(visit.language, "ledger.title"), wiring.accounts.may)
        facts = None if wiring.ledger is None else wiring.ledger.look()
        return respond(ledger_view.build(built, facts, base_url=wiring.base_url, at=wiring.now()))

    return router
