"""Backtest: which past decisions a policy or a model would have changed, with examples, and what that would have cost or saved.

Every decision of the window is computed again from its record, with what it knew then, and one thing changed. Two kinds of money are told:
the value of the orders that would have been answered otherwise, and what the other answers are expected to cost. For acceptance and fraud
that is the expected cost of both outcomes by the money figures of the policy that judges; for split-order what the plan's shipments cost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from feature_store.order import MICRO
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.times import Millis, format_time
from governance.costs import expected_costs, realised_cost
from governance.decision import decide
from governance.ledger.store import Damaged, DecisionReader, Filters, StoredDecision
from governance.opinion import Deployed, FeaturesMissing
from governance.policy import Policy
from governance.policy_scope import Traits
from governance.reconstruct import COMPOSITE, NotReplayable, Rebuilt, Why, rebuild
from governance.shelf import Shelf
from governance.values import Decision
from models.encoding import RowInvalid
from models.specs import DecisionType

NEWEST = 5_000
"""So many decisions of a window are computed at most, the newest ones."""

_SHARED = "custom"
"""The type of the policy that judges every custom type that has none of its own."""


@dataclass(frozen=True, slots=True)
class Example:
    """One decision that would have been another.

    Attributes:
        probability: calibrated, before and after.
        reasons: the codes of the first reasons after the change.
        cost_micros: what the other answer is expected to cost more, millionths of ``currency``; ``None`` where nobody can say.
    """

    record_id: str
    type: str
    order_id: str | None
    decided_at: Millis
    before: str
    after: str
    probability: tuple[float | None, float | None]
    reasons: tuple[str, ...]
    amount_micros: int | None
    cost_micros: int | None
    currency: str | None

    def to_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "decision_id": self.record_id,
            "type": self.type,
            "order_id": self.order_id,
            "decided_at": format_time(self.decided_at),
            "outcome": {"before": self.before, "after": self.after},
            "probability": {"before": self.probability[0], "after": self.probability[1]},
            "reasons": list(self.reasons),
            "order_value": _money(self.amount_micros, self.currency),
            "cost_delta": _money(self.cost_micros, self.currency),
            "links": {"self": f"/v1/decisions/{self.record_id}", "page": f"/console/decisions/{self.record_id}"},
        }


@dataclass(slots=True)
class Moved:
    """Decisions that would have gone from one outcome to another: how many, and by currency their value and cost in millionths."""

    count: int = 0
    amount: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a change would have done to the decisions of a window.

    Attributes:
        compared: decisions that could be computed with the change.
        changed: those whose outcome would have been another; for split-order also those whose shipments would have been.
        moved: by (outcome before, outcome after); an outcome that stayed counts where the plan changed.
        skipped: decisions that could not be compared, by reason.
        out_of_scope: decisions that the policy's scope leaves to others.
        examples: of the changed ones, those with the largest orders of each move first seen.
        complete: whether the whole window was looked at; otherwise its newest part.
        since, until: of the decisions looked at.
    """

    compared: int
    changed: int
    moved: Mapping[tuple[str, str], Moved]
    skipped: Mapping[str, int]
    out_of_scope: int
    examples: tuple[Example, ...]
    complete: bool
    since: Millis | None
    until: Millis | None

    def to_json(self) -> dict[str, Any]:
        """As the API tells it: counts, moves, money by currency, examples."""
        value, cost = Counter[str](), Counter[str]()
        for one in self.moved.values():
            value.update(one.amount)
            cost.update(one.cost)
        return {
            "compared": self.compared,
            "changed": self.changed,
            "unchanged": self.compared - self.changed,
            "out_of_scope": self.out_of_scope,
            "skipped": dict(self.skipped),
            "complete": self.complete,
            "since": None if self.since is None else format_time(self.since),
            "until": None if self.until is None else format_time(self.until),
            "moved": [
                {"before": before, "after": after, "count": one.count, "order_value": _monies(one.amount), "cost_delta": _monies(one.cost)}
                for (before, after), one in sorted(self.moved.items())
            ],
            "money": {"order_value": _monies(value), "cost_delta": _monies(cost)},
            "examples": [one.to_json() for one in self.examples],
        }


def backtest(
    engine: Engine,
    models: Path,
    *,
    since: Millis | None = None,
    until: Millis | None = None,
    policy: Policy | None = None,
    model: Deployed | None = None,
    limit: int = NEWEST,
    examples: int = 20,
    progress: Callable[[int], None] = lambda _done: None,
) -> Backtest:
    """What a policy or a model, or both, would have changed among past decisions. Reads only.

    Args:
        engine: of the database.
        models: the home's folder of artifacts, for the recorded models.
        since: the first decision time looked at.
        until: the first not looked at any more.
        policy: judges instead of the recorded one. Decisions of its type outside its scope are left alone; its dates are ignored, because the past is the point.
        model: answers instead of the recorded one, for its own type.
        limit: most decisions, the newest ones.
        examples: how many are told.
        progress: called with the number of decisions looked at, now and then.

    Raises:
        ValueError: neither a policy nor a model was given, or they are of different types.
    """
    of_type = _type(policy, model)
    filters = Filters(type=None if of_type == _SHARED else of_type, since=since, until=until)
    walked = DecisionReader(engine).walk(filters, limit + 1)
    return Comparison(Shelf(engine, models), policy, model, examples).run(walked, limit, progress)


class Comparison:
    """Compares recorded decisions with those that one changed thing would have made.

    Args:
        shelf: the recorded models and policies.
        policy: in place of the recorded one; ``None`` keeps that.
        model: in place of the recorded one; ``None`` keeps that.
        examples: how many are kept.
    """

    def __init__(self, shelf: Shelf, policy: Policy | None, model: Deployed | None, examples: int) -> None:
        self._shelf = shelf
        self._policy = policy
        self._model = model
        self._scope = None if policy is None else replace(policy.scope, since=None, until=None)
        self._most = examples
        self._compared = self._changed = self._outside = 0
        self._moved: defaultdict[tuple[str, str], Moved] = defaultdict(Moved)
        self._skipped: Counter[str] = Counter()
        self._examples: defaultdict[tuple[str, str], list[Example]] = defaultdict(list)
        self._times: list[Millis] = []

    def run(self, walked: Iterable[StoredDecision | Damaged], limit: int, progress: Callable[[int], None]) -> Backtest:
        """Compare the decisions, newest first."""
        complete = True
        for number, stored in enumerate(walked):
            if number >= limit:
                complete = False
                break
            if stored.line.type != COMPOSITE:
                self._look_at(stored)
            if number % 200 == 199:
                progress(number + 1)
        times = self._times
        return Backtest(
            self._compared, self._changed, dict(self._moved), dict(sorted(self._skipped.items())), self._outside, self._chosen(), complete,
            min(times, default=None), max(times, default=None),
        )  # fmt: skip

    def _look_at(self, stored: StoredDecision | Damaged) -> None:
        try:
            if isinstance(stored, Damaged):
                raise NotReplayable(Why.RECORD_CORRUPT, str(stored.error))
            if self._policy is not None and self._policy.type == _SHARED and stored.line.policy_id != self._policy.id:
                return  # judged by a policy of its own type
            rebuilt = rebuild(stored)
            self._times.append(stored.line.decided_at)
            if self._scope is not None and not self._scope.holds(Traits.of(rebuilt.inputs.order), rebuilt.inputs.decided_at):
                self._outside += 1
                return
            policy = self._policy or self._shelf.policy(rebuilt.policy_digest)
            after = self._decide(rebuilt, policy)
        except NotReplayable as error:
            self._skipped[error.why.value] += 1
            return
        self._compare(stored, rebuilt, after, policy)

    def _decide(self, rebuilt: Rebuilt, policy: Policy) -> Decision:
        inputs, use = rebuilt.inputs, rebuilt.model
        deployed = self._model or (None if use is None else self._shelf.deployed(use))
        try:
            if self._model is not None and inputs.order is None and inputs.snapshot is not None:
                inputs = replace(inputs, snapshot=row_snapshot(self._model, rebuilt.body["row"], inputs.decided_at))
            return decide(inputs, {} if deployed is None else {inputs.type: deployed}, policy)
        except (FeaturesMissing, RowInvalid, KeyError) as error:
            raise NotReplayable(Why.NOT_COMPARABLE, str(error)) from error
        except Exception as error:
            raise NotReplayable(Why.FAILED, f"{type(error).__name__}: {error}") from error

    def _compare(self, stored: StoredDecision, rebuilt: Rebuilt, after: Decision, policy: Policy) -> None:
        line, order = stored.line, rebuilt.inputs.order
        self._compared += 1
        before = stored.groups["outcome"]
        if after.outcome == before["outcome"] and not _replanned(before["details"], after.details):
            return
        self._changed += 1
        amount, currency = (None, None) if order is None else (order.total_micros, order.currency)
        cost = cost_delta(line.type, before, after, policy, amount)
        moved = self._moved[line.outcome, after.outcome]
        moved.count += 1
        if amount is not None and currency is not None:
            moved.amount[currency] += amount
            moved.cost[currency] += cost or 0
        kept = self._examples[line.outcome, after.outcome]
        new = after.confidence.probability if after.confidence else None
        codes = tuple(reason.code for reason in after.reasons[:4])
        kept.append(
            Example(line.record_id, line.type, line.order_id, line.decided_at, line.outcome, after.outcome, (line.probability, new), codes, amount, cost, currency)
        )  # fmt: skip
        kept.sort(key=lambda one: (-(one.amount_micros or 0), one.record_id))
        del kept[self._most :]

    def _chosen(self) -> tuple[Example, ...]:
        """The largest of each move in turn, so that a rare move is seen beside a common one."""
        queues = [list(kept) for _, kept in sorted(self._examples.items())]
        chosen: list[Example] = []
        while len(chosen) < self._most and any(queues):
            for queue in queues:
                if queue and len(chosen) < self._most:
                    chosen.append(queue.pop(0))
        return tuple(chosen)


def row_snapshot(deployed: Deployed, row: Mapping[str, Any], at: Millis) -> FeatureSnapshot:
    """A custom type's row as the vector that a model reads.

    Raises:
        RowInvalid: the row does not fit the model's columns.
        NotReplayable: the model reads no rows.
    """
    encoder = deployed.artifact.encoder
    if encoder is None:
        raise NotReplayable(Why.NOT_COMPARABLE, "the model reads no rows of a table")
    values = encoder.encode(row)
    origins = tuple(Origin.DEFAULT if value != value else Origin.REQUEST for value in values.tolist())  # noqa: PLR0124 - NaN
    names = encoder.names
    return FeatureSnapshot(names, values, (None,) * len(names), origins, f"row:{deployed.artifact.digest[7:23]}", at)


def _type(policy: Policy | None, model: Deployed | None) -> str:
    types = {one for one in (None if policy is None else policy.type, None if model is None else model.artifact.type) if one is not None}
    if policy is not None and policy.type == _SHARED and model is not None:
        types.discard(_SHARED)
    if len(types) != 1:
        raise ValueError("a backtest needs a policy or a model, and both of one type")
    return types.pop()


def _replanned(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if "shipments" not in before and "shipments" not in after:
        return False
    return _lanes(before) != _lanes(after)


def _lanes(details: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [(one["node_id"], one["service"], one["lines"]) for one in details.get("shipments", ())]


def cost_delta(kind: str, before: Mapping[str, Any], after: Decision, policy: Policy, amount: int | None) -> int | None:
    """What the other answer is expected to cost more, millionths; ``None`` where nobody can say.

    Args:
        kind: the decision type.
        before: the ``outcome`` group of the record.
        after: the decision with the change.
        policy: whose money figures count.
        amount: of the order, millionths.
    """
    if kind == DecisionType.SPLIT_ORDER:
        return paid_micros(after.details) - paid_micros(before["details"])
    if amount is None or after.confidence is None:
        return None
    p, causes = after.confidence.probability, after.details.get("causes")
    costs = [_expected(policy, outcome, amount / MICRO, p, causes) for outcome in (before["outcome"], after.outcome)]
    return None if costs[0] is None or costs[1] is None else round((costs[1] - costs[0]) * MICRO)


def _expected(policy: Policy, outcome: str, amount: float, p: float, causes: Mapping[str, float] | None) -> float | None:
    """The expected cost of an outcome: of an acceptance by the causes that its failure would have, else that of both courses of things."""
    if policy.type == DecisionType.ACCEPTANCE:
        costs = expected_costs(policy, amount, p, causes)
        return None if costs is None else costs.of(outcome)
    bad = realised_cost(policy, outcome, amount, happened=True, cause=None)
    good = realised_cost(policy, outcome, amount, happened=False, cause=None)
    return None if bad is None or good is None else p * bad + (1.0 - p) * good


def paid_micros(details: Mapping[str, Any]) -> int:
    """What the shipments of a plan cost, fixed, variable and processing, millionths."""
    parts = (part["amount"] for one in details.get("shipments", ()) for part in one["cost"].values())
    return int(sum((Decimal(part) for part in parts), Decimal(0)) * MICRO)


def _money(micros: int | None, currency: str | None) -> dict[str, str] | None:
    return None if micros is None or currency is None else {"amount": f"{Decimal(micros) / MICRO:.2f}", "currency": currency}


def _monies(by_currency: Mapping[str, int]) -> list[dict[str, str]]:
    return [{"amount": f"{Decimal(micros) / MICRO:.2f}", "currency": currency} for currency, micros in sorted(by_currency.items())]
