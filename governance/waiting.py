"""What a held decision waits as: its place in the review queue, made with the decision and written in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from feature_store.order import MICRO
from feature_store.times import Millis
from governance.inputs import Inputs
from governance.values import Decision

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One place in the queue.

    Attributes:
        at_stake_micros: what orders the queue: the expected loss where one was computed, else the order's amount; 0 where neither is known.
    """

    record_id: str
    type: str
    queue: str
    order_id: str | None
    order_version: int | None
    at_stake_micros: int
    currency: str | None
    opened_at: Millis
    due_at: Millis
    expires_to: str

    def row(self) -> tuple[object, ...]:
        """Its row, in the order of the table's columns."""
        return (
            self.record_id, self.type, self.queue, self.order_id, self.order_version, -self.at_stake_micros, self.currency,
            self.opened_at, self.due_at, self.expires_to, OPEN, None, None, None, None,
        )  # fmt: skip


def waiting(inputs: Inputs, decision: Decision, record_id: str) -> Waiting | None:
    """The place of a decision in the queue; ``None`` when it needs no person."""
    review, order = decision.review, inputs.order
    if review is None:
        return None
    return Waiting(
        record_id=record_id,
        type=decision.type,
        queue=review.queue,
        order_id=decision.order_id,
        order_version=decision.order_version,
        at_stake_micros=_at_stake(inputs, decision),
        currency=order.currency if order else None,
        opened_at=decision.decided_at,
        due_at=review.due_at,
        expires_to=review.expires_to[:128],
    )


def _at_stake(inputs: Inputs, decision: Decision) -> int:
    loss = decision.details.get("expected_loss")
    if isinstance(loss, dict):
        try:
            return int(Decimal(str(loss["amount"])) * MICRO)
        except (KeyError, InvalidOperation, ValueError, OverflowError):
            pass  # a loss that is no amount orders nothing
    return inputs.order.total_micros if inputs.order else 0
