"""``/v1/ledger``: the log in the formats that other people's tools read (c2sp.org/tlog-tiles), and the proof of a record.

Checkpoint, tiles and key need no key of ours: the leaves hold no personal data, and an outsider has to be able to check.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from feature_store.times import Millis, format_time, now
from governance.access import Action, Role
from governance.ledger.errors import LogCorrupt, TileInvalid
from governance.ledger.published import PublishedLog, RecordUnknown
from serving.api import keys
from serving.checks import Result, newest
from serving.console.ports import Refused, Wiring
from serving.errors import Problem, ProblemKind, not_found, unavailable
from serving.log_keeper import LogKeeper

FOR_EVER = "public, max-age=31536000, immutable"
A_MOMENT = "public, max-age=1"


def routes(wiring: Wiring, log: PublishedLog, keeper: LogKeeper | None = None, *, clock: Callable[[], Millis] = now) -> APIRouter:
    """The routes; ``keeper`` leads the log in this process, if one does."""
    router = APIRouter(tags=["ledger"])
    _open_to_all(router, log)

    @router.get("/v1/ledger/proof/{record_id}")
    def proof(request: Request, record_id: str) -> Response:
        """The record's inclusion in the newest checkpoint, as a ``.tlog-proof``."""
        account = keys.require(wiring, request, Action.READ_DECISION.value)
        try:
            place = log.place(record_id)
        except RecordUnknown as error:
            raise Refused(not_found(str(error))) from error
        if account.role == Role.OMS and place.principal != account.principal:
            raise Refused(not_found(f"There is no record {record_id!r}."))
        try:
            made = log.prove(place)
        except LogCorrupt as error:
            detail = f"The log does not fit together: {error}. Run `ordinance verify`."
            raise Refused(Problem(ProblemKind.INTERNAL, detail)) from error
        if made is None:
            detail = f"The record is promised for {format_time(place.publish_by)}; no checkpoint covers it yet."
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, detail, max(1.0, (place.publish_by - clock()) / 1000)))
        name = f'attachment; filename="{record_id}.tlog-proof"'
        return Response(made, headers={"Content-Disposition": name}, media_type="text/plain; charset=utf-8")

    @router.get("/v1/ledger/status")
    def status(request: Request) -> Response:
        """How far the log is, and how far behind."""
        keys.require(wiring, request, Action.WATCH.value)
        told = log.status(clock())
        body = {
            "origin": told.origin,
            "key": told.key,
            "size": told.size,
            "root": None if told.root is None else b64encode(told.root).decode(),
            "published_at": None if told.published_at is None else format_time(told.published_at),
            "records_not_integrated": told.waiting,
            "records_overdue": told.overdue,
            "refusal": None if keeper is None else keeper.refusal,
            "verification": _verification(newest(log.engine)),
        }
        return Response(orjson.dumps(body), headers={"Cache-Control": "no-store"}, media_type="application/json")

    return router


def _verification(last: Result | None) -> dict[str, Any] | None:
    """The last check of the log."""
    if last is None:
        return None
    return {
        "checked_at": format_time(last.started_at),
        "in_order": last.finding is None,
        "finding": None if last.finding is None else last.finding.detail,
        "whole": last.whole,
        "size": last.verified.size,
        "records": last.verified.records,
        "took_ms": last.verified.took_ms,
    }


def _open_to_all(router: APIRouter, log: PublishedLog) -> None:
    """What needs no key."""

    @router.get("/v1/ledger/checkpoint", response_class=PlainTextResponse)
    def checkpoint(cosigned: bool = False) -> Response:
        """The signed size and root of the log, as a note; with ``cosigned`` the newest that witnesses signed as well."""
        raw = log.cosigned() if cosigned else log.checkpoint()
        if raw is None and cosigned:
            raise Refused(not_found("No witness has cosigned this log."))
        if raw is None:
            raise Refused(
                unavailable(ProblemKind.UNAVAILABLE, "Nothing was published yet; the first checkpoint follows within seconds.", 1)
            )
        return Response(raw, headers={"Cache-Control": A_MOMENT}, media_type="text/plain; charset=utf-8")

    @router.get("/v1/ledger/tile/{path:path}")
    def tile(path: str) -> Response:
        """A tile of hashes or a bundle of entries; neither ever changes."""
        try:
            raw = log.tile(f"tile/{path}")
        except TileInvalid as error:
            raise Refused(not_found(f"{error}. The checkpoint says which tiles there are.")) from error
        return Response(raw, headers={"Cache-Control": FOR_EVER}, media_type="application/octet-stream")

    @router.get("/v1/ledger/key", response_class=PlainTextResponse)
    def key() -> Response:
        """The key that signs checkpoints and receipts, as notes write it."""
        return PlainTextResponse(f"{log.key}\n", headers={"Cache-Control": "public, max-age=3600"})
