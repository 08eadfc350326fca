"""Business events into the online store, beside a bare insert of the same rows.

    python -m benchmarks.ingest [--events N] [--batch 500] [--postgresql URL] [--profile]

Events are those of the simulated world, in the order in which they become known; as many are in the store before the clock starts. Each batch is
one durable transaction: the rows of its events and the states of all entities that they name. Beside it, batch by batch in turn, the same
rows are inserted into a table of their own by the bare driver, durably too, and nothing else is done with them: what is left is the cost of
knowing. ``hot`` is a batch whose events all name one SKU, one address and one network, as on a launch. ``parse`` is what reading an event
from its JSON adds, ``cpu`` is this process's own share of the time, ``one`` is the time of a batch of a single event. Without ``--postgresql`` a throwaway server is used where PostgreSQL's
binaries are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import json
import os
import pstats
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine

from benchmarks.postgres import BinariesMissing, throwaway
from feature_store.database import make_engine
from feature_store.events import Event, EventType, event_to_json, parse_event
from feature_store.folding import touched
from feature_store.ingest import ingest
from serving.garbage import collect_less
from serving.migrate import migrate
from training.world import simulate

EVENTS_AN_ORDER = 4
"""At least so many events does the world tell of each order."""

Batch = Sequence[Event]
Write = Callable[[Batch], object]


def row(event: Event) -> tuple[Any, ...]:
    return (event.event_id, event.type.value, event.event_time, event.known_at, event.valid_from, orjson.dumps(event.data))


def bare_sqlite(path: Path) -> Write:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE bare (event_id TEXT PRIMARY KEY, type, event_time, known_at, valid_from, data BLOB)")

    def write(batch: Batch) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?)", map(row, batch))
        connection.execute("COMMIT")

    return write


def bare_postgresql(engine: Engine) -> Write:
    connection = engine.raw_connection().driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bare")
        columns = "event_id text PRIMARY KEY, type text, event_time bigint, known_at bigint, valid_from bigint, data bytea"
        cursor.execute(f"CREATE TABLE bare ({columns})")
    connection.commit()

    def write(batch: Batch) -> None:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO bare VALUES (%b, %b, %b, %b, %b, %b)", list(map(row, batch)))
        connection.commit()

    return write


def cut(told: Sequence[Event], size: int) -> list[Batch]:
    return [told[at : at + size] for at in range(0, len(told), size)]


def launch(number: int, size: int, at: int) -> Batch:
    """Orders of one SKU from one network to one address: all of them change the same few states."""
    shared = {"address_id": "AD-hot", "ip": "10.0.0.1", "region": "east", "skus": ("SKU-hot",), "amount": 99.5}
    return [
        Event(
            f"hot-{number}-{i}", EventType.ORDER_PLACED, at + i, at + i, {**shared, "order_id": f"H-{number}-{i}", "customer_id": f"H-{i}"}
        )
        for i in range(size)
    ]


def spent(write: Write, batch: Batch) -> float:
    began = time.perf_counter()
    write(batch)
    return time.perf_counter() - began


def measure(engine: Engine, bare: Write, told: Sequence[Event], size: int) -> dict[str, Any]:
    def store(batch: Batch) -> object:
        return ingest(engine, batch)

    half = len(told) // 2
    for batch in cut(told[:half], 2_000):
        store(batch)
        bare(batch)
    batches = cut(told[half : half + (len(told) - half) // size * size], size)
    ours, theirs, cpu = [], [], 0.0
    for batch in batches:  # in turn, so that whatever else the machine does meets both
        began = time.process_time()
        ours.append(spent(store, batch))
        cpu += time.process_time() - began
        theirs.append(spent(bare, batch))
    ones = [spent(store, [replace(event, event_id=f"{event.event_id}/one")]) for event in told[half : half + 100]]
    hot = [spent(store, launch(number, size, told[-1].known_at)) for number in range(8)]
    return {
        "events": sum(map(len, batches)),
        "states_a_batch": round(statistics.mean(len({key for event in batch for key in touched(event)}) for batch in batches)),
        "ingest_per_s": round(size * len(batches) / sum(ours)),
        "cpu_us_an_event": round(cpu / (size * len(batches)) * 1e6, 1),
        "bare_per_s": round(size * len(batches) / sum(theirs)),
        "batch_ms": {name: round(value * 1e3, 1) for name, value in zip(("p50", "p95", "max"), spread(ours), strict=True)},
        "bare_batch_ms": {"p50": round(statistics.median(theirs) * 1e3, 1)},
        "hot_per_s": round(size * len(hot) / sum(hot)),
        "one_ms": {"p50": round(statistics.median(ones) * 1e3, 2)},
    }


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.95)], ordered[-1]


def parse_us(told: Sequence[Event]) -> float:
    raw = [orjson.dumps(event_to_json(event)) for event in told[:5_000]]
    began = time.perf_counter()
    for line in raw:
        parse_event(orjson.loads(line))
    return (time.perf_counter() - began) / len(raw) * 1e6


@contextlib.contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def run(told: Sequence[Event], size: int, postgresql: str | None, folder: Path, *, profile: bool) -> dict[str, Any]:
    report: dict[str, Any] = {
        "batch": size,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "parse_us": round(parse_us(told), 1),
    }
    engine = make_engine(f"sqlite:///{folder / 'ordinance.db'}")
    migrate(engine)
    with profiled(profile):
        report["sqlite"] = measure(engine, bare_sqlite(folder / "bare.db"), told, size)
    engine.dispose()
    with contextlib.ExitStack() as stack:
        if postgresql is None:
            try:
                postgresql = stack.enter_context(throwaway({"shared_buffers": "128MB"})).url("postgres")
            except BinariesMissing as missing:
                report["postgresql"] = str(missing)
                return report
        engine = make_engine(postgresql)
        migrate(engine)
        with profiled(profile):
            report["postgresql"] = measure(engine, bare_postgresql(engine), told, size)
        engine.dispose()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", metavar="URL", help="a database that may be written to (default: a throwaway server)")
    parser.add_argument("--events", type=int, default=60_000, metavar="N", help="half of them fill the store, half are measured")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--profile", action="store_true", help="also print where the time goes; the figures are then too low")
    arguments = parser.parse_args()
    world = simulate(max(2_000, arguments.events // EVENTS_AN_ORDER), 3)
    told = list(islice(world.events(), arguments.events))
    collect_less()  # as the processes do that take events in
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(json.dumps(run(told, arguments.batch, arguments.postgresql, Path(folder), profile=arguments.profile), indent=1))


if __name__ == "__main__":
    main()
