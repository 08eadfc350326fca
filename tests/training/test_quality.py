"""How near the models come to what can be known, on a simulated world, through the pipeline that a user's file takes."""

from __future__ import annotations

import numpy as np
import pytest

from feature_store.views import SERVICES
from models.features import cards_of_views
from models.specs import SPECS
from training.history import History, build_history
from training.pipeline import TrainingSpec, train
from training.prepare import from_history
from training.world import simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ORDERS, SEED = 60_000, 5


@pytest.fixture(scope="module")
def history() -> History:
    return build_history(simulate(ORDERS, SEED).stream())


@pytest.mark.parametrize("kind", ["acceptance", "fraud"])
def test_models_come_near_to_what_can_be_known(history: History, kind: str) -> None:
    service = SERVICES[kind]
    spec = TrainingSpec(kind, kind, SPECS[kind].event, view_version=service.view_version, budget_s=20)
    evaluation = train(from_history(history.frames[kind]), spec, lambda rows: cards_of_views(service.features, rows)).evaluation
    metrics = {name: found.value for name, found in evaluation.metrics.items()}
    assert evaluation.ceiling is not None
    assert metrics["auc"] is not None
    assert metrics["auc"] > evaluation.ceiling - 0.06
    assert metrics["calibration_slope"] is not None
    assert 0.8 <= metrics["calibration_slope"] <= 1.2
    assert metrics["ece"] is not None
    assert metrics["base_rate"] is not None
    assert metrics["ece"] <= metrics["base_rate"] / 5


def test_the_ceiling_is_no_giveaway(history: History) -> None:
    """What can be known is well above chance and well below certainty: a model that came nearer than that has seen the answer."""
    for frame in history.frames.values():
        order = np.argsort(frame.p_knowable)
        ranks = np.empty(len(order))
        ranks[order] = np.arange(1, len(order) + 1)
        events = frame.label == 1
        auc = (ranks[events].sum() - events.sum() * (events.sum() + 1) / 2) / (events.sum() * (~events).sum())
        assert 0.7 < auc < 0.97
