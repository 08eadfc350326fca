"""The routes that compute past decisions again, and those that find them by what had a part in them, as ``/openapi.json`` tells them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from feature_store.order import Money, Strict
from governance.what_if import WhatIfBody
from serving.api.answer_schemas import DecisionAnswer, Digest, Texts, Time
from serving.api.look_schemas import DecisionLine
from serving.api.operation import ANY, BODY, Operation, Parameter
from serving.errors import ProblemKind

_K = ProblemKind
_ID = Parameter("id", "The decision's id, as the answer told it.", {"type": "string", "maxLength": 128}, "path")
_DIRECTION = Parameter("direction", "Which outcomes to look for, seen from the buyer.", {"enum": ["better", "worse"], "default": "better"})
_PAST = (_K.NOT_FOUND, _K.CONFLICT, _K.ERASED)

WHAT_IF_EXAMPLE: dict[str, Any] = {"features": {"promise_h": 120, "express": False}, "policy_parameters": {"person_above": 20000}}
WHAT_IF_PLAN: dict[str, Any] = {"forbid_node": "N1", "constraints": {"max_shipments": 2}, "weights": {"carbon": 5}}


class DecisionReplayBody(Strict):
    """Nothing is asked for; the body may be left out."""


class DifferenceAnswer(BaseModel):
    """One thing that is not as recorded: where, what it was, what it is."""

    part: Annotated[
        str, Field(description="a group of the record, or build or environment: other code or libraries than those that decided")
    ]
    path: str
    recorded: Any
    replayed: Any
    text: str | None


class DecisionReplay(BaseModel):
    """What came of computing a decision again: exact when every byte is the same."""

    decision_id: str
    type: str
    verdict: Literal["exact", "same_outcome", "differs", "not_replayable"]
    reason: Annotated[str | None, Field(description="why it is not replayable, such as erased, model_corrupt, policy_missing")]
    detail: str | None
    differences: list[DifferenceAnswer]
    parts: Annotated[dict[str, DecisionReplay] | None, Field(description="of the decision on a whole order")] = None


class BeforeAfter(BaseModel):
    """An outcome as it was and as it would be."""

    before: str
    after: str


class DeltaAnswer(BaseModel):
    """What is otherwise, after minus before; null where there is nothing to compare."""

    outcome: BeforeAfter
    probability: float | None
    cost: Annotated[Money | None, Field(description="what the shipments cost more; for fraud the expected loss")]
    objective: Annotated[Money | None, Field(description="of a plan, all weighted terms together")]
    lateness_h: Annotated[float | None, Field(description="hours by which the last arrival is later, at p50")]
    co2e_g: float | None
    unfilled_qty: int | None


class WhatIfAnswer(DecisionAnswer):
    """The decision as it would have been: the members of its type, and what is otherwise. Recorded, never executed."""

    model_config = ConfigDict(extra="allow")

    what_if_of: Annotated[str, Field(description="the decision that was changed")]
    changed: dict[str, Any]
    delta: DeltaAnswer


class ChangeAnswer(BaseModel):
    """One feature's change."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    feature: str
    label: Texts
    before: Annotated[float | str | None, Field(alias="from")]
    to: float | str | None


class SuggestionAnswer(BaseModel):
    """Changes that would have given another outcome, checked by deciding again."""

    outcome: str
    improves: Annotated[bool | None, Field(description="whether it is better for the buyer; null where outcomes have no order")]
    probability: float | None
    cost: Annotated[float, Field(description="size of the changes, about 1 for one across a feature's usual range")]
    changes: list[ChangeAnswer]
    what_if: Annotated[dict[str, Any], Field(description="a body for what-if that shows it")]
    text: Texts


class NoRecourseAnswer(BaseModel):
    """Why there is nothing to suggest."""

    code: str
    text: Texts
    decided_by: Annotated[list[str], Field(description="rules and constraints that hold whatever is changed")]


class RecourseAnswer(BaseModel):
    """The smallest changes of what somebody could change that give a better outcome; at most three, of different features."""

    decision_id: str
    outcome: str
    suggestions: list[SuggestionAnswer]
    reason: NoRecourseAnswer | None


class CountedAnswer(BaseModel):
    """How many decisions of a type had an outcome."""

    type: str
    outcome: str
    count: int


class ReadingModel(BaseModel):
    """A model version that reads the feature."""

    name: str
    version: int
    digest: Digest


class AffectedAnswer(BaseModel):
    """Every decision that the model, the policy or the feature had a part in: counted, and a page of them, newest first."""

    model_digest: str | None
    policy_digest: str | None
    feature: str | None
    models: Annotated[list[ReadingModel], Field(description="for a feature: the versions that read it")]
    count: int
    first_decided_at: Time | None
    last_decided_at: Time | None
    by: list[CountedAnswer]
    items: list[DecisionLine]
    next_cursor: str | None


class SampleAnswer(BaseModel):
    """A random sample that anybody can draw again: same seed, same window, same decisions."""

    n: int
    seed: str
    population: int
    since: Time | None
    until: Time
    method: str
    digest: Annotated[Digest, Field(description="over the ids of the drawn decisions, a line each")]
    items: list[DecisionLine]


AGAIN_DECISIONS: tuple[Operation, ...] = (
    Operation(
        "POST", "/v1/decisions/{id}/replay", "Replay a decision", "Computes it again from its record, with the recorded model and policy by "
        "their digests: `exact`, `same_outcome`, `differs` or `not_replayable` with the reason. Whatever differs is named, other code or "
        "libraries included.", parameters=(_ID,), body=DecisionReplayBody, requests={"full": {}}, answer=DecisionReplay, example="replay",
        problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "POST", "/v1/decisions/{id}/what-if", "Ask what if", "The decision with features, nodes, constraints, weights or policy parameters "
        "changed, on what was known then. The answer has the members of its type and `delta`. It is recorded, reserves nothing and is never "
        "executed.", parameters=(_ID,), body=WhatIfBody, requests={"full": WHAT_IF_EXAMPLE, "plan": WHAT_IF_PLAN}, answer=WhatIfAnswer,
        example="what_if", problems=(*BODY, *_PAST, _K.NOT_DURABLE),
    ),
    Operation(
        "GET", "/v1/decisions/{id}/recourse", "Find what would change it", "The smallest changes of features that somebody could change for "
        "the order that give a better outcome, or any other where a type's outcomes have no order; each was checked by deciding again. Without any, "
        "the reason.", parameters=(_ID, _DIRECTION), answer=RecourseAnswer, example="recourse", problems=(*ANY, _K.INVALID, *_PAST),
    ),
)  # fmt: skip
"""Of the plain application."""

_WINDOW = "The filters of the search narrow it down."

AGAIN_CONSOLE: tuple[Operation, ...] = (
    Operation(
        "GET", "/v1/affected", "Find what something had a part in", "By `model_digest`, `policy_digest` or `feature` (the models that read it). "
        + _WINDOW, answer=AffectedAnswer, example="affected", problems=(*ANY, _K.INVALID),
    ),
    Operation(
        "GET", "/v1/sample", "Draw a sample", "`n` decisions by a `seed`, drawn so that anybody can draw them again. " + _WINDOW,
        answer=SampleAnswer, example="sample", problems=(*ANY, _K.INVALID),
    ),
)  # fmt: skip
"""Of the console's process."""
