"""What the request itself says about the goods and the promise: features that several decision types share."""

from __future__ import annotations

from feature_store.calendar import holidays_between, local_day
from feature_store.order import MICRO
from feature_store.times import HOUR
from feature_store.views.aggregations import request
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Unit
from feature_store.views.situation import Situation

EXPRESS_SERVICE = "express"


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


def weight_kg(situation: Situation) -> float | None:
    """Weight of all lines; ``None`` when a line does not tell its own."""
    weights = [line.weight_g for line in situation.order.lines]
    if None in weights:
        return None
    return sum((line.weight_g or 0.0) * line.qty for line in situation.order.lines) / 1000


def _holidays_ahead(situation: Situation) -> float:
    today = local_day(situation.as_of)
    return float(holidays_between(today, today + 2))


_F, _N, _I = Dtype.FLAG, Dtype.NUMBER, Dtype.INTEGER
_G, _U = Group, Unit

AMOUNT = Feature(
    "amount", _N, _U.CNY, "value of the order", "订单金额", "ORDER_VALUE", _G.BASKET,
    request("sum of qty * unit price", lambda situation: situation.order.total_micros / MICRO),
)  # fmt: skip
PIECES = Feature(
    "pieces", _I, _U.PIECES, "size of the order", "订单件数", "ORDER_SIZE", _G.BASKET,
    request("sum of qty", lambda situation: sum(line.qty for line in situation.order.lines)), actionable=True,
)  # fmt: skip
WEIGHT = Feature(
    "weight_kg", _N, _U.KG, "weight of the order", "订单重量", "ORDER_SIZE", _G.BASKET, request("sum of qty * weight_g / 1000", weight_kg)
)
PRESALE = Feature(
    "presale", _F, _U.NONE, "order contains presale goods", "包含预售商品", "PRESALE", _G.PROMISE, tagged("presale"), actionable=True
)
CROSS_BORDER = Feature(
    "cross_border", _F, _U.NONE, "cross-border order", "跨境订单", "CROSS_BORDER", _G.CUSTOMS, tagged("cross_border"), actionable=True
)
BULKY = Feature("bulky", _F, _U.NONE, "order contains bulky goods", "包含大件商品", "BULKY_GOODS", _G.BASKET, tagged("bulky"))
EXPRESS = Feature(
    "express", _F, _U.NONE, "express delivery requested", "要求加急配送", "EXPRESS_ASKED", _G.PROMISE,
    request("tag or attribute service is express", is_express), actionable=True,
)  # fmt: skip
PROMISE = Feature(
    "promise_h", _N, _U.HOURS, "time until the promised delivery", "距承诺送达的时间", "PROMISE_TIGHT", _G.PROMISE,
    request("promised_by - as_of", promise_h), actionable=True,
)  # fmt: skip
HOLIDAYS = Feature(
    "holidays_ahead", _I, _U.DAYS, "public holiday time in the next 3 days", "今后三天内的法定假日", "PUBLIC_HOLIDAY", _G.CALENDAR,
    request("public holidays of China within 3 days", _holidays_ahead),
)  # fmt: skip
