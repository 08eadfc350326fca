"""The console application: pages, uploads, trainings and the JSON routes beside them, wired once."""

from __future__ import annotations

import logging
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api import (
    datasets,
    events,
    features,
    killswitch,
    lists,
    models,
    outcomes,
    policies,
    reference,
    reservations,
    reviews,
    trainings,
)
from serving.console import failures
from serving.console.door import Door
from serving.console.guard import Guard, LoginNeeded, RoleRefused
from serving.console.pages import decisions as decision_pages
from serving.console.pages import ledger as ledger_pages
from serving.console.pages import login as login_pages
from serving.console.pages import models as model_pages
from serving.console.pages import reference as reference_pages
from serving.console.pages import train as train_pages
from serving.console.pages import watching as watching_pages
from serving.console.ports import Refused, Wiring
from serving.console.rendering import SECURITY_HEADERS, STATIC
from serving.console.texts import LANGUAGES
from serving.console.views import frame

log = logging.getLogger(__name__)


def create_console(wiring: Wiring) -> FastAPI:
    """The application that answers everything but decisions."""
    app = FastAPI(title="Ordinance", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    guard = Guard(wiring)
    app.mount("/console/static", _Static(directory=STATIC), name="static")
    for pages in (login_pages, decision_pages, train_pages, model_pages, watching_pages, ledger_pages):
        app.include_router(pages.routes(wiring, guard))
    for api in (datasets, events, trainings, models, reservations, features, reviews, outcomes, policies, lists, killswitch):
        app.include_router(api.routes(wiring))
    contract = reference.Reference(wiring)
    app.include_router(reference.routes(wiring, contract))
    app.include_router(reference_pages.routes(wiring, guard, contract))

    @app.get("/", include_in_schema=False)
    def root() -> Response:
        return RedirectResponse("/console", 303)  # the session's cookie lives below /console

    @app.get("/console", include_in_schema=False)
    @app.get("/console/", include_in_schema=False)
    def first(request: Request) -> Response:
        session = guard.session(request)
        return RedirectResponse(frame.first_page(session.role, wiring.accounts.may) if session else "/console/login", 303)

    _handle_failures(app, wiring, guard)
    app.add_middleware(_Language, guard=guard)
    app.add_middleware(Door, wiring=wiring)
    return app


def _handle_failures(app: FastAPI, wiring: Wiring, guard: Guard) -> None:
    @app.exception_handler(LoginNeeded)
    async def login_needed(request: Request, _error: LoginNeeded) -> Response:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "") if request.method == "GET" else "/console"
        return RedirectResponse("/console/login?" + urlencode({"target": wanted}), 303)

    @app.exception_handler(RoleRefused)
    async def role_refused(request: Request, _error: RoleRefused) -> Response:
        return failures.role_refused(wiring, guard.visit(request))

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return failures.refused(wiring, guard, request, error.problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return failures.refused(wiring, guard, request, failures.validation(error))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        return failures.refused(wiring, guard, request, failures.for_status(error.status_code, error.headers))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return failures.refused(wiring, guard, request, failures.for_status(500))


class _Static(StaticFiles):
    """Static files under addresses that change with their content: kept by browsers for ever."""

    def file_response(self, *args: object, **more: object) -> Response:
        response = super().file_response(*args, **more)  # type: ignore[arg-type]
        response.headers.update({**SECURITY_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"})
        return response


class _Language:
    """``?lang=`` on any page: remember the choice and go on without it, so that addresses can be shared."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and b"lang=" in scope["query_string"]
            and scope["path"].startswith("/console")
        ):
            request = Request(scope, receive)
            chosen = request.query_params.get("lang")
            if chosen in LANGUAGES:
                kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
                response = RedirectResponse(scope["path"] + (f"?{urlencode(kept)}" if kept else ""), 303)
                self._guard.keep_language(response, chosen)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
