"""The keys of the embedded default: one per role, the same at every start, made from one secret in the home."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from governance.ledger.receipt import write_secret
from serving.home import Home

_FILE = "local.secret"


def local_key(home: Home, role: str) -> str:
    """The key of one role on this home. Whoever can read the home's ``keys`` folder can make it; nobody else can.

    Every role has a principal of its own, ``local-<role>``, so that four eyes can be tried out on one machine.
    """
    mac = hmac.new(_secret(home), f"ordinance/local-key/v1\n{role}".encode(), hashlib.sha256).digest()
    return f"ord_{role}_{base64.urlsafe_b64encode(mac[:24]).decode()}"


def _secret(home: Home) -> bytes:
    path = home.keys / _FILE
    if not path.exists():
        write_secret(path, secrets.token_bytes(32))
    return path.read_bytes()
