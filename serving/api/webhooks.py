"""``/v1/webhooks``: who outside is told of what happens here, what they did not take, and telling it again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine
from starlette.responses import JSONResponse, Response

from feature_store.order import Moment
from feature_store.times import Millis, format_time
from governance import webhooks
from governance.access import Action
from governance.changes import Scribe
from governance.ledger.ids import new_record_id
from governance.outbox import TEXTS, Notice
from governance.webhooks import MAX_PAGE, Backlog, Delivery, Endpoint, WebhookRefused, WebhookUnknown
from serving.api import keys
from serving.console.ports import Account, Refused, Wiring
from serving.errors import Problem, ProblemKind, fault, invalid, not_found
from serving.webhooks.addresses import AddressRefused, Networks, check_url
from serving.webhooks.secrets import Vault, new_secret

NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Office:
    """What the routes work with."""

    engine: Engine
    scribe: Scribe
    vault: Vault
    networks: Networks


class WebhookBody(BaseModel):
    """Who is to be told of what."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2_048, description="https; plain http for loopback alone")]
    events: Annotated[list[str], Field(max_length=len(Notice), description="what it is told of; empty for everything")] = []
    description: Annotated[str, Field(max_length=500)] = ""


class ReplayBody(BaseModel):
    """What to send again: exactly one of the three."""

    model_config = ConfigDict(extra="forbid")

    message_id: Annotated[str | None, Field(max_length=96, description="one message, whatever became of it")] = None
    all: Annotated[bool, Field(description="every dead letter")] = False
    since: Annotated[Moment | None, Field(description="everything that was recorded since then")] = None


def routes(wiring: Wiring, office: Office) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["webhooks"])
    _endpoints(router, wiring, office)
    _letters(router, wiring, office)
    return router


def _endpoints(router: APIRouter, wiring: Wiring, office: Office) -> None:
    @router.get("/v1/webhooks", response_model=None)
    def listing(request: Request) -> Response:
        """Every webhook with how far it is, and everything that can be told."""
        _account(wiring, request)
        told, at = webhooks.backlogs(office.engine), wiring.now()
        items = [webhook_json(one, told.get(one.endpoint_id), at) for one in webhooks.listed(office.engine)]
        return _json({"items": items, "events": [{"type": notice.value, "text": text} for notice, text in TEXTS.items()]})

    @router.post("/v1/webhooks", response_model=None)
    def create(request: Request, body: WebhookBody) -> Response:
        """Make a webhook. Its secret is answered once and cannot be shown again."""
        account = _account(wiring, request)
        events = _events(body.events)
        try:
            url = check_url(body.url, office.networks)
        except AddressRefused as error:
            raise Refused(invalid([fault(["url"], str(error))])) from error
        endpoint_id, secret = new_record_id(), new_secret()
        try:
            made = webhooks.create(
                office.engine, office.scribe, endpoint_id=endpoint_id, url=url, events=events, description=body.description,
                sealed=office.vault.seal(endpoint_id, secret), principal=account.principal,
            )  # fmt: skip
        except WebhookRefused as error:
            raise Refused(Problem(ProblemKind.CONFLICT, str(error))) from error
        return _json({**webhook_json(made, Backlog(0, 0, 0), wiring.now()), "secret": secret}, 201)

    @router.get("/v1/webhooks/{webhook_id}", response_model=None)
    def one(request: Request, webhook_id: str) -> Response:
        """One webhook with how far it is."""
        _account(wiring, request)
        return _shown(wiring, office, webhook_id)

    @router.delete("/v1/webhooks/{webhook_id}", response_model=None)
    def remove(request: Request, webhook_id: str) -> Response:
        """Remove a webhook, its secret, and all that waits for it."""
        account = _account(wiring, request)
        with _known():
            removed = webhooks.remove(office.engine, office.scribe, webhook_id, account.principal)
        return _json({**webhook_json(removed, None, wiring.now()), "state": "removed"})

    @router.post("/v1/webhooks/{webhook_id}/enable", response_model=None)
    def enable(request: Request, webhook_id: str) -> Response:
        """Tell a disabled webhook again, from where it stopped."""
        account = _account(wiring, request)
        with _known():
            webhooks.enable(office.engine, office.scribe, webhook_id, account.principal)
        return _shown(wiring, office, webhook_id)

    @router.post("/v1/webhooks/{webhook_id}/secret", response_model=None)
    def renew(request: Request, webhook_id: str) -> Response:
        """Give a webhook a new secret; for a day the one before signs as well."""
        account, secret = _account(wiring, request), new_secret()
        sealed = office.vault.seal(webhook_id, secret)
        with _known():
            made = webhooks.renew_secret(office.engine, office.scribe, webhook_id, sealed, account.principal)
        told = webhooks.backlogs(office.engine).get(webhook_id)
        return _json({**webhook_json(made, told, wiring.now()), "secret": secret})


def _letters(router: APIRouter, wiring: Wiring, office: Office) -> None:
    @router.get("/v1/webhooks/{webhook_id}/dead-letters", response_model=None)
    def dead_letters(
        request: Request,
        webhook_id: str,
        cursor: Annotated[str | None, Query(max_length=96, description="Where the page before ended: its next_cursor.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Messages on a page.", examples=[100])] = 100,
    ) -> Response:
        """Messages that were given up, and why."""
        _account(wiring, request)
        with _known():
            found = webhooks.dead_letters(office.engine, webhook_id, cursor, limit + 1)
        page = found[:limit]
        return _json({"items": [letter_json(one) for one in page], "next_cursor": page[-1].message_id if len(found) > limit else None})

    @router.post("/v1/webhooks/{webhook_id}/replay", response_model=None)
    def replay(request: Request, webhook_id: str, body: ReplayBody) -> Response:
        """Send again: one message, all dead letters, or everything since a time. Receivers know repeated messages by their ids."""
        account = _account(wiring, request)
        if sum((body.message_id is not None, body.all, body.since is not None)) != 1:
            raise Refused(invalid([fault([], "say exactly one of message_id, all and since")]))
        with _known():
            if body.message_id is not None:
                webhooks.replay_one(office.engine, office.scribe, webhook_id, body.message_id, account.principal)
                replayed = {"messages": 1}
            elif body.since is not None:
                replayed = {"records": webhooks.replay_from(office.engine, office.scribe, webhook_id, body.since, account.principal)}
            else:
                replayed = {"messages": webhooks.replay_dead(office.engine, office.scribe, webhook_id, account.principal)}
        return _json({"webhook_id": webhook_id, "messages": None, "records": None, **replayed}, 202)


def webhook_json(one: Endpoint, backlog: Backlog | None, at: Millis) -> dict[str, Any]:
    """A webhook as JSON; its secret is not in it."""
    return {
        "webhook_id": one.endpoint_id,
        "url": one.url,
        "events": sorted(one.events),
        "description": one.description,
        "state": one.state.value,
        "disabled_at": _time(one.disabled_at),
        "disabled_because": one.disabled_because,
        "created_by": one.created_by,
        "created_at": format_time(one.created_at),
        "delivered": one.delivered,
        "delivered_at": _time(one.delivered_at),
        "failed_at": _time(one.failed_at),
        "failure": one.failure,
        "records_behind": 0 if backlog is None else backlog.behind,
        "waiting": 0 if backlog is None else backlog.waiting,
        "dead_letters": 0 if backlog is None else backlog.dead,
        "old_secret_until": _time(one.secret_until) if len(one.signing(at)) > 1 else None,
        "links": {"self": f"/v1/webhooks/{one.endpoint_id}", "dead_letters": f"/v1/webhooks/{one.endpoint_id}/dead-letters"},
    }


def letter_json(one: Delivery) -> dict[str, Any]:
    """A message that was not taken, as JSON."""
    return {
        "message_id": one.message_id,
        "event": one.event,
        "sequence": one.seq,
        "attempts": one.attempts,
        "first_at": format_time(one.first_at),
        "last_at": format_time(one.last_at),
        "status": one.status,
        "error": one.error,
    }


def _events(names: Collection[str]) -> frozenset[Notice]:
    known = set(Notice)
    wrong = [
        fault(["events", index], f"{name!r} is none of {', '.join(sorted(known))}") for index, name in enumerate(names) if name not in known
    ]
    if wrong:
        raise Refused(invalid(wrong))
    return frozenset(Notice(name) for name in names)


def _shown(wiring: Wiring, office: Office, webhook_id: str) -> Response:
    with _known():
        found = webhooks.find(office.engine, webhook_id)
    return _json(webhook_json(found, webhooks.backlogs(office.engine).get(webhook_id), wiring.now()))


@contextmanager
def _known() -> Iterator[None]:
    try:
        yield
    except WebhookUnknown as error:
        raise Refused(not_found(str(error))) from error


def _account(wiring: Wiring, request: Request) -> Account:
    return keys.require(wiring, request, Action.ADMINISTER.value)


def _time(at: Millis | None) -> str | None:
    return None if at is None else format_time(at)


def _json(told: Any, status: int = 200) -> Response:
    return JSONResponse(told, status, headers=NO_STORE)
