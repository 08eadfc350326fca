"""Read the times of a table that somebody else wrote, in the one format that fits its column."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from feature_store.times import Millis

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ISO = "iso"
# Where both orders of day and month fit every value, the first one here is taken: the rest of the world outnumbers the US.
_PATTERNS = (
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%b %d, %Y",
    "%Y年%m月%d日",
)
FORMATS = (_ISO, *_PATTERNS)
_COMPACT = "%Y%m%d"
_SHAPE = re.compile(r"\d{1,4}[-/.年 ]|[A-Z][a-z]{2} \d|\d{8}")
_YEARS = (1900, 2200)


@dataclass(frozen=True, slots=True)
class TimeReading:
    """How a column's texts read as times.

    Attributes:
        format: ``iso`` or a strptime pattern; ``None`` when no format reads any of them.
        values: one entry a text; ``None`` where it does not read.
    """

    format: str | None
    values: tuple[Millis | None, ...]


def read_one(text: str, pattern: str) -> Millis | None:
    """One text as milliseconds since the epoch, or None; without an offset it counts as UTC."""
    try:
        moment = datetime.fromisoformat(text) if pattern == _ISO else datetime.strptime(text, pattern)  # noqa: DTZ007 - set just below
    except ValueError:
        return None
    if pattern == _ISO and len(text) == 8 and text.isdigit():
        return None  # 20240102 may as well be a number; it must be asked for
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not _YEARS[0] <= moment.year <= _YEARS[1]:
        return None
    return (moment - _EPOCH) // _MILLISECOND


def read_times(texts: Sequence[str], weights: Sequence[int] | None = None, *, compact: bool = False) -> TimeReading:
    """Read all texts in the one format that reads most of them.

    Args:
        texts: distinct texts.
        weights: how often each occurs; they vote with it.
        compact: whether ``20240102`` may be a day and ``1700000000`` seconds since the epoch.
    """
    votes = weights if weights is not None else [1] * len(texts)
    best = TimeReading(None, (None,) * len(texts))
    most = 0
    for pattern in (*FORMATS, _COMPACT) if compact else FORMATS:
        if not _plausible(texts, pattern):
            continue
        values = tuple(read_one(text, pattern) for text in texts)
        read = sum(vote for vote, value in zip(votes, values, strict=True) if value is not None)
        if read > most:
            best, most = TimeReading(pattern, values), read
        if most == sum(votes):
            return best
    if compact and most == 0:
        return _epoch(texts)
    return best


def _plausible(texts: Sequence[str], pattern: str) -> bool:
    """Whether a few texts from the whole column read at all: spares thirty passes over a column of prose."""
    step = max(1, len(texts) // 200)
    return any(_SHAPE.match(text) and read_one(text, pattern) is not None for text in texts[::step])


def _epoch(texts: Sequence[str]) -> TimeReading:
    """Whole numbers as seconds or milliseconds since the epoch, where they fall into this century."""
    low, high = 946_684_800, 4_102_444_800
    numbers = [float(text) if re.fullmatch(r"\d{9,13}(\.\d+)?", text) else math.nan for text in texts]
    scale = 1_000 if all(math.isnan(number) or low <= number < high for number in numbers) else 1
    values = tuple(None if math.isnan(number) or not low <= number * scale / 1_000 < high else int(number * scale) for number in numbers)
    return TimeReading("epoch" if any(value is not None for value in values) else None, values)
