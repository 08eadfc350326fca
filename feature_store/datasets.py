"""Accepted files, each stored once under the SHA-256 of its bytes as they came.

A file is taken as a stream of chunks, counted and hashed while it is written, and only moved to its place when it reads as a table: nothing
half-written is ever seen. Rows are numbered as a spreadsheet counts records: the header is row 1.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Engine, Row, insert, select, update

from feature_store import sniffing
from feature_store.problems import DataProblem, DataRefused
from feature_store.tables import datasets as datasets_table
from feature_store.times import Millis, now
from feature_store.wording import told

__all__ = ["DataProblem", "DataRefused", "Dataset", "Limits", "Receiver", "accept", "find", "records", "save_report", "stored_report"]

_DATA = "data"
_FACTS = "facts.json"
_LISTED = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may be at most; bytes are counted as sent and again as unpacked."""

    bytes: int = 1 << 30
    unpacked_bytes: int = 4 << 30
    rows: int = 5_000_000
    columns: int = 1_000


@dataclass(frozen=True, slots=True)
class Dataset:
    """One accepted file.

    Attributes:
        sha256: hex digest of the bytes as they were sent (packed, where they were packed).
        path: where these bytes lie; never changed after acceptance.
        rows: data records, without the header.
        bytes: size as sent.
    """

    dataset_id: str
    sha256: str
    name: str
    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    rows: int
    bytes: int
    template: str
    uploaded_by: str
    uploaded_at: Millis


Also = Callable[[Connection, Dataset], None]
"""What else is written when a dataset is accepted, in the same transaction."""


class Receiver:
    """Takes the chunks of one upload; :meth:`finish` makes it a dataset, anything else leaves nothing behind.

    Args:
        folder: the home's folder of datasets.
        limits: what is taken at most.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._folder = folder
        self._limits = limits or Limits()
        folder.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
        self._file = (self._work / _DATA).open("wb")
        self._hash = hashlib.sha256()
        self._bytes = 0

    def write(self, chunk: bytes) -> None:
        """Take the next chunk.

        Raises:
            DataRefused: the upload is too large; what was written is gone.
        """
        self._bytes += len(chunk)
        if self._bytes > self._limits.bytes:
            self.abort()
            raise DataRefused([sniffing.too_large(self._limits.bytes)])
        self._hash.update(chunk)
        self._file.write(chunk)

    def abort(self) -> None:
        """Forget the upload."""
        self._file.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def finish(self, *, name: str, template: str, uploaded_by: str, at: Millis | None = None) -> Dataset:
        """Read the file once as a table and move it to its place.

        Raises:
            DataRefused: empty, unreadable, ragged, too wide or too long; what was written is gone.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            path = self._work / _DATA
            sha256 = self._hash.hexdigest()
            encoding = sniffing.find_encoding(path, self._limits.unpacked_bytes)
            delimiter = _delimiter(path, encoding)
            columns, rows = _measure(path, encoding, delimiter, self._limits)
            facts = {"encoding": encoding, "delimiter": delimiter, "columns": columns, "rows": rows, "bytes": self._bytes}
            (self._work / _FACTS).write_bytes(orjson.dumps(facts))
            place = self._settle(sha256)
        finally:
            self.abort()
        return Dataset(
            str(uuid.uuid4()),
            sha256,
            name,
            place / _DATA,
            encoding,
            delimiter,
            columns,
            rows,
            self._bytes,
            template,
            uploaded_by,
            at or now(),
        )

    def _settle(self, sha256: str) -> Path:
        """Move the file to its place. Where the same bytes were accepted before, those stay, unless they are damaged."""
        place = self._folder / sha256
        if place.is_dir() and not _intact(place, sha256):
            damaged = self._folder / f".damaged-{uuid.uuid4().hex}"
            place.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        try:
            self._work.rename(place)
        except OSError:
            if not place.is_dir():
                raise
        return place


def accept(
    stream: Iterable[bytes],
    folder: Path,
    engine: Engine,
    *,
    name: str,
    template: str = "custom",
    uploaded_by: str,
    limits: Limits | None = None,
    at: Millis | None = None,
    also: Also | None = None,
) -> Dataset:
    """Take a file chunk by chunk, check that it is a table, store it and note it in the database; ``also`` as :func:`note` has it.

    Raises:
        DataRefused: the file cannot be used; nothing of it is kept.
    """
    receiver = Receiver(folder, limits)
    try:
        for chunk in stream:
            receiver.write(chunk)
    except BaseException:
        receiver.abort()
        raise
    dataset = receiver.finish(name=name, template=template, uploaded_by=uploaded_by, at=at)
    note(engine, dataset, also)
    return dataset


def note(engine: Engine, dataset: Dataset, also: Also | None = None) -> None:
    """Write the dataset's row, and what else follows from it in the same transaction; its report is empty until :func:`save_report`."""
    row = {
        "dataset_id": dataset.dataset_id,
        "sha256": dataset.sha256,
        "name": dataset.name,
        "template": dataset.template,
        "rows": dataset.rows,
        "bytes": dataset.bytes,
        "report": b"{}",
        "uploaded_by": dataset.uploaded_by,
        "uploaded_at": dataset.uploaded_at,
    }
    with engine.begin() as connection:
        connection.execute(insert(datasets_table).values(row))
        if also is not None:
            also(connection, dataset)


def save_report(engine: Engine, dataset_id: str, report: dict[str, Any]) -> None:
    """Keep the newest check report beside its dataset."""
    with engine.begin() as connection:
        connection.execute(
            update(datasets_table)
            .where(datasets_table.c.dataset_id == dataset_id)
            .values(report=orjson.dumps(report, option=orjson.OPT_SERIALIZE_NUMPY))
        )


def stored_report(engine: Engine, dataset_id: str) -> dict[str, Any]:
    """The report kept by :func:`save_report`; empty when there is none."""
    with engine.connect() as connection:
        report = connection.execute(select(datasets_table.c.report).where(datasets_table.c.dataset_id == dataset_id)).scalar_one_or_none()
    return cast("dict[str, Any]", orjson.loads(report)) if report else {}


def find(engine: Engine, folder: Path, dataset_id: str) -> Dataset | None:
    """The dataset of that id, or None.

    Raises:
        DataRefused: it is known, but its file is missing or damaged.
    """
    with engine.connect() as connection:
        row = connection.execute(select(datasets_table).where(datasets_table.c.dataset_id == dataset_id)).one_or_none()
    return None if row is None else _from_row(row, folder)


def listing(engine: Engine, folder: Path, limit: int = 100) -> list[Dataset]:
    """The newest datasets whose files are there and whole."""
    query = select(datasets_table).order_by(datasets_table.c.uploaded_at.desc(), datasets_table.c.dataset_id).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    found: list[Dataset] = []
    for row in rows:
        with contextlib.suppress(DataRefused):
            found.append(_from_row(row, folder))
    return found


def _from_row(row: Row[Any], folder: Path) -> Dataset:
    place = folder / row.sha256
    try:
        facts = orjson.loads((place / _FACTS).read_bytes())
        columns = tuple(facts["columns"])
        size = (place / _DATA).stat().st_size
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = DataProblem(
            "dataset_missing",
            ("dataset_id",),
            told("dataset_missing", dataset_id=row.dataset_id, error=str(error)),
            fix=told("upload_again.fix"),
        )
        raise DataRefused([problem]) from error
    if size != row.bytes:
        msg = told("dataset_damaged.size", size=size, expected=row.bytes)
        raise DataRefused([DataProblem("dataset_damaged", ("dataset_id",), msg, fix=told("upload_again.fix"))])
    return Dataset(
        row.dataset_id,
        row.sha256,
        row.name,
        place / _DATA,
        facts["encoding"],
        facts["delimiter"],
        columns,
        row.rows,
        row.bytes,
        row.template,
        row.uploaded_by,
        row.uploaded_at,
    )


def verify(dataset: Dataset) -> None:
    """Hash the stored bytes again.

    Raises:
        DataRefused: they are not the bytes that were accepted.
    """
    if _digest(dataset.path) != dataset.sha256:
        problem = DataProblem("dataset_damaged", ("dataset_id",), told("dataset_damaged"), fix=told("upload_again.fix"))
        raise DataRefused([problem])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _intact(place: Path, sha256: str) -> bool:
    """Whether an accepted file is still what was accepted."""
    try:
        return bool(orjson.loads((place / _FACTS).read_bytes())["columns"]) and _digest(place / _DATA) == sha256
    except (OSError, ValueError, KeyError, TypeError):
        return False


def records(dataset: Dataset) -> Iterator[list[str]]:
    """The data records of an accepted file, in its order, each as wide as the header; blank lines are left out."""
    return itertools.islice(_records(dataset.path, dataset.encoding, dataset.delimiter), 1, None)


def renamed(dataset: Dataset, template: str) -> Dataset:
    """The same file under another template."""
    return replace(dataset, template=template)


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[list[str]]:
    with sniffing.open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as text:
        for record in csv.reader(text, delimiter=delimiter, strict=True):
            if record:
                yield record


def _delimiter(path: Path, encoding: str) -> str:
    with sniffing.open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as text:
        sample = text.read(sniffing.SAMPLE_BYTES)
    return sniffing.find_delimiter(sample)


def _measure(path: Path, encoding: str, delimiter: str, limits: Limits) -> tuple[tuple[str, ...], int]:
    """Walk over the whole file: names of the columns and number of records, or every reason why it is no table."""
    reader = _records(path, encoding, delimiter)
    problems: list[DataProblem] = []
    ragged = rows = 0
    header = [name.strip() for name in next(reader, [])]
    problems += sniffing.check_header(header)
    if len(header) > limits.columns:
        msg = told("too_many_columns", count=len(header), most=limits.columns)
        problems.append(DataProblem("too_many_columns", ("file",), msg, row=1, fix=told("too_many_columns.fix")))
    try:
        for rows, record in enumerate(reader, start=1):
            if len(record) != len(header):
                ragged += 1
                if ragged <= _LISTED:
                    problems.append(_ragged(rows + 1, len(record), len(header)))
            if rows > limits.rows:
                msg = told("too_many_rows", most=limits.rows)
                problems.append(DataProblem("too_many_rows", ("file",), msg, row=rows + 1, fix=told("too_many_rows.fix")))
                break
    except csv.Error as error:
        msg = told("broken_record", error=str(error))
        problems.append(DataProblem("broken_record", ("file",), msg, row=rows + 2, fix=told("broken_record.fix")))
    if not problems and rows == 0:
        problems.append(DataProblem("no_rows", ("file",), told("no_rows"), fix=told("no_rows.fix")))
    if problems:
        if ragged > _LISTED:
            msg = told("ragged_rows", count=ragged, listed=_LISTED)
            problems.insert(0, DataProblem("ragged_rows", ("file",), msg, fix=told("ragged_rows.fix"), count=ragged))
        raise DataRefused(problems)
    return tuple(header), rows


def _ragged(row: int, found: int, expected: int) -> DataProblem:
    key = "more" if found > expected else "one" if found == 1 else "fewer"
    msg = told(f"ragged_row.{key}", found=found, expected=expected)
    return DataProblem("ragged_row", ("file",), msg, row=row, fix=told("ragged_row.fix"))
