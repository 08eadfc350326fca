"""How near the models come to what can be known, on a simulated world, through the pipeline that a user's file takes."""

from __future__ import annotations

import numpy as np
import pytest

from feature_store.views import SERVICES
from models.calibration import Calibrator
from models.features import cards_of_views
from models.scorer import TreeScorer
from models.specs import SPECS
from training.evaluation import calibration_error, calibration_line
from training.history import History, HistoryFrame, build_history
from training.pipeline import TrainedModel, TrainingSpec, train
from training.prepare import from_history
from training.world import simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ORDERS, SEED = 60_000, 26
"""A world on which nobody has tuned anything."""
FEW_ORDERS, SEEDS = 20_000, (1, 2, 3)
GAP = 0.03
"""How far a model's AUC on the newest fifth may stay behind that of p_knowable."""
TRIALS = 4
"""Configurations tried: counted, so that the outcome is the same under every load."""


@pytest.fixture(scope="module")
def history() -> History:
    return build_history(simulate(ORDERS, SEED).stream())


def trained(kind: str, frame: HistoryFrame) -> TrainedModel:
    service = SERVICES[kind]
    spec = TrainingSpec(kind, kind, SPECS[kind].event, view_version=service.view_version, trials=TRIALS)
    return train(from_history(frame), spec, lambda rows: cards_of_views(service.features, rows))


@pytest.mark.parametrize("kind", ["acceptance", "fraud", "split-order"])
def test_models_come_near_to_what_can_be_known(history: History, kind: str) -> None:
    evaluation = trained(kind, history.frames[kind]).evaluation
    metrics = {name: found.value for name, found in evaluation.metrics.items()}
    assert evaluation.ceiling is not None
    assert metrics["auc"] is not None
    assert evaluation.ceiling - GAP < metrics["auc"] < evaluation.ceiling + 0.005, "nor better than what can be known"
    assert metrics["calibration_slope"] is not None
    assert 0.8 <= metrics["calibration_slope"] <= 1.2
    assert metrics["ece"] is not None
    assert metrics["base_rate"] is not None
    assert metrics["ece"] <= metrics["base_rate"] / 5


def test_few_frauds_are_enough_to_be_calibrated_on() -> None:
    """On small histories, three together: the 70 frauds or so that one is judged on leave more chance in its error than the limit allows.

    The true probability itself missed the limit on 8 of 25 histories of this size.
    """
    told, happened, truth = [], [], []
    for seed in SEEDS:
        frame = build_history(simulate(FEW_ORDERS, seed).stream(), types=["fraud"]).frames["fraud"]
        model = trained("fraud", frame)
        judged = model.split.test
        assert isinstance(model.contents.calibrator, Calibrator)
        margins = TreeScorer.from_text(model.contents.model_text).margins(frame.features[judged])[:, 0]
        told.append(model.contents.calibrator.probabilities(margins))
        happened.append(frame.label[judged].astype(np.float64))
        truth.append(frame.p_knowable[judged])
        assert model.evaluation.metrics["auc"].value is not None
        assert model.evaluation.ceiling is not None
        assert model.evaluation.metrics["auc"].value > model.evaluation.ceiling - 0.06
    p, event, knowable = (np.concatenate(part) for part in (told, happened, truth))
    even = np.ones(len(p))
    assert calibration_error(event, p, even) <= event.mean() / 5
    assert calibration_error(knowable, p, even) <= event.mean() / 5
    assert 0.8 <= calibration_line(event, p, even)[0] <= 1.2


def test_the_ceiling_is_no_giveaway(history: History) -> None:
    """What can be known is well above chance and well below certainty: a model that came nearer than that has seen the answer."""
    for frame in history.frames.values():
        order = np.argsort(frame.p_knowable)
        ranks = np.empty(len(order))
        ranks[order] = np.arange(1, len(order) + 1)
        events = frame.label == 1
        auc = (ranks[events].sum() - events.sum() * (events.sum() + 1) / 2) / (events.sum() * (~events).sum())
        assert 0.7 < auc < 0.97
