"""Every refusal as RFC 9457 problem details, from one table.

Domain errors know no HTTP: :func:`problem_for` says what each becomes. A refusal is a value that is returned; raising it is left to code
that runs outside a decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from pydantic import ValidationError

from feature_store.problems import DataRefused

MEDIA_TYPE = "application/problem+json"


class ProblemKind(StrEnum):
    """The closed list of what can be wrong, as the last part of a problem's ``type``."""

    MALFORMED = "malformed-json"
    KEY_MISSING = "idempotency-key-missing"
    KEY_UNUSABLE = "idempotency-key-unusable"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    SAME_PERSON = "same-person"
    NOT_FOUND = "not-found"
    METHOD = "method-not-allowed"
    IN_FLIGHT = "request-in-flight"
    SUPERSEDED = "order-superseded"
    CONFLICT = "conflict"
    ERASED = "erased"
    TOO_LARGE = "too-large"
    INVALID = "invalid-request"
    KEY_REUSED = "idempotency-key-reused"
    FALLBACK_NOT_PERMITTED = "fallback-not-permitted"
    TOO_MANY = "too-many-requests"
    INTERNAL = "internal-error"
    NOT_DURABLE = "record-not-durable"
    UNAVAILABLE = "unavailable"


_KIND = re.compile(r"(constrained-)?(str|int|float|bool)|(list|tuple|dict|nullable|function-[a-z]+)\[.*\]|[A-Z]\w*Body")
"""How the library names one of several kinds in the place of a finding; no field of ours is called so."""

_PATTERNS = {r"^[A-Z]{3}$": "three capital letters, such as CNY", r"^[A-Z]{2}$": "two capital letters, such as CN"}

TABLE: Mapping[ProblemKind, tuple[int, str]] = {
    ProblemKind.MALFORMED: (400, "The body is not JSON"),
    ProblemKind.KEY_MISSING: (400, "The Idempotency-Key header is missing"),
    ProblemKind.KEY_UNUSABLE: (400, "The Idempotency-Key cannot be used"),
    ProblemKind.UNAUTHENTICATED: (401, "No valid API key"),
    ProblemKind.FORBIDDEN: (403, "The role may not do this"),
    ProblemKind.SAME_PERSON: (403, "Somebody else has to do this"),
    ProblemKind.NOT_FOUND: (404, "Not found"),
    ProblemKind.METHOD: (405, "The method is not allowed here"),
    ProblemKind.IN_FLIGHT: (409, "The same key is being answered right now"),
    ProblemKind.SUPERSEDED: (409, "A later version of the order was decided"),
    ProblemKind.CONFLICT: (409, "The state does not allow it"),
    ProblemKind.ERASED: (410, "Erased"),
    ProblemKind.TOO_LARGE: (413, "The body is too large"),
    ProblemKind.INVALID: (422, "The request is not valid"),
    ProblemKind.KEY_REUSED: (422, "The key was used with another body"),
    ProblemKind.FALLBACK_NOT_PERMITTED: (422, "The policy does not permit this fallback"),
    ProblemKind.TOO_MANY: (429, "Too many requests"),
    ProblemKind.INTERNAL: (500, "Something went wrong on our side"),
    ProblemKind.NOT_DURABLE: (503, "The record could not be made durable"),
    ProblemKind.UNAVAILABLE: (503, "Not available at the moment"),
}
"""Status and title of each kind; ``detail`` says what happened this time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal.

    Attributes:
        detail: what happened and what to do, in one or two sentences.
        errors: each ``{loc, msg}`` and, for tables, ``row`` and ``column``.
        headers: what HTTP adds, such as ``Retry-After``.
        told: further members of the document.
    """

    kind: ProblemKind
    detail: str
    errors: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return TABLE[self.kind][0]

    def to_json(self) -> dict[str, Any]:
        """The problem document."""
        status, title = TABLE[self.kind]
        return {
            "type": f"urn:ordinance:problem:{self.kind}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "errors": list(self.errors),
            **self.told,
        }

    def to_bytes(self) -> bytes:
        """The problem document on the wire."""
        return orjson.dumps(self.to_json())


def fault(loc: Iterable[str | int], msg: str) -> dict[str, Any]:
    """One entry of ``errors``."""
    return {"loc": list(loc), "msg": msg}


def invalid(errors: Sequence[Mapping[str, Any]], detail: str | None = None) -> Problem:
    """A 422 that names each place; ``detail`` defaults to the first."""
    if detail is None:
        first = errors[0]
        where = ".".join(str(part) for part in first["loc"])
        detail = f"{where}: {first['msg']}" if where else str(first["msg"])
        if len(errors) > 1:
            detail += f" (and {len(errors) - 1} more)"
    return Problem(ProblemKind.INVALID, detail, errors)


def unauthenticated() -> Problem:
    """401: the same text for a missing, unknown and revoked key."""
    return Problem(
        ProblemKind.UNAUTHENTICATED,
        "Send a valid key as 'Authorization: Bearer KEY'; 'ordinance keys create' makes one.",
        headers={"www-authenticate": "Bearer"},
    )


def not_found(detail: str) -> Problem:
    """404."""
    return Problem(ProblemKind.NOT_FOUND, detail)


def unavailable(kind: ProblemKind, detail: str, retry_after_s: float) -> Problem:
    """503 with a computed Retry-After, in whole seconds and at least one."""
    return Problem(kind, detail, headers={"retry-after": str(max(1, round(retry_after_s)))})


def validation_problem(error: ValidationError) -> Problem:
    """Pydantic's findings, each with its place and a sentence."""
    found = error.errors(include_url=False, include_input=False)
    places = [tuple(one["loc"]) for one in found]
    return invalid(merged((_place(one), _sentence(one)) for one in found if not _follows(one, places)))


def merged(found: Iterable[tuple[tuple[str | int, ...], str]]) -> list[dict[str, Any]]:
    """Findings as they are told. Where one of several kinds is accepted, each tells what it misses, and its own name in the place: told once, together."""
    told: dict[tuple[str | int, ...], list[str]] = {}
    for loc, msg in found:
        said = told.setdefault(tuple(part for part in loc if not (isinstance(part, str) and _KIND.fullmatch(part))), [])
        if msg not in said:
            said.append(msg)
    return [fault(loc, " or ".join(said)) for loc, said in told.items()]


def _place(found: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Where; a check between the parts of a value names the part."""
    return (*found["loc"], *found.get("ctx", {}).get("at", ()))


def _sentence(found: Mapping[str, Any]) -> str:
    match found["type"]:
        case "extra_forbidden":
            return "unknown field; a sender's own fields go into attributes"
        case "missing":
            return "required"
        case "too_short":
            return f"at least {found['ctx']['min_length']} required"
        case "too_long":
            return f"at most {found['ctx']['max_length']:,} accepted"
        case "string_pattern_mismatch" if found["ctx"]["pattern"] in _PATTERNS:
            return _PATTERNS[found["ctx"]["pattern"]]
    return str(found["msg"]).removeprefix("Value error, ")


def _follows(found: Mapping[str, Any], places: Sequence[tuple[str | int, ...]]) -> bool:
    """Whether a list is called too short only because an item in it was refused, which is told by itself."""
    if found["type"] != "too_short":
        return False
    depth = len(found["loc"])
    return any(len(place) > depth and place[:depth] == found["loc"] for place in places)


def problem_for(error: Exception) -> Problem:
    """What an error of the domain becomes; anything unknown is a 500 that tells no internals."""
    match error:
        case ValidationError():
            return validation_problem(error)
        case DataRefused():
            return invalid([problem.to_json() for problem in error.problems], detail=str(error))
        case _:
            return Problem(
                ProblemKind.INTERNAL, "The failure was logged; nothing was decided or recorded. Try again with the same Idempotency-Key."
            )
