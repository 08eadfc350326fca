"""What a policy may know of an order besides the model's word: the order itself, and whether its lines are in stock.

The vocabulary is :data:`governance.policy_document.FACTS`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from feature_store.network import Network
from feature_store.order import MICRO, Line, Order
from feature_store.times import DAY, HOUR, Millis


@dataclass(frozen=True, slots=True)
class LineStock:
    """Whether one line could be shipped now.

    Attributes:
        usable: pieces of its SKU that are left for it over all nodes that ship; ``None`` where the SKU's stock is unknown.
    """

    line: Line
    usable: int | None

    @property
    def short(self) -> bool:
        """Whether it is known that there is too little."""
        return self.usable is not None and self.usable < self.line.qty


def line_stock(order: Order, network: Network | None) -> tuple[LineStock, ...]:
    """The order's lines with what is left for each, shared out in the order of the lines where they name the same SKU."""
    if network is None:
        return tuple(LineStock(line, None) for line in order.lines)
    left: dict[str, int] = {}
    nodes = network.node
    for stock in network.stock:
        node = nodes.get(stock.node_id)
        if node is None or node.ships:
            left[stock.sku] = left.get(stock.sku, 0) + stock.usable
    found = []
    for line in order.lines:
        there = left.get(line.sku)
        found.append(LineStock(line, there))
        if there is not None and there >= line.qty:
            left[line.sku] = there - line.qty
    return tuple(found)


def stock_facts(lines: Iterable[LineStock]) -> dict[str, Any]:
    """``stock.*``; empty where nothing is known of any line."""
    lines = tuple(lines)
    known = sum(line.usable is not None for line in lines)
    if not known:
        return {}
    short = sum(line.short for line in lines)
    return {"lines_known": float(known), "lines_short": float(short), "lines_available": float(len(lines) - short)}


def order_facts(order: Order, at: Millis) -> dict[str, Any]:
    """``order.*``; numbers are floats, because CEL adds and multiplies no integer with one. Amounts are in the order's currency."""
    customer, payment = order.customer, order.payment
    billed = order.bill_to.address_id if order.bill_to else None
    shipped = order.ship_to.address_id
    return {
        "amount": order.total_micros / MICRO,
        "qty": float(sum(line.qty for line in order.lines)),
        "lines": float(len(order.lines)),
        "currency": order.currency,
        "region": order.ship_to.region,
        "country": order.ship_to.country,
        "channel": order.channel,
        "tags": list(order.tags),
        "segment": customer.segment,
        "payment_method": payment.method if payment else None,
        "payment_status": payment.status if payment else None,
        "promised_in_h": None if order.promised_by is None else (order.promised_by - order.placed_at) / HOUR,
        "customer_age_days": None if customer.registered_at is None else (at - customer.registered_at) / DAY,
        "same_address": None if billed is None or shipped is None else billed == shipped,
        "attributes": order.attributes,
    }
