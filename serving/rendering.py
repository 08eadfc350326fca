"""A decision as the caller reads it: the JSON of API.md, and how the receipt joins it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from feature_store.network import Network
from feature_store.reservations import Reservation
from feature_store.snapshot import FeatureSnapshot
from feature_store.times import format_time
from governance.decision import Explanation
from governance.decision_groups import reason_json
from models.specs import DecisionType
from serving.admission import Admitted
from serving.knowing import Made, Outcomes

SHOWN_REASONS = 4
"""At most so many reasons in an answer; all of them are in the record."""

NOT_PLANNED = "NOT_PLANNED"
NOT_PLANNED_TEXT = {"en": "no plan was made; fallback_reason says why", "zh": "未生成发货方案，原因见 fallback_reason"}

JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def answer_json(
    one: Made, decision_id: str | None, latency_ms: float, *, recorded: bool, reserves: Reservation | None = None
) -> dict[str, Any]:
    """The answer without its receipt: what the record's ``response`` group holds. A dry run has no id, no links, and reserves nothing."""
    decision = one.decision
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
        "snapshot": None
        if snapshot is None
        else {"digest": snapshot.digest, "oldest_feature_age_s": _oldest_age_s(snapshot, one.inputs.network)},
        "review": None
        if review is None
        else {"queue": review.queue, "due_at": format_time(review.due_at), "expires_to": review.expires_to},
    }
    answer.update(decision.details or _nothing_known(one))
    if decision.type == DecisionType.SPLIT_ORDER:
        holds = reserves is not None and reserves.pieces
        answer["reservation"] = (
            {"id": reserves.reservation_id, "expires_at": format_time(reserves.expires_at)} if reserves and holds else None
        )
    answer["links"] = {} if decision_id is None else _links(decision_id)
    return answer


def _nothing_known(one: Made) -> dict[str, Any]:
    """The members that only this type answers, where no model and no plan filled them: callers find each of them in every answer."""
    order = one.inputs.order
    if one.decision.type == DecisionType.ACCEPTANCE:
        return {"promise": None}
    if one.decision.type == DecisionType.FRAUD:
        return {"expected_loss": None}
    if one.decision.type != DecisionType.SPLIT_ORDER or order is None:
        return {}
    left = [{"line_id": line.line_id, "qty": line.qty, "reason": NOT_PLANNED, "text": NOT_PLANNED_TEXT} for line in order.lines]
    return {"shipments": [], "objective": None, "optimality": None, "runner_up": None, "rejected_nodes": [], "unfilled": left}


def _oldest_age_s(snapshot: FeatureSnapshot, network: Network | None) -> float | None:
    """Seconds since the oldest stored fact, or since the oldest one that the request told instead of the store."""
    supplied = [network.ages[part] for part in network.supplied if part in network.ages] if network is not None and network.supplied else []
    stored = snapshot.oldest_age_s
    return max([*supplied, stored] if stored is not None else supplied, default=None)


def order_json(admitted: Admitted, outcomes: Outcomes, answers: Mapping[str, bytes], decision_id: str | None) -> dict[str, Any]:
    """The three decisions on one order, and what they come to; ``answers`` are the parts as they would be sent alone."""
    order = admitted.order
    assert order is not None
    assert outcomes.together is not None
    together = outcomes.together_json() or {}
    parts: dict[str, Any] = {}
    for decision_type in admitted.types:
        member = decision_type.replace("-", "_")
        parts[member] = (
            orjson.Fragment(answers[decision_type]) if decision_type in answers else {"skipped": outcomes.skipped[decision_type]}
        )
    return {
        "decision_id": decision_id,
        "order_id": order.order_id,
        "order_version": order.order_version,
        "outcome": together["outcome"],
        "precedence": together["precedence"],
        "decided_by": together["decided_by"],
        "recorded": decision_id is not None,
        "decisions": parts,
        "links": {} if decision_id is None else _links(decision_id),
    }


def _links(decision_id: str) -> dict[str, str]:
    return {
        "self": f"/v1/decisions/{decision_id}",
        "proof": f"/v1/ledger/proof/{decision_id}",
        "page": f"/console/decisions/{decision_id}",
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
