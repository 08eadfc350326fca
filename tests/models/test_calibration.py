from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import CalibrationImpossible, Calibrator, ClassCalibrator, ConformalInterval, Curve, calibrator_from_json
from models.links import sigmoid_many, softmax_many


def sample(truth, rows: int, seed: int, spread: float = 1.5):
    rng = np.random.default_rng(seed)
    margins = rng.normal(size=rows) * spread
    return margins, (rng.random(rows) < truth(margins)).astype(float)


def plain(m):
    return sigmoid_many(0.8 * m - 1)


def overconfident(m):
    return sigmoid_many(0.3 * m)


def rare(m):
    return sigmoid_many(1.3 * m - 4)


def saturating(m):
    return 0.05 + 0.85 * sigmoid_many(3 * m)


def kinked(m):
    return sigmoid_many(np.where(m > 0, 2 * m, 0.3 * m) - 2)


TRUTHS = [plain, overconfident, rare, saturating, kinked]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 400), st.sampled_from(TRUTHS), st.sampled_from([0, 1, 6]))
def test_ranking_survives_and_the_interval_holds_the_probability(seed, rows, truth, digits):
    margins, labels = sample(truth, rows, seed)
    margins = np.round(margins, digits)  # ties, too
    if labels.min() == labels.max():
        labels[0] = 1 - labels[0]
    calibrator = Calibrator.fit(margins, labels)
    distinct = np.unique(margins)
    p = calibrator.probabilities(distinct)
    told = [calibrator.confidence(m) for m in distinct.tolist()]
    assert (np.diff(p) > 0).all()
    assert [one.probability for one in told] == p.tolist()
    assert all(0 <= one.low <= one.probability <= one.high <= 1 for one in told)
    far = calibrator.probabilities(np.array([-1e9, -100.0, 100.0, 1e9]))
    assert (np.diff(far) >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("truth", TRUTHS)
def test_interval_covers_the_true_rate(truth):
    """Nine scores in ten, over repeated calibrations, for smooth, kinked and saturating truths."""
    covered, errors = [], []
    scores = np.random.default_rng(7).normal(size=200) * 1.5
    for seed in range(12):
        calibrator = Calibrator.fit(*sample(truth, 3000, seed))
        told = [calibrator.confidence(score) for score in scores.tolist()]
        true = truth(scores)
        covered.append(np.mean([one.low <= rate <= one.high for one, rate in zip(told, true, strict=True)]))
        errors.append(np.abs(calibrator.probabilities(scores) - true).mean())
    assert np.mean(covered) >= 0.9
    assert np.mean(errors) < 0.03


def test_more_rows_narrow_the_interval():
    widths = []
    for rows in (100, 1000, 10_000):
        told = Calibrator.fit(*sample(plain, rows, 1)).confidence(0.5)
        widths.append(told.high - told.low)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.slow
def test_simple_is_kept_where_it_is_enough_and_left_where_it_is_not():
    straight = [Calibrator.fit(*sample(plain, 3000, seed)).method for seed in range(10)]
    bent = [Calibrator.fit(*sample(saturating, 3000, seed)).method for seed in range(10)]
    assert straight.count("sigmoid") >= 8
    assert bent.count("sigmoid") == 0


def test_the_best_out_of_fold_loss_is_what_is_chosen():
    calibrator = Calibrator.fit(*sample(kinked, 3000, 3))
    assert set(calibrator.measured) >= {"sigmoid", "isotonic", "venn_abers"}
    assert calibrator.measured[calibrator.method]["log_loss"] == min(figures["log_loss"] for figures in calibrator.measured.values())


def test_a_model_without_skill_gets_the_base_rate():
    rng = np.random.default_rng(5)
    labels = (rng.random(2000) < 0.1).astype(float)
    calibrator = Calibrator.fit(rng.normal(size=2000), labels)
    assert calibrator.confidence(0.0).probability == pytest.approx(labels.mean(), abs=0.01)
    backwards = Calibrator.fit(-labels + rng.normal(size=2000) * 0.1, labels)
    assert backwards.curve.rises
    constant = Calibrator.fit(np.zeros(2000), labels)
    assert constant.confidence(0.0).probability == pytest.approx(labels.mean(), abs=0.01)


def test_the_order_of_rows_does_not_matter():
    margins, labels = sample(saturating, 1500, 2)
    turned = Calibrator.fit(margins[::-1], labels[::-1])
    assert turned.probabilities(margins) == pytest.approx(Calibrator.fit(margins, labels).probabilities(margins), abs=1e-9)


@pytest.mark.parametrize(
    ("margins", "labels", "message"),
    [
        (np.arange(19.0), np.arange(19) % 2, "at least 20"),
        (np.arange(100.0), np.zeros(100), "same outcome"),
    ],
)
def test_says_why_it_cannot(margins, labels, message):
    with pytest.raises(CalibrationImpossible, match=message):
        Calibrator.fit(margins, labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_margin_that_is_no_number_is_refused(bad):
    margins, labels = sample(plain, 100, 0)
    margins[3] = bad
    with pytest.raises(ValueError, match="finite"):
        Calibrator.fit(margins, labels)


@given(
    st.lists(st.tuples(st.integers(-5000, 5000), st.floats(0.001, 5)), min_size=1, max_size=8, unique_by=lambda pair: pair[0]),
    st.lists(st.floats(-100, 100), min_size=1, max_size=20),
)
def test_a_curve_is_the_same_for_one_and_many(points, at):
    knots = tuple(sorted(x / 100 for x, _ in points))
    curve = Curve(knots, tuple(np.cumsum([step for _, step in points]).tolist()), 0.5, 2.0)
    assert curve.rises
    assert curve.at_many(np.array(at)).tolist() == [curve.at(x) for x in at]
    assert [curve.at(x) for x in knots] == pytest.approx(list(curve.heights))


class TestClasses:
    def sample(self, rows: int, seed: int, heat: float = 2.5):
        rng = np.random.default_rng(seed)
        true = rng.normal(size=(rows, 3)) * 1.2
        p = softmax_many(true)
        labels = (rng.random(rows)[:, None] > p.cumsum(axis=1)).sum(axis=1)
        return true * heat, labels

    def test_temperature_undoes_overconfidence(self):
        calibrator = ClassCalibrator.fit(*self.sample(5000, 0))
        assert calibrator.temperature == pytest.approx(2.5, rel=0.1)

    def test_probabilities_and_interval_belong_together(self):
        margins, labels = self.sample(2000, 1)
        calibrator = ClassCalibrator.fit(margins, labels)
        many = calibrator.probabilities(margins[:50])
        for row, expected in zip(margins[:50], many, strict=True):
            told = calibrator.confidence(row)
            assert list(calibrator.of(row)) == expected.tolist()
            assert told.probability == max(expected)
            assert 0 <= told.low <= told.probability <= told.high <= 1
            assert expected.argmax() == row.argmax()

    def test_a_model_that_is_always_right_keeps_a_doubt(self):
        margins = np.eye(3)[np.arange(300) % 3] * 9
        told = ClassCalibrator.fit(margins, np.arange(300) % 3).confidence(margins[0])
        assert told.low < 1


class TestInterval:
    @pytest.mark.parametrize("rows", [25, 300, 3000])
    def test_holds_its_level_on_new_rows(self, rows):
        rng = np.random.default_rng(rows)
        held = []
        for _ in range(40):
            predictions = rng.gamma(2, 10, rows + 500)
            targets = predictions + rng.normal(size=rows + 500) * predictions * 0.2
            interval = ConformalInterval.fit(predictions[:rows], targets[:rows])
            told = [interval.confidence(value) for value in predictions[rows:].tolist()]
            held += [one.low <= target <= one.high for one, target in zip(told, targets[rows:].tolist(), strict=True)]
        assert 0.88 <= np.mean(held) <= 0.97

    def test_is_wider_where_the_model_errs_more(self):
        rng = np.random.default_rng(0)
        predictions = rng.gamma(2, 10, 4000)
        interval = ConformalInterval.fit(predictions, predictions + rng.normal(size=4000) * predictions * 0.2)
        small, large = interval.confidence(3.0), interval.confidence(60.0)
        assert large.high - large.low > 3 * (small.high - small.low)

    def test_equal_predictions_share_one_range(self):
        assert ConformalInterval.fit(np.zeros(3000), np.arange(3000.0)).edges == ()

    def test_too_few_rows(self):
        with pytest.raises(CalibrationImpossible, match="at least 20"):
            ConformalInterval.fit(np.zeros(19), np.zeros(19))


def test_json_brings_back_the_same_bits():
    margins, labels = sample(saturating, 800, 0)
    three = np.column_stack([margins, -margins, margins * 0])
    for calibrator in (
        Calibrator.fit(margins, labels),
        ClassCalibrator.fit(three, labels.astype(int)),
        ConformalInterval.fit(margins, margins + labels),
    ):
        assert calibrator_from_json(json.loads(json.dumps(calibrator.to_json(), allow_nan=False))) == calibrator


@pytest.mark.parametrize("entry", [{"kind": "other"}, {}, {"kind": "binary"}, {"kind": "classes", "temperature": -1, "top": {}}])
def test_other_json_is_refused(entry):
    with pytest.raises((ValueError, KeyError, TypeError)):
        calibrator_from_json(entry)
