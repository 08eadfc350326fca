"""One stored record against itself: entry, leaf hash, groups, seeds, response, receipt, and every column that is derived from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from governance.ledger.compression import decompress
from governance.ledger.derived import check_columns, decision_columns, receipt_columns, record_columns, subjects_of
from governance.ledger.errors import Erased, ReceiptInvalid, RecordCorrupt
from governance.ledger.findings import Mismatch, Part
from governance.ledger.notes import NoteKey
from governance.ledger.opened import Opened, is_erased, open_checked
from governance.ledger.receipt import Receipt, detach, verify
from governance.ledger.record import Kind
from governance.ledger.subject_keys import pseudonym_of
from governance.ledger.vault import SEALED, Vault, opened
from governance.ledger.vault import Columns as Plain

Columns = Mapping[str, Any]
DECISIONS = (Kind.DECISION.value, Kind.ORDER_DECISION.value)


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A record that is what it says.

    Attributes:
        envelope: the entry.
        groups: what it commits to; of an erased record what speaks of nobody.
    """

    envelope: Mapping[str, Any]
    groups: Mapping[str, Any]
    erased: bool = False


class RecordCheck:
    """Checks records one by one.

    Args:
        keys: that may have signed receipts.
        fingerprint: of the home, for the fingerprints of requests; ``None`` where its key is not at hand, and they are not checked.
        vault: opens what is sealed; ``None`` where nothing is.
    """

    def __init__(self, keys: Sequence[NoteKey], fingerprint: Callable[[bytes], bytes] | None = None, vault: Vault | None = None) -> None:
        self._keys = {key.key_id: key for key in keys}
        self._fingerprint = fingerprint
        self._vault = vault

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
        columns, found = self._open(record, decision, name, place)
        envelope = orjson.loads(bytes(record["entry"]))
        checked = CheckedRecord(envelope, found.groups, erased=found.erased)
        try:
            check_columns(record, record_columns(envelope), name, place)
            self._promise(record, name, place)
            self._subjects(record, decision, checked, columns.seeds, place)
            self._decision(decision, checked, place)
            if decision is not None and not found.erased:
                self._answer(record, decision, checked, columns.response or b"", place)
        except (KeyError, TypeError, ValueError, AttributeError, ReceiptInvalid) as error:
            raise Mismatch(Part.RECORD, name, f"a part that every record of its kind has is missing: {error!r}", place) from error
        return checked

    def _open(self, record: Columns, decision: Columns | None, name: str, place: int | None) -> tuple[Plain, Opened]:
        stored = None if decision is None else bytes(decision["response"])
        try:
            plain = opened(self._vault, name, bytes(record["body"]), bytes(record["seeds"]), stored)
        except Erased as error:  # its columns are hollow once it is erased; a key that is gone before is a loss
            raise Mismatch(Part.RECORD, name, "the key that it is sealed under is not there, and it was not erased", place) from error
        except RecordCorrupt as error:
            raise Mismatch(Part.RECORD, name, str(error), place) from error
        try:
            response = None if not plain.response or is_erased(plain.body) else decompress(plain.response)
        except RecordCorrupt as error:
            raise Mismatch(Part.COLUMN, name, f"column response: {error}", place) from error
        try:
            found = open_checked(bytes(record["entry"]), bytes(record["leaf_hash"]), plain.body, plain.seeds, response)
        except RecordCorrupt as error:
            raise Mismatch(Part.RECORD, name, str(error), place) from error
        return Plain(plain.body, plain.seeds, response), found

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

    def _subjects(self, record: Columns, decision: Columns | None, checked: CheckedRecord, seeds: bytes, place: int | None) -> None:
        """Whom the record speaks of: in its seeds, and by pseudonym in the column that it is found by."""
        name = str(record["record_id"])
        if checked.erased:
            return
        told = orjson.loads(seeds)["subjects"].keys()
        if not set(told) <= set(subjects_of(checked.envelope, checked.groups)):
            raise Mismatch(Part.RECORD, name, "its seeds name a data subject that it does not speak of", place)
        sealed = bytes(record["body"]).startswith(SEALED)
        if sealed != bytes(record["seeds"]).startswith(SEALED):
            raise Mismatch(Part.RECORD, name, "a part of it is sealed, and another one is not", place)
        pseudonym = pseudonym_of(bytes(record["body"])[len(SEALED) : len(SEALED) + 16]) if sealed else None
        if sealed and self._vault is not None:
            key = self._vault.keys.named([str(pseudonym)]).get(str(pseudonym))
            if key is None or key.subject not in told:
                raise Mismatch(Part.RECORD, name, "it is sealed under the key of somebody else", place)
        if decision is None:
            check_columns(record, {"subject": pseudonym}, name, place)
            return
        customer = pseudonym if sealed else checked.groups["order"]["customer_id"]
        check_columns({**record, "customer_id": decision["customer_id"]}, {"subject": None, "customer_id": customer}, name, place)

    def _decision(self, decision: Columns | None, checked: CheckedRecord, place: int | None) -> None:
        name = checked.envelope["record_id"]
        if (decision is not None) != (checked.envelope["kind"] in DECISIONS):
            told = "is missing in" if decision is None else "does not belong into"
            raise Mismatch(Part.COLUMN, name, f"it {told} the table of decisions", place)
        if decision is not None:
            check_columns(decision, {"record_id": name} | decision_columns(checked.envelope, checked.groups), name, place)

    def _answer(self, record: Columns, decision: Columns, checked: CheckedRecord, response: bytes, place: int | None) -> None:
        """What a repeated request is answered, and what it is known by."""
        name, groups = checked.envelope["record_id"], checked.groups
        check_columns(record, receipt_columns(detach(response)[1]), name, place)
        if self._fingerprint is not None:
            made = self._fingerprint(groups["circumstances"]["asked"].encode() + b"\n" + groups["request"].encode())
            check_columns(decision, {"fingerprint": made}, name, place)
