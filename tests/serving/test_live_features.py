"""Freshness, defaults and spread of features, from records as decisions leave them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.times import DAY, HOUR
from feature_store.views import SERVICES
from feature_store.views.definition import Dtype
from governance.ledger.record import Numbers
from serving.live_features import BINS, LEAST_PERSONAL, live, spread

AT = 1_800_000_000_000
SERVICE = SERVICES["fraud"]
WIDTH = len(SERVICE.names)


def groups(value: float, origin: str = "store", age: int = HOUR, version: str = SERVICE.view_version, lanes: int = 0) -> dict[str, Any]:
    rows = max(lanes, 1)
    times, origins = [AT - age] * WIDTH, [origin] * WIDTH
    told: dict[str, Any] = {"names": list(SERVICE.names), "view_version": version, "as_of": AT, "event_times": times, "origins": origins}
    if lanes:
        told |= {"lanes": [["N1", str(i)] for i in range(lanes)], "event_times": [times] * lanes, "origins": [origins] * lanes}
    return {"snapshot": told, "values": Numbers.of(np.full(rows * WIDTH, value)).text}


def test_defaults_ages_and_the_newest_fact_are_counted() -> None:
    decisions = [groups(1.0, age=HOUR)] * 15 + [groups(math.nan, "default")] * 5 + [groups(2.0, age=DAY)] * 5
    found = live(SERVICE, decisions)
    assert (found.decisions, found.others, found.since) == (25, 0, AT)
    one = found.features["amount"]
    assert (one.values, one.defaults) == (25, 0.2)
    assert (one.newest_at, one.age_s, one.old_age_s) == (AT - HOUR, 3_600, 86_400)
    assert one.spread is not None
    assert (one.spread.edges, one.spread.bins) == ((1.0, 2.0), (15, 5))


def test_what_the_request_tells_has_no_age() -> None:
    one = live(SERVICE, [groups(3.0, "request")]).features["amount"]
    assert (one.newest_at, one.age_s, one.defaults, one.requests) == (None, None, 0.0, 1.0)


def test_decisions_by_other_definitions_are_counted_and_left_out() -> None:
    found = live(SERVICE, [groups(1.0), groups(9.0, version="fraud-000000000000"), {}, {**groups(1.0), "values": "!"}])
    assert (found.decisions, found.others) == (1, 1)
    assert live(SERVICE, []).features == {}


def test_each_candidate_lane_is_a_value() -> None:
    assert live(SERVICE, [groups(1.0, lanes=4), groups(1.0, lanes=3)]).features["amount"].values == 7


def test_persons_are_not_shown_by_the_spread_of_a_few() -> None:
    personal = next(feature.name for feature in SERVICE.features if feature.personal)
    few, enough = live(SERVICE, [groups(1.0)] * (LEAST_PERSONAL - 1)), live(SERVICE, [groups(1.0)] * LEAST_PERSONAL)
    assert few.features[personal].spread is None
    assert few.features["amount"].spread is not None
    assert enough.features[personal].spread is not None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300), st.sampled_from(list(Dtype)))
def test_every_value_is_in_a_bin(values: list[float], dtype: Dtype) -> None:
    known = np.array([round(value) for value in values] if dtype is Dtype.INTEGER else values, dtype=np.float64)
    found = spread(known, dtype)
    assert sum(found.bins) == len(known)
    assert len(found.edges) - len(found.bins) in (0, 1)
    assert list(found.edges) == sorted(found.edges)
    assert list(found.quantiles) == sorted(found.quantiles)
    assert set(found.quantiles) <= set(known.tolist())


def test_whole_numbers_have_a_bar_each() -> None:
    known = np.arange(BINS - 2, dtype=np.float64).repeat(20)
    found = spread(known, Dtype.INTEGER)
    assert found.edges == tuple(range(BINS - 2))
    assert set(found.bins) == {20}
