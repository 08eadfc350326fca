"""Writes and reads the golden files: one stored record of every kind, as the bytes that stand in the database.

``python -m tests.governance.ledger.golden`` adds the files of kinds that have none yet. It never rewrites one: a file is a promise that what was
once written stays readable for ever. The data is made up for this purpose.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import orjson

from governance.ledger.compression import compress
from governance.ledger.receipt import Signer, attach
from governance.ledger.record import SCHEMA, Draft, Kind, Numbers, about_customer, seal

FOLDER = Path(__file__).parent / "golden"
AT = 1_794_000_000_000
SIGNER = Signer("ordinance.test/golden", bytes(range(32)))
_DECIDING = frozenset({Kind.DECISION, Kind.ORDER_DECISION})
_DIGEST = f"sha256:{'5a' * 32}"


def groups_of(kind: Kind) -> dict[str, Any]:
    """What a record of a kind says, with every group that it may have."""
    if kind not in {Kind.DECISION, Kind.ORDER_DECISION, Kind.WHAT_IF, Kind.SHADOW}:
        return {
            "change": {"what": kind.value, "note": "looked at, 看过", "at": "2026-11-06T00:00:00.000Z"},
            "people": {"principal": "local-admin"},
        }
    return {
        "request": '{"order":{"order_id":"SO-1"}}',
        "order": {"order_id": "SO-1", "order_version": 1, "customer_id": "C-9"},
        "circumstances": {"started_at": AT, "mode": "live", "deadline_ms": None, "stage": "champion"},
        "snapshot": {"names": ["amount", "qty"], "shape": [2], "event_times": [None, AT], "origins": ["request", "store"], "as_of": AT},
        "values": Numbers.of([float("nan"), -0.0]),
        "explanation": {"explainer": "path-dependent-shap", "link": "logit", "names": ["amount", "qty"], "features": []},
        "scores": Numbers.of([0.1, 5e-324]),
        "contributions": Numbers.of([1 / 3, -1e300]),
        "model": {"name": "fraud", "version": 1, "digest": _DIGEST, "role": "champion"},
        "confidence": {"event": "fraud", "probability": 0.25, "low": 0.125, "high": 0.5, "level": 0.9},
        "policy": {"id": "fraud", "version": 1, "digest": _DIGEST, "parameters": {}, "results": []},
        "alternatives": [],
        "outcome": {"outcome": "ALLOW", "status": "decided", "reasons": []},
        "response": '{"outcome":"ALLOW"}',
        "people": {"principal": "local-oms"},
    }


def write(kind: Kind) -> bytes:
    """A new golden file."""
    groups = groups_of(kind)
    decides = "response" in groups
    subjects = about_customer("C-9", groups) if decides else {}
    sealed = seal(Draft(kind, "fraud" if decides else None, {"build": _DIGEST}, groups, subjects), SIGNER, AT)
    stored = {
        "entry": sealed.entry,
        "leaf_hash": sealed.leaf_hash,
        "body": sealed.body,
        "seeds": sealed.seeds,
        "signature": sealed.receipt.signature,
    }
    if decides:
        stored["response"] = compress(attach(groups["response"].encode(), sealed.receipt))
    told: dict[str, Any] = {
        "schema": SCHEMA, "kind": kind.value, "promised_at": sealed.receipt.promised_at, "publish_by": sealed.receipt.publish_by,
        "record_id": sealed.record_id, **{name: b64encode(value).decode() for name, value in stored.items()},
    }  # fmt: skip
    return orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"


def read(path: Path) -> dict[str, Any]:
    """A golden file, bytes as bytes."""
    told: dict[str, Any] = orjson.loads(path.read_bytes())
    stored = ("entry", "leaf_hash", "body", "seeds", "signature", "response")
    return {name: b64decode(value) if name in stored else value for name, value in told.items()}


def main() -> None:
    """Add what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for kind in Kind:
        path = FOLDER / f"{kind.value}.v{SCHEMA}.json"
        if not path.exists():
            path.write_bytes(write(kind))


if __name__ == "__main__":
    main()
