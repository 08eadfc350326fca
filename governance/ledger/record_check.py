"""One stored record against itself: entry, leaf hash, groups, seeds, response, receipt, and every column that is derived from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from governance.ledger.compression import decompress
from governance.ledger.derived import check_columns, decision_columns, receipt_columns, record_columns, subjects_of
from governance.ledger.errors import ReceiptInvalid, RecordCorrupt
from governance.ledger.findings import Mismatch, Part
from governance.ledger.notes import NoteKey
from governance.ledger.opened import open_checked, read_seeds
from governance.ledger.receipt import Receipt, detach, verify
from governance.ledger.record import Kind

Columns = Mapping[str, Any]
DECISIONS = (Kind.DECISION.value, Kind.ORDER_DECISION.value)


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A record that is what it says.

    Attributes:
        envelope: the entry.
        groups: what it commits to.
    """

    envelope: Mapping[str, Any]
    groups: Mapping[str, Any]


class RecordCheck:
    """Checks records one by one.

    Args:
        keys: that may have signed receipts.
        fingerprint: of the home, for the fingerprints of requests; ``None`` where its key is not at hand, and they are not checked.
    """

    def __init__(self, keys: Sequence[NoteKey], fingerprint: Callable[[bytes], bytes] | None = None) -> None:
        self._keys = {key.key_id: key for key in keys}
        self._fingerprint = fingerprint

    def check(self, record: Columns, decision: Columns | None, place: int | None = None) -> CheckedRecord:
        """Check one record.

        Args:
            record: its row of ``records``.
            decision: its row of ``decisions``; ``None`` where it has none.
            place: its index in the log.

        Raises:
            Mismatch: something differs; it names what.
        """
        name = str(record["record_id"])
        response = self._response(decision, name, place)
        try:
            opened = open_checked(
                bytes(record["entry"]), bytes(record["leaf_hash"]), bytes(record["body"]), bytes(record["seeds"]), response
            )
        except RecordCorrupt as error:
            raise Mismatch(Part.RECORD, name, str(error), place) from error
        envelope = orjson.loads(bytes(record["entry"]))
        try:
            check_columns(record, record_columns(envelope), name, place)
            self._promise(record, name, place)
            self._subjects(record, envelope, opened.groups, place)
            self._decision(record, decision, CheckedRecord(envelope, opened.groups), response, place)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Mismatch(Part.RECORD, name, f"a part that every record of its kind has is missing: {error!r}", place) from error
        return CheckedRecord(envelope, opened.groups)

    @staticmethod
    def _response(decision: Columns | None, name: str, place: int | None) -> bytes | None:
        if decision is None:
            return None
        try:
            return decompress(bytes(decision["response"]))
        except RecordCorrupt as error:
            raise Mismatch(Part.COLUMN, name, f"column response: {error}", place) from error

    def _promise(self, record: Columns, name: str, place: int | None) -> None:
        receipt = Receipt(
            name, bytes(record["leaf_hash"]), record["promised_at"], record["publish_by"], record["key_id"], bytes(record["signature"])
        )
        key = self._keys.get(receipt.key_id)
        if key is None:
            raise Mismatch(Part.RECEIPT, name, f"signed by the key {receipt.key_id}, which is none of this log", place)
        if receipt.promised_at != record["recorded_at"]:
            raise Mismatch(Part.RECEIPT, name, "it was not promised when it was recorded", place)
        try:
            verify(receipt, key)
        except ReceiptInvalid as error:
            raise Mismatch(Part.RECEIPT, name, str(error), place) from error

    @staticmethod
    def _subjects(record: Columns, envelope: Mapping[str, Any], groups: Mapping[str, Any], place: int | None) -> None:
        told, known = set(read_seeds(bytes(record["seeds"])).subjects), set(subjects_of(envelope, groups))
        if not told <= known:
            raise Mismatch(Part.RECORD, str(record["record_id"]), "its seeds name a data subject that it does not speak of", place)

    def _decision(
        self, record: Columns, decision: Columns | None, checked: CheckedRecord, response: bytes | None, place: int | None
    ) -> None:
        envelope, groups = checked.envelope, checked.groups
        name = envelope["record_id"]
        if (decision is not None) != (envelope["kind"] in DECISIONS):
            told = "is missing in" if decision is None else "does not belong into"
            raise Mismatch(Part.COLUMN, name, f"it {told} the table of decisions", place)
        if decision is None or response is None:
            return
        check_columns(decision, {"record_id": name} | decision_columns(envelope, groups), name, place)
        check_columns(record, receipt_columns(detach(response)[1]), name, place)
        if self._fingerprint is not None:
            made = self._fingerprint(groups["circumstances"]["asked"].encode() + b"\n" + groups["request"].encode())
            check_columns(decision, {"fingerprint": made}, name, place)
