"""Reading a stored record back, and checking that its groups are those it committed to."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from governance.ledger import merkle
from governance.ledger.canonical import canonical, read
from governance.ledger.compression import compress, decompress
from governance.ledger.errors import Erased, ReceiptInvalid, RecordCorrupt, RecordInvalid
from governance.ledger.receipt import detach
from governance.ledger.record import GROUPS, commitment_root, disclosure_of, group_digests, root_over, salt_of
from governance.ledger.vault import HOLLOW, Vault, opened


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
    erased: bool = False


KEPT: Final = ("model", "people")
"""The groups that stay readable when the person that a record speaks of is erased: no value of theirs is about the person."""


def unsealed(
    vault: Vault | None, record: Mapping[str, Any], decision: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Rows of ``records`` and ``decisions`` with ``body``, ``seeds`` and ``response`` opened and the customer's id in its place.

    Raises:
        Erased: they are sealed under a key that is not here.
        RecordCorrupt: what is sealed was changed.
    """
    name, response = str(record["record_id"]), None if decision is None else bytes(decision["response"])
    columns = opened(vault, name, bytes(record["body"]), bytes(record["seeds"]), response)
    plain = {**record, "body": columns.body, "seeds": columns.seeds}
    if decision is None:
        return plain, None
    customer = decision["customer_id"]
    names = {} if vault is None else vault.names([customer])
    return plain, {**decision, "response": columns.response, "customer_id": names.get(customer, customer)}


def is_erased(body: bytes) -> bool:
    """Whether a stored body is what an erasure left of a record."""
    return not body or body.startswith(HOLLOW)


def hollow(opened_: Opened, seeds: bytes) -> bytes:
    """What is left of a record when a person that it speaks of is erased.

    The digest of every group, so that its commitment can still be computed, and the groups of :data:`KEPT` with their salts. The digests
    of the others tell nothing without the seed.

    Args:
        opened_: the record.
        seeds: its ``seeds`` column.

    Returns:
        the new ``body`` column; that of seeds becomes empty.
    """
    salting = read_seeds(seeds)
    digests = group_digests(opened_.texts, salting.of)
    personal = set(salting.by_group)
    kept = [name for name in KEPT if name in opened_.groups and name not in personal]
    return HOLLOW + compress(
        orjson.dumps(
            {
                "digests": b2a_base64(b"".join(digests), newline=False).decode(),
                "groups": {name: opened_.groups[name] for name in kept},
                "salts": {name: salt_of(salting.of(name), name).decode() for name in kept},
            }
        )
    )


def read_seeds(stored: bytes) -> Seeds:
    """Read the ``seeds`` column.

    Raises:
        RecordCorrupt: it is damaged.
    """
    try:
        value = orjson.loads(stored)
        subjects = value["subjects"]
        by_group: dict[str, bytes] = {}
        for facts in subjects.values():
            by_group |= dict.fromkeys(facts["groups"], _base64url(facts["seed"]))
        return Seeds(_base64url(value["rest"]), by_group, tuple(subjects))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordCorrupt("the seeds of a record cannot be read") from error


def read_groups(body: bytes, response: bytes | None = None) -> dict[str, Any]:
    """The groups of a record by name, as JSON values; numbers as their base64url text (see :func:`numbers`).

    Args:
        body: the ``body`` column.
        response: the answered bytes, of a decision.

    Raises:
        Erased: an erasure left nothing that may be read.
        RecordCorrupt: the bytes are damaged.
    """
    if is_erased(body):
        raise Erased
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
    if is_erased(body):
        return _open_hollow(entry, body)
    try:
        committed = _base64url(orjson.loads(entry)["commitment"])
        groups = read_groups(body, response)
        texts = {name: canonical(value) for name, value in groups.items()}
    except (ValueError, KeyError, TypeError, RecordInvalid) as error:
        raise RecordCorrupt("the entry of a record cannot be read") from error
    if commitment_root(texts, read_seeds(seeds).of) != committed:
        raise RecordCorrupt("the groups of the record are not those that its entry commits to")
    return Opened(groups, texts)


def _read_hollow(body: bytes) -> tuple[dict[str, Any], dict[str, bytes], list[bytes]]:
    """Groups, salts and digests of what an erasure left."""
    if not body:
        return {}, {}, []
    try:
        value = orjson.loads(decompress(body[len(HOLLOW) :]))
        digests = b64decode(value["digests"], validate=True)
        salts = {name: salt.encode() for name, salt in value["salts"].items()}
        if len(digests) != 32 * len(GROUPS) or set(salts) != set(value["groups"]) or not set(salts) <= set(GROUPS):
            raise ValueError("parts are missing")
        return value["groups"], salts, [digests[at : at + 32] for at in range(0, len(digests), 32)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordCorrupt("what an erasure left of a record cannot be read") from error


def _open_hollow(entry: bytes, body: bytes) -> Opened:
    groups, salts, digests = _read_hollow(body)
    if not digests:
        raise RecordCorrupt("nothing is left of the record: neither its groups nor their digests")
    try:
        committed = _base64url(orjson.loads(entry)["commitment"])
        texts = {name: canonical(value) for name, value in groups.items()}
    except (ValueError, KeyError, TypeError, RecordInvalid) as error:
        raise RecordCorrupt("the entry of a record cannot be read") from error
    fitting = all(sha256(disclosure_of(salts[name], name, text)).digest() == digests[GROUPS.index(name)] for name, text in texts.items())
    if not fitting or root_over(digests) != committed:
        raise RecordCorrupt("what an erasure left of the record is not what its entry commits to")
    return Opened(groups, texts, erased=True)


def _base64url(text: str) -> bytes:
    """Strict: every byte string has one text, so that no edited text passes for the one that was written."""
    decoded = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if urlsafe_b64encode(decoded).rstrip(b"=") != text.encode():
        raise ValueError(text)
    return decoded
