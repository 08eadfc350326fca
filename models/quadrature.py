"""Gauss–Legendre quadrature on [0, 1], with the same bits on every machine."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rule(NamedTuple):
    """A rule of K points, exact for polynomials up to degree 2K − 1.

    Attributes:
        points: float64 (K,), t.
        rest: float64 (K,), 1 − t, rounded once.
        weights: float64 (K,).
    """

    points: NDArray[np.float64]
    rest: NDArray[np.float64]
    weights: NDArray[np.float64]


@lru_cache
def rule(points: int) -> Rule:
    """The rule of K points.

    Newton's method in 60-digit decimal arithmetic, rounded at the end: numpy's ``leggauss`` goes through LAPACK, whose last bits
    depend on the CPU.
    """
    t: list[float] = []
    rest: list[float] = []
    weights: list[float] = []
    with localcontext() as context:
        context.prec = 60
        for number in range(points):
            x = Decimal(math.cos(math.pi * (number + 0.75) / (points + 0.5)))
            slope = Decimal(1)
            for _ in range(8):  # the digits double with each step, from six or more
                value, slope = _legendre(points, x)
                x -= value / slope
            t.append(float((1 - x) / 2))
            rest.append(float((1 + x) / 2))
            weights.append(float(1 / ((1 - x * x) * slope * slope)))
    return Rule(np.array(t), np.array(rest), np.array(weights))


def _legendre(degree: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """P(x) and P'(x) of the Legendre polynomial of this degree."""
    before, here = Decimal(1), x
    for k in range(2, degree + 1):
        before, here = here, ((2 * k - 1) * x * here - (k - 1) * before) / k
    return here, degree * (x * here - before) / (x * x - 1)
