"""Causes add up to the probability, survive the disk, and are told the same alone and together."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.artifact import CAUSES_FILE, ArtifactContents, ArtifactCorrupt, artifact_folder, digest_of, load_artifact, write_artifact
from models.calibration import Calibrator
from models.causes import CauseModel
from models.features import FeatureCard, Shown
from models.specs import Task

NAMES = ("late", "cancelled", "returned")


@pytest.fixture(scope="module")
def causes(train: Any) -> CauseModel:
    return CauseModel(NAMES, train("multiclass").text, 1.3)


@pytest.fixture(scope="module")
def contents(train: Any, causes: CauseModel) -> ArtifactContents:
    trained = train("binary")
    rng = np.random.default_rng(0)
    margins = rng.normal(size=400)
    calibrator = Calibrator.fit(margins, (rng.random(400) < 1 / (1 + np.exp(-margins))).astype(float))
    cards = tuple(FeatureCard(f"x{i}", {"en": "x", "zh": "甲"}, Shown.NUMBER, "", f"X{i}", f"x{i}", 0.0) for i in range(8))
    return ArtifactContents(
        "acceptance", "acceptance", Task.BINARY, trained.text, cards, calibrator, ("0", "1"), "fulfilment_failure", 0.3, 0.2, causes=causes
    )


@settings(max_examples=200, deadline=None)
@given(index=st.integers(0, 899), probability=st.floats(0, 1))
def test_the_causes_add_up_to_the_probability(causes: CauseModel, train: Any, index: int, probability: float) -> None:
    parts = causes.break_down(train("multiclass").rows[index], probability)
    assert tuple(parts) == NAMES
    assert all(0.0 <= part <= probability + 1e-12 for part in parts.values())
    assert sum(parts.values()) == pytest.approx(probability, abs=1e-15)


def test_one_row_tells_the_same_as_many(causes: CauseModel, train: Any) -> None:
    rows = train("multiclass").rows[:50]
    together = causes.shares_many(rows)
    for row, shares in zip(rows, together.tolist(), strict=True):
        assert tuple(shares) == causes.shares(row)


def test_an_artifact_keeps_its_causes(contents: ArtifactContents, causes: CauseModel, train: Any, tmp_path: Path) -> None:
    folder = artifact_folder(tmp_path, digest_of(contents))
    artifact = load_artifact(folder, write_artifact(folder, contents))
    assert artifact.causes == causes
    row = train("multiclass").rows[3]
    assert artifact.causes is not None
    assert artifact.causes.break_down(row, 0.4) == causes.break_down(row, 0.4)
    artifact.warm()


def test_causes_are_covered_by_the_digest(contents: ArtifactContents, causes: CauseModel, tmp_path: Path) -> None:
    assert digest_of(contents) != digest_of(dataclasses.replace(contents, causes=None))
    assert digest_of(contents) != digest_of(dataclasses.replace(contents, causes=dataclasses.replace(causes, temperature=1.4)))
    folder = artifact_folder(tmp_path, digest_of(contents))
    digest = write_artifact(folder, contents)
    for damage in (b"", causes.model_text.encode().replace(b"0.1", b"0.2", 1)):
        (folder / CAUSES_FILE).write_bytes(damage)
        with pytest.raises(ArtifactCorrupt) as caught:
            load_artifact(folder, digest)
        assert caught.value.file.name == CAUSES_FILE
    (folder / CAUSES_FILE).unlink()
    with pytest.raises(ArtifactCorrupt):
        load_artifact(folder, digest)


def test_an_artifact_without_causes_is_as_it_was(contents: ArtifactContents, tmp_path: Path) -> None:
    plain = dataclasses.replace(contents, causes=None)
    folder = artifact_folder(tmp_path, digest_of(plain))
    digest = write_artifact(folder, plain)
    assert not (folder / CAUSES_FILE).exists()
    assert load_artifact(folder, digest).causes is None


def test_causes_that_do_not_fit_are_refused(train: Any, causes: CauseModel, contents: ArtifactContents, tmp_path: Path) -> None:
    text = train("multiclass").text
    for names, model_text, temperature in (
        (NAMES[:2], text, 1.0),
        (("late", "late", "returned"), text, 1.0),
        (NAMES, train("binary").text, 1.0),
        (NAMES, text, 0.0),
    ):
        with pytest.raises(ValueError, match=r"cause|outputs|temperature"):
            CauseModel(names, model_text, temperature)
    narrow = dataclasses.replace(contents, features=contents.features[:7])
    with pytest.raises(ValueError, match="features"):
        write_artifact(tmp_path / "sha256" / "0", narrow)
