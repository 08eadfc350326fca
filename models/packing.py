"""Turns a forest that was read into the flat arrays that the kernel walks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.kernel import MEMBER, NAN_LEFT, POINTS, ZERO_LEFT, ZERO_MISSING, Floats, Packed
from models.lightgbm_text import CATEGORICAL, DEFAULT_LEFT, MISSING_NONE, MISSING_ZERO, Forest, ModelUnreadable, Tree


@dataclass(frozen=True, slots=True)
class Layout:
    """A packed forest and its sizes.

    Attributes:
        outputs: int64 (outputs+1,), first tree of each output, and the tree after the last.
        base: float64 (outputs,), the mean margin over the training rows as the trees count them.
        widest: the most distinct features on a path.
        points: K, the quadrature points that make this exact.
        slots: the most slots of a tree.
    """

    packed: Packed
    outputs: NDArray[np.int64]
    base: Floats
    widest: int
    points: int
    slots: int


@dataclass(slots=True)
class _Flat:
    """One tree's slots and inner nodes, while they are being filled."""

    slot: list[int]
    above: list[int]
    inner: list[int]
    value: list[float]
    share: list[float]
    base: float
    widest: int


def pack(forest: Forest) -> Layout:
    """Flatten a forest.

    Raises:
        ModelUnreadable: a path splits on more distinct features than the largest kernel integrates exactly.
    """
    order = [tree for output in range(forest.outputs) for tree in forest.trees[output :: forest.outputs]]
    flats = [_flatten(tree) for tree in order]
    per_output = len(order) // forest.outputs
    base = np.array([sum(flat.base for flat in flats[k * per_output : (k + 1) * per_output]) for k in range(forest.outputs)])
    widest = max(flat.widest for flat in flats)
    points = next((count for count in POINTS if 2 * count >= widest), None)
    if points is None:
        raise ModelUnreadable(f"a path splits on {widest} different features, more than {2 * POINTS[-1]}; train with max_depth=8")
    inner = np.array([len(tree.feature) for tree in order], dtype=np.int64)
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(inner)])
    words = np.array([len(tree.set_words) for tree in order], dtype=np.int64)
    set_first, set_size = _sets(order, np.cumsum(words) - words)
    packed = Packed(
        first=first,
        feature=np.concatenate([tree.feature for tree in order]).astype(np.int32),
        kind=np.concatenate([_kinds(tree) for tree in order]),
        threshold=np.concatenate([tree.threshold for tree in order]),
        set_first=set_first,
        set_size=set_size,
        words=np.concatenate([tree.set_words for tree in order]),
        slot=np.array([s for flat in flats for s in flat.slot], dtype=np.int32),
        above=np.array([a for flat in flats for a in flat.above], dtype=np.int32),
        inner=np.array([j for flat in flats for j in flat.inner], dtype=np.int32),
        value=np.array([v for flat in flats for v in flat.value]),
        share=np.array([r for flat in flats for r in flat.share]),
    )
    outputs = np.arange(forest.outputs + 1, dtype=np.int64) * per_output
    return Layout(packed, outputs, base, widest, points, int(2 * inner.max() + 1))


def _flatten(tree: Tree) -> _Flat:
    inner = len(tree.feature)
    slots = 2 * inner + 1
    flat = _Flat([0] * inner, [0] * inner, [-1] * slots, [0.0] * slots, [1.0] * slots, 0.0, 0)
    if not inner:
        flat.value[0] = flat.base = float(tree.leaf_value[0])
        return flat
    features, counts = tree.feature.tolist(), tree.inner_count.tolist()
    leaf_counts, leaf_values = tree.leaf_count.tolist(), tree.leaf_value.tolist()
    children = tuple(zip(tree.left.tolist(), tree.right.tolist(), strict=True))
    parent = [0] * inner
    distinct = [0] * slots
    flat.inner[0] = 0
    for j in range(inner):
        above = flat.above[j] = _above(j, features, parent, flat.slot)
        for slot, child in zip((2 * j + 1, 2 * j + 2), children[j], strict=True):
            count = counts[child] if child >= 0 else leaf_counts[~child]
            flat.share[slot] = flat.share[above] * (count / counts[j]) if counts[j] else 0.0
            distinct[slot] = distinct[flat.slot[j]] + (above == 0)
            if child >= 0:
                flat.inner[slot], flat.slot[child], parent[child] = child, slot, j
            else:
                flat.value[slot] = leaf_values[~child]
                flat.base += count / counts[0] * leaf_values[~child]
    flat.widest = max(distinct)
    return flat


def _above(node: int, features: list[int], parent: list[int], slot: list[int]) -> int:
    """The slot below the nearest split above on the same feature; 0, the root's, where there is none."""
    here = node
    while here:
        if features[parent[here]] == features[node]:
            return slot[here]
        here = parent[here]
    return 0


def _kinds(tree: Tree) -> NDArray[np.uint8]:
    """What decides at each inner node. Without a missing type NaN counts as 0; with zero as missing, NaN counts as zero."""
    missing = tree.decision >> 2
    default_left = (tree.decision & DEFAULT_LEFT) != 0
    nan_left = np.where(missing == MISSING_NONE, tree.threshold >= 0.0, default_left)
    zero = missing == MISSING_ZERO
    numeric = nan_left * NAN_LEFT + zero * ZERO_MISSING + (zero & default_left) * ZERO_LEFT
    return np.where(tree.decision & CATEGORICAL, MEMBER, numeric).astype(np.uint8)


def _sets(order: list[Tree], offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begin and number of the words of each inner node's set; 0 and 0 for numeric splits."""
    first, size = [], []
    for tree, offset in zip(order, offsets, strict=True):
        chosen = (tree.decision & CATEGORICAL) != 0
        number = np.where(chosen, tree.threshold, 0).astype(np.int64)
        bounds = np.append(tree.set_bounds, tree.set_bounds[-1])
        first.append(np.where(chosen, bounds[number] + offset, 0))
        size.append(np.where(chosen, bounds[number + 1] - bounds[number], 0))
    return np.concatenate(first), np.concatenate(size)
