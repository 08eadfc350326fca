"""What a policy may know of an order besides the model's word: the order itself, and whether its lines are in stock.

The vocabulary is :data:`governance.policy_document.FACTS`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from feature_store.network import Network
from feature_store.order import MICRO, Line, Order
from feature_store.times import DAY, HOUR, Millis


@dataclass(frozen=True, slots=True)
class LineStock:
    """Whether one line could be shipped now.

    Attributes:
        usable: pieces of its SKU that are left for it over all nodes that ship; ``None`` where the SKU's stock is unknown.
        oversold: whether other orders' plans hold more pieces of the SKU than there are to promise.
    """

    line: Line
    usable: int | None
    oversold: bool = False

    @property
    def short(self) -> bool:
        """Whether it is known that there is too little."""
        return self.usable is not None and self.usable < self.line.qty


def line_stock(order: Order, network: Network | None) -> tuple[LineStock, ...]:
    """The order's lines with what is left for each, shared out in the order of the lines where they name the same SKU."""
    if network is None:
        return tuple(LineStock(line, None) for line in order.lines)
    left: dict[str, int] = {}
    spare: dict[str, int] = {}
    nodes = network.node
    for stock in network.stock:
        node = nodes.get(stock.node_id)
        if node is None or node.ships:
            left[stock.sku] = left.get(stock.sku, 0) + stock.usable
        if stock.reserved:  # also at a node that is closed now: the pieces are promised all the same
            spare[stock.sku] = spare.get(stock.sku, 0) + stock.free - stock.reserved
    found = []
    for line in order.lines:
        there = left.get(line.sku)
        found.append(LineStock(line, there, spare.get(line.sku, 0) < 0))
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
    return {
        "lines_known": float(known),
        "lines_short": float(short),
        "lines_available": float(len(lines) - short),
        "lines_oversold": float(sum(line.oversold for line in lines)),
    }


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


class Case(NamedTuple):
    """``order.*`` and ``stock.*`` of one past order, small enough to keep for every row that a model is judged on.

    The sender's own ``attributes`` are not kept; a check that reads them counts as not evaluated.
    """

    amount: float
    qty: float
    lines: float
    currency: str
    region: str
    country: str | None
    channel: str | None
    tags: tuple[str, ...]
    segment: str | None
    payment_method: str | None
    payment_status: str | None
    promised_in_h: float | None
    customer_age_days: float | None
    same_address: bool | None
    lines_known: float | None = None
    lines_short: float | None = None
    lines_available: float | None = None
    lines_oversold: float | None = None

    @classmethod
    def of(cls, order: Order, network: Network | None, at: Millis) -> Case:
        """The facts of an order as a decision at this moment sees them."""
        told = order_facts(order, at)
        told["tags"] = order.tags
        del told["attributes"]
        return cls(**told, **stock_facts(line_stock(order, network)))

    def facts(self) -> dict[str, Mapping[str, Any]]:
        """As a policy sees them."""
        told = self._asdict()
        stock = {name: told.pop(name) for name in _STOCK}
        return {"order": {**told, "tags": list(self.tags), "attributes": {}}, "stock": {} if self.lines_known is None else stock}


_STOCK = ("lines_known", "lines_short", "lines_available", "lines_oversold")
