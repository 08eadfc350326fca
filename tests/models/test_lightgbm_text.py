from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.lightgbm_text import Link, ModelUnreadable, read_forest
from models.scorer import TreeScorer


def test_reads_what_lightgbm_says_of_itself(train):
    trained = train("multiclass")
    dump = trained.booster.dump_model()
    forest = read_forest(trained.text)
    assert forest.link is Link.SOFTMAX
    assert forest.outputs == dump["num_tree_per_iteration"] == 3
    assert list(forest.names) == dump["feature_names"]
    assert len(forest.trees) == len(dump["tree_info"])

    def leaves(node: dict) -> list[tuple[int, float, int]]:
        if "leaf_value" in node:
            return [(node.get("leaf_index", 0), node["leaf_value"], node.get("leaf_count", 1))]
        return leaves(node["left_child"]) + leaves(node["right_child"])

    for tree, told in zip(forest.trees, dump["tree_info"], strict=True):
        expected = sorted(leaves(told["tree_structure"]))
        assert [(number, value) for number, value, _ in expected] == list(enumerate(tree.leaf_value))


def _edited(text: str, pattern: str, replacement: str) -> str:
    edited, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert count == 1, f"{pattern} is not in the text"
    return edited


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"\Atree$", "forest", "does not begin"),
        (r"^version=v4$", "version=v9", "'v9'"),
        (r"^end of trees[\s\S]*\Z", "", "cut"),
        (r"^Tree=3\n[\s\S]*?(?=^Tree=4)", "", "promises 15 trees, the text holds 14"),
        (r"^objective=.*$", "objective=poisson", "'poisson'"),
        (r"^objective=.*$", "objective=multiclass num_class:3", "1 outputs do not fit"),
        (r"^max_feature_idx=7$", "max_feature_idx=6", "8 feature names for 7"),
        (r"^feature_infos=", "average_output\nfeature_infos=", "random forest"),
        (r"^is_linear=0$", "is_linear=1", "linear leaves"),
        (r"^num_leaves=\d+$", "num_leaves=3", "tree 0"),
        (r"^split_feature=\d+", "split_feature=8", "feature that does not exist"),
        (r"^split_feature=\d+", "split_feature=-1", "feature that does not exist"),
        (r"^decision_type=\d+", "decision_type=12", "unknown decision type"),
        (r"^leaf_value=\S+", "leaf_value=nan", "finite"),
        (r"^threshold=\S+", "threshold=nan", "numbers"),
        (r"^leaf_count=\d+", "leaf_count=1000000", "do not add up"),
        (r"^internal_count=\d+", "internal_count=0", "rows"),
        (r"^left_child=\S+", "left_child=0", "no tree"),
        (r"^left_child=\S+", "left_child=999", "outside itself"),
        (r"^left_child=\S+", "left_child=99999999999999999999", "not a whole number"),
        (r"^Tree=1$", "Tree=7", "tree 1 is numbered '7'"),
        (r"^num_cat=(\d+)$", r"num_cat=\1\nnum_cat=\1", "twice"),
        (r"^threshold=.*\n", "", "lacks 'threshold'"),
    ],
)
def test_says_what_is_wrong(train, pattern, replacement, message):
    text = train("binary").text
    with pytest.raises(ModelUnreadable, match=message):
        read_forest(_edited(text, pattern, replacement))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_harmless(train, hostile_rows, data):
    """Whatever is changed, the text is refused as unreadable, or it is another sound model: nothing else is raised, nothing crashes."""
    text = train("binary", rounds=2, max_depth=4).text
    text = text[: text.index("end of trees") + 13]
    place = data.draw(st.integers(0, len(text) - 1))
    size = data.draw(st.sampled_from([0, 1, 1, 1, 40]))
    text = text[:place] + data.draw(st.text(alphabet="0123456789-.= \nTabeinf", max_size=3)) + text[place + size :]
    try:
        scorer = TreeScorer.from_text(text)
    except ModelUnreadable:
        return
    rows = np.resize(hostile_rows, (20, len(scorer.names)))
    margins, contributions = scorer.explain_many(rows)
    assert np.isfinite(margins).all()
    assert np.abs(scorer.base[0] + contributions.sum(axis=1) - margins).max() <= 1e-9 * max(1.0, np.abs(contributions).max())


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text):
    with pytest.raises(ModelUnreadable):
        read_forest("tree\n" + text)
