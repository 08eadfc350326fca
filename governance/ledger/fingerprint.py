"""Tells a repeated request from another one under the same idempotency key, without keeping the request in the clear."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from governance.ledger.errors import KeyFileInvalid
from governance.ledger.receipt import write_secret

KEY_FILE = "fingerprint.key"


def load_fingerprint(folder: Path) -> Callable[[bytes], bytes]:
    """The home's fingerprint: HMAC-SHA-256, 32 bytes, under a key that is made (mode 0600) where there is none.

    A plain hash would let anyone who reads the database test guesses at a request. All processes on one database need the same key.

    Raises:
        KeyFileInvalid: the key file is damaged.
    """
    path = folder / KEY_FILE
    if not path.exists():
        write_secret(path, secrets.token_bytes(32))
    key = path.read_bytes()
    if len(key) != 32:
        raise KeyFileInvalid(
            f"The fingerprint key {path} is damaged; restore it from a backup, or repeated requests are taken for other ones."
        )
    return fingerprinter(key)


def fingerprinter(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 under a key that is given."""
    return lambda message: hmac.digest(key, message, "sha256")
