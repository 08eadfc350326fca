"""The client asks again only where that is safe, with the same bytes; it believes no answer without a receipt of the log."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.times import now
from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint, TlogProof
from governance.ledger.receipt import Signer
from serving.api import contract
from serving.client import AsyncOrdinance, Away, Ordinance, PromiseBroken, ReceiptWrong, Refused
from serving.client.answers import AcceptanceDecision
from serving.client.story import Call, Got, Lost, Pause, Send, Time, ask

SIGNER = Signer("ordinance.test/log", b"s" * 32)
OTHER = Signer("ordinance.test/log", b"o" * 32)
ORDER = {"order_id": "SO-1", "order_version": 2}
Answer = Callable[[httpx.Request], httpx.Response]


def signed(name: str, signer: Signer = SIGNER, **changes: Any) -> dict[str, Any]:
    """A recorded example with receipts of our own."""
    told = {**contract.answer_example(name), **changes}
    leaf = merkle.leaf_hash(told["decision_id"].encode())
    told["receipt"] = signer.promise(told["decision_id"], leaf, now()).to_json()
    if "decisions" in told:
        told["decisions"] = {
            part: one if "skipped" in one else {**one, "receipt": signer.promise(one["decision_id"], leaf, now()).to_json()}
            for part, one in told["decisions"].items()
        }
    return told


class Service:
    """Answers one after another; keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.key_asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/ledger/key":
            self.key_asked += 1
            return httpx.Response(200, text=f"{SIGNER.verifier}\n")
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    def client(self, **more: Any) -> Ordinance:
        return Ordinance("http://service", "ord_oms_x", transport=httpx.MockTransport(self), **more)


def ok(told: Any) -> httpx.Response:
    return httpx.Response(200, content=orjson.dumps(told))


def refusal(status: int, kind: str = "unavailable", after: str | None = None) -> httpx.Response:
    body = {
        "type": f"urn:ordinance:problem:{kind}",
        "title": "No",
        "status": status,
        "detail": "not now",
        "errors": [{"loc": ["x"], "msg": "m"}],
    }
    return httpx.Response(status, content=orjson.dumps(body), headers={} if after is None else {"retry-after": after})


def test_a_decision_is_a_value_with_a_checked_receipt() -> None:
    service = Service(ok(signed("acceptance")))
    with service.client() as client:
        made = client.acceptance(ORDER, deadline_ms=150, fallback="hold", request_id="r-1")
    assert isinstance(made, AcceptanceDecision)
    assert made.outcome == contract.answer_example("acceptance")["outcome"]
    assert made.promise is not None
    assert made.recorded
    (asked,) = service.asked
    assert json.loads(asked.content) == {"order": ORDER, "deadline_ms": 150, "fallback": "hold"}
    assert asked.headers["idempotency-key"] == "SO-1-2-acceptance"
    assert asked.headers["x-request-id"] == "r-1"
    assert asked.headers["authorization"] == "Bearer ord_oms_x"


@pytest.mark.parametrize(
    "first",
    [
        httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("closed"), refusal(503), refusal(429, "too-many-requests", "0"),
        refusal(409, "request-in-flight"), httpx.Response(502, text="bad gateway"),
    ],
    ids=str,
)  # fmt: skip
def test_what_may_help_is_tried_again_with_the_same_bytes(first: Any) -> None:
    service = Service(first, ok(signed("fraud")))
    with service.client() as client:
        made = client.fraud(ORDER)
    assert made.attempts == 2
    one, two = service.asked
    assert one.content == two.content
    assert one.headers["idempotency-key"] == two.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "malformed-json"), (401, "unauthenticated"), (403, "forbidden"), (404, "not-found"), (409, "order-superseded"), (409, "conflict"),
     (410, "erased"), (422, "idempotency-key-reused"), (500, "internal-error")],
)  # fmt: skip
def test_what_would_not_help_is_told_at_once(status: int, kind: str) -> None:
    service = Service(refusal(status, kind))
    with service.client() as client, pytest.raises(Refused) as told:
        client.acceptance(ORDER)
    assert (told.value.status, told.value.kind, told.value.errors) == (status, kind, [{"loc": ["x"], "msg": "m"}])
    assert len(service.asked) == 1


def test_it_is_away_when_the_time_is_over_and_says_when_to_come_back() -> None:
    service = Service(*[refusal(503, after="30")] * 3)
    with service.client() as client, pytest.raises(Away) as told:
        client.acceptance(ORDER, within_s=0.5)
    assert told.value.retry_after_s == 30
    assert told.value.attempts == 1, "waiting would take longer than there is"


@pytest.mark.parametrize(
    "told",
    [
        {**signed("acceptance"), "receipt": None},
        signed("acceptance", OTHER),
        {**signed("acceptance"), "decision_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"},
        {**signed("acceptance"), "receipt": {**signed("acceptance")["receipt"], "promised_at": "2026-01-01T00:00:00.000Z"}},
    ],
    ids=["none", "another key", "another answer", "changed"],
)
def test_an_answer_without_a_receipt_that_holds_is_not_believed(told: Any) -> None:
    service = Service(ok(told))
    with service.client(log_key=str(SIGNER.verifier)) as client, pytest.raises(ReceiptWrong):
        client.acceptance(ORDER)
    assert service.key_asked == 0, "a key that was given is the key"


def test_the_first_key_is_believed_from_then_on() -> None:
    service = Service(ok(signed("acceptance")), ok(signed("fraud")))
    with service.client() as client:
        client.acceptance(ORDER)
        client.fraud(ORDER)
        assert client.log_key() == str(SIGNER.verifier)
    assert service.key_asked == 1


def test_a_dry_run_has_no_receipt() -> None:
    told = {**contract.answer_example("fraud"), "decision_id": None, "recorded": False}
    told.pop("receipt")
    service = Service(ok(told))
    with service.client() as client:
        made = client.fraud(ORDER, dry_run=True)
    assert not made.recorded
    assert json.loads(service.asked[0].content)["mode"] == "dry_run"


def test_a_whole_order_a_plan_a_row_and_a_batch() -> None:
    item = signed("fraud")
    parts = {**signed("orders")["decisions"], "split_order": {"skipped": "the order is stopped: fraud:BLOCK → STOP"}}
    batch = {"items": [{"status": 200, "body": item}, {"status": 422, "problem": {"status": 422}}]}
    service = Service(ok(signed("orders", outcome="STOP", decisions=parts)), ok(signed("split-order")), ok(signed("custom")), ok(batch))
    with service.client() as client:
        whole = client.orders(ORDER, constraints={"max_shipments": 2})
        plan = client.split_order(ORDER, weights={"cost": 1})
        row = client.custom("parcel-late", {"Country": "Kenya"}, "row-1")
        many = client.batch("fraud", [{"idempotency_key": "1", "order": ORDER}])
    assert whole.outcome == "STOP"
    assert whole.fraud is not None
    assert whole.split_order is None
    assert whole.skipped["split_order"]
    assert plan.shipments
    assert plan.optimality is not None
    assert plan.optimality["proven"]
    assert row.prediction is not None
    assert many[0].decision is not None
    assert many[1].problem == {"status": 422}


def test_a_part_with_a_wrong_receipt_spoils_the_whole() -> None:
    told = signed("orders")
    told["decisions"]["fraud"] = signed("fraud", OTHER)
    with Service(ok(told)).client() as client, pytest.raises(ReceiptWrong):
        client.orders(ORDER)


def proof_of(leaf: bytes, signer: Signer = SIGNER) -> bytes:
    leaves = [merkle.leaf_hash(b"%d" % i) for i in range(6)] + [leaf]
    note = signer.sign_note(Checkpoint(signer.verifier.name, len(leaves), merkle.root(leaves)).text).to_bytes()
    return TlogProof(6, tuple(merkle.inclusion_proof(leaves, 6)), note).to_bytes()


def test_a_receipt_becomes_a_proof_once_it_is_published() -> None:
    told = signed("acceptance")
    service = Service(ok(told))
    with service.client() as client:
        receipt = client.acceptance(ORDER).receipt
        assert receipt is not None
        service.answers = [refusal(503, after="0"), httpx.Response(200, content=proof_of(receipt.leaf_hash))]
        proof = client.proof(receipt)
        assert (proof.index, proof.checkpoint.size, proof.record_id) == (6, 7, receipt.record_id)
        service.answers = [httpx.Response(200, content=proof_of(receipt.leaf_hash, OTHER))]
        with pytest.raises(PromiseBroken):
            client.proof(receipt)
        service.answers = [httpx.Response(200, content=proof_of(merkle.leaf_hash(b"other")))]
        with pytest.raises(PromiseBroken):
            client.proof(receipt)
        service.answers = [refusal(503, after="5")]
        with pytest.raises(Away):
            client.proof(receipt, within_s=1)
        late = SIGNER.promise(receipt.record_id, receipt.leaf_hash, now() - 600_000)
        service.answers = [refusal(503, after="5")]
        with pytest.raises(PromiseBroken, match="no checkpoint"):
            client.proof(late, within_s=1)


def test_waiting_for_a_person_ends_when_it_is_settled() -> None:
    def since(state: str, resolved: bool) -> httpx.Response:
        return ok({"decision_id": "d", "since": {"state": state, "outcome": "ACCEPT", "resolved": resolved}})

    service = Service(since("held", False), since("overridden", True))
    with service.client() as client:
        settled = client.wait("d", up_to_s=60)
    assert (settled.state, settled.outcome, settled.resolved) == ("overridden", "ACCEPT", True)
    assert service.asked[0].url.query == b"wait=30"


def test_the_asynchronous_client_tells_the_same_story() -> None:
    service = Service(httpx.ConnectError("refused"), ok(signed("fraud")), refusal(422, "invalid-request"))

    async def go() -> None:
        async with AsyncOrdinance("http://service", "ord_oms_x", transport=httpx.MockTransport(service)) as client:
            made = await client.fraud(ORDER)
            assert made.attempts == 2
            with pytest.raises(Refused):
                await client.acceptance(ORDER)

    asyncio.run(go())
    assert service.asked[0].content == service.asked[1].content


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Ordinance) == public(AsyncOrdinance)


@given(
    st.lists(st.one_of(st.sampled_from([429, 503, 502, 504]), st.none()), max_size=30),
    st.floats(0.01, 5),
    st.one_of(st.none(), st.integers(0, 100)),
)
def test_a_story_never_takes_longer_than_it_may(statuses: list[int | None], within_s: float, after: int | None) -> None:
    at = [0.0]
    story = ask(Call("POST", "/x", b"{}"), within_s, Time(clock=lambda: at[0], wall=lambda: at[0], chance=lambda: 1.0))
    answers: Iterator[int | None] = iter(statuses)
    told: Any = None
    try:
        while True:
            step = story.send(told)
            if isinstance(step, Pause):
                at[0] += step.seconds
                told = None
                continue
            assert isinstance(step, Send)
            assert at[0] + step.timeout_s <= within_s + 0.0011
            status = next(answers, 200)
            if status is None:
                at[0] += step.timeout_s
                told = Lost("timeout")
            else:
                headers = {} if after is None else {"retry-after": str(after)}
                told = Got(status, headers, b"{}")
    except (StopIteration, Away) as end:
        came = end
    assert came.attempts >= 1 if isinstance(came, Away) else came.value.status == 200
    assert at[0] <= within_s + 0.01


def test_it_loads_nothing_of_the_service() -> None:
    heavy = {"numpy", "sqlalchemy", "fastapi", "pydantic", "starlette", "ray", "numba", "alembic", "lightgbm"}
    script = f"import sys, serving.client; print(sorted({heavy!r} & {{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
