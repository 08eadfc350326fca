"""One-time login links: made on the machine, opened once in a browser. The only SQL over ``login_tokens``."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select, update

from feature_store.times import HOUR, Millis, now
from governance.tables import login_tokens

LIFETIME: Millis = 12 * HOUR
"""A link waits this long for its first and only use."""


@dataclass(frozen=True, slots=True)
class Login:
    """Whom a link signs in, and as what."""

    principal: str
    role: str


def create_login_token(engine: Engine, principal: str, role: str, *, lifetime: Millis = LIFETIME) -> str:
    """Make a token for ``/console/login?token=...``; only its hash is stored. The principal must exist."""
    token = secrets.token_urlsafe(32)
    created_at = now()
    with engine.begin() as connection:
        connection.execute(
            insert(login_tokens).values(
                token_hash=_digest(token), principal=principal, role=role, created_at=created_at, expires_at=created_at + lifetime
            )
        )
    return token


def consume_login_token(engine: Engine, token: str) -> Login | None:
    """Use a token up. ``None`` when it is unknown, too old or was used before; of two at once exactly one wins."""
    digest, at = _digest(token), now()
    with engine.begin() as connection:
        used = connection.execute(
            update(login_tokens)
            .where(login_tokens.c.token_hash == digest, login_tokens.c.used_at.is_(None), login_tokens.c.expires_at > at)
            .values(used_at=at)
        )
        if used.rowcount != 1:
            return None
        row = connection.execute(select(login_tokens.c.principal, login_tokens.c.role).where(login_tokens.c.token_hash == digest)).one()
    return Login(row.principal, row.role)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
