"""Signing in with a key or a one-time link, and out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from serving.console.contexts import LoginPage, SignedInPage
from serving.console.guard import Guard, target_path, text_fields
from serving.console.messages import say
from serving.console.ports import Account, Refused, Wiring
from serving.console.rendering import respond
from serving.console.views import frame
from serving.console.views.frame import Visit


def routes(wiring: Wiring, guard: Guard) -> APIRouter:
    """``/console/login`` and ``/console/logout``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/console/login")
    async def show(request: Request) -> Response:
        return await _show(wiring, guard, request)

    @router.post("/console/login")
    async def sign_in(request: Request) -> Response:
        return await _sign_in(wiring, guard, request)

    @router.post("/console/logout")
    async def sign_out(request: Request) -> Response:
        fields = text_fields(await request.form(max_files=0, max_fields=8))
        if guard.session(request):
            guard.check_form(request, fields.get("form_token"))
        response = RedirectResponse("/console/login", 303)
        guard.close_session(response)
        return response

    return router


async def _show(wiring: Wiring, guard: Guard, request: Request) -> Response:
    token = request.query_params.get("token")
    target = target_path(request.query_params.get("target"))
    account = await run_in_threadpool(wiring.accounts.consume_login, token) if token else None
    if account:
        return _signed_in(wiring, guard, request, account, target)
    if await run_in_threadpool(guard.session, request):
        return RedirectResponse(target, 303)
    if token:
        return _form(wiring, guard, request, say(guard.language(request), "login.link_used"))
    ended = say(guard.language(request), "login.ended") if guard.had_session(request) else ""
    return _form(wiring, guard, request, ended, tone="hold")


async def _sign_in(wiring: Wiring, guard: Guard, request: Request) -> Response:
    fields = text_fields(await request.form(max_files=0, max_fields=8))
    target = fields.get("target")
    if not _fits(guard, request, fields):
        return _form(wiring, guard, request, say(guard.language(request), "login.stale"), status=403, target=target)
    account = await run_in_threadpool(wiring.accounts.authenticate, fields.get("key", "").strip())
    if account is None:
        return _form(wiring, guard, request, say(guard.language(request), "login.wrong"), status=401, target=target)
    return _signed_in(wiring, guard, request, account, target_path(target))


def _fits(guard: Guard, request: Request, fields: dict[str, str]) -> bool:
    try:
        guard.check_form(request, fields.get("form_token"))
    except Refused:
        return False
    return True


def _form(
    wiring: Wiring, guard: Guard, request: Request, problem: str, *, status: int = 200, target: str | None = None, tone: str = "bad"
) -> Response:
    nonce = guard.open_visit()
    visit = Visit(guard.language(request), "/console/login", request.url.query, None, wiring.signer.form_token(nonce))
    page = LoginPage(
        frame.build(visit, say(visit.language, "login.title"), wiring.accounts.may),
        problem,
        tone if problem else "",
        target_path(target or request.query_params.get("target")),
    )
    response = respond(page, status)
    guard.keep_visit(response, nonce)
    return response


def _signed_in(wiring: Wiring, guard: Guard, request: Request, account: Account, target: str) -> Response:
    session = wiring.signer.open(account.principal, account.role, key_hash=account.key_hash, at=wiring.now())
    visit = Visit(guard.language(request), "/console", "", session, wiring.signer.form_token(session.nonce))
    page = SignedInPage(frame.build(visit, say(visit.language, "login.done"), wiring.accounts.may), target)
    response = respond(page)
    guard.open_session(response, session)
    return response
