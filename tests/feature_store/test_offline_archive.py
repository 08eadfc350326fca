"""The archive: every event once, whatever is told again and whenever the process dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import orjson
import pytest
from sqlalchemy import Engine

from feature_store.entities import Entity
from feature_store.event_pages import paged
from feature_store.events import Event, EventRefused, EventType, event_to_json
from feature_store.folding import entries
from feature_store.offline_archive import Added, Archive, ArchiveRefused
from feature_store.online import OnlineStore
from feature_store.times import DAY, parse_time

START = parse_time("2026-03-02T06:00:00Z")


def placed(number: int, at: int = START) -> Event:
    data = {"order_id": f"O-{number}", "customer_id": f"C-{number % 7}", "amount": 10.25, "device_id": "D-1", "skus": ("S-1", "S-2")}
    return Event(f"E-{number:04}", EventType.ORDER_PLACED, at + number, at + number, data)


def told(count: int) -> list[Event]:
    return [placed(number) for number in range(count)]


def rows(archive: Archive, what: str = "event_id", of: str = "events") -> list[tuple[object, ...]]:
    files = [str(path) for path in (archive.event_files() if of == "events" else archive.entry_files())]
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {what} FROM read_parquet($1) ORDER BY ALL", [files]).fetchall() if files else []


def expected_entries(events: list[Event]) -> list[tuple[object, ...]]:
    found = [
        (
            entry.key.entity.value,
            entry.into,
            entry.key.key,
            entry.item,
            *entry.entered,
            orjson.dumps(dict(entry.facts)).decode() if entry.facts else None,
        )
        for event in events
        for entry in entries(event)
    ]
    return sorted(found, key=str)


def test_an_archive_holds_each_event_once_however_often_it_is_told(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", segment=40)
    events = told(100)
    twice = [*events[:60], *events[30:90]]
    random.Random(3).shuffle(twice)
    assert archive.add(twice) == Added(90, 30)
    assert archive.add(events) == Added(10, 90)
    assert archive.add([]) == Added(0, 0)
    assert archive.add(events) == Added(0, 100)
    assert rows(archive) == [(event.event_id,) for event in events]
    assert sorted(rows(archive, "entity, history, key, item, happened, known, ref, value, facts", "entries"), key=str) == expected_entries(
        events
    )
    assert sum(segment.events for segment in archive.segments) == 100


def test_of_one_id_told_twice_the_first_counts(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    first, second = placed(1), Event("E-0001", EventType.RETURNED, START, START, {"order_id": "O-9", "customer_id": "C-9"})
    archive.add([first, second])
    assert rows(archive, "event_id, type") == [("E-0001", "order_placed")]
    archive.add([second])
    assert rows(archive, "event_id, type") == [("E-0001", "order_placed")]


def test_an_archive_from_the_database_is_the_one_from_the_stream(engine: Engine, tmp_path: Path) -> None:
    events = [*told(30), Event("E-w", EventType.WEATHER, START, START + DAY, {"region": "east", "severity": 2.5}, START + DAY)]
    OnlineStore(engine).ingest(reversed(events))
    assert {event.event_id: event for event in paged(engine)} == {event.event_id: event for event in events}
    archive, streamed = Archive(tmp_path / "a"), Archive(tmp_path / "b")
    assert archive.add_database(engine) == Added(31, 0)
    streamed.add(events)
    for of in ("events", "entries"):
        assert rows(archive, "*", of) == rows(streamed, "*", of)
    OnlineStore(engine).ingest([placed(99, START + DAY)])
    assert archive.add_database(engine, known_from=START + DAY) == Added(1, 1)


def test_json_lines_are_taken_in_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    archive = Archive(tmp_path, segment=2)
    lines = [orjson.dumps(event_to_json(event)) for event in told(4)]
    assert archive.add_json_lines([*lines, b"", lines[0]]) == Added(4, 1)
    with pytest.raises(EventRefused, match="line 3"):
        archive.add_json_lines([orjson.dumps(event_to_json(placed(7))), orjson.dumps(event_to_json(placed(8))), b"{"])
    assert len(rows(archive)) == 6, "the segment before the wrong line is there"


def test_segments_added_after_a_revision_stand_beside_the_revised(tmp_path: Path) -> None:
    archive = Archive(tmp_path, segment=10)
    archive.add(told(30))
    assert archive.revise(["C-3"], lambda event: None if event.data["customer_id"] == "C-3" else event) == 4
    assert archive.add(told(31)) == Added(5, 26)
    assert rows(archive) == [(event.event_id,) for event in told(31)]
    assert len({segment.name for segment in archive.segments}) == len(archive.segments) == 7


def test_small_segments_become_one_and_nothing_else_changes(tmp_path: Path) -> None:
    archive = Archive(tmp_path, segment=60)
    for n in range(0, 150, 30):
        archive.add(told(150)[n : n + 30])
    before = {of: rows(archive, "*", of) for of in ("events", "entries")}
    assert archive.merge() == 2
    assert sorted(segment.events for segment in archive.segments) == [30, 60, 60]
    assert {of: rows(archive, "*", of) for of in ("events", "entries")} == before
    assert max(segment.known_until for segment in archive.segments) == START + 149
    assert sorted(path.name for path in (tmp_path / "segments").iterdir()) == sorted(segment.name for segment in archive.segments)
    assert archive.merge() == 0
    assert archive.add(told(151)) == Added(1, 150)
    assert archive.merge() == 0, "one event is not worth to write thirty anew"


def test_daily_additions_leave_few_segments(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for day in range(9):
        archive.add([placed(day)])
        archive.merge()
        assert len(archive.segments) <= 3
    assert rows(archive) == [(event.event_id,) for event in told(9)]


def test_who_reads_keeps_the_files_that_a_merge_replaces(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(told(3))
    archive.add(told(6)[3:])
    done = threading.Event()

    def merge() -> None:
        archive.merge()
        done.set()

    merging = threading.Thread(target=merge)
    with archive.reading():
        files = archive.event_files()
        merging.start()
        while len(archive.segments) == 2:
            assert merging.is_alive()
        assert all(path.exists() for path in files)
        assert not done.is_set()
    merging.join()
    assert not any(path.exists() for path in files)
    assert len(rows(archive)) == 6


def test_what_no_manifest_names_does_not_count_and_is_swept_away(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(told(5))
    stray = tmp_path / "segments" / "000002"
    stray.mkdir()
    (stray / "events.parquet").write_bytes(b"half of a file")
    assert len(rows(archive)) == 5
    archive.add([placed(50)])
    assert len(rows(archive)) == 6
    assert sorted(path.name for path in (tmp_path / "segments").iterdir()) == ["000001", "000002"]
    assert list(tmp_path.glob("ordinance-offline-*")) == []


def test_an_archive_of_other_folding_rules_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(told(2))
    manifest = tmp_path / "manifest.json"
    as_it_was = manifest.read_bytes()
    manifest.write_bytes(orjson.dumps({**orjson.loads(as_it_was), "folds": "others"}))
    with pytest.raises(ArchiveRefused, match="make it anew"):
        archive.add(told(3))
    manifest.write_bytes(as_it_was[:-20])
    with pytest.raises(ArchiveRefused, match="no manifest"):
        _ = archive.segments


_FILLING = """
    import sys
    from pathlib import Path
    from feature_store.events import Event, EventType
    from feature_store.offline_archive import Archive

    def told():
        for n in range(200):
            print(n, flush=True)
            yield Event(f"E-{n:04}", EventType.RETURNED, n, n, {"order_id": f"O-{n}", "customer_id": "C-1"})

    Archive(Path(sys.argv[1]), segment=25).add(told())
"""


@pytest.mark.slow
def test_a_writer_killed_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    after = 110
    filling = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_FILLING), str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert filling.stdout is not None
    for line in filling.stdout:
        if int(line) >= after:
            os.kill(filling.pid, signal.SIGKILL)
            break
    filling.communicate()
    assert filling.returncode == -signal.SIGKILL
    archive = Archive(tmp_path, segment=150)
    kept = len(rows(archive))
    assert kept % 25 == 0
    assert kept >= after // 25 * 25 - 25

    def again() -> Iterator[Event]:
        return (Event(f"E-{n:04}", EventType.RETURNED, n, n, {"order_id": f"O-{n}", "customer_id": "C-1"}) for n in range(200))

    assert archive.add(again()) == Added(200 - kept, kept)
    assert rows(archive) == [(f"E-{n:04}",) for n in range(200)]
    assert len(rows(archive, "key", "entries")) == 200
    assert {row[0] for row in rows(archive, "entity", "entries")} == {Entity.CUSTOMER.value}
