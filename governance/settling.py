"""How a decision is settled after it was answered: one transaction with its own record, under a lock, so that of several who try one wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select, update

from feature_store.reservations import release_order
from feature_store.times import Millis, now
from governance.access import SERVICE
from governance.aftermath import Decided, Later
from governance.ledger.log import append
from governance.ledger.receipt import Signer
from governance.ledger.record import Draft, Kind, about_customer, seal
from governance.ledger.rows import RecordRow
from governance.ledger.subject_keys import MARK
from governance.ledger.tables import decisions, records
from governance.ledger.vault import vault_of
from governance.review_tables import overrides, reviews
from models.specs import DecisionType, Outcome

SYSTEM: Final = SERVICE
"""Who does what the clock or a later fact makes necessary."""

STOPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        DecisionType.ACCEPTANCE.value: Outcome.REJECT.value,
        DecisionType.FRAUD.value: Outcome.BLOCK.value,
        DecisionType.SPLIT_ORDER.value: Outcome.UNFULFILLABLE.value,
    }
)
"""The outcome of each type after which nothing of the order is shipped: what it had reserved is free again."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where decisions are settled.

    Attributes:
        running: digests of this code and of the libraries under it, for the records.
    """

    engine: Engine
    signer: Signer
    tenant: str = "default"
    running: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], Millis] = now


@dataclass(frozen=True, slots=True)
class Locked:
    """A decision that nobody else settles until the transaction ends."""

    decided: Decided
    customer_id: str | None
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Act:
    """What is recorded of one step.

    Attributes:
        outcome: the group of that name; it may speak of the customer.
        change: what changed, without personal data.
    """

    kind: Kind
    outcome: Mapping[str, Any]
    change: Mapping[str, Any]
    people: Mapping[str, Any]


def lock(connection: Connection, decision_id: str) -> Locked | None:
    """Lock a decision against being settled by somebody else; ``None`` where there is none. On SQLite the writer is alone anyway."""
    column = decisions.c
    row = connection.execute(
        select(column.record_id, column.type, column.outcome, column.order_id, column.order_version, column.customer_id)
        .where(column.record_id == decision_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return None
    connection.execute(select(reviews.c.record_id).where(reviews.c.record_id == decision_id).with_for_update()).all()
    leaf = connection.execute(select(records.c.leaf_hash).where(records.c.record_id == decision_id)).scalar_one()
    return Locked(
        Decided(row.record_id, row.type, row.outcome, row.order_id, row.order_version), _customer(connection, row.customer_id), bytes(leaf)
    )


def _customer(connection: Connection, stored: str | None) -> str | None:
    """The customer behind what stands in the column; ``None`` for one who was erased: nothing more is written about them."""
    if stored is None or not stored.startswith(MARK):
        return stored
    vault = vault_of(connection)
    return None if vault is None else vault.names([stored]).get(stored)


def record(connection: Connection, desk: Desk, locked: Locked, act: Act, at: Millis) -> str:
    """Append the record of one step, which names the decision; returns its id."""
    one = locked.decided
    groups: dict[str, object] = {
        "order": {"order_id": one.order_id, "order_version": one.order_version, "customer_id": locked.customer_id},
        "outcome": {"was": one.outcome, **act.outcome},
        "change": {"decision_id": one.record_id, "decision_leaf": f"sha256:{locked.leaf_hash.hex()}", **act.change},
        "people": dict(act.people),
    }
    draft = Draft(
        kind=act.kind,
        decision_type=one.type,
        digests=desk.running,
        groups=groups,
        subjects=about_customer(locked.customer_id, groups),
        tenant=desk.tenant,
        refers_to=one.record_id,
    )
    append(connection, [RecordRow(seal(draft, desk.signer, at))])
    return draft.record_id


def close(connection: Connection, decision_id: str, state: str, closed_by: str, at: Millis) -> bool:
    """Take a decision out of the queue; whether it was in it."""
    done = connection.execute(
        update(reviews)
        .where(reviews.c.record_id == decision_id, reviews.c.closed_at.is_(None))
        .values(state=state, closed_at=at, closed_by=closed_by, claimed_by=None, claimed_until=None)
    )
    return done.rowcount == 1


def lapse(connection: Connection, decision_id: str, at: Millis) -> None:
    """An override that still waits for a second person comes to nothing."""
    connection.execute(
        update(overrides)
        .where(overrides.c.decision_id == decision_id, overrides.c.state == "pending")
        .values(state="lapsed", settled_at=at)
    )


def close_superseded(connection: Connection, one: Decided, later: Later, at: Millis) -> None:
    """Take a decision on an overtaken version out of the queue; the record of the later decision is what says so."""
    close(connection, one.record_id, "superseded", later.record_id, at)
    lapse(connection, one.record_id, at)


def put_in_force(connection: Connection, one: Decided, values: Mapping[str, Any], at: Millis) -> None:
    """Let an outcome take the place of the decided one, with what follows from it.

    Args:
        connection: of a transaction that holds the decision's lock.
        one: the decision.
        values: of a new row in ``overrides``; without ``override_id`` the pending one is confirmed by them.
        at: now.
    """
    settled = {**values, "state": "in_force", "settled_at": at}
    if "override_id" in values:
        connection.execute(insert(overrides), settled)
    else:
        pending = (overrides.c.decision_id == one.record_id, overrides.c.state == "pending")
        connection.execute(update(overrides).where(*pending).values(settled))
    state = "expired" if values.get("kind") == "expiry" else "overridden"
    close(connection, one.record_id, state, values.get("override_id") or values["second_id"], at)
    if one.order_id is not None and values["outcome"] == STOPS.get(one.type):
        release_order(connection, one.order_id, one.order_version)
