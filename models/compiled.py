"""``python -m models.compiled``: compile every kernel into the cache on disk, so that no start waits for a compiler.

Numba keeps compiled code beside the source, or in the user's cache folder where that cannot be written. ``make install`` runs this once; without it
the first process that needs a kernel compiles it.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from models import splitting
from models.kernel import POINTS
from models.scorer import TreeScorer


def compile_kernels() -> None:
    """Compile the splitter, and the scorer for every number of quadrature points."""
    import lightgbm  # only here: a process that decides never loads it

    splitting.warm()
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(4_000, 2 * max(POINTS)))
    label = rows @ np.ones(rows.shape[1])
    for points in POINTS:
        parameters = {"objective": "regression", "num_leaves": 2 * points + 1, "max_depth": -1, "min_data_in_leaf": 1, "verbosity": -1}
        # One leaf after the other on one side makes a path over as many features as there are columns.
        chain = np.where(np.cumprod(rows[:, : 2 * points] > -1.5, axis=1).astype(bool), 0.0, 1.0) * np.arange(1, 2 * points + 1)
        target = chain.sum(axis=1) + 1e-3 * label
        booster = lightgbm.train(parameters, lightgbm.Dataset(rows[:, : 2 * points], target), num_boost_round=1)
        TreeScorer.from_text(booster.model_to_string()).warm()


def main() -> int:
    """Compile, and say how long it took."""
    started = time.monotonic()
    compile_kernels()
    print(f"kernels compiled in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
