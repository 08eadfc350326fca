"""A decision as the caller reads it: the JSON of API.md, and how the receipt joins it."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from feature_store.times import format_time
from governance.decision import Decision, Explanation, Reason

SHOWN_REASONS = 4
"""At most so many reasons in an answer; all of them are in the record."""

JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def answer_json(decision: Decision, decision_id: str, latency_ms: float, recorded: bool) -> dict[str, Any]:
    """The answer without its receipt: what the record's ``response`` group holds."""
    confidence, model, policy, snapshot, review = decision.confidence, decision.model, decision.policy, decision.snapshot, decision.review
    answer: dict[str, Any] = {
        "decision_id": decision_id,
        "type": decision.type,
        "outcome": decision.outcome,
        "status": decision.status,
        "fallback_reason": decision.fallback_reason,
        "recorded": recorded,
        "order_id": decision.order_id,
        "order_version": decision.order_version,
        "decided_at": format_time(decision.decided_at),
        "latency_ms": round(latency_ms, 3),
        "confidence": confidence,
        "reasons": [reason_json(reason) for reason in decision.reasons[:SHOWN_REASONS]],
        "model": model,
        "policy": policy,
        "snapshot": None if snapshot is None else {"digest": snapshot.digest, "oldest_feature_age_s": snapshot.oldest_age_s},
        "review": None
        if review is None
        else {"queue": review.queue, "due_at": format_time(review.due_at), "expires_to": review.expires_to},
    }
    answer.update(decision.details)
    answer["links"] = {
        "self": f"/v1/decisions/{decision_id}",
        "proof": f"/v1/ledger/proof/{decision_id}",
        "page": f"/console/decisions/{decision_id}",
    }
    return answer


def reason_json(reason: Reason) -> dict[str, Any]:
    """One reason as it is told."""
    return {
        "rank": reason.rank,
        "code": reason.code,
        "text": dict(reason.text),
        "direction": reason.direction,
        "contribution": reason.contribution,
        "feature": reason.feature,
        "value": reason.value,
    }


def to_bytes(value: Any) -> bytes:
    """JSON on the wire; dataclasses and numbers of numpy are known, NaN becomes ``null``."""
    return orjson.dumps(value, option=JSON_OPTIONS)


def finite(value: float) -> float | None:
    """A number as JSON can say it: NaN and infinities are "not known"."""
    return value if np.isfinite(value) else None


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Base, margin, link and every contribution."""
    values, contributions = explanation.values.tolist(), explanation.contributions.tolist()
    return {
        "base": explanation.base,
        "margin": explanation.margin,
        "link": explanation.link,
        "contributions": [
            {"feature": name, "value": finite(value), "contribution": part}
            for name, value, part in zip(explanation.names, values, contributions, strict=True)
        ],
    }
