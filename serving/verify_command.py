"""``ordinance verify``: a home, a log at an address, or a receipt. Changes nothing and needs no server, but for one that is asked about."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from feature_store.times import SECOND, format_time, now
from governance.ledger.errors import Erased, LedgerError, NoteInvalid, ReceiptInvalid, RecordCorrupt
from governance.ledger.findings import Mismatch, Part
from governance.ledger.mirror import Memory, Seen, mirror
from governance.ledger.notes import NoteKey
from governance.ledger.published import PublishedLog, RecordUnknown
from governance.ledger.receipt import Receipt, detach
from governance.ledger.receipt import verify as verify_receipt
from governance.ledger.store import DecisionReader
from serving.home import MARKER, address_in_use
from serving.log_client import LogClient
from serving.migrate import require_current
from serving.settings import Settings
from serving.verifying import log_keys, verify_home
from serving.wiring import Base, wire_base

Say = Callable[[str], None]
_GRACE = 5 * SECOND
"""How far the clocks of two machines may differ when a promise is judged."""


class VerifyRefused(Exception):
    """What was asked for cannot be checked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be checked: a home unless one of these is given.

    Attributes:
        url: of a log.
        receipt: a file with an answer or a receipt.
        key: the log's verifier key, or a file that holds it.
    """

    url: str | None = None
    receipt: Path | None = None
    key: str | None = None


def verify(settings: Settings, asked: Asked, say: Say) -> int:
    """Check what was asked for, and tell what was found.

    Returns:
        0 when everything holds, else 1: the first bad thing was named.

    Raises:
        VerifyRefused: there is nothing to check, or it cannot be read.
        LogUnreachable: the server of the log does not answer.
    """
    try:
        if asked.receipt is not None:
            return _receipt(settings, asked, asked.receipt, say)
        if asked.url is not None:
            return _url(settings, asked, asked.url, say)
        return _home(settings, say)
    except Mismatch as error:
        say(f"NOT IN ORDER  {error.finding}")
        return 1


def _open(settings: Settings) -> Base:
    if not (settings.home_folder / MARKER).exists():
        raise VerifyRefused(f"There is no home at {settings.home_folder}. Name one with --home, or a log with --url.")
    base = wire_base(settings)
    require_current(base.engine)
    return base


def _home(settings: Settings, say: Say) -> int:
    base = _open(settings)
    try:
        result = verify_home(base, serving=address_in_use(base.home) is not None)
    finally:
        base.engine.dispose()
    if result.finding is not None:
        say(f"NOT IN ORDER  {result.finding}")
        return 1
    done = result.verified
    say(f"In order: {done.size:,} records in the log {base.signer.verifier.name}, root {done.root.hex()}")
    say(
        f"  {done.records:,} records compared with their commitments, receipts, columns, tiles and entries; {done.waiting:,} wait for their place"
    )
    say(f"  {result.models} model artifacts and {result.policies} policies are what their digests say; {done.took_ms / 1000:.1f} s")
    if done.overdue:
        say(f"  {done.overdue:,} promises have passed while no service ran: start it, and they are published first")
    return 0


def _key(asked: Asked, client: LogClient | None, remembered: str | None, say: Say) -> NoteKey:
    """The log's key: as told, as remembered, or as the log itself says."""
    try:
        if asked.key is not None:
            path = Path(asked.key)
            return NoteKey.parse(path.read_text("ascii") if "+" not in asked.key or path.is_file() else asked.key)
        if remembered is not None:
            return NoteKey.parse(remembered)
        assert client is not None
        key = NoteKey.parse(client.fetch("key").decode("ascii"))
        say(f"  the log says that its key is {key}; compare it with what you were given, or name that with --key")
        return key
    except (OSError, UnicodeDecodeError, NoteInvalid) as error:
        raise VerifyRefused(f"The key cannot be read: {error}.") from error


def _url(settings: Settings, asked: Asked, url: str, say: Say) -> int:
    client, memory = LogClient(url), Memory(settings.mark_folder / "seen")
    before = memory.recall(client.address)
    key = _key(asked, client, None if before is None else before.key, say)
    began = time.perf_counter()
    found = mirror(client.fetch, key, before)
    memory.keep(client.address, Seen(found.checkpoint.origin, str(key), found.checkpoint.size, found.checkpoint.root))
    took = time.perf_counter() - began
    say(f"In order: {found.checkpoint.size:,} records in the log {found.checkpoint.origin}, root {found.checkpoint.root.hex()}")
    say(f"  every entry, tile and the checkpoint read from {client.address} in {took:.1f} s")
    if before is not None:
        say(f"  it extends the tree of {before.size:,} that was seen before")
    return 0


def _receipt(settings: Settings, asked: Asked, file: Path, say: Say) -> int:
    receipt, answer = _read(file)
    if asked.url is None:
        return _receipt_at_home(settings, asked, receipt, answer, say)
    client, memory = LogClient(asked.url), Memory(settings.mark_folder / "seen")
    before = memory.recall(client.address)
    key = _key(asked, client, None if before is None else before.key, say)
    _signed(receipt, key)
    found = mirror(client.fetch, key, before, leaf=receipt.leaf_hash, entries=False)
    memory.keep(client.address, Seen(found.checkpoint.origin, str(key), found.checkpoint.size, found.checkpoint.root))
    return _told(receipt, found.place, found.checkpoint.size, say)


def _receipt_at_home(settings: Settings, asked: Asked, receipt: Receipt, answer: dict[str, Any] | None, say: Say) -> int:
    base = _open(settings)
    try:
        keys = log_keys(base) if asked.key is None else [_key(asked, None, None, say)]
        key = next((one for one in keys if one.key_id == receipt.key_id), keys[0])
        _signed(receipt, key)
        log = PublishedLog(base.engine, base.home.ledger, key)
        try:
            place = log.place(receipt.record_id)
        except RecordUnknown:
            raise Mismatch(Part.RECEIPT, receipt.record_id, "it was promised, and the home has no such record") from None
        if place.leaf_hash != receipt.leaf_hash:
            raise Mismatch(Part.RECEIPT, receipt.record_id, "the record has another leaf hash than was promised")
        if answer is not None:
            _same_answer(DecisionReader(base.engine), receipt.record_id, answer)
        if log.prove(place) is None:
            return _told(receipt, None, log.status(now()).size, say)
        return _told(receipt, place.seq, log.status(now()).size, say)
    except LedgerError as error:
        if isinstance(error, Mismatch):
            raise
        raise Mismatch(Part.RECEIPT, receipt.record_id, str(error)) from error
    finally:
        base.engine.dispose()


def _same_answer(reader: DecisionReader, record_id: str, answer: dict[str, Any]) -> None:
    try:
        stored = reader.get(record_id)
        if stored is not None and orjson.loads(detach(stored.response)[0]) != {k: v for k, v in answer.items() if k != "receipt"}:
            raise Mismatch(Part.RECEIPT, record_id, "the answer in the file is another one than was recorded")
    except Erased:
        return
    except (RecordCorrupt, ReceiptInvalid, ValueError) as error:
        raise Mismatch(Part.RECORD, record_id, str(error)) from error


def _read(file: Path) -> tuple[Receipt, dict[str, Any] | None]:
    """The receipt in a file, and the answer around it."""
    try:
        value = orjson.loads(file.read_bytes())
        if not isinstance(value, dict):
            raise VerifyRefused(f"{file} holds neither an answer nor a receipt.")
        return (Receipt.from_json(value["receipt"]), value) if "receipt" in value else (Receipt.from_json(value), None)
    except OSError as error:
        raise VerifyRefused(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, ReceiptInvalid) as error:
        raise VerifyRefused(f"{file} holds neither an answer nor a receipt: {error}.") from error


def _signed(receipt: Receipt, key: NoteKey) -> None:
    try:
        verify_receipt(receipt, key)
    except ReceiptInvalid as error:
        raise Mismatch(Part.RECEIPT, receipt.record_id, str(error)) from error


def _told(receipt: Receipt, place: int | None, size: int, say: Say) -> int:
    if place is not None and place < size:
        say(
            f"In order: the record {receipt.record_id} is at place {place} of the log, which has {size:,}; the receipt is signed by its key"
        )
        return 0
    due = format_time(receipt.publish_by)
    if now() > receipt.publish_by + _GRACE:
        detail = (
            f"it was promised for {due}, and the log of {size:,} records does not hold it: it is MISSING. Keep the receipt: it proves that"
        )
        raise Mismatch(Part.OVERDUE, receipt.record_id, detail)
    say(f"The receipt is signed by the log's key; the record is promised for {due} and not yet published. Ask again then.")
    return 0
