"""What the page about the log shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from serving.console.contexts.common import Badge, Frame, Pair


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One thing that a reader can do, with the command that does it."""

    text: str
    command: str


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """One part of the log: how it is in one word and one sentence, and the facts behind it."""

    anchor: str
    name: str
    badge: Badge
    text: str
    facts: tuple[Pair, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """``/console/ledger``: what the log holds, and how to check that."""

    TEMPLATE: ClassVar[str] = "ledger.html"
    frame: Frame
    badge: Badge
    text: str
    at: str
    at_machine: str
    identity: tuple[Pair, ...]
    parts: tuple[LedgerPart, ...]
    commands: tuple[CommandRow, ...]
    limits: tuple[str, ...]
