"""The crash tour: a process that decides, commits, sequences, integrates and publishes under load is killed at a named step, again and again.

``python -m tests.governance.ledger.crashing --rounds 300 [--url URL] FOLDER`` makes a long one and prints what it found.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine, select

from feature_store.database import make_engine
from governance.ledger import merkle
from governance.ledger.checkpoint import Checkpoint, read_checkpoint
from governance.ledger.compression import decompress
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.notes import NoteKey
from governance.ledger.receipt import Signer
from governance.ledger.tables import decisions, log_entries, promises, records
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import TiledTree
from governance.ledger.verify import LogFiles, Verifier

ROOT = Path(__file__).parents[3]
SIGNER = Signer("ordinance.test/log", bytes(range(32)))
COMMIT = ("decided", "committing", "committed")
LEAD = ("sequence", "sequenced", "integrate", "bundled", "integrated", "mark", "marked", "published", "noted")
STEPS = COMMIT + LEAD

CHILD = """
import os, random, signal, sys, threading, time
from hashlib import sha256
from pathlib import Path
from feature_store.database import make_engine
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.log import Recorder
from governance.ledger.receipt import attach
from governance.ledger.record import Draft, Kind, seal
from governance.ledger.rows import DecisionRow, Facets
from tests.governance.ledger.crashing import SIGNER

url, folder, where, after, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
seen, guard = 0, threading.Lock()

def step(at):
    global seen
    if at == where:
        with guard:
            seen += 1
            if seen >= after:
                os.kill(os.getpid(), signal.SIGKILL)

engine = make_engine(url)
recorder = Recorder(engine)
write = recorder._writer.write
def killing(rows):
    step("committing")
    write(rows)
    step("committed")
recorder._writer.write = killing

def row(key):
    answer = '{"key":"%s","n":%d}' % (key, random.getrandbits(40))
    sealed = seal(Draft(Kind.DECISION, "fraud", {}, {"request": key, "response": answer}), SIGNER, int(time.time() * 1000))
    facets = Facets("fraud", "live", "ALLOW", "decided", 1_794_000_000_000, 1, order_id=key)
    return DecisionRow(sealed, facets, "oms", key, bytes(32), attach(answer.encode(), sealed.receipt))

def work(worker):
    n = 0
    while True:
        n += 1
        made = row(f"{name}-{worker}-{n}")
        step("decided")
        done = recorder.commit_blocking([made])
        os.write(1, f"{made.idempotency_key} {made.sealed.record_id} {sha256(done.response).hexdigest()}\\n".encode())

for worker in range(4):
    threading.Thread(target=work, args=(worker,), daemon=True).start()
leader = Leader(engine, SIGNER, folder / "log", HighWater(folder / "state", SIGNER.verifier.name), step=step)
while True:
    turn = leader.turn()
    if turn is not None and turn.published:
        os.write(1, f"published {turn.size}\\n".encode())
    time.sleep(0.003)
"""


class Broken(AssertionError):
    """A promise of the ledger that was not kept."""


@dataclass
class Tour:
    """One database and log through many deaths.

    Attributes:
        told: what callers were answered: (record id, digest of the bytes) by idempotency key.
        seen: the checkpoints that were published when a process died.
    """

    url: str
    folder: Path
    engine: Engine = field(init=False)
    told: dict[str, tuple[str, str]] = field(default_factory=dict)
    seen: list[Checkpoint] = field(default_factory=list)
    died: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.engine = make_engine(self.url)
        self.key: NoteKey = SIGNER.verifier

    def die(self, where: str, after: int = 2) -> int:
        """Start a process that is killed at a step; returns how many answers it gave."""
        command = [sys.executable, "-c", CHILD, self.url, str(self.folder), where, str(after), f"r{next(self.numbers)}"]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=120)
        if done.returncode != -9:
            raise RuntimeError(f"the child was not killed at {where}: {done.stderr.decode()[-2000:]}")
        lines = [line.split() for line in done.stdout.decode().split("\n")[:-1] if not line.startswith("published")]
        self.told |= {key: (record_id, digest) for key, record_id, digest in lines}
        raw = TileFolder(self.folder / "log").checkpoint()
        if raw is not None:
            self.seen.append(read_checkpoint(raw, [self.key])[0])
        self.died[where] += 1
        return len(lines)

    def check(self) -> int:
        """Lead once more, then hold every promise against what is there; returns how many records there are.

        Raises:
            Broken: one was not kept.
        """
        leader = Leader(self.engine, SIGNER, self.folder / "log", HighWater(self.folder / "state", self.key.name))
        turn = leader.turn()
        while turn is None or turn.more:
            turn = leader.turn()
        self._answers()
        mark = HighWater(self.folder / "state", self.key.name)
        verified = Verifier(LogFiles(self.engine, self.folder / "log", [self.key], mark)).run()  # no gap, no duplicate, tiles and mark
        with self.engine.connect() as connection:
            count = len(connection.execute(select(records.c.record_id)).all())
            waiting = len(connection.execute(select(promises.c.record_id)).all())
            placed = len(connection.execute(select(log_entries.c.record_id)).all())
        if (verified.size, waiting, placed) != (count, 0, count):
            raise Broken(f"{count} records, {placed} places, {waiting} waiting, {verified.size} published")
        self._no_fork(verified.size)
        return count

    def _answers(self) -> None:
        with self.engine.connect() as connection:
            columns = (decisions.c.idempotency_key, decisions.c.record_id, decisions.c.response)
            there = {row.idempotency_key: row for row in connection.execute(select(*columns))}
        for key, (record_id, digest) in self.told.items():
            row = there.get(key)
            if row is None:
                raise Broken(f"{key} was answered and has no record")
            if row.record_id != record_id or sha256(decompress(bytes(row.response))).hexdigest() != digest:
                raise Broken(f"{key} would be answered with other bytes")

    def _no_fork(self, size: int) -> None:
        tree = TiledTree(size, TileFolder(self.folder / "log").read)
        root = tree.root()
        for one in self.seen:
            if one.size:
                merkle.verify_consistency(one.size, one.root, size, root, tree.consistency_proof(one.size))


def tour(url: str, folder: Path, steps: Sequence[str], seed: int = 0) -> Tour:
    """Die at each of these steps, one after the other, on one database, and check after every death."""
    chance, made = random.Random(seed), Tour(url, folder)
    for where in steps:
        made.die(where, chance.randint(1, 12))
        made.check()
    return made


def main() -> None:
    from serving.migrate import migrate

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="an empty PostgreSQL database; without it SQLite in the folder")
    parser.add_argument("--rounds", type=int, default=300)
    asked = parser.parse_args()
    shutil.rmtree(asked.folder / "log", ignore_errors=True)
    asked.folder.mkdir(parents=True, exist_ok=True)
    url = asked.url or f"sqlite:///{asked.folder / 'ordinance.db'}"
    engine = make_engine(url)
    migrate(engine)
    done = tour(url, asked.folder, [STEPS[at % len(STEPS)] for at in range(asked.rounds)])
    told = f"{asked.rounds} deaths, {len(done.told):,} answers, {done.check():,} records: every promise was kept; {dict(done.died)}"
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main()
