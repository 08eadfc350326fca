"""Events and what folding makes of them, as tables of DuckDB: what becomes a segment of an archive."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import duckdb
import numpy as np
import orjson

from feature_store.events import Event
from feature_store.folding import entries
from feature_store.offline_duckdb import append, texts

_FLUSH: Final = 20_000
"""Events held in memory between two writes."""


def stage_events(connection: duckdb.DuckDBPyConnection, events: Iterable[Event]) -> int:
    """Write events and what folding makes of them into the tables ``staged_events`` and ``staged_entries``, each row with the place of its event.

    Args:
        connection: where the tables are made.
        events: consumed once, in batches.

    Returns:
        how many there were.
    """
    connection.execute(
        "CREATE TABLE staged_events (seq BIGINT, event_id VARCHAR, type VARCHAR, event_time BIGINT, known_at BIGINT, valid_from BIGINT, data BLOB)"
    )
    connection.execute(
        "CREATE TABLE staged_entries (seq BIGINT, entity VARCHAR, history VARCHAR, key VARCHAR, item VARCHAR, happened BIGINT, known BIGINT, "
        "ref BIGINT, value BIGINT, facts VARCHAR)"
    )
    told = 0
    stream = iter(events)
    while batch := list(islice(stream, _FLUSH)):
        _stage_events(connection, batch, told)
        _stage_entries(connection, batch, told)
        told += len(batch)
    return told


def _stage_events(connection: duckdb.DuckDBPyConnection, batch: list[Event], start: int) -> None:
    starts = [event.valid_from for event in batch]
    columns: dict[str, Any] = {
        "seq": np.arange(start, start + len(batch), dtype=np.int64),
        "event_id": texts([event.event_id for event in batch]),
        "type": texts([event.type.value for event in batch]),
        "event_time": np.array([event.event_time for event in batch], dtype=np.int64),
        "known_at": np.array([event.known_at for event in batch], dtype=np.int64),
        "valid_from": np.ma.masked_array([at or 0 for at in starts], [at is None for at in starts], dtype=np.int64),
        "data": texts([orjson.dumps(dict(event.data)).decode() for event in batch]),
    }
    append(
        connection,
        "INSERT INTO staged_events SELECT seq, event_id, type, event_time, known_at, valid_from, encode(data) FROM rows",
        columns,
    )


def _stage_entries(connection: duckdb.DuckDBPyConnection, batch: list[Event], start: int) -> None:
    seq: list[int] = []
    named: list[tuple[str, str, str, str, str | None]] = []
    numbers: list[tuple[int, int, int, int]] = []
    for at, event in enumerate(batch, start):
        for entry in entries(event):
            seq.append(at)
            facts = orjson.dumps(dict(entry.facts)).decode() if entry.facts else None
            named.append((entry.key.entity.value, entry.into, entry.key.key, entry.item, facts))
            numbers.append(entry.entered)
    if not seq:
        return
    columns: dict[str, Any] = {"seq": np.array(seq, dtype=np.int64)}
    for i, name in enumerate(("entity", "history", "key", "item", "facts")):
        columns[name] = texts([row[i] for row in named])
    matrix = np.array(numbers, dtype=np.int64)
    for i, name in enumerate(("happened", "known", "ref", "value")):
        columns[name] = np.ascontiguousarray(matrix[:, i])
    append(
        connection,
        "INSERT INTO staged_entries SELECT seq, entity, history, key, item, happened, known, ref, value, facts FROM rows",
        columns,
    )
