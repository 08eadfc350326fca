"""Who read what: reads of people who judge become records, several to a record, and are read back from there."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Engine, select, tuple_
from sqlalchemy.exc import DBAPIError

from feature_store.times import Millis, format_time, parse_time
from governance.access import Principal
from governance.changes import Scribe
from governance.ledger.errors import Erased, RecordCorrupt
from governance.ledger.opened import read_groups
from governance.ledger.record import Kind
from governance.ledger.tables import records
from governance.ledger.vault import opened, vault_of

log = logging.getLogger(__name__)

FLUSH_S: Final = 2.0
"""A read is durable at the latest so much later, while the database answers."""
FLUSH_AT: Final = 200
"""Or when so many wait."""
MAX_WAITING: Final = 20_000
"""Reads that wait while the database does not answer; what comes on top is counted, not told."""
_WALKED = 100


@dataclass(frozen=True, slots=True)
class Read:
    """One read.

    Attributes:
        what: ``decision``, ``explanation``, ``timeline``, ``search``, ``replay``, ``recourse``, ``affected``, ``sample``, ``page``, ...
        of: what it was of: an id, or the filters.
        times: how often, in a row.
    """

    principal: str
    role: str
    what: str
    of: Mapping[str, str]
    at: Millis
    times: int = 1

    def to_json(self) -> dict[str, Any]:
        """As a record holds it."""
        return {
            "principal": self.principal, "role": self.role, "what": self.what, "of": dict(self.of), "at": format_time(self.at),
            "times": self.times,
        }  # fmt: skip


@dataclass
class ReadLog:
    """Gathers reads and writes them down, away from those who read.

    :meth:`note` costs no more than an append; a thread writes one record for all that has come together.
    """

    engine: Engine
    scribe: Scribe
    every_s: float = FLUSH_S
    _waiting: list[Read] = field(default_factory=list)
    _lost: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin to write; what waits when the process ends in order is written then."""
        threading.Thread(target=self._follow, name="reads", daemon=True).start()
        atexit.register(self._last)

    def note(self, caller: Principal, what: str, of: Mapping[str, str]) -> None:
        """Remember a read; ids of customers become their pseudonyms."""
        self.note_as(caller.name, caller.role.value, what, of)

    def note_as(self, principal: str, role: str, what: str, of: Mapping[str, str]) -> None:
        """As :meth:`note`, of whoever is signed in."""
        read = Read(principal, role, what, {name: text[:256] for name, text in of.items() if text}, self.scribe.clock())
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                self._lost += 1
                return
            self._waiting.append(read)
            enough = len(self._waiting) >= FLUSH_AT
        if enough:
            self._wake.set()

    def flush(self) -> int:
        """Write what waits, in one record; returns how many reads it holds."""
        with self._writing:
            with self._lock:
                batch, lost = self._waiting[:FLUSH_AT], self._lost
            if not batch:
                return 0
            told = [self._veiled(read) for read in _counted(batch)]
            change: dict[str, Any] = {"reads": told, "from": format_time(batch[0].at), "to": format_time(batch[-1].at), "lost": lost}
            with self.engine.begin() as connection:
                self.scribe.record(connection, Kind.READS, change, principal="ordinance", at=self.scribe.clock())
            with self._lock:
                del self._waiting[: len(batch)]
                self._lost -= lost
            return len(batch)

    def _veiled(self, read: Read) -> dict[str, Any]:
        """A read as it is written: nothing in it names a customer, so that an erasure has nothing to erase here."""
        told, vault = read.to_json(), vault_of(self.engine)
        if vault is not None:
            told["of"] = {name: self._pseudonym(text) if name in {"customer_id", "q"} else text for name, text in read.of.items()}
        return told

    def _pseudonym(self, text: str) -> str:
        vault = vault_of(self.engine)
        return text if vault is None else next(iter(vault.spellings(text)[1:]), text if _word(text) else "(unknown)")

    def _follow(self) -> None:
        while True:
            self._wake.wait(self.every_s)
            self._wake.clear()
            self._flush_all()

    def _flush_all(self) -> None:
        try:
            while self.flush():
                pass
        except (DBAPIError, OSError):  # they wait for the next turn
            log.exception("reads could not be recorded")

    def _last(self) -> None:
        self._flush_all()


def _word(text: str) -> bool:
    """Whether it is a code of ours, as ``SUPPLIER_CAPACITY_LOW``, or the id of a record: what may stay as it is."""
    return (text.isascii() and text.replace("_", "").isupper() and text.replace("_", "").isalpha()) or (
        len(text) == 36 and text.count("-") == 4
    )


def _counted(batch: Sequence[Read]) -> Iterator[Read]:
    """The same read several times in a row is told once, with its number."""
    last: Read | None = None
    for read in batch:
        if last is not None and (last.principal, last.role, last.what, last.of) == (read.principal, read.role, read.what, read.of):
            last = Read(last.principal, last.role, last.what, last.of, last.at, last.times + 1)
            continue
        if last is not None:
            yield last
        last = read
    if last is not None:
        yield last


@dataclass(frozen=True, slots=True)
class Wanted:
    """What reads are narrowed to; ``None`` lets everything through.

    Attributes:
        of: a text that one of the values of ``of`` is: an id, a filter's value.
    """

    principal: str | None = None
    role: str | None = None
    what: str | None = None
    of: str | None = None
    since: Millis | None = None
    until: Millis | None = None

    def passes(self, told: Mapping[str, Any]) -> bool:
        """Whether one read is wanted."""
        at = parse_time(told["at"])
        return (
            all(getattr(self, name) in {None, told[name]} for name in ("principal", "role", "what"))
            and (self.of is None or self.of in told["of"].values())
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Reads:
    """Reads, newest record first, and after which record the next page begins: ``None`` on the last."""

    items: Sequence[Mapping[str, Any]]
    after: tuple[Millis, str] | None


LOOK = 2_000
"""Records that one page opens."""


def list_reads(engine: Engine, wanted: Wanted, after: tuple[Millis, str] | None, limit: int) -> Reads:
    """Reads of people and exports, newest first; whole records, so that a page may hold a few more than ``limit``."""
    kinds = [Kind.READS.value, Kind.EXPORT.value]
    found: list[Mapping[str, Any]] = []
    vault, place, looked = vault_of(engine), after, 0
    while looked < LOOK:
        statement = select(records.c.record_id, records.c.recorded_at, records.c.kind, records.c.body).where(records.c.kind.in_(kinds))
        if place is not None:
            statement = statement.where(tuple_(records.c.recorded_at, records.c.record_id) < tuple_(*place))
        if wanted.since is not None:
            statement = statement.where(records.c.recorded_at >= wanted.since)
        with engine.connect() as connection:
            rows = connection.execute(statement.order_by(records.c.recorded_at.desc(), records.c.record_id.desc()).limit(_WALKED)).all()
        for row in rows:
            if len(found) >= limit:
                return Reads(found, place)
            place, looked = (row.recorded_at, row.record_id), looked + 1
            try:
                groups = read_groups(opened(vault, row.record_id, bytes(row.body), b"").body)
            except (Erased, RecordCorrupt):  # verify tells of it
                continue
            told = groups["change"]["reads"] if row.kind == Kind.READS.value else [_export(groups)]
            found += [{**one, "record_id": row.record_id} for one in reversed(told) if wanted.passes(one)]
        if len(rows) < _WALKED:
            return Reads(found, None)
    return Reads(found, place)


def _export(groups: Mapping[str, Any]) -> dict[str, Any]:
    change = groups["change"]
    told = {"format": change["format"], "state": change["state"], "rows": str(change["rows"]), **change["filters"]}
    return {
        "principal": groups["people"]["principal"], "role": change["role"], "what": "export", "of": told, "at": change["at"], "times": 1,
    }  # fmt: skip
