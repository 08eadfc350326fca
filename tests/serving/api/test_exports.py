"""Exports without a cap, in each format, and who read what."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import httpx
import orjson
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from governance.access import Role
from governance.changes import Scribe
from governance.ledger.opened import open_checked, unsealed
from governance.ledger.record import Kind
from governance.ledger.tables import records
from governance.reading import ReadLog
from serving.api import exports
from serving.console.app import create_console
from serving.console.joined.wire import join
from serving.exporting import COLUMNS, neutral
from serving.haproxy import INTERNAL_SEARCH

Get = Callable[..., httpx.Response]
FORMULA = '=HYPERLINK("http://x";"y")'


class House:
    """A console with exports, beside the decisions' application."""

    def __init__(self, service: Any, folder: Path) -> None:
        self.service = service
        self.scribe = Scribe(service.edges.signer)
        self.reads = ReadLog(service.engine, self.scribe)
        self.office = exports.Office(service.engine, self.scribe)
        folders = {name: folder / name for name in ("keys", "datasets_folder", "models")}
        for one in folders.values():
            one.mkdir()
        wiring = join(
            service.engine,
            **folders,
            launch=lambda _id: None,
            publish=None,
            base_url="http://127.0.0.1:8000",
            reads=self.reads,
            export=lambda account, query: exports.start_export(account, query, self.office, service.reader),
        )
        self.app: FastAPI = create_console(wiring)
        self.app.include_router(exports.routes(wiring, self.office, self.reads))
        service.app._reads = self.reads

    def get(self, path: str, role: Role = Role.AUDITOR) -> httpx.Response:
        async def once() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://127.0.0.1:8000") as client:
                return await client.get(path, headers={"authorization": f"Bearer {self.service.keys[role]}"})

        return asyncio.run(once())

    def changes(self, kind: Kind) -> list[Mapping[str, Any]]:
        with self.service.engine.connect() as connection:
            rows = connection.execute(select(records).where(records.c.kind == kind.value).order_by(records.c.record_id)).mappings().all()
        opened = [unsealed(None, row)[0] for row in rows]
        return [open_checked(row["entry"], row["leaf_hash"], row["body"], row["seeds"]).groups["change"] for row in opened]


@pytest.fixture
def house(service: Any, body: Any, tmp_path: Path) -> House:
    made = House(service, tmp_path)
    for i, channel in enumerate([FORMULA, "app", "web", "app"]):
        assert service.decide("fraud", body(order_id=f"SO-{i}", channel=channel, tags=["a|b", "c"]), f"k{i}").status == 200
    return made


def test_every_format_tells_the_same(house: House, tmp_path: Path) -> None:
    found = [orjson.loads(line) for line in house.get("/v1/decisions/export?format=jsonl").content.splitlines()]
    assert [one["order_id"] for one in found] == ["SO-3", "SO-2", "SO-1", "SO-0"]
    assert found == house.get(INTERNAL_SEARCH).json()["items"] == house.service.get("/v1/decisions").json["items"]
    told = house.get("/v1/decisions/export")
    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(told.text)))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["decision_id"] for row in rows] == [one["decision_id"] for one in found]
    assert rows[3]["channel"] == "'" + FORMULA
    assert [float(row["probability"]) for row in rows] == [one["probability"] for one in found]
    path = tmp_path / "x.parquet"
    path.write_bytes(house.get("/v1/decisions/export?format=parquet").content)
    table = duckdb.read_parquet(str(path))
    assert table.columns == list(COLUMNS)
    listed = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    assert [one["channel"] for one in listed] == ["app", "web", "app", FORMULA]
    assert [one["probability"] for one in listed] == [one["probability"] for one in found]
    assert {one["tags"] for one in listed} == {"a|b|c"}


def test_filters_narrow_an_export_and_unknown_ones_are_refused(house: House) -> None:
    name = house.service.get("/v1/decisions").json["items"][0]["decision_id"]
    explained = house.service.get(f"/v1/decisions/{name}/explanation").json["contributions"][0]
    by_value = f"feature.{explained['feature']}=missing" if explained["value"] is None else f"feature.{explained['feature']}=ge:-1e300"
    for query, count in {"channel=web": 1, "q=SO-2": 1, "outcome=NONE": 0, by_value: 4, "feature.none=ge:1": 0}.items():
        assert len(house.get(f"/v1/decisions/export?format=jsonl&{query}").content.splitlines()) == count, query
    for query in ("format=xml", "limit=3", "cursor=x", "what=1", "feature.x=like:3"):
        assert house.get(f"/v1/decisions/export?{query}").status_code == 422, query


def test_an_export_is_recorded_before_and_after(house: House) -> None:
    house.get("/v1/decisions/export?channel=app")
    begun, ended = house.changes(Kind.EXPORT)
    assert (begun["state"], begun["rows"], begun["filters"]) == ("begun", 0, {"channel": "app"})
    assert (ended["state"], ended["rows"], ended["format"]) == ("complete", 2, "csv")
    assert ended["begun"] is not None


def test_who_leaves_ends_the_export(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader leaves after the first piece: no further page is read, and the record says so."""
    monkeypatch.setattr("serving.exporting.MAX_LIMIT", 1)

    async def leave() -> int:
        account = house.app and exports.Account("ana", "auditor")
        response = exports.start_export(account, {"format": "jsonl"}, house.office, house.service.reader)
        gone, sent = asyncio.Event(), 0

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            nonlocal sent
            if message.get("body"):
                sent += 1
                gone.set()
                await asyncio.sleep(0.01)

        await response({}, receive, send)
        return sent

    assert asyncio.run(leave()) < 4
    ended = house.changes(Kind.EXPORT)[-1]
    assert ended["state"] == "cut"
    assert ended["rows"] < 4


@given(st.text(max_size=12))
def test_no_cell_begins_a_formula(text: str) -> None:
    assert neutral(text)[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert neutral(text).removeprefix("'") == text.removeprefix("'")


def test_reads_of_those_who_judge_are_told(house: House) -> None:
    service = house.service
    one = service.get("/v1/decisions?channel=web").json["items"][0]["decision_id"]
    for _ in range(3):
        service.get(f"/v1/decisions/{one}", role=Role.REVIEWER)
    service.get(f"/v1/decisions/{one}", role=Role.OMS)
    service.get("/v1/decisions/none")
    house.get("/v1/decisions/export?channel=web")
    told = house.get("/v1/reads").json()["items"]
    assert [(item["role"], item["what"], item["times"]) for item in told] == [
        ("reviewer", "decision", 3), ("auditor", "search", 1), ("auditor", "export", 1), ("auditor", "export", 1),
    ]  # fmt: skip
    assert told[0]["of"] == {"decision_id": one}
    assert told[1]["of"] == {"channel": "web"}
    (mine,) = house.get(f"/v1/reads?of={one}", role=Role.ADMIN).json()["items"]
    assert mine == told[0]
    assert [item["what"] for item in house.get("/v1/reads?what=reads").json()["items"]] == ["reads", "reads"]
    assert house.get("/v1/reads", role=Role.REVIEWER).status_code == 403
    assert house.get("/v1/reads?who=1").status_code == 422


def test_pages_of_reads_follow_their_cursor(house: House) -> None:
    for i in range(5):
        house.reads.note_as("ana", "auditor", "decision", {"decision_id": f"d{i}"})
        assert house.reads.flush() == 1
    seen, cursor = [], ""
    while True:
        page = house.get(f"/v1/reads?what=decision&limit=2{cursor}").json()
        seen += [item["of"]["decision_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["d4", "d3", "d2", "d1", "d0"]


def test_the_console_exports_what_its_list_shows(house: House) -> None:
    async def once() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", follow_redirects=True) as client:
            page = await client.get("/console/login")
            token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
            await client.post("/console/login", data={"key": house.service.keys[Role.AUDITOR], "form_token": token, "target": ""})
            shown = await client.get("/console/decisions?channel=web&overridden=false&since=2020-01-01")
            return shown, await client.get("/console/decisions/export?channel=web&overridden=false&since=2020-01-01")

    shown, told = asyncio.run(once())
    assert "/console/decisions/export?channel=web" in shown.text
    assert [row["order_id"] for row in csv.DictReader(io.StringIO(told.text))] == ["SO-2"]
    assert house.changes(Kind.EXPORT)[-1]["filters"]["since"].startswith("2020-01-01")
