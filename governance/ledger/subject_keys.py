"""The keys of data subjects: one random key a person, in a file of its own, so that destroying one is deleting one row of one small file.

The file lies beside the signer's key (``keys/subjects.db``), never in the database, so no dump, replica or write-ahead log of the database has
a key in it. A key is wrapped under the home's master key (``keys/subjects.key``, mode 0600): the file alone opens nothing. A subject is found
by a keyed digest, its name is sealed under its own key: with the row everything that leads to the person is gone.

A process keeps keys in memory. So that none is used after it was destroyed, whoever writes holds a shared lock meanwhile
(:meth:`SubjectKeys.writing`), and destroying begins by retiring the key under the exclusive one: what was sealed before can be found, and
nothing is sealed after.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import secrets
import sqlite3
import threading
import time
import weakref
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from feature_store.times import Millis
from governance.ledger.errors import KeyFileInvalid
from governance.ledger.receipt import write_secret

MASTER_FILE = "subjects.key"
STORE_FILE = "subjects.db"
LOCK_FILE = "subjects.lock"
MARK = "~"
"""A pseudonym in the place of an id begins with this."""

_CACHED = 20_000
"""Keys that a process remembers: about 10 MB."""
_NONCE = 12
_BUSY_S = 10.0
_PART = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS subject_keys (
    pseudonym TEXT PRIMARY KEY,  -- random, in the place of the id in the database
    token BLOB UNIQUE,           -- keyed digest of the subject; empty once retired
    name BLOB NOT NULL,          -- the subject, sealed under its key
    wrapped BLOB NOT NULL,       -- the key, sealed under the master key
    made_at INTEGER NOT NULL,
    retired_at INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS destroyed_keys (
    pseudonym TEXT PRIMARY KEY,
    token BLOB NOT NULL,
    destroyed_at INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, repr=False)
class SubjectKey:
    """The key of one subject.

    Attributes:
        pseudonym: random; stands for the subject in the database.
        subject: ``customer:C-9``.
        retired: nothing is sealed under it any more.
    """

    pseudonym: str
    subject: str
    key: bytes
    retired: bool = False

    @property
    def raw(self) -> bytes:
        """The pseudonym's 16 bytes, as they stand before what is sealed."""
        return raw_pseudonym(self.pseudonym)


@dataclass(frozen=True, slots=True)
class Destroyed:
    """A key that is no more: what a restored backup has to forget again. The token tells nothing without the master key."""

    pseudonym: str
    token: bytes
    destroyed_at: Millis


class SubjectKeys:
    """The keys of one home. Threads and processes may share it.

    Args:
        folder: the home's folder of keys; master key and store are made where there are none.

    Raises:
        KeyFileInvalid: the master key is damaged, or missing while the store is there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        master = _master(folder)
        self._wrapping = hmac.digest(master, b"ordinance/subject-keys/wrap/v1", "sha256")
        self._index = hmac.digest(master, b"ordinance/subject-keys/index/v1", "sha256")
        self._guard = threading.RLock()
        self._by_subject: OrderedDict[str, SubjectKey] = OrderedDict()
        self._by_pseudonym: dict[str, SubjectKey] = {}
        self._connection: sqlite3.Connection | None = None
        (folder / LOCK_FILE).touch(mode=0o600)
        self._lock_file = os.open(folder / LOCK_FILE, os.O_RDONLY)
        weakref.finalize(self, os.close, self._lock_file)
        self._generation = self._read_generation()

    def token(self, text: str) -> bytes:
        """Keyed digest of a text: finds it again, tells nothing of it."""
        return hmac.digest(self._index, text.encode(), "sha256")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While this is held no key is retired: what is sealed and inserted meanwhile can be found by whoever erases."""
        descriptor = os.open(self._folder / LOCK_FILE, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def ensure(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        """The keys of these subjects, made where there are none; durable when this returns. Call it while :meth:`writing`."""
        found = self.find(subjects)
        missing = [subject for subject in subjects if subject not in found]
        if not missing:
            return found
        with self._guard:
            with self._transaction() as connection:  # with the write lock: nobody else makes a key for the same subject
                found |= {one.subject: one for one in self._select("token", [self.token(subject) for subject in missing])}
                made = [self._fresh(subject) for subject in missing if subject not in found]
                connection.executemany(
                    "INSERT INTO subject_keys (pseudonym, token, name, wrapped, made_at) VALUES (?, ?, ?, ?, ?)", [row for _, row in made]
                )
            for one, _ in made:  # known to be on disk now
                found[one.subject] = one
                self._keep(one)
        return found

    def find(self, subjects: Iterable[str]) -> dict[str, SubjectKey]:
        """The keys of those of these subjects that have one."""
        with self._guard:
            self._forget_stale()
            wanted = list(subjects)
            found: dict[str, SubjectKey] = {}
            for subject in wanted:
                if (kept := self._by_subject.get(subject)) is not None:
                    self._by_subject.move_to_end(subject)
                    found[subject] = kept
            tokens = [self.token(subject) for subject in wanted if subject not in found]
            for one in self._select("token", tokens):
                found[one.subject] = one
                self._keep(one)
            return found

    def named(self, pseudonyms: Iterable[str]) -> dict[str, SubjectKey]:
        """The keys that these pseudonyms stand for, retired ones included; those that were destroyed are not there."""
        with self._guard:
            self._forget_stale()
            wanted = set(pseudonyms)
            found = {name: kept for name in wanted if (kept := self._by_pseudonym.get(name)) is not None}
            for one in self._select("pseudonym", [name for name in wanted if name not in found]):
                found[one.pseudonym] = one
                if not one.retired:
                    self._keep(one)
            return found

    def retire(self, subject: str, at: Millis) -> SubjectKey | None:
        """Let nothing be sealed under a subject's key any more; it still opens what was. The subject's next record gets another key.

        Returns:
            the key; ``None`` when the subject has none.
        """
        with self._alone():
            with self._guard, self._transaction() as connection:
                token = self.token(subject)
                row = connection.execute("SELECT pseudonym FROM subject_keys WHERE token = ?", (token,)).fetchone()
                if row is None:
                    return None
                connection.execute("UPDATE subject_keys SET token = NULL, retired_at = ? WHERE pseudonym = ?", (at, row[0]))
            self._next_generation()
        return self.named([row[0]])[row[0]]

    def retired(self, subject: str) -> list[SubjectKey]:
        """Keys of a subject that were retired and not yet destroyed: of an erasure that did not come to its end."""
        with self._guard:
            rows = self._open().execute("SELECT pseudonym FROM subject_keys WHERE retired_at IS NOT NULL").fetchall()
            return [one for one in self.named(row[0] for row in rows).values() if one.subject == subject]

    def destroy(self, keys: Collection[SubjectKey], at: Millis) -> bool:
        """Delete keys for ever: rows are written over, the log beside the file is emptied.

        Returns:
            whether the log could be emptied at once; a reader may stand in the way.
        """
        with self._alone():
            with self._guard, self._transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO destroyed_keys (pseudonym, token, destroyed_at) VALUES (?, ?, ?)",
                    [(one.pseudonym, self.token(one.subject), at) for one in keys],
                )
                connection.executemany("DELETE FROM subject_keys WHERE pseudonym = ?", [(one.pseudonym,) for one in keys])
            self._next_generation()
            with self._guard:
                self._forget_stale()
                return self._empty_log()

    def destroyed(self) -> list[Destroyed]:
        """Every key that was ever destroyed."""
        with self._guard:
            rows = self._open().execute("SELECT pseudonym, token, destroyed_at FROM destroyed_keys").fetchall()
        return [Destroyed(pseudonym, bytes(token), at) for pseudonym, token, at in rows]

    def of_tokens(self, tokens: Iterable[bytes]) -> list[SubjectKey]:
        """The keys behind these keyed digests, of those that are there."""
        with self._guard:
            return list(self._select("token", list(tokens)))

    def note_destroyed(self, gone: Iterable[Destroyed]) -> None:
        """Take over that keys were destroyed, from before this copy of the store was made."""
        rows = [(one.pseudonym, one.token, one.destroyed_at) for one in gone]
        with self._guard, self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO destroyed_keys (pseudonym, token, destroyed_at) VALUES (?, ?, ?)", rows)

    def copy_to(self, path: Path) -> None:
        """A consistent copy of the store, while it is in use."""
        with self._guard, contextlib.closing(sqlite3.connect(path)) as target:
            self._open().backup(target)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file and forget every key."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._by_subject.clear()
            self._by_pseudonym.clear()

    def _fresh(self, subject: str) -> tuple[SubjectKey, tuple[str, bytes, bytes, bytes, int]]:
        raw, key = secrets.token_bytes(16), AESGCM.generate_key(256)
        one, at = SubjectKey(pseudonym_of(raw), subject, key), time.time_ns() // 1_000_000
        return one, (one.pseudonym, self.token(subject), _seal(key, subject.encode(), raw), _seal(self._wrapping, key, raw), at)

    def _select(self, column: str, values: list[bytes] | list[str]) -> Iterator[SubjectKey]:
        for start in range(0, len(values), _PART):
            part = values[start : start + _PART]
            marks = ", ".join("?" * len(part))
            statement = f"SELECT pseudonym, name, wrapped, retired_at FROM subject_keys WHERE {column} IN ({marks})"  # noqa: S608 - our own names
            for pseudonym, name, wrapped, retired_at in self._open().execute(statement, part).fetchall():
                yield self._unwrap(pseudonym, name, wrapped, retired=retired_at is not None)

    def _unwrap(self, pseudonym: str, name: bytes, wrapped: bytes, *, retired: bool) -> SubjectKey:
        raw = raw_pseudonym(pseudonym)
        try:
            key = _open(self._wrapping, wrapped, raw)
            return SubjectKey(pseudonym, _open(key, name, raw).decode(), key, retired)
        except InvalidTag as error:
            raise KeyFileInvalid(
                f"A key in {self._folder / STORE_FILE} was not sealed under {MASTER_FILE}: restore both from the same backup of the keys."
            ) from error

    def _keep(self, one: SubjectKey) -> None:
        old = self._by_subject.pop(one.subject, None)
        if old is not None:
            self._by_pseudonym.pop(old.pseudonym, None)
        self._by_subject[one.subject] = one
        self._by_pseudonym[one.pseudonym] = one
        if len(self._by_subject) > _CACHED:
            _, oldest = self._by_subject.popitem(last=False)
            self._by_pseudonym.pop(oldest.pseudonym, None)

    def _forget_stale(self) -> None:
        """Forget all keys when any was retired or destroyed, by whichever process."""
        if (found := self._read_generation()) != self._generation:
            self._by_subject.clear()
            self._by_pseudonym.clear()
            self._generation = found

    def _read_generation(self) -> bytes:
        return os.pread(self._lock_file, 16, 0)

    def _next_generation(self) -> None:
        """Only while alone."""
        descriptor = os.open(self._folder / LOCK_FILE, os.O_WRONLY)
        try:
            os.pwrite(descriptor, secrets.token_bytes(16), 0)
        finally:
            os.close(descriptor)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self._folder / LOCK_FILE, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            path = self._folder / STORE_FILE
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "temp_store=MEMORY"):
                connection.execute(f"PRAGMA {pragma}")
            connection.executescript(_TABLES)
            self._connection = connection
        return self._connection

    def _empty_log(self) -> bool:
        until = time.monotonic() + _BUSY_S
        while self._open().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


def pseudonym_of(raw: bytes) -> str:
    """The text of a pseudonym's 16 bytes."""
    return MARK + urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw_pseudonym(pseudonym: str) -> bytes:
    """The 16 bytes of a pseudonym."""
    return urlsafe_b64decode(pseudonym[len(MARK) :] + "==")


def _seal(key: bytes, plain: bytes, about: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, about)


def _open(key: bytes, sealed: bytes, about: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], about)


def _master(folder: Path) -> bytes:
    path = folder / MASTER_FILE
    if not path.exists():
        if (folder / STORE_FILE).exists():
            raise KeyFileInvalid(
                f"{path} is missing: without it the keys of data subjects cannot be opened. Restore it from a backup of the keys."
            )
        write_secret(path, secrets.token_bytes(32))
    master = path.read_bytes()
    if len(master) != 32:
        raise KeyFileInvalid(f"The master key {path} is damaged; restore it from a backup of the keys.")
    if path.stat().st_mode & 0o077:
        raise KeyFileInvalid(f"The master key {path} is readable by others; make it private with chmod 600.")
    return master
