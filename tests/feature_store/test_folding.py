"""Events into states: every event type does something, order does not matter, the table is closed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.entities import NETWORK_KEY, Entity, EntityKey
from feature_store.events import VOCABULARY, Event, EventType, Kind
from feature_store.folding import FOLDS, Shape, apply, replay, sources, touched
from feature_store.state import EntityState, code
from feature_store.times import DAY, HOUR, MINUTE

_VALUES = {Kind.NUMBER: st.integers(0, 9), Kind.BOOL: st.booleans(), Kind.TIME: st.integers(1, 40).map(lambda h: h * HOUR)}


def _value(name: str, kind: Kind) -> st.SearchStrategy[object]:
    names = st.sampled_from([f"{name}-1", f"{name}-2"])
    return st.lists(names, min_size=1, max_size=2).map(tuple) if kind is Kind.TEXTS else _VALUES.get(kind, names)


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(list(EventType)))
    fields = VOCABULARY[kind]
    told = {name for name in fields if fields[name].required or draw(st.booleans())}
    data = {name: draw(_value(name, fields[name].kind)) for name in fields if name in told}
    when = draw(st.integers(0, 40)) * HOUR
    return Event(f"E-{draw(st.integers(0, 10**9))}", kind, when, when + draw(st.sampled_from([0, HOUR, 3 * DAY])), data)


@settings(max_examples=60)
@given(st.lists(an_event(), max_size=12), st.randoms(use_true_random=False))
def test_states_do_not_depend_on_the_order_of_events(events: list[Event], shuffler: random.Random) -> None:
    shuffled = list(events)
    shuffler.shuffle(shuffled)
    one, other = replay(events), replay(shuffled)
    assert {key: state.to_bytes() for key, state in one.items()} == {key: state.to_bytes() for key, state in other.items()}


@given(an_event())
def test_exactly_the_touched_states_change(event: Event) -> None:
    states = replay([event])
    assert set(states) == set(touched(event))
    assert all(state.known_at == event.known_at for state in states.values())


def test_every_type_of_event_has_its_folds() -> None:
    assert set(FOLDS) == set(EventType)
    for kind, folds in FOLDS.items():
        assert folds
        for fold in folds:
            assert set(fold.by) <= set(VOCABULARY[kind])


def test_the_name_of_a_column_is_of_one_shape_per_entity() -> None:
    shapes: dict[tuple[Entity, str], set[tuple[object, ...]]] = {}
    for folds in FOLDS.values():
        for fold in folds:
            shapes.setdefault((fold.entity, fold.into), set()).add((fold.shape, fold.scale, fold.keep, fold.period, len(fold.per)))
    assert {key: shape for key, shape in shapes.items() if len(shape) > 1} == {}


def test_sources_name_the_events_that_feed_a_series() -> None:
    assert sources(Entity.DEVICE, "orders") == (EventType.ORDER_PLACED,)
    assert set(sources(Entity.ADDRESS, "customers")) >= {EventType.CUSTOMER_REGISTERED, EventType.ORDER_PLACED}
    assert sources(Entity.ADDRESS, "nothing") == ()


def test_an_order_enters_the_history_of_everybody_it_names() -> None:
    placed = Event(
        "E-1",
        EventType.ORDER_PLACED,
        HOUR,
        HOUR,
        {"order_id": "O-1", "customer_id": "C-1", "amount": 9.5, "device_id": "D-1", "skus": ("S-1", "S-1")},
    )
    states = replay([placed])
    orders = states[EntityKey(Entity.CUSTOMER, "C-1")].series("orders")
    by_device = states[EntityKey(Entity.DEVICE, "D-1")].series("orders")
    sold = states[EntityKey(Entity.SKU, "S-1")].tally("orders")
    assert orders is not None
    assert by_device is not None
    assert sold is not None
    assert (orders.value, orders.ref) == ([9_500_000], [code("O-1")])
    assert by_device.value == [code("C-1")]
    assert sold.count == [1], "two lines of one SKU are one order of it"


def test_a_forecast_counts_from_when_it_holds_and_for_how_long() -> None:
    event = Event("E-1", EventType.WEATHER, HOUR, HOUR, {"region": "east", "severity": 0.7, "valid_to": 5 * HOUR}, valid_from=3 * HOUR)
    weather = replay([event])[EntityKey(Entity.REGION, "east")].series("weather")
    assert weather is not None
    assert (weather.when, weather.value, weather.ref) == ([3 * HOUR], [700_000], [2 * HOUR // MINUTE])


def test_facts_of_all_nodes_lie_in_one_row() -> None:
    states = replay([Event(f"E-{i}", EventType.NODE_STATUS, i, i, {"node_id": f"N{i}", "staffing": 0.5}) for i in (1, 2)])
    assert list(states) == [EntityKey(Entity.NETWORK, NETWORK_KEY)]
    assert set(states[EntityKey(Entity.NETWORK, NETWORK_KEY)].group("node", 10)) == {"N1", "N2"}


@pytest.mark.parametrize("count", [1, 500])
def test_a_state_is_bounded(count: int) -> None:
    states: dict = {}
    for i in range(count):
        apply(
            states,
            Event(
                f"E-{i}",
                EventType.ORDER_PLACED,
                i * DAY,
                i * DAY,
                {"order_id": f"O-{i}", "customer_id": "C-1", "amount": 1, "region": "east"},
            ),
        )
    assert len(states[EntityKey(Entity.CUSTOMER, "C-1")].to_bytes()) < 8_000
    assert len(states[EntityKey(Entity.REGION, "east")].to_bytes()) < 1_000


def _largest(entity: Entity) -> int:
    """The most bytes that items and periods of one entity can take, by the table alone; facts and items by name are as many as there are."""
    folds = {fold.into: fold for several in FOLDS.values() for fold in several if fold.entity is entity and not fold.per}
    sizes = {Shape.SERIES: 28, Shape.FORECAST: 28, Shape.TALLY: 16, Shape.FACTS: 0}
    return 200 + sum(60 + fold.keep * sizes[fold.shape] for fold in folds.values())


def _rush(count: int) -> dict[EntityKey, EntityState]:
    """Orders for one SKU from one IP address: every customer another one, a tenth of the payments declined."""
    states: dict[EntityKey, EntityState] = {}
    for i in range(count):
        data = {
            "order_id": f"O-{i}",
            "customer_id": f"C-{i}",
            "ip": "100.64.0.1",
            "payment_token": f"T-{i}",
            "amount": 19.9,
            "skus": ("S-1",),
        }
        at = i * 60 * DAY // count
        apply(states, Event(f"E-{i}", EventType.ORDER_PLACED, at, at, data))
        if i % 10 == 0:
            del data["skus"]
            apply(states, Event(f"D-{i}", EventType.PAYMENT_DECLINED, at, at, data))
    return {key: states[key] for key in (EntityKey(Entity.IP, "100.64.0.1"), EntityKey(Entity.SKU, "S-1"))}


def test_what_everybody_shares_takes_no_more_room_than_the_table_of_folds_allows() -> None:
    few, many = _rush(1_500), _rush(6_000)
    for key, state in many.items():
        assert len(state.to_bytes()) <= _largest(key.entity), key
        assert len(state.to_bytes()) <= len(few[key].to_bytes()) + 64, "four times the events, a few digits more"


def test_long_windows_of_what_everybody_shares_are_counted_in_full() -> None:
    states = _rush(6_000)
    by_day = states[EntityKey(Entity.IP, "100.64.0.1")].tally("orders_by_day")
    by_hour = states[EntityKey(Entity.SKU, "S-1")].tally("orders_by_hour")
    assert by_day is not None
    assert by_hour is not None
    assert by_day.between(30, 59) == (3_000, 3_000 * 19_900_000), "half of sixty days"
    assert by_hour.between(59 * 24, 59 * 24 + 23)[0] == 100
