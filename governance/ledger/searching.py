"""Search: pages of decisions, newest first, each for a bounded amount of work however many decisions there are.

What has an index (order, customer, type, time) is found at once. Everything else is looked for among at most :data:`LOOK` decisions of
that, and feature values, which only the records hold, in at most :data:`LOOK_INSIDE` of them. A page that ends there says how far it looked,
and its cursor goes on from there: no search has an end in time, and none keeps the database for long.
"""

from __future__ import annotations

import base64
import struct
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select, tuple_
from sqlalchemy import Row as SqlRow
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from feature_store.times import Millis
from governance.ledger.compression import decompress
from governance.ledger.errors import CursorInvalid, Erased, RecordCorrupt
from governance.ledger.feature_tests import FeatureTest, passes_all
from governance.ledger.opened import is_erased
from governance.ledger.rows import pack
from governance.ledger.tables import decisions, records
from governance.ledger.vault import Vault, opened
from governance.review_tables import overrides

MAX_LIMIT = 500
LOOK = 10_000
"""Decisions that one page looks at for what has no index."""
LOOK_INSIDE = 2_000
"""Records that one page opens for feature values."""
MAX_COUNT = 10_000
"""Decisions that are counted at most."""
_OPENED = 100
_CURSOR = struct.Struct(">BIq16s")
_CURSOR_VERSION = 1

Place = tuple[Millis, str]
"""Where a decision stands in the list: its time and its id."""
Columns = ReadOnlyColumnCollection[str, Any]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search is narrowed to; ``None`` lets everything through.

    Attributes:
        reason: a reason code; any of the decision's, shown or not.
        tag: one tag of the order.
        min_confidence: the least calibrated probability, included; ``max_confidence`` likewise.
        since: included; ``until`` is not.
        principal: who asked.
        overridden: whether an override by a person is in force.
        model_digests: one of these model artifacts answered.
        q: the id of a decision, an order or a customer; where there is none of it a request id, reason code, tag, outcome, channel or region.
        features: tests that the values of its snapshot pass, all of them.
    """

    order_id: str | None = None
    customer_id: str | None = None
    type: str | None = None
    outcome: str | None = None
    status: str | None = None
    model_version: int | None = None
    policy_version: int | None = None
    reason: str | None = None
    region: str | None = None
    channel: str | None = None
    tag: str | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    since: Millis | None = None
    until: Millis | None = None
    principal: str | None = None
    overridden: bool | None = None
    model_digest: str | None = None
    policy_digest: str | None = None
    model_digests: tuple[str, ...] | None = None
    q: str | None = None
    features: tuple[FeatureTest, ...] | None = None


_INDEXED = frozenset({"order_id", "customer_id", "type", "since", "until"})
"""Filters that an index answers."""


@dataclass(frozen=True, slots=True)
class Looked:
    """How far a page looked that may have ended before the end.

    Attributes:
        decisions: how many it looked at.
        back_to: when the last of them was decided; ``None`` where there was none.
    """

    decisions: int
    back_to: Millis | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many decisions pass; where not ``exact``, at least so many."""

    number: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of one page, newest first, and where the next one begins: ``None`` on the last."""

    rows: Sequence[SqlRow[Any]]
    after: Place | None
    looked: Looked | None = None


class Search:
    """One search on one connection.

    Args:
        connection: to read with.
        vault: opens records and knows customers; ``None`` where nothing is sealed.
        filters: what it is narrowed to.
        line: the columns to read of each decision; time and id among them.
    """

    def __init__(self, connection: Connection, vault: Vault | None, filters: Filters, line: Sequence[ColumnElement[Any]]) -> None:
        self._connection = connection
        self._vault = vault
        self._filters = filters
        self._line = line
        dialect = connection.dialect.name
        self._ordered = dialect == "postgresql"
        named = None if filters.q is None else _named(connection, vault, filters.q)
        self._indexed = conditions(filters, decisions.c, dialect, vault, lambda name: name in _INDEXED)
        if named is not None:
            self._indexed.append(named)

        def further(columns: Columns) -> list[ColumnElement[bool]]:
            found = conditions(filters, columns, dialect, vault, lambda name: name not in _INDEXED)
            if filters.q is not None and named is None:
                found.append(_mentioned(columns, filters.q, dialect))
            return found

        self._further = further

    def page(self, after: Place | None, limit: int) -> Found:
        """The next ``limit`` rows after a place."""
        if self._filters.features:
            return self._inside(after, limit, self._filters.features)
        rows = self._rows(after, limit + 1, LOOK)
        if len(rows) > limit:
            return Found(rows[:limit], _place(rows[limit - 1]))
        if not self._further(decisions.c):
            return Found(rows, None)
        end = self._end(after, LOOK)
        return Found(rows, end, None if end is None else Looked(LOOK, end[0]))

    def count(self) -> Count:
        """How many decisions pass, as far as :data:`MAX_COUNT` and :data:`LOOK` allow; not for feature values."""
        rest = bool(self._further(decisions.c))
        if rest:
            inner = self._within(None, LOOK, self._line).subquery("looked")
            counted = select(inner.c.record_id).where(*self._further(inner.c)).limit(MAX_COUNT + 1).subquery("counted")
        else:
            counted = (
                select(literal(1).label("one")).select_from(decisions).where(*self._indexed).limit(MAX_COUNT + 1).subquery("counted")
            )  # the index alone
        number = int(self._connection.execute(select(func.count()).select_from(counted)).scalar_one())
        if number > MAX_COUNT:
            return Count(MAX_COUNT, exact=False)
        return Count(number, exact=not rest or self._end(None, LOOK) is None)

    def _inside(self, after: Place | None, limit: int, tests: Sequence[FeatureTest]) -> Found:
        """Open records newest first until the page is full or enough were opened."""
        passed: list[SqlRow[Any]] = []
        looked, place = 0, after
        while looked < LOOK_INSIDE:
            began = place
            rows = self._rows(began, _OPENED, LOOK)
            bodies = self._bodies(rows)
            for row in rows:
                if len(passed) == limit:
                    return Found(passed, place, _looked(looked, place))
                looked, place = looked + 1, _place(row)
                if self._passes(row.record_id, bodies.get(row.record_id), tests):
                    passed.append(row)
            if len(rows) < _OPENED:
                end = self._end(began, LOOK) if self._further(decisions.c) else None
                return Found(passed, end, _looked(looked, end or place))
        return Found(passed, place, _looked(looked, place))

    def _passes(self, record_id: str, body: bytes | None, tests: Sequence[FeatureTest]) -> bool:
        if body is None:
            return False
        try:
            plain = opened(self._vault, record_id, body, b"").body
            # Not read_groups: what it checks besides takes longer than all the rest here, and is verify's to tell.
            return not is_erased(plain) and passes_all(tests, orjson.loads(decompress(plain)))
        except (Erased, RecordCorrupt, ValueError, TypeError, AttributeError):  # nothing is known of it; verify tells of what is damaged
            return False

    def _bodies(self, rows: Sequence[SqlRow[Any]]) -> dict[str, bytes]:
        if self._vault is not None:
            self._vault.names(row.customer_id for row in rows)  # their keys at once, not one by one
        wanted = select(records.c.record_id, records.c.body).where(records.c.record_id.in_([row.record_id for row in rows]))
        return {row.record_id: bytes(row.body) for row in self._connection.execute(wanted)}

    def _rows(self, after: Place | None, count: int, look: int) -> list[SqlRow[Any]]:
        """Up to ``count`` rows after a place that pass all but feature tests, among the next ``look`` that an index finds."""
        if not self._further(decisions.c):
            return list(self._connection.execute(self._within(after, count, self._line)).all())
        inner = self._within(after, look, self._line).subquery("looked")
        statement = select(inner).where(*self._further(inner.c)).limit(count)
        if self._ordered:  # it knows that this is no work; SQLite would sort, and hands the inner rows on in their order
            statement = statement.order_by(inner.c.decided_at.desc(), inner.c.record_id.desc())
        return sorted(self._connection.execute(statement).all(), key=_place, reverse=True)

    def _within(self, after: Place | None, look: int, line: Sequence[ColumnElement[Any]]) -> Select[Any]:
        statement = select(*line).where(*self._indexed)
        if after is not None:
            statement = statement.where(tuple_(decisions.c.decided_at, decisions.c.record_id) < tuple_(*after))
        return statement.order_by(decisions.c.decided_at.desc(), decisions.c.record_id.desc()).limit(look)

    def _end(self, after: Place | None, look: int) -> Place | None:
        """The last of the ``look`` decisions after a place; ``None`` where there are not more than these."""
        within = self._within(after, 2, (decisions.c.decided_at, decisions.c.record_id)).offset(look - 1)
        rows = self._connection.execute(within).all()
        return _place(rows[0]) if len(rows) == 2 else None


def conditions(
    filters: Filters, column: Columns, dialect: str, vault: Vault | None, wanted: Callable[[str], bool] = lambda _name: True
) -> list[ColumnElement[bool]]:
    """The conditions of the filters whose names are wanted; ``q`` and feature values are not among them."""
    position = func.instr if dialect == "sqlite" else func.strpos  # LIKE would ignore case on SQLite
    special: dict[str, Callable[[Any], ColumnElement[bool]]] = {
        "reason": lambda code: position(column.reasons, pack([code])) > 0,
        "tag": lambda tag: position(column.tags, pack([tag])) > 0,
        "min_confidence": lambda least: column.probability >= least,
        "max_confidence": lambda most: column.probability <= most,
        "since": lambda at: column.decided_at >= at,
        "until": lambda at: column.decided_at < at,
        "model_digests": column.model_digest.in_,
        "customer_id": lambda customer: column.customer_id.in_([customer] if vault is None else vault.spellings(customer)),
        "overridden": lambda yes: _overridden(column) if yes else ~_overridden(column),
    }
    found = []
    for one in fields(filters):
        value = getattr(filters, one.name)
        if value is not None and one.name not in {"q", "features"} and wanted(one.name):
            found.append(special[one.name](value) if one.name in special else column[one.name] == value)
    return found


def everything(connection: Connection, filters: Filters, vault: Vault | None) -> list[ColumnElement[bool]]:
    """All conditions but those on feature values, for readers who read every decision that passes."""
    dialect = connection.dialect.name
    found = conditions(filters, decisions.c, dialect, vault)
    if filters.q is not None:
        named = _named(connection, vault, filters.q)
        found.append(_mentioned(decisions.c, filters.q, dialect) if named is None else named)
    return found


def _overridden(column: Columns) -> ColumnElement[bool]:
    in_force = (overrides.c.kind == "override", overrides.c.state == "in_force")
    return select(overrides.c.override_id).where(overrides.c.decision_id == column.record_id, *in_force).exists()


def _named(connection: Connection, vault: Vault | None, text: str) -> ColumnElement[bool] | None:
    """The decisions that an id names; ``None`` where it names none. One look-up in an index each."""
    column = decisions.c
    customers = [text] if vault is None else vault.spellings(text)
    ways = (column.record_id == text, column.order_id == text, column.customer_id.in_(customers))
    known = [way for way in ways if connection.execute(select(column.record_id).where(way).limit(1)).first() is not None]
    return or_(*known) if known else None


def _mentioned(column: Columns, text: str, dialect: str) -> ColumnElement[bool]:
    position = func.instr if dialect == "sqlite" else func.strpos
    named = (column.request_id, column.outcome, column.channel, column.region, column.model_name)
    return or_(*(one == text for one in named), *(position(packed, pack([text])) > 0 for packed in (column.reasons, column.tags)))


def _place(row: SqlRow[Any]) -> Place:
    return row.decided_at, row.record_id


def _looked(decisions_: int, place: Place | None) -> Looked:
    return Looked(decisions_, None if place is None else place[0])


def _digest(filters: Filters) -> int:
    return zlib.crc32(repr(astuple(filters)).encode())


def write_cursor(place: Place, filters: Filters) -> str:
    """A cursor that goes on after a place, of a search with these filters."""
    raw = _CURSOR.pack(_CURSOR_VERSION, _digest(filters), place[0], uuid.UUID(place[1]).bytes)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_cursor(cursor: str, filters: Filters) -> Place:
    """Undo :func:`write_cursor`.

    Raises:
        CursorInvalid: it is none of this search.
    """
    try:
        version, digest, decided_at, record_id = _CURSOR.unpack(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        )
    except (ValueError, struct.error) as error:
        raise CursorInvalid("the cursor was not handed out by this search; start again without one") from error
    if version != _CURSOR_VERSION or digest != _digest(filters):
        raise CursorInvalid("the cursor belongs to a search with other filters; start again without one")
    return decided_at, str(uuid.UUID(bytes=record_id))
