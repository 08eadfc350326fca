"""What a score with its exact contributions costs: our kernel beside LightGBM's ``pred_contrib`` and shap's ``TreeExplainer``.

200 trees of 31 leaves over 50 features, one row at a time, one thread; the three take turns, so that a drifting machine drifts for all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # shap leaves LightGBM its threads, which cost more than they give for one row

import lightgbm  # after the line above, which it reads when it is loaded
import numpy as np

from models.scorer import TreeScorer

_START = """
import sys, time
start = time.perf_counter()
from models.scorer import TreeScorer
imported = time.perf_counter()
with open(sys.argv[1]) as file:
    scorer = TreeScorer.from_text(file.read())
loaded = time.perf_counter()
scorer.warm()
print(imported - start, loaded - imported, time.perf_counter() - loaded)
"""


def train(max_depth: int) -> tuple[lightgbm.Booster, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40_000, 50))
    labels = rng.random(40_000) < 1 / (1 + np.exp(-(rows[:, 0] + np.sin(2 * rows[:, 1]) + rows[:, 2] * rows[:, 3] - 2)))
    params = {"objective": "binary", "num_leaves": 31, "max_depth": max_depth, "learning_rate": 0.05, "verbosity": -1, "seed": 1}
    return lightgbm.train(params, lightgbm.Dataset(rows, labels), 200), rows


def in_turn(ways: dict[str, Callable[[np.ndarray], object]], rows: np.ndarray) -> dict[str, list[float]]:
    """Seconds of each way for each row. The best twentieth tells what the code costs, the median what a busy machine makes of it."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for row in rows:
        for name, way in ways.items():
            start = time.perf_counter()
            way(row)
            spent[name].append(time.perf_counter() - start)
    return spent


def measure(max_depth: int, count: int, shap_values: Callable[..., object] | None) -> dict[str, float]:
    booster, rows = train(max_depth)
    scorer = TreeScorer.from_text(booster.model_to_string())
    scorer.warm()
    expected = booster.predict(rows[:200], pred_contrib=True)
    margins, contributions = scorer.explain_many(rows[:200])
    ways: dict[str, Callable[[np.ndarray], object]] = {
        "kernel": scorer.explain,
        "pred_contrib": lambda row: booster.predict(row[None], pred_contrib=True, num_threads=1),
        "margin": scorer.margin,
        "predict": lambda row: booster.predict(row[None], raw_score=True, num_threads=1),
    }
    if shap_values is not None:
        ways["shap"] = shap_values(booster)
    spent = in_turn(ways, rows[:count])
    figures = {f"{name}_us": statistics.median(times) * 1e6 for name, times in spent.items()}
    figures |= {f"{name}_best_us": float(np.quantile(times, 0.05)) * 1e6 for name, times in spent.items()}
    for name, peer, own in (("pred_contrib", "pred_contrib", "kernel"), ("shap", "shap", "kernel"), ("predict", "predict", "margin")):
        if peer in spent:
            figures[f"{name}_over_{own}"] = figures[f"{peer}_us"] / figures[f"{own}_us"]
            figures[f"{name}_over_{own}_best"] = figures[f"{peer}_best_us"] / figures[f"{own}_best_us"]
    start = time.perf_counter()
    scorer.explain_many(rows[:2000])
    figures["batch_us_per_row"] = (time.perf_counter() - start) / 2000 * 1e6
    figures["widest_path"] = scorer.widest
    figures["largest_difference"] = float(np.abs(contributions - expected[:, :-1]).max())
    figures["largest_residual"] = float(np.abs(scorer.base[0] + contributions.sum(axis=1) - margins).max())
    return figures


def starts() -> dict[str, float]:
    """A first start, which compiles, and a second one, which finds the cache; each a process of its own."""
    booster, _ = train(8)
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.txt"
        path.write_text(booster.model_to_string())
        for name in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, "-c", _START, str(path)],
                env={**os.environ, "NUMBA_CACHE_DIR": scratch}, capture_output=True, text=True, check=True, timeout=120,
            )  # fmt: skip
            imported, loaded, ready = map(float, done.stdout.split())
            figures |= {f"{name}_import_s": imported, f"{name}_load_s": loaded, f"{name}_compile_s": ready}
    return figures


def with_shap() -> Callable[..., object]:
    import shap

    def explainer(booster: lightgbm.Booster) -> Callable[[np.ndarray], object]:
        made = shap.TreeExplainer(booster)
        return lambda row: made.shap_values(row[None])

    return explainer


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--no-shap", action="store_true", help="shap takes seconds to import")
    parsed = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    shap_values = None if parsed.no_shap else with_shap()
    figures = {f"depth_8.{name}": value for name, value in measure(8, parsed.rows, shap_values).items()}
    figures |= {f"any_depth.{name}": value for name, value in measure(-1, parsed.rows, None).items()}
    figures |= starts()
    print(json.dumps({name: float(f"{value:.3g}") for name, value in figures.items()}, indent=1))
    return figures


if __name__ == "__main__":
    main()
