"""What reviewers and those who tell outcomes send and are answered, as models for validation and for ``/openapi.json``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from feature_store.order import Moment, Money, Strict
from governance.labelling import MOST
from governance.override_checks import LONGEST_NOTE
from governance.override_reasons import REASONS
from serving.api.answer_schemas import Texts, Time

Id = Annotated[str, Field(min_length=1, max_length=128)]


class OverrideBody(Strict):
    """Another outcome for a decision, and why."""

    outcome: Annotated[str, Field(min_length=1, max_length=128, description="an outcome of the type that settles it")]
    reason_code: Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={"enum": list(REASONS)})]
    note: Annotated[str | None, Field(max_length=LONGEST_NOTE, description="for colleagues and auditors; required with OTHER")] = None
    accepted_lines: Annotated[tuple[Id, ...], Field(max_length=1_000, description="with ACCEPT_PARTIAL: the lines that are accepted")] = ()
    confirms: Annotated[
        Id | None, Field(description="the override of somebody else that this confirms; the same outcome means the same")
    ] = None
    seen: Annotated[
        str | None,
        Field(max_length=80, description="`since.seen` of the decision as it was looked at; 409 when something happened since"),
    ] = None


class OverrideAnswer(BaseModel):
    """What came of an override; ``pending`` waits for a second person and is answered with 202."""

    override_id: str
    decision_id: str
    state: Literal["in_force", "pending", "refused"]
    outcome: str
    was: str
    accepted_lines: list[str] | None = None
    reason_code: str | None
    text: Texts
    at: Time
    settled_at: Time | None
    by: str
    role: str
    note: str
    second: dict[str, Any] | None
    second_person_above: Annotated[
        str | None, Field(description="while it waits: the amount, in the currency of the order, above which somebody else confirms")
    ]
    since: dict[str, Any]


class OutcomeBody(Strict):
    """What really happened: to a decision, or to the newest decision of a type on an order."""

    decision_id: Id | None = None
    order_id: Id | None = None
    type: Annotated[Id | None, Field(description="the decision type; with order_id")] = None
    label: Annotated[str | bool | int | float, Field(description="one of the type's labels")]
    observed_at: Annotated[Moment, Field(description="when it was seen to be so; a correction has a later one")]


class OutcomesBody(Strict):
    """Many of them."""

    outcomes: Annotated[list[OutcomeBody], Field(min_length=1, max_length=MOST)]


class KeptLabel(BaseModel):
    """A label that is kept; ``new`` is false where the same was told before."""

    index: int
    label_id: str
    decision_id: str
    type: str
    label: str
    observed_at: Time
    new: bool


class RefusedLabel(BaseModel):
    """A label that was not taken, by its position from 0."""

    index: int
    msg: str
    loc: list[str | int]


class OutcomesAnswer(BaseModel):
    """What became of the labels: every one that is not refused is recorded, and counts in the figures."""

    accepted: int
    duplicates: int
    refused: list[RefusedLabel]
    labels: list[KeptLabel]


class ReviewCase(BaseModel):
    """A decision that waits for a person, or did."""

    decision_id: str
    queue: str
    type: str
    state: Literal["open", "pending", "overridden", "expired", "superseded", "cancelled"]
    outcome: str
    status: str
    at_stake: Annotated[Money | None, Field(description="the expected loss where there is one, else the order's amount")]
    opened_at: Time
    due_at: Time
    overdue: bool
    expires_to: str
    closed_at: Time | None
    closed_by: Annotated[str | None, Field(description="the record that closed it")]
    claimed_by: str | None
    claimed_until: Time | None
    order_id: str | None
    order_version: int | None
    customer_id: str | None
    region: str | None
    channel: str | None
    tags: list[str]
    reasons: list[str]
    probability: float | None
    links: dict[str, str]


class ReviewCount(BaseModel):
    """How many decisions of a type wait in a queue."""

    queue: str
    type: str
    state: str
    count: int
    overdue: int


class ReviewsAnswer(BaseModel):
    """One page of the queue; ``counts`` are of the whole queue, whatever the page is narrowed to."""

    items: list[ReviewCase]
    next_cursor: str | None
    counts: list[ReviewCount]
    waiting: int
    overdue: int


class OverrideReason(BaseModel):
    """A reason code of overrides with its texts."""

    code: str
    text: Texts
    needs_note: bool


class OverrideReasons(BaseModel):
    """The closed list of reasons."""

    items: list[OverrideReason]
