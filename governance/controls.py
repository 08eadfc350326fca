"""What people set beside models and policies, as one decision sees it: its type's kill switch, and the list entries that name its order.

Both are inputs of the decision and stand in its record, so that a replay repeats them. Where they are kept: :mod:`governance.killswitch` and
:mod:`governance.lists`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from feature_store.times import Millis, format_time, parse_time
from models.specs import DecisionType, Outcome


class Mode(StrEnum):
    """How far a decision type is switched off."""

    NORMAL = "normal"
    RULES_ONLY = "rules_only"
    """No model is asked: constraints, lists and rules decide."""
    HOLD_ALL = "hold_all"
    """Nothing is decided: every request gets the outcome that asks a person."""


@dataclass(frozen=True, slots=True)
class Switch:
    """A kill switch that is not at ``normal``; ``change_id`` is the change that set it."""

    mode: Mode
    change_id: int

    def to_json(self) -> dict[str, Any]:
        """As a record keeps it."""
        return {"mode": self.mode.value, "change_id": self.change_id}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Switch:
        """Undo :meth:`to_json`."""
        return cls(Mode(kept["mode"]), int(kept["change_id"]))


BLOCK, ALLOW = "block", "allow"
LISTS = (BLOCK, ALLOW)

BLOCKED: Mapping[str, str] = {DecisionType.FRAUD.value: Outcome.BLOCK.value, DecisionType.ACCEPTANCE.value: Outcome.REJECT.value}
"""The decision types that look at the lists, and what a block entry makes of a decision there."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list entry that named the order at the decision time. It tells what was looked at, not the value: a record must not hold that here.

    Attributes:
        list: ``block`` or ``allow``.
        kind: ``customer``, ``device``, ... (:data:`governance.lists.KINDS`).
    """

    entry_id: str
    list: str
    kind: str
    expires_at: Millis | None = None

    @property
    def detail(self) -> str:
        """What a policy result says of it."""
        until = "" if self.expires_at is None else f", until {format_time(self.expires_at)}"
        return f"entry {self.entry_id} on the {self.list} list, by {self.kind}{until}"

    def to_json(self) -> dict[str, Any]:
        """As a record keeps it."""
        until = None if self.expires_at is None else format_time(self.expires_at)
        return {"entry_id": self.entry_id, "list": self.list, "kind": self.kind, "expires_at": until}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Listed:
        """Undo :meth:`to_json`."""
        until = kept.get("expires_at")
        return cls(kept["entry_id"], kept["list"], kept["kind"], None if until is None else parse_time(until))


def first_on(name: str, listed: Iterable[Listed]) -> Listed | None:
    """The first entry of one list."""
    return next((one for one in listed if one.list == name), None)
