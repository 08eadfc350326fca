"""The page of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from serving.console.contexts.common import Frame


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a sentence; ``code`` sets it in a fixed-width face."""

    text: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One parameter or one member of a body: its name, where it stands or how it must be, what it means."""

    name: str
    type: str
    place: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A text to be copied, under its title."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """One status of refusals, what it means and the ends of the problem types."""

    status: str
    text: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperationCard:
    """One operation of the API."""

    anchor: str
    method: str
    tone: str
    path: str
    summary: str
    description: tuple[tuple[Span, ...], ...]
    roles: tuple[str, ...]
    parameters: tuple[FieldRow, ...]
    fields: tuple[FieldRow, ...]
    requests: tuple[Block, ...]
    curl: str
    answer: Block
    refusals: tuple[RefusalRow, ...]


@dataclass(frozen=True, slots=True)
class OperationGroup:
    """The operations of one kind of user."""

    anchor: str
    label: str
    text: str
    operations: tuple[OperationCard, ...]


@dataclass(frozen=True, slots=True)
class ReferencePage:
    """``/docs``: every operation of the API."""

    TEMPLATE: ClassVar[str] = "reference.html"
    frame: Frame
    base_url: str
    groups: tuple[OperationGroup, ...]
