"""Canonical JSON is RFC 8785's, whichever way it was written."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from governance.ledger.canonical import canonical, read
from governance.ledger.errors import RecordInvalid

VECTORS = Path(__file__).parents[3] / ".." / "shared" / "vectors" / "jcs"

numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200)
@given(values)
@example([1.0, -0.0, 1e-7, 1e21, 1e16, 0.1, 333333333.33333329, 5e-324, 1.7976931348623157e308])
@example({"\ufb33": 1, "\U0001f600": 2})  # UTF-16 sorts these the other way round than code points
@example({"e1,": "1.0,", "x": ["2e5]", "-0.0}"]})
@example({"a": {"b": 2.0}})
@example({"a": 1e-7, "b": [-1e-7, 1e22], "é:": [[2.5e-9]], "x = 1e-05, ": -3e-8})
@example([-0.0, 1.0, 9007199254740991.0, -9007199254740992.0, 9007199254740994.0, "2.0]", [0.5, [3.0]]])
def test_is_that_of_the_reference(value):
    assert canonical(value) == rfc8785.dumps(value)


@settings(max_examples=150)
@given(values)
@example([2.0**53, 1e20, 1e300, 9007199254740991])
def test_reading_it_and_writing_it_again_changes_nothing(value):
    text = canonical(value)
    assert canonical(read(text)) == text


@pytest.mark.shared
@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_cases_of_cyberphone(name):
    if not VECTORS.exists():
        pytest.skip("the test vectors beside the checkout are absent")
    value = json.loads((VECTORS / "input" / f"{name}.json").read_text("utf-8"))
    assert canonical(value) == bytes.fromhex((VECTORS / "outhex" / f"{name}.txt").read_text())


@pytest.mark.parametrize("value", [2**53, -(2**53), 2**70, {"deep": [2**60]}, object(), {1: 2}, b"bytes", {"at": {1, 2}}])
def test_refuses_what_has_no_canonical_json(value):
    with pytest.raises(RecordInvalid):
        canonical(value)


def test_takes_the_values_that_the_code_works_with():
    assert canonical(MappingProxyType({"b": (1, 2), "a": np.float64(2.0)})) == b'{"a":2,"b":[1,2]}'
    assert canonical(np.array([1.5, 2.0])) == b"[1.5,2]"
    assert canonical([float("nan"), float("inf")]) == b"[null,null]"


@pytest.mark.parametrize("value", [{"hours": 12.0, "low": 0.25, "at": [1.0, -0.0]}, {"detail": "x = 1.0, y = 2.9e-05, z", "n": 1}])
def test_whole_floats_and_numbers_in_texts_do_not_need_the_slow_writer(value, monkeypatch):
    expected = rfc8785.dumps(value)
    monkeypatch.setattr("governance.ledger.canonical._slowly", None)
    assert canonical(value) == expected
