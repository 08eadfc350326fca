"""What the columns of a decision have to say, derived from its record: an edited column is no record, but people search and decide by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson
from pydantic import ValidationError

from feature_store.order import FROM_WIRE, MICRO, Order
from feature_store.times import parse_time
from governance.ledger.findings import Mismatch, Part
from governance.ledger.receipt import Receipt
from governance.ledger.record import Kind
from governance.ledger.rows import pack
from models.reasons import REST

COMPOSITE: Final = "orders"
PART: Final = "\x1f"
"""Stands between the key of a request and the type of one of its parts."""


def check_columns(columns: Mapping[str, Any], expected: Mapping[str, Any], name: str, place: int | None = None) -> None:
    """Compare columns with what they have to be.

    Raises:
        Mismatch: one differs; it is named with both values.
    """
    for column, value in expected.items():
        told = columns[column]
        if isinstance(told, memoryview):
            told = bytes(told)
        if told != value:
            raise Mismatch(Part.COLUMN, name, f"column {column} says {_shown(told)}, the record {_shown(value)}", place)


def _shown(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def record_columns(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of ``records`` that repeat the entry."""
    at = parse_time(envelope["time"])
    return {"record_id": envelope["record_id"], "kind": envelope["kind"], "tenant": envelope["tenant"], "recorded_at": at, "seq": None}


def receipt_columns(receipt: Receipt) -> dict[str, Any]:
    """The columns of ``records`` that repeat the receipt which was answered."""
    return {
        "record_id": receipt.record_id,
        "leaf_hash": receipt.leaf_hash,
        "promised_at": receipt.promised_at,
        "publish_by": receipt.publish_by,
        "key_id": receipt.key_id,
        "signature": receipt.signature,
    }


def decision_columns(envelope: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of ``decisions``, but for the fingerprint and the response, which are checked as wholes."""
    circumstances, order = groups["circumstances"], groups["order"]
    asked = orjson.loads(groups["request"]).get("order") or {}
    outcome = groups["outcome"]
    expected = {
        "principal": groups["people"]["principal"],
        "type": envelope["type"],
        "order_id": order["order_id"],
        "order_version": order["order_version"],
        "customer_id": order["customer_id"],
        "mode": circumstances["mode"],
        "outcome": outcome["outcome"][:128],
        "region": (asked.get("ship_to") or {}).get("region"),
        "channel": asked.get("channel"),
        "tags": pack(asked.get("tags") or ()),
        "request_id": circumstances["request_id"],
    }
    if "idempotency_key" in circumstances:  # records tell it since the log is published
        expected["latency_us"] = round(circumstances["elapsed_ms"] * 1e3)
        key = circumstances["idempotency_key"]
        is_part = circumstances["asked"] == COMPOSITE and envelope["kind"] == Kind.DECISION
        expected["idempotency_key"] = f"{key}{PART}{envelope['type']}" if is_part else key
    return expected | (_whole(groups) if envelope["kind"] == Kind.ORDER_DECISION else _single(groups))


def _single(groups: Mapping[str, Any]) -> dict[str, Any]:
    outcome, policy = groups["outcome"], groups["policy"]
    model, confidence = groups.get("model") or {}, groups.get("confidence") or {}
    codes = (reason["code"] for reason in outcome["reasons"])
    return {
        "status": outcome["status"],
        "decided_at": groups["circumstances"]["decided_at_ms"],
        "reasons": pack(dict.fromkeys(code for code in codes if code != REST)),
        "probability": confidence.get("probability"),
        "model_name": model.get("name"),
        "model_version": model.get("version"),
        "model_digest": model.get("digest"),
        "policy_id": policy["id"],
        "policy_version": policy["version"],
        "policy_digest": policy["digest"],
    }


def _whole(groups: Mapping[str, Any]) -> dict[str, Any]:
    parts = orjson.loads(groups["response"])["decisions"].values()
    fell_back = any(part.get("status") == "fallback" for part in parts)
    nothing = dict.fromkeys(("probability", "model_name", "model_version", "model_digest", "policy_id", "policy_version", "policy_digest"))
    return {
        "status": "fallback" if fell_back else "decided",
        "decided_at": parse_time(groups["circumstances"]["started_at"]),
        "reasons": "",
        **nothing,
    }


def review_columns(envelope: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any] | None:
    """The columns of ``reviews`` as they were when the decision entered the queue; ``None`` when it needs no person."""
    review = groups["outcome"].get("review")
    if envelope["kind"] != Kind.DECISION or review is None:
        return None
    order = groups["order"]
    asked = _order(groups)
    return {
        "type": envelope["type"],
        "queue": review["queue"],
        "order_id": order["order_id"],
        "order_version": order["order_version"],
        "rank": -_at_stake(groups, asked),
        "currency": None if asked is None else asked.currency,
        "opened_at": groups["circumstances"]["decided_at_ms"],
        "due_at": parse_time(review["due_at"]),
        "expires_to": review["expires_to"][:128],
    }


def _order(groups: Mapping[str, Any]) -> Order | None:
    told = orjson.loads(groups["request"]).get("order")
    try:
        return None if told is None else Order.model_validate(told, context=FROM_WIRE)
    except ValidationError:
        return None


def _at_stake(groups: Mapping[str, Any], order: Order | None) -> int:
    loss = (groups["outcome"].get("details") or {}).get("expected_loss")
    if isinstance(loss, dict):
        try:
            return int(Decimal(str(loss["amount"])) * MICRO)
        except (KeyError, InvalidOperation, ValueError, OverflowError):
            pass  # as when it was queued: a loss that is no amount orders nothing
    return 0 if order is None else order.total_micros


def subjects_of(envelope: Mapping[str, Any], groups: Mapping[str, Any]) -> Iterator[str]:
    """The data subjects that a record can speak of, as its seeds name them."""
    customer = (groups.get("order") or {}).get("customer_id")
    if customer:
        yield f"customer:{customer}"
    change = groups.get("change") or {}
    if envelope["kind"] == Kind.LIST_CHANGED and "kind" in change:
        yield f"{change['kind']}:{change['value']}"
