"""Recourse: what is suggested always gives the outcome that is told, and what a search over all grids can flip is found."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest

from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.views import SERVICES
from governance.decision import Deployed, Failure, Inputs, ModelUse, Stage, decide
from governance.grids import Lever, coherent, levers
from governance.policy import Policy
from governance.policy_document import default_policies
from governance.recourse import Recourse, find_recourse
from governance.recourse_reasons import NoRecourse, Toward
from governance.what_if import read_value, with_values
from models.artifact import ArtifactContents, ModelArtifact, digest_of
from models.calibration import Calibrator
from models.features import FeatureCard, Shown, cards_of_views
from models.scorer import TreeScorer
from models.specs import SPECS, Task

ORDER = Order.model_validate(
    {
        "order_id": "O-1", "placed_at": "2026-03-02T06:00:00Z", "currency": "CNY", "promised_by": "2026-03-12T06:00:00Z",
        "customer": {"customer_id": "C-1"}, "ship_to": {"region": "east"},
        "lines": [{"line_id": "1", "sku": "S-1", "qty": 1, "unit_price": {"amount": "10", "currency": "CNY"}}],
    }
)  # fmt: skip
ROWS = 3_000


def rows_of(kind: str, generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """Rows as orders could have them: whole pieces, flags, hours; the rest is noise."""
    names = SERVICES[kind].names
    rows = generator.normal(size=(ROWS, len(names)))
    lines = generator.integers(1, 6, ROWS)
    most = generator.integers(1, 12, ROWS)
    drawn = {
        "lines": lines,
        "most_pieces": most,
        "pieces": most + lines - 1,
        "promise_h": generator.uniform(6, 240, ROWS),
        "billing_street_difference": generator.choice([0.0, 0.1, 0.4, 0.9], ROWS),
        **{name: generator.integers(0, 2, ROWS) for name in ("presale", "cross_border", "express", "billed_elsewhere")},
    }
    drawn["billing_street_difference"] = drawn["billing_street_difference"] * drawn["billed_elsewhere"]
    for name, column in drawn.items():
        if name in names:
            rows[:, names.index(name)] = column
    return rows


def trained(kind: str, seed: int) -> tuple[Deployed, np.ndarray[Any, Any]]:
    """A small real model whose outcome depends on what can be changed, and on what cannot."""
    generator = np.random.default_rng(seed)
    service = SERVICES[kind]
    rows = rows_of(kind, generator)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0).clip(1e-9)
    weights = generator.normal(size=rows.shape[1]) * np.array([1.0 if feature.actionable else 0.35 for feature in service.features])
    labels = (scaled @ weights / np.linalg.norm(weights) + generator.normal(size=ROWS) * 0.4 > 0.5).astype(float)
    parameters = {
        "objective": "binary",
        "num_leaves": 8,
        "max_depth": 4,
        "verbosity": -1,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
    }
    half = ROWS // 2
    names = [f"f{i}" for i in range(rows.shape[1])]
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows[:half], labels[:half], feature_name=names), num_boost_round=30)
    calibrator = Calibrator.fit(np.asarray(booster.predict(rows[half:], raw_score=True)), labels[half:])
    contents = ArtifactContents(
        name=kind, type=kind, task=Task.BINARY, model_text=booster.model_to_string(), features=cards_of_views(service.features, rows),
        calibrator=calibrator, labels=("no", "yes"), event=SPECS[kind].event, threshold=0.5, base_rate=0.3, view_version=service.view_version,
    )  # fmt: skip
    artifact = ModelArtifact(digest_of(contents), contents, TreeScorer.from_text(contents.model_text))
    return Deployed(artifact, ModelUse(kind, 1, artifact.digest)), rows[half:]


@pytest.fixture(scope="module", params=[("acceptance", 3), ("fraud", 4)], ids=["acceptance", "fraud"])
def deployed(request: pytest.FixtureRequest) -> tuple[Deployed, np.ndarray[Any, Any]]:
    return trained(*request.param)


def asked(deployed: Deployed, row: Sequence[float]) -> Inputs:
    kind = deployed.artifact.type
    service = SERVICES[kind]
    count = len(service.names)
    snapshot = FeatureSnapshot(
        service.names, np.array(row), (None,) * count, (Origin.REQUEST,) * count, service.view_version, ORDER.placed_at
    )
    return Inputs(kind, Stage.LIVE, ORDER.placed_at, order=ORDER, snapshot=snapshot)


def outcome(inputs: Inputs, deployed: Deployed, policy: Policy, values: dict[str, float]) -> str:
    assert inputs.snapshot is not None
    changed = replace(inputs, stage=Stage.WHAT_IF, snapshot=with_values(inputs.snapshot, values))
    return decide(changed, {inputs.type: deployed}, policy).outcome


def few(lever: Lever, before: float, most: int) -> list[float]:
    values = list(lever.values(before))
    return (
        values
        if len(values) <= most
        else [values[i] for i in sorted({0, len(values) - 1, *range(0, len(values), len(values) // (most - 1))})]
    )


BEST = {"ACCEPT", "ALLOW"}
ORDER_OF = {"acceptance": ("ACCEPT", "ACCEPT_PARTIAL", "HOLD", "REJECT"), "fraud": ("ALLOW", "REVIEW", "BLOCK")}


def can_flip(inputs: Inputs, deployed: Deployed, policy: Policy, toward: Toward) -> bool:
    """Every combination of a few values of every actionable feature, the furthest and the nearest among them."""
    found = levers(deployed.artifact)
    row = deployed.row(inputs.snapshot)  # type: ignore[arg-type]
    grids = [[float(row[lever.index]), *few(lever, float(row[lever.index]), 4)] for lever in found]
    rows = np.repeat(row[None], math.prod(map(len, grids)), axis=0)
    rows[:, [lever.index for lever in found]] = list(itertools.product(*grids))
    margins = deployed.artifact.scorer.margins(rows)[:, 0]
    _, first = np.unique(margins, return_index=True)
    at = {lever.index: lever.card.name for lever in found}
    now = outcome(inputs, deployed, policy, {})
    step = max(1, len(first) // 300)  # the outcome follows the margin: the ends of a fine enough sieve see every band of it
    for place in [*first[::step].tolist(), int(first[-1])]:
        values = {name: float(rows[place][index]) for index, name in at.items()}
        if coherent(values) and moved(inputs.type, now, outcome(inputs, deployed, policy, values)) is toward:
            return True
    return False


def moved(kind: str, before: str, after: str) -> Toward | None:
    """Which way an outcome went."""
    places = [ORDER_OF[kind].index(one) for one in (before, after)]
    return None if places[0] == places[1] else Toward.BETTER if places[1] < places[0] else Toward.WORSE


@pytest.mark.parametrize("toward", Toward)
def test_what_is_suggested_flips_and_what_can_be_flipped_is_found(deployed: tuple[Deployed, np.ndarray[Any, Any]], toward: Toward) -> None:
    model, rows = deployed
    policy = default_policies()[model.artifact.type]
    flippable = found = 0
    outmost = ORDER_OF[model.artifact.type][0 if toward is Toward.BETTER else -1]
    some = [row for row in rows[:200] if outcome(asked(model, row), model, policy, {}) != outmost][: 20 if toward is Toward.BETTER else 12]
    for row in some:
        inputs = asked(model, row)
        told = find_recourse(inputs, model, policy, toward)
        now = outcome(inputs, model, policy, {})
        check(told, now, inputs, model, policy)
        assert all(moved(inputs.type, now, one.outcome) is toward for one in told.suggestions)
        assert all(one.improves is (toward is Toward.BETTER) for one in told.suggestions)
        if can_flip(inputs, model, policy, toward):
            flippable += 1
            found += bool(told.suggestions)
    assert flippable >= 8
    assert found / flippable >= 0.8


def check(told: Recourse, now: str, inputs: Inputs, model: Deployed, policy: Policy) -> None:
    """What is told of a suggestion is true, and none of its changes can be left out."""
    assert told.outcome == now
    cards = {card.name: card for card in model.artifact.features}
    actionable = {feature.name for feature in SERVICES[inputs.type].features if feature.actionable}
    assert len(told.suggestions) <= 3
    assert (told.reason is None) == bool(told.suggestions)
    sets: list[set[str]] = []
    for suggestion in told.suggestions:
        sent = suggestion.to_json()["what_if"]["features"]
        values = {name: read_value(cards[name], value) for name, value in sent.items()}
        assert outcome(inputs, model, policy, values) == suggestion.outcome != now
        assert set(values) <= actionable
        text = suggestion.text
        assert all(change.lever.card.label[language] in text[language] for change in suggestion.changes for language in ("en", "zh"))
        sets.append(set(values))
    costs = [one.cost for one in told.suggestions]
    assert costs == sorted(costs)
    assert not any(sets[i] <= sets[j] for i in range(len(sets)) for j in range(i + 1, len(sets))), "dearer, and asks for no less"


def test_nobody_is_told_how_to_lose_the_best_outcome_unless_they_ask(deployed: tuple[Deployed, np.ndarray[Any, Any]]) -> None:
    model, rows = deployed
    policy = default_policies()[model.artifact.type]
    best = [asked(model, row) for row in rows[:80] if outcome(asked(model, row), model, policy, {}) in BEST][:10]
    told = [find_recourse(inputs, model, policy) for inputs in best]
    assert len(told) == 10
    assert {(one.suggestions, one.reason) for one in told} == {((), NoRecourse.ALREADY_BEST)}
    assert set(told[0].to_json()["reason"]["text"]) == {"en", "zh"}
    assert any(find_recourse(inputs, model, policy, Toward.WORSE).suggestions for inputs in best)


def test_there_is_an_honest_reason_where_nothing_helps(deployed: tuple[Deployed, np.ndarray[Any, Any]]) -> None:
    model, rows = deployed
    policy = default_policies()[model.artifact.type]
    inputs = asked(model, rows[0])
    assert find_recourse(inputs, None, policy).reason is NoRecourse.NO_MODEL
    late = replace(inputs, failure=Failure("deadline", "late", policy.default_fallback))
    assert find_recourse(late, model, policy).reason is NoRecourse.FALLBACK
    if model.artifact.type == "acceptance":
        declined = ORDER.model_copy(update={"payment": type("P", (), {"method": None, "status": "declined", "token": None})()})
        told = find_recourse(replace(inputs, order=declined), model, policy)
        assert (told.suggestions, told.reason) == ((), NoRecourse.NOT_BY_FEATURES)
        assert "payment_not_declined" in told.decided_by
        text = told.to_json()["reason"]["text"]
        assert "a better outcome" in text["en"]
        assert "payment_not_declined" in text["en"]
        assert "payment_not_declined" in text["zh"]


def lever(thresholds: Sequence[float], *, whole: bool = False, least: float = 0.0, most: float = math.inf) -> Lever:
    card = FeatureCard("x", {"en": "x", "zh": "x"}, Shown.NUMBER, "", "X", "g", 5.0)
    return Lever(card, 0, whole, least, most, tuple(thresholds), (), 0.1)


@pytest.mark.parametrize(
    ("made", "before", "values"),
    [
        (lever([2.5, 7.25]), 3.0, (2.0, 8.0)),
        (lever([2.5, 7.25], whole=True), 3.0, (2.0, 8.0)),
        (lever([2.05, 2.06]), 3.0, (2.06, 2.0)),
        (lever([2.05, 2.06]), 1.0, (2.06, 3.0)),
        (lever([-3.0]), 1.0, ()),
        (lever([-3.0], least=-math.inf), 1.0, (-3.0,)),
        (lever([0.5, 0.9], most=1.0), 0.2, (0.6, 1.0)),
        (lever([4.2, 4.8], whole=True), 4.0, (5.0,)),
        (lever([3.0]), 3.0, (4.0,)),
        (lever([3.0]), math.nan, (5.0, 3.0)),
    ],
)
def test_one_value_for_each_step_of_the_trees_the_nearest_and_plainest(made: Lever, before: float, values: tuple[float, ...]) -> None:
    found = made.values(before)
    assert found == values
    edges = [-math.inf, *made.thresholds, math.inf]
    steps = [sum(edge < value for edge in edges) for value in found]
    assert len(set(steps)) == len(steps)
    assert math.isnan(before) or sum(edge < before for edge in edges) not in steps
