"""The API's page, for people."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from serving.api.reference import Reference, open_to_all
from serving.console.guard import Guard, LoginNeeded
from serving.console.messages import say
from serving.console.ports import Wiring
from serving.console.rendering import respond
from serving.console.views import frame
from serving.console.views import reference as view


def routes(wiring: Wiring, guard: Guard, reference: Reference) -> APIRouter:
    """``/docs`` and ``/console/docs``, the same page; the session's cookie lives below ``/console``."""
    router = APIRouter()

    @router.get("/docs", response_model=None)
    def docs(request: Request) -> Response:
        """Every operation with its parameters, roles, examples and refusals."""
        return _page(request) if open_to_all(wiring) else RedirectResponse("/console/docs", 303)

    @router.get("/console/docs", include_in_schema=False)
    def inside(request: Request) -> Response:
        if not open_to_all(wiring) and guard.session(request) is None:
            raise LoginNeeded
        return _page(request)

    def _page(request: Request) -> Response:
        visit = guard.visit(request)
        built = frame.build(visit, say(visit.language, "reference.title"), wiring.accounts.may)
        return respond(view.build(built, reference.document(request.app), wiring.base_url))

    return router
