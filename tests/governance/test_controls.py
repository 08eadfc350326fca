"""What people set beside model and policy, in the core: hard constraints bind, then the block list, the allow list, the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot, Origin
from governance import decision as core
from governance.controls import Listed, Mode, Switch
from governance.decision import Confidence, Decision, Explanation, Failure, Inputs, ModelUse, Reason, Stage, Status, decide
from governance.opinion import Opinion
from governance.policy_document import default_policies
from models.specs import SPECS

AT = 1_800_000_000_000
SNAPSHOT = FeatureSnapshot(("a",), np.array([1.0]), (AT,), (Origin.STORE,), "v", AT)
BLOCK, ALLOW = Listed("e-1", "block", "customer"), Listed("e-2", "allow", "device", AT + 1)


class Says:
    """A model that is always this sure."""

    described = ()

    def __init__(self, probability: float) -> None:
        self.use = ModelUse("m", 1, "sha256:" + "0" * 64)
        said = Reason(1, "SUPPLIER_CAPACITY_LOW", {"en": "low", "zh": "低"}, "raises", 0.8, "a", 1.0)
        explanation = Explanation(0.0, 0.8, "logit", ("a",), np.array([1.0]), np.array([0.8]))
        told = Confidence("event", probability, probability, probability, 0.9)
        self.opinion = Opinion(told, explanation, (said,), "yes", {"label": "yes", "probabilities": {}}, 0.5)


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "form_opinion", lambda deployed, _snapshot: deployed.opinion)


def order(status: str = "authorised", amount: str = "100") -> Order:
    return Order.model_validate(
        {
            "order_id": "SO-1", "placed_at": "2026-11-11T00:00:00.000Z", "currency": "CNY", "customer": {"customer_id": "C-1"},
            "ship_to": {"region": "east"}, "payment": {"status": status},
            "lines": [{"line_id": "1", "sku": "A", "qty": 2, "unit_price": {"amount": amount, "currency": "CNY"}}],
        }
    )  # fmt: skip


def decided(kind: str, probability: float | None, **inputs: Any) -> Decision:
    models: Any = {} if probability is None else {kind: Says(probability)}
    return decide(Inputs(kind, Stage.LIVE, AT, **{"order": order(), "snapshot": SNAPSHOT, **inputs}), models, default_policies()[kind])


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


@pytest.mark.parametrize(("kind", "bad"), [("fraud", "BLOCK"), ("acceptance", "REJECT")])
def test_the_block_list_decides_before_the_most_trusting_model(kind: str, bad: str) -> None:
    made = decided(kind, 0.0, lists=(BLOCK, ALLOW))
    assert (made.outcome, made.status, codes(made)[0]) == (bad, Status.DECIDED, "ON_BLOCK_LIST")
    assert made.policy is not None
    of_lists = {r.id: r for r in made.policy.results if r.id.endswith("_list")}
    assert (of_lists["block_list"].passed, of_lists["allow_list"].passed) == (False, True)
    assert "e-1" in of_lists["block_list"].detail
    assert "by customer" in of_lists["block_list"].detail


@pytest.mark.parametrize(("kind", "good"), [("fraud", "ALLOW"), ("acceptance", "ACCEPT")])
def test_the_allow_list_silences_what_is_judged_by_the_model_and_nothing_else(kind: str, good: str) -> None:
    without, made = decided(kind, 0.99), decided(kind, 0.99, lists=(ALLOW,))
    assert without.outcome != good
    assert (made.outcome, codes(made)[0]) == (good, "ON_ALLOW_LIST")
    assert made.policy is not None
    overruled = [r for r in made.policy.results if r.detail.endswith("overruled by the allow list")]
    assert overruled
    assert all(not r.passed for r in overruled)
    assert {one["outcome"] for one in made.alternatives} >= {without.outcome}
    assert made.confidence == without.confidence, "the model is asked all the same, and its word is in the record"


def test_the_allow_list_does_not_stand_in_for_a_person_s_look_at_a_large_order() -> None:
    made = decided("acceptance", 0.99, lists=(ALLOW,), order=order(amount="900000"))
    assert made.outcome == "HOLD"
    assert "ORDER_VALUE_HIGH" in codes(made)


listed = st.lists(st.sampled_from([BLOCK, ALLOW]), max_size=3, unique=True).map(tuple)


@given(listed, st.sampled_from(["fraud", "acceptance"]), st.floats(0, 1))
def test_no_list_overrides_a_hard_constraint(lists: tuple[Listed, ...], kind: str, probability: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "form_opinion", lambda deployed, _snapshot: deployed.opinion)
        free, bound = (decided(kind, probability, lists=given, order=order("declined")) for given in ((), lists))
    assert bound.outcome == free.outcome
    assert codes(bound)[0] == codes(free)[0] == "PAYMENT_DECLINED"
    assert "ON_ALLOW_LIST" not in codes(bound)


@pytest.mark.parametrize(("kind", "trusting", "bad"), [("fraud", "allow", "BLOCK"), ("acceptance", "accept", "REJECT")])
def test_no_fallback_lets_through_what_is_blocked(kind: str, trusting: str, bad: str) -> None:
    late = Failure("deadline", "1 ms passed", trusting)
    made = decided(kind, 0.0, failure=late, lists=(ALLOW, BLOCK))
    assert (made.outcome, made.status, made.fallback_reason) == (bad, Status.FALLBACK, "deadline: 1 ms passed")
    assert codes(made) == ["ON_BLOCK_LIST"]
    assert made.policy is not None
    assert [(one.id, one.passed, one.detail) for one in made.policy.results] == [("block_list", False, BLOCK.detail)]
    assert {"fallback": trusting, "outcome": decided(kind, 0.0, failure=late, lists=(ALLOW,)).outcome} in made.alternatives
    assert codes(decided(kind, 0.0, failure=late, lists=(ALLOW,))) == [f"FALLBACK_{trusting.upper()}"]


@pytest.mark.parametrize("kind", [*SPECS, "custom"])
@pytest.mark.parametrize("failed", [True, False])
def test_hold_all_outranks_every_fallback_and_says_so(kind: str, failed: bool) -> None:
    policy = default_policies()[kind]
    eager = next(iter(reversed(policy.fallbacks)))
    failure = Failure("deadline", "5 ms passed", eager) if failed else None
    inputs = Inputs(kind, Stage.LIVE, AT, order=None if kind == "custom" else order(), failure=failure, switch=Switch(Mode.HOLD_ALL, 7))
    made = decide(inputs, {}, policy)
    assert (made.outcome, made.status) == (policy.holding.outcome, Status.FALLBACK)
    assert (made.fallback_reason or "").startswith("switch:")
    assert codes(made) == ["SWITCHED_TO_HOLD"]
    assert (made.review is not None) == (kind != "split-order")
    assert made.model is None


@pytest.mark.parametrize("kind", ["fraud", "acceptance"])
def test_rules_only_asks_no_model_and_says_so(kind: str) -> None:
    off = decided(kind, 0.99, switch=Switch(Mode.RULES_ONLY, 7))
    without = decided(kind, None)
    assert (off.outcome, off.model, off.confidence, off.explanation) == (without.outcome, None, None, None)
    assert "SWITCHED_TO_RULES" in codes(off)
    assert "NO_MODEL" in codes(without), "no model for a type is rules only too, and is told apart"
    assert decided(kind, 0.99, switch=Switch(Mode.RULES_ONLY, 7), order=order("declined")).outcome != off.outcome


def test_a_policy_that_permits_no_holding_fallback_is_held_all_the_same() -> None:
    from dataclasses import replace

    policy = default_policies()["acceptance"]
    only = {name: one for name, one in policy.fallbacks.items() if one.outcome == "ACCEPT"}
    eager = replace(policy, fallbacks=only, default_fallback=next(iter(only)))
    assert eager.holding.outcome == "HOLD"


@given(st.sampled_from([Mode.RULES_ONLY, Mode.HOLD_ALL]), st.integers(1, 9), st.none() | st.integers(0, 2**41))
def test_what_a_record_keeps_reads_back(mode: Mode, change_id: int, until: int | None) -> None:
    switch, entry = Switch(mode, change_id), Listed("e", "allow", "sku", until)
    assert Switch.from_json(switch.to_json()) == switch
    assert Listed.from_json(entry.to_json()) == entry
