"""What a file holds and what is wrong with it, before anything is trained on it.

:func:`examine` tells the story: read the columns, see what the template demands, evaluate the expectations row by row, find what cannot be
learnt from (identifiers) and what must not be (columns that know the outcome).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.columns import Column, Kind, read_columns, type_column
from feature_store.datasets import Dataset, records
from feature_store.groups import Group, find_group, find_identifiers, group_ids
from feature_store.leakage import find_leaks
from feature_store.problems import NOTHING, DataProblem, Severity
from feature_store.remarks import MOST, remarks_of
from feature_store.schema import CheckReport, ColumnReport, ColumnRule, Template
from feature_store.suites import Expectation, SuiteResult, as_objects, run_suite
from feature_store.targets import TargetReading, read_target
from feature_store.times import format_time
from feature_store.wording import Text, told

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose about a file.

    Attributes:
        exclude: columns to leave out.
        keep: columns to use although the check would leave them out; the report and the model card say so.
    """

    target: str | None = None
    time: str | None = None
    group: str | None = None
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A report with the columns behind it.

    Attributes:
        features: the columns that a model may use, in the file's order.
    """

    report: CheckReport
    features: tuple[Column, ...]
    target: TargetReading | None
    time: Column | None
    known_at: Column | None
    group: Group | None


def check(dataset: Dataset, template: Template, target: str | None = None, time: str | None = None) -> CheckReport:
    """Check a file against a template; without a target it only says what the file holds."""
    return examine(dataset, template, Choices(target, time)).report


def examine(dataset: Dataset, template: Template, choices: Choices | None = None) -> Checked:
    """Check a file, and keep the columns for a training."""
    chosen = _fixed_by(template, choices or Choices())
    # 1. Read: every column as the template says, or as what it holds.
    columns = _read(dataset, template, chosen)
    # 2. Expect: columns exist, times read, values lie within their bounds; each break by row.
    suite = run_suite(*_suite(dataset, template, chosen, columns))
    problems = list(suite.problems)
    problems += [_remarks(column) for column in columns.values() if column.name != chosen.time and column.unread.any()]
    # 3. The target: is there something to learn?
    target = read_target(columns[chosen.target]) if chosen.target in columns else None
    problems += target.problems if target else ()
    time = columns.get(chosen.time or "")
    known_at = columns.get(template.known_at or "")
    # 4. What cannot be learnt from, and what must not be.
    left_out: dict[str, tuple[str, Text]] = {}
    group = None
    if target is not None and not any(problem.code in {"one_class_target", "empty_target", "time_target"} for problem in problems):
        roles = {chosen.target, chosen.time, template.known_at}
        candidates = [column for column in columns.values() if column.name not in roles]
        group = _group(candidates, target, chosen.group)
        found, warned = _exclusions(candidates, target, time, group, template)
        left_out |= found
        problems += warned
    left_out |= {name: ("excluded_by_user", told("excluded_by_user")) for name in chosen.exclude if name in columns}
    for name in chosen.keep:
        if name in left_out:
            problems.append(_kept(name, left_out.pop(name)[1]))
    if group is not None and chosen.group is None:
        problems.append(_grouped(group))
    # 5. Report.
    reports = tuple(_column_report(column, _role(column.name, chosen, template, group, left_out), left_out) for column in columns.values())
    features = tuple(columns[report.name] for report in reports if report.role == "feature")
    if target is not None and not features:
        problems.append(DataProblem("no_features", ("file",), told("no_features"), fix=told("no_features.fix")))
    report = _report(dataset, reports, problems, suite, target=target, time=time, group=group)
    return Checked(report, features, target, time, known_at, group)


def _fixed_by(template: Template, choices: Choices) -> Choices:
    return replace(
        choices,
        target=choices.target or template.target,
        time=choices.time or template.time,
        group=choices.group or template.group,
    )


def _read(dataset: Dataset, template: Template, chosen: Choices) -> dict[str, Column]:
    wanted = {rule.column: rule.kind for rule in template.rules}
    wanted |= {name: Kind.TIME for name in (chosen.time, template.known_at) if name}
    texts = read_columns(dataset.columns, records(dataset))
    return {
        text.name: type_column(text, wanted.get(text.name))
        for text in texts
        if template.open or text.name in wanted or text.name == chosen.target
    }


def _suite(
    dataset: Dataset, template: Template, chosen: Choices, columns: dict[str, Column]
) -> tuple[dict[str, NDArray[Any]], list[Expectation], dict[str, Sequence[str]]]:
    values: dict[str, NDArray[Any]] = {"": np.zeros(dataset.rows)}
    shown: dict[str, Sequence[str]] = {}
    wanted: list[Expectation] = [
        Expectation(
            "expect_table_row_count_to_be_between",
            None,
            "too_few_rows",
            told("too_few_rows", observed="<observed>", least=template.minimum_rows),
            told("too_few_rows.fix"),
            {"min_value": template.minimum_rows},
        )
    ]
    rules = {rule.column: rule for rule in template.rules}
    roles = {"target": chosen.target, "time": chosen.time, "known_at": template.known_at, "group": chosen.group}
    for part, name in roles.items():
        if name:
            kind = Kind.CATEGORY if part in ("target", "group") else Kind.TIME
            rules.setdefault(name, ColumnRule(name, kind, filled=part == "time"))
    for rule in rules.values():
        loc = next((part for part in ("target", "time", "group") if rule.column == roles[part]), "file")
        wanted += _expectations(rule, loc, dataset.columns, columns.get(rule.column))
        if rule.column in columns:
            column = columns[rule.column]
            if rule.allowed or rule.unique:
                texts = [column.text.levels[code] for code in column.text.codes.tolist()]
                values[rule.column] = as_objects(texts, column.text.missing_levels[column.text.codes])
            else:
                values[rule.column] = column.values
            shown[rule.column] = _Cells(column)
    return values, wanted, shown


class _Cells(Sequence[str]):
    """The texts of a column by row, made when asked for."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column.values)

    def __getitem__(self, row: Any) -> Any:
        return self._column.cell(row)


def _expectations(rule: ColumnRule, part: str, header: Sequence[str], column: Column | None) -> list[Expectation]:
    loc: tuple[str | int, ...] = (part,)
    if column is None:
        if not rule.required:
            return []
        near = _nearest(rule.column, header)
        listed = ", ".join(repr(name) for name in list(header)[:12])
        fix = told("missing_column.near", near=near) if near else told("missing_column.fix", columns=listed)
        return [
            Expectation("expect_column_to_exist", rule.column, "missing_column", told("missing_column", column=rule.column), fix, {}, loc)
        ]
    wanted = [
        Expectation("expect_column_to_exist", rule.column, "missing_column", told("missing_column", column=rule.column), NOTHING, {}, loc)
    ]
    if rule.filled:
        wanted.append(_filled(rule, loc, column))

    def expect(type_: str, code: str, kwargs: dict[str, Any], **values: object) -> None:
        msg = told(code, value="<value>", column=rule.column, **values)
        wanted.append(Expectation(type_, rule.column, code, msg, told(f"{code}.fix"), kwargs, loc))

    low, high = rule.minimum, rule.maximum
    if low is not None or high is not None:
        key = "both" if low is not None and high is not None else "low" if low is not None else "high"
        span = told(f"span.{key}", low=f"{low:g}" if low is not None else "", high=f"{high:g}" if high is not None else "")
        expect("expect_column_values_to_be_between", "out_of_range", {"min_value": low, "max_value": high}, span=span)
    if rule.allowed:
        expect("expect_column_values_to_be_in_set", "not_allowed", {"value_set": list(rule.allowed)}, allowed=", ".join(rule.allowed))
    if rule.unique:
        expect("expect_column_values_to_be_unique", "not_unique", {})
    return wanted


def _filled(rule: ColumnRule, loc: tuple[str | int, ...], column: Column) -> Expectation:
    """Every row needs a value that reads as the rule says."""
    type_ = "expect_column_values_to_not_be_null"
    if not (column.unread.any() or column.text.missing_levels.any()):
        return Expectation(type_, rule.column, "missing_value", NOTHING, NOTHING, {}, loc)
    msg = told("no_such_kind", value="<value>", column=rule.column, kind=told(f"kind.{rule.kind.value}"))
    if rule.kind is not Kind.TIME:
        return Expectation(type_, rule.column, "missing_value", msg, told("no_such_kind.fix"), {}, loc)
    seen = told("no_time.seen", format=column.format) if column.format and column.format != "iso" else ""
    return Expectation(type_, rule.column, "unparsable_time", msg, told("no_time.fix").then(seen), {}, loc)


def _nearest(name: str, header: Sequence[str]) -> str | None:
    import difflib

    lowered = {column.lower(): column for column in header}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.75)
    return lowered[close[0]] if close else None


def _remarks(column: Column) -> DataProblem:
    count = int(column.unread.sum())
    row = int(np.argmax(column.unread))
    codes = column.text.codes[column.unread]
    common = [column.text.levels[code] for code in np.argsort(-np.bincount(codes), kind="stable")[:2]]
    kind = told("kind.time" if column.kind is Kind.TIME else "kind.number")
    msg = told("read_as_missing", count=count, column=column.name, kind=kind, common=", ".join(repr(text) for text in common))
    fix = told("read_as_missing.fix")
    if remarks_of(column).too_many:
        fix = told("read_as_missing.any", most=MOST).then(told("read_as_missing.any.fix"))
    return DataProblem("read_as_missing", ("file",), msg, row + 2, column.name, fix, Severity.WARNING, count)


def _group(candidates: Sequence[Column], target: TargetReading, chosen: str | None) -> Group | None:
    if chosen is None:
        return find_group(candidates, target.target)
    column = next((column for column in candidates if column.name == chosen), None)
    if column is None:
        return None
    ids = group_ids(column)
    return Group(chosen, ids, len(np.unique(ids)), float("nan"))


def _exclusions(
    candidates: Sequence[Column], target: TargetReading, time: Column | None, group: Group | None, template: Template
) -> tuple[dict[str, tuple[str, Text]], list[DataProblem]]:
    """Columns that stay out, with code and reason, and the warnings about them."""
    left_out: dict[str, tuple[str, Text]] = {}
    warnings: list[DataProblem] = []
    if template.trusted:
        return left_out, warnings
    for identifier in find_identifiers(candidates, time):
        left_out[identifier.column] = (identifier.code, identifier.msg)
    if group is not None:
        left_out[group.column] = ("group", told("group", groups=group.groups))
    rest = [column for column in candidates if column.name not in left_out]
    for leak in find_leaks(rest, target.target, time, group.ids if group else None):
        fix = told("leakage.fix") if leak.excluded else NOTHING
        code = "leakage" if leak.excluded else leak.code
        warnings.append(DataProblem(code, ("file",), leak.msg, column=leak.column, fix=fix, severity=Severity.WARNING))
        if leak.excluded:
            left_out[leak.column] = (leak.code, leak.msg)
    return left_out, warnings


def _kept(name: str, reason: Text) -> DataProblem:
    return DataProblem("kept_by_user", ("file",), told("kept_by_user").then(reason), column=name, severity=Severity.WARNING)


def _grouped(group: Group) -> DataProblem:
    msg = told("group_found", column=group.column, agreement=group.agreement)
    return DataProblem("group_found", ("file",), msg, column=group.column, severity=Severity.WARNING)


def _role(name: str, chosen: Choices, template: Template, group: Group | None, left_out: dict[str, tuple[str, Text]]) -> str:
    if name == chosen.target:
        return "target"
    if name == chosen.time:
        return "time"
    if name == template.known_at:
        return "known_at"
    if group is not None and name == group.column:
        return "group"
    return "excluded" if name in left_out else "feature"


def _column_report(column: Column, role: str, left_out: dict[str, tuple[str, Text]]) -> ColumnReport:
    present = column.values[column.present]
    counts = column.text.counts
    counts[column.text.missing_levels] = 0
    common = [column.text.levels[index] for index in np.argsort(-counts, kind="stable")[:_EXAMPLES] if counts[index]]
    low = high = None
    if len(present) and column.kind in (Kind.NUMBER, Kind.INTEGER, Kind.TIME):
        low, high = _show(column, float(present.min())), _show(column, float(present.max()))
    code, reason = left_out.get(column.name, (None, None))
    return ColumnReport(
        column.name,
        column.kind,
        role,
        len(column.values) - len(present),
        len(np.unique(present)),
        int(column.unread.sum()),
        low,
        high,
        tuple(text[:120] for text in common),
        code,
        reason,
    )


def _show(column: Column, value: float) -> str:
    return format_time(int(value)) if column.kind is Kind.TIME else f"{value:.12g}"


def _report(
    dataset: Dataset,
    reports: tuple[ColumnReport, ...],
    problems: list[DataProblem],
    suite: SuiteResult,
    *,
    target: TargetReading | None,
    time: Column | None,
    group: Group | None,
) -> CheckReport:
    period = None
    if time is not None and time.present.any():
        moments = time.values[time.present]
        period = (format_time(int(moments.min())), format_time(int(moments.max())))
    return CheckReport(
        rows=dataset.rows,
        columns=reports,
        problems=tuple(sorted(problems, key=lambda problem: problem.severity is Severity.WARNING)),
        target=target.target.column if target else None,
        time=time.name if time else None,
        group=group.column if group else None,
        task=target.task if target else None,
        classes=target.counts if target else {},
        period=period,
        evaluated=suite.evaluated,
        met=suite.met,
        engine=suite.engine,
        facts={"sha256": dataset.sha256, "encoding": dataset.encoding, "delimiter": dataset.delimiter, "bytes": dataset.bytes},
    )
