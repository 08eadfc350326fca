"""Guess how a text file is written: encoding, delimiter, header. Each guess is checked on the whole file before it is believed."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from feature_store.problems import DataProblem, DataRefused
from feature_store.wording import Text, told

SAMPLE_BYTES = 256 * 1024
DELIMITERS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What spreadsheets of the world write where they do not write UTF-8; the order breaks ties.
_LEGACY = ("gb18030", "cp1252", "big5", "cp932", "cp949", "cp1250", "cp1251")
_BINARY = (
    (b"PK\x03\x04", Text("an Excel workbook or a zip archive", "Excel 工作簿或 zip 压缩包")),
    (b"\xd0\xcf\x11\xe0", Text("an old Excel workbook", "旧版 Excel 工作簿")),
    (b"PAR1", Text("a Parquet file", "Parquet 文件")),
    (b"%PDF", Text("a PDF document", "PDF 文档")),
)
_SAVE_AS = told("save_as")
_CHUNK = 1 << 20


def is_gzip(path: Path) -> bool:
    """Whether the file starts with gzip's magic bytes."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_bytes(path: Path) -> BinaryIO:
    """The file's bytes, unpacked where it is gzipped."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def chunks(path: Path, limit: int) -> Iterator[bytes]:
    """The unpacked bytes, at most ``limit`` of them.

    Raises:
        DataRefused: more bytes than that, or a broken archive.
    """
    seen = 0
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK):
                seen += len(chunk)
                if seen > limit:
                    raise DataRefused([too_large(limit)])
                yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = DataProblem("broken_archive", ("file",), told("broken_archive", error=str(error)), fix=told("broken_archive.fix"))
        raise DataRefused([problem]) from error


def too_large(limit: int) -> DataProblem:
    """The problem of a file over the limit."""
    return DataProblem("too_large", ("file",), told("too_large", mib=limit / 2**20), fix=told("too_large.fix"))


def find_encoding(path: Path, limit: int) -> str:
    """The encoding in which every byte of the file reads.

    Raises:
        DataRefused: empty, binary, or in no known encoding; the first unreadable row is named.
    """
    with open_bytes(path) as file:
        try:
            sample = file.read(SAMPLE_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            sample = b"?"  # told properly below, by reading it all
    _refuse_empty_and_binary(sample)
    marked = next((name for mark, name in _BOMS if sample.startswith(mark)), None)
    first = marked or "utf-8"
    bad = _first_bad_row(path, limit, first)
    if bad is None:
        return first
    if marked is None and not _is_damaged_utf8(sample):
        for name in _likely(sample):
            if _first_bad_row(path, limit, name) is None:
                return name
    row, byte = bad
    problem = DataProblem(
        "unreadable_encoding",
        ("file",),
        told("unreadable_encoding", byte=byte, encoding=first.upper().removesuffix("-SIG")),
        row=row,
        fix=_SAVE_AS,
    )
    raise DataRefused([problem])


def _refuse_empty_and_binary(sample: bytes) -> None:
    if not sample.strip(b"\x00\xef\xbb\xbf\xff\xfe \t\r\n"):
        raise DataRefused([DataProblem("empty_file", ("file",), told("empty_file"), fix=told("empty_file.fix"))])
    kind = next((name for magic, name in _BINARY if sample.startswith(magic)), None)
    if kind is None and b"\x00" in sample and not any(sample.startswith(mark) for mark, _ in _BOMS):
        kind = told("kind_of_file.binary")
    if kind is not None:
        raise DataRefused([DataProblem("not_text", ("file",), told("not_text", kind=kind), fix=_SAVE_AS)])


def _first_bad_row(path: Path, limit: int, encoding: str) -> tuple[int, int] | None:
    """Row and byte of the first place that does not read, or None when all does."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    rows = 1
    for chunk in chunks(path, limit):
        try:
            rows += decoder.decode(chunk).count("\n")
        except UnicodeDecodeError as error:
            # `error.object` begins with what the decoder had kept from the chunk before.
            return rows + error.object[: error.start].count(b"\n"), error.object[error.start]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return rows, error.object[error.start]
    return None


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether it is UTF-8 with a few broken bytes: another encoding would read it all, and read the rest wrong."""
    text = sample.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    wide = sum(1 for char in text if ord(char) > 0x7F) - broken
    return wide >= 4 * max(1, broken)


def _likely(sample: bytes) -> tuple[str, ...]:
    from charset_normalizer import from_bytes  # only for files that are not UTF-8

    whole_lines = sample[: sample.rfind(b"\n") + 1] or sample
    found = [match.encoding for match in from_bytes(whole_lines, cp_isolation=list(_LEGACY), explain=False)]
    ordered = sorted(found, key=_LEGACY.index) if _reads_as_chinese(whole_lines) else found
    return tuple(ordered)


def _reads_as_chinese(sample: bytes) -> bool:
    """Whether the bytes read as GB18030 with most of the non-ASCII text being everyday Chinese characters."""
    try:
        text = sample.decode("gb18030")
    except UnicodeDecodeError:
        return False
    wide = [char for char in text if ord(char) > 0x7F]
    # In GB2312 rows 16-55 hold the everyday characters: lead bytes 0xB0 to 0xD7.
    everyday = sum(1 for char in wide if 0xB0 <= char.encode("gb18030")[0] <= 0xD7 and len(char.encode("gb18030")) == 2)
    return bool(wide) and everyday >= 0.7 * len(wide)


def find_delimiter(text: str) -> str:
    """The delimiter that cuts the sample's records into the most columns, evenly."""
    best = (0.0, 0)
    chosen = DELIMITERS[0]
    for delimiter in DELIMITERS:
        widths: Counter[int] = Counter()
        try:
            for index, record in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)):
                if record:
                    widths[len(record)] += 1
                if index >= 100:
                    break
        except csv.Error:
            continue
        width, times = widths.most_common(1)[0] if widths else (1, 1)
        score = (times / widths.total() if widths and width > 1 else 0.0, width)
        # Evenness first, but a much wider cut that is nearly as even is the true one: commas inside prose are even by chance only.
        if width > 1 and (score[0], score[1]) > best and score[0] >= 0.5:
            best, chosen = score, delimiter
    return chosen


def check_header(header: list[str]) -> list[DataProblem]:
    """What is wrong with the names of the columns: empty, twice, or no names at all."""
    problems: list[DataProblem] = []
    seen: dict[str, int] = {}
    if header and all(_looks_like_value(cell) for cell in header):
        return [DataProblem("no_header", ("file",), told("no_header"), row=1, fix=told("no_header.fix"))]
    for position, name in enumerate(header, start=1):
        if not name:
            msg = told("empty_header", position=position, letters=letters(position))
            problems.append(DataProblem("empty_header", ("file", "header", position), msg, row=1, fix=told("empty_header.fix")))
        elif name in seen:
            first = seen[name]
            msg = told(
                "duplicate_header", name=name, first=first, first_letters=letters(first), position=position, letters=letters(position)
            )
            fix = told("duplicate_header.fix")
            problems.append(DataProblem("duplicate_header", ("file", "header", position), msg, row=1, column=name, fix=fix))
        else:
            seen[name] = position
    return problems


def letters(position: int) -> str:
    """A column's letters as a spreadsheet shows them: 1 is A, 27 is AA."""
    text = ""
    while position:
        position, rest = divmod(position - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _looks_like_value(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
