"""What a caller has to tell apart: refused for good, away for now, and proof that something is wrong with the service itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class OrdinanceError(Exception):
    """Any error of the client."""


class Refused(OrdinanceError):
    """The request was refused, and would be again: it has to be changed.

    Attributes:
        status: of HTTP.
        kind: the last part of the problem's type, such as ``invalid-request``.
        errors: each with ``loc`` and ``msg``.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.kind = str(problem.get("type", "")).rpartition(":")[2]
        self.detail = str(problem.get("detail", ""))
        self.errors: Sequence[Mapping[str, Any]] = problem.get("errors", ())
        super().__init__(f"{status} {problem.get('title', '')}: {self.detail}".strip(": "))


class Away(OrdinanceError):
    """No answer in time. What became of the request is not known: asked again with the same key, it gets its one answer.

    Attributes:
        attempts: made in the time that was given.
        retry_after_s: when the service wants to be asked again, where it said so.
    """

    def __init__(self, message: str, attempts: int, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.retry_after_s = retry_after_s


class ReceiptWrong(OrdinanceError):
    """A recorded answer without a receipt of its own that the log's key signed: do not act on it, and tell somebody."""


class PromiseBroken(OrdinanceError):
    """The time of a receipt is over and no checkpoint covers its record, or the proof does not hold. Keep the receipt: it is the evidence."""
