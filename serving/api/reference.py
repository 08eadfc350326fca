"""``/openapi.json``: the contract as programs read it. Without a key on loopback, with any valid key elsewhere."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from models.specs import DecisionType
from serving.api import contract
from serving.console.ports import Refused, Wiring
from serving.errors import unauthenticated

CHAMPION = "champion"


class Reference:
    """The document of this moment; made anew only when another custom type is in service."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._made: tuple[tuple[tuple[str, str], ...], dict[str, Any]] | None = None

    def document(self, console: FastAPI) -> dict[str, Any]:
        """The document of an application and the published types."""
        built_in = set(DecisionType)
        published = [one for one in self._wiring.models.all() if CHAMPION in one.aliases and one.type not in built_in]
        state = tuple(sorted((one.type, one.digest) for one in published))
        if self._made is None or self._made[0] != state:
            custom = {}
            for one in published:
                schema = self._wiring.models.request_schema(one.name, one.version)
                if schema is not None:
                    custom[one.type] = (schema, self._wiring.models.example(one.name, one.version) or {})
            self._made = (state, contract.openapi(console, custom))
        return self._made[1]


def open_to_all(wiring: Wiring) -> bool:
    """Whether the service is reached by this machine only, so that its contract may be read without a key.

    It must listen on loopback and call itself so: behind a proxy it listens on loopback too, and an address is only what somebody says.
    """
    return _is_loopback(wiring.bound_host) and _is_loopback(urlsplit(wiring.base_url).hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def routes(wiring: Wiring, reference: Reference) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get("/openapi.json", response_model=None)
    def document(request: Request) -> Response:
        """OpenAPI 3.1 of every JSON route."""
        if not open_to_all(wiring):
            _require_key(wiring, request)
        body = orjson.dumps(reference.document(request.app))
        return Response(body, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}, media_type="application/json")

    return router


def _require_key(wiring: Wiring, request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or wiring.accounts.authenticate(key.strip()) is None:
        raise Refused(unauthenticated())
