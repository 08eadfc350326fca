"""The keys of the embedded default: one per role, the same at every start, made from one secret in the home."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets

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
        scratch = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(scratch, path)  # the first to link wins, also between processes
        except FileExistsError:
            pass
        finally:
            scratch.unlink()
    return path.read_bytes()
