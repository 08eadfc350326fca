"""Reading events: what is refused and why, what is kept, and that the documentation lists all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store import event_table
from feature_store.events import Event, EventRefused, EventType, event_to_json, parse_event
from feature_store.times import DAY, HOUR, MINUTE, SECOND, format_time, parse_time
from feature_store.vocabulary import MEANINGS, VOCABULARY, Kind

DOCS = Path(__file__).parents[2] / "docs" / "events.md"
CLOCK = parse_time("2026-11-11T00:00:00.000Z")
PLACED = {
    "event_id": "E-1", "type": "order_placed", "event_time": format_time(CLOCK - HOUR), "order_id": "O-1", "customer_id": "C-1", "amount": 9.5,
}  # fmt: skip
WEATHER = {"event_id": "E-2", "type": "weather", "event_time": format_time(CLOCK - HOUR), "region": "east", "severity": 0.5}

NESTED = orjson.loads("[" * 1_000 + "]" * 1_000)

_OF_KIND = {
    Kind.TEXT: st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text),
    Kind.NUMBER: st.integers(0, 10**9) | st.floats(0, 1e9),
    Kind.BOOL: st.booleans(),
    Kind.TIME: st.integers(CLOCK, CLOCK + DAY),
    Kind.TEXTS: st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(tuple),
}


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(list(EventType)))
    fields = VOCABULARY[kind]
    told = [name for name in fields if fields[name].required or draw(st.booleans())]
    data = {name: draw(_OF_KIND[fields[name].kind]) for name in told}
    if draw(st.booleans()):
        data["attributes"] = {"mine": [1, None, "x"]}
    when = CLOCK - draw(st.integers(1, 400)) * HOUR
    start = CLOCK - MINUTE if MEANINGS[kind].forecast and draw(st.booleans()) else None
    return Event("E", kind, when, when + draw(st.integers(0, HOUR)), data, start)


@given(an_event())
def test_every_event_is_read_back_from_its_json(event: Event) -> None:
    assert parse_event(orjson.loads(orjson.dumps(event_to_json(event))), CLOCK) == event


def test_a_live_event_is_known_when_it_arrives() -> None:
    assert parse_event(PLACED, CLOCK, live=True).known_at == CLOCK
    history = PLACED | {"known_at": format_time(CLOCK - MINUTE)}
    assert parse_event(history, CLOCK).known_at == CLOCK - MINUTE
    with pytest.raises(EventRefused, match="ours to say"):
        parse_event(history, CLOCK, live=True)


@pytest.mark.parametrize(("ahead", "taken"), [(-400 * DAY, True), (0, True), (60 * SECOND, True), (60 * SECOND + 1, False)])
def test_an_event_lies_at_most_the_skew_ahead(ahead: int, taken: bool) -> None:
    raw = PLACED | {"event_time": format_time(CLOCK + ahead)}
    if taken:
        assert parse_event(raw, CLOCK, live=True).event_time == CLOCK + ahead
    else:
        with pytest.raises(EventRefused, match="lies in the future") as refused:
            parse_event(raw, CLOCK, live=True)
        assert refused.value.name == "event_time"
        assert parse_event(raw, CLOCK, live=True, skew=5 * MINUTE).event_time == CLOCK + ahead


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        ({"event_id": ""}, "event_id", "1 to 255"),
        ({"event_id": "x" * 256}, "event_id", "1 to 255"),
        ({"event_id": "a\0b"}, "event_id", "1 to 255"),
        ({"event_id": 7}, "event_id", "1 to 255"),
        ({"type": "order_vanished"}, "type", "is not one of"),
        ({"type": None}, "type", "required"),
        ({"event_time": None}, "event_time", "required"),
        ({"event_time": 1_700_000_000_000}, "event_time", "not an RFC 3339 time"),
        ({"event_time": "2026-11-10T00:00:00"}, "event_time", "no offset"),
        ({"event_time": "yesterday"}, "event_time", "not an RFC 3339 time"),
        ({"known_at": format_time(CLOCK + HOUR)}, "known_at", "lies in the future"),
        ({"known_at": format_time(CLOCK - 2 * HOUR)}, "known_at", "before event_time"),
        ({"customer_id": None}, "customer_id", "required for order_placed"),
        ({"customer_id": ""}, "customer_id", "is not a text"),
        ({"customer_id": "x" * 256}, "customer_id", "is not a text"),
        ({"customer_id": "a\0"}, "customer_id", "is not a text"),
        ({"customer_id": 7}, "customer_id", "is not a text"),
        ({"amount": "nine"}, "amount", "is not an amount"),
        ({"amount": -1}, "amount", "is not an amount"),
        ({"amount": True}, "amount", "is not an amount"),
        ({"amount": float("nan")}, "amount", "is not an amount"),
        ({"amount": {"amount": "9.50", "currency": "USD"}}, "amount", "is in 'USD'"),
        ({"amount": {"amount": "9.50"}}, "amount", "an amount and a currency"),
        ({"qty": "2"}, "qty", "is not a number"),
        ({"qty": 1e16}, "qty", "is not a number"),
        ({"qty": -1.1e9}, "qty", "at most 1,000,000,000"),
        ({"qty": NESTED}, "qty", "a list is not a number"),
        ({"amount": 1.1e9}, "amount", "from 0 to 1,000,000,000"),
        ({"amount": "999999999999"}, "amount", "from 0 to 1,000,000,000"),
        ({"event_time": "1969-12-31T23:59:59Z"}, "event_time", "before 1970"),
        ({"event_time": f"2026-11-12T00:00:00.{'1' * 9_000}Z"}, "event_time", "in the future"),
        ({"promised_by": "9999-12-31T23:59:59-14:00"}, "promised_by", "after 9999"),
        ({"attributes": {"deep": NESTED}}, "attributes", "32 levels"),
        ({"billed_elsewhere": 1}, "billed_elsewhere", "neither true nor false"),
        ({"skus": "S-1"}, "skus", "is not a list"),
        ({"skus": ["S-1", ""]}, "skus", "is not a text"),
        ({"promised_by": 5}, "promised_by", "not an RFC 3339 time"),
        ({"anchor": "A-7"}, "anchor", "unknown field of order_placed"),
        ({"attributes": "mine"}, "attributes", "a JSON object"),
        ({"attributes": {"long": "x" * 9_000}}, "attributes", "at most 8,192 bytes"),
        ({"valid_from": format_time(CLOCK)}, "valid_from", "is no forecast"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: dict[str, Any], name: str, told: str) -> None:
    with pytest.raises(EventRefused, match=told) as refused:
        parse_event(PLACED | change, CLOCK)
    assert refused.value.name == name
    assert str(refused.value).startswith(f"{name}: ")
    assert len(str(refused.value)) < 700, "however long what was sent is"


@pytest.mark.parametrize("raw", [None, [], "x", 3])
def test_an_event_is_an_object(raw: object) -> None:
    with pytest.raises(EventRefused, match="JSON object"):
        parse_event(raw, CLOCK)


def test_money_is_told_with_its_currency_or_as_a_number() -> None:
    for amount in (9.5, "9.50", {"amount": "9.50", "currency": "CNY"}, {"amount": 9.5, "currency": "CNY"}):
        assert parse_event(PLACED | {"amount": amount}, CLOCK).data["amount"] == 9.5


def test_a_forecast_says_from_when_it_holds_and_ends_after_it() -> None:
    ahead = format_time(CLOCK + 2 * DAY)
    told = parse_event(WEATHER | {"valid_from": ahead, "valid_to": format_time(CLOCK + 3 * DAY)}, CLOCK, live=True)
    assert (told.valid_from, told.data["valid_to"]) == (CLOCK + 2 * DAY, CLOCK + 3 * DAY)
    assert parse_event(WEATHER, CLOCK).valid_from is None
    for wrong in ({"valid_from": ahead, "valid_to": ahead}, {"valid_to": WEATHER["event_time"]}):
        with pytest.raises(EventRefused, match="valid_to: lies not after"):
            parse_event(WEATHER | wrong, CLOCK)


def test_what_a_sender_leaves_empty_is_not_told() -> None:
    assert "device_id" not in parse_event(PLACED | {"device_id": None}, CLOCK).data


def test_the_documentation_lists_the_vocabulary_as_it_is() -> None:
    told = DOCS.read_text(encoding="utf-8")
    assert event_table.markdown() in told, "python -m feature_store.event_table prints it"


def test_every_type_says_what_it_means_in_both_languages_and_has_a_key() -> None:
    assert set(MEANINGS) == set(VOCABULARY) == set(EventType)
    for kind, meaning in MEANINGS.items():
        assert meaning.en.endswith(".")
        assert meaning.zh.endswith("。")
        assert any(field.required for field in VOCABULARY[kind].values())
        assert meaning.forecast or "valid_to" not in VOCABULARY[kind]
