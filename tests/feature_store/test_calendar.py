"""China's clock and calendar."""

from __future__ import annotations

from datetime import date

from feature_store.calendar import holidays_between, holidays_of, local_day, local_hour, local_midnight, to_date
from feature_store.times import HOUR, parse_time


def test_the_clock_is_eight_hours_ahead() -> None:
    moment = parse_time("2026-11-10T16:30:00Z")
    assert local_hour(moment) == 0.5
    assert to_date(local_day(moment)) == date(2026, 11, 11)
    assert local_midnight(moment) == moment - HOUR // 2
    assert to_date(local_day(moment - HOUR)) == date(2026, 11, 10)


def test_public_holidays_are_those_of_china() -> None:
    new_year = (date(2026, 1, 1) - date(1970, 1, 1)).days
    spring_festival = (date(2026, 2, 17) - date(1970, 1, 1)).days
    assert {new_year, spring_festival} <= holidays_of(2026)
    assert holidays_between(new_year - 1, new_year) == 1, "the span reaches over the end of a year"
    assert holidays_between(new_year - 2, new_year - 1) == 0
