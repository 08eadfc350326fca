"""From a page's context to HTML. A template sees ``page``, ``t`` (the catalogue in the reader's language) and nothing else."""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from serving.console import contexts
from serving.console.messages import say

HERE = Path(__file__).parent
STATIC = HERE / "static"

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

Page = (
    contexts.DecisionPage
    | contexts.DecisionsPage
    | contexts.OrderPage
    | contexts.TrainPage
    | contexts.DatasetPage
    | contexts.TrainingPage
    | contexts.ModelsPage
    | contexts.LoginPage
    | contexts.SignedInPage
    | contexts.ErrorPage
    | contexts.ReferencePage
    | contexts.FeaturesPage
    | contexts.HealthPage
    | contexts.LedgerPage
)


@cache
def environment(language: str) -> Environment:
    """The templates in one language; a name that a context does not have is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals = {"t": partial(say, language), "asset": asset}
    return made


@cache
def asset(name: str) -> str:
    """The address of a static file; it changes with its content, so browsers may keep it for ever."""
    return f"/console/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def html(page: Page) -> str:
    """The page as HTML."""
    return environment(page.frame.language).get_template(page.TEMPLATE).render(page=page)


def respond(page: Page, status: int = 200) -> Response:
    """The page as a response that no cache keeps."""
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-store", "Content-Language": page.frame.language}
    return Response(html(page), status, headers, media_type="text/html")
