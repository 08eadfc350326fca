"""Training sets: what was known of any entities at any moments, from the archive, by the definitions that answer requests.

    archive = Archive(folder)
    archive.add_database(engine)
    for batch in training_set(archive, SERVICES["fraud"].features, requests): ...

Declared aggregates become SQL over Parquet (:mod:`~feature_store.offline_sql`); the functions that combine them, and those of the request and of
facts, run as they are (:mod:`~feature_store.offline_rows`). Both clocks count as they do online: an item counts when it was known and had happened.
All of it works in bounded memory: DuckDB spills to a temporary folder, and rows leave in batches.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from feature_store.folding import Shape
from feature_store.offline_archive import Added, Archive, ArchiveRefused
from feature_store.offline_duckdb import MEMORY, append, connect, file_list, quoted, texts
from feature_store.offline_requests import Request, stage
from feature_store.offline_rows import OrderMissing, Part, Replay, Slice, aggregates, compute, histories, plain
from feature_store.offline_sql import Asked, Computed
from feature_store.views.definition import Feature
from feature_store.views.parts import Aggregate, How

__all__ = ["Added", "Archive", "ArchiveRefused", "Batch", "OrderMissing", "Request", "Written", "training_set", "write_training_set"]

ROWS: Final = 50_000
"""Rows of a batch."""

AT: Final = "__at"
"""What follows a feature's name in the name of the column with its event times."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a training set, oldest moment first.

    Attributes:
        names: of the features.
        row: int64, (rows,): the request's place in the list that was given.
        order_id: texts, (rows,): the request's own order; ``None`` where it names none.
        as_of: int64, (rows,).
        values: float64, (rows, features); NaN where not known.
        event_times: int64, (rows, features): when the newest fact in each value happened; -1 for none.
    """

    names: tuple[str, ...]
    row: NDArray[np.int64]
    order_id: NDArray[Any]
    as_of: NDArray[np.int64]
    values: NDArray[np.float64]
    event_times: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def columns(self) -> dict[str, NDArray[Any]]:
        """As columns: ``row``, ``order_id``, ``as_of``, and for each feature its value and its event time."""
        found: dict[str, NDArray[Any]] = {"row": self.row, "order_id": self.order_id, "as_of": self.as_of}
        for i, name in enumerate(self.names):
            found[name] = np.ascontiguousarray(self.values[:, i])
            times = np.ascontiguousarray(self.event_times[:, i])
            found[name + AT] = np.ma.masked_array(times, times < 0)
        return found

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Its columns as an Arrow stream, by the PyCapsule protocol: pyarrow, polars and DuckDB take a batch as it is.

        What is not known is null.
        """
        connection = duckdb.connect()  # lives as long as the stream that it feeds
        connection.register("rows", self.columns())
        return connection.sql("FROM rows").__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, slots=True)
class Written:
    """A training set on disk: a folder of Parquet files, each a batch; what is not known is null."""

    folder: Path
    rows: int
    files: int


def training_set(
    archive: Archive,
    features: Sequence[Feature],
    requests: Iterable[Request],
    *,
    memory: str = MEMORY,
    threads: int = 2,
    temporary: Path | None = None,
    rows: int = ROWS,
) -> Iterator[Batch]:
    """What each feature was at the moment of each request.

    Args:
        archive: of the events.
        features: such as those of a service, or some of them.
        requests: consumed once; any number, in any order.
        memory: what DuckDB may hold in memory.
        threads: how many it may use.
        temporary: where it may spill to.
        rows: of a batch.

    Yields:
        batches by ``as_of``, requests of one moment as they came.

    Raises:
        ArchiveRefused: the archive was made by other folding rules.
        OrderMissing: a feature looks at the order, and a request has none.
    """
    features = tuple(features)
    by_row = {column: feature for column, feature in enumerate(features) if plain(feature) is None}
    reads = histories(tuple(by_row.values()))
    parts = list(dict.fromkeys(part for feature in features for part in aggregates(feature)))
    entities = {part.entity for part in parts} | {entity for entity, _ in reads}
    owns = {own for part in parts for own in (part.own, part.item) if own is not None}
    with connect(temporary, memory=memory, threads=threads) as connection:
        count = stage(connection, requests, entities=sorted(entities), owns=sorted(owns), bodies=bool(by_row))
        with archive.reading():
            _view(connection, archive.entry_files())
            computed = _compute(connection, parts)
            prepared = _Prepared(connection, features, by_row, computed, Replay(connection, reads) if by_row else None)
        for first in range(0, count, rows):
            yield prepared.batch(first, min(first + rows, count))


def write_training_set(archive: Archive, features: Sequence[Feature], requests: Iterable[Request], folder: Path, **options: Any) -> Written:
    """Write a training set into a folder that does not exist yet: Parquet files, which appear there all at once or not at all.

    Args:
        archive: of the events.
        features: as for :func:`training_set`.
        requests: as for :func:`training_set`.
        folder: made by this; the one that it lies in too, where it is missing.
        options: the others of :func:`training_set`; ``temporary`` is by default where the folder lies.

    Raises:
        FileExistsError: there is such a folder.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; a training set is written into a new folder")
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    aside.mkdir(parents=True)
    options.setdefault("temporary", folder.parent)
    rows = files = 0
    try:
        with duckdb.connect() as writer:
            for batch in training_set(archive, features, requests, **options):
                target = aside / f"part-{files:05}.parquet"
                append(writer, f"COPY rows TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)", batch.columns())
                files += 1
                rows += len(batch)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return Written(folder, rows, files)


def _view(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """The entries of the archive as ``entries``."""
    if files:
        connection.execute(f"CREATE VIEW entries AS SELECT * FROM read_parquet({file_list(files)})")
    else:
        connection.execute(
            "CREATE TABLE entries (entity VARCHAR, history VARCHAR, key VARCHAR, item VARCHAR, happened BIGINT, known BIGINT, ref BIGINT, "
            "value BIGINT, facts VARCHAR)"
        )


def _compute(connection: duckdb.DuckDBPyConnection, parts: Sequence[Aggregate]) -> list[Computed]:
    """Compute all aggregates, those over the items of one series together."""
    computed: list[Computed] = []
    for entity in sorted({part.entity for part in parts}):
        asked = Asked(connection, entity)
        together: dict[str, list[tuple[Aggregate, int]]] = {}
        for n, part in enumerate(parts):
            if part.entity is not entity:
                continue
            if part.fold.shape is Shape.TALLY:
                computed.append(asked.of_tally(part, n, f"part_{n}"))
            elif part.how is How.SHARE:
                computed.append(asked.of_share(part, n, f"part_{n}"))
            else:
                together.setdefault(part.series, []).append((part, n))
        computed += [asked.of_series(series, group, f"part_{group[0][1]}") for series, group in together.items()]
        asked.drop()
    return computed


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that is computed before the first row leaves."""

    connection: duckdb.DuckDBPyConnection
    features: tuple[Feature, ...]
    by_row: Mapping[int, Feature]
    computed: Sequence[Computed]
    replay: Replay | None

    def batch(self, first: int, last: int) -> Batch:
        """The requests from ``first`` to ``last`` (not included)."""
        told = self.connection.execute(
            f"SELECT row, order_id, as_of FROM requests WHERE rid >= {first} AND rid < {last} ORDER BY rid"
        ).fetchnumpy()
        as_of: NDArray[np.int64] = told["as_of"]
        found: dict[Aggregate, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}
        for one in self.computed:
            found |= _read(self.connection, one, first, last)
        values = np.empty((len(self.features), last - first), dtype=np.float64)
        times = np.empty((len(self.features), last - first), dtype=np.int64)
        for column, feature in enumerate(self.features):
            part = plain(feature)
            if part is not None:
                values[column], times[column] = _settled(feature, *found[part], as_of)
        if self.replay is not None:
            used = {part for feature in self.by_row.values() for part in aggregates(feature)}
            lists = {part: Part(found[part][0].tolist(), found[part][1].tolist()) for part in used}
            compute(self.by_row, self.replay.situations(Slice(first, last, int(as_of[-1]))), lists, values, times)
        names = tuple(one.name for one in self.features)
        order_ids = texts(np.ma.getdata(told["order_id"]).tolist())
        return Batch(names, told["row"], order_ids, as_of, np.ascontiguousarray(values.T), np.ascontiguousarray(times.T))


def _read(
    connection: duckdb.DuckDBPyConnection, computed: Computed, first: int, last: int
) -> dict[Aggregate, tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """The values of a table's aggregates for the requests of a slice: NaN and -1 where there is none."""
    wanted = ", ".join(f"coalesce(v{n}, 'nan'::DOUBLE) AS v{n}, coalesce(t{n}, -1) AS t{n}" for _, n in computed.parts)
    rows = connection.execute(f"SELECT rid, {wanted} FROM {computed.table} WHERE rid >= {first} AND rid < {last}").fetchnumpy()
    at = rows["rid"] - first
    found = {}
    for part, n in computed.parts:
        values, times = np.full(last - first, math.nan), np.full(last - first, -1, dtype=np.int64)
        values[at], times[at] = rows[f"v{n}"], rows[f"t{n}"]
        found[part] = values, times
    return found


def _settled(
    feature: Feature, values: NDArray[np.float64], times: NDArray[np.int64], as_of: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What :func:`feature_store.views.definition.settle` does, for a column."""
    unknown = np.isnan(values)
    if feature.ttl is not None:
        unknown |= (times >= 0) & (as_of - times > feature.ttl)
    return np.where(unknown, feature.default, values), np.where(unknown, -1, times)
