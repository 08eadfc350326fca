"""The closed vocabulary of business events: what can have happened, and which fields say so.

An event is a fact with two clocks: ``event_time`` (when it happened) and ``known_at`` (when we learned it). A label, a late
report or a correction is an event whose ``known_at`` is later. A forecast carries ``valid_from``.

On the wire an event is one flat JSON object: the fields of :class:`Event` beside those that :data:`VOCABULARY` lists for its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from feature_store.times import MINUTE, Millis, TimeUnreadable, format_time, now, parse_time

FUTURE_SKEW: Millis = 5 * MINUTE
"""How far ahead of our clock an ``event_time`` may lie."""


class EventType(StrEnum):
    """Every kind of business event that is understood."""

    CUSTOMER_REGISTERED = "customer_registered"
    ORDER_PLACED = "order_placed"
    PAYMENT_AUTHORISED = "payment_authorised"
    PAYMENT_DECLINED = "payment_declined"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"
    CANCELLED = "cancelled"
    CHARGEBACK = "chargeback"
    SKU_LISTED = "sku_listed"
    PRICE_CHANGED = "price_changed"
    SUPPLIER_STATUS = "supplier_status"
    STOCK_LEVEL = "stock_level"
    NODE_STATUS = "node_status"
    NODE_OUTAGE = "node_outage"
    LANE_RATE = "lane_rate"
    WEATHER = "weather"
    PORT_CONGESTION = "port_congestion"
    CUSTOMS_RULE = "customs_rule"


class Kind(StrEnum):
    """What a field of an event may hold."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    TIME = "time"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event type."""

    kind: Kind
    required: bool = False


def _fields(required: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None) -> dict[str, Field]:
    fields = {name: Field(kind, required=True) for name, kind in required.items()}
    fields.update({name: Field(kind) for name, kind in (optional or {}).items()})
    return fields


_T, _N, _B, _AT, _TS = Kind.TEXT, Kind.NUMBER, Kind.BOOL, Kind.TIME, Kind.TEXTS
_PARTIES = {"device_id": _T, "address_id": _T, "payment_token": _T, "ip": _T, "region": _T, "channel": _T}

VOCABULARY: dict[EventType, dict[str, Field]] = {
    EventType.CUSTOMER_REGISTERED: _fields({"customer_id": _T}, {"segment": _T, "region": _T, "address_id": _T, "street": _T}),
    EventType.ORDER_PLACED: _fields(
        {"order_id": _T, "customer_id": _T, "amount": _N},
        {**_PARTIES, "qty": _N, "skus": _TS, "supplier_ids": _TS, "tags": _TS, "promised_by": _AT, "billed_elsewhere": _B},
    ),
    EventType.PAYMENT_AUTHORISED: _fields({"payment_token": _T}, {**_PARTIES, "order_id": _T, "customer_id": _T, "amount": _N}),
    EventType.PAYMENT_DECLINED: _fields({"payment_token": _T}, {**_PARTIES, "order_id": _T, "customer_id": _T, "amount": _N}),
    EventType.SHIPPED: _fields(
        {"order_id": _T, "node_id": _T},
        {"customer_id": _T, "shipment_id": _T, "region": _T, "service": _T, "skus": _TS, "supplier_ids": _TS, "due_at": _AT, "late": _B, "delay_h": _N},
    ),
    EventType.DELIVERED: _fields(
        {"order_id": _T, "node_id": _T, "region": _T},
        {"customer_id": _T, "shipment_id": _T, "service": _T, "skus": _TS, "supplier_ids": _TS, "promised_by": _AT, "late": _B, "delay_h": _N, "transit_h": _N},
    ),
    EventType.RETURNED: _fields({"order_id": _T, "customer_id": _T}, {"skus": _TS, "amount": _N, "reason": _T}),
    EventType.CANCELLED: _fields({"order_id": _T, "customer_id": _T}, {"skus": _TS, "supplier_ids": _TS, "node_id": _T, "region": _T, "reason": _T}),
    EventType.CHARGEBACK: _fields({"order_id": _T, "customer_id": _T}, {**_PARTIES, "amount": _N, "skus": _TS}),
    EventType.SKU_LISTED: _fields(
        {"sku": _T}, {"category": _T, "supplier_id": _T, "price": _N, "presale": _B, "temp_class": _T, "weight_g": _N, "volume_cm3": _N, "launch_at": _AT, "lead_days": _N}
    ),
    EventType.PRICE_CHANGED: _fields({"sku": _T, "price": _N}),
    EventType.SUPPLIER_STATUS: _fields({"supplier_id": _T}, {"open_orders": _N, "capacity": _N, "delay_days": _N}),
    EventType.STOCK_LEVEL: _fields({"node_id": _T, "sku": _T, "available": _N}, {"safety": _N}),
    EventType.NODE_STATUS: _fields(
        {"node_id": _T},
        {
            "region": _T, "lat": _N, "lon": _N, "status": _T, "capacity": _N, "capacity_left": _N, "backlog": _N, "staffing": _N,
            "cutoff_hour": _N, "processing_h": _N, "processing_cost": _N, "temp_classes": _TS,
        },
    ),
    EventType.NODE_OUTAGE: _fields({"node_id": _T, "severity": _N}, {"kind": _T, "valid_to": _AT}),
    EventType.LANE_RATE: _fields(
        {"node_id": _T, "region": _T, "service": _T},
        {"carrier": _T, "fixed": _N, "per_kg": _N, "transit_days": _N, "co2e_g_per_kg": _N},
    ),
    EventType.WEATHER: _fields({"region": _T, "severity": _N}, {"kind": _T, "valid_to": _AT}),
    EventType.PORT_CONGESTION: _fields({"region": _T, "severity": _N}, {"port": _T, "wait_days": _N, "valid_to": _AT}),
    EventType.CUSTOMS_RULE: _fields({"region": _T, "strictness": _N}, {"rule": _T, "clearance_h": _N}),
}  # fmt: skip
"""For each type its own fields. Money is a number in CNY; ``late`` means after the due or promised time; ``lead_days`` is how long goods
that are sold in advance take to be there."""

_COMMON = {"event_id", "type", "event_time", "known_at", "valid_from"}


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
    """One event that cannot be taken; the message names the field and what to do."""


def _value(name: str, kind: Kind, value: object) -> object:
    ok: bool
    match kind:
        case Kind.TEXT:
            ok = isinstance(value, str) and bool(value)
        case Kind.NUMBER:
            ok = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
        case Kind.BOOL:
            ok = isinstance(value, bool)
        case Kind.TEXTS:
            ok = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        case Kind.TIME:
            return _moment(name, value)
    if not ok:
        raise EventRefused(f"{name}: {value!r} is not a {kind.value}")
    return tuple(value) if isinstance(value, list) else value


def _moment(name: str, value: object) -> Millis:
    if not isinstance(value, str):
        raise EventRefused(f"{name}: {value!r} is not an RFC 3339 time")
    try:
        return parse_time(value)
    except TimeUnreadable as error:
        raise EventRefused(f"{name}: {error}") from error


def _clocks(raw: Mapping[str, Any], clock: Millis) -> tuple[Millis, Millis, Millis | None]:
    """``event_time``, ``known_at`` and ``valid_from``; only the last may lie ahead."""
    event_time = _moment("event_time", raw.get("event_time"))
    if event_time > clock + FUTURE_SKEW:
        raise EventRefused(f"event_time: {raw['event_time']} lies in the future; a forecast says so in valid_from")
    known_at = _moment("known_at", raw["known_at"]) if raw.get("known_at") is not None else clock
    if known_at > clock + FUTURE_SKEW:
        raise EventRefused(f"known_at: {raw['known_at']} lies in the future; send the event when it is known, or leave the field out")
    return event_time, known_at, _moment("valid_from", raw["valid_from"]) if raw.get("valid_from") is not None else None


def parse_event(raw: object, received_at: Millis | None = None) -> Event:
    """Read one flat JSON object as an event.

    Args:
        raw: the decoded JSON.
        received_at: our clock; ``known_at`` defaults to it, and neither it nor ``event_time`` may lie ahead of it by more than
            :data:`FUTURE_SKEW`.

    Raises:
        EventRefused: unknown type or field, missing key, a value of the wrong kind, an ``event_time`` or ``known_at`` in the future.
    """
    if not isinstance(raw, dict):
        raise EventRefused("an event is a JSON object")
    clock = now() if received_at is None else received_at
    event_id = raw.get("event_id")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= 255:
        raise EventRefused("event_id: a text of 1 to 255 characters is required")
    try:
        event_type = EventType(raw.get("type", ""))
    except ValueError as error:
        raise EventRefused(f"type: {raw.get('type')!r} is not one of {', '.join(EventType)}") from error
    event_time, known_at, valid_from = _clocks(raw, clock)
    vocabulary = VOCABULARY[event_type]
    data = {}
    for name, value in raw.items():
        if name in _COMMON:
            continue
        if name not in vocabulary:
            raise EventRefused(f"{name}: unknown field of {event_type.value}; known are {', '.join(sorted(vocabulary))}")
        if value is not None:
            data[name] = _value(name, vocabulary[name].kind, value)
    for name, spec in vocabulary.items():
        if spec.required and name not in data:
            raise EventRefused(f"{name}: required for {event_type.value}")
    return Event(event_id, event_type, event_time, known_at, data, valid_from)


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
    vocabulary = VOCABULARY[event.type]
    for name, value in event.data.items():
        kind = vocabulary[name].kind
        flat[name] = format_time(value) if kind is Kind.TIME else list(value) if kind is Kind.TEXTS else value
    return flat
