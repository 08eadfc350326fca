"""The routes of the log as ``/openapi.json`` tells them."""

from __future__ import annotations

from pydantic import BaseModel

from serving.api.operation import ANY, Operation
from serving.errors import ProblemKind

_K = ProblemKind


class LedgerVerification(BaseModel):
    """A check of the log, as ``ordinance verify`` makes it."""

    checked_at: str
    in_order: bool
    finding: str | None
    """The first thing that is not as it was recorded."""
    whole: bool
    """Whether every record was read again, or those that were new."""
    size: int
    records: int
    took_ms: int


class LedgerStatus(BaseModel):
    """How far the log is, and how far behind."""

    origin: str
    key: str
    size: int
    root: str | None
    published_at: str | None
    records_not_integrated: int
    """Promised and not yet covered by a checkpoint: how blind the log is."""
    records_overdue: int
    """Those of them whose promise has passed."""
    refusal: str | None
    """Why the log is not signed, where it is not."""
    verification: LedgerVerification | None = None
    """What the last check of the log found; ``null`` before the first."""


LEDGER = (
    Operation(
        "GET", "/v1/ledger/checkpoint", "Read the log's checkpoint", "Origin, size and root as a signed note (c2sp.org/tlog-checkpoint). "
        "No key needed.", example="ledger_checkpoint", media="text/plain", problems=(_K.UNAVAILABLE,),
    ),
    Operation(
        "GET", "/v1/ledger/tile/{path}", "Read a tile of the log", "Hashes as tile/<L>/<N>[.p/<W>], entries as tile/entries/<N>[.p/<W>] "
        "(c2sp.org/tlog-tiles). Neither ever changes. No key needed.", media="application/octet-stream", problems=(_K.NOT_FOUND,),
    ),
    Operation(
        "GET", "/v1/ledger/key", "Read the log's key", "What checkpoints and receipts are checked with, as signed notes write a key. No key "
        "needed.", example="ledger_key", media="text/plain", problems=(),
    ),
    Operation(
        "GET", "/v1/ledger/proof/{record_id}", "Prove a record", "Its inclusion in the newest checkpoint as a .tlog-proof file "
        "(c2sp.org/tlog-proof), which stands by itself; 503 until a checkpoint covers it.", example="ledger_proof", media="text/plain",
        problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "GET", "/v1/ledger/status", "See how the log is", "Its size, when it was published, and what is promised and not there yet.",
        answer=LedgerStatus, example="ledger_status",
    ),
)  # fmt: skip
