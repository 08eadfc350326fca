"""Killing the process that loads events, wherever it is: nothing is lost, nothing counts twice, events and states never disagree."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, func, select

from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType, event_to_json, parse_event
from feature_store.folding import replay
from feature_store.tables import entity_states, events
from feature_store.times import HOUR, MINUTE, parse_time

START = parse_time("2026-01-01T00:00:00.000Z")
COUNT = 8_000
KILLS = 4


def history(seed: int) -> Iterator[Event]:
    """Orders and what became of them: few customers and SKUs, so that every batch changes what the one before has changed."""
    draw = random.Random(seed)
    for number in range(COUNT):
        when = START + number * MINUTE
        who: dict[str, Any] = {"order_id": f"O-{number}", "customer_id": f"C-{draw.randrange(60)}"}
        kind = draw.choice([EventType.ORDER_PLACED, EventType.ORDER_PLACED, EventType.RETURNED, EventType.CHARGEBACK])
        if kind is EventType.ORDER_PLACED:
            who |= {"amount": draw.randrange(1, 999) / 4, "device_id": f"D-{draw.randrange(9)}", "region": "east"}
        who["skus"] = tuple(sorted({f"S-{draw.randrange(30)}" for _ in range(2)}))
        yield Event(f"E-{number}", kind, when, when + draw.randrange(48) * HOUR, who)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("told") / "events.jsonl"
    path.write_bytes(b"".join(orjson.dumps(event_to_json(event)) + b"\n" for event in history(7)))
    return path


def loading(url: str, file: Path, home: Path) -> subprocess.Popen[bytes]:
    """``ordinance events load``, running."""
    command = [sys.executable, "-m", "serving.cli", "events", "load", str(file), "--home", str(home)]
    environment = {**os.environ, "ORDINANCE_DATABASE_URL": url}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])


def killed_at(process: subprocess.Popen[bytes], engine: Engine, threshold: int, moments: random.Random) -> bool:
    """Kill a load some moment after so many events are in; whether it was still running then."""
    while process.poll() is None:
        with engine.connect() as connection:
            if connection.execute(select(func.count()).select_from(events)).scalar_one() >= threshold:
                time.sleep(moments.random() * 0.03)  # anywhere within the next transaction or two
                break
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return process.returncode < 0


def stored(engine: Engine) -> tuple[list[Event], dict[EntityKey, bytes]]:
    """All events and states at one moment."""
    level = "REPEATABLE READ" if engine.dialect.name == "postgresql" else "SERIALIZABLE"
    with engine.connect().execution_options(isolation_level=level) as connection:
        rows = connection.execute(select(events)).all()
        states = connection.execute(select(entity_states.c.entity, entity_states.c.key, entity_states.c.state)).all()
    kept = [
        Event(row.event_id, EventType(row.type), row.event_time, row.known_at, _with_tuples(orjson.loads(row.data)), row.valid_from)
        for row in rows
    ]
    return kept, {EntityKey(Entity(entity), key): state for entity, key, state in states}


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def agree(kept: Sequence[Event], states: dict[EntityKey, bytes]) -> None:
    """Each event is in every state that it changes, once."""
    assert {key: state.to_bytes() for key, state in replay(kept).items()} == states


@pytest.mark.slow
def test_killing_a_load_loses_and_doubles_nothing(database_url: str, engine: Engine, told: Path, tmp_path: Path) -> None:
    moments = random.Random(3)
    running = 0
    for _ in range(KILLS):
        before = len(stored(engine)[0])
        threshold = before + moments.randrange(1, COUNT // (2 * KILLS))
        running += killed_at(loading(database_url, told, tmp_path / "home"), engine, threshold, moments)
        kept, states = stored(engine)
        agree(kept, states)
        assert len(kept) >= before, "what was durable before stays"
    assert running >= KILLS - 1, "it was killed while it worked"
    process = loading(database_url, told, tmp_path / "home")
    said, complaints = process.communicate(timeout=120)
    assert (process.returncode, complaints) == (0, b""), complaints.decode()
    assert b"0 refused" in said
    kept, states = stored(engine)
    agree(kept, states)
    whole = {event.event_id: event for event in map(_read, told.read_bytes().splitlines())}
    assert {event.event_id: event for event in kept} == whole
    assert len(kept) == COUNT


def _read(line: bytes) -> Event:
    return parse_event(orjson.loads(line))
