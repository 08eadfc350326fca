"""Fills an empty home: a simulated order history up to today, three models trained on it and put in service.

``ordinance up`` runs it as a process of its own (``python -m serving.demo``) while Ray starts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import orjson

from feature_store.calendar import local_day, local_midnight, to_date
from feature_store.events import Event
from feature_store.online import OnlineStore
from feature_store.times import Millis, format_time, now
from governance.access import Role
from models.specs import DecisionType
from serving.settings import Settings
from serving.wiring import WITHOUT_SECOND, local_principal, wire_base, workshop
from training.history import HistoryFrame, build_history
from training.service import publish, train_history
from training.world import SimulatedOrder, simulate
from training.world.values import DEFAULT_DAYS

SEED = 20_261_111
BUDGET_S = 8.0
DEMO_DECISIONS = 40
ORDERS_FILE = "demo-orders.jsonl"


def fill(settings: Settings) -> None:
    """Fill the home that the settings name."""
    base = wire_base(settings)
    began = time.monotonic()
    midnight = local_midnight(now())
    start = to_date(local_day(midnight) - DEFAULT_DAYS + 1)
    stream: Iterator[Event | SimulatedOrder] = iter(simulate(settings.demo_orders, SEED, start).stream())
    # 1. What happened until midnight is history; what the world would do after it, nobody knows yet.
    told: list[Event] = []
    history = build_history(_noting(stream, told, midnight), until=midnight)
    OnlineStore(base.engine).load_states(history.states, told)
    _say(f"{settings.demo_orders:,} orders simulated, {len(told):,} events and {len(history.states):,} entities known", began)
    del told
    # 2. Three models, through the pipeline that a user's file takes.
    shop = workshop(base)
    trainer = local_principal(Role.TRAINER)
    with ThreadPoolExecutor(2) as pool:
        trained = pool.map(
            lambda kind: train_history(shop, kind, _settled(history.frames[kind.value], midnight), budget_s=BUDGET_S, created_by=trainer),
            DecisionType,
        )
        for registered in trained:
            publish(shop, registered.name, registered.version, changed_by=trainer, note=WITHOUT_SECOND)
            auc = registered.report["card"]["evaluation"]["metrics"]["auc"]["value"]
            _say(f"{registered.name} version {registered.version} trained: time-split AUC {auc:.3f}", began)
    # 3. Today's orders, for the service to decide once it is up.
    today = (item for item in stream if isinstance(item, SimulatedOrder))
    orders = [order for order, _ in zip(today, range(DEMO_DECISIONS), strict=False)]
    write_orders(base.home.folder / ORDERS_FILE, orders)
    base.engine.dispose()


def _noting(stream: Iterable[Event | SimulatedOrder], told: list[Event], until: Millis) -> Iterator[Event | SimulatedOrder]:
    """The stream as it is; the events that are known by ``until`` are noted down as they pass."""
    for item in stream:
        if isinstance(item, Event) and item.known_at <= until:
            told.append(item)
        yield item


def write_orders(path: Path, orders: list[SimulatedOrder]) -> None:
    """The request bodies of orders that are placed about now, one a line."""
    placed = np.linspace(now() - 20_000, now() - 1_000, len(orders)).astype(np.int64)
    lines = []
    for simulated, moment in zip(orders, placed, strict=True):
        body = simulated.order.model_dump(mode="json")
        shift = int(moment) - simulated.placed_at
        body["placed_at"] = format_time(int(moment))
        if simulated.order.promised_by is not None:
            body["promised_by"] = format_time(simulated.order.promised_by + shift)
        lines.append(orjson.dumps({"order": body}))
    path.write_bytes(b"\n".join(lines) + b"\n")


def _settled(frame: HistoryFrame, at: Millis) -> HistoryFrame:
    """The rows whose outcome is known by now; a training knows no other."""
    return frame.take(np.flatnonzero(frame.label_known_at <= at))


def _say(text: str, began: float) -> None:
    print(f"  {text} ({time.monotonic() - began:.0f} s)", flush=True)


def main() -> int:
    """Fill the home named by the environment."""
    from serving.commands import explanation

    try:
        fill(Settings())
    except Exception as error:
        told = explanation(error)
        if told is None:
            raise
        print(f"ordinance: {told}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
