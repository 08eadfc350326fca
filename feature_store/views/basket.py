"""What the request itself says about the goods and the promise: features that several decision types share."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.entities import Entity
from feature_store.order import MICRO
from feature_store.times import DAY, HOUR
from feature_store.views.aggregations import combined, rate, request
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Known, Unit
from feature_store.views.parts import Aggregate, How
from feature_store.views.situation import Situation

EXPRESS_SERVICE = "express"
USUAL_ORDERS = 10
"""So many of a customer's orders say what is usual for them."""

HABIT = 730 * DAY
"""After two years without news a customer's habits are not known any more."""


def tagged(tag: str) -> Calculation:
    """1 when the order carries the tag, else 0."""
    return request(f"tag {tag}", lambda situation: float(tag in situation.order.tags))


def is_express(situation: Situation) -> float:
    """1 when the customer asked for express."""
    order = situation.order
    return float(EXPRESS_SERVICE in order.tags or order.attributes.get("service") == EXPRESS_SERVICE)


def promise_h(situation: Situation) -> float | None:
    """Hours from the decision to the promised time."""
    promised = situation.order.promised_by
    return None if promised is None else (promised - situation.as_of) / HOUR


def amount(situation: Situation) -> float:
    """Value of the order in units of its currency."""
    return situation.shared("amount", lambda one: one.order.total_micros) / MICRO


def weight_kg(situation: Situation) -> float | None:
    """Weight of all lines; ``None`` when a line does not tell its own."""
    weights = [line.weight_g for line in situation.order.lines]
    if None in weights:
        return None
    return sum((line.weight_g or 0.0) * line.qty for line in situation.order.lines) / 1000


def _discount(situation: Situation) -> Known | None:
    """The largest share by which a line is cheaper than its SKU's list price."""
    found: list[tuple[float, int]] = []
    for line, history in situation.lines_with_history():
        listing = history.facts("listing", "", situation.as_of) if history else None
        price = listing.values.get("price") if listing else None
        if listing is not None and price:
            found.append((max(0.0, 1.0 - line.unit_price.micros / MICRO / price), listing.event_time))
    return Known(*max(found)) if found else None


def _times_usual(situation: Situation, values: Sequence[Known | None]) -> Known | None:
    usual = values[0]
    return None if usual is None or not usual.value else Known(amount(situation) / usual.value, usual.event_time)


_F, _N, _I, _S = Dtype.FLAG, Dtype.NUMBER, Dtype.INTEGER, Dtype.SHARE
_E, _G, _U = Entity, Group, Unit

AMOUNT = Feature(
    "amount", _N, _U.CNY, "value of the order", "订单金额", "ORDER_VALUE", _G.BASKET, request("sum of qty * unit price", amount),
)  # fmt: skip
PIECES = Feature(
    "pieces", _I, _U.PIECES, "size of the order", "订单件数", "ORDER_SIZE", _G.BASKET,
    request("sum of qty", lambda situation: sum(line.qty for line in situation.order.lines)), actionable=True,
)  # fmt: skip
LINES = Feature(
    "lines", _I, _U.NONE, "number of different items in the order", "订单商品种数", "ORDER_SIZE", _G.BASKET,
    request("distinct SKUs", lambda situation: len({line.sku for line in situation.order.lines})), actionable=True,
)  # fmt: skip
MOST_PIECES = Feature(
    "most_pieces", _I, _U.PIECES, "largest quantity of one item", "单一商品最大件数", "MANY_OF_ONE_ITEM", _G.BASKET,
    request("max qty", lambda situation: max(line.qty for line in situation.order.lines)), actionable=True,
)  # fmt: skip
WEIGHT = Feature(
    "weight_kg", _N, _U.KG, "weight of the order", "订单重量", "ORDER_SIZE", _G.BASKET, request("sum of qty * weight_g / 1000", weight_kg)
)
DISCOUNT = Feature(
    "discount", _S, _U.NONE, "largest discount on an item of the order", "订单商品最大折扣", "BOUGHT_AT_DISCOUNT", _G.BASKET,
    Calculation(_discount, "max(1 - unit price / listed price)", _E.SKU, ("listing",)),
)  # fmt: skip
TIMES_USUAL = Feature(
    "amount_times_usual", _N, _U.TIMES, "order value against the customer's usual order", "订单金额与该客户平时订单之比", "UNUSUAL_BASKET", _G.BASKET,
    combined("amount / mean amount", (Aggregate(_E.CUSTOMER, "orders", How.MEAN, last=USUAL_ORDERS),), _times_usual), personal=True, ttl=HABIT,
)  # fmt: skip
DEMAND = Feature(
    "sku_demand_share_2d", _S, _U.NONE, "share of the last 2 weeks' orders of the busiest item that came since yesterday", "最热商品近两周订单中昨日以来的占比", "DEMAND_SURGE", _G.BASKET,
    combined("orders since yesterday / orders of 14 days", (
        Aggregate(_E.SKU, "orders", How.COUNT, 2 * DAY), Aggregate(_E.SKU, "orders", How.COUNT, 14 * DAY),
    ), lambda _, values: _part_of(values)),
)  # fmt: skip
SKU_CHARGEBACKS = Feature(
    "sku_chargeback_share_30d", _S, _U.NONE, "chargeback rate of the item most often charged back, last 30 days", "近30天拒付最多商品的拒付率", "SKU_OFTEN_CHARGED_BACK", _G.BASKET,
    rate(_E.SKU, "chargebacks", "orders", within=30 * DAY, prior=0.015, weight=50), default=0.015,
)  # fmt: skip
PRESALE = Feature(
    "presale", _F, _U.NONE, "order contains presale goods", "包含预售商品", "PRESALE", _G.PROMISE, tagged("presale"), actionable=True
)
CROSS_BORDER = Feature(
    "cross_border", _F, _U.NONE, "cross-border order", "跨境订单", "CROSS_BORDER", _G.CUSTOMS, tagged("cross_border"), actionable=True
)
BULKY = Feature("bulky", _F, _U.NONE, "order contains bulky goods", "包含大件商品", "BULKY_GOODS", _G.BASKET, tagged("bulky"))
FRESH = Feature("fresh", _F, _U.NONE, "order contains chilled goods", "包含冷藏商品", "CHILLED_GOODS", _G.BASKET, tagged("fresh"))
EXPRESS = Feature(
    "express", _F, _U.NONE, "express delivery requested", "要求加急配送", "EXPRESS_ASKED", _G.PROMISE,
    request("tag or attribute service is express", is_express), actionable=True,
)  # fmt: skip
PROMISE = Feature(
    "promise_h", _N, _U.HOURS, "time until the promised delivery", "距承诺送达的时间", "PROMISE_TIGHT", _G.PROMISE,
    request("promised_by - as_of", promise_h), actionable=True,
)  # fmt: skip


def _part_of(values: Sequence[Known | None]) -> Known | None:
    part, whole = values
    if part is None or whole is None or not whole.value:
        return None
    return Known(part.value / whole.value, whole.event_time)
