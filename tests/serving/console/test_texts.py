import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.times import parse_time
from feature_store.wording import Text
from models.features import FeatureCard, Shown
from serving.console import texts
from serving.console.views import policy


def plain(text: str) -> str:
    """A text as it reads, whether or not it may wrap."""
    return text.replace(texts.NBSP, " ")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.31, "31 %"), (0.0, "0 %"), (1.0, "100 %"), (0.004, "0.4 %"), (0.0949, "9.5 %"), (0.05, "5 %"), (0.996, "99.6 %"),
        (0.0003, "0.03 %"), (0.00001, "<0.01 %"), (0.999999, ">99.99 %"),
    ],
)  # fmt: skip
def test_a_percentage_never_rounds_to_a_certainty(share: float, text: str) -> None:
    assert texts.percent(share) == text.replace(" ", texts.NBSP)


@given(st.floats(min_value=1e-9, max_value=1 - 1e-9))
def test_no_uncertain_share_reads_as_certain(share: float) -> None:
    assert plain(texts.percent(share)) not in {"0 %", "100 %"}


@pytest.mark.parametrize(("value", "text"), [(0.82, "+0.82"), (-0.39, "−0.39"), (0.0, "0.00"), (-0.001, "0.00"), (0.004, "0.00")])
def test_contributions_carry_a_true_sign(value: float, text: str) -> None:
    assert texts.signed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(48_213, "48,213"), (0.0342, "0.0342"), (12.5, "12.5"), (1234.567, "1,235"), (-3, "−3"), (float("nan"), "–"), (1e300, "1e300")],
)
def test_numbers(value: float, text: str) -> None:
    if value == 1e300:
        assert texts.number(value)
    else:
        assert texts.number(value) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ({"amount": "742", "currency": "CNY"}, "¥742.00"),
        ({"amount": "1742.5", "currency": "CNY"}, "¥1,742.50"),
        ({"amount": "1.255", "currency": "CNY"}, "¥1.255"),
        ({"amount": "-6.40", "currency": "CNY"}, "−¥6.40"),
        ({"amount": "0.000001", "currency": "KRW"}, "0.000001 KRW"),
        ({"amount": "1E+3", "currency": "EUR"}, "€1,000.00"),
        (None, "–"),
        ({"amount": "none"}, "–"),
        ({"amount": "NaN"}, "–"),
    ],
)
def test_money_keeps_every_digit_that_counts(amount: dict[str, str] | None, text: str) -> None:
    assert texts.money(amount) == text


def test_money_differences_are_signed() -> None:
    assert texts.money_delta({"amount": "6.4", "currency": "CNY"}) == "+¥6.40"
    assert texts.money_delta({"amount": "-6.4", "currency": "CNY"}) == "−¥6.40"
    assert texts.money_delta(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [(0.4, "0 s", "0 秒"), (311, "5 min", "5 分钟"), (7_200, "2 h", "2 小时"), (86_400, "1 day", "1 天"), (900_000, "10 days", "10 天")],
)
def test_ages_are_told_in_the_largest_whole_unit(seconds: float, en: str, zh: str) -> None:
    assert plain(texts.age(seconds, "en")) == en
    assert plain(texts.age(seconds, "zh")) == zh


def test_moments() -> None:
    at = parse_time("2026-11-11T00:00:03.140Z")
    assert texts.moment(at, "en") == "11 Nov 2026, 00:00:03.140 UTC"
    assert texts.moment(at, "zh") == "2026年11月11日 00:00:03.140 UTC"
    assert texts.moment(at, "en", millis=False) == "11 Nov 2026, 00:00 UTC"


@pytest.mark.parametrize(("count", "text"), [(4, "4 B"), (31_000, "31 kB"), (2_400_000, "2.4 MB"), (3_100_000_000, "3.1 GB")])
def test_sizes(count: int, text: str) -> None:
    assert texts.size(count) == text


@given(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**18), 10**18), st.floats(), st.text(max_size=20)),
    st.sampled_from([None, "share", "h", "count"]),
)
def test_any_value_can_be_shown(value: object, unit: str | None) -> None:
    assert isinstance(texts.value_text(value, unit), str)


def seen(language: str, detail: str, known: policy.Known = policy.Known()) -> str:  # noqa: B008 - frozen
    return plain(policy.seen(language, detail, known))


def test_what_a_check_saw_reads_in_the_reader_s_words() -> None:
    detail = "model.probability = 0.465827, params.hold_at = 0.45"
    assert seen("en", detail) == "risk 47 %, hold from 45 %"
    assert seen("zh", detail) == "风险 47 %，45 % 起暂缓"
    assert seen("en", "order.tags = [], order.payment_status = authorised") == "tags: none, payment authorised"
    assert seen("en", "order.tags = [presale, cross_border]") == "tags: presale, cross-border"
    assert seen("zh", "order.tags = [presale, their_own], order.payment_status = authorised") == "标签：预售、their own，支付已授权"
    assert seen("en", "not evaluated, unknown: order.promised_in_h") == "not evaluated, unknown: order.promised_in_h"
    assert seen("en", "params.of_their_own = 12500.5") == "of their own 12,500"


def test_a_shortened_number_is_told_as_the_whole_one_behind_it() -> None:
    """Rounded twice, 0.45499997 would become 46 % beside a headline of 45 %."""
    answer = {"confidence": {"event": "fraud", "probability": 0.45499997, "low": 0.4, "high": 0.5}}
    known = policy.Known.of(answer, {"currency": "CNY"})
    assert plain(texts.percent(0.45499997)) == "45 %"
    assert seen("en", "model.probability = 0.455, params.hold_at = 0.45", known) == "risk 45 %, hold from 45 %"
    assert seen("en", "model.probability = 0.61", known) == "risk 61 %", "another number is not put in its place"
    assert seen("en", "order.amount = 2807.4, params.person_above = 50000", known) == "order value ¥2,807.40, limit ¥50,000.00"


@pytest.mark.parametrize(
    ("value", "unit", "en", "zh"),
    [
        (0.0197, "days", "28 min", "28 分钟"), (0.18, "days", "4.3 h", "4.3 小时"), (0.05, "h", "3 min", "3 分钟"), (-0.25, "days", "−6 h", "−6 小时"),
    ],
)  # fmt: skip
def test_short_times_are_told_in_units_that_fit(value: float, unit: str, en: str, zh: str) -> None:
    assert texts.told(value, unit, None, "en") == en.replace(" ", texts.NBSP)
    assert texts.told(value, unit, None, "zh") == zh.replace(" ", texts.NBSP)


@pytest.mark.parametrize(("value", "unit"), [(0.0197, "days"), (0.18, "days"), (0.05, "h"), (-0.25, "days"), (2.29, "days"), (-61.5, "h")])
def test_a_value_is_told_as_its_card_writes_it(value: float, unit: str) -> None:
    """Once, so that a page does not say 28 min here and 28.4 min there."""
    label = {"en": "x", "zh": "x"}
    card = FeatureCard(name="x", label=label, shown=Shown.NUMBER, unit=unit, reason_code="X", group="x", usual=None)
    written = dict(zip(texts.LANGUAGES, card.written(value), strict=True))
    assert plain(texts.told(value, unit, written, "en")) == written["en"]
    assert texts.told(value, unit, written, "zh").replace(texts.NBSP, "") == written["zh"]
    assert " " not in texts.told(value, unit, written, "en"), "number and unit stay on one line"


def test_a_person_s_own_value_is_told_as_it_is() -> None:
    written = {"en": "-5 h", "zh": "-5 h"}
    assert [texts.told(3.0, None, written, language) for language in texts.LANGUAGES] == ["-5 h", "-5 h"]
    entry = {"msg": "'-5' in 'Lead 7 days'", "zh": {"msg": "“Lead 7 days”中的 -5"}}
    assert [texts.in_language(entry, "msg", language) for language in texts.LANGUAGES] == [entry["msg"], "“Lead 7 days”中的 -5"]


def test_a_text_speaks_the_reader_s_language() -> None:
    assert [texts.speak(Text("no", "不"), language) for language in texts.LANGUAGES] == ["no", "不"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Delay is -61.5 h, usual -49.4 h", "Delay is −61.5~h, usual −49.4~h"),
        ("延误为-61.5小时（通常为-49.4小时）", "延误为−61.5小时（通常为−49.4小时）"),
        ("share is 3.3 % on 2026-11-11", "share is 3.3~% on 2026-11-11"),
        ("SKU-0042 is N/A - From RDC, 24-39", "SKU-0042 is N/A - From RDC, 24-39"),
        ("Value is CNY 456", "Value is CNY~456"),
    ],
)
def test_numbers_in_sentences_keep_their_sign_and_their_unit(text: str, told: str) -> None:
    assert texts.polished(text) == told.replace("~", texts.NBSP)


def test_a_sentence_goes_on_without_changing_names() -> None:
    assert texts.lower_first("Size of the order") == "size of the order"
    assert texts.lower_first("Project Code: 104-CI") == "Project Code: 104-CI"
    assert texts.lower_first("IP address") == "IP address"
    assert texts.gist("trouble level of the node (0 open, 2 closed)") == "trouble level of the node"
