"""What really happened: labels of decisions, told later by the OMS, and joined to what was predicted.

A label is a record of its own that names the decision; a correction is another one. Of the labels of one decision the one that became known
last counts, so that figures about the past can be told as they were known at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, and_, func, select

from feature_store.database import reading
from feature_store.times import Millis
from governance.ledger.tables import decisions
from governance.review_tables import outcome_labels as table
from models.specs import DecisionType

NEGATIVE, POSITIVE = 0, 1

BUILT_IN: Final[Mapping[str, Mapping[str, bool]]] = MappingProxyType(
    {
        DecisionType.ACCEPTANCE.value: MappingProxyType(
            {"fulfilled": False, "fulfilment_failure": True, "late": True, "cancelled": True, "returned": True}
        ),
        DecisionType.FRAUD.value: MappingProxyType({"legitimate": False, "fraud": True}),
        DecisionType.SPLIT_ORDER.value: MappingProxyType({"on_time": False, "late": True}),
    }
)
"""The labels of the built-in types, and whether the event that is predicted came. A failed fulfilment may be told by its cause."""

_SAME: Final[Mapping[str, int]] = MappingProxyType(
    {"0": NEGATIVE, "no": NEGATIVE, "false": NEGATIVE, "1": POSITIVE, "yes": POSITIVE, "true": POSITIVE}
)
"""What else a system may call the two sides of a built-in type."""


class LabelRefused(ValueError):
    """A label that the decision's type does not have; the message names those that it has."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A decision with what really happened.

    Attributes:
        probability: of ``event``, calibrated, as answered; ``low`` and ``high`` at ``level``.
        outcome: as decided by the service; what a person made of it is another matter.
        positive: whether ``event`` came; ``None`` where the label is a number.
        labels_told: how many labels there are of this decision; the others were corrected.
    """

    record_id: str
    type: str
    decided_at: Millis
    order_id: str | None
    outcome: str
    status: str
    event: str | None
    probability: float | None
    low: float | None
    high: float | None
    level: float | None
    label: str
    positive: bool | None
    observed_at: Millis
    known_at: Millis
    labels_told: int
    model_name: str | None
    model_version: int | None
    model_digest: str | None
    policy_id: str | None
    policy_version: int | None
    region: str | None
    channel: str | None
    segment: str | None


def read_label(
    decision_type: str, told: object, classes: Sequence[str] = (), *, event: str | None = None, number: bool = False
) -> tuple[str, bool | None]:
    """A label as it is kept, and whether the predicted event came.

    Args:
        decision_type: of the decision.
        told: what the OMS says.
        classes: of a custom type, the labels that its model knows: of two the second is the event.
        event: what the probability speaks of; of more than two classes it is the one that was predicted.
        number: whether the custom type predicts a number.

    Raises:
        LabelRefused: the type has no such label.
    """
    text = _text(told)
    if decision_type in BUILT_IN:
        known = BUILT_IN[decision_type]
        if text in known:
            return text, known[text]
        side = _SAME.get(text.lower())
        if side is None:
            raise LabelRefused(f"{text!r} is no label of {decision_type}; it has {', '.join(known)}")
        return next((label, positive) for label, positive in known.items() if positive == bool(side))
    if number:
        return _number(text), None
    if not classes:
        raise LabelRefused(f"decisions of {decision_type} by rules alone have no label")
    if text not in classes:
        raise LabelRefused(f"{text!r} is no label of {decision_type}; it has {', '.join(classes)}")
    return text, text == (classes[1] if len(classes) == 2 else event)


def labelled(
    engine: Engine,
    since: Millis,
    type: str | None = None,  # noqa: A002
    *,
    until: Millis | None = None,
    known_until: Millis | None = None,
) -> list[Labelled]:
    """The decisions made since then whose truth is known, oldest first, each with the label that became known last.

    Args:
        engine: of the database.
        since: decided at this time or later.
        type: of this decision type alone.
        until: decided before this time.
        known_until: as things were known before this time.
    """
    known = table.c.known_at < known_until if known_until is not None else None
    latest = (
        select(
            table.c.label_id,
            func.row_number()
            .over(partition_by=table.c.decision_id, order_by=(table.c.known_at.desc(), table.c.label_id.desc()))
            .label("nth"),
            func.count().over(partition_by=table.c.decision_id).label("labels_told"),
        )
        .where(table.c.known_at >= since)  # nothing is known of a decision before it is made
        .where(*([] if type is None else [table.c.type == type]), *([] if known is None else [known]))
        .subquery()
    )
    statement = (
        select(*_COLUMNS, latest.c.labels_told)
        .join_from(latest, table, and_(table.c.label_id == latest.c.label_id, latest.c.nth == 1))
        .join(decisions, decisions.c.record_id == table.c.decision_id)
        .where(decisions.c.decided_at >= since, *([] if until is None else [decisions.c.decided_at < until]))
        .order_by(decisions.c.decided_at, decisions.c.record_id)
    )
    with reading(engine).connect() as connection:
        return [_labelled(row) for row in connection.execute(statement)]


def labels_of(connection: Connection, decision_ids: Iterable[str]) -> dict[str, list[Row[Any]]]:
    """Every label of some decisions, in the order in which they became known."""
    found: dict[str, list[Row[Any]]] = {}
    statement = select(table).where(table.c.decision_id.in_(list(decision_ids))).order_by(table.c.known_at, table.c.label_id)
    for row in connection.execute(statement):
        found.setdefault(row.decision_id, []).append(row)
    return found


_DECIDED: Final = (
    "record_id", "type", "decided_at", "order_id", "outcome", "status", "probability", "model_name", "model_version", "model_digest",
    "policy_id", "policy_version", "region", "channel",
)  # fmt: skip
_TOLD: Final = ("event", "low", "high", "level", "label", "positive", "observed_at", "known_at", "segment")
_COLUMNS: Final = (*(decisions.c[name] for name in _DECIDED), *(table.c[name] for name in _TOLD))


def _labelled(row: Any) -> Labelled:
    return Labelled(**{name: getattr(row, name) for name in (*_DECIDED, *_TOLD, "labels_told")})


def _text(told: object) -> str:
    if isinstance(told, bool):
        return "yes" if told else "no"
    if isinstance(told, int | float):
        return f"{told:g}" if isinstance(told, float) else str(told)
    if isinstance(told, str) and 0 < len(told) <= 128:
        return told
    raise LabelRefused("a label is a text of 1 to 128 characters, a number, true or false")


def _number(text: str) -> str:
    try:
        value = float(text)
    except ValueError as error:
        raise LabelRefused(f"{text!r} is not a number, which this type predicts") from error
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN differs from itself
        raise LabelRefused("a label is a finite number for this type")
    return f"{value:.12g}"
