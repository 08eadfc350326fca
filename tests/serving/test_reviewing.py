"""Held decisions settled by people, the clock and later facts: over HTTP, each once, whoever comes at the same moment."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, select, update

from feature_store.database import in_transaction
from feature_store.reservations import ReservationStore
from feature_store.tables import reservations
from feature_store.times import HOUR, format_time, now, parse_time
from governance.access import Role, create_key
from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import check, read_groups
from governance.ledger.record import Kind
from governance.ledger.store import StoredDecision
from governance.ledger.tables import records
from governance.ledger.vault import SEALED, load_vault, vault_of, with_vault
from governance.review_tables import overrides, reviews
from governance.reviews import ReviewQueue, cancel_orders, expire_due, expire_one
from governance.reviews import Wanted as Queued
from governance.settling import Desk, Locked, close, lock
from serving.api.schemas import CUSTOM_EXAMPLE
from tests.serving.conftest import make_service

KEYS = itertools.count(1)
WANTED = {"outcome": "ACCEPT", "reason_code": "CUSTOMER_VERIFIED", "note": "called back"}


def held(service: Any, body: Callable[..., Any], order_id: str = "SO-H", **order: Any) -> dict[str, Any]:
    """A decision that waits for a person: the time for customs is too short."""
    at = now()
    times = {"placed_at": format_time(at), "promised_by": format_time(at + 6 * HOUR)}
    told = {"tags": ["cross_border"], **times, "order_id": order_id, **order}
    answer = service.decide("acceptance", body(**told), key=f"held-{next(KEYS)}")
    assert answer.status == 200, answer.content
    assert answer.json["outcome"] == "HOLD"
    return answer.json


def override(service: Any, decision: dict[str, Any], key: str | None = None, **wanted: Any) -> Any:
    headers = {"authorization": f"Bearer {key or service.keys[Role.REVIEWER]}"}
    return service.call("POST", f"{decision['links']['self']}/override", role=None, headers=headers, json={**WANTED, **wanted})


def since(service: Any, decision: dict[str, Any], role: Role = Role.AUDITOR) -> Any:
    return service.get(decision["links"]["self"], role).json["since"]


def desk(service: Any, at: int | None = None) -> Desk:
    made = Desk(service.engine, service.edges.signer, "default", service.edges.running)
    return made if at is None else replace(made, clock=lambda: at)


def second(service: Any) -> str:
    return create_key(service.engine, Role.REVIEWER, "another-reviewer")


def large(service: Any, body: Callable[..., Any], order_id: str = "SO-L") -> dict[str, Any]:
    line = {"line_id": "1", "sku": "SKU-1", "qty": 2, "unit_price": {"amount": "90000.00", "currency": "CNY"}}
    return held(service, body, order_id, lines=[line])


def test_a_held_decision_is_overridden_with_a_record_of_its_own(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = held(service, body)
    before = service.get(decision["links"]["self"]).json
    assert before["since"]["state"] == "held"
    assert before["since"]["resolved"] is False
    told = override(service, decision, seen=before["since"]["seen"])
    assert told.status == 200, told.content
    assert (told.json["state"], told.json["was"], told.json["outcome"]) == ("in_force", "HOLD", "ACCEPT")
    after = service.get(decision["links"]["self"]).json
    assert {name: after[name] for name in before if name != "since"} == {name: before[name] for name in before if name != "since"}
    assert after["since"]["outcome"] == "ACCEPT"
    assert after["since"]["resolved"] is True
    assert after["since"]["overrides"][0]["note"] == "called back"
    with service.engine.connect() as connection:
        row = connection.execute(select(records).where(records.c.record_id == told.json["override_id"])).one()
    check(bytes(row.entry), bytes(row.leaf_hash), bytes(row.body), bytes(row.seeds))
    assert orjson.loads(row.entry)["refers_to"] == decision["decision_id"]
    groups = read_groups(bytes(row.body))
    assert groups["people"] == {"principal": "test-reviewer", "role": "reviewer"}
    assert groups["change"]["seen"] == before["since"]["seen"]
    assert groups["change"]["reason_code"] == "CUSTOMER_VERIFIED"
    assert decision["receipt"]["leaf_hash"]
    assert groups["change"]["decision_leaf"].startswith("sha256:")


def test_the_oms_is_told_the_outcome_but_not_who_and_why(service: Any, body: Callable[..., Any]) -> None:
    decision = held(service, body)
    override(service, decision)
    told = service.get(decision["links"]["self"], Role.OMS).json
    assert told["since"]["outcome"] == "ACCEPT"
    assert "called back" not in str(told)
    assert "test-reviewer" not in str(told)


def test_the_same_again_is_the_same_and_another_is_refused(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = held(service, body)
    first, again = override(service, decision), override(service, decision, reason_code="ADDRESS_CONFIRMED")
    assert (again.status, again.json["override_id"]) == (200, first.json["override_id"])
    other = override(service, decision, outcome="REJECT")
    assert other.status == 409
    assert "final" in other.json["detail"]
    assert len(since(service, decision)["overrides"]) == 1


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"note": "a\0b"}, "note"),
        ({"outcome": "HOLD"}, "outcome"),
        ({"outcome": "BLOCK"}, "outcome"),
        ({"reason_code": "BECAUSE"}, "reason_code"),
        ({"reason_code": "OTHER", "note": " "}, "note"),
        ({"note": "x" * 2001}, "note"),
        ({"outcome": "ACCEPT_PARTIAL"}, "accepted_lines"),
        ({"outcome": "ACCEPT_PARTIAL", "accepted_lines": ["1", "no such"]}, "accepted_lines"),
        ({"accepted_lines": ["1"]}, "accepted_lines"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(service: Any, body: Callable[..., Any], wrong: Any, place: str) -> None:
    decision = held(service, body)
    told = override(service, decision, **wrong)
    assert told.status == 422, told.content
    assert told.json["errors"][0]["loc"][0] == place
    assert since(service, decision)["state"] == "held"


def test_roles_and_unknown_decisions(service: Any, body: Callable[..., Any]) -> None:
    decision = held(service, body)
    path = f"{decision['links']['self']}/override"
    for role in set(Role) - {Role.REVIEWER}:
        assert service.call("POST", path, role=role, json=WANTED).status == 403
    unknown = {"links": {"self": "/v1/decisions/0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"}}
    assert override(service, unknown).status == 404
    assert service.call("GET", path, role=Role.REVIEWER).status == 405


def test_part_of_an_order_can_be_accepted(service: Any, body: Callable[..., Any]) -> None:
    price = {"amount": "10.00", "currency": "CNY"}
    lines = [{"line_id": name, "sku": f"SKU-{name}", "qty": 1, "unit_price": price} for name in ("1", "2")]
    decision = held(service, body, lines=lines)
    told = override(service, decision, outcome="ACCEPT_PARTIAL", accepted_lines=["2"])
    assert told.status == 200, told.content
    assert since(service, decision, Role.OMS)["overrides"][0]["accepted_lines"] == ["2"]
    assert override(service, decision, outcome="ACCEPT_PARTIAL", accepted_lines=["1"]).status == 409


def test_above_a_value_a_second_person_confirms(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision, other = large(service, body), second(service)
    first = override(service, decision)
    assert (first.status, first.json["state"]) == (202, "pending")
    assert first.json["second_person_above"] == "100000.00"
    assert since(service, decision)["state"] == "pending"
    again = override(service, decision)
    assert (again.status, again.json["override_id"]) == (202, first.json["override_id"])
    own = override(service, decision, confirms=first.json["override_id"])
    assert (own.status, own.json["type"]) == (403, "urn:ordinance:problem:same-person")
    assert override(service, decision, other, outcome="REJECT").status == 409
    assert since(service, decision)["outcome"] == "HOLD"
    confirmed = override(service, decision, other, confirms=first.json["override_id"])
    assert (confirmed.status, confirmed.json["state"]) == (200, "in_force")
    told = since(service, decision)
    assert (told["state"], told["outcome"], told["overrides"][0]["second"]["by"]) == ("overridden", "ACCEPT", "another-reviewer")
    assert override(service, decision).status == 200  # the first one's retry


def test_a_second_key_of_the_same_person_is_not_a_second_person(service: Any, body: Callable[..., Any]) -> None:
    decision = large(service, body)
    first = override(service, decision).json
    other_key = create_key(service.engine, Role.REVIEWER, "test-reviewer")
    assert override(service, decision, other_key, confirms=first["override_id"]).status == 403


def test_a_proposal_can_be_refused_and_another_one_made(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = large(service, body)
    first = override(service, decision).json
    path = f"{decision['links']['self']}/override"
    refused = service.call("DELETE", f"{path}?note=no", role=None, headers={"authorization": f"Bearer {second(service)}"})
    assert (refused.status, refused.json["state"]) == (200, "refused")
    assert since(service, decision)["state"] == "held"
    assert service.call("DELETE", path, role=Role.REVIEWER).status == 409
    proposed = override(service, decision, outcome="REJECT")
    assert (proposed.status, proposed.json["override_id"] != first["override_id"]) == (202, True)


def test_what_happened_since_somebody_looked_asks_for_another_look(service: Any, body: Callable[..., Any]) -> None:
    decision, other = large(service, body), second(service)
    seen = since(service, decision)["seen"]
    override(service, decision)
    assert override(service, decision, other, seen=seen).status == 409
    assert override(service, decision, other, seen=since(service, decision)["seen"]).status == 200


def test_a_superseded_decision_leaves_the_queue_and_cannot_be_overridden(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = held(service, body, "SO-A")
    later = held(service, body, "SO-A", order_version=2)
    told = override(service, decision)
    assert (told.status, told.json["type"]) == (409, "urn:ordinance:problem:order-superseded")
    assert later["decision_id"] in told.json["detail"]
    assert "Version 2" in told.json["detail"]
    shown = since(service, decision)
    assert (shown["state"], shown["superseded_by"]["decision_id"], shown["resolved"]) == ("superseded", later["decision_id"], True)
    with service.engine.connect() as connection:
        rows = {row.record_id: row for row in connection.execute(select(reviews))}
    assert rows[decision["decision_id"]].state == "superseded"
    assert rows[later["decision_id"]].state == "open"


def test_an_acceptance_that_is_rejected_frees_what_its_order_reserved(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = held(service, body, "SO-R")
    plan = service.decide("split-order", body(order_id="SO-R"), key="plan").json
    assert plan["reservation"], plan
    store = ReservationStore(service.engine)
    sku = plan["shipments"][0]["lines"] and "SKU-1"
    taken = sum(store.read([sku], "another", now()).of(node, sku, None) for node in ("N1", "N2"))
    assert taken > 0
    override(service, decision, outcome="REJECT", reason_code="CUSTOMER_REQUEST")
    assert sum(store.read([sku], "another", now()).of(node, sku, None) for node in ("N1", "N2")) == 0
    with service.engine.connect() as connection:
        assert set(connection.execute(select(reservations.c.ending)).scalars()) == {"released"}


def test_a_decision_that_was_never_held_is_overridden_too(service: Any, body: Callable[..., Any]) -> None:
    decided = service.decide("acceptance", body(order_id="SO-D"), key="d").json
    assert since(service, decided)["resolved"] is True
    outcome = "REJECT" if decided["outcome"] != "REJECT" else "ACCEPT"
    assert override(service, decided, outcome=decided["outcome"]).status == 422
    assert override(service, decided, outcome=outcome).status == 200
    assert since(service, decided)["state"] == "overridden"


def test_what_nobody_settles_expires_once(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = held(service, body)
    due = parse_time(decision["review"]["due_at"])
    assert expire_due(desk(service, due - 1)) == 0
    assert expire_due(desk(service, due)) == 1
    assert expire_due(desk(service, due + HOUR)) == 0
    told = since(service, decision)
    assert (told["state"], told["outcome"]) == ("expired", decision["review"]["expires_to"])
    assert told["expired"]["was"] == "HOLD"
    assert told["overrides"] == []
    late = override(service, decision)
    assert (late.status, "expired" in late.json["detail"]) == (409, True)
    with service.engine.connect() as connection:
        row = connection.execute(select(records).where(records.c.kind == "expiry")).one()
    assert orjson.loads(row.entry)["refers_to"] == decision["decision_id"]


def test_a_decision_that_cannot_expire_keeps_no_other_waiting(
    service: Any, body: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = [held(service, body, f"SO-{number}") for number in range(3)]
    damaged = waiting[1]["decision_id"]

    def fails(connection: Connection, desk: Desk, locked: Locked, at: int) -> bool:
        if locked.decided.record_id == damaged:
            raise RecordCorrupt(damaged)
        return expire_one(connection, desk, locked, at)

    monkeypatch.setattr("governance.reviews.expire_one", fails)
    assert expire_due(desk(service, max(parse_time(one["review"]["due_at"]) for one in waiting))) == 2
    assert [since(service, one)["state"] for one in waiting] == ["expired", "held", "expired"]
    assert damaged in caplog.text


def test_an_override_after_the_due_time_expires_it_instead(service: Any, body: Callable[..., Any]) -> None:
    decision = held(service, body)
    with service.engine.begin() as connection:
        connection.execute(update(reviews).values(due_at=now() - 1))
    assert override(service, decision).status == 409
    assert since(service, decision)["state"] == "expired"
    assert expire_due(desk(service)) == 0


def test_a_pending_override_lapses_when_the_time_is_over(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    decision = large(service, body)
    first = override(service, decision).json
    expire_due(desk(service, parse_time(decision["review"]["due_at"])))
    told = since(service, decision)
    assert (told["state"], told["overrides"][0]["state"]) == ("expired", "lapsed")
    assert override(service, decision, second(service), confirms=first["override_id"]).status == 409


def test_two_reviewers_at_once_one_wins(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    other = second(service)

    async def both(decision: dict[str, Any]) -> list[Any]:
        path = f"{decision['links']['self']}/override"
        asks = [(service.keys[Role.REVIEWER], "ACCEPT"), (other, "REJECT")] * 3
        return await asyncio.gather(
            *(
                service.send("POST", path, role=None, headers={"authorization": f"Bearer {key}"}, json={**WANTED, "outcome": outcome})
                for key, outcome in asks
            )
        )

    for number in range(4):
        decision = held(service, body, f"SO-{number}")
        told = asyncio.run(both(decision))
        won = {one.json["override_id"] for one in told if one.status == 200}
        assert len(won) == 1
        assert sorted({one.status for one in told}) == [200, 409]
        assert since(service, decision)["outcome"] in {"ACCEPT", "REJECT"}


def test_of_expiry_and_override_exactly_one_wins(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on

    async def race(decision: dict[str, Any], due: int) -> Any:
        path = f"{decision['links']['self']}/override"
        loop = asyncio.get_running_loop()
        expiry = [loop.run_in_executor(None, expire_due, desk(service, due)) for _ in range(2)]
        told = await service.send("POST", path, role=Role.REVIEWER, json=WANTED)
        return told, sum(await asyncio.gather(*expiry))

    for number in range(6):
        decision = held(service, body, f"SO-{number}")
        told, expired = asyncio.run(race(decision, parse_time(decision["review"]["due_at"])))
        assert (told.status == 200) + expired == 1
        with service.engine.connect() as connection:
            stands = connection.execute(select(overrides.c.state).where(overrides.c.decision_id == decision["decision_id"])).scalars().all()
        assert stands == ["in_force"]


def cancellations(service: Any) -> int:
    with service.engine.connect() as connection:
        return len(connection.execute(select(records.c.record_id).where(records.c.kind == Kind.CANCELLATION.value)).all())


def test_what_was_settled_while_a_cancellation_waited_is_not_cancelled(
    service: Any, body: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = held(service, body)

    def settled_meanwhile(connection: Connection, record_id: str) -> Any:
        close(connection, record_id, "overridden", "somebody", now())
        return lock(connection, record_id)

    monkeypatch.setattr("governance.reviews.lock", settled_meanwhile)
    with service.engine.begin() as connection:
        assert cancel_orders(connection, desk(service), [decision["order_id"]]) == 0
    assert cancellations(service) == 0


def test_of_cancellation_and_override_exactly_one_wins(service_on: Any, body: Callable[..., Any]) -> None:
    service = service_on
    waiting = [held(service, body, f"SO-{number}") for number in range(6)]
    orders = [one["order_id"] for one in waiting]
    with ThreadPoolExecutor(2) as threads:
        cancelled = threads.submit(in_transaction, service.engine, lambda connection: cancel_orders(connection, desk(service), orders))
        answers = [override(service, one, outcome="REJECT") for one in reversed(waiting)]
        done = cancelled.result()
    assert {one.status for one in answers} <= {200, 409}
    states = [since(service, one)["state"] for one in waiting]
    assert states.count("overridden") == sum(one.status == 200 for one in answers) == 6 - done
    assert states.count("cancelled") == cancellations(service) == done


def test_a_plan_can_only_be_stopped(service: Any, body: Callable[..., Any]) -> None:
    plan = service.decide("split-order", body(order_id="SO-P"), key="plan").json
    assert override(service, plan, outcome="PARTIAL").status == 422
    assert override(service, plan, outcome="UNFULFILLABLE", reason_code="STOCK_UNAVAILABLE").status == 200
    with service.engine.connect() as connection:
        assert set(connection.execute(select(reservations.c.ending)).scalars()) == {"released"}


def test_what_a_later_version_has_reserved_stays(service: Any, body: Callable[..., Any]) -> None:
    service.decide("split-order", body(order_id="SO-V"), key="first")
    decision = service.decide("acceptance", body(order_id="SO-V"), key="a").json
    service.decide("split-order", body(order_id="SO-V", order_version=2), key="second")
    assert override(service, decision, outcome="REJECT").status == 409
    with service.engine.connect() as connection:
        rows = connection.execute(select(reservations.c.order_version, reservations.c.ending)).all()
    assert {tuple(row) for row in rows} == {(1, "superseded"), (2, None)}


def test_a_custom_type_is_settled_with_one_of_its_labels(service: Any) -> None:
    decided = service.decide("parcel-late", {**CUSTOM_EXAMPLE, "deadline_ms": None}, key="c").json
    other = next(label for label in ("late", "on time") if label != decided["outcome"])
    told = override(service, decided, outcome="maybe")
    assert (told.status, "on time, late" in told.json["detail"]) == (422, True)
    assert override(service, decided, outcome="REVIEW").status == 422
    assert override(service, decided, outcome=other).status == 200


def test_the_policy_s_own_value_for_a_second_person_comes_first(service: Any, body: Callable[..., Any], monkeypatch: Any) -> None:
    decision = held(service, body)
    monkeypatch.setattr(StoredDecision, "groups", property(with_parameter))
    first = override(service, decision)
    assert (first.status, first.json["second_person_above"]) == (202, "5.00")


def with_parameter(stored: StoredDecision) -> Any:
    groups = read_groups(stored.body, stored.response)
    groups["policy"]["parameters"]["second_person_above"] = 5
    return groups


@pytest.fixture
def sealed(sqlite_engine: Any, force: Any, tmp_path: Path) -> Iterator[Any]:
    """The whole thing, with the records of persons sealed under their keys."""
    (tmp_path / "subjects").mkdir()
    vault = load_vault(tmp_path / "subjects")
    made, recorder = make_service(with_vault(sqlite_engine, vault), force)
    yield made
    recorder.close()


def test_what_is_written_about_a_person_is_sealed_and_read_again(sealed: Any, body: Callable[..., Any]) -> None:
    decision = held(sealed, body)
    assert override(sealed, decision).status == 200
    assert since(sealed, decision)["overrides"][0]["note"] == "called back"
    with sealed.engine.connect() as connection:
        row = connection.execute(select(records).where(records.c.kind == "override")).one()
    assert b"called back" not in bytes(row.body)
    assert bytes(row.body).startswith(SEALED)
    page = ReviewQueue(sealed.engine).page(Queued(state="closed"), at=now())
    assert [one.customer_id for one in page.cases] == ["C-9"]


def test_nobody_judges_what_was_erased_but_its_time_still_ends(sealed: Any, body: Callable[..., Any]) -> None:
    decision = held(sealed, body)
    keys = vault_of(sealed.engine).keys
    keys.destroy([*keys.find(["customer:C-9"]).values()], now())
    told = override(sealed, decision)
    assert (told.status, told.json["type"]) == (410, "urn:ordinance:problem:erased")
    assert expire_due(desk(sealed, parse_time(decision["review"]["due_at"]))) == 1
    with sealed.engine.connect() as connection:
        row = connection.execute(select(records).where(records.c.kind == "expiry")).one()
    assert read_groups(bytes(row.body))["order"]["customer_id"] is None
