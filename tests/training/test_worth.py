"""A model judged by its policy: what it saves, whom it refuses, and the causes that it learnt."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from feature_store.times import DAY
from governance.costs import CAUSES
from governance.facts import Case
from governance.policy_document import default_policies
from models.artifact import digest_of
from models.features import FeatureCard, Shown
from training.boosting import Recipe
from training.causes import FEWEST_OF_A_CAUSE, learn_causes
from training.pipeline import TrainingSpec, build
from training.splits import split
from training.table import Slice, TrainingTable
from training.worth import Predictions, judge_policy

ROWS = 4_000
POLICIES = default_policies()
RECIPE = Recipe({"num_leaves": 4, "learning_rate": 0.1, "min_data_in_leaf": 20}, 40, 100_000)


def world(kind: str = "acceptance", seed: int = 0) -> tuple[TrainingTable, np.ndarray]:
    """Orders whose failure and its cause follow two features, frauds are rarer; the south is truly worse. With the true probability of each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 3))
    south = rng.random(ROWS) < 0.3
    x[:, 2] = south
    p = 1 / (1 + np.exp((1.6 if kind == "acceptance" else 4.0) - 1.3 * x[:, 0] - 0.8 * south))
    event = rng.random(ROWS) < p
    cause = np.where(x[:, 1] > 0.5, 0, np.where(x[:, 1] < -0.5, 2, 1))
    cause = np.where(rng.random(ROWS) < 0.15, rng.integers(0, 3, ROWS), cause)
    amount = np.exp(rng.normal(5.5, 0.8, ROWS))
    cases = tuple(
        Case(a, 2.0, 1.0, "CNY", "south" if s else "east", "CN", "app", (), "gold", "card", "authorised", 72.0, 100.0, True)
        for a, s in zip(amount.tolist(), south.tolist(), strict=True)
    )
    return TrainingTable(
        names=("x0", "x1", "x2"),
        features=x,
        label=event.astype(np.float64),
        classes=("0", "1"),
        time=np.arange(ROWS) * DAY // 20,
        slices={"region": Slice(south.astype(np.int64), ("east", "south"))},
        cause=Slice(np.where(event, cause, -1), CAUSES) if kind == "acceptance" else None,
        cases=cases,
    ), p


def told(probability: np.ndarray, shares: np.ndarray | None = None) -> Predictions:
    near = np.full(len(probability), 0.02)
    return Predictions("event", ("0", "1"), probability, probability - near, probability + near, 0.9, 0.3, shares)


def cards(rows: np.ndarray) -> tuple[FeatureCard, ...]:
    words = {"en": "a measure", "zh": "指标"}
    return tuple(FeatureCard(f"x{i}", words, Shown.NUMBER, "", f"X{i}", f"x{i}", 0.0) for i in range(rows.shape[1]))


@pytest.mark.parametrize("kind", ["acceptance", "fraud"])
def test_knowing_the_probability_saves_money_and_knowing_nothing_saves_none(kind: str) -> None:
    table, p = world(kind)
    test = np.arange(2_500, ROWS)
    knowing, guessing = (judge_policy(table, test, told(q[test]), POLICIES[kind]) for q in (p, np.full(ROWS, p.mean())))
    saved = knowing["money"]["saved_by_the_model"]
    assert saved["low"] > 0
    assert guessing["money"]["saved_by_the_model"]["value"] < saved["value"]
    assert sum(one["value"] for one in knowing["outcomes"].values()) == pytest.approx(1.0)
    assert knowing["policy"]["digest"] == POLICIES[kind].digest
    costs = knowing["money"]["per_thousand_orders"]
    assert saved["value"] == pytest.approx(costs["rules_only"]["value"] - costs["with_model"]["value"], abs=0.02)


def test_a_region_that_is_truly_worse_is_refused_more_often_and_the_report_says_so() -> None:
    table, p = world()
    test = np.arange(1_500, ROWS)
    fairness = judge_policy(table, test, told(p[test]), POLICIES["acceptance"])["fairness"]
    east, south = fairness["segments"]
    assert (east["segment"], south["segment"]) == ("east", "south")
    assert south["event_rate"]["low"] > east["event_rate"]["high"]
    assert south["accept_rate"]["high"] < east["accept_rate"]["low"]
    gap = next(gap for gap in fairness["gaps"] if gap["measure"] == "false_alarm_rate")
    assert (gap["highest"], gap["clear"]) == ("south", True)


def test_what_the_rows_did_not_keep_is_judged_by_the_threshold() -> None:
    table, p = world()
    bare = dataclasses.replace(table, cases=())
    found = judge_policy(bare, np.arange(ROWS), told(p), POLICIES["acceptance"])
    assert set(found) == {"rows", "fairness"}
    (east, south) = found["fairness"]["segments"]
    assert south["accept_rate"]["value"] == pytest.approx((p[table.slices["region"].codes == 1] < 0.3).mean(), abs=1e-5)
    assert east["rows"] + south["rows"] == ROWS


def test_causes_are_learnt_from_what_tells_them_and_add_up() -> None:
    table, _ = world()
    parts = split(table)
    causes = learn_causes(table, parts)
    assert causes is not None
    rows = parts.test[table.label[parts.test] == 1]
    assert table.cause is not None
    guess = causes.shares_many(table.features[rows]).argmax(axis=1)
    assert (guess == table.cause.codes[rows]).mean() > 0.8, "a tenth is chance, as the world was made"
    assert learn_causes(table, parts) == causes, "a pure function of table and split"


def test_the_pipeline_keeps_causes_and_worth_in_the_card() -> None:
    table, _ = world()
    spec = TrainingSpec("acceptance", "acceptance", "fulfilment_failure", policy=POLICIES["acceptance"])
    contents, evaluation = build(table, spec, RECIPE, cards)
    assert contents.causes is not None
    assert contents.causes.names == CAUSES
    assert evaluation.policy is not None
    assert contents.training["evaluation"]["policy"]["money"]["currency"] == "CNY"
    for cause in evaluation.causes:
        assert cause["ece"] is not None
        assert cause["ece"] < 0.03
        assert cause["auc"] is not None
        assert cause["auc"] > 0.7
    observed = sum(cause["observed"] for cause in evaluation.causes)
    assert observed == pytest.approx(evaluation.metrics["base_rate"].value, abs=1e-5)
    coverage = evaluation.metrics["coverage"].value
    assert coverage is not None
    assert coverage >= 0.75
    assert digest_of(build(table, spec, RECIPE, cards)[0]) == digest_of(contents)


def test_a_cause_that_hardly_occurs_is_not_learnt() -> None:
    table, _ = world()
    assert table.cause is not None
    rare = np.where(table.cause.codes == 1, 0, table.cause.codes)
    rare[np.flatnonzero(table.cause.codes == 1)[: FEWEST_OF_A_CAUSE // 2]] = 1
    assert learn_causes(dataclasses.replace(table, cause=Slice(rare, CAUSES)), split(table)) is None
    assert learn_causes(dataclasses.replace(table, cause=None), split(table)) is None
