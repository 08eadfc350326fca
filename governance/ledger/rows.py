"""What one record puts into the database, and the statements that put it there: one per table, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from types import MappingProxyType

from sqlalchemy import BigInteger, Float, Integer, LargeBinary, Table
from sqlalchemy.types import TypeEngine

from feature_store.reservations import Reservation
from feature_store.tables import reservations
from feature_store.times import Millis
from governance.ledger.compression import compress
from governance.ledger.record import Sealed
from governance.ledger.subject_keys import SubjectKey
from governance.ledger.tables import decisions, promises, records
from governance.ledger.vault import key_for, seal_column
from governance.review_tables import reviews
from governance.waiting import Waiting

_SQLITE_ROWS = 256
"""Rows of one statement on SQLite, which takes at most 32,766 parameters."""


@dataclass(frozen=True, slots=True)
class Facets:
    """What a decision can be found by.

    Attributes:
        mode: ``live``; a dry run is not recorded.
        reasons: the codes of all reasons, not only of those shown.
        latency_us: from the request to the decision, microseconds.
    """

    type: str
    mode: str
    outcome: str
    status: str
    decided_at: Millis
    latency_us: int
    order_id: str | None = None
    order_version: int | None = None
    customer_id: str | None = None
    region: str | None = None
    channel: str | None = None
    tags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    probability: float | None = None
    model_name: str | None = None
    model_version: int | None = None
    model_digest: str | None = None
    policy_id: str | None = None
    policy_version: int | None = None
    policy_digest: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision to be recorded: its sealed record, what it is found by, and the answer under its idempotency key.

    Attributes:
        fingerprint: keyed digest of the request, 32 bytes: tells a repeated request from another one under the same key.
        response: the bytes that are answered, receipt included.
        reserves: the pieces of stock that it promises; recorded with it or not at all.
        waits: its place in the review queue, likewise; a decision on a higher version of an order also takes the lower ones out of it.
    """

    sealed: Sealed
    facets: Facets
    principal: str
    idempotency_key: str
    fingerprint: bytes
    response: bytes
    reserves: Reservation | None = None
    waits: Waiting | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What only one decision may have."""
        return self.principal, self.idempotency_key


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record that is no decision: a publish, an override, ..."""

    sealed: Sealed


Row = DecisionRow | RecordRow


def reserving(rows: Iterable[Row]) -> list[Reservation]:
    """What the decisions among these rows reserve, in their order."""
    return [row.reserves for row in rows if isinstance(row, DecisionRow) and row.reserves is not None]


def pack(items: Iterable[str]) -> str:
    """A list as one searchable text, ``|a|b|``; empty for an empty list."""
    text = "|".join(item.replace("%", "%25").replace("|", "%7C") for item in items)
    return f"|{text}|" if text else ""


def unpack(text: str) -> tuple[str, ...]:
    """Undo :func:`pack`."""
    return tuple(item.replace("%7C", "|").replace("%25", "%") for item in text.strip("|").split("|")) if text else ()


Statement = tuple[str, tuple[object, ...]]


def statements(rows: Sequence[Row], dialect: str, keys: Mapping[str, SubjectKey] = MappingProxyType({})) -> list[Statement]:
    """The statements that insert all rows: one in all on PostgreSQL (which makes it a transaction by itself), one a table on SQLite.

    Args:
        rows: what to insert.
        dialect: ``sqlite`` or ``postgresql``.
        keys: of the data subjects; records that speak of one of these are sealed.
    """
    # One order for everybody: two writers that bring the same keys wait for each other instead of deadlocking.
    decided = sorted((row for row in rows if isinstance(row, DecisionRow)), key=lambda row: row.key)
    facts = [_record(row, keys) for row in rows]
    answers = [_decision(row, keys) for row in decided]
    pieces = [piece for reservation in reserving(rows) for piece in reservation.rows()]
    held = [row.waits.row() for row in decided if row.waits is not None]
    promised = [(row.sealed.record_id,) for row in rows]
    amended = _amended(rows)
    if dialect == "postgresql":
        parts = (facts, pieces, held, amended, answers)
        columns = [column for part in parts for column in zip(*part, strict=True)]
        statement = _postgresql_statement(
            with_pieces=bool(pieces), with_held=bool(held), with_amended=bool(amended), with_decisions=bool(answers)
        )
        return [(statement, tuple(list(column) for column in columns))]
    inserts = [
        (_sqlite_statement(table, len(part)), tuple(chain.from_iterable(part)))
        for table, values in ((records, facts), (promises, promised), (reservations, pieces), (reviews, held), (decisions, answers))
        for part in (values[start : start + _SQLITE_ROWS] for start in range(0, len(values), _SQLITE_ROWS))
    ]
    return inserts + [(_SUPERSEDE, (record_id, at, order_id, version)) for order_id, version, record_id, at in amended]


def _amended(rows: Iterable[Row]) -> list[tuple[str, int, str, Millis]]:
    """(order id, version, first record, when) of the orders that are decided anew in a higher version than the first."""
    found: dict[str, tuple[str, int, str, Millis]] = {}
    for row in rows:
        if isinstance(row, DecisionRow) and row.facets.order_id is not None and (row.facets.order_version or 1) > 1:
            known = found.get(row.facets.order_id)
            if known is None or known[1] < (row.facets.order_version or 1):
                found[row.facets.order_id] = (row.facets.order_id, row.facets.order_version or 1, row.sealed.record_id, row.sealed.at)
    return list(found.values())


_SUPERSEDE = (
    "UPDATE reviews SET state = 'superseded', closed_by = ?, closed_at = ? WHERE order_id = ? AND order_version < ? AND closed_at IS NULL"
)
_SUPERSEDE_ALL = (
    "UPDATE reviews AS r SET state = 'superseded', closed_by = a.record_id, closed_at = a.at"
    " FROM unnest(%b::text[], %b::integer[], %b::text[], %b::bigint[]) AS a(order_id, version, record_id, at)"
    " WHERE r.order_id = a.order_id AND r.order_version < a.version AND r.closed_at IS NULL"
)


@cache
def _postgresql_statement(*, with_pieces: bool, with_held: bool, with_amended: bool, with_decisions: bool) -> str:
    """Arrays in, one per column: the text is the same for any number of rows, so the server plans it once."""
    into_records = f"{_from_arrays(records)} RETURNING record_id"
    into_promises = "INSERT INTO promises (record_id) SELECT record_id FROM recorded"
    if not with_decisions:
        return f"WITH recorded AS ({into_records}) {into_promises}"
    also = f", reserved AS ({_from_arrays(reservations)})" if with_pieces else ""
    also += f", held AS ({_from_arrays(reviews)})" if with_held else ""
    also += f", amended AS ({_SUPERSEDE_ALL})" if with_amended else ""
    return f"WITH recorded AS ({into_records}), promised AS ({into_promises}){also} {_from_arrays(decisions)}"


@cache
def _sqlite_statement(table: Table, rows: int) -> str:
    """One statement for all rows: each statement costs a change of threads, each row does not."""
    columns = _columns(table)
    values = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([values] * rows)}"  # noqa: S608 - our own names


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "seq"]


def _from_arrays(table: Table) -> str:
    arrays = ", ".join(f"%b::{_postgresql_type(table.columns[name].type)}[]" for name in _columns(table))
    return f"INSERT INTO {table.name} ({', '.join(_columns(table))}) SELECT * FROM unnest({arrays})"  # noqa: S608 - our own names


def _postgresql_type(kind: TypeEngine[object]) -> str:
    for generic, name in ((BigInteger, "bigint"), (Integer, "integer"), (Float, "double precision"), (LargeBinary, "bytea")):
        if isinstance(kind, generic):
            return name
    return "text"


def _record(row: Row, keys: Mapping[str, SubjectKey]) -> tuple[object, ...]:
    sealed = row.sealed
    receipt, body, seeds, subject = sealed.receipt, sealed.body, sealed.seeds, None
    if (key := key_for(keys, sealed.subjects)) is not None:
        body, seeds = seal_column(key, sealed.record_id, "body", body), seal_column(key, sealed.record_id, "seeds", seeds)
        subject = None if isinstance(row, DecisionRow) else key.pseudonym  # a decision is found by its customer
    return (
        sealed.record_id,
        sealed.kind.value,
        sealed.tenant,
        sealed.at,
        sealed.entry,
        sealed.leaf_hash,
        body,
        seeds,
        receipt.promised_at,
        receipt.publish_by,
        receipt.key_id,
        receipt.signature,
        subject,
    )


def _decision(row: DecisionRow, keys: Mapping[str, SubjectKey]) -> tuple[object, ...]:
    facets, response = row.facets, compress(row.response)
    if (key := key_for(keys, row.sealed.subjects)) is not None:
        response = seal_column(key, row.sealed.record_id, "response", response)
    customer = keys.get(f"customer:{facets.customer_id}")
    return (
        row.sealed.record_id,
        row.principal,
        row.idempotency_key,
        row.fingerprint,
        response,
        facets.type,
        facets.order_id,
        facets.order_version,
        facets.customer_id if customer is None else customer.pseudonym,
        facets.mode,
        facets.outcome,
        facets.status,
        facets.region,
        facets.channel,
        pack(facets.tags),
        pack(facets.reasons),
        facets.probability,
        facets.model_name,
        facets.model_version,
        facets.model_digest,
        facets.policy_id,
        facets.policy_version,
        facets.policy_digest,
        facets.decided_at,
        facets.latency_us,
        facets.request_id,
    )
