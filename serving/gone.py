"""What may still be told of a decision after the person that it was about was erased: 410, and what is no value of anybody's."""

from __future__ import annotations

from typing import Any

from feature_store.times import format_time
from governance.ledger.store import DecisionLine, StoredDecision
from serving.errors import Problem, ProblemKind


def tell_erased(stored: StoredDecision) -> Problem:
    """The refusal of whoever asks for an erased decision."""
    line = stored.line
    detail = (
        f"Decision {line.record_id} was made, and what it held of a person was erased since. Its place in the ledger, its receipt and its "
        "proof stay valid."
    )
    return Problem(ProblemKind.ERASED, detail, told=_told(line, stored.receipt.leaf_hash))


def gone_answer() -> Problem:
    """The refusal of whoever repeats a request whose answer was erased."""
    return Problem(ProblemKind.ERASED, "This request was answered, and the answer was erased with the person that it was about.")


def _told(line: DecisionLine, leaf_hash: bytes) -> dict[str, Any]:
    return {
        "decision_id": line.record_id,
        "type": line.type,
        "outcome": line.outcome,
        "status": line.status,
        "decided_at": format_time(line.decided_at),
        "model": None if line.model_name is None else {"name": line.model_name, "version": line.model_version, "digest": line.model_digest},
        "policy": None if line.policy_id is None else {"id": line.policy_id, "version": line.policy_version, "digest": line.policy_digest},
        "leaf_hash": leaf_hash.hex(),
        "links": {"proof": f"/v1/ledger/proof/{line.record_id}"},
    }
