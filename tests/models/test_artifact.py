from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.artifact import ArtifactContents, ArtifactCorrupt, ModelArtifact, digest_of, load_artifact, write_artifact
from models.calibration import Calibrator, ClassCalibrator, ConformalInterval
from models.checks import CHECKS, ModelCheckFailed, check_model
from models.features import FeatureCard, Shown
from models.scorer import TreeScorer
from models.specs import Task


def contents_of(trained, task: Task) -> ArtifactContents:
    scorer = TreeScorer.from_text(trained.text)
    margins = scorer.margins(trained.rows)
    match task:
        case Task.BINARY:
            calibrator, labels, event = Calibrator.fit(margins[:, 0], trained.labels), ("0", "1"), "fraud"
        case Task.MULTICLASS:
            calibrator, labels, event = ClassCalibrator.fit(margins, trained.labels), ("low", "middle", "high"), "level"
        case Task.REGRESSION:
            calibrator, labels, event = ConformalInterval.fit(margins[:, 0], trained.labels), (), ""
    cards = tuple(
        FeatureCard(name, {"en": name, "zh": f"特征{index}"}, Shown.NUMBER, "", f"CODE_{index // 2}", f"group {index // 2}", 0.5)
        for index, name in enumerate(scorer.names)
    )
    return ArtifactContents(
        name="demo", type="fraud", task=task, model_text=trained.text, features=cards, calibrator=calibrator, labels=labels, event=event,
        threshold=0.5 if task is Task.BINARY else None, base_rate=float(trained.labels.mean()), view_version="v1", training={"rows": 900, "auc": 0.75},
    )  # fmt: skip


@pytest.fixture(scope="module", params=list(Task))
def contents(request, train):
    return contents_of(train(request.param.value), request.param)


@pytest.fixture(scope="module")
def binary(train):
    return contents_of(train("binary"), Task.BINARY)


def test_what_is_written_comes_back_with_the_same_bits(contents, train, hostile_rows, tmp_path):
    digest = write_artifact(tmp_path / "a", contents)
    loaded = load_artifact(tmp_path / "a", digest)
    assert loaded.digest == digest == digest_of(contents)
    assert loaded.contents == contents
    before = TreeScorer.from_text(contents.model_text).explain_many(hostile_rows)
    after = loaded.scorer.explain_many(hostile_rows)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


def test_every_model_passes_the_shared_checks(contents, hostile_rows, tmp_path):
    digest = write_artifact(tmp_path / "a", contents)
    check_model(load_artifact(tmp_path / "a", digest), hostile_rows)


def test_the_digest_is_that_of_the_manifest(binary, tmp_path):
    digest = write_artifact(tmp_path / "a", binary)
    manifest = (tmp_path / "a" / "manifest.json").read_bytes()
    assert digest == "sha256:" + hashlib.sha256(manifest).hexdigest()
    for name, entry in json.loads(manifest)["files"].items():
        data = (tmp_path / "a" / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_same_contents_have_the_same_digest_and_others_another(binary, tmp_path):
    first = write_artifact(tmp_path / "a", binary)
    assert write_artifact(tmp_path / "b", binary) == first
    assert digest_of(dataclasses.replace(binary, threshold=0.6)) != first


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(["model.txt", "card.json", "manifest.json"]), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_and_its_file_named(binary, tmp_path, file, place, bit):
    folder = tmp_path / "a"
    digest = write_artifact(folder, binary)
    path = folder / file
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        with pytest.raises(ArtifactCorrupt) as caught:
            load_artifact(folder, digest)
    finally:
        path.write_bytes(whole)
    assert caught.value.file == path
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("file", ["model.txt", "card.json", "manifest.json"])
def test_a_missing_or_cut_file_is_named(binary, tmp_path, file):
    digest = write_artifact(tmp_path / "a", binary)
    path = tmp_path / "a" / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactCorrupt, match=file):
        load_artifact(tmp_path / "a", digest)
    path.unlink()
    with pytest.raises(ArtifactCorrupt, match=f"{file}: cannot be read"):
        load_artifact(tmp_path / "a", digest)


def test_another_whole_artifact_is_not_the_one_asked_for(binary, tmp_path):
    write_artifact(tmp_path / "a", binary)
    with pytest.raises(ArtifactCorrupt, match=r"manifest\.json"):
        load_artifact(tmp_path / "a", "sha256:" + "0" * 64)


@pytest.mark.parametrize("card", [b"{}", b"[]", b"nonsense", b'{"format": 2}'])
def test_a_card_of_another_format_is_corrupt_even_when_its_digest_fits(binary, tmp_path, card):
    import rfc8785

    write_artifact(tmp_path / "a", binary)
    folder = tmp_path / "a"
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["card.json"] = {"bytes": len(card), "sha256": hashlib.sha256(card).hexdigest()}
    (folder / "card.json").write_bytes(card)
    (folder / "manifest.json").write_bytes(rfc8785.dumps(manifest))
    with pytest.raises(ArtifactCorrupt, match=r"card\.json"):
        load_artifact(folder, "sha256:" + hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest())


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ()},
        {"task": Task.REGRESSION},
        {"labels": ("only",)},
        {"calibrator": ConformalInterval((), (0.0,), (0.0,), 0.9, 20)},
        {"model_text": "tree\n"},
        {"threshold": float("nan")},
        {"training": {"auc": float("nan")}},
    ],
)
def test_what_does_not_fit_together_is_not_written(binary, tmp_path, changes):
    with pytest.raises(ValueError):  # noqa: PT011 - each says its own
        write_artifact(tmp_path / "a", dataclasses.replace(binary, **changes))
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_is_never_overwritten(binary, tmp_path):
    digest = write_artifact(tmp_path / "a", binary)
    assert write_artifact(tmp_path / "a", binary) == digest
    with pytest.raises(FileExistsError):
        write_artifact(tmp_path / "a", dataclasses.replace(binary, threshold=0.9))
    assert load_artifact(tmp_path / "a", digest).threshold == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


class _Shifted:
    """A scorer whose contributions are off in one feature of one row."""

    def __init__(self, scorer: TreeScorer) -> None:
        self._scorer = scorer

    def __getattr__(self, name: str):
        return getattr(self._scorer, name)

    def explain_many(self, rows, output=0):
        margins, contributions = self._scorer.explain_many(rows, output)
        contributions[len(rows) // 2, 0] += 1e-7
        return margins, contributions


class _Forgetful(_Shifted):
    """A scorer whose second answer differs."""

    calls = 0

    def explain_many(self, rows, output=0):
        self.calls += 1
        margins, contributions = self._scorer.explain_many(rows, output)
        return margins + self.calls * 1e-12, contributions


@pytest.mark.parametrize("broken", [_Shifted, _Forgetful])
def test_checks_find_a_broken_scorer(binary, hostile_rows, broken):
    artifact = ModelArtifact("sha256:0", binary, TreeScorer.from_text(binary.model_text))
    object.__setattr__(artifact, "scorer", broken(artifact.scorer))
    with pytest.raises(ModelCheckFailed, match="row"):
        check_model(artifact, hostile_rows)
    assert len(CHECKS) == len({check.__doc__ for check in CHECKS})


def test_checks_find_a_calibrator_that_reorders(binary, hostile_rows):
    class Reordering(Calibrator):
        def confidence(self, margin):
            return super().confidence(-margin)

        def probabilities(self, margins):
            return super().probabilities(-np.asarray(margins))

    calibrator = Reordering(**{field.name: getattr(binary.calibrator, field.name) for field in dataclasses.fields(Calibrator)})
    artifact = ModelArtifact("sha256:0", dataclasses.replace(binary, calibrator=calibrator), TreeScorer.from_text(binary.model_text))
    with pytest.raises(ModelCheckFailed, match="ranking"):
        check_model(artifact, hostile_rows)
