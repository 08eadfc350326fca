"""What cannot be shown or done, as a page for people and as problem details for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from serving.console import contexts, texts
from serving.console.guard import Guard
from serving.console.messages import say, say_or
from serving.console.ports import Wiring
from serving.console.rendering import respond
from serving.console.views import frame, problems
from serving.console.views.frame import Visit
from serving.errors import MEDIA_TYPE, Problem, ProblemKind, invalid, merged

_UNEXPECTED = "The failure was logged; nothing was changed by it. Try again in a moment."
_TEXTS = {
    404: "Nothing lives at this address. It may be mistyped, or what it named is not on this home.",
    405: "This address exists, but not for this method.",
    413: "The body is too large.",
}
_KINDS = {
    400: ProblemKind.INVALID,
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD,
    413: ProblemKind.TOO_LARGE,
    422: ProblemKind.INVALID,
}


def refused(wiring: Wiring, guard: Guard, request: Request, problem: Problem) -> Response:
    """A refusal in the form that the caller reads: a page under ``/console``, problem details elsewhere."""
    if not request.url.path.startswith("/console") or request.headers.get("accept", "").startswith("application/"):
        return details(problem)
    response = page(wiring, guard.visit(request), problem)
    response.headers.update(problem.headers)
    return response


def details(problem: Problem) -> Response:
    """Problem details."""
    return Response(problem.to_bytes(), problem.status, {"Cache-Control": "no-store", **problem.headers}, media_type=MEDIA_TYPE)


def page(wiring: Wiring, visit: Visit, problem: Problem) -> Response:
    """The refusal as a page: what happened and what to do."""
    language = visit.language
    heading = say_or(language, f"error.{problem.status}", say(language, "error.500"))
    return respond(
        contexts.ErrorPage(
            frame=frame.build(visit, heading, wiring.accounts.may),
            status=problem.status,
            heading=heading,
            text=_text(wiring, language, problem),
            problems=tuple(problems.row(language, error) for error in problem.errors),
            action_href="/console",
            action_label=say(language, "error.home"),
        ),
        problem.status,
    )


def _text(wiring: Wiring, language: str, problem: Problem) -> str:
    """What happened and what to do; what the framework alone refused is told in the reader's language."""
    if problem.detail == _UNEXPECTED:
        return say(language, "error.500.text")
    if problem.detail == _TEXTS.get(problem.status):
        return say(language, f"error.{problem.status}.text", size=texts.size(wiring.max_upload_bytes))
    if problem.errors:
        return say(language, "error.422.text")
    return texts.speak(problem.detail, language)


def role_refused(wiring: Wiring, visit: Visit) -> Response:
    """403: which role the reader has, and how to come in with another."""
    language = visit.language
    role = visit.session.role if visit.session else ""
    heading = say(language, "error.403")
    return respond(
        contexts.ErrorPage(
            frame=frame.build(visit, heading, wiring.accounts.may),
            status=403,
            heading=heading,
            text=say(language, "error.403.text", role=say_or(language, f"role.{role}", role)),
            problems=(),
            action_href="/console",
            action_label=say(language, "error.home"),
        ),
        403,
    )


def for_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """What the framework refuses by status alone; ``headers`` are those it sends with it, such as ``Allow``."""
    kind = _KINDS.get(status, ProblemKind.INTERNAL)
    return Problem(kind, _TEXTS.get(status, _UNEXPECTED), headers=headers or {})


def validation(error: RequestValidationError) -> Problem:
    """The framework's findings about a request."""
    found = error.errors()
    return invalid(merged((_place(one["loc"]), _sentence(one)) for one in found))


def _place(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where in the body; the body itself when it is missing."""
    return tuple(part for part in loc if part != "body") or loc


def _sentence(found: Mapping[str, Any]) -> str:
    return {"missing": "required", "extra_forbidden": "unknown field"}.get(str(found.get("type")), str(found.get("msg", "")))
