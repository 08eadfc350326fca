"""Days and hours in China: how much is bought when, and when carriers rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import holidays
import numpy as np

from feature_store.times import DAY, HOUR, Millis
from training.world.values import Floats, WorldConfig, rng_of

CHINA: Millis = 8 * HOUR
"""China has one time zone, UTC+8, the whole year."""

SALES: dict[tuple[int, int], float] = {
    (10, 31): 1.5, (11, 1): 1.9, (11, 9): 1.4, (11, 10): 1.7, (11, 11): 5.0, (11, 12): 1.8,
    (12, 11): 1.3, (12, 12): 2.2, (5, 31): 1.5, (6, 1): 1.7, (6, 17): 1.6, (6, 18): 3.2, (3, 8): 1.4, (9, 9): 1.25,
}  # fmt: skip
"""(month, day) → times the usual volume: Singles' Day, 12.12, 6.18, Women's Day, 9.9."""

_HOURS = np.array([2.2, 1.2, 0.7, 0.4, 0.4, 0.6, 1.2, 2.2, 3.6, 4.8, 5.6, 5.4, 5.2, 5.0, 5.0, 5.0, 5.0, 5.0, 5.2, 6.2, 7.4, 8.0, 7.0, 4.4])
_MIDNIGHT_RUSH = np.array([22.0, 6.0, *([0.0] * 22)])


@dataclass(frozen=True, slots=True)
class Calendar:
    """What the days bring; all arrays have one entry a day.

    Attributes:
        midnight: the first instant of day 0 in China.
        volume: demand relative to a usual day.
        closed: share of carriers and staff that rest: 1 in the Spring Festival, some on other public holidays.
        rush: 1 on the great sale days, when people wait for midnight.
        progress: 0 on the first day to 1 on the last: what drifts, drifts along it.
    """

    midnight: Millis
    volume: Floats
    closed: Floats
    rush: Floats
    progress: Floats

    @property
    def days(self) -> int:
        """How many days there are."""
        return len(self.volume)

    def start_of(self, day: int) -> Millis:
        """The first instant of a day."""
        return self.midnight + day * DAY

    def day_of(self, moment: Millis) -> int:
        """The day in which a moment lies; negative before the first."""
        return (moment - self.midnight) // DAY

    def hours(self, day: int) -> Floats:
        """Shares of the day's orders by hour; 24 values that sum to 1."""
        weights = _HOURS + self.rush[day] * _MIDNIGHT_RUSH
        return np.asarray(weights / weights.sum(), dtype=np.float64)


def _spring_festival(first: date, last: date) -> dict[date, bool]:
    """Public holidays of China, and whether each belongs to the Spring Festival."""
    found = holidays.country_holidays("CN", years=range(first.year, last.year + 2), language="en_US")
    festival = sorted(day for day, name in found.items() if "Chinese New Year" in name)
    return {day: any(abs((day - other).days) <= 2 for other in festival) for day in sorted(found)}


def make_calendar(config: WorldConfig) -> Calendar:
    """The calendar of a world: weekdays, sales, public holidays, growth and a little chance."""
    rng = rng_of(config.seed, 1)
    dates = [config.start + timedelta(days=i) for i in range(config.days)]
    public = _spring_festival(dates[0], dates[-1])
    festival = [day for day, spring in public.items() if spring]
    volume, closed, rush = np.ones(config.days), np.zeros(config.days), np.zeros(config.days)
    for i, day in enumerate(dates):
        volume[i] = 1.12 if day.weekday() >= 5 else 1.0
        volume[i] *= SALES.get((day.month, day.day), 1.0)
        ahead = min(((other - day).days for other in festival if other > day), default=999)
        if public.get(day):
            volume[i], closed[i] = 0.5, 1.0
        elif 3 <= ahead <= 18:
            volume[i] *= 1.45
        elif ahead < 3:
            volume[i], closed[i] = volume[i] * 0.8, 0.6
        elif day in public:
            volume[i], closed[i] = volume[i] * 1.15, 0.35
        rush[i] = float(SALES.get((day.month, day.day), 1.0) > 3.0)
    progress = np.linspace(0.0, 1.0, config.days)
    volume *= (1.0 + 0.12 * progress) * np.exp(rng.normal(0.0, 0.06, config.days))
    start = datetime(config.start.year, config.start.month, config.start.day, tzinfo=UTC)
    return Calendar(int(start.timestamp()) * 1000 - CHINA, volume, closed, rush, progress)
