"""The rows of the ledger's tables when a person is erased: what they held is written over, digests and what is nobody's stay."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, LargeBinary, Row, Select, bindparam, func, literal, or_, select, update

from feature_store.entities import Entity, EntityKey
from feature_store.times import Millis
from governance.ledger.compression import decompress
from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import hollow, is_erased, open_checked
from governance.ledger.subject_keys import MARK
from governance.ledger.tables import decisions, records
from governance.ledger.vault import HOLLOW, Vault
from governance.review_tables import outcome_labels, reviews
from governance.tables import list_entries

_LISTED: Final = {Entity.PAYMENT: "card"}
"""Kinds of entities that lists call otherwise."""
_PART: Final = 400
_NO_FINGERPRINT: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Overwritten:
    """What was written over.

    Attributes:
        records: of every kind, decisions included; ``damaged`` those of which not even the digests could be kept.
        orders: the ids of the person's orders, for what else is found by them.
    """

    records: int
    damaged: int
    decisions: int
    list_entries: int
    orders: frozenset[str]


def lock_records(connection: Connection) -> None:
    """Wait for whoever is inserting records, and let nobody until the transaction ends. On SQLite the writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE records, decisions IN SHARE ROW EXCLUSIVE MODE")
    else:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def overwrite(connection: Connection, vault: Vault, subject: EntityKey | None, pseudonyms: Sequence[str]) -> Overwritten:
    """Write over what the ledger's tables hold of a person.

    Args:
        connection: of a transaction that holds :func:`lock_records`.
        vault: opens what is sealed.
        subject: the person; ``None`` when nobody knows any more who it was.
        pseudonyms: what stands for the person.
    """
    decided, orders = _decisions(connection, subject, pseudonyms)
    others = _others(connection, subject, pseudonyms)
    ids = list(dict.fromkeys([*decided, *others]))
    overwritten = damaged = 0
    for part in _parts(ids):
        rows = connection.execute(_whole().where(records.c.record_id.in_(part))).all()
        hollowed = [(row.record_id, _hollowed(vault, row)) for row in rows if not is_erased(bytes(row.body)) or row.seeds]
        overwritten += len(hollowed)
        damaged += sum(body == HOLLOW for _, body in hollowed)
        if hollowed:
            values = [{"id": record_id, "left": body} for record_id, body in hollowed]
            connection.execute(
                update(records).where(records.c.record_id == bindparam("id")).values(body=bindparam("left"), seeds=b""), values
            )
    _overwrite_decisions(connection, vault, decided, orders, pseudonyms[0] if pseudonyms else MARK)
    unlisted = 0 if subject is None else _unlist(connection, subject, pseudonyms)
    return Overwritten(overwritten, damaged, len(decided), unlisted, frozenset(orders))


def _decisions(connection: Connection, subject: EntityKey | None, pseudonyms: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The person's decisions, and a pseudonym for each order's id; decisions on such an order that name no customer are theirs, too."""
    if subject is not None and subject.entity is not Entity.CUSTOMER:
        return [], {}
    names = [*pseudonyms] if subject is None else [subject.key, *pseudonyms]
    theirs = select(decisions.c.record_id, decisions.c.order_id).where(decisions.c.customer_id.in_(names))
    found = {row.record_id: row.order_id for row in connection.execute(theirs)}
    orders = {order: MARK + secrets.token_urlsafe(16) for order in found.values() if order is not None and not order.startswith(MARK)}
    for part in _parts(sorted(orders)):
        nobody_s = select(decisions.c.record_id).where(decisions.c.order_id.in_(part), decisions.c.customer_id.is_(None))
        found |= dict.fromkeys(connection.execute(nobody_s).scalars())
    return list(found), orders


def _others(connection: Connection, subject: EntityKey | None, pseudonyms: Sequence[str]) -> list[str]:
    """Other records that speak of the person: by pseudonym, and those from before there were any by what their seeds name."""
    found = list(connection.execute(select(records.c.record_id).where(records.c.subject.in_(pseudonyms))).scalars())
    if subject is None:
        return found
    named = or_(*(_contains(connection, f'"{name}":'.encode()) for name in _names(subject)))
    return found + list(connection.execute(select(records.c.record_id).where(named)).scalars())


def _contains(connection: Connection, needle: bytes) -> ColumnElement[bool]:
    if connection.dialect.name == "sqlite":
        return func.instr(records.c.seeds, literal(needle, LargeBinary)) > 0
    return func.position(literal(needle, LargeBinary).op("IN")(records.c.seeds)) > 0


def _names(subject: EntityKey) -> list[str]:
    kinds = dict.fromkeys((subject.entity.value, _listed_as(subject)))
    return [f"{kind}:{subject.key}" for kind in kinds]


def _whole() -> Select[Any]:
    columns = (records.c.record_id, records.c.entry, records.c.leaf_hash, records.c.body, records.c.seeds, decisions.c.response)
    return select(*columns).join_from(records, decisions, decisions.c.record_id == records.c.record_id, isouter=True)


def _hollowed(vault: Vault, row: Row[Any]) -> bytes:
    """What is left of a record's body; of a damaged one nothing but the mark of an erased one."""
    try:
        stored = None if row.response is None else bytes(row.response)
        columns = vault.open_all(row.record_id, bytes(row.body), bytes(row.seeds), stored)
        response = None if columns.response is None else decompress(columns.response)
        opened = open_checked(bytes(row.entry), bytes(row.leaf_hash), columns.body, columns.seeds, response)
        return hollow(opened, columns.seeds)
    except RecordCorrupt:
        return HOLLOW


def _overwrite_decisions(connection: Connection, vault: Vault, ids: Sequence[str], orders: dict[str, str], pseudonym: str) -> None:
    for part in _parts(ids):
        rows = connection.execute(
            select(
                decisions.c.record_id, decisions.c.principal, decisions.c.idempotency_key, decisions.c.order_id, decisions.c.response
            ).where(decisions.c.record_id.in_(part))
        ).all()
        values = [
            {
                "id": row.record_id,
                "key": vault.erased_key(row.principal, row.idempotency_key),
                "order": orders.get(row.order_id, row.order_id),
            }
            for row in rows
            if row.response
        ]
        if values:
            left = {"response": b"", "fingerprint": _NO_FINGERPRINT, "request_id": None, "customer_id": pseudonym}
            statement = update(decisions).where(decisions.c.record_id == bindparam("id"))
            connection.execute(statement.values(**left, idempotency_key=bindparam("key"), order_id=bindparam("order")), values)
        connection.execute(update(outcome_labels).where(outcome_labels.c.decision_id.in_(part)).values(segment=None))
    if orders:
        named = [{"id": order, "order": name} for order, name in orders.items()]
        connection.execute(update(reviews).where(reviews.c.order_id == bindparam("id")).values(order_id=bindparam("order")), named)


def listed(connection: Connection, subject: EntityKey, at: Millis) -> str | None:
    """The entry of a list that names the person and is in force; a control is removed by whoever answers for it, not by the way."""
    entry = list_entries.c
    in_force = (entry.removed_at.is_(None), or_(entry.expires_at.is_(None), entry.expires_at > at))
    theirs = (entry.kind == _listed_as(subject), entry.value == subject.key)
    found: str | None = connection.execute(select(entry.entry_id).where(*theirs, *in_force).limit(1)).scalar_one_or_none()
    return found


def _unlist(connection: Connection, subject: EntityKey, pseudonyms: Sequence[str]) -> int:
    """Write over what entries that are no longer in force say of the person."""
    theirs = (list_entries.c.kind == _listed_as(subject), list_entries.c.value == subject.key)
    stands = pseudonyms[0] if pseudonyms else MARK
    return connection.execute(update(list_entries).where(*theirs).values(value=stands, reason="")).rowcount


def _listed_as(subject: EntityKey) -> str:
    return _LISTED.get(subject.entity, subject.entity.value)


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    listed = list(ids)
    return (listed[at : at + _PART] for at in range(0, len(listed), _PART))
