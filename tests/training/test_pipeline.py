"""The pipeline on tables whose truth is known."""

import itertools

import numpy as np
import pytest

from feature_store.problems import DataRefused
from feature_store.ranks import auc
from feature_store.times import DAY
from models.artifact import digest_of
from models.features import FeatureCard, Shown
from models.scorer import TreeScorer
from training import boosting, pipeline, tuning
from training.boosting import MAX_DEPTH, Recipe
from training.pipeline import TrainingSpec, best_threshold, build, train
from training.progress import Progress, TrainingCancelled, silent
from training.splits import split
from training.table import TrainingTable
from training.tuning import tune

ROWS = 4_000
SMALL = Recipe({"num_leaves": 4, "learning_rate": 0.1, "min_data_in_leaf": 20}, 40, 100_000)


def cards(rows):
    words = {"en": "a measure", "zh": "指标"}
    return tuple(
        FeatureCard(f"x{i}", words, Shown.NUMBER, "", f"X{i}", f"x{i}", float(np.nanmedian(rows[:, i]))) for i in range(rows.shape[1])
    )


def make(task="binary", seed=0, drift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 4))
    x[:, 3] = rng.integers(0, 5, ROWS)
    time = np.arange(ROWS) * DAY // 20
    signal = 1.2 * x[:, 0] - 0.8 * x[:, 1] * (x[:, 3] > 2) + drift * np.arange(ROWS) / ROWS
    p = 1 / (1 + np.exp(1.7 - signal))
    x[rng.random(ROWS) < 0.1, 2] = np.nan
    names = ("x0", "x1", "x2", "x3")
    if task == "binary":
        return TrainingTable(names, x, (rng.random(ROWS) < p).astype(float), ("0", "1"), (3,), time, p_knowable=p)
    if task == "multiclass":
        label = np.digitize(signal + rng.logistic(size=ROWS), [-0.8, 1.2]).astype(float)
        return TrainingTable(names, x, label, ("low", "mid", "high"), (3,), time)
    return TrainingTable(names, x, signal + rng.normal(0, 0.5, ROWS), (), (3,), time)


def spec(event="late", trials=3):
    return TrainingSpec("demo", "demo", event, trials=trials)


@pytest.fixture(scope="module")
def trained():
    seen = []
    return train(make(), spec(), cards, seen.append), seen


def test_a_model_comes_close_to_what_can_be_known_and_says_how_sure_it_is(trained):
    model, _ = trained
    metrics = model.evaluation.metrics
    assert metrics["auc"].value > model.evaluation.ceiling - 0.03
    assert 0.8 < metrics["calibration_slope"].value < 1.25
    assert metrics["ece"].value < metrics["base_rate"].value / 5
    assert metrics["auc"].low < metrics["auc"].value < metrics["auc"].high


def test_progress_rises_and_names_its_stages(trained):
    _, seen = trained
    assert all(a.share <= b.share for a, b in itertools.pairwise(seen))
    assert {"splitting", "tuning", "building", "calibrating", "evaluating"} <= {one.stage for one in seen}


def test_what_is_built_again_from_the_recipe_has_the_same_digest(trained):
    model, _ = trained
    contents, evaluation = build(make(), spec(), model.recipe, cards)
    assert digest_of(contents) == digest_of(model.contents)
    assert evaluation.to_json() == model.evaluation.to_json()
    other, _ = build(make(seed=1), spec(), model.recipe, cards)
    assert digest_of(other) != digest_of(model.contents)


def test_so_many_trials_end_the_same_whatever_the_clock_says(trained):
    model, _ = trained
    assert len(model.trials) == 3
    hurried = itertools.count(step=1e6)
    again = tune(make(), model.split.folds, spec().budget_s, silent, most_trials=3, clock=lambda: next(hurried))
    assert again.recipe == model.recipe
    assert [trial.loss for trial in again.trials] == [trial.loss for trial in model.trials]


def test_the_recipe_survives_json(trained):
    model, _ = trained
    assert Recipe.from_json(model.contents.training["recipe"]) == model.recipe


def test_no_tree_is_deeper_than_the_kernel_explains(trained):
    model, _ = trained
    assert TreeScorer.from_text(model.contents.model_text).widest <= MAX_DEPTH


def test_the_report_is_json_and_the_artifact_holds_no_clock(trained):
    import orjson

    model, _ = trained
    assert orjson.loads(orjson.dumps(model.report()))["seconds"]
    assert "seconds" not in str(model.contents.training)


@pytest.mark.parametrize(("task", "event"), [("multiclass", "speed"), ("regression", "")])
def test_several_classes_and_numbers_are_learnt(task, event):
    table = make(task)
    contents, evaluation = build(table, spec(event), Recipe(SMALL.params, 60, 100_000), cards)
    assert contents.task.value == task
    assert contents.threshold is None
    if task == "multiclass":
        assert evaluation.metrics["auc"].value > 0.7
    else:
        assert evaluation.metrics["r2"].value > 0.5
        assert evaluation.metrics["coverage"].value == pytest.approx(0.9, abs=0.05)


def test_the_newest_rows_judge_and_are_never_learnt_from(monkeypatch):
    table = make()
    parts = split(table)
    fitted = []
    original = boosting.fit
    monkeypatch.setattr(pipeline.boosting, "fit", lambda t, rows, recipe: (fitted.append(rows), original(t, rows, recipe))[1])
    build(table, spec(), SMALL, cards)
    assert len(fitted) == 6
    for rows in fitted:
        assert table.time[rows].max() < table.time[parts.test].min()


def test_a_training_stops_when_it_is_told_to():
    def stop(progress: Progress):
        if progress.stage == "tuning":
            raise TrainingCancelled

    with pytest.raises(TrainingCancelled):
        train(make(), spec(), cards, stop)


def test_tuning_ends_with_its_budget():
    table = make()
    ticks = itertools.count(step=0.05)
    tuned = tune(table, split(table).folds, 20.0, lambda _: None, clock=lambda: next(ticks))
    spent = next(ticks)
    assert 1 <= len(tuned.trials) < len(tuning.LADDER)
    assert spent <= 20.0
    assert tuned.recipe.rounds >= 10


def test_fraud_is_tried_with_fine_bins_too_and_other_types_as_before():
    assert tuning.ladder_for("acceptance") == tuning.LADDER
    ladder = tuning.ladder_for("fraud")
    assert ladder[:4] == tuning.LADDER[:4], "a small budget tries the same"
    assert sorted(map(str, ladder)) == sorted(map(str, (*tuning.LADDER, *tuning.FINE_LADDER)))


def test_an_amount_that_only_frauds_have_is_told_from_honest_ones():
    rng = np.random.default_rng(4)
    amounts = rng.integers(0, 4_000, ROWS).astype(float)
    fraud = (rng.random(ROWS) < 0.05).astype(float)
    amounts[fraud == 1] = 200.5 + 200 * rng.integers(0, 18, int(fraud.sum()))  # each in fewer than a 255th of the rows
    table = TrainingTable(("amount",), amounts[:, None], fraud, ("0", "1"), time=np.arange(ROWS) * DAY // 20)
    fine, coarse = (train(table, TrainingSpec("f", "fraud", "fraud", trials=5, ladder=ladder), cards) for ladder in (None, tuning.LADDER))
    assert fine.recipe.params["max_bin"] == 8191
    told = [model.evaluation.metrics["average_precision"].value for model in (fine, coarse)]
    assert told[0] > told[1] + 0.1


def test_a_budget_too_small_for_anything_still_tries_one_configuration():
    table = make()
    assert len(tune(table, split(table).folds, 0.001, lambda _: None).trials) == 1


def test_the_threshold_separates_what_can_be_separated():
    probability = np.r_[np.linspace(0, 0.3, 50), np.linspace(0.6, 1, 20)]
    event = np.arange(70) >= 50
    assert 0.3 < best_threshold(probability, event) < 0.6


@pytest.mark.parametrize("where", ["test", "develop"])
def test_one_outcome_on_one_side_is_refused_with_a_reason(where):
    table = make()
    late = np.arange(ROWS) >= 3_200
    label = np.where(late == (where == "test"), 0.0, table.label)
    with pytest.raises(DataRefused) as caught:
        train(TrainingTable(table.names, table.features, label, ("0", "1"), time=table.time), spec(), cards)
    assert caught.value.problems[0].code == "one_class_target"
    assert "'1'" in caught.value.problems[0].msg


def test_too_few_rows_are_refused():
    table = make()
    few = slice(0, 150)
    with pytest.raises(DataRefused) as caught:
        train(TrainingTable(table.names, table.features[few], table.label[few], ("0", "1"), time=table.time[few]), spec(), cards)
    assert {problem.code for problem in caught.value.problems} == {"too_few_rows"}


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_too_few_groups_are_refused(task):
    table = make(task)
    pair = TrainingTable(table.names, table.features, table.label, table.classes, group=np.arange(ROWS) % 2)
    with pytest.raises(DataRefused) as caught:
        train(pair, spec(), cards)
    assert "groups" in caught.value.problems[0].msg


def test_the_margins_of_the_artifact_are_those_that_were_judged(trained):
    model, _ = trained
    table = make()
    rows = model.split.test
    margins = TreeScorer.from_text(model.contents.model_text).margins(table.features[rows])[:, 0]
    assert auc(margins, table.label[rows] == 1) == pytest.approx(model.evaluation.metrics["auc"].value, abs=1e-12)
