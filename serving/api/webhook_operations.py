"""The routes of webhooks as ``/openapi.json`` tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from serving.api.operation import ANY, BODY, Operation
from serving.api.webhooks import ReplayBody, WebhookBody
from serving.errors import ProblemKind

_K = ProblemKind


class WebhookAnswer(BaseModel):
    """Who is told of what, and how far that is."""

    webhook_id: str
    url: str
    events: list[str]
    description: str
    state: str
    disabled_at: str | None
    disabled_because: str | None
    created_by: str
    created_at: str
    delivered: int
    """Messages that it took; one that was sent twice counts twice."""
    delivered_at: str | None
    failed_at: str | None
    failure: str | None
    """What went wrong last."""
    records_behind: int
    """Records of the log that it was not told of yet."""
    waiting: int
    """Messages that wait for another attempt."""
    dead_letters: int
    """Messages that were given up."""
    old_secret_until: str | None
    """Until when the secret before the present one signs as well."""
    links: dict[str, str]


class WebhookMade(WebhookAnswer):
    """A webhook with its secret, which is told this once."""

    secret: str


class NoticeAnswer(BaseModel):
    """Something that can be told."""

    type: str
    text: str


class WebhooksAnswer(BaseModel):
    """Every webhook, and everything that can be told."""

    items: list[WebhookAnswer]
    events: list[NoticeAnswer]


class LetterAnswer(BaseModel):
    """A message that was given up."""

    message_id: str
    event: str
    sequence: int
    attempts: int
    first_at: str
    last_at: str
    status: int | None
    error: str


class LettersAnswer(BaseModel):
    """A page of dead letters."""

    items: list[LetterAnswer]
    next_cursor: str | None


class ReplayAnswer(BaseModel):
    """How much is sent again."""

    webhook_id: str
    messages: int | None
    """Of messages that were asked for."""
    records: int | None
    """Of a time: the records of the log since then."""


WEBHOOK_EXAMPLE: dict[str, Any] = {
    "url": "http://127.0.0.1:9000/hooks/ordinance",
    "events": ["decision.held", "decision.overridden", "decision.expired", "killswitch.changed"],
    "description": "order management, held orders",
}
REPLAY_EXAMPLES: dict[str, Any] = {
    "all": {"all": True},
    "since": {"since": "2026-11-11T00:00:00.000Z"},
    "one": {"message_id": "msg_0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b_decision-held"},
}

WEBHOOKS = (
    Operation("GET", "/v1/webhooks", "List webhooks", "With how far each is, and everything that can be told.", answer=WebhooksAnswer, example="webhooks"),
    Operation(
        "POST", "/v1/webhooks", "Make a webhook", "Told from now on, signed by Standard Webhooks, at least once. The secret is answered this once.",
        body=WebhookBody, requests={"held": WEBHOOK_EXAMPLE}, answer=WebhookMade, example="webhook_made", status=201,
        problems=(*BODY, _K.CONFLICT),
    ),
    Operation(
        "GET", "/v1/webhooks/{webhook_id}", "See a webhook", answer=WebhookAnswer, example="webhook", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "DELETE", "/v1/webhooks/{webhook_id}", "Remove a webhook", "With its secret and all that waits for it.", answer=WebhookAnswer,
        example="webhook_removed", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "POST", "/v1/webhooks/{webhook_id}/enable", "Enable a webhook", "It is told again, from where it stopped.", answer=WebhookAnswer,
        example="webhook", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "POST", "/v1/webhooks/{webhook_id}/secret", "Give a webhook a new secret", "For a day the one before signs as well.", answer=WebhookMade,
        example="webhook_secret", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "GET", "/v1/webhooks/{webhook_id}/dead-letters", "List what a webhook did not take", "Messages that were given up, with the last error.",
        answer=LettersAnswer, example="webhook_letters", problems=(*ANY, _K.NOT_FOUND, _K.INVALID),
    ),
    Operation(
        "POST", "/v1/webhooks/{webhook_id}/replay", "Send again", "One message, every dead letter, or everything since a time: exactly one of "
        "the three. Receivers know repeated messages by their webhook-id.", body=ReplayBody, requests=REPLAY_EXAMPLES, answer=ReplayAnswer,
        example="webhook_replay", status=202, problems=(*BODY, _K.NOT_FOUND),
    ),
)  # fmt: skip
