"""Erasing again what a restored backup brought back: keys that were destroyed, rows and events of who was erased."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from sqlalchemy import Connection, Engine, insert, select

from feature_store import retention
from feature_store.database import reading
from feature_store.entities import EntityKey
from feature_store.tables import entity_states
from governance.changes import Scribe
from governance.erasure import KINDS, State, read_subject, wipe
from governance.erasure_rows import lock_records, overwrite
from governance.erasure_tables import erasures
from governance.ledger.record import Kind
from governance.ledger.subject_keys import MARK, Destroyed
from governance.ledger.tables import decisions
from governance.ledger.tile_folder import write_durable
from governance.ledger.vault import Vault

PRINCIPAL = "ordinance"


@dataclass(frozen=True, slots=True)
class Again:
    """What was erased again.

    Attributes:
        persons: whose keys, rows or events had come back.
        nameless: of these, whom nobody could name any more: what is found by pseudonym was written over.
    """

    persons: int
    nameless: int
    records: int


def write_destroyed(path: Path, gone: Iterable[Destroyed]) -> None:
    """Keep which keys were destroyed in a file outside the home, where no backup of it brings them back. It names nobody."""
    known = {one.pseudonym: one for one in (*read_destroyed(path), *gone)}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = (
        orjson.dumps({"pseudonym": one.pseudonym, "token": one.token.hex(), "destroyed_at": one.destroyed_at}) for one in known.values()
    )
    write_durable(path, b"".join(line + b"\n" for line in lines))
    path.chmod(0o600)


def read_destroyed(path: Path) -> list[Destroyed]:
    """What :func:`write_destroyed` kept; nothing where there is no file."""
    if not path.exists():
        return []
    told = (orjson.loads(line) for line in path.read_bytes().splitlines())
    return [Destroyed(one["pseudonym"], bytes.fromhex(one["token"]), one["destroyed_at"]) for one in told]


def erase_again(engine: Engine, vault: Vault, scribe: Scribe, gone: Iterable[Destroyed]) -> Again:
    """Erase everybody whose key was destroyed, wherever a restored backup knows them again.

    Args:
        engine: of the restored database.
        vault: of the restored home.
        scribe: records what was done.
        gone: keys that were destroyed, from every place that remembers them.
    """
    known = {one.pseudonym: one for one in (*vault.keys.destroyed(), *gone)}
    vault.keys.note_destroyed(known.values())
    keys = vault.keys.named(known)
    with reading(engine).connect() as connection:
        done_before = set(connection.execute(select(erasures.c.pseudonym).where(erasures.c.state == State.DONE.value)).scalars())
    # Whoever was erased before the backup was made may have come back since: of them only the key goes, where an older copy brought it.
    vault.keys.destroy([key for pseudonym, key in keys.items() if pseudonym in done_before], scribe.clock())
    wanted = {pseudonym: one for pseudonym, one in known.items() if pseudonym not in done_before}
    keys = {pseudonym: key for pseudonym, key in keys.items() if pseudonym in wanted}
    with reading(engine).connect() as connection:
        met = {one.pseudonym for one in wanted.values() if one.pseudonym in keys} | _decided(connection, wanted)
        named = _names(connection, vault, {one.token: one.pseudonym for one in wanted.values()})
    subjects = named | {pseudonym: read_subject(key.subject) for pseudonym, key in keys.items()}
    records = 0
    for pseudonym in sorted(met | set(named)):
        subject = subjects.get(pseudonym)
        at = scribe.clock()
        with engine.begin() as connection:
            lock_records(connection)
            done = overwrite(connection, vault, subject, [pseudonym])
        records += done.records
        if subject is not None:
            retention.erase(engine, subject, order_ids=done.orders, thorough=False)
        vault.keys.destroy([keys[pseudonym]] if pseudonym in keys else [], at)
        with engine.begin() as connection:
            change = {"what": "erased_again", "pseudonym": pseudonym, "because": "a backup was restored", "records": done.records}
            record_id = scribe.record(connection, Kind.ERASURE, change, principal=PRINCIPAL, at=at).record_id
            row = {
                "erasure_id": record_id, "pseudonym": pseudonym, "subject": b"", "state": State.DONE.value, "requested_by": PRINCIPAL,
                "requested_at": at, "done_at": at, "record_id": record_id,
            }  # fmt: skip
            connection.execute(insert(erasures), row)
    if met or named:
        wipe(engine, thorough=True)
    return Again(len(met | set(named)), len(met - set(subjects)), records)


def _decided(connection: Connection, wanted: Mapping[str, Destroyed]) -> set[str]:
    """Pseudonyms with decisions that still hold something."""
    pseudonyms, met = sorted(wanted), set[str]()
    for at in range(0, len(pseudonyms), 400):
        part = pseudonyms[at : at + 400]
        statement = select(decisions.c.customer_id).distinct().where(decisions.c.customer_id.in_(part), decisions.c.response != b"")
        met |= set(connection.execute(statement).scalars())
    return met


def _names(connection: Connection, vault: Vault, pseudonyms: Mapping[bytes, str]) -> dict[str, EntityKey]:
    """The persons in the feature store and in unsealed rows whose keyed digest is that of a destroyed key, by pseudonym."""
    found: dict[str, EntityKey] = {}
    if pseudonyms:
        for subject in _known(connection):
            pseudonym = pseudonyms.get(vault.keys.token(f"{subject.entity.value}:{subject.key}"))
            if pseudonym is not None:
                found[pseudonym] = subject
    return found


def _known(connection: Connection) -> Iterator[EntityKey]:
    kinds = select(entity_states.c.entity, entity_states.c.key).where(entity_states.c.entity.in_(list(KINDS)))
    for row in connection.execute(kinds):
        yield EntityKey(KINDS[row.entity], row.key)
    bare = select(decisions.c.customer_id).distinct().where(decisions.c.customer_id.is_not(None), ~decisions.c.customer_id.startswith(MARK))
    for customer in connection.execute(bare).scalars():
        yield EntityKey(KINDS["customer"], customer)
