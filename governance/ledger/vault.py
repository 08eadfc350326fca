"""Sealing what records hold of persons, and opening it: the one place where stored columns and the keys of their subjects meet.

A record that speaks of a data subject is stored sealed: body, seeds and answer each as one AES-256-GCM text under the subject's key, with the
record's id and the column as what they belong to, so that none can be moved to another place. What the record commits to is the plain text:
its leaf, receipt and proofs are the same with and without sealing, and stay valid when the key is destroyed. A record without a subject, and
one that was written before there were keys, is stored as it is; both are told apart by their first bytes.

The vault travels with the engine (:func:`with_vault`), so that whatever reads or writes the database's records finds it there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine

from governance.ledger.errors import Erased, RecordCorrupt
from governance.ledger.subject_keys import MARK, SubjectKey, SubjectKeys, pseudonym_of

if TYPE_CHECKING:
    from governance.ledger.rows import Row

SEALED: Final = b"\xa5\x01"
"""How a sealed column begins: then 16 bytes of pseudonym, 12 of nonce, the sealed text, 16 of tag. Neither zstd nor JSON begins so."""
HOLLOW: Final = b"\xa5\x00"
"""How the body of an erased record begins: then zstd of what is left of it (:func:`governance.ledger.opened.hollow`)."""

_HEAD = len(SEALED) + 16
_NONCE = 12
_OPTION = "ordinance_vault"


@dataclass(frozen=True, slots=True)
class Columns:
    """What is stored of a record, opened; ``response`` is ``None`` for records that are no decision."""

    body: bytes
    seeds: bytes
    response: bytes | None = None


class Vault:
    """Seals and opens the records of one home."""

    def __init__(self, keys: SubjectKeys) -> None:
        self.keys = keys

    @contextmanager
    def sealing(self, rows: Sequence[Row]) -> Iterator[Mapping[str, SubjectKey]]:
        """The keys of all subjects of these rows; insert them before this ends."""
        subjects = {subject for row in rows for subject in row.sealed.subjects}
        if not subjects:
            yield {}
            return
        with self.keys.writing():
            yield self.keys.ensure(subjects)

    def open(self, record_id: str, column: str, stored: bytes) -> bytes:
        """One stored column as it was before sealing.

        Raises:
            Erased: it is sealed under a key that was destroyed.
            RecordCorrupt: it is damaged, or belongs to another record.
        """
        if not stored.startswith(SEALED):
            return stored
        pseudonym = pseudonym_of(stored[len(SEALED) : _HEAD])
        key = self.keys.named([pseudonym]).get(pseudonym)
        if key is None:
            raise Erased(record_id)
        return _open(key, record_id, column, stored)

    def open_all(self, record_id: str, body: bytes, seeds: bytes, response: bytes | None = None) -> Columns:
        """What is stored of one record, as before sealing.

        Raises:
            Erased: it is sealed under a key that was destroyed.
            RecordCorrupt: it is damaged, or belongs to another record.
        """
        opened = None if response is None else self.open(record_id, "response", response)
        return Columns(self.open(record_id, "body", body), self.open(record_id, "seeds", seeds), opened)

    def seal(self, key: SubjectKey, place: str, column: str, plain: bytes) -> bytes:
        """A value that is no record's, sealed for one place."""
        return seal_column(key, place, column, plain)

    def read(self, place: str, column: str, stored: bytes) -> bytes:
        """What :meth:`seal` sealed; empty once its key was destroyed."""
        try:
            return self.open(place, column, stored)
        except Erased:
            return b""

    def names(self, stored: Iterable[str | None]) -> dict[str, str]:
        """The customer ids behind what stands in the columns of customers; a pseudonym whose key was destroyed stays what it is."""
        wanted = {one for one in stored if one is not None and one.startswith(MARK)}
        return {name: key.subject.partition(":")[2] for name, key in self.keys.named(wanted).items()} if wanted else {}

    def erased_key(self, principal: str, idempotency_key: str) -> str:
        """What stands in the place of an idempotency key whose answer was erased: a retry is found by it, the key is not told by it."""
        return MARK + self.keys.token(f"key\n{principal}\n{idempotency_key}").hex()

    def spellings(self, customer_id: str) -> list[str]:
        """What may stand for a customer in the database: its pseudonym, and its id in records from before there were any."""
        found = self.keys.find([f"customer:{customer_id}"])
        return [customer_id, *(key.pseudonym for key in found.values())]


def load_vault(folder: Path) -> Vault:
    """The vault of a home, from its folder of keys.

    Raises:
        KeyFileInvalid: the keys are damaged or incomplete.
    """
    return Vault(SubjectKeys(folder))


def with_vault(engine: Engine, vault: Vault) -> Engine:
    """The same database and pool, with the vault that opens its records."""
    return engine.execution_options(**{_OPTION: vault})


def vault_of(source: Engine | Connection) -> Vault | None:
    """The vault that an engine, or a connection of it, brings along."""
    found = source.get_execution_options().get(_OPTION)
    return found if isinstance(found, Vault) else None


def sealing(vault: Vault | None, rows: Sequence[Row]) -> contextlib.AbstractContextManager[Mapping[str, SubjectKey]]:
    """As :meth:`Vault.sealing`; without a vault nothing is sealed."""
    return nullcontext({}) if vault is None else vault.sealing(rows)


def opened(vault: Vault | None, record_id: str, body: bytes, seeds: bytes, response: bytes | None = None) -> Columns:
    """As :meth:`Vault.open_all`, for readers that may have no vault: they read what is not sealed.

    Raises:
        Erased: it is sealed under a key that is not here.
        RecordCorrupt: it is damaged, or belongs to another record.
    """
    if vault is not None:
        return vault.open_all(record_id, body, seeds, response)
    if body.startswith(SEALED):
        raise Erased(record_id)
    return Columns(body, seeds, response)


def seal_column(key: SubjectKey, record_id: str, column: str, plain: bytes) -> bytes:
    """One column, sealed under the subject's key."""
    nonce = os.urandom(_NONCE)
    return b"".join((SEALED, key.raw, nonce, AESGCM(key.key).encrypt(nonce, plain, _about(record_id, column))))


def key_for(keys: Mapping[str, SubjectKey], subjects: Collection[str]) -> SubjectKey | None:
    """The key that a record is sealed under: that of its first subject; ``None`` where it has none."""
    return next((keys[subject] for subject in subjects if subject in keys), None)


def _open(key: SubjectKey, record_id: str, column: str, stored: bytes) -> bytes:
    try:
        return AESGCM(key.key).decrypt(stored[_HEAD : _HEAD + _NONCE], stored[_HEAD + _NONCE :], _about(record_id, column))
    except (InvalidTag, ValueError) as error:
        raise RecordCorrupt(f"the {column} of a record was changed since it was sealed") from error


def _about(record_id: str, column: str) -> bytes:
    return f"ordinance/record/v1\n{record_id}\n{column}".encode()
