"""What was decided, read back: search, one decision, its explanation, an order's timeline. Read-only by type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import orjson

from feature_store.times import format_time
from governance.access import Principal
from governance.aftermath import Aftermath, AftermathReader, Decided
from governance.ledger.errors import CursorInvalid
from governance.ledger.store import Count, DecisionLine, DecisionReader, Filters, Page, StoredDecision
from governance.reviews import ReviewQueue
from serving.admission import ORDERS
from serving.answer import Reply, refuse
from serving.errors import Problem, ProblemKind, fault, invalid, not_found
from serving.explaining import read_reader, told_to
from serving.gone import tell_erased
from serving.holding import Full, Holding
from serving.recorded import contributions
from serving.rendering import to_bytes
from serving.search_query import read_search
from serving.since import moments, order_since_json, since_json, written_in

T = TypeVar("T")
LONGEST_WAIT_S = 60


class Run(Protocol):
    """Runs a blocking read: in place where the database is a file, in a thread where it is a server."""

    def __call__(self, read: Callable[[], T], /) -> Awaitable[T]:
        """Await the result of ``read``."""


class Lookups:
    """The routes that look."""

    def __init__(self, reader: DecisionReader, run: Run, holding: Holding | None = None) -> None:
        self._reader = reader
        self._after = AftermathReader(reader.engine)
        self._run = run
        self._holding = holding or Holding(ReviewQueue(reader.engine).settled, run)

    async def search(self, query: Mapping[str, str]) -> Reply:
        """``GET /v1/decisions``: one page, newest first."""
        read = read_search(query)
        if isinstance(read, Problem):
            return refuse(read)
        try:
            page = await self._run(lambda: self._reader.search(read.filters, read.cursor, read.limit))
        except CursorInvalid:
            return refuse(invalid([fault(["query", "cursor"], "is none of this search; begin without a cursor")]))
        count = None
        if read.count:
            complete = read.cursor is None and page.next_cursor is None
            count = Count(len(page.lines), exact=True) if complete else await self._run(lambda: self._count(read.filters, page))
        return Reply(200, to_bytes(page_json(page, count)))

    def _count(self, filters: Filters, page: Page) -> Count:
        """As exact as is cheap; of feature values only what the page itself holds is known."""
        return Count(len(page.lines), exact=False) if filters.features else self._reader.bounded_count(filters)

    async def decision(
        self, decision_id: str, caller: Principal, query: Mapping[str, str], gone: Callable[[], Awaitable[object]] | None = None
    ) -> Reply:
        """``GET /v1/decisions/{id}``: the answer as it was given, the record behind it, and what happened since.

        An OMS sees what it asked for itself, and not the record.

        Args:
            decision_id: of any decision, also of that on a whole order.
            caller: who asks.
            query: ``wait``, seconds to wait for a held decision to be settled.
            gone: returns when the caller has hung up.
        """
        refusal = _refuse_wait(query)
        if refusal is not None:
            return refuse(refusal)
        stored = await self._run(lambda: self._reader.get(decision_id))
        if stored is None or (caller.sees_only_own and stored.line.principal != caller.name):
            return refuse(_unknown(decision_id))
        if stored.erased:
            return refuse(tell_erased(stored))
        parts = _parts(stored)
        after = await self._run(lambda: self._after.of(_decided(stored, parts)))
        waiting = [one.decision_id for one in after.values() if not one.resolved]
        seconds = int(query.get("wait", 0))
        if waiting and seconds and after[decision_id].later is None:
            try:
                await self._holding.wait(waiting, seconds, gone)
            except Full:
                detail = "As many callers wait for held decisions as may. Ask again, or without wait."
                return refuse(Problem(ProblemKind.TOO_MANY, detail, headers={"retry-after": str(max(1, seconds // 2))}))
            after = await self._run(lambda: self._after.of(_decided(stored, parts)))
        judge = not caller.sees_only_own
        notes = await self._run(lambda: self._after.notes(written_in([*after.values()]))) if judge else {}
        shown: dict[str, Any] = orjson.loads(stored.response)
        shown["since"] = _since(stored, parts, after, notes, judge=judge)
        if judge:
            shown["record"] = record_json(stored)
        return Reply(200, to_bytes(shown))

    async def explanation(self, decision_id: str, query: Mapping[str, str] | None = None) -> Reply:
        """``GET /v1/decisions/{id}/explanation``: every contribution, base + Σ = margin; with ``reader`` the reasons in that reader's words."""
        reader = read_reader(query or {})
        if isinstance(reader, Problem):
            return refuse(reader)
        stored = await self._run(lambda: self._reader.get(decision_id))
        if stored is None:
            return refuse(_unknown(decision_id))
        if stored.erased:
            return refuse(tell_erased(stored))
        if reader is not None:
            return Reply(200, to_bytes(told_to(reader, stored)))
        explained = contributions(stored.groups)
        if explained is None:
            return refuse(not_found(f"Decision {decision_id} was made without a model: there is nothing to explain but its reasons."))
        return Reply(200, to_bytes({"decision_id": decision_id, **explained}))

    async def timeline(self, order_id: str) -> Reply:
        """``GET /v1/orders/{id}/timeline``: what was decided about an order and what became of it, oldest first."""
        stored = await self._run(lambda: self._reader.of_order(order_id))
        if not stored:
            return refuse(not_found(f"No decision was made about order {order_id!r}."))
        items = [{"at": format_time(one.line.decided_at), "kind": "decision", **line_json(one.line)} for one in stored]
        after = await self._run(lambda: self._after.of([decided for one in stored for decided in _decided(one, {})]))
        notes = await self._run(lambda: self._after.notes(written_in([*after.values()])))
        for one in after.values():
            items += moments(one, notes=notes)
        return Reply(200, to_bytes({"order_id": order_id, "items": sorted(items, key=lambda item: str(item["at"]))}))


def _decided(stored: StoredDecision, parts: Mapping[str, tuple[str, str]]) -> list[Decided]:
    """A decision and, of that on a whole order, its parts, as far as their aftermath depends on them."""
    line = stored.line
    whole = Decided(line.record_id, line.type, line.outcome, line.order_id, line.order_version)
    return [whole, *(Decided(part_id, kind, outcome, line.order_id, line.order_version) for kind, (part_id, outcome) in parts.items())]


def _parts(stored: StoredDecision) -> dict[str, tuple[str, str]]:
    """Id and outcome of each part of the decision on a whole order, by type."""
    if stored.line.type != ORDERS:
        return {}
    told = orjson.loads(stored.response)["decisions"].values()
    return {one["type"]: (one["decision_id"], one["outcome"]) for one in told if "decision_id" in one}


def _since(
    stored: StoredDecision, parts: Mapping[str, tuple[str, str]], after: Mapping[str, Aftermath], notes: Mapping[str, str], *, judge: bool
) -> dict[str, Any]:
    own = after[stored.line.record_id]
    if stored.line.type == ORDERS:
        return order_since_json(own, {kind: after[part_id] for kind, (part_id, _) in parts.items()}, judge=judge, notes=notes)
    return since_json(own, judge=judge, notes=notes, leaf_hash=stored.receipt.leaf_hash)


def page_json(page: Page, count: Count | None = None) -> dict[str, Any]:
    """One page as the search answers it."""
    told: dict[str, Any] = {"items": [line_json(line) for line in page.lines], "next_cursor": page.next_cursor}
    if count is not None:
        told |= {"count": count.number, "count_exact": count.exact}
    if page.looked is not None:
        back_to = page.looked.back_to
        told["looked"] = {"decisions": page.looked.decisions, "back_to": None if back_to is None else format_time(back_to)}
    return told


def line_json(line: DecisionLine) -> dict[str, Any]:
    """One decision as a list shows it."""
    return {
        "decision_id": line.record_id,
        "type": line.type,
        "outcome": line.outcome,
        "status": line.status,
        "decided_at": format_time(line.decided_at),
        "latency_ms": line.latency_us / 1000,
        "order_id": line.order_id,
        "order_version": line.order_version,
        "customer_id": line.customer_id,
        "region": line.region,
        "channel": line.channel,
        "tags": list(line.tags),
        "reasons": list(line.reasons),
        "probability": line.probability,
        "model": None if line.model_name is None else {"name": line.model_name, "version": line.model_version, "digest": line.model_digest},
        "policy": None if line.policy_id is None else {"id": line.policy_id, "version": line.policy_version, "digest": line.policy_digest},
        "principal": line.principal,
        "request_id": line.request_id,
        "links": {"self": f"/v1/decisions/{line.record_id}", "page": f"/console/decisions/{line.record_id}"},
    }


def record_json(stored: StoredDecision) -> dict[str, Any]:
    """The record's groups, the request as JSON again; the raw numbers stay base64url of little-endian float64."""
    groups = {name: value for name, value in stored.groups.items() if name != "response"}
    if isinstance(groups.get("request"), str):
        groups["request"] = orjson.loads(groups["request"])
    return groups


def _refuse_wait(query: Mapping[str, str]) -> Problem | None:
    wait = query.get("wait")
    unknown = sorted(set(query) - {"wait"})
    if unknown:
        return invalid([fault(["query", name], "unknown; known is wait") for name in unknown])
    if wait is not None and not (wait.isascii() and wait.isdecimal() and len(wait) <= 3 and int(wait) <= LONGEST_WAIT_S):
        return invalid([fault(["query", "wait"], f"seconds from 0 to {LONGEST_WAIT_S} are required")])
    return None


def _unknown(decision_id: str) -> Problem:
    return not_found(f"There is no decision {decision_id!r} that you may see.")
