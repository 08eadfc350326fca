"""Metrics whose truth is known."""

import numpy as np
import pytest

from training.evaluation import calibration_error, calibration_line, compare, evaluate
from training.table import Slice, TrainingTable

ROWS = 6_000


def table(probability, **more):
    rng = np.random.default_rng(3)
    label = (rng.random(len(probability)) < probability).astype(float)
    return TrainingTable(("x",), np.zeros((len(label), 1)), label, ("0", "1"), **more)


@pytest.fixture(scope="module")
def probability():
    return 1 / (1 + np.exp(2 - np.random.default_rng(2).normal(0, 1.3, ROWS)))


def test_true_probabilities_are_calibrated_and_reach_the_ceiling(probability):
    found = evaluate(table(probability, p_knowable=probability), np.arange(ROWS), probability)
    assert found.metrics["calibration_slope"].low < 1 < found.metrics["calibration_slope"].high
    assert found.metrics["calibration_intercept"].low < 0 < found.metrics["calibration_intercept"].high
    assert found.metrics["ece"].value < 0.02
    assert found.ceiling == pytest.approx(found.metrics["auc"].value)
    assert sum(part.rows for part in found.reliability) == ROWS


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_the_slope_tells_over_and_under_confidence(probability, slope):
    logit = np.log(probability / (1 - probability))
    said = 1 / (1 + np.exp(-(logit / slope + 0.3)))
    event = table(probability).label
    found, intercept = calibration_line(event, said, np.ones(ROWS))
    assert found == pytest.approx(slope, rel=0.12)
    assert intercept == pytest.approx(-0.3 * slope, abs=0.15)


@pytest.mark.parametrize("rate", [-7, -4, 0, 4])
def test_the_slope_is_that_of_a_logistic_regression(rate):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)
    logit = rng.standard_t(2, 20_000) + rate
    event = (rng.random(20_000) < 1 / (1 + np.exp(-1.4 * logit))).astype(float)
    clipped = np.clip(logit, -16, 16)
    expected = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1_000).fit(clipped[:, None], event)
    slope, intercept = calibration_line(event, 1 / (1 + np.exp(-clipped)), np.ones(20_000))
    assert slope == pytest.approx(expected.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(expected.intercept_[0], abs=1e-2)


def test_the_calibration_error_is_the_mean_gap():
    event = np.r_[np.ones(50), np.zeros(50)]
    assert calibration_error(event, np.full(100, 0.5), np.ones(100), bins=1) == pytest.approx(0)
    assert calibration_error(event, np.full(100, 0.3), np.ones(100), bins=1) == pytest.approx(0.2)
    said = np.r_[np.full(50, 0.9), np.full(50, 0.2)]
    assert calibration_error(event, said, np.ones(100), bins=2) == pytest.approx(0.15)


def test_weights_count_rows(probability):
    event = table(probability).label
    twice = np.repeat(np.arange(ROWS), 2)
    once = calibration_line(event, probability, np.full(ROWS, 2.0))
    assert once == pytest.approx(calibration_line(event[twice], probability[twice], np.ones(2 * ROWS)))
    assert calibration_error(event, probability, np.full(ROWS, 2.0)) == pytest.approx(
        calibration_error(event[twice], probability[twice], np.ones(2 * ROWS)), abs=1e-3
    )


def test_rows_that_come_in_groups_widen_the_interval(probability):
    groups = np.repeat(np.arange(ROWS // 20), 20)
    shared = probability[groups]
    rng = np.random.default_rng(8)
    label = (rng.random(ROWS // 20) < probability[: ROWS // 20]).astype(float)[groups]
    alone = TrainingTable(("x",), np.zeros((ROWS, 1)), label, ("0", "1"))
    together = TrainingTable(("x",), np.zeros((ROWS, 1)), label, ("0", "1"), group=groups)
    narrow, wide = (evaluate(one, np.arange(ROWS), shared).metrics["auc"] for one in (alone, together))
    assert narrow.value == wide.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_same_rows_give_the_same_report(probability):
    one = evaluate(table(probability), np.arange(ROWS), probability).to_json()
    assert one == evaluate(table(probability), np.arange(ROWS), probability).to_json()


def test_slices_tell_large_segments_only(probability):
    codes = np.where(np.arange(ROWS) < 50, 0, np.where(np.arange(ROWS) < 3_000, 1, -1))
    found = evaluate(table(probability, slices={"region": Slice(codes, ("tiny", "large"))}), np.arange(ROWS), probability)
    assert [(one.segment, one.rows) for one in found.slices] == [("large", 2_950)]


def test_a_better_model_is_told_from_an_equal_one(probability):
    event = table(probability).label
    noisy = probability + np.random.default_rng(1).normal(0, 0.2, ROWS)
    better = compare(event, probability, noisy)
    assert better.low > 0
    assert compare(event, probability, probability).value == 0


def test_several_classes_and_numbers_are_judged():
    rng = np.random.default_rng(5)
    shares = rng.dirichlet([1, 1, 1], 2_000)
    label = np.array([rng.choice(3, p=share) for share in shares]).astype(float)
    classes = TrainingTable(("x",), np.zeros((2_000, 1)), label, ("a", "b", "c"))
    found = evaluate(classes, np.arange(2_000), shares).metrics
    assert found["ece"].value < 0.04
    assert found["auc"].value > 0.75
    value = rng.normal(0, 1, 2_000)
    numbers = TrainingTable(("x",), np.zeros((2_000, 1)), value + rng.normal(0, 0.5, 2_000), ())
    found = evaluate(numbers, np.arange(2_000), value, (value - 0.82, value + 0.82)).metrics
    assert found["rmse"].value == pytest.approx(0.5, abs=0.03)
    assert found["r2"].value == pytest.approx(0.8, abs=0.03)
    assert found["coverage"].value == pytest.approx(0.9, abs=0.03)


def test_a_model_that_says_the_same_of_every_row_has_no_calibration_line() -> None:
    rng = np.random.default_rng(3)
    said = 0.3 + rng.normal(0, 1e-7, 500)
    assert np.isnan(calibration_line((rng.random(500) < 0.3).astype(float), said, np.ones(500))).all()
