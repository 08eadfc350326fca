"""Policies, lists and switches from the routes that change them to the decisions that obey: both applications, one database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import Engine, insert

from governance.access import Role
from governance.changes import Scribe
from governance.decision import decide
from governance.policy_document import default_policies
from governance.policy_store import SHIPPED, find_policy, keep_policies
from governance.promotion import CHAMPION, ModelNotAllowed, register_version, set_alias
from governance.reconstruct import rebuild
from governance.tables import alias_history
from models.artifact import ModelArtifact, artifact_folder, load_artifact, write_artifact
from serving.console.app import create_console
from serving.console.joined.cards import Cards
from serving.console.joined.decisions import RecordedDecisions
from serving.console.joined.wire import join
from serving.controls import Controls
from serving.loading import ForceKeeper

OWNER, APPROVER = Role.POLICY_OWNER, Role.APPROVER


class House:
    """A decision process that follows the database, and the console that changes it."""

    def __init__(self, service: Any, folder: Path) -> None:
        engine: Engine = service.engine
        scribe = Scribe(service.edges.signer)
        keep_policies(engine, default_policies().values(), SHIPPED, scribe)
        self.keeper = ForceKeeper(engine, folder, service.edges.signer.verifier, 0.05)
        self.keeper.refresh()
        self.service = service.with_edges(force=self.keeper)
        self.scribe = scribe
        wiring = join(
            engine, keys=folder, models=folder, datasets_folder=folder, launch=print, publish=None, base_url="http://ordinance",
            controls=Controls(engine, scribe, folder),
        )  # fmt: skip
        self.console = create_console(wiring)

    async def send(self, method: str, path: str, role: Role, **rest: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.service.keys[role]}"}
        transport = httpx.ASGITransport(self.console, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://ordinance") as client:
            return await client.request(method, path, headers=headers, **rest)

    def ask(self, method: str, path: str, role: Role, *, expect: int = 200, **rest: Any) -> Any:
        answer = asyncio.run(self.send(method, path, role, **rest))
        assert answer.status_code == expect, answer.text
        return answer.json()

    def decide(self, body: Any, key: str, kind: str = "fraud") -> Any:
        answer = self.service.decide(kind, body, key=key)
        assert answer.status == 200, answer.content
        return answer.json

    def stored(self, decision_id: str) -> Any:
        found = self.service.reader.get(decision_id)
        assert found is not None
        found.check()
        return found

    def replayed(self, decision_id: str) -> Any:
        """The decision made again from its record alone, and the policy that its digest leads to."""
        rebuilt = rebuild(self.stored(decision_id))
        policy = find_policy(self.service.engine, rebuilt.policy_digest)
        assert policy is not None
        return decide(rebuilt.inputs, {}, policy)

    def roll_out(self, document: dict[str, Any]) -> dict[str, Any]:
        saved = self.ask("POST", "/v1/policies", OWNER, expect=201, json=document)
        submitted = self.ask("POST", f"{saved['links']['self']}/submit", OWNER, expect=201, json={"note": "please"})
        self.ask("POST", f"/v1/approvals/{submitted['approval_id']}", APPROVER, json={"decision": "approve"})
        moved: dict[str, Any] = self.ask("POST", f"/v1/policies/{saved['id']}/rollout", APPROVER, json={"version": saved["version"]})
        return moved


@pytest.fixture
def house(service: Any, tmp_path: Path) -> House:
    return House(service, tmp_path)


def launch(**changes: Any) -> dict[str, Any]:
    """A policy for the east that lets nothing above 100 through without a person."""
    made = orjson.loads(default_policies()["fraud"].document)
    rules = [{"id": "large", "when": "order.amount > 100.0", "outcome": "REVIEW", "code": "LARGE", "text": {"en": "large", "zh": "大额"}}]
    return {**made, "id": "fraud-east", "scope": {"regions": ["east"]}, "rules": rules, **changes}


def test_the_most_specific_policy_judges_once_it_is_rolled_out(house: House, body: Callable[..., Any]) -> None:
    before = house.decide(body(), "before")
    assert (before["policy"]["id"], before["reasons"][0]["code"]) == ("fraud", "NO_MODEL")
    house.roll_out(launch())
    assert house.decide(body(), "not yet")["policy"]["id"] == "fraud"
    assert house.keeper.refresh()
    east = house.decide(body(), "east")
    west = house.decide(body(ship_to={"region": "west"}), "west")
    assert (east["policy"]["id"], east["outcome"], east["reasons"][0]["code"]) == ("fraud-east", "REVIEW", "LARGE")
    assert west["policy"]["id"] == "fraud"
    group = house.stored(east["decision_id"]).groups["policy"]
    assert (group["scope"], [rival[0] for rival in group["rivals"]]) == ("region east", ["fraud"])
    assert house.replayed(east["decision_id"]).outcome == "REVIEW"
    told = house.ask("GET", "/v1/policies/fraud-east", OWNER)
    assert (told["in_force"]["version"], told["history"][0]["how"]) == (1, "rollout")
    back = house.ask("POST", "/v1/policies/fraud-east/rollback", APPROVER, json={"note": "over"})
    assert (back["version"], back["before"]) == (None, 1)
    house.keeper.refresh()
    assert house.decide(body(), "after")["policy"]["id"] == "fraud"
    assert house.replayed(east["decision_id"]).outcome == "REVIEW", "what judged then is still known"


def test_a_backtest_tells_what_a_version_would_have_changed_before_anybody_approves_it(house: House, body: Callable[..., Any]) -> None:
    east = house.decide(body(), "east")
    house.decide(body(order_id="SO-2", ship_to={"region": "west"}), "west")
    house.ask("POST", "/v1/policies", OWNER, expect=201, json=launch())
    told = house.ask("POST", "/v1/policies/fraud-east/backtest", OWNER, json={})
    assert (told["compared"], told["changed"], told["out_of_scope"], told["policy"]["version"]) == (1, 1, 1, 1)
    assert [(one["before"], one["after"]) for one in told["moved"]] == [("ALLOW", "REVIEW")]
    assert [one["decision_id"] for one in told["examples"]] == [east["decision_id"]]
    same = house.ask("POST", f"/v1/policies/fraud/versions/{default_policies()['fraud'].version}/backtest", OWNER, json={"limit": 1})
    assert (same["changed"], same["complete"]) == (0, False)
    house.ask("POST", "/v1/policies/fraud-east/versions/9/backtest", OWNER, expect=404, json={})
    house.ask("POST", "/v1/policies/fraud-east/backtest", APPROVER, expect=403, json={})


def test_faults_come_back_with_their_places_and_a_second_person_is_asked_for(house: House) -> None:
    broken = launch(rules=[{"id": "x", "when": "order.amount >"}, {"id": "y", "when": "plan.shipments > 1.0", "outcome": "NONSENSE"}])
    refused = house.ask("POST", "/v1/policies", OWNER, expect=422, json=broken)
    assert {tuple(one["loc"]) for one in refused["errors"]} == {("rules", 0, "outcome"), ("rules", 1, "when"), ("rules", 1, "outcome")}
    saved = house.ask("POST", "/v1/policies", OWNER, expect=201, json=launch())
    assert house.ask("POST", "/v1/policies", OWNER, json=launch())["new"] is False
    submitted = house.ask("POST", "/v1/policies/fraud-east/submit", OWNER, expect=201, json={"version": saved["version"]})
    house.ask("POST", f"/v1/approvals/{submitted['approval_id']}", OWNER, expect=403, json={"decision": "approve"})
    house.ask("POST", "/v1/policies/fraud-east/rollout", APPROVER, expect=409, json={"version": 1})
    house.ask("POST", "/v1/policies/fraud-east/rollout", APPROVER, expect=422, json={"version": 1, "stage": "shadow"})
    house.ask("POST", "/v1/policies/nothing/rollback", APPROVER, expect=404, json={})
    assert [one["state"] for one in house.ask("GET", "/v1/approvals?state=open", APPROVER)["items"]] == ["open"]
    house.ask("GET", "/v1/policies", Role.OMS, expect=403)


def test_one_principal_with_two_keys_is_still_one_person(house: House) -> None:
    from governance.access import create_key

    both = create_key(house.service.engine, APPROVER, "test-policy_owner")
    house.ask("POST", "/v1/policies", OWNER, expect=201, json=launch())
    submitted = house.ask("POST", "/v1/policies/fraud-east/submit", OWNER, expect=201)
    house.service.keys = {**house.service.keys, APPROVER: both}
    refused = house.ask("POST", f"/v1/approvals/{submitted['approval_id']}", APPROVER, expect=403, json={"decision": "approve"})
    assert "second person" in refused["detail"]


def test_a_list_entry_decides_from_the_next_look_on_and_the_record_repeats_it(house: House, body: Callable[..., Any]) -> None:
    entry = house.ask("POST", "/v1/lists", OWNER, expect=201, json={"list": "block", "kind": "customer", "value": "C-9", "reason": "x"})
    assert house.decide(body(), "before")["outcome"] == "ALLOW"
    house.keeper.refresh()
    blocked = house.decide(body(), "blocked")
    assert (blocked["outcome"], blocked["reasons"][0]["code"]) == ("BLOCK", "ON_BLOCK_LIST")
    (result,) = [one for one in blocked["policy"]["results"] if one["id"] == "block_list"]
    assert entry["entry_id"] in result["detail"]
    stored = house.stored(blocked["decision_id"])
    assert "C-9" not in orjson.dumps(stored.groups["policy"]).decode() + orjson.dumps(stored.groups["circumstances"]).decode()
    house.ask("DELETE", entry["links"]["self"], OWNER, params={"reason": "a mistake"})
    house.keeper.refresh()
    assert house.decide(body(), "removed")["outcome"] == "ALLOW"
    assert house.replayed(blocked["decision_id"]).outcome == "BLOCK"
    assert house.ask("GET", "/v1/lists", OWNER)["items"] == []
    assert [one["removed_by"] for one in house.ask("GET", "/v1/lists?all=true", OWNER)["items"]] == ["test-policy_owner"]
    several = {"entries": [{"list": "allow", "kind": "sku", "value": f"S-{n}", "reason": "x"} for n in range(3)]}
    assert house.ask("POST", "/v1/lists", OWNER, expect=201, json=several)["added"] == 3
    page = house.ask("GET", "/v1/lists?limit=2", OWNER)
    rest = house.ask("GET", "/v1/lists", OWNER, params={"limit": 2, "cursor": page["next_cursor"]})
    assert len({one["entry_id"] for one in (*page["items"], *rest["items"])}) == 3
    house.ask("GET", "/v1/lists?cursor=nonsense!", OWNER, expect=422)
    wrong = house.ask("POST", "/v1/lists", OWNER, expect=422, json={"entries": [{**several["entries"][0], "list": "grey"}]})
    assert wrong["errors"][0]["loc"] == ["entries", 0, "list"]


def test_the_kill_switch_holds_or_silences_and_a_replay_repeats_it(house: House, body: Callable[..., Any]) -> None:
    house.ask("POST", "/v1/killswitch", APPROVER, json={"type": "acceptance", "mode": "hold_all", "note": "the stock feed lies"})
    house.keeper.refresh()
    asked = {**body(), "fallback": "accept"}
    held = house.decide(asked, "held", "acceptance")
    assert (held["outcome"], held["status"], held["reasons"][0]["code"]) == ("HOLD", "fallback", "SWITCHED_TO_HOLD")
    assert held["review"] is not None
    assert house.stored(held["decision_id"]).groups["circumstances"]["switch"]["mode"] == "hold_all"
    together = house.service.decide("orders", body(), key="together").json
    assert together["outcome"] == "HOLD"
    assert together["precedence"][0] == "fraud:BLOCK → STOP"
    assert together["decided_by"] == "acceptance:HOLD → HOLD"
    house.ask("POST", "/v1/killswitch", APPROVER, json={"type": "acceptance", "mode": "rules_only", "note": "rules are right"})
    house.keeper.refresh()
    rules = house.decide(body(), "rules", "acceptance")
    assert rules["status"] == "decided"
    assert "SWITCHED_TO_RULES" in [one["code"] for one in rules["reasons"]]
    assert house.replayed(held["decision_id"]).outcome == "HOLD"
    assert "SWITCHED_TO_RULES" in [one.code for one in house.replayed(rules["decision_id"]).reasons]
    standing = house.ask("GET", "/v1/killswitch", OWNER)
    assert {one["type"]: one["mode"] for one in standing["items"]}["acceptance"] == "rules_only"
    assert [one["mode"] for one in standing["history"]] == ["rules_only", "hold_all"]
    house.ask("POST", "/v1/killswitch", APPROVER, expect=422, json={"type": "nothing", "mode": "normal", "note": "x"})
    house.ask("POST", "/v1/killswitch", OWNER, expect=403, json={"type": "fraud", "mode": "normal", "note": "x"})


def test_a_model_that_must_not_be_served_keeps_no_switch_and_no_list_from_being_obeyed(house: House, body: Callable[..., Any]) -> None:
    stray = {"kind": "model", "type": "acceptance", "alias": "champion", "name": "stray", "version": 9}
    with house.service.engine.begin() as connection:
        connection.execute(insert(alias_history).values(**stray, changed_by="somebody", changed_at=1, note=""))
    house.ask("POST", "/v1/killswitch", APPROVER, json={"type": "fraud", "mode": "hold_all", "note": "odd scores"})
    entry = {"list": "block", "kind": "customer", "value": "C-9", "reason": "stolen account", "types": ["acceptance"]}
    house.ask("POST", "/v1/lists", OWNER, expect=201, json=entry)
    for _ in range(2):
        with pytest.raises(ModelNotAllowed):
            house.keeper.refresh()
    assert house.decide(body(), "held")["outcome"] == "REVIEW"
    assert house.decide(body(), "blocked", kind="acceptance")["outcome"] == "REJECT"


def test_a_switch_that_is_turned_while_models_load_is_obeyed_before_the_last_of_them(
    house: House, artifacts: Mapping[str, ModelArtifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, signer = house.service.engine, house.service.edges.signer
    for kind in ("acceptance", "fraud"):
        artifact = artifacts[kind]
        write_artifact(artifact_folder(tmp_path, artifact.digest), artifact.contents)
        told = {"name": kind, "kind": kind}
        version = register_version(engine, signer, **told, template=kind, digest=artifact.digest, report={}, created_by="t")
        set_alias(engine, signer.verifier, **told, alias=CHAMPION, version=version, changed_by="t", note="")
    seen: list[list[str]] = []

    def slow(folder: Path, digest: str) -> ModelArtifact:
        seen.append(sorted(house.keeper().switches))
        note = {"type": "split-order", "mode": "hold_all", "note": "stop"}
        house.ask("POST", "/v1/killswitch", APPROVER, json=note)
        return load_artifact(folder, digest)

    monkeypatch.setattr("serving.loading.load_artifact", slow)
    house.keeper.refresh()
    assert seen == [[], ["split-order"]]


def test_every_change_arrives_by_itself_and_no_request_fails_meanwhile(house: House, body: Callable[..., Any]) -> None:
    asked = body()

    async def story() -> tuple[list[Any], dict[str, float]]:
        answers: list[Any] = []
        over = asyncio.Event()

        async def traffic() -> None:
            while not over.is_set():
                number = len(answers)
                answers.append(None)
                headers = {"idempotency-key": f"k-{number}"}
                answers[number] = await house.service.send("POST", "/v1/decisions/fraud", json=asked, headers=headers)
                await asyncio.sleep(0.002)

        async def until(told: Callable[[Any], bool]) -> float:
            began = time.monotonic()
            while time.monotonic() - began < 20:
                if answers and answers[-1] is not None and answers[-1].status == 200 and told(answers[-1].json):
                    return time.monotonic() - began
                await asyncio.sleep(0.005)
            raise AssertionError("it never arrived")

        running = asyncio.create_task(traffic())
        took = {}
        await asyncio.to_thread(house.roll_out_in_thread, launch())
        took["policy"] = await until(lambda told: told["policy"]["id"] == "fraud-east")
        await house.send("POST", "/v1/lists", OWNER, json={"list": "block", "kind": "customer", "value": "C-9", "reason": "x"})
        took["list"] = await until(lambda told: told["outcome"] == "BLOCK")
        await house.send("POST", "/v1/killswitch", APPROVER, json={"type": "fraud", "mode": "hold_all", "note": "x"})
        took["switch"] = await until(lambda told: told["status"] == "fallback")
        over.set()
        await running
        return answers, took

    house.roll_out_in_thread = house.roll_out  # type: ignore[attr-defined]
    house.keeper._thread.start()
    try:
        answers, _took = asyncio.run(story())
    finally:
        house.keeper.stop()
    assert {answer.status for answer in answers} == {200}
    seen = list(dict.fromkeys((answer.json["policy"]["id"], answer.json["outcome"], answer.json["status"]) for answer in answers))
    assert seen == [
        ("fraud", "ALLOW", "decided"),
        ("fraud-east", "REVIEW", "decided"),
        ("fraud-east", "BLOCK", "decided"),
        ("fraud-east", "REVIEW", "fallback"),
    ]


def test_the_pages_know_the_words_of_every_policy_and_list_that_ever_judged(house: House, body: Callable[..., Any], tmp_path: Path) -> None:
    house.roll_out(launch())
    house.ask("POST", "/v1/lists", OWNER, expect=201, json={"list": "allow", "kind": "device", "value": "D-5", "reason": "ours"})
    house.keeper.refresh()
    made = house.decide(body(), "east")
    facts = RecordedDecisions(house.service.reader, Cards(tmp_path)).get(made["decision_id"])
    assert facts is not None
    assert facts.checks["large"] == {"en": "large", "zh": "大额"}
    assert facts.checks["allow_list"]["zh"]
    assert RecordedDecisions(house.service.reader, Cards(tmp_path)).reason_text("SWITCHED_TO_HOLD", "zh") == "该类决策已被停用，暂转人工"
