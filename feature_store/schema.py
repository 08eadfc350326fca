"""What a template demands of a file, and what a check says about it: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from feature_store.columns import Kind
from feature_store.problems import DataProblem, Severity
from feature_store.wording import Text


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """What one column of a template holds.

    Attributes:
        minimum: smallest value allowed; for numbers only.
        maximum: largest value allowed.
        allowed: the only texts allowed; empty for any.
        unique: whether a value may occur once only.
        filled: whether every row needs a value.
    """

    column: str
    kind: Kind
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    unique: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """What a business user can train.

    Attributes:
        type: the decision type that a model of it answers; ``None``: the model's name becomes a new type.
        title: by language.
        target: the target column where the template fixes it.
        time: the time column where the template fixes it.
        rules: the columns it knows; others are taken as they come where ``open`` is set, and left out where not.
        trusted: the features were computed point in time by the product itself, so that no column can know the outcome.
    """

    name: str
    type: str | None
    title: Mapping[str, str]
    description: Mapping[str, str]
    event: str | None = None
    target: str | None = None
    time: str | None = None
    group: str | None = None
    known_at: str | None = None
    rules: tuple[ColumnRule, ...] = ()
    open: bool = True
    trusted: bool = False
    minimum_rows: int = 200


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """What one column holds and what becomes of it.

    Attributes:
        role: ``feature``, ``target``, ``time``, ``group``, ``excluded`` or ``known_at``.
        reason: why it is left out, where it is.
        examples: the most frequent texts.
    """

    name: str
    kind: Kind
    role: str
    missing: int
    distinct: int
    unread: int
    minimum: str | None
    maximum: str | None
    examples: tuple[str, ...]
    code: str | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "role": self.role,
            "missing": self.missing,
            "distinct": self.distinct,
            "unread": self.unread,
            "min": self.minimum,
            "max": self.maximum,
            "examples": list(self.examples),
            "code": self.code,
            "reason": self.reason,
            **({"zh": {"reason": self.reason.zh}} if isinstance(self.reason, Text) else {}),
        }

    def left_out(self) -> dict[str, Any]:
        """Why it stays out of a model, for the model's card."""
        told: dict[str, Any] = {"column": self.name, "code": self.code, "reason": self.reason}
        return told | ({"zh": {"reason": self.reason.zh}} if isinstance(self.reason, Text) else {})


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a file holds, what is wrong with it, and which columns stay out of the model and why.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``; ``None`` while no usable target is chosen.
        classes: rows by class, the predicted event last for a binary target.
        period: first and last time in the time column, RFC 3339.
        evaluated: how many expectations were evaluated, by ``engine``.
    """

    rows: int
    columns: tuple[ColumnReport, ...]
    problems: tuple[DataProblem, ...]
    target: str | None
    time: str | None
    group: str | None
    task: str | None
    classes: Mapping[str, int]
    period: tuple[str, str] | None
    evaluated: int
    met: int
    engine: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether training may go on."""
        return not self.errors

    @property
    def errors(self) -> tuple[DataProblem, ...]:
        """What must be mended first."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[DataProblem, ...]:
        """What a person should look at."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)

    @property
    def excluded(self) -> tuple[ColumnReport, ...]:
        """The columns that stay out of the model."""
        return tuple(column for column in self.columns if column.role == "excluded")

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "columns": [column.to_json() for column in self.columns],
            "problems": [problem.to_json() for problem in self.problems],
            "target": self.target,
            "time": self.time,
            "group": self.group,
            "task": self.task,
            "classes": dict(self.classes),
            "period": list(self.period) if self.period else None,
            "expectations": {"evaluated": self.evaluated, "met": self.met, "engine": self.engine},
            "file": dict(self.facts),
        }
