"""The events around an order: declined payments before it, its payment, shipping, delivery, return, cancelling; weeks later a chargeback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feature_store.events import Event, EventType
from feature_store.order import MICRO, Line, Order
from feature_store.times import DAY, HOUR, MINUTE, SECOND, Millis
from training.world.network import NODES
from training.world.rows import Row
from training.world.values import SimulatedOrder, SimulatedShipment, public_id

_STOLEN_TOKENS = 9_000_000
CHARGEBACK_DAYS = (4.0, 43.0)
"""Chargebacks happen at the earliest and at the latest this long after the order; most in the third week."""
DUE_SHARE = 0.4
"""A shipment is due to leave when this share of the time to the promise has gone."""


class Aftermath:
    """Tells the events of one order after the other."""

    def __init__(self) -> None:
        self._stolen = 0

    def events(self, row: Row, simulated: SimulatedOrder, not_before: Millis) -> Iterator[Event]:
        """All events of one order, not by time; nothing is known before ``not_before``."""
        order = simulated.order
        parties: dict[str, Any] = {**_parties(order), "amount": order.total_micros / MICRO}
        yield from self._declined(row, order, parties, not_before)
        yield from _paid(row, order, parties)
        if row.fraud:
            yield _chargeback(row, order, parties)
        if row.cancelled:
            yield _cancelled(row, simulated)
            return
        for shipment in simulated.shipments:
            yield from _travelled(row, order, shipment)
        if row.returned:
            yield _returned(row, simulated)

    def _declined(self, row: Row, order: Order, parties: dict[str, Any], not_before: Millis) -> Iterator[Event]:
        for attempt in range(row.declines):
            data = dict(parties)
            if attempt < row.foreign:
                self._stolen += 1
                data["payment_token"] = public_id("tok", _STOLEN_TOKENS + self._stolen)
            back = int((attempt + 0.5 + row.chances[0]) * 45 * SECOND)
            at = max(not_before, order.placed_at - back)
            yield Event(f"{order.order_id}:declined:{attempt}", EventType.PAYMENT_DECLINED, at, at + 400, data)


def _paid(row: Row, order: Order, parties: dict[str, Any]) -> Iterator[Event]:
    at, delay = order.placed_at, int(row.chances[1] * 600)
    placed = {
        "order_id": order.order_id,
        **parties,
        "qty": sum(line.qty for line in order.lines),
        "skus": tuple(line.sku for line in order.lines),
        "supplier_ids": _suppliers(order.lines),
        "tags": order.tags,
        "billed_elsewhere": row.mismatch,
        "promised_by": order.promised_by,
    }
    yield Event(f"{order.order_id}:placed", EventType.ORDER_PLACED, at, at + 200 + delay, placed)
    paid = {"order_id": order.order_id, **parties}
    yield Event(f"{order.order_id}:paid", EventType.PAYMENT_AUTHORISED, at + 600, at + 900 + delay, paid)


def _chargeback(row: Row, order: Order, parties: dict[str, Any]) -> Event:
    first, last = CHARGEBACK_DAYS
    share = (row.chances[2] + row.chances[3] + row.chances[4]) / 3.0
    at = order.placed_at + int((first + (last - first) * share**1.4) * DAY)
    data = {"order_id": order.order_id, **parties, "skus": tuple(line.sku for line in order.lines)}
    return Event(f"{order.order_id}:chargeback", EventType.CHARGEBACK, at, at + HOUR + int(row.chances[5] * DAY), data)


def _cancelled(row: Row, simulated: SimulatedOrder) -> Event:
    order = simulated.order
    at = order.placed_at + int((2.0 + 70.0 * row.chances[6] ** 2) * HOUR)
    data = {
        "order_id": order.order_id,
        "customer_id": order.customer.customer_id,
        "skus": tuple(line.sku for line in order.lines),
        "supplier_ids": _suppliers(order.lines),
        "node_id": NODES[row.node[0]].node_id,
        "region": order.ship_to.region,
        "reason": simulated.failure,
    }
    return Event(f"{order.order_id}:cancelled", EventType.CANCELLED, at, at + 5 * MINUTE, data)


def _travelled(row: Row, order: Order, shipment: SimulatedShipment) -> Iterator[Event]:
    """Shipped and delivered; the carrier tells up to an hour and up to nine hours later."""
    chosen = {line_id for line_id, _ in shipment.lines}
    lines = tuple(line for line in order.lines if line.line_id in chosen)
    common = {
        "order_id": order.order_id,
        "node_id": shipment.node_id,
        "region": shipment.region,
        "customer_id": order.customer.customer_id,
        "shipment_id": shipment.shipment_id,
        "service": shipment.service,
        "skus": tuple(line.sku for line in lines),
        "supplier_ids": _suppliers(lines),
    }
    due = order.placed_at + int((shipment.promised_by - order.placed_at) * DUE_SHARE)
    out, there = shipment.shipped_at, shipment.delivered_at
    sent = {**common, "due_at": due, "late": out > due, "delay_h": _hours(out - due)}
    yield Event(f"{shipment.shipment_id}:shipped", EventType.SHIPPED, out, out + int((5 + 55 * row.chances[6]) * MINUTE), sent)
    arrived = {
        **common,
        "promised_by": shipment.promised_by,
        "late": bool(shipment.late),
        "delay_h": _hours(there - shipment.promised_by),
        "transit_h": _hours(there - out),
    }
    yield Event(f"{shipment.shipment_id}:delivered", EventType.DELIVERED, there, there + int((0.2 + 9 * row.chances[7]) * HOUR), arrived)


def _returned(row: Row, simulated: SimulatedOrder) -> Event:
    """Seven days to send it back without a reason, as the law has it; the warehouse tells within half a day."""
    order = simulated.order
    at = max(shipment.delivered_at for shipment in simulated.shipments) + int((0.8 + 6.0 * row.chances[5]) * DAY)
    data = {
        "order_id": order.order_id,
        "customer_id": order.customer.customer_id,
        "skus": tuple(line.sku for line in order.lines),
        "amount": order.total_micros / MICRO,
        "reason": "late" if simulated.failure == "late" else ("fit", "quality", "changed_mind")[int(row.chances[4] * 3)],
    }
    return Event(f"{order.order_id}:returned", EventType.RETURNED, at, at + int((2 + 8 * row.chances[3]) * HOUR), data)


def _hours(span: Millis) -> float:
    return round(span / HOUR, 2)


def _suppliers(lines: tuple[Line, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.attributes["supplier_id"] for line in lines))


def _parties(order: Order) -> dict[str, Any]:
    assert order.device is not None
    assert order.payment is not None
    return {
        "customer_id": order.customer.customer_id,
        "device_id": order.device.device_id,
        "address_id": order.ship_to.address_id,
        "payment_token": order.payment.token,
        "ip": order.device.ip,
        "region": order.ship_to.region,
        "channel": order.channel,
    }
