"""Receipts and proofs: that what was answered is promised to the log, and that the log has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_store.times import format_time
from governance.ledger.checkpoint import TlogProof
from governance.ledger.errors import NoteInvalid, ProofInvalid, ReceiptInvalid
from governance.ledger.notes import NoteKey
from governance.ledger.receipt import Receipt, verify
from serving.client.answers import Proof
from serving.client.errors import PromiseBroken, ReceiptWrong

GRACE_MS = 60_000
"""How long after its time a promise may still be kept before it counts as broken: clocks differ, and a service may be restarting."""


def read_key(text: str) -> NoteKey:
    """A log's key as ``/v1/ledger/key`` tells it.

    Raises:
        ReceiptWrong: it is none.
    """
    try:
        return NoteKey.parse(text)
    except NoteInvalid as error:
        raise ReceiptWrong(f"the log's key cannot be read: {error}") from error


def check(told: Mapping[str, Any], key: NoteKey | None) -> Receipt | None:
    """The receipt of an answer, checked; ``None`` for what was not recorded, or where receipts are not checked and there is none.

    Args:
        told: the answer.
        key: of the log; ``None`` to read the receipt without checking it.

    Raises:
        ReceiptWrong: it is missing, belongs to another answer, or was not signed by the log.
    """
    if not told.get("recorded"):
        return None
    try:
        receipt = Receipt.from_json(told.get("receipt"))
        if key is not None:
            verify(receipt, key)
    except ReceiptInvalid as error:
        raise ReceiptWrong(f"the answer {told.get('decision_id')} has no receipt that holds: {error}") from error
    if receipt.record_id != told.get("decision_id"):
        raise ReceiptWrong(f"the answer {told.get('decision_id')} carries the receipt of {receipt.record_id}")
    return receipt


def check_proof(receipt: Receipt, raw: bytes, key: NoteKey) -> Proof:
    """Check that a record is in a log that is signed.

    Raises:
        PromiseBroken: the proof does not hold.
    """
    try:
        proof = TlogProof.parse(raw)
        checkpoint = proof.verify(receipt.leaf_hash, [key])
    except (NoteInvalid, ProofInvalid) as error:
        raise PromiseBroken(f"the proof of {receipt.record_id} does not hold: {error}") from error
    return Proof(receipt.record_id, proof.index, checkpoint, raw)


def require_kept(receipt: Receipt, now_ms: int) -> None:
    """Check that there is still time to keep the promise.

    Raises:
        PromiseBroken: there is not.
    """
    if now_ms > receipt.publish_by + GRACE_MS:
        raise PromiseBroken(
            f"the record {receipt.record_id} was promised for {format_time(receipt.publish_by)} and no checkpoint covers it"
        )
