"""From margins to probabilities, with the same bits on every machine.

``exp`` of the C library differs in its last bit between CPUs and versions; a replay compares bytes. So the exponential is computed
here from additions and multiplications only, once for floats and once for arrays, with equal results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LN2_HIGH = 0.6931471803691238  # its last 21 bits are 0, so that k · _LN2_HIGH is exact
_LN2_LOW = 1.9082149292705877e-10
_PER_LN2 = 1.4426950408889634
_COEFFICIENTS = tuple(1.0 / math.factorial(power) for power in range(13, -1, -1))
_LEAST, _MOST = -708.0, 709.0


def exp(x: float) -> float:
    """The exponential within two units in the last place; saturates below −708 and above 709."""
    x = min(max(x, _LEAST), _MOST)
    k = round(x * _PER_LN2)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = 0.0
    for coefficient in _COEFFICIENTS:
        series = series * r + coefficient
    return math.ldexp(series, k)


def exp_many(x: Floats) -> Floats:
    """:func:`exp` of each element, bit for bit."""
    x = np.clip(x, _LEAST, _MOST)
    k = np.rint(x * _PER_LN2)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = np.zeros_like(x)
    for coefficient in _COEFFICIENTS:
        series = series * r + coefficient
    result: Floats = np.ldexp(series, k.astype(np.int64))
    return result


def sigmoid(x: float) -> float:
    """1 / (1 + e⁻ˣ)."""
    small = exp(-abs(x))
    return 1.0 / (1.0 + small) if x >= 0 else small / (1.0 + small)


def sigmoid_many(x: Floats) -> Floats:
    """:func:`sigmoid` of each element, bit for bit."""
    small = exp_many(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softmax(margins: Sequence[float]) -> tuple[float, ...]:
    """Probabilities of classes from their margins, summed in order."""
    most = max(margins)
    powers = [1.0 if margin == most else exp(margin - most) for margin in margins]
    total = sum(powers)
    return tuple(power / total for power in powers)


def softmax_many(margins: Floats) -> Floats:
    """:func:`softmax` of each row of (rows, classes), bit for bit."""
    powers = exp_many(margins - margins.max(axis=1, keepdims=True))
    total = np.zeros(len(powers))
    for column in powers.T:
        total = total + column
    result: Floats = powers / total[:, None]
    return result


def logit(p: float) -> float:
    """The margin of a probability; for fitting only, its last bit depends on the machine."""
    p = min(max(p, 1e-12), 1 - 1e-12)
    return math.log(p / (1 - p))
