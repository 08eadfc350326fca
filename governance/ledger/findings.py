"""What a check of the log found: one sentence that names the place, and what differs there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from governance.ledger.errors import LedgerError


class Part(StrEnum):
    """Every part of a ledger that can be found wrong."""

    RECORD = "record"  # the entry, or what it commits to
    RECEIPT = "receipt"  # the signed promise
    COLUMN = "column"  # what is derived from a record, laid out to be found
    PLACE = "place"  # a gap, a duplicate, a record outside the log
    TILE = "tile"
    BUNDLE = "bundle"
    CHECKPOINT = "checkpoint"
    STATE = "state"  # the row that says what was published last
    MARK = "mark"  # the signer's high-water mark
    COSIGNED = "cosigned"  # what witnesses signed
    FORK = "fork"  # two trees that do not extend each other
    OVERDUE = "overdue"  # a promise that was not kept
    MODEL = "model"
    POLICY = "policy"
    CHANGE = "change"  # a list entry, switch, alias, review, override or label without its record, or other than it says


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        part: of the ledger.
        name: which one: a record id, a path, a table's row.
        detail: what differs.
        place: index in the log, where it has one.
    """

    part: Part
    name: str
    detail: str
    place: int | None = None

    def __str__(self) -> str:
        at = "" if self.place is None else f" (place {self.place})"
        return f"{self.part.value} {self.name}{at}: {self.detail}"


class Mismatch(LedgerError):
    """The check has found something; :attr:`finding` tells what."""

    def __init__(self, part: Part, name: str, detail: str, place: int | None = None) -> None:
        self.finding = Finding(part, name, detail, place)
        super().__init__(str(self.finding))
