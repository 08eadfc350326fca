"""What the computation of a feature may look at: one order, the histories of its entities, one moment, maybe one lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from feature_store.entities import NETWORK_KEY, PAIRS, Entity, EntityKey, pair_key
from feature_store.network import Network, Node, Rate, read_network
from feature_store.order import Line, Order
from feature_store.state import EntityState, Series, code
from feature_store.times import Millis

T = TypeVar("T")


class Own(StrEnum):
    """An identifier of the order (or lane) in question."""

    __hash__ = str.__hash__

    CUSTOMER = "customer"
    DEVICE = "device"
    ADDRESS = "address"
    PAYMENT = "payment"
    IP = "ip"
    REGION = "region"
    NODE = "node"
    SERVICE = "service"
    LANE = "lane"
    """``node|service``."""


def _one(key: str | None) -> tuple[str, ...]:
    return (key,) if key else ()


_KEYS: Mapping[Entity, Callable[[Order], tuple[str, ...]]] = {
    Entity.CUSTOMER: lambda order: (order.customer.customer_id,),
    Entity.DEVICE: lambda order: _one(order.device.device_id if order.device else None),
    Entity.IP: lambda order: _one(order.device.ip if order.device else None),
    Entity.ADDRESS: lambda order: _one(order.ship_to.address_id),
    Entity.PAYMENT: lambda order: _one(order.payment.token if order.payment else None),
    Entity.SKU: lambda order: tuple(dict.fromkeys(line.sku for line in order.lines)),
    Entity.SUPPLIER: lambda order: tuple(dict.fromkeys(line.supplier_id for line in order.lines if line.supplier_id)),
    Entity.REGION: lambda order: (order.ship_to.region,),
    Entity.NETWORK: lambda _: (NETWORK_KEY,),
    Entity.NODE: lambda _: (),
}

ONE_AT_MOST = frozenset(Entity) - {Entity.SKU, Entity.SUPPLIER}
"""Entities of which an order names one at most."""


def _pair(order: Order, entity: Entity) -> tuple[str, ...]:
    first, second = (keys_of(order, one) for one in PAIRS[entity])
    return (pair_key(first[0], second[0]),) if first and second else ()


_OWN: Mapping[Own, Callable[[Situation], str | None]] = {
    Own.CUSTOMER: lambda s: s.order.customer.customer_id,
    Own.DEVICE: lambda s: s.order.device.device_id if s.order.device else None,
    Own.ADDRESS: lambda s: s.order.ship_to.address_id,
    Own.PAYMENT: lambda s: s.order.payment.token if s.order.payment else None,
    Own.IP: lambda s: s.order.device.ip if s.order.device else None,
    Own.REGION: lambda s: s.order.ship_to.region,
    Own.NODE: lambda s: s.rate.node_id if s.rate else None,
    Own.SERVICE: lambda s: s.rate.service if s.rate else None,
    Own.LANE: lambda s: f"{s.rate.node_id}|{s.rate.service}" if s.rate else None,
}


def keys_of(order: Order, entity: Entity) -> tuple[str, ...]:
    """The keys under which an order names an entity: none, one, or one for each distinct SKU or supplier."""
    read = _KEYS.get(entity)
    return _pair(order, entity) if read is None else read(order)


class Situation:
    """One order to be decided at one moment.

    Attributes:
        ref: :func:`code` of the order's own id, by which its own events are left out.
        node, rate: the lane in question, for features of a lane.
    """

    __slots__ = ("_keys", "_network", "_seen", "_shared", "as_of", "node", "order", "rate", "ref", "states")

    order: Order
    node: Node | None
    rate: Rate | None

    def __init__(self, order: Order, states: Mapping[EntityKey, EntityState], as_of: Millis, network: Network | None = None) -> None:
        self.order = order
        self.states = states
        self.as_of = as_of
        self.ref = code(order.order_id)
        self.node = None
        self.rate = None
        self._network = network
        self._keys: dict[Entity, list[EntityState]] = {}
        self._shared: dict[str, Any] = {}
        self._seen: dict[tuple[int, str, bool], Series | None] = {}

    @property
    def network(self) -> Network:
        """The network: the one given, else as the store knows it."""
        if self._network is None:
            self._network = read_network(self.order, self.states, self.as_of)
        return self._network

    def on(self, rate: Rate) -> Situation:
        """The same situation seen from one lane."""
        lane = object.__new__(Situation)
        lane.order, lane.states, lane.as_of, lane.ref = self.order, self.states, self.as_of, self.ref
        lane._network, lane._keys, lane._shared, lane._seen = self._network, self._keys, self._shared, self._seen
        lane.node, lane.rate = self.network.node.get(rate.node_id), rate
        return lane

    def shared(self, name: str, work: Callable[[Situation], T]) -> T:
        """What several features need, worked out once."""
        if name not in self._shared:
            self._shared[name] = work(self)
        found: T = self._shared[name]
        return found

    def histories(self, entity: Entity) -> list[EntityState]:
        """The states of those of the order's entities of that kind that were ever seen."""
        found = self._keys.get(entity)
        if found is None:
            states = self.states
            read = [states.get(EntityKey(entity, key)) for key in keys_of(self.order, entity)]
            found = self._keys[entity] = [state for state in read if state is not None]
        return found

    def own(self, which: Own) -> str | None:
        """An identifier of the order, or of the lane in question; ``None`` when it names none."""
        return _OWN[which](self)

    def seen(self, state: EntityState, name: str, *, skip_own: bool) -> Series | None:
        """The items of a series that were known at the decision, without the order's own if asked; ``None`` when there are none."""
        series = state.series(name)
        if series is None:
            return None
        key = (id(state), name, skip_own)
        if key not in self._seen:
            late = state.known_at > self.as_of
            self._seen[key] = series.known_by(self.as_of if late else None, self.ref if skip_own else None) or None
        return self._seen[key]

    def history(self, entity: Entity) -> EntityState | None:
        """The state of the order's one entity of that kind; ``None`` when it names none or it was never seen."""
        found = self.histories(entity)
        return found[0] if found else None

    def lines_with_history(self) -> list[tuple[Line, EntityState | None]]:
        """The lines, each with what is known of its SKU."""
        return [(line, self.states.get(EntityKey(Entity.SKU, line.sku))) for line in self.order.lines]
