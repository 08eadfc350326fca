r"""Signed notes: a text and signatures below it, in the form that Go's ``sumdb/note`` and c2sp.org/signed-note define. Values in, values out.

A note is a text that ends in a newline, an empty line, and lines ``— NAME BASE64(key id[4] ‖ signature)``. A signature's bytes and what they
cover depend on the algorithm that stands in the key: 0x01 is Ed25519 over the text, 0x04 a witness's cosignature over the text and a time.
Signatures by unknown keys are ignored; a note that is malformed, or that a known key did not sign, is refused.
"""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from governance.ledger.errors import NoteInvalid

ED25519 = 0x01
COSIGNATURE = 0x04
_ALGORITHMS = (ED25519, COSIGNATURE)
MAX_NOTE = 1_000_000
MAX_SIGNATURES = 100
_DASH = "— "


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key with its name: ``NAME+hex(key id)+BASE64(algorithm ‖ public key)``.

    Attributes:
        algorithm: :data:`ED25519` or :data:`COSIGNATURE`.
        public_key: 32 bytes.
    """

    name: str
    public_key: bytes
    algorithm: int = ED25519

    @property
    def key_hash(self) -> bytes:
        r"""The first four bytes of SHA-256(name ‖ "\n" ‖ algorithm ‖ public key)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key).digest()[:4]

    @property
    def key_id(self) -> str:
        """The key hash in hexadecimal."""
        return self.key_hash.hex()

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id}+{b64encode(bytes([self.algorithm]) + self.public_key).decode()}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Read a verifier key.

        Raises:
            NoteInvalid: it is malformed, of an unknown algorithm, or its key id belongs to another key.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw = b64decode(encoded, validate=True)
        except ValueError as error:
            raise NoteInvalid("the verifier key is not name+id+base64") from error
        if not _is_name(name) or len(raw) != 33 or raw[0] not in _ALGORITHMS:
            raise NoteInvalid("the verifier key is neither an Ed25519 key nor that of a witness")
        key = cls(name, raw[1:], raw[0])
        if key.key_id != key_id.lower():
            raise NoteInvalid(f"the verifier key says id {key_id}, its key has {key.key_id}")
        return key


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        key_hash: 4 bytes, of the key that is said to have signed.
        value: what the algorithm makes: 64 bytes, for a cosignature eight bytes of time before them.
    """

    name: str
    key_hash: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, without its newline."""
        return f"{_DASH}{self.name} {b64encode(self.key_hash + self.value).decode()}"

    @property
    def time_s(self) -> int:
        """When a witness cosigned, seconds since 1970.

        Raises:
            NoteInvalid: this is no cosignature.
        """
        if len(self.value) != 72:
            raise NoteInvalid(f"the signature of {self.name} is no cosignature")
        return int(struct.unpack(">Q", self.value[:8])[0])


@dataclass(frozen=True, slots=True)
class Note:
    """A text with its signatures, none of them checked yet."""

    text: str
    signatures: tuple[Signature, ...] = ()

    def to_bytes(self) -> bytes:
        """The whole note."""
        return (self.text + "\n" + "".join(signature.line + "\n" for signature in self.signatures)).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Take a note apart.

        Raises:
            NoteInvalid: it is malformed.
        """
        if len(raw) > MAX_NOTE:
            raise NoteInvalid(f"the note has {len(raw):,} bytes; at most {MAX_NOTE:,} are read")
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NoteInvalid("the note is not UTF-8") from error
        if any(character < " " and character != "\n" for character in whole):
            raise NoteInvalid("the note contains a control character")
        cut = whole.rfind("\n\n")
        if cut < 0 or not whole.endswith("\n"):
            raise NoteInvalid("the note has no signatures below an empty line")
        text, lines = whole[: cut + 1], whole[cut + 2 :].split("\n")[:-1]
        if not lines or len(lines) > MAX_SIGNATURES:
            raise NoteInvalid(f"the note has {len(lines)} signatures; 1 to {MAX_SIGNATURES} are read")
        return cls(text, tuple(_signature(line) for line in lines))

    def signed(self, *signatures: Signature) -> Note:
        """The note with further signatures; a newer one of the same key replaces the older."""
        new = {(one.name, one.key_hash) for one in signatures}
        return Note(self.text, (*(one for one in self.signatures if (one.name, one.key_hash) not in new), *signatures))

    def verified(self, keys: Iterable[NoteKey]) -> tuple[Signature, ...]:
        """The signatures by these keys, each of them checked.

        Raises:
            NoteInvalid: none of the keys signed, one signed twice, or what one is said to have signed it did not.
        """
        known = {(key.name, key.key_hash): key for key in keys}
        found: dict[tuple[str, bytes], Signature] = {}
        for signature in self.signatures:
            at = (signature.name, signature.key_hash)
            key = known.get(at)
            if key is None:
                continue
            if at in found:
                raise NoteInvalid(f"{signature.name} signed the note twice")
            _check(key, self.text, signature)
            found[at] = signature
        if not found:
            raise NoteInvalid(f"the note is not signed by {' or '.join(sorted(key.name for key in known.values())) or 'any known key'}")
        return tuple(found.values())


def sign(key: NoteKey, private: Ed25519PrivateKey, text: str, *, time_s: int | None = None) -> Signature:
    """Sign a text.

    Args:
        key: the public half of ``private``.
        private: the key.
        text: ends in a newline.
        time_s: of a cosignature, seconds since 1970.

    Raises:
        NoteInvalid: the text does not end in a newline, or a cosignature has no time.
    """
    if not text.endswith("\n"):
        raise NoteInvalid("the text of a note ends in a newline")
    if key.algorithm == COSIGNATURE:
        if time_s is None:
            raise NoteInvalid("a cosignature has a time")
        return Signature(key.name, key.key_hash, struct.pack(">Q", time_s) + private.sign(cosigned_message(text, time_s)))
    return Signature(key.name, key.key_hash, private.sign(text.encode()))


def cosigned_message(text: str, time_s: int) -> bytes:
    """What a witness's Ed25519 signature covers (c2sp.org/tlog-cosignature)."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def newest(signatures: Sequence[Signature]) -> int | None:
    """The latest time among cosignatures; ``None`` when there is none."""
    return max((one.time_s for one in signatures if len(one.value) == 72), default=None)


def _check(key: NoteKey, text: str, signature: Signature) -> None:
    message, value = text.encode(), signature.value
    if key.algorithm == COSIGNATURE:
        message, value = cosigned_message(text, signature.time_s), signature.value[8:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(value, message)
    except (InvalidSignature, ValueError) as error:
        raise NoteInvalid(f"the signature of {key.name} is not that of this text") from error


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).rpartition(" ")
    if not line.startswith(_DASH) or not _is_name(name):
        raise NoteInvalid("a signature line is '— NAME BASE64'")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError as error:
        raise NoteInvalid(f"the signature of {name} is not base64") from error
    if b64encode(raw).decode() != encoded:  # bits that no byte holds: the same signature must not be written in two ways
        raise NoteInvalid(f"the signature of {name} is not base64 as it is written")
    if len(raw) <= 4:
        raise NoteInvalid(f"the signature of {name} is too short")
    return Signature(name, raw[:4], raw[4:])


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)
