from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from models.quadrature import rule


@pytest.mark.parametrize("points", [1, 2, 3, 4, 8, 16])
def test_integrates_every_polynomial_up_to_its_degree(points):
    made = rule(points)
    for degree in range(2 * points):
        total = sum(Fraction(w) * Fraction(t) ** degree for t, w in zip(made.points.tolist(), made.weights.tolist(), strict=True))
        assert abs(total - Fraction(1, degree + 1)) < Fraction(1, 10**15)
    missed = sum(Fraction(w) * Fraction(t) ** (2 * points) for t, w in zip(made.points.tolist(), made.weights.tolist(), strict=True))
    assert abs(missed - Fraction(1, 2 * points + 1)) > Fraction(1, 10 ** (2 * points + 3))


@pytest.mark.parametrize("points", [4, 16])
def test_agrees_with_numpy(points):
    x, weights = np.polynomial.legendre.leggauss(points)
    made = rule(points)
    assert np.allclose(np.sort(made.points), (x + 1) / 2, rtol=0, atol=1e-15)
    assert np.allclose(made.weights.sum(), 1, rtol=0, atol=1e-15)
    assert np.allclose(np.sort(made.weights), np.sort(weights / 2), rtol=0, atol=1e-15)
    assert np.allclose(made.points + made.rest, 1, rtol=0, atol=1e-16)
