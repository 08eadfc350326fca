"""The secrets that webhooks are signed with: shown once, kept sealed, because a signature needs them in the clear."""

from __future__ import annotations

import base64
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from standardwebhooks import Webhook

from feature_store.times import Millis
from governance.ledger.errors import KeyFileInvalid
from governance.ledger.receipt import write_secret

KEY_FILE = "webhooks.key"
PREFIX = "whsec_"
_NONCE = 12


class Vault:
    """Seals secrets with AES-256-GCM for one endpoint each: one that is copied to another endpoint's row does not open."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def of(cls, folder: Path) -> Vault:
        """The home's vault; its key is made (mode 0600) where there is none. Every process on one database needs the same one.

        Raises:
            KeyFileInvalid: the key file is damaged.
        """
        path = folder / KEY_FILE
        if not path.exists():
            write_secret(path, secrets.token_bytes(32))
        key = path.read_bytes()
        if len(key) != 32:
            raise KeyFileInvalid(f"The key of webhooks {path} is damaged; restore it from a backup, or give every webhook a new secret.")
        return cls(key)

    def seal(self, endpoint_id: str, secret: str) -> bytes:
        """A secret as it is stored."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), endpoint_id.encode())

    def open(self, endpoint_id: str, sealed: bytes) -> str:
        """A secret as it signs.

        Raises:
            KeyFileInvalid: it was sealed with another key, or for another endpoint.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], endpoint_id.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise KeyFileInvalid("The webhook's secret does not open with this home's key: give it a new one.") from error


def new_secret() -> str:
    """A secret as Standard Webhooks writes one: 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(message_id: str, at: Millis, body: bytes, keys: tuple[str, ...]) -> dict[str, str]:
    """The headers that Standard Webhooks asks for: one signature for each secret, so that a receiver can change to the new one in its own time."""
    moment = datetime.fromtimestamp(at // 1_000, UTC)
    signatures = [Webhook(key).sign(message_id, moment, body.decode()) for key in keys]
    return {"webhook-id": message_id, "webhook-timestamp": str(at // 1_000), "webhook-signature": " ".join(signatures)}
