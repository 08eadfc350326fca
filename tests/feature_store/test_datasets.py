"""Files in every state that users send them."""

import gzip
import hashlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from feature_store import datasets
from feature_store.columns import Kind, read_columns, type_column
from feature_store.datasets import DataRefused, Limits, Receiver, accept, find, records, verify


def receive(folder, data, limits=None, chunk=7):
    receiver = Receiver(folder, limits)
    for start in range(0, len(data), chunk):
        receiver.write(data[start : start + chunk])
    return receiver.finish(name="file.csv", template="custom", uploaded_by="ann", at=0)


def refusal(folder, data, limits=None):
    with pytest.raises(DataRefused) as caught:
        receive(folder, data, limits, chunk=1 << 16)
    assert not any(folder.iterdir()), "nothing half-written stays"
    assert all(problem.fix for problem in caught.value.problems), "every problem says what to do"
    return caught.value.problems


TABLE = "name,qty\nÄpfel,3\n苹果,4\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings_that_spreadsheets_write_are_read(tmp_path, encoding):
    text = "编号,商品,数量,地区\n" + "".join(f"{i},苹果和香蕉,{i},上海\n" for i in range(40)) if encoding == "gb18030" else TABLE
    dataset = receive(tmp_path, text.encode(encoding))
    rows = list(records(dataset))
    assert rows == [line.split(",") for line in text.splitlines()[1:]]


def test_western_european_text_is_read(tmp_path):
    text = "Straße,Stückzahl,Käufer\n" + "Königstraße,3,Müller\nÄußere Brücke,4,Jürgen Schäfer\n" * 20
    assert next(records(receive(tmp_path, text.encode("cp1252")))) == ["Königstraße", "3", "Müller"]


def test_bytes_are_kept_as_they_came_and_counted_by_their_hash(tmp_path):
    data = gzip.compress(TABLE.encode(), mtime=0)
    one, two = receive(tmp_path, data), receive(tmp_path, data)
    assert one.path.read_bytes() == data
    assert one.sha256 == hashlib.sha256(data).hexdigest()
    assert one.path == two.path
    assert one.dataset_id != two.dataset_id
    assert (one.rows, one.columns) == (2, ("name", "qty"))
    assert [entry.name for entry in tmp_path.iterdir()] == [one.sha256]


@pytest.mark.parametrize("damage", ["data", "shorter", "facts", "gone"])
def test_a_damaged_file_is_told_and_mended_by_uploading_it_again(tmp_path, sqlite_engine: Engine, damage):
    def upload(data):
        return accept([data.encode()], tmp_path, sqlite_engine, name="t.csv", uploaded_by="ann")

    first, other = upload(TABLE), upload("a\n1\n")
    match damage:
        case "data":
            first.path.write_bytes(first.path.read_bytes()[::-1])
        case "shorter":
            first.path.write_bytes(b"name")
        case "facts":
            (first.path.parent / "facts.json").write_bytes(b"{")
        case _:
            first.path.unlink()
    with pytest.raises(DataRefused):
        verify(find(sqlite_engine, tmp_path, first.dataset_id))
    assert other.dataset_id in {one.dataset_id for one in datasets.listing(sqlite_engine, tmp_path)}, "others are listed all the same"
    again = upload(TABLE)
    verify(again)
    verify(find(sqlite_engine, tmp_path, first.dataset_id))
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_dir()) == sorted({first.sha256, other.sha256})


@pytest.mark.parametrize(
    ("data", "code", "row"),
    [
        (b"", "empty_file", None),
        (b"\xef\xbb\xbf \r\n", "empty_file", None),
        (b"a,b\n", "no_rows", None),
        (b"a,b\n1,2\n3\n4,5,6\n", "ragged_row", 3),
        (b"a,,c\n1,2,3\n", "empty_header", 1),
        (b"a,b,a\n1,2,3\n", "duplicate_header", 1),
        (b"1,2\n3,4\n", "no_header", 1),
        (b'a,b\n1,2\n"x"y,2\n', "broken_record", 3),
        (b'a,b\n1,2\n3,"never closed\n', "broken_record", 3),
        (b"PK\x03\x04" + bytes(40), "not_text", None),
        (b"a,b\n\x00\x01,2\n", "not_text", None),
        (b"a,b\n1,2\n3,\x98\x81\x81\n", "unreadable_encoding", 3),
        (("name,qty\n" + "苹果,4\n" * 9).encode() + b"\xe8\x8b,4\n", "unreadable_encoding", 11),
        (gzip.compress(TABLE.encode())[:-9], "broken_archive", None),
    ],
)
def test_what_is_no_table_is_refused_by_row(tmp_path, data, code, row):
    found = [problem for problem in refusal(tmp_path, data) if problem.code == code]
    assert found, [problem.code for problem in refusal(tmp_path, data)]
    assert found[0].row == row


def test_duplicate_headers_name_both_places(tmp_path):
    (problem,) = refusal(tmp_path, b"a,b,a\n1,2,3\n")
    assert problem.column == "a"
    assert "1 (A)" in problem.msg
    assert "3 (C)" in problem.msg


def test_all_ragged_rows_are_counted_and_the_first_are_listed(tmp_path):
    problems = refusal(tmp_path, b"a,b\n" + b"1\n" * 250)
    assert problems[0].count == 250
    assert len(problems) == 101


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(bytes=10), "too_large"),
        (Limits(unpacked_bytes=10), "too_large"),
        (Limits(rows=1), "too_many_rows"),
        (Limits(columns=1), "too_many_columns"),
    ],
)
def test_limits_hold(tmp_path, limits, code):
    assert refusal(tmp_path, TABLE.encode(), limits)[0].code == code


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000)
    assert len(bomb) < 100_000
    assert refusal(tmp_path, bomb, Limits(unpacked_bytes=100_000))[0].code == "too_large"


def test_a_stream_that_breaks_leaves_nothing(tmp_path, engine: Engine):
    def broken():
        yield b"a,b\n1"
        raise OSError("gone")

    folder = tmp_path / "datasets"
    with pytest.raises(OSError, match="gone"):
        accept(broken(), folder, engine, name="x", uploaded_by="ann")
    assert not any(folder.iterdir())


def test_a_dataset_is_found_again_with_its_report(tmp_path, engine: Engine):
    dataset = accept([TABLE.encode()], tmp_path, engine, name="x.csv", uploaded_by="ann", at=5)
    assert find(engine, tmp_path, dataset.dataset_id) == dataset
    assert find(engine, tmp_path, "other") is None
    datasets.save_report(engine, dataset.dataset_id, {"ok": True})
    assert datasets.stored_report(engine, dataset.dataset_id) == {"ok": True}
    assert datasets.listing(engine, tmp_path) == [dataset]


def test_changed_bytes_are_noticed(tmp_path, engine: Engine):
    dataset = accept([TABLE.encode()], tmp_path, engine, name="x.csv", uploaded_by="ann")
    verify(dataset)
    dataset.path.write_bytes(TABLE.replace("3", "5").encode())
    with pytest.raises(DataRefused, match="SHA-256"):
        verify(dataset)
    dataset.path.write_bytes(b"")
    with pytest.raises(DataRefused, match="bytes"):
        find(engine, tmp_path, dataset.dataset_id)


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    table=st.integers(2, 5).flatmap(lambda width: st.lists(st.tuples(*[cells] * width), min_size=1, max_size=20)),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_is_written_as_csv_is_read_back(tmp_path, table, delimiter):
    def quoted(cell):
        return '"' + cell.replace('"', '""') + '"'

    width = len(table[0])
    header = [f"column {index}" for index in range(width)]
    text = "\r\n".join(delimiter.join(quoted(cell) for cell in record) for record in [header, *table])
    dataset = receive(tmp_path, text.encode(), chunk=1 << 16)
    assert dataset.columns == tuple(header)
    assert [tuple(record) for record in records(dataset)] == table
    columns = read_columns(dataset.columns, records(dataset))
    assert [tuple(column.levels[column.codes[row]] for column in columns) for row in range(len(table))] == table


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["1", "2", ""], Kind.INTEGER, [1, 2, None]),
        (["1.5", "-2e3", "n/a"], Kind.NUMBER, [1.5, -2000, None]),
        (["1,234.50", "$ 12", "45 %"], Kind.NUMBER, [1234.5, 12, 0.45]),
        (["true", "False", ""], Kind.BOOLEAN, [1, 0, None]),
        (["00123", "04567", "1"], Kind.CATEGORY, [0, 1, 2]),
        (["2024-01-02", "2024-01-03"], Kind.TIME, [1704153600000, 1704240000000]),
        (["2024-01-02T08:00:00+08:00", "2024-01-03"], Kind.TIME, [1704153600000, 1704240000000]),
        (["31/12/2023", "01/02/2024"], Kind.TIME, [1703980800000, 1706745600000]),
        (["12/31/2023", "02/01/2024"], Kind.TIME, [1703980800000, 1706745600000]),
        (["nan", "NULL", "-"], Kind.EMPTY, [None, None, None]),
        (["a", "b", "a"], Kind.CATEGORY, [0, 1, 0]),
    ],
)
def test_columns_get_the_kind_of_their_values(texts, kind, values):
    (text,) = read_columns(["x"], [[cell] for cell in texts])
    column = type_column(text)
    assert column.kind is kind
    assert [None if value != value else value for value in column.values.tolist()] == values
    assert not column.unread.any()


def test_remarks_among_numbers_count_as_missing_and_are_marked():
    texts = [str(number) for number in range(60)] + ["not captured"] * 30
    random.Random(1).shuffle(texts)
    (text,) = read_columns(["x"], [[cell] for cell in texts])
    column = type_column(text)
    assert column.kind is Kind.INTEGER
    assert column.unread.sum() == 30
    assert {column.cell(row) for row in range(90) if column.unread[row]} == {"not captured"}


def test_a_few_numbers_among_names_make_no_number_column():
    (text,) = read_columns(["x"], [[cell] for cell in ["12", "7", *(f"name {index}" for index in range(50))]])
    assert type_column(text).kind is Kind.CATEGORY
