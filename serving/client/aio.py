"""The client for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TypeVar, Unpack
from urllib.parse import quote

import httpx

from governance.ledger.receipt import Receipt
from serving.client import receipts
from serving.client.answers import (
    AcceptanceDecision,
    BatchItem,
    CustomDecision,
    FraudDecision,
    OrderDecision,
    Proof,
    Resolution,
    SplitOrderDecision,
)
from serving.client.calls import Asked, Given, Json, Options, Teller, override_body, usual_key
from serving.client.story import Got, Lost, Pause, Send, Story, Told

T = TypeVar("T")


class AsyncOrdinance:
    """As :class:`serving.client.Ordinance`, to be awaited; belongs to one event loop."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        within_s: float = 2.0,
        log_key: str | None = None,
        check_receipts: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._teller = Teller(key, within_s, None if log_key is None else receipts.read_key(log_key), check_receipts)
        self._http = httpx.AsyncClient(base_url=url.rstrip("/"), transport=transport, follow_redirects=False)

    async def __aenter__(self) -> AsyncOrdinance:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def acceptance(self, order: Json, **options: Unpack[Options]) -> AcceptanceDecision:
        """Whether the order can be kept.

        Raises:
            Refused: it is refused for good: no role, no valid order, a key that was used for another one.
            Away: no answer in time; ask again with the same key, or do what a checkout does then.
            ReceiptWrong: an answer that must not be acted on.
        """
        return await self._tell(
            self._teller.decide(AcceptanceDecision, "acceptance", {"order": order}, usual_key(order, "acceptance"), options)
        )

    async def fraud(self, order: Json, **options: Unpack[Options]) -> FraudDecision:
        """Whether the order is fraudulent; raises as :meth:`acceptance`."""
        return await self._tell(self._teller.decide(FraudDecision, "fraud", {"order": order}, usual_key(order, "fraud"), options))

    async def split_order(self, order: Json, **options: Unpack[Given]) -> SplitOrderDecision:
        """Which node ships what; raises as :meth:`acceptance`."""
        return await self._tell(
            self._teller.decide(SplitOrderDecision, "split-order", {"order": order}, usual_key(order, "split-order"), options)
        )

    async def orders(self, order: Json, **options: Unpack[Given]) -> OrderDecision:
        """All three at once; raises as :meth:`acceptance`."""
        return await self._tell(self._teller.orders({"order": order}, usual_key(order, "orders"), options))

    async def custom(self, name: str, row: Json, key: str, *, order_id: str | None = None, **options: Unpack[Asked]) -> CustomDecision:
        """A published custom type on one row; ``key`` names the request. Raises as :meth:`acceptance`."""
        body = {"row": row} if order_id is None else {"row": row, "order_id": order_id}
        return await self._tell(self._teller.decide(CustomDecision, name, body, key, options))

    async def batch(self, name: str, items: Iterable[Json], *, within_s: float | None = None) -> tuple[BatchItem, ...]:
        """Up to 1,000 decisions of one type; each item is the body of one with its ``idempotency_key``. Raises as :meth:`acceptance`."""
        return await self._tell(self._teller.batch(name, items, within_s))

    async def events(self, events: Sequence[Json], *, within_s: float | None = None) -> Json:
        """Tell business events; those that were told before are counted as duplicates."""
        return await self._tell(self._teller.post("/v1/events", {"events": list(events)}, within_s))

    async def outcomes(self, outcomes: Sequence[Json], *, within_s: float | None = None) -> Json:
        """Tell what really happened."""
        return await self._tell(self._teller.post("/v1/outcomes", {"outcomes": list(outcomes)}, within_s))

    async def settle(self, reservation_id: str, *, within_s: float | None = None) -> Json:
        """The pieces that a plan reserves have left."""
        return await self._tell(self._teller.post(f"/v1/reservations/{quote(reservation_id, safe='')}/settle", {}, within_s))

    async def release(self, reservation_id: str, *, within_s: float | None = None) -> Json:
        """The pieces that a plan reserves are not needed."""
        return await self._tell(self._teller.post(f"/v1/reservations/{quote(reservation_id, safe='')}/release", {}, within_s))

    async def get(self, decision_id: str, *, within_s: float | None = None) -> Json:
        """A decision with its record, and what happened since."""
        return await self._tell(self._teller.get(f"/v1/decisions/{quote(decision_id, safe='')}", within_s))

    async def wait(self, decision_id: str, up_to_s: float = 30.0) -> Resolution:
        """Wait for a held decision until it is settled, or as long as ``up_to_s``."""
        return await self._tell(self._teller.wait(decision_id, up_to_s))

    async def override(
        self,
        decision_id: str,
        outcome: str,
        reason_code: str,
        *,
        note: str | None = None,
        accepted_lines: Sequence[str] | None = None,
        confirms: str | None = None,
        seen: str | None = None,
        within_s: float | None = None,
    ) -> Json:
        """Another outcome for a decision, and why; a repeated one changes nothing. For the role ``reviewer``."""
        more = {"note": note, "accepted_lines": accepted_lines, "confirms": confirms, "seen": seen}
        path = f"/v1/decisions/{quote(decision_id, safe='')}/override"
        return await self._tell(self._teller.post(path, override_body(outcome, reason_code, more), within_s))

    async def what_if(self, decision_id: str, changes: Json, *, within_s: float | None = None) -> Json:
        """The decision with features, nodes, constraints, weights or policy parameters changed, and the difference."""
        return await self._tell(self._teller.post(f"/v1/decisions/{quote(decision_id, safe='')}/what-if", changes, within_s))

    async def recourse(self, decision_id: str, *, within_s: float | None = None) -> Json:
        """The smallest changes that turn the outcome."""
        return await self._tell(self._teller.get(f"/v1/decisions/{quote(decision_id, safe='')}/recourse", within_s))

    async def proof(self, receipt: Receipt, *, within_s: float = 10.0) -> Proof:
        """The proof that a record is in the log, checked; waits until a checkpoint covers it.

        Raises:
            PromiseBroken: its time is over, or the proof does not hold.
            Away: not yet.
        """
        return await self._tell(self._teller.proof(receipt, within_s))

    async def log_key(self) -> str:
        """The log's key; keep it, and give it to the next client."""
        return str(await self._tell(self._teller.log_key()))

    async def _tell(self, story: Story[T]) -> T:
        told: Told = None
        while True:
            try:
                step = story.send(told)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                told = None
            else:
                told = await self._send(step)

    async def _send(self, step: Send) -> Got | Lost:
        call = step.call
        try:
            async with asyncio.timeout(step.timeout_s):
                answer = await self._http.request(
                    call.method, call.path, content=call.body, headers=dict(call.headers), timeout=step.timeout_s
                )
        except (TimeoutError, httpx.TransportError) as error:
            return Lost(f"{type(error).__name__}: {error}".rstrip(": "))
        return Got(answer.status_code, answer.headers, answer.content)
