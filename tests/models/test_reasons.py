from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.columns import read_columns, type_column
from feature_store.views import SERVICES
from models.encoding import RowEncoder
from models.features import LANGUAGES, FeatureCard, Shown, cards_of_table, cards_of_views, code_of_column
from models.reasons import REST, Direction, Effect, explain, render

FRAUD = Effect.of("fraud")


def card(name: str = "returns", group: str = "g", **changes) -> FeatureCard:
    made = FeatureCard(
        name, {"en": "return rate of the last 3 orders", "zh": "最近3单退货率"}, Shown.SHARE, "", "RETURNS_HIGH", group, 0.09
    )
    return dataclasses.replace(made, **changes)


def test_says_value_usual_and_direction():
    assert render(card(), 0.82, Direction.RAISES, FRAUD)["en"] == (
        "Return rate of the last 3 orders is 82\u00a0%, usual 9\u00a0%; this raises the risk of fraud"
    )
    assert render(card(), 0.82, Direction.LOWERS, FRAUD)["zh"] == "最近3单退货率为82\u00a0%（通常为9\u00a0%），降低了欺诈风险"


def test_flags_unknowns_and_the_usual_read_well():
    flag = card(label={"en": "device never used by this customer", "zh": "客户首次使用该设备"}, shown=Shown.FLAG, usual=0.0)
    assert render(flag, 1.0, Direction.RAISES, FRAUD)["en"].startswith("Device never used by this customer: yes (usually no);")
    assert render(card(), math.nan, Direction.RAISES, FRAUD)["en"].startswith(
        "Return rate of the last 3 orders is not known, usual 9\u00a0%;"
    )
    assert "is 9\u00a0%, as usual" in render(card(), 0.0900001, Direction.RAISES, FRAUD)["en"]
    assert "usual" not in render(card(usual=None), 0.5, Direction.RAISES, FRAUD)["en"]


@pytest.mark.parametrize(
    ("changes", "value", "en", "zh"),
    [
        ({"shown": Shown.NUMBER, "unit": "CNY"}, 129_999.5, "CNY 130,000", "130,000元"),
        ({"shown": Shown.NUMBER, "unit": "CNY"}, 12.5, "CNY 12.5", "12.5元"),
        ({"shown": Shown.NUMBER, "unit": "orders"}, 1.0, "1 order", "1单"),
        ({"shown": Shown.NUMBER, "unit": "orders"}, 3.0, "3 orders", "3单"),
        ({"shown": Shown.NUMBER, "unit": "h"}, 0.25, "15 min", "15分钟"),
        ({"shown": Shown.NUMBER}, 0.00004, "4e-05", "4e-05"),
        ({"shown": Shown.NUMBER}, -1234.5, "\u22121,234", "\u22121,234"),
        ({"shown": Shown.CLOCK}, 3.5, "03:30", "03:30"),
        ({"shown": Shown.MONTH}, 11.0, "November", "11月"),
        ({"shown": Shown.WEEKDAY}, 6.0, "Sunday", "周日"),
        ({"shown": Shown.CATEGORY, "categories": ("Air", "Truck", "other")}, 1.0, "Truck", "Truck"),
        ({"shown": Shown.CATEGORY, "categories": ("Air", "Truck", "other")}, 2.0, "rare or never seen", "罕见或从未出现"),
    ],
)
def test_values_are_written_as_people_read_them(changes, value, en, zh):
    shown = card(**changes)
    assert (shown.write(value, "en"), shown.write(value, "zh")) == (en, zh)


def test_correlated_features_are_one_reason():
    cards = [card("a", "velocity"), card("b", "velocity", reason_code="BURST"), card("c", "price"), card("d", "idle")]
    reasons = explain(cards, np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.75, -1.0, 0.0]), FRAUD)
    assert [(r.rank, r.code, r.feature, r.direction, r.contribution) for r in reasons] == [
        (1, "BURST", "b", "raises", 1.25),
        (2, "RETURNS_HIGH", "c", "lowers", -1.0),
    ]


def test_the_leading_feature_points_where_its_group_does():
    cards = [card("big", "g"), card("two", "g"), card("three", "g")]
    (reason,) = explain(cards, np.zeros(3), np.array([-0.9, 0.5, 0.6]), FRAUD)
    assert (reason.feature, reason.direction) == ("three", "raises")


def test_what_says_next_to_nothing_is_summed_up_last():
    strong = [1.0, -0.9, 0.8, -0.7, 0.6, 0.5]
    cards = [card(name, name) for name in "abcdefghij"]
    reasons = explain(cards, np.zeros(10), np.array([*strong, 0.004, 0.0, -0.009, 0.003]), FRAUD)
    assert [(r.feature, r.direction) for r in reasons[-2:]] == [("f", "raises"), (None, "lowers")]
    assert (reasons[-1].code, reasons[-1].contribution, len(reasons)) == (REST, pytest.approx(-0.002), 7)
    assert reasons[-1].text["en"] == "3 minor facts together; this lowers the risk of fraud"


def test_one_small_reason_is_told_as_it_is():
    reasons = explain([card(name, name) for name in "abcdefg"], np.zeros(7), np.array([1.0] * 6 + [0.001]), FRAUD)
    assert [r.feature for r in reasons] == list("abcdefg")


def test_a_wide_table_still_says_why():
    cards = [card(f"f{index}", f"g{index}") for index in range(150)]
    equal = explain(cards, np.zeros(150), np.full(150, 0.1), FRAUD)
    assert (len(equal), equal[-1].code) == (147, REST)
    few = explain(cards[:4], np.zeros(4), np.array([1.0, 0.001, 0.001, 0.001]), FRAUD)
    assert len(few) == 4


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(-10, 10)), min_size=1, max_size=12))
def test_reasons_add_up_and_are_ranked(parts):
    cards = [card(f"f{index}", group) for index, (group, _) in enumerate(parts)]
    contributions = np.array([value for _, value in parts])
    reasons = explain(cards, np.zeros(len(parts)), contributions, FRAUD)
    assert sum(reason.contribution for reason in reasons) == pytest.approx(contributions.sum(), abs=1e-9)
    weights = [abs(reason.contribution) for reason in reasons if reason.code != REST]
    assert weights == sorted(weights, reverse=True)
    assert all((reason.contribution > 0) == (reason.direction == "raises") for reason in reasons)


@pytest.mark.parametrize("kind", sorted(SERVICES))
def test_every_feature_of_ours_renders_in_every_language(kind):
    features = SERVICES[kind].features
    rng = np.random.default_rng(0)
    cards = cards_of_views(features, rng.random((20, len(features))) * 30)
    for one in cards:
        for value in (0.0, 1.0, 0.37, 12_345.678, math.nan):
            for language in LANGUAGES:
                for direction in Direction:
                    text = render(one, value, direction, Effect.of(kind))[language]
                    assert text.strip()
                    assert "{" not in text
                    assert "nan" not in re.findall(r"[a-z]+", text)
        assert re.search(r"[\u4e00-\u9fff]", one.label["zh"])
        assert FeatureCard.from_json(one.to_json()) == one


def test_a_users_columns_make_cards():
    rows = [
        (str(n % 9), ["Air", "Truck"][n % 3 == 0], "true" if n % 4 else "false", f"2026-01-{1 + n % 28:02d}", "2026-02-01")
        for n in range(200)
    ]
    columns = [type_column(text) for text in read_columns(("Line Qty", "运输方式", "urgent", "sent", "due"), rows)]
    encoder = RowEncoder.fit(columns, reference="due")
    cards = cards_of_table(encoder, encoder.encode_columns(columns))
    assert [one.name for one in cards] == list(encoder.names)
    by_name = {one.name: one for one in cards}
    assert by_name["Line Qty"].reason_code == "LINE_QTY"
    assert by_name["运输方式"].write(by_name["运输方式"].usual, "zh") == "Air"
    assert by_name["urgent"].shown is Shown.FLAG
    assert by_name["sent (days before due)"].label["zh"] == "sent距due的天数"
    assert by_name["due (month)"].write(2.0, "en") == "February"
    assert {one.group for one in cards} == {"Line Qty", "运输方式", "urgent", "sent", "due"}


def test_columns_that_rise_together_are_one_reason():
    rng = np.random.default_rng(5)
    weight = rng.lognormal(2, 1, 400)
    rows = [(f"{w:.4f}", f"{3.1 * w + 2:.3f}", f"{-w:.3f}", f"{other:.4f}") for w, other in zip(weight, rng.random(400), strict=True)]
    columns = [type_column(text) for text in read_columns(("kg", "freight", "lift", "noise"), rows)]
    encoder = RowEncoder.fit(columns)
    cards = cards_of_table(encoder, encoder.encode_columns(columns))
    assert {one.name: one.group for one in cards} == {"kg": "kg", "freight": "kg", "lift": "kg", "noise": "noise"}


def test_the_first_reason_is_one_that_a_change_confirms():
    cards = [card("known", "identity", usual=0.0), card("speed", "speed", usual=0.0), card("more", "speed", usual=0.0), card("age", "age")]
    values, parts = np.array([0.0, 3.0, 2.0, 5.0]), np.array([-2.0, -0.5, -0.4, 0.3])
    asked = []

    def change(index, usual):
        asked.append((index, usual))
        return {1: 0.0, 2: 0.6}[index]

    told = explain(cards, values, parts, FRAUD, change)
    assert [(r.rank, r.feature) for r in told] == [(1, "more"), (2, "known"), (3, "age")], "speed alone changes nothing, known is as usual"
    assert asked == [(1, 0.0), (2, 0.0)]
    assert [r.feature for r in explain(cards, values, parts, FRAUD)] == ["known", "speed", "age"]
    weak = explain(cards, values, np.array([-4.0, -0.5, -0.4, 0.3]), FRAUD, change)
    assert weak[0].feature == "known", "too weak to go first"


@given(st.text(max_size=80), st.text(max_size=80))
def test_codes_of_columns_are_stable_codes(a, b):
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", code_of_column(a))
    if not (a.isascii() and b.isascii()) and a != b:
        assert code_of_column(a) != code_of_column(b)


@pytest.mark.parametrize("changes", [{"reason_code": "not a code"}, {"label": {"en": "x"}}, {"label": {"en": "x", "zh": ""}}])
def test_a_card_without_code_or_label_is_refused(changes):
    with pytest.raises(ValueError, match="returns"):
        card(**changes)
