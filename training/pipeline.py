"""From a table to a model version: split, tune, build, calibrate, evaluate, tell.

One pipeline for the demo's history and for a user's file. What depends on a clock (which configurations were tried) ends in a
:class:`~training.boosting.Recipe`; from the recipe on every step is a pure function of the table, so that the same record gives the same
artifact digest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from feature_store.problems import DataProblem, DataRefused
from feature_store.times import format_time
from feature_store.wording import Text, told
from governance.policy import Policy
from models.artifact import ArtifactContents
from models.calibration import AnyCalibrator, CalibrationImpossible, Calibrator, ClassCalibrator, Confident, ConformalInterval
from models.causes import CauseModel
from models.encoding import RowEncoder
from models.features import FeatureCard
from models.specs import Task
from training import boosting
from training.boosting import Recipe
from training.causes import learn_causes
from training.evaluation import Evaluation, evaluate, judge_causes
from training.progress import Report, silent, step
from training.splits import Split, split
from training.table import Floats, Integers, TrainingTable
from training.tuning import Trial, ladder_for, tune
from training.worth import Predictions, judge_policy

_FEWEST_ROWS = 100
_MORE_ROWS = Text("Add rows, over a longer time.", "请增加更长时间的数据行。")


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What to train.

    Attributes:
        name: the model's name.
        type: the decision type it answers; a custom model's is its own name.
        event: what the probability is the probability of; empty for a number.
        encoder: reads rows of requests, for a user's table.
        view_version: of our own feature definitions.
        budget_s: for tuning, building and judging together.
        trials: try exactly so many configurations instead of those that fit into the budget: the same outcome whatever the clock says.
        ladder: the configurations to try, in that order; by default those of its type.
        facts: where the rows come from and what was left out, for the card. No clock times.
        policy: judges the model on the test rows as it would judge live decisions; ``None`` where there is none for the type.
    """

    name: str
    type: str
    event: str
    encoder: RowEncoder | None = None
    view_version: str | None = None
    budget_s: float = 60.0
    trials: int | None = None
    ladder: Sequence[Mapping[str, float | int | str]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class _Judged:
    """What there is to judge besides the trees."""

    calibrator: AnyCalibrator
    threshold: float | None
    causes: CauseModel | None


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model with all that is to be said about it.

    Attributes:
        contents: what goes into the artifact; a pure function of table, spec and recipe.
        recipe: how to build it again.
        trials: what was tried.
        seconds: by stage; not part of the artifact.
    """

    contents: ArtifactContents
    recipe: Recipe
    evaluation: Evaluation
    split: Split
    trials: tuple[Trial, ...]
    seconds: Mapping[str, float]

    def report(self) -> dict[str, Any]:
        """Everything for people, ready for JSON: the card's facts, and what the clock did."""
        return {
            "name": self.contents.name,
            "type": self.contents.type,
            "task": self.contents.task.value,
            "labels": list(self.contents.labels),
            "event": self.contents.event,
            "threshold": self.contents.threshold,
            "card": dict(self.contents.training),
            "tuning": [{"params": dict(t.params), "rounds": t.rounds, "loss": t.loss, "seconds": round(t.seconds, 3)} for t in self.trials],
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
        }


CardMaker = Callable[[Floats], tuple[FeatureCard, ...]]
"""Rows that are learnt from, float64 (n, m) → how a person reads each of the m features."""


def train(
    table: TrainingTable, spec: TrainingSpec, cards: CardMaker, progress: Report = silent, *, parts: Split | None = None
) -> TrainedModel:
    """Train one model.

    Args:
        table: the rows.
        spec: what to make of them.
        cards: how a person reads the features.
        progress: is told of every step; may raise :class:`~training.progress.TrainingCancelled`.
        parts: the split where it is laid down; else the newest fifth judges.

    Raises:
        DataRefused: too few rows, or one outcome only, on one side of the split.
    """
    seconds: dict[str, float] = {}
    # 1. Split by time and group.
    progress(step("splitting", 0.08))
    parts = parts or split(table)
    _check_parts(table, parts)
    # 2. Tune under the budget.
    started = time.monotonic()
    tuned = tune(table, parts.folds, spec.budget_s, progress, most_trials=spec.trials, ladder=spec.ladder or ladder_for(spec.type))
    seconds["tuning"] = time.monotonic() - started
    # 3. Build the winner from scratch, and judge it.
    started = time.monotonic()
    contents, evaluation = build(table, spec, tuned.recipe, cards, parts=parts, progress=progress)
    seconds["building"] = time.monotonic() - started
    return TrainedModel(contents, tuned.recipe, evaluation, parts, tuned.trials, seconds)


def build(
    table: TrainingTable, spec: TrainingSpec, recipe: Recipe, cards: CardMaker, *, parts: Split | None = None, progress: Report = silent
) -> tuple[ArtifactContents, Evaluation]:
    """Build a model from its recipe: the same table, spec and recipe give the same bytes."""
    parts = parts or split(table)
    progress(step("building", 0.62, rounds=recipe.rounds))
    booster = boosting.fit(table, parts.develop, recipe)
    progress(step("calibrating", 0.72))
    calibrator, held_margins, held_labels = _calibrate(table, recipe, parts, progress)
    causes = learn_causes(table, parts)
    threshold = None
    if isinstance(calibrator, Calibrator):
        threshold = best_threshold(calibrator.probabilities(held_margins[:, 0]), held_labels == 1)
    progress(step("evaluating", 0.85, rows=len(parts.test)))
    margins = boosting.margins(booster, table.features[parts.test])
    evaluation = _judge(table, spec, parts, _Judged(calibrator, threshold, causes), margins)
    develop = table.label[parts.develop]
    contents = ArtifactContents(
        name=spec.name,
        type=spec.type,
        task=Task(table.task),
        model_text=boosting.model_text(booster),
        features=cards(table.features[parts.develop]),
        calibrator=calibrator,
        labels=table.classes,
        event=spec.event,
        threshold=threshold,
        base_rate=float(develop.mean())
        if table.task != "multiclass"
        else float(np.bincount(develop.astype(np.int64)).max() / len(develop)),
        encoder=spec.encoder,
        view_version=spec.view_version,
        training=_card(table, spec, recipe, parts, evaluation),
        causes=causes,
    )
    return contents, evaluation


def best_threshold(probability: Floats, event: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """The probability from which "yes" is the better label: where F1 is highest on rows that the model has not seen.

    Without money figures a rare event deserves as much weight as its prediction; a policy's figures replace this.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, hits = probability[order], np.cumsum(event[order])
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    f1 = 2 * hits[last] / (last + 1 + event.sum())
    best = int(np.argmax(f1))
    here = ranked[last[best]]
    below = ranked[last[best] + 1] if last[best] + 1 < len(ranked) else here
    return float(f"{(here + below) / 2:.6g}")


def _check_parts(table: TrainingTable, parts: Split) -> None:
    """Both sides of the split need enough rows, and for classes each class."""
    problems = []
    for side, rows in (
        (Text("older rows, to learn from", "用于学习的较早数据"), parts.develop),
        (Text("newest rows, to judge by", "用于检验的最新数据"), parts.test),
    ):
        if len(rows) < _FEWEST_ROWS:
            msg = Text(
                f"Only {len(rows):,} {side}, after {parts.purged:,} were left out because their outcome was not known in time or shares a group.",
                f"{side.zh}只有 {len(rows):,} 行；另有 {parts.purged:,} 行因结果未及时获知或同组而排除。",
            )
            problems.append(DataProblem("too_few_rows", ("file",), msg, fix=_MORE_ROWS))
            continue
        missing = [name for index, name in enumerate(table.classes) if not (table.label[rows] == index).any()]
        if missing:
            listed = ", ".join(repr(name) for name in missing)
            msg = Text(f"Among the {side} there is none with the outcome {listed}.", f"{side.zh}中没有结果为 {listed} 的行。")
            fix = Text("Add rows over a longer time, or choose another time column.", "请增加更长时间的数据，或选择其他时间列。")
            problems.append(DataProblem("one_class_target", ("target",), msg, fix=fix))
    if not problems and any(_lacks_class(table, fold.fit) or len(fold.judge) == 0 for fold in (*parts.folds, *parts.cross)):
        msg = Text(
            "The outcomes are so unevenly spread over time that some period lacks one.", "结果在时间上分布过于不均，某些时段缺少某种结果。"
        )
        fix = Text("Add rows of the rarer outcome, or join rare classes.", "请增加较少结果的数据行，或合并罕见类别。")
        problems.append(DataProblem("one_class_target", ("target",), msg, fix=fix))
    if not problems and not (parts.folds and parts.cross):
        msg = Text("Too few rows, or too few groups of them, to tune on.", "可用于调参的行数或分组太少。")
        problems.append(DataProblem("too_few_rows", ("file",), msg, fix=_MORE_ROWS))
    if problems:
        raise DataRefused(problems)


def _lacks_class(table: TrainingTable, rows: Integers) -> bool:
    return any(not (table.label[rows] == index).any() for index in range(len(table.classes)))


def _calibrate(table: TrainingTable, recipe: Recipe, parts: Split, progress: Report) -> tuple[AnyCalibrator, Floats, Floats]:
    scored = []
    for index, fold in enumerate(parts.cross):
        progress(step("calibrating", 0.72 + 0.02 * index, "calibrating_part", part=index + 1, parts=len(parts.cross)))
        booster = boosting.fit(table, fold.fit, recipe)
        scored.append(boosting.margins(booster, table.features[fold.judge]))
    margins = np.concatenate(scored)
    labels = np.concatenate([table.label[fold.judge] for fold in parts.cross])
    try:
        match table.task:
            case "binary":
                return Calibrator.fit(margins[:, 0], labels), margins, labels
            case "multiclass":
                return ClassCalibrator.fit(margins, labels), margins, labels
            case _:
                return ConformalInterval.fit(margins[:, 0], labels), margins, labels
    except CalibrationImpossible as error:
        alike = bool(table.classes) and labels.min() == labels.max()
        msg = told("one_class_to_calibrate" if alike else "too_few_to_calibrate", count=len(labels))
        raise DataRefused([DataProblem("too_few_rows", ("file",), msg, fix=_MORE_ROWS)]) from error


def _judge(table: TrainingTable, spec: TrainingSpec, parts: Split, judged: _Judged, margins: Floats) -> Evaluation:
    calibrator, test = judged.calibrator, parts.test
    if isinstance(calibrator, ConformalInterval):
        ends = [calibrator.confidence(value) for value in margins[:, 0].tolist()]
        return evaluate(table, test, margins[:, 0], _ends(ends))
    if isinstance(calibrator, ClassCalibrator):
        return evaluate(table, test, calibrator.probabilities(margins), _ends([calibrator.confidence(row) for row in margins]))
    told = calibrator.confidences(margins[:, 0])
    probability, (low, high) = np.array([one.probability for one in told]), _ends(told)
    evaluation = evaluate(table, test, probability, (low, high))
    shares = None if judged.causes is None else judged.causes.shares_many(table.features[test])
    if shares is not None and table.cause is not None:
        evaluation = replace(evaluation, causes=judge_causes(table.cause, test, probability, shares))
    predictions = Predictions(spec.event, table.classes, probability, low, high, calibrator.level, judged.threshold or 0.5, shares)
    return replace(evaluation, policy=judge_policy(table, test, predictions, spec.policy))


def _ends(told: Sequence[Confident]) -> tuple[Floats, Floats]:
    return np.array([one.low for one in told]), np.array([one.high for one in told])


def _card(table: TrainingTable, spec: TrainingSpec, recipe: Recipe, parts: Split, evaluation: Evaluation) -> dict[str, Any]:
    """The model card: what it was made of, how it was judged, and what it must not be used for."""
    return {
        "recipe": recipe.to_json(),
        "seed": boosting.SEED,
        "rows": {"learnt_from": len(parts.develop), "judged_on": len(parts.test), "left_out": parts.purged},
        "split": {"method": parts.method, "learnt": _span(table, parts.develop), "judged": _span(table, parts.test)},
        "evaluation": evaluation.to_json(),
        "data": dict(spec.facts),
        "limits": _limits(table, parts),
    }


def _span(table: TrainingTable, rows: Integers) -> list[str] | None:
    """The first and the last time among the rows."""
    if table.time is None:
        return None
    return [format_time(int(table.time[rows].min())), format_time(int(table.time[rows].max()))]


def _limits(table: TrainingTable, parts: Split) -> list[dict[str, str]]:
    """What a reader of the card has to know before trusting it, by language."""
    limits = [
        Text(
            "It says what went along with the outcome in the past; it does not say what causes it.",
            "它说明过去哪些因素与结果同时出现，不说明原因。",
        )
    ]
    if parts.method == "hash":
        limits.append(
            Text(
                "There was no usable time column: it was judged on random rows, so how it does on tomorrow's is not known.",
                "没有可用的时间列：检验用的是随机抽取的行，因此不知道它对今后数据的表现。",
            )
        )
    if table.classes:
        few = int(min(np.bincount(table.label[parts.test].astype(np.int64), minlength=len(table.classes))))
        if few < 100:
            limits.append(
                Text(
                    f"The rarest outcome occurs {few} times among the rows it was judged on: the intervals are wide.",
                    f"检验数据中最少的结果只出现 {few} 次：区间较宽。",
                )
            )
    return [{"en": str(limit), "zh": limit.zh} for limit in limits]
