"""Every declared part of a feature equals a slow, obvious computation from raw events, whatever arrives when."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store import folding
from feature_store.entities import PAIRS, Entity, EntityKey
from feature_store.events import Event, EventType, Kind
from feature_store.folding import FOLDS, KEEP, Fold, Shape, apply, replay
from feature_store.network import Rate
from feature_store.order import Order
from feature_store.snapshot import Origin
from feature_store.state import EntityState
from feature_store.times import DAY, HOUR, MINUTE, format_time, parse_time
from feature_store.views import SERVICES, build_snapshot, snapshot_of
from feature_store.views.aggregations import combined, count, evaluator, mean, of, ratio
from feature_store.views.definition import Dtype, Feature, FeatureService, Group, Known, Unit, duration, settle
from feature_store.views.parts import Aggregate, Fact, Forecast, How, Part
from feature_store.views.situation import Own, Situation
from feature_store.vocabulary import VOCABULARY
from tests.feature_store.reference import Question, value_of
from training.world import SimulatedOrder, simulate

NOW = parse_time("2026-03-02T06:00:00Z")
WINDOWS = (5 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY)
LAGS = (0, HOUR, 7 * DAY)


def folds() -> dict[tuple[Entity, str], Fold]:
    return {(fold.entity, fold.into): fold for several in FOLDS.values() for fold in several}


SERIES = sorted((entity, name) for (entity, name), fold in folds().items() if fold.shape is Shape.SERIES)
TALLIES = sorted((entity, name) for (entity, name), fold in folds().items() if fold.shape is Shape.TALLY)


def an_order(order_id: str = "O-own") -> Order:
    line = {"qty": 1, "unit_price": {"amount": "30.50", "currency": "CNY"}}
    return Order.model_validate(
        {
            "order_id": order_id,
            "placed_at": format_time(NOW),
            "currency": "CNY",
            "customer": {"customer_id": "customer_id-1"},
            "ship_to": {"region": "region-1", "address_id": "address_id-1"},
            "device": {"device_id": "device_id-1", "ip": "ip-1"},
            "payment": {"token": "payment_token-1"},
            "lines": [line | {"line_id": f"{i}", "sku": f"sku-{i}", "attributes": {"supplier_id": f"supplier_id-{i}"}} for i in (1, 2)],
        }
    )


LANE = Rate("node_id-1", "region-1", "service-1", 1, 1, 1.0)


def question(order: Order, as_of: int, lane: Rate | None = LANE) -> Question:
    """Who asks, spelled out from the order."""
    device, skus = order.device, [line.sku for line in order.lines]
    own = {
        Own.CUSTOMER: order.customer.customer_id,
        Own.ADDRESS: order.ship_to.address_id,
        Own.REGION: order.ship_to.region,
        Own.DEVICE: device.device_id if device else None,
        Own.IP: device.ip if device else None,
        Own.PAYMENT: order.payment.token if order.payment else None,
        Own.NODE: lane.node_id if lane else None,
        Own.SERVICE: lane.service if lane else None,
        Own.LANE: f"{lane.node_id}|{lane.service}" if lane else None,
    }
    keys: dict[Entity, list[tuple[str, ...]]] = {
        Entity.SKU: [(sku,) for sku in dict.fromkeys(skus)],
        Entity.SUPPLIER: [(one,) for one in dict.fromkeys(line.supplier_id for line in order.lines) if one],
        Entity.NETWORK: [()],
    }
    for entity in (Entity.CUSTOMER, Entity.DEVICE, Entity.ADDRESS, Entity.PAYMENT, Entity.IP, Entity.REGION):
        key = own[Own(entity.value)]
        keys[entity] = [(key,)] if key else []
    for pair, (first, second) in PAIRS.items():
        keys[pair] = [(*a, *b) for a in keys[first] for b in keys[second]]
    return Question(as_of, order.order_id, keys, own)


def online(part: Part, events: list[Event], order: Order, as_of: int, lane: Rate | None = LANE) -> tuple[float, int | None] | None:
    """What the store and the evaluator make of the events that are known, in the order in which they come."""
    states = replay(event for event in events if event.known_at <= as_of)
    situation = Situation(order, states, as_of)
    found = evaluator(part)(situation.on(lane) if lane else situation)
    return None if found is None else (found.value, found.event_time)


def ago(draw: st.DrawFn) -> int:
    """A time before the decision: often on the edge of a window, often the same as another's."""
    edges = [0, *WINDOWS, *LAGS, *(lag + within for lag in LAGS for within in WINDOWS), DAY // 4, DAY + DAY // 4]
    return draw(st.sampled_from(edges)) + draw(st.sampled_from([-1, 0, 0, 1, 7 * MINUTE, 3 * HOUR, -MINUTE // 2]))


def told(draw: st.DrawFn, name: str, kind: Kind) -> object:
    named = f"{name.removesuffix('s')}-" if kind is Kind.TEXTS else f"{name}-"
    if kind is Kind.TEXT:
        return draw(st.sampled_from(["O-own", "O-1", "O-2", "O-3"])) if name == "order_id" else named + draw(st.sampled_from("112"))
    if kind is Kind.TEXTS:
        return tuple(named + one for one in draw(st.lists(st.sampled_from("123"), min_size=1, max_size=2)))
    if kind is Kind.BOOL:
        return draw(st.booleans())
    if kind is Kind.TIME:
        return NOW + draw(st.integers(-2, 2)) * DAY
    return draw(st.sampled_from([0, 1, 3, 0.1, 0.2, 19.99, -4.5, 1e6 / 3]))


@st.composite
def events_of(draw: st.DrawFn, kinds: list[EventType], most: int = 14) -> list[Event]:
    """Events in the order in which they arrive, which is not that in which they happened."""
    found = []
    for number in range(draw(st.integers(0, most))):
        kind = draw(st.sampled_from(kinds))
        fields = VOCABULARY[kind]
        data = {name: told(draw, name, field.kind) for name, field in fields.items() if field.required or draw(st.integers(0, 9))}
        at = NOW - ago(draw)
        known = at + draw(st.sampled_from([0, 0, 1, HOUR, 7 * DAY, -MINUTE]))  # the last: a clock that is ahead
        starts = at + draw(st.sampled_from([0, DAY, -DAY])) if draw(st.booleans()) else None
        found.append(Event(f"E-{number}", kind, at, known, data, starts))
    return found


@st.composite
def an_aggregate(draw: st.DrawFn) -> Aggregate:
    """Any aggregate that the folds can answer."""
    smooth = {"prior": 0.12, "weight": draw(st.sampled_from([0.0, 2.0, 10.0]))}
    lag, least = draw(st.sampled_from(LAGS)), draw(st.booleans())
    if draw(st.integers(0, 2)) == 0:
        entity, name = draw(st.sampled_from(TALLIES))
        fold = folds()[entity, name]
        how = draw(st.sampled_from([How.COUNT, How.SUM, How.MEAN, How.SHARE]))
        alike = [
            other
            for place, other in TALLIES
            if place is entity and len((marks := folds()[place, other]).per) == len(fold.per) and marks.period == fold.period
        ]
        having = draw(st.sampled_from(alike))
        item = {0: None, 1: Own.NODE if "node_id" in fold.per else Own.SERVICE, 2: Own.LANE}[len(fold.per)]
        lag = 7 * fold.period if lag and fold.keep > 9 else 0
        within = draw(st.sampled_from([one for one in (1, 2, 7, 30, 48, 90) if one + lag // fold.period < fold.keep])) * fold.period
        extra = {} if how in (How.COUNT, How.SUM) else smooth
        return Aggregate(entity, name, how, within, lag, having=having if how is How.SHARE else None, item=item, least=least, **extra)
    entity, name = draw(st.sampled_from(SERIES))
    how = draw(st.sampled_from(How))
    having = draw(st.sampled_from([other for place, other in SERIES if place is entity])) if how is How.SHARE else None
    own = draw(st.sampled_from([Own.CUSTOMER, Own.DEVICE, Own.PAYMENT])) if how in (How.UNSEEN, How.DISTINCT) else None
    extra = smooth if how in (How.MEAN, How.SHARE) else {}
    within = draw(st.sampled_from([None, *WINDOWS]))
    last = draw(st.sampled_from([None, None, 1, 3]))
    return Aggregate(entity, name, how, within, lag, last, having, own, per=draw(st.sampled_from([HOUR, DAY])), least=least, **extra)


def feeders(part: Part) -> list[EventType]:
    return [kind for kind, several in FOLDS.items() if any(fold.entity is part.entity and fold.into in part.reads for fold in several)]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_many_features_at_once_are_what_each_is_alone(data: st.DataObject) -> None:
    parts = data.draw(st.lists(an_aggregate(), min_size=1, max_size=8))
    changes = [{"calculation": of(part), "ttl": data.draw(st.sampled_from([None, DAY]))} for part in parts]
    both = combined(
        "first less second", (parts[0], parts[-1]), lambda _, found: found[0] and found[1] and Known(found[0].value - found[1].value)
    )
    features = [a_feature(name=f"f{i}", **one) for i, one in enumerate([*changes, {"calculation": both}])]
    events = [event for event in data.draw(events_of(sorted({kind for part in parts for kind in feeders(part)}))) if event.known_at <= NOW]
    fresh = {key: EntityState.from_bytes(state.to_bytes()) for key, state in replay(events).items()}
    for states in (fresh, replay(events)):
        snapshot = snapshot_of(FeatureService("tried", tuple(features)), an_order(), states, NOW)
        for feature, value, at, origin in zip(features, snapshot.values, snapshot.event_times, snapshot.origins, strict=True):
            alone = feature.calculation.run(Situation(an_order(), states, NOW))
            assert (value, at, origin) == settle(feature, alone, NOW), feature


def in_every_window(part: Aggregate) -> Iterator[Aggregate]:
    """The same of each length of window that the folds can answer."""
    yield part
    for within in (None, *WINDOWS):
        with suppress(ValueError):
            yield replace(part, within=within)


def check_any_aggregate(data: st.DataObject) -> None:
    part = data.draw(an_aggregate())
    events = data.draw(events_of(feeders(part)))
    for as_of in (NOW, NOW - DAY, NOW - 7 * DAY):
        states = replay(event for event in events if event.known_at <= as_of)
        situation, asked = Situation(an_order(), states, as_of).on(LANE), question(an_order(), as_of)
        for one in in_every_window(part):
            found = evaluator(one)(situation)
            assert (found and (found.value, found.event_time)) == value_of(one, events, asked), one


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_aggregate_equals_the_slow_obvious_one(data: st.DataObject) -> None:
    check_any_aggregate(data)


@pytest.mark.slow
@settings(max_examples=800, deadline=None)
@given(st.data())
def test_any_aggregate_equals_the_slow_obvious_one_at_thousands_of_points(data: st.DataObject) -> None:
    check_any_aggregate(data)


@pytest.mark.parametrize("within", WINDOWS)
@pytest.mark.parametrize("lag", LAGS)
def test_a_window_ends_where_it_is_said_to_the_millisecond(within: int, lag: int) -> None:
    part = Aggregate(Entity.CUSTOMER, "orders", How.COUNT, within, lag)
    service = FeatureService("tried", (a_feature(calculation=of(part)),))
    for edge, older in ((lag, 0), (lag, 1), (lag + within, 0), (lag + within, 1)):
        for off in (-1, 0, 1):
            ages = [(lag + within // 2, 1), (edge + off, 2), (lag + within + DAY, 3)][: 2 + older]
            data = {"customer_id": "customer_id-1", "amount": 1}
            events = [
                Event(f"E-{n}", EventType.ORDER_PLACED, NOW - age, min(NOW, NOW - age), data | {"order_id": f"O-{n}"}) for age, n in ages
            ]
            wanted = 1 + (lag <= edge + off < lag + within)
            assert value_of(part, events, question(an_order(), NOW)) == online(part, events, an_order(), NOW)
            assert snapshot_of(service, an_order(), replay(events), NOW).values.tolist() == [wanted], (edge, off)


def test_a_mark_that_lies_ahead_does_not_count_yet() -> None:
    data = {"customer_id": "customer_id-1", "amount": 1, "order_id": "O-1"}
    part = Aggregate(Entity.CUSTOMER, "orders", How.SHARE, having="chargebacks")
    for ahead, share in ((0, 1.0), (1, 0.0)):
        events = [Event("E-1", EventType.ORDER_PLACED, NOW - DAY, NOW, data), Event("E-2", EventType.CHARGEBACK, NOW + ahead, NOW, data)]
        found = online(part, events, an_order(), NOW)
        assert found is not None
        assert found == value_of(part, events, question(an_order(), NOW))
        assert found[0] == share


@pytest.mark.parametrize("seed", range(6))
def test_histories_longer_than_what_is_kept_give_the_same_whatever_arrives_first(seed: int) -> None:
    chance = random.Random(seed)
    events = []
    for number in range(400):
        at = NOW - chance.choice((HOUR, DAY, 40 * DAY)) * chance.randrange(1, 4) // chance.choice((1, 1, 60))
        kind = chance.choice((EventType.ORDER_PLACED, EventType.ORDER_PLACED, EventType.CHARGEBACK))
        data = {
            "order_id": f"O-{chance.randrange(300)}", "customer_id": f"customer_id-{chance.choice('1112')}", "amount": chance.randrange(9) / 7,
            "device_id": "device_id-1", "payment_token": f"payment_token-{chance.choice('12')}", "ip": "ip-1",
        }  # fmt: skip
        events.append(Event(f"E-{number}", kind, at, at + chance.choice((0, HOUR, 7 * DAY)), data))
    chance.shuffle(events)
    plenty = [key for key in SERIES if key[1] in ("orders", "spent", "chargebacks", "payments", "devices")]
    parts = [
        Aggregate(entity, name, how, within, lag, last, having="chargebacks" if how is How.SHARE else None, own=own)
        for entity, name in plenty
        for how in How
        for within, lag, last in ((None, 0, None), (DAY, HOUR, None), (30 * DAY, 0, 20), (90 * DAY, 7 * DAY, None))
        for own in [Own.CUSTOMER if how in (How.UNSEEN, How.DISTINCT) else None]
        if how is not How.SHARE or (entity, "chargebacks") in SERIES
    ]
    states = replay(event for event in events if event.known_at <= NOW)
    situation, asked = Situation(an_order(), states, NOW), question(an_order(), NOW)
    for part in chance.sample(parts, 80):
        found = evaluator(part)(situation)
        assert (found and (found.value, found.event_time)) == value_of(part, events, asked), part


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_forecast_and_fact_equals_the_slow_obvious_one(data: st.DataObject) -> None:
    several = folds()
    forecasts = [Forecast(*key, ahead=(0, DAY)) for key, fold in several.items() if fold.shape is Shape.FORECAST and not fold.per]
    facts = [Fact(Entity.SUPPLIER, "status", "delay_days"), Fact(Entity.SKU, "listing", "price", least=True)]
    part = data.draw(st.sampled_from([*forecasts, *facts]))
    events = data.draw(events_of(feeders(part)))
    assert online(part, events, an_order(), NOW) == value_of(part, events, question(an_order(), NOW))


def own_parts() -> list[tuple[str, Feature]]:
    return [(kind, feature) for kind, service in SERVICES.items() for feature in service.features if feature.calculation.parts]


def asked_in(stream: Iterator[Event | SimulatedOrder], every: int) -> Iterator[tuple[list[Event], Order, int]]:
    """Some of a world's orders, each with what was known when it was placed."""
    known: list[Event] = []
    number = 0
    for item in stream:
        if isinstance(item, Event):
            known.append(item)
            continue
        number += 1
        if number % every == 0:
            yield known, item.order, item.placed_at


def check_a_piece_of_the_world(orders: int, every: int) -> tuple[int, int]:
    """How many points were compared, and at how many of them something was known."""
    points = seen = 0
    parts = list(dict.fromkeys(part for _, feature in own_parts() for part in feature.calculation.parts))
    states: dict[EntityKey, EntityState] = {}
    by_kind: dict[EventType, list[Event]] = {}
    for events, order, as_of in asked_in(simulate(orders, seed=11).stream(), every):
        for event in events[sum(map(len, by_kind.values())) :]:
            apply(states, event)
            by_kind.setdefault(event.type, []).append(event)
        situation = Situation(order, states, as_of)
        lane = max(situation.network.lanes(order.ship_to.region), key=lambda one: (one.service, one.node_id))
        asked, on = question(order, as_of, lane), situation.on(lane)
        for part in parts:
            found = evaluator(part)(on)
            slow = value_of(part, [event for kind in feeders(part) for event in by_kind.get(kind, ())], asked)
            assert (found and (found.value, found.event_time)) == slow, (part, order.order_id)
            points, seen = points + 1, seen + (slow is not None)
    return points, seen


def test_every_part_of_our_features_equals_the_slow_one_on_a_piece_of_the_world() -> None:
    points, seen = check_a_piece_of_the_world(orders=60, every=20)
    assert points > 50
    assert seen > 10


@pytest.mark.slow
def test_every_part_of_our_features_equals_the_slow_one_at_thousands_of_points_of_the_world() -> None:
    points, seen = check_a_piece_of_the_world(orders=3000, every=60)
    assert points > 1000
    assert seen > points / 3, "most histories have something in them"


def test_a_feature_that_is_one_part_is_that_part() -> None:
    (events, order, as_of) = next(asked_in(simulate(60, seed=11).stream(), every=50))
    states, asked = replay(events), question(order, as_of, None)
    alone = 0
    for kind in ("acceptance", "fraud"):
        snapshot = build_snapshot(kind, order, states, as_of)
        for feature, value, at, origin in zip(
            SERVICES[kind].features, snapshot.values, snapshot.event_times, snapshot.origins, strict=True
        ):
            parts = feature.calculation.parts
            if len(parts) != 1 or feature.calculation.combine is not None or not feature.calculation.formula.startswith(parts[0].formula):
                continue
            slow = value_of(parts[0], events, asked)
            wanted = settle(feature, None if slow is None else Known(*slow), as_of)
            assert (value, at, origin) == wanted or (math.isnan(value) and math.isnan(wanted[0])), feature.name
            alone += 1
    assert alone > 10


def a_feature(**changes: object) -> Feature:
    facts = {"calculation": count(Entity.CUSTOMER, "orders", within=DAY), "default": -1.0}
    about = {
        "name": "tried",
        "dtype": Dtype.NUMBER,
        "unit": Unit.NONE,
        "en": "tried out",
        "zh": "试一试",
        "reason": "TRIED",
        "group": Group.VELOCITY,
    }
    return Feature(**(about | facts | changes))  # type: ignore[arg-type]


def test_a_value_older_than_its_ttl_is_unknown() -> None:
    kept, fresh = a_feature(), a_feature(ttl=HOUR)
    for age, value in ((0, 3.0), (HOUR, 3.0), (HOUR + 1, -1.0)):
        assert settle(fresh, Known(3.0, NOW - age), NOW)[0] == value
        assert settle(kept, Known(3.0, NOW - age), NOW) == (3.0, NOW - age, Origin.STORE)
    assert settle(fresh, Known(0.0), NOW) == (0.0, None, Origin.STORE), "an empty window has no age"
    assert settle(fresh, None, NOW) == (-1.0, None, Origin.DEFAULT)
    assert settle(fresh, Known(math.nan, NOW), NOW) == (-1.0, None, Origin.DEFAULT)


def test_the_version_of_a_feature_changes_with_all_that_changes_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [a_feature().version]
    for how in (
        count(Entity.CUSTOMER, "orders", within=HOUR), count(Entity.CUSTOMER, "orders", within=DAY, lag=HOUR),
        count(Entity.CUSTOMER, "orders", within=DAY, last=3), count(Entity.DEVICE, "orders", within=DAY), mean(Entity.CUSTOMER, "orders", within=DAY),
        mean(Entity.CUSTOMER, "orders", within=DAY, prior=1.0, weight=1.0), mean(Entity.CUSTOMER, "orders", within=DAY, prior=1.0, weight=2.0),
    ):  # fmt: skip
        versions.append(a_feature(calculation=how).version)
    versions += [a_feature(default=0.0).version, a_feature(ttl=DAY).version, a_feature(revision=2).version]
    assert len(set(versions)) == len(versions)
    assert a_feature(en="said in other words").version == versions[0]
    assert a_feature(calculation=count(Entity.CUSTOMER, "orders", within=DAY)).version == versions[0]
    folding.feeding.cache_clear()
    fewer = tuple(replace(fold, keep=KEEP // 2) for fold in FOLDS[EventType.ORDER_PLACED])
    monkeypatch.setitem(FOLDS, EventType.ORDER_PLACED, fewer)
    assert a_feature().version != versions[0], "what feeds it is part of it"
    monkeypatch.undo()
    folding.feeding.cache_clear()


@pytest.mark.parametrize(
    "wrong",
    [
        {"series": "nothing"}, {"how": How.SHARE}, {"having": "chargebacks"}, {"how": How.UNSEEN}, {"own": Own.DEVICE}, {"last": 0},
        {"last": 1000}, {"within": 0}, {"lag": -1}, {"weight": 1.0}, {"series": "profile"}, {"item": Own.NODE},
        {"entity": Entity.SKU, "series": "delivered", "within": None}, {"entity": Entity.SKU, "series": "delivered", "within": HOUR},
        {"entity": Entity.SKU, "series": "delivered", "within": 92 * DAY}, {"entity": Entity.SKU, "series": "delivered", "how": How.SINCE, "within": DAY},
        {"entity": Entity.NETWORK, "series": "delivered", "within": DAY}, {"entity": Entity.REGION, "series": "weather"},
        {"entity": Entity.IP, "series": "orders_by_day", "how": How.SHARE, "within": DAY, "having": "orders_by_hour"},
    ],
)  # fmt: skip
def test_what_the_folds_cannot_answer_is_refused_when_it_is_defined(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no event feeds|count|share|unseen|since"):
        Aggregate(**({"entity": Entity.CUSTOMER, "series": "orders", "how": How.COUNT} | wrong))  # type: ignore[arg-type]


def test_a_ratio_of_two_aggregates_has_both_as_parts() -> None:
    week, month = (Aggregate(Entity.CUSTOMER, "orders", How.SUM, days * DAY) for days in (7, 30))
    grown = ratio(week, month)
    assert grown.parts == (week, month)
    assert grown.within == 30 * DAY
    data = {"order_id": "O-1", "customer_id": "customer_id-1", "amount": 10}
    events = [Event(f"E-{days}", EventType.ORDER_PLACED, NOW - days * DAY, NOW, data) for days in (1, 2, 20)]
    assert grown.run(Situation(an_order(), replay(events), NOW)) == Known(2 / 3, NOW - DAY)
    assert grown.run(Situation(an_order(), {}, NOW)) is None
    assert grown.run(Situation(an_order(), replay(events), NOW + 60 * DAY)) is None, "nothing to divide by"


def test_what_two_did_together_is_told_apart_from_what_each_did_alone() -> None:
    def placed(number: int, customer: str, device: str) -> Event:
        data = {"order_id": f"O-{number}", "customer_id": customer, "device_id": device, "amount": 10}
        return Event(f"E-{number}", EventType.ORDER_PLACED, NOW - DAY, NOW - DAY, data)

    events = [
        placed(1, "customer_id-1", "device_id-1"),
        placed(2, "customer_id-1", "device_id-2"),
        placed(3, "customer_id-2", "device_id-1"),
    ]
    situation = Situation(an_order(), replay(events), NOW)
    together, alone = (count(entity, "orders").run(situation) for entity in (Entity.CUSTOMER_DEVICE, Entity.CUSTOMER))
    assert together == Known(1.0, NOW - DAY)
    assert alone == Known(2.0, NOW - DAY)


def test_lengths_of_time_are_told_in_their_largest_unit() -> None:
    assert [duration(one) for one in (5 * MINUTE, HOUR, 36 * HOUR, 30 * DAY, 1500)] == ["5min", "1h", "36h", "30d", "1.5s"]
