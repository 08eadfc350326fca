"""A log as an outsider sees it: checkpoint, tiles and entries fetched one by one, and nothing believed that they do not prove.

What was seen last is remembered, so that a log which shows another past next time is found out, whoever signed it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint, read_checkpoint
from governance.ledger.errors import NoteInvalid, TileInvalid
from governance.ledger.findings import Mismatch, Part
from governance.ledger.growing import GrowingTree
from governance.ledger.notes import NoteKey
from governance.ledger.tile_folder import write_durable
from governance.ledger.tiles import ENTRIES, HASH, WIDTH, Tile, TiledTree, unbundle, width_at

Fetch = Callable[[str], bytes]
"""Fetches a path below the log's address; raises :class:`TileInvalid` when it is not there."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a log last.

    Attributes:
        key: the verifier key that it was read with.
    """

    origin: str
    key: str
    size: int
    root: bytes


class Memory:
    """What was seen of logs, in a folder of one's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, address: str) -> Path:
        return self._folder / f"{sha256(address.encode()).hexdigest()[:32]}.seen"

    def recall(self, address: str) -> Seen | None:
        """What was seen at an address last.

        Raises:
            Mismatch: the file is damaged.
        """
        path = self._path(address)
        try:
            value = orjson.loads(path.read_bytes())
            return Seen(value["origin"], value["key"], int(value["size"]), b64decode(value["root"], validate=True))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise Mismatch(Part.FORK, str(path), "what was seen of this log before is damaged; nothing can be compared") from error

    def keep(self, address: str, seen: Seen) -> None:
        """Remember; durable when this returns."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {"address": address, "origin": seen.origin, "key": seen.key, "size": seen.size, "root": b64encode(seen.root).decode()}
        write_durable(self._path(address), orjson.dumps(told) + b"\n")


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What was found in order.

    Attributes:
        before: what was seen of the log before; ``None`` the first time.
        place: of the leaf that was looked for; ``None`` where none was, or it is not there.
        note: the signed checkpoint.
    """

    checkpoint: Checkpoint
    before: Seen | None
    place: int | None
    note: bytes


def mirror(fetch: Fetch, key: NoteKey, before: Seen | None = None, *, leaf: bytes | None = None, entries: bool = True) -> Mirrored:
    """Read a whole log and check it.

    Args:
        fetch: reads it.
        key: of the log.
        before: what was seen last: the log has to extend it.
        leaf: a leaf hash to be looked for.
        entries: whether the entries are read as well; without them the tiles alone.

    Raises:
        Mismatch: the first thing that is wrong.
    """
    try:
        note = fetch("checkpoint")
        checkpoint, _ = read_checkpoint(note, [key])
    except (NoteInvalid, TileInvalid) as error:
        raise Mismatch(Part.CHECKPOINT, "checkpoint", str(error)) from error
    if before is not None and before.size > checkpoint.size:
        detail = f"a tree of {before.size} was seen before, now it has {checkpoint.size}"
        raise Mismatch(Part.FORK, checkpoint.origin, detail)
    follower = _Follower(fetch, checkpoint, before)
    place = None
    for index in range(-(-checkpoint.size // WIDTH)):
        hashes = follower.leaves(index, entries=entries)
        if leaf is not None and place is None:
            at = next((at for at in range(0, len(hashes), HASH) if hashes[at : at + HASH] == leaf), None)
            place = None if at is None else index * WIDTH + at // HASH
    follower.finish()
    return Mirrored(checkpoint, before, place, note)


class _Follower:
    """Computes the tree from the leaves up, and compares it with what the log shows."""

    def __init__(self, fetch: Fetch, checkpoint: Checkpoint, before: Seen | None) -> None:
        self._fetch = fetch
        self._checkpoint = checkpoint
        self._before = before
        self._tree = GrowingTree(self._upper)
        self._compare()

    def leaves(self, index: int, *, entries: bool) -> bytes:
        """One tile of leaf hashes, compared with its entries and added to the tree."""
        width = width_at(self._checkpoint.size, 0, index)
        tile, bundled = Tile(0, index, width), Tile(ENTRIES, index, width)
        hashes = self._read(tile, Part.TILE)
        if len(hashes) != width * HASH:
            raise Mismatch(Part.TILE, tile.path, f"it has {len(hashes)} bytes instead of {width * HASH}")
        if entries:
            try:
                made = [merkle.leaf_hash(entry) for entry in unbundle(self._read(bundled, Part.BUNDLE), width)]
            except TileInvalid as error:
                raise Mismatch(Part.BUNDLE, bundled.path, str(error)) from error
            for at, leaf in enumerate(made):
                if hashes[at * HASH : (at + 1) * HASH] != leaf:
                    raise Mismatch(Part.BUNDLE, bundled.path, "an entry has another hash than its tile says", index * WIDTH + at)
        for at in range(0, len(hashes), HASH):
            self._tree.add(hashes[at : at + HASH])
            self._compare()
        return hashes

    def finish(self) -> None:
        """The root that was signed is that of the leaves."""
        for tile, content in self._tree.partial():
            if tile.level and self._read(tile, Part.TILE) != content:
                raise Mismatch(Part.TILE, tile.path, "its hashes are not those of the tiles below")
        if self._tree.root() != self._checkpoint.root:
            raise Mismatch(Part.CHECKPOINT, "checkpoint", "its root is not that of the leaves")

    def _compare(self) -> None:
        before = self._before
        if before is not None and before.size == self._tree.size and before.root != self._tree.root():
            detail = f"the tree of {before.size} that was seen before had another root: this log shows two pasts"
            raise Mismatch(Part.FORK, self._checkpoint.origin, detail)

    def _upper(self, tile: Tile, content: bytes) -> None:
        if tile.level and self._read(tile, Part.TILE) != content:
            raise Mismatch(Part.TILE, tile.path, "its hashes are not those of the tiles below")

    def _read(self, tile: Tile, part: Part) -> bytes:
        try:
            return self._fetch(tile.path)
        except TileInvalid as error:
            raise Mismatch(part, tile.path, str(error)) from error


def extends(fetch: Fetch, checkpoint: Checkpoint, before: Seen) -> list[bytes]:
    """The consistency proof between two trees of a log, made from its tiles and checked: what a witness is sent.

    Raises:
        TileInvalid: a tile is missing.
        ProofInvalid: the larger tree does not extend the smaller one.
    """
    if before.size in {0, checkpoint.size}:
        return []
    proof = TiledTree(checkpoint.size, lambda tile: fetch(tile.path)).consistency_proof(before.size)
    merkle.verify_consistency(before.size, before.root, checkpoint.size, checkpoint.root, proof)
    return proof
