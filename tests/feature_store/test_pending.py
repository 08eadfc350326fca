"""Orders decided in the same second see each other, once, and never themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import apply
from feature_store.order import Order
from feature_store.pending import MOST, NEWEST, SPAN, WHO, Pending, marked, placing
from feature_store.snapshot import Origin
from feature_store.state import EntityState
from feature_store.times import parse_time
from feature_store.views import build_snapshot, entity_keys

AT = parse_time("2026-11-11T00:00:00.500Z")


def order(order_id: str, device: str = "D-1", token: str = "tok-1", customer: str = "C-1", **changes: Any) -> Order:
    return Order.model_validate(
        {
            "order_id": order_id, "placed_at": "2026-11-11T00:00:00.000Z", "currency": "CNY", "customer": {"customer_id": customer},
            "ship_to": {"region": "east", "address_id": "AD-1"}, "bill_to": {"address_id": "AD-2"}, "device": {"device_id": device, "ip": "100.64.0.1"},
            "payment": {"method": "card", "status": "authorised", "token": token},
            "lines": [{"line_id": "1", "sku": "A", "qty": 2, "unit_price": {"amount": "100", "currency": "CNY"}}], **changes,
        }
    )  # fmt: skip


def keys(one: Order) -> tuple[EntityKey, ...]:
    return entity_keys(one, "fraud")


def features(one: Order, states: Any, at: int = AT) -> dict[str, float]:
    snapshot = build_snapshot("fraud", one, states, at)
    return dict(zip(snapshot.names, snapshot.values.tolist(), strict=True))


def seen(pending: Pending, one: Order, states: Any, at: int = AT) -> dict[str, float]:
    return features(one, pending.seen_with(one, keys(one), states, at), at)


def test_the_second_of_two_orders_in_one_second_sees_the_first() -> None:
    pending, first, second = Pending(), order("SO-1"), order("SO-2", customer="C-2")
    pending.note(first, keys(first), AT)
    told = seen(pending, second, {}, AT + 3)
    assert (told["card_orders_1d"], told["device_orders_1h"], told["ip_orders_1h"]) == (1.0, 1.0, 1.0)
    assert (told["card_customers_30d"], told["device_customers_30d"], told["ip_pieces_1h"]) == (1.0, 1.0, 2.0)
    assert told["address_orders_1d"] == 0.0, "of addresses the events alone tell"
    assert told["customer_orders"] == 0.0
    assert features(second, {})["card_orders_1d"] == 0.0


def test_it_is_what_the_event_itself_would_have_done() -> None:
    """Until the event comes, and not twice once it is there."""
    pending, first, second = Pending(), order("SO-1"), order("SO-2")
    pending.note(first, keys(first), AT)
    states: dict[EntityKey, EntityState] = {}
    apply(states, placing(first, AT))
    told = {key: state for key, state in states.items() if key.entity in WHO}
    np.testing.assert_equal(seen(pending, second, {}), features(second, told))
    same = pending.seen_with(second, keys(second), told, AT)
    assert same is told


def test_what_else_happened_to_the_order_is_not_its_placing() -> None:
    pending, first, second = Pending(), order("SO-1"), order("SO-2")
    pending.note(first, keys(first), AT)
    states: dict[EntityKey, EntityState] = {}
    data = {"order_id": "SO-1", "customer_id": "C-1", "payment_token": "tok-1", "device_id": "D-1"}
    apply(states, Event("e", EventType.PAYMENT_DECLINED, AT, AT, data))
    assert seen(pending, second, states)["card_orders_1d"] == 1.0


def test_states_that_were_read_are_left_as_they_are() -> None:
    pending, first, second = Pending(), order("SO-1"), order("SO-2")
    states: dict[EntityKey, EntityState] = {}
    apply(states, placing(order("SO-0"), AT - 1_000))
    before = {key: state.to_bytes() for key, state in states.items()}
    pending.note(first, keys(first), AT)
    assert seen(pending, second, states)["card_orders_1d"] == 2.0
    assert {key: state.to_bytes() for key, state in states.items()} == before


@pytest.mark.parametrize(("other", "at"), [(order("SO-1"), AT), (order("SO-2"), AT + SPAN + 1)])  # fmt: skip
def test_an_order_never_sees_itself_nor_what_is_over(other: Order, at: int) -> None:
    pending, first = Pending(), order("SO-1")
    pending.note(first, keys(first), AT)
    assert pending.seen_with(other, keys(other), {}, at) == {}


def test_memory_is_bounded() -> None:
    pending = Pending()
    made = [order(f"SO-{n}", device=f"D-{n}", token=f"t-{n}", customer=f"C-{n}") for n in range(50)]
    for number in range(MOST + 50):
        one = made[number % 50]
        pending.note(one, keys(one), AT)
    assert len(pending._noted) == MOST
    last = order("SO-x")
    pending.note(last, keys(last), AT + 2 * SPAN)
    assert len(pending._noted) == 1
    assert set(pending._by_key) <= set(keys(last))


def test_of_a_burst_the_newest_are_seen() -> None:
    pending, last = Pending(), order("SO-x", customer="C-x")
    for number in range(50):
        one = order(f"SO-{number}", customer=f"C-{number}")
        pending.note(one, keys(one), AT)
    assert seen(pending, last, {})["card_orders_1d"] == NEWEST


def test_what_is_not_from_the_store_alone_is_named() -> None:
    pending, first, second = Pending(), order("SO-1"), order("SO-2")
    pending.note(first, keys(first), AT)
    states: dict[EntityKey, EntityState] = {}
    apply(states, placing(order("SO-0"), AT - 5_000))
    after = pending.seen_with(second, keys(second), states, AT)
    told = marked(build_snapshot("fraud", second, after, AT), states, after)
    plain = build_snapshot("fraud", second, states, AT)
    origins = dict(zip(told.names, told.origins, strict=True))
    for name, value, before in zip(told.names, told.values.tolist(), plain.values.tolist(), strict=True):
        assert origins[name] is Origin.PENDING or np.array_equal(value, before, equal_nan=True), name
    assert origins["card_orders_1d"] is Origin.PENDING
    assert origins["customer_orders"] is Origin.STORE
    assert marked(plain, states, states) is plain


def test_card_device_and_address_of_the_net_connect_orders() -> None:
    pending, first = Pending(), order("SO-1")
    pending.note(first, keys(first), AT)
    assert {key.entity for key in pending._by_key} == {Entity.PAYMENT, Entity.DEVICE, Entity.IP}
