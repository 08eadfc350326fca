"""Train on the handbook's week through our pipeline, and be judged on its other week, beside what was published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.ranks import auc, average_precision
from feature_store.views.cards import CARDS, OWN
from feature_store.views.definition import Feature, FeatureService
from models.calibration import Calibrator
from models.features import cards_of_views
from models.scorer import TreeScorer
from training.handbook.features import features_of, service_of
from training.handbook.protocol import LEARN_FROM, TUNE_FROM, Round, card_precision, round_from, span
from training.handbook.transactions import LABEL_DELAY, Transactions
from training.pipeline import TrainedModel, TrainingSpec, train
from training.splits import Split, prescribed
from training.table import Floats, Integers, TrainingTable
from training.tuning import FINE_LADDER

_BUDGET_S = 1e6
"""The number of configurations is given, not the time; all rows are used."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the comparison looks at: area under the ROC curve, average precision, card precision among 100 cards a day."""

    auc: float
    average_precision: float
    card_precision: float


PUBLISHED: Mapping[str, Figures] = {
    "logistic regression": Figures(0.871, 0.606, 0.291),
    "tree of depth 2": Figures(0.763, 0.496, 0.241),
    "unlimited tree": Figures(0.788, 0.309, 0.243),
    "random forest": Figures(0.867, 0.658, 0.287),
    "XGBoost": Figures(0.862, 0.639, 0.273),
}
"""The handbook's baselines on the same rows (chapter 3, "Baseline fraud detection system")."""

BEST_PUBLISHED = Figures(
    *(max(getattr(one, name) for one in PUBLISHED.values()) for name in ("auc", "average_precision", "card_precision"))
)


@dataclass(frozen=True, slots=True)
class Result:
    """One trained model and how it did.

    Attributes:
        name: which features it has.
        features: their names.
        figures: on the judged week.
    """

    name: str
    features: tuple[str, ...]
    model: TrainedModel
    figures: Figures


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the command prints."""

    transactions: int
    learnt: int
    learnt_frauds: int
    judged: int
    judged_frauds: int
    results: tuple[Result, ...]

    def lines(self) -> Iterator[str]:
        """The comparison as text."""
        (learn_first, learn_last), (judge_first, judge_last) = span(LEARN_FROM)
        yield f"{self.transactions:,} transactions, played as events"
        yield f"learnt from {learn_first} to {learn_last}: {self.learnt:,} transactions, {self.learnt_frauds:,} frauds"
        yield f"judged on   {judge_first} to {judge_last}: {self.judged:,} transactions, {self.judged_frauds:,} frauds"
        yield ""
        yield f"{'':34}{'AUC ROC':>9}{'average precision':>20}{'card precision@100':>21}"
        for name, figures in PUBLISHED.items():
            yield _row(f"published: {name}", figures)
        for one in self.results:
            yield _row(f"ours: {one.name}", one.figures)
            found = one.model.evaluation.metrics
            ends = [f"{found[name].low:.3f}–{found[name].high:.3f}" for name in ("auc", "average_precision")]
            yield f"{'  90 % interval, by customer':34}{ends[0]:>9} {ends[1]:>19}"
        for one in self.results:
            recipe = one.model.recipe
            chosen = ", ".join(f"{name} {value}" for name, value in recipe.params.items())
            yield ""
            yield f"{one.name}: {len(one.features)} features, {recipe.rounds} trees; {chosen}"


def _row(name: str, figures: Figures) -> str:
    return f"{name:34}{figures.auc:9.3f}{figures.average_precision:20.3f}{figures.card_precision:21.3f}"


FEATURE_SETS: Mapping[str, tuple[Feature, ...]] = {"the handbook's 15 features": CARDS, "with our own features": (*CARDS, *OWN)}
"""By the name of the table: the same inputs as the published models, and more."""


Player = Callable[[Transactions, FeatureService, Integers], Floats]
"""Plays transactions through the online code: all of them, what to compute, and for which rows."""


def compare(
    transactions: Transactions,
    say: Callable[[str], None] = lambda _: None,
    sets: Sequence[str] = tuple(FEATURE_SETS),
    play: Player = features_of,
) -> Comparison:
    """Run the whole comparison.

    Args:
        transactions: all that the handbook's file holds.
        say: is told of each step.
        sets: names of :data:`FEATURE_SETS` to train on.
        play: computes the features.
    """
    # 1. The rows of each round: those of the comparison, and earlier ones to choose a configuration on.
    final, *earlier = [round_from(transactions, first) for first in (LEARN_FROM, *TUNE_FROM)]
    rows = np.unique(np.concatenate([part for one in (final, *earlier) for part in (one.learn, one.judge)]))
    # 2. Their features, by the code that answers requests.
    say(f"playing {len(transactions):,} transactions as events")
    most = max((FEATURE_SETS[name] for name in sets), key=len)
    features = play(transactions, service_of(most), rows)
    # 3. A model for each set of features.
    results = []
    for name in sets:
        say(f"training on {name}")
        chosen = FEATURE_SETS[name]
        columns = [most.index(feature) for feature in chosen]
        table = _table(transactions, rows, features[:, columns], chosen)
        model = _train(table, _split(table, rows, final, earlier), chosen, say)
        results.append(Result(name, table.names, model, figures_of(model, table, transactions, rows)))
    frauds = [int(transactions.fraud[part].sum()) for part in (final.learn, final.judge)]
    return Comparison(len(transactions), len(final.learn), frauds[0], len(final.judge), frauds[1], tuple(results))


def _table(transactions: Transactions, rows: Integers, values: Floats, features: tuple[Feature, ...]) -> TrainingTable:
    return TrainingTable(
        names=tuple(feature.name for feature in features),
        features=np.ascontiguousarray(values),
        label=transactions.fraud[rows].astype(np.float64),
        classes=("honest", "fraud"),
        time=transactions.arrival[rows],
        label_known_at=transactions.time[rows] + LABEL_DELAY,
        cluster=transactions.customer[rows],
    )


def _split(table: TrainingTable, rows: Integers, final: Round, earlier: Sequence[Round]) -> Split:
    learn, judge, *others = (np.searchsorted(rows, part) for one in (final, *earlier) for part in (one.learn, one.judge))
    return prescribed(table, learn, judge, list(zip(others[::2], others[1::2], strict=True)))


def _train(table: TrainingTable, parts: Split, features: tuple[Feature, ...], say: Callable[[str], None]) -> TrainedModel:
    service = service_of(features)
    spec = TrainingSpec(
        "card-fraud",
        service.type,
        "fraud",
        view_version=service.view_version,
        budget_s=_BUDGET_S,
        trials=len(FINE_LADDER),
        ladder=FINE_LADDER,
    )
    return train(table, spec, lambda read: cards_of_views(features, read), lambda done: say(f"  {done.message}"), parts=parts)


def figures_of(model: TrainedModel, table: TrainingTable, transactions: Transactions, rows: Integers) -> Figures:
    """Judge a model on its test rows, by the probabilities that it would answer."""
    calibrator = model.contents.calibrator
    assert isinstance(calibrator, Calibrator), "two classes"
    test = model.split.test
    margins = TreeScorer.from_text(model.contents.model_text).margins(table.features[test])
    told = calibrator.probabilities(margins[:, 0])
    judged = rows[test]
    fraud = transactions.fraud[judged] == 1
    precision = card_precision(told, fraud, transactions.customer[judged], transactions.day[judged])
    return Figures(auc(told, fraud), average_precision(told, fraud), precision)
