"""A person's change of an outcome: made, confirmed by a second person, withdrawn, counted.

An override is a record of its own that names the decision; the decision's record stays as it was. Of one decision at most one override comes
into force, and what it says is final: the OMS may have acted on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, and_, case, func, insert, select, update

from feature_store.database import in_transaction, reading
from feature_store.order import MICRO
from feature_store.times import Millis
from governance.aftermath import BY_CLOCK, BY_PERSON, Aftermath, Overridden, State, aftermath_of, seen_digest
from governance.ledger.record import Kind
from governance.ledger.rows import pack
from governance.ledger.store import DecisionReader
from governance.ledger.tables import decisions
from governance.override_checks import (
    DecisionErased,
    DecisionUnknown,
    OrderSuperseded,
    OverrideInvalid,
    OverrideRefused,
    SamePerson,
    Wanted,
    amount_micros,
    check,
    groups_of,
    refusal,
    same,
)
from governance.review_tables import overrides as table
from governance.review_tables import reviews
from governance.reviews import expire_one
from governance.settling import Act, Desk, Locked, lock, put_in_force, record

__all__ = [
    "Adoption", "DecisionErased", "DecisionUnknown", "OrderSuperseded", "OverrideInvalid", "OverrideRefused", "Overrides", "SamePerson", "Settled", "Wanted",
    "adoption",
]  # fmt: skip

SECOND_PERSON: Final = "second_person_above"
"""The policy parameter, in the order's currency, above which a second person has to confirm; a setting holds where a policy has none."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it.

    Attributes:
        new: whether this request changed anything; a repeated one does not.
        second_above: while it waits for a second person, the order value above which one is asked for, in millionths.
    """

    override: Overridden
    aftermath: Aftermath
    new: bool
    second_above: int | None = None


def no_classes() -> Mapping[str, Sequence[str]]:
    """Where no custom type is in service."""
    return {}


@dataclass(frozen=True)
class Overrides:
    """Overrides decisions. Its methods block, and write.

    Attributes:
        second_above_micros: order value above which a second person confirms, where the policy says nothing; ``None`` for never.
        classes: the labels of custom types by name, as far as models of them are in service.
    """

    desk: Desk
    second_above_micros: int | None = None
    classes: Callable[[], Mapping[str, Sequence[str]]] = no_classes

    def override(self, wanted: Wanted) -> Settled:
        """Let another outcome take the place of the decided one, or propose it to a second person, or confirm what was proposed.

        The same override again is the same one.

        Raises:
            DecisionUnknown: there is no such decision.
            DecisionErased: what it held of its customer was erased.
            OverrideInvalid: the type has no such outcome, or there is no such reason.
            OrderSuperseded: a later version of the order was decided.
            OverrideRefused: it was settled otherwise, its time is over, or something happened since it was looked at.
            SamePerson: a second person has to confirm.
        """
        stored = DecisionReader(self.desk.engine).get(wanted.decision_id)
        if stored is None:
            raise _unknown(wanted.decision_id)
        groups = groups_of(stored)
        check(wanted, stored, groups, self.classes())
        threshold, worth = self._threshold(groups), amount_micros(groups)
        second = threshold if threshold is not None and worth is not None and worth > threshold else None
        done = in_transaction(self.desk.engine, lambda connection: self._settle(connection, wanted, second))
        if isinstance(done, Exception):  # returned, not raised, so that an expiry that it found due is kept
            raise done
        return done

    def withdraw(self, decision_id: str, principal: str, role: str, note: str = "") -> Settled:
        """Refuse an override that waits for a second person, or take one's own back; the decision waits as before.

        Raises:
            DecisionUnknown: there is no such decision.
            OverrideRefused: no override of it waits.
        """

        def change(connection: Connection) -> Settled:
            at = self.desk.clock()
            locked, before = _look(connection, decision_id)
            if before.pending is None or before.later is not None:
                raise OverrideRefused("No override of this decision waits for a second person.")
            return self._refuse(connection, locked, before.pending, principal, role, note, at)

        return in_transaction(self.desk.engine, change)

    def _threshold(self, groups: Mapping[str, Any]) -> int | None:
        told = ((groups.get("policy") or {}).get("parameters") or {}).get(SECOND_PERSON)
        if isinstance(told, int | float) and not isinstance(told, bool):
            return round(told * MICRO)
        return self.second_above_micros

    def _settle(self, connection: Connection, wanted: Wanted, second: int | None) -> Settled | OverrideRefused | SamePerson:
        at = self.desk.clock()
        locked, before = _look(connection, wanted.decision_id)
        if (repeated := _repeated(before, wanted)) is not None:
            return Settled(repeated, before, new=False, second_above=second if repeated.state == "pending" else None)
        if (refused := refusal(before, wanted)) is not None:
            return refused
        if before.place is not None and before.place.due_at <= at:
            expire_one(connection, self.desk, locked, at)
            return refusal(_again(connection, locked), wanted) or OverrideRefused("Its time is over.")
        seen = seen_digest(locked.leaf_hash, before)
        if wanted.seen is not None and wanted.seen != seen:
            return OverrideRefused("Something happened to the decision since you looked at it: look again, then decide.")
        if before.pending is not None:
            override_id = before.pending.override_id
            self._confirm(connection, wanted, locked, {"step": "confirmed", "override_id": override_id, "seen": seen}, at)
        else:
            step = "overridden" if second is None else "proposed"
            override_id = self._make(connection, wanted, locked, {"step": step, "override_id": None, "seen": seen}, at)
        after = _again(connection, locked)
        made = next(one for one in after.overrides if one.override_id == override_id)
        return Settled(made, after, new=True, second_above=second if made.state == "pending" else None)

    def _make(self, connection: Connection, wanted: Wanted, locked: Locked, change: Mapping[str, Any], at: Millis) -> str:
        override_id = self._record(connection, wanted, locked, change, at)
        one = locked.decided
        row = {
            "override_id": override_id, "decision_id": one.record_id, "kind": BY_PERSON, "type": one.type, "was": one.outcome,
            "outcome": wanted.outcome, "accepted_lines": pack(wanted.accepted_lines), "reason_code": wanted.reason_code,
            "principal": wanted.principal, "role": wanted.role, "made_at": at,
        }  # fmt: skip
        if change["step"] == "overridden":
            put_in_force(connection, one, row, at)
            return override_id
        connection.execute(insert(table), {**row, "state": "pending"})
        _move(connection, one.record_id, State.PENDING.value)
        return override_id

    def _confirm(self, connection: Connection, wanted: Wanted, locked: Locked, change: Mapping[str, Any], at: Millis) -> None:
        confirmed = self._record(connection, wanted, locked, change, at)
        values = {"outcome": wanted.outcome, "second": wanted.principal, "second_id": confirmed}
        put_in_force(connection, locked.decided, values, at)

    def _refuse(  # noqa: PLR0917 - what one step depends on
        self, connection: Connection, locked: Locked, waiting: Overridden, principal: str, role: str, note: str, at: Millis
    ) -> Settled:
        step = "withdrawn" if principal == waiting.principal else "refused"
        said = {"outcome": locked.decided.outcome, "note": note}
        change = {"step": step, "override_id": waiting.override_id, "seen": None, "reason_code": None}
        act = Act(Kind.OVERRIDE, said, change, {"principal": principal, "role": role})
        refused = record(connection, self.desk, locked, act, at)
        this = table.c.override_id == waiting.override_id
        connection.execute(update(table).where(this).values(state="refused", settled_at=at, second=principal, second_id=refused))
        _move(connection, locked.decided.record_id, "open")
        after = _again(connection, locked)
        return Settled(next(one for one in after.overrides if one.override_id == waiting.override_id), after, new=True)

    def _record(self, connection: Connection, wanted: Wanted, locked: Locked, change: Mapping[str, Any], at: Millis) -> str:
        said: dict[str, Any] = {"outcome": wanted.outcome, "note": wanted.note}
        if wanted.accepted_lines:
            said["accepted_lines"] = list(wanted.accepted_lines)
        people = {"principal": wanted.principal, "role": wanted.role}
        return record(connection, self.desk, locked, Act(Kind.OVERRIDE, said, {**change, "reason_code": wanted.reason_code}, people), at)


def _repeated(before: Aftermath, wanted: Wanted) -> Overridden | None:
    """The override that says what is wanted already: in force, or proposed by the same person, who does not ask to confirm it."""
    if before.later is not None:
        return None
    if before.in_force is not None:
        return before.in_force if same(before.in_force, wanted) else None
    pending = before.pending
    own = pending is not None and pending.principal == wanted.principal and wanted.confirms is None
    return pending if own and pending is not None and same(pending, wanted) else None


def _look(connection: Connection, decision_id: str) -> tuple[Locked, Aftermath]:
    locked = lock(connection, decision_id)
    if locked is None:
        raise _unknown(decision_id)
    return locked, _again(connection, locked)


def _again(connection: Connection, locked: Locked) -> Aftermath:
    return aftermath_of(connection, [locked.decided])[locked.decided.record_id]


def _move(connection: Connection, decision_id: str, state: str) -> None:
    """Another state in the queue, where it is in it; nobody holds it any more."""
    waits = (reviews.c.record_id == decision_id, reviews.c.closed_at.is_(None))
    connection.execute(update(reviews).where(*waits).values(state=state, claimed_by=None, claimed_until=None))


def _unknown(decision_id: str) -> DecisionUnknown:
    return DecisionUnknown(f"There is no decision {decision_id!r}.")


@dataclass(frozen=True, slots=True)
class Adoption:
    """How often people went along with one model version under one policy version.

    Attributes:
        overridden: decisions whose outcome a person changed.
        held: decisions that were put to a person; ``held_overridden`` of them a person settled, ``expired`` the clock.
    """

    type: str
    model_name: str | None
    model_version: int | None
    policy_id: str | None
    policy_version: int | None
    decisions: int
    overridden: int
    held: int
    held_overridden: int
    expired: int

    @property
    def share_overridden(self) -> float:
        """Of all decisions."""
        return self.overridden / self.decisions if self.decisions else 0.0

    @property
    def share_adopted(self) -> float:
        """Of the decisions that were not put to a person: those that nobody changed."""
        automated = self.decisions - self.held
        return 1.0 - (self.overridden - self.held_overridden) / automated if automated else 1.0


def adoption(engine: Engine, since: Millis, until: Millis | None = None) -> list[Adoption]:
    """The decisions made since then by type, model version and policy version, with what people made of them."""
    person = case((and_(table.c.state == "in_force", table.c.kind == BY_PERSON), 1), else_=0)
    clock = case((and_(table.c.state == "in_force", table.c.kind == BY_CLOCK), 1), else_=0)
    held = case((reviews.c.record_id.is_not(None), 1), else_=0)
    by = tuple(decisions.c[name] for name in ("type", "model_name", "model_version", "policy_id", "policy_version"))
    figures = {
        "decisions": func.count(), "overridden": func.sum(person), "held": func.sum(held), "held_overridden": func.sum(person * held),
        "expired": func.sum(clock),
    }  # fmt: skip
    statement = (
        select(*by, *(figure.label(name) for name, figure in figures.items()))
        .select_from(decisions)
        .outerjoin(table, and_(table.c.decision_id == decisions.c.record_id, table.c.state == "in_force"))
        .outerjoin(reviews, reviews.c.record_id == decisions.c.record_id)
        .where(decisions.c.decided_at >= since, *([] if until is None else [decisions.c.decided_at < until]))
        .group_by(*by)
        .order_by(*by)
    )
    with reading(engine).connect() as connection:
        rows = [row._asdict() for row in connection.execute(statement)]
    return [Adoption(**{**row, **{name: int(row[name]) for name in figures}}) for row in rows]
