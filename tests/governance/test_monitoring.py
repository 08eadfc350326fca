"""Figures that watch confidence: an honest model passes, each way of lying is seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.monitoring import FEWEST, Segment, calibration_error, fairness, interval_coverage, rate, summarise
from governance.outcomes import Labelled
from serving.confidence import newest, strays

ROW = Labelled(
    record_id="r", type="acceptance", decided_at=0, order_id=None, outcome="ACCEPT", status="decided", event="fulfilment_failure", probability=0.2,
    low=0.15, high=0.25, level=0.9, label="fulfilled", positive=False, observed_at=1, known_at=1, labels_told=1, model_name="acceptance",
    model_version=3, model_digest="sha256:0", policy_id="acceptance", policy_version=2, region="east", channel="app", segment="gold",
)  # fmt: skip


def rows(
    count: int, truth: Callable[[float], float] = lambda p: p, width: float = 0.03, seed: int = 0, **changes: object
) -> list[Labelled]:
    rng = np.random.default_rng(seed)
    made = []
    for p in rng.beta(1, 5, count).tolist():
        happened = bool(rng.random() < truth(p))
        made.append(
            dataclasses.replace(ROW, probability=p, low=max(0.0, p - width), high=min(1.0, p + width), positive=happened, **changes)
        )  # type: ignore[arg-type]
    return made


def test_an_honest_model_is_left_alone() -> None:
    (watched,) = summarise(rows(4_000))
    assert watched.labelled == 4_000
    assert watched.figures["ece"] is not None
    assert watched.figures["ece"] < 0.02
    assert watched.figures["coverage"] is not None
    assert watched.figures["coverage"] >= 0.8
    assert watched.figures["auc"] is not None
    assert watched.figures["auc"] > 0.6
    assert not strays(watched)


@pytest.mark.parametrize("truth", [lambda p: p / 2, lambda p: min(1.0, p + 0.12), lambda _: 0.2])
def test_a_model_that_says_another_probability_strays(truth: Callable[[float], float]) -> None:
    (watched,) = summarise(rows(4_000, truth))
    assert strays(watched)


def test_intervals_that_are_too_narrow_cover_less() -> None:
    rng = np.random.default_rng(3)
    p = rng.uniform(0.1, 0.9, 40_000)
    shifted = np.clip(p + 0.03 * np.sign(np.sin(40 * p)), 0, 1)
    event = (rng.random(len(p)) < shifted).astype(np.float64)
    wide, narrow = (interval_coverage(event, p, p - half, p + half) for half in (0.05, 0.001))
    assert wide > 0.9 > narrow + 0.2


@given(st.integers(30, 400), st.integers(0, 10_000))
def test_figures_of_any_rows_are_shares(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, event = rng.random(count), (rng.random(count) < 0.5).astype(np.float64)
    assert 0.0 <= calibration_error(event, p, np.ones(count)) <= 1.0
    assert 0.0 <= interval_coverage(event, p, p * 0.9, np.minimum(1.0, p * 1.1)) <= 1.0
    assert interval_coverage(event, p, np.zeros(count), np.ones(count)) == 1.0


def test_few_labels_tell_no_figures() -> None:
    (watched,) = summarise(rows(FEWEST - 1))
    assert watched.figures["ece"] is None
    assert watched.figures["auc"] is None
    assert watched.figures["event_rate"] is not None
    assert not strays(watched)


def test_versions_are_told_apart_and_the_newest_with_enough_is_shown() -> None:
    found = summarise(
        [*rows(200, model_version=3), *rows(20, model_version=4), *rows(10, type="fraud", model_name="fraud", outcome="ALLOW")]
    )
    assert [(one.type, one.model_version, one.labelled) for one in found] == [
        ("acceptance", 4, 20),
        ("acceptance", 3, 200),
        ("fraud", 3, 10),
    ]
    assert [(one.type, one.model_version) for one in newest(found)] == [("acceptance", 3), ("fraud", 3)]


def test_what_has_no_probability_takes_no_part() -> None:
    assert (
        summarise(
            [dataclasses.replace(ROW, probability=None), dataclasses.replace(ROW, positive=None), dataclasses.replace(ROW, model_name=None)]
        )
        == []
    )


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval(counts: tuple[int, int]) -> None:
    count, of = counts
    told = rate(count, of)
    assert told["low"] is not None
    assert told["value"] is not None
    assert told["high"] is not None
    assert 0.0 <= told["low"] <= told["value"] <= told["high"] <= 1.0
    assert told["low"] < told["high"]


def test_a_region_that_is_refused_more_often_is_named() -> None:
    rng = np.random.default_rng(1)
    good = np.zeros(1_000, dtype=bool)
    refused = {"east": 0.05, "south": 0.30, "north": 0.06}
    told = fairness(Segment("region", name, rng.random(1_000) >= share, good) for name, share in refused.items())
    (gap,) = [gap for gap in told["gaps"] if gap["measure"] == "false_alarm_rate"]
    assert (gap["highest"], gap["clear"]) == ("south", True)
    assert gap["difference"] == pytest.approx(0.25, abs=0.05)
    alike = fairness(Segment("region", name, rng.random(1_000) >= 0.1, good) for name in ("east", "south"))
    assert not any(gap["clear"] for gap in alike["gaps"])


def test_small_segments_are_not_told() -> None:
    few = np.zeros(10, dtype=bool)
    assert fairness([Segment("region", "east", few, few)]) == {"level": 0.9, "segments": [], "gaps": []}
