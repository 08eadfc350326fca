"""Alive, ready, figures: what an operator's tools read, with every part there and with parts gone."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from feature_store.database import make_engine
from governance.monitoring import Watched
from serving.api import system
from serving.confidence import EVERY, WINDOW, ConfidenceWatch
from serving.parity import _keep
from tests.serving.console.watched import ODD, checked

LOADED = {"generation": 3, "models": {"fraud": {"name": "fraud", "version": 2, "digest": "sha256:x"}}, "problems": {}}


@pytest.fixture
def replica() -> Iterator[Any]:
    """Something that answers as a decision replica does; ``told`` can be changed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = orjson.dumps(self.server.told)  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.told = dict(LOADED)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(engine: Engine, port: int, path: str) -> httpx.Response:
    app = FastAPI()
    app.include_router(system.routes(system.Probes(engine, f"http://127.0.0.1:{port}/ready")))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ordinance") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_ready_when_the_database_can_be_written_and_models_are_loaded(engine: Engine, replica: Any) -> None:
    told = get(engine, replica.server_port, "/readyz")
    assert told.status_code == 200
    assert told.json()["models"] == LOADED["models"]
    assert told.json()["reasons"] == []


def test_not_ready_when_a_model_cannot_be_loaded(sqlite_engine: Engine, replica: Any) -> None:
    replica.told = {**LOADED, "problems": {"fraud": "fraud version 3 cannot be loaded: model.txt: its bytes are not those listed"}}
    told = get(sqlite_engine, replica.server_port, "/readyz")
    assert told.status_code == 503
    assert "fraud version 3" in told.json()["reasons"][0]


def test_not_ready_without_a_replica(sqlite_engine: Engine, replica: Any) -> None:
    told = get(sqlite_engine, 1, "/readyz")
    assert told.status_code == 503
    assert told.json()["reasons"] == ["no decision replica answers"]


def test_not_ready_without_tables(tmp_path: Any, replica: Any) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'bare.db'}")
    told = get(engine, replica.server_port, "/readyz")
    engine.dispose()
    assert told.status_code == 503
    assert "database cannot be written" in told.json()["reasons"][0]


def test_figures_say_what_is_there_and_what_is_gone(sqlite_engine: Engine, replica: Any) -> None:
    text = get(sqlite_engine, replica.server_port, "/metrics").text
    assert 'ordinance_ready{part="decisions"} 1\n' in text
    assert 'ordinance_model_version{type="fraud",name="fraud"} 2\n' in text
    assert "ordinance_records_not_integrated 0\n" in text
    assert 'ordinance_ready{part="decisions"} 0\n' in get(sqlite_engine, 1, "/metrics").text


def test_figures_tell_the_newest_parity_check(sqlite_engine: Engine, replica: Any) -> None:
    assert "ordinance_parity" not in get(sqlite_engine, replica.server_port, "/metrics").text
    _keep(sqlite_engine, checked(ODD))
    text = get(sqlite_engine, replica.server_port, "/metrics").text
    assert 'ordinance_parity_decisions{result="equal"} 36\n' in text
    assert 'ordinance_parity_decisions{result="differing"} 2\n' in text
    assert 'ordinance_parity_decisions{result="at_once"} 2\n' in text
    name = ODD.features[0].name
    assert f'ordinance_parity_differing_values{{type="fraud",feature="{name}"}} 2\n' in text
    assert f"ordinance_parity_checked_timestamp_seconds {checked().started_at / 1000}\n" in text


def test_alive_needs_nothing(sqlite_engine: Engine) -> None:
    assert get(sqlite_engine, 1, "/healthz").json() == {"status": "ok"}


def test_live_confidence_is_told_by_version(sqlite_engine: Engine, replica: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"ece": 0.0123, "coverage": 0.9, "auc": None, "event_rate": 0.14, "mean_probability": 0.13, "brier": 0.1}
    asked = []

    def watch(engine: Engine, since: int) -> list[Watched]:
        asked.append(since)
        return [Watched("acceptance", "acceptance", 3, 412, figures, {})]

    monkeypatch.setattr("serving.confidence.watch", watch)
    told = get(sqlite_engine, replica.server_port, "/metrics").text
    label = '{type="acceptance",name="acceptance",version="3"}'
    assert f"ordinance_labelled_decisions{label} 412\n" in told
    assert f"ordinance_model_calibration_error{label} 0.0123\n" in told
    assert f"ordinance_model_interval_coverage{label} 0.9\n" in told
    assert "ordinance_model_auc" not in told, "too few labels tell none"
    assert len(asked) == 1


def test_live_confidence_is_read_every_few_minutes_only(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("serving.confidence.watch", lambda _engine, since: asked.append(since) or [])
    start = 10 * WINDOW
    moments = iter((start, start + EVERY - 1, start + EVERY, start + EVERY + 1))
    watch = ConfidenceWatch(sqlite_engine, lambda: next(moments))
    for _ in range(4):
        assert watch.current() == []
    assert asked == [9 * WINDOW, 9 * WINDOW + EVERY]
