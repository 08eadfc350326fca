from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.lightgbm_text import ModelUnreadable
from models.scorer import TreeScorer

ROOT = Path(__file__).parents[2]

KINDS = [
    ("binary", {}),
    ("binary", {"zero_as_missing": True}),
    ("binary", {"use_missing": False}),
    ("binary", {"bagging_fraction": 0.5, "bagging_freq": 1}),
    ("binary", {"boosting": "dart"}),
    ("binary", {"max_cat_to_onehot": 100}),
    ("binary", {"objective": "cross_entropy"}),
    ("binary", {"rounds": 3, "max_depth": 1}),
    ("binary", {"rounds": 3, "max_depth": 2, "num_leaves": 3}),
    ("multiclass", {}),
    ("multiclass", {"zero_as_missing": True, "min_data_in_leaf": 100}),
    ("regression", {}),
    ("regression", {"objective": "quantile"}),
    ("regression", {"min_data_in_leaf": 10_000}),
]


def assert_equals_lightgbm(trained, rows):
    scorer = TreeScorer.from_text(trained.text)
    raw = trained.booster.predict(rows, raw_score=True).reshape(len(rows), -1)
    expected = trained.booster.predict(rows, pred_contrib=True).reshape(len(rows), scorer.outputs, -1)
    assert np.array_equal(scorer.margins(rows), raw)
    for output in range(scorer.outputs):
        margins, contributions = scorer.explain_many(rows, output)
        scale = max(1.0, np.abs(expected[:, output]).max())
        assert np.array_equal(margins, raw[:, output])
        assert np.abs(contributions - expected[:, output, :-1]).max() <= 1e-9 * scale
        assert abs(scorer.base[output] - expected[0, output, -1]) <= 1e-9 * scale
        assert np.abs(scorer.base[output] + contributions.sum(axis=1) - margins).max() <= 1e-9 * scale


@pytest.mark.parametrize(("kind", "params"), KINDS, ids=lambda part: part if isinstance(part, str) else "-".join(part) or "plain")
def test_equals_lightgbm(train, hostile_rows, kind, params):
    trained = train(kind, **params)
    assert_equals_lightgbm(trained, np.vstack([trained.rows[:80], hostile_rows]))


def test_a_tree_without_splits_is_its_value(train):
    trained = train("regression", min_data_in_leaf=10_000)
    scorer = TreeScorer.from_text(trained.text)
    explained = scorer.explain(trained.rows[0])
    assert explained.margin == explained.base == pytest.approx(trained.labels.mean())
    assert not explained.contributions.any()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["binary", "multiclass", "regression"]),
    seed=st.integers(0, 10_000),
    leaves=st.integers(2, 40),
    depth=st.sampled_from([-1, 1, 3, 8]),
    missing=st.sampled_from([{}, {"zero_as_missing": True}, {"use_missing": False}]),
    share=st.sampled_from([1.0, 0.6]),
)
def test_equals_lightgbm_for_any_settings(train, hostile_rows, kind, seed, leaves, depth, missing, share):
    trained = train.__wrapped__(kind, seed, rounds=4, num_leaves=leaves, max_depth=depth, feature_fraction=share, **missing)
    assert_equals_lightgbm(trained, np.vstack([trained.rows[:20], hostile_rows[:40]]))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_contributions_are_the_shapley_values_of_their_definition(train, seed):
    """Against the sum over all subsets of features, with nothing shared with the kernel but the parsed tree."""
    from models.lightgbm_text import read_forest

    trained = train.__wrapped__("regression", seed, rounds=1, num_leaves=10)
    tree = read_forest(trained.text).trees[0]
    scorer = TreeScorer.from_text(trained.text)
    used = sorted(scorer.used)
    row = trained.rows[seed % len(trained.rows)]

    def expect(node: int, known: frozenset[int]) -> float:
        if node < 0:
            return float(tree.leaf_value[~node])
        left, right = int(tree.left[node]), int(tree.right[node])
        feature = int(tree.feature[node])
        if feature in known:
            return expect(left if goes_left(node, row[feature]) else right, known)
        count = [int(tree.inner_count[child]) if child >= 0 else int(tree.leaf_count[~child]) for child in (left, right)]
        return (count[0] * expect(left, known) + count[1] * expect(right, known)) / sum(count)

    def goes_left(node: int, value: float) -> bool:
        if tree.decision[node] & 1:
            chosen = int(tree.threshold[node])
            words = tree.set_words[tree.set_bounds[chosen] : tree.set_bounds[chosen + 1]]
            return not np.isnan(value) and int(value) // 32 < len(words) and bool(int(words[int(value) // 32]) >> int(value) % 32 & 1)
        if np.isnan(value):
            return bool(tree.decision[node] & 2) if tree.decision[node] >> 2 == 2 else tree.threshold[node] >= 0
        return bool(value <= tree.threshold[node])

    explained = scorer.explain(row)
    for feature in used:
        others = [other for other in used if other != feature]
        total = 0.0
        for size in range(len(others) + 1):
            weight = factorial(size) * factorial(len(others) - size) / factorial(len(used))
            for known in itertools.combinations(others, size):
                total += weight * (expect(0, frozenset({*known, feature})) - expect(0, frozenset(known)))
        assert explained.contributions[feature] == pytest.approx(total, abs=1e-8)
    assert explained.base == pytest.approx(expect(0, frozenset()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_equals_shap_tree_explainer(train):
    import shap

    trained = train("binary")
    explainer = shap.TreeExplainer(trained.booster)
    values = np.asarray(explainer.shap_values(trained.rows[:50]))
    scorer = TreeScorer.from_text(trained.text)
    _, contributions = scorer.explain_many(trained.rows[:50])
    assert np.abs(contributions - values).max() < 1e-9
    assert abs(float(np.ravel(explainer.expected_value)[-1]) - scorer.base[0]) < 1e-9


def test_same_bits_in_every_thread(train):
    trained = train("binary")
    scorer = TreeScorer.from_text(trained.text)
    _, expected = scorer.explain_many(trained.rows)

    def explain_all(_: int) -> bytes:
        return b"".join(scorer.explain(row).contributions.tobytes() for row in trained.rows[:300])

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(explain_all, range(8))) == {expected[:300].tobytes()}


def test_a_long_path_takes_more_points():
    chain = _chain(depth=24)
    scorer = TreeScorer.from_text(chain)
    assert scorer.widest == 24
    row = np.ones(24)
    explained = scorer.explain(row)
    assert explained.base + explained.contributions.sum() == pytest.approx(explained.margin, abs=1e-12)
    # every split halves the rows and only the last leaf has a value: all features are alike
    assert np.ptp(explained.contributions) < 1e-12


def test_a_path_that_is_too_long_is_refused():
    with pytest.raises(ModelUnreadable, match="33 different features"):
        TreeScorer.from_text(_chain(depth=33))


def test_rows_of_another_width_are_refused(train):
    scorer = TreeScorer.from_text(train("binary").text)
    with pytest.raises(ValueError, match="8 features"):
        scorer.margin(np.zeros(7))
    with pytest.raises(IndexError):
        scorer.explain(np.zeros(8), output=1)


def test_rows_may_be_read_only_or_strided(train):
    trained = train("binary")
    scorer = TreeScorer.from_text(trained.text)
    frozen = trained.rows[:5].copy()
    frozen.flags.writeable = False
    assert np.array_equal(scorer.margins(frozen), scorer.margins(np.asfortranarray(trained.rows[:5])))


_ELSEWHERE = """
import hashlib, json, sys
import numpy as np
from models import kernel
from models.scorer import TreeScorer
with open(sys.argv[1]) as file:
    scorer = TreeScorer.from_text(file.read())
rows = np.load(sys.argv[2])
margins, contributions = scorer.explain_many(rows)
hits = sum(kernel._compiled["_explain"].stats.cache_hits.values())
print(json.dumps({"digest": hashlib.sha256(margins.tobytes() + contributions.tobytes()).hexdigest(), "hits": hits,
                  "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def _elsewhere(tmp_path: Path, trained, **environment: str) -> dict[str, object]:
    (tmp_path / "model.txt").write_text(trained.text)
    np.save(tmp_path / "rows.npy", trained.rows)
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path / "model.txt"), str(tmp_path / "rows.npy")],
        cwd=ROOT, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), **environment}, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.slow
def test_same_bits_for_the_plainest_cpu_and_a_warm_start_compiles_nothing(train, tmp_path):
    trained = train("binary")
    here = _elsewhere(tmp_path, trained)
    again = _elsewhere(tmp_path, trained)
    plain = _elsewhere(tmp_path, trained, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert (here["hits"], again["hits"], plain["hits"]) == (0, 1, 0)
    assert here["digest"] == again["digest"] == plain["digest"]
    assert not {"lightgbm", "shap", "pandas", "sklearn", "mlflow"} & set(here["modules"])


def _chain(depth: int) -> str:
    """A tree that asks one feature after another, each halving its rows; only the deepest leaf has a value."""
    inner = range(depth)
    rows = 2**depth
    counts = [rows >> level for level in range(depth)]

    def join(values) -> str:
        return " ".join(str(value) for value in values)

    return "\n".join(
        [
            "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", f"max_feature_idx={depth - 1}", "objective=regression",
            "feature_names=" + join(f"f{j}" for j in inner), "tree_sizes=1", "", "Tree=0", f"num_leaves={depth + 1}", "num_cat=0",
            "split_feature=" + join(inner), "threshold=" + join(0.5 for _ in inner), "decision_type=" + join(2 for _ in inner),
            "left_child=" + join(~j for j in inner), "right_child=" + join([*range(1, depth), ~depth]),
            "leaf_value=" + join([0] * depth + [1]), "leaf_count=" + join([*(count // 2 for count in counts), 1]),
            "internal_count=" + join(counts), "is_linear=0", "shrinkage=1", "", "end of trees", "",
        ]
    )  # fmt: skip
