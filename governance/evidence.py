"""What a policy is told of one decision, and what the answer tells besides the outcome. The same for a live decision and for a row of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_store.order import MICRO
from governance.costs import Costs, expected_costs
from governance.facts import LineStock, order_facts, stock_facts
from governance.inputs import Inputs
from governance.opinion import Opinion
from governance.policy import Policy
from governance.promise import promise
from governance.unusual import unusual_facts
from models.specs import DecisionType, Outcome

Facts = dict[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Judged:
    """By which policy, at what expected costs, and what came of it."""

    policy: Policy
    outcome: str
    costs: Costs | None


def gather(inputs: Inputs, opinion: Opinion | None, lines: Sequence[LineStock], policy: Policy, costs: Costs | None) -> Facts:
    """Every fact that the policy may ask for."""
    facts: Facts = {"stock": stock_facts(lines), "model": {}}
    if inputs.order is not None and "order" in policy.needed:
        facts["order"] = order_facts(inputs.order, inputs.decided_at)
    if inputs.snapshot is not None and "features" in policy.needed:
        facts["features"] = dict(zip(inputs.snapshot.names, inputs.snapshot.values.tolist(), strict=True))
    if opinion is not None:
        facts |= weigh(policy, opinion, amount_of(inputs), costs)
    return facts


def weigh(policy: Policy, opinion: Opinion, amount: float | None, costs: Costs | None) -> Facts:
    """``model.*``, and ``cost.*`` where the policy has money figures.

    Args:
        policy: judges.
        opinion: what the model says.
        amount: of the order, in its currency; ``None`` without an order.
        costs: from :func:`costs_of`.
    """
    told = opinion.facts()
    if policy.type == DecisionType.FRAUD:
        told["expected_loss"] = expected_loss(policy, opinion, amount)
    return {"model": told} if costs is None else {"model": told, "cost": costs.facts()}


def costs_of(policy: Policy, opinion: Opinion | None, amount: float | None) -> Costs | None:
    """What each outcome of an acceptance is expected to cost."""
    if policy.type != DecisionType.ACCEPTANCE or amount is None or opinion is None or opinion.confidence is None:
        return None
    return expected_costs(policy, amount, opinion.confidence.probability, opinion.causes)


def expected_loss(policy: Policy, opinion: Opinion, amount: float | None) -> float | None:
    """Probability × (order amount + the chargeback's fee), in the order's currency."""
    if amount is None or opinion.confidence is None:
        return None
    fee = policy.number("chargeback_fee") if "chargeback_fee" in policy.parameters else 0.0
    return opinion.confidence.probability * (amount + fee)


def amount_of(inputs: Inputs) -> float | None:
    """The order's amount in its currency."""
    return None if inputs.order is None else inputs.order.total_micros / MICRO


def details(inputs: Inputs, opinion: Opinion | None, lines: Sequence[LineStock], judged: Judged) -> dict[str, Any]:
    """What only this type answers, ready for JSON."""
    policy = judged.policy
    order = inputs.order
    if order is None:
        return {} if opinion is None else {"prediction": dict(opinion.answer)}
    if inputs.type == DecisionType.ACCEPTANCE:
        return _acceptance(inputs, opinion, lines, judged)
    if inputs.type == DecisionType.FRAUD and opinion is not None:
        loss = expected_loss(policy, opinion, amount_of(inputs))
        told: dict[str, Any] = {"expected_loss": None if loss is None else {"amount": f"{loss:.2f}", "currency": order.currency}}
        if inputs.snapshot is not None:
            told["facts"] = unusual_facts(inputs.snapshot)
        return told
    return {}


def _acceptance(inputs: Inputs, opinion: Opinion | None, lines: Sequence[LineStock], judged: Judged) -> dict[str, Any]:
    order = inputs.order
    assert order is not None
    told: dict[str, Any] = {}
    if judged.outcome == Outcome.ACCEPT_PARTIAL:
        told["accepted_lines"] = [found.line.line_id for found in lines if not found.short]
    if inputs.network is not None:
        failing = opinion.confidence.probability if opinion and opinion.confidence else 0.0
        told["promise"] = promise(order, inputs.network, inputs.decided_at, failing)
    if opinion is not None and opinion.causes is not None:
        told["causes"] = dict(opinion.causes)
    if judged.costs is not None:
        told["costs"] = judged.costs.to_json(order.currency)
    return told
