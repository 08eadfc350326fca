"""``/v1/webhooks`` from the route to the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from feature_store.times import now
from governance import killswitch, webhooks
from governance.access import Role, create_key
from governance.changes import Scribe
from governance.controls import Mode
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.opened import read_groups
from governance.ledger.receipt import Signer
from governance.ledger.record import Kind
from governance.ledger.tables import records
from governance.outbox import Notice
from governance.webhook_tables import deliveries, endpoints
from serving.api import contract
from serving.api import webhooks as routes
from serving.api.webhook_operations import WEBHOOK_EXAMPLE, WEBHOOKS
from serving.console.app import create_console
from serving.console.joined.wire import join
from serving.webhooks.addresses import read_networks
from serving.webhooks.secrets import Vault

SIGNER = Signer("ordinance.test/log", b"s" * 32)


class Admin:
    """Asks the console's application, with the routes of webhooks in it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.scribe, self.vault = engine, Scribe(SIGNER), Vault(b"v" * 32)
        self.leader = Leader(engine, SIGNER, folder / "ledger", HighWater(folder / "state", SIGNER.verifier.name))
        self.keys = {role: create_key(engine, role, f"test-{role}") for role in Role}
        folders = {name: folder / name for name in ("keys", "models", "datasets_folder")}
        for one in folders.values():
            one.mkdir()
        wiring = join(engine, **folders, launch=lambda _id: None, publish=None, base_url="http://127.0.0.1:8000")  # type: ignore[arg-type]
        office = routes.Office(engine, self.scribe, self.vault, read_networks("127.0.0.0/8"))
        self.app = create_console(wiring)
        self.app.include_router(routes.routes(wiring, office))

    def ask(self, method: str, path: str, body: Any = None, role: Role = Role.ADMIN) -> httpx.Response:
        async def once() -> httpx.Response:
            headers = {"authorization": f"Bearer {self.keys[role]}"}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://127.0.0.1:8000") as client:
                return await client.request(method, path, headers=headers, json=body)

        return asyncio.run(once())

    def changes(self) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(records.c.body).where(records.c.kind == Kind.WEBHOOK_CHANGED).order_by(records.c.record_id))
            return [read_groups(bytes(row.body))["change"] for row in rows]


@pytest.fixture
def admin(engine: Engine, tmp_path: Path) -> Admin:
    return Admin(engine, tmp_path)


def fits(name: str, told: Any) -> None:
    """An answer has the members that its model names, and none besides."""
    model = next(one.answer for one in WEBHOOKS if one.example == name)
    assert model is not None
    assert set(model.model_validate(told).model_dump()) == set(told)
    kept = contract.answer_example(name)
    assert kept is not None
    assert set(kept) == set(told)


def test_a_webhook_from_its_making_to_its_end(admin: Admin) -> None:
    made = admin.ask("POST", "/v1/webhooks", WEBHOOK_EXAMPLE)
    assert made.status_code == 201, made.text
    secret, told = made.json()["secret"], made.json()
    fits("webhook_made", told)
    path = told["links"]["self"]
    listed = admin.ask("GET", "/v1/webhooks").json()
    fits("webhooks", listed)
    assert [one["webhook_id"] for one in listed["items"]] == [told["webhook_id"]]
    assert {one["type"] for one in listed["events"]} == set(Notice)
    one = admin.ask("GET", path)
    fits("webhook", one.json())
    assert secret not in one.text + str(listed), "told once"
    with admin.engine.connect() as connection:
        assert secret.encode() not in connection.execute(select(endpoints.c.secret)).scalar_one()
    renewed = admin.ask("POST", f"{path}/secret").json()
    fits("webhook_secret", renewed)
    assert renewed["secret"] != secret
    assert renewed["old_secret_until"] is not None
    webhooks.disable(admin.engine, admin.scribe, told["webhook_id"], "it answered 410", "ordinance")
    assert admin.ask("GET", path).json()["state"] == "disabled"
    assert admin.ask("POST", f"{path}/enable").json()["state"] == "active"
    removed = admin.ask("DELETE", path).json()
    fits("webhook_removed", removed)
    assert admin.ask("GET", path).status_code == 404
    assert admin.ask("DELETE", path).status_code == 404
    assert [one["what"] for one in admin.changes()] == ["created", "secret_renewed", "disabled", "enabled", "removed"]
    assert all(one["webhook_id"] == told["webhook_id"] for one in admin.changes())
    assert secret not in str(admin.changes())


def test_dead_letters_are_paged_and_replayed(admin: Admin) -> None:
    told = admin.ask("POST", "/v1/webhooks", {"url": "http://127.0.0.1:9/hook"}).json()
    at, path = now(), told["links"]["self"]
    switched = killswitch.turn(admin.engine, admin.scribe, decision_type="fraud", mode=Mode.RULES_ONLY, note="private", principal="a")
    admin.leader.turn()
    row = {
        "endpoint_id": told["webhook_id"],
        "event": "killswitch.changed",
        "seq": 0,
        "state": "dead",
        "attempts": 9,
        "error": "answered 500",
    }
    with admin.engine.begin() as connection:
        rows = [{**row, "message_id": f"msg_{i}", "first_at": at, "last_at": at, "next_at": at, "status": 500} for i in range(3)]
        connection.execute(deliveries.insert(), rows)
    page = admin.ask("GET", f"{path}/dead-letters?limit=2").json()
    fits("webhook_letters", page)
    rest = admin.ask("GET", f"{path}/dead-letters?limit=2&cursor={page['next_cursor']}").json()
    assert [one["message_id"] for one in page["items"] + rest["items"]] == ["msg_0", "msg_1", "msg_2"]
    assert rest["next_cursor"] is None
    again = admin.ask("POST", f"{path}/replay", {"all": True})
    assert (again.status_code, again.json()["messages"]) == (202, 3)
    fits("webhook_replay", again.json())
    assert admin.ask("GET", f"{path}/dead-letters").json()["items"] == []
    assert admin.ask("GET", path).json()["waiting"] == 3
    assert admin.ask("POST", f"{path}/replay", {"since": "2020-01-01T00:00:00.000Z"}).json()["records"] == 0
    assert admin.ask("POST", f"{path}/replay", {"message_id": f"msg_{switched.record_id}_killswitch-changed"}).status_code == 202
    assert admin.ask("POST", f"{path}/replay", {"message_id": "msg_nothing"}).status_code == 404
    for wrong in ({}, {"all": True, "since": "2020-01-01T00:00:00Z"}, {"since": "yesterday"}):
        assert admin.ask("POST", f"{path}/replay", wrong).status_code == 422


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"url": "http://10.0.0.7/hook"}, ["url"]),
        ({"url": "https://169.254.169.254/"}, ["url"]),
        ({"url": "nowhere"}, ["url"]),
        ({"url": "https://8.8.8.8/", "events": ["decision.made", "decision.dreamt"]}, ["events", 1]),
        ({"url": "https://8.8.8.8/", "secret": "mine"}, ["secret"]),
        ({}, ["url"]),
    ],
)
def test_what_cannot_be_is_told_where(admin: Admin, body: Any, loc: list[Any]) -> None:
    refused = admin.ask("POST", "/v1/webhooks", body)
    assert refused.status_code == 422
    assert loc in [[part for part in one["loc"] if part != "body"] for one in refused.json()["errors"]]
    assert admin.changes() == []


def test_there_is_an_end_to_how_many(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_ENDPOINTS", 1)
    assert admin.ask("POST", "/v1/webhooks", {"url": "https://8.8.8.8/"}).status_code == 201
    assert admin.ask("POST", "/v1/webhooks", {"url": "https://8.8.8.8/"}).status_code == 409


def test_nobody_else_may(admin: Admin) -> None:
    routes_of = [one.name.replace("{webhook_id}", "x").split(" ") for one in WEBHOOKS]
    for role in set(Role) - {Role.ADMIN}:
        for method, path in routes_of:
            body = {"all": True} if path.endswith("replay") else {"url": "https://8.8.8.8/"} if method == "POST" else None
            assert admin.ask(method, path, body, role).status_code == 403
