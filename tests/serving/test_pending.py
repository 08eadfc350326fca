"""Two orders on one card in the same second, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from feature_store.times import format_time, now


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a decision takes here, the next one is still of the same moment."""
    monkeypatch.setattr("feature_store.pending.SPAN", 60_000)


def _card(service: Any, answer: dict[str, Any]) -> dict[str, Any]:
    told = service.get(f"/v1/decisions/{answer['decision_id']}/explanation").json["contributions"]
    found: dict[str, Any] = next(part for part in told if part["feature"] == "card_orders_1d")
    return found


def test_the_second_decision_sees_the_first(service: Any, body: Any) -> None:
    first = service.decide("fraud", body(order_id="SO-A", placed_at=format_time(now())), key="a").json
    second = service.decide("fraud", body(order_id="SO-B", placed_at=format_time(now())), key="b").json
    before, after = _card(service, first), _card(service, second)
    assert after["value"] == (before["value"] or 0) + 1
    assert (before["origin"] == "pending", after["origin"]) == (False, "pending")


def test_a_repeated_request_and_a_dry_run_leave_no_trace(service: Any, body: Any) -> None:
    first = service.decide("fraud", body(order_id="SO-A", placed_at=format_time(now())), key="a").json
    again = service.decide("fraud", body(order_id="SO-A", placed_at=format_time(now())), key="again").json
    assert _card(service, again)["value"] == _card(service, first)["value"]
    service.decide("fraud", body(order_id="SO-D", placed_at=format_time(now())) | {"mode": "dry_run"}, key="d")
    second = service.decide("fraud", body(order_id="SO-B", placed_at=format_time(now())), key="b").json
    assert _card(service, second)["value"] == (_card(service, first)["value"] or 0) + 1
