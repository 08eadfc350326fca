"""The thresholds are where the expected costs meet, whatever the policy's figures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.costs import CAUSES, expected_costs, realised_cost
from governance.policy import Policy
from governance.policy_document import default_policies

POLICY = default_policies()["acceptance"]
HOLDS_LATE = {"hold_floor": 0.0, "hold_at": 0.95, "reject_at": 0.95}
REJECTS_EARLY = {"hold_floor": 0.0, "hold_at": 0.5, "reject_at": 0.5}

figures = st.fixed_dictionaries(
    {
        "margin_share": st.floats(0, 1), "late_cost": st.floats(0, 500), "cancelled_cost": st.floats(0, 500), "returned_cost": st.floats(0, 500),
        "returned_share": st.floats(0, 1), "reject_cost": st.floats(0, 500), "review_cost": st.floats(0.01, 500), "review_catches": st.floats(0.01, 1),
    }
)  # fmt: skip
shares = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda parts: [part / sum(parts) for part in parts])


def costs(policy: Policy, amount: float, probability: float, share: list[float]) -> Any:
    return expected_costs(policy, amount, probability, {cause: probability * part for cause, part in zip(CAUSES, share, strict=True)})


@given(told=figures, amount=st.floats(1, 1e5), probability=st.floats(0.001, 0.999), share=shares)
def test_from_its_threshold_on_an_outcome_is_the_cheaper_one(
    told: dict[str, float], amount: float, probability: float, share: list[float]
) -> None:
    found = costs(POLICY.with_parameters({**told, **HOLDS_LATE}), amount, probability, share)
    slack = 1e-6 * (1 + found.accept + found.hold + abs(found.reject))
    if found.hold_from < 0.95:  # not cut by the bound
        assert (probability >= found.hold_from) == (found.hold <= found.accept) or abs(found.hold - found.accept) < slack
    found = costs(POLICY.with_parameters({**told, **REJECTS_EARLY}), amount, probability, share)
    if 0.5 < found.reject_from < 1.0:
        cheapest = min(found.accept, found.hold)
        assert (probability >= found.reject_from) == (found.reject <= cheapest) or abs(found.reject - cheapest) < slack


@given(told=figures, amount=st.floats(0, 1e5), probability=st.floats(0, 1), share=shares)
def test_the_policy_keeps_thresholds_within_its_bounds(
    told: dict[str, float], amount: float, probability: float, share: list[float]
) -> None:
    policy = POLICY.with_parameters(told)
    found = costs(policy, amount, probability, share)
    assert policy.number("hold_floor") <= found.hold_from <= policy.number("hold_at")
    assert policy.number("reject_at") <= found.reject_from <= 1.0


@given(amount=st.floats(0, 1e5), probability=st.floats(0, 1), share=shares)
def test_an_expected_cost_is_the_mean_of_what_it_costs(amount: float, probability: float, share: list[float]) -> None:
    """Over the ways in which the order can end, weighed by their chances."""
    found = costs(POLICY, amount, probability, share)
    for outcome, expected in (("ACCEPT", found.accept), ("HOLD", found.hold), ("REJECT", found.reject)):
        ends = [(1 - probability, False, None), *((probability * part, True, cause) for cause, part in zip(CAUSES, share, strict=True))]
        told = [(chance, realised_cost(POLICY, outcome, amount, happened=happened, cause=cause)) for chance, happened, cause in ends]
        assert sum(chance * cost for chance, cost in told if cost is not None) == pytest.approx(expected, abs=1e-6 * (1 + amount))


def test_a_dear_order_is_held_sooner_than_a_cheap_one() -> None:
    share = [0.4, 0.3, 0.3]
    assert costs(POLICY, 2_000, 0.3, share).hold_from < costs(POLICY, 100, 0.3, share).hold_from


def test_a_late_order_costs_less_than_a_lost_one() -> None:
    late, cancelled, returned = (realised_cost(POLICY, "ACCEPT", 1_000, happened=True, cause=cause) for cause in CAUSES)
    assert late is not None
    assert cancelled is not None
    assert returned is not None
    assert late < min(cancelled, returned)
    assert costs(POLICY, 1_000, 0.3, [0.98, 0.01, 0.01]).hold_from > costs(POLICY, 1_000, 0.3, [0.01, 0.98, 0.01]).hold_from


def test_without_causes_every_cause_counts_alike() -> None:
    even = costs(POLICY, 500, 0.3, [1 / 3] * 3)
    plain = expected_costs(POLICY, 500, 0.3, None)
    assert plain is not None
    assert plain.facts() == pytest.approx(even.facts())


def test_a_policy_without_money_figures_has_no_costs() -> None:
    split = default_policies()["split-order"]
    assert expected_costs(split, 100, 0.5, None) is None
    assert realised_cost(split, "PLANNED", 100, happened=True, cause="late") is None


def test_fraud_costs_the_amount_and_blocking_costs_the_margin() -> None:
    fraud = default_policies()["fraud"]
    fee, margin, review = (fraud.number(name) for name in ("chargeback_fee", "margin_share", "review_cost"))
    told = {o: [realised_cost(fraud, o, 200.0, happened=h, cause=None) for h in (False, True)] for o in ("ALLOW", "REVIEW", "BLOCK")}
    assert told["ALLOW"] == [0.0, 200.0 + fee]
    assert told["BLOCK"] == [margin * 200.0, 0.0]
    assert told["REVIEW"] == [review, pytest.approx(review + (1 - fraud.number("review_catches")) * (200.0 + fee))]
