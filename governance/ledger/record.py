"""A record: the entry that becomes a leaf of the log, and the body whose groups it commits to.

The entry holds no personal data: who, when and what stays in the body. The commitment root in the entry is the RFC 6962 root over one salted
digest per group of :data:`GROUPS`, absent ones included, so that a group's place is fixed and its absence says nothing. A digest is the
SHA-256 of the base64url text of the RFC 8785 array ``[salt, group, value]`` (as a disclosure of RFC 9901); a salt is the first 16 bytes of
HMAC-SHA-256(seed, group).
"""

from __future__ import annotations

import hmac
import os
import re
from binascii import b2a_base64
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from feature_store.times import Millis, format_time
from governance.ledger import merkle
from governance.ledger.canonical import Canonical, canonical
from governance.ledger.compression import compress
from governance.ledger.errors import RecordInvalid
from governance.ledger.ids import new_record_id
from governance.ledger.receipt import Receipt, Signer

SCHEMA: Final = 1
MAX_ENTRY: Final = 65_535

GROUPS: Final = (
    "request",  # the body as it was received, as text
    "order",  # order id and version, customer: what a timeline is made of
    "circumstances",  # start and end, request id, mode, deadline, stage, what a clock decided, the cause of a fallback
    "snapshot",  # names, event times, origins, view version, shape of the values
    "values",  # numbers: the snapshot's values
    "explanation",  # explainer, link, names
    "scores",  # numbers: base and margin
    "contributions",  # numbers: in the order of the names
    "model",  # name, version, digest, role of every model that was asked
    "confidence",  # calibrated probability with its interval
    "policy",  # id, digest, every rule and constraint with its result
    "alternatives",  # what else was considered
    "outcome",  # outcome, status, reasons with texts, what only this type answers
    "response",  # the answer as sent, without its receipt, as text
    "people",  # who asked, overrode, approved
    "change",  # for records that are no decision: what changed
)
"""What a record commits to, in the order of the tree. A new schema version may add to the end."""

CUSTOMER_GROUPS: Final = frozenset(
    {
        "request",
        "order",
        "snapshot",
        "values",
        "explanation",
        "scores",
        "contributions",
        "confidence",
        "alternatives",
        "outcome",
        "response",
    }
)
"""The groups of a decision that speak of the order's customer: their salts come from the customer's seed."""

DIGESTS: Final = frozenset({"model", "policy", "view", "build", "environment", "dataset", "fraud", "acceptance", "split-order"})
"""The names that an entry's digests may have; a composite decision names those of its parts' records by type."""

_ENCODED: Final = {name: name.encode() for name in GROUPS}
_DIGEST = re.compile(r"[A-Za-z0-9:._+-]{1,128}")
_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_REST: Final = ""
_URL_ALPHABET: Final = bytes.maketrans(b"+/", b"-_")
_NO_TEXT: Final = b"=\n"


class Kind(StrEnum):
    """Every kind of record that there is."""

    DECISION = "decision"
    ORDER_DECISION = "order_decision"
    SHADOW = "shadow"
    WHAT_IF = "what_if"
    OVERRIDE = "override"
    EXPIRY = "expiry"
    CANCELLATION = "cancellation"
    OUTCOME_LABEL = "outcome_label"
    DATASET_ACCEPTED = "dataset_accepted"
    TRAINING_FINISHED = "training_finished"
    MODEL_REGISTERED = "model_registered"
    APPROVAL = "approval"
    ALIAS_MOVED = "alias_moved"
    POLICY_CHANGED = "policy_changed"
    LIST_CHANGED = "list_changed"
    SWITCH_CHANGED = "switch_changed"
    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    WEBHOOK_CHANGED = "webhook_changed"
    EXPORT = "export"
    READS = "reads"
    ERASURE = "erasure"
    LEGAL_HOLD = "legal_hold"


@dataclass(frozen=True, slots=True)
class Numbers:
    """A group of numbers: committed to, and kept, as raw little-endian IEEE-754, so that a replay gets every bit.

    Attributes:
        dtype: ``<f8``, the only one of schema 1.
        values: any shape; flattened in C order. The shape belongs into a group of its own kind (``snapshot``).
    """

    dtype: str
    values: NDArray[np.float64]

    @classmethod
    def of(cls, values: object) -> Numbers:
        """Numbers of anything that numpy reads as float64."""
        return cls("<f8", np.asarray(values, dtype="<f8"))

    @property
    def text(self) -> str:
        """The base64url text of the raw bytes, without padding."""
        if self.dtype != "<f8":
            raise RecordInvalid(f"numbers of dtype {self.dtype!r} are not part of schema {SCHEMA}")
        return _base64url(self.values.astype("<f8", copy=False).tobytes()).decode()


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be recorded.

    Attributes:
        kind: what kind of record it is.
        decision_type: of decisions; ``None`` for other kinds.
        digests: of what was used, by a name of :data:`DIGESTS`; a code build's or view's version counts as one.
        groups: by a name of :data:`GROUPS`: JSON values, :class:`Canonical` ones that are text already, or :class:`Numbers`. A text (the request as received) is a JSON value too.
        subjects: the data subjects that it speaks of (``customer:C-9``) and the groups that do; each subject has a seed of its own.
        record_id: known before sealing, because the answer names it.
        tenant: whose record it is.
        refers_to: an earlier record that this one belongs to (override, shadow, outcome label).
    """

    kind: Kind
    decision_type: str | None
    digests: Mapping[str, str]
    groups: Mapping[str, object]
    subjects: Mapping[str, Collection[str]] = field(default_factory=dict)
    record_id: str = field(default_factory=new_record_id)
    tenant: str = "default"
    refers_to: str | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A record ready to be stored: nothing of it changes any more.

    Attributes:
        entry: the leaf, RFC 8785.
        body: zstd of the JSON object of all groups; of a decision without ``response``, which is stored as it was answered.
        seeds: JSON: the random seeds and which groups each salts; destroyed when a subject is erased.
        subjects: the data subjects that it speaks of.
    """

    record_id: str
    kind: Kind
    tenant: str
    at: Millis
    entry: bytes
    leaf_hash: bytes
    body: bytes
    seeds: bytes
    receipt: Receipt
    subjects: tuple[str, ...] = ()


def about_customer(customer_id: str | None, groups: Mapping[str, object]) -> dict[str, list[str]]:
    """The ``subjects`` of a decision about an order: its customer, with all groups that speak of one."""
    return {f"customer:{customer_id}": [name for name in groups if name in CUSTOMER_GROUPS]} if customer_id else {}


_ANSWERED: Final = frozenset({Kind.DECISION, Kind.ORDER_DECISION})
"""Kinds with a row of ``decisions``, which keeps the answer."""


def seal(draft: Draft, signer: Signer, at: Millis, *, random: Callable[[int], bytes] = os.urandom) -> Sealed:
    """Commit to a draft, make its entry and sign the promise.

    Args:
        draft: what is recorded.
        signer: of the receipt.
        at: the moment of the record and of the promise.
        random: where seeds come from; a test may fix it.

    Raises:
        RecordInvalid: an unknown group or digest, a value that is not JSON, or an entry that became too long.
    """
    texts = {name: _text(name, value) for name, value in draft.groups.items()}
    seeds = _Seeds.fresh(draft.subjects, random)
    entry = _entry(draft, at, commitment_root(texts, seeds.of))
    hashed = merkle.leaf_hash(entry)
    answered = draft.kind in _ANSWERED
    parts = [b'"%b":%b' % (_ENCODED[name], text) for name, text in texts.items() if name != "response" or not answered]
    return Sealed(
        record_id=draft.record_id,
        kind=draft.kind,
        tenant=draft.tenant,
        at=at,
        entry=entry,
        leaf_hash=hashed,
        body=compress(b"{" + b",".join(parts) + b"}"),
        seeds=seeds.to_bytes(),
        receipt=signer.promise(draft.record_id, hashed, at),
        subjects=tuple(draft.subjects),
    )


def disclosure(seed: bytes, name: str, text: bytes) -> bytes:
    """The base64url text that discloses one group, whose value is given as its RFC 8785 text; it tells nothing of the other groups."""
    return disclosure_of(salt_of(seed, name), name, text)


def salt_of(seed: bytes, name: str) -> bytes:
    """The salt of one group, base64url text; it tells nothing of the seed or of the salts of other groups."""
    return b2a_base64(hmac.digest(seed, _ENCODED[name], "sha256")[:16]).translate(_URL_ALPHABET, _NO_TEXT)


def disclosure_of(salt: bytes, name: str, text: bytes) -> bytes:
    """As :func:`disclosure`, with the salt itself."""
    group = _ENCODED[name]
    written = b2a_base64(b'["%b","%b",%b]' % (salt, group, text), newline=False).rstrip(b"=")
    return written.replace(b"+", b"-").replace(b"/", b"_")  # both are rare in the base64 of JSON: faster than translating every character


def group_digests(texts: Mapping[str, bytes], seed_of: Callable[[str], bytes]) -> list[bytes]:
    """The salted digest of each group, in the order of :data:`GROUPS`, absent ones as ``null``."""
    return [sha256(disclosure(seed_of(name), name, texts.get(name, b"null"))).digest() for name in GROUPS]


def root_over(digests: Sequence[bytes]) -> bytes:
    """The RFC 6962 root over the groups' digests."""
    return merkle.root([sha256(b"\x00" + digest).digest() for digest in digests])


def commitment_root(texts: Mapping[str, bytes], seed_of: Callable[[str], bytes]) -> bytes:
    """The RFC 6962 root over the digests of all groups, absent ones as ``null``."""
    return root_over(group_digests(texts, seed_of))


def _text(name: str, value: object) -> bytes:
    if name not in _ENCODED:
        raise RecordInvalid(f"a record has no group {name!r}; it has {', '.join(GROUPS)}")
    if isinstance(value, Canonical):
        return value.text
    try:
        return b'"%b"' % value.text.encode() if isinstance(value, Numbers) else canonical(value)
    except RecordInvalid as error:
        raise RecordInvalid(f"group {name!r}: {error}") from error


def _entry(draft: Draft, at: Millis, commitment: bytes) -> bytes:
    for name, digest in draft.digests.items():
        if name not in DIGESTS or not _DIGEST.fullmatch(digest):
            raise RecordInvalid(f"an entry holds no digest {name}={digest!r}")
    if draft.decision_type is not None and not _TYPE.fullmatch(draft.decision_type):
        raise RecordInvalid(f"{draft.decision_type!r} is no decision type")
    envelope: dict[str, object] = {
        "schema": SCHEMA,
        "record_id": draft.record_id,
        "kind": draft.kind.value,
        "tenant": draft.tenant,
        "time": format_time(at),
        "digests": dict(draft.digests),
        "commitment": _base64url(commitment).decode(),
    }
    if draft.decision_type is not None:
        envelope["type"] = draft.decision_type
    if draft.refers_to is not None:
        envelope["refers_to"] = draft.refers_to
    entry = canonical(envelope)
    if len(entry) > MAX_ENTRY:
        raise RecordInvalid(f"an entry has at most {MAX_ENTRY} bytes, this one has {len(entry)}")
    return entry


class _Seeds:
    """The random seeds of one record: one for each subject, one for the rest."""

    def __init__(self, seeds: Mapping[str, bytes], subjects: Mapping[str, Collection[str]]) -> None:
        self._seeds = seeds
        self._subjects = subjects
        self._by_group = {group: seeds[subject] for subject, groups in subjects.items() for group in groups}
        self._rest = seeds[_REST]

    @classmethod
    def fresh(cls, subjects: Mapping[str, Collection[str]], random: Callable[[int], bytes]) -> _Seeds:
        claimed = [group for groups in subjects.values() for group in groups]
        if len(claimed) != len(set(claimed)) or _REST in subjects:
            raise RecordInvalid("a group speaks of one data subject at most, and a subject has a name")
        return cls({name: random(32) for name in (_REST, *subjects)}, subjects)

    def of(self, group: str) -> bytes:
        return self._by_group.get(group, self._rest)

    def to_bytes(self) -> bytes:
        subjects = {
            name: {"seed": _base64url(self._seeds[name]).decode(), "groups": list(groups)} for name, groups in self._subjects.items()
        }
        return orjson.dumps({"rest": _base64url(self._rest).decode(), "subjects": subjects})


def _base64url(data: bytes) -> bytes:
    return b2a_base64(data).translate(_URL_ALPHABET, _NO_TEXT)
