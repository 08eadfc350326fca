"""Past decisions computed again over HTTP: replay is exact whatever was decided, what changed since is named, and a what-if changes nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from governance.access import Access, Role, create_key
from governance.controls import Mode, Switch
from governance.ledger.errors import NotDurable
from governance.ledger.opened import check, read_groups
from governance.ledger.receipt import Receipt, verify
from governance.ledger.store import Filters
from governance.ledger.tables import records
from governance.policy_document import default_policies
from governance.policy_store import keep_policies
from governance.reconstruct import Why
from governance.replay import Replayer, Verdict
from governance.shelf import Shelf
from governance.tables import policies
from models.artifact import MODEL_FILE, ModelArtifact, artifact_folder, write_artifact
from serving.again import Again
from serving.answer import Answerer, Edges
from serving.api.again_operations import AGAIN_DECISIONS, WHAT_IF_EXAMPLE, WHAT_IF_PLAN
from serving.api.decisions import DecisionsApp
from serving.api.schemas import CUSTOM_EXAMPLE
from serving.edges import runner
from serving.lookups import Lookups
from serving.replaying import tally
from serving.what_if import Keeping

NUMBERS = count()
RUNNING = {"build": "test", "environment": "test"}


@pytest.fixture(scope="session")
def kept_models(artifacts: Mapping[str, ModelArtifact], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts as a home keeps them: by digest."""
    folder = tmp_path_factory.mktemp("kept")
    for artifact in artifacts.values():
        write_artifact(artifact_folder(folder, artifact.digest), artifact.contents)
    return folder


@dataclass
class Past:
    """A service whose past can be looked at."""

    service: Any
    models: Path
    shelf: Shelf
    app_of: Callable[..., DecisionsApp]

    def replayer(self, running: Mapping[str, str] = RUNNING, **rest: Any) -> Replayer:
        return Replayer(Shelf(self.service.engine, self.models), running, self.service.reader.read, **rest)

    def decide(self, kind: str, body: Any, key: str = "k", **edges: Any) -> Any:
        service = self.service.with_edges(**edges) if edges else self.service
        answer = service.decide(kind, body, key)
        assert answer.status == 200, answer.content
        return answer.json

    def replay(self, decision_id: str, **rest: Any) -> Any:
        stored = self.service.reader.read(decision_id)
        assert stored is not None
        return self.replayer(**rest).replay(stored)

    def ask(self, method: str, decision: Mapping[str, Any], what: str, role: Role = Role.REVIEWER, **rest: Any) -> Any:
        return self.service.call(method, f"/v1/decisions/{decision['decision_id']}/{what}", role=role, **rest)

    def what_if(self, decision: Mapping[str, Any], body: Any, role: Role = Role.REVIEWER) -> Any:
        return self.ask("POST", decision, "what-if", role, json=body)


@pytest.fixture
def past(service: Any, kept_models: Path) -> Past:
    """The whole thing on a SQLite file, with its policies kept and its models by digest."""
    keep_policies(service.engine, default_policies().values(), "test")
    shelf = Shelf(service.engine, kept_models)

    def app_of(edges: Any) -> DecisionsApp:
        run = runner(service.engine, ThreadPoolExecutor(1))
        replayer = Replayer(shelf, RUNNING, service.reader.read)
        keeping = Keeping(edges.signer, edges.tenant, edges.running, edges.clock)
        again = Again(service.reader, replayer, shelf, edges.records, keeping, ThreadPoolExecutor(1))
        return DecisionsApp(Answerer(edges), Lookups(service.reader, run), Access(service.engine), edges.force, again=again)

    service.app = app_of(service.edges)
    return Past(service, kept_models, shelf, app_of)


async def store_is_down(*_asked: Any) -> Any:
    raise ConnectionError("the store is down")


def broken_edges(past: Past) -> dict[str, Any]:
    """A store that is down, and nothing that remembers it afterwards."""
    edges = past.service.edges
    fresh = Edges(edges.force, store_is_down, edges.recall, edges.records, edges.signer, edges.fingerprint)
    remembering = [one.name for one in fields(Edges) if one.name not in {"tenant", "running", "clock", "reserved", "hold_ms"}]
    return {name: getattr(fresh, name) for name in remembering}


def split_parts(nodes: list[str], available: list[int], days: list[float]) -> dict[str, Any]:
    return {
        "nodes": [{"node_id": node, "region": "east", "processing_cost": {"amount": "1.50", "currency": "CNY"}} for node in nodes],
        "stock": [{"node_id": node, "sku": "SKU-1", "available": some} for node, some in zip(nodes, available, strict=True)],
        "rates": [
            {
                "node_id": node, "region": "east", "service": "std", "fixed": {"amount": "6.00", "currency": "CNY"},
                "per_kg": {"amount": "1.255", "currency": "CNY"}, "transit_days": some, "co2e_g_per_kg": 33.3,
            }
            for node, some in zip(nodes, days, strict=True)
        ],
    }  # fmt: skip


amounts = st.decimals(0, 90_000, places=2).map(str)
lines = st.lists(
    st.fixed_dictionaries(
        {
            "sku": st.sampled_from(["SKU-1", "SKU-2", "SKU-9"]),
            "qty": st.integers(1, 60),
            "unit_price": st.builds(lambda amount: {"amount": amount, "currency": "CNY"}, amounts),
        },
        optional={"weight_g": st.floats(0, 1e5), "temp_class": st.sampled_from(["ambient", "chilled"])},
    ),
    min_size=1,
    max_size=4,
).map(lambda told: [{"line_id": str(i), **line} for i, line in enumerate(told)])
orders = st.fixed_dictionaries(
    {"lines": lines},
    optional={
        "tags": st.lists(st.sampled_from(["presale", "cross_border", "bulky", "预售"]), unique=True),
        "channel": st.sampled_from(["app", "web", "小程序"]),
        "promised_by": st.sampled_from([None, "2026-11-14T12:00:00.000Z", "2027-01-01T00:00:00.000Z"]),
        "payment": st.sampled_from([None, {"method": "card", "status": "declined"}, {"token": "tok_2"}]),
    },
)
supplied = st.one_of(
    st.just({}),
    st.integers(1, 3).flatmap(
        lambda n: st.builds(
            split_parts,
            st.just(["A", "B", "C"][:n]),
            st.lists(st.integers(0, 40), min_size=n, max_size=n),
            st.lists(st.floats(0.5, 9), min_size=n, max_size=n),
        )
    ),
)
demands = st.fixed_dictionaries(
    {},
    optional={
        "constraints": st.fixed_dictionaries(
            {}, optional={"max_shipments": st.integers(1, 3), "deliver_by": st.just("2026-11-20T00:00:00Z")}
        ),
        "weights": st.fixed_dictionaries({}, optional={name: st.floats(0, 50) for name in ("cost", "lateness", "carbon", "split")}),
        "oms_choice": st.sampled_from([{"outcome": "ACCEPT"}, {"outcome": "PLANNED", "shipments": None}]),
    },
)
parcels = st.fixed_dictionaries(
    {name: st.just(value) for name, value in CUSTOM_EXAMPLE["row"].items()}
    | {"weight_g": st.floats(-1e3, 1e6), "region": st.sampled_from(["east", "west", "nowhere"])}
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_replay_is_exact_whatever_was_decided(past: Past, body: Any, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["acceptance", "fraud", "split-order", "orders", "parcel-late"]))
    number = next(NUMBERS)
    broken = data.draw(st.sampled_from([False, False, False, True]))
    if kind == "parcel-late":
        asked: dict[str, Any] = {"mode": "live", "row": data.draw(parcels), "order_id": data.draw(st.sampled_from([None, "SO-7"]))}
    else:
        asked = {**body(order_id=f"SO-{number}", **data.draw(orders)), "oms_choice": None}
        if kind in {"split-order", "orders"}:
            asked |= data.draw(supplied) | data.draw(demands)
    answer = past.decide(kind, asked, f"k-{number}", **(broken_edges(past) if broken else {}))
    found = past.replay(answer["decision_id"])
    assert (found.verdict, found.differences, found.detail) == (Verdict.EXACT, (), None)
    stored = past.service.reader.read(answer["decision_id"])
    parts = [one["decision_id"] for one in answer["decisions"].values() if "decision_id" in one] if kind == "orders" else []
    assert len(found.parts) == len(parts)
    assert all(past.replay(one).verdict is Verdict.EXACT for one in parts)
    assert orjson.loads(stored.entry)["type"] == ("order_decision" if kind == "orders" else kind)


def test_everything_that_a_decision_depends_on_comes_back(past: Past, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new input of the core that no record keeps is found here, because what is rebuilt lacks it."""
    from governance.reconstruct import rebuild
    from serving import knowing

    seen: list[Any] = []
    decide = knowing.decide
    monkeypatch.setattr(knowing, "decide", lambda inputs, *rest, **more: (seen.append(inputs), decide(inputs, *rest, **more))[1])
    choice = {"outcome": "PLANNED", "shipments": [{"node_id": "A", "service": None, "lines": [{"line_id": "1", "qty": 1}]}]}
    asked = {**body(), **split_parts(["A", "B"], [1, 9], [2, 3.25]), "oms_choice": choice, "weights": {"carbon": 3}}
    for kind in ("acceptance", "fraud", "split-order"):
        told = asked if kind == "split-order" else {**body(), "oms_choice": {"outcome": "ACCEPT"}}
        answer = past.decide(kind, told, kind)
        rebuilt = rebuild(past.service.reader.get(answer["decision_id"])).inputs
        for name in type(rebuilt).__dataclass_fields__:
            was, now = getattr(seen[-1], name), getattr(rebuilt, name)
            if name in {"snapshot", "lanes"}:
                was, now = ([_bits(one) for one in each] if name == "lanes" else _bits((each,)) for each in (was, now))
            assert was == now, name


def _bits(lane: Any) -> Any:
    *head, one = lane
    return head, one and (one.names, one.values.tobytes(), one.event_times, one.origins, one.view_version, one.as_of, one.digest)


def test_a_replay_over_http(past: Past, body: Any) -> None:
    decision = past.decide("acceptance", body())
    told = past.ask("POST", decision, "replay", Role.AUDITOR)
    assert told.status == 200
    assert told.json == {
        "decision_id": decision["decision_id"], "type": "acceptance", "verdict": "exact", "reason": None, "detail": None, "differences": [],
    }  # fmt: skip
    assert past.ask("POST", decision, "replay", Role.OMS).status == 403
    assert past.ask("GET", decision, "replay", Role.AUDITOR).status == 405
    assert past.ask("POST", {"decision_id": "nothing"}, "replay", Role.AUDITOR).status == 404


def test_one_changed_byte_of_a_model_is_named(past: Past, body: Any, tmp_path: Path) -> None:
    decision = past.decide("fraud", body())
    folder = tmp_path / "models"
    shutil.copytree(past.models, folder)
    past.models = folder
    before = past.replayer()
    stored = past.service.reader.read(decision["decision_id"])
    assert before.replay(stored).verdict is Verdict.EXACT
    path = artifact_folder(folder, decision["model"]["digest"]) / MODEL_FILE
    text = bytearray(path.read_bytes())
    at = text.index(b"leaf_value=") + len(b"leaf_value=") + 4
    text[at] = ord("7") if text[at] != ord("7") else ord("8")
    path.write_bytes(bytes(text))
    for replayer in (before, past.replayer()):  # also the one that has the model in memory
        found = replayer.replay(stored)
        assert (found.verdict, found.why) == (Verdict.NOT_REPLAYABLE, Why.MODEL_CORRUPT)
        assert decision["model"]["digest"] in (found.detail or "")
        assert MODEL_FILE in (found.detail or "")
    shutil.rmtree(path.parent)
    gone = past.replay(decision["decision_id"])
    assert (gone.verdict, gone.why) == (Verdict.NOT_REPLAYABLE, Why.MODEL_MISSING)


def test_a_policy_that_is_gone_is_named(past: Past, body: Any) -> None:
    decision = past.decide("fraud", body())
    with past.service.engine.begin() as connection:
        connection.execute(delete(policies).where(policies.c.digest == decision["policy"]["digest"]))
    found = past.replay(decision["decision_id"])
    assert (found.verdict, found.why) == (Verdict.NOT_REPLAYABLE, Why.POLICY_MISSING)
    assert decision["policy"]["digest"] in (found.detail or "")


def test_another_library_version_is_named(past: Past, body: Any) -> None:
    decision = past.decide("fraud", body())
    kept = {"test": ("python==3.11.9", "numpy==2.1.0"), "now": ("python==3.11.9", "numpy==2.1.1", "new==1")}
    found = past.replay(decision["decision_id"], running={"build": "test", "environment": "now"}, libraries=kept.get)
    assert found.verdict is Verdict.EXACT
    (difference,) = found.differences
    assert (difference.part, difference.recorded, difference.replayed) == ("environment", "test", "now")
    assert difference.text == "it was decided with other libraries: new absent → 1, numpy 2.1.0 → 2.1.1"
    other = past.replay(decision["decision_id"], running={"build": "newer", "environment": "test"})
    assert [one.part for one in other.differences] == ["build"]
    counted = tally(past.replayer({"build": "newer", "environment": "now"}), past.service.reader.walk(Filters()))
    assert counted.sound
    assert sorted(text.partition(":")[0] for text in counted.changed) == ["build", "environment"]


def test_what_differs_is_named_by_place(past: Past, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arithmetic that comes out otherwise, as another build of a library could make it, moves one contribution by one bit."""
    import numpy as np

    from models.scorer import TreeScorer

    decision = past.decide("acceptance", body())
    explain = TreeScorer.explain

    def nudged(self: TreeScorer, x: Any, output: int = 0) -> Any:
        told = explain(self, x, output)
        parts = told.contributions.copy()
        parts[3] = np.nextafter(parts[3], 9.0)
        return told._replace(contributions=parts)

    monkeypatch.setattr(TreeScorer, "explain", nudged)
    found = past.replay(decision["decision_id"])
    assert found.verdict is Verdict.SAME_OUTCOME
    explained = past.ask("GET", decision, "explanation", Role.AUDITOR).json
    (name,) = {one.path for one in found.differences if one.part == "contributions"}
    assert name in {one["feature"] for one in explained["contributions"]}


def test_another_outcome_is_told_as_differing(past: Past, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from governance import replay

    decision = past.decide("fraud", body())
    decide = replay.decide
    monkeypatch.setattr(
        replay, "decide", lambda *given: replace(decide(*given), outcome="BLOCK" if decision["outcome"] != "BLOCK" else "ALLOW")
    )
    found = past.replay(decision["decision_id"])
    assert found.verdict is Verdict.DIFFERS
    assert ("outcome", "outcome") in {(one.part, one.path) for one in found.differences}


def test_a_damaged_record_is_not_replayed(past: Past, body: Any) -> None:
    first, second = past.decide("fraud", body(), "a"), past.decide("fraud", body(order_id="SO-2"), "b")
    with past.service.engine.begin() as connection:
        other = connection.execute(select(records.c.body).where(records.c.record_id == second["decision_id"])).scalar_one()
        connection.execute(records.update().where(records.c.record_id == first["decision_id"]).values(body=other))
    found = past.replay(first["decision_id"])
    assert (found.verdict, found.why) == (Verdict.NOT_REPLAYABLE, Why.RECORD_CORRUPT)
    counted = tally(past.replayer(), past.service.reader.walk(Filters()))
    assert (counted.total, counted.verdicts[Verdict.EXACT], counted.sound) == (2, 1, False)


def test_a_part_that_is_not_the_one_that_was_bound(past: Past, body: Any) -> None:
    order, alone = past.decide("orders", body(), "a"), past.decide("fraud", body(), "b")
    stored = past.service.reader.read(order["decision_id"])
    swapped = replace(past.service.reader.read(alone["decision_id"]))
    find = past.service.reader.read
    fraud_id = order["decisions"]["fraud"]["decision_id"]
    replayer = Replayer(past.shelf, RUNNING, lambda record_id: swapped if record_id == fraud_id else find(record_id))
    found = replayer.replay(stored)
    assert (found.verdict, found.why) == (Verdict.NOT_REPLAYABLE, Why.RECORD_CORRUPT)


def test_a_what_if_of_nothing_new_is_the_decision(past: Past, body: Any) -> None:
    decision = past.decide("acceptance", body())
    name = past.ask("GET", decision, "explanation", Role.AUDITOR).json["contributions"][0]
    told = past.what_if(decision, {"features": {name["feature"]: name["value"]}})
    assert told.status == 200, told.content
    same = ("type", "outcome", "confidence", "reasons", "model", "order_id", "decided_at")
    assert [told.json[one] for one in same] == [decision[one] for one in same]
    assert told.json["delta"]["probability"] == 0
    assert told.json["delta"]["outcome"] == {"before": decision["outcome"], "after": decision["outcome"]}


def test_a_what_if_is_recorded_and_never_found_as_a_decision(past: Past, body: Any) -> None:
    decision = past.decide("split-order", {**body(), "oms_choice": None})
    taken = decision["shipments"][0]["node_id"]
    other = "N2" if taken == "N1" else "N1"
    before = past.service.reader.search(Filters()).lines
    told = past.what_if(decision, {"forbid_node": taken})
    assert told.status == 200, told.content
    assert [one["node_id"] for one in told.json["shipments"]] == [other]
    assert told.json["reservation"] is None
    assert told.json["what_if_of"] == decision["decision_id"]
    assert past.service.reader.search(Filters()).lines == before
    verify(Receipt.from_json(told.json["receipt"]), past.service.edges.signer.verifier)
    with past.service.engine.connect() as connection:
        row = connection.execute(select(records).where(records.c.kind == "what_if")).one()
    entry = orjson.loads(row.entry)
    assert (row.record_id, entry["refers_to"]) == (told.json["decision_id"], decision["decision_id"])
    groups = read_groups(row.body)
    assert orjson.loads(groups["request"]) == {"forbid_node": taken}
    assert groups["people"] == {"principal": "test-reviewer"}


def test_forcing_a_node_costs_what_the_delta_says(past: Past, body: Any) -> None:
    parts = split_parts(["A", "B"], [9, 9], [1, 4])
    parts["rates"][1]["fixed"]["amount"] = "9.25"
    decision = past.decide("split-order", {**body(), **parts, "oms_choice": None})
    assert [one["node_id"] for one in decision["shipments"]] == ["A"]
    told = past.what_if(decision, {"force_node": "B"}).json
    assert "B" in {one["node_id"] for one in told["shipments"]}
    alone = past.what_if(decision, {"forbid_node": ["A"]}).json
    assert alone["delta"]["cost"] == {"amount": "3.25", "currency": "CNY"}
    assert alone["delta"]["lateness_h"] == 72.0
    assert alone["delta"]["co2e_g"] == 0.0


def test_the_record_of_a_what_if_is_what_its_entry_commits_to(past: Past, body: Any) -> None:
    told = past.what_if(past.decide("acceptance", body()), {"policy_parameters": {"person_above": 100}}).json
    with past.service.engine.connect() as connection:
        row = connection.execute(select(records).where(records.c.record_id == told["decision_id"])).one()
    check(bytes(row.entry), bytes(row.leaf_hash), bytes(row.body), bytes(row.seeds))
    assert orjson.loads(read_groups(bytes(row.body))["response"])["delta"] == told["delta"]


def test_policy_parameters_and_weights_are_what_ifs_too(past: Past, body: Any) -> None:
    decision = past.decide("acceptance", body())
    parameters = past.ask("GET", decision, "", Role.AUDITOR)
    assert parameters is not None
    told = past.what_if(decision, {"policy_parameters": {"person_above": 100}})
    assert told.status == 200
    assert "ORDER_VALUE_HIGH" in {one["code"] for one in told.json["reasons"]} or told.json["outcome"] != "ACCEPT"
    split = past.decide("split-order", {**body(), "oms_choice": None}, "k2")
    free = past.what_if(split, {"weights": {"cost": 0, "lateness": 0, "carbon": 0, "split": 0}}).json
    assert float(free["objective"]["total"]["amount"]) == 0
    assert Decimal(free["delta"]["objective"]["amount"]) == -Decimal(split["objective"]["total"]["amount"])


@pytest.mark.parametrize(
    ("kind", "asked", "loc"),
    [
        ("acceptance", {}, []),
        ("acceptance", {"features": {}}, []),
        ("acceptance", {"features": {"no_such": 1}}, ["features", "no_such"]),
        ("acceptance", {"features": {"express": 0.5}}, ["features", "express"]),
        ("acceptance", {"features": {"pieces": "many"}}, ["features", "pieces"]),
        ("acceptance", {"force_node": "N1"}, ["force_node"]),
        ("acceptance", {"policy_parameters": {"no_such": 1}}, ["policy_parameters", "no_such"]),
        ("acceptance", {"policy_parameters": {"reject_at": 7}}, ["policy_parameters", "reject_at"]),
        ("acceptance", {"surprise": 1}, ["surprise"]),
        ("split-order", {"force_node": "Z"}, ["force_node"]),
        ("split-order", {"forbid_node": ["N1", "Z"]}, ["forbid_node"]),
        ("split-order", {"weights": {"cost": -1}}, ["weights", "cost"]),
        ("split-order", {"constraints": {"require_nodes": ["Z"]}}, ["constraints", "require_nodes", 0]),
    ],
)
def test_an_impossible_what_if_is_a_422_with_the_place(past: Past, body: Any, kind: str, asked: Any, loc: list[Any]) -> None:
    decision = past.decide(kind, {**body(), "oms_choice": None})
    told = past.what_if(decision, asked)
    assert told.status == 422, told.content
    assert loc in [error["loc"] for error in told.json["errors"]]


@pytest.mark.parametrize("value", [1e17, 2.0**60, 1e300, -1e300, 5e-324, 10**18, 2**53 + 1, 0.1 + 0.2])
def test_any_finite_number_can_be_asked_about(past: Past, body: Any, value: float) -> None:
    for kind in ("acceptance", "fraud"):
        told = past.what_if(past.decide(kind, body(), kind), {"features": {"pieces": value}})
        assert told.status == 200, told.content


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.dictionaries(
    st.sampled_from(["features", "force_node", "forbid_node", "constraints", "weights", "policy_parameters", "\x00"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["pieces", "cost", "N1", "", "\x00"]), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
))  # fmt: skip
def test_no_what_if_breaks_anything(past: Past, body: Any, raw: Any) -> None:
    decision = past.decide("split-order", {**body(), "oms_choice": None})
    assert past.what_if(decision, raw).status in {200, 422}


def test_who_may_ask_what_if(past: Past, body: Any) -> None:
    decision = past.decide("fraud", body())
    asked = {"policy_parameters": {"chargeback_fee": 1}}
    assert past.what_if(decision, asked, Role.OMS).status == 200
    assert past.what_if(decision, asked, Role.TRAINER).status == 403
    past.service.keys = {**past.service.keys, Role.OMS: create_key(past.service.engine, Role.OMS, "another-oms")}
    assert past.what_if(decision, asked, Role.OMS).status == 404


def test_a_fallback_that_knew_nothing_has_no_what_if(past: Past, body: Any) -> None:
    service = past.service
    decision = past.decide("fraud", body(), **broken_edges(past))
    told = past.what_if(decision, {"policy_parameters": {"chargeback_fee": 1}})
    assert told.status == 409
    assert "before anything was known" in told.json["detail"]
    order = past.decide("orders", body(), "k2")
    assert service is past.service
    assert past.what_if(order, {"policy_parameters": {"chargeback_fee": 1}}).status == 409


def test_a_what_if_that_cannot_be_recorded_is_not_told(past: Past, body: Any) -> None:
    class Refusing:
        async def commit(self, _rows: Any) -> Any:
            raise NotDurable("no disk")

    decision = past.decide("fraud", body())
    past.service.app = past.app_of(replace(past.service.edges, records=Refusing()))
    told = past.what_if(decision, {"policy_parameters": {"chargeback_fee": 1}})
    assert told.status == 503
    assert told.headers["retry-after"]
    assert asyncio.iscoroutinefunction(Refusing.commit)


def named(value: Any) -> Any:
    """Names of members only."""
    if isinstance(value, dict):
        return {name: named(item) for name, item in value.items()}
    return [named(item) for item in value] if isinstance(value, list) else None


def test_real_answers_have_the_members_that_are_documented(past: Past, body: Any) -> None:
    documented = {operation.example: operation.answer for operation in AGAIN_DECISIONS}
    for kind, asked in (("acceptance", WHAT_IF_EXAMPLE), ("fraud", {"features": {"pieces": 3}}), ("split-order", WHAT_IF_PLAN)):
        decision = past.decide(kind, {**body(), "oms_choice": None}, kind)
        answers = {
            "replay": past.ask("POST", decision, "replay", Role.AUDITOR),
            "what_if": past.what_if(decision, asked),
            "recourse": past.ask("GET", decision, "recourse"),
        }
        assert set(answers) == set(documented)
        for name, told in answers.items():
            assert told.status == 200, told.content
            model = documented[name]
            assert model is not None
            assert named(model.model_validate(told.json).model_dump(mode="json", exclude_unset=True)) == named(told.json)


def test_recourse_over_http_flips_when_it_is_sent_as_a_what_if(past: Past, body: Any) -> None:
    flipped = 0
    for i, tags in enumerate(([], ["presale"], ["presale", "cross_border"])):
        for kind in ("acceptance", "fraud", "parcel-late"):
            asked = {"row": CUSTOM_EXAMPLE["row"]} if kind == "parcel-late" else {**body(order_id=f"SO-{i}", tags=tags), "oms_choice": None}
            decision = past.decide(kind, asked, f"{kind}-{i}")
            told = past.ask("GET", decision, "recourse").json
            assert bool(told["suggestions"]) == (told["reason"] is None)
            best = decision["outcome"] in {"ACCEPT", "ALLOW"}
            assert ((told["reason"] or {}).get("code") == "ALREADY_BEST") == best
            worse = past.ask("GET", decision, "recourse?direction=worse").json
            for suggestion in (*told["suggestions"], *worse["suggestions"]):
                shown = past.what_if(decision, suggestion["what_if"]).json
                assert shown["outcome"] == suggestion["outcome"] != decision["outcome"]
                flipped += 1
    assert flipped
    plan = past.decide("split-order", {**body(), "oms_choice": None}, "plan")
    assert past.ask("GET", plan, "recourse").json["reason"]["code"] == "A_PLAN"
    assert past.ask("GET", plan, "recourse", Role.TRAINER).status == 403
    refused = [past.ask("GET", plan, f"recourse?{query}") for query in ("direction=up", "toward=better")]
    assert [(one.status, one.json["errors"][0]["loc"]) for one in refused] == [(422, ["query", "direction"]), (422, ["query", "toward"])]


def test_what_people_have_switched_and_listed_comes_back(past: Past, body: Any) -> None:
    force = past.service.edges.force()
    for number, mode in enumerate((Mode.RULES_ONLY, Mode.HOLD_ALL)):
        switched = replace(force, switches={"fraud": Switch(mode, 7), "acceptance": Switch(mode, 8)})
        for kind in ("fraud", "acceptance"):
            answer = past.decide(kind, body(order_id=f"SO-{number}"), f"{kind}-{number}", force=lambda: switched)  # noqa: B023
            assert answer["model"] is None
            found = past.replay(answer["decision_id"])
            assert (found.verdict, found.differences) == (Verdict.EXACT, ())
