"""Tiles: paths as the document writes them, the tiles of a growing tree, and the same roots and proofs as from all the leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.ledger import merkle
from governance.ledger.errors import ProofInvalid, TileInvalid
from governance.ledger.tiles import ENTRIES, HASH, WIDTH, Tile, TiledTree, bundle, new_bundles, new_tiles, tiles_of, unbundle

LOG = Path(__file__).parents[3] / ".." / "shared" / "vectors" / "tlog-tiles-log" / "log"
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(1_200)]


class Folder:
    """Tiles as a log writes them while it grows: each once, never changed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.size = 0

    def grow(self, size: int) -> None:
        for tile in new_tiles(self.size, size):
            if tile.level == 0:
                made = LEAVES[tile.index * WIDTH : tile.index * WIDTH + tile.width]
            else:
                below = [self.files[Tile(tile.level - 1, tile.index * WIDTH + at).path] for at in range(tile.width)]
                made = [merkle.root([raw[i : i + HASH] for i in range(0, len(raw), HASH)]) for raw in below]
            assert tile.path not in self.files, "a tile never changes"
            self.files[tile.path] = b"".join(made)
        self.size = size

    def tree(self, size: int) -> TiledTree:
        return TiledTree(size, self.read)

    def read(self, tile: Tile) -> bytes:
        for width in range(tile.width, WIDTH + 1):
            found = self.files.get(Tile(tile.level, tile.index, width).path)
            if found is not None:
                return found[: tile.width * HASH]
        raise TileInvalid(f"{tile.path} is not there")


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(0, 0, 15), "tile/0/000.p/15"),
        (Tile(ENTRIES, 999), "tile/entries/999"),
        (Tile(2, 1_000, 255), "tile/2/x001/000.p/255"),
    ],
)
def test_paths_are_written_as_the_document_does(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    ["tile/0/1", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/000.p/07", "tile/6/000", "tile/0/x000/001", "tile/00/000", "tile/0/001/002", "tile/0/../000", "tile/entries/000/", "checkpoint"],
)  # fmt: skip
def test_any_other_writing_is_refused(path: str) -> None:
    with pytest.raises(TileInvalid):
        Tile.parse(path)


def test_the_document_counts_the_tiles_of_two_trees() -> None:
    told = list(tiles_of(70_000))
    assert [(sum(t.level == level and t.width == WIDTH for t in told), [t.width for t in told if t.level == level and t.width < WIDTH]) for level in range(4)] == [
        (273, [112]), (1, [17]), (0, [1]), (0, [])
    ]  # fmt: skip
    assert sorted(tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]


@pytest.mark.shared
def test_the_log_of_tessera_is_made_of_our_tiles() -> None:
    if not LOG.exists():
        pytest.skip("the test vectors beside the checkout are absent")
    entries = unbundle((LOG / "tile/entries/000.p/15").read_bytes(), 15)
    for size in range(1, 16):
        (tile,), (bundled,) = new_tiles(size - 1, size), new_bundles(size - 1, size)
        assert (LOG / tile.path).read_bytes() == b"".join(merkle.leaf_hash(entry) for entry in entries[:size])
        assert (LOG / bundled.path).read_bytes() == bundle(entries[:size])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 1_200), min_size=1, max_size=6), st.data())
def test_roots_and_proofs_out_of_tiles_are_those_of_all_leaves(sizes: list[int], data: st.DataObject) -> None:
    folder = Folder()
    for size in sorted(set(sizes)):
        folder.grow(size)
    size = data.draw(st.sampled_from(sorted(set(sizes))))
    tree = folder.tree(size)
    leaves = LEAVES[:size]
    assert tree.root() == merkle.root(leaves)
    index = data.draw(st.integers(0, size - 1))
    assert tree.leaf(index) == leaves[index]
    assert tree.inclusion_proof(index) == merkle.inclusion_proof(leaves, index)
    old = data.draw(st.integers(1, size))
    assert tree.consistency_proof(old) == merkle.consistency_proof(leaves, old)
    assert tree.root_at(old) == merkle.root(leaves[:old])


def test_deep_trees_climb_through_every_level() -> None:
    """Of 70,000 leaves, without making them all: the leaves of one tile repeat."""
    size, one = 70_000, b"".join(LEAVES[:WIDTH])
    above = merkle.root(LEAVES[:WIDTH])
    top = merkle.root([above] * WIDTH)

    def read(tile: Tile) -> bytes:
        return {0: one, 1: above * WIDTH, 2: top}[tile.level][: tile.width * HASH]

    tree = TiledTree(size, read)
    leaves = (LEAVES[:WIDTH] * (size // WIDTH + 1))[:size]
    assert tree.root() == merkle.root(leaves)
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        merkle.verify_inclusion(leaves[index], index, size, tree.inclusion_proof(index), tree.root())
    for old in (1, 255, 256, 65_536, 69_888, 70_000):
        merkle.verify_consistency(old, merkle.root(leaves[:old]), size, tree.root(), tree.consistency_proof(old))


def test_a_missing_or_short_tile_is_named() -> None:
    folder = Folder()
    folder.grow(600)
    del folder.files["tile/0/001"]
    with pytest.raises(TileInvalid, match="tile/0/001"):
        folder.tree(600).inclusion_proof(300)
    folder.files["tile/0/001"] = b"short"
    with pytest.raises(TileInvalid, match="tile/0/001 has 5 bytes"):
        folder.tree(600).inclusion_proof(300)
    with pytest.raises(ProofInvalid):
        folder.tree(600).inclusion_proof(600)
    with pytest.raises(ProofInvalid):
        folder.tree(600).consistency_proof(601)


@given(st.lists(st.binary(max_size=300), max_size=WIDTH))
def test_bundles_come_apart_as_they_were(entries: list[bytes]) -> None:
    raw = bundle(entries)
    assert unbundle(raw, len(entries)) == entries
    with pytest.raises(TileInvalid):
        unbundle(raw + b"\x00", len(entries))
    with pytest.raises(TileInvalid):
        unbundle(raw, len(entries) + 1)


def test_a_bundle_has_limits() -> None:
    assert unbundle(bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    for entries in ([bytes(65_536)], [b""] * 257):
        with pytest.raises(TileInvalid):
            bundle(entries)
