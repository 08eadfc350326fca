"""What a record keeps of the network comes back as it was, whatever fields nodes, stock and rates have or will have."""

from __future__ import annotations

import types
from dataclasses import fields
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.network import Network, Node, Rate, Stock
from governance.decision_groups import network_json
from governance.ledger.canonical import canonical, read
from governance.reconstruct import read_values

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**52), 2**52),
    float: st.one_of(st.floats(-1e9, 1e9), st.integers(-9, 9).map(float)),
    bool: st.booleans(),
    type(None): st.none(),
}


def of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint, as the fields of the network have them."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return st.one_of(*map(of, arguments))
    assert origin is tuple, f"a field of type {hint}: records have to learn to keep it"
    if arguments[-1] is Ellipsis:
        return st.lists(of(arguments[0]), max_size=3).map(tuple)
    return st.tuples(*map(of, arguments))


def made(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: of(hints[field.name]) for field in fields(kind)})


@pytest.mark.parametrize(("kind", "part"), [(Node, "nodes"), (Stock, "stock"), (Rate, "rates")])
def test_every_field_comes_back_with_its_type(kind: type[Any], part: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(made(kind), max_size=4))
    def check(values: list[Any]) -> None:
        kept = read(canonical(network_json(Network(**{part: tuple(values)}))))
        assert isinstance(kept, dict)
        back = read_values(kind, kept[part])
        assert back == values
        assert repr(back) == repr(values).replace("-0.0", "0.0")

    check()


def test_a_record_of_before_a_field_has_its_default() -> None:
    (old,) = read_values(Rate, [["N1", "east", "std", 6_000_000, 1_250_000, 2]])
    assert old == Rate("N1", "east", "std", 6_000_000, 1_250_000, 2.0)
    assert isinstance(old.transit_days, float)
    assert orjson.loads(canonical(network_json(Network(rates=(old,)))))["rates"][0][:3] == ["N1", "east", "std"]
