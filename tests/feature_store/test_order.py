"""What an order may not say: looseness at the edge would be recorded for ever."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from feature_store.order import Line, Money, Order

LINE: dict[str, Any] = {"line_id": "1", "sku": "SKU-1", "qty": 2, "unit_price": {"amount": "129.99", "currency": "CNY"}}
ORDER: dict[str, Any] = {
    "order_id": "SO-1",
    "placed_at": "2026-11-11T00:00:03.120Z",
    "currency": "CNY",
    "customer": {"customer_id": "C-9"},
    "ship_to": {"region": "east"},
    "lines": [LINE],
}


@pytest.mark.parametrize(
    "amount", ["1_000", " 1 ", "1e5", "\u0663", "+1", ".5", "5.", "", "NaN", "Infinity", "--1", "1.2345678", "9" * 13, True]
)
def test_an_amount_is_a_plain_decimal(amount: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": amount, "currency": "CNY"})


@pytest.mark.parametrize(
    ("amount", "micros"), [("129.99", 129_990_000), ("0", 0), ("-3.000001", -3_000_001), (5, 5_000_000), (1.5, 1_500_000)]
)
def test_an_amount_is_exact_in_millionths(amount: object, micros: int) -> None:
    assert Money.model_validate({"amount": amount, "currency": "CNY"}).micros == micros


@pytest.mark.parametrize("qty", [True, "2", 2.0, 0, -1, 1_000_001, None])
def test_a_quantity_is_a_whole_number_of_pieces(qty: Any) -> None:
    with pytest.raises(ValidationError):
        Line.model_validate({**LINE, "qty": qty})


@pytest.mark.parametrize("change", [{"placed_at": True}, {"placed_at": "2026-11-11"}, {"order_version": True}, {"order_version": "2"}])
def test_times_and_versions_are_taken_as_they_are_documented(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate({**ORDER, **change})


def test_a_price_is_not_negative() -> None:
    with pytest.raises(ValidationError, match="negative price"):
        Order.model_validate({**ORDER, "lines": [{**LINE, "unit_price": {"amount": "-0.01", "currency": "CNY"}}]})


def test_what_is_documented_is_taken() -> None:
    order = Order.model_validate(ORDER)
    assert (order.order_version, order.total_micros) == (1, 259_980_000)
