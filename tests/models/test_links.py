from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.links import exp, exp_many, logit, sigmoid, sigmoid_many, softmax, softmax_many

margins = st.floats(-800, 800)


@given(st.floats(-700, 700))
def test_exp_is_within_two_units_in_the_last_place(x):
    assert abs(exp(x) - math.exp(x)) <= 2 * math.ulp(math.exp(x))


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_arrays_and_floats_have_the_same_bits(values):
    array = np.array(values)
    assert exp_many(array).tolist() == [exp(x) for x in values]
    assert sigmoid_many(array).tolist() == [sigmoid(x) for x in values]


@given(st.lists(margins, min_size=2, max_size=6))
def test_softmax_adds_up_and_keeps_the_order(values):
    p = softmax(values)
    assert abs(sum(p) - 1) < 1e-12
    assert p.index(max(p)) == values.index(max(values)) or max(values) - sorted(values)[-2] < 1e-9
    assert softmax_many(np.array([values]))[0].tolist() == list(p)


@given(margins, margins)
def test_sigmoid_rises_and_is_symmetric(a, b):
    low, high = sorted((a, b))
    assert 0 <= sigmoid(low) <= sigmoid(high) <= 1
    assert abs(sigmoid(a) + sigmoid(-a) - 1) < 1e-15


@given(st.floats(1e-6, 1 - 1e-6))
def test_logit_is_undone(p):
    assert abs(sigmoid(logit(p)) - p) < 1e-12
