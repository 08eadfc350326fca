"""What an outcome is expected to cost, and from which probability on another one is cheaper: the policy's money figures at work.

Costs are compared with an order that is accepted and goes well; they are in the order's currency. With p for the probability of failure, ``F`` for what a
failed order costs, ``M`` for the margin on the order, ``k`` for the share of failures that leave the margin (the late ones):

=========  ==========================================================  ======================================================
accept     ``p·F``                                                     the failure happens
hold       ``review_cost + (1 − review_catches)·p·F``                  a person finds some of the failures in time
reject     ``reject_cost + M·(1 − p·(1 − k))``                         the margin is lost on every order that would have kept it
=========  ==========================================================  ======================================================

All three are lines over p, so each pair meets at one probability: the thresholds. They differ from order to order, with its amount and with
the causes that its failure would have (Elkan 2001, "The foundations of cost-sensitive learning"). A policy keeps them within bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from governance.policy import Policy
from models.specs import DecisionType, Outcome

LATE, CANCELLED, RETURNED = CAUSES = ("late", "cancelled", "returned")
"""Why an order fails, in the order of the model's classes."""

_MONEY = {
    "margin_share", "late_cost", "cancelled_cost", "returned_cost", "returned_share", "reject_cost", "review_cost", "review_catches",
    "hold_floor", "hold_at", "reject_at",
}  # fmt: skip
"""Parameters of an acceptance policy that are read by name; without one of them there are no expected costs."""

_NEVER = 1.0
_EVEN: Mapping[str, float] = dict.fromkeys(CAUSES, 1.0 / len(CAUSES))


@dataclass(frozen=True, slots=True)
class Costs:
    """What each outcome of an acceptance is expected to cost, in the order's currency.

    Attributes:
        hold_from: from this probability of failure on holding is cheaper than accepting, within the policy's bounds.
        reject_from: from this one on rejecting is the cheapest, within the policy's bounds; 1 where it never is.
    """

    accept: float
    hold: float
    reject: float
    hold_from: float
    reject_from: float

    def facts(self) -> dict[str, float]:
        """``cost.*`` as a policy sees it."""
        return {
            "accept": self.accept,
            "hold": self.hold,
            "reject": self.reject,
            "hold_from": self.hold_from,
            "reject_from": self.reject_from,
        }

    def of(self, outcome: str) -> float:
        """What one outcome is expected to cost; an order that is accepted in part counts as accepted."""
        return {Outcome.REJECT.value: self.reject, Outcome.HOLD.value: self.hold}.get(outcome, self.accept)

    def to_json(self, currency: str) -> dict[str, Any]:
        """Ready for the answer: amounts as money, thresholds as probabilities."""
        return {
            **{name: {"amount": f"{value:.2f}", "currency": currency} for name, value in self._amounts()},
            "hold_from": round(self.hold_from, 6),
            "reject_from": round(self.reject_from, 6),
        }

    def _amounts(self) -> tuple[tuple[str, float], ...]:
        return ("accept", self.accept), ("hold", self.hold), ("reject", self.reject)


def expected_costs(policy: Policy, amount: float, probability: float, causes: Mapping[str, float] | None) -> Costs | None:
    """The expected cost of accepting, holding and rejecting an order.

    Args:
        policy: with the money figures among its parameters.
        amount: of the order, in its currency.
        probability: of failure.
        causes: the probability broken down by cause; ``None`` counts every cause alike.

    Returns:
        ``None`` where the policy has no money figures.
    """
    told: Mapping[str, Any] = policy.values
    if not told.keys() >= _MONEY:
        return None
    share = _shares(probability, causes)
    margin = told["margin_share"] * amount
    failed = (
        share[LATE] * told["late_cost"]
        + share[CANCELLED] * (told["cancelled_cost"] + margin)
        + share[RETURNED] * (told["returned_cost"] + told["returned_share"] * amount + margin)
    )
    lost = margin * (1.0 - share[LATE])
    missed, review, refusal = 1.0 - told["review_catches"], told["review_cost"], told["reject_cost"]
    holding = _ratio(review, told["review_catches"] * failed)
    rejecting = max(_ratio(refusal + margin, failed + lost), _ratio(refusal + margin - review, missed * failed + lost))
    return Costs(
        accept=probability * failed,
        hold=review + missed * probability * failed,
        reject=refusal + margin - probability * lost,
        hold_from=min(max(holding, told["hold_floor"]), told["hold_at"]),
        reject_from=min(max(rejecting, told["reject_at"]), _NEVER),
    )


def realised_cost(policy: Policy, outcome: str, amount: float, *, happened: bool, cause: str | None) -> float | None:
    """What an outcome cost, now that it is known what happened: for judging a policy on the past.

    A person who looks finds ``review_catches`` of the bad orders in time, on average. For acceptance the costs are those of
    :func:`expected_costs` at the probabilities 0 and 1. For fraud an allowed fraud costs amount and fee, a blocked good order its margin.

    Args:
        policy: with the money figures among its parameters.
        outcome: what was decided.
        amount: of the order.
        happened: whether the event came about.
        cause: why, for acceptance; ``None`` where nobody knows.

    Returns:
        in the order's currency; ``None`` where the policy has no money figures.
    """
    if policy.type == DecisionType.FRAUD:
        return _realised_fraud(policy, outcome, amount, happened=happened)
    known = {cause: 1.0} if happened and cause is not None else None
    costs = expected_costs(policy, amount, float(happened), known)
    if costs is None:
        return None
    return costs.of(outcome)


def _realised_fraud(policy: Policy, outcome: str, amount: float, *, happened: bool) -> float | None:
    told = policy.values
    if any(name not in told for name in ("margin_share", "review_cost", "review_catches", "chargeback_fee")):
        return None
    loss = amount + policy.number("chargeback_fee") if happened else 0.0
    if outcome == Outcome.ALLOW:
        return loss
    if outcome == Outcome.BLOCK:
        return 0.0 if happened else policy.number("margin_share") * amount
    return policy.number("review_cost") + (1.0 - policy.number("review_catches")) * loss


def _shares(probability: float, causes: Mapping[str, float] | None) -> Mapping[str, float]:
    """How the causes share a failure; every cause alike where nothing is known of them."""
    if causes is None or probability <= 0.0 or any(cause not in CAUSES for cause in causes):
        return _EVEN
    return {cause: causes.get(cause, 0.0) / probability for cause in CAUSES}


def _ratio(above: float, below: float) -> float:
    """A threshold; out of reach where nothing is gained."""
    return above / below if below > 0.0 else float("inf")
