"""China's clock and calendar: hours, days, public holidays."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

import holidays

from feature_store.times import DAY, HOUR, Millis

LOCAL_OFFSET: Millis = 8 * HOUR
"""China has one time zone, UTC+8, and no summer time."""

_EPOCH = date(1970, 1, 1)


def local_hour(moment: Millis) -> float:
    """The hour of the day in China, 0 to 24."""
    return (moment + LOCAL_OFFSET) % DAY / HOUR


def local_day(moment: Millis) -> int:
    """The day in China, in days since 1970-01-01."""
    return (moment + LOCAL_OFFSET) // DAY


def to_date(day: int) -> date:
    """The date of a day since 1970-01-01."""
    return _EPOCH + timedelta(days=day)


def local_midnight(moment: Millis) -> Millis:
    """The first instant of the day in China in which ``moment`` lies."""
    return local_day(moment) * DAY - LOCAL_OFFSET


@lru_cache(maxsize=64)
def holidays_of(year: int) -> frozenset[int]:
    """China's public holidays of a year, in days since 1970-01-01."""
    return frozenset((day - _EPOCH).days for day in holidays.country_holidays("CN", years=year))


@lru_cache(maxsize=4096)
def holidays_between(first: int, last: int) -> int:
    """How many public holidays lie in the days ``first`` to ``last``, both included."""
    years = range(to_date(first).year, to_date(last).year + 1)
    return sum(first <= day <= last for year in years for day in holidays_of(year))


@lru_cache(maxsize=64)
def spring_festival_of(year: int) -> frozenset[int]:
    """The days of a year's Spring Festival: New Year, and the public holidays around it, in days since 1970-01-01."""
    named = holidays.country_holidays("CN", years=year, language="en_US")
    new_year = [(day - _EPOCH).days for day, name in named.items() if "Chinese New Year" in name]
    return frozenset(day for day in holidays_of(year) if any(abs(day - one) <= 2 for one in new_year))


@lru_cache(maxsize=4096)
def days_to_spring_festival(day: int) -> int:
    """Days until the next Spring Festival begins; 0 within it."""
    year = to_date(day).year
    return min(one - day for which in (year, year + 1) for one in spring_festival_of(which) if one >= day)
