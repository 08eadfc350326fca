"""What systems outside are told of, read from the log in its order: the log is the outbox.

A record is in the database before anything is answered, and gets a place in the log without gaps. So a cursor over these places misses
nothing and needs no write when something happens. What is told is made from the record: ids, outcomes, codes and versions, no data of a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import orjson
from sqlalchemy import Connection, func, select

from feature_store.times import Millis, format_time
from governance.ledger.errors import Erased, RecordCorrupt
from governance.ledger.opened import read_groups
from governance.ledger.record import Kind
from governance.ledger.rows import unpack
from governance.ledger.tables import decisions, log_entries, records
from governance.ledger.vault import opened, vault_of
from governance.review_tables import reviews


class Notice(StrEnum):
    """Everything that can be told."""

    DECISION_MADE = "decision.made"
    DECISION_HELD = "decision.held"
    DECISION_OVERRIDDEN = "decision.overridden"
    DECISION_EXPIRED = "decision.expired"
    DECISION_CANCELLED = "decision.cancelled"
    OVERRIDE_PROPOSED = "override.proposed"
    OVERRIDE_REFUSED = "override.refused"
    OUTCOME_TOLD = "outcome.told"
    MODEL_REGISTERED = "model.registered"
    MODEL_PUBLISHED = "model.published"
    POLICY_SAVED = "policy.saved"
    POLICY_CHANGED = "policy.changed"
    APPROVAL_ASKED = "approval.asked"
    APPROVAL_DECIDED = "approval.decided"
    LIST_CHANGED = "list.changed"
    KILLSWITCH_CHANGED = "killswitch.changed"
    WEBHOOK_CHANGED = "webhook.changed"


TEXTS: Final[Mapping[Notice, str]] = MappingProxyType(
    {
        Notice.DECISION_MADE: "a decision was answered and recorded, also a fallback, an abstention, and that on a whole order",
        Notice.DECISION_HELD: "it waits for a person: queue, due time, what it expires to",
        Notice.DECISION_OVERRIDDEN: "a person's outcome took its place, after a second person's consent where one is needed",
        Notice.DECISION_EXPIRED: "nobody decided in time: its outcome is that of the policy",
        Notice.DECISION_CANCELLED: "its order was cancelled while it waited",
        Notice.OVERRIDE_PROPOSED: "an override waits for a second person",
        Notice.OVERRIDE_REFUSED: "a second person refused an override, or its author took it back",
        Notice.OUTCOME_TOLD: "what really happened was told",
        Notice.MODEL_REGISTERED: "a model version was made",
        Notice.MODEL_PUBLISHED: "another model version answers for a decision type",
        Notice.POLICY_SAVED: "a policy version was saved; it is not in force by that",
        Notice.POLICY_CHANGED: "another policy version is in force",
        Notice.APPROVAL_ASKED: "a version was submitted to a second person",
        Notice.APPROVAL_DECIDED: "the second person approved or refused it",
        Notice.LIST_CHANGED: "an entry of the allow or block list was added or removed",
        Notice.KILLSWITCH_CHANGED: "the kill switch of a decision type was turned",
        Notice.WEBHOOK_CHANGED: "a webhook was made, disabled, enabled, replayed or removed, or got a new secret",
    }
)
"""When each is told."""

QUIET: Final = frozenset(
    {Kind.SHADOW, Kind.WHAT_IF, Kind.DATASET_ACCEPTED, Kind.TRAINING_FINISHED, Kind.KEY_CREATED, Kind.KEY_REVOKED, Kind.EXPORT, Kind.READS, Kind.ERASURE, Kind.LEGAL_HOLD}
)  # fmt: skip
"""Kinds of records of which nobody outside is told."""

WINDOW: Final = 2_000
"""Places of the log that one read looks at."""

_DECISIONS: Final = (Kind.DECISION, Kind.ORDER_DECISION)
_MESSAGE = re.compile(r"msg_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_([a-z-]{3,40})")


@dataclass(frozen=True, slots=True)
class Message:
    """One notice about one record; made again it has the same id and the same bytes.

    Attributes:
        seq: the record's place in the log.
        data: what is told, JSON.
    """

    record_id: str
    notice: Notice
    seq: int
    at: Millis
    data: Mapping[str, Any]

    @property
    def message_id(self) -> str:
        """The same for every attempt, so that a receiver knows what it had already. No full stops: they part what is signed."""
        return f"msg_{self.record_id}_{self.notice.replace('.', '-')}"

    @property
    def body(self) -> bytes:
        """What is sent."""
        return orjson.dumps({"type": self.notice.value, "timestamp": format_time(self.at), "data": self.data})


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was read of the log.

    Attributes:
        next_seq: the first place that was not looked at.
        more: whether there is more to look at.
    """

    messages: tuple[Message, ...]
    next_seq: int
    more: bool


def parse_message_id(text: str) -> tuple[str, Notice] | None:
    """The record and the notice that a message id names; ``None`` where it is none."""
    found = _MESSAGE.fullmatch(text)
    try:
        return (found[1], Notice(found[2].replace("-", "."))) if found else None
    except ValueError:
        return None


def end_of_log(connection: Connection) -> int:
    """The place that the next record gets."""
    last = connection.execute(select(func.max(log_entries.c.seq))).scalar_one()
    return 0 if last is None else int(last) + 1


def place_at(connection: Connection, at: Millis) -> int:
    """The first place of the log whose record is not older than ``at``, found by halving: records come in the order of their times but for moments."""
    low, high = 0, end_of_log(connection)
    time_of = select(records.c.recorded_at).join_from(log_entries, records, log_entries.c.record_id == records.c.record_id)
    while low < high:
        middle = (low + high) // 2
        if connection.execute(time_of.where(log_entries.c.seq == middle)).scalar_one() < at:
            low = middle + 1
        else:
            high = middle
    return low


def seq_of(connection: Connection, record_id: str) -> int | None:
    """The place of a record; ``None`` where it has none."""
    return connection.execute(select(log_entries.c.seq).where(log_entries.c.record_id == record_id)).scalar_one_or_none()


def read(connection: Connection, start: int, wanted: Collection[Notice], limit: int) -> Stretch:
    """The next messages from a place of the log on.

    Args:
        connection: of a transaction that reads.
        start: the first place to look at.
        wanted: what to tell; empty for everything.
        limit: records, at most, that something is told of.
    """
    end = end_of_log(connection)
    stop = min(end, start + WINDOW)
    if start >= stop:
        return Stretch((), start, more=False)
    kinds = _kinds(wanted)
    rows = connection.execute(
        _ROWS.where(log_entries.c.seq >= start, log_entries.c.seq < stop, records.c.kind.in_(kinds)).limit(limit)
    ).all()
    if len(rows) == limit:
        stop = rows[-1].seq + 1
    return Stretch(tuple(one for one in _messages(connection, rows) if _asked(one.notice, wanted)), stop, more=stop < end)


def at_places(connection: Connection, places: Iterable[int]) -> list[Message]:
    """All messages of the records at these places."""
    return _messages(connection, connection.execute(_ROWS.where(log_entries.c.seq.in_(sorted(set(places))))).all())


_ROWS = (
    select(
        log_entries.c.seq, records.c.record_id, records.c.kind, records.c.recorded_at,
        *(decisions.c[name] for name in ("type", "outcome", "status", "order_id", "order_version", "decided_at", "probability", "reasons",
                                         "model_name", "model_version", "model_digest", "policy_id", "policy_version", "policy_digest")),
        reviews.c.queue, reviews.c.due_at, reviews.c.expires_to,
    )
    .join_from(log_entries, records, log_entries.c.record_id == records.c.record_id)
    .join(decisions, decisions.c.record_id == records.c.record_id, isouter=True)
    .join(reviews, reviews.c.record_id == records.c.record_id, isouter=True)
    .order_by(log_entries.c.seq)
)  # fmt: skip


def _asked(notice: Notice, wanted: Collection[Notice]) -> bool:
    return not wanted or notice in wanted


def _kinds(wanted: Collection[Notice]) -> list[str]:
    return [kind.value for kind, notices in TOLD.items() if any(_asked(notice, wanted) for notice in notices)]


def _messages(connection: Connection, rows: Sequence[Any]) -> list[Message]:
    others = [row.record_id for row in rows if row.kind not in _DECISIONS]
    bodies: dict[str, Mapping[str, Any]] = {}
    names: dict[str, str | None] = {}
    vault = vault_of(connection)
    if others:
        columns = (records.c.record_id, records.c.body, records.c.entry)
        for found in connection.execute(select(*columns).where(records.c.record_id.in_(others))):
            names[found.record_id] = orjson.loads(bytes(found.entry)).get("refers_to")
            try:
                bodies[found.record_id] = read_groups(opened(vault, found.record_id, bytes(found.body), b"").body)
            except (Erased, RecordCorrupt):  # that something happened is told nevertheless; `ordinance verify` finds out the rest
                bodies[found.record_id] = {}
    about = _referred(connection, names)
    return [
        Message(row.record_id, notice, row.seq, row.recorded_at, data)
        for row in rows
        for notice, data in _told(row, bodies.get(row.record_id, {}), about)
    ]


def _referred(connection: Connection, names: Mapping[str, str | None]) -> dict[str, Any]:
    """The decisions that these records speak of, by the ids of the records."""
    ids = {name for name in names.values() if name is not None}
    columns = (decisions.c.record_id, decisions.c.type, decisions.c.order_id, decisions.c.order_version)
    rows = connection.execute(select(*columns).where(decisions.c.record_id.in_(sorted(ids)))) if ids else ()
    found = {row.record_id: row for row in rows}
    return {record_id: found[name] for record_id, name in names.items() if name in found}


def _told(row: Any, groups: Mapping[str, Any], about: Mapping[str, Any]) -> list[tuple[Notice, dict[str, Any]]]:
    kind = Kind(row.kind)
    if kind in _DECISIONS:
        made = _decision(row)
        held = {**made, "review": {"queue": row.queue, "due_at": _time(row.due_at), "expires_to": row.expires_to}}
        return [(Notice.DECISION_MADE, made), *([(Notice.DECISION_HELD, held)] if row.queue is not None else [])]
    change = groups.get("change")
    change = change if isinstance(change, Mapping) else {}
    notice = _notice(kind, change)
    if notice is None:
        return []
    since = kind in _SINCE
    data = _since(row, groups, change, about) if since else {"record_id": row.record_id, **_kept(change, _MEMBERS[kind])}
    return [(notice, data)]


def _decision(row: Any) -> dict[str, Any]:
    model = None if row.model_name is None else {"name": row.model_name, "version": row.model_version, "digest": row.model_digest}
    policy = None if row.policy_id is None else {"id": row.policy_id, "version": row.policy_version, "digest": row.policy_digest}
    return {
        "decision_id": row.record_id,
        "type": row.type,
        "outcome": row.outcome,
        "status": row.status,
        "order_id": row.order_id,
        "order_version": row.order_version,
        "decided_at": _time(row.decided_at),
        "probability": row.probability,
        "reasons": list(unpack(row.reasons or "")),
        "model": model,
        "policy": policy,
        "links": {"self": f"/v1/decisions/{row.record_id}", "proof": f"/v1/ledger/proof/{row.record_id}"},
    }


def _since(row: Any, groups: Mapping[str, Any], change: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """What a later record says of a decision; notes that people wrote stay inside."""
    decided = about.get(row.record_id)
    decision_id = change.get("decision_id") if decided is None else decided.record_id
    outcome = groups.get("outcome")
    said = _kept(outcome if isinstance(outcome, Mapping) else {}, ("was", "outcome", "accepted_lines", "label", "positive", "observed_at"))
    return {
        "record_id": row.record_id,
        "decision_id": decision_id,
        "type": None if decided is None else decided.type,
        "order_id": None if decided is None else decided.order_id,
        "order_version": None if decided is None else decided.order_version,
        **said,
        **_kept(change, ("override_id", "reason_code", "queue")),
        "links": {"decision": f"/v1/decisions/{decision_id}", "proof": f"/v1/ledger/proof/{row.record_id}"},
    }


def _kept(facts: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: facts[name] for name in names if name in facts}


def _time(at: Millis | None) -> str | None:
    return None if at is None else format_time(at)


def _notice(kind: Kind, change: Mapping[str, Any]) -> Notice | None:
    choose = _CHOICES.get(kind)
    return None if choose is None else choose(change)


_STEPS: Final = MappingProxyType(
    {"proposed": Notice.OVERRIDE_PROPOSED, "refused": Notice.OVERRIDE_REFUSED, "withdrawn": Notice.OVERRIDE_REFUSED}
)
_PUBLISHED: Final = MappingProxyType({"policy": Notice.POLICY_CHANGED, "model": Notice.MODEL_PUBLISHED})
_SINCE: Final = frozenset({Kind.OVERRIDE, Kind.EXPIRY, Kind.CANCELLATION, Kind.OUTCOME_LABEL})

_CHOICES: Final[Mapping[Kind, Callable[[Mapping[str, Any]], Notice | None]]] = MappingProxyType(
    {
        Kind.OVERRIDE: lambda change: _STEPS.get(str(change.get("step")), Notice.DECISION_OVERRIDDEN),
        Kind.EXPIRY: lambda _: Notice.DECISION_EXPIRED,
        Kind.CANCELLATION: lambda _: Notice.DECISION_CANCELLED,
        Kind.OUTCOME_LABEL: lambda _: Notice.OUTCOME_TOLD,
        Kind.MODEL_REGISTERED: lambda _: Notice.MODEL_REGISTERED,
        Kind.ALIAS_MOVED: lambda change: _PUBLISHED.get(str(change.get("of"))) if change.get("alias") == "champion" else None,
        Kind.POLICY_CHANGED: lambda _: Notice.POLICY_SAVED,
        Kind.APPROVAL: lambda change: Notice.APPROVAL_ASKED if change.get("what") == "submitted" else Notice.APPROVAL_DECIDED,
        Kind.LIST_CHANGED: lambda _: Notice.LIST_CHANGED,
        Kind.SWITCH_CHANGED: lambda _: Notice.KILLSWITCH_CHANGED,
        Kind.WEBHOOK_CHANGED: lambda _: Notice.WEBHOOK_CHANGED,
    }
)

TOLD: Final[Mapping[Kind, tuple[Notice, ...]]] = MappingProxyType(
    {
        Kind.DECISION: (Notice.DECISION_MADE, Notice.DECISION_HELD),
        Kind.ORDER_DECISION: (Notice.DECISION_MADE, Notice.DECISION_HELD),
        Kind.OVERRIDE: (Notice.DECISION_OVERRIDDEN, Notice.OVERRIDE_PROPOSED, Notice.OVERRIDE_REFUSED),
        Kind.EXPIRY: (Notice.DECISION_EXPIRED,),
        Kind.CANCELLATION: (Notice.DECISION_CANCELLED,),
        Kind.OUTCOME_LABEL: (Notice.OUTCOME_TOLD,),
        Kind.MODEL_REGISTERED: (Notice.MODEL_REGISTERED,),
        Kind.ALIAS_MOVED: (Notice.MODEL_PUBLISHED, Notice.POLICY_CHANGED),
        Kind.POLICY_CHANGED: (Notice.POLICY_SAVED,),
        Kind.APPROVAL: (Notice.APPROVAL_ASKED, Notice.APPROVAL_DECIDED),
        Kind.LIST_CHANGED: (Notice.LIST_CHANGED,),
        Kind.SWITCH_CHANGED: (Notice.KILLSWITCH_CHANGED,),
        Kind.WEBHOOK_CHANGED: (Notice.WEBHOOK_CHANGED,),
    }
)
"""What each kind of record can tell; the kinds of :data:`QUIET` tell nothing."""

_MEMBERS: Final[Mapping[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        Kind.MODEL_REGISTERED: ("name", "version", "type", "digest"),
        Kind.ALIAS_MOVED: ("what", "alias", "name", "version", "digest", "before"),
        Kind.POLICY_CHANGED: ("id", "version", "digest"),
        Kind.APPROVAL: ("what", "approval_id", "of", "name", "version", "digest"),
        Kind.LIST_CHANGED: ("what", "entry_id", "list", "kind", "types", "expires_at"),
        Kind.SWITCH_CHANGED: ("type", "mode", "before"),
        Kind.WEBHOOK_CHANGED: ("what", "webhook_id", "events", "because"),
    }
)
"""Of each change what is told: neither who or what is on a list, nor notes, nor people."""
