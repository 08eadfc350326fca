"""Each refusal as ``/openapi.json`` tells it: an example of every kind, and the responses of an operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from serving.errors import MEDIA_TYPE, TABLE, Problem, ProblemKind, fault, invalid, not_found, unauthenticated, unavailable

_K = ProblemKind

EXAMPLES: Mapping[ProblemKind, Problem] = {
    one.kind: one
    for one in (
        Problem(
            _K.MALFORMED,
            "The body cannot be read as JSON: unexpected end of data: line 1 column 2 (char 1).",
            [fault(["body"], "unexpected end of data: line 1 column 2 (char 1)")],
        ),
        Problem(
            _K.KEY_MISSING,
            "Send an Idempotency-Key header: any text of up to 255 characters that names this request, the same on every retry.",
            [fault(["header", "Idempotency-Key"], "required")],
        ),
        Problem(
            _K.KEY_UNUSABLE,
            "An Idempotency-Key has at most 255 characters, all of them printable.",
            [fault(["header", "Idempotency-Key"], "too long or not printable")],
        ),
        unauthenticated(),
        Problem(_K.FORBIDDEN, "The role 'trainer' may not do this; it asks for 'decide'."),
        Problem(_K.SAME_PERSON, "local-reviewer proposed this override; somebody else has to confirm it."),
        not_found("There is no decision '0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b' that you may see."),
        Problem(_K.METHOD, "Use POST."),
        Problem(
            _K.IN_FLIGHT, "A request with the Idempotency-Key 'SO-1001-1' is being answered right now. Repeat this one to get its answer."
        ),
        Problem(
            _K.SUPERSEDED,
            "Version 3 of order 'SO-1001' was decided already; this is version 2.",
            [fault(["order", "order_version"], "is lower than 3")],
        ),
        Problem(_K.CONFLICT, "The training is over already: it is done."),
        Problem(_K.ERASED, "What the record held of a person was erased."),
        Problem(_K.TOO_LARGE, "The body is larger than the 4 MiB that are accepted here."),
        invalid([fault(["order", "lines", 0, "qty"], "Input should be greater than or equal to 1")]),
        Problem(
            _K.KEY_REUSED,
            "The Idempotency-Key 'SO-1001-1' was used before with another body. Use a new key for a new request.",
            [fault(["header", "Idempotency-Key"], "was used with another body")],
        ),
        Problem(
            _K.FALLBACK_NOT_PERMITTED,
            "The fallback 'guess' is not permitted. Permitted are acceptance: hold, accept.",
            [fault(["fallback"], "not one of acceptance: hold, accept")],
        ),
        Problem(_K.TOO_MANY, "More requests than are answered at once. Wait as long as Retry-After says."),
        Problem(_K.INTERNAL, "The failure was logged. The same request may be sent again with the same key."),
        unavailable(
            _K.NOT_DURABLE,
            "The record of this decision is not known to be on disk, so its outcome is not told. Send the same request with the same Idempotency-Key again.",
            2,
        ),
        unavailable(_K.UNAVAILABLE, "API keys cannot be checked: the database does not answer.", 5),
    )
}
"""One of each kind, worded as the code words it."""

_WAIT = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}


def components() -> dict[str, Any]:
    """The examples, for ``components.examples``."""
    return {kind.value: {"summary": TABLE[kind][1], "value": one.to_json()} for kind, one in EXAMPLES.items()}


def responses(kinds: Iterable[ProblemKind]) -> dict[str, Any]:
    """What an operation answers when it refuses, by status."""
    ordered = sorted(set(kinds), key=lambda kind: (TABLE[kind][0], kind))
    return {str(status): _response(status, list(same)) for status, same in groupby(ordered, key=lambda kind: TABLE[kind][0])}


def _response(status: int, kinds: list[ProblemKind]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": "; ".join(TABLE[kind][1] for kind in kinds),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                "examples": {kind.value: {"$ref": f"#/components/examples/{kind.value}"} for kind in kinds},
            }
        },
    }
    if status in {429, 503}:
        told["headers"] = _WAIT
    return told
