"""A log and a witness over HTTP: cosignatures come beside the checkpoint, and a fork gets none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from governance.ledger.checkpoint import Checkpoint, read_checkpoint
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.log import append
from governance.ledger.notes import Note
from governance.ledger.published import PublishedLog, cosigned
from governance.ledger.receipt import Signer
from governance.ledger.record import Draft, Kind, seal
from governance.ledger.rows import RecordRow
from serving.log_client import LogClient
from serving.witness_command import Watched, look, make_witness, serve
from serving.witnesses import WitnessesInvalid, WitnessKeeper, read_witness

LOG = Signer("log.example/1", b"l" * 32)


class Log:
    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder / "log"
        self.leader = Leader(engine, LOG, self.folder, HighWater(folder / "state", LOG.verifier.name))

    def grow(self, count: int) -> list[str]:
        rows = [RecordRow(seal(Draft(Kind.EXPORT, None, {}, {"change": {"n": n}}, {}), LOG, 1_794_000_000_000)) for n in range(count)]
        with self.engine.begin() as connection:
            append(connection, rows)
        self.leader.turn()
        return [row.sealed.record_id for row in rows]


@pytest.fixture
def log(sqlite_engine: Engine, tmp_path: Path) -> Log:
    return Log(sqlite_engine, tmp_path)


Started = Callable[[ThreadingHTTPServer], str]


@pytest.fixture
def started() -> Iterator[Started]:
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(server: ThreadingHTTPServer) -> str:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def published(folder: Path) -> ThreadingHTTPServer:
    return ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder.parent)))


def test_the_log_brings_its_checkpoints_and_keeps_the_cosignatures(log: Log, tmp_path: Path, started: Started) -> None:
    witness = make_witness(Watched(tmp_path / "w", "w.example/1", (str(LOG.verifier),)))
    address = started(serve(witness, "127.0.0.1", 0))
    keeper = WitnessKeeper(log.folder, LOG.verifier, [read_witness(f"{address} {witness.key.verifier}")])
    assert keeper.bring() == 0, "nothing is published yet"
    first = log.grow(3)
    assert keeper.bring() == 1
    assert keeper.bring() == 0, "once is enough"
    log.grow(300)
    again = WitnessKeeper(log.folder, LOG.verifier, [read_witness(f"{address} {witness.key.verifier}")])  # knows nothing of the first
    assert again.bring() == 1
    kept = cosigned(log.folder)
    assert kept is not None
    assert len(Note.parse(kept).verified([LOG.verifier, witness.key.verifier])) == 2
    assert read_checkpoint(kept, [LOG.verifier])[0].size == 303
    late = log.grow(2)
    reader = PublishedLog(log.engine, log.folder, LOG.verifier)
    assert b"w.example/1" in (reader.prove(reader.place(first[0])) or b"")
    assert b"w.example/1" not in (reader.prove(reader.place(late[0])) or b"w.example/1"), "not cosigned yet, published all the same"


def test_a_fork_gets_no_cosignature(log: Log, tmp_path: Path, started: Started) -> None:
    witness = make_witness(Watched(tmp_path / "w", "w.example/1", (str(LOG.verifier),)))
    log.grow(5)
    text = Checkpoint(LOG.verifier.name, 5, b"r" * 32).text
    witness.cosign(Checkpoint(LOG.verifier.name, 5, b"r" * 32), Note(text), 0, [])
    address = started(serve(witness, "127.0.0.1", 0))
    keeper = WitnessKeeper(log.folder, LOG.verifier, [read_witness(f"{address} {witness.key.verifier}")])
    assert keeper.bring() == 0
    assert "another tree" in (keeper.witnesses[0].problem or "")
    log.grow(5)
    keeper.witnesses[0].wait_s = 0
    assert keeper.bring() == 0
    assert cosigned(log.folder) is None


def test_a_witness_that_is_away_stops_nobody(log: Log, tmp_path: Path) -> None:
    witness = make_witness(Watched(tmp_path / "w", "w.example/1", (str(LOG.verifier),)))
    keeper = WitnessKeeper(log.folder, LOG.verifier, [read_witness(f"http://127.0.0.1:9 {witness.key.verifier}")])
    log.grow(1)
    assert keeper.bring() == 0
    assert keeper.witnesses[0].problem is not None


def test_a_witness_follows_by_itself_and_tells_a_fork(log: Log, tmp_path: Path, started: Started) -> None:
    log.grow(3)
    address = started(published(log.folder)) + "/log"
    client, said = LogClient(address), []
    witness = make_witness(Watched(tmp_path / "w", "w.example/1", (str(LOG.verifier),)))
    assert look(witness, client, said.append) == 0
    log.grow(400)
    assert look(witness, client, said.append) == 0
    assert said == ["cosigned log.example/1 at 3", "cosigned log.example/1 at 403"]
    forged = LOG.sign_note(Checkpoint(LOG.verifier.name, 403, b"x" * 32).text).to_bytes()
    (log.folder / "checkpoint").write_bytes(forged)
    assert look(witness, client, said.append) == 1
    assert said[-1].startswith("NOT COSIGNED")


@pytest.mark.parametrize("text", ["", "http://w", f"http://w {LOG.verifier}", "ftp://w x"])
def test_a_witness_is_told_as_address_and_key(text: str) -> None:
    with pytest.raises(WitnessesInvalid):
        read_witness(text)
