"""Checks of a file: errors by row and column, and what is left out with its reason."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from feature_store.checks import Choices, check, examine
from feature_store.columns import Kind
from feature_store.datasets import Receiver
from feature_store.problems import DataProblem
from feature_store.schema import ColumnRule, Template
from training.templates import CUSTOM

SCMS = Path(__file__).parents[2] / ".." / "shared" / "data" / "scms_delivery" / "scms_decoded.csv.gz"
SMALL = dataclasses.replace(CUSTOM, minimum_rows=50)


def dataset(folder, header, rows):
    receiver = Receiver(folder)
    receiver.write("\n".join(",".join(str(cell) for cell in record) for record in [header, *rows]).encode())
    return receiver.finish(name="file.csv", template="custom", uploaded_by="ann")


def orders(rows=400, **columns):
    rng = np.random.default_rng(1)
    table = {
        "order": [f"o{row}" for row in range(rows)],
        "day": [f"2025-{1 + row * 12 // rows:02d}-{1 + row % 28:02d}" for row in range(rows)],
        "amount": rng.gamma(2, 50, rows).round(2).tolist(),
        "region": [("north", "south")[row % 2] for row in range(rows)],
        "late": [int(value) for value in rng.random(rows) < 0.3],
    } | columns
    return list(table), list(zip(*table.values(), strict=True))


def errors(report):
    return [(problem.code, problem.column, problem.row) for problem in report.errors]


def test_a_good_file_is_described(tmp_path):
    report = check(dataset(tmp_path, *orders()), SMALL, "late", "day")
    assert report.ok
    assert (report.task, report.rows, report.period[0]) == ("binary", 400, "2025-01-01T00:00:00.000Z")
    assert {column.name: (column.kind, column.role) for column in report.columns} == {
        "order": (Kind.CATEGORY, "excluded"), "day": (Kind.TIME, "time"), "amount": (Kind.NUMBER, "feature"),
        "region": (Kind.CATEGORY, "feature"), "late": (Kind.INTEGER, "target"),
    }  # fmt: skip
    assert report.evaluated == report.met > 0
    assert report.engine.startswith("great_expectations")


def test_without_a_target_the_file_is_described_only(tmp_path):
    report = check(dataset(tmp_path, *orders()), SMALL)
    assert report.ok
    assert report.task is None
    assert all(column.examples for column in report.columns)


def test_missing_columns_are_named_with_what_is_near(tmp_path):
    report = check(dataset(tmp_path, *orders()), SMALL, "Late?", "days")
    assert errors(report) == [("missing_column", "Late?", None), ("missing_column", "days", None)]
    assert [problem.fix for problem in report.errors] == ["Did you mean 'late'?", "Did you mean 'day'?"]


def test_a_group_that_is_no_column_is_told_instead_of_left_out(tmp_path):
    report = examine(dataset(tmp_path, *orders()), SMALL, Choices("late", "day", group="regoin")).report
    assert errors(report) == [("missing_column", "regoin", None)]
    assert report.errors[0].loc == ("group",)
    assert report.errors[0].fix == "Did you mean 'region'?"
    assert examine(dataset(tmp_path, *orders()), SMALL, Choices("late", "day", group="region")).report.ok


def test_remarks_that_are_too_many_to_remember_are_announced(tmp_path):
    few = [f"see DN-{row}" if row < 9 else row for row in range(400)]
    many = [f"{chr(97 + row // 26)}{chr(97 + row % 26)} pending" if row < 60 else row for row in range(400)]
    report = check(dataset(tmp_path, *orders(few=few, many=many)), SMALL, "late", "day")
    told = {problem.column: problem for problem in report.warnings if problem.code == "read_as_missing"}
    assert "any text in this column for missing" in told["many"].fix
    assert "任何文本都视为缺失" in told["many"].fix.zh
    assert told["few"].fix == "Nothing to do, if that is what they mean."


def test_unreadable_times_are_told_by_row_and_column(tmp_path):
    header, rows = orders()
    for row, text in ((6, "soon"), (17, "2025-02-30"), (30, "")):
        rows[row] = (rows[row][0], text, *rows[row][2:])
    report = check(dataset(tmp_path, header, rows), SMALL, "late", "day")
    assert errors(report) == [("unparsable_time", "day", 8), ("unparsable_time", "day", 19), ("unparsable_time", "day", 32)]
    assert "'soon'" in report.errors[0].msg
    assert report.errors[0].loc == ("time",)
    assert report.errors[0].count == 3


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (["1"] * 400, "one_class_target"),
        ([""] * 400, "empty_target"),
        ([f"c{row}" for row in range(400)], "too_many_classes"),
        (["1"] * 395 + ["0"] * 5, "too_few_of_class"),
        (["2025-01-01"] * 200 + ["2025-01-02"] * 200, "time_target"),
    ],
)
def test_targets_that_cannot_be_learnt_are_errors(tmp_path, values, code):
    report = check(dataset(tmp_path, *orders(late=values)), SMALL, "late", "day")
    assert ([problem.code for problem in report.errors], report.errors[0].column) == ([code], "late")
    assert report.errors[0].fix


def test_a_short_file_is_an_error(tmp_path):
    assert errors(check(dataset(tmp_path, *orders(100)), CUSTOM, "late", "day")) == [("too_few_rows", None, None)]


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["yes", "no", "no", "no"], "binary", ["no", "yes"]),
        (["1", "0", "1", "1"], "binary", ["0", "1"]),
        (["rejected", "kept", "kept", "kept"], "binary", ["kept", "rejected"]),
        (["True", "false", "True", "true"], "binary", ["false", "true"]),
        (["a", "b", "c", "c"], "multiclass", ["a", "b", "c"]),
        (["1.5", "2.25", "0.5", "3"], "regression", []),
    ],
)
def test_the_task_follows_from_the_target(tmp_path, values, task, classes):
    report = check(dataset(tmp_path, *orders(late=values * 100)), SMALL, "late", "day")
    assert (report.task, list(report.classes), report.errors) == (task, classes, ())


def test_rules_of_a_template_are_told_by_row(tmp_path):
    rules = (
        ColumnRule("amount", Kind.NUMBER, minimum=0, maximum=10_000),
        ColumnRule("region", Kind.CATEGORY, allowed=("north", "south")),
        ColumnRule("order", Kind.CATEGORY, unique=True),
        ColumnRule("note", Kind.CATEGORY, required=False),
    )
    template = Template("t", "t", {}, {}, target="late", time="day", rules=rules, open=False, minimum_rows=50)
    header, rows = orders(extra=["x"] * 400)
    rows[3] = (*rows[3][:2], -5, *rows[3][3:])
    rows[4] = (*rows[4][:3], "moon", *rows[4][4:])
    rows[9] = ("o1", *rows[9][1:])
    report = check(dataset(tmp_path, header, rows), template)
    assert sorted(errors(report)) == [
        ("not_allowed", "region", 6), ("not_unique", "order", 3), ("not_unique", "order", 11), ("out_of_range", "amount", 5),
    ]  # fmt: skip
    assert "extra" not in {column.name for column in report.columns}


def test_what_the_user_leaves_out_or_keeps_is_said(tmp_path):
    checked = examine(dataset(tmp_path, *orders()), SMALL, Choices("late", "day", exclude=("region",), keep=("order",)))
    assert [column.name for column in checked.features] == ["order", "amount"]
    assert {column.name: column.code for column in checked.report.excluded} == {"region": "excluded_by_user"}
    assert [problem.column for problem in checked.report.warnings if problem.code == "kept_by_user"] == ["order"]


def test_problems_survive_json(tmp_path):
    report = check(dataset(tmp_path, *orders()), SMALL, "late", "dya")
    assert [DataProblem.from_json(entry) for entry in report.to_json()["problems"]] == list(report.problems)


@pytest.mark.shared
def test_the_leaks_of_a_real_file_are_found_by_general_means(tmp_path):
    if not SCMS.exists():
        pytest.skip("the evaluation data is not beside the checkout")
    receiver = Receiver(tmp_path)
    receiver.write(SCMS.read_bytes())
    report = check(receiver.finish(name="scms", template="custom", uploaded_by="ann"), CUSTOM, "late", "Scheduled Delivery Date")
    assert report.ok
    assert {column.name for column in report.excluded if column.code == "dated_by_outcome"} == {
        "Delivered to Client Date", "Delivery Recorded Date",
    }  # fmt: skip
    assert report.group == "ASN/DN #"
    assert {column.name for column in report.excluded} == {
        "ID", "PQ #", "PO / SO #", "Delivered to Client Date", "Delivery Recorded Date",
    }  # fmt: skip
    assert report.classes == {"0": 9138, "1": 1186}


def test_everything_a_report_says_is_there_in_chinese(tmp_path):
    header, rows = orders(
        code=[f"{row:04d}" if row % 7 else "x" for row in range(400)], same=["a"] * 400, paid=["2025-01-01"] * 399 + ["soon"]
    )
    file = dataset(tmp_path, header, [*rows[:-1], (*rows[-1][:1], "soon", *rows[-1][2:])])
    rules = (
        ColumnRule("region", Kind.CATEGORY, allowed=("north",)), ColumnRule("amount", Kind.NUMBER, minimum=0, maximum=90),
        ColumnRule("late", Kind.INTEGER, unique=True), ColumnRule("days", Kind.TIME),
    )  # fmt: skip
    template = dataclasses.replace(SMALL, rules=rules, minimum_rows=1_000)
    report = examine(file, template, Choices("late", "day", keep=("order",), exclude=("paid",))).report
    found = {problem.code for problem in report.problems}
    assert found >= {"missing_column", "not_allowed", "out_of_range", "not_unique", "unparsable_time", "too_few_rows", "kept_by_user"}
    for told in (*(problem.to_json() for problem in report.problems), *(column.left_out() for column in report.excluded)):
        assert any("\u4e00" <= letter <= "\u9fff" for text in told["zh"].values() for letter in text), told
        assert not any(mark in text for text in told["zh"].values() for mark in ("<value>", "<observed>", "{")), told
