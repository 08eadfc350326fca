"""How an event changes the states of the entities that it names: one table, used online and in history alike.

:data:`FOLDS` is closed: a series, tally or group of facts that is not in it does not exist. What feeds a feature is read from it, so the
documentation of a feature's source events cannot drift from what is done.

Whatever enters a history enters as whole numbers, so that sums are exact in any order: a number of an event (money, hours) in millionths, a
flag as 0 or 1, an identifier as its :func:`~feature_store.state.code`; :func:`scale` tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from feature_store.entities import NETWORK_KEY, Entity, EntityKey, pair_key
from feature_store.events import ATTRIBUTES, VOCABULARY, Event, EventType, Kind
from feature_store.order import MICRO
from feature_store.state import EntityState, Item, code
from feature_store.times import DAY, HOUR, MINUTE, Millis

KEEP: Final = 64
"""Items that a series remembers, where nothing else is said."""

KEEP_MANY: Final = 256
"""Items of a series that windows of a month look at."""

KEEP_DAYS: Final = 32
"""Days that a daily tally remembers, where nothing else is said: the longest window and a little more."""

KEEP_HOURS: Final = 50
"""Hours that an hourly tally remembers: two days."""

SEASON_DAYS: Final = 92

KEEP_AHEAD: Final = 192
"""Forecasts that are remembered, one for each moment from which one holds: eight days hour by hour. Told anew, the later one counts."""


class Shape(StrEnum):
    """In what form a history remembers."""

    SERIES = "series"
    """The newest items, each with both clocks."""
    FORECAST = "forecast"
    """A series of what holds from a moment on, one item a moment, the one known last; its ref is for how many minutes, 0 for ever."""
    TALLY = "tally"
    """Counts and totals by hour or day."""
    FACTS = "facts"
    """The newest value of each told field, by item."""


_SERIES: Final = Shape.SERIES
_KINDS: Final = {name: field.kind for fields in VOCABULARY.values() for name, field in fields.items()}


@dataclass(frozen=True, slots=True)
class Fold:
    """One effect of one type of event on one entity.

    Attributes:
        by: the event's field that names the entity (or entities), two for a pair, none for the one network.
        into: the series, tally or group of facts that it feeds.
        field: the field that is the item's value; an event without it does not enter. Without one the value is 1.
        keep: items of a series or periods of a tally that are remembered.
        per: the fields that name the item: one tally, one fact for each value of them.
        period: of a tally.
    """

    entity: Entity
    by: tuple[str, ...]
    into: str
    shape: Shape
    field: str | None = None
    keep: int = KEEP
    per: tuple[str, ...] = ()
    period: Millis = DAY

    @property
    def scale(self) -> int:
        """By what the whole numbers that it enters have to be divided."""
        return MICRO if self.field is not None and _KINDS[self.field] is Kind.NUMBER else 1

    @property
    def definition(self) -> str:
        """All that decides what it enters, as one line."""
        fields = (self.entity.value, "+".join(self.by), self.into, self.shape.value, self.field, self.scale, self.keep, "+".join(self.per))
        return "|".join(map(str, (*fields, self.period)))

    def keys(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """The keys of the entities that an event names, each once."""
        by = self.by
        if len(by) == 1:
            told = data.get(by[0])
            if told is None:
                return ()
            return (told,) if isinstance(told, str) else tuple(dict.fromkeys(told))
        if not by:
            return (NETWORK_KEY,)
        first, second = data.get(by[0]), data.get(by[1])
        return () if first is None or second is None else (pair_key(first, second),)

    def name(self, data: Mapping[str, Any]) -> str | None:
        """The item of the event within its tally or facts; ``None`` when the event does not tell all of it."""
        if not self.per:
            return ""
        told = [data.get(one) for one in self.per]
        return None if None in told else "|".join(map(str, told))

    def value(self, data: Mapping[str, Any]) -> int | None:
        """The event's value as a whole number; ``None`` when it does not tell any."""
        if self.field is None:
            return 1
        value = data.get(self.field)
        if value is None:
            return None
        if isinstance(value, str):
            return code(value)
        return int(value) if isinstance(value, bool) else round(value * MICRO)

    def item(self, event: Event, ref: int) -> Item | None:
        """The item that the event enters into a series; ``None`` when it does not enter."""
        value = self.value(event.data)
        if value is None:
            return None
        if self.shape is not Shape.FORECAST:
            return Item(event.event_time, event.known_at, ref, value)
        start = event.event_time if event.valid_from is None else event.valid_from
        end = event.data.get("valid_to")
        return Item(start, event.known_at, 0 if end is None else max(1, (end - start) // MINUTE), value)

    def facts(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the event that are facts about its item."""
        named = {*self.by, *self.per, ATTRIBUTES}
        return {name: value for name, value in data.items() if name not in named}

    def enter(self, state: EntityState, event: Event, ref: int) -> None:
        """Enter the event into the state of one entity."""
        if self.shape is _SERIES:
            number = self.value(event.data)
            if number is not None:
                state.add_item(self.into, Item(event.event_time, event.known_at, ref, number), self.keep)
        elif self.shape is Shape.FACTS:
            item = self.name(event.data)
            if item is not None:
                state.tell(self.into, item, event.event_time, event.known_at, self.facts(event.data))
        elif self.shape is Shape.TALLY:
            value, item = self.value(event.data), self.name(event.data)
            if value is not None and item is not None:
                state.add_count(f"{self.into}/{item}" if item else self.into, event.event_time, self.period, value, self.keep)
        else:
            entry, item = self.item(event, ref), self.name(event.data)
            if entry is not None and item is not None:
                state.add_item(f"{self.into}/{item}" if item else self.into, entry, self.keep, once=True)


def _item(entity: Entity, by: str | tuple[str, ...], into: str, field: str | None = None, keep: int = KEEP) -> Fold:
    """Enter the event into a series."""
    return Fold(entity, (by,) if isinstance(by, str) else by, into, Shape.SERIES, field, keep)


def _forecast(entity: Entity, by: str | None, into: str, field: str, *, per: tuple[str, ...] = (), keep: int = KEEP_AHEAD) -> Fold:
    """Enter what will hold from ``valid_from`` on; ``per`` makes a series for each value of these fields."""
    return Fold(entity, () if by is None else (by,), into, Shape.FORECAST, field, keep, per)


def _count(
    entity: Entity, by: str | None, into: str, field: str | None = None, *, per: tuple[str, ...] = (), days: int = KEEP_DAYS
) -> Fold:
    """Count the event in a daily tally, with ``field`` in its total; ``per`` makes a tally for each value of these fields."""
    return Fold(entity, () if by is None else (by,), into, Shape.TALLY, field, days, per)


def _hourly(entity: Entity, by: str, into: str, field: str | None = None) -> Fold:
    """Count the event in an hourly tally: for short windows of what may see more than a series keeps."""
    return Fold(entity, (by,), into, Shape.TALLY, field, KEEP_HOURS, (), HOUR)


def _facts(entity: Entity, by: str | None, into: str, item: tuple[str, ...] = ()) -> Fold:
    """Enter all fields of the event as facts about the item that the fields ``item`` name."""
    return Fold(entity, () if by is None else (by,), into, Shape.FACTS, per=item)


_E, _T = Entity, EventType
_PARTIES: Final = (
    (_E.CUSTOMER, "customer_id"),
    (_E.DEVICE, "device_id"),
    (_E.ADDRESS, "address_id"),
    (_E.PAYMENT, "payment_token"),
    (_E.IP, "ip"),
)
_PLACES: Final = ((_E.ADDRESS, "address_id"), (_E.IP, "ip"))
_PAIRS: Final = (
    (_E.CUSTOMER_DEVICE, ("customer_id", "device_id")),
    (_E.CUSTOMER_ADDRESS, ("customer_id", "address_id")),
    (_E.PAYMENT_DEVICE, ("payment_token", "device_id")),
)

FOLDS: Final[dict[EventType, tuple[Fold, ...]]] = {
    _T.CUSTOMER_REGISTERED: (
        _facts(_E.CUSTOMER, "customer_id", "registration"),
        _item(_E.ADDRESS, "address_id", "customers", "customer_id"),
        _item(_E.ADDRESS, "address_id", "registered", "customer_id"),
    ),
    _T.ORDER_PLACED: (
        _item(_E.CUSTOMER, "customer_id", "orders", "amount", KEEP_MANY),
        _item(_E.CUSTOMER, "customer_id", "devices", "device_id"),
        _item(_E.CUSTOMER, "customer_id", "addresses", "address_id"),
        _item(_E.CUSTOMER, "customer_id", "payments", "payment_token"),
        _item(_E.CUSTOMER, "customer_id", "ips", "ip"),
        *(_item(entity, by, "orders", "customer_id", KEEP_MANY) for entity, by in _PARTIES[1:]),
        *(_item(entity, by, "spent", "amount") for entity, by in _PARTIES[1:]),
        *(_item(entity, by, "orders", "amount") for entity, by in _PAIRS),
        _item(_E.ADDRESS, "address_id", "customers", "customer_id"),
        *(_item(entity, by, "devices", "device_id") for entity, by in _PLACES),
        *(_item(entity, by, "billed_elsewhere", "billed_elsewhere") for entity, by in _PLACES),
        *(_item(entity, by, "pieces", "qty") for entity, by in _PLACES),
        # What many share sees more than a series keeps: a launch, the way out of an office.
        _hourly(_E.IP, "ip", "orders_by_hour"),
        _count(_E.IP, "ip", "orders_by_day", "amount"),
        _hourly(_E.SKU, "skus", "orders_by_hour"),
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
        _count(_E.NETWORK, None, "cancelled", per=("node_id",), days=10),
    ),
    _T.CHARGEBACK: (
        *(_item(entity, by, "chargebacks", "customer_id", KEEP_MANY) for entity, by in _PARTIES),
        *(_item(entity, by, "chargebacks") for entity, by in _PAIRS),
        _count(_E.SKU, "skus", "chargebacks"),
    ),
    _T.SKU_LISTED: (_facts(_E.SKU, "sku", "listing"),),
    _T.PRICE_CHANGED: (_item(_E.SKU, "sku", "prices", "price", keep=16),),
    _T.SUPPLIER_STATUS: (_facts(_E.SUPPLIER, "supplier_id", "status"),),
    _T.STOCK_LEVEL: (_facts(_E.SKU, "sku", "stock", ("node_id",)),),
    _T.NODE_STATUS: (_facts(_E.NETWORK, None, "node", ("node_id",)),),
    _T.NODE_OUTAGE: (_forecast(_E.NETWORK, None, "outage", "severity", per=("node_id",), keep=24),),
    _T.LANE_RATE: (_facts(_E.REGION, "region", "rate", ("node_id", "service")),),
    _T.WEATHER: (_forecast(_E.REGION, "region", "weather", "severity"),),
    _T.PORT_CONGESTION: (_forecast(_E.REGION, "region", "port", "wait_days"),),
    _T.CUSTOMS_RULE: (
        _forecast(_E.REGION, "region", "customs", "strictness"),
        _forecast(_E.REGION, "region", "clearance", "clearance_h"),
    ),
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


@lru_cache(maxsize=4096)
def feeding(entity: Entity, into: str) -> tuple[tuple[EventType, Fold], ...]:
    """The folds that feed a series, tally or group of facts of an entity; empty when there is no such thing."""
    return tuple((kind, fold) for kind, folds in FOLDS.items() for fold in folds if fold.entity is entity and fold.into == into)


def fold_of(entity: Entity, into: str) -> Fold:
    """One of the folds that feed it; all of them agree in shape, scale, keep, period and the number of fields in ``per``.

    Raises:
        ValueError: nothing feeds such a series, tally or group of facts.
    """
    found = feeding(entity, into)
    if not found:
        raise ValueError(f"no event feeds {into!r} of {entity.value}")
    return found[0][1]


def scale(entity: Entity, into: str) -> int:
    """By what the whole numbers of a series or tally have to be divided.

    Raises:
        ValueError: there is no such series or tally.
    """
    return fold_of(entity, into).scale


def definition_of(entity: Entity, into: str) -> str:
    """All that decides what is in a series, tally or group of facts, as one line; part of the version of what reads it."""
    return ";".join(f"{kind.value}>{fold.definition}" for kind, fold in feeding(entity, into))


def sources(entity: Entity, into: str) -> tuple[EventType, ...]:
    """The types of events that feed a series, tally or group of facts of an entity."""
    return tuple(kind for kind, _ in feeding(entity, into))


class _Group(NamedTuple):
    """The folds of one type of event that change the same states: which, and what is entered into each of them."""

    entity: Entity
    keys: Callable[[Mapping[str, Any]], tuple[str, ...]]
    enter: tuple[Callable[[EntityState, Event, int], None], ...]


def _grouped(folds: Iterable[Fold]) -> tuple[_Group, ...]:
    same: dict[tuple[Entity, tuple[str, ...]], list[Fold]] = {}
    for fold in folds:
        same.setdefault((fold.entity, fold.by), []).append(fold)
    return tuple(_Group(entity, group[0].keys, tuple(fold.enter for fold in group)) for (entity, _), group in same.items())


_GROUPS: Final = {kind: _grouped(folds) for kind, folds in FOLDS.items()}
"""An order enters a dozen series of five entities; each entity is looked up once."""


Entering = list[tuple[EntityKey, tuple[Callable[[EntityState, Event, int], None], ...]]]
"""The entities that an event names, and what enters it into the state of each."""


def entering(event: Event) -> Entering:
    """What an event enters where; an entity that it names in two ways comes twice."""
    data = event.data
    return [(EntityKey(entity, key), enters) for entity, keys, enters in _GROUPS[event.type] for key in keys(data)]


def touched(event: Event) -> tuple[EntityKey, ...]:
    """The entities whose states an event changes, each once."""
    return tuple(dict.fromkeys([key for key, _ in entering(event)]))


class Entry(NamedTuple):
    """What an event enters into the history of one entity, as a row.

    Attributes:
        item: of a tally or of facts, the item that it is about; else empty.
        entered: times, ref and value; facts have value 0.
        facts: the told fields; empty but for facts.
    """

    key: EntityKey
    into: str
    shape: Shape
    item: str
    entered: Item
    facts: Mapping[str, Any]


def entries(event: Event) -> Iterator[Entry]:
    """What :func:`apply` enters, as rows: for whoever computes over histories elsewhere."""
    data, ref = event.data, _ref(event)
    for fold in FOLDS[event.type]:
        item, entered, facts = fold.name(data), fold.item(event, ref), _NO_FACTS
        if fold.shape is Shape.FACTS:
            entered, facts = Item(event.event_time, event.known_at, ref, 0), fold.facts(data)
        if item is not None and entered is not None:
            for key in fold.keys(data):
                yield Entry(EntityKey(fold.entity, key), fold.into, fold.shape, item, entered, facts)


_NO_FACTS: Final[dict[str, Any]] = {}


def _ref(event: Event) -> int:
    order_id = event.data.get("order_id")
    return 0 if order_id is None else code(order_id)


def apply(states: MutableMapping[EntityKey, EntityState], event: Event) -> None:
    """Enter an event into the states of all entities that it names; missing ones are made.

    The result does not depend on the order in which events are applied, as long as each is applied once.
    """
    enter(states, event, entering(event))


def enter(states: MutableMapping[EntityKey, EntityState], event: Event, there: Entering) -> None:
    """Enter an event where :func:`entering` says: for whoever has asked that before."""
    known_at, ref = event.known_at, _ref(event)
    for key, enters in there:
        state = states.get(key)
        if state is None:
            state = states[key] = EntityState()
        for one in enters:
            one(state, event, ref)
        state.known_at = max(state.known_at, known_at)


def replay(events: Iterable[Event]) -> dict[EntityKey, EntityState]:
    """The states after a run of events, from nothing."""
    states: dict[EntityKey, EntityState] = {}
    for event in events:
        apply(states, event)
    return states
