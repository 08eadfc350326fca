"""What knowing costs: reading the states of an order's entities, turning them into features, taking events in, playing history.

The bare read fetches the same rows by key with the same driver and decodes nothing; the two take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine

from benchmarks import sixty
from benchmarks.postgres import throwaway
from benchmarks.sixty import bare_by_sqlalchemy
from feature_store.database import make_engine
from feature_store.entities import EntityKey
from feature_store.events import Event
from feature_store.network import Network, Node, Rate, read_network
from feature_store.online import OnlineStore
from feature_store.order import Order
from feature_store.state import EntityState
from feature_store.tables import metadata
from feature_store.views import SERVICES, build_snapshot, entity_keys, lane_snapshots
from training.history import build_history
from training.world import SimulatedOrder, simulate

Work = Callable[[Order], object]


def in_turn(ways: dict[str, Work], orders: Sequence[Order], count: int = 1000) -> dict[str, dict[str, float]]:
    """Microseconds of each way over the same orders: median and 99th percentile."""
    chosen = random.Random(1).choices(orders, k=count)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for order in chosen:
        for name, way in ways.items():
            start = time.perf_counter()
            way(order)
            spent[name].append((time.perf_counter() - start) * 1e6)
    return {
        name: {"p50_us": round(sorted(one)[count // 2]), "p99_us": round(sorted(one)[count * 99 // 100])} for name, one in spent.items()
    }


def full_network(order: Order) -> Network:
    """20 nodes with two services each."""
    nodes = tuple(Node(f"N{i:02}", "east", 30.0 + i / 10, 120.0, backlog=5.0, capacity=50.0, staffing=0.9) for i in range(20))
    rates = tuple(Rate(node.node_id, order.ship_to.region, service, 1, 1, 2.0) for node in nodes for service in ("std", "express"))
    return Network(nodes, (), rates)


def measure(engine: Engine, orders: int) -> dict[str, object]:
    items = list(simulate(orders, seed=3).stream())
    events = [item for item in items if isinstance(item, Event)]
    placed = [item.order for item in items if isinstance(item, SimulatedOrder)][-orders // 3 :]
    start = time.process_time()
    history = build_history(items)
    played = len(items) / (time.process_time() - start)
    raw = {key: state.to_bytes() for key, state in history.states.items()}
    store = OnlineStore(engine)
    batches = [events[at : at + 500] for at in range(0, min(len(events), 20_000), 500)]
    start = time.perf_counter()
    for batch in batches:
        store.ingest(batch)
    ingested = sum(map(len, batches)) / (time.perf_counter() - start)
    store.load_states(history.states)

    def states(order: Order, decision_type: str) -> dict[EntityKey, EntityState]:
        return {key: EntityState.from_bytes(raw[key]) for key in entity_keys(order, decision_type) if key in raw}

    def lanes(order: Order) -> object:
        known = states(order, "split-order")
        return lane_snapshots(order, read_network(order, known, order.placed_at), known, order.placed_at)

    ways: dict[str, Work] = {"split-order: decode + network + 24 lanes": lanes}
    ways["split-order: 40 lanes of the request"] = lambda order: lane_snapshots(order, full_network(order), {}, order.placed_at)
    for decision_type in SERVICES:
        ways[f"{decision_type}: bare read"] = lambda order, kind=decision_type: bare_by_sqlalchemy(engine, entity_keys(order, kind))
        ways[f"{decision_type}: read + decode"] = lambda order, kind=decision_type: store.read(entity_keys(order, kind))
        if decision_type != "split-order":
            ways[f"{decision_type}: decode + features"] = lambda order, kind=decision_type: build_snapshot(
                kind, order, states(order, kind), order.placed_at
            )
    return {
        "database": engine.dialect.name,
        "history_items_per_cpu_s": round(played),
        "ingested_events_per_s": round(ingested),
        "latency": in_turn(ways, placed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="URL of an empty PostgreSQL database; default a fresh SQLite file")
    parser.add_argument("--orders", type=int, default=4000)
    parser.add_argument("--postgresql", action="store_true", help="on a throwaway PostgreSQL")
    parser.add_argument("--sixty", action="store_true", help="only sixty features beside a bare read of their six rows")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as open_here:
        folder = open_here.enter_context(tempfile.TemporaryDirectory())
        url = f"sqlite:///{Path(folder) / 'features.db'}"
        if arguments.postgresql:
            url = open_here.enter_context(throwaway({})).url("postgres")
        engine = make_engine(arguments.database or url)
        metadata.create_all(engine)
        found = {} if arguments.sixty else measure(engine, arguments.orders)
        found["sixty_features"] = sixty.measure(engine, simulate(arguments.orders, seed=3).stream())
        print(json.dumps(found, indent=2))
        engine.dispose()


if __name__ == "__main__":
    main()
