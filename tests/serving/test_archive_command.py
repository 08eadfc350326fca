"""``ordinance features archive`` and ``training-set``: from a service's events and decisions to files that a trainer reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pytest

from feature_store.entities import Entity
from feature_store.offline import Archive, training_set
from feature_store.times import format_time, now, parse_time
from feature_store.views import SERVICES
from governance.ledger.store import DecisionReader, Filters
from serving.archive_command import decided, request_of
from serving.cli import main
from serving.migrate import migrate
from serving.parity import read
from serving.settings import Settings
from serving.wiring import wire_base
from training.history import build_frames
from training.world import simulate
from training.world.export import write_world

ORDERS, SEED = 60, 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small world."""
    folder = tmp_path_factory.mktemp("world") / "files"
    write_world(simulate(ORDERS, SEED), folder)
    return folder


@pytest.fixture(scope="module")
def archive(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its events, sent to a home and archived from there in three turns."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("archive") / "events"
    base = wire_base(Settings(home=home))
    migrate(base.engine)
    base.engine.dispose()
    lines = (world / "events.jsonl").read_bytes().splitlines(keepends=True)
    for upto in (len(lines) // 3, len(lines) // 2, len(lines)):
        part = home / "part.jsonl"
        part.write_bytes(b"".join(lines[:upto]))
        assert main(["events", "load", str(part), "--home", str(home)]) == 0
        assert main(["features", "archive", str(folder), "--home", str(home)]) == 0
    return folder


def column(folder: Path, name: str) -> np.ndarray[Any, Any]:
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT \"{name}\" FROM read_parquet('{folder}/*.parquet') ORDER BY row").fetchnumpy()[name]
    return np.ma.filled(found.astype(object), None) if name == "order_id" else np.ma.filled(found.astype(np.float64), np.nan)


def test_a_world_that_was_sent_as_events_is_known_as_it_was(
    world: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--archive", str(archive), "--type", "fraud", "--requests", str(world / "orders.jsonl"), "-o", str(tmp_path / "set")]
    assert main(["features", "training-set", *asked]) == 0
    assert f"{ORDERS} rows of {len(SERVICES['fraud'].names)} features" in capsys.readouterr().out
    frame = build_frames(simulate(ORDERS, SEED).stream(), ("fraud",))["fraud"]
    assert column(tmp_path / "set", "order_id").tolist() == list(frame.keys)
    for i, name in enumerate(frame.names):
        assert column(tmp_path / "set", name).tobytes() == np.ascontiguousarray(frame.features[:, i]).tobytes(), name
    assert main(["features", "training-set", *asked]) == 1
    assert "exists already" in capsys.readouterr().err


def test_entities_are_asked_about_without_an_order(archive: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders = [orjson.loads(line)["order"] for line in (world / "orders.jsonl").read_bytes().splitlines()]
    last = orders[-1]
    file = tmp_path / "asked.jsonl"
    name = "customer_orders"
    file.write_bytes(
        orjson.dumps({"as_of": last["placed_at"], "order_id": last["order_id"], "keys": {"customer": last["customer"]["customer_id"]}})
    )
    asked = ["--archive", str(archive), "--type", "fraud", "--requests", str(file)]
    assert main(["features", "training-set", *asked, "--feature", name, "-o", str(tmp_path / "one")]) == 0
    frame = build_frames(simulate(ORDERS, SEED).stream(), ("fraud",))["fraud"]
    assert column(tmp_path / "one", name)[0] == frame.features[-1, frame.names.index(name)]
    assert main(["features", "training-set", *asked, "-o", str(tmp_path / "all")]) == 1
    assert "looks at the order" in capsys.readouterr().err
    assert main(["features", "training-set", *asked, "--feature", "none_such", "-o", str(tmp_path / "all")]) == 1
    assert "has no feature 'none_such'" in capsys.readouterr().err


def test_small_additions_become_one_segment(archive: Path) -> None:
    assert len(Archive(archive).segments) == 1


def test_decisions_are_known_as_they_were_recorded(service: Any, body: Callable[..., Any], tmp_path: Path) -> None:
    kinds = ("acceptance", "fraud", "split-order")
    assert [service.decide(kind, body(), key=kind).status for kind in kinds] == [200] * 3
    archive = Archive(tmp_path)
    archive.add_database(service.engine)
    reader = DecisionReader(service.engine)
    for kind in kinds:
        (line,) = reader.search(Filters(type=kind)).lines
        stored = reader.get(line.record_id)
        assert stored is not None
        recorded = read(stored)
        assert recorded is not None
        requests = list(decided(service.engine, kind))
        (batch,) = training_set(archive, SERVICES[kind].features, requests)
        lanes = ["" if one.lane is None else "|".join(one.lane) for one in requests]
        assert sorted(lanes) == sorted(recorded.snapshots)
        assert (len(lanes) > 1) == (kind == "split-order")
        for values, row in zip(batch.values, batch.row.tolist(), strict=True):
            assert values.tobytes() == recorded.snapshots[lanes[row]].values.tobytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--type", "custom"], "no built-in decision type"),
        (["--archive", "nowhere"], "There is no archive in nowhere"),
        (["--requests", "nowhere.jsonl"], "No such file"),
        (["--requests", "wrong.jsonl"], "Line 2 of wrong.jsonl is no request"),
        (["--type", "split-order", "--requests", "right.jsonl"], "names no lane"),
    ],
)
def test_what_cannot_be_made_is_told(
    archive: Path, world: Path, arguments: Sequence[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    first = (world / "orders.jsonl").read_bytes().splitlines(keepends=True)[0]
    Path("right.jsonl").write_bytes(first)
    Path("wrong.jsonl").write_bytes(first + b'{"as_of": "yesterday"}\n')
    standard = ["--archive", str(archive), "--type", "fraud", "--requests", "right.jsonl", "-o", "never"]
    assert main(["features", "training-set", *standard, *arguments]) == 1
    assert told in capsys.readouterr().err
    assert not Path("never").exists()
    assert not list(world.glob(".never*"))


def test_an_archive_needs_a_folder_that_can_be_written(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = wire_base(Settings(home=tmp_path))
    migrate(base.engine)
    base.engine.dispose()
    assert main(["features", "archive", str(world / "orders.jsonl"), "--home", str(tmp_path)]) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_a_request_is_an_order_or_keys_at_a_moment() -> None:
    at = format_time(now())
    one = request_of({"as_of": at, "keys": {"customer": "C-1", "sku": ["S-1", "S-2"]}, "order_id": "O-1", "lane": ["N1", "std"]})
    assert (one.as_of, one.its_order, one.lane) == (parse_time(at), "O-1", ("N1", "std"))
    assert (one.keys_of(Entity.CUSTOMER), one.keys_of(Entity.SKU)) == (("C-1",), ("S-1", "S-2"))
    keys = {"customer": "C-1"}
    for wrong, told in (
        ([], "not a JSON object"), ({"as_of": at}, "nor keys"), ({"keys": keys}, "nor as_of"), ({"as_of": "x", "keys": keys}, "x"),
        ({"as_of": at, "keys": {"buyer": "C-1"}}, "no entity"), ({"as_of": at, "keys": {"customer": [1]}}, "not texts"),
        ({"as_of": at, "keys": keys, "lane": "N1"}, "lane"), ({"order": {"order_id": "O-1"}}, "placed_at"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            request_of(wrong)
