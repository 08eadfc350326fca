"""Reading a stored record back, and checking that its groups are those it committed to."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from governance.ledger import merkle
from governance.ledger.canonical import canonical, read
from governance.ledger.compression import decompress
from governance.ledger.errors import ReceiptInvalid, RecordCorrupt, RecordInvalid
from governance.ledger.receipt import detach
from governance.ledger.record import GROUPS, commitment_root


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds of one record as stored."""

    rest: bytes
    by_group: Mapping[str, bytes]
    subjects: tuple[str, ...]

    def of(self, group: str) -> bytes:
        """The seed that salts a group."""
        return self.by_group.get(group, self.rest)


@dataclass(frozen=True, slots=True)
class Opened:
    """The groups of a record by name, as JSON values and as the canonical texts that its entry commits to."""

    groups: Mapping[str, Any]
    texts: Mapping[str, bytes]


def read_seeds(stored: bytes) -> Seeds:
    """Read the ``seeds`` column.

    Raises:
        RecordCorrupt: it is damaged.
    """
    try:
        value = orjson.loads(stored)
        subjects = value["subjects"]
        by_group = {group: _base64url(facts["seed"]) for facts in subjects.values() for group in facts["groups"]}
        return Seeds(_base64url(value["rest"]), by_group, tuple(subjects))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordCorrupt("the seeds of a record cannot be read") from error


def read_groups(body: bytes, response: bytes | None = None) -> dict[str, Any]:
    """The groups of a record by name, as JSON values; numbers as their base64url text (see :func:`numbers`).

    Args:
        body: the ``body`` column.
        response: the answered bytes, of a decision.

    Raises:
        RecordCorrupt: the bytes are damaged.
    """
    try:
        groups = read(decompress(body))
    except (ValueError, RecursionError) as error:
        raise RecordCorrupt("the body of a record is not JSON") from error
    if not isinstance(groups, dict) or not set(groups) <= set(GROUPS):
        raise RecordCorrupt("the body of a record has unknown groups")
    if response is not None:
        try:
            groups["response"] = detach(response)[0].decode()
        except (ReceiptInvalid, UnicodeDecodeError) as error:
            raise RecordCorrupt(f"the stored answer is damaged: {error}") from error
    return groups


def numbers(text: object) -> NDArray[np.float64]:
    """The values of a group of numbers, bit for bit.

    Raises:
        RecordCorrupt: the text is not base64url of whole float64 values.
    """
    try:
        if isinstance(text, str):
            return np.frombuffer(_base64url(text), dtype="<f8")
    except ValueError as error:
        raise RecordCorrupt("a group of numbers cannot be read") from error
    raise RecordCorrupt("a group of numbers is not a text")


def check(entry: bytes, leaf_hash: bytes, body: bytes, seeds: bytes, response: bytes | None = None) -> None:
    """Check that a stored record is what it committed to: entry, leaf hash, seeds and every group fit together.

    Raises:
        RecordCorrupt: they do not; the message says which.
    """
    open_checked(entry, leaf_hash, body, seeds, response)


def open_checked(entry: bytes, leaf_hash: bytes, body: bytes, seeds: bytes, response: bytes | None = None) -> Opened:
    """As :func:`check`, and the groups that were checked.

    Raises:
        RecordCorrupt: they do not fit together; the message says which.
    """
    if merkle.leaf_hash(entry) != leaf_hash:
        raise RecordCorrupt("the leaf hash is not that of the entry")
    try:
        committed = _base64url(orjson.loads(entry)["commitment"])
        groups = read_groups(body, response)
        texts = {name: canonical(value) for name, value in groups.items()}
    except (ValueError, KeyError, TypeError, RecordInvalid) as error:
        raise RecordCorrupt("the entry of a record cannot be read") from error
    if commitment_root(texts, read_seeds(seeds).of) != committed:
        raise RecordCorrupt("the groups of the record are not those that its entry commits to")
    return Opened(groups, texts)


def _base64url(text: str) -> bytes:
    """Strict: every byte string has one text, so that no edited text passes for the one that was written."""
    decoded = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if urlsafe_b64encode(decoded).rstrip(b"=") != text.encode():
        raise ValueError(text)
    return decoded
