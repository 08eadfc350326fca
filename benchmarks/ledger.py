"""What a record costs: sealing it, and making it durable with group commit on SQLite and PostgreSQL, beside the bare database.

``python -m benchmarks.ledger [--postgresql URL] [--records N]``. The bare database writes rows of the same size into one table with one
key, by ``executemany`` with a durable commit a batch: what no recorder can beat. The disk's own fsync is measured first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import orjson
from sqlalchemy import Engine, text

from feature_store.database import make_engine
from governance.ledger.log import Recorder
from governance.ledger.receipt import Signer, attach
from governance.ledger.record import Draft, Kind, Numbers, about_customer, seal
from governance.ledger.rows import DecisionRow, Facets, statements
from governance.ledger.vault import load_vault
from serving.migrate import migrate

AT = 1_794_000_000_000
WAITING = (1, 16, 64, 256)


def draft(features: int, rng: np.random.Generator) -> Draft:
    """A fraud decision as the service records one."""
    names = [f"customer_orders_{i}_7d" for i in range(features)]
    reasons = [
        {
            "rank": i + 1,
            "code": "SUPPLIER_CAPACITY_LOW",
            "text": {"en": f"The supplier has {int(rng.integers(500))} open orders, usual 90", "zh": "供应商未结订单偏多，通常 90"},
            "direction": "raises",
            "contribution": float(rng.normal()),
            "feature": names[i % features],
            "value": float(rng.normal()),
        }
        for i in range(6)
    ]
    line = {"sku": "SKU-1", "qty": 2, "unit_price": {"amount": "129.99", "currency": "CNY"}, "weight_g": 500}
    order = {
        "order_id": f"SO-{rng.integers(10**9)}",
        "customer": {"customer_id": "C-9"},
        "lines": [{"line_id": str(i), **line} for i in range(5)],
    }
    answer = {
        "type": "fraud",
        "outcome": "ALLOW",
        "status": "decided",
        "reasons": reasons[:4],
        "order_id": order["order_id"],
        "latency_ms": 2.1,
    }
    groups: dict[str, object] = {
        "request": orjson.dumps({"mode": "live", "order": order}).decode(),
        "order": {"order_id": order["order_id"], "order_version": 1, "customer_id": "C-9"},
        "circumstances": {"started_at": "2026-11-06T21:20:00.123Z", "mode": "live", "deadline_ms": 200},
        "snapshot": {
            "names": names,
            "event_times": [AT - int(rng.integers(10**9)) for _ in names],
            "origins": ["store"] * features,
            "view_version": "fraud-1",
        },
        "values": Numbers.of(rng.normal(size=features)),
        "explanation": {"link": "logit", "explainer": "path-dependent-shap"},
        "scores": Numbers.of(rng.normal(size=2)),
        "contributions": Numbers.of(rng.normal(size=features)),
        "model": {"name": "fraud", "version": 1, "digest": "sha256:" + "a" * 64, "role": "champion"},
        "confidence": {"event": "fraud", "probability": float(rng.random()), "low": 0.1, "high": 0.5, "level": 0.9},
        "policy": {
            "id": "fraud",
            "version": 1,
            "results": [{"id": f"rule_{i}", "hard": False, "passed": True, "detail": ""} for i in range(8)],
        },
        "outcome": {"outcome": "ALLOW", "status": "decided", "reasons": reasons},
        "response": orjson.dumps(answer).decode(),
        "people": {"principal": "oms-1"},
    }
    return Draft(Kind.DECISION, "fraud", {"model": "sha256:" + "a" * 64, "build": "1"}, groups, about_customer("C-9", groups))


def row(one: Draft, signer: Signer) -> DecisionRow:
    sealed = seal(one, signer, AT)
    order = one.groups["order"]
    assert isinstance(order, dict)
    facets = Facets(
        "fraud",
        "live",
        "ALLOW",
        "decided",
        AT,
        2100,
        order_id=order["order_id"],
        order_version=1,
        customer_id="C-9",
        channel="app",
        tags=("presale",),
        reasons=("SUPPLIER_CAPACITY_LOW",),
        probability=0.3,
        model_name="fraud",
        model_version=1,
        model_digest="sha256:" + "a" * 64,
        policy_id="fraud",
        policy_version=1,
        policy_digest="sha256:" + "b" * 64,
    )
    return DecisionRow(sealed, facets, "oms-1", sealed.record_id, bytes(32), attach(str(one.groups["response"]).encode(), sealed.receipt))


def seal_us(features: int, rounds: int = 40) -> float:
    """Median microseconds of processor time to seal one record."""
    rng, signer = np.random.default_rng(0), Signer("benchmark", bytes(32))
    drafts = [draft(features, rng) for _ in range(20)]
    spent = []
    for _ in range(rounds):
        start = time.thread_time()
        for one in drafts:
            seal(one, signer, AT)
        spent.append((time.thread_time() - start) / len(drafts) * 1e6)
    return statistics.median(spent)


def sealing_us(folder: Path, batch: int, rounds: int = 40) -> dict[str, float]:
    """Median microseconds of processor time a record to make its statements, without and with sealing under the person's key."""
    rng, signer = np.random.default_rng(3), Signer("benchmark", bytes(32))
    rows = [row(draft(60, rng), signer) for _ in range(64)]
    vault = load_vault(folder / "keys")
    parts = [rows[at : at + batch] for at in range(0, len(rows), batch)]

    def plain() -> None:
        for part in parts:
            statements(part, "sqlite")

    def sealed() -> None:
        for part in parts:
            with vault.sealing(part) as keys:
                statements(part, "sqlite", keys)

    figures = {}
    for name, make in (("plain", plain), ("sealed", sealed)):
        spent = []
        for _ in range(rounds):
            start = time.thread_time()
            make()
            spent.append((time.thread_time() - start) / len(rows) * 1e6)
        figures[name] = round(statistics.median(spent), 1)
    return figures


def fsync_ms(folder: Path) -> float:
    """Median milliseconds of one fsync after 4 KiB."""
    spent = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            spent.append((time.perf_counter() - start) * 1e3)
    return statistics.median(spent)


def recorded_per_s(engine: Engine, rows: Sequence[DecisionRow], waiting: int) -> float:
    """Records a second when this many requests wait for their commit at any time."""
    recorder = Recorder(engine)

    async def run() -> float:
        left = iter(rows)

        async def caller() -> None:
            for one in left:
                await recorder.commit([one])

        start = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(waiting)))
        return len(rows) / (time.perf_counter() - start)

    try:
        return asyncio.run(run())
    finally:
        recorder.close()


def bare_sqlite(path: Path) -> Callable[[Sequence[bytes]], None]:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE bare (key INTEGER PRIMARY KEY, data BLOB)"):
        connection.execute(statement)

    def write(batch: Sequence[bytes]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO bare (data) VALUES (?)", [(data,) for data in batch])
        connection.execute("COMMIT")

    return write


def bare_postgresql(engine: Engine) -> Callable[[Sequence[bytes]], None]:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS bare"))
        connection.execute(text("CREATE TABLE bare (key BIGSERIAL PRIMARY KEY, data BYTEA)"))
    connection = engine.connect()

    def write(batch: Sequence[bytes]) -> None:
        connection.exec_driver_sql("INSERT INTO bare (data) VALUES (%b)", [(data,) for data in batch])
        connection.commit()

    return write


def bare_per_s(write: Callable[[Sequence[bytes]], None], rows: Sequence[DecisionRow], batch: int) -> float:
    data = [one.sealed.entry + one.sealed.body + one.sealed.seeds + one.response for one in rows]
    start = time.perf_counter()
    for i in range(0, len(data), batch):
        write(data[i : i + batch])
    return len(data) / (time.perf_counter() - start)


def throughput(engine: Engine, write: Callable[[Sequence[bytes]], None], count: int) -> dict[str, dict[str, float]]:
    rng, signer = np.random.default_rng(1), Signer("benchmark", bytes(32))
    figures: dict[str, dict[str, float]] = {}
    for waiting in WAITING:
        rows = [row(draft(60, rng), signer) for _ in range(max(100, min(count, count * waiting // 64)))]
        bare = bare_per_s(write, rows, waiting)
        ours = recorded_per_s(engine, rows, waiting)
        figures[str(waiting)] = {"recorder": round(ours), "bare": round(bare), "share": round(ours / bare, 2)}
    return figures


def run(postgresql: str | None, count: int, folder: Path) -> dict[str, object]:
    one = row(draft(60, np.random.default_rng(2)), Signer("benchmark", bytes(32)))
    report: dict[str, object] = {
        "fsync_ms": round(fsync_ms(folder), 2),
        "seal_us": {str(features): round(seal_us(features)) for features in (15, 60)},
        "subject_keys_us": {str(batch): sealing_us(folder, batch) for batch in (1, 8, 64)},
        "bytes_60_features": {name: len(getattr(one.sealed, name)) for name in ("entry", "body", "seeds")}
        | {"response": len(one.response)},
    }
    engine = make_engine(f"sqlite:///{folder / 'ordinance.db'}")
    migrate(engine)
    report["sqlite"] = throughput(engine, bare_sqlite(folder / "bare.db"), count)
    engine.dispose()
    report["sqlite_bytes_a_record"] = round((folder / "ordinance.db").stat().st_size / (_rows(folder / "ordinance.db") or 1))
    if postgresql:
        engine = make_engine(postgresql)
        migrate(engine)
        report["postgresql"] = throughput(engine, bare_postgresql(engine), count)
        engine.dispose()
    return report


def _rows(path: Path) -> int:
    return int(sqlite3.connect(path).execute("SELECT count(*) FROM records").fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", metavar="URL", help="a database that may be written to; without it only SQLite is measured")
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(json.dumps(run(arguments.postgresql, arguments.records, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
