"""What can be wrong with a file or a training, told so that a business user can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from feature_store.wording import Text

NOTHING = Text("", "")


class Severity(StrEnum):
    """Whether training may go on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class DataProblem:
    """One thing that is wrong, where, and what to do.

    Attributes:
        code: stable, for programs and translations.
        loc: the path in the request that it concerns, as in a problem document's ``errors[].loc``.
        msg: what is wrong, in one sentence.
        row: the record's number as a spreadsheet counts: the header is row 1. ``None`` where it concerns no single row.
        column: the column's name as the file writes it.
        fix: what to do about it.
        count: how many cells or rows share the problem; ``row`` is the first.
    """

    code: str
    loc: tuple[str | int, ...]
    msg: Text
    row: int | None = None
    column: str | None = None
    fix: Text = NOTHING
    severity: Severity = Severity.ERROR
    count: int = 1

    def to_json(self) -> dict[str, Any]:
        """The entry of a problem document's ``errors``."""
        entry: dict[str, Any] = {
            "code": self.code,
            "loc": list(self.loc),
            "msg": self.msg,
            "fix": self.fix,
            "severity": self.severity.value,
            "zh": {"msg": self.msg.zh, "fix": self.fix.zh},
        }
        if self.row is not None:
            entry["row"] = self.row
        if self.column is not None:
            entry["column"] = self.column
        if self.count != 1:
            entry["count"] = self.count
        return entry

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> DataProblem:
        """Read back what :meth:`to_json` wrote; what was kept in English alone stays so."""
        zh = entry.get("zh") or entry
        return cls(
            code=entry["code"],
            loc=tuple(entry["loc"]),
            msg=Text(entry["msg"], zh["msg"]),
            row=entry.get("row"),
            column=entry.get("column"),
            fix=Text(entry["fix"], zh["fix"]),
            severity=Severity(entry["severity"]),
            count=entry.get("count", 1),
        )

    def __str__(self) -> str:
        where = ", ".join(
            part for part in (f"row {self.row}" if self.row else "", f"column {self.column!r}" if self.column else "") if part
        )
        return f"{where + ': ' if where else ''}{self.msg}{' ' + self.fix if self.fix else ''}"


class DataRefused(Exception):
    """A file or table that cannot be used; ``problems`` says why, row by row."""

    def __init__(self, problems: Iterable[DataProblem]) -> None:
        self.problems = tuple(problems)
        kinds: dict[tuple[str, str | None], DataProblem] = {}
        for problem in self.problems:
            kinds.setdefault((problem.code, problem.column), problem)
        told = [str(problem) for problem in list(kinds.values())[:5]]
        known = self.problems[0].count if len(kinds) == 1 else len(self.problems)
        rest = max(known, len(self.problems)) - len(told)
        super().__init__("; ".join(told) + (f" ({rest:,} more)" if rest > 0 else ""))
