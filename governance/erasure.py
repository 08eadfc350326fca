"""Erasing a person: asked for by one, confirmed by another, forbidden by a legal hold, carried out in every store, recorded.

What is erased, and what stays, is the matrix of ``docs/privacy.md``. Carrying it out is a list of steps, each of which leaves what was done
before as it is, so that an erasure that was interrupted is confirmed again and goes on. Records and their proofs never change: what is
written over is what they stand for.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.exc import DBAPIError

from feature_store import retention
from feature_store.database import reading
from feature_store.entities import EntityKey
from feature_store.retention import ErasureRefused
from feature_store.times import Millis
from governance.changes import Scribe
from governance.erasure_rows import Overwritten, listed, lock_records, overwrite
from governance.erasure_tables import erasures, legal_holds
from governance.ledger.ids import new_record_id
from governance.ledger.record import Kind
from governance.ledger.store import Damaged, DecisionReader, Filters, StoredDecision
from governance.ledger.subject_keys import SubjectKey
from governance.ledger.vault import Vault

KINDS: Final = {entity.value: entity for entity in retention.FIELDS}
"""Kinds of persons, and of what leads to one."""

Replayed = Callable[[StoredDecision | Damaged], str]
"""The verdict of replaying a decision."""


class SecondPersonNeeded(ErasureRefused):
    """Whoever asked for an erasure cannot confirm it."""


class SubjectUnknown(ErasureRefused):
    """Nothing is kept of this person, or there is no such request."""


class State(StrEnum):
    """How far an erasure has come."""

    REQUESTED = "requested"
    WITHDRAWN = "withdrawn"
    CONFIRMED = "confirmed"
    """Begun, and perhaps interrupted: confirm it again."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. ``subject`` is empty once it is done."""

    erasure_id: str
    pseudonym: str
    subject: str
    state: State
    requested_by: str
    requested_at: Millis
    settled_by: str | None
    settled_at: Millis | None
    done_at: Millis | None
    record_id: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: while it is in force nothing of the person is erased."""

    hold_id: str
    pseudonym: str
    subject: str
    placed_by: str
    placed_at: Millis
    lifted_by: str | None
    lifted_at: Millis | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an erasure did.

    Attributes:
        told: what its record says: counts by store, verdicts of the replays, what was left.
        wiped: whether freed pages were written over; ``False`` where a reader stood in the way.
    """

    erasure: Erasure
    told: dict[str, Any]
    wiped: bool


def read_subject(text: str) -> EntityKey:
    """A person as ``TYPE:ID``.

    Raises:
        ErasureRefused: it is none.
    """
    kind, _, name = text.partition(":")
    if kind not in KINDS or not name or "\x00" in text or len(text) > 300:
        raise ErasureRefused(f"{text!r:.80} is not TYPE:ID with one of the types {', '.join(KINDS)}.")
    return EntityKey(KINDS[kind], name)


@dataclass(frozen=True)
class Erasures:
    """Requests, holds, and the carrying out. Its methods block, and write.

    Attributes:
        replayed: replays a decision before it is erased.
        leftovers: what of the person is kept elsewhere and was not erased, as sentences for the record; asked when all else is done.
        destroyed: called when keys were destroyed, to note it where a backup does not bring them back.
    """

    engine: Engine
    vault: Vault
    scribe: Scribe
    replayed: Replayed
    leftovers: Callable[[EntityKey], Sequence[str]] = field(default=lambda _subject: ())
    destroyed: Callable[[], None] = field(default=lambda: None)

    def request(self, subject: str, principal: str) -> Erasure:
        """Ask for an erasure; asking twice is asking once.

        Raises:
            ErasureRefused: it is no person, or a legal hold forbids it.
        """
        read_subject(subject)
        at = self.scribe.clock()
        with self.engine.begin() as connection, self.vault.keys.writing():
            key = self._key(subject)
            _refuse_held(connection, key)
            waiting = erasures.c.pseudonym == key.pseudonym, erasures.c.state == State.REQUESTED.value
            found = connection.execute(select(erasures).where(*waiting).limit(1)).one_or_none()
            if found is not None:
                return self._erasure(found)
            erasure_id = new_record_id()
            row = {
                "erasure_id": erasure_id, "pseudonym": key.pseudonym, "subject": self._sealed(key, erasure_id),
                "state": State.REQUESTED.value, "requested_by": principal, "requested_at": at,
            }  # fmt: skip
            connection.execute(insert(erasures), row)
            self._record(connection, {"what": "requested", "erasure_id": erasure_id, "pseudonym": key.pseudonym}, principal, at)
        return self.get(erasure_id)

    def withdraw(self, erasure_id: str, principal: str) -> Erasure:
        """Take a request back, one's own or another's.

        Raises:
            SubjectUnknown: there is no such request.
            ErasureRefused: it was confirmed already.
        """
        at = self.scribe.clock()
        with self.engine.begin() as connection:
            row = _locked(connection, erasure_id)
            if row.state != State.REQUESTED.value:
                raise ErasureRefused(f"The erasure is {row.state}; it cannot be taken back.")
            self._settle(connection, erasure_id, State.WITHDRAWN, principal, at)
            self._record(connection, {"what": "withdrawn", "erasure_id": erasure_id, "pseudonym": row.pseudonym}, principal, at)
        return self.get(erasure_id)

    def confirm(self, erasure_id: str, principal: str, *, thorough: bool = True, alone: bool = False) -> Outcome:
        """Confirm a request and carry it out; an interrupted one goes on.

        Args:
            erasure_id: of the request.
            principal: somebody else than who asked.
            thorough: write freed pages over at once, which on PostgreSQL and SQLite keeps others waiting meanwhile.
            alone: let one person do it, which is recorded; for demo homes only.

        Raises:
            SubjectUnknown: there is no such request.
            SecondPersonNeeded: the one who asked for it confirms.
            ErasureRefused: a legal hold forbids it, or it was withdrawn.
        """
        at = self.scribe.clock()
        with self.engine.begin() as connection:
            row = _locked(connection, erasure_id)
            if row.state in {State.WITHDRAWN.value, State.DONE.value}:
                raise ErasureRefused(f"The erasure is {row.state} already.")
            if row.requested_by == principal and not alone:
                raise SecondPersonNeeded("Whoever asks for an erasure cannot confirm it: somebody else has to.")
            key = self.vault.keys.named([row.pseudonym]).get(row.pseudonym)
            if key is None:
                return self._resume_end(connection, row, principal)
            _refuse_held(connection, key)
            _refuse_listed(connection, key, at)
            if row.state == State.REQUESTED.value:
                self._settle(connection, erasure_id, State.CONFIRMED, principal, at)
                change = {"what": "confirmed", "erasure_id": erasure_id, "pseudonym": key.pseudonym}
                self._record(connection, change | ({"without_second_person": "demo home"} if alone else {}), principal, at)
        return self._carry_out(erasure_id, key, principal, thorough=thorough)

    def get(self, erasure_id: str) -> Erasure:
        """One erasure.

        Raises:
            SubjectUnknown: there is none of this id.
        """
        with reading(self.engine).connect() as connection:
            row = connection.execute(select(erasures).where(erasures.c.erasure_id == erasure_id)).one_or_none()
        if row is None:
            raise SubjectUnknown(f"There is no erasure {erasure_id!r}.")
        return self._erasure(row)

    def list(self, limit: int = 200) -> list[Erasure]:
        """The newest erasures, newest first."""
        with reading(self.engine).connect() as connection:
            rows = connection.execute(
                select(erasures).order_by(erasures.c.requested_at.desc(), erasures.c.erasure_id.desc()).limit(limit)
            ).all()
        return [self._erasure(row) for row in rows]

    def place_hold(self, subject: str, principal: str, reason: str) -> Hold:
        """Forbid that a person is erased; several holds may be in force.

        Raises:
            ErasureRefused: it is no person.
        """
        read_subject(subject)
        hold_id, at = new_record_id(), self.scribe.clock()
        with self.engine.begin() as connection, self.vault.keys.writing():
            key = self._key(subject)
            row = {
                "hold_id": hold_id,
                "pseudonym": key.pseudonym,
                "subject": self._sealed(key, hold_id),
                "placed_by": principal,
                "placed_at": at,
            }
            connection.execute(insert(legal_holds), row)
            change = {"what": "placed", "hold_id": hold_id, "pseudonym": key.pseudonym, "reason": reason}
            self.scribe.record(connection, Kind.LEGAL_HOLD, change, principal=principal, at=at)
        return self.hold(hold_id)

    def lift_hold(self, hold_id: str, principal: str, reason: str) -> Hold:
        """Lift a hold.

        Raises:
            SubjectUnknown: there is none of this id in force.
        """
        at = self.scribe.clock()
        with self.engine.begin() as connection:
            changed = connection.execute(
                update(legal_holds)
                .where(legal_holds.c.hold_id == hold_id, legal_holds.c.lifted_at.is_(None))
                .values(lifted_by=principal, lifted_at=at)
            )
            if changed.rowcount != 1:
                raise SubjectUnknown(f"There is no legal hold {hold_id!r} in force.")
            change = {"what": "lifted", "hold_id": hold_id, "reason": reason}
            self.scribe.record(connection, Kind.LEGAL_HOLD, change, principal=principal, at=at)
        return self.hold(hold_id)

    def hold(self, hold_id: str) -> Hold:
        """One hold.

        Raises:
            SubjectUnknown: there is none of this id.
        """
        with reading(self.engine).connect() as connection:
            row = connection.execute(select(legal_holds).where(legal_holds.c.hold_id == hold_id)).one_or_none()
        if row is None:
            raise SubjectUnknown(f"There is no legal hold {hold_id!r}.")
        return self._hold(row)

    def holds(self) -> Sequence[Hold]:
        """The holds in force, oldest first."""
        with reading(self.engine).connect() as connection:
            rows = connection.execute(select(legal_holds).where(legal_holds.c.lifted_at.is_(None)).order_by(legal_holds.c.placed_at)).all()
        return [self._hold(row) for row in rows]

    def _carry_out(self, erasure_id: str, key: SubjectKey, principal: str, *, thorough: bool) -> Outcome:
        subject = read_subject(key.subject)
        # 1. What can be replayed is replayed while it can be, and that is recorded first.
        verdicts = self._attest(erasure_id, key, principal)
        # 2. From here on nothing is sealed under the key; what the person does next gets another one, which goes as well.
        at = self.scribe.clock()
        self.vault.keys.retire(key.subject, at)
        keys = self.vault.keys.retired(key.subject)
        # 3. Rows of the ledger: what they held is written over, the digests stay.
        with self.engine.begin() as connection:
            lock_records(connection)
            done = overwrite(connection, self.vault, subject, [one.pseudonym for one in keys])
        # 4. The feature store.
        forgotten = retention.erase(self.engine, subject, order_ids=done.orders, thorough=False)
        # 5. The keys: from here on nobody opens what a backup of the database has.
        emptied = self.vault.keys.destroy(keys, at)
        self.destroyed()
        # 6. The record, and the end of the request.
        told = _told(erasure_id, key, keys, verdicts, done, forgotten, self.leftovers(subject))
        with self.engine.begin() as connection:
            self._end(connection, erasure_id, [one.pseudonym for one in keys], told, principal)
        # 7. Pages that became free.
        wiped = wipe(self.engine, thorough=thorough)
        return Outcome(self.get(erasure_id), told, wiped and emptied)

    def _resume_end(self, connection: Connection, row: Row[Any], principal: str) -> Outcome:
        """End an erasure that was interrupted after its keys were destroyed: everything but its record was done."""
        told = {
            "what": "erased",
            "erasure_id": row.erasure_id,
            "pseudonym": row.pseudonym,
            "keys_destroyed": [row.pseudonym],
            "interrupted": True,
        }
        self._end(connection, row.erasure_id, [row.pseudonym], told, principal)
        facts = {**row._mapping, "state": State.DONE, "subject": ""}  # noqa: SLF001 - its public name
        return Outcome(Erasure(**facts), told, wiped=False)

    def _end(self, connection: Connection, erasure_id: str, pseudonyms: Sequence[str], told: dict[str, Any], principal: str) -> None:
        end = self.scribe.clock()
        record_id = self._record(connection, told, principal, end)
        ended = {"state": State.DONE.value, "done_at": end, "record_id": record_id}
        connection.execute(update(erasures).where(erasures.c.erasure_id == erasure_id).values(**ended))
        connection.execute(update(erasures).where(erasures.c.pseudonym.in_(pseudonyms)).values(subject=b""))
        connection.execute(update(legal_holds).where(legal_holds.c.pseudonym.in_(pseudonyms)).values(subject=b""))

    def _attest(self, erasure_id: str, key: SubjectKey, principal: str) -> Counter[str]:
        """Replay the person's decisions and record what came of it."""
        verdicts: Counter[str] = Counter()
        decisions: dict[str, str] = {}
        if key.subject.startswith("customer:"):
            for stored in DecisionReader(self.engine).walk(Filters(customer_id=key.subject.partition(":")[2])):
                verdict = self.replayed(stored)
                verdicts[verdict] += 1
                decisions[stored.line.record_id] = verdict
        if decisions:
            change = {"what": "replay_verified", "erasure_id": erasure_id, "pseudonym": key.pseudonym, "verdicts": decisions}
            with self.engine.begin() as connection:
                self._record(connection, change, principal, self.scribe.clock())
        return verdicts

    def _record(self, connection: Connection, change: dict[str, Any], principal: str, at: Millis) -> str:
        return self.scribe.record(connection, Kind.ERASURE, change, principal=principal, at=at).record_id

    def _key(self, subject: str) -> SubjectKey:
        return self.vault.keys.ensure([subject])[subject]

    def _sealed(self, key: SubjectKey, place: str) -> bytes:
        return self.vault.seal(key, place, "subject", key.subject.encode())

    def _subject(self, place: str, stored: bytes) -> str:
        return self.vault.read(place, "subject", stored).decode()

    def _erasure(self, row: Row[Any]) -> Erasure:
        facts = dict(row._mapping)  # noqa: SLF001 - its public name
        return Erasure(**{**facts, "state": State(row.state), "subject": self._subject(row.erasure_id, bytes(row.subject))})

    def _hold(self, row: Row[Any]) -> Hold:
        facts = dict(row._mapping)  # noqa: SLF001 - its public name
        return Hold(**{**facts, "subject": self._subject(row.hold_id, bytes(row.subject))})

    @staticmethod
    def _settle(connection: Connection, erasure_id: str, state: State, principal: str, at: Millis) -> None:
        values = {"state": state.value, "settled_by": principal, "settled_at": at}
        connection.execute(update(erasures).where(erasures.c.erasure_id == erasure_id).values(**values))


def wipe(engine: Engine, *, thorough: bool) -> bool:
    """Write over what became free in the ledger's tables and the feature store's; returns whether that could be done."""
    done = retention.wipe(engine) if thorough else retention.tidy(engine)
    if engine.dialect.name == "postgresql":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for table in ("records", "decisions", "reviews", "outcome_labels", "list_entries", "erasures", "legal_holds"):
                connection.exec_driver_sql(f"VACUUM ({'FULL, ' if thorough else ''}ANALYZE) {table}")
            with contextlib.suppress(DBAPIError):  # not everybody may: then the server's own log forgets when it comes round
                connection.exec_driver_sql("SELECT pg_switch_wal()")
                connection.exec_driver_sql("CHECKPOINT")
    return done


def _told(  # noqa: PLR0917 - a record has as many parts as it has
    erasure_id: str, key: SubjectKey, keys: Iterable[SubjectKey], verdicts: Counter[str], done: Overwritten,
    forgotten: retention.Forgotten, left: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """What the record of an erasure says: no id of the person, of an order or of anything that leads to one."""
    return {
        "what": "erased",
        "erasure_id": erasure_id,
        "pseudonym": key.pseudonym,
        "kind": key.subject.partition(":")[0],
        "keys_destroyed": [one.pseudonym for one in keys],
        "replays": dict(verdicts),
        "records": {"overwritten": done.records, "damaged": done.damaged, "decisions": done.decisions, "list_entries": done.list_entries},
        "features": {"events": forgotten.events, "changed": forgotten.changed, "states": forgotten.states, "refolded": forgotten.refolded},
        "left": list(left),
    }


def _locked(connection: Connection, erasure_id: str) -> Row[Any]:
    row = connection.execute(select(erasures).where(erasures.c.erasure_id == erasure_id).with_for_update()).one_or_none()
    if row is None:
        raise SubjectUnknown(f"There is no erasure {erasure_id!r}.")
    return row


def _refuse_listed(connection: Connection, key: SubjectKey, at: Millis) -> None:
    entry_id = listed(connection, read_subject(key.subject), at)
    if entry_id is not None:
        raise ErasureRefused(f"A list names this person, in the entry {entry_id}, which is in force; remove it first.")


def _refuse_held(connection: Connection, key: SubjectKey) -> None:
    held = connection.execute(
        select(legal_holds.c.hold_id, legal_holds.c.placed_by)
        .where(legal_holds.c.pseudonym == key.pseudonym, legal_holds.c.lifted_at.is_(None))
        .limit(1)
    ).one_or_none()
    if held is not None:
        raise ErasureRefused(f"A legal hold of {held.placed_by} forbids it; lift hold {held.hold_id} first.")
