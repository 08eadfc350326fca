"""Checkpoints: a log's origin, size and root in a signed note (c2sp.org/tlog-checkpoint), and a proof that stands by itself (c2sp.org/tlog-proof).

Values in, values out.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from governance.ledger import merkle
from governance.ledger.errors import NoteInvalid, ProofInvalid
from governance.ledger.notes import Note, NoteKey

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_PROOF = 64
"""Hashes of a proof at most: a tree of 2^63 leaves has no longer path."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says it holds.

    Attributes:
        origin: the log's name.
        size: leaves.
        root: 32 bytes.
        extensions: lines after these three; none in ours.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text of its note."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a checkpoint's note.

        Raises:
            NoteInvalid: it is none.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise NoteInvalid("a checkpoint has three lines: origin, size and root")
        origin, size, root, *extensions = lines[:-1]
        if not size.isascii() or not size.isdigit() or (size != "0" and size.startswith("0")) or len(size) > 19:
            raise NoteInvalid(f"{size[:20]!r} is no tree size")
        try:
            decoded = b64decode(root, validate=True)
        except ValueError as error:
            raise NoteInvalid("the root of a checkpoint is base64") from error
        if len(decoded) != 32 or b64encode(decoded).decode() != root:
            raise NoteInvalid("the root of a checkpoint is 32 bytes in base64")
        if size == "0" and decoded != merkle.EMPTY_ROOT:
            raise NoteInvalid("an empty tree has another root")
        return cls(origin, int(size), decoded, tuple(extensions))


def read_checkpoint(raw: bytes, keys: Sequence[NoteKey], origin: str | None = None) -> tuple[Checkpoint, Note]:
    """Read a signed checkpoint and check it.

    Args:
        raw: the note.
        keys: one of these signed it.
        origin: the log it has to be of; ``None`` for the name of the first key.

    Raises:
        NoteInvalid: malformed, of another log, or signed by none of the keys.
    """
    note = Note.parse(raw)
    checkpoint = Checkpoint.parse(note.text)
    expected = origin if origin is not None else keys[0].name if keys else None
    if checkpoint.origin != expected:
        raise NoteInvalid(f"the checkpoint is of {checkpoint.origin!r}, not of {expected!r}")
    note.verified(keys)
    return checkpoint, note


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A leaf's inclusion in a checkpoint, in one file that stands by itself.

    Attributes:
        index: of the leaf.
        hashes: from the leaf's sibling up, 32 bytes each.
        checkpoint: the signed note, verbatim.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes

    def to_bytes(self) -> bytes:
        """The file."""
        lines = (PROOF_HEADER, f"index {self.index}", *(b64encode(one).decode() for one in self.hashes), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint

    @classmethod
    def parse(cls, raw: bytes) -> TlogProof:
        """Read a file.

        Raises:
            ProofInvalid: it is malformed.
        """
        head, separator, checkpoint = raw.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise ProofInvalid("the proof is not ASCII before its checkpoint") from error
        if not separator or lines[0] != PROOF_HEADER:
            raise ProofInvalid(f"a proof begins with {PROOF_HEADER} and has its checkpoint after an empty line")
        word, _, number = (lines[1] if len(lines) > 1 else "").partition(" ")
        if word != "index" or not number.isdigit() or (number != "0" and number.startswith("0")) or len(number) > 19:
            raise ProofInvalid("the second line of a proof is 'index N'")
        if len(lines) - 2 > _MAX_PROOF:
            raise ProofInvalid(f"a proof has at most {_MAX_PROOF} hashes")
        try:
            hashes = tuple(b64decode(line, validate=True) for line in lines[2:])
        except ValueError as error:
            raise ProofInvalid("a hash of the proof is not base64") from error
        if [b64encode(one).decode() for one in hashes] != lines[2:]:
            raise ProofInvalid("a hash of the proof is not base64 as it is written")
        return cls(int(number), hashes, checkpoint)

    def verify(self, leaf: bytes, keys: Sequence[NoteKey], origin: str | None = None) -> Checkpoint:
        """Check that the leaf is in the checkpoint, and the checkpoint signed; returns it.

        Args:
            leaf: the leaf hash, 32 bytes.
            keys: of the log.
            origin: of the log; ``None`` for the name of the first key.

        Raises:
            ProofInvalid: the leaf is not there.
            NoteInvalid: the checkpoint is malformed or not the log's.
        """
        checkpoint, _ = read_checkpoint(self.checkpoint, keys, origin)
        merkle.verify_inclusion(leaf, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint
