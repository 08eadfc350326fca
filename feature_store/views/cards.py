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
from feature_store.views.aggregations import combined, of, request
from feature_store.views.basket import AMOUNT
from feature_store.views.definition import Aggregate, Dtype, Feature, Group, How, Known, Unit
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


def _divided(situation: Situation, values: Values) -> Known | None:
    """The order's amount over an amount of the past."""
    usual = values[0]
    if usual is None or usual.value <= 0:
        return None
    return Known(situation.order.total_micros / MICRO / usual.value, situation.order.placed_at)


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
