"""The pure core: what is decided, from what is known, by which model and under which policy.

Live, dry run, shadow, replay, what-if and training evaluation all call :func:`decide`; the same inputs give the same decision, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feature_store.order import MICRO
from governance.completion import complete
from governance.facts import LineStock, line_stock, order_facts, stock_facts
from governance.inputs import Failure, Inputs
from governance.opinion import Deployed, Opinion, form_opinion
from governance.plan import decide_split
from governance.policy import PREDICTION, Policy
from governance.promise import promise
from governance.values import (
    Confidence,
    Decision,
    Explanation,
    ModelUse,
    PolicyResult,
    PolicyUse,
    Reason,
    Review,
    Stage,
    Status,
)
from models.specs import DecisionType, Outcome

Models = Mapping[str, Deployed]
"""The model that answers each decision type; a type without one is decided by rules only."""


def decide(inputs: Inputs, models: Models, policy: Policy, *, timer: Callable[[], float] = lambda: 0.0) -> Decision:
    """Decide. Pure: no I/O, no randomness, and no clock but ``timer``.

    Args:
        inputs: what is known.
        models: what answers each type.
        policy: what judges it.
        timer: seconds; tells how long the optimiser took and nothing else. A replay leaves it standing still.

    Raises:
        KeyError: the failure names a fallback that the policy does not have.
        feature_store.network_request.NetworkRefused: a split-order request names an unknown node.
        models.splitting.ProblemRefused: amounts too large to be added exactly.
        governance.opinion.FeaturesMissing: the model reads features that the snapshot does not have.
    """
    if inputs.failure is not None:
        return _fall_back(inputs, inputs.failure, policy)
    deployed = models.get(inputs.type)
    if inputs.type == DecisionType.SPLIT_ORDER:
        return decide_split(inputs, deployed, policy, timer)
    opinion = form_opinion(deployed, inputs.snapshot) if deployed is not None and inputs.snapshot is not None else None
    lines = line_stock(inputs.order, inputs.network) if inputs.order is not None else ()
    judgement = policy.judge(_facts(inputs, opinion, lines, policy))
    outcome = judgement.outcome
    if outcome == PREDICTION:
        outcome = opinion.prediction if opinion is not None and opinion.prediction is not None else Outcome.REVIEW
    details = _details(inputs, opinion, lines, outcome, policy)
    return complete(inputs, deployed=deployed, policy=policy, judgement=judgement, outcome=outcome, opinion=opinion, details=details)


def _fall_back(inputs: Inputs, failure: Failure, policy: Policy) -> Decision:
    fallback = policy.fallbacks[failure.fallback]
    return Decision(
        type=inputs.type,
        outcome=fallback.outcome,
        status=Status.FALLBACK,
        decided_at=inputs.decided_at,
        stage=inputs.stage,
        order_id=inputs.order.order_id if inputs.order else inputs.order_id,
        order_version=inputs.order.order_version if inputs.order else None,
        fallback_reason=f"{failure.cause}: {failure.detail}",
        reasons=(Reason(1, f"FALLBACK_{fallback.name.upper()}", fallback.text, "decides"),),
        policy=policy.use(),
        snapshot=inputs.snapshot,
        review=policy.review_of(fallback.outcome, inputs.decided_at),
        alternatives=tuple({"fallback": other.name, "outcome": other.outcome} for other in policy.fallbacks.values() if other != fallback),
    )


def _facts(inputs: Inputs, opinion: Opinion | None, lines: Sequence[LineStock], policy: Policy) -> dict[str, Mapping[str, Any]]:
    facts: dict[str, Mapping[str, Any]] = {"stock": stock_facts(lines), "model": {}}
    if inputs.order is not None and "order" in policy.needed:
        facts["order"] = order_facts(inputs.order, inputs.decided_at)
    if opinion is not None:
        facts["model"] = {**opinion.facts(), "expected_loss": _expected_loss(inputs, opinion, policy)}
    if inputs.snapshot is not None and "features" in policy.needed:
        facts["features"] = dict(zip(inputs.snapshot.names, inputs.snapshot.values.tolist(), strict=True))
    return facts


def _expected_loss(inputs: Inputs, opinion: Opinion, policy: Policy) -> float | None:
    """Probability × (order amount + the chargeback's fee), in the order's currency; fraud only."""
    if inputs.type != DecisionType.FRAUD or inputs.order is None or opinion.confidence is None:
        return None
    fee = policy.number("chargeback_fee") if "chargeback_fee" in policy.parameters else 0.0
    return opinion.confidence.probability * (inputs.order.total_micros / MICRO + fee)


def _details(inputs: Inputs, opinion: Opinion | None, lines: Sequence[LineStock], outcome: str, policy: Policy) -> dict[str, Any]:
    details: dict[str, Any] = {}
    order = inputs.order
    if inputs.type == DecisionType.ACCEPTANCE and order is not None:
        if outcome == Outcome.ACCEPT_PARTIAL:
            details["accepted_lines"] = [found.line.line_id for found in lines if not found.short]
        if inputs.network is not None:
            details["promise"] = promise(
                order, inputs.network, inputs.decided_at, opinion.confidence.probability if opinion and opinion.confidence else 0.0
            )
    elif inputs.type == DecisionType.FRAUD and order is not None and opinion is not None:
        loss = _expected_loss(inputs, opinion, policy)
        details["expected_loss"] = None if loss is None else {"amount": f"{loss:.2f}", "currency": order.currency}
    elif opinion is not None and order is None:
        details["prediction"] = dict(opinion.answer)
    return details


__all__ = [
    "Confidence",
    "Decision",
    "Deployed",
    "Explanation",
    "Failure",
    "Inputs",
    "ModelUse",
    "Models",
    "PolicyResult",
    "PolicyUse",
    "Reason",
    "Review",
    "Stage",
    "Status",
    "decide",
]
