"""The list of model versions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.console.guard import Guard
from serving.console.messages import say
from serving.console.ports import Wiring
from serving.console.rendering import respond
from serving.console.views import frame
from serving.console.views import models as view


def routes(wiring: Wiring, guard: Guard) -> APIRouter:
    """``/console/models``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/console/models")
    def listing(request: Request) -> Response:
        visit = guard.require(request, frame.MODELS)
        built = frame.build(visit, say(visit.language, "models.title"), wiring.accounts.may)
        return respond(view.build(built, wiring.models.all()))

    return router
