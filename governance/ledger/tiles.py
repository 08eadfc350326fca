"""The tree in tiles (c2sp.org/tlog-tiles): paths, what a growing tree adds, and roots and proofs out of tiles. Values in, values out.

A tile of level L holds up to 256 hashes of the tree's level 8 L, left to right; a partial tile holds those that are there so far and is never
changed, only followed by a wider one. Entry bundles hold the leaves themselves, each with its length in two bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from governance.ledger.errors import ProofInvalid, TileInvalid
from governance.ledger.merkle import EMPTY_ROOT, node_hash

HEIGHT = 8
WIDTH = 256
HASH = 32
ENTRIES = -1
"""The level of entry bundles."""
MAX_LEVEL = 5
"""256^6 leaves are more than an index of 2^48."""

_PATH = re.compile(r"tile/(entries|[0-5])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Which tile.

    Attributes:
        level: 0 for the leaves' hashes and up, :data:`ENTRIES` for the entries themselves.
        index: from the left.
        width: hashes or entries, 1 to 256; below 256 it is partial.
    """

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it is, below the log's address."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_number(self.index)}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path.

        Raises:
            TileInvalid: it is none, or not written the one way.
        """
        found = _PATH.fullmatch(path)
        if found is None:
            raise TileInvalid(f"{path[:100]!r} is no path of a tile")
        level, number, width = found.groups()
        tile = cls(
            ENTRIES if level == "entries" else int(level),
            int(number.replace("x", "").replace("/", "")),
            WIDTH if width is None else int(width),
        )
        if tile.path != path or (width is not None and tile.width >= WIDTH):
            raise TileInvalid(f"{path!r} is not how that tile's path is written")
        return tile


ReadTile = Callable[[Tile], bytes]
"""Reads a tile's bytes; raises :class:`TileInvalid` when it is not there. A wider tile of the same index may be cut for a narrower one."""


def _number(index: int) -> str:
    """In groups of three digits, all but the last with an ``x`` before them: 1234067 is ``x001/x234/067``."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def width_at(size: int, level: int, index: int) -> int:
    """How many hashes a tile has in a tree of ``size``: 0 to 256."""
    there = size >> (HEIGHT * max(level, 0))
    return min(WIDTH, max(0, there - index * WIDTH))


def new_tiles(old_size: int, size: int) -> Iterator[Tile]:
    """The tiles, without entry bundles, that a tree has and its earlier state had not, from the leaves up, left to right."""
    for level in range(MAX_LEVEL + 1):
        before, now = old_size >> (HEIGHT * level), size >> (HEIGHT * level)
        if now == 0:
            return
        if now == before:
            continue
        for index in range(before // WIDTH, (now - 1) // WIDTH + 1):
            yield Tile(level, index, width_at(size, level, index))


def new_bundles(old_size: int, size: int) -> Iterator[Tile]:
    """The entry bundles that a log has and its earlier state had not."""
    if size > old_size:
        for index in range(old_size // WIDTH, (size - 1) // WIDTH + 1):
            yield Tile(ENTRIES, index, width_at(size, 0, index))


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a tree of this size, in its widest form."""
    return new_tiles(0, size)


def root_of_full(hashes: bytes) -> bytes:
    """The root of a power of two of hashes, side by side."""
    level = [hashes[at : at + HASH] for at in range(0, len(hashes), HASH)]
    while len(level) > 1:
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as their bundle.

    Raises:
        TileInvalid: more than 256, or one longer than 65,535 bytes.
    """
    if len(entries) > WIDTH or any(len(entry) > 0xFFFF for entry in entries):
        raise TileInvalid("a bundle has at most 256 entries of at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def unbundle(raw: bytes, width: int) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        TileInvalid: it holds another number of entries, or ends in the middle of one.
    """
    entries, at = [], 0
    while at < len(raw):
        end = at + 2 + int.from_bytes(raw[at : at + 2])
        if at + 2 > len(raw) or end > len(raw):
            raise TileInvalid("an entry bundle ends in the middle of an entry")
        entries.append(raw[at + 2 : end])
        at = end
    if len(entries) != width:
        raise TileInvalid(f"an entry bundle of {width} holds {len(entries)}")
    return entries


class TiledTree:
    """A tree of ``size`` leaves whose hashes are read from tiles. Each tile is read once.

    Args:
        size: leaves.
        read: reads a tile; the widths asked for are those of this size.
    """

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size = size
        self._read = read
        self._kept: dict[tuple[int, int], bytes] = {}

    def hashes(self, level: int, index: int) -> bytes:
        """The hashes of a tile, side by side.

        Raises:
            TileInvalid: it is missing or has another length than it must have.
        """
        kept = self._kept.get((level, index))
        if kept is None:
            tile = Tile(level, index, width_at(self.size, level, index))
            if tile.width == 0:
                raise TileInvalid(f"a tree of {self.size} has no tile {level}/{index}")
            kept = self._read(tile)
            if len(kept) != tile.width * HASH:
                raise TileInvalid(f"{tile.path} has {len(kept)} bytes instead of {tile.width * HASH}")
            self._kept[level, index] = kept
        return kept

    def node(self, height: int, index: int) -> bytes:
        """The root of the full subtree over the leaves from ``index`` × 2^``height``, 2^``height`` of them."""
        level, within = divmod(height, HEIGHT)
        at = index << within
        hashes = self.hashes(level, at // WIDTH)
        start = at % WIDTH * HASH
        return root_of_full(hashes[start : start + (HASH << within)])

    def leaf(self, index: int) -> bytes:
        """A leaf's hash."""
        if not 0 <= index < self.size:
            raise ProofInvalid(f"there is no leaf {index} in a tree of {self.size}")
        return self.node(0, index)

    def root(self, start: int = 0, end: int | None = None) -> bytes:
        """The root over the leaves from ``start`` up to ``end``, where that is a subtree of the whole: the whole by default."""
        end = self.size if end is None else end
        if start == end:
            return EMPTY_ROOT
        count, parts = end - start, []
        while count:  # the largest full subtrees, left to right
            height = count.bit_length() - 1
            parts.append(self.node(height, start >> height))
            start += 1 << height
            count -= 1 << height
        folded = parts.pop()
        while parts:
            folded = node_hash(parts.pop(), folded)
        return folded

    def root_at(self, size: int) -> bytes:
        """The root that this tree had when it had ``size`` leaves.

        Raises:
            ProofInvalid: it never had that many.
        """
        if not 0 <= size <= self.size:
            raise ProofInvalid(f"a tree of {self.size} never had {size} leaves")
        return TiledTree(size, lambda tile: self.hashes(tile.level, tile.index)[: tile.width * HASH]).root()

    def inclusion_proof(self, index: int) -> list[bytes]:
        """As :func:`governance.ledger.merkle.inclusion_proof`, from tiles.

        Raises:
            ProofInvalid: there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise ProofInvalid(f"there is no leaf {index} in a tree of {self.size}")
        proof, start, end = [], 0, self.size
        while end - start > 1:
            middle = start + (1 << ((end - start - 1).bit_length() - 1))
            if index < middle:
                proof.append(self.root(middle, end))
                end = middle
            else:
                proof.append(self.root(start, middle))
                start = middle
        return proof[::-1]

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """As :func:`governance.ledger.merkle.consistency_proof`, from tiles.

        Raises:
            ProofInvalid: the old size is 0 or larger than the tree.
        """
        if not 0 < old_size <= self.size:
            raise ProofInvalid(f"a tree of {self.size} has no consistency proof from {old_size}")
        proof, start, end, whole = [], 0, self.size, True
        while old_size != end:
            middle = start + (1 << ((end - start - 1).bit_length() - 1))
            if old_size <= middle:
                proof.append(self.root(middle, end))
                end = middle
            else:
                proof.append(self.root(start, middle))
                start, whole = middle, False
        if not whole:
            proof.append(self.root(start, end))
        return proof[::-1]
