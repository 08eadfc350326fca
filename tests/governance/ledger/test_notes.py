"""Signed notes and checkpoints: other people's are read, ours are what the documents say, and nothing in them can be changed."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint, TlogProof, read_checkpoint
from governance.ledger.errors import LedgerError, NoteInvalid, ProofInvalid
from governance.ledger.notes import COSIGNATURE, Note, NoteKey, Signature, newest, sign

LOG = Path(__file__).parents[3] / ".." / "shared" / "vectors" / "tlog-tiles-log" / "log"
TESSERA = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
GO_DOCS = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_DOCS_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""From the documentation of Go's sumdb/note."""


def key_of(seed: int, name: str, algorithm: int = 1) -> tuple[NoteKey, Ed25519PrivateKey]:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return NoteKey(name, private.public_key().public_bytes_raw(), algorithm), private


KEY, PRIVATE = key_of(1, "ordinance.test/log")
WITNESS, WITNESS_PRIVATE = key_of(2, "witness.test", COSIGNATURE)


def leaves(size: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % number) for number in range(size)]


def signed(size: int) -> bytes:
    text = Checkpoint(KEY.name, size, merkle.root(leaves(size))).text
    return Note(text).signed(sign(KEY, PRIVATE, text)).to_bytes()


def test_the_note_of_gos_documentation_is_read_and_written() -> None:
    key = NoteKey.parse(GO_DOCS)
    note = Note.parse(GO_DOCS_NOTE.encode())
    assert [one.name for one in note.verified([key])] == ["PeterNeumann"]
    assert note.to_bytes().decode() == GO_DOCS_NOTE
    assert str(key) == GO_DOCS


@pytest.mark.shared
def test_every_checkpoint_of_tessera_is_read() -> None:
    if not LOG.exists():
        pytest.skip("the test vectors beside the checkout are absent")
    key = NoteKey.parse(TESSERA)
    for size in range(16):
        raw = (LOG / f"checkpoint.{size}").read_bytes()
        checkpoint, note = read_checkpoint(raw, [key])
        assert checkpoint.size == size
        assert note.to_bytes() == raw
        assert Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root).text == note.text


@given(st.data())
def test_no_byte_of_a_checkpoint_can_be_changed(data: st.DataObject) -> None:
    raw = bytearray(signed(5))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        checkpoint, _ = read_checkpoint(bytes(raw), [KEY])
    except LedgerError:
        return
    # Only the unused last bits of a base64 text may differ; they say nothing.
    assert checkpoint == read_checkpoint(signed(5), [KEY])[0]


@given(st.binary(max_size=200))
def test_whatever_comes_in_is_a_note_or_refused(raw: bytes) -> None:
    for read in (
        Note.parse,
        lambda raw: Note.parse(b"text\n\n" + raw),
        TlogProof.parse,
        lambda raw: Checkpoint.parse(raw.decode("latin-1")),
    ):
        try:
            read(raw)
        except LedgerError:
            continue


@pytest.mark.parametrize(
    "raw",
    [
        b"no newline at the end\n\n\xe2\x80\x94 a AAAAAAAA",
        b"text\n",
        b"text\n\n",
        b"text\n\n- a AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 a A\n",
        b"text\n\n\xe2\x80\x94 a AAAA\n",
        b"text\n\n\xe2\x80\x94 a+b AAAAAAAA\n",
        b"te\x00xt\n\n\xe2\x80\x94 a AAAAAAAA\n",
        b"te\xffxt\n\n\xe2\x80\x94 a AAAAAAAA\n",
    ],
)
def test_malformed_notes_are_refused(raw: bytes) -> None:
    with pytest.raises(NoteInvalid):
        Note.parse(raw)


def test_unknown_signatures_are_ignored_a_wrong_one_of_a_known_key_is_not() -> None:
    note = Note.parse(signed(3))
    other, other_private = key_of(9, "somebody.else")
    more = note.signed(sign(other, other_private, note.text))
    assert [one.name for one in Note.parse(more.to_bytes()).verified([KEY])] == [KEY.name]
    with pytest.raises(NoteInvalid, match="not signed by"):
        note.verified([other])
    forged = Note(note.text, (Signature(KEY.name, KEY.key_hash, bytes(64)),))
    with pytest.raises(NoteInvalid, match="not that of this text"):
        forged.verified([KEY])
    twice = Note(note.text, note.signatures * 2)
    with pytest.raises(NoteInvalid, match="twice"):
        twice.verified([KEY])


def test_a_witness_signs_the_text_and_the_time() -> None:
    note = Note.parse(signed(3))
    cosigned = note.signed(sign(WITNESS, WITNESS_PRIVATE, note.text, time_s=1_800_000_000))
    read = Note.parse(cosigned.to_bytes())
    assert newest(read.verified([WITNESS])) == 1_800_000_000
    assert len(read.verified([KEY, WITNESS])) == 2
    cosignature = read.verified([WITNESS])[0]
    later = Signature(WITNESS.name, WITNESS.key_hash, (1_900_000_000).to_bytes(8) + cosignature.value[8:])
    with pytest.raises(NoteInvalid):
        Note(note.text, (later,)).verified([WITNESS])
    again = read.signed(sign(WITNESS, WITNESS_PRIVATE, note.text, time_s=1_800_000_060))
    assert len(again.signatures) == 2, "a newer one replaces the older"


def test_the_parts_of_a_cosignature_are_the_documents() -> None:
    """c2sp.org/tlog-cosignature, byte for byte."""
    text = Checkpoint("example.com/log", 0, merkle.EMPTY_ROOT).text
    cosignature = sign(WITNESS, WITNESS_PRIVATE, text, time_s=7)
    assert cosignature.value[:8] == bytes(7) + b"\x07"
    WITNESS_PRIVATE.public_key().verify(cosignature.value[8:], b"cosignature/v1\ntime 7\n" + text.encode())


@pytest.mark.parametrize(
    "text", ["a+00000000+AA==", "a+b", "", "a+33d7b496+" + b64encode(b"\x07" + bytes(32)).decode(), TESSERA.replace("33d7", "33d8")]
)
def test_malformed_keys_are_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        NoteKey.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n5\n", "origin\n05\nAAAA\n", "origin\n5\nAAAA\n", "\n5\n" + b64encode(bytes(32)).decode() + "\n", "origin\n-1\n" + b64encode(bytes(32)).decode() + "\n",
        "origin\n0\n" + b64encode(bytes(32)).decode() + "\n", "origin\n5\n" + b64encode(bytes(32)).decode(), "origin\n५\n" + b64encode(bytes(32)).decode() + "\n",
    ],
)  # fmt: skip
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    with pytest.raises(NoteInvalid, match="not of"):
        read_checkpoint(signed(3), [KEY], "another.log/1")


@given(st.integers(1, 40), st.data())
def test_a_proof_stands_by_itself(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = TlogProof(index, tuple(merkle.inclusion_proof(leaves(size), index)), signed(size))
    read = TlogProof.parse(proof.to_bytes())
    assert read == proof
    assert read.verify(leaves(size)[index], [KEY]).size == size
    with pytest.raises(ProofInvalid):
        read.verify(merkle.leaf_hash(b"never recorded"), [KEY])
    text = proof.to_bytes().decode().split("\n")
    assert text[:2] == ["c2sp.org/tlog-proof@v1", f"index {index}"]
    assert all(len(b64decode(line)) == 32 for line in text[2 : text.index("")])
