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

COMPOSITE: Final = "order_decision"
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
    """The columns of ``decisions``, but for customer, fingerprint and response; those that the groups at hand tell."""
    expected: dict[str, Any] = {"type": envelope["type"]}
    if "people" in groups:
        expected["principal"] = groups["people"]["principal"]
    if "order" in groups:
        expected |= {name: groups["order"][name] for name in ("order_id", "order_version")}
    if "outcome" in groups:
        expected["outcome"] = groups["outcome"]["outcome"][:128]
    if "request" in groups:
        asked = orjson.loads(groups["request"]).get("order") or {}
        region = (asked.get("ship_to") or {}).get("region")
        expected |= {"region": region, "channel": asked.get("channel"), "tags": pack(asked.get("tags") or ())}
    if "circumstances" in groups:
        expected |= _circumstances(envelope, groups["circumstances"], erased="request" not in groups)
    return expected | (_whole(groups) if envelope["kind"] == Kind.ORDER_DECISION else _single(groups))


def _circumstances(envelope: Mapping[str, Any], told: Mapping[str, Any], *, erased: bool) -> dict[str, Any]:
    whole = envelope["kind"] == Kind.ORDER_DECISION
    expected = {"mode": told["mode"], "request_id": told["request_id"]}
    expected["decided_at"] = parse_time(told["started_at"]) if whole else told["decided_at_ms"]
    if "idempotency_key" in told:  # records tell it since the log is published
        expected["latency_us"] = round(told["elapsed_ms"] * 1e3)
        if not erased:  # an erasure takes the key out of its column
            is_part = told["asked"] == COMPOSITE and not whole
            expected["idempotency_key"] = f"{told['idempotency_key']}{PART}{envelope['type']}" if is_part else told["idempotency_key"]
    return expected


def _single(groups: Mapping[str, Any]) -> dict[str, Any]:
    expected: dict[str, Any] = {}
    if "outcome" in groups:
        codes = (reason["code"] for reason in groups["outcome"]["reasons"])
        expected["status"] = groups["outcome"]["status"]
        expected["reasons"] = pack(dict.fromkeys(code for code in codes if code != REST))
        expected["probability"] = (groups.get("confidence") or {}).get("probability")
    if "policy" in groups:
        model = groups.get("model") or {}
        expected |= {f"model_{name}": model.get(name) for name in ("name", "version", "digest")}
        expected |= {f"policy_{name}": groups["policy"][name] for name in ("id", "version", "digest")}
    return expected


def _whole(groups: Mapping[str, Any]) -> dict[str, Any]:
    names = ("probability", "model_name", "model_version", "model_digest", "policy_id", "policy_version", "policy_digest")
    expected: dict[str, Any] = {"reasons": "", **dict.fromkeys(names)}
    if "response" in groups:
        parts = orjson.loads(groups["response"])["decisions"].values()
        expected["status"] = "fallback" if any(part.get("status") == "fallback" for part in parts) else "decided"
    return expected


def review_columns(envelope: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any] | None:
    """The columns of ``reviews`` as they were when the decision entered the queue; ``None`` when it needs no person, or was erased."""
    review = groups.get("outcome", {}).get("review")
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
