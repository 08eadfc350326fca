"""The routes of reviewers, and of those who tell outcomes, as ``/openapi.json`` tells them."""

from __future__ import annotations

from serving.api import outcomes
from serving.api import review_schemas as shapes
from serving.api.operation import ANY, BODY, Operation, Parameter
from serving.errors import ProblemKind

_K = ProblemKind
_ID = Parameter("id", "The decision's id, as the answer told it.", {"type": "string", "maxLength": 128}, "path")
_NOTE = Parameter(
    "note", "Why, for colleagues and auditors.", {"type": "string", "maxLength": 2000}, example="The customer could not be reached."
)

OVERRIDE_EXAMPLE = {
    "outcome": "ACCEPT",
    "reason_code": "CUSTOMER_VERIFIED",
    "note": "Called back on the known number; the order is theirs.",
}
PART_EXAMPLE = {"outcome": "ACCEPT_PARTIAL", "accepted_lines": ["1"], "reason_code": "STOCK_CONFIRMED"}
_SETTLING = (*BODY, _K.NOT_FOUND, _K.CONFLICT, _K.SUPERSEDED, _K.ERASED, _K.SAME_PERSON, _K.NOT_DURABLE)

REVIEW_DECISIONS: tuple[Operation, ...] = (
    Operation(
        "POST", "/v1/decisions/{id}/override", "Override a decision",
        "Another outcome takes the place of the decided one, by a record of its own; the decision's record stays. In force at once, or, when "
        "the order is worth more than the policy's `second_person_above`, pending (202) until another reviewer sends the same outcome. The "
        "same override again is the same; another one is 409, for what is in force is final. So is what was superseded or has expired.",
        parameters=(_ID,), body=shapes.OverrideBody, requests={"full": OVERRIDE_EXAMPLE, "part": PART_EXAMPLE},
        answer=shapes.OverrideAnswer, example="override", problems=_SETTLING,
    ),
    Operation(
        "DELETE", "/v1/decisions/{id}/override", "Refuse a proposed override",
        "One that waits for a second person is refused by them, or taken back by who proposed it; the decision waits as before.",
        parameters=(_ID, _NOTE), answer=shapes.OverrideAnswer, example="override_refused",
        problems=(*ANY, _K.NOT_FOUND, _K.CONFLICT, _K.INVALID, _K.NOT_DURABLE),
    ),
)  # fmt: skip
"""Of the plain application."""

REVIEW_CONSOLE: tuple[Operation, ...] = (
    Operation(
        "GET", "/v1/reviews", "Work the review queue", "Decisions that wait for a person: what is at stake first, or with `sort=due` what is "
        "due first; with a closed `state` those that waited, the newest first. A page ends with the cursor of the next.",
        answer=shapes.ReviewsAnswer, example="reviews", problems=(*ANY, _K.INVALID),
    ),
    Operation(
        "GET", "/v1/reviews/reasons", "List the reasons of overrides", "The closed list of reason codes, with texts.",
        answer=shapes.OverrideReasons, example="review_reasons",
    ),
    Operation(
        "POST", "/v1/reviews/{decision_id}/claim", "Take a case", "For a quarter of an hour; again to keep it. It keeps others from working on the "
        "same case, not from settling it.", answer=shapes.ReviewCase, example="review_claimed", problems=(*ANY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation(
        "DELETE", "/v1/reviews/{decision_id}/claim", "Give a case back", answer=shapes.ReviewCase, example="review_claimed",
        problems=(*ANY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation(
        "POST", "/v1/outcomes", "Tell what really happened", "To a decision, or to the newest decision of a type on an order: one alone, or up to "
        "1,000 as `{\"outcomes\": [...]}`. Each is a record of its own that names the decision. The same label with the same `observed_at` counts "
        "once; a correction is another one, and what became known last counts. What is wrong is refused with its position, the rest is kept; 422 "
        "when nothing was.", body=shapes.OutcomesBody, requests={"many": outcomes.EXAMPLE}, answer=shapes.OutcomesAnswer,
        example="outcomes", problems=(*BODY, _K.NOT_FOUND),
    ),
)  # fmt: skip
"""Of the console's application."""
