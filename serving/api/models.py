"""``/v1/models``: the versions that exist, and one of them with its card."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from feature_store.times import format_time
from serving.api import keys
from serving.console.ports import ModelFacts, Refused, Wiring
from serving.console.views.frame import MODELS
from serving.errors import not_found


def routes(wiring: Wiring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models", response_model=None)
    def listing(request: Request) -> Response:
        """Every model version, newest first, with what it is used for."""
        keys.require(wiring, request, MODELS)
        return JSONResponse({"items": [told(model) for model in wiring.models.all()]})

    @router.get("/v1/models/{name}/versions/{version}", response_model=None)
    def one(request: Request, name: str, version: keys.PathVersion) -> Response:
        """One version with its report and, for a custom type, the schema of its rows."""
        keys.require(wiring, request, MODELS)
        model = wiring.models.get(name, version)
        if model is None:
            raise Refused(not_found(f"There is no version {version} of a model {name!r}."))
        body = {**told(model), "report": dict(model.report), "request_schema": wiring.models.request_schema(name, version)}
        return JSONResponse(body)

    return router


def told(model: ModelFacts) -> dict[str, Any]:
    """A version as JSON."""
    return {
        "name": model.name,
        "version": model.version,
        "type": model.type,
        "template": model.template,
        "digest": model.digest,
        "aliases": list(model.aliases),
        "created_by": model.created_by,
        "created_at": format_time(model.created_at),
        "links": {"self": f"/v1/models/{model.name}/versions/{model.version}", "decide": f"/v1/decisions/{model.type}"},
    }
