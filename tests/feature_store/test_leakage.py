"""Columns that know the outcome are found by what they say, and honest ones are left alone."""

import numpy as np
import pytest

from feature_store.columns import Column, read_columns, type_column
from feature_store.groups import find_group, find_identifiers
from feature_store.leakage import Target, find_leaks
from feature_store.ranks import auc, average_precision
from feature_store.times import DAY, format_time

ROWS = 3_000
START = 1_700_000_000_000 // DAY * DAY


def column(name, texts) -> Column:
    (text,) = read_columns([name], [[str(cell)] for cell in texts])
    return type_column(text)


def day(offset):
    return [format_time(int(START + days * DAY)) for days in offset]


@pytest.fixture(scope="module")
def world():
    """Orders over a year; the chance to be late depends on distance, weakly."""
    rng = np.random.default_rng(5)
    placed = np.sort(rng.integers(0, 365, ROWS))
    distance = rng.gamma(2, 300, ROWS).round(1)
    late = rng.random(ROWS) < 1 / (1 + np.exp(2.2 - distance / 600))
    promised = placed + rng.integers(2, 9, ROWS)
    delivered = np.where(late, promised + rng.integers(1, 9, ROWS), promised - rng.integers(0, 2, ROWS))
    return {"rng": rng, "placed": placed, "distance": distance, "late": late, "promised": promised, "delivered": delivered}


def leaks(world, *columns, time=None):
    target = Target("late", world["late"].astype(float), ("0", "1"))
    return {leak.column: leak for leak in find_leaks(columns, target, time or column("due", day(world["promised"])), None)}


def test_honest_columns_are_left_alone(world):
    honest = [
        column("distance", world["distance"]),
        column("placed", day(world["placed"])),
        column("region", np.array(["north", "south", "west"])[world["rng"].integers(0, 3, ROWS)]),
        column("note", np.where(world["rng"].random(ROWS) < 0.1, "gift", "")),
    ]
    assert leaks(world, *honest) == {}


@pytest.mark.parametrize("name", ["x1", "arrival", "送达日期"])
def test_a_time_that_decides_the_outcome_is_excluded_whatever_its_name(world, name):
    found = leaks(world, column(name, day(world["delivered"])))[name]
    assert (found.code, found.excluded) == ("dated_by_outcome", True)
    assert found.strength > 0.99
    assert "due" in found.msg


def test_a_noisy_record_of_the_outcome_is_excluded_too(world):
    booked = world["delivered"] + world["rng"].integers(0, 2, ROWS)
    assert leaks(world, column("booked", day(booked)))["booked"].excluded


def test_two_times_that_only_together_tell_are_found_without_a_time_column(world):
    target = Target("late", world["late"].astype(float), ("0", "1"))
    promised, arrived = column("promised", day(world["promised"])), column("arrived", day(world["delivered"]))
    (leak,) = [leak for leak in find_leaks([promised, arrived], target, None, None) if leak.excluded]
    assert leak.code == "dated_by_outcome"


def test_a_copy_of_the_target_in_other_words_is_excluded(world):
    words = np.where(world["late"], "penalty due", "settled in full")
    assert leaks(world, column("account", words))["account"].code == "determines_target"


def test_a_number_that_is_too_good_is_excluded_even_if_not_monotonous(world):
    number = np.where(world["late"], 0, np.where(world["rng"].random(ROWS) < 0.5, -1, 1)) * world["rng"].gamma(5, 2, ROWS)
    assert leaks(world, column("balance", number.round(2)))["balance"].excluded


def test_a_column_filled_only_after_the_outcome_is_excluded(world):
    claim = np.where(world["late"] & (world["rng"].random(ROWS) < 0.3), "claimed", "")
    found = leaks(world, column("ticket", claim))["ticket"]
    assert (found.code, found.excluded) == ("filled_by_outcome", True)


def test_a_column_filled_only_for_the_common_class_is_no_leak(world):
    gift = np.where(~world["late"] & (world["rng"].random(ROWS) < 0.05), "gift", "")
    assert "wrapping" not in leaks(world, column("wrapping", gift))


def test_a_name_alone_only_warns(world):
    found = leaks(world, column("actualWeight", world["distance"]))["actualWeight"]
    assert (found.code, found.excluded) == ("named_like_outcome", False)


def test_a_regression_target_is_guarded_too(world):
    cost = world["distance"] * 2 + world["rng"].normal(0, 50, ROWS)
    target = Target("cost", cost, ())
    found = find_leaks([column("invoice", (cost * 1.19).round(2)), column("distance", world["distance"])], target, None, None)
    assert [leak.column for leak in found if leak.excluded] == ["invoice"]


def test_lines_of_one_delivery_are_a_group_and_an_identifier_is_no_leak(world):
    rng = np.random.default_rng(1)
    delivery = np.repeat(np.arange(1_200), rng.integers(1, 5, 1_200))
    outcome = (rng.random(1_200) < 0.2)[delivery].astype(float)
    target = Target("late", outcome, ("0", "1"))
    names = column("delivery", [f"D-{number}" for number in delivery])
    noise = column("basket", [f"B-{number}" for number in rng.integers(0, 1_200, len(delivery))])
    group = find_group([noise, names], target)
    assert group is not None
    assert (group.column, group.agreement) == ("delivery", 1.0)
    assert np.array_equal(np.unique(group.ids, return_inverse=True)[1], np.unique(delivery, return_inverse=True)[1])
    assert find_leaks([names], target, None, group.ids) == ()


def test_values_shared_by_chance_make_no_group():
    rng = np.random.default_rng(2)
    target = Target("rare", (rng.random(4_000) < 0.005).astype(float), ("0", "1"))
    assert find_group([column("basket", [f"B-{number}" for number in rng.integers(0, 1_500, 4_000)])], target) is None


def test_identifiers_constants_and_numbers_that_run_along_are_named():
    rng = np.random.default_rng(3)
    time = column("t", day(np.arange(500)))
    columns = [
        column("row", np.arange(10, 510)),
        column("uuid", [f"{value:x}" for value in rng.integers(0, 2**60, 500)]),
        column("country", ["CN"] * 500),
        column("blank", [""] * 500),
        column("batch", [f"b{index // 3}" for index in range(500)]),
        column("price", (rng.gamma(2, 5_000, 500)).round(2)),
        column("city", np.array(["a", "b", "c"])[rng.integers(0, 3, 500)]),
    ]
    found = {one.column: one.code for one in find_identifiers(columns, time)}
    assert found == {
        "row": "identifier", "uuid": "identifier", "country": "constant", "blank": "empty_column", "batch": "values_never_return",
    }  # fmt: skip


def test_ranks_agree_with_scikit_learn():
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(4)
    for _ in range(30):
        truth = rng.random(200) < 0.3
        scores = rng.integers(0, rng.integers(2, 100), 200).astype(float)
        weights = rng.integers(0, 3, 200).astype(float)
        assert auc(scores, truth, weights) == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights), abs=1e-12)
        assert average_precision(scores, truth, weights) == pytest.approx(
            average_precision_score(truth, scores, sample_weight=weights), abs=1e-12
        )
    assert np.isnan(auc(np.zeros(3), np.zeros(3, bool)))
