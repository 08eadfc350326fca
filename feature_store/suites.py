"""Great Expectations suites: what a column must hold, each broken expectation told row by row.

The library is large and slow to import, so it is loaded when the first suite runs and never in a decision process.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.problems import DataProblem, Severity
from feature_store.wording import Text

LISTED = 20
"""At most so many rows are listed for one broken expectation; the count says how many there are."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation on one column (or on the table), and how to tell that it does not hold.

    Attributes:
        type: the snake-case name of Great Expectations, such as ``expect_column_values_to_be_between``.
        column: name in the file; ``None`` for the table as a whole.
        msg: ``<value>`` is replaced by the offending value, ``<observed>`` by what was seen of the table.
    """

    type: str
    column: str | None
    code: str
    msg: Text
    fix: Text
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    loc: tuple[str | int, ...] = ("file",)
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What came of a suite: how many expectations were evaluated, and what was broken."""

    evaluated: int
    met: int
    engine: str
    problems: tuple[DataProblem, ...]


def run_suite(columns: Mapping[str, NDArray[Any]], expectations: Sequence[Expectation], shown: Mapping[str, Sequence[str]]) -> SuiteResult:
    """Evaluate all expectations over the columns.

    Args:
        columns: float64 arrays with NaN, or object arrays of texts with None, for missing values; all of one length.
        expectations: what must hold; columns that are not in ``columns`` are expected in vain.
        shown: for some columns the texts as written, to quote in messages.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own imports; none concerns the data
        import great_expectations as gx
        import pandas as pd

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        # Neutral names inside: a header may hold anything, and Great Expectations gives some characters a meaning.
        aliases = {name: f"c{index}" for index, name in enumerate(columns)}
        frame = pd.DataFrame({aliases[name]: pd.Series(values) for name, values in columns.items()})
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        definition = context.data_sources.add_pandas("files").add_dataframe_asset("file").add_batch_definition_whole_dataframe("all")
        batch = definition.get_batch(batch_parameters={"dataframe": frame})
        built = [_build(gx, position, item, aliases) for position, item in enumerate(expectations)]
        suite = gx.ExpectationSuite(name="checks", expectations=built)
        outcome = batch.validate(suite, result_format={"result_format": "COMPLETE"}).to_json_dict()
        version = str(gx.__version__)
    by_position = {result["expectation_config"]["meta"]["position"]: result for result in outcome["results"]}
    problems: list[DataProblem] = []
    for position, item in enumerate(expectations):
        result = by_position[position]
        if not result["success"]:
            problems += _problems(item, result, shown)
    met = int(outcome["statistics"]["successful_expectations"])
    return SuiteResult(len(expectations), met, f"great_expectations {version}", tuple(problems))


def _build(gx: Any, position: int, item: Expectation, aliases: Mapping[str, str]) -> Any:
    name = "".join(part.capitalize() for part in item.type.split("_"))
    kwargs = dict(item.kwargs)
    if item.column is not None:
        kwargs["column"] = aliases.get(item.column, f"missing: {item.column}")
    return getattr(gx.expectations, name)(**kwargs, meta={"position": position})


def _problems(item: Expectation, result: Mapping[str, Any], shown: Mapping[str, Sequence[str]]) -> list[DataProblem]:
    detail = result["result"]
    rows: list[int] = detail.get("unexpected_index_list") or []
    if not rows:
        msg = item.msg.swapped("<observed>", str(detail.get("observed_value")))
        return [DataProblem(item.code, item.loc, msg, column=item.column, fix=item.fix, severity=item.severity)]
    texts = shown.get(item.column or "", ())
    return [
        DataProblem(
            item.code,
            item.loc,
            item.msg.swapped("<value>", *((repr(texts[row]), f"“{texts[row]}”") if row < len(texts) else ("",))),
            row=row + 2,
            column=item.column,
            fix=item.fix,
            severity=item.severity,
            count=len(rows) if position == 0 else 1,
        )
        for position, row in enumerate(rows[:LISTED])
    ]


def as_objects(texts: Sequence[str], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Texts as an object array with None where missing."""
    values = np.array(texts, dtype=object)
    values[missing] = None
    return values
