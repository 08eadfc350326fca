"""A held decision over the whole service: callers at several processes wait, and are told as soon as anybody or anything has settled it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from feature_store.database import make_engine
from feature_store.times import HOUR, format_time, now
from governance.review_tables import reviews

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]
CALLERS = 6
"""Enough for every process that decides to have one."""


def hurried(order_id: str, version: int = 1) -> dict[str, Any]:
    """An order whose acceptance is held: the time for customs is too short."""
    at = now()
    line = {"line_id": "1", "sku": "SKU-0042", "qty": 1, "unit_price": {"amount": "20.00", "currency": "CNY"}}
    return {
        "order": {
            "order_id": order_id, "order_version": version, "placed_at": format_time(at), "promised_by": format_time(at + 5 * HOUR),
            "tags": ["cross_border"], "currency": "CNY", "customer": {"customer_id": "C-held"}, "ship_to": {"region": "east"}, "lines": [line],
        }
    }  # fmt: skip


def held(service: Any, order_id: str, version: int = 1) -> dict[str, Any]:
    told = service.post("/v1/decisions/acceptance", hurried(order_id, version))
    assert told.status_code == 200, told.text
    assert told.json()["outcome"] == "HOLD"
    decided: dict[str, Any] = told.json()
    return decided


def told_to_all(service: Any, decision: dict[str, Any], act: Callable[[], Any]) -> tuple[set[tuple[str, str]], float]:
    """What callers are told who wait while something happens, and how many seconds later the last one is."""
    answers: list[Any] = []
    path = decision["links"]["self"]
    threads = [threading.Thread(target=lambda: answers.append(service.get(path, role="oms", wait=25))) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    time.sleep(1)  # most of them wait by now; one that comes later is told the same
    act()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * CALLERS
    return {(answer.json()["since"]["state"], answer.json()["since"]["outcome"]) for answer in answers}, time.monotonic() - began


def test_callers_of_all_processes_are_told_what_became_of_it(service: Any) -> None:
    name = f"J-held-{uuid.uuid4().hex[:8]}"
    reviewed, amended, cancelled, late = (held(service, f"{name}-{number}") for number in range(4))
    queue = {one["decision_id"] for one in service.get("/v1/reviews", role="reviewer", type="acceptance", limit=500).json()["items"]}
    assert {one["decision_id"] for one in (reviewed, amended, cancelled, late)} <= queue

    def override() -> None:
        wanted = {"outcome": "ACCEPT", "reason_code": "CUSTOMER_VERIFIED"}
        assert service.post(f"{reviewed['links']['self']}/override", wanted, role="reviewer").status_code == 200

    def cancel() -> None:
        event = {
            "event_id": f"{name}-c",
            "type": "cancelled",
            "event_time": format_time(now()),
            "order_id": f"{name}-2",
            "customer_id": "C-held",
        }
        assert service.post("/v1/events", event).json()["accepted"] == 1

    def be_late() -> None:
        engine = make_engine(f"sqlite:///{service.home / 'ordinance.db'}")
        with engine.begin() as connection:
            connection.execute(update(reviews).where(reviews.c.record_id == late["decision_id"]).values(due_at=now()))
        engine.dispose()

    steps: tuple[tuple[dict[str, Any], Callable[[], Any], tuple[str, str]], ...] = (
        (reviewed, override, ("overridden", "ACCEPT")),
        (amended, lambda: held(service, f"{name}-1", 2), ("superseded", "HOLD")),
        (cancelled, cancel, ("cancelled", "HOLD")),
        (late, be_late, ("expired", late["review"]["expires_to"])),
    )
    for decision, act, expected in steps:
        states, waited_s = told_to_all(service, decision, act)
        assert states == {expected}
        assert waited_s < 20, "they were told because it happened, not because their time was over"
    outcome = {"decision_id": reviewed["decision_id"], "label": "fulfilled", "observed_at": format_time(now())}
    assert service.post("/v1/outcomes", outcome).json()["accepted"] == 1
    kinds = [one["kind"] for one in service.get(f"/v1/orders/{name}-0/timeline").json()["items"]]
    assert kinds == ["decision", "override", "outcome_label"]
