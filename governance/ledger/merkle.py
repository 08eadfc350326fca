"""The Merkle tree of RFC 6962 with SHA-256: hashes, roots, and proofs made and verified. Values in, values out.

Sources: RFC 6962 section 2.1; the verification algorithms are those of RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from governance.ledger.errors import ProofInvalid

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; the SHA-256 of nothing for an empty tree."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        # The odd one out moves up as it is: the left subtree is always the largest full one.
        above = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The sibling hashes from the leaf at ``index`` up to the root.

    Raises:
        ProofInvalid: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ProofInvalid(f"there is no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root(leaves[:split])]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The hashes which show that the tree of the first ``old_size`` leaves is a prefix of this one.

    Raises:
        ProofInvalid: the old size is 0 or larger than the tree.
    """
    if not 0 < old_size <= len(leaves):
        raise ProofInvalid(f"a tree of {len(leaves)} has no consistency proof from {old_size}")
    return _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root(leaves)]
    split = _split(len(leaves))
    if old_size <= split:
        return [*_subproof(leaves[:split], old_size, whole=whole), root(leaves[split:])]
    return [*_subproof(leaves[split:], old_size - split, whole=False), root(leaves[:split])]


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Check that the leaf hash is at ``index`` in the tree of ``size`` with this root.

    Raises:
        ProofInvalid: it is not, or the proof has another length than it must have.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"there is no leaf {index} in a tree of {size}")
    _require_hashes([leaf, *proof])
    computed = leaf
    for sibling, left in _climb(index, size - 1, proof):
        computed = node_hash(sibling, computed) if left else node_hash(computed, sibling)
    if computed != expected_root:
        raise ProofInvalid("the inclusion proof leads to another root")


def verify_consistency(old_size: int, old_root: bytes, size: int, expected_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of ``old_size`` with ``old_root`` is a prefix of the tree of ``size`` with ``expected_root``.

    Raises:
        ProofInvalid: it is not, the proof has another length than it must have, or the old size is 0 (everything extends nothing:
            that proves nothing).
    """
    if not 0 < old_size <= size:
        raise ProofInvalid(f"a tree of {size} cannot extend one of {old_size}")
    _require_hashes(proof)
    if old_size == size:
        if proof or old_root != expected_root:
            raise ProofInvalid("two trees of one size with different roots, or a proof where none is needed")
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # a full old tree is a node of the new one
    if not path:
        raise ProofInvalid("the consistency proof is too short")
    lowest = (old_size & -old_size).bit_length() - 1  # below this level the two trees share whole subtrees
    old = new = path[0]
    for sibling, left in _climb((old_size - 1) >> lowest, (size - 1) >> lowest, path[1:]):
        new = node_hash(sibling, new) if left else node_hash(new, sibling)
        if left:
            old = node_hash(sibling, old)
    if old != old_root:
        raise ProofInvalid("the consistency proof leads to another old root")
    if new != expected_root:
        raise ProofInvalid("the consistency proof leads to another new root")


def _climb(node: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Walk from a node to the root: each hash of the proof, and whether it stands to the left."""
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        left = bool(node & 1) or node == last
        yield sibling, left
        while left and node and not node & 1:  # levels at which this node has no sibling
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofInvalid("the proof is too short")


def _require_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(value) != 32 for value in hashes):
        raise ProofInvalid("a hash is 32 bytes long")
