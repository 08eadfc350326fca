"""The reference model of the comparison: 200 trees of 31 leaves over 50 numeric columns, published as a custom decision type.

The demo's own champions are small (the tuning prefers few leaves on a few thousand rows), so that explaining them is cheap for everybody. A
model of this size is what a retailer with a million orders serves.
"""

from __future__ import annotations

import json
from pathlib import Path

import lightgbm
import numpy as np

from feature_store.columns import read_columns, type_column
from governance import promotion
from models.artifact import MODEL_FILE, ArtifactContents, artifact_folder, digest_of, write_artifact
from models.calibration import Calibrator
from models.encoding import RowEncoder
from models.features import cards_of_table
from models.specs import Task
from serving.settings import Settings
from serving.wiring import wire_base

NAME = "reference"
FEATURES = 50
ROWS = 40_000
PARAMETERS = {
    "objective": "binary", "num_leaves": 31, "max_depth": 8, "learning_rate": 0.05, "verbosity": -1, "seed": 1, "num_threads": 1, "deterministic": True,
}  # fmt: skip


def contents() -> ArtifactContents:
    """Train it on made numbers with interactions."""
    rng = np.random.default_rng(0)
    names = [f"f{i:02}" for i in range(FEATURES)]
    rows = np.round(rng.normal(size=(ROWS, FEATURES)), 4)
    risk = rows[:, 0] + np.sin(2 * rows[:, 1]) + rows[:, 2] * rows[:, 3] - 2
    label = (rng.random(ROWS) < 1 / (1 + np.exp(-risk))).astype(float)
    sample = read_columns(names, ([f"{value:.4f}" for value in row] for row in rows[:2_000]))
    encoder = RowEncoder.fit([type_column(column) for column in sample])
    half = ROWS // 2
    booster = lightgbm.train(PARAMETERS, lightgbm.Dataset(rows[:half], label[:half], feature_name=names), num_boost_round=200)
    margins = np.asarray(booster.predict(rows[half:], raw_score=True))
    return ArtifactContents(
        name=NAME, type=NAME, task=Task.BINARY, model_text=booster.model_to_string(), features=cards_of_table(encoder, rows[:half]),
        calibrator=Calibrator.fit(margins, label[half:]), labels=("0", "1"), event="event", threshold=0.5, base_rate=float(label.mean()), encoder=encoder,
    )  # fmt: skip


def publish(settings: Settings) -> Path:
    """Put the reference model in service; returns its LightGBM text."""
    base = wire_base(settings)
    made = contents()
    folder = artifact_folder(base.home.models, digest_of(made))
    digest = write_artifact(folder, made)
    version = promotion.register_version(
        base.engine, base.signer, name=NAME, kind=NAME, template="custom", digest=digest, report={}, created_by="bench"
    )
    promotion.set_alias(
        base.engine,
        base.signer.verifier,
        kind=NAME,
        alias=promotion.CHAMPION,
        name=NAME,
        version=version,
        changed_by="bench",
        note="benchmark",
    )
    base.engine.dispose()
    return folder / MODEL_FILE


def write_bodies(path: Path, count: int = 400) -> None:
    """Rows to ask about."""
    rng = np.random.default_rng(3)
    lines = [
        json.dumps({"row": {f"f{i:02}": round(float(value), 4) for i, value in enumerate(row)}, "order_id": "@"})
        for row in rng.normal(size=(count, FEATURES))
    ]
    path.write_text("\n".join(lines) + "\n")
