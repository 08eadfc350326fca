"""Configurations that bin in their own way, beside those that bin as usual."""

import numpy as np

from feature_store.ranks import auc
from training.boosting import FoldData, Recipe, fit, margins
from training.splits import Fold
from training.table import TrainingTable

ROWS = 20_000
COARSE = {"num_leaves": 4, "min_data_in_leaf": 3, "learning_rate": 0.3}
FINE = {**COARSE, "max_bin": 8191, "min_data_in_bin": 1}


def tail() -> tuple[TrainingTable, Fold]:
    """An event in the uppermost thousandth of a column: less than a 255th of the rows."""
    x = np.random.default_rng(1).random(ROWS)
    table = TrainingTable(("x",), x[:, None], (x > 0.999).astype(float), ("0", "1"))
    return table, Fold(np.arange(ROWS // 2), np.arange(ROWS // 2, ROWS))


def test_fine_bins_find_what_only_the_tail_has() -> None:
    table, fold = tail()
    event = table.label[fold.judge] == 1
    coarse, fine = (
        auc(margins(fit(table, fold.fit, Recipe(p, 10, ROWS)), table.features[fold.judge])[:, 0], event) for p in (COARSE, FINE)
    )
    assert fine == 1
    assert coarse < fine


def test_a_fold_serves_both_whatever_the_order() -> None:
    table, fold = tail()
    one, other = FoldData(table, fold, ROWS), FoldData(table, fold, ROWS)
    curves = [one.curve(params, 10, 10, lambda: None) for params in (COARSE, FINE, COARSE)]
    np.testing.assert_array_equal(curves[0], curves[2])
    np.testing.assert_array_equal(curves[1], other.curve(FINE, 10, 10, lambda: None))
    assert curves[1].min() < curves[0].min()
