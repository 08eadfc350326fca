"""Who calls a JSON route: the bearer key and the role that it carries."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path
from starlette.requests import Request

from serving.console.ports import Account, Refused, Wiring
from serving.errors import Problem, ProblemKind, unauthenticated

LAST_VERSION: Final = 2**31 - 1
PathVersion = Annotated[int, Path(le=LAST_VERSION)]
"""A version in a path, as large as every database can be asked for."""


def require(wiring: Wiring, request: Request, action: str) -> Account:
    """The caller, when its key is known and its role may do this.

    Raises:
        Refused: 401 or 403.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    account = wiring.accounts.authenticate(key.strip()) if scheme.lower() == "bearer" and key.strip() else None
    if account is None:
        raise Refused(unauthenticated())
    if not wiring.accounts.may(account.role, action):
        raise Refused(Problem(ProblemKind.FORBIDDEN, f"A key of the role {account.role!r} may not do this. Use one of a role that may."))
    return account
