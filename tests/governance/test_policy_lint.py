"""What a policy can never have meant: found where it is decidable, and never made up."""

from __future__ import annotations

import copy
from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.policy_document import default_policies, read_policy
from governance.policy_lint import review
from governance.policy_logic import Logic, Undecided, parse

WORDS = {"en": "text", "zh": "文本"}


def probability(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "probability", "value": value, "text": WORDS, **more}


def rule(name: str, when: str, outcome: str = "HOLD", **more: Any) -> dict[str, Any]:
    return {"id": name, "when": when, "outcome": outcome, **more}


def constraint(name: str, require: str) -> dict[str, Any]:
    return {"id": name, "require": require, "outcome": "REJECT", "code": "NO", "text": WORDS}


def document(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "ordinance/policy/v1", "id": "mine", "type": "acceptance", "title": WORDS,
        "parameters": [probability("reject_at", 0.9, minimum=0.5), probability("hold_at", 0.5, maximum=0.95, at_most="reject_at")],
        "constraints": [constraint("paid", "order.payment_status != 'declined'")],
        "rules": [rule("certain", "model.probability >= params.reject_at", "REJECT"), rule("likely", "model.probability >= params.hold_at")],
        "default_outcome": "ACCEPT", "fallbacks": [{"name": "hold", "outcome": "HOLD", "text": WORDS}], "default_fallback": "hold",
        **copy.deepcopy(changes),
    }  # fmt: skip


def found(**changes: Any) -> dict[tuple[str | int, ...], str]:
    return dict(review(document(**changes)).faults)


def test_a_good_document_and_all_that_ship_have_no_faults() -> None:
    assert review(document()).policy is not None
    for policy in default_policies().values():
        assert review(policy.document).faults == ()


SAME = [rule("first", "model.probability >= 0.5", "REJECT")]


@pytest.mark.parametrize(
    ("changes", "loc", "message"),
    [
        ({"parameters": [probability("a", 0.5, minimum=0.8, maximum=0.2)]}, ("parameters", 0, "minimum"), "no value is permitted"),
        ({"parameters": [probability("reject_at", 0.9), probability("hold_at", 0.95, at_most="reject_at")]}, ("parameters", 1, "value"), "at most reject_at"),
        ({"parameters": [probability("reject_at", 0.9, at_most="nope"), probability("hold_at", 0.5)]}, ("parameters", 0, "at_most"), "none of the parameters"),
        ({"constraints": [constraint("c", "order.amount < 0.0")]}, ("constraints", 0, "require"), "can never hold"),
        ({"constraints": [constraint("c", "order.amount > 10.0 && order.amount < 5.0")]}, ("constraints", 0, "require"), "can never hold"),
        ({"constraints": [constraint("c", "order.channel == 'app' && order.channel == 'web'")]}, ("constraints", 0, "require"), "can never hold"),
        ({"constraints": [constraint("c", "model.probability <= 1.0")]}, ("constraints", 0, "require"), "always holds"),
        ({"constraints": [constraint("a", "order.amount > 9.0"), constraint("b", "order.amount < 9.0")]}, ("constraints", 1, "require"), "contradicts 'a'"),
        ({"rules": [*SAME, rule("late", "model.probability > 0.75")]}, ("rules", 1, "when"), "never decides: whenever it is true, 'first'"),
        ({"rules": [rule("never", "model.probability > 1.5")]}, ("rules", 0, "when"), "is never true"),
        ({"rules": [rule("likely", "model.probability >= params.hold_at"), rule("certain", "model.probability >= params.reject_at", "REJECT")]}, ("rules", 1, "when"), "'likely' has decided before"),
        ({"rules": [rule("a", "order.amount < 10.0"), rule("b", "order.amount > 5.0"), rule("c", "order.amount > 0.0")]}, ("rules", 2, "when"), "one of a, b has decided before"),
        ({"rules": [rule("x", "order.payment_status == 'declined'")]}, ("rules", 0, "when"), "'paid' has decided before"),
        ({"rules": [rule("x", "plan.shipments > 3.0")]}, ("rules", 0, "when"), "never known when acceptance is decided"),
        ({"rules": [rule("x", "order.channel == 'app' && order.amount > 'x'")]}, ("rules", 0, "when"), "cannot be computed"),
        ({"rules": [rule("x", "model.probability >")]}, ("rules", 0, "when"), "at its end"),
        ({"rules": [rule("x", "model.probability > > 2.0")]}, ("rules", 0, "when"), "at character 21"),
        ({"fallbacks": [{"name": "hold", "outcome": "ACCEPT", "text": WORDS}]}, ("fallbacks",), "the kill switch"),
        ({"scope": {"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, ("scope", "until"), "never be in force"),
        ({"type": "parcel-late", "scope": {"regions": ["east"]}}, ("scope", "regions"), "decides rows"),
    ],
)  # fmt: skip
def test_each_fault_is_found_at_its_place(changes: dict[str, Any], loc: tuple[str | int, ...], message: str) -> None:
    assert message in found(**changes).get(loc, str(found(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": [rule("a", "model.probability >= 0.5"), rule("b", "order.amount > 5.0")]},  # another fact may be known
        {"rules": [rule("a", "model.probability >= 0.5 || order.amount > 1.0"), rule("b", "model.probability > 0.9")]},  # amount may be unknown
        {"rules": [rule("a", "order.amount / order.qty > 1.0"), rule("b", "order.amount / order.qty > 2.0")]},  # arithmetic is not understood
        {"rules": [rule("a", "has(features.x) || order.amount > 1.0"), rule("b", "order.amount > 2.0")]},
        {"rules": [rule("a", "params.on && order.amount > 1.0"), rule("b", "order.amount > 2.0")], "parameters": [{"name": "on", "kind": "boolean", "value": True, "text": WORDS}]},
        {"rules": [rule("a", "order.amount >= 5.0"), rule("b", "order.amount > 4.999999999999999999")]},
        {"rules": [rule("a", "order.region in ['east']"), rule("b", "order.region in ['east', 'west']")]},
    ],
)  # fmt: skip
def test_what_may_decide_after_all_is_let_through(changes: dict[str, Any]) -> None:
    assert review(document(**changes)).faults == ()


def test_everything_is_told_at_once_also_beside_what_cannot_be_read() -> None:
    broken = document(
        rules=[rule("a", "model.probability >"), {"id": "b"}, rule("c", "order.amount < 0.0"), rule("d", "params.lost > 0.5", "ALLOW")],
        parameters=[{"name": "lost", "kind": "probability", "value": "much", "text": WORDS}],
        surprise=1,
    )
    del broken["title"]
    places = {loc for loc, _ in review(broken).faults}
    assert {
        ("title",), ("surprise",), ("rules", 0, "when"), ("rules", 1, "when"), ("rules", 1, "outcome"), ("rules", 2, "when"), ("rules", 3, "outcome"),
    } <= places  # fmt: skip
    assert any(loc[:2] == ("parameters", 0) for loc in places)
    assert ("rules", 3, "when") not in places, "the parameter is there, only its value cannot be read"


def test_a_threshold_that_is_switched_off_is_a_warning() -> None:
    reviewed = review(
        document(
            parameters=[probability("wide", 1.0), *document()["parameters"]],
            rules=[rule("a", "model.width > params.wide"), *document()["rules"]],
        )
    )
    assert reviewed.faults == ()
    assert [loc for loc, _ in reviewed.warnings] == [("rules", 0, "when")]


def test_a_changed_parameter_keeps_to_its_relation() -> None:
    from governance.policy import ParameterRefused

    policy = read_policy(document())
    assert policy.with_parameters({"hold_at": 0.9}).number("hold_at") == 0.9
    with pytest.raises(ParameterRefused, match="exceeds reject_at"):
        policy.with_parameters({"hold_at": 0.92})


NUMBERS = ("f.x", "f.y")
KINDS = {"f.x": "number", "f.y": "number", "f.t": "text", "f.b": "truth"}
operands = st.sampled_from([*NUMBERS, "0.0", "1.0", "2.0"])
leaves = st.one_of(
    st.tuples(operands, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), operands).map(" ".join),
    st.sampled_from(["f.t == 'a'", "f.t in ['a', 'b']", "'b' != f.t", "f.b", "f.b == false", "f.x * 2.0 > f.y", "true"]),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} && {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
        inner.map(lambda one: f"!({one})"),
    ),
    max_leaves=5,
)
GRID = [
    {"f": {"x": x, "y": y, "t": t, "b": b}}
    for x in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    for y in (0.0, 1.0, 2.5)
    for t in "abc"
    for b in (True, False)
]


@settings(max_examples=80, deadline=None)
@given(trees)
def test_nothing_is_called_impossible_that_happens(expression: str) -> None:
    logic = Logic(KINDS, {})
    program = cel.compile(expression)
    answers = {program.execute(facts) for facts in GRID}
    try:
        possible = {True: bool(logic.clauses(parse(expression))), False: bool(logic.clauses(parse(expression), negated=True))}
    except Undecided:
        return
    assert all(possible[bool(answer)] for answer in answers)


@settings(max_examples=80, deadline=None)
@given(st.lists(trees.filter(lambda text: "* 2.0" not in text), min_size=1, max_size=3))
def test_what_is_called_impossible_together_never_happens_together(expressions: list[str]) -> None:
    logic = Logic(KINDS, {})
    try:
        together = logic.together([logic.clauses(parse(one)) for one in expressions])
    except Undecided:
        return
    programs = [cel.compile(one) for one in expressions]
    assert together or not any(all(program.execute(facts) for program in programs) for facts in GRID)
    fine = [
        {"f": {"x": x / 4, "y": y / 4, "t": t, "b": b}} for x in range(-4, 13) for y in range(-4, 13) for t in "abc" for b in (True, False)
    ]
    assert not together or any(all(program.execute(facts) for program in programs) for facts in fine), "all that is understood is decided"
