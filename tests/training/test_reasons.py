"""The first reason holds: moving its feature to the usual value moves the margin back. On models of the simulated world, through the pipeline."""

from __future__ import annotations

import numpy as np
import pytest

from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.views import SERVICES
from governance.opinion import Deployed, form_opinion
from governance.values import ModelUse
from models.artifact import ModelArtifact
from models.features import cards_of_views
from models.reasons import REST
from models.scorer import TreeScorer
from models.specs import SPECS
from training.history import History, build_history
from training.pipeline import TrainedModel, TrainingSpec, train
from training.prepare import from_history
from training.world import simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ORDERS, SEED, DECISIONS = 12_000, 41, 600
RIGHT = 0.95


@pytest.fixture(scope="module")
def history() -> History:
    return build_history(simulate(ORDERS, SEED).stream())


def deployed(kind: str, history: History) -> tuple[Deployed, TrainedModel]:
    service = SERVICES[kind]
    spec = TrainingSpec(kind, kind, SPECS[kind].event, view_version=service.view_version, trials=1)
    model = train(from_history(history.frames[kind]), spec, lambda rows: cards_of_views(service.features, rows))
    artifact = ModelArtifact("sha256:" + "0" * 64, model.contents, TreeScorer.from_text(model.contents.model_text))
    return Deployed(artifact, ModelUse(kind, 1, artifact.digest)), model


@pytest.mark.parametrize("kind", ["acceptance", "fraud", "split-order"])
def test_the_first_reason_s_feature_moves_the_margin_the_right_way(history: History, kind: str) -> None:
    answers, model = deployed(kind, history)
    frame, scorer, cards = history.frames[kind], answers.artifact.scorer, answers.artifact.features
    place = {card.name: index for index, card in enumerate(cards)}
    chosen = np.random.default_rng(7).choice(model.split.test, DECISIONS, replace=False)
    right, principal = [], []
    for row in chosen.tolist():
        values = frame.features[row]
        nothing = (None,) * len(frame.names)
        opinion = form_opinion(answers, FeatureSnapshot(frame.names, values, nothing, (Origin.STORE,) * len(frame.names), "v", 0))
        first = opinion.reasons[0]
        assert first.feature is not None
        index = place[first.feature]
        usual, moved = cards[index].usual, values.copy()
        moved[index] = np.nan if usual is None else usual
        change = float(scorer.margin(moved)[0]) - opinion.explanation.margin
        right.append(change < 0 if first.direction == "raises" else change > 0)
        # The group of the strongest contribution is among the four that the answer shows.
        groups: dict[str, float] = {}
        for card, part in zip(cards, opinion.explanation.contributions.tolist(), strict=True):
            groups[card.group] = groups.get(card.group, 0.0) + part
        strongest = max(groups, key=lambda group: abs(groups[group]))
        shown = {cards[place[reason.feature]].group for reason in opinion.reasons[:4] if reason.feature is not None}
        principal.append(strongest in shown)
        told = [reason for reason in opinion.reasons if reason.code != REST]
        assert all(reason.contribution for reason in told), "only what was scored"
    assert np.mean(right) >= RIGHT, f"{np.mean(right):.3f}"
    assert all(principal)
