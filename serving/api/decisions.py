"""The routes that decide, and those that show a decision: a plain ASGI application.

Not FastAPI: its routing and validation cost a third of the throughput. A route is a method here; what it means is told in
:mod:`serving.answer` and :mod:`serving.lookups`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

from governance.access import AccessUnavailable, Action, Principal
from governance.reading import ReadLog
from serving.admission import ORDERS, Ask, parse_body, unknown_type
from serving.again import Again
from serving.answer import Answerer, Reply, refuse
from serving.api.schemas import MAX_BATCH
from serving.api.wire import Receive, Scope, Send, bearer, header, read_body, send_reply, serve_lifespan
from serving.errors import Problem, ProblemKind, fault, invalid, not_found, unauthenticated, unavailable
from serving.force import Force
from serving.haproxy import INTERNAL_ORDERS
from serving.lookups import Lookups
from serving.rendering import to_bytes
from serving.reviewing import Reviewing

log = logging.getLogger(__name__)

MEBIBYTE = 2**20
MAX_BODY = 4 * MEBIBYTE
MAX_BATCH_BODY = 64 * MEBIBYTE
MAX_SMALL_BODY = 64 * 1024
MAX_REQUEST_ID = 255
BATCH_AT_ONCE = 32
"""Items of one batch that are under way together: enough to share commits, few enough to let others in between."""

LOOKUP_S = 2.0
"""How long an unknown key may be looked up."""

DECISIONS = "/v1/decisions/"
ORDERS_PATH = "/v1/orders/"
READY_PATH = DECISIONS + "-/ready"
"""What this process has loaded: for the service's own readiness, no key asked for."""


AGAIN: Mapping[str, tuple[str, Action]] = {
    "replay": ("POST", Action.INSPECT), "what-if": ("POST", Action.WHAT_IF), "recourse": ("GET", Action.WHAT_IF),
}  # fmt: skip
"""What computes a past decision again: the last part of the path, its method, and what it asks for."""


class Keys(Protocol):
    """Who calls (:class:`governance.access.Access`)."""

    def known(self, key: str) -> Principal | None:
        """Whose key it is, from memory; ``None`` when it is not there. Raises ``AccessUnavailable``."""

    def authenticate(self, key: str) -> Principal | None:
        """The same, after a look into the database where that is needed; may wait for it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request of an authenticated caller."""

    caller: Principal
    request_id: str | None
    started: float
    scope: Scope
    receive: Receive

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; the last of a name counts."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))


class DecisionsApp:
    """ASGI application for ``/v1/decisions`` and ``/v1/orders``.

    Args:
        answerer: decides.
        lookups: shows what was decided.
        keys: knows the callers.
        force: models and policies, for readiness.
        echoes: whether to send the caller's ``X-Request-Id`` back; ``False`` behind a server that does so itself.
        again: computes past decisions again; ``None`` where nothing is kept to do so.
        reviewing: lets people settle decisions.
        reads: is told what those who judge read.
    """

    def __init__(
        self,
        answerer: Answerer,
        lookups: Lookups,
        keys: Keys,
        force: Callable[[], Force],
        *,
        echoes: bool = True,
        again: Again | None = None,
        reviewing: Reviewing | None = None,
        reads: ReadLog | None = None,
    ) -> None:
        self._answerer = answerer
        self._lookups = lookups
        self._keys = keys
        self._force = force
        self._echoes = echoes
        self._again = again
        self._reviewing = reviewing
        self._reads = reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await serve_lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        try:
            reply = await self._serve(scope, receive, request_id, started)
        except Exception:
            log.exception("a request failed")
            reply = refuse(Problem(ProblemKind.INTERNAL, "The failure was logged. The same request may be sent again with the same key."))
        await send_reply(send, reply, request_id if self._echoes else None)

    async def _serve(self, scope: Scope, receive: Receive, request_id: str | None, started: float) -> Reply:
        path = _path(scope)
        if path == READY_PATH and scope["method"] in {"GET", "HEAD"}:
            return Reply(200, to_bytes({**self._force().to_json(), **self._answerer.health(), "replica": str(os.getpid())}))
        key = bearer(scope)
        try:
            caller = await self._caller(key) if key is not None else None
        except AccessUnavailable as error:
            return refuse(unavailable(ProblemKind.UNAVAILABLE, str(error), 5))
        if caller is None:
            return refuse(unauthenticated())
        call = Call(caller, request_id, started, scope, receive)
        reply = await self._route(path, call)
        if self._reads is not None and not caller.sees_only_own and reply.status == 200:
            note_read(self._reads, call, path)
        return reply

    async def _caller(self, key: str) -> Principal | None:
        """Whose key it is. One that nobody knows may have been made a moment ago: that is looked up beside the loop."""
        caller = self._keys.known(key)
        if caller is not None:
            return caller
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await asyncio.to_thread(self._keys.authenticate, key)
        except TimeoutError as error:
            raise AccessUnavailable("This key is unknown, and the database does not answer whether it is new.") from error

    async def _route(self, path: str, call: Call) -> Reply:
        if path.startswith(DECISIONS):
            return await self._below_decisions(path[len(DECISIONS) :], call)
        if path == DECISIONS[:-1]:
            return await self._read(call, Action.INSPECT, lambda: self._lookups.search(call.query))
        if path == ORDERS_PATH + "decide":
            return await self._decide(call, ORDERS)
        if path.startswith(ORDERS_PATH) and path.endswith("/timeline"):
            order_id = path[len(ORDERS_PATH) : -len("/timeline")]
            return await self._read(call, Action.INSPECT, lambda: self._lookups.timeline(order_id))
        return refuse(not_found(f"There is nothing at {path}."))

    async def _below_decisions(self, rest: str, call: Call) -> Reply:
        first, _, second = rest.partition("/")
        if not second:
            return await self._decide_or_read(first, call)
        if second == "batch" and first != ORDERS:
            return await self._batch(call, first)
        if second == "explanation":
            return await self._read(call, Action.INSPECT, lambda: self._lookups.explanation(first, call.query))
        if self._again is not None and second in AGAIN:
            return await self._compute_again(self._again, call, first, second)
        if second == "override" and self._reviewing is not None:
            return await self._override(self._reviewing, call, first)
        return refuse(not_found(f"A decision has no {second!r}."))

    async def _decide_or_read(self, name: str, call: Call) -> Reply:
        if call.scope["method"] != "POST":
            return await self._read(call, Action.READ_DECISION, lambda: self._lookups.decision(name, call.caller, call.query, call.receive))
        return refuse(not_found(f"There is no decision type {name!r}.")) if name == ORDERS else await self._decide(call, name)

    async def _override(self, reviewing: Reviewing, call: Call, decision_id: str) -> Reply:
        method = call.scope["method"]
        if method not in {"POST", "DELETE"}:
            return _other_method("POST, DELETE")
        refusal = _refuse_role(call, Action.REVIEW)
        if refusal is not None:
            return refusal
        if method == "DELETE":
            return await reviewing.withdraw(decision_id, call.query, call.caller)
        body = await self._json(call, MAX_SMALL_BODY)
        return refuse(body) if isinstance(body, Problem) else await reviewing.override(decision_id, body, call.caller)

    async def _compute_again(self, again: Again, call: Call, decision_id: str, what: str) -> Reply:
        method, action = AGAIN[what]
        if call.scope["method"] != method:
            return _other_method(method)
        refusal = _refuse_role(call, action)
        if refusal is not None:
            return refusal
        if what == "replay":
            return await again.replay(decision_id)
        if what == "recourse":
            return await again.recourse(decision_id, call.caller, call.query)
        body = await self._json(call, MAX_BODY)
        if isinstance(body, Problem):
            return refuse(body)
        return await again.what_if(decision_id, call.caller, body, call.request_id, call.started)

    async def _read(self, call: Call, action: Action, look: Any) -> Reply:
        if call.scope["method"] not in {"GET", "HEAD"}:
            return _other_method("GET")
        refusal = _refuse_role(call, action)
        if refusal is not None:
            return refusal
        found: Reply = await look()
        return found

    async def _decide(self, call: Call, decision_type: str) -> Reply:
        if call.scope["method"] != "POST":
            return _other_method("POST")
        refusal = _refuse_role(call, Action.DECIDE)
        if refusal is not None:
            return refusal
        body = await self._json(call, MAX_BODY)
        if isinstance(body, Problem):
            return refuse(body)
        key = header(call.scope, b"idempotency-key")
        return await self._answerer.answer(Ask(decision_type, call.caller.name, key, body, call.request_id, call.started))

    async def _batch(self, call: Call, decision_type: str) -> Reply:
        if call.scope["method"] != "POST":
            return _other_method("POST")
        refusal = _refuse_role(call, Action.DECIDE)
        if refusal is not None:
            return refusal
        if (force := self._force()).policy(decision_type) is None:
            return refuse(unknown_type(decision_type, force))
        body = await self._json(call, MAX_BATCH_BODY)
        items = body if isinstance(body, Problem) else _batch_items(body)
        if isinstance(items, Problem):
            return refuse(items)
        gate = asyncio.Semaphore(BATCH_AT_ONCE)
        told: list[dict[str, Any]] = [{}] * len(items)

        async def in_turn(places: Sequence[int]) -> None:
            async with gate:
                for place in places:
                    told[place] = await self._item(call, decision_type, items[place])

        await asyncio.gather(*(in_turn(places) for places in _by_key(items)))
        return Reply(200, to_bytes({"items": told}))

    async def _item(self, call: Call, decision_type: str, item: Any) -> dict[str, Any]:
        """One item of a batch, answered as if it had come alone."""
        if not isinstance(item, dict):
            reply = refuse(invalid([fault(["item"], "a JSON object is required")]))
        else:
            body = {name: value for name, value in item.items() if name != "idempotency_key"}
            key = item.get("idempotency_key")
            if key is not None and not isinstance(key, str):
                reply = refuse(invalid([fault(["idempotency_key"], "a text is required")]))
            else:
                reply = await self._answerer.answer(Ask(decision_type, call.caller.name, key, body, call.request_id, time.perf_counter()))
        member = "body" if reply.status == 200 else "problem"
        return {"status": reply.status, member: orjson.Fragment(reply.body)}

    async def _json(self, call: Call, limit: int) -> Mapping[str, Any] | Problem:
        raw = await read_body(call.scope, call.receive, limit)
        return raw if isinstance(raw, Problem) else parse_body(raw)


def note_read(reads: ReadLog, call: Call, path: str) -> None:
    """What was read, replayed or searched for; decisions and overrides are records themselves."""
    method, query = call.scope["method"], call.query
    if path == DECISIONS[:-1]:
        reads.note(call.caller, "search", query)
        return
    if path.startswith(ORDERS_PATH):
        reads.note(call.caller, "timeline", {"order_id": path[len(ORDERS_PATH) : -len("/timeline")]})
        return
    decision_id, _, what = path[len(DECISIONS) :].partition("/")
    if method in {"GET", "HEAD"} or what == "replay":
        reads.note(call.caller, what or "decision", {"decision_id": decision_id})


def _refuse_role(call: Call, action: Action) -> Reply | None:
    if call.caller.may(action):
        return None
    detail = f"The role {call.caller.role.value!r} may not do this; it asks for {action.value.replace('_', ' ')!r}."
    return refuse(Problem(ProblemKind.FORBIDDEN, detail))


def _batch_items(body: Mapping[str, Any]) -> list[Any] | Problem:
    items = body.get("items")
    unknown = sorted(set(body) - {"items"})
    if unknown:
        return invalid([fault([name], "unknown field; a batch has only items") for name in unknown])
    if not isinstance(items, list) or not items:
        return invalid([fault(["items"], "a list of at least one item is required")])
    if len(items) > MAX_BATCH:
        return invalid([fault(["items"], f"{len(items)} items; a batch has at most {MAX_BATCH}")])
    return items


def _by_key(items: Sequence[Any]) -> Iterable[list[int]]:
    """The places of the items, those with one idempotency key together: they would find each other in flight."""
    places: dict[object, list[int]] = {}
    for place, item in enumerate(items):
        key = item.get("idempotency_key") if isinstance(item, dict) else None
        places.setdefault(key if isinstance(key, str) else place, []).append(place)
    return places.values()


def _other_method(allowed: str) -> Reply:
    return refuse(Problem(ProblemKind.METHOD, f"Use {allowed}.", headers={"allow": allowed}))


def _path(scope: Scope) -> str:
    """The whole path, whether or not what is in front of us took its prefix off."""
    path: str = scope["path"]
    if path.startswith(INTERNAL_ORDERS):
        return ORDERS_PATH + path[len(INTERNAL_ORDERS) :]
    if path.startswith("/v1/"):
        return path
    root: str = scope.get("root_path", "")
    return root + path


def _request_id(scope: Scope) -> str | None:
    """The caller's X-Request-Id, as far as it can be kept and sent back."""
    value = header(scope, b"x-request-id")
    if not value:
        return None
    return value if len(value) <= MAX_REQUEST_ID and value.isprintable() else None
