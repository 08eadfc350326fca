"""``/v1/decisions/export`` and ``/v1/reads``, and the search where it keeps no decision waiting.

In front of the service these are told apart from the decisions' own routes (:mod:`serving.haproxy`): whoever searches, exports or looks at
who read what, does so in the console's process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from fastapi import APIRouter, Request
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from feature_store.times import TimeUnreadable, format_time, parse_time
from governance.access import Action
from governance.changes import Scribe
from governance.ledger.errors import CursorInvalid
from governance.ledger.record import Kind
from governance.ledger.searching import Filters as SearchFilters
from governance.ledger.searching import read_cursor, write_cursor
from governance.ledger.store import MAX_LIMIT, DecisionReader
from governance.ledger.vault import vault_of
from governance.reading import ReadLog, Wanted, list_reads
from serving.api import keys
from serving.console.ports import Account, Refused, Wiring
from serving.errors import Problem, fault, invalid
from serving.exporting import MEDIA, pages, write
from serving.haproxy import INTERNAL_SEARCH
from serving.lookups import Lookups
from serving.rendering import to_bytes
from serving.search_query import DEFAULT_LIMIT, read_search

log = logging.getLogger(__name__)

_END = object()
_NO_PLACE = SearchFilters()


@dataclass
class Exported:
    """One export under way."""

    account: Account
    kind: str
    asked: Mapping[str, str]
    rows: int = 0
    begun: str | None = field(default=None)

    def count(self, rows: int) -> None:
        """Add the rows of a piece."""
        self.rows += rows


class Office:
    """Writes exports down.

    Args:
        engine: of the database.
        scribe: of records.
    """

    def __init__(self, engine: Engine, scribe: Scribe) -> None:
        self.engine = engine
        self._scribe = scribe

    def begin(self, export: Exported) -> None:
        """Before the first byte: who exports what is durable."""
        export.begun = self._record(export, "begun")

    def end(self, export: Exported, state: str) -> None:
        """When it ended: ``complete``, or ``cut`` where the reader left or a failure ended it, and after how many rows."""
        self._record(export, state)

    def _record(self, export: Exported, state: str) -> str:
        at, vault = self._scribe.clock(), vault_of(self.engine)
        filters = dict(export.asked)
        for name in {"customer_id", "q"} & set(filters):  # nothing in the record names a customer
            filters[name] = next(iter(vault.spellings(filters[name])[1:]), "(told)") if vault is not None else filters[name]
        change = {
            "what": "export", "state": state, "format": export.kind, "filters": filters, "rows": export.rows, "at": format_time(at),
            "role": export.account.role, "begun": export.begun,
        }  # fmt: skip
        with self.engine.begin() as connection:
            sealed = self._scribe.record(connection, Kind.EXPORT, change, principal=export.account.principal, at=at)
        return sealed.record_id


class Streamed(Response):
    """Pieces as they are made, until the last one or until the reader has left; ``done`` is told which."""

    def __init__(self, pieces: Iterator[bytes], done: Callable[[str], None], media: str, name: str) -> None:
        super().__init__(media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._pieces = pieces
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Send them."""
        state = "cut"
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                while (piece := await run_in_threadpool(next, self._pieces, _END)) is not _END:
                    if piece:
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                state = "complete"
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._done, state)


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def routes(wiring: Wiring, office: Office, reads: ReadLog) -> APIRouter:
    """The routes.

    Args:
        wiring: knows the callers.
        office: records exports.
        reads: notes who reads.
    """
    router = APIRouter(tags=["exports"])
    reader = DecisionReader(office.engine)
    lookups = Lookups(reader, run_in_threadpool)

    @router.get(INTERNAL_SEARCH, include_in_schema=False)
    async def search(request: Request) -> Response:
        account = await run_in_threadpool(keys.require, wiring, request, Action.INSPECT.value)
        query = dict(request.query_params)
        reply = await lookups.search(query)
        if reply.status == 200:
            reads.note_as(account.principal, account.role, "search", query)
        return Response(reply.body, reply.status, dict(reply.headers), reply.media_type)

    @router.get(f"{INTERNAL_SEARCH}/export", include_in_schema=False)
    @router.get("/v1/decisions/export", response_model=None)
    def export(request: Request) -> Response:
        """Every decision that passes the filters of the search, newest first, as one file."""
        account = keys.require(wiring, request, Action.INSPECT.value)
        return start_export(account, dict(request.query_params), office, reader)

    @router.get("/v1/reads", response_model=None)
    def who_read_what(request: Request) -> Response:
        """Who read, replayed or exported what, newest first."""
        account = keys.require(wiring, request, Action.WATCH.value)
        query = dict(request.query_params)
        wanted, after, limit = _wanted(query)
        reads.flush()  # what was read until now is told
        found = list_reads(office.engine, wanted, after, limit)
        reads.note_as(account.principal, account.role, "reads", query)
        cursor = None if found.after is None else write_cursor(found.after, _NO_PLACE)
        return Response(to_bytes({"items": list(found.items), "next_cursor": cursor}), media_type="application/json")

    return router


def start_export(account: Account, query: Mapping[str, str], office: Office, reader: DecisionReader) -> Response:
    """Begin an export; its record is durable before its first byte.

    Raises:
        Refused: the query cannot be used.
    """
    asked = dict(query)
    kind = asked.pop("format", "csv")
    errors = [fault(["query", "format"], f"{kind[:40]!r} is none; there are {', '.join(MEDIA)}")] if kind not in MEDIA else []
    errors += [fault(["query", name], "an export has no pages and no count") for name in ("cursor", "limit", "count") if name in asked]
    read = read_search({name: text for name, text in asked.items() if name not in {"cursor", "limit", "count"}})
    if isinstance(read, Problem) or errors:
        raise Refused(invalid([*errors, *(read.errors if isinstance(read, Problem) else ())]))
    export = Exported(account, kind, asked)
    office.begin(export)
    pieces = write(kind, pages(reader, read.filters), export.count)
    return Streamed(pieces, lambda state: office.end(export, state), MEDIA[kind], f"decisions.{kind}")


def _wanted(query: Mapping[str, str]) -> tuple[Wanted, tuple[int, str] | None, int]:
    errors: list[dict[str, Any]] = []
    given: dict[str, Any] = {}
    after, limit = None, DEFAULT_LIMIT
    for name, text in query.items():
        try:
            if name in {"principal", "role", "what", "of"}:
                if not text or "\x00" in text:
                    raise ValueError("a text is required")
                given[name] = text
            elif name in {"since", "until"}:
                given[name] = parse_time(text)
            elif name == "limit":
                if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_LIMIT):
                    raise ValueError(f"a whole number from 1 to {MAX_LIMIT} is required")
                limit = int(text)
            elif name == "cursor":
                after = read_cursor(text, _NO_PLACE)
            else:
                raise ValueError("unknown; known are principal, role, what, of, since, until, cursor, limit")
        except (ValueError, TimeUnreadable, CursorInvalid) as error:
            errors.append(fault(["query", name], str(error)))
    if errors:
        raise Refused(invalid(errors))
    return Wanted(**given), after, limit
