"""Which model versions may be served, and which one answers: the signed allow-list and the history of its aliases.

A version is allowed by an Ed25519 signature over its name, number and digest. Whoever can write the database but does not hold the key
cannot make a replica load another artifact: :func:`current` refuses what is not signed, and the artifact is loaded by its digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine, Row, Select, func, insert, select
from sqlalchemy.exc import IntegrityError

from feature_store.database import reading
from feature_store.times import Millis, now
from feature_store.wording import Text, told
from governance.changes import Scribe, in_turn
from governance.ledger.receipt import Signer, Verifier
from governance.ledger.record import Kind
from governance.tables import alias_history, model_versions
from models.specs import DecisionType

CHAMPION = "champion"
ALIASES = (CHAMPION, "challenger", "shadow")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_RESERVED = frozenset({"batch", "decide", "export", "what-if", "replay", "recourse", "explanation", "override"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ATTEMPTS = 20


class ModelRefused(ValueError):
    """A model version or alias that cannot be registered as asked; the message says why and what to do."""

    @property
    def text(self) -> Text:
        """The message; in both languages where it concerns what a person chose."""
        (text,) = self.args
        return text if isinstance(text, Text) else Text(text, text)


class ModelNotAllowed(Exception):
    """A stored version whose signature is not ours: it must not be loaded."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One entry of the allow-list."""

    name: str
    version: int
    digest: str
    type: str
    template: str
    signature: bytes
    report: Mapping[str, Any]
    mlflow_run_id: str | None
    created_by: str
    created_at: Millis

    def check(self, verifier: Verifier) -> None:
        """Check its signature.

        Raises:
            ModelNotAllowed: it was not signed by this key.
        """
        try:
            Ed25519PublicKey.from_public_bytes(verifier.public_key).verify(
                self.signature, signed_text(self.name, self.version, self.digest)
            )
        except InvalidSignature as error:
            raise ModelNotAllowed(
                f"Version {self.version} of {self.name!r} is not signed by this home's key {verifier.key_id}: it is not served. "
                "Somebody edited the database, or it was copied from another home."
            ) from error


@dataclass(frozen=True, slots=True)
class Serving:
    """The version that answers for one decision type, and since when."""

    model: ModelVersion
    since: Millis
    changed_by: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What replicas serve.

    Attributes:
        generation: grows with every change; a replica that knows it has nothing to do.
        champions: by decision type.
    """

    generation: int
    champions: Mapping[str, Serving]


@dataclass(frozen=True, slots=True)
class AliasChange:
    """One line of the alias history."""

    change_id: int
    type: str
    alias: str
    name: str
    version: int
    changed_by: str
    changed_at: Millis
    note: str


def signed_text(name: str, version: int, digest: str) -> bytes:
    """What a version's signature covers."""
    return f"ordinance/model/v1\n{name}\n{version}\n{digest}\n".encode()


def check_name(name: str, kind: str | None = None) -> None:
    """Check that a model may be called so.

    Args:
        name: lower-case letters, digits and dashes; it becomes part of a path.
        kind: the decision type it answers; ``None`` for a type of its own.

    Raises:
        ModelRefused: it may not.
    """
    if not _NAME.fullmatch(name):
        raise ModelRefused(told("bad_name", name=name))
    if name in _RESERVED:
        raise ModelRefused(told("bad_name.reserved", name=name))
    if name in set(DecisionType) and kind not in {None, name}:
        raise ModelRefused(told("bad_name.built_in", name=name))
    if kind is None and name in set(DecisionType):
        raise ModelRefused(told("bad_name.template", name=name))


def check_type(engine: Engine, name: str, kind: str) -> None:
    """Check that the versions of that name, if there are any, answer this decision type.

    Raises:
        ModelRefused: they answer another one.
    """
    with reading(engine).connect() as connection:
        known = connection.execute(select(func.max(model_versions.c.type)).where(model_versions.c.name == name)).scalar()
    _same_type(name, known, kind)


def _same_type(name: str, known: str | None, kind: str) -> None:
    if known not in {None, kind}:
        raise ModelRefused(told("bad_name.other_type", name=name, type=known, kind=kind))


def register_version(
    engine: Engine,
    signer: Signer,
    *,
    name: str,
    kind: str,
    template: str,
    digest: str,
    report: Mapping[str, Any],
    created_by: str,
    mlflow_run_id: str | None = None,
    at: Millis | None = None,
    tenant: str = "default",
) -> int:
    """Sign a version and put it on the allow-list, and record that; its number is one above the last of that name.

    ``kind`` is the decision type it answers, for a custom model its own name; ``report`` (metrics and card) is kept as it is.

    Raises:
        ModelRefused: name, type or digest are not usable.
    """
    check_name(name, kind if kind in set(DecisionType) else None)
    if not _DIGEST.fullmatch(digest):
        raise ModelRefused(f"{digest!r} is no SHA-256 digest of an artifact.")
    body = orjson.dumps(report)
    for _ in range(_ATTEMPTS):
        try:
            with engine.begin() as connection:
                last = connection.execute(
                    select(func.max(model_versions.c.version), func.max(model_versions.c.type)).where(model_versions.c.name == name)
                ).one()
                _same_type(name, last[1], kind)
                version, made_at = (last[0] or 0) + 1, at or now()
                connection.execute(
                    insert(model_versions).values(
                        name=name,
                        version=version,
                        digest=digest,
                        type=kind,
                        template=template,
                        signature=signer.sign(signed_text(name, version, digest)),
                        report=body,
                        mlflow_run_id=mlflow_run_id,
                        created_by=created_by,
                        created_at=made_at,
                    )
                )
                change = {
                    "name": name,
                    "version": version,
                    "type": kind,
                    "template": template,
                    "digest": digest,
                    "mlflow_run_id": mlflow_run_id,
                }
                change["report"] = f"sha256:{sha256(body).hexdigest()}"
                Scribe(signer, tenant).record(
                    connection,
                    Kind.MODEL_REGISTERED,
                    change,
                    principal=created_by,
                    at=made_at,
                    decision_type=kind,
                    digests={"model": digest},
                )
                return version
        except IntegrityError:
            continue  # another process took the number in between
    raise ModelRefused(f"Versions of {name!r} are being registered faster than this one can be; try again.")


def set_alias(
    engine: Engine,
    verifier: Verifier,
    *,
    kind: str,
    alias: str,
    name: str,
    version: int,
    changed_by: str,
    note: str,
    at: Millis | None = None,
    scribe: Scribe | None = None,
) -> int:
    """Point an alias of a decision type at a version; returns the new generation.

    With a ``scribe`` the record of it is written in the same transaction.

    Raises:
        ModelRefused: unknown alias or version, or it answers another type.
        ModelNotAllowed: the version's signature is not ours.
    """
    if alias not in ALIASES:
        raise ModelRefused(f"There is no alias {alias!r}; use one of {', '.join(ALIASES)}.")
    with engine.begin() as connection:
        in_turn(connection)
        found = _version(connection, name, version)
        if found is None:
            raise ModelRefused(f"There is no version {version} of {name!r}.")
        if found.type != kind:
            raise ModelRefused(f"Version {version} of {name!r} answers {found.type!r}, not {kind!r}.")
        found.check(verifier)
        before, at = _pointed(connection, kind, alias), at or now()
        row = {"kind": "model", "type": kind, "alias": alias, "name": name, "version": version, "note": note}
        statement = insert(alias_history).values(**row, changed_by=changed_by, changed_at=at).returning(alias_history.c.change_id)
        change_id = int(connection.execute(statement).scalar_one())
        if scribe is not None:
            change = {
                "what": "published", "of": "model", "alias": alias, "name": name, "version": version, "digest": found.digest,
                "before": before, "note": note, "change_id": change_id,
            }  # fmt: skip
            digests = {"model": found.digest}
            scribe.record(connection, Kind.ALIAS_MOVED, change, principal=changed_by, at=at, decision_type=kind, digests=digests)
        return change_id


def _pointed(connection: Connection, kind: str, alias: str) -> dict[str, Any] | None:
    """What an alias points at."""
    column = alias_history.c
    ours = (column.kind == "model", column.type == kind, column.alias == alias)
    query = select(column.name, column.version).where(*ours).order_by(column.change_id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else {"name": row.name, "version": row.version}


def generation(engine: Engine) -> int:
    """The number of the last change of any model alias: one cheap read for replicas to poll."""
    query = select(func.max(alias_history.c.change_id)).where(alias_history.c.kind == "model")
    with reading(engine).connect() as connection:
        return int(connection.execute(query).scalar() or 0)


def current(engine: Engine, verifier: Verifier) -> Deployment:
    """What replicas serve now: the champion of every decision type that has one.

    Raises:
        ModelNotAllowed: a champion's signature is not ours.
    """
    champions = {}
    with reading(engine).begin() as connection:
        last = connection.execute(select(func.max(alias_history.c.change_id)).where(alias_history.c.kind == "model")).scalar() or 0
        for row in connection.execute(select(alias_history).where(alias_history.c.change_id.in_(_newest_champions()))).all():
            model = _version(connection, row.name, row.version)
            if model is None:
                raise ModelNotAllowed(f"Version {row.version} of {row.name!r} answers {row.type!r}, but it is not on the allow-list.")
            model.check(verifier)
            champions[row.type] = Serving(model, row.changed_at, row.changed_by)
    return Deployment(int(last), champions)


def champions(engine: Engine) -> dict[str, ModelVersion]:
    """The version that answers for each decision type, to be read about: its signature is not checked, so it is not to be served."""
    with reading(engine).connect() as connection:
        rows = connection.execute(select(alias_history).where(alias_history.c.change_id.in_(_newest_champions()))).all()
        found = {row.type: _version(connection, row.name, row.version) for row in rows}
    return {kind: model for kind, model in sorted(found.items()) if model is not None}


def _newest_champions() -> Select[tuple[Any]]:
    """The last change of each decision type's champion."""
    ours = alias_history.c.kind == "model", alias_history.c.alias == CHAMPION
    return select(func.max(alias_history.c.change_id)).where(*ours).group_by(alias_history.c.type)


def versions(engine: Engine, name: str | None = None) -> list[ModelVersion]:
    """All versions, or those of one name, newest first."""
    query = select(model_versions).order_by(model_versions.c.created_at.desc(), model_versions.c.name, model_versions.c.version.desc())
    if name is not None:
        query = query.where(model_versions.c.name == name)
    with reading(engine).connect() as connection:
        return [_from_row(row) for row in connection.execute(query).all()]


def find_version(engine: Engine, name: str, version: int) -> ModelVersion | None:
    """One version, or None."""
    with reading(engine).connect() as connection:
        return _version(connection, name, version)


def history(engine: Engine, kind: str, limit: int = 100) -> list[AliasChange]:
    """Who pointed which alias of a decision type at which version, newest first."""
    query = (
        select(alias_history)
        .where(alias_history.c.kind == "model", alias_history.c.type == kind)
        .order_by(alias_history.c.change_id.desc())
        .limit(limit)
    )
    with reading(engine).connect() as connection:
        rows = connection.execute(query).all()
    return [AliasChange(r.change_id, r.type, r.alias, r.name, r.version, r.changed_by, r.changed_at, r.note) for r in rows]


def _version(connection: Connection, name: str, version: int) -> ModelVersion | None:
    query = select(model_versions).where(model_versions.c.name == name, model_versions.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else _from_row(row)


def _from_row(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        row.name,
        row.version,
        row.digest,
        row.type,
        row.template,
        bytes(row.signature),
        orjson.loads(row.report),
        row.mlflow_run_id,
        row.created_by,
        row.created_at,
    )
