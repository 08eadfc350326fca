"""The tree of RFC 6962: other people's cases, the definition as an oracle, and proofs that break when anything in them does."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.ledger.errors import ProofInvalid
from governance.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[3] / ".." / "shared" / "vectors"
CASES = {kind: sorted((VECTORS / "rfc6962" / kind).rglob("*.json")) for kind in ("inclusion", "consistency")}


def definition(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    n = len(entries)
    if n == 0:
        return sha256().digest()
    if n == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return sha256(b"\x01" + definition(entries[:k]) + definition(entries[k:])).digest()


def hashes(size: int) -> list[bytes]:
    return [leaf_hash(b"entry %d" % i) for i in range(size)]


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_cases_of_transparency_dev(kind):
    if not VECTORS.exists():
        pytest.skip("the test vectors beside the checkout are absent")
    assert len(CASES[kind]) == 98
    wrong = []
    for path in CASES[kind]:
        case = json.loads(path.read_text())
        proof = [b64decode(text) for text in case["proof"] or []]
        try:
            if kind == "inclusion":
                verify_inclusion(b64decode(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, b64decode(case["root"]))
            else:
                verify_consistency(case["size1"], b64decode(case["root1"]), case["size2"], b64decode(case["root2"]), proof)
            failed = False
        except ProofInvalid:
            failed = True
        if failed != case["wantErr"]:
            wrong.append((path.parent.name, case["desc"]))
    assert not wrong


@pytest.mark.shared
def test_the_log_of_tessera_has_the_roots_that_it_signed():
    log = VECTORS / "tlog-tiles-log" / "log"
    if not log.exists():
        pytest.skip("the test vectors beside the checkout are absent")
    leaves = (log / "tile" / "0" / "000.p" / "15").read_bytes()
    level = [leaves[i : i + 32] for i in range(0, len(leaves), 32)]
    for size in range(16):
        _, told_size, told_root = (log / f"checkpoint.{size}").read_text().splitlines()[:3]
        assert int(told_size) == size
        assert b64decode(told_root) == root(level[:size])


def test_known_hashes():
    # RFC 6962 test values as used across implementations
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert node_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@given(st.lists(st.binary(max_size=40), max_size=40))
def test_root_is_that_of_the_definition(entries):
    assert root([leaf_hash(entry) for entry in entries]) == definition(entries)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.data())
def test_every_leaf_is_provable_and_nothing_else_is(size, data):
    leaves = hashes(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    verify_inclusion(leaves[index], index, size, proof, root(leaves))
    spoilt = data.draw(st.sampled_from(["leaf", "index", "root", "longer", "shorter", "bit"]))
    leaf, at, top, path = leaves[index], index, root(leaves), list(proof)
    if spoilt == "leaf":
        leaf = leaf_hash(b"other")
    elif spoilt == "index":
        at = data.draw(st.integers(0, size).filter(lambda other: other != index))
    elif spoilt == "root":
        top = leaf_hash(top)
    elif spoilt == "longer":
        path.insert(data.draw(st.integers(0, len(path))), leaf_hash(b"more"))
    elif not path:
        return
    elif spoilt == "shorter":
        path.pop(data.draw(st.integers(0, len(path) - 1)))
    else:
        i, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
        path[i] = (int.from_bytes(path[i]) ^ (1 << bit)).to_bytes(32)
    with pytest.raises(ProofInvalid):
        verify_inclusion(leaf, at, size, path, top)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.data())
def test_growth_is_provable_and_rewriting_is_not(size, data):
    leaves = hashes(size)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(leaves, old)
    verify_consistency(old, root(leaves[:old]), size, root(leaves), proof)
    changed = list(leaves)
    changed[data.draw(st.integers(0, old - 1))] = leaf_hash(b"changed")
    with pytest.raises(ProofInvalid):
        verify_consistency(old, root(leaves[:old]), size, root(changed), consistency_proof(changed, old))


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_for_no_leaf(index, size):
    with pytest.raises(ProofInvalid):
        inclusion_proof(hashes(size), index)


@pytest.mark.parametrize("old", [0, 4])
def test_there_is_no_proof_from_nothing_or_from_later(old):
    with pytest.raises(ProofInvalid):
        consistency_proof(hashes(3), old)


def test_a_short_hash_is_refused():
    with pytest.raises(ProofInvalid):
        verify_inclusion(b"short", 0, 1, [], b"short")
