"""What differs between two JSON values, place by place; numbers that were kept as raw bytes by the name of their feature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import numbers

MOST = 50
"""So many differences of one group are named; a further one says how many there are in all."""

_NUMBERS = frozenset({"values", "scores", "contributions"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as recorded.

    Attributes:
        part: the group of the record, or ``build`` or ``environment``.
        path: the place in it, such as ``details.shipments.0.node_id`` or a feature's name; empty for the whole.
        recorded, replayed: the two values; ``None`` where there is none.
        text: what it means, where the values do not say it.
    """

    part: str
    path: str
    recorded: Any
    replayed: Any
    text: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {"part": self.part, "path": self.path, "recorded": self.recorded, "replayed": self.replayed, "text": self.text}


def compare(part: str, recorded: Any, replayed: Any, groups: Mapping[str, Any] | None = None) -> list[Difference]:
    """Every place in which two values differ, at most :data:`MOST` of them; empty when none does.

    Args:
        part: the group's name.
        recorded: as it was.
        replayed: as it is now.
        groups: the record's groups, which name the numbers of a group of numbers.
    """
    pairs = _numbers(part, recorded, replayed, groups or {}) if part in _NUMBERS else _walk("", recorded, replayed)
    found = [Difference(part, path, was, now) for path, was, now in islice(pairs, MOST)]
    rest = sum(1 for _ in pairs)
    if rest:
        found.append(Difference(part, "", None, None, f"{len(found) + rest} places differ in all"))
    return found


def _walk(path: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(was, dict) and isinstance(now, dict):
        for name in sorted({*was, *now}):
            yield from _walk(f"{path}.{name}" if path else name, was.get(name), now.get(name))
    elif isinstance(was, list) and isinstance(now, list):
        for index in range(max(len(was), len(now))):
            pair = [one[index] if index < len(one) else None for one in (was, now)]
            yield from _walk(f"{path}.{index}" if path else str(index), *pair)
    elif was != now or type(was) is not type(now):
        yield path, was, now


def _numbers(part: str, was: Any, now: Any, groups: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    try:
        before, after = numbers(was), numbers(now)
    except RecordCorrupt:
        yield "", was, now
        return
    names = _names(part, groups)
    if len(before) != len(after):
        yield "", f"{len(before)} numbers", f"{len(after)} numbers"
        return
    for index in (before.view("<i8") != after.view("<i8")).nonzero()[0].tolist():
        a, b = float(before[index]), float(after[index])
        name = names[index] if index < len(names) else str(index)
        # Two floats can be written alike and still differ in a bit, so the exact ones go along.
        yield name, *([a, b] if a == a and b == b and repr(a) != repr(b) else [a.hex(), b.hex()])  # noqa: PLR0124 - NaN


def _names(part: str, groups: Mapping[str, Any]) -> list[str]:
    if part == "scores":
        return ["base", "margin"]
    group = groups.get("explanation" if part == "contributions" else "snapshot") or {}
    names = list(group.get("names", ()))
    return [f"{node_id}|{service}.{name}" for node_id, service in group["lanes"] for name in names] if "lanes" in group else names
