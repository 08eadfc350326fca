"""What computing decisions again costs: replay by type and mixed, what-if and recourse, on decisions of a real home.

``python -m benchmarks.replay HOME [--orders N] [--last N]``. HOME is a demo home that nobody is using; with ``--orders`` that many simulated orders are
decided first, three decisions and the one that binds them each. Times are CPU seconds of this process: one core.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from governance.ledger.store import Damaged, DecisionReader, Filters, StoredDecision
from governance.reconstruct import rebuild
from governance.recourse import find_recourse
from governance.shelf import Shelf
from serving.admission import ORDERS, Ask
from serving.migrate import migrate
from serving.replaying import replayer_of, tally
from serving.settings import Settings
from serving.wiring import wire_base, wire_decisions
from training.world import SimulatedOrder, simulate

TYPES = ("acceptance", "fraud", "split-order", ORDERS)
SEED = 99
AT_ONCE = 32


def decide_orders(settings: Settings, count: int) -> None:
    """Decide simulated orders about three types each."""
    wired = wire_decisions(settings)
    started = f"{time.time_ns():x}"
    orders = [one.order for one in simulate(count, SEED).stream() if isinstance(one, SimulatedOrder)]
    asks = [
        {"order": order.model_dump(mode="json", exclude_none=True) | {"order_id": f"B-{started}-{number}"}}
        for number, order in enumerate(orders)
    ]

    async def all_of_them() -> None:
        for start in range(0, len(asks), AT_ONCE):
            part = list(enumerate(asks[start : start + AT_ONCE], start))
            calls = [Ask(ORDERS, "benchmark", f"{started}-{number}", body, None, time.perf_counter()) for number, body in part]
            for reply in await asyncio.gather(*map(wired.answerer.answer, calls)):
                assert reply.status == 200, reply.body

    asyncio.run(all_of_them())
    wired.recorder.close()


def replays(settings: Settings, last: int) -> None:
    """Print what replays cost and what came of them."""
    base = wire_base(settings)
    reader = DecisionReader(base.engine)
    replayer = replayer_of(base.engine, base.home.models, base.home.environments)
    for kind in (*TYPES, None):
        filters = Filters(type=kind)
        tally(replayer, reader.walk(filters, 5))  # models loaded, code compiled
        began = time.process_time()
        found = tally(replayer, reader.walk(filters, last))
        took = time.process_time() - began
        counts = ", ".join(f"{verdict.value} {count}" for verdict, count in found.verdicts.items())
        print(f"replay {kind or 'all types':15} {found.total:6} decisions: {counts}; {found.total / took:7.0f} a second of CPU")
    shelf = Shelf(base.engine, base.home.models)
    for kind in TYPES[:2]:
        times = [suggest(shelf, one) for one in reader.walk(Filters(type=kind), 100)]
        print(f"recourse {kind:13} p50 {1e3 * median(times):6.1f} ms, worst {1e3 * max(times):6.1f} ms of CPU")


def suggest(shelf: Shelf, stored: StoredDecision | Damaged) -> float:
    """Recourse for one decision; CPU seconds."""
    assert isinstance(stored, StoredDecision)
    began = time.process_time()
    past = rebuild(stored)
    find_recourse(past.inputs, None if past.model is None else shelf.deployed(past.model), shelf.policy(past.policy_digest))
    return time.process_time() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("home", type=Path)
    parser.add_argument("--orders", type=int, default=0)
    parser.add_argument("--last", type=int, default=1_000)
    parsed = parser.parse_args(arguments)
    settings = Settings(home=parsed.home)
    base = wire_base(settings)
    migrate(base.engine)
    base.engine.dispose()
    if parsed.orders:
        decide_orders(settings, parsed.orders)
    replays(settings, parsed.last)


if __name__ == "__main__":
    main()
