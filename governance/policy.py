"""Policies: what a decision may be, written down by people, judged by the same code everywhere.

A policy is one versioned document (docs/policies.md): parameters, hard constraints and rules in the Common Expression Language.
All expressions of a document compile into one program that returns the list of their results, so a decision converts its facts once
(measured: 10 rules 56 µs, one at a time 600 µs). The first check that objects decides; every other result is kept in the trace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from feature_store.times import HOUR, Millis
from governance.controls import ALLOW, BLOCK, BLOCKED, Listed, first_on
from governance.policy_scope import EVERYTHING, Scope
from governance.values import PolicyResult, PolicyUse, Review, Status
from models.specs import SPECS

Facts = Mapping[str, Mapping[str, Any]]
"""What a policy may ask for: roots (``order``, ``model``, ``features``, ...), each with named values. Unknown values are absent, ``None`` or NaN."""

PREDICTION = "PREDICTION"
"""In a policy of a custom type: the outcome is the label that the model predicts."""


class Program(Protocol):
    """A compiled expression."""

    def execute(self, context: Mapping[str, Any], /) -> Any:
        """Evaluate it over these variables."""


class ParameterRefused(ValueError):
    """A parameter that the policy does not have, or a value outside its bounds."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number or switch that a policy owner may turn, within its bounds.

    Attributes:
        kind: ``probability``, ``number``, ``integer``, ``money``, ``hours`` or ``boolean``.
        text: what it does, by language.
        at_most: the parameter that it may not exceed.
    """

    name: str
    kind: str
    value: float | bool
    minimum: float | None
    maximum: float | None
    text: Mapping[str, str]
    at_most: str | None = None

    def accept(self, value: object) -> float | bool:
        """Check a new value against kind and bounds, and return it as the rules see it.

        Raises:
            ParameterRefused: wrong kind or out of bounds.
        """
        if self.kind == "boolean":
            if not isinstance(value, bool):
                raise ParameterRefused(f"{self.name}: {value!r} is neither true nor false")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ParameterRefused(f"{self.name}: {value!r} is not a number")
        if self.kind == "integer" and value != int(value):
            raise ParameterRefused(f"{self.name}: {value!r} is not a whole number")
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            raise ParameterRefused(f"{self.name}: {value!r} is outside {self.minimum} to {self.maximum}")
        return float(value)


@dataclass(frozen=True, slots=True)
class Check:
    """A hard constraint or a rule: when its expression holds, it objects and would set this outcome.

    Attributes:
        expression: CEL that is true when the check objects.
        names: the facts it reads, as ``root.name``; without one of them it cannot be evaluated.
        status: how an outcome set by it came about.
        code: reason code told to the caller; ``None`` where the model's own reasons explain it.
        queue: the review queue, where it differs from the policy's.
        objects_unknown: whether it objects when a fact is missing.
    """

    id: str
    hard: bool
    expression: str
    outcome: str
    names: tuple[str, ...]
    status: Status = Status.DECIDED
    code: str | None = None
    text: Mapping[str, str] | None = None
    queue: str | None = None
    objects_unknown: bool = False

    @property
    def judges_by_model(self) -> bool:
        """Whether it is a rule about what is thought of the order (``model.*``, ``cost.*``, ``features.*``) rather than what is asked for."""
        return not self.hard and not all(name.startswith(_ASKED_FOR) for name in self.names)


_ASKED_FOR = ("order.", "stock.", "plan.", "params.")

ON_BLOCK_LIST, ON_ALLOW_LIST = "block_list", "allow_list"
LISTED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    BLOCK: ("ON_BLOCK_LIST", {"en": "A part of the order is on the block list", "zh": "订单中的某项在拦截名单中"}),
    ALLOW: ("ON_ALLOW_LIST", {"en": "A part of the order is on the allow list", "zh": "订单中的某项在放行名单中"}),
}
"""Reason codes and texts; they do not tell which part: that is for those who may see the entry."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What may be answered when a deadline passed or a dependency is down."""

    name: str
    outcome: str
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """Where held decisions wait, how long, and what they become then."""

    outcome: str
    queue: str
    due_h: float
    expires_to: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy says about one decision.

    Attributes:
        decisive: the check that set the outcome; ``None`` when nothing objected and the default holds.
        objecting: every check that objected, hard ones first, then the block list, then rules, in the document's order.
        overruled: rules that objected and do not count, because the order is on the allow list.
        allowed: the allow list's word, where it counts.
    """

    outcome: str
    status: Status
    decisive: Check | None
    objecting: tuple[Check, ...]
    results: tuple[PolicyResult, ...]
    overruled: tuple[Check, ...] = ()
    allowed: Check | None = None


@dataclass(frozen=True)
class Policy:
    """One policy version, ready to judge.

    Attributes:
        digest: ``sha256:`` over the canonical document (RFC 8785).
        document: the canonical document itself.
        fallbacks: those that a request may ask for, by name.
    """

    id: str
    version: int
    type: str
    digest: str
    document: bytes
    parameters: Mapping[str, Parameter]
    checks: tuple[Check, ...]
    default_outcome: str
    fallbacks: Mapping[str, Fallback]
    default_fallback: str
    review: ReviewRule | None
    program: Program
    needed: Mapping[str, tuple[str, ...]]
    singles: tuple[Program, ...]
    scope: Scope = EVERYTHING

    @cached_property
    def holding(self) -> Fallback:
        """What the kill switch answers: the fallback that asks a person. A policy whose type has no such outcome falls back as declared."""
        spec = SPECS.get(self.type)
        wanted = self.review.outcome if self.review else spec.cautious.value if spec and spec.cautious else None
        permitted = next((one for one in self.fallbacks.values() if one.outcome == wanted), None)
        if permitted is None and wanted is not None:
            return Fallback("held", wanted, dict.fromkeys(("en", "zh"), "held"))
        return permitted or self.fallbacks[self.default_fallback]

    @cached_property
    def values(self) -> Mapping[str, float | bool]:
        """The parameters as rules see them."""
        return {name: parameter.value for name, parameter in self.parameters.items()}

    @cached_property
    def _known_params(self) -> dict[str, float | bool]:
        """The parameters that any check reads."""
        return {name: self.values[name] for name in self.needed.get("params", ()) if name in self.values}

    @cached_property
    def _written_params(self) -> dict[str, str]:
        return {f"params.{name}": f"params.{name} = {_show(value)}" for name, value in self._known_params.items()}

    def _written(self, context: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Every known fact as the results tell it, by its path: several checks read the same one."""
        written = dict(self._written_params)
        for root, known in context.items():
            if root != "params":
                for name, value in known.items():
                    path = f"{root}.{name}"
                    written[path] = f"{path} = {_show(value)}"
        return written

    def number(self, name: str) -> float:
        """A parameter's value as a number; raises ``KeyError`` where the policy has none of that name."""
        return float(self.parameters[name].value)

    def with_parameters(self, changes: Mapping[str, object]) -> Policy:
        """The same policy with other parameter values; digest and version stay those of the document.

        Raises:
            ParameterRefused: an unknown name, or a value outside its bounds.
        """
        changed = dict(self.parameters)
        for name, value in changes.items():
            if name not in changed:
                raise ParameterRefused(
                    f"{name}: the policy {self.id!r} has no such parameter; it has {', '.join(sorted(changed)) or 'none'}"
                )
            changed[name] = replace(changed[name], value=changed[name].accept(value))
        for parameter in changed.values():
            limit = changed.get(parameter.at_most or "")
            if limit is not None and parameter.value > limit.value:
                raise ParameterRefused(f"{parameter.name}: {parameter.value!r} exceeds {limit.name}, which is {limit.value!r}")
        return replace(self, parameters=changed)

    def judge(self, facts: Facts, listed: Sequence[Listed] = ()) -> Judgement:
        """Evaluate every check and let the first that objects decide. Pure.

        Args:
            facts: what is known.
            listed: the list entries that name the order. After the constraints the block list decides; an allow entry silences the rules
                that judge by the model.
        """
        context = self._context(facts)
        answers = self._answers(context)
        written = self._written(context)
        results, objecting = [], []
        for check, answer in zip(self.checks, answers, strict=True):
            objects = check.objects_unknown if answer is None or isinstance(answer, str) else answer
            if objects:
                objecting.append(check)
            results.append(PolicyResult(check.id, check.hard, not objects, _detail(check, answer, written)))
        if listed and self.type in BLOCKED:
            return self._listed(listed, objecting, results)
        decisive = objecting[0] if objecting else None
        return Judgement(
            outcome=decisive.outcome if decisive else self.default_outcome,
            status=decisive.status if decisive else Status.DECIDED,
            decisive=decisive,
            objecting=tuple(objecting),
            results=tuple(results),
        )

    def _listed(self, listed: Sequence[Listed], objecting: list[Check], results: list[PolicyResult]) -> Judgement:
        """Judge an order that is on a list: constraints, then the block list, then the allow list, then rules."""
        blocked, allowed = first_on(BLOCK, listed), first_on(ALLOW, listed)
        hard, rules = [check for check in objecting if check.hard], [check for check in objecting if not check.hard]
        word = Check(ON_BLOCK_LIST, False, "", BLOCKED[self.type], (), Status.DECIDED, *LISTED[BLOCK])
        overruled = [check for check in rules if allowed and not blocked and check.judges_by_model]
        standing = [*hard, *([word] if blocked else []), *(check for check in rules if check not in overruled)]
        of_lists = [
            PolicyResult(ON_BLOCK_LIST if one.list == BLOCK else ON_ALLOW_LIST, False, one.list != BLOCK, one.detail) for one in listed
        ]
        silenced = {check.id for check in overruled}
        told = [replace(r, detail=f"{r.detail}; overruled by the allow list") if r.id in silenced else r for r in results]
        constraints = sum(check.hard for check in self.checks)
        decisive = standing[0] if standing else None
        return Judgement(
            outcome=decisive.outcome if decisive else self.default_outcome,
            status=decisive.status if decisive else Status.DECIDED,
            decisive=decisive,
            objecting=tuple(standing),
            results=(*told[:constraints], *of_lists, *told[constraints:]),
            overruled=tuple(overruled),
            allowed=Check(ON_ALLOW_LIST, False, "", self.default_outcome, (), Status.DECIDED, *LISTED[ALLOW])
            if allowed and not blocked and not hard
            else None,
        )

    def use(self, results: tuple[PolicyResult, ...] = ()) -> PolicyUse:
        """The policy as a decision names it."""
        return PolicyUse(self.id, self.version, self.digest, results)

    def review_of(self, outcome: str, at: Millis, queue: str | None = None) -> Review | None:
        """Where a decision with this outcome waits; ``None`` when it needs no person."""
        rule = self.review
        if rule is None or outcome != rule.outcome:
            return None
        return Review(queue or rule.queue, at + round(rule.due_h * HOUR), rule.expires_to)

    def _context(self, facts: Facts) -> dict[str, Mapping[str, Any]]:
        context: dict[str, Mapping[str, Any]] = {}
        for root, names in self.needed.items():
            if root == "params":
                context[root] = self._known_params
                continue
            told = facts.get(root, {})
            known = {}
            for name in names:
                value = told.get(name)
                # NaN is "not known" in a snapshot, and CEL refuses to compare it.
                if value is not None and value == value:  # noqa: PLR0124 - NaN differs from itself
                    known[name] = value
            context[root] = known
        return context

    def _answers(self, context: Mapping[str, Any]) -> list[bool | str | None]:
        if not self.checks:
            return []
        try:
            answers = self.program.execute(context)
            if all(answer is None or isinstance(answer, bool) for answer in answers):
                return list(answers)
        except (ValueError, TypeError, RuntimeError, KeyError, ArithmeticError):
            pass  # one check cannot be computed with these facts: find which, so that it does not silence the others
        return [_single(program, context) for program in self.singles]


def _single(program: Program, context: Mapping[str, Any]) -> bool | str | None:
    """One check's answer: true, false, ``None`` for missing facts, or what went wrong."""
    try:
        answer = program.execute(context)
    except (ValueError, TypeError, RuntimeError, KeyError, ArithmeticError) as error:
        return f"{type(error).__name__}: {str(error).split('.', 1)[0]}"
    return answer if answer is None or isinstance(answer, bool) else f"{answer!r} is neither true nor false"


def _detail(check: Check, answer: bool | str | None, written: Mapping[str, str]) -> str:
    """The values that the check saw, and why it could not be evaluated where it could not."""
    seen = [written[path] for path in check.names if path in written]
    told = ", ".join(seen) or check.expression
    if answer is None:
        missing = [path for path in check.names if path not in written]
        return f"not evaluated, unknown: {', '.join(missing)}" + (f"; {told}" if seen else "")
    return f"not evaluated, {answer}; {told}" if isinstance(answer, str) else told


def _show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value)
