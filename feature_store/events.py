"""Business events: facts with two clocks, as they are read from the wire and written to it.

``event_time`` says when something happened, ``known_at`` when we learned it. A label, a late report or a correction is an event whose
``known_at`` is later. A forecast carries ``valid_from``.

On the wire an event is one flat JSON object: the fields of :class:`Event` beside those that :data:`VOCABULARY` lists for its type, and
``attributes`` for whatever else a sender wants kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from feature_store.times import SECOND, Millis, TimeUnreadable, format_time, now, parse_time
from feature_store.vocabulary import MEANINGS, VOCABULARY, EventType, Field, Kind

__all__ = [
    "ATTRIBUTES", "FUTURE_SKEW", "VOCABULARY", "Event", "EventRefused", "EventType", "Field", "Kind", "event_to_json", "parse_event",
]  # fmt: skip

FUTURE_SKEW: Final[Millis] = 60 * SECOND
"""How far ahead of our clock an ``event_time`` may lie, where no setting says otherwise: two machines' clocks differ."""

CURRENCY: Final = "CNY"
"""The currency that every amount in an event is in; features add amounts up, so there can be one only."""

ATTRIBUTES: Final = "attributes"
"""The field for a sender's own fields: kept with the event, seen by no feature."""

LONGEST_TEXT: Final = 255
MOST_TEXTS: Final = 1_000
LARGEST_ATTRIBUTES: Final = 8_192
DEEPEST_ATTRIBUTES: Final = 32
LARGEST: Final = 1e9
"""The largest number and amount: a history adds many of them up, in millionths, in 64 bits."""

_LATEST: Final = 253_402_300_800_000  # the year 10,000
_COMMON: Final = frozenset({"event_id", "type", "event_time", "known_at", "valid_from"})
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Event:
    """One business fact.

    Attributes:
        event_id: the sender's id; the same id is the same fact.
        event_time: when it happened.
        known_at: when we learned it; nothing decided earlier may use it.
        data: the fields of its type; times in it are :data:`Millis`.
        valid_from: from when a forecast or rule holds; ``None`` for plain facts.
    """

    event_id: str
    type: EventType
    event_time: Millis
    known_at: Millis
    data: Mapping[str, Any] = field(default_factory=dict)
    valid_from: Millis | None = None


class EventRefused(ValueError):
    """One event that cannot be taken.

    Attributes:
        name: the field that is wrong; empty for the event as a whole.
        msg: what is wrong with it and what to do.
    """

    def __init__(self, name: str, msg: str) -> None:
        super().__init__(f"{name}: {msg}" if name else msg)
        self.name = name
        self.msg = msg


def parse_event(raw: object, received_at: Millis | None = None, *, live: bool = False, skew: Millis = FUTURE_SKEW) -> Event:
    """Read one flat JSON object as an event.

    Args:
        raw: the decoded JSON.
        received_at: our clock; ``known_at`` defaults to it.
        live: whether it is told as it happens: then it is known from now on, whatever the sender says.
        skew: how far ``event_time`` and ``known_at`` may lie ahead of our clock. A ``known_at`` ahead of it is read as now: whoever has
            told us has told us by then, and what is taken in counts at once.

    Raises:
        EventRefused: unknown type or field, missing key, a value of the wrong kind, a clock that cannot be.
    """
    if not isinstance(raw, dict):
        raise EventRefused("", "an event is a JSON object")
    clock = now() if received_at is None else received_at
    event_id = raw.get("event_id")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= LONGEST_TEXT or "\0" in event_id:
        raise EventRefused("event_id", f"a text of 1 to {LONGEST_TEXT} characters is required, the same on every retry")
    event_type = _type(raw.get("type"))
    event_time = _event_time(raw.get("event_time"), clock + skew)
    known_at = _known_at(raw.get("known_at"), event_time, clock, live=live, skew=skew)
    data = _data(raw, event_type)
    valid_from = _validity(raw.get("valid_from"), data.get("valid_to"), event_type, event_time)
    return Event(event_id, event_type, event_time, known_at, data, valid_from)


def _type(told: object) -> EventType:
    found = _TYPES.get(told) if isinstance(told, str) else None
    if found is None:
        raise EventRefused("type", f"{_short(told)} is not one of {', '.join(EventType)}" if told is not None else "required")
    return found


def _event_time(told: object, latest: Millis) -> Millis:
    if told is None:
        raise EventRefused("event_time", "required: when it happened")
    event_time = _moment("event_time", told)
    if event_time > latest:
        raise EventRefused(
            "event_time", f"{_cut(str(told), 64)} lies in the future; what is going to be is told by a forecast, in valid_from"
        )
    return event_time


def _known_at(told: object, event_time: Millis, clock: Millis, *, live: bool, skew: Millis) -> Millis:
    if told is None:
        return clock
    if live:
        raise EventRefused(
            "known_at", "is ours to say: when the event arrives. History with its own known_at is loaded by 'ordinance events load'"
        )
    known_at = _moment("known_at", told)
    if known_at > clock + skew:
        raise EventRefused("known_at", f"{_cut(str(told), 64)} lies in the future; tell the event when it is known")
    if known_at < event_time - skew:
        raise EventRefused("known_at", f"{_cut(str(told), 64)} lies before event_time: nothing is known before it happens")
    return min(known_at, clock)


def _data(raw: Mapping[str, Any], event_type: EventType) -> dict[str, Any]:
    fields = VOCABULARY[event_type]
    data = {}
    for name, value in raw.items():
        if name in _COMMON or value is None:
            continue
        known = fields.get(name)
        if known is not None:
            data[name] = _money(name, value) if known.money else _READ[known.kind](name, value)
        elif name == ATTRIBUTES:
            data[name] = _attributes(value)
        else:
            raise EventRefused(
                name[:64],
                f"unknown field of {event_type.value}; known are {', '.join(sorted(fields))}; a sender's own go into {ATTRIBUTES}",
            )
    for name in _REQUIRED[event_type]:
        if name not in data:
            raise EventRefused(name, f"required for {event_type.value}")
    return data


def _validity(told: object, valid_to: Millis | None, event_type: EventType, event_time: Millis) -> Millis | None:
    """``valid_from`` of a forecast; anything else holds from when it happened."""
    valid_from = None if told is None else _moment("valid_from", told)
    if valid_from is not None and not MEANINGS[event_type].forecast:
        raise EventRefused("valid_from", f"{event_type.value} is no forecast: it holds from its event_time on")
    if valid_to is not None and valid_to <= (event_time if valid_from is None else valid_from):
        raise EventRefused("valid_to", "lies not after the time from which the forecast holds")
    return valid_from


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT or "\0" in value:
        raise EventRefused(name, f"{_short(value)} is not a text of 1 to {LONGEST_TEXT} characters")
    return value


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise EventRefused(name, f"{_short(value)} is not a number")
    if not abs(value) <= LARGEST:
        raise EventRefused(name, f"{_short(value)} is not a number of at most {LARGEST:,.0f}")
    return value


def _money(name: str, value: object) -> float:
    """An amount: ``{"amount": "129.99", "currency": "CNY"}``, or the number alone."""
    if isinstance(value, dict):
        if set(value) != {"amount", "currency"}:
            raise EventRefused(name, 'money has an amount and a currency: {"amount": "129.99", "currency": "CNY"}')
        if value["currency"] != CURRENCY:
            raise EventRefused(name, f"is in {_short(value['currency'])}; events tell amounts in {CURRENCY}")
        value = value["amount"]
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise EventRefused(name, f"{_short(value)} is not an amount from 0 to {LARGEST:,.0f}, such as 129.99")
    return value


def _bool(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise EventRefused(name, f"{_short(value)} is neither true nor false")
    return value


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_TEXTS:
        raise EventRefused(name, f"{_short(value)} is not a list of at most {MOST_TEXTS:,} texts")
    return tuple([_text(name, item) for item in value])


def _moment(name: str, value: object) -> Millis:
    if not isinstance(value, str):
        raise EventRefused(name, f"{_short(value)} is not an RFC 3339 time such as 2026-11-11T00:00:03.120Z")
    try:
        moment = parse_time(value)
    except (TimeUnreadable, OverflowError) as error:
        raise EventRefused(name, _cut(str(error), 160)) from error
    if not 0 <= moment < _LATEST:
        raise EventRefused(name, f"{_short(value)} lies before 1970 or after 9999")
    return moment


def _attributes(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or _too_deep(value) or len(orjson.dumps(value)) > LARGEST_ATTRIBUTES:
        raise EventRefused(
            ATTRIBUTES, f"has to be a JSON object of at most {LARGEST_ATTRIBUTES:,} bytes, at most {DEEPEST_ATTRIBUTES} levels deep"
        )
    return value


def _too_deep(value: object) -> bool:
    """Whether it nests further than what writes and searches it can follow."""
    level = [value]
    for _ in range(DEEPEST_ATTRIBUTES + 1):
        level = [inner for one in level if isinstance(one, dict | list) for inner in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return False
    return True


def _short(value: object) -> str:
    """What was told, cut down to what can be shown."""
    if isinstance(value, dict | list):  # may be huge, or nested deeper than repr can follow
        return "an object" if isinstance(value, dict) else "a list"
    return _cut(repr(value[:65] if isinstance(value, str) else value), 64)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


_TYPES: Final[Mapping[str, EventType]] = {kind.value: kind for kind in EventType}
_REQUIRED: Final = {kind: tuple(name for name, told in fields.items() if told.required) for kind, fields in VOCABULARY.items()}
_READ: Final[Mapping[Kind, Callable[[str, object], Any]]] = {
    Kind.TEXT: _text, Kind.NUMBER: _number, Kind.BOOL: _bool, Kind.TIME: _moment, Kind.TEXTS: _texts,
}  # fmt: skip


def event_to_json(event: Event) -> dict[str, Any]:
    """The flat JSON object of an event; :func:`parse_event` reads it back."""
    flat: dict[str, Any] = {
        "event_id": event.event_id,
        "type": event.type.value,
        "event_time": format_time(event.event_time),
        "known_at": format_time(event.known_at),
    }
    if event.valid_from is not None:
        flat["valid_from"] = format_time(event.valid_from)
    fields = VOCABULARY[event.type]
    for name, value in event.data.items():
        kind = fields[name].kind if name in fields else None
        flat[name] = format_time(value) if kind is Kind.TIME else list(value) if kind is Kind.TEXTS else value
    return flat
