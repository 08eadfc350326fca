"""The closed vocabulary of business events: what can have happened to whom, and which fields say so.

One entry per type: what it means, which fields it has to tell and which it may. docs/events.md is checked against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EventType(StrEnum):
    """Every kind of business event that is understood."""

    CUSTOMER_REGISTERED = "customer_registered"
    CUSTOMER_CHANGED = "customer_changed"
    LOGIN = "login"
    DEVICE_CHECKED = "device_checked"
    ADDRESS_CHECKED = "address_checked"
    PAYMENT_AUTHORISED = "payment_authorised"
    PAYMENT_DECLINED = "payment_declined"
    PAID = "paid"
    REFUNDED = "refunded"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSED = "chargeback_reversed"
    ORDER_PLACED = "order_placed"
    ORDER_CHANGED = "order_changed"
    CANCELLED = "cancelled"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    RETURN_REQUESTED = "return_requested"
    RETURNED = "returned"
    RETURN_WITHDRAWN = "return_withdrawn"
    SKU_LISTED = "sku_listed"
    PRICE_CHANGED = "price_changed"
    STOCK_LEVEL = "stock_level"
    STOCK_EXPECTED = "stock_expected"
    STOCK_RESERVED = "stock_reserved"
    STOCK_SETTLED = "stock_settled"
    STOCK_RELEASED = "stock_released"
    SUPPLIER_STATUS = "supplier_status"
    SUPPLIER_PLAN = "supplier_plan"
    NODE_STATUS = "node_status"
    NODE_OUTAGE = "node_outage"
    STAFFING_PLAN = "staffing_plan"
    LANE_RATE = "lane_rate"
    LANE_STATUS = "lane_status"
    CARRIER_CUTOFF = "carrier_cutoff"
    LANE_DISRUPTION = "lane_disruption"
    PORT_CONGESTION = "port_congestion"
    WEATHER = "weather"
    HOLIDAY = "holiday"
    CUSTOMS_RULE = "customs_rule"


class Kind(StrEnum):
    """What a field of an event may hold."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    TIME = "time"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event type.

    Attributes:
        money: whether the number is an amount; then it may also be told with its currency.
    """

    kind: Kind
    required: bool = False
    money: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a type of event says, in one sentence, by language.

    Attributes:
        forecast: whether it says what will hold, from ``valid_from`` on.
    """

    en: str
    zh: str
    forecast: bool = False


_Of = tuple[Kind, bool]
_Told = Mapping[str, _Of]
_T: Final[_Of] = (Kind.TEXT, False)
_N: Final[_Of] = (Kind.NUMBER, False)
_M: Final[_Of] = (Kind.NUMBER, True)
_B: Final[_Of] = (Kind.BOOL, False)
_AT: Final[_Of] = (Kind.TIME, False)
_TS: Final[_Of] = (Kind.TEXTS, False)
_PARTIES: Final[_Told] = {"device_id": _T, "address_id": _T, "payment_token": _T, "ip": _T, "region": _T, "channel": _T}
_GOODS: Final[_Told] = {"skus": _TS, "supplier_ids": _TS}
_PAYING: Final[_Told] = {**_PARTIES, "order_id": _T, "customer_id": _T, "amount": _M}
_UNTIL: Final[_Told] = {"valid_to": _AT}
_E = EventType

_TYPES: Final[dict[EventType, tuple[Meaning, _Told, _Told]]] = {
    _E.CUSTOMER_REGISTERED: (
        Meaning("A customer opened an account.", "客户注册了账户。"),
        {"customer_id": _T}, {"segment": _T, "region": _T, "address_id": _T, "street": _T},
    ),
    _E.CUSTOMER_CHANGED: (
        Meaning("Something about a customer changed; contact_changed: mail address, phone or password.", "客户资料变更；contact_changed 表示邮箱、电话或密码变更。"),
        {"customer_id": _T}, {"segment": _T, "region": _T, "address_id": _T, "contact_changed": _B},
    ),
    _E.LOGIN: (
        Meaning("Somebody signed in to an account, or tried to.", "有人登录或尝试登录账户。"),
        {"customer_id": _T, "succeeded": _B}, {"device_id": _T, "ip": _T},
    ),
    _E.DEVICE_CHECKED: (
        Meaning("What a check of a device found; risk from 0 to 1.", "设备检查结果；risk 取值 0 到 1。"),
        {"device_id": _T}, {"emulator": _B, "rooted": _B, "proxy": _B, "risk": _N},
    ),
    _E.ADDRESS_CHECKED: (
        Meaning("What a check of an address found: whether it can be delivered to, and what it is.", "地址核验结果：是否可投递及其类型。"),
        {"address_id": _T, "deliverable": _B}, {"kind": _T, "region": _T, "lat": _N, "lon": _N},
    ),
    _E.PAYMENT_AUTHORISED: (Meaning("A payment was authorised.", "支付已授权。"), {"payment_token": _T}, _PAYING),
    _E.PAYMENT_DECLINED: (Meaning("A payment was declined.", "支付被拒绝。"), {"payment_token": _T}, _PAYING),
    _E.PAID: (Meaning("The money of an order arrived.", "订单款项已到账。"), {"order_id": _T}, _PAYING),
    _E.REFUNDED: (
        Meaning("Money of an order was given back.", "订单已退款。"),
        {"order_id": _T, "customer_id": _T}, {"payment_token": _T, "amount": _M, "reason": _T},
    ),
    _E.CHARGEBACK: (
        Meaning("The payer's bank took the money back: the order is known to be fraudulent.", "发卡行拒付：该订单确认为欺诈。"),
        {"order_id": _T, "customer_id": _T}, {**_PARTIES, "amount": _M, "skus": _TS},
    ),
    _E.CHARGEBACK_REVERSED: (
        Meaning("Corrects a chargeback: it was withdrawn or won.", "更正拒付：拒付被撤回或申诉成功。"),
        {"order_id": _T, "customer_id": _T}, {**_PARTIES, "amount": _M},
    ),
    _E.ORDER_PLACED: (
        Meaning("A customer placed an order.", "客户下单。"),
        {"order_id": _T, "customer_id": _T, "amount": _M}, {**_PARTIES, **_GOODS, "qty": _N, "tags": _TS, "promised_by": _AT, "billed_elsewhere": _B},
    ),
    _E.ORDER_CHANGED: (
        Meaning("A placed order was changed: where it goes, what is in it.", "已下订单发生变更：收货地址或商品。"),
        {"order_id": _T, "customer_id": _T}, {**_PARTIES, **_GOODS, "amount": _M, "qty": _N, "promised_by": _AT},
    ),
    _E.CANCELLED: (
        Meaning("An order was cancelled, by the customer or by us; reason says why.", "订单被客户或商家取消；reason 说明原因。"),
        {"order_id": _T, "customer_id": _T}, {**_GOODS, "node_id": _T, "region": _T, "reason": _T},
    ),
    _E.SHIPPED: (
        Meaning("A shipment left its node; late: after due_at.", "包裹已从发货节点发出；late 表示晚于 due_at。"),
        {"order_id": _T, "node_id": _T},
        {**_GOODS, "customer_id": _T, "shipment_id": _T, "region": _T, "service": _T, "due_at": _AT, "late": _B, "delay_h": _N},
    ),
    _E.DELIVERED: (
        Meaning("A shipment arrived; late: after promised_by.", "包裹已送达；late 表示晚于 promised_by。"),
        {"order_id": _T, "node_id": _T, "region": _T},
        {**_GOODS, "customer_id": _T, "shipment_id": _T, "service": _T, "promised_by": _AT, "late": _B, "delay_h": _N, "transit_h": _N},
    ),
    _E.DELIVERY_FAILED: (
        Meaning("A shipment could not be handed over.", "包裹投递失败。"),
        {"order_id": _T, "customer_id": _T},
        {"address_id": _T, "node_id": _T, "region": _T, "service": _T, "shipment_id": _T, "reason": _T},
    ),
    _E.RETURN_REQUESTED: (
        Meaning("A customer asked to send an order back.", "客户申请退货。"),
        {"order_id": _T, "customer_id": _T}, {"skus": _TS, "amount": _M, "reason": _T},
    ),
    _E.RETURNED: (
        Meaning("An order, or part of it, came back.", "订单全部或部分已退回。"),
        {"order_id": _T, "customer_id": _T}, {"skus": _TS, "amount": _M, "reason": _T},
    ),
    _E.RETURN_WITHDRAWN: (
        Meaning("Corrects a return: it was reported by mistake or never came.", "更正退货：误报或未实际退回。"),
        {"order_id": _T, "customer_id": _T}, {"skus": _TS, "reason": _T},
    ),
    _E.SKU_LISTED: (
        Meaning("A SKU is on sale with these properties; told again, it corrects them; lead_days: how long goods sold in advance take.", "SKU 以这些属性上架；再次发送即更正；lead_days 表示预售备货天数。"),
        {"sku": _T},
        {"category": _T, "supplier_id": _T, "price": _M, "presale": _B, "temp_class": _T, "weight_g": _N, "volume_cm3": _N, "launch_at": _AT, "lead_days": _N},
    ),
    _E.PRICE_CHANGED: (Meaning("A SKU has another price from now on.", "SKU 价格变更。"), {"sku": _T, "price": _M}, {}),
    _E.STOCK_LEVEL: (
        Meaning("How many pieces a node has of a SKU; told again, it corrects the number.", "节点某 SKU 的库存件数；再次发送即更正。"),
        {"node_id": _T, "sku": _T, "available": _N}, {"safety": _N, "expected_demand": _N},
    ),
    _E.STOCK_EXPECTED: (
        Meaning("Pieces of a SKU will arrive at a node at valid_from.", "SKU 预计在 valid_from 到达节点。", forecast=True),
        {"node_id": _T, "sku": _T, "qty": _N}, _UNTIL,
    ),
    _E.STOCK_RESERVED: (
        Meaning("A plan holds pieces of a SKU at a node.", "计划在节点预留 SKU 件数。"),
        {"reservation_id": _T, "node_id": _T, "sku": _T, "qty": _N}, {"order_id": _T, "expires_at": _AT},
    ),
    _E.STOCK_SETTLED: (
        Meaning("Held pieces were taken: they left the stock.", "预留件已出库结算。"),
        {"reservation_id": _T, "node_id": _T, "sku": _T, "qty": _N}, {"order_id": _T},
    ),
    _E.STOCK_RELEASED: (
        Meaning("Held pieces are free again: released, or the hold expired.", "预留件已释放或预留到期。"),
        {"reservation_id": _T, "node_id": _T, "sku": _T, "qty": _N}, {"order_id": _T, "reason": _T},
    ),
    _E.SUPPLIER_STATUS: (
        Meaning("How a supplier stands: orders in work, capacity, delay.", "供应商现状：在制订单、产能、延误。"),
        {"supplier_id": _T}, {"open_orders": _N, "capacity": _N, "delay_days": _N},
    ),
    _E.SUPPLIER_PLAN: (
        Meaning("What a supplier plans to be able to do from valid_from on.", "供应商自 valid_from 起的产能计划。", forecast=True),
        {"supplier_id": _T, "capacity": _N}, _UNTIL,
    ),
    _E.NODE_STATUS: (
        Meaning("How a node stands: open or not, capacity, backlog, staffing.", "节点现状：是否营业、产能、积压、人手。"),
        {"node_id": _T},
        {
            "region": _T, "lat": _N, "lon": _N, "status": _T, "capacity": _N, "capacity_left": _N, "backlog": _N, "staffing": _N,
            "cutoff_hour": _N, "processing_h": _N, "processing_cost": _M, "temp_classes": _TS,
        },
    ),
    _E.NODE_OUTAGE: (
        Meaning(
            "A node's equipment is out, or will be, from valid_from to valid_to; severity from 0 to 1.",
            "节点设备自 valid_from 至 valid_to 停用；severity 取值 0 到 1。",
            forecast=True,
        ),
        {"node_id": _T, "severity": _N}, {"kind": _T, **_UNTIL},
    ),
    _E.STAFFING_PLAN: (
        Meaning("The share of the needed people that a node will have from valid_from on.", "自 valid_from 起节点到岗人员占需求的比例。", forecast=True),
        {"node_id": _T, "staffing": _N}, _UNTIL,
    ),
    _E.LANE_RATE: (
        Meaning("What a lane costs and how long it takes.", "线路的价格与时效。"),
        {"node_id": _T, "region": _T, "service": _T}, {"carrier": _T, "fixed": _M, "per_kg": _M, "transit_days": _N, "co2e_g_per_kg": _N},
    ),
    _E.LANE_STATUS: (
        Meaning("How a lane runs now: open or not, and how late.", "线路现状：是否开通及延误。"),
        {"node_id": _T, "region": _T, "service": _T}, {"carrier": _T, "open": _B, "delay_h": _N},
    ),
    _E.CARRIER_CUTOFF: (
        Meaning("The hour (UTC) at which a carrier collects at a node.", "承运商在节点揽收的时刻（UTC 小时）。"),
        {"node_id": _T, "service": _T, "cutoff_hour": _N}, {"carrier": _T},
    ),
    _E.LANE_DISRUPTION: (
        Meaning("Strike, closed road or the like on the way to a region; severity from 0 to 1.", "通往地区途中的罢工、封路等；severity 取值 0 到 1。", forecast=True),
        {"region": _T, "severity": _N}, {"kind": _T, **_UNTIL},
    ),
    _E.PORT_CONGESTION: (
        Meaning("Ships wait before a region's port; severity from 0 to 1.", "地区港口拥堵；severity 取值 0 到 1。", forecast=True),
        {"region": _T, "severity": _N}, {"port": _T, "wait_days": _N, **_UNTIL},
    ),
    _E.WEATHER: (
        Meaning("The weather that a region has or will have; severity from 0 to 1.", "地区当前或预报的天气；severity 取值 0 到 1。", forecast=True),
        {"region": _T, "severity": _N}, {"kind": _T, **_UNTIL},
    ),
    _E.HOLIDAY: (
        Meaning("People in a region do not work, from valid_from to valid_to.", "地区自 valid_from 至 valid_to 放假。", forecast=True),
        {"region": _T, "name": _T}, _UNTIL,
    ),
    _E.CUSTOMS_RULE: (
        Meaning("How strictly a region's customs look at parcels from valid_from on; strictness from 0 to 1.", "自 valid_from 起地区海关查验的严格程度；strictness 取值 0 到 1。", forecast=True),
        {"region": _T, "strictness": _N}, {"rule": _T, "clearance_h": _N, **_UNTIL},
    ),
}  # fmt: skip
"""For each type its meaning, the fields that it has to tell, and those that it may."""


def _fields(required: _Told, optional: _Told) -> dict[str, Field]:
    fields = {name: Field(kind, required=True, money=money) for name, (kind, money) in required.items()}
    return fields | {name: Field(kind, money=money) for name, (kind, money) in optional.items() if name not in required}


VOCABULARY: Final[dict[EventType, dict[str, Field]]] = {
    kind: _fields(required, optional) for kind, (_, required, optional) in _TYPES.items()
}
"""For each type its own fields. Money is in the home's one currency; ``late`` means after the due or promised time."""

MEANINGS: Final[dict[EventType, Meaning]] = {kind: meaning for kind, (meaning, _, _) in _TYPES.items()}
"""For each type what it says."""
