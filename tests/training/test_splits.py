"""No row is learnt from that could not have been known, and none stands on both sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.times import DAY
from training.splits import prescribed, split
from training.table import TrainingTable


@st.composite
def tables(draw):
    rows = draw(st.integers(120, 500))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    time = rng.integers(0, draw(st.sampled_from([30, 400])), rows) * DAY
    wait = draw(st.sampled_from([None, 0, 5, 45]))
    groups = draw(st.sampled_from([None, 40, 200]))
    label = (rng.random(rows) < 0.3).astype(float)
    label[rng.random(rows) < 0.05] = np.nan
    return TrainingTable(
        names=("x",),
        features=rng.random((rows, 1)),
        label=label,
        classes=("0", "1"),
        time=draw(st.sampled_from([time, None])),
        label_known_at=None if wait is None else time + wait * DAY + rng.integers(0, DAY, rows),
        group=None if groups is None else rng.integers(0, groups, rows),
    )


def check(table, past, future, *, by_time):
    assert not set(past) & set(future)
    assert not np.isnan(table.label[past]).any()
    assert not np.isnan(table.label[future]).any()
    if table.group is not None:
        assert not set(table.group[past]) & set(table.group[future])
    if by_time and len(past) and len(future):
        assert table.time[past].max() < table.time[future].min()
        if table.label_known_at is not None:
            assert table.label_known_at[past].max() <= table.time[future].min()


@settings(deadline=None, max_examples=80)
@given(tables())
def test_past_and_future_never_mix(table):
    parts = split(table)
    by_time = parts.method == "time"
    check(table, parts.develop, parts.test, by_time=by_time)
    assert len(parts.test) >= 0.1 * np.sum(~np.isnan(table.label))
    for fold in parts.folds:
        check(table, fold.fit, fold.judge, by_time=by_time)
        assert set(fold.fit) | set(fold.judge) <= set(parts.develop)
    judged = [row for fold in parts.cross for row in fold.judge.tolist()]
    assert len(judged) == len(set(judged))
    for fold in parts.cross:
        assert len(fold.fit)
        assert len(fold.judge)
        check(table, fold.fit, fold.judge, by_time=False)
        assert set(fold.fit) | set(fold.judge) <= set(parts.develop)


def test_the_order_of_rows_in_the_file_does_not_matter():
    rng = np.random.default_rng(0)
    rows, mixed = 400, rng.permutation(400)
    time, label = rng.permutation(rows) * DAY, (rng.random(rows) < 0.4).astype(float)
    table = TrainingTable(("x",), rng.random((rows, 1)), label, ("0", "1"), time=time)
    shuffled = TrainingTable(("x",), table.features[mixed], label[mixed], ("0", "1"), time=time[mixed])
    one, two = split(table), split(shuffled)
    assert time[one.test].tolist() == time[mixed][two.test].tolist()
    assert time[one.develop].tolist() == time[mixed][two.develop].tolist()


def test_outcomes_known_late_are_left_out_whichever_they_are():
    rng = np.random.default_rng(1)
    rows = 5_000
    time = np.sort(rng.integers(0, 300, rows)) * DAY
    label = (rng.random(rows) < 0.1).astype(float)
    # What happened is known at once, what did not only after 40 days: the newest known rows would all be positive.
    known = time + np.where(label == 1, DAY, 40 * DAY)
    parts = split(TrainingTable(("x",), rng.random((rows, 1)), label, ("0", "1"), time=time, label_known_at=known))
    newest = parts.develop[time[parts.develop] > time[parts.develop].max() - 30 * DAY]
    assert label[newest].mean() < 0.15
    assert parts.purged > 0


@pytest.mark.parametrize(("rows", "rate", "begins"), [(20_000, 0.3, 0.3), (20_000, 0.04, 0.2), (4_000, 0.02, 0.0), (300, 0.5, 0.0)])
def test_rare_outcomes_are_calibrated_on_from_further_back(rows, rate, begins):
    time = np.arange(rows) * DAY
    label = (np.arange(rows) % round(1 / rate) == 0).astype(float)
    parts = split(TrainingTable(("x",), np.zeros((rows, 1)), label, ("0", "1"), time=time))
    judged = np.sort(np.concatenate([fold.judge for fold in parts.cross]))
    assert judged[-1] == parts.develop[-1], "the newest rows always calibrate"
    assert len(judged) / len(parts.develop) == pytest.approx(1 - begins, abs=0.03)


def test_a_table_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        TrainingTable(("x", "y"), np.zeros((3, 1)), np.zeros(3), ("0", "1"))
    with pytest.raises(ValueError, match="group"):
        TrainingTable(("x",), np.zeros((3, 1)), np.zeros(3), ("0", "1"), group=np.zeros(2, np.int64))


def laid_down(**changes):
    """Three weeks: one to learn from, one until its outcomes are known, one that judges."""
    time = np.arange(21 * 40) * (DAY // 40)
    table = TrainingTable(
        names=("x",),
        features=np.ones((len(time), 1)),
        label=(np.arange(len(time)) % 3 == 0).astype(float),
        classes=("0", "1"),
        time=time,
        label_known_at=time + 7 * DAY,
    )
    rows = {"develop": np.flatnonzero(time < 7 * DAY), "test": np.flatnonzero(time >= 14 * DAY), "folds": ()} | changes
    return table, prescribed(table, **rows)


def test_a_prescribed_split_is_taken_as_it_is():
    table, parts = laid_down()
    check(table, parts.develop, parts.test, by_time=True)
    assert (parts.method, len(parts.develop), len(parts.test), parts.purged) == ("prescribed", 280, 280, 280)
    assert set().union(*(fold.judge.tolist() for fold in parts.cross)) <= set(parts.develop)


def test_a_prescribed_split_may_not_look_ahead():
    with pytest.raises(ValueError, match="outcome known"):
        laid_down(develop=np.arange(8 * 40))
    with pytest.raises(ValueError, match="test rows"):
        laid_down(folds=[(np.arange(10), np.arange(20 * 40, 21 * 40))])
