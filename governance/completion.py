"""A judged outcome and its grounds, put together as one decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from governance.inputs import Inputs
from governance.opinion import Deployed, Opinion
from governance.policy import Check, Judgement, Policy
from governance.values import Decision, Reason

NO_MODEL_CODE, RULES_ONLY_CODE = "NO_MODEL", "SWITCHED_TO_RULES"
NO_MODEL = {"en": "No model is in service for this decision: rules only", "zh": "该决策暂无可用模型：仅按规则判断"}
RULES_ONLY = {"en": "The model is switched off for this decision: rules only", "zh": "该决策的模型已停用：仅按规则判断"}
LANGUAGES = ("en", "zh")


def complete(
    inputs: Inputs,
    *,
    deployed: Deployed | None,
    policy: Policy,
    judgement: Judgement,
    outcome: str,
    opinion: Opinion | None,
    details: Mapping[str, Any],
    alternatives: Sequence[Mapping[str, Any]] = (),
) -> Decision:
    """Put a judged outcome and its grounds together."""
    without = None if deployed is not None else (NO_MODEL_CODE, NO_MODEL) if inputs.switch is None else (RULES_ONLY_CODE, RULES_ONLY)
    return Decision(
        type=inputs.type,
        outcome=outcome,
        status=judgement.status,
        decided_at=inputs.decided_at,
        stage=inputs.stage,
        order_id=inputs.order.order_id if inputs.order else inputs.order_id,
        order_version=inputs.order.order_version if inputs.order else None,
        confidence=opinion.confidence if opinion else None,
        reasons=_reasons(judgement, opinion, without),
        model=deployed.use if deployed else None,
        policy=policy.use(judgement.results),
        snapshot=inputs.snapshot,
        explanation=opinion.explanation if opinion else None,
        review=policy.review_of(outcome, inputs.decided_at, judgement.decisive.queue if judgement.decisive else None),
        details=details,
        alternatives=alternatives or _overruled(judgement),
    )


def _reasons(judgement: Judgement, opinion: Opinion | None, without: tuple[str, Mapping[str, str]] | None) -> tuple[Reason, ...]:
    """The decisive check first where it has a reason of its own, then the model's, then what else objected."""
    told: list[Reason] = []
    if judgement.decisive is not None and judgement.decisive.code is not None:
        told.append(_reason(judgement.decisive))
    if judgement.allowed is not None:
        told.append(_reason(judgement.allowed))
    told += opinion.reasons if opinion is not None else ()
    if without is not None:
        told.append(Reason(0, *without, "decides"))
    told += [_reason(check) for check in judgement.objecting if check is not judgement.decisive and check.code is not None]
    return tuple([r if r.rank == rank else _at(rank, r) for rank, r in enumerate(told, start=1)])


def _at(rank: int, reason: Reason) -> Reason:
    """The same reason at another rank; ``dataclasses.replace`` takes four times as long, for a dozen of them."""
    return Reason(rank, reason.code, reason.text, reason.direction, reason.contribution, reason.feature, reason.value)


def _reason(check: Check) -> Reason:
    text = check.text or dict.fromkeys(LANGUAGES, check.id)
    return Reason(0, check.code or check.id.upper(), text, "decides")


def _overruled(judgement: Judgement) -> tuple[dict[str, Any], ...]:
    """What weaker checks would have decided."""
    return tuple(
        {"outcome": check.outcome, "check": check.id}
        for check in (*judgement.objecting, *judgement.overruled)
        if check is not judgement.decisive and check.outcome != judgement.outcome
    )
