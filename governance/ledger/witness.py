"""A witness: it cosigns a log's checkpoints as long as each extends the one that it saw before, and never two that do not (c2sp.org/tlog-witness).

It has a key and a memory of its own, so that it is worth something only in hands other than the log's. What it has cosigned is on disk before
the cosignature leaves.
"""

from __future__ import annotations

import fcntl
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint, read_checkpoint
from governance.ledger.errors import KeyFileInvalid, LedgerError, NoteInvalid, ProofInvalid
from governance.ledger.notes import COSIGNATURE, Note, NoteKey, Signature, sign
from governance.ledger.receipt import write_secret
from governance.ledger.tile_folder import write_durable

KEY_FILE = "witness.key"
MOST_HASHES = 63
SIZE_TYPE = "text/x.tlog.size"


class WitnessRefused(LedgerError):
    """A checkpoint that is not cosigned.

    Attributes:
        status: of the HTTP answer, as the protocol gives it a meaning.
        size: of the tree that was cosigned last, where the asker goes on from another one.
    """

    def __init__(self, status: int, detail: str, size: int | None = None) -> None:
        self.status = status
        self.size = size
        super().__init__(detail)


def write_request(old_size: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """The body that asks a witness for its cosignature."""
    lines = (f"old {old_size}", *(b64encode(one).decode() for one in proof), "")
    return "".join(f"{line}\n" for line in lines).encode() + checkpoint


def read_request(body: bytes) -> tuple[int, list[bytes], bytes]:
    """Old size, consistency proof and checkpoint of a request.

    Raises:
        WitnessRefused: it is malformed.
    """
    head, separator, checkpoint = body.partition(b"\n\n")
    try:
        first, *rest = head.decode("ascii").split("\n")
        word, _, number = first.partition(" ")
        if not separator or word != "old" or not number.isdigit() or len(number) > 19 or str(int(number)) != number:
            raise WitnessRefused(400, "a request begins with 'old N' and has its checkpoint after an empty line")
        if len(rest) > MOST_HASHES:
            raise WitnessRefused(400, f"a proof has at most {MOST_HASHES} hashes")
        return int(number), [b64decode(line, validate=True) for line in rest], checkpoint
    except ValueError as error:
        raise WitnessRefused(400, "a hash of the proof is not base64") from error


class WitnessKey:
    """The key of a witness."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = NoteKey(name, self._private.public_key().public_bytes_raw(), COSIGNATURE)

    def cosign(self, text: str, time_s: int) -> Signature:
        """The cosignature of a checkpoint's text."""
        return sign(self.verifier, self._private, text, time_s=time_s)


def load_witness_key(folder: Path, name: str | None = None) -> WitnessKey:
    """The key in a witness's folder; made (mode 0600) where there is none and a name is given.

    Raises:
        KeyFileInvalid: there is none, it is damaged, or it has another name.
    """
    import secrets

    path = folder / KEY_FILE
    if not path.exists():
        if not name or not name.isascii() or any(character in "+ \t\r\n" for character in name):
            raise KeyFileInvalid(f"There is no key in {folder}. Name the new witness with --name: a host name with a path, without spaces.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seed = secrets.token_bytes(32)
        made = WitnessKey(name, seed).verifier
        encoded = b64encode(bytes([COSIGNATURE]) + seed).decode()
        write_secret(path, f"PRIVATE+KEY+{name}+{made.key_id}+{encoded}\n".encode())
    try:
        prefix, word, told, key_id, encoded = path.read_text("ascii").strip().split("+", 4)
        raw = b64decode(encoded, validate=True)
        if (prefix, word) != ("PRIVATE", "KEY") or len(raw) != 33 or raw[0] != COSIGNATURE:
            raise ValueError(prefix)
    except ValueError as error:
        raise KeyFileInvalid(f"The key {path} of the witness is damaged; restore it from a backup.") from error
    key = WitnessKey(told, raw[1:])
    if key.verifier.key_id != key_id or name not in {None, told}:
        raise KeyFileInvalid(f"The key {path} is that of the witness {told!r}; use another folder for another witness.")
    return key


class Witness:
    """Cosigns what extends what it has seen.

    Args:
        key: its own.
        folder: of its memory.
        logs: the verifier keys of each log that it watches, by origin.
        clock: seconds since 1970.
    """

    def __init__(self, key: WitnessKey, folder: Path, logs: dict[str, list[NoteKey]], clock: Callable[[], float] = time.time) -> None:
        self.key = key
        self.logs = logs
        self._folder = folder
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Signature:
        """Answer one request.

        Raises:
            WitnessRefused: it is malformed, of an unknown log, unsigned, or no continuation of what was cosigned.
        """
        old_size, proof, raw = read_request(body)
        try:
            origin = Note.parse(raw).text.split("\n", 1)[0]
        except NoteInvalid as error:
            raise WitnessRefused(400, str(error)) from error
        if origin not in self.logs:
            raise WitnessRefused(404, f"the log {origin!r} is not watched here")
        try:
            checkpoint, note = read_checkpoint(raw, self.logs[origin], origin)
        except NoteInvalid as error:
            raise WitnessRefused(403, str(error)) from error
        return self.cosign(checkpoint, note, old_size, proof)

    def cosign(self, checkpoint: Checkpoint, note: Note, old_size: int, proof: Sequence[bytes]) -> Signature:
        """Cosign a checkpoint whose signature was checked.

        Raises:
            WitnessRefused: it does not extend what was cosigned before.
        """
        if old_size > checkpoint.size:
            raise WitnessRefused(400, f"a tree of {checkpoint.size} cannot extend one of {old_size}")
        with self._locked(checkpoint.origin):
            seen = self.seen(checkpoint.origin)
            last = 0 if seen is None else seen.size
            if old_size != last:
                raise WitnessRefused(409, f"the last tree that was cosigned has {last} records", last)
            if seen is not None and seen.size == checkpoint.size and seen.root != checkpoint.root:
                raise WitnessRefused(409, f"FORK: another tree of {last} records was cosigned before", last)
            try:
                if last:
                    assert seen is not None
                    merkle.verify_consistency(last, seen.root, checkpoint.size, checkpoint.root, proof)
                elif proof:
                    raise ProofInvalid("nothing needs no proof")
            except ProofInvalid as error:
                raise WitnessRefused(422, f"the tree of {checkpoint.size} does not extend the one of {last}: {error}") from error
            cosignature = self.key.cosign(note.text, int(self._clock()))
            told = {"origin": checkpoint.origin, "size": checkpoint.size, "root": b64encode(checkpoint.root).decode()}
            told["note"] = note.signed(cosignature).to_bytes().decode()
            write_durable(self._path(checkpoint.origin), orjson.dumps(told) + b"\n")
        return cosignature

    def seen(self, origin: str) -> Checkpoint | None:
        """The tree of a log that was cosigned last.

        Raises:
            WitnessRefused: the memory is damaged; it is not guessed.
        """
        value = self._read(origin)
        return None if value is None else Checkpoint(origin, int(value["size"]), b64decode(value["root"]))

    def note(self, origin: str) -> bytes | None:
        """The newest checkpoint of a log with this witness's cosignature."""
        value = self._read(origin)
        return None if value is None else value["note"].encode()

    def _read(self, origin: str) -> dict[str, str] | None:
        path = self._path(origin)
        try:
            value: dict[str, str] = orjson.loads(path.read_bytes())
            if value["origin"] != origin or len(b64decode(value["root"], validate=True)) != 32:
                raise ValueError(origin)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise WitnessRefused(500, f"the memory {path} of this witness is damaged; nothing is cosigned") from error
        return value

    def _path(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()[:32]}.seen"

    @contextmanager
    def _locked(self, origin: str) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path(origin).with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
