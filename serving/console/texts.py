"""Numbers, times and amounts as people read them, in both languages. Pure: a value in, a text out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from feature_store.times import Millis
from feature_store.wording import chinese

LANGUAGES = ("en", "zh")
MINUS = "−"
_ASIDE = re.compile(r"\s*[(（][^)）]*[)）]")
NBSP = "\u00a0"
_HYPHEN = re.compile(r"(?<![^\s(（“为：:,，；;·])-(?=\d)")
"""A hyphen that begins a number is a minus; within words, dates and spans it stays."""
_APART = re.compile(r"(?<=[\d}]) (?=[%×]|(?:h|min|s|ms|kg|km|g|days?)\b)|(?<=\bCNY) (?=[\d{])")
"""Between a number, or where one is filled in, and its unit."""
_JOINED = re.compile(r"(?<=\d)(?=[\u4e00-\u9fff])")
_SECONDS = {"days": 86_400, "h": 3_600}
_SYMBOLS = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "HKD": "HK$"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STEPS = ((86_400, "day", "days", "天"), (3_600, "h", "h", "小时"), (60, "min", "min", "分钟"), (1, "s", "s", "秒"))


def percent(share: float) -> str:
    """``0.31`` → ``31 %``; finer near 0 and 1, where a rounded number would lie. The one rule for shares on every page."""
    return f"{_percent_digits(share)}{NBSP}%"


def percent_range(low: float, high: float) -> str:
    """``(0.24, 0.39)`` → ``24–39 %``."""
    return f"{_percent_digits(low)}–{_percent_digits(high)}{NBSP}%"


def _percent_digits(share: float) -> str:
    value = 100 * share
    edge = min(value, 100 - value)
    if edge <= 0 or edge >= 9.95:
        return f"{value:.0f}"
    digits = 1 if edge >= 0.095 else 2
    text = f"{value:.{digits}f}"
    if float(text) in (0.0, 100.0):
        return "<0.01" if value < 50 else ">99.99"
    return text.removesuffix(".0") if edge >= 0.95 else text


def signed(value: float, digits: int = 2) -> str:
    """``0.82`` → ``+0.82``, ``-0.39`` → ``−0.39`` with a true minus."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return (MINUS if value < 0 else "+") + text


def number(value: float | int) -> str:
    """At most four significant digits where there are decimals, thousands grouped: ``48,213``, ``0.0342``."""
    if not math.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", MINUS)
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(digits, 8)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def age(seconds: float, language: str) -> str:
    """``311`` → ``5 min``; the largest whole unit."""
    for size, one, many, zh in _STEPS:
        if seconds >= size or size == 1:
            count = int(seconds // size)
            return f"{count:,}{NBSP}{zh if language == 'zh' else one if count == 1 else many}"
    raise AssertionError("the last step always fits")


def span(seconds: float, language: str) -> str:
    """``1702`` → ``28 min``, ``15500`` → ``4.3 h``: a length of time in the largest unit of which there is one."""
    size = abs(seconds)
    step, one, many, zh = next((step for step in _STEPS if size >= step[0]), _STEPS[-1])
    count = size / step
    text = f"{count:.1f}".removesuffix(".0") if step > 60 else f"{count:.0f}"
    unit = zh if language == "zh" else one if text == "1" else many
    return f"{MINUS if seconds < 0 else ''}{text}{NBSP}{unit}"


def moment(at: Millis, language: str, *, millis: bool = True) -> str:
    """Date and time in UTC, to the millisecond or the minute."""
    return f"{day(at, language)}{'' if language == 'zh' else ','} {clock(at, millis=millis)} UTC"


def near(at: Millis, language: str, now: Millis) -> str:
    """Date and time to the minute; the year is told only where it is another than ``now``'s: ``23 Nov, 01:03 UTC``."""
    date = day(at, language)
    year, this = (datetime.fromtimestamp(stamp // 1000, UTC).year for stamp in (at, now))
    if year == this:
        date = date.removesuffix(f" {year}").removeprefix(f"{year}年")
    return f"{date}{'' if language == 'zh' else ','} {clock(at, millis=False)}{NBSP}UTC"


def day(at: Millis, language: str) -> str:
    """``11 Nov 2026`` or ``2026年11月11日``."""
    stamp = datetime.fromtimestamp(at // 1000, UTC)
    if language == "zh":
        return f"{stamp.year}年{stamp.month}月{stamp.day}日"
    return f"{stamp.day} {_MONTHS[stamp.month - 1]} {stamp.year}"


def clock(at: Millis, *, millis: bool = True) -> str:
    """``00:00:03.140``, or ``00:00`` without the finer part."""
    stamp = datetime.fromtimestamp(at // 1000, UTC)
    return f"{stamp:%H:%M:%S}.{at % 1000:03d}" if millis else f"{stamp:%H:%M}"


def money(amount: Mapping[str, Any] | None) -> str:
    """``{"amount": "1742.5", "currency": "CNY"}`` → ``¥1,742.50``; what was computed to the millionth is rounded for reading."""
    if not amount:
        return "–"
    try:
        value = Decimal(str(amount.get("amount"))).normalize()
    except InvalidOperation:
        return "–"
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return "–"
    currency = str(amount.get("currency", ""))
    digits, size = max(2, -exponent), abs(value)
    if digits > 3:
        digits = 2 if size >= Decimal("0.01") else 4 if size >= Decimal("0.0001") else digits
    text = f"{size:,.{digits}f}"
    sign = MINUS if value < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency}".rstrip()


def money_delta(amount: Mapping[str, Any] | None) -> str:
    """An amount more or less: ``+¥6.40``, ``−¥1.00``."""
    text = money(amount)
    return text if text[0] in f"–{MINUS}" else f"+{text}"


def size(count: int) -> str:
    """Bytes as ``31 kB``, ``2.4 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def value_text(value: Any, unit: str | None = None) -> str:
    """A feature's or a cell's value with its unit; a dash where nothing is known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, int | float):
        if unit in {"share", "ratio", "probability"}:
            return percent(value) if 0 <= value <= 1 else number(value)
        text = number(value)
        return f"{text}{NBSP}{unit}" if unit and unit not in {"count", "flag", "1"} else text
    return str(value)


def gist(label: str) -> str:
    """A label without what it says beside the point in brackets, such as the meaning of its numbers."""
    return _ASIDE.sub("", label)


def capital(text: str) -> str:
    """The text with its first letter raised, as the start of a line."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Join a sentence to another, but leave names and abbreviations (``IP``, ``SKU-1``, ``Project Code``) as they are."""
    name = text.partition(":")[0]
    return text[0].lower() + text[1:] if text[1:2].islower() and name[1:] == name[1:].lower() else text


def told(value: Any, unit: str | None, written: Mapping[str, str] | None, language: str) -> str:
    """A feature's value: as its card writes it, else with its unit. Only what has a unit is a number for certain, and no name of somebody's."""
    if written:
        text = speak(written, language)
        return polished(_JOINED.sub(NBSP, text) if language == "zh" else text) if unit else text
    counted = isinstance(value, int | float) and not isinstance(value, bool)
    if counted and unit in _SECONDS and 0 < abs(value) < 1:
        return span(value * _SECONDS[unit], language)
    return value_text(value, unit)


def polished(text: str) -> str:
    """A sentence of ours with a true minus before its numbers, and units that stay on the line of their number.

    Never for what people wrote: a column ``Lead 7 days`` or a cell ``-5`` is shown as it is.
    """
    return _APART.sub(NBSP, _HYPHEN.sub(MINUS, text))


def in_language(entry: Mapping[str, Any], name: str, language: str) -> str:
    """A member of an entry whose Chinese, where it has one, stands beside it under ``zh``."""
    translated = (entry.get("zh") or {}).get(name) if language == "zh" else None
    return str(translated or entry.get(name) or "")


def speak(texts: Mapping[str, str] | str, language: str) -> str:
    """The text in the reader's language, else in English, else in any."""
    if isinstance(texts, str):
        return chinese(texts) if language == "zh" else str(texts)
    return texts.get(language) or texts.get("en") or next(iter(texts.values()), "")
