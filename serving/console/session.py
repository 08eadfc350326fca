"""Who is looking at the pages: a signed cookie, and the token that every form carries.

The cookie holds the session itself, signed with HMAC-SHA-256; the server keeps none. It is ``HttpOnly`` and ``SameSite=Strict``. The
form token is derived from the session's nonce, so it is worth nothing in another session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import orjson

from feature_store.times import HOUR, Millis

COOKIE = "ordinance_session"
VISIT_COOKIE = "ordinance_visit"
LIFETIME: Millis = 12 * HOUR
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in person.

    Attributes:
        key_hash: the hash of the key it was opened with, so that it ends when the key is revoked; ``None`` for a login link.
        nonce: random, the root of the session's form token.
    """

    principal: str
    role: str
    key_hash: str | None
    expires_at: Millis
    nonce: str


class SessionSigner:
    """Signs sessions and form tokens with one secret.

    Args:
        secret: 32 random bytes that every console process shares.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _SECRET_BYTES:
            raise ValueError("a session secret has at least 32 bytes")
        self._secret = secret

    def open(self, principal: str, role: str, *, key_hash: str | None, at: Millis) -> Session:
        """Start a session that lasts :data:`LIFETIME`."""
        return Session(principal, role, key_hash, at + LIFETIME, secrets.token_urlsafe(16))

    def to_cookie(self, session: Session) -> str:
        """The cookie's value: payload and signature."""
        payload = orjson.dumps([session.principal, session.role, session.key_hash, session.expires_at, session.nonce])
        return f"{_b64(payload)}.{_b64(self._mac(b'session', payload))}"

    def from_cookie(self, value: str, at: Millis) -> Session | None:
        """The session, or ``None`` when the value is forged, damaged or too old."""
        text, _, signature = value.partition(".")
        try:
            payload, mac = _unb64(text), _unb64(signature)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(mac, self._mac(b"session", payload)):
            return None
        principal, role, key_hash, expires_at, nonce = orjson.loads(payload)
        return Session(principal, role, key_hash, expires_at, nonce) if expires_at > at else None

    def form_token(self, nonce: str) -> str:
        """The token that forms of the session (or of the visit before it) carry."""
        return _b64(self._mac(b"form", nonce.encode()))

    def form_token_fits(self, nonce: str, token: str) -> bool:
        """Whether a form came from one of our pages in this very session."""
        return hmac.compare_digest(self.form_token(nonce).encode(), token.encode("utf-8", "replace"))

    def _mac(self, purpose: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._secret, purpose + b"\x00" + payload, hashlib.sha256)


def session_secret(path: Path) -> bytes:
    """Read the secret, or make it: a file that only its owner may read.

    Raises:
        OSError: the file can neither be read nor written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    secret = secrets.token_bytes(_SECRET_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    return secret


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
