"""What a model is worth under its type's policy: outcomes, money and fairness on the rows that it has never seen.

Every test row is judged by the policy as a live decision is: the same facts, the same judge (:mod:`governance.evidence`). Then the row's true end says
what the outcome cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from governance.costs import CAUSES, realised_cost
from governance.evidence import costs_of, weigh
from governance.monitoring import PASSING, Segment, fairness, rate
from governance.opinion import Opinion
from governance.policy import Judgement, Policy
from governance.values import Confidence, Explanation, Status
from models.specs import DecisionType, Outcome
from training.splits import thin
from training.table import Floats, Integers, TrainingTable

MOST_ROWS = 6_000
"""A policy takes about 0.1 ms for a row: enough of them to tell tens of orders in a thousand apart."""

_JUDGED = (DecisionType.ACCEPTANCE, DecisionType.FRAUD)
_RESAMPLES, _SEED, _LEVEL = 200, 11, 0.9
_NOTHING = np.empty(0)
_UNEXPLAINED = Explanation(0.0, 0.0, "logit", (), _NOTHING, _NOTHING)
_UNSEEN = {DecisionType.ACCEPTANCE: Outcome.ACCEPT, DecisionType.FRAUD: Outcome.ALLOW}
"""What is done with every order where nobody decides."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model with two outcomes says of t test rows.

    Attributes:
        classes: the event's name last.
        probability: of the event, (t,); ``low`` and ``high`` at ``level``.
        threshold: from which the event is predicted.
        shares: of each of :data:`governance.costs.CAUSES` given the event, (t, causes).
    """

    event: str
    classes: tuple[str, ...]
    probability: Floats
    low: Floats
    high: Floats
    level: float
    threshold: float
    shares: Floats | None = None

    def opinion(self, row: int) -> Opinion:
        """One row's opinion, without an explanation."""
        p = float(self.probability[row])
        confidence = Confidence(self.event, p, float(self.low[row]), float(self.high[row]), self.level)
        label = self.classes[int(p >= self.threshold)]
        causes = None if self.shares is None else dict(zip(CAUSES, (p * self.shares[row]).tolist(), strict=True))
        return Opinion(confidence, _UNEXPLAINED, (), label, {"label": label}, self.threshold, causes)


def judge_policy(table: TrainingTable, test: Integers, predictions: Predictions, policy: Policy | None) -> dict[str, Any]:
    """What the policy makes of the predictions.

    Where there is a policy for orders and the rows' facts were kept, its outcomes count; else the trained threshold's.

    Returns:
        ``rows``; with a policy ``policy`` (id, version, digest), ``outcomes``, ``abstained``, ``money``; and ``fairness``.
    """
    event = table.label[test] == 1
    if policy is None or policy.type not in _JUDGED or not table.cases:
        passed = predictions.probability < predictions.threshold
        return {"rows": len(test), "fairness": fairness(_segments(table, test, passed, event))}
    places = thin(np.arange(len(test), dtype=np.int64), MOST_ROWS)
    rows, event = test[places], event[places]
    judged = [_judge(table, policy, predictions.opinion(place), row) for place, row in zip(places.tolist(), rows.tolist(), strict=True)]
    unadvised = [_judge(table, policy, None, row) for row in rows.tolist()]
    outcomes = [one.outcome for one in judged]
    unseen = _UNSEEN[DecisionType(policy.type)].value
    decided = {"with_model": outcomes, "rules_only": [one.outcome for one in unadvised], "nobody_decides": [unseen] * len(rows)}
    passed = np.array([outcome in PASSING for outcome in outcomes])
    return {
        "rows": len(rows),
        "policy": {"id": policy.id, "version": policy.version, "digest": policy.digest},
        "outcomes": {outcome: rate(outcomes.count(outcome), len(rows)) for outcome in sorted(set(outcomes))},
        "abstained": rate(sum(one.status is Status.ABSTAINED for one in judged), len(rows)),
        "money": _money(table, policy, rows, decided),
        "fairness": fairness(_segments(table, rows, passed, event)),
    }


def _judge(table: TrainingTable, policy: Policy, opinion: Opinion | None, row: int) -> Judgement:
    case = table.cases[row]
    facts = case.facts()
    if policy.type != DecisionType.ACCEPTANCE:
        del facts["stock"]  # a live fraud decision does not look at stock
    if "features" in policy.needed:
        facts["features"] = dict(zip(table.names, table.features[row].tolist(), strict=True))
    if opinion is not None:
        facts |= weigh(policy, opinion, case.amount, costs_of(policy, opinion, case.amount))
    return policy.judge(facts)


def _money(table: TrainingTable, policy: Policy, rows: Integers, decided: Mapping[str, list[str]]) -> dict[str, Any] | None:
    """Cost per thousand orders by who decides, and what the model saves, each with its interval; ``None`` without money figures."""
    costs = {who: _costs(table, policy, rows, outcomes) for who, outcomes in decided.items()}
    told = {who: np.array(cost, dtype=np.float64) for who, cost in costs.items() if cost is not None}
    if len(told) < len(costs):
        return None
    group = None if table.cluster is None else table.cluster[rows]
    return {
        "currency": table.cases[int(rows[0])].currency,
        "per_thousand_orders": {who: _mean(cost, group) for who, cost in told.items()},
        "saved_by_the_model": _mean(told["rules_only"] - told["with_model"], group),
    }


def _costs(table: TrainingTable, policy: Policy, rows: Integers, outcomes: list[str]) -> list[float] | None:
    told = []
    for row, outcome in zip(rows.tolist(), outcomes, strict=True):
        happened = bool(table.label[row] == 1)
        code = -1 if table.cause is None else int(table.cause.codes[row])
        cost = realised_cost(policy, outcome, table.cases[row].amount, happened=happened, cause=CAUSES[code] if code >= 0 else None)
        if cost is None:
            return None
        told.append(cost)
    return told


def _mean(costs: Floats, group: Integers | None) -> dict[str, float]:
    """The mean per thousand with its bootstrap interval over groups of rows."""
    ids = np.arange(len(costs)) if group is None else np.unique(group, return_inverse=True)[1]
    groups = int(ids.max()) + 1
    sums, sizes = np.bincount(ids, costs, minlength=groups), np.bincount(ids, minlength=groups).astype(np.float64)
    rng = np.random.default_rng(_SEED)
    drawn = rng.integers(0, groups, (_RESAMPLES, groups))
    means = sums[drawn].sum(axis=1) / np.maximum(sizes[drawn].sum(axis=1), 1.0)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return {"value": _round(costs.mean()), "low": _round(low), "high": _round(high)}


def _segments(table: TrainingTable, rows: Integers, passed: NDArray[np.bool_], event: NDArray[np.bool_]) -> Iterator[Segment]:
    for name, cut in table.slices.items():
        codes = cut.codes[rows]
        for code, segment in enumerate(cut.names):
            inside = codes == code
            yield Segment(name, segment, passed[inside], event[inside])


def _round(value: Any) -> float:
    return round(1000.0 * float(value), 2)


__all__ = ["MOST_ROWS", "Predictions", "judge_policy"]
