"""DuckDB as the offline store uses it: bounded memory, a folder of its own to spill to, plain numpy in and out, nothing from the network."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

MEMORY: Final = "2GB"
"""What DuckDB may hold in memory where nothing else is said; beyond it goes to the temporary folder."""

Column = NDArray[Any]


@contextlib.contextmanager
def connect(temporary: Path | None = None, *, memory: str = MEMORY, threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of our own, whose tables live in memory as far as it reaches, and beyond it in a temporary folder that is gone afterwards.

    Args:
        temporary: where that folder is made; the system's temporary folder where nothing is said.
        memory: what it may hold in memory, such as ``2GB``.
        threads: how many it may use.
    """
    with tempfile.TemporaryDirectory(prefix="ordinance-offline-", dir=temporary) as folder:
        settings = {
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": folder,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        connection = duckdb.connect(config=settings)
        try:
            yield connection
        finally:
            connection.close()


def quoted(text: str | Path) -> str:
    """A text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def file_list(paths: Sequence[Path]) -> str:
    """Paths as a list literal of SQL."""
    return "[" + ", ".join(quoted(path) for path in paths) + "]"


def append(connection: duckdb.DuckDBPyConnection, statement: str, columns: Mapping[str, Column]) -> None:
    """Run a statement that reads ``rows``, a table of these columns."""
    connection.register("rows", dict(columns))
    try:
        connection.execute(statement)
    finally:
        connection.unregister("rows")


def texts(values: Sequence[str | None]) -> Column:
    """Texts, ``None`` among them, as a column."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
