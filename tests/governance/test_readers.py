from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.views import SERVICES
from governance import completion, decision
from governance.policy import LISTED
from governance.policy_document import default_policies
from governance.readers import SUMMARIES, TOPIC_OF, TOPIC_TEXTS, Reader, Topic, customer_topic, tell, withhold
from models.reasons import REST
from models.specs import SPECS, DecisionType, Outcome

FEATURES = {kind: sorted({feature.reason for feature in service.features}) for kind, service in SERVICES.items()}
CHECKS = {kind: sorted({check.code for check in policy.checks if check.code}) for kind, policy in default_policies().items()}
FALLBACKS = {kind: [f"FALLBACK_{name.upper()}" for name in policy.fallbacks] for kind, policy in default_policies().items()}
OURS = [completion.NO_MODEL_CODE, completion.RULES_ONLY_CODE, decision.HELD, REST, *(code for code, _ in LISTED.values())]
CODES = [(kind, code) for kind in SPECS for code in (*FEATURES[kind], *CHECKS[kind], *FALLBACKS[kind], *OURS)]
WORDS = {"en": "Return rate of the last 3 orders is 82 %, usual 9 %; this raises the risk of fraud", "zh": "最近3单退货率为82 %"}
AGAINST = {Outcome.HOLD, Outcome.REJECT, Outcome.REVIEW, Outcome.BLOCK, Outcome.UNFULFILLABLE}


def reason(code: str, direction: str = "raises", **changes: Any) -> dict[str, Any]:
    made = {"rank": 1, "code": code, "text": WORDS, "direction": direction, "contribution": 0.82, "feature": "f", "value": 0.82}
    return {**made, **changes}


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_every_code_is_told_to_every_reader_in_every_language(kind: str, code: str) -> None:
    for outcome in SPECS[kind].outcomes:
        for reader in Reader:
            told = tell(reader, kind, outcome, [reason(code)])
            for text in (told["summary"], *(one["text"] for one in told["reasons"])):
                assert set(text) == {"en", "zh"}
                assert text["en"].strip()
                assert re.search(r"[\u4e00-\u9fff]", text["zh"])
            assert told["reasons"] or (reader is Reader.CUSTOMER and outcome not in AGAINST)


def test_a_customer_learns_nothing_of_how_fraud_is_found() -> None:
    """Whatever the reasons, an honest and a dishonest customer read the same words."""
    told = [reason(code) for code in (*FEATURES["fraud"], "ON_BLOCK_LIST", "EXPECTED_LOSS_HIGH", "ORDER_BURST", "LAUNCH_BOUGHT_IN_CONCERT")]
    for one in told:
        assert customer_topic("fraud", one["code"]) is Topic.CHECK, one["code"]
    heard = tell(Reader.CUSTOMER, "fraud", "BLOCK", told)
    assert [one["code"] for one in heard["reasons"]] == ["ORDER_NEEDS_A_CHECK"]
    assert customer_topic("fraud", "PAYMENT_DECLINED") is Topic.PAYMENT


def test_what_others_have_on_the_block_list_is_not_told() -> None:
    for kind in (DecisionType.ACCEPTANCE, DecisionType.FRAUD):
        assert customer_topic(kind, "ON_BLOCK_LIST") is Topic.CHECK


@given(st.sampled_from(sorted(SPECS)), st.sampled_from([code for _, code in CODES]), st.text(min_size=1), st.floats(allow_nan=False))
def test_no_value_feature_or_contribution_reaches_a_customer(kind: str, code: str, value: str, number: float) -> None:
    secret = reason(code, value=value, feature="device_orders_1h", contribution=number, text={"en": f"X {value}", "zh": f"甲 {value}"})
    for outcome in AGAINST:
        told = tell(Reader.CUSTOMER, kind, outcome, [secret])
        for one in told["reasons"]:
            assert set(one) == {"rank", "code", "text"}
            assert one["text"] in TOPIC_TEXTS.values()
            assert one["code"] in set(Topic)


def test_what_speaks_for_an_order_is_no_reason_against_it() -> None:
    assert tell(Reader.CUSTOMER, "acceptance", "HOLD", [reason("BAD_WEATHER", "lowers"), reason("STOCK_SCARCE")])["reasons"] == [
        {"rank": 1, "code": "GOODS_SHORT", "text": TOPIC_TEXTS[Topic.AVAILABILITY]}
    ]
    assert tell(Reader.CUSTOMER, "acceptance", "ACCEPT", [reason("STOCK_SCARCE")])["reasons"] == []


def test_one_topic_is_told_once_and_minor_facts_only_alone() -> None:
    told = tell(Reader.CUSTOMER, "acceptance", "HOLD", [reason("PROMISE_TIGHT"), reason("CUTOFF_MISSED"), reason(REST)])["reasons"]
    assert [one["code"] for one in told] == ["DELIVERY_TIME_TIGHT"]
    assert [one["code"] for one in tell(Reader.CUSTOMER, "acceptance", "HOLD", [reason(REST)])["reasons"]] == ["KIND_OF_ORDER"]


def test_a_users_own_type_says_no_more_than_that_there_is_a_check() -> None:
    assert customer_topic("late-vendors", "PAYMENT_DECLINED") is Topic.CHECK


@pytest.mark.parametrize("secret", ["ana@example.org", "192.0.2.17", "C-1029", "VIN12345678", "13800138000", "SO-2026-000017"])
def test_an_agent_reads_no_identifier_of_a_users_table(secret: str) -> None:
    told = reason("CUSTOMER", text={"en": f"Customer is {secret}; this raises it", "zh": f"客户为{secret}，提高了可能性"})
    (one,) = tell(Reader.AGENT, "late-vendors", "REVIEW", [told])["reasons"]
    assert secret not in one["text"]["en"]
    assert one["text"]["en"] == "Customer is (withheld); this raises it"
    (same,) = tell(Reader.AUDITOR, "late-vendors", "REVIEW", [told])["reasons"]
    assert secret in same["text"]["en"]


@pytest.mark.parametrize(
    "text", ["Air", "1,234,567 pieces", "usual 9 %", "Line Qty is 12.5", "RDC - Regional", "4e-05", "−1,234", "ISO 9001"]
)
def test_plain_values_stay(text: str) -> None:
    assert withhold(text, "en") == text


def test_the_auditor_reads_what_a_reason_sums_up() -> None:
    parts = [
        {"feature": "f", "group": "g", "value": 0.82, "usual": 0.09, "contribution": 0.7},
        {"feature": "h", "group": "g", "value": 4, "usual": 0, "contribution": 0.12},
        {"feature": "k", "group": "other", "value": 1, "usual": 1, "contribution": -0.01},
    ]
    rest = reason(REST, feature=None, contribution=-0.01)
    first, last = tell(Reader.AUDITOR, "fraud", "REVIEW", [reason("CODE"), rest], parts)["reasons"]
    assert [one["feature"] for one in first["members"]] == ["f", "h"]
    assert first["text"]["en"].endswith("[CODE; +0.82 of the margin; f +0.7, h +0.12]")
    assert first["contribution"] == pytest.approx(sum(one["contribution"] for one in first["members"]))
    assert [one["feature"] for one in last["members"]] == ["k"]


def test_every_outcome_of_ours_has_a_summary_and_every_topic_a_text() -> None:
    assert {outcome for spec in SPECS.values() for outcome in spec.outcomes} == set(SUMMARIES)
    assert set(TOPIC_TEXTS) == set(Topic)
    assert set(TOPIC_OF.values()) | {Topic.CHECK} == set(Topic)
