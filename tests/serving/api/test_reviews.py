"""The review queue and outcome labels over HTTP: what waits in which order, and what is kept of what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, select

from feature_store.times import DAY, HOUR, MINUTE, format_time, now
from governance.access import Role, create_key
from governance.ledger.tables import records
from governance.outcomes import labelled
from governance.override_reasons import REASONS
from governance.overrides import adoption
from governance.review_tables import reviews
from governance.settling import Desk
from serving.api.review_schemas import OutcomesAnswer, OverrideReasons, ReviewCase, ReviewsAnswer
from serving.console.app import create_console
from serving.console.joined.wire import join


class Both:
    """The console's application beside the deciding one, on one database."""

    def __init__(self, service: Any, folder: Path) -> None:
        folders = {name: folder / name for name in ("keys", "models", "datasets_folder")}
        for one in folders.values():
            one.mkdir()
        desk = Desk(service.engine, service.edges.signer, "default", service.edges.running)
        wiring = join(service.engine, **folders, launch=lambda _id: None, publish=None, base_url="http://127.0.0.1:8000", desk=desk)
        self.service, self.desk, self.app = service, desk, create_console(wiring)
        self.serial = 0

    def ask(self, method: str, path: str, role: Role = Role.REVIEWER, key: str | None = None, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                return await client.request(method, path, headers={"authorization": f"Bearer {key or self.service.keys[role]}"}, **more)

        return asyncio.run(once())

    def decide(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        self.serial += 1
        answer = self.service.decide(kind, body, key=f"both-{self.serial}")
        assert answer.status == 200, answer.content
        return answer.json


@pytest.fixture
def both(service: Any, tmp_path: Path) -> Both:
    return Both(service, tmp_path)


@pytest.fixture
def both_on(service_on: Any, tmp_path: Path) -> Both:
    return Both(service_on, tmp_path)


@pytest.fixture
def hold(both: Both, body: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    return lambda order_id, price="10.00", **order: held(both, body, order_id, price, **order)


def held(both: Both, body: Callable[..., Any], order_id: str, price: str = "10.00", **order: Any) -> dict[str, Any]:
    at = now()
    line = {"line_id": "1", "sku": "SKU-1", "qty": 1, "unit_price": {"amount": price, "currency": "CNY"}}
    times = {"placed_at": format_time(at), "promised_by": format_time(at + 6 * HOUR)}
    told = both.decide("acceptance", body(order_id=order_id, tags=["cross_border"], lines=[line], **times, **order))
    assert told["outcome"] == "HOLD"
    return told


def test_the_queue_lists_what_is_at_stake_first(both: Both, hold: Callable[..., Any]) -> None:
    held_by_price = {price: hold(f"SO-{price}", price) for price in ("20.00", "900.00", "100.00")}
    made = {price: one["decision_id"] for price, one in held_by_price.items()}
    queue = held_by_price["20.00"]["review"]["queue"]
    told = both.ask("GET", "/v1/reviews").json()
    ReviewsAnswer.model_validate(told)
    assert [one["decision_id"] for one in told["items"]] == [made["900.00"], made["100.00"], made["20.00"]]
    assert (told["waiting"], told["overdue"], told["next_cursor"]) == (3, 0, None)
    assert told["counts"] == [{"queue": queue, "type": "acceptance", "state": "open", "count": 3, "overdue": 0}]
    by_due = both.ask("GET", "/v1/reviews?sort=due").json()
    assert [one["decision_id"] for one in by_due["items"]] == list(made.values())


def test_filters_narrow_the_queue(both: Both, hold: Callable[..., Any]) -> None:
    made = hold("SO-1")
    first, other, queue = made["decision_id"], hold("SO-2")["decision_id"], made["review"]["queue"]
    both.service.call("POST", f"/v1/decisions/{first}/override", role=Role.REVIEWER, json={"outcome": "ACCEPT", "reason_code": "LEGAL"})
    soon = format_time(now() + DAY)
    found = {
        query: [one["decision_id"] for one in both.ask("GET", f"/v1/reviews?{query}").json()["items"]]
        for query in (
            "state=waiting", "state=open", "state=pending", "state=closed", "state=overridden", f"queue={queue}", "queue=none", "type=fraud",
            f"due={soon}", "due=now", "order_id=SO-2", "claimed=me", "claimed=none",
        )
    }  # fmt: skip
    only_other = {"state=waiting", "state=open", f"queue={queue}", f"due={soon}", "order_id=SO-2", "claimed=none"}
    assert {query for query, ids in found.items() if ids == [other]} == only_other
    assert {query for query, ids in found.items() if ids == [first]} == {"state=closed", "state=overridden"}
    for wrong in ("state=x", "due=soon", "claimed=x", "cursor=abc", "limit=0", "sort=x"):
        assert both.ask("GET", f"/v1/reviews?{wrong}").status_code == 422, wrong


def test_pages_of_the_queue_join_without_gaps(both: Both, hold: Callable[..., Any]) -> None:
    for number in range(7):
        hold(f"SO-{number}", f"{10 * (number % 3)}.00" if number % 3 else "10.00")
    for sort in ("rank", "due"):
        whole = [one["decision_id"] for one in both.ask("GET", f"/v1/reviews?sort={sort}").json()["items"]]
        read, cursor = [], ""
        while cursor is not None:
            page = both.ask("GET", f"/v1/reviews?sort={sort}&limit=2{f'&cursor={cursor}' if cursor else ''}").json()
            read += [one["decision_id"] for one in page["items"]]
            cursor = page["next_cursor"]
        assert read == whole
        assert len(set(whole)) == 7


def test_a_case_is_taken_by_one_and_given_back(both: Both, hold: Callable[..., Any]) -> None:
    decision_id = hold("SO-1")["decision_id"]
    other = create_key(both.service.engine, Role.REVIEWER, "another-reviewer")
    path = f"/v1/reviews/{decision_id}/claim"
    mine = both.ask("POST", path)
    assert (mine.status_code, mine.json()["claimed_by"]) == (200, "test-reviewer")
    ReviewCase.model_validate(mine.json())
    assert both.ask("POST", path).status_code == 200
    theirs = both.ask("POST", path, key=other)
    assert (theirs.status_code, "test-reviewer works on it" in theirs.json()["detail"]) == (409, True)
    assert both.ask("DELETE", path, key=other).status_code == 409
    assert both.ask("GET", "/v1/reviews?claimed=me").json()["items"][0]["decision_id"] == decision_id
    shown = both.service.get(f"/v1/decisions/{decision_id}").json["since"]
    assert shown["claimed"]["by"] == "test-reviewer"
    assert both.ask("DELETE", path).json()["claimed_by"] is None
    assert both.ask("POST", path, key=other).status_code == 200
    assert both.ask("POST", f"/v1/reviews/{'0' * 36}/claim").status_code == 404
    both.service.call(
        "POST", f"/v1/decisions/{decision_id}/override", role=Role.REVIEWER, json={"outcome": "ACCEPT", "reason_code": "LEGAL"}
    )
    assert both.ask("POST", path).status_code == 409


def test_the_queue_is_for_reviewers(both: Both) -> None:
    for role in set(Role) - {Role.REVIEWER}:
        assert both.ask("GET", "/v1/reviews", role).status_code == 403
    told = both.ask("GET", "/v1/reviews/reasons").json()
    OverrideReasons.model_validate(told)
    assert [one["code"] for one in told["items"]] == list(REASONS)
    assert all(one["text"]["en"] and one["text"]["zh"] for one in told["items"])


def test_a_cancelled_order_leaves_the_queue_and_frees_its_pieces(both_on: Both, body: Callable[..., Any]) -> None:
    both = both_on
    waiting, other = held(both, body, "SO-C"), held(both, body, "SO-D")
    plan = both.decide("split-order", body(order_id="SO-C"))
    event = {"event_id": "c-1", "type": "cancelled", "event_time": format_time(now()), "order_id": "SO-C", "customer_id": "C-9"}
    for accepted in (1, 0):  # told again, nothing more happens
        assert both.ask("POST", "/v1/events", Role.OMS, json=event).json()["accepted"] == accepted
    shown = both.service.get(waiting["links"]["self"]).json["since"]
    assert (shown["state"], shown["outcome"], shown["resolved"]) == ("cancelled", "HOLD", True)
    assert both.service.get(other["links"]["self"]).json["since"]["state"] == "held"
    over = both.ask("POST", f"/v1/reservations/{plan['reservation']['id']}/settle", Role.OMS)
    assert (over.status_code, "released" in over.json()["detail"]) == (409, True)
    late = both.service.call(
        "POST", f"{waiting['links']['self']}/override", role=Role.REVIEWER, json={"outcome": "ACCEPT", "reason_code": "LEGAL"}
    )
    assert (late.status, "cancelled" in late.json["detail"]) == (409, True)
    with both.service.engine.connect() as connection:
        kinds = connection.execute(select(records.c.kind).where(records.c.kind == "cancellation")).scalars().all()
    assert kinds == ["cancellation"]
    moments = both.service.get("/v1/orders/SO-C/timeline").json["items"]
    assert [one["kind"] for one in moments] == ["decision", "decision", "cancellation"]


def outcome(**told: Any) -> dict[str, Any]:
    return {"observed_at": format_time(now() - MINUTE), **told}


def test_labels_are_joined_to_decisions_once_and_corrections_count(both_on: Both, body: Callable[..., Any]) -> None:
    both = both_on
    decided = both.decide("acceptance", body(order_id="SO-1"))
    told = outcome(decision_id=decided["decision_id"], label="late")
    first = both.ask("POST", "/v1/outcomes", Role.OMS, json=told)
    assert first.status_code == 200, first.text
    OutcomesAnswer.model_validate(first.json())
    again = both.ask("POST", "/v1/outcomes", Role.OMS, json=told).json()
    assert (first.json()["accepted"], again["accepted"], again["duplicates"]) == (1, 0, 1)
    assert again["labels"][0]["label_id"] == first.json()["labels"][0]["label_id"]
    both.ask(
        "POST", "/v1/outcomes", Role.OMS, json={"order_id": "SO-1", "type": "acceptance", "label": "no", "observed_at": format_time(now())}
    )
    shown = both.service.get(decided["links"]["self"]).json["since"]["outcome_labels"]
    assert [(one["label"], one["positive"]) for one in shown] == [("late", True), ("fulfilled", False)]
    found = labelled(both.service.engine, 0, "acceptance")
    assert [(one.record_id, one.label, one.positive, one.labels_told) for one in found] == [(decided["decision_id"], "fulfilled", False, 2)]
    confidence = decided["confidence"]
    assert (found[0].probability, found[0].low, found[0].high) == (confidence["probability"], confidence["low"], confidence["high"])
    assert (found[0].segment, found[0].region, found[0].model_version) == ("gold", "east", 1)
    before = labelled(both.service.engine, 0, known_until=found[0].known_at)
    assert [(one.label, one.labels_told) for one in before] == [("late", 1)]
    assert labelled(both.service.engine, 0, "fraud") == []


def test_labels_of_custom_types_are_those_of_the_model(both: Both) -> None:
    from serving.api.schemas import CUSTOM_EXAMPLE

    decided = both.decide("parcel-late", CUSTOM_EXAMPLE)
    wrong = both.ask("POST", "/v1/outcomes", Role.OMS, json=outcome(decision_id=decided["decision_id"], label="maybe"))
    assert (wrong.status_code, "on time, late" in wrong.json()["detail"]) == (422, True)
    both.ask("POST", "/v1/outcomes", Role.OMS, json=outcome(decision_id=decided["decision_id"], label="late"))
    assert [(one.event, one.positive) for one in labelled(both.service.engine, 0)] == [("late", True)]


def test_what_is_wrong_is_refused_by_itself(both: Both, body: Callable[..., Any]) -> None:
    decided = both.decide("fraud", body(order_id="SO-1"))
    good = outcome(decision_id=decided["decision_id"], label="fraud")
    wrong = [
        outcome(decision_id=decided["decision_id"], label="late"),
        outcome(decision_id="0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", label="fraud"),
        outcome(order_id="SO-1", label="fraud"),
        outcome(order_id="SO-1", type="acceptance", label="late"),
        outcome(decision_id=decided["decision_id"], label="fraud", observed_at=format_time(now() + HOUR)),
        {"decision_id": decided["decision_id"], "label": "fraud"},
        {**good, "more": 1},
        "nothing",
    ]
    told = both.ask("POST", "/v1/outcomes", Role.OMS, json={"outcomes": [*wrong, good]})
    assert told.status_code == 200, told.text
    assert (told.json()["accepted"], [one["index"] for one in told.json()["refused"]]) == (1, list(range(len(wrong))))
    places = [one["loc"][2:] for one in told.json()["refused"]]
    assert places[:2] == [["label"], ["decision_id"]]
    assert places[4:7] == [["observed_at"], ["observed_at"], ["more"]]
    assert both.ask("POST", "/v1/outcomes", Role.OMS, json={"outcomes": wrong}).status_code == 422
    assert both.ask("POST", "/v1/outcomes", Role.OMS, json=wrong[1]).status_code == 404
    assert both.ask("POST", "/v1/outcomes", Role.OMS, json={"outcomes": []}).status_code == 422
    assert both.ask("POST", "/v1/outcomes", Role.OMS, content=b"{").status_code == 400
    assert both.ask("POST", "/v1/outcomes", Role.AUDITOR, json=good).status_code == 403
    stranger = create_key(both.service.engine, Role.OMS, "another-oms")
    assert both.ask("POST", "/v1/outcomes", key=stranger, json=good).status_code == 404


def test_adoption_counts_what_people_changed(both_on: Both, body: Callable[..., Any]) -> None:
    both = both_on
    since = now() - 1
    decisions = [held(both, body, f"SO-{number}") for number in range(3)]
    both.decide("fraud", body(order_id="SO-0"))
    both.service.call(
        "POST", f"{decisions[0]['links']['self']}/override", role=Role.REVIEWER, json={"outcome": "REJECT", "reason_code": "LEGAL"}
    )
    by_type = {one.type: one for one in adoption(both.service.engine, since)}
    one = by_type["acceptance"]
    assert (one.decisions, one.overridden, one.held, one.held_overridden, one.expired) == (3, 1, 3, 1, 0)
    assert (one.model_name, one.model_version, one.policy_id) == ("acceptance", 1, "acceptance")
    assert one.share_overridden == pytest.approx(1 / 3)
    assert by_type["fraud"].overridden == 0
    assert adoption(both.service.engine, now() + HOUR) == []
    found = {flag: both.service.get(f"/v1/decisions?overridden={flag}").json["items"] for flag in ("true", "false")}
    assert [item["decision_id"] for item in found["true"]] == [decisions[0]["decision_id"]]
    assert len(found["false"]) == 3
    assert both.service.get("/v1/decisions?overridden=x").status == 422


def test_the_queue_is_read_by_its_index(sqlite_engine: Engine) -> None:
    at = now()
    rows = [
        {
            "record_id": f"{number:036d}", "type": "fraud", "queue": "fraud", "rank": -number, "opened_at": at, "due_at": at, "expires_to": "BLOCK",
            "state": "open",
        }
        for number in range(50)
    ]  # fmt: skip
    with sqlite_engine.begin() as connection:
        connection.execute(insert(reviews), rows)
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT record_id FROM reviews WHERE closed_at IS NULL {rest}").all())
            for rest in ("ORDER BY rank, due_at, record_id LIMIT 20", "AND due_at <= 9 ORDER BY due_at, record_id", "AND order_id = 'x'")
        ]
    assert ["ix_reviews_rank" in plans[0], "ix_reviews_due" in plans[1], "ix_reviews_order" in plans[2]] == [True] * 3
