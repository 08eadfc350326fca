"""A witness cosigns continuations only, remembers before it answers, and speaks the protocol's statuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint
from governance.ledger.errors import KeyFileInvalid, NoteInvalid
from governance.ledger.notes import Note, NoteKey
from governance.ledger.receipt import Signer
from governance.ledger.witness import Witness, WitnessKey, WitnessRefused, load_witness_key, read_request, write_request

LOG = Signer("log.example/1", b"l" * 32)
LEAVES = [merkle.leaf_hash(bytes([n])) for n in range(60)]
OTHER = [*LEAVES[:20], *(merkle.leaf_hash(b"x%d" % n) for n in range(40))]


def note(size: int, leaves: list[bytes] = LEAVES, signer: Signer = LOG) -> bytes:
    return signer.sign_note(Checkpoint("log.example/1", size, merkle.root(leaves[:size])).text).to_bytes()


def ask(old: int, size: int, leaves: list[bytes] = LEAVES) -> bytes:
    proof = merkle.consistency_proof(leaves[:size], old) if 0 < old < size else []
    return write_request(old, proof, note(size, leaves))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(WitnessKey("w.example/1", b"w" * 32), tmp_path, {"log.example/1": [LOG.verifier]}, lambda: 1_794_000_000.9)


def test_it_cosigns_what_extends_what_it_saw(witness: Witness) -> None:
    for old, size in ((0, 7), (7, 7), (7, 30), (30, 59)):
        signature = witness.add_checkpoint(ask(old, size))
        assert Note.parse(note(size)).signed(signature).verified([witness.key.verifier]) == (signature,)
        assert signature.time_s == 1_794_000_000
    kept = witness.note("log.example/1")
    assert kept is not None
    assert len(Note.parse(kept).verified([witness.key.verifier, LOG.verifier])) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"old 01\n\n" + note(3), 400),
        (b"old 0\nnot base64!\n\n" + note(3), 400),
        (ask(0, 5)[:-30], 400),
        (write_request(0, [b"h" * 32], note(5)), 422),
        (write_request(9, [], note(5)), 400),
        (write_request(0, [], note(5, signer=Signer("log.example/1", b"m" * 32))), 403),
        (write_request(0, [], note(5).replace(b"log.example/1", b"log.example/2")), 404),
    ],
)
def test_what_it_refuses_at_first(witness: Witness, body: bytes, status: int) -> None:
    with pytest.raises(WitnessRefused) as refused:
        witness.add_checkpoint(body)
    assert refused.value.status == status
    assert witness.seen("log.example/1") is None, "a refusal changes nothing"


def test_a_fork_is_never_cosigned(witness: Witness) -> None:
    witness.add_checkpoint(ask(0, 30))
    for body, status in (
        (write_request(30, [], note(30, OTHER)), 409),
        (write_request(30, merkle.consistency_proof(OTHER[:50], 30), note(50, OTHER)), 422),
        (ask(20, 40), 409),
        (ask(0, 40), 409),
        (ask(0, 10), 409),
        (write_request(30, [], note(10)), 400),
    ):
        with pytest.raises(WitnessRefused) as refused:
            witness.add_checkpoint(body)
        assert refused.value.status == status
        assert refused.value.size == (30 if status == 409 else None)
    assert witness.seen("log.example/1") == Checkpoint("log.example/1", 30, merkle.root(LEAVES[:30]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60), st.booleans()), max_size=12))
def test_all_that_it_ever_cosigned_is_one_history(tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[int, int, bool]]) -> None:
    folder = tmp_path_factory.mktemp("witness")
    signed: list[tuple[int, bool]] = []
    for old, size, honest in asked:
        made = Witness(WitnessKey("w.example/1", b"w" * 32), folder, {"log.example/1": [LOG.verifier]})  # as after a restart
        try:
            made.add_checkpoint(ask(min(old, size), size, LEAVES if honest else OTHER))
        except WitnessRefused:
            continue
        signed.append((size, honest))
    assert [size for size, _ in signed] == sorted(size for size, _ in signed)
    assert len({honest for size, honest in signed if size > 20}) <= 1


def test_damaged_memory_is_not_guessed(witness: Witness, tmp_path: Path) -> None:
    witness.add_checkpoint(ask(0, 30))
    (seen,) = tmp_path.glob("*.seen")
    seen.write_bytes(b"{}")
    with pytest.raises(WitnessRefused) as refused:
        witness.add_checkpoint(ask(30, 40))
    assert refused.value.status == 500


def test_a_key_is_made_once_and_kept_to_oneself(tmp_path: Path) -> None:
    made = load_witness_key(tmp_path, "w.example/2")
    assert load_witness_key(tmp_path).verifier == made.verifier
    assert NoteKey.parse(str(made.verifier)) == made.verifier
    assert (tmp_path / "witness.key").stat().st_mode & 0o77 == 0
    with pytest.raises(KeyFileInvalid, match=r"w\.example/2"):
        load_witness_key(tmp_path, "w.example/3")
    (tmp_path / "witness.key").write_text("PRIVATE+KEY+x")
    with pytest.raises(KeyFileInvalid, match="damaged"):
        load_witness_key(tmp_path)


def test_a_request_is_read_as_it_was_written() -> None:
    proof = merkle.consistency_proof(LEAVES, 13)
    assert read_request(write_request(13, proof, note(60))) == (13, proof, note(60))


def test_a_cosignature_is_not_the_logs_signature(witness: Witness) -> None:
    signature = witness.add_checkpoint(ask(0, 3))
    with pytest.raises(NoteInvalid):
        Note(Note.parse(note(3)).text).signed(signature).verified([LOG.verifier])
