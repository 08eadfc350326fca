"""Code that we did not write checks a log that we wrote: Go's ``golang.org/x/mod/sumdb``, and ``aics-tlog`` where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from governance.ledger.checkpoint import read_checkpoint
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.log import append
from governance.ledger.merkle import leaf_hash
from governance.ledger.notes import Note
from governance.ledger.receipt import Signer
from governance.ledger.record import Draft, Kind, Sealed, seal
from governance.ledger.rows import RecordRow
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import TiledTree
from governance.ledger.witness import WitnessKey
from tests.conftest import missing

HERE = Path(__file__).parent
MODULES = Path("/usr/share/gocode")
LOG = Signer("ordinance.example/log", b"f" * 32)
STEPS = (1, 1, 5, 249, 1, 200, 55, 300)


def base64(raw: bytes) -> str:
    return b64encode(raw).decode()


class Written:
    """A log that grew in steps, and what we say about it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.folder = folder / "log"
        leader = Leader(engine, LOG, self.folder, HighWater(folder / "state", LOG.verifier.name))
        tiles, self.checkpoints, self.sealed = TileFolder(self.folder), [], list[Sealed]()
        for step in STEPS:
            rows = [RecordRow(seal(Draft(Kind.EXPORT, None, {}, {"change": {"n": n}}, {}), LOG, 1_794_000_000_000)) for n in range(step)]
            with engine.begin() as connection:
                append(connection, rows)
            leader.turn()
            self.sealed += [row.sealed for row in rows]
            raw = tiles.checkpoint()
            assert raw is not None
            self.checkpoints.append(raw)
        self.size = sum(STEPS)
        self.tree = TiledTree(self.size, tiles.read)

    def cases(self) -> dict[str, Any]:
        sizes = [read_checkpoint(raw, [LOG.verifier])[0].size for raw in self.checkpoints]
        picked = sorted({0, 1, 255, 256, 257, 511, 512, self.size - 1, *range(3, self.size, 37)})
        return {
            "Key": str(LOG.verifier),
            "Checkpoints": [raw.decode() for raw in self.checkpoints],
            "Consistency": [[base64(one) for one in self.tree.consistency_proof(size)] for size in sizes],
            "Inclusion": [
                {"Index": at, "Leaf": base64(self.tree.leaf(at)), "Proof": [base64(one) for one in self.tree.inclusion_proof(at)]}
                for at in picked
            ],
            "Receipts": [
                {"Text": one.receipt.signed_text.decode(), "Signature": base64(one.receipt.signature)} for one in self.sealed[:20]
            ],
        }


@pytest.fixture
def written(sqlite_engine: Engine, tmp_path: Path) -> Written:
    return Written(sqlite_engine, tmp_path)


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our program around Go's code, compiled without any network."""
    go = shutil.which("go")
    if go is None:
        missing("Go is not installed (Debian: apt-get install golang-go golang-golang-x-mod-dev)")
    if not (MODULES / "src/golang.org/x/mod/sumdb").is_dir():
        missing("golang.org/x/mod is not installed (Debian: apt-get install golang-golang-x-mod-dev)")
    folder = tmp_path_factory.mktemp("sumdb")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(MODULES),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    subprocess.run([str(go), "build", "-o", str(folder / "check"), str(HERE / "sumdb/main.go")], check=True, env=environment, timeout=300)
    return folder / "check"


def run(program: Path, written: Written, cases: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    told = folder / "cases.json"
    told.write_text(json.dumps(cases))
    return subprocess.run([str(program), str(written.folder), str(told)], check=False, capture_output=True, text=True, timeout=60)


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


@pytest.mark.slow
def test_go_checks_tiles_entries_proofs_and_notes(written: Written, sumdb: Path, tmp_path: Path) -> None:
    cases = written.cases()
    done = run(sumdb, written, cases, tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout == f"{written.size} records, {len(cases['Inclusion'])} of our proofs, {len(STEPS)} trees, 20 receipts\n"


Change = Callable[[Written, dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "a leaf's tile": lambda written, _: flip(written.folder / "tile/0/001", 70),
    "an upper tile": lambda written, _: flip(next((written.folder / "tile/1/000.p").iterdir()), 40),
    "an entry": lambda written, _: flip(written.folder / "tile/entries/000", 300),
    "the checkpoint": lambda written, _: flip(written.folder / "checkpoint", 30),
    "a proof": lambda _, cases: cases["Inclusion"][5]["Proof"].reverse(),
    "an older tree": lambda _, cases: cases["Consistency"][3].pop(),
    "a receipt": lambda _, cases: cases["Receipts"][0].update(Text=cases["Receipts"][1]["Text"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", CHANGES)
def test_go_refuses_what_was_changed(written: Written, sumdb: Path, tmp_path: Path, what: str) -> None:
    cases = written.cases()
    CHANGES[what](written, cases)
    assert run(sumdb, written, cases, tmp_path).returncode == 1


def test_aics_tlog_checks_cosigned_checkpoint_tiles_and_proofs(written: Written) -> None:
    if importlib.util.find_spec("aics_tlog") is None:
        pytest.skip("aics-tlog is not installed (it needs Python 3.12)")
    from aics_tlog import checkpoint, note, tiles, tree

    witness = WitnessKey("witness.example/1", b"w" * 32)
    newest = written.checkpoints[-1]
    cosigned = Note.parse(newest).signed(witness.cosign(Note.parse(newest).text, 1_794_000_000))
    keys = note.parse_vkey(str(LOG.verifier)), [note.parse_vkey(str(witness.verifier))]
    result = checkpoint.verify_checkpoint(note.parse_note(cosigned.to_bytes()), *keys, 1)
    assert result.ok, result
    root = read_checkpoint(newest, [LOG.verifier])[0].root
    reader = tiles.FileSystemTileReader(written.folder)
    assert tiles.tree_root_from_tiles(reader, written.size) == root
    for at in range(0, written.size, 13):
        ours = written.tree.inclusion_proof(at)
        assert ours == tiles.inclusion_proof_from_tiles(reader, at, written.size)
        assert tree.verify_inclusion(leaf_hash(tiles.read_entry(reader, at, written.size)), at, written.size, ours, root)
    for raw in written.checkpoints:
        old = read_checkpoint(raw, [LOG.verifier])[0]
        proof = written.tree.consistency_proof(old.size)
        assert tree.verify_consistency(old.size, written.size, old.root, root, proof)
