"""The core with a model that says what a test wants it to say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.network import Network, Node, Rate, Stock
from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.times import DAY, HOUR, parse_time
from governance import decision as core
from governance.costs import CAUSES, expected_costs
from governance.decision import Confidence, Decision, Deployed, Explanation, Failure, Inputs, ModelUse, Reason, Stage, Status, decide
from governance.facts import line_stock, order_facts, stock_facts
from governance.opinion import FeaturesMissing, Opinion
from governance.policy_document import FACTS, default_policies
from governance.precedence import PRECEDENCE, resolve
from models.specs import SPECS, Outcome

AT = parse_time("2026-11-11T01:00:00.000Z")
SNAPSHOT = FeatureSnapshot(("a",), np.array([1.0]), (AT - HOUR,), (Origin.STORE,), "v", AT)
SAID = Reason(1, "SUPPLIER_CAPACITY_LOW", {"en": "low", "zh": "低"}, "raises", 0.8, "a", 1.0)


def order(**changes: Any) -> Order:
    made = {
        "order_id": "SO-1", "placed_at": "2026-11-11T00:00:00.000Z", "currency": "CNY", "customer": {"customer_id": "C-1"},
        "ship_to": {"region": "east"}, "payment": {"status": "authorised"},
        "lines": [
            {"line_id": "1", "sku": "A", "qty": 2, "unit_price": {"amount": "100", "currency": "CNY"}},
            {"line_id": "2", "sku": "B", "qty": 1, "unit_price": {"amount": "50", "currency": "CNY"}},
        ],
    }  # fmt: skip
    return Order.model_validate({**made, **changes})


def network(**available: int) -> Network:
    return Network(
        nodes=(Node("N1", "east", processing_h=4.0),),
        stock=tuple(Stock("N1", sku, pieces) for sku, pieces in available.items()),
        rates=(Rate("N1", "east", "std", 6_000_000, 1_000_000, 2.0), Rate("N1", "east", "air", 20_000_000, 4_000_000, 1.0)),
    )


class Says:
    """A deployed model that is always this sure."""

    def __init__(self, probability: float, low: float | None = None, high: float | None = None, prediction: str = "yes") -> None:
        self.use = ModelUse("acceptance", 3, "sha256:" + "0" * 64)
        confidence = Confidence("event", probability, probability if low is None else low, probability if high is None else high, 0.9)
        explanation = Explanation(0.0, 0.8, "logit", ("a",), np.array([1.0]), np.array([0.8]))
        self.opinion = Opinion(confidence, explanation, (SAID,), prediction, {"label": prediction, "probabilities": {}}, 0.5)


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "form_opinion", lambda deployed, snapshot: deployed.opinion)


def decided(decision_type: str, says: Says | None = None, **inputs: Any) -> Decision:
    given_inputs = {"order": order(), "snapshot": SNAPSHOT, **inputs}
    policy = default_policies().get(decision_type) or default_policies()["custom"]
    models: Any = {} if says is None else {decision_type: says}
    return decide(Inputs(decision_type, Stage.LIVE, AT, **given_inputs), models, policy)


@pytest.mark.parametrize(("probability", "outcome"), [(0.1, "ACCEPT"), (0.35, "ACCEPT"), (0.39, "HOLD"), (0.899, "HOLD"), (0.9, "REJECT")])
def test_acceptance_follows_the_policy_s_thresholds(probability: float, outcome: str) -> None:
    made = decided("acceptance", Says(probability))
    assert (made.outcome, made.status) == (outcome, Status.DECIDED)
    assert (made.review is not None) == (outcome == "HOLD")


@pytest.mark.parametrize(("probability", "outcome"), [(0.001, "ALLOW"), (0.22, "REVIEW"), (0.77, "BLOCK")])
def test_fraud_follows_the_policy_s_thresholds(probability: float, outcome: str) -> None:
    assert decided("fraud", Says(probability)).outcome == outcome


def test_an_interval_across_the_threshold_that_is_too_wide_abstains() -> None:
    made = decided("acceptance", Says(0.35, 0.2, 0.6))
    assert (made.outcome, made.status, made.reasons[0].code) == ("HOLD", Status.ABSTAINED, "TOO_UNCERTAIN")
    assert decided("acceptance", Says(0.3, 0.2, 0.45)).status is Status.DECIDED
    assert decided("acceptance", Says(0.2, 0.0, 0.35)).status is Status.DECIDED


def test_a_hard_constraint_binds_the_most_certain_model() -> None:
    made = decided("acceptance", Says(0.0), order=order(payment={"status": "declined"}))
    assert (made.outcome, made.reasons[0].code) == ("REJECT", "PAYMENT_DECLINED")
    assert made.policy is not None
    assert [r.id for r in made.policy.results if not r.passed] == ["payment_not_declined"]


def test_reasons_are_ranked_without_gaps_and_the_model_s_are_kept() -> None:
    made = decided("acceptance", Says(0.0), order=order(payment={"status": "declined"}))
    assert [reason.rank for reason in made.reasons] == list(range(1, len(made.reasons) + 1))
    assert SAID.code in [reason.code for reason in made.reasons]


def test_lines_out_of_stock_are_left_out() -> None:
    made = decided("acceptance", Says(0.1), network=network(A=5, B=0))
    assert (made.outcome, made.details["accepted_lines"]) == ("ACCEPT_PARTIAL", ["1"])
    assert decided("acceptance", Says(0.1), network=network(A=5, B=1)).outcome == "ACCEPT"
    assert decided("acceptance", Says(0.1), network=network(A=0, B=0)).reasons[0].code == "OUT_OF_STOCK"
    assert decided("acceptance", Says(0.1), network=network(A=0, B=0), order=order(tags=["presale"])).outcome == "ACCEPT"


def test_a_line_whose_stock_nobody_knows_is_not_short() -> None:
    assert decided("acceptance", Says(0.1), network=network(A=5)).outcome == "ACCEPT"
    assert stock_facts(line_stock(order(), None)) == {}


def test_lines_of_one_sku_share_its_stock() -> None:
    twice = order(lines=[{"line_id": str(i), "sku": "A", "qty": 2, "unit_price": {"amount": "1", "currency": "CNY"}} for i in range(3)])
    assert [found.short for found in line_stock(twice, network(A=5))] == [False, False, True]


def test_a_promise_is_the_fastest_lane_and_widens_with_the_risk() -> None:
    safe = decided("acceptance", Says(0.0), network=network(A=5, B=5)).details["promise"]
    risky = decided("acceptance", Says(0.4), network=network(A=5, B=5)).details["promise"]
    assert parse_time(safe["p50"]) == AT + 4 * HOUR + DAY
    assert safe["p50"] == risky["p50"] < safe["p90"] < risky["p90"]
    assert decided("acceptance", Says(0.0), network=Network()).details["promise"] is None


def test_expected_loss_is_probability_times_amount_and_fee() -> None:
    assert decided("fraud", Says(0.1)).details["expected_loss"] == {"amount": "35.00", "currency": "CNY"}


def test_a_high_expected_loss_is_reviewed_at_a_low_probability() -> None:
    dear = order(lines=[{"line_id": "1", "sku": "A", "qty": 100, "unit_price": {"amount": "100", "currency": "CNY"}}])
    made = decided("fraud", Says(0.06), order=dear)
    assert (made.outcome, made.reasons[0].code) == ("REVIEW", "EXPECTED_LOSS_HIGH")


def test_without_a_model_rules_decide_and_say_so() -> None:
    made = decided("acceptance")
    assert (made.outcome, made.model, made.confidence) == ("ACCEPT", None, None)
    assert [reason.code for reason in made.reasons] == ["NO_MODEL"]
    assert made.policy is not None
    assert all(r.detail.startswith("not evaluated") for r in made.policy.results if "failure" in r.id)


def test_a_custom_type_answers_its_model_s_label_or_asks() -> None:
    assert decided("my-type", Says(0.9, prediction="late"), order=None, order_id="SO-7").outcome == "late"
    unsure = decided("my-type", Says(0.5, 0.05, 0.95), order=None)
    assert (unsure.outcome, unsure.status) == ("REVIEW", Status.ABSTAINED)
    assert decided("my-type", None, order=None).outcome == "REVIEW"


def test_a_failure_is_an_input_that_gives_the_named_fallback() -> None:
    made = decided("acceptance", Says(0.0), failure=Failure("deadline", "20 ms passed", "accept"))
    assert (made.outcome, made.status, made.fallback_reason, made.model) == ("ACCEPT", Status.FALLBACK, "deadline: 20 ms passed", None)
    with pytest.raises(KeyError):
        decided("acceptance", failure=Failure("deadline", "", "nonsense"))


def test_facts_are_those_that_a_policy_may_name() -> None:
    assert set(order_facts(order(), AT)) == set(FACTS["order"])
    assert set(stock_facts(line_stock(order(), network(A=1)))) == set(FACTS["stock"])
    causes = dict.fromkeys(CAUSES, 0.1)
    assert {*dataclasses.replace(Says(0.5).opinion, causes=causes).facts(), "expected_loss"} == set(FACTS["model"])
    costs = expected_costs(default_policies()["acceptance"], 100.0, 0.3, causes)
    assert costs is not None
    assert set(costs.facts()) == set(FACTS["cost"])
    for root in ("order", "stock"):
        told = order_facts(order(), AT) if root == "order" else stock_facts(line_stock(order(), network(A=1)))
        for name, value in told.items():
            assert value is None or type(value) is type(FACTS[root][name]), name


def test_a_model_gets_its_features_by_name_in_its_own_order() -> None:
    @dataclasses.dataclass(frozen=True)
    class Card:
        name: str

    @dataclasses.dataclass(frozen=True)
    class Artifact:
        features: tuple[Card, ...]

    artifact: Any = Artifact((Card("b"), Card("a")))
    deployed = Deployed(artifact, Says(0.5).use)
    wide = FeatureSnapshot(("a", "x", "b"), np.array([1.0, 2.0, 3.0]), (None,) * 3, (Origin.REQUEST,) * 3, "v", AT)
    assert deployed.row(wide).tolist() == [3.0, 1.0]
    with pytest.raises(FeaturesMissing, match="reads b"):
        deployed.row(SNAPSHOT)


@settings(max_examples=150, deadline=None)
@given(
    decision_type=st.sampled_from(["acceptance", "fraud"]),
    probability=st.floats(0, 1),
    width=st.floats(0, 1),
    stock=st.one_of(st.none(), st.tuples(st.integers(0, 4), st.integers(0, 4))),
    status=st.sampled_from(["authorised", "declined", "failed", None]),
    tags=st.lists(st.sampled_from(["presale", "cross_border"]), unique=True),
)
def test_the_core_is_pure_and_never_breaks_a_hard_constraint(
    decision_type: str, probability: float, width: float, stock: tuple[int, int] | None, status: str | None, tags: list[str]
) -> None:
    says = Says(probability, max(0.0, probability - width), min(1.0, probability + width))
    known = None if stock is None else network(A=stock[0], B=stock[1])
    told = {"order": order(payment={"status": status}, tags=tags), "network": known}
    made, again = decided(decision_type, says, **told), decided(decision_type, says, **told)
    assert (made.outcome, made.reasons, made.policy, dict(made.details)) == (
        again.outcome,
        again.reasons,
        again.policy,
        dict(again.details),
    )
    assert made.outcome in {str(outcome) for outcome in SPECS[decision_type].outcomes}
    assert made.policy is not None
    if any(r.hard and not r.passed for r in made.policy.results):
        assert made.outcome not in {"ACCEPT", "ACCEPT_PARTIAL", "ALLOW"}
    if made.outcome == "ACCEPT_PARTIAL":
        assert 0 < len(made.details["accepted_lines"]) < 2


@given(st.dictionaries(st.sampled_from(list(SPECS)), st.sampled_from([o.value for o in Outcome])))
def test_the_strictest_word_counts(outcomes: dict[str, str]) -> None:
    together = resolve(outcomes)
    said = {rule.gives for rule in PRECEDENCE if outcomes.get(rule.type) == rule.outcome}
    expected = Outcome.STOP if Outcome.STOP in said else Outcome.HOLD if Outcome.HOLD in said else Outcome.PROCEED
    assert together.outcome is expected
    assert (together.decided_by is None) == (not said)


def snapshot(**features: float) -> FeatureSnapshot:
    names = tuple(features)
    return FeatureSnapshot(names, np.array(list(features.values())), (None,) * len(names), (Origin.STORE,) * len(names), "v", AT)


PRESALE = {"tags": ["presale"], "promised_by": "2026-11-18T00:00:00.000Z"}


@pytest.mark.parametrize(
    ("changes", "features", "code", "queue"),
    [
        (PRESALE, {"presale_lead_days": 6.0, "presale_supplier_delay_days": 2.0}, "PRESALE_WINDOW_TOO_SHORT", "presale"),
        (PRESALE, {"presale_supplier_load": 1.6, "presale_supplier_delay_days": 0.0}, "SUPPLIER_AT_RISK", "presale"),
        ({"tags": ["cross_border"], "promised_by": "2026-11-12T00:00:00.000Z"}, {}, "CUSTOMS_WINDOW_TOO_SHORT", "cross_border"),
        (
            {"tags": ["cross_border"], "promised_by": "2026-11-20T00:00:00.000Z", "lines": [
                {"line_id": "1", "sku": "A", "qty": 60, "unit_price": {"amount": "100", "currency": "CNY"}}]},
            {}, "CUSTOMS_VALUE_ABOVE_LIMIT", "cross_border",
        ),
    ],
)  # fmt: skip
def test_what_a_model_cannot_know_of_an_order_is_a_constraint(
    changes: dict[str, Any], features: dict[str, float], code: str, queue: str
) -> None:
    made = decided("acceptance", Says(0.01), order=order(**changes), snapshot=snapshot(**features))
    assert (made.outcome, made.reasons[0].code) == ("HOLD", code)
    assert made.review is not None
    assert made.review.queue == queue


def test_presale_goods_that_can_come_in_time_are_accepted() -> None:
    features = snapshot(presale_lead_days=3.0, presale_supplier_delay_days=1.0, presale_supplier_load=0.9)
    assert decided("acceptance", Says(0.01), order=order(**PRESALE), snapshot=features).outcome == "ACCEPT"


def test_what_others_already_hold_is_not_sold_again() -> None:
    stocked = network(A=5, B=5)
    held = dataclasses.replace(stocked, stock=tuple(dataclasses.replace(one, reserved=7 if one.sku == "A" else 0) for one in stocked.stock))
    made = decided("acceptance", Says(0.01), network=held)
    assert (made.outcome, made.reasons[0].code) == ("HOLD", "OVERSOLD")
    taken = dataclasses.replace(held, stock=tuple(dataclasses.replace(one, reserved=min(one.reserved, 5)) for one in held.stock))
    assert decided("acceptance", Says(0.01), network=taken).outcome == "ACCEPT_PARTIAL", "all taken is not too much taken"


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ({"launch_pieces": 4.0, "ip_pieces_1h": 0.0}, "LAUNCH_LIMIT_EXCEEDED"),
        ({"launch_pieces": 2.0, "ip_pieces_1h": 7.0}, "LAUNCH_BOUGHT_IN_CONCERT"),
        ({"device_orders_1h": 5.0, "card_orders_1d": 0.0}, "ORDER_BURST"),
        ({"device_orders_1h": 0.0, "card_orders_1d": 5.0}, "ORDER_BURST"),
    ],
)
def test_hoarding_scalping_and_bursts_are_reviewed_whatever_the_model_says(features: dict[str, float], code: str) -> None:
    made = decided("fraud", Says(0.001), snapshot=snapshot(**features))
    assert (made.outcome, made.reasons[0].code) == ("REVIEW", code)
    usual = decided("fraud", Says(0.001), snapshot=snapshot(launch_pieces=1.0, ip_pieces_1h=2.0, device_orders_1h=1.0, card_orders_1d=1.0))
    assert usual.outcome == "ALLOW"


@pytest.mark.parametrize(
    ("decision_type", "probability", "outcome"), [("fraud", 0.19, "REVIEW"), ("fraud", 0.76, "REVIEW"), ("my-type", 0.5005, "REVIEW")]
)
def test_too_near_to_a_threshold_abstains(decision_type: str, probability: float, outcome: str) -> None:
    made = decided(decision_type, Says(probability), order=None if decision_type == "my-type" else order())
    assert (made.outcome, made.status, made.reasons[0].code) == (outcome, Status.ABSTAINED, "TOO_NEAR_THRESHOLD")


def test_acceptance_abstains_near_the_threshold_that_its_costs_give() -> None:
    costs = decided("acceptance", Says(0.3)).details["costs"]
    near = decided("acceptance", Says(costs["hold_from"] - 0.005))
    assert (near.outcome, near.status, near.reasons[0].code) == ("HOLD", Status.ABSTAINED, "TOO_NEAR_THRESHOLD")
    assert decided("acceptance", Says(costs["hold_from"] - 0.02)).outcome == "ACCEPT"
    assert near.policy is not None
    assert any("cost.hold_from" in result.detail for result in near.policy.results)


def test_facts_of_fraud_tell_what_counts_more_than_nought() -> None:
    told = decided("fraud", Says(0.01), snapshot=snapshot(amount=9.0, card_chargebacks=2.0, device_orders_1h=0.0, device_customers_30d=3.0))
    assert told.details["facts"] == [
        {"feature": "card_chargebacks", "value": 2, "unit": "payments"},
        {"feature": "device_customers_30d", "value": 3, "unit": "customers"},
    ]
