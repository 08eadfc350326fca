"""The routes of erasures and legal holds as ``/openapi.json`` tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from serving.api.erasures import ErasureBody, HoldBody, LiftBody
from serving.api.operation import ANY, BODY, Operation
from serving.errors import ProblemKind

_K = ProblemKind


class ErasureAnswer(BaseModel):
    """One erasure."""

    erasure_id: str
    subject: str | None
    """Empty once it is done: nobody can be named any more."""
    state: str
    requested_by: str
    requested_at: str
    settled_by: str | None
    settled_at: str | None
    done_at: str | None
    record_id: str | None
    """Of the record that says what was erased."""


class ErasureDone(ErasureAnswer):
    """What an erasure did."""

    replays: dict[str, int]
    """Verdicts of the replays that were recorded before."""
    records: dict[str, int]
    features: dict[str, int]
    left: list[str]
    """What names the person and was not erased."""
    wiped: bool
    """Whether freed pages were written over already."""


class ErasuresAnswer(BaseModel):
    """Erasures, newest first."""

    items: list[ErasureAnswer]


class HoldAnswer(BaseModel):
    """A legal hold."""

    hold_id: str
    subject: str | None
    placed_by: str
    placed_at: str
    lifted_by: str | None
    lifted_at: str | None


class HoldsAnswer(BaseModel):
    """The legal holds in force, oldest first."""

    items: list[HoldAnswer]


ERASURE_EXAMPLE: dict[str, Any] = {"subject": "customer:C-9"}
HOLD_EXAMPLE: dict[str, Any] = {"subject": "customer:C-12", "reason": "case 2026-114"}
LIFT_EXAMPLE: dict[str, Any] = {"reason": "case 2026-114 is closed"}

PRIVACY = (
    Operation("GET", "/v1/erasures", "List erasures", "Newest first.", answer=ErasuresAnswer, example="erasures"),
    Operation(
        "POST", "/v1/erasures", "Ask to erase a person", "Nothing happens until somebody else confirms it. A legal hold, or an entry of a list in "
        "force that names the person, forbids it.", body=ErasureBody, requests={"customer": ERASURE_EXAMPLE}, answer=ErasureAnswer,
        example="erasure_asked", status=202, problems=(*BODY, _K.CONFLICT),
    ),
    Operation("GET", "/v1/erasures/{erasure_id}", "See an erasure", answer=ErasureAnswer, example="erasure_asked", problems=(*ANY, _K.NOT_FOUND)),
    Operation(
        "POST", "/v1/erasures/{erasure_id}/confirm", "Confirm an erasure", "Carries it out in every store; whoever asked cannot confirm. Earlier "
        "proofs stay valid. One that was interrupted goes on.", answer=ErasureDone, example="erasure_done",
        problems=(*ANY, _K.NOT_FOUND, _K.SAME_PERSON, _K.CONFLICT),
    ),
    Operation(
        "POST", "/v1/erasures/{erasure_id}/withdraw", "Take an erasure back", "As long as nobody has confirmed it.", answer=ErasureAnswer,
        example="erasure_withdrawn", problems=(*ANY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation("GET", "/v1/holds", "List legal holds", "Those in force, oldest first.", answer=HoldsAnswer, example="holds"),
    Operation(
        "POST", "/v1/holds", "Place a legal hold", "The person is not erased until it is lifted.", body=HoldBody, requests={"case": HOLD_EXAMPLE},
        answer=HoldAnswer, example="hold_placed", status=201, problems=BODY,
    ),
    Operation(
        "POST", "/v1/holds/{hold_id}/lift", "Lift a legal hold", body=LiftBody, requests={"closed": LIFT_EXAMPLE}, answer=HoldAnswer,
        example="hold_lifted", problems=(*BODY, _K.NOT_FOUND),
    ),
)  # fmt: skip
