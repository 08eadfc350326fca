"""What a search asks for, read from its query string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from feature_store.times import TimeUnreadable, parse_time
from governance.ledger.feature_tests import MAX_TESTS, FeatureTest, read_test
from governance.ledger.store import MAX_LIMIT, Filters
from serving.errors import Problem, fault, invalid

DEFAULT_LIMIT = 50

TEXT_FILTERS = ("order_id", "customer_id", "type", "outcome", "status", "reason", "region", "channel", "tag", "q")
WHOLE_FILTERS = ("model_version", "policy_version")
REAL_FILTERS = ("min_confidence", "max_confidence")
TIME_FILTERS = ("since", "until")
FLAG_FILTERS = ("overridden",)
FEATURE = "feature."
_FILTERS = (*TEXT_FILTERS, *WHOLE_FILTERS, *REAL_FILTERS, *TIME_FILTERS, *FLAG_FILTERS)
_KNOWN = (*_FILTERS, f"{FEATURE}<name>")


@dataclass(frozen=True, slots=True)
class Searched:
    """What was asked for; ``count`` whether to tell how many there are."""

    filters: Filters
    cursor: str | None
    limit: int
    count: bool


def read_search(query: Mapping[str, str]) -> Searched | Problem:
    """A search with all that it may ask for, or what is wrong with it."""
    errors: list[dict[str, Any]] = []
    tests: list[FeatureTest] = []
    rest: dict[str, str] = {}
    count = False
    for name, text in query.items():
        try:
            if name.startswith(FEATURE):
                tests.append(read_test(name[len(FEATURE) :], text))
            elif name == "count":
                count = _flag(text)
            else:
                rest[name] = text
        except ValueError as error:
            errors.append(fault(["query", name], str(error)))
    if len(tests) > MAX_TESTS:
        errors.append(fault(["query", FEATURE], f"{len(tests)} features; at most {MAX_TESTS} may be tested at once"))
    read = read_query(rest, (*_KNOWN, "count"))
    if isinstance(read, Problem) or errors:
        return invalid([*errors, *(read.errors if isinstance(read, Problem) else ())])
    filters, cursor, limit = read
    if tests:
        filters = replace(filters, features=tuple(tests))
    return Searched(filters, cursor, limit, count)


def read_query(query: Mapping[str, str], known: Sequence[str] = _FILTERS) -> tuple[Filters, str | None, int] | Problem:
    """Filters but those on feature values, cursor and limit of a search, or what is wrong with them; ``known`` is told of unknown ones."""
    errors: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    limit = DEFAULT_LIMIT
    for name, text in query.items():
        try:
            if name == "limit":
                limit = _limit(text)
            elif name in _FILTERS:
                found[name] = _value(name, text)
            elif name != "cursor":
                errors.append(fault(["query", name], f"unknown; known are {', '.join((*known, 'cursor', 'limit'))}"))
        except ValueError as error:
            errors.append(fault(["query", name], str(error)))
    return invalid(errors) if errors else (Filters(**found), query.get("cursor"), limit)


def _value(name: str, text: str) -> object:
    if name in TEXT_FILTERS:
        if not text or "\x00" in text:
            raise ValueError("a text is required")
        return text
    if name in WHOLE_FILTERS:
        if not (text.isascii() and text.isdecimal()) or len(text) > 9:
            raise ValueError(f"{text!r} is not a whole number")
        return int(text)
    if name in REAL_FILTERS:
        return _share(text)
    if name in FLAG_FILTERS:
        return _flag(text)
    try:
        return parse_time(text)
    except TimeUnreadable as error:
        raise ValueError(str(error)) from error


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not 0 <= value <= 1:
        raise ValueError("a probability is between 0 and 1")
    return value


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= MAX_LIMIT or len(text) > 9:
        raise ValueError(f"a whole number from 1 to {MAX_LIMIT} is required")
    return int(text)
