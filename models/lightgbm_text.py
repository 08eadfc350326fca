"""Reads LightGBM's native text format (``Booster.model_to_string``) without LightGBM.

The text holds thresholds and leaf values with 17 significant digits, so they come back bit for bit; shrinkage and the initial
score are already inside the leaf values. Everything that the kernel relies on is checked here, because compiled code does not
check bounds: pointers form one tree, features exist, counts add up.

Source: ``src/io/tree.cpp`` and ``src/boosting/gbdt_model_text.cpp`` of LightGBM, format versions v3 and v4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

CATEGORICAL = 1
"""Bit of a decision type: the split asks for membership in a set."""
DEFAULT_LEFT = 2
"""Bit of a decision type: what is missing goes left."""
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
"""Missing types, in bits 2 and 3 of a decision type."""

_MAX_FEATURES = 100_000


class Link(StrEnum):
    """How a margin becomes a prediction."""

    LOGIT = "logit"
    SOFTMAX = "softmax"
    IDENTITY = "identity"


_LINKS = {
    "binary": Link.LOGIT,
    "cross_entropy": Link.LOGIT,
    "multiclass": Link.SOFTMAX,
    "regression": Link.IDENTITY,
    "regression_l1": Link.IDENTITY,
    "huber": Link.IDENTITY,
    "fair": Link.IDENTITY,
    "quantile": Link.IDENTITY,
    "mape": Link.IDENTITY,
}


class ModelUnreadable(ValueError):
    """A text that is no whole LightGBM model, or one of a kind that is not supported; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One decision tree of L leaves; inner node 0 is the root, a child c < 0 is leaf ~c.

    Attributes:
        leaf_value: float64 (L,), shrinkage applied.
        leaf_count: int64 (L,), training rows.
        feature: int64 (L−1,).
        threshold: float64 (L−1,); of a categorical split the number of its set.
        decision: int64 (L−1,), see :data:`CATEGORICAL`, :data:`DEFAULT_LEFT` and the missing types.
        left: int64 (L−1,).
        right: int64 (L−1,).
        inner_count: int64 (L−1,), training rows.
        set_bounds: int64 (sets+1,), where each set's words begin.
        set_words: uint32, the sets as bits.
    """

    leaf_value: NDArray[np.float64]
    leaf_count: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    decision: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    inner_count: NDArray[np.int64]
    set_bounds: NDArray[np.int64]
    set_words: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Forest:
    """A whole model: tree i belongs to output i modulo ``outputs``."""

    names: tuple[str, ...]
    objective: str
    link: Link
    outputs: int
    trees: tuple[Tree, ...]


def read_forest(text: str) -> Forest:
    """Read a model.

    Args:
        text: what ``Booster.model_to_string`` wrote.

    Raises:
        ModelUnreadable: the text is cut, damaged or not a LightGBM model, or the model is of an unsupported kind (linear trees,
            random-forest averaging, an objective without a known link).
    """
    head, *blocks = _blocks(text)
    header = _fields(head, "the header")
    names, objective, outputs = _read_header(head, header)
    expected = len(_need(header, "tree_sizes", "the header").split())
    if len(blocks) != expected:
        raise ModelUnreadable(f"the header promises {expected} trees, the text holds {len(blocks)}")
    if not blocks or len(blocks) % outputs:
        raise ModelUnreadable(f"{len(blocks)} trees cannot be shared by {outputs} outputs")
    trees = tuple(_read_tree(block, number, len(names)) for number, block in enumerate(blocks))
    return Forest(names, objective, _LINKS[objective], outputs, trees)


def _blocks(text: str) -> Iterator[list[str]]:
    """The header's lines, then those of each tree."""
    lines = text.splitlines()
    if not lines or lines[0] != "tree":
        raise ModelUnreadable("this is not LightGBM's model text: it does not begin with the line 'tree'")
    try:
        end = lines.index("end of trees")
    except ValueError as error:
        raise ModelUnreadable("the text is cut: the line 'end of trees' is missing") from error
    starts = [number for number, line in enumerate(lines[:end]) if line.startswith("Tree=")]
    bounds = [*starts, end]
    yield lines[1 : bounds[0]]
    for start, stop in zip(starts, bounds[1:], strict=True):
        yield lines[start:stop]


def _fields(lines: list[str], where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, mark, value = line.partition("=")
        if mark:
            if key in fields:
                raise ModelUnreadable(f"{where} says {key!r} twice")
            fields[key] = value
    return fields


def _need(fields: Mapping[str, str], key: str, where: str) -> str:
    try:
        return fields[key]
    except KeyError as error:
        raise ModelUnreadable(f"{where} lacks {key!r}") from error


def _read_header(lines: list[str], header: Mapping[str, str]) -> tuple[tuple[str, ...], str, int]:
    where = "the header"
    version = _need(header, "version", where)
    if version not in {"v3", "v4"}:
        raise ModelUnreadable(f"model format {version!r}; v3 and v4 are supported")
    if "average_output" in lines:
        raise ModelUnreadable("a random forest (average_output) has no additive margin; train with boosting=gbdt")
    objective, *details = _need(header, "objective", where).split() or [""]
    if objective not in _LINKS:
        raise ModelUnreadable(f"objective {objective!r}; supported are {', '.join(_LINKS)}")
    if objective.startswith("regression") and "sqrt" in details:
        raise ModelUnreadable("reg_sqrt squares the margin; train without it")
    names = tuple(_need(header, "feature_names", where).split(" "))
    (width,) = _integers(_need(header, "max_feature_idx", where), 1, where, "max_feature_idx")
    (outputs,) = _integers(_need(header, "num_tree_per_iteration", where), 1, where, "num_tree_per_iteration")
    if len(names) != width + 1 or len(names) > _MAX_FEATURES:
        raise ModelUnreadable(f"{len(names)} feature names for {width + 1} features")
    if outputs < 1 or (outputs > 1) != (_LINKS[objective] is Link.SOFTMAX):
        raise ModelUnreadable(f"{outputs} outputs do not fit the objective {objective!r}")
    return names, objective, int(outputs)


def _integers(text: str, size: int | None, where: str, key: str) -> NDArray[np.int64]:
    try:
        values = np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise ModelUnreadable(f"{where}: {key} holds what is not a whole number") from error
    if size is not None and len(values) != size:
        raise ModelUnreadable(f"{where}: {key} holds {len(values)} values, not {size}")
    return values


def _floats(text: str, size: int, where: str, key: str, *, infinite: bool = False) -> NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in text.split()], dtype=np.float64)
    except ValueError as error:
        raise ModelUnreadable(f"{where}: {key} holds what is not a number") from error
    if len(values) != size or np.isnan(values).any() or not (infinite or np.isfinite(values).all()):
        raise ModelUnreadable(f"{where}: {key} must hold {size} {'' if infinite else 'finite '}numbers")
    return values


def _read_tree(lines: list[str], number: int, width: int) -> Tree:
    where = f"tree {number}"
    fields = _fields(lines, where)
    if fields["Tree"] != str(number):
        raise ModelUnreadable(f"{where} is numbered {fields['Tree']!r}")
    if fields.get("is_linear", "0") != "0":
        raise ModelUnreadable(f"{where} has linear leaves; train with linear_tree=false")

    def integers(key: str, size: int | None = None) -> NDArray[np.int64]:
        return _integers(_need(fields, key, where), size, where, key)

    def floats(key: str, size: int) -> NDArray[np.float64]:
        return _floats(_need(fields, key, where), size, where, key)

    leaves = int(integers("num_leaves", 1)[0])
    sets = int(integers("num_cat", 1)[0])
    if leaves < 1 or sets < 0:
        raise ModelUnreadable(f"{where}: num_leaves={leaves}, num_cat={sets}")
    if leaves == 1:
        return _constant(floats("leaf_value", 1))
    inner = leaves - 1
    words = integers("cat_threshold") if sets else np.empty(0, dtype=np.int64)
    if ((words < 0) | (words > 0xFFFFFFFF)).any():
        raise ModelUnreadable(f"{where}: cat_threshold holds what is not 32 bits")
    tree = Tree(
        leaf_value=floats("leaf_value", leaves),
        leaf_count=integers("leaf_count", leaves),
        feature=integers("split_feature", inner),
        threshold=_floats(_need(fields, "threshold", where), inner, where, "threshold", infinite=True),  # inf parts what is missing
        decision=integers("decision_type", inner),
        left=integers("left_child", inner),
        right=integers("right_child", inner),
        inner_count=integers("internal_count", inner),
        set_bounds=integers("cat_boundaries", sets + 1) if sets else np.zeros(1, dtype=np.int64),
        set_words=words.astype(np.uint32),
    )
    _check_splits(tree, where, width)
    _check_shape(tree, where)
    return tree


def _constant(leaf_value: NDArray[np.float64]) -> Tree:
    none = np.empty(0, dtype=np.int64)
    return Tree(
        leaf_value=leaf_value,
        leaf_count=np.ones(1, dtype=np.int64),
        feature=none,
        threshold=np.empty(0, dtype=np.float64),
        decision=none,
        left=none,
        right=none,
        inner_count=none,
        set_bounds=np.zeros(1, dtype=np.int64),
        set_words=np.empty(0, dtype=np.uint32),
    )


def _check_splits(tree: Tree, where: str, width: int) -> None:
    if ((tree.feature < 0) | (tree.feature >= width)).any():
        raise ModelUnreadable(f"{where} splits on a feature that does not exist")
    if ((tree.decision < 0) | (tree.decision >= 12)).any():
        raise ModelUnreadable(f"{where} has an unknown decision type")
    if (np.diff(tree.set_bounds) < 0).any() or tree.set_bounds[0] != 0 or tree.set_bounds[-1] != len(tree.set_words):
        raise ModelUnreadable(f"{where}: cat_boundaries do not fit cat_threshold")
    chosen = tree.threshold[(tree.decision & CATEGORICAL) != 0]
    if ((chosen != np.floor(chosen)) | (chosen < 0) | (chosen >= len(tree.set_bounds) - 1)).any():
        raise ModelUnreadable(f"{where} asks for a set of categories that does not exist")


def _check_shape(tree: Tree, where: str) -> None:
    """Every node is reached exactly once, and every inner node counts what its children count."""
    inner = len(tree.left)
    if min(tree.left.min(), tree.right.min()) < -inner - 1 or max(tree.left.max(), tree.right.max()) >= inner:
        raise ModelUnreadable(f"{where} points outside itself")
    children = np.concatenate([tree.left, tree.right])
    seen = np.sort(children)
    if not np.array_equal(seen, np.delete(np.arange(-inner - 1, inner), inner + 1)):
        raise ModelUnreadable(f"{where} is no tree: a node has two parents or none")
    if ((tree.left >= 0) & (tree.left <= np.arange(inner))).any() or ((tree.right >= 0) & (tree.right <= np.arange(inner))).any():
        raise ModelUnreadable(f"{where} is no tree: a child stands before its parent")
    counts = np.concatenate([tree.inner_count, tree.leaf_count[::-1]])  # leaf ~c is at c when counted from the end
    if (counts < 0).any() or counts[0] <= 0 or not math.isfinite(float(counts.sum())):
        raise ModelUnreadable(f"{where} counts less than no rows")
    if not np.array_equal(counts[tree.left] + counts[tree.right], tree.inner_count):
        raise ModelUnreadable(f"{where}: the rows of two children do not add up to those of their parent")
