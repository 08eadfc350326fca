"""Backtest over recorded decisions: what a policy or a model would have changed, and what it would have cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import delete

from feature_store.order import MICRO
from governance.backtest import Backtest, backtest, cost_delta
from governance.costs import expected_costs
from governance.decision import Confidence, Decision, Deployed, ModelUse, Stage, Status
from governance.policy import Policy
from governance.policy_document import default_policies, read_policy
from governance.policy_store import keep_policies
from governance.tables import policies
from models.artifact import ModelArtifact, artifact_folder, write_artifact

PRICES = ("10.00", "300.00", "9000.00")


@pytest.fixture
def models(artifacts: Mapping[str, ModelArtifact], tmp_path: Path) -> Path:
    for artifact in artifacts.values():
        write_artifact(artifact_folder(tmp_path / "models", artifact.digest), artifact.contents)
    return tmp_path / "models"


@pytest.fixture
def decided(service: Any, body: Any) -> list[dict[str, Any]]:
    keep_policies(service.engine, default_policies().values(), "test")
    told = []
    for i, price in enumerate(PRICES):
        line = {"line_id": "1", "sku": "SKU-1", "qty": 1, "unit_price": {"amount": price, "currency": "CNY"}}
        for kind in ("acceptance", "fraud", "split-order"):
            asked = {**body(order_id=f"SO-{i}", lines=[line], tags=[]), "oms_choice": None}
            told.append(service.decide(kind, asked, f"{kind}-{i}").json)
    return told


def changed(kind: str, **parameters: float) -> Policy:
    """The default policy of a type with other parameters, as a new version."""
    document = orjson.loads(default_policies()[kind].document)
    for parameter in document["parameters"]:
        parameter["value"] = parameters.pop(parameter["name"], parameter["value"])
    assert not parameters
    return read_policy({**document, "version": document["version"] + 1})


def of(told: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in told if one["type"] == kind]


def money(value: float) -> list[dict[str, str]]:
    return [{"amount": f"{value:.2f}", "currency": "CNY"}]


def test_the_policy_in_force_changes_nothing(service: Any, models: Path, decided: list[dict[str, Any]]) -> None:
    for kind in ("acceptance", "fraud", "split-order"):
        found = backtest(service.engine, models, policy=default_policies()[kind])
        assert (found.compared, found.changed, found.skipped, found.complete) == (3, 0, {}, True)


def test_a_stricter_policy_tells_what_it_would_have_held_and_how_much_that_is(
    service: Any, models: Path, decided: list[dict[str, Any]]
) -> None:
    policy = changed("acceptance", person_above=100)
    found = backtest(service.engine, models, policy=policy)
    accepted = [i for i, one in enumerate(of(decided, "acceptance")) if one["outcome"] == "ACCEPT" and float(PRICES[i]) > 100]
    assert accepted, "the small model accepts none of the larger orders: nothing is tested"
    assert found.changed == len(accepted)
    told = found.to_json()
    assert told["moved"][0]["before"] == "ACCEPT"
    assert told["moved"][0]["after"] == "HOLD"
    assert told["money"]["order_value"] == money(sum(float(PRICES[i]) for i in accepted))
    largest = told["examples"][0]
    assert largest["order_value"]["amount"] == PRICES[max(accepted)]
    assert largest["outcome"] == {"before": "ACCEPT", "after": "HOLD"}
    assert largest["cost_delta"] is not None


@pytest.mark.parametrize("cause", ["late", "returned"])
def test_what_an_acceptance_costs_depends_on_why_it_would_fail_as_its_answer_says(cause: str) -> None:
    policy = default_policies()["acceptance"]
    causes = {"late": 0.0, "cancelled": 0.0, "returned": 0.0, cause: 0.4}
    after = Decision(
        "acceptance", "HOLD", Status.DECIDED, 0, Stage.WHAT_IF, confidence=Confidence("fulfilment_failure", 0.4, 0.3, 0.5, 0.9),
        details={"causes": causes},
    )  # fmt: skip
    costs = expected_costs(policy, 800.0, 0.4, causes)
    assert costs is not None
    told = cost_delta("acceptance", {"outcome": "ACCEPT", "details": {}}, after, policy, 800 * MICRO)
    assert told == pytest.approx((costs.hold - costs.accept) * MICRO, abs=1)
    even = expected_costs(policy, 800.0, 0.4, None)
    assert even is not None
    assert told != pytest.approx((even.hold - even.accept) * MICRO, rel=0.01)


def test_a_window_a_limit_and_a_scope(service: Any, models: Path, decided: list[dict[str, Any]]) -> None:
    policy = changed("acceptance", person_above=100)
    part = backtest(service.engine, models, policy=policy, limit=2)
    assert (part.compared, part.complete) == (2, False)
    assert backtest(service.engine, models, policy=policy, since=2**50).compared == 0
    west = replace(policy, scope=replace(policy.scope, regions=frozenset({"west"}), since=2**50))
    outside = backtest(service.engine, models, policy=west)
    assert (outside.compared, outside.out_of_scope) == (0, 3)
    east = replace(policy, scope=replace(policy.scope, regions=frozenset({"east"}), since=2**50))
    assert backtest(service.engine, models, policy=east).compared == 3


def test_another_model_is_asked_on_what_was_known(
    service: Any, models: Path, decided: list[dict[str, Any]], artifacts: Mapping[str, ModelArtifact]
) -> None:
    artifact = artifacts["fraud"]
    same = backtest(service.engine, models, model=Deployed(artifact, ModelUse("fraud", 2, artifact.digest)))
    assert (same.compared, same.changed) == (3, 0)
    contents = replace(artifact.contents, features=(*artifact.features[:-1], replace(artifact.features[-1], name="not_there_yet")))
    wider = Deployed(ModelArtifact("sha256:" + "0" * 64, contents, artifact.scorer), ModelUse("fraud", 3, "sha256:" + "0" * 64))
    assert backtest(service.engine, models, model=wider).skipped == {"not_comparable": 3}


def test_dearer_lateness_changes_plans_and_tells_their_cost(service: Any, models: Path, decided: list[dict[str, Any]]) -> None:
    found = backtest(service.engine, models, policy=changed("split-order", split_per_shipment=0))
    assert (found.compared, found.skipped) == (3, {})
    told = found.to_json()
    assert told["unchanged"] + told["changed"] == 3


def test_what_cannot_be_compared_is_counted_by_reason(service: Any, models: Path, decided: list[dict[str, Any]], tmp_path: Path) -> None:
    found = backtest(service.engine, tmp_path / "elsewhere", policy=default_policies()["fraud"])
    assert found.skipped == {"model_missing": 3}
    with service.engine.begin() as connection:
        connection.execute(delete(policies))
    assert backtest(service.engine, models, policy=default_policies()["fraud"]).compared == 3, "the recorded policy is not needed"


def test_it_needs_one_thing_to_change(service: Any, models: Path, artifacts: Mapping[str, ModelArtifact]) -> None:
    fraud = Deployed(artifacts["fraud"], ModelUse("fraud", 1, artifacts["fraud"].digest))
    with pytest.raises(ValueError, match="needs a policy or a model"):
        backtest(service.engine, models)
    with pytest.raises(ValueError, match="of one type"):
        backtest(service.engine, models, policy=default_policies()["acceptance"], model=fraud)
    assert isinstance(backtest(service.engine, models, model=fraud), Backtest)
