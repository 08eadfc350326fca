"""What an order may not say: looseness at the edge would be recorded for ever."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from feature_store.network_request import NodeRequest, StockRequest
from feature_store.order import FROM_WIRE, Line, Money, Order

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


@pytest.mark.parametrize("value", [True, "5", [5], {}])
@pytest.mark.parametrize("name", ["weight_g", "volume_cm3"])
def test_a_measure_is_a_number(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match="valid number"):
        Line.model_validate({**LINE, name: value})
    assert getattr(Line.model_validate({**LINE, name: 5}), name) == 5.0


@pytest.mark.parametrize("amount", [129.99, 130, True, None])
def test_money_from_outside_is_a_text(amount: Any) -> None:
    with pytest.raises(ValidationError, match="a text such as"):
        Money.model_validate({"amount": amount, "currency": "CNY"}, context=FROM_WIRE)


def test_what_a_node_and_its_stock_tell_is_of_its_own_kind() -> None:
    for change in ({"capacity_left": True}, {"capacity_left": "4"}, {"lat": "31"}, {"processing_h": True}):
        with pytest.raises(ValidationError):
            NodeRequest.model_validate({"node_id": "A", "region": "east", **change})
    with pytest.raises(ValidationError):
        StockRequest.model_validate({"node_id": "A", "sku": "S", "available": True})


def test_a_cut_off_at_the_end_of_time_is_refused_as_nothing_can_arrive_after_it() -> None:
    with pytest.raises(ValidationError, match="before the year 9990"):
        NodeRequest.model_validate({"node_id": "A", "region": "east", "cutoff_at": "9999-12-31T23:59:59.999Z"})


def test_an_order_s_amount_can_be_kept_by_every_database() -> None:
    dear = {**LINE, "qty": 1_000_000, "unit_price": {"amount": "999999.999999", "currency": "CNY"}}
    assert Order.model_validate({**ORDER, "lines": [dear]}).total_micros < 2**63
    with pytest.raises(ValidationError, match="below a million millions"):
        Order.model_validate({**ORDER, "lines": [dear, {**dear, "line_id": "2"}]})


def test_a_price_is_not_negative() -> None:
    with pytest.raises(ValidationError, match="negative price"):
        Order.model_validate({**ORDER, "lines": [{**LINE, "unit_price": {"amount": "-0.01", "currency": "CNY"}}]})


def test_what_is_documented_is_taken() -> None:
    order = Order.model_validate(ORDER)
    assert (order.order_version, order.total_micros) == (1, 259_980_000)
