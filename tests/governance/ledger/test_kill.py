"""Killed at any moment: what was acknowledged is there, whole, and nothing is there by halves."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from feature_store.database import make_engine
from governance.ledger.opened import check
from governance.ledger.store import DecisionReader
from governance.ledger.tables import decisions, records

WRITER = """
import os, sys, threading
from feature_store.database import make_engine
from governance.ledger.log import Recorder
from governance.ledger.receipt import Signer, attach
from governance.ledger.record import Draft, Kind, seal
from governance.ledger.rows import DecisionRow, Facets

recorder = Recorder(make_engine(sys.argv[1]))
signer = Signer("ordinance.test/log", bytes(range(32)))

def row(key):
    groups = {"request": key, "response": '{"key":"%s"}' % key}
    sealed = seal(Draft(Kind.DECISION, "fraud", {}, groups), signer, 1_794_000_000_000)
    facets = Facets("fraud", "live", "ALLOW", "decided", 1_794_000_000_000, 1, order_id=key)
    return DecisionRow(sealed, facets, "oms", key, bytes(32), attach(groups["response"].encode(), sealed.receipt))

def work(name):
    n = 0
    while True:
        n += 1
        key = f"{name}-{n}"
        rows = [row(key), row(key + "/part")]
        recorder.commit_blocking(rows)
        os.write(1, (rows[0].sealed.record_id + " " + rows[1].sealed.record_id + "\\n").encode())

for name in "abcd":
    threading.Thread(target=work, args=(name,)).start()
"""


def kill_while_writing(url: str, after_lines: int, delay_s: float) -> list[str]:
    """Run the writer until it has acknowledged some requests, kill it a little later, and return every line that it told."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(after_lines)]
    time.sleep(delay_s)
    process.kill()
    told += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return [line.decode().strip() for line in told if line.endswith(b"\n")]


@pytest.mark.parametrize("round_", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_what_was_acknowledged_survives_a_kill(database_url, round_):
    chance = random.Random(round_)
    told: list[str] = kill_while_writing(database_url, chance.randint(5, 40), chance.random() / 50)
    engine = make_engine(database_url)
    reader = DecisionReader(engine)
    assert len(told) >= 5
    for line in told:
        for record_id in line.split():
            stored = reader.get(record_id)
            assert stored is not None, "acknowledged, and lost"
            stored.check()
    if engine.dialect.name == "postgresql":  # a statement that the server has begun may still commit
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        by_key = {row.idempotency_key: row.record_id for row in connection.execute(select(decisions))}
        assert {key.removesuffix("/part") for key in by_key} == {key for key in by_key if not key.endswith("/part")}, "half a request"
        assert len(by_key) == 2 * len([key for key in by_key if key.endswith("/part")])
        assert set(connection.execute(select(records.c.record_id)).scalars()) == set(by_key.values())
        assert connection.execute(select(func.count()).select_from(decisions)).scalar_one() >= 2 * len(told)
        for row in connection.execute(select(records)):
            response = reader.get(row.record_id).response
            check(bytes(row.entry), bytes(row.leaf_hash), bytes(row.body), bytes(row.seeds), response)
    engine.dispose()
