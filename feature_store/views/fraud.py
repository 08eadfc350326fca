"""Is the buyer who they say they are? Features of the decision type ``fraud``."""

from __future__ import annotations

from feature_store.entities import Entity
from feature_store.order import MICRO
from feature_store.snapshot import Origin
from feature_store.times import DAY, Millis
from feature_store.views import velocity
from feature_store.views.aggregations import count, hours_since, request, unseen
from feature_store.views.basket import AMOUNT, DEMAND, DISCOUNT, EXPRESS, MOST_PIECES, PIECES, SKU_CHARGEBACKS, TIMES_USUAL, tagged
from feature_store.views.days import HOUR_OF_DAY
from feature_store.views.definition import Calculation, Dtype, Feature, FeatureService, Group, Known, Unit
from feature_store.views.situation import Own, Situation
from feature_store.views.streets import difference

LAUNCH: Millis = 2 * DAY
"""For how long after its launch a limited SKU is hoarded."""


def _account_age(situation: Situation) -> Known | None:
    told = situation.order.customer.registered_at
    if told is not None:
        return Known(max(0.0, (situation.as_of - told) / DAY), told, Origin.REQUEST)
    history = situation.history(Entity.CUSTOMER)
    opened = history.facts("registration", "", situation.as_of) if history else None
    return None if opened is None else Known((situation.as_of - opened.event_time) / DAY, opened.event_time)


def _billed_elsewhere(situation: Situation) -> float | None:
    order = situation.order
    if order.bill_to is None or order.bill_to.address_id is None or order.ship_to.address_id is None:
        return None
    return float(order.bill_to.address_id != order.ship_to.address_id)


def _launch_pieces(situation: Situation) -> Known | None:
    pieces, newest, seen = 0, None, False
    for line, history in situation.lines_with_history():
        listing = history.facts("listing", "", situation.as_of) if history else None
        launch_at = listing.values.get("launch_at") if listing else None
        seen = seen or listing is not None
        if launch_at is not None and 0 <= situation.as_of - launch_at < LAUNCH:
            pieces, newest = pieces + line.qty, launch_at
    return Known(float(pieces), newest) if seen else None


def _billing_difference(situation: Situation) -> float | None:
    """How the billing street differs from the delivery street; 0 where it is the same address."""
    order = situation.order
    if order.bill_to is None:
        return None
    if order.bill_to.address_id is not None and order.bill_to.address_id == order.ship_to.address_id:
        return 0.0
    return difference(order.bill_to.street, order.ship_to.street)


def _moved(situation: Situation) -> Known | None:
    """How the delivery street differs from the one that the account was registered with."""
    history = situation.history(Entity.CUSTOMER)
    opened = history.facts("registration", "", situation.as_of) if history else None
    value = difference(opened.values.get("street"), situation.order.ship_to.street) if opened else None
    return None if opened is None or value is None else Known(value, opened.event_time)


_I, _F, _N, _S = Dtype.INTEGER, Dtype.FLAG, Dtype.NUMBER, Dtype.SHARE
_E, _G, _U = Entity, Group, Unit

_BASKET = (
    AMOUNT, PIECES, MOST_PIECES,
    Feature(
        "max_unit_price", _N, _U.CNY, "highest unit price in the order", "订单中最高单价", "RESALE_VALUE", _G.BASKET,
        request("max unit price", lambda s: max(line.unit_price.micros for line in s.order.lines) / MICRO),
    ),
    Feature(
        "first_unit_price", _N, _U.CNY, "unit price of the first line", "首行商品单价", "RESALE_VALUE", _G.BASKET,
        request("unit price of line 1", lambda s: s.order.lines[0].unit_price.micros / MICRO),
    ),
    TIMES_USUAL, DISCOUNT, SKU_CHARGEBACKS, DEMAND,
    Feature(
        "launch", _F, _U.NONE, "order contains goods launched today", "包含当日首发商品", "LAUNCH_HOARDING", _G.LAUNCH, tagged("launch"),
    ),
    Feature(
        "launch_pieces", _I, _U.PIECES, "quantity of goods launched in the last 2 days", "两天内首发商品的件数", "LAUNCH_HOARDING", _G.LAUNCH,
        Calculation(_launch_pieces, "pieces of SKUs launched within 2d", _E.SKU, ("listing",), LAUNCH), default=0.0,
    ),
    EXPRESS, HOUR_OF_DAY,
)  # fmt: skip

_IDENTITY = (
    Feature(
        "account_age_days", _N, _U.DAYS, "age of the account", "账户注册时长", "YOUNG_ACCOUNT", _G.CUSTOMER,
        Calculation(_account_age, "days since registered_at, else since the registration", _E.CUSTOMER, ("registration",)), personal=True,
    ),
    Feature(
        "customer_orders", _I, _U.ORDERS, "order history of the customer (counted up to 64)", "客户历史订单数（最多计64单）", "YOUNG_ACCOUNT", _G.CUSTOMER,
        count(_E.CUSTOMER, "orders", last=64), default=0.0, personal=True,
    ),
    Feature(
        "customer_since_order_h", _N, _U.HOURS, "time since the customer's last order", "距客户上一单的时间", "ORDER_VELOCITY", _G.VELOCITY,
        hours_since(_E.CUSTOMER, "orders"), personal=True,
    ),
    Feature(
        "device_unseen", _F, _U.NONE, "device is new for this customer", "客户首次使用该设备", "NEW_DEVICE", _G.IDENTITY,
        unseen(_E.CUSTOMER, "devices", Own.DEVICE), personal=True,
    ),
    Feature(
        "address_unseen", _F, _U.NONE, "delivery address is new for this customer", "客户首次使用该收货地址", "NEW_ADDRESS", _G.IDENTITY,
        unseen(_E.CUSTOMER, "addresses", Own.ADDRESS), personal=True,
    ),
    Feature(
        "ip_unseen", _F, _U.NONE, "IP address is new for this customer", "客户首次使用该IP", "NEW_IP", _G.IDENTITY,
        unseen(_E.CUSTOMER, "ips", Own.IP), personal=True,
    ),
    Feature(
        "billed_elsewhere", _F, _U.NONE, "billing address differs from the delivery address", "账单地址与收货地址不同", "ADDRESS_MISMATCH", _G.IDENTITY,
        request("bill_to.address_id != ship_to.address_id", _billed_elsewhere), actionable=True, personal=True,
    ),
    Feature(
        "billing_street_difference", _S, _U.NONE, "share of letters in which billing and delivery street differ", "账单街道与收货街道的字符差异率", "ADDRESS_LOOKALIKE", _G.IDENTITY,
        request("edit distance of the streets / letters, 0 for the same address", _billing_difference), actionable=True, personal=True,
    ),
    Feature(
        "registered_street_difference", _S, _U.NONE, "share of letters in which delivery and registered street differ", "收货街道与注册街道的字符差异率", "NEW_ADDRESS", _G.IDENTITY,
        Calculation(_moved, "edit distance of ship_to.street and the registered street / letters", _E.CUSTOMER, ("registration",)), personal=True,
    ),
)  # fmt: skip

FEATURES = (*_BASKET, *_IDENTITY, *velocity.CUSTOMER, *velocity.DEVICE, *velocity.NETWORK, *velocity.ADDRESS, *velocity.CARD)

ENTITIES = (_E.CUSTOMER, _E.DEVICE, _E.IP, _E.ADDRESS, _E.PAYMENT, _E.SKU)

SERVICE = FeatureService("fraud", FEATURES)
