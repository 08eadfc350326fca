"""How an event changes the states of the entities that it names: one table, used online and in history alike.

:data:`FOLDS` is closed: a series, tally or group of facts that is not in it does not exist. What feeds a feature is read from it, so the
documentation of a feature's source events cannot drift from what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from feature_store.entities import NETWORK_KEY, Entity, EntityKey
from feature_store.events import ATTRIBUTES, Event, EventType
from feature_store.state import EntityState, Item, code
from feature_store.times import DAY, MINUTE

KEEP: Final = 64
"""Items that a series remembers, where nothing else is said."""

KEEP_DAYS: Final = 32
"""Days that a daily tally remembers, where nothing else is said: the longest window and a little more."""

SEASON_DAYS: Final = 92


@dataclass(frozen=True, slots=True)
class Fold:
    """One effect of one type of event on one entity.

    Attributes:
        by: the event's field that names the entity (or entities); ``None`` for the one network.
        into: the series, tally or group of facts that it feeds.
        enter: enters the event into the state.
    """

    entity: Entity
    by: str | None
    into: str
    enter: Callable[[EntityState, Event, int], None]


def _number(name: str | None) -> Callable[[Mapping[str, Any]], float | None]:
    """Read a field as a number: a flag as 0 or 1, an identifier as its code; without a name, 1."""

    def read(data: Mapping[str, Any]) -> float | None:
        if name is None:
            return 1.0
        value = data.get(name)
        if value is None:
            return None
        return float(code(value)) if isinstance(value, str) else float(value)

    return read


def _item(entity: Entity, by: str, into: str, field: str | None = None, keep: int = KEEP) -> Fold:
    """Enter the event into a series, with ``field`` as its value; an event without that field does not enter."""
    read = _number(field)

    def enter(state: EntityState, event: Event, ref: int) -> None:
        value = read(event.data)
        if value is not None:
            state.add_item(into, Item(event.event_time, event.known_at, ref, value), keep)

    return Fold(entity, by, into, enter)


def _forecast(entity: Entity, by: str, into: str, field: str, keep: int = 24) -> Fold:
    """Enter what will hold from ``valid_from`` on into a series; its ref is for how many minutes it holds, 0 for ever."""
    read = _number(field)

    def enter(state: EntityState, event: Event, _ref: int) -> None:
        start = event.event_time if event.valid_from is None else event.valid_from
        end = event.data.get("valid_to")
        minutes = 0 if end is None else max(1, (end - start) // MINUTE)
        value = read(event.data)
        if value is not None:
            state.add_item(into, Item(start, event.known_at, minutes, value), keep)

    return Fold(entity, by, into, enter)


def _count(
    entity: Entity, by: str | None, into: str, field: str | None = None, *, per: tuple[str, ...] = (), days: int = KEEP_DAYS
) -> Fold:
    """Count the event in a daily tally, with ``field`` (rounded) in its total; ``per`` makes a tally for each value of these fields."""
    read = _number(field)

    def enter(state: EntityState, event: Event, _ref: int) -> None:
        value = read(event.data)
        if value is None or any(name not in event.data for name in per):
            return
        name = f"{into}/{'|'.join(event.data[one] for one in per)}" if per else into
        state.add_count(name, event.event_time, DAY, round(value), days)

    return Fold(entity, by, into, enter)


def _facts(entity: Entity, by: str | None, into: str, item: tuple[str, ...] = ()) -> Fold:
    """Enter all fields of the event as facts about the item that the fields ``item`` name."""
    keys = {by, *item, ATTRIBUTES}

    def enter(state: EntityState, event: Event, _ref: int) -> None:
        values = {name: value for name, value in event.data.items() if name not in keys}
        state.tell(into, "|".join(event.data[name] for name in item), event.event_time, event.known_at, values)

    return Fold(entity, by, into, enter)


_E, _T = Entity, EventType
_PARTIES: Final = (
    (_E.CUSTOMER, "customer_id"),
    (_E.DEVICE, "device_id"),
    (_E.ADDRESS, "address_id"),
    (_E.PAYMENT, "payment_token"),
    (_E.IP, "ip"),
)

FOLDS: Final[dict[EventType, tuple[Fold, ...]]] = {
    _T.CUSTOMER_REGISTERED: (
        _facts(_E.CUSTOMER, "customer_id", "profile"),
        _item(_E.ADDRESS, "address_id", "customers", "customer_id"),
    ),
    _T.ORDER_PLACED: (
        _item(_E.CUSTOMER, "customer_id", "orders", "amount"),
        _item(_E.CUSTOMER, "customer_id", "devices", "device_id"),
        _item(_E.CUSTOMER, "customer_id", "addresses", "address_id"),
        _item(_E.CUSTOMER, "customer_id", "payments", "payment_token"),
        *(_item(entity, by, "orders", "customer_id") for entity, by in _PARTIES[1:]),
        _item(_E.ADDRESS, "address_id", "customers", "customer_id"),
        _count(_E.SKU, "skus", "orders"),
        _count(_E.SUPPLIER, "supplier_ids", "orders"),
        _count(_E.REGION, "region", "orders"),
    ),
    _T.PAYMENT_AUTHORISED: (_item(_E.PAYMENT, "payment_token", "authorised", "amount"),),
    _T.PAYMENT_DECLINED: tuple(_item(entity, by, "declined", "payment_token") for entity, by in _PARTIES),
    _T.SHIPPED: (
        _count(_E.NETWORK, None, "shipped", "late", per=("node_id",), days=10),
        _count(_E.SUPPLIER, "supplier_ids", "shipped", "late"),
    ),
    _T.DELIVERED: (
        _item(_E.CUSTOMER, "customer_id", "delivered", "late"),
        _count(_E.NETWORK, None, "delivered", "late", per=("node_id",), days=10),
        _count(_E.REGION, "region", "delivered", "late"),
        _count(_E.REGION, "region", "lane_delivered", "late", per=("node_id", "service")),
        _count(_E.REGION, "region", "service_delivered", "late", per=("service",), days=10),
        _count(_E.REGION, "region", "service_delay_h", "delay_h", per=("service",), days=10),
        _count(_E.SUPPLIER, "supplier_ids", "delivered", "late"),
        _count(_E.SKU, "skus", "delivered", "late", days=SEASON_DAYS),
    ),
    _T.RETURNED: (
        _item(_E.CUSTOMER, "customer_id", "returned"),
        _count(_E.SKU, "skus", "returned", days=SEASON_DAYS),
    ),
    _T.CANCELLED: (
        _item(_E.CUSTOMER, "customer_id", "cancelled"),
        _count(_E.SKU, "skus", "cancelled"),
        _count(_E.SUPPLIER, "supplier_ids", "cancelled"),
        _count(_E.REGION, "region", "cancelled"),
    ),
    _T.CHARGEBACK: (
        *(_item(entity, by, "chargebacks", "customer_id") for entity, by in _PARTIES),
        _count(_E.SKU, "skus", "chargebacks"),
    ),
    _T.SKU_LISTED: (_facts(_E.SKU, "sku", "listing"),),
    _T.SUPPLIER_STATUS: (_facts(_E.SUPPLIER, "supplier_id", "status"),),
    _T.STOCK_LEVEL: (_facts(_E.SKU, "sku", "stock", ("node_id",)),),
    _T.NODE_STATUS: (_facts(_E.NETWORK, None, "node", ("node_id",)),),
    _T.LANE_RATE: (_facts(_E.REGION, "region", "rate", ("node_id", "service")),),
    _T.WEATHER: (_forecast(_E.REGION, "region", "weather", "severity"),),
    _T.CUSTOMS_RULE: (_forecast(_E.REGION, "region", "customs", "strictness"),),
    _T.PRICE_CHANGED: (_item(_E.SKU, "sku", "prices", "price", keep=16),),
    _T.NODE_OUTAGE: (_facts(_E.NETWORK, None, "outage", ("node_id",)),),
    _T.PORT_CONGESTION: (_forecast(_E.REGION, "region", "port", "wait_days"),),
    _T.CUSTOMER_CHANGED: (
        _facts(_E.CUSTOMER, "customer_id", "profile"),
        _item(_E.CUSTOMER, "customer_id", "contact_changes", "contact_changed"),
    ),
    _T.LOGIN: tuple(
        _item(entity, by, "logins", "succeeded") for entity, by in ((_E.CUSTOMER, "customer_id"), (_E.DEVICE, "device_id"), (_E.IP, "ip"))
    ),
    _T.DEVICE_CHECKED: (_facts(_E.DEVICE, "device_id", "check"),),
    _T.ADDRESS_CHECKED: (_facts(_E.ADDRESS, "address_id", "check"),),
    _T.PAID: (_item(_E.CUSTOMER, "customer_id", "paid", "amount"), _item(_E.PAYMENT, "payment_token", "paid", "amount")),
    _T.REFUNDED: (_item(_E.CUSTOMER, "customer_id", "refunds", "amount"), _item(_E.PAYMENT, "payment_token", "refunds", "amount")),
    _T.CHARGEBACK_REVERSED: tuple(_item(entity, by, "chargebacks_reversed", "customer_id") for entity, by in _PARTIES),
    _T.ORDER_CHANGED: (
        _item(_E.CUSTOMER, "customer_id", "order_changes"),
        _item(_E.ADDRESS, "address_id", "customers", "customer_id"),
    ),
    _T.DELIVERY_FAILED: (
        _item(_E.CUSTOMER, "customer_id", "failed_deliveries"),
        _item(_E.ADDRESS, "address_id", "failed_deliveries"),
        _count(_E.REGION, "region", "failed_deliveries"),
    ),
    _T.RETURN_REQUESTED: (
        _item(_E.CUSTOMER, "customer_id", "return_requests"),
        _count(_E.SKU, "skus", "return_requests", days=SEASON_DAYS),
    ),
    _T.RETURN_WITHDRAWN: (
        _item(_E.CUSTOMER, "customer_id", "returns_withdrawn"),
        _count(_E.SKU, "skus", "returns_withdrawn", days=SEASON_DAYS),
    ),
    _T.STOCK_EXPECTED: (_forecast(_E.SKU, "sku", "expected", "qty"),),
    _T.STOCK_RESERVED: (_count(_E.SKU, "sku", "reserved", "qty", per=("node_id",), days=10),),
    _T.STOCK_SETTLED: (_count(_E.SKU, "sku", "settled", "qty", per=("node_id",), days=10),),
    _T.STOCK_RELEASED: (_count(_E.SKU, "sku", "released", "qty", per=("node_id",), days=10),),
    _T.SUPPLIER_PLAN: (_forecast(_E.SUPPLIER, "supplier_id", "plan", "capacity"),),
    _T.STAFFING_PLAN: (_forecast(_E.NODE, "node_id", "staffing_plan", "staffing"),),
    _T.LANE_STATUS: (_facts(_E.REGION, "region", "lane", ("node_id", "service")),),
    _T.CARRIER_CUTOFF: (_facts(_E.NETWORK, None, "cutoff", ("node_id", "service")),),
    _T.LANE_DISRUPTION: (_forecast(_E.REGION, "region", "disruption", "severity"),),
    _T.HOLIDAY: (_forecast(_E.REGION, "region", "holiday", "name"),),
}
"""Every effect of every type of event."""


def sources(entity: Entity, into: str) -> tuple[EventType, ...]:
    """The types of events that feed a series, tally or group of facts of an entity."""
    return tuple(kind for kind, folds in FOLDS.items() if any(fold.entity is entity and fold.into == into for fold in folds))


def touched(event: Event) -> tuple[EntityKey, ...]:
    """The entities whose states an event changes, each once."""
    return tuple(dict.fromkeys(key for fold in FOLDS[event.type] for key in _keys(fold, event)))


def apply(states: MutableMapping[EntityKey, EntityState], event: Event) -> None:
    """Enter an event into the states of all entities that it names; missing ones are made.

    The result does not depend on the order in which events are applied, as long as each is applied once.
    """
    data, known_at = event.data, event.known_at
    order_id = data.get("order_id")
    ref = 0 if order_id is None else code(order_id)
    for fold in FOLDS[event.type]:
        told = NETWORK_KEY if fold.by is None else data.get(fold.by)
        if told is None:
            continue
        for key in (told,) if isinstance(told, str) else dict.fromkeys(told):
            entity_key = EntityKey(fold.entity, key)
            state = states.get(entity_key)
            if state is None:
                state = states[entity_key] = EntityState()
            fold.enter(state, event, ref)
            state.known_at = max(state.known_at, known_at)


def replay(events: Iterable[Event]) -> dict[EntityKey, EntityState]:
    """The states after a run of events, from nothing."""
    states: dict[EntityKey, EntityState] = {}
    for event in events:
        apply(states, event)
    return states


def _keys(fold: Fold, event: Event) -> Iterable[EntityKey]:
    if fold.by is None:
        return (EntityKey(fold.entity, NETWORK_KEY),)
    told = event.data.get(fold.by)
    if told is None:
        return ()
    if isinstance(told, str):
        return (EntityKey(fold.entity, told),)
    return [EntityKey(fold.entity, one) for one in dict.fromkeys(told)]
