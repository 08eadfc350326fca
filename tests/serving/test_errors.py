from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from feature_store.order import Order
from governance.what_if import WhatIfBody
from serving.errors import TABLE, Problem, ProblemKind, problem_for, unavailable


def test_every_kind_has_a_status_and_a_title() -> None:
    assert set(TABLE) == set(ProblemKind)
    for kind in ProblemKind:
        document = orjson.loads(Problem(kind, "what happened").to_bytes())
        assert set(document) == {"type", "title", "status", "detail", "errors"}
        assert 400 <= document["status"] < 600
        assert document["title"]


def test_validation_names_each_place_in_words() -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"order_id": "A", "nonsense": 1})
    document = problem_for(caught.value).to_json()
    assert document["status"] == 422
    messages = {tuple(error["loc"]): error["msg"] for error in document["errors"]}
    assert messages["nonsense",].startswith("unknown field")
    assert messages["lines",] == "required"
    assert "more)" in document["detail"]


@pytest.mark.parametrize(
    ("change", "loc"),
    [({"policy_parameters": {"hold_at": "x"}}, ["policy_parameters", "hold_at"]), ({"force_node": 5}, ["force_node"])],
)
def test_where_several_kinds_are_taken_the_place_is_the_field_s_own(change: dict[str, Any], loc: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        WhatIfBody.model_validate(change)
    (error,) = problem_for(caught.value).to_json()["errors"]
    assert error["loc"] == loc
    assert " or " in error["msg"]


def test_an_unknown_error_tells_no_internals() -> None:
    document = problem_for(RuntimeError("password=secret")).to_json()
    assert document["status"] == 500
    assert "secret" not in str(document)


@pytest.mark.parametrize(("seconds", "told"), [(0.2, "1"), (1.0, "1"), (7.6, "8")])
def test_retry_after_is_in_whole_seconds(seconds: float, told: str) -> None:
    assert unavailable(ProblemKind.NOT_DURABLE, "x", seconds).headers["retry-after"] == told


def test_limits_are_told_in_words() -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"currency": "cny", "tags": ["x"] * 65})
    messages = {tuple(error["loc"]): error["msg"] for error in problem_for(caught.value).to_json()["errors"]}
    assert (messages["currency",], messages["tags",]) == ("three capital letters, such as CNY", "at most 64 accepted")
