"""Takes in what really happened: finds the decision, checks the label against its type, and records it, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, insert, select

from feature_store.database import in_transaction, reading
from feature_store.times import SECOND, Millis, format_time
from governance.ledger.errors import Erased, RecordCorrupt
from governance.ledger.record import Kind
from governance.ledger.store import DecisionReader, StoredDecision
from governance.ledger.tables import decisions
from governance.outcomes import BUILT_IN, LabelRefused, labels_of, read_label
from governance.overrides import no_classes
from governance.review_tables import outcome_labels as table
from governance.settling import Act, Desk, lock, record

MOST: Final = 1_000
"""Labels of one request."""

SKEW: Final[Millis] = 60 * SECOND
"""How far ahead of our clock ``observed_at`` may lie: two machines' clocks differ."""

_AT_ONCE = 50
"""Labels of one transaction."""


@dataclass(frozen=True, slots=True)
class Told:
    """One label as told: of a decision, or of the newest decision of a type on an order."""

    label: object
    observed_at: Millis
    decision_id: str | None = None
    order_id: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A label that is kept.

    Attributes:
        index: where it stood in the request.
        new: whether this request brought it; ``False`` where the same was told before.
    """

    index: int
    label_id: str
    decision_id: str
    type: str
    label: str
    observed_at: Millis
    new: bool


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A label that was refused; ``place`` is the field, ``unknown`` whether there is no such decision."""

    index: int
    place: str
    msg: str
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class _Fit:
    """A label that fits its decision."""

    index: int
    decision_id: str
    type: str
    label: str
    positive: bool | None
    observed_at: Millis
    confidence: Mapping[str, Any]
    segment: str | None


@dataclass(frozen=True)
class Labelling:
    """Takes labels in. Its methods block, and write.

    Attributes:
        classes: the labels of custom types by name, for decisions that were made without a model.
    """

    desk: Desk
    classes: Callable[[], Mapping[str, Sequence[str]]] = no_classes

    def take(self, told: Sequence[Told], principal: str, role: str, *, own_only: bool = True) -> tuple[list[Taken], list[NotTaken]]:
        """Take labels in; those that are wrong are refused one by one, the others are durable when this returns.

        Args:
            told: in any order.
            principal: who tells.
            role: of the principal.
            own_only: whether labels of others' decisions are unknown to it.
        """
        reader = DecisionReader(self.desk.engine)
        fits: list[_Fit] = []
        refused: list[NotTaken] = []
        classes = self.classes()
        for index, one in enumerate(told):
            found = self._fit(reader, index, one, principal if own_only else None, classes)
            if isinstance(found, NotTaken):
                refused.append(found)
            else:
                fits.append(found)
        taken: list[Taken] = []
        for start in range(0, len(fits), _AT_ONCE):
            part = fits[start : start + _AT_ONCE]

            def change(connection: Connection, part: Sequence[_Fit] = part) -> list[Taken]:
                return self._write(connection, part, principal, role)

            taken += in_transaction(self.desk.engine, change)
        return taken, refused

    def _fit(
        self, reader: DecisionReader, index: int, told: Told, owner: str | None, classes: Mapping[str, Sequence[str]]
    ) -> _Fit | NotTaken:
        if told.observed_at > self.desk.clock() + SKEW:
            return NotTaken(index, "observed_at", f"{format_time(told.observed_at)} lies in the future; tell what happened when it has")
        record_id = told.decision_id or self._newest(told, owner)
        stored = None if record_id is None else reader.get(record_id)
        if stored is None or (owner is not None and stored.line.principal != owner):
            return _unknown(index, told)
        if told.type is not None and told.type != stored.line.type:
            return NotTaken(index, "type", f"the decision {stored.line.record_id} is one of {stored.line.type!r}")
        try:
            return _fitted(index, told, stored, classes.get(stored.line.type, ()))
        except LabelRefused as error:
            return NotTaken(index, "label", str(error))
        except RecordCorrupt:
            return NotTaken(index, "decision_id", "what the record of this decision held was erased, or cannot be read any more")

    def _newest(self, told: Told, owner: str | None) -> str | None:
        column = decisions.c
        of_order = [column.order_id == told.order_id, column.type == told.type]
        statement = select(column.record_id).where(*of_order, *([] if owner is None else [column.principal == owner]))
        newest = statement.order_by(column.order_version.desc(), column.decided_at.desc(), column.record_id.desc()).limit(1)
        with reading(self.desk.engine).connect() as connection:
            return connection.execute(newest).scalar_one_or_none()

    def _write(self, connection: Connection, fits: Sequence[_Fit], principal: str, role: str) -> list[Taken]:
        locked = {record_id: lock(connection, record_id) for record_id in sorted({fit.decision_id for fit in fits})}
        known = {
            (row.decision_id, row.label, row.observed_at): row.label_id for rows in labels_of(connection, locked).values() for row in rows
        }
        taken = []
        at = self.desk.clock()
        for fit in fits:
            key, holds = (fit.decision_id, fit.label, fit.observed_at), locked[fit.decision_id]
            assert holds is not None, "decisions are never deleted"
            new = key not in known
            if new:
                said = {"label": fit.label, "positive": fit.positive, "observed_at": format_time(fit.observed_at)}
                act = Act(Kind.OUTCOME_LABEL, said, {"step": "labelled"}, {"principal": principal, "role": role})
                known[key] = record(connection, self.desk, holds, act, at)
                connection.execute(insert(table), _row(fit, known[key], principal, at))
            taken.append(Taken(fit.index, known[key], fit.decision_id, fit.type, fit.label, fit.observed_at, new))
        return taken


def _fitted(index: int, told: Told, stored: StoredDecision, labels: Sequence[str]) -> _Fit:
    if stored.erased:
        raise Erased(stored.line.record_id)
    groups, kind = stored.groups, stored.line.type
    confidence = groups.get("confidence") or {}
    classes: Sequence[str] = labels
    number = False
    if kind not in BUILT_IN:
        prediction = orjson.loads(stored.response).get("prediction") or {}
        classes, number = [*(prediction.get("probabilities") or labels)], "value" in prediction and not prediction.get("probabilities")
    label, positive = read_label(kind, told.label, classes, event=confidence.get("event"), number=number)
    return _Fit(index, stored.line.record_id, kind, label, positive, told.observed_at, confidence, _segment(groups))


def _segment(groups: Mapping[str, Any]) -> str | None:
    try:
        segment = orjson.loads(groups["request"])["order"]["customer"].get("segment")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return segment[:128] if isinstance(segment, str) else None


def _row(fit: _Fit, label_id: str, principal: str, at: Millis) -> dict[str, Any]:
    interval = {name: fit.confidence.get(name) for name in ("event", "low", "high", "level")}
    return {
        "label_id": label_id, "decision_id": fit.decision_id, "type": fit.type, "label": fit.label, "positive": fit.positive,
        "observed_at": fit.observed_at, "known_at": at, "principal": principal, "segment": fit.segment, **interval,
    }  # fmt: skip


def _unknown(index: int, told: Told) -> NotTaken:
    if told.decision_id is not None:
        return NotTaken(index, "decision_id", f"there is no decision {told.decision_id!r} that you asked for", unknown=True)
    return NotTaken(index, "order_id", f"there is no decision of {told.type!r} on order {told.order_id!r} that you asked for", unknown=True)
