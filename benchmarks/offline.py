"""A training set from an archive, beside a hand-written query of DuckDB for one of its features.

The first segment of the archive is folded from events as they would be told; the others are that segment again, later and with other orders, so that
twenty million events do not take an hour to make. The training set runs in a process of its own, whose peak memory is what is told.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import duckdb
import orjson

from feature_store.entities import Entity
from feature_store.events import Event, EventType
from feature_store.offline import Archive, Request, training_set
from feature_store.offline_archive import FORMAT, Segment, folds_digest
from feature_store.times import DAY, HOUR, MINUTE, Millis, parse_time
from feature_store.views.aggregations import of, ratio
from feature_store.views.definition import Dtype, Feature, Group, Unit
from feature_store.views.parts import Aggregate, How
from feature_store.views.situation import Own

START = parse_time("2026-01-01T00:00:00Z")
SPAN: Millis = 8 * DAY
"""What one segment covers."""
_E = Entity


def entity_names(chance: random.Random, scale: int) -> dict[str, str]:
    """The entities of one order: a few are hot."""

    def skewed(prefix: str, count: int) -> str:
        return f"{prefix}-{int(count * chance.random() ** 2)}"

    return {
        "customer_id": skewed("C", scale), "device_id": skewed("D", scale), "address_id": skewed("A", scale),
        "payment_token": skewed("T", scale), "ip": skewed("I", scale // 4 + 1), "region": f"R-{chance.randrange(30)}",
        "sku": skewed("S", scale // 20 + 1),
    }  # fmt: skip


def told(count: int, scale: int) -> Iterator[Event]:
    """Events of one segment; every tenth is known late."""
    chance = random.Random(1)
    for n in range(count):
        at = START + n * SPAN // count
        known = at + (chance.randrange(3 * HOUR) if n % 10 == 0 else 0)
        names = entity_names(chance, scale)
        skus = (names.pop("sku"),)
        order = {"order_id": f"O-{n}"}
        draw = chance.random()
        amount = chance.randrange(10**6) / 100
        if draw < 0.6:
            yield Event(f"E-{n}", EventType.ORDER_PLACED, at, known, {**order, **names, "amount": amount, "skus": skus})
        elif draw < 0.7:
            yield Event(f"E-{n}", EventType.PAYMENT_DECLINED, at, known, {**names, "amount": amount})
        elif draw < 0.9:
            data = {
                **order,
                "customer_id": names["customer_id"],
                "node_id": "N-1",
                "region": names["region"],
                "service": "std",
                "skus": skus,
                "late": draw < 0.75,
            }
            yield Event(f"E-{n}", EventType.DELIVERED, at, known, data)
        elif draw < 0.95:
            yield Event(f"E-{n}", EventType.RETURNED, at, known, {**order, "customer_id": names["customer_id"], "skus": skus})
        else:
            yield Event(f"E-{n}", EventType.CHARGEBACK, at, known, {**order, **names})


def make_archive(folder: Path, events: int, segments: int, scale: int) -> dict[str, object]:
    """Fold one segment; repeat it."""
    archive = Archive(folder)
    start = time.perf_counter()
    archive.add(told(events, scale))
    folded = events / (time.perf_counter() - start)
    (first,) = archive.segments
    made = [first]
    with duckdb.connect(config={"memory_limit": "2GB", "threads": 2, "temp_directory": str(folder / "spilled")}) as connection:
        for n in range(1, segments):
            name = f"{n + 1:06}"
            (folder / "segments" / name).mkdir()
            shift = n * SPAN
            connection.execute(
                f"COPY (SELECT entity, history, key, item, happened + {shift} AS happened, known + {shift} AS known, "
                f"(ref + {n * 1_000_003}) % 4294967296 AS ref, value, facts FROM read_parquet('{folder}/segments/{first.name}/entries.parquet')) "
                f"TO '{folder}/segments/{name}/entries.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )
            made.append(Segment(name, first.events, first.entries, first.known_until + shift))
    manifest = {"format": FORMAT, "folds": folds_digest(), "segments": [asdict(one) for one in made]}
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    return {
        "events": sum(one.events for one in made),
        "entries": sum(one.entries for one in made),
        "archived_events_per_s": round(folded),
        "entries_bytes": sum(path.stat().st_size for path in archive.entry_files()),
    }


def sixty() -> tuple[Feature, ...]:
    """Sixty features over eleven histories: windows, distinct, shares, pairs, tallies, and ratios of two."""
    windows = (HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY)
    parts = [Aggregate(_E.CUSTOMER, "orders", how, within) for how in (How.COUNT, How.SUM, How.MAX) for within in windows]
    parts += [
        Aggregate(entity, "orders", How.DISTINCT, within, own=Own.CUSTOMER)
        for entity in (_E.DEVICE, _E.ADDRESS, _E.IP)
        for within in (DAY, 30 * DAY)
    ]
    parts += [
        Aggregate(entity, "orders", How.COUNT, within)
        for entity in (_E.DEVICE, _E.ADDRESS, _E.PAYMENT, _E.IP)
        for within in (5 * MINUTE, HOUR, 7 * DAY)
    ]
    parts += [Aggregate(_E.CUSTOMER, "declined", How.COUNT, within) for within in (HOUR, DAY)]
    parts += [Aggregate(_E.CUSTOMER, "orders", how) for how in (How.SINCE, How.LAST, How.MEAN)]
    parts += [
        Aggregate(_E.CUSTOMER, "devices", How.UNSEEN, own=Own.DEVICE),
        Aggregate(_E.CUSTOMER, "addresses", How.UNSEEN, own=Own.ADDRESS),
    ]
    parts += [Aggregate(_E.CUSTOMER_DEVICE, "orders", How.COUNT, within) for within in (DAY, 30 * DAY)]
    parts += [Aggregate(_E.CUSTOMER, "delivered", How.SHARE, having="returned", last=3)]
    parts += [Aggregate(_E.CUSTOMER, "chargebacks", How.COUNT, within, 7 * DAY) for within in (7 * DAY, 30 * DAY)]
    parts += [Aggregate(_E.SKU, series, How.COUNT, within) for series in ("orders", "chargebacks") for within in (DAY, 30 * DAY)]
    parts += [
        Aggregate(_E.SKU, "delivered", How.SHARE, within, having="returned", prior=0.05, weight=20.0) for within in (30 * DAY, 90 * DAY)
    ]
    parts += [Aggregate(_E.REGION, "delivered", How.MEAN, within, prior=0.1, weight=10.0) for within in (DAY, 7 * DAY, 30 * DAY)]
    calculations = [of(part) for part in parts]
    counts = [Aggregate(_E.CUSTOMER, "orders", How.COUNT, within) for within in windows]
    calculations += [ratio(counts[0], counts[i]) for i in range(1, 5)]
    calculations += [ratio(counts[1], counts[4]), ratio(counts[2], counts[4])][: 60 - len(calculations)]
    return tuple(
        Feature(f"f{n}", Dtype.NUMBER, Unit.NONE, "a number", "数", "TEST", Group.BASKET, one) for n, one in enumerate(calculations)
    )


def asked(count: int, scale: int, until: Millis) -> Iterator[Request]:
    """Requests over the last third of the history, by the same distribution of entities."""
    chance = random.Random(2)
    begin = until - (until - START) // 3
    for n in range(count):
        names = entity_names(chance, scale)
        keys = {
            _E.CUSTOMER: (names["customer_id"],), _E.DEVICE: (names["device_id"],), _E.ADDRESS: (names["address_id"],), _E.IP: (names["ip"],),
            _E.PAYMENT: (names["payment_token"],), _E.SKU: (names["sku"],), _E.REGION: (names["region"],),
        }  # fmt: skip
        yield Request(chance.randrange(begin, until), keys=keys, order_id=f"O-{n}")


def peak_mib() -> int:
    """The most memory that this process ever held; what its parent held does not count."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def run(folder: Path, requests: int, segments: int, scale: int) -> dict[str, object]:
    """Make the training set, throwing its rows away as a trainer would take them."""
    features = sixty()
    start, worked = time.perf_counter(), time.process_time()
    rows, known = 0, 0
    first = None
    for batch in training_set(Archive(folder), features, asked(requests, scale, START + segments * SPAN), temporary=folder):
        first = first or time.perf_counter() - start
        rows += len(batch)
        known += int((batch.event_times >= 0).sum())
    seconds = time.perf_counter() - start
    return {
        "rows": rows,
        "features": len(features),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(time.process_time() - worked, 1),
        "seconds_to_first_batch": round(first or 0.0, 1),
        "rows_per_s": round(rows / seconds),
        "values_per_s": round(rows * len(features) / seconds),
        "share_of_values_with_event_time": round(known / (rows * len(features)), 3),
        "peak_rss_mib": peak_mib(),
    }


def by_hand(folder: Path, requests: int, segments: int, scale: int) -> dict[str, object]:
    """One feature, as somebody would write it who needs just that one: orders of the customer in 30 days, as far as known."""
    files = [str(path) for path in Archive(folder).entry_files()]
    spilled = {"memory_limit": "2GB", "threads": 2, "temp_directory": str(folder / "spilled"), "preserve_insertion_order": False}
    with tempfile.TemporaryDirectory(dir=folder) as aside, duckdb.connect(config=spilled) as connection:
        path = Path(aside) / "requests.csv"
        with path.open("w") as file:
            for n, one in enumerate(asked(requests, scale, START + segments * SPAN)):
                file.write(f"{n},{one.keys[_E.CUSTOMER][0]},{one.as_of}\n")
        start, worked = time.perf_counter(), time.process_time()
        connection.execute(f"CREATE TABLE r AS SELECT * FROM read_csv('{path}', header = false, names = ['rid', 'key', 'as_of'])")
        connection.execute(
            "CREATE TABLE answer AS SELECT rid, count(*) AS orders FROM r JOIN read_parquet($1) i ON i.key = r.key "
            f"WHERE i.entity = 'customer' AND i.history = 'orders' AND i.known <= as_of AND i.happened <= as_of AND i.happened > as_of - {30 * DAY} GROUP BY rid",
            [files],
        )
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
    return {
        "features": 1,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(worked, 1),
        "rows_per_s": round(requests / seconds),
        "values_per_s": round(requests / seconds),
        "peak_rss_mib": peak_mib(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=50_000, help="in the first segment")
    parser.add_argument("--segments", type=int, default=4, help="how many times these events")
    parser.add_argument("--keys", type=int, default=10_000, help="customers, devices, addresses")
    parser.add_argument("--folder", type=Path, help="keep the archive here, and use it again")
    parser.add_argument("--only", choices=("training_set", "by_hand"), help=argparse.SUPPRESS)
    asked_for = parser.parse_args(arguments)
    if asked_for.only:
        work = run if asked_for.only == "training_set" else by_hand
        print(json.dumps(work(asked_for.folder, asked_for.rows, asked_for.segments, asked_for.keys)))
        return
    folder = asked_for.folder or Path(tempfile.mkdtemp())
    try:
        made = {} if (folder / "manifest.json").exists() else make_archive(folder, asked_for.events, asked_for.segments, asked_for.keys)
        told_of: dict[str, object] = {"archive": made}
        sizes = [
            "--rows",
            str(asked_for.rows),
            "--segments",
            str(asked_for.segments),
            "--keys",
            str(asked_for.keys),
            "--folder",
            str(folder),
        ]
        for only in ("by_hand", "training_set"):
            done = subprocess.run([sys.executable, "-m", "benchmarks.offline", "--only", only, *sizes], check=True, capture_output=True)
            told_of[only] = json.loads(done.stdout)
        print(json.dumps(told_of, indent=2))
    finally:
        if asked_for.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
