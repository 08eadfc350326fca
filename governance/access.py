"""Who may do what: roles, the matrix of roles and actions, principals and their API keys.

A key is 192 random bits, shown once; what is stored is its SHA-256. With that much randomness a plain hash cannot be searched, and finding a
hash by equality tells an attacker nothing about a key.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from feature_store.database import reading
from feature_store.times import Millis, now
from governance.changes import Scribe
from governance.ledger.record import Kind
from governance.tables import api_keys, principals

SERVICE: Final = "ordinance"
"""The principal of what the service does by itself. It has no key: what it makes, such as the policies that come with the product, needs no
second person."""


BY_COMMAND: Final = "ordinance keys"
"""Who made a key, where the command did."""


class Role(StrEnum):
    """What a key may be used for."""

    OMS = "oms"
    AUDITOR = "auditor"
    REVIEWER = "reviewer"
    TRAINER = "trainer"
    POLICY_OWNER = "policy_owner"
    APPROVER = "approver"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be asked for; each route asks for one of these."""

    DECIDE = "decide"
    """Decisions, events, outcomes."""
    READ_DECISION = "read_decision"
    """One decision, also waiting for it; an OMS sees those that it asked for."""
    INSPECT = "inspect"
    """Search, explanation, timeline, replay, export, affected."""
    WHAT_IF = "what_if"
    """What-if and recourse."""
    REVIEW = "review"
    """Reviews and overrides."""
    TRAIN = "train"
    """Datasets, trainings, submitting a model."""
    WRITE_POLICY = "write_policy"
    """Policies, lists, backtest, submitting a policy."""
    APPROVE = "approve"
    """Approving what somebody else submitted."""
    ROLL_OUT = "roll_out"
    """Rollout, rollback, kill switch."""
    ADMINISTER = "administer"
    """Keys, principals, retention, erasure, webhooks."""
    CONSULT = "consult"
    """Models, policies and features as they are: no personal data, needed by everyone who judges."""
    WATCH = "watch"
    """Who read what, the ledger's status."""


MATRIX: Final[Mapping[Action, frozenset[Role]]] = MappingProxyType(
    {
        Action.DECIDE: frozenset({Role.OMS}),
        Action.READ_DECISION: frozenset(Role),
        Action.INSPECT: frozenset({Role.AUDITOR, Role.REVIEWER, Role.POLICY_OWNER, Role.APPROVER}),
        Action.WHAT_IF: frozenset({Role.OMS, Role.AUDITOR, Role.REVIEWER, Role.POLICY_OWNER}),
        Action.REVIEW: frozenset({Role.REVIEWER}),
        Action.TRAIN: frozenset({Role.TRAINER}),
        Action.WRITE_POLICY: frozenset({Role.POLICY_OWNER}),
        Action.APPROVE: frozenset({Role.APPROVER}),
        Action.ROLL_OUT: frozenset({Role.APPROVER, Role.ADMIN}),
        Action.ADMINISTER: frozenset({Role.ADMIN}),
        Action.CONSULT: frozenset(Role) - {Role.OMS},
        Action.WATCH: frozenset({Role.AUDITOR, Role.ADMIN}),
    }
)
"""Who may do what."""

OWN_ONLY: Final = frozenset({Role.OMS})
"""Roles that read the decisions they asked for, and no others."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route and the action that it asks for; ``None`` for routes that need no key."""

    method: str
    path: str
    action: Action | None


def _routes(action: Action | None, *routes: str) -> tuple[Route, ...]:
    return tuple(Route(method, path, action) for method, path in (route.split(" ", 1) for route in routes))


ROUTES: Final[tuple[Route, ...]] = (
    *_routes(None, "GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json", "GET /docs"),
    *_routes(None, "GET /v1/ledger/checkpoint", "GET /v1/ledger/tile/{path}", "GET /v1/ledger/key"),
    *_routes(
        Action.DECIDE,
        "POST /v1/decisions/{type}",
        "POST /v1/decisions/{type}/batch",
        "POST /v1/orders/decide",
        "POST /v1/events",
        "POST /v1/outcomes",
        "POST /v1/reservations/{id}/settle",
        "POST /v1/reservations/{id}/release",
    ),
    *_routes(Action.READ_DECISION, "GET /v1/decisions/{id}", "GET /v1/ledger/proof/{record_id}"),
    *_routes(
        Action.INSPECT,
        "GET /v1/decisions",
        "GET /v1/decisions/{id}/explanation",
        "GET /v1/orders/{order_id}/timeline",
        "POST /v1/decisions/{id}/replay",
        "GET /v1/decisions/export",
        "GET /v1/affected",
        "GET /v1/sample",
    ),
    *_routes(Action.WHAT_IF, "POST /v1/decisions/{id}/what-if", "GET /v1/decisions/{id}/recourse"),
    *_routes(
        Action.REVIEW,
        "GET /v1/reviews",
        "GET /v1/reviews/reasons",
        "POST /v1/reviews/{id}/claim",
        "DELETE /v1/reviews/{id}/claim",
        "POST /v1/decisions/{id}/override",
        "DELETE /v1/decisions/{id}/override",
    ),
    *_routes(
        Action.TRAIN,
        "POST /v1/datasets",
        "POST /v1/trainings",
        "GET /v1/trainings/{id}",
        "GET /v1/trainings/{id}/events",
        "DELETE /v1/trainings/{id}",
        "POST /v1/models/{name}/versions/{v}/submit",
    ),
    *_routes(
        Action.WRITE_POLICY,
        "POST /v1/policies",
        "POST /v1/policies/{id}/versions/{v}/backtest",
        "POST /v1/policies/{id}/backtest",
        "POST /v1/policies/{id}/versions/{v}/submit",
        "POST /v1/policies/{id}/submit",
        "GET /v1/lists",
        "POST /v1/lists",
        "GET /v1/lists/{id}",
        "DELETE /v1/lists/{id}",
    ),
    *_routes(Action.APPROVE, "POST /v1/approvals/{id}"),
    *_routes(
        Action.ROLL_OUT,
        "POST /v1/models/{name}/rollout",
        "POST /v1/models/{name}/rollback",
        "POST /v1/policies/{id}/rollout",
        "POST /v1/policies/{id}/rollback",
        "POST /v1/killswitch",
    ),
    *_routes(Action.ADMINISTER, "GET /v1/keys", "POST /v1/keys", "DELETE /v1/keys/{id}", "GET /v1/principals"),
    *_routes(
        Action.ADMINISTER,
        "GET /v1/erasures",
        "POST /v1/erasures",
        "GET /v1/erasures/{id}",
        "POST /v1/erasures/{id}/confirm",
        "POST /v1/erasures/{id}/withdraw",
        "GET /v1/holds",
        "POST /v1/holds",
        "POST /v1/holds/{id}/lift",
    ),
    *_routes(
        Action.ADMINISTER,
        "GET /v1/webhooks",
        "POST /v1/webhooks",
        "GET /v1/webhooks/{id}",
        "DELETE /v1/webhooks/{id}",
        "POST /v1/webhooks/{id}/enable",
        "POST /v1/webhooks/{id}/secret",
        "GET /v1/webhooks/{id}/dead-letters",
        "POST /v1/webhooks/{id}/replay",
    ),
    *_routes(
        Action.CONSULT,
        "GET /v1/policies/{id}",
        "GET /v1/policies/{id}/versions",
        "GET /v1/policies/{id}/versions/{v}",
        "GET /v1/approvals",
        "GET /v1/killswitch",
    ),
    *_routes(Action.CONSULT, "GET /v1/models", "GET /v1/models/{name}/versions/{v}", "GET /v1/policies", "GET /v1/features"),
    *_routes(Action.WATCH, "GET /v1/reads", "GET /v1/ledger/status"),
)
"""Every JSON route, by the words of the API; a test walks route × role."""


class AccessRefused(Exception):
    """A key, role or principal that cannot be made; the message says why."""


class AccessUnavailable(Exception):
    """Keys cannot be checked: the database has not answered for too long."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, by which key, in which role. Four eyes compare names, not keys."""

    name: str
    role: Role
    key_hash: str

    def may(self, action: Action) -> bool:
        """Whether the role allows it."""
        return may(self.role, action)

    @property
    def sees_only_own(self) -> bool:
        """Whether it may read its own decisions only."""
        return self.role in OWN_ONLY


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as an administrator sees it."""

    key_hash: str
    hint: str
    principal: str
    role: Role
    created_at: Millis
    revoked_at: Millis | None


def may(role: Role | str, action: Action | str) -> bool:
    """Whether a role may do something; an unknown role or action may not."""
    try:
        return Role(role) in MATRIX[Action(action)]
    except ValueError:
        return False


def create_key(
    engine: Engine, role: Role | str, principal: str, *, key: str | None = None, scribe: Scribe | None = None, by: str = BY_COMMAND
) -> str:
    """Make an API key, and its principal if there is none of this name.

    Args:
        engine: of the database.
        role: what the key may be used for.
        principal: the person or system it belongs to.
        key: a key that was made elsewhere; adding it twice changes nothing, and a revoked one stays revoked.
        scribe: writes the record of it in the same transaction.
        by: who made it.

    Returns:
        The key, ``ord_<role>_<random>``. It is not stored and cannot be shown again.

    Raises:
        AccessRefused: no such role, or no usable name.
    """
    if role not in set(Role):
        raise AccessRefused(f"There is no role {role!r}; there are {', '.join(Role)}.")
    name = principal.strip()
    if not 1 <= len(name) <= 255 or not name.isprintable():
        raise AccessRefused("A principal has a name of 1 to 255 printable characters.")
    if name.casefold() == SERVICE:
        raise AccessRefused(f"{name!r} is the service itself, which has no key; give the person or system a name of its own.")
    fresh = key or f"ord_{Role(role)}_{secrets.token_urlsafe(24)}"
    hashed = hash_key(fresh)
    at = now()
    facts = {
        "key_hash": hashed,
        "principal": name,
        "role": str(role),
        "hint": fresh[: len(f"ord_{Role(role)}_") + 4][:16],
        "created_at": at,
    }
    with engine.begin() as connection:
        ensure_principal(connection, name)
        if connection.execute(select(api_keys.c.key_hash).where(api_keys.c.key_hash == hashed)).first() is None:
            connection.execute(insert(api_keys), facts)
            if scribe is not None:
                change = {"what": "created", "key_hash": hashed, "hint": facts["hint"], "principal": name, "role": str(role)}
                scribe.record(connection, Kind.KEY_CREATED, change, principal=by, at=at)
    return fresh


def ensure_principal(connection: Connection, name: str) -> None:
    """Make the principal if there is none of this name."""
    try:
        with connection.begin_nested():
            connection.execute(insert(principals), {"principal": name, "created_at": now()})
    except IntegrityError:
        return


def revoke_key(engine: Engine, key_hash: str, *, scribe: Scribe | None = None, by: str = BY_COMMAND) -> bool:
    """Revoke a key for ever; replicas notice within seconds. With a ``scribe`` the record of it is written in the same transaction.

    Returns:
        Whether a valid key was revoked.
    """
    at = now()
    ours = (api_keys.c.key_hash == key_hash, api_keys.c.revoked_at.is_(None))
    statement = update(api_keys).where(*ours).values(revoked_at=at).returning(api_keys.c.principal, api_keys.c.role, api_keys.c.hint)
    with engine.begin() as connection:
        row = connection.execute(statement).one_or_none()
        if row is not None and scribe is not None:
            change = {"what": "revoked", "key_hash": key_hash, "hint": row.hint, "principal": row.principal, "role": row.role}
            scribe.record(connection, Kind.KEY_REVOKED, change, principal=by, at=at)
    return row is not None


def list_keys(engine: Engine) -> Sequence[KeyInfo]:
    """Every key that was ever made, newest first."""
    statement = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.key_hash)
    with reading(engine).connect() as connection:
        return [
            KeyInfo(row.key_hash, row.hint, row.principal, Role(row.role), row.created_at, row.revoked_at)
            for row in connection.execute(statement)
        ]


def hash_key(key: str) -> str:
    """What is stored of a key: its SHA-256 in hexadecimal."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Access:
    """Authenticates keys from memory. All valid hashes are held, and read again when they are older than ``refresh_s``.

    A revoked key is refused at the latest ``refresh_s`` later, a new one is accepted at once. While the database does not answer, the keys
    last read stay valid for ``stale_s``. Threads may share it.

    Args:
        engine: of the database.
        refresh_s: age at which the keys are read again; :meth:`refresh` from elsewhere keeps requests from waiting for it.
        stale_s: age at which nobody is let in any more.
        clock: monotonic seconds.
    """

    def __init__(
        self, engine: Engine, *, refresh_s: float = 2.0, stale_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = reading(engine)
        self._refresh_s = refresh_s
        self._stale_s = stale_s
        self._clock = clock
        self._lock = threading.Lock()
        self._valid: Mapping[str, Principal] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._asked_at = -1.0
        self._followed = False

    def follow(self) -> None:
        """Read the keys again and again in a thread of its own, so that :meth:`known` never waits for the database."""
        self.refresh()
        self._followed = True
        threading.Thread(target=self._follow, name="keys", daemon=True).start()

    def known(self, key: str) -> Principal | None:
        """Whose key it is, from memory; ``None`` for one that is unknown, revoked or newer than what was read last.

        Raises:
            AccessUnavailable: the database has not answered for ``stale_s``.
        """
        if self._followed:
            self._require_fresh()
        else:
            self._refresh_if_older(self._refresh_s)
        return self._valid.get(hash_key(key))

    def authenticate(self, key: str) -> Principal | None:
        """Whose key it is; ``None`` for an unknown or a revoked one.

        Raises:
            AccessUnavailable: the database has not answered for ``stale_s``.
        """
        hashed = hash_key(key)
        self._refresh_if_older(self._refresh_s)
        found = self._valid.get(hashed)
        if found is None and self._may_ask():  # perhaps it was made a moment ago
            self.refresh()
            found = self._valid.get(hashed)
        return found

    def still_valid(self, key_hash: str) -> bool:
        """Whether a key, known by its hash, may still be used.

        Raises:
            AccessUnavailable: the database has not answered for ``stale_s``.
        """
        self._refresh_if_older(self._refresh_s)
        return key_hash in self._valid

    def refresh(self) -> None:
        """Read all valid keys.

        Raises:
            AccessUnavailable: the database does not answer, and has not for ``stale_s``.
        """
        statement = select(api_keys.c.key_hash, api_keys.c.principal, api_keys.c.role).where(api_keys.c.revoked_at.is_(None))
        began = self._tried_at = self._clock()
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(statement).all()
        except DBAPIError as error:
            if self._read_at is None or self._clock() - self._read_at > self._stale_s:
                raise AccessUnavailable("API keys cannot be checked: the database does not answer.") from error
            return
        self._valid = {row.key_hash: Principal(row.principal, Role(row.role), row.key_hash) for row in rows}
        self._read_at = began

    def _refresh_if_older(self, age_s: float) -> None:
        moment = self._clock()
        if self._tried_at is None or moment - self._tried_at >= age_s:
            self.refresh()
        else:
            self._require_fresh()

    def _require_fresh(self) -> None:
        if self._read_at is None or self._clock() - self._read_at > self._stale_s:
            raise AccessUnavailable("API keys cannot be checked: the database does not answer.")

    def _follow(self) -> None:
        while True:
            time.sleep(self._refresh_s)
            with contextlib.suppress(AccessUnavailable):  # whoever asks is told
                self.refresh()

    def _may_ask(self) -> bool:
        """Whether an unknown key may cost a look into the database: ten times a second, whoever guesses."""
        with self._lock:
            moment = self._clock()
            if 0 <= moment - self._asked_at < 0.1:
                return False
            self._asked_at = moment
            return True
