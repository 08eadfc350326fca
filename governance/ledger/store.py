"""The read side of the ledger. Readers get these types, which cannot write; the database refuses it too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, bindparam, func, select, tuple_
from sqlalchemy import Row as SqlRow

from feature_store.database import Reads, reading
from feature_store.times import Millis
from governance.ledger.compression import decompress
from governance.ledger.errors import Erased, RecordCorrupt
from governance.ledger.opened import Opened, check, is_erased, open_checked, read_groups
from governance.ledger.receipt import Receipt
from governance.ledger.rows import unpack
from governance.ledger.searching import MAX_LIMIT, Count, Filters, Looked, Search, everything, read_cursor, write_cursor
from governance.ledger.tables import decisions, records
from governance.ledger.vault import Columns, Vault, opened, vault_of

_WALKED = 200
"""Whole records that are read at once."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered under an idempotency key."""

    record_id: str
    fingerprint: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """One decision as a list shows it."""

    record_id: str
    principal: str
    type: str
    mode: str
    outcome: str
    status: str
    decided_at: Millis
    latency_us: int
    order_id: str | None
    order_version: int | None
    customer_id: str | None
    region: str | None
    channel: str | None
    tags: tuple[str, ...]
    reasons: tuple[str, ...]
    probability: float | None
    model_name: str | None
    model_version: int | None
    model_digest: str | None
    policy_id: str | None
    policy_version: int | None
    policy_digest: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many decisions of a type had an outcome, and when the first and the last of them was made."""

    type: str
    outcome: str
    number: int
    first: Millis
    last: Millis


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search, newest first; ``next_cursor`` is ``None`` on the last one.

    Attributes:
        looked: of a page that ended because it had looked far enough, and of every one by feature values, how far that was.
    """

    lines: tuple[DecisionLine, ...]
    next_cursor: str | None
    looked: Looked | None = None


@dataclass(frozen=True)
class StoredDecision:
    """One decision with its record, as decided.

    Attributes:
        response: the answered bytes.
        entry: the leaf.
        seq: the index in the log; ``None`` until sequenced.
    """

    line: DecisionLine
    response: bytes
    entry: bytes
    body: bytes
    seeds: bytes
    receipt: Receipt
    seq: int | None

    @property
    def erased(self) -> bool:
        """Whether the person that it is about was erased: what is left are the line, the entry and the receipt."""
        return is_erased(self.body)

    @cached_property
    def groups(self) -> Mapping[str, Any]:
        """The record's groups by name (:data:`governance.ledger.record.GROUPS`), decoded when first asked for.

        Numbers are texts: see :func:`governance.ledger.opened.numbers`.

        Raises:
            RecordCorrupt: the stored bytes are damaged.
        """
        return read_groups(self.body, self.response)

    def check(self) -> None:
        """Check that everything stored is what the entry commits to.

        Raises:
            RecordCorrupt: it is not.
        """
        check(self.entry, self.receipt.leaf_hash, self.body, self.seeds, self.response)

    @cached_property
    def opened(self) -> Opened:
        """The groups after :meth:`check`, which is made once.

        Raises:
            RecordCorrupt: something stored is not what the entry commits to.
        """
        return open_checked(self.entry, self.receipt.leaf_hash, self.body, self.seeds, self.response)


@dataclass(frozen=True, slots=True)
class Damaged:
    """One decision whose stored bytes cannot be read."""

    line: DecisionLine
    error: RecordCorrupt


class DecisionReader:
    """Finds decisions. Its methods block: one round trip each but where said."""

    def __init__(self, engine: Engine) -> None:
        self._engine = reading(engine)
        # A single statement needs no transaction around it: on PostgreSQL that is one round trip instead of three.
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name == "postgresql" else self._engine
        self._reads = Reads(engine)
        self._vault = vault_of(engine)

    @property
    def engine(self) -> Engine:
        """The database, for reading alone."""
        return self._engine

    def lookup(self, principal: str, idempotency_key: str) -> Answered | None:
        """What was answered under a key; ``None`` when nothing was."""
        with self._single.connect() as connection:
            keys = {"key": idempotency_key, "erased": self._erased_key(principal, idempotency_key)}
            row = connection.execute(_LOOKUP, {"principal": principal, **keys}).one_or_none()
        return Answered(row.record_id, bytes(row.fingerprint), self._answer(row.record_id, bytes(row.response))) if row else None

    def recall(self, principal: str, idempotency_key: str, order_id: str | None) -> tuple[Answered | None, int | None]:
        """What was answered under a key, and the highest version of the order that anything was decided about.

        The read before every decision, so it goes straight to the driver.
        """
        keys = (idempotency_key, self._erased_key(principal, idempotency_key))
        asked = (principal, *keys) if order_id is None else (principal, *keys, order_id)
        statement = _recall(self._reads.mark, of_order=order_id is not None)
        answered, latest = None, None
        for record_id, fingerprint, response, version in self._reads.rows(statement, asked):
            if record_id is None:
                latest = version
            else:
                answered = Answered(record_id, bytes(fingerprint), self._answer(record_id, bytes(response)))
        return answered, latest

    def _erased_key(self, principal: str, idempotency_key: str) -> str:
        """What stands in the place of a key whose answer was erased."""
        return idempotency_key if self._vault is None else self._vault.erased_key(principal, idempotency_key)

    def _answer(self, record_id: str, stored: bytes) -> bytes:
        """The answer that a row holds; empty where it was erased."""
        try:
            plain = stored if self._vault is None else self._vault.open(record_id, "response", stored)
        except Erased:
            return b""
        return decompress(plain) if plain else b""

    def _stored(self, row: SqlRow[Any]) -> StoredDecision:
        return _stored(row, self._vault)

    def _read(self, row: SqlRow[Any]) -> StoredDecision | Damaged:
        try:
            return _stored(row, self._vault)
        except RecordCorrupt as error:
            return Damaged(_line(row, {}), error)

    def _lines(self, rows: Sequence[SqlRow[Any]]) -> list[DecisionLine]:
        names = {} if self._vault is None else self._vault.names(row.customer_id for row in rows)
        return [_line(row, names) for row in rows]

    def _where(self, filters: Filters) -> list[ColumnElement[bool]]:
        with self._engine.connect() as connection:
            return everything(connection, filters, self._vault)

    def latest_version(self, order_id: str, decision_type: str) -> int | None:
        """The highest version of the order that a decision of this type was made for."""
        with self._single.connect() as connection:
            version: int | None = connection.execute(_LATEST, {"order_id": order_id, "type": decision_type}).scalar_one()
        return version

    def search(self, filters: Filters | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """One page of the decisions that pass all filters, newest first. Pages never overlap, whatever is recorded meanwhile.

        A page may have fewer lines than asked for, or none, and a ``next_cursor``: see :mod:`governance.ledger.searching`.

        Args:
            filters: what to narrow it to.
            cursor: ``next_cursor`` of the page before, of a search with the same filters.
            limit: lines in the page, 1 to :data:`MAX_LIMIT`; a number outside is brought inside.

        Raises:
            CursorInvalid: the cursor is none of this search.
        """
        filters = filters or Filters()
        after = None if cursor is None else read_cursor(cursor, filters)
        with self._engine.connect() as connection:
            found = Search(connection, self._vault, filters, _LINE).page(after, max(1, min(limit, MAX_LIMIT)))
            lines = self._lines(found.rows)
        return Page(tuple(lines), None if found.after is None else write_cursor(found.after, filters), found.looked)

    def bounded_count(self, filters: Filters) -> Count:
        """How many decisions pass all filters, as far as that is cheap to know; feature values are not counted."""
        with self._engine.connect() as connection:
            return Search(connection, self._vault, filters, _LINE).count()

    def walk(self, filters: Filters | None = None, limit: int | None = None) -> Iterator[StoredDecision | Damaged]:
        """The decisions that pass all filters with their records, newest first, read page by page; of more than ``limit`` the newest."""
        filters, newest = filters or Filters(), (decisions.c.decided_at.desc(), decisions.c.record_id.desc())
        after: tuple[Millis, str] | None = None
        left = limit
        while left is None or left > 0:
            statement = _whole().where(*self._where(filters))
            if after is not None:
                statement = statement.where(tuple_(decisions.c.decided_at, decisions.c.record_id) < tuple_(*after))
            size = _WALKED if left is None else min(left, _WALKED)
            with self._engine.connect() as connection:
                rows = connection.execute(statement.order_by(*newest).limit(size)).all()
            for row in rows:
                yield self._read(row)
            if len(rows) < size:
                return
            after = rows[-1].decided_at, rows[-1].record_id
            left = None if left is None else left - len(rows)

    def read(self, record_id: str) -> StoredDecision | Damaged | None:
        """As :meth:`get`, for readers who go on where the stored bytes are damaged."""
        with self._engine.connect() as connection:
            row = connection.execute(_whole().where(decisions.c.record_id == record_id)).one_or_none()
        return self._read(row) if row else None

    def newest(self, filters: Filters, limit: int) -> list[DecisionLine]:
        """The newest ``limit`` decisions that pass all filters, newest first; for samples and figures, so it has no pages."""
        statement = select(*_LINE).where(*self._where(filters))
        with self._engine.connect() as connection:
            rows = connection.execute(statement.order_by(decisions.c.decided_at.desc(), decisions.c.record_id.desc()).limit(limit))
            return self._lines(rows.all())

    def newest_groups(self, filters: Filters, limit: int) -> list[Mapping[str, Any]]:
        """The groups of the newest ``limit`` decisions that pass all filters, newest first, without the answers; damaged records are left out."""
        statement = select(records.c.record_id, records.c.body).join_from(decisions, records, decisions.c.record_id == records.c.record_id)
        statement = statement.where(*self._where(filters))
        with self._engine.connect() as connection:
            rows = connection.execute(statement.order_by(decisions.c.decided_at.desc(), decisions.c.record_id.desc()).limit(limit)).all()
        found: list[Mapping[str, Any]] = []
        for row in rows:
            with contextlib.suppress(RecordCorrupt):
                found.append(read_groups(opened(self._vault, row.record_id, bytes(row.body), b"").body))
        return found

    def count(self, filters: Filters) -> list[Counted]:
        """The decisions that pass all filters, by type and outcome; reads every one of them."""
        grouped = (decisions.c.type, decisions.c.outcome)
        told = (
            func.count().label("number"),
            func.min(decisions.c.decided_at).label("first"),
            func.max(decisions.c.decided_at).label("last"),
        )
        statement = select(*grouped, *told).where(*self._where(filters)).group_by(*grouped).order_by(*grouped)
        with self._engine.connect() as connection:
            return [Counted(row.type, row.outcome, row.number, row.first, row.last) for row in connection.execute(statement)]

    def ids(self, filters: Filters) -> Iterator[str]:
        """The ids of all decisions that pass all filters, in no order; read as they are asked for."""
        statement = select(decisions.c.record_id).where(*self._where(filters))
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=10_000).execute(statement).scalars()

    def lines(self, record_ids: Sequence[str]) -> list[DecisionLine]:
        """These decisions, in this order; those that there are not are left out."""
        found: dict[str, DecisionLine] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(record_ids), MAX_LIMIT):
                wanted = decisions.c.record_id.in_(record_ids[start : start + MAX_LIMIT])
                found |= {line.record_id: line for line in self._lines(connection.execute(select(*_LINE).where(wanted)).all())}
        return [found[record_id] for record_id in record_ids if record_id in found]

    def get(self, record_id: str) -> StoredDecision | None:
        """One decision with its record; ``None`` where there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(_whole().where(decisions.c.record_id == record_id)).one_or_none()
        return self._stored(row) if row else None

    def of_order(self, order_id: str, limit: int = MAX_LIMIT) -> Sequence[StoredDecision]:
        """The decisions of one order, oldest first; of more than ``limit`` the newest."""
        newest = (decisions.c.decided_at.desc(), decisions.c.record_id.desc())
        statement = _whole().where(decisions.c.order_id == order_id).order_by(*newest).limit(limit)
        with self._engine.connect() as connection:
            return [self._stored(row) for row in connection.execute(statement)][::-1]

    def types(self) -> Sequence[str]:
        """The decision types that decisions exist of, sorted; one index look-up a type, however many decisions there are."""
        found: list[str] = []
        with self._engine.connect() as connection:
            while (name := connection.execute(_NEXT_TYPE, {"after": found[-1] if found else ""}).scalar_one()) is not None:
                found.append(name)
        return found


_LOOKUP = select(decisions.c.record_id, decisions.c.fingerprint, decisions.c.response).where(
    decisions.c.principal == bindparam("principal"), decisions.c.idempotency_key.in_([bindparam("key"), bindparam("erased")])
)
_LATEST = select(func.max(decisions.c.order_version)).where(
    decisions.c.order_id == bindparam("order_id"), decisions.c.type == bindparam("type")
)
_RECALL = """SELECT record_id, fingerprint, response, NULL FROM decisions WHERE principal = {0} AND idempotency_key IN ({0}, {0})"""
_RECALL_ORDER = """ UNION ALL SELECT NULL, NULL, NULL, max(order_version) FROM decisions WHERE order_id = {0}"""
_NEXT_TYPE = select(func.min(decisions.c.type)).where(decisions.c.type > bindparam("after"))

_LINE = tuple(decisions.c[name] for name in DecisionLine.__dataclass_fields__)
_RECORD = (
    decisions.c.response,
    records.c.entry,
    records.c.leaf_hash,
    records.c.body,
    records.c.seeds,
    records.c.promised_at,
    records.c.publish_by,
    records.c.key_id,
    records.c.signature,
    records.c.seq,
)


@lru_cache(maxsize=4)
def _recall(mark: str, *, of_order: bool) -> str:
    return (_RECALL + _RECALL_ORDER if of_order else _RECALL).format(mark)


def _whole() -> Select[Any]:
    return select(*_LINE, *_RECORD).join_from(decisions, records, decisions.c.record_id == records.c.record_id)


def _line(row: SqlRow[Any], names: Mapping[str, str]) -> DecisionLine:
    facts = {name: getattr(row, name) for name in DecisionLine.__dataclass_fields__}
    customer = names.get(row.customer_id, row.customer_id)
    return DecisionLine(**{**facts, "customer_id": customer, "tags": unpack(row.tags), "reasons": unpack(row.reasons)})


def _stored(row: SqlRow[Any], vault: Vault | None) -> StoredDecision:
    receipt = Receipt(row.record_id, bytes(row.leaf_hash), row.promised_at, row.publish_by, row.key_id, bytes(row.signature))
    try:
        columns = opened(vault, row.record_id, bytes(row.body), bytes(row.seeds), bytes(row.response))
    except Erased:
        columns = Columns(b"", b"", b"")  # the key is gone, and what it opened is as good as gone
    response = columns.response or b""
    return StoredDecision(
        line=_line(row, {} if vault is None else vault.names([row.customer_id])),
        response=decompress(response) if response else b"",
        entry=bytes(row.entry),
        body=columns.body,
        seeds=columns.seeds,
        receipt=receipt,
        seq=row.seq,
    )


__all__ = [
    "MAX_LIMIT", "Answered", "Count", "Counted", "Damaged", "DecisionLine", "DecisionReader", "Filters", "Looked", "Page", "StoredDecision",
]  # fmt: skip
