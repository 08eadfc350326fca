"""Export and reads as ``/openapi.json`` tells them."""

from __future__ import annotations

from pydantic import BaseModel

from serving.api.answer_schemas import Time
from serving.api.operation import ANY, Operation, Parameter
from serving.errors import ProblemKind
from serving.exporting import MEDIA

_K = ProblemKind


class ReadTold(BaseModel):
    """One read, or the same one several times in a row."""

    principal: str
    role: str
    what: str
    """decision, explanation, timeline, search, replay, recourse, affected, sample, reads, export."""
    of: dict[str, str]
    """Ids and filters; customers by their pseudonyms."""
    at: Time
    times: int
    record_id: str
    """The record that holds it."""


class ReadsAnswer(BaseModel):
    """Reads, newest first."""

    items: list[ReadTold]
    next_cursor: str | None


_FORMAT = Parameter("format", "csv by default.", {"type": "string", "enum": [*MEDIA], "default": "csv"}, example="csv")

EXPORTS = (
    Operation(
        "GET", "/v1/decisions/export", "Export decisions", "Every decision that passes the filters of the search, newest first, without a cap, "
        "sent as it is read. In CSV what a spreadsheet would take for a formula begins with an apostrophe. Who exported what is recorded before "
        "the first byte, and how many rows it had at its end.", parameters=(_FORMAT,), example="export", media="text/csv",
        problems=(*ANY, _K.INVALID),
    ),
    Operation(
        "GET", "/v1/reads", "See who read what", "What those who judge have read, searched for, replayed and exported, newest first. Narrowed "
        "by `principal`, `role`, `what`, `of` (an id or the value of a filter), `since` and `until`.",
        parameters=(
            Parameter("principal", "Who read.", {"type": "string"}, example="ana"),
            Parameter("role", "In which role.", {"type": "string"}, example="auditor"),
            Parameter("what", "What was read.", {"type": "string"}, example="explanation"),
            Parameter("of", "An id, or the value of a filter.", {"type": "string"}, example="SO-1001"),
            Parameter("since", "At this time or later.", {"type": "string", "format": "date-time"}),
            Parameter("until", "Before this time.", {"type": "string", "format": "date-time"}),
            Parameter("cursor", "Where the page before ended: its next_cursor.", {"type": "string"}),
            Parameter("limit", "Reads on a page, about: records are told whole.", {"type": "integer", "minimum": 1, "maximum": 500}, example=50),
        ),
        answer=ReadsAnswer, example="reads", problems=(*ANY, _K.INVALID),
    ),
)  # fmt: skip
