"""How fast a log is checked: tree and tiles, commitments with receipts and columns, and the proof of one record.

``python -m benchmarks.verify [--records N]``. Records are those of :mod:`benchmarks.ledger`, with 60 features. Times are of the processor, on one core.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.ledger import draft, row
from feature_store.database import make_engine
from governance.ledger.high_water import HighWater
from governance.ledger.ids import new_record_id
from governance.ledger.leader import Leader
from governance.ledger.log import append
from governance.ledger.opened import open_checked
from governance.ledger.published import PublishedLog
from governance.ledger.receipt import Signer, attach, verify
from governance.ledger.record import seal
from governance.ledger.tables import records
from governance.ledger.verify import LogFiles, Verifier
from serving.migrate import migrate

SIGNER = Signer("ordinance.benchmark/log", b"b" * 32)


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def run(count: int, folder: Path) -> dict[str, float]:
    engine = make_engine(f"sqlite:///{folder / 'ordinance.db'}")
    migrate(engine)
    rng = np.random.default_rng(3)
    drafts = [draft(60, rng) for _ in range(200)]
    log, mark = folder / "log", HighWater(folder / "state", SIGNER.verifier.name)
    leader = Leader(engine, SIGNER, log, mark)
    made, led = 0, 0.0
    while made < count:
        rows = [row(replace(drafts[n % len(drafts)], record_id=new_record_id()), SIGNER) for n in range(min(2_000, count - made))]
        with engine.begin() as connection:
            append(connection, rows)
        made += len(rows)
        led += spent(leader.turn)
    figures = {"records": float(made), "led_per_s": round(made / led)}
    tree = Verifier(LogFiles(engine, log, [SIGNER.verifier], mark))
    figures["tree_per_s"] = round(made / spent(tree.run))
    sample = [seal(drafts[n % len(drafts)], SIGNER, 1_794_000_000_000) for n in range(2_000)]

    def commitments() -> None:
        for n, one in enumerate(sample):
            response = attach(str(drafts[n % len(drafts)].groups["response"]).encode(), one.receipt)
            open_checked(one.entry, one.leaf_hash, one.body, one.seeds, response)

    def receipts() -> None:
        for one in sample:
            verify(one.receipt, SIGNER.verifier)

    figures["commitments_per_s"] = round(len(sample) / spent(commitments))
    figures["receipts_per_s"] = round(len(sample) / spent(receipts))
    reader = PublishedLog(engine, log, SIGNER.verifier)
    with engine.connect() as connection:
        ids = list(connection.execute(records.select().with_only_columns(records.c.record_id)).scalars())
    chance, times = random.Random(1), []
    for name in chance.sample(ids, 200):
        start = time.perf_counter()
        assert reader.prove(reader.place(name)) is not None
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    figures["proof_ms_p50"], figures["proof_ms_p99"] = round(times[100], 2), round(times[197], 2)
    engine.dispose()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(parser.parse_args().records, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
