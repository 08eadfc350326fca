"""States: bounded, independent of the order of arrival, the same after bytes, and honest about broken bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store import state as states
from feature_store.state import EntityState, Facts, Item, Series, StateCorrupt, Tally, code
from feature_store.times import DAY, HOUR

_items = st.builds(Item, st.integers(0, 20), st.integers(0, 20), st.integers(0, 3), st.sampled_from([0, 1, 2_500_000]))
_tellings = st.tuples(st.integers(0, 5), st.integers(0, 5), st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1))


def _filled() -> EntityState:
    state = EntityState()
    for i in range(5):
        state.add_item("orders", Item(i * HOUR, i * HOUR + 1, code(f"O-{i}"), 10_500 * i), 64)
        state.add_count("seen", i * HOUR, DAY, -i, 10)
    state.tell("node", "N1", 7, 8, {"status": "open", "temp_classes": ("ambient", "chilled")})
    state.known_at = 99
    return state


@given(st.lists(_items, max_size=12), st.randoms(use_true_random=False))
def test_a_series_keeps_the_newest_whatever_arrives_first(items: list[Item], shuffler: random.Random) -> None:
    series, shuffled = Series(), list(items)
    shuffler.shuffle(shuffled)
    for item in shuffled:
        series.add(item, keep=4)
    kept = list(zip(series.when, series.known, series.ref, series.value, strict=True))
    assert kept == sorted(items)[-4:]


@given(st.lists(_items, max_size=12), st.randoms(use_true_random=False))
def test_a_series_of_what_begins_keeps_the_last_of_each_beginning(items: list[Item], shuffler: random.Random) -> None:
    series, shuffled = Series(), list(items)
    shuffler.shuffle(shuffled)
    for item in shuffled:
        series.add(item, keep=4, once=True)
    kept = list(zip(series.when, series.known, series.ref, series.value, strict=True))
    assert kept == list({item.when: item for item in sorted(items)}.values())[-4:]


def test_of_too_many_items_the_one_longest_silent_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MOST_ITEMS", 3)
    state = EntityState()
    for i in (4, 1, 2, 3, 5):
        state = EntityState.from_bytes(state.to_bytes())
        state.tell("node", f"N{i}", i, i, {"status": "open"})
        state.add_count(f"delivered/N{i}", i * DAY, DAY, 0, 10)
        state.add_item(f"outage/N{i}", Item(i, i, 0, 1), 10)
        state.add_item("orders", Item(i, i, 0, 1), 10)
    assert set(state.group("node", 10)) == {"N3", "N4", "N5"}
    assert [state.tally(f"delivered/N{i}") is not None for i in range(1, 6)] == [False, False, True, True, True]
    assert [state.series(f"outage/N{i}") is not None for i in range(1, 6)] == [False, False, True, True, True]
    orders = state.series("orders")
    assert orders is not None
    assert len(orders) == 5
    again = EntityState.from_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()


def test_a_total_beyond_64_bits_does_not_make_a_state_unwritable() -> None:
    state = EntityState()
    for _ in range(3):
        state.add_count("spent", HOUR, DAY, 2**62, 10)
    read = EntityState.from_bytes(state.to_bytes()).tally("spent")
    assert read is not None
    assert (read.count, read.total) == ([3], [2**63 - 1])


@given(st.lists(st.tuples(st.integers(0, 8 * HOUR), st.integers(-5, 5)), max_size=15), st.randoms(use_true_random=False))
def test_a_tally_counts_the_newest_periods_whatever_arrives_first(events: list[tuple[int, int]], shuffler: random.Random) -> None:
    tally, shuffled = Tally(), list(events)
    shuffler.shuffle(shuffled)
    for when, total in shuffled:
        tally.add(when, HOUR, total, keep=3)
    periods = sorted({when // HOUR for when, _ in events})[-3:]
    assert tally.period == periods
    assert tally.count == [sum(when // HOUR == period for when, _ in events) for period in periods]
    assert tally.total == [sum(total for when, total in events if when // HOUR == period) for period in periods]
    assert tally.between(0, 100) == (sum(tally.count), sum(tally.total))
    assert tally.newest == max((when for when, _ in events), default=0)


@given(st.lists(_tellings, max_size=6), st.randoms(use_true_random=False))
def test_each_fact_keeps_the_value_that_happened_last(tellings: list[tuple[int, int, dict[str, int]]], shuffler: random.Random) -> None:
    one, other, shuffled = EntityState(), EntityState(), list(tellings)
    shuffler.shuffle(shuffled)
    for when, known, values in tellings:
        one.tell("node", "N1", when, known, values)
    for when, known, values in shuffled:
        other.tell("node", "N1", when, known, values)
    assert one.to_bytes() == other.to_bytes()
    newest = {name: max((w, k, v[name]) for w, k, v in tellings if name in v)[2] for name in {n for _, _, v in tellings for n in v}}
    facts = one.facts("node", "N1", as_of=100)
    assert (dict(facts.values) if facts else {}) == newest


def test_facts_that_were_not_known_yet_are_not_told() -> None:
    state = EntityState()
    state.tell("stock", "N1", 10, 50, {"available": 5})
    assert state.facts("stock", "N1", as_of=49) is None
    assert state.group("stock", as_of=49) == {}
    assert state.facts("stock", "N1", as_of=50) == Facts({"available": 5}, 10)


def test_what_is_derived_from_facts_is_worked_out_anew_when_they_change_or_expire() -> None:
    state, calls = EntityState(), []

    def make(told: dict[str, Facts]) -> tuple[int, int]:
        calls.append(len(told))
        return len(told), 20

    state.tell("rate", "a", 1, 1, {"fixed": 1})
    assert [state.derived("rate", at, make) for at in (10, 15, 20)] == [1, 1, 1]
    assert calls == [1]
    assert state.derived("rate", 21, make) == 1
    state.tell("rate", "b", 2, 2, {"fixed": 1})
    assert state.derived("rate", 22, make) == 2
    assert calls == [1, 1, 2]


def test_bytes_bring_back_everything() -> None:
    state = _filled()
    again = EntityState.from_bytes(state.to_bytes())
    orders, seen = again.series("orders"), again.tally("seen")
    assert orders is not None
    assert seen is not None
    assert list(orders.value) == [0, 10_500, 21_000, 31_500, 42_000]
    assert seen.total == [-10]
    assert seen.newest == 4 * HOUR
    assert again.known_at == 99
    assert again.facts("node", "N1", 100) == Facts({"status": "open", "temp_classes": ["ambient", "chilled"]}, 7)
    assert again.series("none") is None
    assert again.tally("none") is None


def test_bytes_are_the_same_whether_or_not_a_column_was_looked_at() -> None:
    raw = _filled().to_bytes()
    untouched, touched = EntityState.from_bytes(raw), EntityState.from_bytes(raw)
    touched.series("orders")
    touched.tally("seen")
    assert untouched.to_bytes() == raw == touched.to_bytes()


@given(st.data())
def test_broken_bytes_have_one_error(data: st.DataObject) -> None:
    raw = bytearray(_filled().to_bytes())
    match data.draw(st.sampled_from(["cut", "longer", "version", "header"])):
        case "cut":
            raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
        case "longer":
            raw += b"\x00"
        case "version":
            raw[0] = 99
        case _:
            raw[5] = data.draw(st.sampled_from(b"}0\x00x"))
    with pytest.raises(StateCorrupt):
        EntityState.from_bytes(bytes(raw))


def test_a_state_knows_from_its_bytes_whose_items_it_has_not() -> None:
    state = EntityState.from_bytes(_filled().to_bytes())
    assert state.mentions(code("O-3"))
    assert not state.mentions(code("O-9"))
    state.add_item("orders", Item(9 * HOUR, 9 * HOUR, code("O-9"), 1), 64)
    assert state.mentions(code("O-9")), "its bytes are of before"


@given(st.lists(_items, min_size=1, max_size=12), st.integers(0, 20), st.integers(0, 4))
def test_what_an_order_may_see_of_a_series_is_the_same_packed_or_not(items: list[Item], as_of: int, own: int) -> None:
    series = Series()
    for item in items:
        series.add(item, keep=64)
    packed = Series(b"head" + series.pack(), 4, len(items))
    for limits in ((as_of, own), (None, own), (as_of, None), (None, None)):
        wanted = [item for item in sorted(items) if (limits[0] is None or item.known <= limits[0]) and item.ref != limits[1]]
        for one in (series, packed, Series(b"head" + series.pack(), 4, len(items))):
            seen = one.known_by(*limits)
            assert list(zip(seen.when, seen.known, seen.ref, seen.value, strict=True)) == wanted
