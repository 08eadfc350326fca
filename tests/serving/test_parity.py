"""Decisions as they are really made and recorded, against the events that were really sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from feature_store.events import Event, EventType
from feature_store.parity import AT_ONCE, Why
from feature_store.parity_tables import parity_checks
from feature_store.tables import events
from feature_store.times import DAY, HOUR, MINUTE, now
from governance.ledger.tables import decisions, records
from serving import parity
from serving.parity import ParityKeeper, check_parity, check_when_due, newest


def told(service: Any, number: int, at: int, **data: Any) -> None:
    parties = {"customer_id": "C-9", "region": "east", "order_id": f"O-{number}", "amount": 12.0 + number}
    service.store.ingest([Event(f"told-{number}", EventType.ORDER_PLACED, at, at, {**parties, **data})])


def decided(service: Any, body: Callable[..., Any]) -> list[str]:
    """One decision of each type, and an order's three."""
    answers = [service.decide(kind, body(), key=kind) for kind in ("acceptance", "fraud", "split-order")]
    answers.append(service.decide("orders", body(order_id="SO-77"), key="orders"))
    assert [answer.status for answer in answers] == [200] * 4, [answer.content for answer in answers]
    return [answer.json["decision_id"] for answer in answers[:3]]


def test_real_decisions_come_out_equal(service_on: Any, body: Callable[..., Any]) -> None:
    for number in range(6):
        told(service_on, number, now() - (6 - number) * HOUR)
    decided(service_on, body)
    checked = check_parity(service_on.engine, seed=3)
    assert checked is not None
    report = checked.report
    assert (report.sampled, report.differing, dict(report.not_comparable)) == (6, 0, {})
    assert report.values > 200
    assert newest(service_on.engine) == checked


def test_a_lost_event_shows_in_the_newest_result(service: Any, body: Callable[..., Any]) -> None:
    told(service, 1, now() - DAY)
    (_, fraud, _) = decided(service, body)
    with service.engine.begin() as connection:
        connection.execute(delete(events).where(events.c.event_id == "told-1"))
    checked = check_parity(service.engine)
    assert checked is not None
    assert checked.report.differing > 0
    assert fraud in {example.record_id for one in checked.report.features for example in one.examples}


def test_the_request_s_own_network_and_reservations_are_taken_as_recorded(service: Any, body: Callable[..., Any]) -> None:
    own = body(order_id="SO-5") | {
        "stock": [{"node_id": "N1", "sku": "SKU-1", "available": 7}, {"node_id": "N1", "sku": "SKU-77", "available": 7}]
    }
    assert service.decide("split-order", own, key="own").status == 200
    decided(service, body)  # after a plan was made that may hold pieces
    checked = check_parity(service.engine)
    assert checked is not None
    assert (checked.report.equal, checked.report.differing) == (7, 0)


def test_a_damaged_record_is_not_comparable(service: Any, body: Callable[..., Any]) -> None:
    ids = decided(service, body)
    with service.engine.begin() as connection:
        connection.execute(update(records).where(records.c.record_id == ids[0]).values(body=b"damaged"))
    checked = check_parity(service.engine)
    assert checked is not None
    assert dict(checked.report.not_comparable) == {Why.UNREADABLE: 1}
    assert checked.report.equal == 5


def test_the_same_seed_takes_the_same_sample(service: Any, body: Callable[..., Any]) -> None:
    decided(service, body)
    reports = [check_parity(service.engine, sample=2, seed=seed).report for seed in (5, 5)]  # type: ignore[union-attr]
    assert [report.sampled for report in reports] == [2, 2]
    assert [(one.type, one.name, one.checked) for one in reports[0].features] == [
        (one.type, one.name, one.checked) for one in reports[1].features
    ]


def test_without_a_decision_nothing_is_kept(service: Any) -> None:
    assert check_parity(service.engine) is None
    assert newest(service.engine) is None


def test_old_results_go(service: Any, body: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    decided(service, body)
    check_parity(service.engine)
    later = now() + parity.KEPT + MINUTE
    monkeypatch.setattr(parity, "now", lambda: later)
    check_parity(service.engine)
    with service.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(parity_checks)).scalar_one() == 1


def test_a_check_is_made_when_it_is_time_and_only_then(service: Any, body: Callable[..., Any]) -> None:
    decided(service, body)
    assert check_when_due(service.engine, 600) == 600
    first = newest(service.engine)
    assert 0 < check_when_due(service.engine, 600) <= 600
    assert newest(service.engine) == first
    with service.engine.begin() as connection:
        connection.execute(update(parity_checks).values(started_at=parity_checks.c.started_at - 601_000))
    check_when_due(service.engine, 600)
    assert newest(service.engine) != first
    assert newest(service.engine).asked_by == "schedule"  # type: ignore[union-attr]


def test_the_keeper_checks(service: Any, body: Callable[..., Any]) -> None:
    decided(service, body)
    keeper = ParityKeeper(service.engine, 0.01)
    keeper.start()
    while newest(service.engine) is None:
        assert keeper.alive
        time.sleep(0.01)
    keeper.stop()
    assert not keeper.alive


def test_moments_are_told_apart(service: Any, body: Callable[..., Any]) -> None:
    """An event right behind a decision excuses a difference, one of an hour ago does not."""
    told(service, 1, now() - HOUR)
    decided(service, body)
    with service.engine.begin() as connection:
        at = connection.execute(select(func.max(decisions.c.decided_at))).scalar_one()
        connection.execute(update(events).where(events.c.event_id == "told-1").values(known_at=at + AT_ONCE // 2))
    checked = check_parity(service.engine)
    assert checked is not None
    assert Why.AT_ONCE in checked.report.not_comparable
