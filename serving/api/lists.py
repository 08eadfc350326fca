"""``/v1/lists``: who or what is on the allow and block lists."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from starlette.responses import JSONResponse, Response

from feature_store.order import Moment
from feature_store.times import Millis, format_time
from governance import lists
from governance.access import Action
from governance.lists import Entry, EntryUnknown, ListRefused, NewEntry
from serving.api import keys
from serving.api.policies import controls_of
from serving.console.ports import Refused, Wiring
from serving.errors import fault, invalid, not_found

MAX_AT_ONCE = 1_000
MAX_PAGE = 500


class EntryBody(BaseModel):
    """One entry; it counts for every decision type that looks at lists, or for those of ``types``."""

    model_config = ConfigDict(extra="forbid")

    list: Annotated[str, Field(description="allow or block")]
    kind: Annotated[str, Field(description=f"what is named: {', '.join(lists.KINDS)}")]
    value: Annotated[str, Field(max_length=512, description="as orders name it; of a card its token")]
    reason: Annotated[str, Field(max_length=2_000)]
    expires_at: Annotated[Moment | None, Field(description="until when it counts; without it, until it is removed")] = None
    types: Annotated[tuple[str, ...], Field(max_length=16)] = ()

    def entry(self) -> NewEntry:
        """As the lists take it."""
        return NewEntry(self.list, self.kind, self.value, self.reason, self.expires_at, self.types)


class EntriesBody(BaseModel):
    """Several entries, added together or not at all."""

    model_config = ConfigDict(extra="forbid")

    entries: Annotated[list[EntryBody], Field(min_length=1, max_length=MAX_AT_ONCE)]


def _which(body: object) -> str:
    return "EntriesBody" if isinstance(body, EntriesBody) or (isinstance(body, dict) and "entries" in body) else "EntryBody"


OneOrMany = Annotated[Annotated[EntryBody, Tag("EntryBody")] | Annotated[EntriesBody, Tag("EntriesBody")], Discriminator(_which)]
"""Told apart by ``entries``, so that only one of them says what is wrong."""


def routes(wiring: Wiring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["lists"])
    _reading(router, wiring)

    @router.post("/v1/lists", response_model=None)
    def add(request: Request, body: OneOrMany) -> Response:
        """Add an entry, or up to 1,000 as ``{"entries": [...]}``; each is a record."""
        account = keys.require(wiring, request, Action.WRITE_POLICY.value)
        controls = controls_of(wiring)
        several = isinstance(body, EntriesBody)
        wanted = [one.entry() for one in body.entries] if isinstance(body, EntriesBody) else [body.entry()]
        try:
            added = lists.add_entries(controls.engine, controls.scribe, wanted, account.principal)
        except ListRefused as error:
            faults = [fault(("entries", index, name) if several else (name,), msg) for index, name, msg in error.errors]
            raise Refused(invalid(faults)) from error
        told = [{**entry_json(entry), "new": new} for entry, new in added]
        status = 201 if any(new for _, new in added) else 200
        return JSONResponse({"items": told, "added": sum(new for _, new in added)} if several else told[0], status)

    @router.delete("/v1/lists/{entry_id}", response_model=None)
    def remove(request: Request, entry_id: str, reason: Annotated[str, Query(max_length=2_000)] = "") -> Response:
        """Take an entry off its list; the next decision does not see it any more."""
        account = keys.require(wiring, request, Action.WRITE_POLICY.value)
        controls = controls_of(wiring)
        try:
            removed = lists.remove_entry(controls.engine, controls.scribe, entry_id, reason=reason, principal=account.principal)
        except EntryUnknown as error:
            raise Refused(not_found(str(error.args[0]))) from error
        return JSONResponse(entry_json(removed))

    return router


def _reading(router: APIRouter, wiring: Wiring) -> None:
    @router.get("/v1/lists", response_model=None)
    def listing(  # noqa: PLR0917 - a list has as many filters as it has
        request: Request,
        list: str | None = None,  # noqa: A002 - the word of the contract
        kind: str | None = None,
        value: str | None = None,
        all: bool = False,  # noqa: A002 - a query's parameter
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> Response:
        """Entries in force, newest first; with ``all`` also those that expired or were removed."""
        keys.require(wiring, request, Action.WRITE_POLICY.value)
        controls = controls_of(wiring)
        asked = None if value is None else lists.written(kind or "", value)
        after = None if cursor is None else _read_cursor(cursor)
        found = lists.entries(
            controls.engine, wiring.now(), name=list, kind=kind, value=asked, everything=all, after=after, limit=limit + 1
        )
        more = len(found) > limit
        page = found[:limit]
        return JSONResponse({"items": [entry_json(one) for one in page], "next_cursor": _write_cursor(page[-1]) if more else None})

    @router.get("/v1/lists/{entry_id}", response_model=None)
    def one(request: Request, entry_id: str) -> Response:
        """One entry, also one that does not count any more: decisions name it."""
        keys.require(wiring, request, Action.WRITE_POLICY.value)
        found = lists.find_entry(controls_of(wiring).engine, entry_id)
        if found is None:
            raise Refused(not_found(f"There is no list entry {entry_id!r}."))
        return JSONResponse(entry_json(found))


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry as JSON."""
    return {
        "entry_id": entry.entry_id,
        "list": entry.list,
        "kind": entry.kind,
        "value": entry.value,
        "types": [*entry.types],
        "reason": entry.reason,
        "expires_at": _time(entry.expires_at),
        "added_by": entry.added_by,
        "added_at": format_time(entry.added_at),
        "removed_by": entry.removed_by,
        "removed_at": _time(entry.removed_at),
        "record_id": entry.record_id,
        "links": {"self": f"/v1/lists/{entry.entry_id}"},
    }


def _time(at: Millis | None) -> str | None:
    return None if at is None else format_time(at)


def _write_cursor(entry: Entry) -> str:
    return base64.urlsafe_b64encode(f"{entry.added_at} {entry.entry_id}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[Millis, str]:
    try:
        at, _, entry_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        return int(at), entry_id
    except (ValueError, binascii.Error) as error:
        raise Refused(invalid([fault(["query", "cursor"], "was not handed out by this list; start again without one")])) from error
