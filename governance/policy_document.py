"""From a policy document to a :class:`~governance.policy.Policy`: read, checked as a whole, compiled once.

The format is described in docs/policies.md. Everything that can be wrong is told at once, each with its place in the document.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

import cel
import orjson
import rfc8785
from pydantic import Field, ValidationError

from feature_store.order import Moment, Strict
from governance.policy import PREDICTION, Check, Fallback, Parameter, ParameterRefused, Policy, ReviewRule
from governance.policy_scope import EVERYTHING, Scope
from governance.values import Status
from models.specs import SPECS

SCHEMA = "ordinance/policy/v1"

FACTS: dict[str, dict[str, Any]] = {
    "order": {
        "amount": 259.98, "qty": 2.0, "lines": 1.0, "currency": "CNY", "region": "east", "country": "CN", "channel": "app", "tags": ["presale"],
        "segment": "gold", "payment_method": "card", "payment_status": "authorised", "promised_in_h": 72.0, "customer_age_days": 120.0,
        "same_address": True, "attributes": {"any": "thing"},
    },
    "stock": {"lines_known": 1.0, "lines_short": 0.0, "lines_available": 1.0, "lines_oversold": 0.0},
    "model": {
        "probability": 0.31, "low": 0.24, "high": 0.39, "width": 0.15, "expected_loss": 80.6, "threshold": 0.5, "prediction": "yes", "value": 1.5,
        "late": 0.12, "cancelled": 0.05, "returned": 0.14,
    },
    "cost": {"accept": 20.4, "hold": 23.1, "reject": 40.0, "hold_from": 0.38, "reject_from": 0.9},
    "plan": {"shipments": 1.0, "shipped_qty": 2.0, "unfilled_qty": 0.0, "cost": 12.5, "probability_late": 0.1, "proven": True},
}  # fmt: skip
"""Every fact that an expression may name, with a sample of its type. ``features.*`` and ``params.*`` come on top."""

_ROOTS = (*FACTS, "features", "params")
_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_PATH = re.compile(rf"(?<![\w.])({'|'.join(_ROOTS)})(\.[A-Za-z_]\w*)?")
_HAS = re.compile(rf"\bhas\(\s*((?:{'|'.join(_ROOTS)})\.[A-Za-z_]\w*)\s*\)")


Loc = tuple[str | int, ...]
Fault = tuple[Loc, str]
"""A place in a document, and what is wrong there."""


class PolicyInvalid(ValueError):
    """A policy document that cannot be used; ``errors`` says where and why."""

    def __init__(self, errors: list[Fault]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{'.'.join(map(str, loc))}: {msg}" for loc, msg in errors))


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Code = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
Label = Annotated[str, Field(min_length=1, max_length=128)]
Expression = Annotated[str, Field(min_length=1, max_length=2_000)]


class Words(Strict):
    """A text in every language of the product."""

    en: Annotated[str, Field(min_length=1, max_length=500)]
    zh: Annotated[str, Field(min_length=1, max_length=500)]


class ParameterDocument(Strict):
    """A parameter as written."""

    name: Name
    kind: Literal["probability", "number", "integer", "money", "hours", "boolean"]
    value: bool | float
    minimum: float | None = None
    maximum: float | None = None
    at_most: Name | None = None
    text: Words


class ConstraintDocument(Strict):
    """A hard constraint as written: what must hold."""

    id: Name
    require: Expression
    outcome: Label
    code: Code
    text: Words
    queue: Name | None = None
    when_unknown: Literal["pass", "fail"] = "pass"


class RuleDocument(Strict):
    """A rule as written: when it holds, this outcome."""

    id: Name
    when: Expression
    outcome: Label
    status: Literal["decided", "abstained"] = "decided"
    code: Code | None = None
    text: Words | None = None
    queue: Name | None = None


class FallbackDocument(Strict):
    """A permitted fallback as written."""

    name: Name
    outcome: Label
    text: Words


class ReviewDocument(Strict):
    """The review queue as written."""

    outcome: Label
    queue: Name
    due_h: Annotated[float, Field(gt=0, le=24 * 365)]
    expires_to: Label


Traits = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(min_length=1, max_length=100)]


class ScopeDocument(Strict):
    """For which decisions a policy is meant, as written."""

    regions: Traits | None = None
    channels: Traits | None = None
    tags: Traits | None = None
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = None
    rank: Annotated[int, Field(ge=-100, le=100, strict=True)] | None = None

    def value(self) -> Scope:
        """As :func:`governance.policy_scope.choose` reads it."""
        regions, channels, tags = (frozenset(part or ()) for part in (self.regions, self.channels, self.tags))
        return Scope(regions, channels, tags, self.since, self.until, self.rank or 0)


class PolicyDocument(Strict):
    """A whole policy as written."""

    document_schema: Literal["ordinance/policy/v1"] = Field(alias="schema")
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    type: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: Words
    scope: ScopeDocument | None = None
    parameters: Annotated[tuple[ParameterDocument, ...], Field(max_length=200)] = ()
    constraints: Annotated[tuple[ConstraintDocument, ...], Field(max_length=200)] = ()
    rules: Annotated[tuple[RuleDocument, ...], Field(max_length=200)] = ()
    default_outcome: Label
    fallbacks: Annotated[tuple[FallbackDocument, ...], Field(min_length=1, max_length=20)]
    default_fallback: Name
    review: ReviewDocument | None = None


def read_policy(document: bytes | Mapping[str, Any], feature_names: Collection[str] | None = None) -> Policy:
    """Read, check and compile a policy document.

    Args:
        document: its JSON, or the decoded object.
        feature_names: the features of the type; an expression may name no other. ``None`` accepts any.

    Raises:
        PolicyInvalid: with every fault and its place.
    """
    try:
        raw = orjson.loads(document) if isinstance(document, bytes) else document
        parsed = PolicyDocument.model_validate(raw)
    except orjson.JSONDecodeError as error:
        raise PolicyInvalid([((), f"not JSON: {error}")]) from error
    except ValidationError as error:
        raise PolicyInvalid([(tuple(fault["loc"]), fault["msg"]) for fault in error.errors()]) from error
    faults = document_faults(parsed, feature_names)
    if faults:
        raise PolicyInvalid(faults)
    return compile_policy(parsed)


def document_faults(parsed: PolicyDocument, feature_names: Collection[str] | None = None, lost: Collection[str] = ()) -> list[Fault]:
    """What keeps a document that can be read from being used.

    Args:
        parsed: the document.
        feature_names: the features of the type; ``None`` accepts any.
        lost: parameters that could not be read and are told by themselves: an expression may name them.
    """
    faults: list[Fault] = []
    parse_parameters(parsed, faults)
    faults += _name_faults(parsed) + _outcome_faults(parsed)
    sample = Sample.of(parsed, lost)
    for loc, check, offset in parse_checks(parsed):
        faults += [(loc, msg) for msg in _expression_faults(check, sample, feature_names, offset)]
    return faults


def compile_policy(parsed: PolicyDocument) -> Policy:
    """A document without faults, ready to judge."""
    canonical = rfc8785.dumps(parsed.model_dump(mode="json", by_alias=True, exclude_none=True))
    checks = tuple(check for _, check, _ in parse_checks(parsed))
    guarded = [_guarded(check) for check in checks]
    return Policy(
        id=parsed.id,
        version=parsed.version,
        type=parsed.type,
        digest="sha256:" + hashlib.sha256(canonical).hexdigest(),
        document=canonical,
        parameters=parse_parameters(parsed, []),
        checks=checks,
        default_outcome=parsed.default_outcome,
        fallbacks={f.name: Fallback(f.name, f.outcome, f.text.model_dump()) for f in parsed.fallbacks},
        default_fallback=parsed.default_fallback,
        review=None if parsed.review is None else ReviewRule(**parsed.review.model_dump()),
        program=cel.compile(f"[{', '.join(guarded)}]"),
        needed=_needed(checks),
        singles=tuple(cel.compile(expression) for expression in guarded),
        scope=EVERYTHING if parsed.scope is None else parsed.scope.value(),
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of the right type for everything that an expression of a document may name.

    Attributes:
        lost: parameters that are known by name only.
    """

    facts: Mapping[str, Mapping[str, Any]]
    lost: frozenset[str] = frozenset()

    @classmethod
    def of(cls, parsed: PolicyDocument, lost: Collection[str] = ()) -> Sample:
        """For one document."""
        named = [name for _, check, _ in parse_checks(parsed) for name in check.names]
        features = {name.partition(".")[2]: 0.5 for name in named if name.startswith("features.")}
        parameters = {one.name: one.value if one.kind == "boolean" else float(one.value) for one in parsed.parameters}
        unread = frozenset(f"params.{name}" for name in lost) - {f"params.{name}" for name in parameters}
        return cls({**FACTS, "features": features, "params": parameters}, unread)


@cache
def default_policies() -> Mapping[str, Policy]:
    """The policies that come with the product, by decision type; ``custom`` serves every published custom type."""
    folder = resources.files("governance") / "policies"
    found = (read_policy(entry.read_bytes()) for entry in folder.iterdir() if entry.name.endswith(".json"))
    return {policy.type: policy for policy in sorted(found, key=lambda policy: policy.id)}


def parse_parameters(parsed: PolicyDocument, faults: list[Fault]) -> dict[str, Parameter]:
    """Every parameter that has a permitted value; what is wrong with the others is added to ``faults``."""
    parameters = {}
    for index, written in enumerate(parsed.parameters):
        minimum, maximum = written.minimum, written.maximum
        if written.kind == "probability":
            minimum, maximum = max(0.0, minimum or 0.0), min(1.0, 1.0 if maximum is None else maximum)
        parameter = Parameter(written.name, written.kind, written.value, minimum, maximum, written.text.model_dump(), written.at_most)
        try:
            value = parameter.accept(written.value)
        except ParameterRefused as error:
            faults.append((("parameters", index, "value"), str(error)))
            continue
        parameters[written.name] = replace(parameter, value=value)
    return parameters


def parse_checks(parsed: PolicyDocument) -> Iterator[tuple[Loc, Check, int]]:
    """Every check with its place, and where in its expression that of the document begins."""
    for at, constraint in enumerate(parsed.constraints):
        check = Check(
            constraint.id, True, f"!({constraint.require})", constraint.outcome, _names(constraint.require), Status.DECIDED,
            constraint.code, constraint.text.model_dump(), constraint.queue, constraint.when_unknown == "fail",
        )  # fmt: skip
        yield ("constraints", at, "require"), check, len("!(")
    for at, rule in enumerate(parsed.rules):
        text = None if rule.text is None else rule.text.model_dump()
        names = _names(rule.when)
        check = Check(rule.id, False, rule.when, rule.outcome, names, Status(rule.status), rule.code, text, rule.queue)
        yield ("rules", at, "when"), check, 0


def _names(expression: str) -> tuple[str, ...]:
    """The facts that an expression reads, as ``root.name``, in order of appearance."""
    bare = _STRING.sub("''", expression)
    return tuple(dict.fromkeys(match.group(0) for match in _PATH.finditer(bare) if match.group(2)))


def _guarded(check: Check) -> str:
    """The check as CEL that answers ``null`` when a fact it needs is unknown, unless it asks for that itself with ``has``."""
    asked = set(_HAS.findall(_STRING.sub("''", check.expression)))
    guards = [f"has({name})" for name in check.names if not name.startswith("params.") and name not in asked]
    return f"({' && '.join(guards)} ? ({check.expression}) : null)" if guards else f"({check.expression})"


def _needed(checks: tuple[Check, ...]) -> dict[str, tuple[str, ...]]:
    needed: dict[str, dict[str, None]] = {}
    for check in checks:
        for path in check.names:
            root, _, name = path.partition(".")
            needed.setdefault(root, {})[name] = None
    return {root: tuple(names) for root, names in needed.items()}


def _name_faults(parsed: PolicyDocument) -> list[Fault]:
    faults: list[Fault] = []
    ids = [*(c.id for c in parsed.constraints), *(r.id for r in parsed.rules)]
    for place, names in (
        ("rules", ids),
        ("parameters", [p.name for p in parsed.parameters]),
        ("fallbacks", [f.name for f in parsed.fallbacks]),
    ):
        faults += [((place,), f"{name!r} occurs twice") for name in dict.fromkeys(names) if names.count(name) > 1]
    if parsed.default_fallback not in {f.name for f in parsed.fallbacks}:
        faults.append((("default_fallback",), f"{parsed.default_fallback!r} is not one of the fallbacks"))
    for index, rule in enumerate(parsed.rules):
        if (rule.code is None) != (rule.text is None):
            faults.append((("rules", index, "code"), "a reason needs both a code and a text"))
        if rule.when.strip() == "true" and index + 1 < len(parsed.rules):
            faults.append((("rules", index, "when"), "always true: no later rule can ever decide; use default_outcome"))
    return faults


def _outcome_faults(parsed: PolicyDocument) -> list[Fault]:
    spec = SPECS.get(parsed.type)
    if spec is None:
        return []
    named: list[Fault] = [(("default_outcome",), parsed.default_outcome)]
    named += [(("constraints", i, "outcome"), c.outcome) for i, c in enumerate(parsed.constraints)]
    named += [(("rules", i, "outcome"), r.outcome) for i, r in enumerate(parsed.rules)]
    named += [(("fallbacks", i, "outcome"), f.outcome) for i, f in enumerate(parsed.fallbacks)]
    if parsed.review is not None:
        named += [(("review", "outcome"), parsed.review.outcome), (("review", "expires_to"), parsed.review.expires_to)]
    allowed = {str(outcome) for outcome in spec.outcomes}
    return [
        (loc, f"{outcome!r} is no outcome of {parsed.type}; known are {', '.join(spec.outcomes)}")
        for loc, outcome in named
        if outcome not in allowed
    ]


def _expression_faults(check: Check, sample: Sample, feature_names: Collection[str] | None, offset: int) -> list[str]:
    bare = _STRING.sub("''", check.expression)
    faults = [f"{match.group(0)!r} needs a name after it, as in order.amount" for match in _PATH.finditer(bare) if not match.group(2)]
    for path in check.names:
        root, _, name = path.partition(".")
        if root == "features" and feature_names is not None and name not in feature_names:
            faults.append(f"{path}: the type has no such feature")
        elif name not in sample.facts[root] and path not in sample.lost:
            faults.append(f"{path}: unknown; known are {', '.join(sorted(sample.facts[root])) or 'none'}")
    if faults:
        return faults
    try:
        program = cel.compile(check.expression)
        answer = True if sample.lost & set(check.names) else program.execute(sample.facts)
    except (ZeroDivisionError, KeyError):
        return []  # depends on the facts, as a member of order.attributes does; a decision that meets it says so in its trace
    except (ValueError, TypeError, RuntimeError) as error:
        return [f"not a valid expression{_cel_message(str(error), check.expression, offset)}"]
    return [] if isinstance(answer, bool) else [f"gives {answer!r}, not true or false"]


_CEL_PLACE = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")


def _cel_message(message: str, expression: str, offset: int) -> str:
    """What the engine says, with the place counted in the author's own text."""
    found = _CEL_PLACE.search(message)
    if found is None:
        return ": " + message.splitlines()[0]
    lines = expression.split("\n")
    at = sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2]) - 1 - offset
    own = len(expression) - offset - bool(offset)
    where = "at its end" if at >= own else f"at character {max(1, at + 1)}"
    return f", {where}: {found[3].partition(' expecting ')[0]}"


__all__ = ["FACTS", "PREDICTION", "SCHEMA", "PolicyDocument", "PolicyInvalid", "default_policies", "read_policy"]
