"""The requests of the API and what their answers become: one story each, told by both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

import orjson

from governance.ledger.notes import NoteKey
from governance.ledger.receipt import Receipt
from serving.client import answers, receipts
from serving.client.answers import BatchItem, Decision, OrderDecision, Proof, Resolution
from serving.client.errors import Away
from serving.client.story import Call, Got, Pause, Story, Time, ask

D = TypeVar("D", bound=Decision)
Json = Mapping[str, Any]
LONGEST_WAIT_S = 30


class Asked(TypedDict, total=False):
    """What every decision may say about how it is to be answered.

    ``within_s`` is the time for everything, retries included; ``deadline_ms`` is for the service alone.
    """

    deadline_ms: int
    fallback: str
    oms_choice: Json
    dry_run: bool
    within_s: float
    request_id: str


class Options(Asked, total=False):
    """What a decision on an order may say as well.

    ``key`` names the request, the same on every retry, also on one that another process makes; by default the order's id and version and the type.
    """

    key: str


class Given(Options, total=False):
    """What an order's split may be told beside what the service knows."""

    nodes: Sequence[Json]
    stock: Sequence[Json]
    rates: Sequence[Json]
    constraints: Json
    weights: Json


@dataclass
class Teller:
    """Makes the stories; keeps the log's key once it is known.

    Attributes:
        token: the API key.
        within_s: the time for a request that says nothing of it.
        key: of the log; asked for at the first receipt where it is not given.
        checks: whether receipts are checked.
    """

    token: str
    within_s: float = 2.0
    key: NoteKey | None = None
    checks: bool = True
    moment: Time = field(default_factory=Time)

    def decide(self, kind: type[D], name: str, body: Json, key: str, options: Json) -> Story[D]:
        """One decision."""
        got = yield from self._ask(self._decision(f"/v1/decisions/{quote(name, safe='')}", body, key, options), options.get("within_s"))
        told = got.json()
        log_key = yield from self._log_key(told)
        return answers.decision(kind, told, receipts.check(told, log_key), got.attempts)

    def orders(self, body: Json, key: str, options: Json) -> Story[OrderDecision]:
        """One decision on a whole order."""
        got = yield from self._ask(self._decision("/v1/orders/decide", body, key, options), options.get("within_s"))
        told = got.json()
        log_key = yield from self._log_key(told)
        return answers.order_decision(told, lambda one: receipts.check(one, log_key), got.attempts)

    def batch(self, name: str, items: Iterable[Json], within_s: float | None) -> Story[tuple[BatchItem, ...]]:
        """Many decisions; each item has a key of its own, so the whole may be sent again."""
        call = self._post(f"/v1/decisions/{quote(name, safe='')}/batch", {"items": list(items)})
        told = (yield from self._ask(call, within_s)).json()["items"]
        log_key: NoteKey | None = None
        for one in told:
            if one["status"] == 200 and log_key is None:
                log_key = yield from self._log_key(one["body"])
        kind = answers.kind_of(name)

        def item(one: Json) -> BatchItem:
            if one["status"] != 200:
                return BatchItem(one["status"], None, one.get("problem"))
            return BatchItem(200, answers.decision(kind, one["body"], receipts.check(one["body"], log_key)), None)

        return tuple(item(one) for one in told)

    def post(self, path: str, body: Json, within_s: float | None = None) -> Story[Any]:
        """Anything that does no harm when it is sent again."""
        return (yield from self._ask(self._post(path, body), within_s)).json()

    def get(self, path: str, within_s: float | None = None) -> Story[Any]:
        """Anything that is read."""
        return (yield from self._ask(Call("GET", path, headers=self._headers()), within_s)).json()

    def wait(self, decision_id: str, up_to_s: float) -> Story[Resolution]:
        """What has become of a held decision: at once when it is settled, at the latest after ``up_to_s``."""
        end = self.moment.clock() + up_to_s
        while True:
            left = end - self.moment.clock()
            seconds = int(max(0, min(LONGEST_WAIT_S, left)))
            path = f"/v1/decisions/{quote(decision_id, safe='')}" + (f"?wait={seconds}" if seconds else "")
            began = self.moment.clock()
            told = (
                yield from ask(Call("GET", path, headers=self._headers(), patience_s=seconds), seconds + self.within_s, self.moment)
            ).json()
            since = told["since"]
            resolution = Resolution(decision_id, since["state"], since["outcome"], since["resolved"], told)
            if resolution.resolved or seconds == 0:
                return resolution
            if self.moment.clock() - began < 0.5:  # it did not wait: do not ask without a pause
                yield Pause(0.5)

    def proof(self, receipt: Receipt, within_s: float) -> Story[Proof]:
        """The proof that a record is in the log, checked; waits until a checkpoint covers it."""
        key = yield from self.log_key(within_s)
        try:
            call = Call("GET", f"/v1/ledger/proof/{quote(receipt.record_id, safe='')}", headers=self._headers())
            got = yield from ask(call, within_s, self.moment)
        except Away:
            receipts.require_kept(receipt, round(self.moment.wall() * 1_000))
            raise
        return receipts.check_proof(receipt, got.body, key)

    def log_key(self, within_s: float | None = None) -> Story[NoteKey]:
        """The log's key: the one that was given, else the one that the service told first, which is believed from then on."""
        if self.key is None:
            got = yield from ask(Call("GET", "/v1/ledger/key"), within_s or self.within_s, self.moment)
            self.key = receipts.read_key(got.body.decode("utf-8", "replace"))
        return self.key

    def _log_key(self, told: Json) -> Story[NoteKey | None]:
        if not self.checks or not told.get("recorded"):
            return None
        return (yield from self.log_key())

    def _ask(self, call: Call, within_s: float | None) -> Story[Got]:
        return (yield from ask(call, within_s or self.within_s, self.moment))

    def _decision(self, path: str, body: Json, key: str, options: Json) -> Call:
        plain = ("deadline_ms", "fallback", "oms_choice", "nodes", "stock", "rates", "constraints", "weights")
        whole = {**body, **{name: options[name] for name in plain if name in options}}
        if options.get("dry_run"):
            whole["mode"] = "dry_run"
        headers = {"Idempotency-Key": options.get("key", key)}
        if "request_id" in options:
            headers["X-Request-Id"] = options["request_id"]
        return self._post(path, whole, headers)

    def _post(self, path: str, body: Json, headers: Json | None = None) -> Call:
        # Written once: a retry sends these very bytes, so that the same key never meets another body.
        return Call("POST", path, orjson.dumps(body), {**self._headers(), "Content-Type": "application/json", **(headers or {})})

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def usual_key(order: Json, name: str) -> str:
    """One key for each version of an order and type: whoever asks again about the same gets the same answer."""
    return f"{order.get('order_id')}-{order.get('order_version', 1)}-{name}"


def override_body(outcome: str, reason_code: str, more: Json) -> Json:
    """The body of an override."""
    return {"outcome": outcome, "reason_code": reason_code, **{name: value for name, value in more.items() if value is not None}}
