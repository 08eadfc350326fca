"""What the computation of a feature may look at: one order, the histories of its entities, one moment, maybe one lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from feature_store.entities import NETWORK_KEY, Entity, EntityKey
from feature_store.network import Network, Node, Rate, read_network
from feature_store.order import Line, Order
from feature_store.state import EntityState, code
from feature_store.times import Millis

T = TypeVar("T")


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


def keys_of(order: Order, entity: Entity) -> tuple[str, ...]:
    """The keys under which an order names an entity: none, one, or one for each distinct SKU or supplier."""
    return _KEYS[entity](order)


class Situation:
    """One order to be decided at one moment.

    Attributes:
        ref: :func:`code` of the order's own id, by which its own events are left out.
        node, rate: the lane in question, for features of a lane.
    """

    __slots__ = ("_keys", "_network", "_shared", "as_of", "node", "order", "rate", "ref", "states")

    def __init__(self, order: Order, states: Mapping[EntityKey, EntityState], as_of: Millis, network: Network | None = None) -> None:
        self.order = order
        self.states = states
        self.as_of = as_of
        self.ref = code(order.order_id)
        self.node: Node | None = None
        self.rate: Rate | None = None
        self._network = network
        self._keys: dict[Entity, list[EntityState]] = {}
        self._shared: dict[str, Any] = {}

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
        lane._network, lane._keys, lane._shared = self._network, self._keys, self._shared
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

    def history(self, entity: Entity) -> EntityState | None:
        """The state of the order's one entity of that kind; ``None`` when it names none or it was never seen."""
        found = self.histories(entity)
        return found[0] if found else None

    def lines_with_history(self) -> list[tuple[Line, EntityState | None]]:
        """The lines, each with what is known of its SKU."""
        return [(line, self.states.get(EntityKey(Entity.SKU, line.sku))) for line in self.order.lines]
