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
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("See ASN-93 (ID#:1281)", "See ASN-# (ID#:#)"),
        (" Invoiced   Separately ", "Invoiced Separately"),
        ("見 DN-12", "見 DN-#"),
        ("31/12/2026", "31/12/2026"),
        ("1.234,50", "1.234,50"),
    ],
)
def test_digits_beside_letters_may_differ(text: str, pattern: str) -> None:
    assert placeholders.pattern_of(text) == pattern


@given(st.text(max_size=40))
def test_a_pattern_is_its_own_pattern(text: str) -> None:
    pattern = placeholders.pattern_of(text)
    assert placeholders.pattern_of(pattern) == pattern


def test_the_commonest_come_first_in_their_commonest_spelling() -> None:
    learnt = placeholders.learn(column("see DN-1", "See DN-2", "See DN-3", *["Included"] * 4, "?", "later"))
    assert learnt == ("Included", "See DN-#", "later")


def test_no_more_are_remembered_than_the_limit() -> None:
    many = [name for letter in "abcdefghij" for name in [letter * length for length in range(1, 9)]]
    learnt = placeholders.learn(column(*many, *["aaa", "bbb"] * 3, "x" * 300))
    assert len(learnt) == placeholders.MOST
    assert learnt[:2] == ("aaa", "bbb")
    assert placeholders.learn(column()) == ()


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
        assert "'Included', 'See DN-# (ID#:#)'" in said


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
    assert told.endswith("As in the training file these count as missing: “Included”, “See DN-#” (# stands for digits).")


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
        "See DN-# (ID#:#)",
        "Freight Included in Commodity Cost",
        "See ASN-# (ID#:#)",
        "Invoiced Separately",
    )
    assert set(by_name) == {"PQ First Sent to Client Date", "PO Sent to Vendor Date", "Weight (Kilograms)", "Freight Cost (USD)"}
    table = reader.encode_columns(columns)
    for row in range(0, len(rows), 97):
        assert reader.encode(dict(zip(header, rows[row], strict=True))).tobytes() == table[row].tobytes()
    with pytest.raises(RowInvalid, match="Freight Cost"):
        reader.encode(dict(zip(header, rows[0], strict=True)) | {"Freight Cost (USD)": "Frieght Included"})
