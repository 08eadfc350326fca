"""Times as the whole system holds them: whole milliseconds since the Unix epoch, UTC.

RFC 3339 is read and written at the edges only; arithmetic and storage use :data:`Millis`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

Millis = int

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class TimeUnreadable(ValueError):
    """A text that is not an RFC 3339 time with an offset."""


def now() -> Millis:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def parse_time(text: str) -> Millis:
    """Read an RFC 3339 time with an offset; finer digits than milliseconds are cut off.

    Raises:
        TimeUnreadable: the text is no RFC 3339 time, or has no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeUnreadable(f"{text!r} is not an RFC 3339 time such as 2026-11-11T00:00:03.120Z") from error
    if moment.tzinfo is None:
        raise TimeUnreadable(f"{text!r} has no offset; write it in UTC with a trailing Z")
    return (moment - _EPOCH) // _MILLISECOND


def format_time(moment: Millis) -> str:
    """Write milliseconds as RFC 3339 in UTC with three decimals and a trailing Z."""
    seconds, millis = divmod(moment, 1_000)
    return f"{_to_seconds(seconds)}.{millis:03d}Z"


@lru_cache(maxsize=1024)
def _to_seconds(seconds: int) -> str:
    """One decision writes many times of the same second."""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
