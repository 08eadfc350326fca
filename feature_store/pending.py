"""Orders that are being decided at this moment, or just were, and whose ``order_placed`` event has not come in: seen as if it had.

Two orders on one card in the same second would else be decided as if the other were not there: events follow a decision, they do not precede it.
What is noted is forgotten after a second, or once the event itself is in the states; it lives in one process, so it sees what that process decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice

from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.folding import enter, entering
from feature_store.order import MICRO, Order
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.state import EntityState, code
from feature_store.times import SECOND, Millis
from feature_store.views import SERVICES

SPAN: Millis = SECOND
"""For so long an order is remembered without its event: what counts here is the same moment, the rest is told by events."""

NEWEST = 4
"""So many other orders of one entity are looked at: that there are several is what counts, and a burst must not slow its own decisions."""

MOST = 20_000
"""So many orders are remembered at most, the newest."""

WHO = frozenset({Entity.PAYMENT, Entity.DEVICE, Entity.IP})
"""Entities by which orders of one moment are connected: what stolen cards and scripts have in common. Of all others the events alone tell."""

States = Mapping[EntityKey, EntityState]


class Pending:
    """Remembers orders by who places them. Not for several threads: one event loop notes and asks."""

    def __init__(self) -> None:
        self._by_key: dict[EntityKey, dict[str, Event]] = {}
        self._noted: deque[tuple[Millis, str, tuple[EntityKey, ...]]] = deque()

    def note(self, order: Order, keys: Iterable[EntityKey], at: Millis) -> None:
        """An order is being decided now.

        Args:
            order: to be decided.
            keys: its entities.
            at: the decision time.
        """
        who = tuple([key for key in keys if key.entity in WHO])
        event = placing(order, at)
        for key in who:
            held = self._by_key.setdefault(key, {})
            held.pop(order.order_id, None)  # the newest stand last
            held[order.order_id] = event
        self._noted.append((at, order.order_id, who))
        while self._noted and (self._noted[0][0] < at - SPAN or len(self._noted) > MOST):
            self._forget(*self._noted.popleft())

    def seen_with(self, order: Order, keys: Iterable[EntityKey], states: States, at: Millis) -> States:
        """The states with what other orders do to them whose event has not come in; the same object where there are none.

        Args:
            order: in question; its own placing never counts.
            keys: its entities.
            states: as read.
            at: the decision time.
        """
        changed: dict[EntityKey, EntityState] = {}
        for key in keys:
            held = self._by_key.get(key)
            if held is None:
                continue
            state = states.get(key)
            for order_id, event in islice(reversed(held.items()), NEWEST):
                if order_id == order.order_id or not at - SPAN <= event.known_at <= at or _has(state, order_id):
                    continue
                if key not in changed:
                    changed[key] = EntityState() if state is None else EntityState.from_bytes(state.to_bytes())
                enter(changed, event, [(one, enters) for one, enters in entering(event) if one == key])
        return {**states, **changed} if changed else states

    def _forget(self, at: Millis, order_id: str, keys: tuple[EntityKey, ...]) -> None:
        for key in keys:
            held = self._by_key.get(key, {})
            if order_id in held and held[order_id].known_at <= at:
                del held[order_id]
                if not held:
                    del self._by_key[key]


def placing(order: Order, at: Millis) -> Event:
    """The ``order_placed`` event that an order's request foretells."""
    billed = order.bill_to.address_id if order.bill_to else None
    shipped = order.ship_to.address_id
    told = {
        "order_id": order.order_id,
        "customer_id": order.customer.customer_id,
        "device_id": order.device.device_id if order.device else None,
        "ip": order.device.ip if order.device else None,
        "address_id": shipped,
        "payment_token": order.payment.token if order.payment else None,
        "region": order.ship_to.region,
        "channel": order.channel,
        "amount": order.total_micros / MICRO,
        "qty": sum(line.qty for line in order.lines),
        "skus": tuple(line.sku for line in order.lines),
        "supplier_ids": tuple(dict.fromkeys(line.supplier_id for line in order.lines if line.supplier_id)),
        "tags": order.tags,
        "promised_by": order.promised_by,
        "billed_elsewhere": None if billed is None or shipped is None else billed != shipped,
    }
    data = {name: value for name, value in told.items() if value is not None}
    return Event(f"{order.order_id}:pending", EventType.ORDER_PLACED, min(order.placed_at, at), at, data)


def marked(snapshot: FeatureSnapshot, before: States, after: States) -> FeatureSnapshot:
    """A snapshot over ``after`` with the origin of each stored value named that reads a state which is not as in ``before``."""
    changed = frozenset(key.entity for key, state in after.items() if before.get(key) is not state)
    if not changed:
        return snapshot
    reads = _readers(changed)
    origins = tuple(
        [
            Origin.PENDING if name in reads and origin is Origin.STORE else origin
            for name, origin in zip(snapshot.names, snapshot.origins, strict=True)
        ]
    )
    return replace(snapshot, origins=origins)


@cache
def _readers(entities: frozenset[Entity]) -> frozenset[str]:
    """The features of a fraud decision that read the history of any of these entities."""
    features = SERVICES["fraud"].features
    return frozenset(feature.name for feature in features if any(entity in entities for entity, _ in feature.calculation.sources))


def _has(state: EntityState | None, order_id: str) -> bool:
    """Whether the order's placing is in the state, not only something else about the order, such as its payment."""
    if state is None or not state.mentions(code(order_id)):
        return False
    orders = state.series("orders")
    return orders is not None and code(order_id) in orders.ref
