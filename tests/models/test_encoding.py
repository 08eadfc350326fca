from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.columns import read_columns, type_column
from models.encoding import RowEncoder, RowInvalid

HEADER = ("qty", "weight", "mode", "urgent", "sent", "due", "late")
ROWS = [
    (
        str(number % 7),
        "not captured" if number % 5 == 0 else f"{number * 1.5:,.1f}",
        ["Air", "Truck", "Ocean"][number % 3] if number % 11 else "",
        "true" if number % 2 else "false",
        f"{1 + number % 28:02d}/{1 + number % 12:02d}/2026",
        f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T{number % 24:02d}:30:00Z",
        str(number % 2),
    )
    for number in range(1000)
]


@pytest.fixture(scope="module")
def columns():
    return [type_column(text) for text in read_columns(HEADER, ROWS)]


@pytest.fixture(scope="module")
def encoder(columns):
    return RowEncoder.fit(columns[:-1], reference="due", ignored=["late"])


def test_features_are_named_after_their_columns(encoder):
    assert encoder.names == ("qty", "weight", "mode", "urgent", "sent (days before due)", "due (month)", "due (weekday)", "due (hour)")
    assert encoder.categorical == (2,)


def test_the_whole_table_has_the_same_bits_as_its_rows(encoder, columns):
    table = encoder.encode_columns(columns)
    for row, expected in zip(ROWS, table, strict=True):
        assert encoder.encode(dict(zip(HEADER, row, strict=True))).tobytes() == expected.tobytes()


def test_values(encoder):
    row = {"qty": 3, "weight": "1,234.5", "mode": "Truck", "urgent": True, "sent": "01/03/2026", "due": "2026-03-03T06:30:00Z"}
    weekday_of_tuesday = 1
    assert encoder.encode(row).tolist() == [
        3,
        1234.5,
        encoder.inputs[2].categories.index("Truck"),
        1,
        2 + 6.5 / 24,
        3,
        weekday_of_tuesday,
        6,
    ]


def test_json_and_text_say_the_same(encoder):
    as_text = {
        "qty": "3",
        "weight": "2.50",
        "mode": "Air",
        "urgent": "TRUE",
        "sent": "2026-03-01T00:00:00Z",
        "due": "2026-03-03T06:30:00+00:00",
    }
    as_json = {"qty": 3, "weight": 2.5, "mode": " Air ", "urgent": True, "sent": "01/03/2026", "due": "2026-03-03T06:30:00.000Z"}
    assert encoder.encode(as_text).tolist() == encoder.encode(as_json).tolist()


def test_never_seen_is_a_code_and_missing_is_not(encoder):
    row = encoder.example()
    seen = len(encoder.inputs[2].categories)
    assert encoder.encode(row | {"mode": "Rocket"})[2] == seen
    assert math.isnan(encoder.encode(row | {"mode": None})[2])
    assert math.isnan(encoder.encode(row | {"weight": "not captured"})[1])


def test_all_errors_at_once(encoder):
    with pytest.raises(RowInvalid) as caught:
        encoder.encode({"qty": "many", "weigth": 1, "urgent": "perhaps", "sent": "yesterday", "mode": ["Air"], "late": 1})
    errors = dict(caught.value.errors)
    assert set(errors) == {"qty", "weigth", "urgent", "sent", "mode", "due"}
    assert errors["weigth"] == "unknown column; did you mean 'weight'?"
    assert errors["due"].startswith("required")
    assert "not a time such as" in errors["sent"]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(HEADER), st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3)
    )
)
def test_any_json_is_a_vector_or_invalid(encoder, row):
    try:
        vector = encoder.encode(row)
    except RowInvalid as error:
        told = error.errors
    else:
        assert vector.shape == (8,)
        assert not np.isinf(vector).any()
        return
    assert told
    assert all(column in HEADER and message for column, message in told)


def test_the_example_encodes_and_fits_the_schema(encoder):
    schema = encoder.json_schema()
    example = encoder.example()
    encoder.encode(example)
    assert set(schema["required"]) <= set(example) <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert "not used" in schema["properties"]["late"]["description"]
    assert schema["properties"]["mode"]["type"] == ["string", "number", "null"]
    assert schema["properties"]["qty"] == {
        "type": "number",
        "examples": [3],
        "description": "A number; texts such as “1,234.50” are read as numbers.",
    }


def test_json_brings_back_the_same_encoder(encoder):
    assert RowEncoder.from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False))) == encoder


def test_only_training_rows_are_learnt_from(columns):
    first = np.arange(len(ROWS)) < 3
    encoder = RowEncoder.fit(columns[:-1], rows=first, reference="due")
    assert set(encoder.inputs[2].categories) <= {"Air", "Truck", "Ocean"}
    assert encoder.inputs[0].required


def test_rare_categories_share_a_code():
    texts = [("A",)] * 20 + [("B",)] * 30 + [("C",)] * 4
    (column,) = (type_column(text) for text in read_columns(("x",), texts))
    encoder = RowEncoder.fit([column])
    assert encoder.inputs[0].categories == ("B", "A")
    assert set(encoder.encode_columns([column])[-4:, 0]) == {2.0}
    assert encoder.features[0].categories == ("B", "A", "other")


def test_without_a_reference_times_become_parts(columns):
    encoder = RowEncoder.fit(columns[:-1])
    assert "sent (month)" in encoder.names
    assert "sent (hour)" not in encoder.names
    assert "due (hour)" in encoder.names
