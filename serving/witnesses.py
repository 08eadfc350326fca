"""Asking witnesses for cosignatures: beside the leader, never in its way, and kept with the checkpoint that they are for."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from governance.ledger.checkpoint import Checkpoint, read_checkpoint
from governance.ledger.errors import LedgerError, NoteInvalid
from governance.ledger.notes import COSIGNATURE, Note, NoteKey, Signature
from governance.ledger.published import COSIGNED, cosigned
from governance.ledger.tile_folder import TileFolder, write_durable
from governance.ledger.tiles import TiledTree
from governance.ledger.witness import write_request
from serving.keeper import Keeper

log = logging.getLogger(__name__)

EVERY_S = 1.0
FAILED_S = 15.0
"""How long a witness that could not be asked is left alone."""
TIMEOUT_S = 5.0


class WitnessesInvalid(ValueError):
    """A witness that is not told as its address and its key."""


@dataclass(slots=True)
class Asked:
    """One witness.

    Attributes:
        url: the address below which ``/add-checkpoint`` is.
        size: of the tree that it cosigned last, as far as is known.
        problem: why it does not cosign; ``None`` when it does.
    """

    url: str
    key: NoteKey
    size: int = 0
    problem: str | None = None
    wait_s: float = field(default=0.0, repr=False)


def read_witness(text: str) -> Asked:
    """Read ``URL KEY``.

    Raises:
        WitnessesInvalid: it is something else.
    """
    url, _, key = text.strip().partition(" ")
    try:
        made = Asked(url.rstrip("/"), NoteKey.parse(key.strip()))
    except NoteInvalid as error:
        raise WitnessesInvalid(f"a witness is told as its address and its key with a space between them: {error}") from error
    if not url.startswith(("http://", "https://")) or made.key.algorithm != COSIGNATURE:
        raise WitnessesInvalid("a witness is told as its address, which begins with http, and its key, which is of algorithm 4")
    return made


class WitnessKeeper(Keeper):
    """Brings each newly published checkpoint to the witnesses, in a thread.

    Args:
        folder: of the log.
        key: of the log.
        witnesses: whom to ask.
        every_s: seconds between two looks for a new checkpoint.
    """

    def __init__(self, folder: Path, key: NoteKey, witnesses: Sequence[Asked], every_s: float = EVERY_S) -> None:
        super().__init__("witnesses", every_s, self._look, niceness=0)
        self.witnesses = tuple(witnesses)
        self._folder = folder
        self._key = key
        self._tiles = TileFolder(folder)

    def _look(self) -> float:
        self.bring()
        return self._every_s

    def bring(self) -> int:
        """Ask every witness that has not cosigned the newest checkpoint; returns how many cosignatures that brought."""
        raw = self._tiles.checkpoint()
        if raw is None:
            return 0
        checkpoint, note = read_checkpoint(raw, [self._key])
        found = []
        for one in self.witnesses:
            if one.wait_s > 0:
                one.wait_s -= self._every_s
            elif (one.size < checkpoint.size or one.problem is not None) and checkpoint.size:
                signature = self._ask(one, checkpoint, raw)
                if signature is not None:
                    found.append(signature)
        if found:
            self._keep(note, found)
        return len(found)

    def _ask(self, one: Asked, checkpoint: Checkpoint, raw: bytes) -> Signature | None:
        try:
            for _ in range(2):
                tree = TiledTree(checkpoint.size, self._tiles.read)
                proof = tree.consistency_proof(one.size) if 0 < one.size < checkpoint.size else []
                status, answer = _post(one.url, write_request(one.size, proof, raw))
                if status == 200:
                    signature = _cosignature(one, raw, answer)
                    one.size, one.problem = checkpoint.size, None
                    return signature
                if status != 409 or not answer.strip().isdigit():
                    break
                last = int(answer)
                if last > checkpoint.size or last == one.size:
                    raise NoteInvalid(f"it has cosigned another tree of {last} records")
                one.size = last
            raise NoteInvalid(f"it answers {status}: {answer.decode(errors='replace').strip()[:200]}")
        except (LedgerError, OSError, ValueError) as error:
            if one.problem != str(error):
                log.warning("the witness %s does not cosign: %s", one.key.name, error)
            one.problem, one.wait_s = str(error), FAILED_S
            return None

    def _keep(self, note: Note, found: Sequence[Signature]) -> None:
        """Beside the checkpoint, not in it: that one goes on without waiting for witnesses."""
        there = cosigned(self._folder)
        if there is not None:
            before = Note.parse(there)
            note = before if before.text == note.text else note
        write_durable(self._folder / COSIGNED, note.signed(*found).to_bytes())


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{url}/add-checkpoint", body, {"Content-Type": "text/plain; charset=utf-8"})  # noqa: S310 - http, checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http or https
            return answer.status, answer.read(MOST)
    except urllib.error.HTTPError as error:
        return error.code, error.read(MOST)


MOST = 64 * 1024


def _cosignature(one: Asked, raw: bytes, answer: bytes) -> Signature:
    """The witness's cosignature among the lines that it answers, checked."""
    note = Note.parse(Note.parse(raw).text.encode() + b"\n" + answer)
    (signature, *_) = note.verified([one.key])
    return signature
