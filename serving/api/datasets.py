"""``POST /v1/datasets``: hand a table in as the body itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from serving.api import keys
from serving.console import uploads
from serving.console.ports import Purpose, Refused, Wiring
from serving.console.views.frame import TRAIN
from serving.errors import fault, invalid


def routes(wiring: Wiring) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["datasets"])

    @router.post("/v1/datasets", status_code=201, response_model=None)
    async def accept(
        request: Request,
        template: Annotated[str, Query(description="what the table is for")] = "custom",
        name: Annotated[str | None, Query(description="the file's name", max_length=200)] = None,
    ) -> Response:
        """Take a CSV file (the body itself, plain or gzip), store it by its SHA-256 and say what it holds and what is wrong with it."""
        account = await run_in_threadpool(keys.require, wiring, request, TRAIN)
        known = [it.name for it in await run_in_threadpool(wiring.workbench.templates)]
        if template not in known:
            raise Refused(invalid([fault(["query", "template"], f"unknown; one of {', '.join(known)}")]))
        filename = uploads.filename_of(name)
        dataset = await uploads.from_body(wiring, request, filename=filename, template=template, principal=account.principal)
        report = await run_in_threadpool(wiring.workbench.check, dataset.dataset_id, Purpose(template))
        body: dict[str, Any] = {
            "dataset_id": dataset.dataset_id,
            "sha256": dataset.sha256,
            "rows": dataset.rows,
            "report": {key: value for key, value in report.items() if key != "distributions"},
        }
        return JSONResponse(body, 201, {"Location": f"/console/train/datasets/{dataset.dataset_id}"})

    return router
