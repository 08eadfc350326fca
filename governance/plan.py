"""The split-order branch of the core: predicted lateness per lane, the exact plan under the policy's prices, the policy's word on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.order import MICRO
from feature_store.snapshot import FeatureSnapshot
from governance.completion import complete
from governance.facts import order_facts
from governance.inputs import Inputs
from governance.opinion import Deployed, Opinion, form_opinion
from governance.policy import Policy
from governance.shipment_plan import ShipmentPlan, plan_shipments
from governance.shipments import Constraints, LaneRisk, Prices, Weights
from governance.values import Confidence, Decision

Lane = tuple[str, str]

SHOWN = 5
"""Contributions told for each shipment, the strongest; the rest is summed up."""


def decide_split(inputs: Inputs, deployed: Deployed | None, policy: Policy, timer: Callable[[], float]) -> Decision:
    """Plan the shipments of an order.

    Raises:
        feature_store.network_request.NetworkRefused: the request names an unknown node.
        models.splitting.ProblemRefused: amounts too large to be added exactly.
    """
    assert inputs.order is not None
    assert inputs.network is not None
    risks = _risks(deployed, inputs.lanes)
    plan = plan_shipments(
        inputs.order,
        inputs.network,
        {lane: LaneRisk(risk.probability) for lane, risk in risks.items()},
        constraints=inputs.constraints or Constraints(),
        weights=inputs.weights or Weights(),
        prices=prices(policy),
        decided_at=inputs.decided_at,
        oms_choice=inputs.oms_choice,
        timer=timer,
    )
    opinion, snapshot = _opinion(inputs, deployed, risks, plan)
    judgement = policy.judge(
        {"order": order_facts(inputs.order, inputs.decided_at), "plan": _plan_facts(plan), "model": opinion.facts() if opinion else {}}
    )
    return complete(
        replace(inputs, snapshot=snapshot),
        deployed=deployed,
        policy=policy,
        judgement=judgement,
        outcome=judgement.outcome,
        opinion=opinion,
        details=_explained(plan.details, deployed, inputs.lanes, opinion, snapshot),
        alternatives=tuple(plan.alternatives),
    )


def prices(policy: Policy) -> Prices:
    """The policy's money rates, in millionths."""

    def micros(name: str) -> int:
        return round(policy.number(name) * MICRO)

    return Prices(
        late_shipment=micros("late_shipment"),
        carbon_per_kg=micros("carbon_per_kg"),
        split=micros("split_per_shipment"),
        max_shipments=int(policy.number("max_shipments")),
        scarce_stock=micros("scarce_stock") if "scarce_stock" in policy.parameters else 0,
    )


def _risks(deployed: Deployed | None, lanes: Sequence[tuple[str, str, FeatureSnapshot]]) -> dict[Lane, Confidence]:
    """Each lane's calibrated probability of being late; empty without a model, and every lane then counts as on time."""
    if deployed is None or not lanes:
        return {}
    rows = np.stack([deployed.row(snapshot) for _, _, snapshot in lanes])
    told = deployed.confidences(deployed.artifact.scorer.margins(rows)[:, 0])
    return {(node_id, service): confidence for (node_id, service, _), confidence in zip(lanes, told, strict=True)}


def _opinion(
    inputs: Inputs, deployed: Deployed | None, risks: Mapping[Lane, Confidence], plan: ShipmentPlan
) -> tuple[Opinion | None, FeatureSnapshot | None]:
    """What the model says of the plan as a whole, explained by the shipment that is most likely to be late."""
    if deployed is None or not risks:
        return None, None
    used = [lane for lane in plan.lanes if lane in risks] or list(risks)
    worst = max(used, key=lambda lane: (risks[lane].probability, lane))
    snapshot = next(snapshot for node_id, service, snapshot in inputs.lanes if (node_id, service) == worst)
    opinion = form_opinion(deployed, snapshot)
    if not plan.lanes or opinion.confidence is None:
        return opinion, snapshot
    confidence = Confidence(
        opinion.confidence.event,
        _at_least_one([risks[lane].probability for lane in used]),
        _at_least_one([risks[lane].low for lane in used]),
        _at_least_one([risks[lane].high for lane in used]),
        opinion.confidence.level,
    )
    return replace(opinion, confidence=confidence), snapshot


def _explained(
    details: Mapping[str, Any],
    deployed: Deployed | None,
    lanes: Sequence[tuple[str, str, FeatureSnapshot]],
    opinion: Opinion | None,
    explained: FeatureSnapshot | None,
) -> Mapping[str, Any]:
    """Each shipment's predicted lateness with what the model made it from: base + Σ contributions + others = margin, calibrated to the probability."""
    if deployed is None or opinion is None:
        return details
    snapshots = {(node_id, service): snapshot for node_id, service, snapshot in lanes}
    shipments = []
    for shipment in details["shipments"]:
        snapshot = snapshots.get((shipment["node_id"], shipment["service"]))
        if snapshot is explained:
            made_from = _made_from(deployed, opinion.explanation.margin, opinion.explanation.base, opinion.explanation.contributions)
        else:
            made_from = {} if snapshot is None else _made_from(deployed, *deployed.artifact.scorer.explain(deployed.row(snapshot), 0))
        shipments.append({**shipment, "lateness": shipment["lateness"] | made_from})
    return {**details, "shipments": shipments}


def _made_from(deployed: Deployed, margin: float, base: float, contributions: NDArray[np.float64]) -> dict[str, Any]:
    strongest = np.argsort(-np.abs(contributions), kind="stable")[:SHOWN].tolist()
    shown = [{"feature": deployed.names[i], "contribution": float(contributions[i])} for i in strongest]
    others = margin - base - sum(float(contributions[i]) for i in strongest)
    return {"margin": margin, "base": base, "link": deployed.artifact.link, "contributions": shown, "others": others}


def _at_least_one(probabilities: Sequence[float]) -> float:
    """The probability that one of independent events happens at least."""
    none = 1.0
    for probability in probabilities:
        none *= 1.0 - probability
    return 1.0 - none


def _plan_facts(plan: ShipmentPlan) -> dict[str, Any]:
    return {
        "shipments": float(len(plan.lanes)),
        "shipped_qty": float(plan.shipped_qty),
        "unfilled_qty": float(plan.unfilled_qty),
        "cost": float(plan.details["objective"]["total"]["amount"]),
        "probability_late": plan.p_late,
        "proven": bool(plan.details["optimality"]["proven"]),
    }
