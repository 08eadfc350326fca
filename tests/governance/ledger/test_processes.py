"""Several processes answer the same requests at once: every key has one answer, whoever asks whom."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from feature_store.database import make_engine
from governance.ledger.store import DecisionReader, Filters

WRITER = """
import random, sys, threading
from feature_store.database import make_engine
from governance.ledger.errors import KeyReused
from governance.ledger.log import Recorder
from governance.ledger.receipt import Signer, attach
from governance.ledger.record import Draft, Kind, seal
from governance.ledger.rows import DecisionRow, Facets

recorder = Recorder(make_engine(sys.argv[1]))
signer = Signer("ordinance.test/log", bytes(range(32)))
lock = threading.Lock()
keys = [f"key-{i}" for i in range(20)]

def row(key, fingerprint):
    groups = {"response": '{"key":"%s"}' % key}
    sealed = seal(Draft(Kind.DECISION, "fraud", {}, groups), signer, 1_794_000_000_000)
    facets = Facets("fraud", "live", "ALLOW", "decided", 1_794_000_000_000, 1)
    return DecisionRow(sealed, facets, "oms", key, fingerprint, attach(groups["response"].encode(), sealed.receipt))

def work(seed):
    for key in random.Random(seed).sample(keys, len(keys)):
        fingerprint = bytes([seed % 2]) * 32
        try:
            told = recorder.commit_blocking([row(key, fingerprint), row(key + "/part", fingerprint)])
            line = f"{key} {seed % 2} {'won' if told.won else 'lost'} {told.response.hex()}"
        except KeyReused:
            line = f"{key} {seed % 2} reused -"
        with lock:
            print(line)

print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=work, args=(int(sys.argv[2]) * 10 + i,)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
recorder.close()
"""


def test_processes_agree_on_every_key(database_url):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, database_url, str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for n in range(3)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = defaultdict(list)
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        for line in output.splitlines():
            key, *what = line.split()
            told[key].append(what)
    assert len(told) == 20
    for answers in told.values():
        assert len(answers) == 12
        assert [how for _, how, _ in answers].count("won") == 1
        fingerprint = next(fingerprint for fingerprint, how, _ in answers if how == "won")
        assert {how for mine, how, _ in answers if mine != fingerprint} == {"reused"}
        assert len({response for mine, _, response in answers if mine == fingerprint}) == 1
    engine = make_engine(database_url)
    assert len(DecisionReader(engine).search(Filters(principal="oms"), limit=500).lines) == 40
    engine.dispose()
