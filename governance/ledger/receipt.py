r"""The signed promise that a record is in the ledger, and the key that signs it.

The key file is one line in the encoding of signed notes (Go's sumdb/note): ``PRIVATE+KEY+<name>+<key id>+<base64 of 0x01 ‖ seed>``, so
that other people's tools read it. The key id is the note's: the first four bytes of SHA-256(name ‖ "\n" ‖ 0x01 ‖ public key).
"""

from __future__ import annotations

import os
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from feature_store.times import SECOND, Millis, format_time, parse_time
from governance.ledger.errors import KeyFileInvalid, ReceiptInvalid
from governance.ledger.notes import Note, NoteKey, sign

PUBLISH_WITHIN: Millis = SECOND
"""A promised record is covered by a published checkpoint after at most this long."""

KEY_FILE = "ledger.key"
_ED25519 = b"\x01"
_SEPARATOR = b',"receipt":'


@dataclass(frozen=True, slots=True)
class Receipt:
    """Our promise: the record with this leaf hash is published by ``publish_by``."""

    record_id: str
    leaf_hash: bytes
    promised_at: Millis
    publish_by: Millis
    key_id: str
    signature: bytes

    def to_json(self) -> dict[str, str]:
        """The receipt as every answer carries it."""
        return {
            "record_id": self.record_id,
            "leaf_hash": b64encode(self.leaf_hash).decode(),
            "promised_at": format_time(self.promised_at),
            "publish_by": format_time(self.publish_by),
            "key_id": self.key_id,
            "signature": b64encode(self.signature).decode(),
        }

    @classmethod
    def from_json(cls, value: object) -> Receipt:
        """Read what :meth:`to_json` wrote.

        Raises:
            ReceiptInvalid: a member is missing, malformed, or too much.
        """
        names = ("record_id", "leaf_hash", "promised_at", "publish_by", "key_id", "signature")
        if not isinstance(value, Mapping) or set(value) != set(names) or not all(isinstance(value[name], str) for name in names):
            raise ReceiptInvalid(f"a receipt has exactly the texts {', '.join(names)}")
        try:
            return cls(
                record_id=value["record_id"],
                leaf_hash=b64decode(value["leaf_hash"], validate=True),
                promised_at=parse_time(value["promised_at"]),
                publish_by=parse_time(value["publish_by"]),
                key_id=value["key_id"],
                signature=b64decode(value["signature"], validate=True),
            )
        except ValueError as error:  # of base64 and of times
            raise ReceiptInvalid(f"a member of the receipt cannot be read: {error}") from error

    @property
    def signed_text(self) -> bytes:
        """What the signature covers."""
        return _signed_text(self.record_id, self.leaf_hash, self.promised_at, self.publish_by)


def _signed_text(record_id: str, leaf_hash: bytes, promised_at: Millis, publish_by: Millis) -> bytes:
    leaf, promised, by = b64encode(leaf_hash).decode(), format_time(promised_at), format_time(publish_by)
    return f"ordinance/receipt/v1\n{record_id}\n{leaf}\n{promised}\n{by}\n".encode()


Verifier = NoteKey
"""The public key that receipts and checkpoints are checked with."""


def verify(receipt: Receipt, verifier: Verifier) -> None:
    """Check that the key of ``verifier`` signed this receipt.

    Raises:
        ReceiptInvalid: it did not.
    """
    if receipt.key_id != verifier.key_id:
        raise ReceiptInvalid(f"the receipt was signed by key {receipt.key_id}, this is {verifier.key_id}")
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public_key).verify(receipt.signature, receipt.signed_text)
    except InvalidSignature as error:
        raise ReceiptInvalid("the receipt's signature is not that of its text") from error


class Signer:
    """Holds the private key and signs receipts. One of it can be shared by threads."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())
        self.key_id = self.verifier.key_id

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature, 64 bytes."""
        return self._key.sign(message)

    def sign_note(self, text: str) -> Note:
        """The text as a note that this key signed."""
        return Note(text).signed(sign(self.verifier, self._key, text))

    def promise(self, record_id: str, leaf_hash: bytes, at: Millis) -> Receipt:
        """Sign the promise to publish a record within :data:`PUBLISH_WITHIN`."""
        publish_by = at + PUBLISH_WITHIN
        return Receipt(record_id, leaf_hash, at, publish_by, self.key_id, self.sign(_signed_text(record_id, leaf_hash, at, publish_by)))


def attach(answer: bytes, receipt: Receipt) -> bytes:
    """The answer, a JSON object, with the receipt as its last member. What the ledger commits to is the answer without it."""
    return answer[:-1] + _SEPARATOR + orjson.dumps(receipt.to_json()) + b"}"


def detach(response: bytes) -> tuple[bytes, Receipt]:
    """Take apart what :func:`attach` joined: the committed answer, and the receipt.

    Raises:
        ReceiptInvalid: the response does not end with a receipt.
    """
    head, separator, tail = response.rpartition(_SEPARATOR)
    if not separator or not tail.endswith(b"}"):
        raise ReceiptInvalid("the response carries no receipt")
    try:
        value: Any = orjson.loads(tail[:-1])
    except orjson.JSONDecodeError as error:
        raise ReceiptInvalid("the receipt in the response is not JSON") from error
    return head + b"}", Receipt.from_json(value)


def load_signer(folder: Path, name: str | None = None) -> Signer:
    """Read the signing key of a home, making it (mode 0600) where there is none; safe between processes that start at once.

    Args:
        folder: the home's ``keys``.
        name: for a new key, the log's origin: a host name with a path, without spaces or plus signs; random when ``None``.

    Raises:
        KeyFileInvalid: the file is damaged, or others may read it.
    """
    path = folder / KEY_FILE
    if not path.exists():
        _create(path, name or f"ordinance.local/{secrets.token_hex(6)}")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileInvalid(f"Others may read the signing key {path}. If nobody did, run: chmod 600 {path}")
    return _parse_signer(path)


def _parse_signer(path: Path) -> Signer:
    damaged = KeyFileInvalid(f"The signing key {path} is damaged; restore it from a backup. Receipts that it signed stay valid.")
    try:
        prefix, key, name, key_id, encoded = path.read_text("ascii").strip().split("+", 4)
        raw = b64decode(encoded, validate=True)
    except ValueError as error:
        raise damaged from error
    if (prefix, key) != ("PRIVATE", "KEY") or len(raw) != 33 or raw[:1] != _ED25519:
        raise damaged
    signer = Signer(name, raw[1:])
    if signer.key_id != key_id:
        raise damaged
    return signer


def _create(path: Path, name: str) -> None:
    if not name or not name.isascii() or any(character in "+ \t\r\n" for character in name):
        raise KeyFileInvalid(f"{name!r} cannot name a log: no spaces, no plus signs, ASCII only")
    seed = secrets.token_bytes(32)
    line = f"PRIVATE+KEY+{name}+{Signer(name, seed).key_id}+{b64encode(_ED25519 + seed).decode()}\n"
    write_secret(path, line.encode())


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole and durable or not at all; the first of several writers wins."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(scratch, path)
        except FileExistsError:
            return
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        scratch.unlink(missing_ok=True)
