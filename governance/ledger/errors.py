"""What can go wrong in the ledger, as types; the messages say what to do."""

from __future__ import annotations


class LedgerError(Exception):
    """Any error of the ledger."""


class RecordInvalid(LedgerError):
    """A record that cannot be written as it is: an unknown group, a value that JSON cannot hold, an entry that is too long."""


class RecordCorrupt(LedgerError):
    """Stored bytes that are not what was recorded. Carries no other exception type: no parser's error leaves the ledger."""


class Erased(RecordCorrupt):
    """What a record held of a person is sealed under a key that is not there any more. Its leaf and its proofs stay."""

    def __init__(self, record_id: str = "") -> None:
        super().__init__(
            f"what record {record_id} held of the person was erased" if record_id else "what the record held of the person was erased"
        )


class ProofInvalid(LedgerError):
    """A Merkle proof that does not prove what it claims."""


class NoteInvalid(LedgerError):
    """A signed note or checkpoint that is malformed, or that the keys it should be signed with did not sign."""


class TileInvalid(LedgerError):
    """A tile or entry bundle that is not what its path says, or that is missing."""


class ForkRefused(LedgerError):
    """Signing this tree could make a fork of the log; the message says why and what to do."""


class LogCorrupt(LedgerError):
    """What the log is made of does not fit together: a record, a tile or the state was changed. Names the first place."""


class ReceiptInvalid(LedgerError):
    """A receipt that this key did not sign, or that is malformed."""


class KeyFileInvalid(LedgerError):
    """The file of the signing key is damaged or readable by others."""


class NotDurable(LedgerError):
    """The record is not known to be on disk, so no outcome may be told. The same request may be sent again: it gets the one answer."""


class KeyReused(LedgerError):
    """The idempotency key was used before for another request."""


class StockTaken(LedgerError):
    """Pieces that a plan reserves were promised to another order meanwhile. Nothing was recorded: decide again, from what is left."""


class CursorInvalid(LedgerError):
    """A cursor that this search did not hand out."""
