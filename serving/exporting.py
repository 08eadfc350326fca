"""Exports of decisions: rows in, bytes out, as they come. Memory holds one page of rows, however many there are."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from feature_store.times import format_time
from governance.ledger.store import MAX_LIMIT, DecisionLine, DecisionReader, Filters
from serving.lookups import line_json
from serving.rendering import to_bytes

MEDIA: Final[Mapping[str, str]] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
"""The formats, and what they are sent as."""

COLUMNS: Final[Mapping[str, str]] = {
    "decision_id": "text", "type": "text", "outcome": "text", "status": "text", "decided_at": "time", "latency_ms": "real", "order_id": "text",
    "order_version": "whole", "customer_id": "text", "region": "text", "channel": "text", "tags": "text", "reasons": "text",
    "probability": "real", "model_name": "text", "model_version": "whole", "model_digest": "text", "policy_id": "text",
    "policy_version": "whole", "policy_digest": "text", "principal": "text", "request_id": "text",
}  # fmt: skip
"""The columns of a table and what they hold; lists are joined by ``|``."""
_DECIDED_AT: Final = list(COLUMNS).index("decided_at")

_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
MEMORY: Final = "256MB"
"""What the making of a Parquet file may take."""
PIECE: Final = 2**18
_READ: Final[Mapping[str, str]] = {"text": "VARCHAR", "time": "BIGINT", "real": "DOUBLE", "whole": "BIGINT"}

Counted = Callable[[int], None]


def pages(reader: DecisionReader, filters: Filters) -> Iterator[Sequence[DecisionLine]]:
    """Every decision that passes, newest first, page by page to the very end."""
    cursor: str | None = None
    while True:
        page = reader.search(filters, cursor, MAX_LIMIT)
        yield page.lines
        cursor = page.next_cursor
        if cursor is None:
            return


def write(kind: str, found: Iterable[Sequence[DecisionLine]], counted: Counted) -> Iterator[bytes]:
    """The bytes of an export.

    Args:
        kind: one of :data:`MEDIA`.
        found: the rows, page by page.
        counted: told of how many rows each piece holds, before it is handed over.
    """
    return {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[kind](found, counted)


def neutral(text: str) -> str:
    """A text that a spreadsheet takes for a text: what would begin a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def _row(line: DecisionLine) -> list[Any]:
    return [
        line.record_id, line.type, line.outcome, line.status, format_time(line.decided_at), line.latency_us / 1000, line.order_id,
        line.order_version, line.customer_id, line.region, line.channel, "|".join(line.tags), "|".join(line.reasons), line.probability,
        line.model_name, line.model_version, line.model_digest, line.policy_id, line.policy_version, line.policy_digest, line.principal,
        line.request_id,
    ]  # fmt: skip


def _csv(found: Iterable[Sequence[DecisionLine]], counted: Counted) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for lines in found:
        for line in lines:
            writer.writerow(["" if cell is None else neutral(cell) if isinstance(cell, str) else repr(cell) for cell in _row(line)])
        counted(len(lines))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _jsonl(found: Iterable[Sequence[DecisionLine]], counted: Counted) -> Iterator[bytes]:
    for lines in found:
        counted(len(lines))
        yield b"".join(to_bytes(line_json(line)) + b"\n" for line in lines)


def _parquet(found: Iterable[Sequence[DecisionLine]], counted: Counted) -> Iterator[bytes]:
    """A Parquet file ends with what is in it, so it is made whole beside, and then sent.

    While it grows, empty pieces let the sender notice that nobody waits any more.
    """
    import duckdb  # only who exports so waits for it

    with tempfile.TemporaryDirectory(prefix="ordinance-export-") as folder:
        table, parquet = Path(folder) / "table.csv", Path(folder) / "table.parquet"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            for lines in found:
                for line in lines:
                    row = _row(line)
                    row[_DECIDED_AT] = line.decided_at
                    writer.writerow(row)
                counted(len(lines))
                yield b""
        with duckdb.connect(config={"memory_limit": MEMORY, "threads": 1, "temp_directory": folder}) as connection:
            connection.execute(_copy(table, parquet))
        with parquet.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def _copy(table: Path, parquet: Path) -> str:
    columns = ", ".join(f"'{name}': '{_READ[kind]}'" for name, kind in COLUMNS.items())
    texts = ", ".join(f"'{name}'" for name in ("tags", "reasons"))
    read = f"read_csv('{table}', header=false, delim=',', quote='\"', escape='\"', nullstr='', force_not_null=[{texts}], columns={{{columns}}})"
    shown = ", ".join(f"epoch_ms({name}) AS {name}" if kind == "time" else name for name, kind in COLUMNS.items())
    return f"COPY (SELECT {shown} FROM {read}) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)"  # noqa: S608 - our own names
