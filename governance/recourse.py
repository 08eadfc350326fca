"""Recourse: the smallest changes of what somebody could change that would have given a better outcome, each checked by deciding again.

A change is made in the snapshot, as a what-if makes it, and only in features that the views call actionable. Candidates are scored together;
the policy is asked where its answer changes along the margin (a bisection), then every suggestion is decided in full, and taken back feature by
feature as far as the outcome allows. So a suggestion always holds, and what is offered is small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.snapshot import FeatureSnapshot
from governance.decision import decide
from governance.grids import Lever, coherent, levers
from governance.inputs import Inputs
from governance.opinion import Deployed
from governance.policy import Policy
from governance.recourse_reasons import NoRecourse, Toward, words
from governance.values import Decision, Stage, Status
from governance.what_if import with_values
from models.artifact import ModelArtifact
from models.specs import DecisionType, Outcome, Task

MOST = 3
"""So many suggestions are made at most."""

_PROBES = 17
_PAIR_VALUES = 12
_ROUNDS = 3
_TRIES = 40

_BETTER: Mapping[str, tuple[str, ...]] = {
    DecisionType.ACCEPTANCE: (Outcome.ACCEPT, Outcome.ACCEPT_PARTIAL, Outcome.HOLD, Outcome.REJECT),
    DecisionType.FRAUD: (Outcome.ALLOW, Outcome.REVIEW, Outcome.BLOCK),
}
"""Outcomes, the best for the buyer first."""


Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """One feature's change."""

    lever: Lever
    before: float
    after: float

    def to_json(self) -> dict[str, Any]:
        """As the API tells it."""
        card = self.lever.card
        return {"feature": card.name, "label": dict(card.label), "from": card.raw(self.before), "to": card.raw(self.after)}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Changes that give another outcome.

    Attributes:
        cost: the sum of the changes' sizes, 1 for one across a feature's usual range.
        improves: whether the outcome is a better one for the buyer; ``None`` where nobody ranks outcomes.
    """

    changes: tuple[Change, ...]
    outcome: str
    probability: float | None
    cost: float
    improves: bool | None

    def to_json(self) -> dict[str, Any]:
        """As the API tells it; ``what_if`` can be sent as it is."""
        return {
            "outcome": self.outcome,
            "improves": self.improves,
            "probability": self.probability,
            "cost": round(self.cost, 6),
            "changes": [change.to_json() for change in self.changes],
            "what_if": {"features": {change.lever.card.name: change.lever.card.raw(change.after) for change in self.changes}},
            "text": self.text,
        }

    @property
    def text(self) -> dict[str, str]:
        """In words, by language."""
        en, zh = [], []
        for change in self.changes:
            card = change.lever.card
            (was_en, was_zh), (now_en, now_zh) = card.written(change.before), card.written(change.after)
            en.append(f"{card.label['en']}: {now_en} instead of {was_en}")
            zh.append(f"{card.label['zh']}由{was_zh}改为{now_zh}")
        return {"en": f"{'; '.join(en)}: the outcome would have been {self.outcome}", "zh": f"若{'，'.join(zh)}，结果将为 {self.outcome}"}


@dataclass(frozen=True, slots=True)
class Recourse:
    """What could have been done.

    Attributes:
        outcome: what was decided.
        reason: why there is no suggestion; ``None`` where there is one.
        decided_by: the policy's checks that objected and that no change of a feature moves.
        decided: how often the policy was asked.
        toward: what was looked for; ``None`` where nobody ranks the type's outcomes.
    """

    outcome: str
    suggestions: tuple[Suggestion, ...]
    reason: NoRecourse | None
    decided_by: tuple[str, ...] = ()
    decided: int = 0
    toward: Toward | None = None

    def to_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "outcome": self.outcome,
            "suggestions": [one.to_json() for one in self.suggestions],
            "reason": None
            if self.reason is None
            else {
                "code": self.reason.value.upper(),
                "text": words(self.reason, self.toward, self.decided_by),
                "decided_by": list(self.decided_by),
            },
        }


def find_recourse(inputs: Inputs, deployed: Deployed | None, policy: Policy, toward: Toward = Toward.BETTER) -> Recourse:
    """The smallest changes of actionable features that give a better outcome, or a worse one where that is asked for. Pure.

    Args:
        inputs: what was known; as rebuilt from the record.
        deployed: the model that answered.
        policy: what judged.
        toward: which outcomes are looked for.
    """
    inputs = replace(inputs, stage=Stage.WHAT_IF)
    now = decide(inputs, {} if deployed is None else {inputs.type: deployed}, policy)
    nothing = _nothing(inputs, deployed, now)
    if nothing is not None or deployed is None or inputs.snapshot is None:
        return Recourse(now.outcome, (), nothing or NoRecourse.NO_MODEL)
    ranked = tuple(map(str, _BETTER.get(inputs.type, ())))
    sought = None if now.outcome not in ranked else toward
    if sought is not None and now.outcome == ranked[0 if sought is Toward.BETTER else -1]:
        reason = NoRecourse.ALREADY_BEST if sought is Toward.BETTER else NoRecourse.ALREADY_WORST
        return Recourse(now.outcome, (), reason, toward=sought)
    place = 0 if sought is None else ranked.index(now.outcome)
    better = sought is Toward.BETTER
    goal = _Goal(now.outcome, None if sought is None else frozenset(ranked[:place] if better else ranked[place + 1 :]), better)
    search = _Search(inputs, inputs.snapshot, deployed, policy, goal)
    suggestions = search.run()
    if suggestions:
        return Recourse(now.outcome, suggestions, None, decided=search.decided, toward=sought)
    failing = tuple(result.id for result in now.policy.results if not result.passed) if now.policy else ()
    return Recourse(now.outcome, (), NoRecourse.NOT_BY_FEATURES, failing, search.decided, sought)


def _nothing(inputs: Inputs, deployed: Deployed | None, now: Decision) -> NoRecourse | None:
    if now.status is Status.FALLBACK:
        return NoRecourse.FALLBACK
    if inputs.type == DecisionType.SPLIT_ORDER:
        return NoRecourse.A_PLAN
    if deployed is None or inputs.snapshot is None or now.explanation is None:
        return NoRecourse.NO_MODEL
    if deployed.artifact.task is Task.REGRESSION:
        return NoRecourse.A_NUMBER
    return None if levers(deployed.artifact) else NoRecourse.NOTHING_ACTIONABLE


@dataclass(frozen=True, slots=True)
class _Goal:
    """What is looked for.

    Attributes:
        now: the outcome as it is.
        outcomes: the wanted ones; ``None`` for any other than that of now.
        better: whether they are better ones.
    """

    now: str
    outcomes: frozenset[str] | None
    better: bool

    def reached(self, outcome: str) -> bool:
        """Whether an outcome is a wanted one."""
        return outcome != self.now if self.outcomes is None else outcome in self.outcomes


@dataclass(slots=True)
class _Oracle:
    """Asks the whole decision what a row of the model would have come to; asks once for rows that it cannot tell apart."""

    inputs: Inputs
    snapshot: FeatureSnapshot
    deployed: Deployed
    policy: Policy
    by_margin: bool
    asked: int = 0
    known: dict[bytes, Decision] = field(default_factory=dict)

    def __call__(self, row: Row, margins: Row) -> Decision:
        key = margins.tobytes() if self.by_margin else row.tobytes()
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self.decide(row)
        return found

    def decide(self, row: Row) -> Decision:
        """Decide in full, never from memory."""
        self.asked += 1
        values = dict(zip(self.deployed.names, row.tolist(), strict=True))
        before = self.deployed.row(self.snapshot)
        changed = {name: value for name, value, was in zip(values, row.tolist(), before.tolist(), strict=True) if _other(value, was)}
        inputs = replace(self.inputs, snapshot=with_values(self.snapshot, changed))
        return decide(inputs, {inputs.type: self.deployed}, self.policy)


class _Search:
    """One search for one decision."""

    def __init__(self, inputs: Inputs, snapshot: FeatureSnapshot, deployed: Deployed, policy: Policy, goal: _Goal) -> None:
        self._artifact: ModelArtifact = deployed.artifact
        self._start: Row = deployed.row(snapshot).copy()
        self._goal = goal
        self._levers = levers(deployed.artifact)
        self._values = {lever.index: lever.values(float(self._start[lever.index])) for lever in self._levers}
        self._binary = deployed.artifact.scorer.outputs == 1
        # Where the policy looks at features itself, or causes are told from them, rows of one margin may come to different outcomes.
        by_margin = "features" not in policy.needed and deployed.artifact.causes is None
        self._oracle = _Oracle(inputs, snapshot, deployed, policy, by_margin)

    @property
    def decided(self) -> int:
        """How often the policy was asked."""
        return self._oracle.asked

    def run(self) -> tuple[Suggestion, ...]:
        """Small changes of one or two features; only where there is none, larger ones of all."""
        rows = self._candidates()
        found = self._cheapest(rows, self._margins(rows)) or self._far()
        return self._told(found)

    def _candidates(self) -> Row:
        """Every change of one feature, and those of two on thinner grids."""
        changes: list[tuple[tuple[int, float], ...]] = [((index, value),) for index, values in self._values.items() for value in values]
        for one, other in combinations([lever.index for lever in self._levers], 2):
            thin = [_thin(self._values[index], _PAIR_VALUES) for index in (one, other)]
            changes += [((one, a), (other, b)) for a in thin[0] for b in thin[1]]
        rows = np.repeat(self._start[None], len(changes), axis=0)
        for row, change in zip(rows, changes, strict=True):
            for index, value in change:
                row[index] = value
        return rows[[self._fits(row) for row in rows]] if len(rows) else rows

    def _fits(self, row: Row) -> bool:
        """Whether the changed row can be one order; what could not be before may stay so."""
        values = {lever.card.name: float(row[lever.index]) for lever in self._levers}
        return coherent(values) or not coherent({lever.card.name: float(self._start[lever.index]) for lever in self._levers})

    def _margins(self, rows: Row) -> Row:
        return self._artifact.scorer.margins(rows) if len(rows) else np.empty((0, self._artifact.scorer.outputs))

    def _cost(self, row: Row) -> float:
        return sum(lever.cost(float(self._start[lever.index]), float(row[lever.index])) for lever in self._levers)

    def _cheapest(self, rows: Row, margins: Row) -> list[Row]:
        """The cheapest rows that give a wanted outcome, of different sets of features."""
        likely = self._likely(rows, margins) if self._binary else np.arange(len(rows))
        costs = np.array([self._cost(rows[i]) for i in likely])
        found: list[Row] = []
        sets: list[frozenset[int]] = []
        tries = 0
        for place in np.argsort(costs, kind="stable"):
            row = rows[likely[place]]
            touched = self._touched(row)
            if any(one <= touched for one in sets):
                continue
            tries += 1
            if tries > _TRIES or len(found) == MOST:
                break
            if self._goal.reached(self._oracle(row, margins[likely[place]]).outcome):
                found.append(row)
                sets.append(touched)
        return found

    def _likely(self, rows: Row, margins: Row) -> NDArray[np.intp]:
        """The rows whose margin lies where a wanted outcome does: the policy is asked at a few margins, and between two answers bisected."""
        order = np.argsort(margins[:, 0], kind="stable")
        if not len(order):
            return order
        answers: dict[int, bool] = {}

        def ask(place: int) -> bool:
            if place not in answers:
                answers[place] = self._goal.reached(self._oracle(rows[order[place]], margins[order[place]]).outcome)
            return answers[place]

        probes = sorted({round(share * (len(order) - 1)) for share in np.linspace(0.0, 1.0, _PROBES).tolist()})
        wanted = np.zeros(len(order), dtype=np.bool_)
        for low, high in zip(probes, probes[1:] or probes, strict=False):
            first, last = ask(low), ask(high)
            a, b = low, high
            while first != last and b - a > 1:
                middle = (a + b) // 2
                a, b = (middle, b) if ask(middle) == first else (a, middle)
            wanted[low : a + 1] = first
            wanted[b : high + 1] = last
        return order[wanted]

    def _far(self) -> list[Row]:
        """A row as far as all features together can move the margin, either way, that gives a wanted outcome, taken back as far as it allows."""
        found = []
        for output in range(self._artifact.scorer.outputs):
            for sign in (-1.0, 1.0):
                row = self._outermost(output, sign)
                if row is not None:
                    found.append(self._taken_back(row))
        return self._different(sorted(found, key=self._cost))

    def _outermost(self, output: int, sign: float) -> Row | None:
        """The first row with a wanted outcome on the way to the furthest margin; ``None`` where there is none."""
        row = self._start.copy()
        for _ in range(_ROUNDS):
            before = row
            for lever in self._levers:
                row = self._best(row, lever, output, sign)
                if self._goal.reached(self._oracle(row, self._margins(row[None])[0]).outcome):
                    return row
            if np.array_equal(before, row, equal_nan=True):
                break
        return None

    def _different(self, rows: Sequence[Row]) -> list[Row]:
        """Of rows, the cheapest first, those that are no larger change of the same features."""
        kept: list[Row] = []
        for row in rows:
            if len(kept) < MOST and not any(self._touched(one) <= self._touched(row) for one in kept):
                kept.append(row)
        return kept

    def _best(self, row: Row, lever: Lever, output: int, sign: float) -> Row:
        """The row with the value of one feature that moves a margin the furthest."""
        rows = np.repeat(row[None], 1 + len(self._values[lever.index]) + 1, axis=0)
        rows[1:, lever.index] = (*self._values[lever.index], self._start[lever.index])
        rows = rows[[True, *(self._fits(one) for one in rows[1:])]]
        best: Row = rows[int(np.argmax(sign * self._margins(rows)[:, output]))]
        return best.copy()

    def _taken_back(self, row: Row) -> Row:
        """The same outcome with fewer and smaller changes: each feature back to what it was, or as near to it as the outcome allows."""
        row = row.copy()
        for lever in sorted(self._levers, key=lambda one: -one.cost(float(self._start[one.index]), float(row[one.index]))):
            was = float(self._start[lever.index])
            cost = lever.cost(was, float(row[lever.index]))
            nearer = [value for value in (was, *self._values[lever.index]) if lever.cost(was, value) < cost]
            for value in sorted(nearer, key=lambda one: lever.cost(was, one)):
                tried = row.copy()
                tried[lever.index] = value
                if self._fits(tried) and self._goal.reached(self._oracle(tried, self._margins(tried[None])[0]).outcome):
                    row = tried
                    break
        return row

    def _touched(self, row: Row) -> frozenset[int]:
        return frozenset(lever.index for lever in self._levers if _other(float(row[lever.index]), float(self._start[lever.index])))

    def _told(self, rows: Sequence[Row]) -> tuple[Suggestion, ...]:
        told = []
        for row in rows:
            decision = self._oracle.decide(row)  # not from memory: what is told was decided
            touched = self._touched(row)
            changes = tuple(
                Change(lever, float(self._start[lever.index]), float(row[lever.index])) for lever in self._levers if lever.index in touched
            )
            probability = decision.confidence.probability if decision.confidence else None
            improves = None if self._goal.outcomes is None else self._goal.better
            told.append(Suggestion(changes, decision.outcome, probability, self._cost(row), improves))
        return tuple(sorted(told, key=lambda one: one.cost))


def _thin(values: Sequence[float], most: int) -> list[float]:
    """The nearest values, and of the others every so manieth, the furthest among them."""
    if len(values) <= most:
        return list(values)
    places = {round(place) for place in np.geomspace(1, len(values), most).tolist()}
    return [values[place - 1] for place in sorted(places | {len(values)})]


def _other(one: float, other: float) -> bool:
    return one != other and not (math.isnan(one) and math.isnan(other))
