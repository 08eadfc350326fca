"""A tree that grows leaf by leaf in little memory: what a verifier computes while records pass by. Values in, values out."""

from __future__ import annotations

from collections.abc import Callable

from governance.ledger.merkle import EMPTY_ROOT, node_hash
from governance.ledger.tiles import HASH, HEIGHT, WIDTH, Tile, TiledTree, root_of_full

Full = Callable[[Tile, bytes], None]
"""Told of each tile that is full now, with its hashes."""


class GrowingTree:
    """Holds the rightmost tile of each level, and nothing else.

    Args:
        full: see :data:`Full`; tiles of a higher level follow those below them.
    """

    def __init__(self, full: Full = lambda _tile, _hashes: None) -> None:
        self.size = 0
        self._full = full
        self._levels: list[bytearray] = [bytearray()]

    @classmethod
    def of(cls, tree: TiledTree, full: Full = lambda _tile, _hashes: None) -> GrowingTree:
        """The state that a tree has come to, read from its rightmost tiles.

        Raises:
            TileInvalid: one of these is missing or has another length than it must have.
        """
        made = cls(full)
        made.size = tree.size
        made._levels = []
        level = 0
        while True:
            there = tree.size >> (HEIGHT * level)
            width = there % WIDTH
            made._levels.append(bytearray(tree.hashes(level, there // WIDTH) if width else b""))
            if there < WIDTH:
                return made
            level += 1

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        self._levels[0] += leaf
        self.size += 1
        if not self.size % WIDTH:
            self._carry()

    def _carry(self) -> None:
        for level, hashes in enumerate(self._levels):
            if len(hashes) < WIDTH * HASH:
                return
            content = bytes(hashes)
            self._full(Tile(level, (self.size >> (HEIGHT * (level + 1))) - 1), content)
            hashes.clear()
            if level + 1 == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level + 1] += root_of_full(content)

    def root(self) -> bytes:
        """The root over all leaves so far."""
        parts = []
        for hashes in reversed(self._levels):
            start, count = 0, len(hashes) // HASH
            while count:  # the largest full subtrees, left to right
                width = 1 << (count.bit_length() - 1)
                parts.append(root_of_full(bytes(hashes[start : start + width * HASH])))
                start += width * HASH
                count -= width
        if not parts:
            return EMPTY_ROOT
        folded = parts.pop()
        while parts:
            folded = node_hash(parts.pop(), folded)
        return folded

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The tiles that are not full yet, with their hashes."""
        return [
            (Tile(level, self.size >> (HEIGHT * (level + 1)), len(hashes) // HASH), bytes(hashes))
            for level, hashes in enumerate(self._levels)
            if hashes
        ]
