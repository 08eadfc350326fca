"""The day and the hour of a decision: holidays, the Spring Festival, weekdays, the time of day. All by the calendar of China."""

from __future__ import annotations

from feature_store.calendar import days_to_spring_festival, holidays_between, local_day, local_hour
from feature_store.views.aggregations import request
from feature_store.views.definition import Dtype, Feature, Group, Unit
from feature_store.views.situation import Situation

FESTIVAL_IN_SIGHT = 30
"""Days before the Spring Festival from which on it matters."""


def _ahead(situation: Situation, days: int) -> float:
    today = local_day(situation.as_of)
    return float(holidays_between(today, today + days - 1))


def _festival(situation: Situation) -> float:
    return float(min(FESTIVAL_IN_SIGHT, days_to_spring_festival(local_day(situation.as_of))))


_I, _N, _F = Dtype.INTEGER, Dtype.NUMBER, Dtype.FLAG
_G, _U = Group, Unit

HOLIDAYS = Feature(
    "holidays_ahead", _I, _U.DAYS, "public holiday time in the next 3 days", "今后三天内的法定假日", "PUBLIC_HOLIDAY", _G.CALENDAR,
    request("public holidays of China within 3 days", lambda situation: _ahead(situation, 3)),
)  # fmt: skip
HOLIDAYS_NOW = Feature(
    "holidays_now", _I, _U.DAYS, "public holiday time today and tomorrow", "今明两天的法定假日", "PUBLIC_HOLIDAY", _G.CALENDAR,
    request("public holidays of China today and tomorrow", lambda situation: _ahead(situation, 2)),
)  # fmt: skip
FESTIVAL = Feature(
    "festival_days", _I, _U.DAYS, "time until the Spring Festival (counted up to 30 days)", "距春节的时间（最多计30天）", "SPRING_FESTIVAL", _G.CALENDAR,
    request(f"days to the Spring Festival, at most {FESTIVAL_IN_SIGHT}", _festival),
)  # fmt: skip
WEEKEND = Feature(
    "weekend", _F, _U.NONE, "ordered at a weekend", "周末下单", "WEEKEND", _G.CALENDAR,
    request("Saturday or Sunday, UTC+8", lambda situation: float((local_day(situation.as_of) + 3) % 7 >= 5)),
)  # fmt: skip
HOUR_OF_DAY = Feature(
    "local_hour", _N, _U.O_CLOCK, "time of day of the order (UTC+8)", "下单时刻（北京时间）", "UNUSUAL_HOUR", _G.CUSTOMER,
    request("hour of placed_at, UTC+8", lambda situation: local_hour(situation.order.placed_at)),
)  # fmt: skip
