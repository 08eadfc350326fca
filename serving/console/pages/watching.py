"""Features and health. Plain functions: the server runs them in threads, as they read the database."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.console.guard import Guard
from serving.console.messages import say
from serving.console.ports import Wiring
from serving.console.rendering import respond
from serving.console.views import features as features_view
from serving.console.views import frame
from serving.console.views import health as health_view


def routes(wiring: Wiring, guard: Guard) -> APIRouter:
    """``/console/features`` and ``/console/health``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/console/features")
    def features(request: Request) -> Response:
        visit = guard.require(request, frame.FEATURES)
        built = frame.build(visit, say(visit.language, "features.title"), wiring.accounts.may)
        return respond(features_view.build(built, wiring.features.book(), request.query_params))

    @router.get("/console/health")
    def health(request: Request) -> Response:
        visit = guard.require(request, frame.HEALTH)
        built = frame.build(visit, say(visit.language, "health.title"), wiring.accounts.may)
        assert visit.session is not None
        trains = wiring.accounts.may(visit.session.role, frame.TRAIN)
        return respond(health_view.build(built, wiring.health.look(), decisions=built.search, trainings=trains))

    return router
