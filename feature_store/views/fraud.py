"""Is the buyer who they say they are? Features of the decision type ``fraud``."""

from __future__ import annotations

from feature_store.calendar import local_hour
from feature_store.entities import Entity
from feature_store.order import MICRO
from feature_store.snapshot import Origin
from feature_store.times import DAY, HOUR, Millis
from feature_store.views.aggregations import count, distinct, request, unseen
from feature_store.views.basket import AMOUNT, EXPRESS
from feature_store.views.definition import Calculation, Dtype, Feature, FeatureService, Group, Known, Unit
from feature_store.views.situation import Own, Situation

LAUNCH: Millis = 2 * DAY
"""For how long after its launch a limited SKU is hoarded."""


def _account_age(situation: Situation) -> Known | None:
    told = situation.order.customer.registered_at
    if told is not None:
        return Known(max(0.0, (situation.as_of - told) / DAY), told, Origin.REQUEST)
    history = situation.history(Entity.CUSTOMER)
    profile = history.facts("profile", "", situation.as_of) if history else None
    return None if profile is None else Known((situation.as_of - profile.event_time) / DAY, profile.event_time)


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


_I, _F, _N = Dtype.INTEGER, Dtype.FLAG, Dtype.NUMBER
_E, _G, _U = Entity, Group, Unit

FEATURES = (
    AMOUNT,
    Feature(
        "max_unit_price", _N, _U.CNY, "highest unit price in the order", "订单中最高单价", "RESALE_VALUE", _G.BASKET,
        request("max unit price", lambda s: max(line.unit_price.micros for line in s.order.lines) / MICRO),
    ),
    Feature(
        "first_unit_price", _N, _U.CNY, "unit price of the first line", "首行商品单价", "RESALE_VALUE", _G.BASKET,
        request("unit price of line 1", lambda s: s.order.lines[0].unit_price.micros / MICRO),
    ),
    Feature(
        "launch_pieces", _I, _U.PIECES, "quantity of goods launched in the last 2 days", "两天内首发商品的件数", "LAUNCH_HOARDING", _G.LAUNCH,
        Calculation(_launch_pieces, "pieces of SKUs launched within 2d", _E.SKU, ("listing",), LAUNCH), default=0.0,
    ),
    EXPRESS,
    Feature(
        "local_hour", _N, _U.O_CLOCK, "time of day of the order (UTC+8)", "下单时刻（北京时间）", "UNUSUAL_HOUR", _G.CUSTOMER,
        request("hour of placed_at, UTC+8", lambda s: local_hour(s.order.placed_at)),
    ),
    Feature(
        "account_age_days", _N, _U.DAYS, "age of the account", "账户注册时长", "YOUNG_ACCOUNT", _G.CUSTOMER,
        Calculation(_account_age, "days since registered_at, else since the registration", _E.CUSTOMER, ("profile",)), personal=True,
    ),
    Feature(
        "customer_orders", _I, _U.ORDERS, "order history of the customer (counted up to 64)", "客户历史订单数（最多计64单）", "YOUNG_ACCOUNT", _G.CUSTOMER,
        count(_E.CUSTOMER, "orders", last=64), default=0.0, personal=True,
    ),
    Feature(
        "customer_orders_1d", _I, _U.ORDERS, "order volume of the customer in the last 24 hours", "客户近24小时订单数", "ORDER_VELOCITY", _G.VELOCITY,
        count(_E.CUSTOMER, "orders", within=DAY), default=0.0, personal=True,
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
        "billed_elsewhere", _F, _U.NONE, "billing address differs from the delivery address", "账单地址与收货地址不同", "ADDRESS_MISMATCH", _G.IDENTITY,
        request("bill_to.address_id != ship_to.address_id", _billed_elsewhere), actionable=True, personal=True,
    ),
    Feature(
        "device_customers_30d", _I, _U.PEOPLE, "use of this device by others in the last 30 days", "近30天使用该设备的其他客户", "SHARED_DEVICE", _G.SHARING,
        distinct(_E.DEVICE, "orders", within=30 * DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "ip_customers_1d", _I, _U.PEOPLE, "use of this IP address by others in the last 24 hours", "近24小时使用该IP的其他客户", "SHARED_IP", _G.SHARING,
        distinct(_E.IP, "orders", within=DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "ip_orders_1h", _I, _U.ORDERS, "order volume from this IP address in the last hour", "近1小时该IP订单数", "ORDER_VELOCITY", _G.VELOCITY,
        count(_E.IP, "orders", within=HOUR), default=0.0, personal=True,
    ),
    Feature(
        "address_customers_90d", _I, _U.PEOPLE, "use of this delivery address by others in the last 90 days", "近90天使用该收货地址的其他客户", "SHARED_ADDRESS", _G.SHARING,
        distinct(_E.ADDRESS, "customers", within=90 * DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "customer_declines_1h", _I, _U.PAYMENTS, "number of the customer's declined payments in the last hour", "客户近1小时被拒付款次数", "PAYMENTS_DECLINED", _G.PAYMENT,
        count(_E.CUSTOMER, "declined", within=HOUR), default=0.0, personal=True,
    ),
    Feature(
        "ip_declines_1h", _I, _U.PAYMENTS, "number of declined payments from this IP address in the last hour", "该IP近1小时被拒付款次数", "PAYMENTS_DECLINED", _G.PAYMENT,
        count(_E.IP, "declined", within=HOUR), default=0.0, personal=True,
    ),
    Feature(
        "ip_declined_cards_1h", _I, _U.CARDS, "number of other cards declined from this IP address in the last hour", "该IP近1小时被拒的其他卡数", "CARD_TESTING", _G.PAYMENT,
        distinct(_E.IP, "declined", within=HOUR, but=Own.PAYMENT), default=0.0, personal=True,
    ),
    Feature(
        "customer_chargebacks", _I, _U.PAYMENTS, "chargeback history of the customer", "客户已知拒付次数", "EARLIER_CHARGEBACKS", _G.DISPUTES,
        count(_E.CUSTOMER, "chargebacks"), default=0.0, personal=True,
    ),
    Feature(
        "device_chargebacks", _I, _U.PAYMENTS, "chargeback history of this device", "该设备已知拒付次数", "EARLIER_CHARGEBACKS", _G.DISPUTES,
        count(_E.DEVICE, "chargebacks"), default=0.0, personal=True,
    ),
)  # fmt: skip

ENTITIES = (_E.CUSTOMER, _E.DEVICE, _E.IP, _E.ADDRESS, _E.SKU)

SERVICE = FeatureService("fraud", FEATURES)
