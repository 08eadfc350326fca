"""The pure core: what is decided, from what is known, by which model and under which policy.

Live, dry run, shadow, replay, what-if and training evaluation all call :func:`decide`; the same inputs give the same decision, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from governance.completion import complete
from governance.controls import BLOCK, BLOCKED, Mode, first_on
from governance.evidence import Judged, amount_of, costs_of, details, gather
from governance.facts import line_stock
from governance.inputs import Failure, Inputs
from governance.opinion import Deployed, form_opinion
from governance.plan import decide_split
from governance.policy import LISTED, ON_BLOCK_LIST, PREDICTION, Policy
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

HELD = "SWITCHED_TO_HOLD"
HELD_TEXT = {"en": "Held: decisions of this kind are switched off", "zh": "该类决策已被停用，暂转人工"}
HELD_CAUSE = "switch: the kill switch holds every decision of this type"


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
    mode = Mode.NORMAL if inputs.switch is None else inputs.switch.mode
    if mode is Mode.HOLD_ALL:
        return _hold(inputs, policy)
    if inputs.failure is not None:
        return _fall_back(inputs, inputs.failure, policy)
    deployed = None if mode is Mode.RULES_ONLY else models.get(inputs.type)
    if inputs.type == DecisionType.SPLIT_ORDER:
        return decide_split(inputs, deployed, policy, timer)
    opinion = form_opinion(deployed, inputs.snapshot) if deployed is not None and inputs.snapshot is not None else None
    lines = line_stock(inputs.order, inputs.network) if inputs.order is not None else ()
    costs = costs_of(policy, opinion, amount_of(inputs))
    judgement = policy.judge(gather(inputs, opinion, lines, policy, costs), inputs.lists)
    outcome = judgement.outcome
    if outcome == PREDICTION:
        outcome = opinion.prediction if opinion is not None and opinion.prediction is not None else Outcome.REVIEW
    told = details(inputs, opinion, lines, Judged(policy, outcome, costs))
    return complete(inputs, deployed=deployed, policy=policy, judgement=judgement, outcome=outcome, opinion=opinion, details=told)


def _fall_back(inputs: Inputs, failure: Failure, policy: Policy) -> Decision:
    """The fallback that the request or the policy chose; but what people have blocked, no fallback lets through unseen."""
    fallback = policy.fallbacks[failure.fallback]
    blocked = first_on(BLOCK, inputs.lists) if inputs.type in BLOCKED else None
    outcome = fallback.outcome if blocked is None else BLOCKED[inputs.type]
    return _undecided(
        inputs,
        policy,
        outcome=outcome,
        cause=f"{failure.cause}: {failure.detail}",
        reason=Reason(1, f"FALLBACK_{fallback.name.upper()}", fallback.text, "decides")
        if blocked is None
        else Reason(1, *LISTED[BLOCK], "decides"),
        alternatives=tuple(
            {"fallback": other.name, "outcome": other.outcome}
            for other in policy.fallbacks.values()
            if other != fallback or (blocked is not None and other.outcome != outcome)
        ),
        results=() if blocked is None else (PolicyResult(ON_BLOCK_LIST, False, False, blocked.detail),),
    )


def _hold(inputs: Inputs, policy: Policy) -> Decision:
    """The kill switch's word. It outranks every fallback that a caller asked for: that one may accept unseen."""
    held = policy.holding
    return _undecided(inputs, policy, outcome=held.outcome, cause=HELD_CAUSE, reason=Reason(1, HELD, HELD_TEXT, "decides"))


def _undecided(
    inputs: Inputs,
    policy: Policy,
    *,
    outcome: str,
    cause: str,
    reason: Reason,
    alternatives: Sequence[Mapping[str, Any]] = (),
    results: tuple[PolicyResult, ...] = (),
) -> Decision:
    """A decision that no model and no rule made."""
    return Decision(
        type=inputs.type,
        outcome=outcome,
        status=Status.FALLBACK,
        decided_at=inputs.decided_at,
        stage=inputs.stage,
        order_id=inputs.order.order_id if inputs.order else inputs.order_id,
        order_version=inputs.order.order_version if inputs.order else None,
        fallback_reason=cause,
        reasons=(reason,),
        policy=policy.use(results),
        snapshot=inputs.snapshot,
        review=policy.review_of(outcome, inputs.decided_at),
        alternatives=alternatives,
    )


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
