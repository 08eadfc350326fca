"""What is asked of a policy when it is saved, beyond that it can be read: that it says what its author can have meant.

Old versions are never judged by this: they must go on being readable for as long as their records are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cel
import orjson
from pydantic import ValidationError

from governance.policy import Check, Parameter, Policy
from governance.policy_document import (
    FACTS,
    Fault,
    Loc,
    PolicyDocument,
    Sample,
    compile_policy,
    document_faults,
    parse_checks,
    parse_parameters,
)  # fmt: skip
from governance.policy_logic import ZERO, Below, Clause, Logic, Tree, Undecided, atoms, parse
from models.specs import SPECS, DecisionType

_NEVER_KNOWN: Mapping[str, frozenset[str]] = {
    DecisionType.ACCEPTANCE.value: frozenset({"plan"}),
    DecisionType.FRAUD.value: frozenset({"plan"}),
    DecisionType.SPLIT_ORDER.value: frozenset({"stock", "features"}),
}
"""Roots that a decision of the type never has; a published type has rows and no orders."""
_NEVER_OF_ROWS = frozenset({"order", "stock", "plan"})

_SHARES = ("model.probability", "model.low", "model.high", "model.width", "model.threshold", "plan.probability_late")
_COUNTS = (
    "order.amount", "stock.lines_known", "stock.lines_short", "stock.lines_available", "plan.shipments", "plan.shipped_qty",
    "plan.unfilled_qty", "plan.cost", "model.expected_loss",
)  # fmt: skip
_AT_LEAST_ONE = ("order.qty", "order.lines")
_LISTS = ("parameters", "constraints", "rules", "fallbacks")
_PLACEHOLDERS: Mapping[str, Any] = {
    "schema": "ordinance/policy/v1", "id": "policy", "version": 1, "type": "unknown", "title": {"en": "-", "zh": "-"},
    "default_outcome": "-", "fallbacks": [{"name": "none", "outcome": "-", "text": {"en": "-", "zh": "-"}}], "default_fallback": "none",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A document that was looked at.

    Attributes:
        policy: ready to judge; ``None`` when there are faults.
        faults: everything that is wrong, by place.
        warnings: what may be meant and probably is not.
    """

    policy: Policy | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = ()


def review(document: bytes | Mapping[str, Any], feature_names: Collection[str] | None = None) -> Reviewed:
    """Look at a document as it is to be saved; every fault is told at once, also those beside a part that cannot be read.

    Args:
        document: its JSON, or the decoded object.
        feature_names: the features of its type; ``None`` accepts any.
    """
    try:
        raw = orjson.loads(document) if isinstance(document, bytes) else document
    except orjson.JSONDecodeError as error:
        return Reviewed(None, (((), f"not JSON: {error}"),))
    if not isinstance(raw, Mapping):
        return Reviewed(None, (((), "a policy is a JSON object"),))
    parsed, faults, places = _read(raw)
    warnings: list[Fault] = []
    if parsed is not None:
        names = {one["name"] for one in _items(raw, "parameters") if isinstance(one.get("name"), str)}
        found = [*document_faults(parsed, feature_names, lost=names), *_meaning(parsed)]
        told = _Meaning(parsed, without={loc for loc, _ in found})
        untyped = {"type"} & {str(loc[0]) for loc, _ in faults if loc}
        faults += [(_placed(loc, places), msg) for loc, msg in (*found, *told.faults()) if not (untyped and loc[-1:] == ("outcome",))]
        warnings = [(_placed(loc, places), msg) for loc, msg in told.warnings()]
    if faults or parsed is None:
        return Reviewed(None, tuple(dict.fromkeys(faults)), tuple(warnings))
    return Reviewed(compile_policy(parsed), (), tuple(warnings))


def _read(raw: Mapping[str, Any]) -> tuple[PolicyDocument | None, list[Fault], dict[str, list[int]]]:
    """The document without what cannot be read of it; what that is; and where its items stood."""
    faults: list[Fault] = []
    document: dict[str, Any] = dict(raw)
    places = {name: list(range(len(_items(raw, name)))) for name in _LISTS}
    for _ in range(3):
        try:
            return PolicyDocument.model_validate(document), faults, places
        except ValidationError as error:
            found = [(tuple(one["loc"]), _sentence(one)) for one in error.errors(include_url=False)]
        faults += [(_placed(loc, places), msg) for loc, msg in found]
        document = _without(document, [loc for loc, _ in found], places)
    return None, faults, places


def _without(document: dict[str, Any], locs: Sequence[Loc], places: dict[str, list[int]]) -> dict[str, Any]:
    kept = dict(document)
    for name in _LISTS:
        bad = {loc[1] for loc in locs if len(loc) > 1 and loc[0] == name and isinstance(loc[1], int)}
        if bad and isinstance(kept.get(name), list | tuple):
            kept[name] = [one for at, one in enumerate(kept[name]) if at not in bad]
            places[name] = [place for at, place in enumerate(places[name]) if at not in bad]
    whole = {loc[0] for loc in locs if loc and not (loc[0] in _LISTS and len(loc) > 1 and isinstance(loc[1], int))}
    for member in whole:
        kept.pop(str(member), None)
    missing = {name: value for name, value in _PLACEHOLDERS.items() if name not in kept or (name == "fallbacks" and not kept[name])}
    return kept | missing


def _placed(loc: Loc, places: Mapping[str, Sequence[int]]) -> Loc:
    """Where it stands in the document as it was sent."""
    if len(loc) > 1 and loc[0] in places and isinstance(loc[1], int) and loc[1] < len(places[str(loc[0])]):
        return (loc[0], places[str(loc[0])][loc[1]], *loc[2:])
    return loc


def _items(raw: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = raw.get(name)
    return [one if isinstance(one, Mapping) else {} for one in found] if isinstance(found, list | tuple) else []


def _sentence(found: Mapping[str, Any]) -> str:
    told = {"missing": "required", "extra_forbidden": "Extra inputs are not permitted: a policy has no such member"}
    return told.get(found["type"], str(found["msg"]).removeprefix("Value error, "))


def _meaning(parsed: PolicyDocument) -> Iterator[Fault]:
    """What can be said without compiling: bounds, relations, scope, fallbacks, roots, atoms."""
    yield from _parameter_faults(parsed)
    yield from _scope_faults(parsed)
    spec = SPECS.get(parsed.type)
    if spec is not None and spec.cautious is not None and spec.cautious.value not in {one.outcome for one in parsed.fallbacks}:
        yield ("fallbacks",), f"none answers {spec.cautious.value}: the kill switch and an outage need one that asks a person"
    if parsed.review is not None and parsed.review.expires_to == parsed.review.outcome and spec is not None:
        yield ("review", "expires_to"), f"{parsed.review.outcome} would wait for ever; name what it becomes"
    never = frozenset() if parsed.type == _PLACEHOLDERS["type"] else _NEVER_KNOWN.get(parsed.type, _NEVER_OF_ROWS)
    sample = Sample.of(parsed)
    for loc, check, offset in parse_checks(parsed):
        for root in dict.fromkeys(name.partition(".")[0] for name in check.names):
            if root in never:
                yield loc, f"{root}.* is never known when {parsed.type} is decided, so this would never be evaluated"
        yield from ((loc, msg) for msg in _atom_faults(check.expression[offset : len(check.expression) - bool(offset)], sample))


def _parameter_faults(parsed: PolicyDocument) -> Iterator[Fault]:
    by_name = {one.name: one for one in parsed.parameters}
    for index, one in enumerate(parsed.parameters):
        place: Loc = ("parameters", index)
        if one.minimum is not None and one.maximum is not None and one.minimum > one.maximum:
            yield (*place, "minimum"), f"{one.name}: {one.minimum:g} is above the maximum {one.maximum:g}, so no value is permitted"
        if one.kind == "boolean" and (one.minimum is not None or one.maximum is not None):
            yield (*place, "minimum"), f"{one.name}: a boolean has no bounds"
        limit = by_name.get(one.at_most or "")
        if one.at_most is None:
            continue
        if limit is None:
            yield (*place, "at_most"), f"{one.at_most!r} is none of the parameters"
        elif limit is one or limit.kind != one.kind or one.kind == "boolean":
            yield (*place, "at_most"), f"{one.name} and {limit.name} cannot be compared"
        elif not isinstance(one.value, bool) and not isinstance(limit.value, bool) and one.value > limit.value:
            yield (*place, "value"), f"{one.name} is {one.value:g} and must be at most {limit.name}, which is {limit.value:g}"
        elif one.minimum is not None and limit.maximum is not None and one.minimum > limit.maximum:
            yield (*place, "minimum"), f"{one.name} can never be at most {limit.name}: {one.minimum:g} is above {limit.maximum:g}"


def _scope_faults(parsed: PolicyDocument) -> Iterator[Fault]:
    scope = parsed.scope
    if scope is None:
        return
    if scope.since is not None and scope.until is not None and scope.since >= scope.until:
        yield ("scope", "until"), "is not after its beginning, so the policy would never be in force"
    for name in ("regions", "channels", "tags"):
        values = getattr(scope, name)
        if values is not None and parsed.type not in SPECS and parsed.type != _PLACEHOLDERS["type"]:
            yield ("scope", name), f"{parsed.type!r} decides rows, which have no {name}"
        if values is not None and len(set(values)) < len(values):
            yield ("scope", name), "names one twice"


def _atom_faults(expression: str, sample: Sample) -> Iterator[str]:
    """Each part by itself: in the whole, ``false && ...`` hides what is wrong behind it."""
    parts = list(atoms(parse(expression)))
    if len(parts) < 2:
        return
    for part in parts:
        try:
            answer = cel.compile(part.source).execute(sample.facts)
        except (ZeroDivisionError, KeyError):
            continue
        except (ValueError, TypeError, RuntimeError) as error:
            yield f"{part.source!r} cannot be computed: {str(error).splitlines()[0]}"
        else:
            if not isinstance(answer, bool):
                yield f"{part.source!r} gives {answer!r}, not true or false"


class _Meaning:
    """Contradictions and rules that never decide, as far as :mod:`governance.policy_logic` understands them."""

    def __init__(self, parsed: PolicyDocument, without: Collection[Loc] = ()) -> None:
        parameters = parse_parameters(parsed, [])
        self._checks = [(loc, check, parse(check.expression)) for loc, check, _ in parse_checks(parsed) if loc not in without]
        self._asks_has = {check.id for _, check, _ in self._checks if "has(" in check.expression}
        kinds = {f"{root}.{name}": _kind(value) for root, facts in FACTS.items() for name, value in facts.items()}
        kinds |= {
            f"features.{name.partition('.')[2]}": "number"
            for _, check, _ in self._checks
            for name in check.names
            if name.startswith("features.")
        }
        kinds |= {f"params.{name}": "truth" if one.kind == "boolean" else "number" for name, one in parameters.items()}
        numbers = {f"params.{name}": one for name, one in parameters.items() if one.kind != "boolean"}
        self._free = Logic(kinds, {}, (*_domains(), *_permitted(numbers)))
        self._now = Logic(kinds, {name: _exact(one.value) for name, one in numbers.items()}, tuple(_domains()))

    def faults(self) -> list[Fault]:
        """What can never be meant."""
        return [*self._constants(self._free), *self._against_each_other(), *self._unreachable()]

    def warnings(self) -> list[Fault]:
        """What only holds for the present values of the parameters."""
        free = {loc for loc, _ in self._constants(self._free)}
        return [(loc, f"{msg}, with the present parameters") for loc, msg in self._constants(self._now) if loc not in free]

    def _constants(self, logic: Logic) -> Iterator[Fault]:
        last = self._checks[-1][1].id if self._checks else ""
        for loc, check, tree in self._checks:
            if self._impossible(logic, tree):
                yield loc, "always holds, so it can never object" if check.hard else "is never true, so it can never decide"
            elif self._impossible(logic, tree, negated=True) and (check.hard or check.id != last):
                yield (
                    loc,
                    f"can never hold: it objects to every decision with {check.outcome}"
                    if check.hard
                    else "is always true: no later rule can ever decide; use default_outcome",
                )

    def _against_each_other(self) -> Iterator[Fault]:
        hard = [
            (loc, check, tree) for loc, check, tree in self._checks if check.hard and not self._impossible(self._free, tree, negated=True)
        ]
        for at, (loc, _, tree) in enumerate(hard):
            for _, other, before in hard[:at]:
                both = [(tree, True), (before, True)]
                if self._none(self._free, both):
                    yield loc, f"contradicts {other.id!r}: no decision can satisfy both"

    def _unreachable(self) -> Iterator[Fault]:
        for at, (loc, check, tree) in enumerate(self._checks):
            if check.id in self._asks_has or self._impossible(self._free, tree):
                continue
            facts = _read_facts(check)
            earlier = [
                (other.id, before)
                for _, other, before in self._checks[:at]
                if _read_facts(other) <= facts and other.id not in self._asks_has and not self._now.opaque(before)
            ]
            alone = next((name for name, before in earlier if self._none(self._now, [(tree, False), (before, True)])), None)
            if alone is not None:
                yield loc, f"never decides: whenever it is true, {alone!r} has decided before"
            elif len(earlier) > 1 and self._none(self._now, [(tree, False), *((before, True) for _, before in earlier)]):
                yield loc, f"never decides: whenever it is true, one of {', '.join(name for name, _ in earlier)} has decided before"

    @staticmethod
    def _impossible(logic: Logic, tree: Tree, *, negated: bool = False) -> bool:
        return _Meaning._none(logic, [(tree, negated)])

    @staticmethod
    def _none(logic: Logic, parts: Sequence[tuple[Tree, bool]]) -> bool:
        """Whether the parts, some negated, can never be true together; ``False`` where that is not decided."""
        try:
            found: list[Sequence[Clause]] = [logic.clauses(tree, negated=negated) for tree, negated in parts]
            return not logic.together(found)
        except Undecided:
            return False


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth"
    return {float: "number", str: "text", list: "list"}.get(type(value), "other")


def _read_facts(check: Check) -> frozenset[str]:
    return frozenset(name for name in check.names if not name.startswith("params."))


def _exact(value: float | bool) -> Fraction:
    return Fraction(str(float(value)))


def _domains() -> list[Below]:
    """What every fact keeps to, whatever happens."""
    least = [(name, 0) for name in (*_SHARES, *_COUNTS)] + [(name, 1) for name in _AT_LEAST_ONE]
    bounds = [Below(ZERO, name, Fraction(-low), False) for name, low in least]
    bounds += [Below(name, ZERO, Fraction(1), False) for name in _SHARES]
    return [*bounds, Below("model.low", "model.high", Fraction(0), False)]


def _permitted(parameters: Mapping[str, Parameter]) -> list[Below]:
    """What a parameter may be set to."""
    bounds = []
    for name, one in parameters.items():
        bounds += [] if one.minimum is None else [Below(ZERO, name, -_exact(one.minimum), False)]
        bounds += [] if one.maximum is None else [Below(name, ZERO, _exact(one.maximum), False)]
        bounds += [] if one.at_most is None else [Below(name, f"params.{one.at_most}", Fraction(0), False)]
    return bounds
