"""Placeholders of a training file are taken for missing values, and nothing else is."""

from __future__ import annotations

import csv
import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_store.columns import Column, Kind, read_columns, type_column
from models import placeholders
from models.encoding import RowEncoder, RowInvalid

SCMS = Path(__file__).parents[2] / ".." / "shared" / "data" / "scms_delivery" / "scms_decoded.csv.gz"


def column(*texts: str) -> Column:
    """Numbers enough to be a column of numbers, and these texts."""
    (text,) = read_columns(["freight"], [[f"{number}.5"] for number in range(100)] + [[one] for one in texts])
    return type_column(text)


def encoder(*texts: str) -> RowEncoder:
    return RowEncoder.fit([column(*texts)])


def test_only_what_the_training_file_held_is_missing() -> None:
    reader = encoder("Included", "See DN-304 (ID#:10589)")
    for text in ("Included", "INCLUDED ", "See DN-7 (ID#:1)"):
        assert math.isnan(reader.encode({"freight": text})[0])
    assert reader.encode({"freight": "$1,234.50"}).tolist() == [1234.5]
    for wrong in ("12.5O", "excluded", "See DN (ID#:1)", True, ["Included"]):
        with pytest.raises(RowInvalid) as caught:
            reader.encode({"freight": wrong})
        ((name, said),) = caught.value.errors
        assert name == "freight"
        assert "is not a number" in said
        assert "'Included', 'See DN-0 (ID#:0)'" in said


def test_a_time_says_what_it_expects() -> None:
    (text,) = read_columns(["sent"], [[f"{1 + day % 28}-Jan-{6 + day // 28:02d}"] for day in range(200)] + [["Pre-PQ Process"]] * 9)
    sent = type_column(text)
    assert sent.kind is Kind.TIME
    reader = RowEncoder.fit([sent])
    assert np.isnan(reader.encode({"sent": "Pre-PQ Process"})).all()
    with pytest.raises(RowInvalid, match=r"'soon' is not a time such as 20.*, nor a text .* 'Pre-PQ Process'"):
        reader.encode({"sent": "soon"})


def test_a_long_text_is_not_told_back_whole() -> None:
    with pytest.raises(RowInvalid) as caught:
        encoder("Included").encode({"freight": "x" * 4_000})
    assert len(str(caught.value)) < 200


def test_an_error_names_the_commonest() -> None:
    assert placeholders.named(["a", "b"]) == "'a', 'b'"
    assert placeholders.named(list("abcdef")) == "'a', 'b', 'c', 'd' and 2 more"


def test_the_documentation_of_the_endpoint_names_them() -> None:
    told = encoder("Included", "See DN-3").json_schema()["properties"]["freight"]["description"]
    assert told.endswith("As in the training file these count as missing: “Included”, “See DN-0” (0 stands for any number).")


def test_the_documentation_speaks_of_numbers_only_where_they_may_differ() -> None:
    told = encoder("#REF!", "10.O", "0-Feb-06").json_schema()["properties"]["freight"]["description"]
    assert "“#REF!”" in told
    assert "“10.O”" in told
    assert "stands for" not in told
    with pytest.raises(RowInvalid):
        encoder("#REF!").encode({"freight": "5REF!"})


@pytest.mark.parametrize(("held", "wrong"), [("12.5O", "99.9O"), ("31-Feb-06", "30-Feb-07"), ("1OO", "9OO"), ("12 kg", "99 kg")])
def test_one_slip_of_the_pen_opens_no_door_for_others(held: str, wrong: str) -> None:
    reader = encoder(held)
    assert math.isnan(reader.encode({"freight": held.lower()})[0])
    with pytest.raises(RowInvalid, match="is not a number"):
        reader.encode({"freight": wrong})


def test_more_remarks_than_can_be_remembered_all_count_as_missing() -> None:
    """What the training took for missing no request is refused for."""
    texts = [f"{first}{second} pending" for first in "abcdefgh" for second in "klmnopqr"]
    reader = RowEncoder.from_json(json.loads(json.dumps(encoder(*texts).to_json())))
    for text in (*texts, "12.5O"):
        assert math.isnan(reader.encode({"freight": text})[0])
    assert "Any other text counts as missing" in reader.json_schema()["properties"]["freight"]["description"]


def test_an_older_model_takes_any_text_for_missing() -> None:
    entry = json.loads(json.dumps(encoder("Included").to_json()))
    (one,) = entry["inputs"]
    del one["placeholders"]
    one["remarks"] = True
    older = RowEncoder.from_json(entry)
    assert math.isnan(older.encode({"freight": "whatever"})[0])
    assert "Any other text counts as missing" in older.json_schema()["properties"]["freight"]["description"]
    assert RowEncoder.from_json(json.loads(json.dumps(older.to_json()))) == older
    assert replace(older.inputs[0], remarks=False).placeholders == ()


@pytest.mark.shared
@pytest.mark.skipif(not SCMS.exists(), reason="the delivery history lies beside the checkout only where it is developed")
def test_a_delivery_history_is_read_as_it_was_trained_on() -> None:
    with gzip.open(SCMS, "rt", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = [type_column(text) for text in read_columns(header, rows)]
    reader = RowEncoder.fit(columns)
    by_name = {one.name: one.placeholders for one in reader.inputs if one.placeholders}
    assert by_name["Freight Cost (USD)"] == (
        "See DN-0 (ID#:0)",
        "Freight Included in Commodity Cost",
        "See ASN-0 (ID#:0)",
        "Invoiced Separately",
    )
    assert set(by_name) == {"PQ First Sent to Client Date", "PO Sent to Vendor Date", "Weight (Kilograms)", "Freight Cost (USD)"}
    table = reader.encode_columns(columns)
    for row in range(0, len(rows), 97):
        assert reader.encode(dict(zip(header, rows[row], strict=True))).tobytes() == table[row].tobytes()
    with pytest.raises(RowInvalid, match="Freight Cost"):
        reader.encode(dict(zip(header, rows[0], strict=True)) | {"Freight Cost (USD)": "Frieght Included"})
