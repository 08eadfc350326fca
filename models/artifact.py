"""A model version as an immutable folder whose every byte is covered by one digest.

``model.txt``
    LightGBM's native text.
``card.json``
    What the model is: type, task, labels, features as a person reads them, calibration, row encoder, training facts.
``causes.txt``
    Where the probability is broken down by cause: the native text of the model that does so.
``manifest.json``
    RFC 8785 canonical JSON with size and SHA-256 of the others. The artifact's digest is the SHA-256 of this file.

No pickle and no code: what is loaded is text and numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rfc8785

from models.calibration import AnyCalibrator, Calibrator, ClassCalibrator, ConformalInterval, calibrator_from_json
from models.causes import CauseModel
from models.encoding import RowEncoder
from models.features import FeatureCard
from models.lightgbm_text import Link
from models.scorer import TreeScorer
from models.specs import Task

MODEL_FILE, CARD_FILE, CAUSES_FILE, MANIFEST_FILE = "model.txt", "card.json", "causes.txt", "manifest.json"
FORMAT = 1
"""Version of the card and the manifest."""

_LINK_OF = {Task.BINARY: Link.LOGIT, Task.MULTICLASS: Link.SOFTMAX, Task.REGRESSION: Link.IDENTITY}


class ArtifactCorrupt(Exception):
    """A model artifact that is not what its digest says; ``file`` names the one to blame."""

    def __init__(self, file: Path, message: str) -> None:
        self.file = file
        super().__init__(f"{file}: {message}")


@dataclass(frozen=True, slots=True)
class ArtifactContents:
    """All that makes a model version.

    Attributes:
        name: the model's name.
        type: the decision type that it answers.
        task: what it predicts.
        model_text: LightGBM's native text.
        features: in the order of the model's input.
        calibrator: as the task needs it.
        labels: names of the classes, the event's last for two; empty for a number.
        event: what the probability is the probability of; for a number empty.
        threshold: probability from which the event is predicted; ``None`` where there is none.
        base_rate: share of the event, or mean of the number, in the training rows.
        encoder: how rows of a user's table are read; ``None`` where the feature store gives the vector.
        view_version: version of the feature definitions that it was trained on; ``None`` for a user's table.
        training: facts for the model card, ready for JSON. No clock times: the same training gives the same digest.
        causes: breaks the probability down by cause; ``None`` where nobody knows the causes.
    """

    name: str
    type: str
    task: Task
    model_text: str
    features: tuple[FeatureCard, ...]
    calibrator: AnyCalibrator
    labels: tuple[str, ...]
    event: str
    threshold: float | None
    base_rate: float
    encoder: RowEncoder | None = None
    view_version: str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    causes: CauseModel | None = None


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """A loaded model version: everything that a decision needs of it, in memory, immutable."""

    digest: str
    contents: ArtifactContents
    scorer: TreeScorer

    def __post_init__(self) -> None:
        contents = self.contents
        if len(self.scorer.names) != len(contents.features):
            raise ValueError(f"the model has {len(self.scorer.names)} features, its card {len(contents.features)}")
        if self.scorer.link is not _LINK_OF[contents.task]:
            raise ValueError(f"a {contents.task.value} model with the link {self.scorer.link.value}")
        wanted = {Task.BINARY: Calibrator, Task.MULTICLASS: ClassCalibrator, Task.REGRESSION: ConformalInterval}[contents.task]
        if not isinstance(contents.calibrator, wanted):
            raise ValueError(f"a {contents.task.value} model with a {type(contents.calibrator).__name__}")
        if len(contents.labels) != {Task.BINARY: 2, Task.MULTICLASS: self.scorer.outputs, Task.REGRESSION: 0}[contents.task]:
            raise ValueError(f"{len(contents.labels)} labels for a {contents.task.value} model of {self.scorer.outputs} outputs")
        if contents.encoder is not None and len(contents.encoder.names) != len(contents.features):
            raise ValueError("the row encoder makes another number of features than the model has")
        causes = contents.causes
        if causes is not None and (contents.task is not Task.BINARY or len(causes.scorer.names) != len(contents.features)):
            raise ValueError("causes belong to a model with two outcomes, and read the same row")

    @property
    def name(self) -> str:
        """The model's name."""
        return self.contents.name

    @property
    def type(self) -> str:
        """The decision type that it answers."""
        return self.contents.type

    @property
    def task(self) -> Task:
        """What it predicts."""
        return self.contents.task

    @property
    def features(self) -> tuple[FeatureCard, ...]:
        """In the order of the model's input."""
        return self.contents.features

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, the event's last for two."""
        return self.contents.labels

    @property
    def event(self) -> str:
        """What the probability is the probability of."""
        return self.contents.event

    @property
    def threshold(self) -> float | None:
        """Probability from which the event is predicted."""
        return self.contents.threshold

    @property
    def base_rate(self) -> float:
        """Share of the event, or mean of the number, in training."""
        return self.contents.base_rate

    @property
    def encoder(self) -> RowEncoder | None:
        """How rows of a user's table are read."""
        return self.contents.encoder

    @property
    def calibrator(self) -> AnyCalibrator:
        """As the task needs it."""
        return self.contents.calibrator

    @property
    def training(self) -> Mapping[str, Any]:
        """Facts for the model card."""
        return self.contents.training

    @property
    def causes(self) -> CauseModel | None:
        """Breaks the probability down by cause; ``None`` where nobody knows the causes."""
        return self.contents.causes

    def warm(self) -> None:
        """Make every model of it ready before the first row waits for it."""
        self.scorer.warm()
        if self.causes is not None:
            self.causes.scorer.warm()

    @property
    def link(self) -> str:
        """``logit``, ``softmax`` or ``identity``."""
        return self.scorer.link.value


def write_artifact(folder: Path, contents: ArtifactContents) -> str:
    """Write an artifact into ``folder``, which appears whole or not at all; returns its digest.

    Raises:
        ValueError: the contents do not fit together; nothing is written.
        ModelUnreadable: the model's text cannot be scored; nothing is written.
        FileExistsError: the folder is there already and holds another artifact.
    """
    files = _files(contents)
    digest = _digest(files[MANIFEST_FILE])
    ModelArtifact(digest, contents, TreeScorer.from_text(contents.model_text))
    if folder.exists():
        if (folder / MANIFEST_FILE).is_file() and _digest((folder / MANIFEST_FILE).read_bytes()) == digest:
            load_artifact(folder, digest)
            return digest
        raise FileExistsError(f"{folder} holds something else")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        for name, data in files.items():
            with (staged / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        staged.chmod(0o755)
        staged.rename(folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    _sync(folder.parent)
    return digest


def artifact_folder(models: Path, digest: str) -> Path:
    """Where the artifact with this digest lies below a home's folder of models.

    Raises:
        ValueError: the digest is not ``sha256:`` and 64 hexadecimal digits.
    """
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"{digest!r} is no SHA-256 digest of an artifact")
    return models / algorithm / value


def digest_of(contents: ArtifactContents) -> str:
    """The digest that an artifact with these contents has."""
    return _digest(_files(contents)[MANIFEST_FILE])


def load_artifact(folder: Path, digest: str) -> ModelArtifact:
    """Read an artifact and check every byte of it.

    Args:
        folder: where its files are.
        digest: ``sha256:`` of its manifest, from a source that is trusted.

    Raises:
        ArtifactCorrupt: a file is missing, or is not what the digest covers.
    """
    manifest = _read(folder / MANIFEST_FILE)
    if _digest(manifest) != digest:
        raise ArtifactCorrupt(folder / MANIFEST_FILE, f"its digest is {_digest(manifest)}, not {digest}")
    try:
        text = _checked(folder, manifest, MODEL_FILE).decode()
        scorer = TreeScorer.from_text(text)
    except ValueError as error:
        raise ArtifactCorrupt(folder / MODEL_FILE, str(error)) from error
    written = _checked(folder, manifest, CARD_FILE)
    try:
        card = json.loads(written)
        causes = None
        if "causes" in card:
            causes = CauseModel.from_json(card["causes"], _checked(folder, manifest, CAUSES_FILE).decode())
        return ModelArtifact(digest, _contents(card, text, causes), scorer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactCorrupt(folder / CARD_FILE, f"not a card of format {FORMAT}: {error!r}") from error


def verify_artifact(folder: Path, digest: str) -> int:
    """Check every byte of an artifact without loading it; returns how many bytes its files have.

    Raises:
        ArtifactCorrupt: a file is missing, or is not what the digest covers.
    """
    manifest = _read(folder / MANIFEST_FILE)
    if _digest(manifest) != digest:
        raise ArtifactCorrupt(folder / MANIFEST_FILE, f"its digest is {_digest(manifest)}, not {digest}")
    try:
        names = list(json.loads(manifest)["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactCorrupt(folder / MANIFEST_FILE, "lists no files") from error
    return len(manifest) + sum(len(_checked(folder, manifest, name)) for name in names)


def _checked(folder: Path, manifest: bytes, name: str) -> bytes:
    data = _read(folder / name)
    if _entry(data) != _listed(manifest, name, folder):
        raise ArtifactCorrupt(folder / name, "its bytes are not those that the manifest lists")
    return data


def _files(contents: ArtifactContents) -> dict[str, bytes]:
    data = {MODEL_FILE: contents.model_text.encode(), CARD_FILE: _card(contents)}
    if contents.causes is not None:
        data[CAUSES_FILE] = contents.causes.model_text.encode()
    manifest: Any = {"format": FORMAT, "files": {name: _entry(content) for name, content in data.items()}}
    return {**data, MANIFEST_FILE: rfc8785.dumps(manifest)}


def _entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _digest(manifest: bytes) -> str:
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def _card(contents: ArtifactContents) -> bytes:
    if contents.threshold is not None and not math.isfinite(contents.threshold):
        raise ValueError(f"threshold {contents.threshold}")
    card: dict[str, Any] = {
        "format": FORMAT, "name": contents.name, "type": contents.type, "task": contents.task.value, "labels": list(contents.labels),
        "event": contents.event, "threshold": contents.threshold, "base_rate": contents.base_rate, "view_version": contents.view_version,
        "features": [feature.to_json() for feature in contents.features], "calibrator": contents.calibrator.to_json(),
        "encoder": None if contents.encoder is None else contents.encoder.to_json(), "training": dict(contents.training),
    }  # fmt: skip
    if contents.causes is not None:
        card["causes"] = contents.causes.to_json()
    return (json.dumps(card, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=1) + "\n").encode()


def _contents(card: Mapping[str, Any], text: str, causes: CauseModel | None) -> ArtifactContents:
    if card["format"] != FORMAT:
        raise ValueError(f"format {card['format']}")
    return ArtifactContents(
        name=card["name"],
        type=card["type"],
        task=Task(card["task"]),
        model_text=text,
        features=tuple(FeatureCard.from_json(entry) for entry in card["features"]),
        calibrator=calibrator_from_json(card["calibrator"]),
        labels=tuple(card["labels"]),
        event=card["event"],
        threshold=card["threshold"],
        base_rate=card["base_rate"],
        encoder=None if card["encoder"] is None else RowEncoder.from_json(card["encoder"]),
        view_version=card["view_version"],
        training=card["training"],
        causes=causes,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactCorrupt(path, f"cannot be read: {error.strerror}") from error


def _listed(manifest: bytes, name: str, folder: Path) -> object:
    try:
        return json.loads(manifest)["files"][name]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactCorrupt(folder / MANIFEST_FILE, f"lists no {name}") from error


def _sync(folder: Path) -> None:
    """Make the rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
