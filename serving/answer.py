"""The story of one request for a decision, from its key to its receipt."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from feature_store.entities import EntityKey
from feature_store.pending import Pending
from feature_store.reservations import Reservation, Reserved
from feature_store.state import StateCorrupt
from feature_store.times import MINUTE, Millis, now
from governance.ledger.errors import KeyReused, NotDurable, RecordInvalid, StockTaken
from governance.ledger.ids import new_record_id
from governance.ledger.log import Committed
from governance.ledger.receipt import Signer, attach
from governance.ledger.record import Sealed, seal
from governance.ledger.rows import DecisionRow, Facets, Row
from governance.waiting import waiting
from models.specs import DecisionType
from serving.admission import ORDERS, Admitted, Ask, admit
from serving.aside import in_place
from serving.breaker import Breaker, Breakers, Resting, TooSlow
from serving.errors import MEDIA_TYPE, Problem, ProblemKind, fault, unavailable
from serving.force import Force
from serving.gone import gone_answer
from serving.knowing import PLANS, Guards, Made, Outcomes, ReadReserved, ReadStates, States, make_decisions, nothing_reserved
from serving.recording import Context, Timing, draft_decision, draft_order, facets, order_facets, part_key
from serving.rendering import answer_json, order_json, to_bytes
from serving.reserving import release_of_lower, reservation
from serving.shedding import Shedder

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""The longest that a request waits for the database or the feature store, where nothing else is said."""


def usual_breakers(patience_s: float = PATIENCE_S) -> Breakers:
    """The breakers of a deciding process. What one request is refused for says nothing about the database."""
    return Breakers(
        Breaker("the feature store", patience_s=patience_s, innocent=(StateCorrupt,)),
        Breaker("the database", patience_s=patience_s, innocent=(KeyReused, StockTaken, RecordInvalid)),
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to the caller."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


def refuse(problem: Problem) -> Reply:
    """A refusal as a reply."""
    return Reply(problem.status, problem.to_bytes(), problem.headers, MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was recorded before this request.

    Attributes:
        fingerprint: of the request that used the same key, ``None`` when none did.
        response: what it was answered.
        latest_version: the highest version of the order that was decided for any of the types.
    """

    fingerprint: bytes | None = None
    response: bytes = b""
    latest_version: int | None = None


Recall = Callable[[Admitted], Awaitable[Earlier]]
"""Looks up what was recorded before; raises anything when the database is down."""


class Records(Protocol):
    """Makes rows durable (:class:`governance.ledger.log.Recorder`)."""

    async def commit(self, rows: Sequence[Row]) -> Committed:
        """Commit all rows of one request, or none."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Everything outside the process that an answer touches, and what it needs to sign and name itself.

    Attributes:
        force: the models and policies of this moment.
        fingerprint: keyed digest of a request, 32 bytes.
        running: digests of this code and of the libraries under it, for the record.
        reserved: what other orders' plans hold of some SKUs.
        hold_ms: how long a plan reserves its pieces.
        guards: leave alone what keeps failing, and compute beside the loop what is slow.
        shedder: refuses what would wait too long.
    """

    force: Callable[[], Force]
    read: ReadStates
    recall: Recall
    records: Records
    signer: Signer
    fingerprint: Callable[[bytes], bytes]
    tenant: str = "default"
    running: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], Millis] = now
    reserved: ReadReserved = nothing_reserved
    hold_ms: Millis = 30 * MINUTE
    guards: Guards = field(default_factory=lambda: Guards(usual_breakers(), in_place()))
    shedder: Shedder = field(default_factory=Shedder)


class Answerer:
    """Answers requests for decisions. One of it serves all requests of a process."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self._in_flight: set[tuple[str, str]] = set()
        self._pending = Pending()

    def health(self) -> dict[str, Any]:
        """What operators want to know of this process: the breakers, and how much was shed."""
        shedder = self._edges.shedder
        return {"breakers": self._edges.guards.breakers.to_json(), "under_way": shedder.under_way, "shed": shedder.shed}

    async def answer(self, ask: Ask) -> Reply:
        """One request: one decision, or the three on an order. Refusals are returned, never raised."""
        refusal = self._edges.shedder.enter(ask.principal, _told_deadline_s(ask))
        if refusal is not None:
            return refuse(refusal)
        try:
            return await self._answer(ask)
        finally:
            self._edges.shedder.leave(ask.principal)

    async def _answer(self, ask: Ask) -> Reply:
        started_at, force = self._edges.clock(), self._edges.force()
        # 1. Admit: is it a request that may be decided?
        admitted = admit(ask, force, self._edges.fingerprint, started_at)
        if isinstance(admitted, Problem):
            return refuse(admitted)
        timing = Timing(started_at, ask.started)
        if not admitted.live:
            return await self._dry_run(admitted, force, timing)
        slot = (ask.principal, admitted.key)
        if slot in self._in_flight:
            return refuse(_in_flight(admitted))
        self._in_flight.add(slot)
        try:
            return await self._answer_live(admitted, force, timing)
        finally:
            self._in_flight.discard(slot)

    async def _answer_live(self, admitted: Admitted, force: Force, timing: Timing) -> Reply:
        # 1. Admit, continued: was it answered before, is it about a version that was overtaken?
        settled = await self._recall(admitted)
        if settled is not None:
            return settled
        for overtaken in range(PLANS + 1):
            # 2. Know, 3. Score, 4. Constrain: inside the deadline, or the declared fallback.
            outcomes = await make_decisions(
                admitted,
                force,
                self._read,
                timing.started_at,
                reserved=self._reserved,
                overtaken=overtaken,
                guards=self._edges.guards,
                pending=self._pending,
            )
            if isinstance(outcomes, Problem):
                return refuse(outcomes)
            # 5. Record: durable before anything is told. Where other orders have taken the pieces meanwhile, plan again from what is left.
            committed = await self._record(admitted, force, timing, outcomes)
            if committed is not None:
                break
        # 6. Answer.
        assert committed is not None, "a fallback reserves nothing"
        return refuse(committed) if isinstance(committed, Problem) else Reply(200, committed.response)

    async def _read(self, keys: Sequence[EntityKey]) -> States:
        return await self._edges.guards.breakers.features.call(lambda: self._edges.read(keys))

    async def _reserved(self, skus: Sequence[str], order_id: str, at: Millis) -> Reserved:
        return await self._edges.guards.breakers.features.patiently(lambda: self._edges.reserved(skus, order_id, at))

    async def _recall(self, admitted: Admitted) -> Reply | None:
        """The answer that was given before, or the refusal of a request that comes too late; ``None`` when it is new."""
        try:
            return _settle(admitted, await self._edges.guards.breakers.database.call(lambda: self._edges.recall(admitted)))
        except Resting:
            return refuse(self._not_durable("The database is left alone for a moment after it failed repeatedly, so nothing was decided."))
        except Exception:  # no driver's error may pass for an answer
            log.exception("the database could not be asked for earlier answers")
            return refuse(self._not_durable("The database cannot be reached, so nothing was decided."))

    async def _record(self, admitted: Admitted, force: Force, timing: Timing, outcomes: Outcomes) -> Committed | Problem | None:
        """Seal the decisions and wait until they are on disk; ``None`` when another order has taken what the plan reserves."""
        try:
            rows = self._rows(admitted, force, timing, outcomes)
            return await self._edges.guards.breakers.database.call(lambda: self._edges.records.commit(rows))
        except StockTaken:
            return None
        except KeyReused:
            return _key_reused(admitted)
        except (NotDurable, TooSlow, Resting) as error:
            log.error("%s", error)
            return self._not_durable("The record of this decision is not known to be on disk, so its outcome is not told.")
        except RecordInvalid:
            log.exception("a decision cannot be recorded")
            return Problem(ProblemKind.INTERNAL, "The decision cannot be recorded as it is; nothing was told. The failure was logged.")

    async def _dry_run(self, admitted: Admitted, force: Force, timing: Timing) -> Reply:
        outcomes = await make_decisions(
            admitted, force, self._read, timing.started_at, reserved=self._reserved, guards=self._edges.guards, pending=self._pending
        )
        if isinstance(outcomes, Problem):
            return refuse(outcomes)
        answers = {name: to_bytes(answer_json(one, None, timing.elapsed_ms(), recorded=False)) for name, one in outcomes.made.items()}
        if admitted.ask.type != ORDERS:
            return Reply(200, next(iter(answers.values())))
        return Reply(200, to_bytes(order_json(admitted, outcomes, answers, None)))

    def _rows(self, admitted: Admitted, force: Force, timing: Timing, outcomes: Outcomes) -> list[Row]:
        """The rows of one request; the first one's response is the answer."""
        context = Context(admitted, timing, self._edges.tenant, self._edges.running, outcomes.together_json())
        single = admitted.ask.type != ORDERS
        parts = {
            name: self._row(context, force, one, admitted.key if single else part_key(admitted.key, name))
            for name, one in outcomes.made.items()
        }
        if single:
            return list(parts.values())
        record_id = new_record_id()
        answers = {name: row.response for name, row in parts.items()}
        whole = to_bytes(order_json(admitted, outcomes, answers, record_id))
        draft = draft_order(context, outcomes, {name: row.sealed.leaf_hash for name, row in parts.items()}, record_id, whole)
        sealed = seal(draft, self._edges.signer, self._edges.clock())
        unplanned = None
        if DecisionType.SPLIT_ORDER not in outcomes.made and outcomes.made:
            unplanned = release_of_lower(next(iter(outcomes.made.values())), record_id, admitted.ask.principal, self._edges.clock())
        first = self._decision_row(
            admitted, sealed, admitted.key, attach(whole, sealed.receipt), order_facets(context, outcomes, draft), unplanned
        )
        return [first, *parts.values()]

    def _row(self, context: Context, force: Force, one: Made, key: str) -> DecisionRow:
        admitted, decision = context.admitted, one.decision
        record_id = new_record_id()
        reserves = reservation(one, record_id, admitted.ask.principal, self._edges.clock(), self._edges.hold_ms)
        answer = to_bytes(answer_json(one, record_id, context.timing.elapsed_ms(), recorded=True, reserves=reserves))
        policy = admitted.policies[decision.type]
        draft = draft_decision(context, one, policy=policy, models=force.models, record_id=record_id, answer=answer)
        sealed = seal(draft, self._edges.signer, self._edges.clock())
        row = self._decision_row(admitted, sealed, key, attach(answer, sealed.receipt), facets(context, one, draft), reserves)
        return replace(row, waits=waits) if (waits := waiting(one.inputs, decision, record_id)) else row

    def _decision_row(  # noqa: PLR0917 - a row has as many fields as it has
        self, admitted: Admitted, sealed: Sealed, key: str, response: bytes, found_by: Facets, reserves: Reservation | None
    ) -> DecisionRow:
        return DecisionRow(sealed, found_by, admitted.ask.principal, key, admitted.fingerprint, response, reserves)

    def _not_durable(self, detail: str) -> Problem:
        """503, until the database is tried again."""
        detail += " Send the same request with the same Idempotency-Key again."
        return unavailable(ProblemKind.NOT_DURABLE, detail, self._edges.guards.breakers.database.retry_after_s)


def _told_deadline_s(ask: Ask) -> float | None:
    """The deadline as the request tells it; whether it may tell that one is judged later."""
    told = ask.body.get("deadline_ms")
    return told / 1000 if isinstance(told, int | float) and not isinstance(told, bool) else None


def _settle(admitted: Admitted, earlier: Earlier) -> Reply | None:
    """The answer that was given before, or why this request comes too late; ``None`` when it is new."""
    if earlier.fingerprint is not None:
        if not earlier.response:
            return refuse(gone_answer())
        same = earlier.fingerprint == admitted.fingerprint
        return Reply(200, earlier.response) if same else refuse(_key_reused(admitted))
    order = admitted.order
    if order is not None and earlier.latest_version is not None and order.order_version < earlier.latest_version:
        detail = f"Version {earlier.latest_version} of order {order.order_id!r} was decided already; this is version {order.order_version}."
        return refuse(
            Problem(ProblemKind.SUPERSEDED, detail, [fault(["order", "order_version"], f"is lower than {earlier.latest_version}")])
        )
    return None


def _key_reused(admitted: Admitted) -> Problem:
    detail = f"The Idempotency-Key {admitted.key!r} was used before with another body. Use a new key for a new request."
    return Problem(ProblemKind.KEY_REUSED, detail, [fault(["header", "Idempotency-Key"], "was used with another body")])


def _in_flight(admitted: Admitted) -> Problem:
    detail = f"A request with the Idempotency-Key {admitted.key!r} is being answered right now. Repeat this one to get its answer."
    return Problem(ProblemKind.IN_FLIGHT, detail, headers={"retry-after": "1"})
