"""Who may call a JSON route is settled before anything of the request is read, and its body read as everywhere.

A framework checks a body before it calls the route that asks for a key, so a stranger would be told what is wrong with a body instead of being
turned away. Here the key and its role come first, by the table of routes; each route asks again for itself. Then the body: it is bounded, JSON whatever
its media type says, no deeper than it can be written again, and holds nothing that no database keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from governance.access import ROUTES
from serving.admission import parse_body, refuse_nul
from serving.api import keys
from serving.api.wire import read_body
from serving.console import failures
from serving.console.ports import Refused, Wiring
from serving.errors import Problem, fault, invalid

MAX_BODY: Final = 4 * 2**20
READ_THEMSELVES: Final = frozenset({"/v1/datasets", "/v1/events", "/v1/outcomes"})
"""Routes whose body is a file, or lines, or judged item by item."""

_PART = re.compile(r"\\\{[^/]+\\\}")


def _by_method() -> Mapping[str, Sequence[tuple[re.Pattern[str], str]]]:
    found: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    # Fixed paths before those with a name in them: /v1/reviews/reasons is no decision.
    for route in sorted(ROUTES, key=lambda one: one.path.count("{")):
        if route.action is not None:
            pattern = re.compile(_PART.sub("[^/]+", re.escape(route.path)))
            found.setdefault(route.method, []).append((pattern, route.action.value))
    return found


_GUARDED: Final = _by_method()


def action_of(method: str, path: str) -> str | None:
    """What a route asks for; ``None`` when it needs no key or nobody knows it."""
    asked = "GET" if method == "HEAD" else method
    return next((action for pattern, action in _GUARDED.get(asked, ()) if pattern.fullmatch(path)), None)


class Door:
    """Middleware: 401 and 403 before the application reads what was sent, and 400, 413 and 422 for what nobody can read.

    Args:
        app: what it stands before.
        wiring: knows the keys.
    """

    def __init__(self, app: ASGIApp, wiring: Wiring) -> None:
        self._app = app
        self._wiring = wiring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or turn it away."""
        action = action_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if action is None:
            await self._app(scope, receive, send)
            return
        try:
            await run_in_threadpool(keys.require, self._wiring, Request(scope), action)
            if b"%00" in scope["query_string"] or "\0" in scope["path"]:
                part = "path" if "\0" in scope["path"] else "query"
                raise Refused(invalid([fault([part], "contains a NUL character, which no database keeps")]))
            if scope["method"] == "POST" and scope["path"] not in READ_THEMSELVES:
                scope, receive = await _with_body(scope, receive)
        except Refused as refused:
            await failures.details(refused.problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _with_body(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """The request with its body read: JSON, or nothing.

    Raises:
        Refused: 400 when it is no JSON, 413 when it is too large, 422 when it holds what cannot be kept.
    """
    body = await read_body(scope, receive, MAX_BODY)
    if isinstance(body, Problem):
        raise Refused(body)
    if body and body.strip() != b"null":
        found = parse_body(body)
        refusal = found if isinstance(found, Problem) else refuse_nul(body, found)
        if refusal is not None:
            raise Refused(refusal)
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def read_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return {**scope, "headers": [*headers, (b"content-type", b"application/json")]}, read_again
