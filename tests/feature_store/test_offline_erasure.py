"""Forgetting in an archive: its files are those of an archive that was never told of the person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.offline_archive import Archive
from feature_store.offline_erasure import erase_in_archive
from feature_store.retention import ErasureRefused
from feature_store.times import HOUR

AT = 1_794_000_000_000
WHO = "C-9-forget-me"


def order(number: int, customer: str) -> list[Event]:
    """An order and what was shipped of it; two customers do the same in the same moment."""
    at, order_id = AT + number * HOUR, f"SO-{customer}-{number}"
    placed = {"order_id": order_id, "customer_id": customer, "amount": 10.0, "ip": "203.0.113.7", "skus": ("S-1",), "region": "east"}
    return [
        Event(f"placed-{order_id}", EventType.ORDER_PLACED, at, at, placed),
        Event(f"shipped-{order_id}", EventType.SHIPPED, at, at + HOUR, {"order_id": order_id, "node_id": "N1", "late": True}),
    ]


def told() -> list[Event]:
    return [
        event for number in range(12) for customer in (WHO, "C-1") for event in order(number, customer) if number < 5 or customer != WHO
    ]


def rows(archive: Archive) -> dict[str, list[object]]:
    """What the files of an archive hold, whatever the segments."""
    files = {"events": archive.event_files(), "entries": archive.entry_files()}
    with duckdb.connect() as connection:
        return {
            name: sorted(connection.execute("SELECT * FROM read_parquet(?)", [[str(path) for path in paths]]).fetchall(), key=str)
            for name, paths in files.items()
        }


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive", segment=11)
    made.add(told())
    return made


def test_what_is_left_is_what_others_did(archive: Archive, tmp_path: Path) -> None:
    before = archive.segments
    assert erase_in_archive(archive, EntityKey(Entity.CUSTOMER, WHO)) == 10
    others = Archive(tmp_path / "others")
    others.add([event for event in told() if WHO not in str(event.data)])
    assert rows(archive) == rows(others)
    assert [one.events for one in archive.segments] != [one.events for one in before]
    assert sum(one.entries for one in archive.segments) == sum(one.entries for one in others.segments)
    assert archive.segments[-1] == before[-1], "a segment that tells nothing of the person is left alone"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"forget-me" in path.read_bytes()]
    folders = {path.name for path in (tmp_path / "archive" / "segments").iterdir()}
    assert folders == {one.name for one in archive.segments}
    assert erase_in_archive(archive, EntityKey(Entity.CUSTOMER, WHO)) == 0
    assert archive.add(told()).accepted == 10, "events go on being told once by their id"


def test_an_ip_is_taken_out(archive: Archive, tmp_path: Path) -> None:
    assert erase_in_archive(archive, EntityKey(Entity.IP, "203.0.113.7")) == 17
    without = Archive(tmp_path / "without")
    without.add([replace(event, data={name: value for name, value in event.data.items() if name != "ip"}) for event in told()])
    assert rows(archive) == rows(without)


def test_what_is_not_a_person_and_an_archive_that_is_not_there(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ErasureRefused):
        erase_in_archive(archive, EntityKey(Entity.SKU, "S-1"))
    assert erase_in_archive(Archive(tmp_path / "none"), EntityKey(Entity.CUSTOMER, WHO)) == 0
