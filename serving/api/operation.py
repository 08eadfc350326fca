"""One route as ``/openapi.json`` tells it: what it is for, what it takes, answers and refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from serving.errors import ProblemKind

_K = ProblemKind
ANY = (_K.UNAUTHENTICATED, _K.FORBIDDEN, _K.INTERNAL, _K.UNAVAILABLE)
"""What every route that needs a key may refuse with."""
BODY = (*ANY, _K.MALFORMED, _K.TOO_LARGE, _K.INVALID, _K.TOO_MANY)
DECIDING = (
    *BODY, _K.KEY_MISSING, _K.KEY_UNUSABLE, _K.NOT_FOUND, _K.IN_FLIGHT, _K.SUPERSEDED, _K.KEY_REUSED, _K.FALLBACK_NOT_PERMITTED,
    _K.NOT_DURABLE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the path or the query."""

    name: str
    text: str
    schema: Mapping[str, Any]
    place: str = "query"
    example: str | int | float | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One route.

    Attributes:
        body: the model that validates the request; ``None`` where there is no body or FastAPI knows it.
        requests: example bodies by name, the first the fullest.
        answer: the model of what is answered with ``status``.
        example: the file in ``serving/api/examples`` that holds a real answer.
        media: of the answer.
        raw: media type and schema of a body that is not JSON.
        key: whether an Idempotency-Key is taken.
    """

    method: str
    path: str
    summary: str
    text: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    requests: Mapping[str, Any] = field(default_factory=dict)
    answer: type[BaseModel] | None = None
    example: str = ""
    status: int = 200
    media: str = "application/json"
    problems: tuple[ProblemKind, ...] = ANY
    raw: str | None = None
    key: bool = False

    @property
    def name(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"
