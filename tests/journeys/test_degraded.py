"""A database and a feature store made slow or dead under load: every request is answered by the declared fallback or refused, each answer has its record."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

pytestmark = [pytest.mark.journey, pytest.mark.postgres, pytest.mark.timeout(600)]

CALLERS = 8


def body(number: object, deadline_ms: int | None = None) -> dict[str, Any]:
    line = {"line_id": "1", "sku": "SKU-0001", "qty": 1, "unit_price": {"amount": "10.00", "currency": "CNY"}}
    order = {
        "order_id": f"D-{number}", "placed_at": "2026-11-11T00:00:00.000Z", "currency": "CNY", "customer": {"customer_id": "C-1"},
        "ship_to": {"region": "east"}, "lines": [line],
    }  # fmt: skip
    return {"order": order} if deadline_ms is None else {"order": order, "deadline_ms": deadline_ms}


class Load:
    """Callers that ask at once, each key once; every answer is kept."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.answers: dict[str, httpx.Response] = {}

    def ask(self, keys: list[str], deadline_ms: int | None) -> list[httpx.Response]:
        with self.service.client("oms") as client, ThreadPoolExecutor(CALLERS) as pool:

            def one(key: str) -> httpx.Response:
                return client.post("/v1/decisions/fraud", json=body(key, deadline_ms), headers={"Idempotency-Key": key})

            answers = list(pool.map(one, keys))
        for key, answer in zip(keys, answers, strict=True):
            if answer.status_code == 200:
                assert self.answers.setdefault(key, answer).content == answer.content
            else:
                assert answer.status_code in {429, 503}, answer.text
                assert int(answer.headers["retry-after"]) >= 1
        return answers

    def until(self, wanted: Any, prefix: str, limit_s: float = 90) -> httpx.Response:
        """Ask on until an answer is as wanted."""
        limit, number = time.monotonic() + limit_s, 0
        while True:
            number += 1
            (answer,) = self.ask([f"{prefix}-{number}"], None)
            if wanted(answer):
                return answer
            assert time.monotonic() < limit, answer.text
            time.sleep(0.1)


@contextlib.contextmanager
def stopped(folder: Path) -> Iterator[None]:
    """The whole database server stands still: connections stay open and nothing answers."""
    postmaster = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(family):
            process.send_signal(signal.SIGCONT)


def test_slow_and_dead_dependencies_under_load(start: Any, tmp_path: Path, postgres_server: Any) -> None:
    url = postgres_server.new_database(migrated=False)
    environment = {"ORDINANCE_DATABASE_URL": url, "ORDINANCE_PATIENCE_S": "1", "ORDINANCE_DECISION_REPLICAS": "1"}
    with start(tmp_path / "home", tmp_path / "log", "--empty", environment=environment) as service:
        load = Load(service)
        fine = load.ask([f"fine-{number}" for number in range(40)], 2_000)
        assert {answer.json()["status"] for answer in fine} == {"decided"}

        # The feature store hangs, the rest of the database works.
        plain = url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(plain) as connection:
            connection.execute("LOCK TABLE entity_states IN ACCESS EXCLUSIVE MODE")
            slow = load.ask([f"slow-{number}" for number in range(60)], 300)
        told = [answer.json() for answer in slow]
        assert {answer.status_code for answer in slow} == {200}
        assert {one["status"] for one in told} == {"fallback"}
        causes = {one["fallback_reason"].split(":")[0] for one in told}
        assert causes <= {"deadline", "feature_store"}
        assert "feature_store" in causes, "after some deadlines the store is left alone"
        load.until(lambda answer: answer.json()["status"] == "decided", "again")

        # The whole database stands still.
        keys = [f"still-{number}" for number in range(24)]
        with stopped(postgres_server.folder):
            still = load.ask(keys, 500)
            assert {answer.status_code for answer in still} == {503}
        load.until(lambda answer: answer.status_code == 200, "back")
        waiting = set(keys)
        while waiting:
            waiting -= {
                key for key, answer in zip(sorted(waiting), load.ask(sorted(waiting), None), strict=True) if answer.status_code == 200
            }

        # Each answer has its record, and each key has one.
        with psycopg.connect(plain) as connection:
            rows = connection.execute("SELECT idempotency_key, count(*) FROM decisions GROUP BY 1").fetchall()
        assert {key for key, _ in rows} >= set(load.answers)
        assert {count for _, count in rows} == {1}
    postgres_server.release(url)
