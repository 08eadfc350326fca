"""The service as a user reaches it, its layers, and the naive peer, in one run, on SQLite and on PostgreSQL.

``python -m benchmarks.serve [--home FILLED] [--seconds 4] [--rounds 3] [--replicas 2] [--sqlite-only]``. Endpoints are driven over keep-alive
connections by a process of its own; the peer is driven in turn with us, round by round, so that the machine's drift falls on both. Prints Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks import reference
from benchmarks.layers import oms_key
from benchmarks.postgres import BinariesMissing, throwaway
from benchmarks.processes import free_port, running
from governance.promotion import current
from models.artifact import MODEL_FILE, artifact_folder, load_artifact
from serving.settings import Settings
from serving.wiring import wire_base

ORDINANCE = str(Path(sys.executable).with_name("ordinance"))
CONNECTIONS = (1, 8, 32)
ENDPOINTS = {
    "acceptance": "/v1/decisions/acceptance",
    "fraud": "/v1/decisions/fraud",
    "split-order": "/v1/decisions/split-order",
    "orders/decide": "/v1/orders/decide",
}


@dataclass(frozen=True, slots=True)
class Bench:
    """What one run works with."""

    home: Path
    bodies: Path
    scratch: Path
    seconds: float
    rounds: int
    replicas: int

    def drive(self, port: int, path: str, connections: int) -> dict[str, Any]:
        """One closed-loop run against a port, by a process of its own."""
        command = [sys.executable, "-m", "benchmarks.load", "--port", str(port), "--path", path, "--key", oms_key(self.home)]
        command += ["--bodies", str(self.bodies), "--connections", str(connections), "--seconds", str(self.seconds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures: dict[str, Any] = json.loads(done.stdout)
        if set(figures["statuses"]) != {"200"}:
            raise RuntimeError(f"{path}: {figures['statuses']}")
        return figures


def cell(figures: list[dict[str, Any]]) -> str:
    """Median rps and latencies of the rounds."""
    rps, p50, p99 = (statistics.median(one[name] for one in figures) for name in ("rps", "p50_ms", "p99_ms"))
    return f"{rps:.0f} ({p50:.1f}/{p99:.1f})"


@contextlib.contextmanager
def ordinance(bench: Bench, database: str | None) -> Iterator[int]:
    """The service on a copy of the filled home."""
    port = free_port()
    environment = {"ORDINANCE_DECISION_REPLICAS": str(bench.replicas), **({"ORDINANCE_DATABASE_URL": database} if database else {})}
    command = [ORDINANCE, "up", "--home", str(bench.home), "--port", str(port)]
    with running(command, port, "/readyz", environment=environment, log=bench.scratch / "ordinance.log"):
        yield port


@contextlib.contextmanager
def naive(bench: Bench, name: str, model: Path, features: Path, database: str | None) -> Iterator[int]:
    """The naive peer with one of our models and, ready in one row a customer, the features that we compute."""
    port = free_port()
    own = database.replace("/ordinance?", "/naive?") if database else f"sqlite:///{bench.scratch / f'naive-{name}.db'}"
    command = [
        sys.executable,
        "-m",
        "benchmarks.naive",
        "--model",
        str(model),
        "--database",
        own,
        "--port",
        str(port),
        "--features",
        str(features),
    ]
    with running(command, port, "/openapi.json", log=bench.scratch / "naive.log"):
        yield port


def artifacts(bench: Bench, database: str | None) -> tuple[Path, Path]:
    """The acceptance champion's LightGBM text, and a file with a feature row for each customer of the bodies."""
    base = wire_base(Settings(home=bench.home, database_url=database))
    digest = current(base.engine, base.signer.verifier).champions["acceptance"].model.digest
    folder = artifact_folder(base.home.models, digest)
    usual = [0.0 if card.usual is None else float(card.usual) for card in load_artifact(folder, digest).features]
    customers = {json.loads(line)["order"]["customer"]["customer_id"] for line in bench.bodies.read_text().splitlines()}
    path = bench.scratch / "features.json"
    path.write_bytes(orjson.dumps(dict.fromkeys(customers, usual)))
    base.engine.dispose()
    return folder / MODEL_FILE, path


def endpoints(bench: Bench, database: str | None) -> list[str]:
    """Every endpoint at every number of connections; the naive peer in turn with the two that it can answer."""
    reference_model = reference.publish(Settings(home=bench.home, database_url=database))
    rows_asked = bench.scratch / "rows.jsonl"
    reference.write_bodies(rows_asked)
    model, features = artifacts(bench, database)
    with ordinance(bench, database) as ours:
        with naive(bench, "reference", reference_model, features, database) as peer:
            rows = _beside(replace(bench, bodies=rows_asked), ours, peer, "reference model", f"/v1/decisions/{reference.NAME}")
        with naive(bench, "acceptance", model, features, database) as peer:
            rows += _beside(bench, ours, peer, "acceptance", ENDPOINTS["acceptance"])
        for name in ("fraud", "split-order", "orders/decide"):
            found = {c: [bench.drive(ours, ENDPOINTS[name], c) for _ in range(bench.rounds)] for c in CONNECTIONS}
            rows.append(f"| {name} | " + " | ".join(cell(one) for one in found.values()) + " |")
    return rows


def _beside(bench: Bench, ours: int, peer: int, name: str, path: str) -> list[str]:
    """One endpoint of ours and the naive peer with the same model, round by round in turn."""
    bench.drive(ours, path, 8)  # both warm
    bench.drive(peer, "/decide", 8)
    mine: dict[int, list[dict[str, Any]]] = {connections: [] for connections in CONNECTIONS}
    theirs: dict[int, list[dict[str, Any]]] = {connections: [] for connections in CONNECTIONS}
    for _ in range(bench.rounds):
        for connections in CONNECTIONS:
            mine[connections].append(bench.drive(ours, path, connections))
            theirs[connections].append(bench.drive(peer, "/decide", connections))
    return [
        f"| {name} | " + " | ".join(cell(found) for found in mine.values()) + " |",
        "| naive peer, same model | " + " | ".join(cell(found) for found in theirs.values()) + " |",
        f"| **throughput, {name} ÷ naive** | " + " | ".join(_ratio(mine[c], theirs[c]) for c in CONNECTIONS) + " |",
    ]


def _ratio(ours: list[dict[str, Any]], peers: list[dict[str, Any]]) -> str:
    ratios = [a["rps"] / b["rps"] for a, b in zip(ours, peers, strict=True)]
    tails = [a["p99_ms"] / b["p99_ms"] for a, b in zip(ours, peers, strict=True)]
    return f"**{statistics.median(ratios):.1f}×**, p99 {statistics.median(tails):.2f}×"


def layers(bench: Bench, database: str | None) -> list[str]:
    """The layers of one acceptance decision, and plain uvicorn."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.layers",
        "--home",
        str(bench.home),
        "--bodies",
        str(bench.bodies),
        "--seconds",
        str(bench.seconds),
    ]
    command += ["--database", database] if database else []
    figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    rows = [f"| {name} | {rps:.0f} |" for name, rps in figures.items()]
    port = free_port()
    with running([*command, "--serve", str(port)], port, "/readyz", log=bench.scratch / "uvicorn.log"):
        for connections in CONNECTIONS:
            found = bench.drive(port, ENDPOINTS["acceptance"], connections)
            rows.append(f"| + HTTP on plain uvicorn, {connections} connections | {cell([found])} |")
    return rows


def fill(home: Path, database: str | None, log: Path) -> None:
    """Fill a home by starting the service once."""
    port = free_port()
    environment = {"ORDINANCE_DATABASE_URL": database} if database else {}
    with running([ORDINANCE, "up", "--home", str(home), "--port", str(port)], port, "/readyz", environment=environment, log=log):
        pass


def make_bodies(path: Path) -> None:
    """Orders of another simulated world than the one that was learnt from."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        subprocess.run([ORDINANCE, "simulate", "--orders", "400", "--seed", "77", "-o", str(world)], check=True, capture_output=True)
        path.write_bytes((world / "orders.jsonl").read_bytes())


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[str]:
    """The whole report, line by line."""
    bodies = scratch / "bodies.jsonl"
    make_bodies(bodies)
    with contextlib.ExitStack() as stack:
        databases: dict[str, str | None] = {"SQLite": None}
        if not arguments.sqlite_only:
            try:
                socket = stack.enter_context(throwaway({"fsync": "on", "max_connections": "100"}))
                for name in ("ordinance", "naive"):
                    subprocess.run(
                        ["psql", "-q", "-h", str(socket.folder), "-U", "ordinance", "-d", "postgres", "-c", f"CREATE DATABASE {name}"],
                        check=True,
                    )
                databases["PostgreSQL"] = socket.url("ordinance")
            except BinariesMissing as error:
                yield f"PostgreSQL was not measured: {error}."
        yield f"{os.cpu_count()} cores shared by server, database and load generator; {arguments.replicas} decision replica(s); rps (p50/p99 in ms)."
        for name, database in databases.items():
            home = scratch / f"home-{name}"
            if arguments.home and database is None:
                shutil.copytree(arguments.home, home)
            else:
                fill(home, database, scratch / "fill.log")
            bench = Bench(home, bodies, scratch, arguments.seconds, arguments.rounds, arguments.replicas)
            yield f"\n### {name}\n\n| endpoint, through Serve and HAProxy | 1 connection | 8 | 32 |\n|---|---|---|---|"
            yield from endpoints(bench, database)
            yield "\n| acceptance by layer, one process | decisions/s |\n|---|---|"
            yield from layers(bench, database)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a filled home to copy; without one it is filled first")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--sqlite-only", action="store_true")
    arguments = parser.parse_args(argv)
    print(f"## Service, run {uuid.uuid4().hex[:6]}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="ordinance-bench-") as scratch:
        for line in run(arguments, Path(scratch)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
