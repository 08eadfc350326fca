"""What it costs to know sixty features of six entities, beside a bare read of the same six rows by key, in turn on the same store.

The orders are new ones of customers, devices and addresses that were seen before, at the end of a simulated history.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Engine

from feature_store.database import Reads
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import apply, replay
from feature_store.online import OnlineStore
from feature_store.order import Order
from feature_store.state import EntityState
from feature_store.times import DAY, HOUR, MINUTE, Millis
from feature_store.views import snapshot_of
from feature_store.views.aggregations import of
from feature_store.views.definition import Dtype, Feature, FeatureService, Group, Unit
from feature_store.views.parts import Aggregate, How
from feature_store.views.situation import Own, keys_of
from serving.garbage import collect_less
from training.world import SimulatedOrder

_E = Entity
ENTITIES = (_E.CUSTOMER, _E.DEVICE, _E.IP, _E.ADDRESS, _E.PAYMENT, _E.CUSTOMER_DEVICE)
_WINDOWS = (5 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY)


def sixty() -> FeatureService:
    """Counts, sums, means, distinct values, shares and times over the windows that a fraud model looks at."""
    parts = [Aggregate(entity, "orders", How.COUNT, within) for entity in ENTITIES[:5] for within in _WINDOWS]
    parts += [Aggregate(entity, "orders", How.SINCE) for entity in ENTITIES]
    parts += [Aggregate(entity, "orders", How.DISTINCT, 30 * DAY, own=Own.CUSTOMER) for entity in ENTITIES[1:5]]
    parts += [Aggregate(_E.CUSTOMER, "orders", how, within) for how in (How.SUM, How.MEAN) for within in _WINDOWS[2:]]
    parts += [Aggregate(entity, "spent", How.SUM, 7 * DAY) for entity in ENTITIES[1:5]]
    parts += [Aggregate(entity, "chargebacks", How.COUNT, 90 * DAY, 7 * DAY) for entity in ENTITIES]
    parts += [Aggregate(entity, "declined", How.COUNT, HOUR) for entity in ENTITIES[:4]]
    parts += [Aggregate(_E.CUSTOMER, name, How.UNSEEN, own=own) for name, own in (("devices", Own.DEVICE), ("addresses", Own.ADDRESS))]
    parts += [Aggregate(_E.CUSTOMER, "delivered", How.SHARE, last=3, having="returned")]
    parts += [Aggregate(_E.CUSTOMER_DEVICE, "orders", how) for how in (How.COUNT, How.MAX)]
    features = tuple(
        Feature(f"f{i}", Dtype.NUMBER, Unit.NONE, "measured only", "仅供测量", "MEASURED", Group.VELOCITY, of(part), default=0.0)
        for i, part in enumerate(parts)
    )
    return FeatureService("sixty", features)


def returning(items: Iterable[Event | SimulatedOrder], count: int = 1000) -> tuple[list[Order], list[Event], int]:
    """New orders of those who ordered last, all that is known by then, and the moment."""
    told = list(items)
    placed = [item for item in told if isinstance(item, SimulatedOrder)][-count:]
    as_of = placed[-1].placed_at + 1
    known = [item for item in told if isinstance(item, Event) and item.known_at <= as_of]
    return [item.order.model_copy(update={"order_id": f"next-{item.order.order_id}"}) for item in placed], known, as_of


def crowd(count: int, until: Millis) -> tuple[EntityKey, EntityState, list[float]]:
    """An IP address that so many orders of different customers came from: its state, and microseconds of each tenth of its events."""
    key, states, spent = EntityKey(_E.IP, "crowd"), dict[EntityKey, EntityState](), []
    for tenth in range(10):
        start = time.perf_counter()
        for i in range(tenth * count // 10, (tenth + 1) * count // 10):
            data = {"order_id": f"crowd-{i}", "customer_id": f"crowd-{i}", "ip": key.key, "amount": 19.9}
            at = until - 30 * DAY + i * 30 * DAY // count
            apply(states, Event(f"crowd-{i}", EventType.ORDER_PLACED, at, at, data))
        spent.append((time.perf_counter() - start) * 1e6 / (count // 10))
    return key, states[key], spent


def measure(engine: Engine, items: Iterable[Event | SimulatedOrder], count: int = 2000) -> dict[str, object]:
    """Microseconds of each way over the same orders in turn."""
    service, (orders, known, as_of) = sixty(), returning(items)
    store, reads = OnlineStore(engine), Reads(engine)
    states = replay(known)
    hot, hot_state, spent_on_crowd = crowd(100_000, as_of)
    collect_less()
    store.load_states({**states, hot: hot_state})
    keys = {order.order_id: [EntityKey(entity, key) for entity in ENTITIES for key in keys_of(order, entity)] for order in orders}
    crowded = {
        order.order_id: order.model_copy(update={"device": order.device.model_copy(update={"ip": hot.key})})
        for order in orders
        if order.device
    }
    crowded_keys = {name: [hot if key.entity is _E.IP else key for key in several] for name, several in keys.items()}
    chosen = random.Random(1).choices([order for order in orders if all(key in states for key in keys[order.order_id])], k=count)
    ways: dict[str, Callable[[Order], object]] = {
        "bare read of six rows by key, by the driver": lambda order: bare_by_driver(reads, keys[order.order_id]),
        "bare read of six rows by key, by SQLAlchemy": lambda order: bare_by_sqlalchemy(engine, keys[order.order_id]),
        "read and decoded": lambda order: store.read(keys[order.order_id]),
        "sixty features": lambda order: snapshot_of(service, order, store.read(keys[order.order_id]), as_of),
        "sixty features, from an address that 100,000 orders came from": lambda order: snapshot_of(
            service, crowded[order.order_id], store.read(crowded_keys[order.order_id]), as_of
        ),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for order in chosen:
        for name, way in ways.items():
            start = time.perf_counter()
            way(order)
            spent[name].append((time.perf_counter() - start) * 1e6)
    p50 = {name: sorted(one)[count // 2] for name, one in spent.items()}
    driver, sqlalchemy, _, features, _ = p50.values()
    return {
        "features": len(service.features),
        "bytes_of_six_states": round(sum(len(states[key].to_bytes()) for order in chosen for key in keys[order.order_id]) / count),
        "p50_us": {name: round(one, 1) for name, one in p50.items()},
        "times_a_bare_read_by_the_driver": round(features / driver, 2),
        "times_a_bare_read_by_sqlalchemy": round(features / sqlalchemy, 2),
        "crowd": {
            "bytes": len(hot_state.to_bytes()),
            "us_of_an_event_in_the_first_tenth": round(spent_on_crowd[0], 1),
            "us_of_an_event_in_the_last_tenth": round(spent_on_crowd[-1], 1),
        },
    }


def bare_by_driver(reads: Reads, keys: Sequence[EntityKey]) -> object:
    """The least that can be done: one prepared statement, no decoding."""
    return reads.rows(*_by_key(keys, reads.mark))


def bare_by_sqlalchemy(engine: Engine, keys: Sequence[EntityKey]) -> object:
    """The same through a pooled connection."""
    mark = "%s" if engine.dialect.name == "postgresql" else "?"
    with engine.connect() as connection:
        return connection.exec_driver_sql(*_by_key(keys, mark)).all()


def _by_key(keys: Sequence[EntityKey], mark: str) -> tuple[str, tuple[str, ...]]:
    where = " OR ".join([f"(entity = {mark} AND key = {mark})"] * len(keys))
    return f"SELECT state FROM entity_states WHERE {where}", tuple(part for key in keys for part in (key.entity.value, key.key))
