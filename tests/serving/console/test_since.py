"""A decision's page tells what happened since, in both languages, and only that."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feature_store.times import HOUR, MINUTE, format_time, now, parse_time
from governance.access import Role, create_key
from governance.labelling import Labelling, Told
from governance.reviews import expire_due
from governance.settling import Desk
from serving.console.joined.cards import Cards
from serving.console.joined.decisions import RecordedDecisions


@pytest.fixture
def shown(service: Any, world: Any, tmp_path: Path) -> Any:
    world.decisions = RecordedDecisions(service.reader, Cards(tmp_path))
    return world


@pytest.fixture
def read(shown: Any, make_browser: Any) -> Callable[..., str]:
    browser = make_browser(shown).login("auditor")

    def page(decision: dict[str, Any], language: str = "en") -> str:
        browser.headers["accept-language"] = language
        answer = browser.get(decision["links"]["page"])
        assert answer.status_code == 200, answer.text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text))

    return page


@pytest.fixture
def desk(service: Any) -> Desk:
    return Desk(service.engine, service.edges.signer)


def held(service: Any, body: Callable[..., Any], order_id: str, price: str = "10.00", version: int = 1) -> dict[str, Any]:
    at = now()
    line = {"line_id": "1", "sku": "SKU-1", "qty": 1, "unit_price": {"amount": price, "currency": "CNY"}}
    times = {"placed_at": format_time(at), "promised_by": format_time(at + 6 * HOUR)}
    order = body(order_id=order_id, order_version=version, tags=["cross_border"], lines=[line], **times)
    told: dict[str, Any] = service.decide("acceptance", order, key=f"{order_id}-{version}").json
    assert told["outcome"] == "HOLD"
    return told


def override(service: Any, decision: dict[str, Any], key: str | None = None, **wanted: Any) -> Any:
    headers = {"authorization": f"Bearer {key or service.keys[Role.REVIEWER]}"}
    told = {"outcome": "ACCEPT", "reason_code": "ADDRESS_CONFIRMED", "note": "<b>rang</b>", **wanted}
    return service.call("POST", f"{decision['links']['self']}/override", role=None, headers=headers, json=told)


def test_nothing_is_told_of_a_decision_to_which_nothing_happened(service: Any, body: Callable[..., Any], read: Any) -> None:
    decision = held(service, body, "SO-1")
    assert "Since then" not in read(decision)
    assert "后续" not in read(decision, "zh")
    assert "Review by the" in read(decision)


def test_an_override_and_what_really_happened_are_told(service: Any, body: Callable[..., Any], read: Any, desk: Desk) -> None:
    decision = held(service, body, "SO-1")
    assert override(service, decision).status == 200
    Labelling(desk).take([Told("late", now() - MINUTE, decision["decision_id"])], "test-oms", "oms")
    told = read(decision)
    for text in (
        "Since then",
        "What holds now: Accept.",
        "test-reviewer made it: Accept",
        "The address was confirmed",
        "rang",
        "What really happened: late",
    ):
        assert text in told, text
    assert "Review by the" not in told
    chinese = read(decision, "zh")
    for text in ("后续", "test-reviewer 改判：接受", "地址已核实", "实际结果：迟到"):
        assert text in chinese, text


def test_what_somebody_writes_is_text(service: Any, body: Callable[..., Any], shown: Any, make_browser: Any) -> None:
    decision = held(service, body, "SO-1")
    override(service, decision)
    page = make_browser(shown).login("auditor").get(decision["links"]["page"]).text
    assert "&lt;b&gt;rang&lt;/b&gt;" in page
    assert "<b>rang" not in page


def test_a_proposal_its_confirmation_expiry_and_supersession_are_told(
    service: Any, body: Callable[..., Any], read: Any, desk: Desk
) -> None:
    other = create_key(service.engine, Role.REVIEWER, "another-reviewer")
    confirmed, lapsing = held(service, body, "SO-1", "200000.00"), held(service, body, "SO-2", "200000.00")
    override(service, confirmed)
    assert "a second person has to confirm" in read(confirmed)
    override(service, confirmed, other)
    assert "another-reviewer confirmed it" in read(confirmed)
    override(service, lapsing)
    expire_due(replace(desk, clock=lambda: parse_time(lapsing["review"]["due_at"])))
    told = read(lapsing)
    assert "it lapsed" in told
    assert "Nobody decided in time: Reject" in told
    overtaken = held(service, body, "SO-3")
    held(service, body, "SO-3", version=2)
    assert "Version 2 of the order was decided" in read(overtaken)
