"""Waiting for held decisions: until they are settled, wherever that happens, with one poll for all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from feature_store.times import HOUR, format_time, now, parse_time
from governance.access import Role
from governance.leases import take
from governance.review_tables import reviews
from governance.reviews import close_overtaken, expire_due
from governance.settling import Desk
from serving.holding import Full, Holding
from serving.review_keeper import LEASE_MS, ReviewKeeper

WANTED = {"outcome": "ACCEPT", "reason_code": "CUSTOMER_VERIFIED"}


def hurried(body: Callable[..., Any], order_id: str, **order: Any) -> dict[str, Any]:
    """An order whose acceptance is held: the time for customs is too short."""
    at = now()
    return body(order_id=order_id, tags=["cross_border"], placed_at=format_time(at), promised_by=format_time(at + 6 * HOUR), **order)


def held(service: Any, body: Callable[..., Any], order_id: str, **order: Any) -> dict[str, Any]:
    told = service.decide("acceptance", hurried(body, order_id, **order), key=f"{order_id}-{order}").json
    assert told["outcome"] == "HOLD"
    return told


async def while_waiting(service: Any, decision: dict[str, Any], act: Callable[[], Any], role: Role = Role.OMS) -> Any:
    """What a caller is told who waits for a decision while something happens to it."""
    waiting = asyncio.create_task(service.send("GET", f"{decision['links']['self']}?wait=60", role=role))
    while not service.app._lookups._holding.waiting:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await act()
    return await asyncio.wait_for(waiting, 20)


def test_a_caller_is_told_as_soon_as_a_person_has_decided(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = held(service, body, "SO-1")

    async def act() -> None:
        told = await service.send("POST", f"{decision['links']['self']}/override", role=Role.REVIEWER, json=WANTED)
        assert told.status == 200

    told = asyncio.run(while_waiting(service, decision, act))
    assert told.json["since"]["outcome"] == "ACCEPT"
    assert told.json["outcome"] == "HOLD"


def test_expiry_and_supersession_end_the_wait(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    expiring, overtaken = held(service, body, "SO-1"), held(service, body, "SO-2")
    due = parse_time(expiring["review"]["due_at"])

    async def expire() -> None:
        desk = Desk(service.engine, service.edges.signer, clock=lambda: due + HOUR)
        await asyncio.to_thread(expire_due, desk)

    async def amend() -> None:
        again = hurried(body, "SO-2", order_version=2)
        told = await service.send("POST", "/v1/decisions/acceptance", json=again, headers={"idempotency-key": "again"})
        assert told.status == 200

    assert asyncio.run(while_waiting(service, overtaken, amend)).json["since"]["state"] == "superseded"
    assert asyncio.run(while_waiting(service, held(service, body, "SO-3"), expire)).json["since"]["state"] == "expired"


def test_a_decision_that_is_not_held_is_told_at_once(service: Any, body: Callable[..., Any]) -> None:
    decided = service.decide("fraud", body()).json
    told = service.get(f"{decided['links']['self']}?wait=60", Role.OMS)
    assert told.json["since"]["resolved"] is (decided["review"] is None)


def test_the_wait_ends_with_the_time_or_the_caller(service: Any, body: Callable[..., Any]) -> None:
    decision = held(service, body, "SO-1")
    told = service.get(f"{decision['links']['self']}?wait=1", Role.OMS)
    assert (told.status, told.json["since"]["state"]) == (200, "held")

    async def hang_up() -> Any:
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])
        sent: list[Any] = []

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": decision["links"]["self"], "query_string": b"wait=60",
            "headers": [(b"authorization", f"Bearer {service.keys[Role.OMS]}".encode())],
        }  # fmt: skip
        await asyncio.wait_for(service.app(scope, receive, send), 20)
        return sent

    assert asyncio.run(hang_up())
    assert service.app._lookups._holding.waiting == 0


@pytest.mark.parametrize("wait", ["61", "-1", "x", "1.5"])
def test_a_wait_that_is_none_is_refused(service: Any, body: Callable[..., Any], wait: str) -> None:
    decision = held(service, body, "SO-1")
    assert service.get(f"{decision['links']['self']}?wait={wait}", Role.OMS).status == 422


def test_the_decision_on_a_whole_order_waits_for_its_parts(service: Any, body: Callable[..., Any]) -> None:
    whole = service.decide("orders", hurried(body, "SO-W"), key="whole").json
    parts = whole["decisions"]
    assert (whole["outcome"], parts["acceptance"]["outcome"]) == ("HOLD", "HOLD")
    held_parts = [one for one in parts.values() if one.get("review")]
    before = service.get(whole["links"]["self"], Role.OMS).json["since"]
    assert (before["state"], before["resolved"], before["outcome"]) == ("held", False, "HOLD")
    assert before["parts"]["acceptance"]["state"] == "held"

    async def act() -> None:
        for one in held_parts:
            outcome = "ACCEPT" if one["type"] == "acceptance" else "ALLOW"
            told = await service.send("POST", f"{one['links']['self']}/override", role=Role.REVIEWER, json={**WANTED, "outcome": outcome})
            assert told.status == 200

    after = asyncio.run(while_waiting(service, whole, act)).json["since"]
    assert (after["state"], after["resolved"]) == ("overridden", True)
    assert after["outcome"] == ("PROCEED" if parts["split_order"].get("outcome") in {"PLANNED", "PARTIAL"} else after["outcome"])
    refused = service.call("POST", f"{whole['links']['self']}/override", role=Role.REVIEWER, json={**WANTED, "outcome": "PROCEED"})
    assert (refused.status, "parts" in refused.json["detail"]) == (422, True)


def run(read: Callable[[], Any]) -> Any:
    async def once() -> Any:
        return read()

    return once()


def test_one_poll_serves_all_who_wait() -> None:
    asked: list[Sequence[str]] = []
    settled: set[str] = set()

    def look(ids: Sequence[str]) -> set[str]:
        asked.append(ids)
        return settled & set(ids)

    async def story() -> list[bool]:
        holding = Holding(look, run, every_s=0.001, most=50)
        waits = [asyncio.create_task(holding.wait([f"d{number % 5}", "both"], 20)) for number in range(50)]
        while len(asked) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        with pytest.raises(Full):
            await holding.wait(["d1"], 20)
        assert holding.waiting == 50
        settled.update(f"d{number}" for number in range(5))
        polls = len(asked)
        while len(asked) < polls + 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert not any(wait.done() for wait in waits), "a part is still waited for"
        settled.add("both")
        done = await asyncio.wait_for(asyncio.gather(*waits), 20)
        assert holding.waiting == 0
        assert holding._poller is not None
        await asyncio.wait_for(holding._poller, 20)  # nobody waits, nobody asks
        return done

    assert asyncio.run(story()) == [True] * 50
    assert asked[0] == ["both", "d0", "d1", "d2", "d3", "d4"]
    assert all(len(ids) <= 6 for ids in asked)


def test_a_database_that_does_not_answer_only_makes_the_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.holding.LATER_S", 0.001)
    answers = iter([OSError("gone"), OSError("gone")])

    def look(ids: Sequence[str]) -> set[str]:
        error = next(answers, None)
        if error is not None:
            raise error
        return set(ids)

    async def story() -> bool:
        return await asyncio.wait_for(Holding(look, run, every_s=0.001).wait(["d"], 20), 20)

    assert asyncio.run(story())


def test_one_of_several_keepers_expires_what_is_due(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = held(service, body, "SO-1")
    due = parse_time(decision["review"]["due_at"])
    clock = [due - 400]
    desk = Desk(service.engine, service.edges.signer, clock=lambda: clock[0])
    first, other = ReviewKeeper(desk), ReviewKeeper(desk)
    assert first.turn() == pytest.approx(0.4)  # it has looked after the queue, so the lease is its own
    clock[0] = due
    other.turn()
    assert service.get(decision["links"]["self"]).json["since"]["state"] == "held"
    clock[0] = due - 400 + LEASE_MS  # the first one has died
    other.turn()
    assert service.get(decision["links"]["self"]).json["since"]["state"] == "expired"
    assert other.turn() == 1.0


def test_a_lease_is_held_by_one_until_its_time_is_over(engine: Any) -> None:
    assert take(engine, "x", "a", 1000, 100)
    assert not take(engine, "x", "b", 1099, 100)
    assert take(engine, "x", "a", 1050, 100)
    assert not take(engine, "x", "b", 1149, 100)
    assert take(engine, "x", "b", 1150, 100)
    assert take(engine, "y", "a", 1150, 100)


def test_what_was_overtaken_while_it_was_made_leaves_the_queue(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    first = held(service, body, "SO-1")
    later = held(service, body, "SO-1", order_version=2)
    with service.engine.begin() as connection:  # as if both had been committed at the same moment
        connection.execute(reviews.update().values(state="open", closed_at=None, closed_by=None))
    desk = Desk(service.engine, service.edges.signer)
    assert close_overtaken(desk) == 1
    with service.engine.connect() as connection:
        rows = {row.record_id: (row.state, row.closed_by) for row in connection.execute(reviews.select())}
    assert rows == {first["decision_id"]: ("superseded", later["decision_id"]), later["decision_id"]: ("open", None)}
    assert close_overtaken(desk) == 0
