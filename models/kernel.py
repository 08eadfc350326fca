"""Compiled scoring: the margin of a forest and its exact path-dependent Shapley values, in one pass.

For one leaf with value v, reached over splits on features i with o_i ∈ {0, 1} (does the row follow them all?) and r_i (the share
of training rows that does), the path-dependent Shapley value of feature i is

    φ_i = v (o_i − r_i) ∫₀¹ Π_{j≠i} (t·o_j + (1−t)·r_j) dt.

The integrand is a polynomial in t, so K Gauss–Legendre points integrate it exactly while a path splits on at most 2K distinct
features. Products are shared on the way down a tree and sums on the way up, so a tree costs O(nodes × K). The values are those of
path-dependent TreeSHAP (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees"),
which LightGBM calls ``pred_contrib``.

Everything is IEEE-754 double precision in one fixed order of operations: no fast-math, no fused multiply-add, no sum split over
lanes. So a row gives the same bits alone or in a batch, in any thread, on any CPU. The compiled code is cached on disk, one
copy per CPU model, beside this file or in ``NUMBA_CACHE_DIR``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.quadrature import Rule

Floats = NDArray[np.float64]

POINTS = (2, 4, 8, 16)
"""Numbers of points that kernels are compiled for; a model takes the smallest that is exact for its widest path."""

NAN_LEFT, ZERO_MISSING, ZERO_LEFT, MEMBER = 1, 2, 4, 8
"""Bits of ``Packed.kind``: NaN goes left; zero counts as missing; a missing zero goes left; left are the members of a set."""

ZERO = float(np.float32(1e-35))
"""LightGBM takes what lies within ± this for zero (its ``kZeroThreshold``)."""


class Packed(NamedTuple):
    """A forest as flat arrays; the trees of one output stand together.

    Inner node j of a tree has its children in the slots 2j+1 (left) and 2j+2 (right); slot 0 is the root; parents come first.

    Attributes:
        first: int64 (trees+1,), where each tree's inner nodes begin; its slots begin at ``2·first + tree``.
        feature: int32, per inner node.
        kind: uint8, per inner node: bits, see :data:`NAN_LEFT` and its like.
        threshold: float64, per inner node.
        set_first: int64, per inner node where its set's words begin.
        set_size: int64, per inner node how many words its set has.
        words: uint32, the sets as bits.
        slot: int32, per inner node its own slot.
        above: int32, per inner node the slot below the nearest split above on the same feature; 0 where there is none.
        inner: int32, per slot its inner node, −1 for a leaf.
        value: float64, per slot the leaf's value; 0 for inner nodes.
        share: float64, per slot r of its feature: the share of the rows at the root that this feature's splits let pass to here.
    """

    first: NDArray[np.int64]
    feature: NDArray[np.int32]
    kind: NDArray[np.uint8]
    threshold: Floats
    set_first: NDArray[np.int64]
    set_size: NDArray[np.int64]
    words: NDArray[np.uint32]
    slot: NDArray[np.int32]
    above: NDArray[np.int32]
    inner: NDArray[np.int32]
    value: Floats
    share: Floats


Explain = Callable[[int, int, int, Packed, Rule, tuple[int, ...], Floats, Floats, Floats], None]
"""(first tree, tree after the last, most slots of a tree, forest, rule, lanes, rows (m, n), margins out (m,), contributions out (m, n))."""
Margins = Callable[[NDArray[np.int64], Packed, Floats, Floats], None]
"""(first tree of each output and the tree after the last, forest, rows (m, n), margins out (m, outputs))."""

_lock = threading.Lock()
_compiled: dict[str, Any] = {}


def explainer() -> Explain:
    """The kernel that explains; compiled, or loaded from the cache, for each number of points at its first call."""
    return cast("Explain", _once(_explain))


def scorer() -> Margins:
    """The kernel that computes margins only."""
    return cast("Margins", _once(_margins))


def _once(function: Callable[..., None]) -> Any:
    with _lock:
        if function.__name__ not in _compiled:
            _compiled[function.__name__] = _compile(function)
        return _compiled[function.__name__]


def _compile(function: Callable[..., None]) -> Any:
    """Without the interpreter lock, and cached on disk where some folder can be written."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no folder for its cache: a read-only installation without a home
        return njit(nogil=True, error_model="numpy")(function)


def _inlined(function: Callable[..., Any]) -> Any:
    return njit(inline="always", error_model="numpy")(function)


# Below is what numba compiles. Arrays go in one by one: reading them from the tuple in a loop would count references each time.
# Indices are unsigned, so that no code looks for negative ones. The number of points is the length of `lanes`, a constant to the
# compiler, so that the loops over them unroll.


@_inlined
def _goes_left(value, kind, threshold, set_first, set_size, words):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """LightGBM's ``Tree::Decision``, missing values and sets of categories included."""
    left = False
    if kind & MEMBER:
        if -1.0 < value < 2147483648.0:
            category = np.int64(value)
            word = category >> 5
            if word < set_size:
                left = (words[np.uint64(set_first + word)] >> np.uint32(category & 31)) & np.uint32(1) != 0
    elif value != value:  # noqa: PLR0124 - NaN
        left = kind & NAN_LEFT != 0
    elif kind & ZERO_MISSING and -ZERO <= value <= ZERO:
        left = kind & ZERO_LEFT != 0
    else:
        left = value <= threshold
    return left


def _margins(outputs, forest, rows, margins):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    first, feature, kind, threshold, set_first, set_size, words, _, _, inner, value, _ = forest
    for row in range(rows.shape[0]):
        for output in range(outputs.size - 1):
            margin = 0.0
            for tree in range(outputs[output], outputs[output + 1]):
                start = 2 * first[tree] + tree
                slot = start
                j = inner[start]
                while j >= 0:
                    e = np.uint64(first[tree] + j)
                    x = rows[row, feature[e]]
                    left = _goes_left(x, kind[e], threshold[e], set_first[e], set_size[e], words)
                    slot = start + 2 * j + (1 if left else 2)
                    j = inner[slot]
                margin += value[slot]
            margins[row, output] = margin


def _explain(begin, end, width, forest, rule, lanes, rows, margins, contributions):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    first, feature, kind, threshold, set_first, set_size, words, slot, above, inner, value, share = forest
    points, rest, weights = rule
    lane_count = len(lanes)
    prod, inverse, sums = np.empty(width * lane_count), np.empty(width * lane_count), np.empty(width * lane_count)
    left, follow = np.empty(width, np.uint8), np.empty(width, np.uint8)
    phi = np.empty(rows.shape[1] * lane_count)
    for row in range(rows.shape[0]):
        x = rows[row]
        phi[:] = 0.0
        margin = 0.0
        for tree in range(begin, end):
            e = np.uint64(first[tree])
            count = first[tree + 1] - first[tree]
            s = np.uint64(2) * e + np.uint64(tree)
            for number in range(count):
                j = np.uint64(number)
                at = e + j
                left[j] = _goes_left(x[np.uint64(feature[at])], kind[at], threshold[at], set_first[at], set_size[at], words)
            _down(e, s, count, slot, above, value, share, points, rest, lanes, left, follow, prod, inverse, sums)
            _up(e, s, count, feature, slot, above, share, lanes, follow, inverse, sums, phi)
            margin += value[_leaf(s, inner, left)]
        margins[row] = margin
        for i in range(rows.shape[1]):
            total = 0.0
            for k in range(lane_count):
                total += weights[k] * phi[i * lane_count + k]
            contributions[row, i] = total


@_inlined
def _down(e, s, count, slot, above, value, share, points, rest, lanes, left, follow, prod, inverse, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Products over all features from the root to each node. A leaf enters the sums with its value, an inner node with 0.

    A factor is ``o·t + (1−t)·r``; multiplying by the inverse of that of the nearest split above on the same feature takes the latter
    back. Where the factor is 0 (no training row came here, nor does this one) so is the product, and 0 stands for the inverse.
    """
    follow[0] = 1
    size = np.uint64(len(lanes))
    for lane in range(len(lanes)):
        prod[np.uint64(lane)] = 1.0
        inverse[np.uint64(lane)] = 1.0
    for number in range(count):
        j = np.uint64(number)
        q = np.uint64(above[e + j])
        c = np.uint64(2) * j + np.uint64(1)
        follow[c] = follow[q] & left[j]
        follow[c + np.uint64(1)] = follow[q] & (np.uint8(1) - left[j])
        o_1, o_2 = np.float64(follow[c]), np.float64(follow[c + np.uint64(1)])
        r_1, r_2 = share[s + c], share[s + c + np.uint64(1)]
        v_1, v_2 = value[s + c], value[s + c + np.uint64(1)]
        taken = q * size
        parent = np.uint64(slot[e + j]) * size
        at = c * size
        for lane in range(len(lanes)):
            k = np.uint64(lane)
            shared = prod[parent + k] * inverse[taken + k]
            f_1 = o_1 * points[k] + rest[k] * r_1
            f_2 = o_2 * points[k] + rest[k] * r_2
            inverse[at + k] = 1.0 / f_1 if f_1 != 0.0 else 0.0
            inverse[at + size + k] = 1.0 / f_2 if f_2 != 0.0 else 0.0
            prod[at + k] = f_1 * shared
            prod[at + size + k] = f_2 * shared
            sums[at + k] = f_1 * shared * v_1
            sums[at + size + k] = f_2 * shared * v_2


@_inlined
def _up(e, s, count, feature, slot, above, share, lanes, follow, inverse, sums, phi):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Sums over the leaves below each node, credited to the feature of the edge above it.

    A leaf's value for a feature is its sum times ``(o − r) / factor`` of the feature's last split on the path; the differences
    along the path add up to it.
    """
    size = np.uint64(len(lanes))
    for number in range(count):
        j = np.uint64(count - 1 - number)
        q = np.uint64(above[e + j])
        c = np.uint64(2) * j + np.uint64(1)
        d_0 = np.float64(follow[q]) - share[s + q]
        d_1 = np.float64(follow[c]) - share[s + c]
        d_2 = np.float64(follow[c + np.uint64(1)]) - share[s + c + np.uint64(1)]
        taken = q * size
        parent = np.uint64(slot[e + j]) * size
        credited = np.uint64(feature[e + j]) * size
        at = c * size
        for lane in range(len(lanes)):
            k = np.uint64(lane)
            s_1, s_2 = sums[at + k], sums[at + size + k]
            g_0 = d_0 * inverse[taken + k]
            sums[parent + k] = s_1 + s_2
            phi[credited + k] += (d_1 * inverse[at + k] - g_0) * s_1 + (d_2 * inverse[at + size + k] - g_0) * s_2


@_inlined
def _leaf(s, inner, left):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The slot of the leaf that the row reaches."""
    at = np.uint64(0)
    j = inner[s]
    while j >= 0:
        at = np.uint64(2) * np.uint64(j) + np.uint64(2) - np.uint64(left[np.uint64(j)])
        j = inner[s + at]
    return s + at
