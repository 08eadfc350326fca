"""The life of a request: idempotency, supersession, deadlines, durability. On real parts but for the edge that a test breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from feature_store.entities import EntityKey
from feature_store.network import Network, read_network
from feature_store.state import EntityState
from feature_store.views import situation
from governance.ledger.errors import NotDurable
from governance.ledger.log import Committed
from governance.ledger.receipt import Receipt, detach, verify
from governance.ledger.rows import DecisionRow, Row
from governance.ledger.store import Filters
from models.scorer import TreeScorer
from serving import knowing
from serving.answer import usual_breakers
from serving.aside import Aside, in_place
from serving.breaker import Breaker, Breakers
from serving.force import Force
from serving.knowing import Guards
from serving.shedding import Shedder

EMPTY: dict[EntityKey, EntityState] = {}


async def read_nothing(keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
    return EMPTY


async def read_slowly(keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
    await asyncio.sleep(60)
    return EMPTY


async def read_fails(keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
    raise ConnectionError("the store is down")


class Refusing:
    """Records of a database that is down."""

    asked = 0

    async def commit(self, rows: Sequence[Row]) -> Committed:
        self.asked += 1
        raise NotDurable("no disk")


class Watching:
    """Remembers what is committed, and holds it until it is let go."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()

    async def commit(self, rows: Sequence[Row]) -> Committed:
        self.rows += rows
        self.entered.set()
        await self.go_on.wait()
        first = rows[0]
        assert isinstance(first, DecisionRow)
        return Committed(True, first.response)


def count(service: Any) -> int:
    return len(service.reader.search(Filters(), limit=500).lines)


def test_the_same_key_and_body_give_the_same_bytes(service: Any, body: Any) -> None:
    first = service.decide("acceptance", body())
    again = service.decide("acceptance", body())
    assert first.status == again.status == 200
    assert first.content == again.content
    assert count(service) == 1


def test_another_order_of_members_is_the_same_body(service: Any, body: Any) -> None:
    first = service.decide("acceptance", body())
    again = service.decide("acceptance", dict(reversed(body().items())))
    assert first.content == again.content


@pytest.mark.parametrize(("decision_type", "change"), [("acceptance", {"channel": "web"}), ("fraud", {})])
def test_the_same_key_for_another_request_is_refused(service: Any, body: Any, decision_type: str, change: dict[str, Any]) -> None:
    service.decide("acceptance", body())
    refused = service.decide(decision_type, body(**change))
    assert refused.status == 422
    assert refused.json["type"].endswith("idempotency-key-reused")
    assert count(service) == 1


def test_a_key_belongs_to_its_principal(service: Any, body: Any) -> None:
    from governance.access import Role, create_key

    service.decide("acceptance", body())
    other = {**service.keys, Role.OMS: create_key(service.engine, Role.OMS, "another-oms")}
    service.keys = other
    answer = service.decide("acceptance", body(channel="web"))
    assert answer.status == 200
    assert count(service) == 2


def test_an_answer_is_in_the_database_with_its_receipt_before_it_is_told(service: Any, body: Any) -> None:
    answer = service.decide("acceptance", body())
    stored = service.reader.get(answer.json["decision_id"])
    assert stored is not None
    assert stored.response == answer.content
    stored.check()
    receipt = Receipt.from_json(answer.json["receipt"])
    verify(receipt, service.edges.signer.verifier)
    assert receipt.leaf_hash == stored.receipt.leaf_hash
    assert detach(answer.content)[0].decode() == stored.groups["response"]


def test_two_requests_with_one_key_in_one_process(service: Any, body: Any) -> None:
    async def story() -> tuple[Any, Any]:
        watching = Watching()
        held = service.with_edges(records=watching)
        headers = {"idempotency-key": "k"}
        first = asyncio.create_task(held.send("POST", "/v1/decisions/fraud", json=body(), headers=headers))
        await watching.entered.wait()
        second = await held.send("POST", "/v1/decisions/fraud", json=body(), headers=headers)
        watching.go_on.set()
        return await first, second

    first, second = asyncio.run(story())
    assert first.status == 200
    assert (second.status, second.json["type"].rpartition(":")[2]) == (409, "request-in-flight")
    assert second.headers["retry-after"] == "1"


def test_many_at_once_with_different_keys_all_get_their_own(service: Any, body: Any) -> None:
    async def story() -> list[Any]:
        calls = [
            service.send("POST", "/v1/decisions/fraud", json=body(order_id=f"SO-{i}"), headers={"idempotency-key": f"k{i}"})
            for i in range(24)
        ]
        return await asyncio.gather(*calls)

    answers = asyncio.run(story())
    assert [a.json["order_id"] for a in answers] == [f"SO-{i}" for i in range(24)]
    assert len({a.json["decision_id"] for a in answers}) == 24
    assert count(service) == 24


def test_a_lower_version_of_an_order_is_refused_a_higher_one_supersedes(service: Any, body: Any) -> None:
    assert service.decide("acceptance", body(order_version=2), key="a").status == 200
    refused = service.decide("acceptance", body(order_version=1), key="b")
    assert (refused.status, refused.json["errors"][0]["loc"]) == (409, ["order", "order_version"])
    assert service.decide("fraud", body(order_version=1), key="c").status == 409, "the order moved on, whatever is asked about it"
    assert service.decide("acceptance", body(order_version=2), key="d").status == 200
    newer = service.decide("acceptance", body(order_version=3), key="e")
    assert newer.status == 200
    old = service.reader.search(Filters(order_id="SO-1001", type="acceptance")).lines[-1]
    shown = service.get(f"/v1/decisions/{old.record_id}").json
    assert shown["since"]["superseded_by"]["order_version"] == 3


def test_a_dry_run_computes_and_records_nothing(service: Any, body: Any) -> None:
    answer = service.decide("acceptance", {**body(), "mode": "dry_run"}, key=None)
    assert answer.status == 200
    told = answer.json
    assert (told["recorded"], told["decision_id"]) == (False, None)
    assert "receipt" not in told
    assert told["confidence"]["event"] == "fulfilment_failure"
    assert count(service) == 0


def test_a_deadline_that_passes_gives_the_fallback_asked_for_and_records_why(service: Any, body: Any) -> None:
    slow = service.with_edges(read=read_slowly)
    answer = slow.decide("acceptance", {**body(), "deadline_ms": 20, "fallback": "accept"})
    told = answer.json
    assert (answer.status, told["status"], told["outcome"]) == (200, "fallback", "ACCEPT")
    assert told["fallback_reason"] == "deadline: 20 ms passed while reading the features"
    assert told["confidence"] is None
    record = service.get(f"/v1/decisions/{told['decision_id']}").json["record"]
    assert record["circumstances"]["failure"]["cause"] == "deadline"
    assert service.reader.search(Filters(status="fallback")).lines[0].reasons == ("FALLBACK_ACCEPT",)


def test_a_store_that_is_down_gives_the_policy_s_own_fallback(service: Any, body: Any) -> None:
    told = service.with_edges(read=read_fails).decide("fraud", body()).json
    assert (told["status"], told["outcome"]) == ("fallback", "REVIEW")
    assert told["fallback_reason"].startswith("feature_store:")
    assert told["review"]["queue"] == "fraud"


def test_a_fallback_has_every_member_that_its_type_promises(service: Any, body: Any) -> None:
    down = service.with_edges(read=read_fails)
    assert down.decide("acceptance", body(), "a").json["promise"] is None
    assert down.decide("fraud", body(), "f").json["expected_loss"] is None
    told = down.decide("split-order", body(), "s").json
    assert (told["shipments"], told["rejected_nodes"]) == ([], [])
    assert {told[name] for name in ("objective", "optimality", "runner_up", "reservation")} == {None}
    assert [(left["line_id"], left["qty"], left["reason"]) for left in told["unfilled"]] == [
        (line["line_id"], line["qty"], "NOT_PLANNED") for line in body()["order"]["lines"]
    ]
    assert all(left["text"]["en"] and left["text"]["zh"] for left in told["unfilled"])


def test_a_model_that_fails_gives_the_fallback(service: Any, body: Any, force: Force) -> None:
    broken = Force({**force.models, "fraud": force.models["acceptance"]}, force.policies, 2)
    told = service.with_edges(force=lambda: broken).decide("fraud", body()).json
    assert (told["status"], told["model"]) == ("fallback", None)
    assert told["fallback_reason"].startswith("model:")


def test_a_fallback_that_the_policy_does_not_permit_is_refused(service: Any, body: Any) -> None:
    refused = service.decide("fraud", {**body(), "fallback": "accept"})
    assert (refused.status, refused.json["errors"][0]["loc"]) == (422, ["fallback"])
    assert "review, allow" in refused.json["detail"]


def test_without_a_model_rules_decide_and_say_so(service: Any, body: Any, force: Force) -> None:
    bare = service.with_edges(force=lambda: Force({}, force.policies))
    told = bare.decide("acceptance", body()).json
    assert (told["status"], told["model"], told["confidence"]) == ("decided", None, None)
    assert "NO_MODEL" in [reason["code"] for reason in told["reasons"]]
    assert bare.decide("parcel-late", {"row": {}}, key="c").status == 404


def test_what_cannot_be_made_durable_is_not_told(service: Any, body: Any) -> None:
    refusing = Refusing()
    down = service.with_edges(records=refusing)
    for number in range(30):
        refused = down.decide("acceptance", body(), key=f"k{number}")
        assert refused.status == 503
        assert "outcome" not in refused.json
        assert int(refused.headers["retry-after"]) >= 1
    assert refusing.asked < 15, "a database that keeps failing is left alone"
    assert "left alone" in refused.json["detail"]
    assert service.decide("acceptance", body()).status == 200


def test_a_store_that_keeps_failing_is_left_alone_and_every_answer_is_recorded(service: Any, body: Any) -> None:
    asked = []

    async def fails(keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
        asked.append(keys)
        raise ConnectionError("the store is down")

    down = service.with_edges(read=fails)
    told = [down.decide("fraud", body(), key=f"k{number}").json for number in range(20)]
    assert {one["status"] for one in told} == {"fallback"}
    assert len(asked) < 10
    assert "tried again in" in told[-1]["fallback_reason"]
    assert count(service) == 20


def test_a_model_that_keeps_failing_is_left_alone_and_the_others_go_on(
    service: Any, body: Any, force: Force, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TreeScorer] = []
    fraud, explain = force.models["fraud"].artifact.scorer, TreeScorer.explain

    def broken(scorer: TreeScorer, *rest: Any) -> Any:
        if scorer is not fraud:
            return explain(scorer, *rest)
        asked.append(scorer)
        raise FloatingPointError("this model is broken")

    monkeypatch.setattr(TreeScorer, "explain", broken)
    told = [service.decide("fraud", body(), key=f"k{number}").json for number in range(20)]
    assert {(one["status"], one["outcome"]) for one in told} == {("fallback", "REVIEW")}
    assert told[0]["fallback_reason"] == "model: the decision could not be computed"
    assert "the model of fraud failed repeatedly" in told[-1]["fallback_reason"]
    assert len(asked) < 10
    assert service.decide("acceptance", body(), key="a").json["status"] == "decided"
    assert count(service) == 21


def test_a_store_that_never_answers_does_not_keep_who_has_no_deadline(service: Any, body: Any) -> None:
    impatient = Breakers.of(features=Breaker("the feature store", patience_s=0.01))
    stuck = service.with_edges(read=read_slowly, guards=Guards(impatient, in_place()))
    told = stuck.decide("fraud", body()).json
    assert told["status"] == "fallback"
    assert "did not answer within" in told["fallback_reason"]


class Late(Aside):
    """Where no decision comes to an end in time; usually one takes 90 ms."""

    def __init__(self) -> None:
        super().__init__(None)
        self._takes_s["fraud"] = 0.09

    async def run(self, *_asked: Any) -> Any:
        raise TimeoutError


@pytest.mark.parametrize(("deadline_ms", "state"), [(80, "closed"), (5_000, "open")])
def test_hasty_callers_do_not_take_a_model_from_everybody_else(service: Any, body: Any, deadline_ms: int, state: str) -> None:
    breakers = usual_breakers()
    late = service.with_edges(guards=Guards(breakers, Late()))
    for number in range(6):
        told = late.decide("fraud", {**body(), "deadline_ms": deadline_ms}, key=f"k{number}").json
        assert told["status"] == "fallback"
    assert breakers.model("fraud").state == state


def test_a_commit_that_never_ends_is_a_503_and_the_retry_is_answered(service: Any, body: Any) -> None:
    watching = Watching()
    stuck = service.with_edges(records=watching, guards=Guards(usual_breakers(0.01), in_place()))
    refused = stuck.decide("fraud", body())
    assert (refused.status, refused.json["type"].rpartition(":")[2]) == (503, "record-not-durable")
    assert service.decide("fraud", body()).status == 200


def test_more_than_can_be_answered_in_time_is_refused_before_it_is_looked_at(service: Any, body: Any) -> None:
    watching = Watching()
    held = service.with_edges(records=watching, shedder=Shedder(most=20))

    async def story() -> list[Any]:
        calls = [
            asyncio.ensure_future(
                held.send("POST", "/v1/decisions/fraud", json=body(order_id=f"SO-{i}"), headers={"idempotency-key": f"k{i}"})
            )
            for i in range(30)
        ]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert {one.result().status for one in done} == {503}
        watching.go_on.set()
        return await asyncio.gather(*calls)

    answers = asyncio.run(story())
    assert sorted(one.status for one in answers) == [200] * 20 + [503] * 10
    assert all(int(one.headers["retry-after"]) >= 1 for one in answers if one.status == 503)


def test_a_database_that_cannot_be_asked_is_a_503_too(service: Any, body: Any) -> None:
    async def fails(admitted: Any) -> Any:
        raise ConnectionError("gone")

    assert service.with_edges(recall=fails).decide("acceptance", body()).status == 503


def test_three_decisions_on_one_order_share_one_commit(service: Any, body: Any) -> None:
    answer = service.decide("orders", body())
    told = answer.json
    assert answer.status == 200
    assert set(told["decisions"]) == {"fraud", "acceptance", "split_order"}
    assert told["outcome"] in {"PROCEED", "HOLD", "STOP"}
    assert told["precedence"][0] == "fraud:BLOCK → STOP"
    whole = service.reader.get(told["decision_id"])
    assert whole is not None
    entry = orjson.loads(whole.entry)
    for name, part in told["decisions"].items():
        if "skipped" in part:
            continue
        stored = service.reader.get(part["decision_id"])
        stored.check()
        assert stored.response == orjson.dumps(part)
        assert entry["digests"][name.replace("_", "-")] == f"sha256:{stored.receipt.leaf_hash.hex()}"
        assert stored.groups["outcome"]["together"]["outcome"] == told["outcome"]
    whole.check()
    assert service.decide("orders", body()).content == answer.content
    assert service.decide("acceptance", body()).status == 422


def test_an_order_s_decisions_share_the_network_that_was_read_once(service: Any, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Network] = []

    def counted(*asked: Any) -> Network:
        read.append(read_network(*asked))
        return read[-1]

    for module in (knowing, situation):
        monkeypatch.setattr(module, "read_network", counted)
    told = service.decide("orders", body()).json
    assert len(read) == 1
    stored = {kind: service.reader.get(told["decisions"][kind]["decision_id"]) for kind in ("acceptance", "split_order")}
    shown = [one.groups["order"]["network"] for one in stored.values()]
    assert shown[0] == shown[1]
    assert len(shown[0]["nodes"]) == len(read[0].nodes) == 2


def test_an_order_that_fraud_stops_is_not_decided_further(service: Any, body: Any) -> None:
    declined = body(payment={"method": "card", "status": "declined"})
    told = service.decide("orders", declined).json
    assert (told["outcome"], told["decided_by"]) == ("STOP", "fraud:BLOCK → STOP")
    assert "stopped" in told["decisions"]["acceptance"]["skipped"]
    assert "stopped" in told["decisions"]["split_order"]["skipped"]


def test_an_order_decided_past_its_deadline_falls_back_in_every_part(service: Any, body: Any) -> None:
    told = service.with_edges(read=read_slowly).decide("orders", {**body(), "deadline_ms": 20}).json
    assert {part["status"] for part in told["decisions"].values()} == {"fallback"}
    assert told["outcome"] == "HOLD"


def test_without_any_node_the_plan_is_skipped(service: Any, body: Any) -> None:
    told = service.with_edges(read=read_nothing).decide("orders", body()).json
    assert "no node is known" in told["decisions"]["split_order"]["skipped"]
    assert told["outcome"] in {"PROCEED", "HOLD"}


@pytest.mark.postgres
def test_the_same_story_on_every_server(service_on: Any, body: Any) -> None:
    first = service_on.decide("orders", body(), headers={"x-request-id": "r-1"})
    assert first.status == 200
    assert service_on.decide("orders", body()).content == first.content
    stored = service_on.reader.get(first.json["decision_id"])
    stored.check()
    assert stored.line.request_id == "r-1"
