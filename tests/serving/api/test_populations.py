"""``/v1/affected`` and ``/v1/sample``: all that something had a part in, and draws that anybody can repeat."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from feature_store.times import now
from governance.access import Role
from governance.ledger.store import Filters
from governance.tables import model_versions
from models.artifact import ModelArtifact, artifact_folder, write_artifact
from serving.api import populations
from serving.console.app import create_console
from serving.console.joined.wire import join

Get = Callable[..., httpx.Response]


@pytest.fixture
def models(artifacts: Mapping[str, ModelArtifact], tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for artifact in artifacts.values():
        write_artifact(artifact_folder(folder, artifact.digest), artifact.contents)
    return folder


@pytest.fixture
def get(service: Any, models: Path, artifacts: Mapping[str, ModelArtifact], tmp_path: Path) -> Get:
    """Asks the console of a home with every model registered."""
    common = {"version": 1, "template": "custom", "signature": b"s" * 64, "report": b"{}", "created_by": "test", "created_at": now()}
    with service.engine.begin() as connection:
        rows = [{"name": name, "type": name, "digest": artifact.digest, **common} for name, artifact in artifacts.items()]
        connection.execute(insert(model_versions), rows)
    folders = {name: tmp_path / name for name in ("keys", "datasets_folder")}
    for folder in folders.values():
        folder.mkdir()
    wiring = join(service.engine, **folders, models=models, launch=lambda _id: None, publish=None, base_url="http://127.0.0.1:8000")
    app = create_console(wiring)
    app.include_router(populations.routes(wiring, service.engine, models))

    def ask(path: str, role: Role = Role.AUDITOR) -> httpx.Response:
        async def once() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
                return await client.get(path, headers={"authorization": f"Bearer {service.keys[role]}"})

        return asyncio.run(once())

    return ask


@pytest.fixture
def decided(service: Any, body: Any) -> list[dict[str, Any]]:
    kinds = ("acceptance", "fraud", "fraud", "split-order", "fraud")
    return [service.decide(kind, {**body(order_id=f"SO-{i}"), "oms_choice": None}, f"k{i}").json for i, kind in enumerate(kinds)]


def test_a_model_s_decisions(get: Get, decided: list[dict[str, Any]]) -> None:
    told = get(f"/v1/affected?model_digest={decided[1]['model']['digest']}&limit=2").json()
    assert told["count"] == 3
    assert sum(one["count"] for one in told["by"]) == 3
    assert {one["type"] for one in told["by"]} == {"fraud"}
    assert told["first_decided_at"] == decided[1]["decided_at"]
    assert told["last_decided_at"] == decided[4]["decided_at"]
    rest = get(f"/v1/affected?model_digest={decided[1]['model']['digest']}&limit=2&cursor={told['next_cursor']}").json()
    assert [one["decision_id"] for one in told["items"] + rest["items"]] == [decided[i]["decision_id"] for i in (4, 2, 1)]


def test_a_policy_s_decisions_narrowed_as_a_search(get: Get, decided: list[dict[str, Any]]) -> None:
    digest = decided[0]["policy"]["digest"]
    assert get(f"/v1/affected?policy_digest={digest}").json()["count"] == 1
    assert get(f"/v1/affected?policy_digest={digest}&order_id=SO-1").json()["count"] == 0


def test_a_feature_s_decisions_are_those_of_the_models_that_read_it(get: Get, decided: list[dict[str, Any]]) -> None:
    told = get("/v1/affected?feature=billed_elsewhere").json()
    assert [model["name"] for model in told["models"]] == ["fraud"]
    assert {one["decision_id"] for one in told["items"]} == {decided[i]["decision_id"] for i in (1, 2, 4)}
    assert get("/v1/affected?feature=no_such").status_code == 422


def test_a_sample_is_drawn_again_from_its_seed(get: Get, decided: list[dict[str, Any]], service: Any, body: Any) -> None:
    first = get("/v1/sample?n=3&seed=2026-Q4").json()
    ids = sorted((one["decision_id"] for one in decided), key=lambda name: hashlib.sha256(f"2026-Q4:{name}".encode()).digest())
    assert [one["decision_id"] for one in first["items"]] == ids[:3]
    assert (first["n"], first["population"]) == (3, 5)
    service.decide("fraud", {**body(order_id="SO-9"), "oms_choice": None}, "later")
    again = get(f"/v1/sample?n=3&seed=2026-Q4&until={first['until']}").json()
    assert again == first
    others = [get(f"/v1/sample?n=3&seed={seed}").json()["digest"] for seed in range(20)]
    assert len(set(others)) > 1
    narrowed = get("/v1/sample?n=500&seed=x&type=fraud").json()
    assert {one["type"] for one in narrowed["items"]} == {"fraud"}
    assert narrowed["population"] == len(service.reader.search(Filters(type="fraud")).lines)


@pytest.mark.parametrize(
    ("path", "loc"),
    [
        ("/v1/affected", ["query"]),
        ("/v1/affected?model_digest=", ["query", "model_digest"]),
        ("/v1/affected?feature=pieces&surprise=1", ["query", "surprise"]),
        ("/v1/affected?policy_digest=x&cursor=y", ["query", "cursor"]),
        ("/v1/sample?n=3", ["query", "seed"]),
        ("/v1/sample?n=0&seed=1", ["query", "n"]),
        ("/v1/sample?n=1000000&seed=1", ["query", "n"]),
        ("/v1/sample?n=2&seed=1&limit=3", ["query", "limit"]),
        ("/v1/sample?n=2&seed=1&since=yesterday", ["query", "since"]),
    ],
)
def test_what_cannot_be_meant_is_a_422_with_the_place(get: Get, path: str, loc: list[str]) -> None:
    told = get(path)
    assert told.status_code == 422
    assert loc in [error["loc"] for error in told.json()["errors"]]


def test_who_may_ask(get: Get) -> None:
    for path in ("/v1/affected?feature=pieces", "/v1/sample?n=1&seed=1"):
        assert get(path, Role.OMS).status_code == 403
        assert get(path, Role.POLICY_OWNER).status_code == 200
