"""What happened to decisions since they were answered: overrides, expiry, supersession, cancellation, labels. Read-only.

The record of a decision never changes; what holds now is told here, from the records that came later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from feature_store.database import reading
from feature_store.times import Millis
from governance.ledger.canonical import canonical
from governance.ledger.errors import Erased, RecordCorrupt
from governance.ledger.opened import read_groups
from governance.ledger.rows import unpack
from governance.ledger.tables import decisions, records
from governance.ledger.vault import opened, vault_of
from governance.outcomes import labels_of
from governance.review_tables import overrides, reviews

BY_PERSON, BY_CLOCK = "override", "expiry"
"""The kinds of override."""


class State(StrEnum):
    """What became of a decision."""

    DECIDED = "decided"
    """It stands as it was answered."""
    HELD = "held"
    """It waits for a person."""
    PENDING = "pending"
    """One person has decided; a second one has to confirm."""
    OVERRIDDEN = "overridden"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """A higher version of the order was decided."""
    CANCELLED = "cancelled"
    """The order was cancelled while the decision waited."""


@dataclass(frozen=True, slots=True)
class Overridden:
    """One override, whatever became of it.

    Attributes:
        kind: :data:`BY_PERSON` or :data:`BY_CLOCK`.
        state: ``pending``, ``in_force``, ``refused`` or ``lapsed``.
        settled_at: when it came to that, but for ``pending``.
        second: who confirmed or refused it, and ``second_id`` the record that says so.
    """

    override_id: str
    kind: str
    was: str
    outcome: str
    accepted_lines: str
    reason_code: str | None
    principal: str
    role: str
    made_at: Millis
    state: str
    settled_at: Millis | None
    second: str | None
    second_id: str | None

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines that are accepted, where some are."""
        return unpack(self.accepted_lines)


@dataclass(frozen=True, slots=True)
class Place:
    """A decision's place in the review queue."""

    queue: str
    due_at: Millis
    expires_to: str
    state: str
    closed_at: Millis | None
    closed_by: str | None
    claimed_by: str | None
    claimed_until: Millis | None


@dataclass(frozen=True, slots=True)
class Label:
    """What really happened, as it was told once."""

    label_id: str
    label: str
    positive: bool | None
    observed_at: Millis
    known_at: Millis
    principal: str


@dataclass(frozen=True, slots=True)
class Later:
    """The decision on a later version of the order."""

    order_version: int
    record_id: str
    decided_at: Millis


@dataclass(frozen=True, slots=True)
class Aftermath:
    """All that happened to one decision.

    Attributes:
        overrides: in the order in which they were made.
        labels: in the order in which they became known; the last one counts.
    """

    decision_id: str
    decided: str
    place: Place | None = None
    overrides: tuple[Overridden, ...] = ()
    labels: tuple[Label, ...] = ()
    later: Later | None = None

    @property
    def in_force(self) -> Overridden | None:
        """The override that took the decision's place."""
        return next((one for one in self.overrides if one.state == "in_force"), None)

    @property
    def pending(self) -> Overridden | None:
        """The override that waits for a second person."""
        return next((one for one in self.overrides if one.state == "pending"), None)

    @property
    def state(self) -> State:
        """What became of the decision; a later version of the order outdoes everything else."""
        if self.later is not None:
            return State.SUPERSEDED
        if self.in_force is not None:
            return State.EXPIRED if self.in_force.kind == BY_CLOCK else State.OVERRIDDEN
        if self.place is not None and self.place.closed_at is not None:
            return State(self.place.state)
        if self.pending is not None:
            return State.PENDING
        return State.DECIDED if self.place is None else State.HELD

    @property
    def outcome(self) -> str:
        """The outcome that holds now."""
        return self.decided if self.in_force is None else self.in_force.outcome

    @property
    def resolved(self) -> bool:
        """Whether nobody is waited for: a decision that was never held is, also while an override of it waits for a second person."""
        return self.place is None or self.state not in {State.HELD, State.PENDING}


def seen_digest(leaf_hash: bytes, aftermath: Aftermath) -> str:
    """What somebody saw who looked at a decision: its record, and what had happened since."""
    since = {
        "record": leaf_hash.hex(),
        "overrides": [[one.override_id, one.state] for one in aftermath.overrides],
        "labels": [one.label_id for one in aftermath.labels],
        "superseded_by": None if aftermath.later is None else aftermath.later.record_id,
    }
    return "sha256:" + sha256(canonical(since)).hexdigest()


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as far as its aftermath depends on it."""

    record_id: str
    type: str
    outcome: str
    order_id: str | None = None
    order_version: int | None = None


@dataclass(frozen=True)
class AftermathReader:
    """Finds what happened since; its methods block."""

    engine: Engine
    _reading: Engine = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_reading", reading(self.engine))

    def of(self, decided: Sequence[Decided]) -> dict[str, Aftermath]:
        """What happened to each of these decisions, by their ids."""
        if not decided:
            return {}
        with self._reading.connect() as connection:
            return aftermath_of(connection, decided)

    def notes(self, record_ids: Sequence[str]) -> dict[str, str]:
        """What people wrote, by the id of the record that holds it; nothing where it cannot be read any more."""
        if not record_ids:
            return {}
        found: dict[str, str] = {}
        vault = vault_of(self.engine)
        with self._reading.connect() as connection:
            rows = connection.execute(select(records.c.record_id, records.c.body).where(records.c.record_id.in_(list(record_ids)))).all()
        for row in rows:
            with contextlib.suppress(Erased, RecordCorrupt, KeyError, TypeError):
                body = opened(vault, row.record_id, bytes(row.body), b"").body
                found[row.record_id] = str(read_groups(body)["outcome"]["note"])
        return found


def aftermath_of(connection: Connection, decided: Sequence[Decided]) -> dict[str, Aftermath]:
    """What happened to each of these decisions, as the transaction sees it."""
    ids = [one.record_id for one in decided]
    places = {row.record_id: _place(row) for row in connection.execute(select(reviews).where(reviews.c.record_id.in_(ids)))}
    made: dict[str, list[Overridden]] = {}
    told = select(overrides).where(overrides.c.decision_id.in_(ids)).order_by(overrides.c.made_at, overrides.c.override_id)
    for row in connection.execute(told):
        made.setdefault(row.decision_id, []).append(_overridden(row))
    labels = labels_of(connection, ids)
    return {
        one.record_id: Aftermath(
            one.record_id,
            one.outcome,
            places.get(one.record_id),
            tuple(made.get(one.record_id, ())),
            tuple(map(_label, labels.get(one.record_id, ()))),
            later_version(connection, one),
        )
        for one in decided
    }


def later_version(connection: Connection, one: Decided) -> Later | None:
    """The decision on the highest later version of the order, of the same type where there is one."""
    if one.order_id is None or one.order_version is None:
        return None
    of_order = (decisions.c.order_id == one.order_id, decisions.c.order_version > one.order_version)
    highest = connection.execute(select(func.max(decisions.c.order_version)).where(*of_order)).scalar_one()
    if highest is None:
        return None
    found = connection.execute(
        select(decisions.c.record_id, decisions.c.type, decisions.c.decided_at)
        .where(decisions.c.order_id == one.order_id, decisions.c.order_version == highest)
        .order_by(decisions.c.decided_at, decisions.c.record_id)
    ).all()
    row = next((row for row in found if row.type == one.type), found[0])
    return Later(highest, row.record_id, row.decided_at)


def _overridden(row: Any) -> Overridden:
    return Overridden(**_picked(row, Overridden))


def _place(row: Any) -> Place:
    return Place(**_picked(row, Place))


def _label(row: Any) -> Label:
    return Label(**_picked(row, Label))


def _picked(row: Any, kind: type[Any]) -> Mapping[str, Any]:
    return {name: getattr(row, name) for name in kind.__dataclass_fields__}
