"""``POST /v1/events`` on a real database: kept or refused one by one, counted once, seen by the next decision."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import OperationalError

from feature_store.backfill import rebuild
from feature_store.events import Event
from feature_store.ingest import IngestResult
from feature_store.tables import entity_states, events
from feature_store.times import DAY, HOUR, MINUTE, format_time, now
from governance.access import Role, create_key
from serving.api import contract
from serving.api.events import EXAMPLE, MAX_BYTES, MAX_EVENTS, EventsAnswer, EventsBody
from serving.console.app import create_console
from serving.console.joined import intake as joined
from serving.console.joined.intake import StoredIntake
from serving.console.joined.wire import join
from serving.console.ports import Intake
from serving.errors import MEDIA_TYPE


class Client:
    """Calls the application of a database in this process."""

    def __init__(self, engine: Engine, folder: Path, intake: Intake | None) -> None:
        wiring = join(
            engine, keys=folder, models=folder, datasets_folder=folder, launch=_launch, publish=None, base_url="http://ordinance"
        )  # fmt: skip
        self.keys = {role: create_key(engine, role, f"local-{role}") for role in Role}
        self.app = create_console(replace(wiring, intake=intake))

    def post(self, body: Any = None, *, role: Role = Role.OMS, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            headers = {"authorization": f"Bearer {self.keys[role]}", **more.pop("headers", {})}
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://ordinance") as client:
                return await client.post("/v1/events", headers=headers, **({"json": body} if body is not None else {}), **more)

        return asyncio.run(once())


def _launch(_training_id: str) -> None:
    raise AssertionError("no training is started here")


@pytest.fixture
def client(engine: Engine, tmp_path: Path) -> Client:
    return Client(engine, tmp_path, StoredIntake(engine))


@pytest.fixture
def quick(sqlite_engine: Engine, tmp_path: Path) -> Client:
    """For what does not depend on the server."""
    return Client(sqlite_engine, tmp_path, StoredIntake(sqlite_engine))


def placed(number: int, customer: str = "C-9", **more: Any) -> dict[str, Any]:
    told = {"event_id": f"E-{number}", "type": "order_placed", "event_time": format_time(now() - HOUR), "order_id": f"O-{number}"}
    return {**told, "customer_id": customer, "amount": {"amount": "12.50", "currency": "CNY"}, **more}


def stored(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(select(events.c.event_id).order_by(events.c.event_id)).scalars())


def test_good_ones_are_kept_and_bad_ones_refused_by_their_place(client: Client, engine: Engine) -> None:
    batch = [
        placed(1),
        {**placed(2), "customer_id": None},
        {**placed(3), "type": "order_vanished"},
        placed(4),
        placed(5, event_time=format_time(now() + HOUR)),
        placed(6, known_at=format_time(now() - MINUTE)),
        placed(7, anchor="A-7"),
        "nonsense",
    ]
    answer = client.post({"events": batch})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["duplicates"]) == (2, 0)
    assert [(one["index"], one["loc"]) for one in told["refused"]] == [
        (1, ["events", 1, "customer_id"]),
        (2, ["events", 2, "type"]),
        (4, ["events", 4, "event_time"]),
        (5, ["events", 5, "known_at"]),
        (6, ["events", 6, "anchor"]),
        (7, ["events", 7]),
    ]
    assert all(one["msg"] for one in told["refused"])
    assert stored(engine) == ["E-1", "E-4"]


def test_the_same_event_counts_once_and_another_content_is_refused(client: Client, engine: Engine) -> None:
    one, two = placed(1), placed(2)
    assert client.post({"events": [one, two, one]}).json() == {"accepted": 2, "duplicates": 1, "refused": []}
    assert client.post({"events": [two]}).json() == {"accepted": 0, "duplicates": 1, "refused": []}
    changed = {**one, "customer_id": "C-10"}
    answer = client.post({"events": [two, changed, placed(3), {**placed(3), "amount": 1}]})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["duplicates"]) == (1, 1)
    assert [(one["index"], one["loc"][-1]) for one in told["refused"]] == [(1, "event_id"), (3, "event_id")]
    assert "a correction is an event of its own" in told["refused"][0]["msg"]
    assert client.post(changed).status_code == 422
    assert stored(engine) == ["E-1", "E-2", "E-3"]


def test_when_all_are_refused_it_is_a_problem_that_also_has_the_answer(quick: Client) -> None:
    answer = quick.post({"events": [{**placed(1), "amount": "much"}, {}]})
    assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE)
    told = answer.json()
    assert [one["loc"] for one in told["errors"]] == [["events", 0, "amount"], ["events", 1, "event_id"]]
    assert (told["accepted"], told["duplicates"], len(told["refused"])) == (0, 0, 2)


def test_one_alone_and_one_a_line(quick: Client) -> None:
    assert quick.post(placed(1)).json()["accepted"] == 1
    lines = b"\n".join([orjson.dumps(placed(2)), b"", b"{broken", orjson.dumps(placed(3)) + b"\r", b""])
    for media in ("application/x-ndjson", "application/jsonl; charset=utf-8"):
        told = quick.post(content=lines, headers={"content-type": media}).json()
        assert told["accepted"] + told["duplicates"] == 2
        assert [(one["index"], one["loc"]) for one in told["refused"]] == [(1, ["events", 1])]
        assert "no JSON" in told["refused"][0]["msg"]


@pytest.mark.parametrize(
    ("content", "status", "loc"),
    [
        (b"{", 400, ["body"]),
        (b"", 400, ["body"]),
        (b"[]", 422, []),
        (b'{"events": {}}', 422, ["events"]),
        (b'{"events": []}', 422, ["events"]),
        (b'{"events": [{}], "mode": "live"}', 422, ["mode"]),
    ],
)
def test_what_is_no_list_of_events_is_a_problem(quick: Client, content: bytes, status: int, loc: list[str]) -> None:
    answer = quick.post(content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.json()["errors"][0]["loc"] == loc


def test_too_much_is_refused_before_anything_is_taken(quick: Client) -> None:
    assert quick.post({"events": [placed(1)] * (MAX_EVENTS + 1)}).status_code == 413

    async def endless() -> Any:
        while True:
            yield b" " * 65_536

    assert quick.post(content=endless()).status_code == 413
    assert quick.post(content=b"x", headers={"content-length": str(MAX_BYTES + 1)}).status_code == 413


@pytest.mark.parametrize("role", list(Role))
def test_only_an_oms_tells_events(quick: Client, role: Role) -> None:
    assert quick.post(placed(1), role=role).status_code == (200 if role is Role.OMS else 403)


def test_without_a_key_nothing_is_taken(quick: Client) -> None:
    assert quick.post(placed(1), headers={"authorization": "Bearer guess"}).status_code == 401


def test_a_large_batch_is_taken_in_transactions_and_keeps_its_places(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    take = joined.ingest

    def counted(engine: Engine, batch: list[Event], *more: Any) -> IngestResult:
        sizes.append(len(batch))
        return take(engine, batch, *more)

    monkeypatch.setattr(joined, "ingest", counted)
    client = Client(sqlite_engine, tmp_path, StoredIntake(sqlite_engine, gives_way=False))
    batch = [placed(number % 1_100) for number in range(1_200)]
    for one in batch:
        one["event_time"] = batch[0]["event_time"]
    batch[1_150] = {**batch[1_150], "customer_id": "C-other"}
    told = client.post({"events": batch}).json()
    assert (told["accepted"], told["duplicates"]) == (1_100, 99)
    assert [one["index"] for one in told["refused"]] == [1_150]
    assert sizes == [500, 500, 200]


def test_a_history_that_cannot_be_read_is_named_and_nothing_is_lost(client: Client, engine: Engine) -> None:
    assert client.post(placed(1)).json() == {"accepted": 1, "duplicates": 0, "refused": []}
    with engine.begin() as connection:
        connection.execute(update(entity_states).where(entity_states.c.entity == "customer").values(state=b"damaged"))
    answer = client.post({"events": [placed(2), placed(3), {**placed(4), "amount": "much"}]})
    assert answer.status_code == 200
    told = EventsAnswer.model_validate(answer.json())
    assert (told.accepted, [one.index for one in told.refused]) == (2, [2])
    (damaged,) = told.damaged
    assert (damaged.entity, "ordinance features rebuild" in damaged.msg) == ("customer", True)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == 3
    rebuild(engine)
    assert "damaged" not in client.post(placed(5)).json()


def test_a_database_that_does_not_answer_is_a_503_that_says_to_send_again(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> IngestResult:
        raise OperationalError("BEGIN IMMEDIATE", {}, Exception("database is locked"))

    client = Client(sqlite_engine, tmp_path, StoredIntake(sqlite_engine))
    with monkeypatch.context() as patch:
        patch.setattr(joined, "ingest", fails)
        answer = client.post(placed(1))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "each counts once" in answer.json()["detail"]
    assert client.post(placed(1)).json()["accepted"] == 1
    assert Client(sqlite_engine, tmp_path, None).post(placed(1)).status_code == 503


def test_the_contract_s_example_is_answered_as_it_shows(quick: Client) -> None:
    EventsBody.model_validate(EXAMPLE)
    at = now()
    batch = [{**one, "event_time": format_time(at - MINUTE)} for one in EXAMPLE["events"]]
    batch[2] |= {"valid_from": format_time(at + DAY), "valid_to": format_time(at + 2 * DAY)}
    told = quick.post({"events": batch}).json()
    EventsAnswer.model_validate(told)
    assert told == contract.answer_example("events")


def test_a_skew_that_was_set_is_kept(sqlite_engine: Engine, tmp_path: Path) -> None:
    client = Client(sqlite_engine, tmp_path, StoredIntake(sqlite_engine, 2 * HOUR))
    assert client.post(placed(1, event_time=format_time(now() + HOUR))).json()["accepted"] == 1


@pytest.fixture
def deciding(service_on: Any, tmp_path: Path) -> tuple[Any, Client]:
    return service_on, Client(service_on.engine, tmp_path, StoredIntake(service_on.engine))


def seen(service: Any, decision_id: str) -> dict[str, tuple[Any, str, Any]]:
    told = service.get(f"/v1/decisions/{decision_id}/explanation").json["contributions"]
    return {one["feature"]: (one["value"], one["origin"], one["event_time"]) for one in told}


def test_an_event_counts_in_the_very_next_decision(deciding: tuple[Any, Client], body: Callable[..., dict[str, Any]]) -> None:
    service, client = deciding
    before = seen(service, service.decide("fraud", body(order_id="SO-1"), key="1").json["decision_id"])
    at = format_time(now() - MINUTE)
    told = client.post({"events": [placed(1, event_time=at), {
        "event_id": "E-2", "type": "chargeback", "event_time": at, "order_id": "O-1", "customer_id": "C-9", "device_id": "D-5",
    }]})  # fmt: skip
    assert told.json()["accepted"] == 2
    after = seen(service, service.decide("fraud", body(order_id="SO-2"), key="2").json["decision_id"])
    changed = {name for name in after if after[name][0] != before[name][0] and after[name][1:] == ("store", at)}
    assert any("chargeback" in name for name in changed), "the chargeback is among what the next decision saw"
    assert any("order" in name for name in changed), "and so is the order"


def test_late_and_out_of_order_is_normal(client: Client, engine: Engine) -> None:
    late = [placed(number, event_time=format_time(now() - days * DAY)) for number, days in enumerate((3, 90, 1, 400))]
    assert client.post({"events": late}).json()["accepted"] == 4
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == 4
