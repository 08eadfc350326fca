from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.times import HOUR
from governance.policy import ParameterRefused, Policy
from governance.policy_document import FACTS, PolicyInvalid, default_policies, read_policy
from governance.values import Status
from models.specs import SPECS

WORDS = {"en": "text", "zh": "文本"}

DOCUMENT: dict[str, Any] = {
    "schema": "ordinance/policy/v1",
    "id": "acceptance",
    "version": 3,
    "type": "acceptance",
    "title": WORDS,
    "parameters": [{"name": "hold_at", "kind": "probability", "value": 0.5, "text": WORDS}],
    "constraints": [
        {"id": "paid", "require": "order.payment_status == 'authorised'", "outcome": "REJECT", "code": "UNPAID", "text": WORDS}
    ],
    "rules": [
        {"id": "risky", "when": "model.probability >= params.hold_at", "outcome": "HOLD"},
        {"id": "slow", "when": "features.delay_days > 3.0", "outcome": "HOLD", "code": "SLOW", "text": WORDS, "queue": "slow"},
    ],
    "default_outcome": "ACCEPT",
    "fallbacks": [{"name": "hold", "outcome": "HOLD", "text": WORDS}],
    "default_fallback": "hold",
    "review": {"outcome": "HOLD", "queue": "people", "due_h": 4, "expires_to": "REJECT"},
}

FACTS_OF_ONE = {"order": {"payment_status": "authorised"}, "model": {"probability": 0.3}, "features": {"delay_days": 1.0}}


def changed(*path_and_value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    *path, value = path_and_value
    target: Any = document
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return document


def facts(**changes: Any) -> dict[str, Any]:
    merged = copy.deepcopy(FACTS_OF_ONE)
    for root, values in changes.items():
        merged[root] = {**merged.get(root, {}), **values}
    return merged


@pytest.fixture(scope="module")
def policy() -> Policy:
    return read_policy(DOCUMENT)


def test_nothing_objects_so_the_default_holds(policy: Policy) -> None:
    judgement = policy.judge(FACTS_OF_ONE)
    assert (judgement.outcome, judgement.status, judgement.decisive) == ("ACCEPT", Status.DECIDED, None)
    assert [(r.id, r.hard, r.passed) for r in judgement.results] == [("paid", True, True), ("risky", False, True), ("slow", False, True)]


def test_the_first_check_that_objects_decides_and_all_are_traced(policy: Policy) -> None:
    judgement = policy.judge(facts(order={"payment_status": "declined"}, model={"probability": 0.9}))
    assert judgement.outcome == "REJECT"
    assert [check.id for check in judgement.objecting] == ["paid", "risky"]
    assert [r.passed for r in judgement.results] == [False, False, True]


def test_the_trace_tells_the_values_it_saw(policy: Policy) -> None:
    details = {r.id: r.detail for r in policy.judge(facts(model={"probability": 0.625})).results}
    assert details["risky"] == "model.probability = 0.625, params.hold_at = 0.5"


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_a_check_without_its_facts_is_not_evaluated_and_says_so(policy: Policy, unknown: float | None) -> None:
    judgement = policy.judge(facts(features={"delay_days": unknown}))
    assert judgement.outcome == "ACCEPT"
    assert judgement.results[2].detail == "not evaluated, unknown: features.delay_days"


def test_a_constraint_may_fail_when_a_fact_is_unknown() -> None:
    strict = read_policy(changed("constraints", 0, "when_unknown", "fail"))
    assert strict.judge(facts(order={"payment_status": None})).outcome == "REJECT"


def test_one_check_that_cannot_be_computed_silences_no_other() -> None:
    fragile = read_policy(changed("rules", 0, "when", "order.attributes.vip == true"))
    judgement = fragile.judge(facts(order={"payment_status": "declined", "attributes": {"gift": True}}, features={"delay_days": 9.0}))
    assert [r.passed for r in judgement.results] == [False, True, False]
    assert judgement.results[1].detail.startswith("not evaluated, KeyError")
    assert judgement.outcome == "REJECT"


def test_has_asks_for_an_unknown_fact_without_being_skipped() -> None:
    asking = read_policy(changed("rules", 1, "when", "!has(features.delay_days)"))
    assert asking.judge(facts(features={"delay_days": None})).outcome == "HOLD"


def test_a_held_decision_waits_in_the_queue_of_its_rule(policy: Policy) -> None:
    review = policy.review_of("HOLD", 1_000, "slow")
    assert review is not None
    assert (review.queue, review.due_at, review.expires_to) == ("slow", 1_000 + 4 * HOUR, "REJECT")
    assert policy.review_of("ACCEPT", 1_000) is None


def test_other_parameter_values_decide_otherwise_under_the_same_document(policy: Policy) -> None:
    careful = policy.with_parameters({"hold_at": 0.2})
    assert policy.judge(FACTS_OF_ONE).outcome == "ACCEPT"
    assert careful.judge(FACTS_OF_ONE).outcome == "HOLD"
    assert careful.digest == policy.digest


@pytest.mark.parametrize(("name", "value"), [("hold_at", 1.2), ("hold_at", "0.3"), ("hold_at", True), ("hold_at", math.nan), ("nope", 0.1)])
def test_a_parameter_outside_its_bounds_is_refused(policy: Policy, name: str, value: object) -> None:
    with pytest.raises(ParameterRefused, match=name):
        policy.with_parameters({name: value})


@pytest.mark.parametrize(
    ("document", "loc", "message"),
    [
        (changed("rules", 0, "when", "model.probability >"), ("rules", 0, "when"), "not a valid expression"),
        (changed("rules", 0, "when", "model.certainty > 0.5"), ("rules", 0, "when"), "model.certainty: unknown"),
        (changed("rules", 0, "when", "params.nope > 0.5"), ("rules", 0, "when"), "params.nope: unknown"),
        (changed("rules", 0, "when", "order.amount * 2 > 5.0"), ("rules", 0, "when"), "not a valid expression"),
        (changed("rules", 0, "when", "order.amount"), ("rules", 0, "when"), "not true or false"),
        (changed("rules", 0, "when", "size(order) > 3"), ("rules", 0, "when"), "needs a name after it"),
        (changed("rules", 0, "when", "true"), ("rules", 0, "when"), "always true"),
        (changed("rules", 0, "outcome", "ALLOW"), ("rules", 0, "outcome"), "no outcome of acceptance"),
        (changed("rules", 1, "id", "paid"), ("rules",), "'paid' occurs twice"),
        (changed("rules", 0, "code", "RISKY"), ("rules", 0, "code"), "both a code and a text"),
        (changed("default_fallback", "accept"), ("default_fallback",), "not one of the fallbacks"),
        (changed("parameters", 0, "value", 1.5), ("parameters", 0, "value"), "outside"),
        (changed("review", "expires_to", "BLOCK"), ("review", "expires_to"), "no outcome of acceptance"),
        (changed("surprise", 1), ("surprise",), "Extra inputs"),
    ],
)
def test_a_faulty_document_is_refused_with_the_place(document: dict[str, Any], loc: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        read_policy(document)
    assert any(where == loc and message in msg for where, msg in caught.value.errors), caught.value.errors


def test_every_fault_is_told_at_once() -> None:
    document = changed("rules", 0, "outcome", "ALLOW")
    document["rules"][1]["when"] = "features.delay_days >"
    with pytest.raises(PolicyInvalid) as caught:
        read_policy(document)
    assert {loc for loc, _ in caught.value.errors} == {("rules", 0, "outcome"), ("rules", 1, "when")}


def test_a_feature_that_the_type_lacks_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="no such feature"):
        read_policy(DOCUMENT, feature_names={"other"})
    assert read_policy(DOCUMENT, feature_names={"delay_days"}).id == "acceptance"


def test_names_inside_texts_are_no_facts() -> None:
    read_policy(changed("rules", 0, "when", "order.channel == 'model.nonsense params.x'"))


def test_the_digest_is_of_the_content_not_of_the_writing() -> None:
    spaced = orjson.dumps(dict(reversed(DOCUMENT.items())), option=orjson.OPT_INDENT_2)
    assert read_policy(spaced).digest == read_policy(DOCUMENT).digest
    assert read_policy(changed("parameters", 0, "value", 0.4)).digest != read_policy(DOCUMENT).digest
    assert read_policy(read_policy(DOCUMENT).document).digest == read_policy(DOCUMENT).digest


def test_not_json_is_one_clear_fault() -> None:
    with pytest.raises(PolicyInvalid, match="not JSON"):
        read_policy(b"{")


def test_every_built_in_type_has_a_policy_and_so_have_custom_ones() -> None:
    assert set(default_policies()) == {*SPECS, "custom"}


@given(
    probability=st.floats(0, 1),
    width=st.floats(0, 1),
    amount=st.floats(0, 1e7),
    status=st.sampled_from(["authorised", "declined", None]),
    short=st.sampled_from([None, 0.0, 1.0, 3.0]),
)
def test_no_default_policy_answers_outside_its_type(
    probability: float, width: float, amount: float, status: str | None, short: float | None
) -> None:
    low, high = max(0.0, probability - width / 2), min(1.0, probability + width / 2)
    told = {
        "order": {**FACTS["order"], "amount": amount, "payment_status": status},
        "model": {"probability": probability, "low": low, "high": high, "width": high - low, "expected_loss": probability * amount},
        "stock": {} if short is None else {"lines_known": 3.0, "lines_short": short, "lines_available": 3.0 - short},
        "plan": FACTS["plan"],
    }
    for decision_type, spec in SPECS.items():
        judgement = default_policies()[decision_type].judge(told)
        assert judgement.outcome in {str(outcome) for outcome in spec.outcomes}
        if judgement.decisive is None:
            assert all(r.passed for r in judgement.results)
        if status == "declined" and decision_type != "split-order":
            assert judgement.decisive is not None
            assert judgement.decisive.hard


def test_the_documented_policy_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    written = text.split("```json\n", 1)[1].split("```", 1)[0]
    assert read_policy(written.encode()).values == {"hold_at": 0.45}
    for root, names in FACTS.items():
        for name in names:
            assert f"`{root}.{name}`" in text or f"`.{name}`" in text, f"{root}.{name} is not documented"
