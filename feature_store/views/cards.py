"""Card payments at terminals: features of customer, terminal and both over windows, with frauds that are known a week late.

A payment is an order placed, its terminal is the device, its card is the customer's, a fraud is a charge-back that happened when the payment did and is
known later. Other features never count the order's own placing; those of the customer here do, by adding it: "payments in the last day,
this one included". :data:`CARDS` are the fifteen features of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi, 2022, chapter
3), in its order and under our names; :data:`OWN` are those that we add.
"""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.calendar import local_day, local_hour, to_date
from feature_store.entities import Entity
from feature_store.order import MICRO
from feature_store.snapshot import Origin
from feature_store.times import DAY, Millis
from feature_store.views.aggregations import combined, of, ratio, request
from feature_store.views.basket import AMOUNT
from feature_store.views.definition import Dtype, Feature, Group, Known, Unit
from feature_store.views.parts import Aggregate, How
from feature_store.views.situation import Situation

KNOWN_LATE: Millis = 7 * DAY
"""How late a fraud is known: windows over frauds end that long ago."""

MORNING = 7
"""The hour at which the night ends."""

_SATURDAY = 5
_WINDOWS = (1, 7, 30)
_I, _S, _F, _N = Dtype.INTEGER, Dtype.SHARE, Dtype.FLAG, Dtype.NUMBER
_E, _G, _U = Entity, Group, Unit

Values = Sequence[Known | None]


def _or_zero(known: Known | None) -> float:
    return known.value if known is not None else 0.0


def _and_this(situation: Situation, value: float, history: Known | None) -> Known:
    """A value in which the order itself is counted: the newest fact in it."""
    return Known(value, situation.order.placed_at, Origin.REQUEST if history is None else None)


def _payments(situation: Situation, values: Values) -> Known:
    return _and_this(situation, _or_zero(values[0]) + 1, values[0])


def _mean_amount(situation: Situation, values: Values) -> Known:
    amounts, payments = values
    total = _or_zero(amounts) + situation.order.total_micros / MICRO
    return _and_this(situation, total / (_or_zero(payments) + 1), payments)


def _over_usual(situation: Situation, values: Values) -> Known | None:
    """The order's amount over an amount of the past."""
    usual = values[0]
    if usual is None or usual.value <= 0:
        return None
    return _and_this(situation, situation.order.total_micros / MICRO / usual.value, usual)


def _last(days: int) -> str:
    return "24 hours" if days == 1 else f"{days} days"


def _customer_payments(days: int) -> Feature:
    en, zh = f"number of the customer's payments in the last {_last(days)}, with this one", f"客户近{days}天付款次数（含本次）"
    count = Aggregate(_E.CUSTOMER, "orders", How.COUNT, days * DAY)
    calculation = combined("1 + count", (count,), _payments)
    return Feature(f"customer_payments_{days}d", _I, _U.PAYMENTS, en, zh, "ORDER_VELOCITY", _G.VELOCITY, calculation, personal=True)


def _customer_amount(days: int) -> Feature:
    en, zh = f"average amount of the customer's payments in the last {_last(days)}, with this one", f"客户近{days}天平均付款金额（含本次）"
    spent, count = (Aggregate(_E.CUSTOMER, "orders", how, days * DAY) for how in (How.SUM, How.COUNT))
    calculation = combined("(amount + sum) / (1 + count)", (spent, count), _mean_amount)
    return Feature(f"customer_mean_amount_{days}d", _N, _U.CNY, en, zh, "UNUSUAL_AMOUNT", _G.CUSTOMER, calculation, personal=True)


def _terminal_payments(days: int) -> Feature:
    en, zh = f"number of payments on the device in the {_last(days)} that ended a week ago", f"该设备一周前{days}天内的付款次数"
    count = Aggregate(_E.DEVICE, "orders", How.COUNT, days * DAY, KNOWN_LATE)
    return Feature(f"device_payments_{days}d_week_ago", _I, _U.PAYMENTS, en, zh, "DEVICE_HISTORY", _G.VELOCITY, of(count), default=0.0)


def _terminal_risk(days: int) -> Feature:
    en, zh = f"share of disputed payments on the device in the {_last(days)} that ended a week ago", f"该设备一周前{days}天内的拒付率"
    share = Aggregate(_E.DEVICE, "orders", How.SHARE, days * DAY, KNOWN_LATE, having="chargebacks")
    return Feature(f"device_fraud_share_{days}d_week_ago", _S, _U.NONE, en, zh, "DEVICE_DISPUTED", _G.DISPUTES, of(share), default=0.0)


def _is_weekend(situation: Situation) -> float:
    return float(to_date(local_day(situation.order.placed_at)).weekday() >= _SATURDAY)


def _is_night(situation: Situation) -> float:
    return float(local_hour(situation.order.placed_at) < MORNING)


WEEKEND = Feature(
    "weekend", _F, _U.NONE, "order placed on a Saturday or Sunday", "周末下单", "UNUSUAL_HOUR", _G.CALENDAR,
    request("placed_at on Saturday or Sunday, UTC+8", _is_weekend),
)  # fmt: skip
NIGHT = Feature(
    "night", _F, _U.NONE, "order placed at night, before 7 o'clock (UTC+8)", "夜间下单（北京时间7点前）", "UNUSUAL_HOUR", _G.CALENDAR,
    request("placed_at before 7 o'clock, UTC+8", _is_night),
)  # fmt: skip

CARDS = (
    AMOUNT, WEEKEND, NIGHT,
    *(feature for days in _WINDOWS for feature in (_customer_payments(days), _customer_amount(days))),
    *(feature for days in _WINDOWS for feature in (_terminal_payments(days), _terminal_risk(days))),
)  # fmt: skip

_AMOUNTS = Aggregate(_E.CUSTOMER, "orders", How.MEAN, 30 * DAY)
_AMOUNTS_BEFORE = Aggregate(_E.CUSTOMER, "orders", How.MEAN, 30 * DAY, KNOWN_LATE)
_LARGEST = Aggregate(_E.CUSTOMER, "orders", How.MAX, 30 * DAY)
_LARGEST_LATELY = Aggregate(_E.CUSTOMER, "orders", How.MAX, 7 * DAY)
_LATELY = Aggregate(_E.CUSTOMER, "orders", How.MEAN, 7 * DAY)

OWN = (
    Feature(
        "amount_over_mean_30d", _N, _U.TIMES, "amount against the customer's average of the last 30 days", "本次金额与客户近30天平均金额之比", "UNUSUAL_AMOUNT", _G.CUSTOMER,
        combined("amount / mean", (_AMOUNTS,), _over_usual), personal=True,
    ),
    Feature(
        "amount_over_largest_30d", _N, _U.TIMES, "amount against the customer's largest of the last 30 days", "本次金额与客户近30天最大金额之比", "UNUSUAL_AMOUNT", _G.CUSTOMER,
        combined("amount / max", (_LARGEST,), _over_usual), personal=True,
    ),
    Feature(
        "largest_7d_over_mean_before", _N, _U.TIMES, "customer's largest payment of the last 7 days against the average of the 30 days before", "客户近7天最大金额与此前30天平均金额之比",
        "UNUSUAL_AMOUNT", _G.CUSTOMER, ratio(_LARGEST_LATELY, _AMOUNTS_BEFORE), personal=True,
    ),
    Feature(
        "mean_7d_over_mean_before", _N, _U.TIMES, "customer's average payment of the last 7 days against that of the 30 days before", "客户近7天平均金额与此前30天平均金额之比",
        "UNUSUAL_AMOUNT", _G.CUSTOMER, ratio(_LATELY, _AMOUNTS_BEFORE), personal=True,
    ),
    Feature(
        "device_hours_since_fraud", _N, _U.HOURS, "time since the newest disputed payment on the device", "距该设备最近一次拒付的时间", "DEVICE_DISPUTED", _G.DISPUTES,
        of(Aggregate(_E.DEVICE, "chargebacks", How.SINCE)),
    ),
    Feature(
        "device_frauds_28d", _I, _U.PAYMENTS, "number of disputed payments on the device in the last 28 days", "该设备近28天拒付次数", "DEVICE_DISPUTED", _G.DISPUTES,
        of(Aggregate(_E.DEVICE, "chargebacks", How.COUNT, 28 * DAY)), default=0.0,
    ),
    Feature(
        "customer_frauds_21d", _I, _U.PAYMENTS, "number of the customer's disputed payments in the last 21 days", "客户近21天拒付次数", "EARLIER_CHARGEBACKS", _G.DISPUTES,
        of(Aggregate(_E.CUSTOMER, "chargebacks", How.COUNT, 21 * DAY)), default=0.0, personal=True,
    ),
    Feature(
        "customer_hours_since", _N, _U.HOURS, "time since the customer's payment before", "距客户上次付款的时间", "ORDER_VELOCITY", _G.VELOCITY,
        of(Aggregate(_E.CUSTOMER, "orders", How.SINCE)), personal=True,
    ),
    Feature(
        "device_payments_24h", _I, _U.PAYMENTS, "number of payments on the device in the last 24 hours", "该设备近24小时付款次数", "DEVICE_HISTORY", _G.VELOCITY,
        of(Aggregate(_E.DEVICE, "orders", How.COUNT, DAY)), default=0.0,
    ),
)  # fmt: skip
"""What we add: an amount against what is usual, and how recent a dispute is."""
