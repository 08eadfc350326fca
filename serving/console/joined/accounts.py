"""Keys, login links and roles."""

from __future__ import annotations

from sqlalchemy import Engine

from governance import access
from serving.console import logins
from serving.console.ports import Account, Refused
from serving.errors import ProblemKind, unavailable


class StoredAccounts:
    """Fulfils :class:`serving.console.ports.Accounts`.

    Args:
        engine: of the database.
        keys: the keys in memory.
    """

    def __init__(self, engine: Engine, keys: access.Access) -> None:
        self._engine = engine
        self._keys = keys

    def authenticate(self, key: str) -> Account | None:
        """Whose API key it is."""
        try:
            found = self._keys.authenticate(key)
        except access.AccessUnavailable as error:
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, str(error), 2)) from error
        return Account(found.name, found.role.value, found.key_hash) if found else None

    def still_valid(self, key_hash: str) -> bool:
        """Whether the key may still be used; while that cannot be asked, the session waits."""
        try:
            return self._keys.still_valid(key_hash)
        except access.AccessUnavailable as error:
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, str(error), 2)) from error

    def consume_login(self, token: str) -> Account | None:
        """Use a login link up."""
        login = logins.consume_login_token(self._engine, token)
        return Account(login.principal, login.role) if login else None

    def may(self, role: str, action: str) -> bool:
        """By the matrix of roles and actions."""
        return access.may(role, action)
