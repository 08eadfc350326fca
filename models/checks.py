"""What every model must hold to before it is kept, whatever it was trained on.

Training runs these on each new version, so a new kind of model inherits them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.artifact import ModelArtifact
from models.calibration import Calibrator, ClassCalibrator
from models.features import LANGUAGES
from models.reasons import Effect, explain

Floats = NDArray[np.float64]

TOLERANCE = 1e-9
"""How far base + Σ contributions may be from the margin; relative to the margin where that is larger than 1."""


class ModelCheckFailed(AssertionError):
    """A model that breaks a promise; the message says which, and at which row."""


def check_model(artifact: ModelArtifact, rows: Floats) -> None:
    """Run every check.

    Args:
        artifact: the model.
        rows: float64 (n, features), n ≥ 1: rows that it may meet.

    Raises:
        ModelCheckFailed: one of them fails.
    """
    for check in CHECKS:
        check(artifact, rows)


def contributions_add_up(artifact: ModelArtifact, rows: Floats) -> None:
    """Base + Σ contributions = margin, for every row and output."""
    scorer = artifact.scorer
    for output in range(scorer.outputs):
        margins, contributions = scorer.explain_many(rows, output)
        total = scorer.base[output] + contributions.sum(axis=1)
        off = np.abs(total - margins) > TOLERANCE * np.maximum(1.0, np.abs(margins))
        _none(off, "base + Σ contributions is not the margin")
        _none(margins != scorer.margins(rows)[:, output], "explaining and scoring disagree on the margin")


def one_row_equals_many(artifact: ModelArtifact, rows: Floats) -> None:
    """A row has the same bits alone, in a batch, and in a batch of another order."""
    scorer = artifact.scorer
    margins, contributions = scorer.explain_many(rows)
    turned, turned_contributions = scorer.explain_many(rows[::-1])
    _none(~_same(margins, turned[::-1]), "the order of rows changes a margin")
    _none(~_same_rows(contributions, turned_contributions[::-1]), "the order of rows changes a contribution")
    for index, row in enumerate(rows[:100]):
        explained = scorer.explain(row)
        if explained.margin != margins[index] or not _same(explained.contributions, contributions[index]).all():
            raise ModelCheckFailed(f"row {index}: alone it has other bits than in a batch")


def prediction_is_pure(artifact: ModelArtifact, rows: Floats) -> None:
    """Scoring changes neither its input nor what comes next."""
    before = rows.copy()
    first = artifact.scorer.explain_many(rows)
    second = artifact.scorer.explain_many(rows)
    _none(~_same_rows(before, rows), "scoring changed its input")
    _none(~(_same(first[0], second[0]) & _same_rows(first[1], second[1])), "the second time differs from the first")


def unused_features_say_nothing(artifact: ModelArtifact, rows: Floats) -> None:
    """A feature that no tree splits on contributes exactly 0, and its value does not matter."""
    scorer = artifact.scorer
    idle = np.setdiff1d(np.arange(rows.shape[1]), np.array(sorted(scorer.used), dtype=np.int64))
    if not len(idle):
        return
    margins, contributions = scorer.explain_many(rows)
    changed = rows.copy()
    changed[:, idle] = np.nan
    again, _ = scorer.explain_many(changed)
    _none(~_same_rows(contributions[:, idle], np.zeros((len(rows), len(idle)))), "an unused feature has a contribution")
    _none(again != margins, "an unused feature changes the margin")


def confidence_is_calm(artifact: ModelArtifact, rows: Floats) -> None:
    """Probabilities lie in their interval and in [0, 1], rank as the margins do, and are the same alone and in a batch."""
    calibrator = artifact.calibrator
    margins = artifact.scorer.margins(rows)
    if isinstance(calibrator, ClassCalibrator):
        told = [calibrator.confidence(row) for row in margins]
        many = calibrator.probabilities(margins)
        alone = np.array([calibrator.of(row) for row in margins])
        _none(~_same_rows(many, alone), "probabilities differ alone and in a batch")
        _none(np.abs(many.sum(axis=1) - 1) > 1e-12, "probabilities do not add up to 1")
    else:
        told = [calibrator.confidence(margin) for margin in margins[:, 0].tolist()]
    values, lows, highs = (np.array(column) for column in zip(*told, strict=True))
    _none(~((lows <= values) & (values <= highs)), "the interval leaves out what it is around")
    if isinstance(calibrator, Calibrator):
        _none(~_same(values, calibrator.probabilities(margins[:, 0])), "a probability differs alone and in a batch")
        order = np.argsort(margins[:, 0], kind="stable")
        _none(np.diff(values[order], prepend=0.0) < 0, "calibration changes the ranking")
    if not isinstance(calibrator, Calibrator | ClassCalibrator):
        return
    _none((lows < 0) | (highs > 1), "a probability outside 0 and 1")


def reasons_tell_everything(artifact: ModelArtifact, rows: Floats) -> None:
    """Reasons add up to the contributions, are ranked, and have a text in every language."""
    effect = Effect.of(artifact.event)
    _, contributions = artifact.scorer.explain_many(rows[:50])
    for index, (row, parts) in enumerate(zip(rows, contributions, strict=False)):
        reasons = explain(artifact.features, row, parts, effect)
        weights = [abs(reason.contribution or 0.0) for reason in reasons]
        if abs(sum(reason.contribution or 0.0 for reason in reasons) - parts.sum()) > TOLERANCE * max(1.0, np.abs(parts).sum()):
            raise ModelCheckFailed(f"row {index}: the reasons do not add up to the contributions")
        if weights != sorted(weights, reverse=True) or [reason.rank for reason in reasons] != list(range(1, len(reasons) + 1)):
            raise ModelCheckFailed(f"row {index}: the reasons are not ranked by weight")
        if any(not reason.text.get(language, "").strip() for reason in reasons for language in LANGUAGES):
            raise ModelCheckFailed(f"row {index}: a reason has no text")


CHECKS: tuple[Callable[[ModelArtifact, Floats], None], ...] = (
    contributions_add_up,
    one_row_equals_many,
    prediction_is_pure,
    unused_features_say_nothing,
    confidence_is_calm,
    reasons_tell_everything,
)


def _same(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Equal bit for bit; NaN equals NaN, 0.0 does not equal −0.0."""
    same: NDArray[np.bool_] = np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)
    return same


def _same_rows(a: Floats, b: Floats) -> NDArray[np.bool_]:
    return np.asarray(_same(a, b).all(axis=1))


def _none(wrong: NDArray[np.bool_], message: str) -> None:
    if wrong.any():
        raise ModelCheckFailed(f"row {int(np.flatnonzero(wrong)[0])}: {message}")
