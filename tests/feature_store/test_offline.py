"""Training sets: whom they may be asked about, what they refuse, how they leave."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import numpy as np
import pytest

from feature_store.entities import Entity
from feature_store.events import Event, EventType
from feature_store.offline import Archive, OrderMissing, Request, training_set, write_training_set
from feature_store.times import DAY, HOUR, parse_time
from feature_store.views import SERVICES
from feature_store.views.aggregations import fact, of, ratio
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Unit
from feature_store.views.parts import Aggregate, How
from feature_store.views.situation import Own

NOW = parse_time("2026-03-02T06:00:00Z")
_E = Entity


def feature(name: str, calculation: Calculation, default: float = math.nan) -> Feature:
    return Feature(name, Dtype.NUMBER, Unit.NONE, "a number of the test", "测试", "TEST", Group.BASKET, calculation, default)


COUNT = feature("orders_1d", of(Aggregate(_E.CUSTOMER, "orders", How.COUNT, DAY)), 0.0)
SPENT = feature("spent", of(Aggregate(_E.CUSTOMER, "orders", How.SUM)))
PAIR = feature("on_device", of(Aggregate(_E.CUSTOMER_DEVICE, "orders", How.COUNT)), 0.0)
OTHERS = feature("others", of(Aggregate(_E.DEVICE, "orders", How.DISTINCT, own=Own.CUSTOMER)), 0.0)
MEAN = feature("mean", ratio(Aggregate(_E.CUSTOMER, "orders", How.SUM), Aggregate(_E.CUSTOMER, "orders", How.COUNT)))
ALL = (COUNT, SPENT, PAIR, OTHERS, MEAN)


def placed(number: int, at: int, customer: str = "C-1", known: int | None = None) -> Event:
    data = {"order_id": f"O-{number}", "customer_id": customer, "device_id": "D-1", "amount": 10.0 * number}
    return Event(f"E-{number}", EventType.ORDER_PLACED, at, at if known is None else known, data)


def asked(as_of: int, order_id: str | None = None, customer: str = "C-1") -> Request:
    return Request(as_of, keys={_E.CUSTOMER: (customer,), _E.DEVICE: ("D-1",)}, order_id=order_id)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive")
    archive.add([placed(1, NOW - 2 * DAY), placed(2, NOW), placed(3, NOW), placed(4, NOW - HOUR, known=NOW + HOUR), placed(5, NOW, "C-2")])
    return archive


def test_entities_are_asked_about_without_an_order_on_both_clocks(archive: Archive) -> None:
    requests = [asked(NOW + HOUR), asked(NOW, "O-3"), asked(NOW - 1), asked(NOW - 3 * DAY), asked(NOW, customer="C-9")]
    (batch,) = training_set(archive, ALL, requests)
    by_row = {row: (batch.as_of[i], batch.values[i].tolist(), batch.event_times[i].tolist()) for i, row in enumerate(batch.row.tolist())}
    assert batch.row.tolist() == [3, 2, 1, 4, 0], "by as_of, and as they came"
    assert by_row[0][1] == [3.0, 100.0, 4.0, 1.0, 25.0], "order 4 is known by now"
    assert by_row[1][1] == [1.0, 30.0, 2.0, 1.0, 15.0], "the own order is left out, others of the same moment are not"
    assert by_row[1][2] == [NOW, NOW, NOW, NOW, NOW]
    assert by_row[2][1] == [0.0, 10.0, 1.0, 0.0, 10.0]
    assert by_row[2][2] == [-1, NOW - 2 * DAY, NOW - 2 * DAY, NOW - 2 * DAY, NOW - 2 * DAY]
    np.testing.assert_equal(by_row[3][1], [0.0, math.nan, 0.0, 0.0, math.nan])
    np.testing.assert_equal(by_row[4][1], [0.0, math.nan, 0.0, 2.0, math.nan])


def test_a_feature_that_looks_at_the_order_says_that_it_needs_one(archive: Archive) -> None:
    with pytest.raises(OrderMissing, match="amount looks at the order"):
        list(training_set(archive, [SERVICES["fraud"].feature("amount")], [asked(NOW)]))
    with pytest.raises(OrderMissing, match="segment"):
        list(training_set(archive, [feature("segment", fact(_E.SKU, "listing", "price"))], [asked(NOW)]))


def test_nothing_asked_and_nothing_archived(archive: Archive, tmp_path: Path) -> None:
    assert list(training_set(archive, ALL, [])) == []
    (batch,) = training_set(Archive(tmp_path / "none"), ALL, [asked(NOW)])
    np.testing.assert_equal(batch.values[0], [0.0, math.nan, 0.0, 0.0, math.nan])
    assert (batch.event_times == -1).all()


def test_batches_do_not_change_a_value(archive: Archive) -> None:
    requests = [asked(NOW + n * HOUR // 2) for n in range(-5, 6)]
    (whole,) = training_set(archive, ALL, requests)
    parts = list(training_set(archive, ALL, requests, rows=3, threads=1, memory="200MB"))
    assert [len(part) for part in parts] == [3, 3, 3, 2]
    assert np.concatenate([part.values for part in parts]).tobytes() == whole.values.tobytes()
    assert np.concatenate([part.event_times for part in parts]).tobytes() == whole.event_times.tobytes()


def test_a_training_set_is_written_all_at_once_or_not_at_all(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "one"
    written = write_training_set(archive, ALL, [asked(NOW + n) for n in range(5)], folder, rows=2)
    assert (written.rows, written.files) == (5, 3)
    with duckdb.connect() as connection:
        relation = connection.sql(f"SELECT * FROM '{folder}/*.parquet' ORDER BY as_of")
        assert relation.columns[:5] == ["row", "order_id", "as_of", "orders_1d", "orders_1d__at"]
        assert relation.limit(1).fetchall()[0] == (0, None, NOW, 2.0, NOW, 60.0, NOW, 3.0, NOW, 1.0, NOW, 20.0, NOW)
    with pytest.raises(FileExistsError):
        write_training_set(archive, ALL, [], folder)
    with pytest.raises(OrderMissing):
        write_training_set(archive, [SERVICES["fraud"].feature("amount")], [asked(NOW)], tmp_path / "sets" / "two")
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["one"]


def test_a_batch_is_an_arrow_stream(archive: Archive) -> None:
    (batch,) = training_set(archive, ALL, [asked(NOW), asked(NOW - 3 * DAY)])
    with duckdb.connect() as connection:
        connection.register("told", batch)
        found = connection.execute("SELECT row, as_of, spent, spent__at FROM told ORDER BY row").fetchall()
    assert found[0] == (0, NOW, 60.0, NOW)
    assert found[1] == (1, NOW - 3 * DAY, None, None)
