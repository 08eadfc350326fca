"""What a search costs, by each filter, on a store of many decisions.

``python -m benchmarks.search [--records N ...] [--postgresql] [--rounds N] [--folder DIR]``. Real records of a model with 50 features are cloned with ids, times
and facets of their own, sealed under 20,000 customers' keys as in service, and inserted in bulk. Each figure is one page of 50 lines in
one thread. The rare words are those of one decision in 100,000: what has no index and hardly ever occurs is the worst that can be asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, insert, select, text

from benchmarks import reference
from benchmarks.postgres import throwaway
from feature_store.database import make_engine
from feature_store.times import DAY
from governance.ledger.feature_tests import read_test
from governance.ledger.ids import new_record_id
from governance.ledger.rows import pack
from governance.ledger.store import DecisionReader, Filters
from governance.ledger.tables import decisions, records
from governance.ledger.vault import Vault, seal_column, vault_of, with_vault
from serving.admission import Ask
from serving.migrate import migrate
from serving.settings import Settings
from serving.wiring import prepare_home, wire_base, wire_decisions

SEEDS = 200
CUSTOMERS = 20_000
CHUNK = 5_000
RARE = 100_000
START = 1_780_000_000_000
SPAN = 90 * DAY
TYPES, REGIONS, CHANNELS = ("acceptance", "fraud", "split-order"), ("north", "east", "south", "west"), ("app", "web", "store")
OUTCOMES, REASONS = ("ACCEPT", "HOLD", "REJECT"), tuple(f"REASON_{n}" for n in range(40))


def seeds(settings: Settings) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of real decisions: of ``records`` and of ``decisions``."""
    prepare_home(settings)
    reference.publish(settings)
    wired = wire_decisions(settings)
    rng = random.Random(1)

    async def decide() -> None:
        for number in range(SEEDS):
            row = {f"f{i:02}": round(rng.gauss(0, 1), 4) for i in range(reference.FEATURES)}
            reply = await wired.answerer.answer(Ask(reference.NAME, "bench", f"k{number}", {"row": row}, None, time.perf_counter()))
            assert reply.status == 200, reply.body

    asyncio.run(decide())
    wired.recorder.close()
    base = wire_base(settings)
    with base.engine.connect() as connection:
        kept = [dict(row) for row in connection.execute(select(decisions)).mappings()]
        of = {row["record_id"]: dict(row) for row in connection.execute(select(records)).mappings()}
    base.engine.dispose()
    return [{name: value for name, value in of[row["record_id"]].items() if name != "seq"} for row in kept], kept


def clones(number: int, first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]], keys: Sequence[Any]) -> Iterator[Any]:
    """Pairs of rows, oldest first."""
    rng = random.Random(2)
    for place in range(number):
        seed, key, record_id = place % len(first), keys[rng.randrange(len(keys))], new_record_id()
        at = START + place * SPAN // number
        rare = place % RARE == RARE // 2
        record, decision = dict(first[seed]), dict(second[seed])
        record |= {
            "record_id": record_id,
            "recorded_at": at,
            "promised_at": at,
            "body": seal_column(key, record_id, "body", bytes(record["body"])),
        }
        record["seeds"] = seal_column(key, record_id, "seeds", bytes(record["seeds"]))
        decision |= {
            "record_id": record_id, "idempotency_key": f"k{place}", "order_id": f"SO-{place * 10 // 13}", "order_version": 1,
            "customer_id": key.pseudonym, "type": rng.choice(TYPES), "outcome": rng.choices(OUTCOMES, (90, 8, 2))[0],
            "region": rng.choice(REGIONS), "channel": rng.choice(CHANNELS), "decided_at": at,
            "tags": pack(["presale"] if rng.random() < 0.1 else []), "reasons": pack(["RARE"] if rare else rng.sample(REASONS, 4)),
            "policy_id": "fraud", "policy_version": 1 + place * 5 // number, "request_id": f"r{place}",
            "response": seal_column(key, record_id, "response", bytes(decision["response"])),
        }  # fmt: skip
        yield record, decision


def fill(engine: Engine, number: int, first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> None:
    """Insert that many decisions."""
    vault = vault_of(engine)
    assert vault is not None
    with vault.keys.writing():
        keys = list(vault.keys.ensure([f"customer:C-{n}" for n in range(CUSTOMERS)]).values())
    began, chunk = time.perf_counter(), []
    for pair in clones(number, first, second, keys):
        chunk.append(pair)
        if len(chunk) == CHUNK:
            _insert(engine, chunk)
            chunk = []
    if chunk:
        _insert(engine, chunk)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    print(f"{number:,} decisions inserted in {time.perf_counter() - began:.0f} s", flush=True)


def _insert(engine: Engine, chunk: Sequence[Any]) -> None:
    with engine.begin() as connection:
        connection.execute(insert(records), [one for one, _ in chunk])
        connection.execute(insert(decisions), [one for _, one in chunk])


def asked(number: int, rng: random.Random) -> dict[str, Callable[[], Filters]]:
    """A maker of filters by name."""
    value = read_test

    def feature(wanted: str) -> Filters:
        return Filters(features=(value("f00", wanted),))

    return {
        "nothing": Filters,
        "order_id": lambda: Filters(order_id=f"SO-{rng.randrange(number * 10 // 13)}"),
        "customer_id": lambda: Filters(customer_id=f"C-{rng.randrange(CUSTOMERS)}"),
        "q (an order)": lambda: Filters(q=f"SO-{rng.randrange(number * 10 // 13)}"),
        "type": lambda: Filters(type=rng.choice(TYPES)),
        "type, outcome": lambda: Filters(type=rng.choice(TYPES), outcome="REJECT"),
        "since, until": lambda: _a_day(START + rng.randrange(SPAN - DAY)),
        "outcome": lambda: Filters(outcome=rng.choice(OUTCOMES)),
        "region": lambda: Filters(region=rng.choice(REGIONS)),
        "tag": lambda: Filters(tag="presale"),
        "reason": lambda: Filters(reason=rng.choice(REASONS)),
        "policy_version (oldest)": lambda: Filters(policy_version=1),
        "min_confidence 0.9": lambda: Filters(min_confidence=0.9),
        "overridden": lambda: Filters(overridden=True),
        "reason (rare)": lambda: Filters(reason="RARE"),
        "q (rare word)": lambda: Filters(q="RARE"),
        "feature ge 0 (1 in 2)": lambda: feature("ge:0"),
        "feature ge 2 (1 in 40)": lambda: feature("ge:2"),
        "feature gt 100 (none)": lambda: feature("gt:100"),
    }


def _a_day(since: int) -> Filters:
    return Filters(since=since, until=since + DAY)


def measure(engine: Engine, number: int, rounds: int) -> None:
    """Print p50 and p95 of one page by each filter, and how far pages looked."""
    reader = DecisionReader(engine)
    print(f"{'filter':28}{'p50 ms':>10}{'p95 ms':>10}{'lines':>8}{'looked at':>11}")
    for name, make in asked(number, random.Random(3)).items():
        took, page = [], None
        for _ in range(rounds):
            filters, began = make(), time.perf_counter()
            page = reader.search(filters)
            took.append((time.perf_counter() - began) * 1000)
        took.sort()
        assert page is not None
        looked = f"{page.looked.decisions:,}" if page.looked else ""
        print(f"{name:28}{took[len(took) // 2]:10.1f}{took[int(len(took) * 0.95)]:10.1f}{len(page.lines):8}{looked:>11}", flush=True)
    began = time.perf_counter()
    told = reader.bounded_count(Filters(type="fraud"))
    print(f"count of a type: {told.number:,}{'' if told.exact else ' or more'} in {(time.perf_counter() - began) * 1000:.1f} ms")


def run(
    folder: Path, number: int, rounds: int, url: str | None, rows: tuple[list[dict[str, Any]], list[dict[str, Any]]], vault: Vault
) -> None:
    """One store of one size."""
    engine = with_vault(make_engine(url or f"sqlite:///{folder / f'search-{number}.db'}"), vault)
    print(f"\n### {engine.dialect.name}, {number:,} decisions", flush=True)
    migrate(engine)
    with engine.connect() as connection:
        have = connection.execute(select(func.count()).select_from(decisions)).scalar_one()
    if not have:
        fill(engine, number, *rows)
    measure(engine, number, rounds)
    engine.dispose()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[100_000])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ordinance-search-")))
        settings = Settings(home=folder / "home", state_folder=folder / "state")
        rows = seeds(settings)
        vault = vault_of(wire_base(settings).engine)
        assert vault is not None
        server = stack.enter_context(throwaway({})) if given.postgresql else None
        for number in given.records:
            run(folder, number, given.rounds, server.url("postgres") if server else None, rows, vault)


if __name__ == "__main__":
    main()
