"""How often a device, a network, an address and a card were used lately, by whom, and with what outcome: features of the type ``fraud``."""

from __future__ import annotations

from feature_store.entities import Entity
from feature_store.times import DAY, HOUR
from feature_store.views.aggregations import count, distinct, of
from feature_store.views.definition import Dtype, Feature, Group, Unit
from feature_store.views.parts import Aggregate, How
from feature_store.views.situation import Own

_I, _N = Dtype.INTEGER, Dtype.NUMBER
_E, _G, _U = Entity, Group, Unit

CUSTOMER = (
    Feature(
        "customer_orders_1d", _I, _U.ORDERS, "order volume of the customer in the last 24 hours", "客户近24小时订单数", "ORDER_VELOCITY", _G.VELOCITY,
        count(_E.CUSTOMER, "orders", within=DAY), default=0.0, personal=True,
    ),
    Feature(
        "customer_spent_7d", _N, _U.CNY, "value of the customer's orders in the last 7 days", "客户近7天订单金额", "ORDER_VELOCITY", _G.VELOCITY,
        of(Aggregate(_E.CUSTOMER, "orders", How.SUM, 7 * DAY)), default=0.0, personal=True,
    ),
    Feature(
        "customer_declines_1h", _I, _U.PAYMENTS, "number of the customer's declined payments in the last hour", "客户近1小时被拒付款次数", "PAYMENTS_DECLINED", _G.PAYMENT,
        count(_E.CUSTOMER, "declined", within=HOUR), default=0.0, personal=True,
    ),
    Feature(
        "customer_chargebacks", _I, _U.PAYMENTS, "chargeback history of the customer", "客户已知拒付次数", "EARLIER_CHARGEBACKS", _G.DISPUTES,
        count(_E.CUSTOMER, "chargebacks"), default=0.0, personal=True,
    ),
    Feature(
        "customer_devices_30d", _I, _U.NONE, "number of devices the customer used in the last 30 days", "客户近30天使用的设备数", "MANY_DEVICES", _G.IDENTITY,
        distinct(_E.CUSTOMER, "devices", within=30 * DAY), default=0.0, personal=True,
    ),
)  # fmt: skip

DEVICE = (
    Feature(
        "device_customers_30d", _I, _U.PEOPLE, "use of this device by others in the last 30 days", "近30天使用该设备的其他客户", "SHARED_DEVICE", _G.SHARING,
        distinct(_E.DEVICE, "orders", within=30 * DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "device_orders_1h", _I, _U.ORDERS, "order volume from this device in the last hour", "近1小时该设备订单数", "ORDER_VELOCITY", _G.VELOCITY,
        count(_E.DEVICE, "orders", within=HOUR), default=0.0, personal=True,
    ),
    Feature(
        "device_spent_1d", _N, _U.CNY, "value of the orders from this device in the last 24 hours", "近24小时该设备订单金额", "ORDER_VELOCITY", _G.VELOCITY,
        of(Aggregate(_E.DEVICE, "spent", How.SUM, DAY)), default=0.0, personal=True,
    ),
    Feature(
        "device_chargebacks", _I, _U.PAYMENTS, "chargeback history of this device", "该设备已知拒付次数", "EARLIER_CHARGEBACKS", _G.DISPUTES,
        count(_E.DEVICE, "chargebacks"), default=0.0, personal=True,
    ),
)  # fmt: skip

NETWORK = (
    Feature(
        "ip_customers_1d", _I, _U.PEOPLE, "use of this IP address by others in the last 24 hours", "近24小时使用该IP的其他客户", "SHARED_IP", _G.SHARING,
        distinct(_E.IP, "orders", within=DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "ip_orders_1h", _I, _U.ORDERS, "order volume from this IP address in the last hour", "近1小时该IP订单数", "ORDER_VELOCITY", _G.VELOCITY,
        count(_E.IP, "orders", within=HOUR), default=0.0, personal=True,
    ),
    Feature(
        "ip_devices_1d", _I, _U.NONE, "number of other devices on this IP address in the last 24 hours", "近24小时该IP上的其他设备数", "SHARED_IP", _G.SHARING,
        distinct(_E.IP, "devices", within=DAY, but=Own.DEVICE), default=0.0, personal=True,
    ),
    Feature(
        "ip_spent_1h", _N, _U.CNY, "value of the orders from this IP address in the last hour", "近1小时该IP订单金额", "ORDER_VELOCITY", _G.VELOCITY,
        of(Aggregate(_E.IP, "spent", How.SUM, HOUR)), default=0.0, personal=True,
    ),
    Feature(
        "ip_pieces_1h", _I, _U.PIECES, "quantity ordered from this IP address in the last hour", "近1小时该IP下单件数", "LAUNCH_HOARDING", _G.LAUNCH,
        of(Aggregate(_E.IP, "pieces", How.SUM, HOUR)), default=0.0, personal=True,
    ),
    Feature(
        "ip_billed_elsewhere_1d", _I, _U.ORDERS, "billing mismatches from this IP address in the last 24 hours", "近24小时该IP账单地址不符的订单数", "ADDRESS_MISMATCH", _G.IDENTITY,
        of(Aggregate(_E.IP, "billed_elsewhere", How.SUM, DAY)), default=0.0, personal=True,
    ),
    Feature(
        "ip_declines_1h", _I, _U.PAYMENTS, "number of declined payments from this IP address in the last hour", "该IP近1小时被拒付款次数", "PAYMENTS_DECLINED", _G.PAYMENT,
        count(_E.IP, "declined", within=HOUR), default=0.0, personal=True,
    ),
    Feature(
        "ip_declined_cards_1h", _I, _U.CARDS, "number of other cards declined from this IP address in the last hour", "该IP近1小时被拒的其他卡数", "CARD_TESTING", _G.PAYMENT,
        distinct(_E.IP, "declined", within=HOUR, but=Own.PAYMENT), default=0.0, personal=True,
    ),
)  # fmt: skip

ADDRESS = (
    Feature(
        "address_accounts", _I, _U.PEOPLE, "number of other accounts registered with this address", "以该地址注册的其他账户数", "SHARED_ADDRESS", _G.SHARING,
        distinct(_E.ADDRESS, "registered", but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "address_accounts_14d", _I, _U.PEOPLE, "number of other accounts registered with this address in the last 14 days", "近14天以该地址注册的其他账户数", "SHARED_ADDRESS", _G.SHARING,
        distinct(_E.ADDRESS, "registered", within=14 * DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "address_customers_90d", _I, _U.PEOPLE, "use of this delivery address by others in the last 90 days", "近90天使用该收货地址的其他客户", "SHARED_ADDRESS", _G.SHARING,
        distinct(_E.ADDRESS, "customers", within=90 * DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "address_orders_1d", _I, _U.ORDERS, "order volume to this address in the last 24 hours", "近24小时该地址订单数", "ORDER_VELOCITY", _G.VELOCITY,
        count(_E.ADDRESS, "orders", within=DAY), default=0.0, personal=True,
    ),
    Feature(
        "address_devices_30d", _I, _U.NONE, "number of other devices that ordered to this address in the last 30 days", "近30天向该地址下单的其他设备数", "SHARED_ADDRESS", _G.SHARING,
        distinct(_E.ADDRESS, "devices", within=30 * DAY, but=Own.DEVICE), default=0.0, personal=True,
    ),
    Feature(
        "address_spent_1d", _N, _U.CNY, "value of the orders to this address in the last 24 hours", "近24小时该地址订单金额", "ORDER_VELOCITY", _G.VELOCITY,
        of(Aggregate(_E.ADDRESS, "spent", How.SUM, DAY)), default=0.0, personal=True,
    ),
    Feature(
        "address_billed_elsewhere_1d", _I, _U.ORDERS, "billing mismatches of orders to this address in the last 24 hours", "近24小时该地址账单地址不符的订单数", "ADDRESS_MISMATCH", _G.IDENTITY,
        of(Aggregate(_E.ADDRESS, "billed_elsewhere", How.SUM, DAY)), default=0.0, personal=True,
    ),
    Feature(
        "address_chargebacks", _I, _U.PAYMENTS, "chargeback history of this address", "该地址已知拒付次数", "EARLIER_CHARGEBACKS", _G.DISPUTES,
        count(_E.ADDRESS, "chargebacks"), default=0.0, personal=True,
    ),
)  # fmt: skip

CARD = (
    Feature(
        "card_customers_30d", _I, _U.PEOPLE, "use of this card by others in the last 30 days", "近30天使用该卡的其他客户", "SHARED_CARD", _G.SHARING,
        distinct(_E.PAYMENT, "orders", within=30 * DAY, but=Own.CUSTOMER), default=0.0, personal=True,
    ),
    Feature(
        "card_orders_1d", _I, _U.ORDERS, "order volume on this card in the last 24 hours", "近24小时该卡订单数", "ORDER_VELOCITY", _G.VELOCITY,
        count(_E.PAYMENT, "orders", within=DAY), default=0.0, personal=True,
    ),
    Feature(
        "card_declines_1d", _I, _U.PAYMENTS, "number of declined payments with this card in the last 24 hours", "该卡近24小时被拒付款次数", "PAYMENTS_DECLINED", _G.PAYMENT,
        count(_E.PAYMENT, "declined", within=DAY), default=0.0, personal=True,
    ),
    Feature(
        "card_chargebacks", _I, _U.PAYMENTS, "chargeback history of this card", "该卡已知拒付次数", "EARLIER_CHARGEBACKS", _G.DISPUTES,
        count(_E.PAYMENT, "chargebacks"), default=0.0, personal=True,
    ),
)  # fmt: skip
