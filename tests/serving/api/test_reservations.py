"""``/v1/reservations``: who may end one, how often, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import OperationalError

from feature_store.reservations import Piece, Reservation, ReservationStore
from feature_store.tables import reservations
from feature_store.times import MINUTE, now
from governance.access import Role, create_key
from serving.api.answer_schemas import ReservationAnswer
from serving.console.app import create_console
from serving.console.joined.wire import join

ID = "01a201a9-645e-7008-8325-2b0c8c317324"


@pytest.fixture
def keys(sqlite_engine: Engine) -> Mapping[str, str]:
    made = {role.value: create_key(sqlite_engine, role, f"test-{role}") for role in (Role.OMS, Role.AUDITOR, Role.ADMIN)}
    return {**made, "stranger": create_key(sqlite_engine, Role.OMS, "another-oms")}


@pytest.fixture
def client(sqlite_engine: Engine, tmp_path: Any) -> Any:
    at = now()
    one = Reservation(ID, "SO-1", 2, "test-oms", at, at + MINUTE, (Piece("N1", "A", 2), Piece("N2", "A", 1)))
    with sqlite_engine.begin() as connection:
        names = [column.name for column in reservations.columns]
        connection.execute(insert(reservations), [dict(zip(names, row, strict=True)) for row in one.rows()])
    folders = {name: tmp_path / name for name in ("keys", "models", "datasets_folder")}
    for folder in folders.values():
        folder.mkdir()
    wiring = join(sqlite_engine, **folders, launch=lambda _id: None, publish=None, base_url="http://127.0.0.1:8000")
    assert isinstance(wiring.reservations, ReservationStore)
    return wiring


def post(client: Any, keys: Mapping[str, str], what: str, who: str = "oms", name: str = ID) -> Any:
    headers = {"authorization": f"Bearer {keys[who]}"} if who else {}
    return call(client, "POST", f"/v1/reservations/{name}/{what}", headers)


def call(wiring: Any, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=create_console(wiring))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, headers=dict(headers))

    return asyncio.run(once())


def test_settling_twice_is_settling_once(client: Any, keys: Mapping[str, str]) -> None:
    first, again = post(client, keys, "settle"), post(client, keys, "settle")
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    told = ReservationAnswer.model_validate(first.json())
    assert (told.id, told.state, told.order_id, told.order_version) == (ID, "settled", "SO-1", 2)
    assert [(piece.node_id, piece.sku, piece.qty) for piece in told.pieces] == [("N1", "A", 2), ("N2", "A", 1)]
    assert set(first.json()) == set(ReservationAnswer.model_fields)
    refused = post(client, keys, "release")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:ordinance:problem:conflict")


def test_releasing_twice_is_releasing_once(client: Any, keys: Mapping[str, str]) -> None:
    assert post(client, keys, "release").content == post(client, keys, "release").content
    assert post(client, keys, "settle").status_code == 409


@pytest.mark.parametrize(("who", "status"), [("auditor", 403), ("admin", 403), ("stranger", 404), ("", 401)])
def test_others_may_not(client: Any, keys: Mapping[str, str], who: str, status: int) -> None:
    refused = post(client, keys, "release", who)
    assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
    assert post(client, keys, "settle").json()["state"] == "settled"


def test_what_does_not_exist(client: Any, keys: Mapping[str, str]) -> None:
    assert post(client, keys, "settle", name="nothing").status_code == 404
    assert post(client, keys, "settle", name="nothing%00").status_code == 422, "no database keeps such a name"
    assert post(replace(client, reservations=None), keys, "settle").status_code == 404
    assert call(client, "GET", f"/v1/reservations/{ID}/settle", {}).status_code == 405


def test_a_database_that_does_not_answer_is_a_503_that_says_to_send_again(client: Any, keys: Mapping[str, str]) -> None:
    class Away(ReservationStore):
        def settle(self, reservation_id: str, principal: str) -> Any:
            raise OperationalError("BEGIN IMMEDIATE", {}, Exception("database is locked"))

    refused = post(replace(client, reservations=Away(client.reservations._engine)), keys, "settle")
    assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
    assert int(refused.headers["retry-after"]) >= 1
    assert "it counts once" in refused.json()["detail"]
