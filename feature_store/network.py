"""The nodes, stock and rates that an order could be shipped from: as the store knows them, or as the request tells them.

The optimiser and the lane features read a :class:`Network` and never ask where it came from. Money is in millionths of the
currency's unit (``_micros``), times are :data:`~feature_store.times.Millis`, quantities are pieces.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from feature_store.calendar import local_day, local_midnight
from feature_store.entities import NETWORK_KEY, Entity, EntityKey
from feature_store.order import MICRO, Order
from feature_store.reservations import NONE_RESERVED, Reserved
from feature_store.state import EntityState, Facts
from feature_store.times import DAY, HOUR, Millis

_FOR_EVER: Millis = 2**62

OPEN = "open"
"""The status of a node that ships as usual, and the one assumed where nobody told another."""

CLOSED_STATUSES = frozenset({"closed", "outage", "down"})
"""Statuses under which a node ships nothing."""

ANY_TEMP_CLASS: tuple[str, ...] = ()
"""A node that tells no temperature classes is taken to handle all of them."""

MORNING: Millis = 8 * HOUR
"""When work begins, by the clock of China."""

DEFAULT_PROCESSING_H = 24.0
DEFAULT_TRANSIT_DAYS = 3.0
"""What is assumed of a node or lane that never told; a request always tells."""


@dataclass(frozen=True, slots=True)
class Node:
    """A place that can ship.

    Attributes:
        cutoff_at: the next moment after which an order leaves a day later; ``None`` where there is no cut-off.
        processing_h: hours from order to hand-over when it is not congested.
        processing_cost_micros: cost of one shipment, however many pieces.
        capacity_left: pieces that it can still take today; ``None`` for no limit.
        temp_classes: what it can store; empty for everything.
        capacity: pieces that it can take on a usual day, ``None`` where unknown.
        backlog: pieces waiting, ``None`` where unknown.
        staffing: share of the planned staff that is present, ``None`` where unknown.
        as_of: when its newest fact happened.
    """

    node_id: str
    region: str
    lat: float | None = None
    lon: float | None = None
    cutoff_at: Millis | None = None
    processing_h: float = DEFAULT_PROCESSING_H
    processing_cost_micros: int = 0
    capacity_left: int | None = None
    temp_classes: tuple[str, ...] = ANY_TEMP_CLASS
    status: str = OPEN
    capacity: float | None = None
    backlog: float | None = None
    staffing: float | None = None
    as_of: Millis | None = None

    @property
    def ships(self) -> bool:
        """Whether it ships anything at all at the moment."""
        return self.status not in CLOSED_STATUSES

    def wait_h(self, as_of: Millis) -> float:
        """Hours until work on an order can begin: none before today's cut-off, afterwards until the next morning."""
        if self.cutoff_at is None or (as_of <= self.cutoff_at and local_day(as_of) == local_day(self.cutoff_at)):
            return 0.0
        return (local_midnight(as_of) + DAY + MORNING - as_of) / HOUR

    def handles(self, temp_class: str | None) -> bool:
        """Whether it can store goods of this temperature class."""
        return temp_class is None or not self.temp_classes or temp_class in self.temp_classes


@dataclass(frozen=True, slots=True)
class Stock:
    """How many pieces of a SKU a node has, how many of them it must keep, and how many other orders' plans have reserved.

    ``expected_demand`` is what other orders are expected to take until it is refilled; ``None`` where nobody told.
    """

    node_id: str
    sku: str
    available: int
    safety: int = 0
    as_of: Millis | None = None
    reserved: int = 0
    expected_demand: int | None = None

    @property
    def free(self) -> int:
        """Pieces that may be promised at all: available − safety, never below nought."""
        return max(0, self.available - self.safety)

    @property
    def usable(self) -> int:
        """Pieces that may be promised now: what is free and not reserved, never below nought."""
        return max(0, self.available - self.safety - self.reserved)


@dataclass(frozen=True, slots=True)
class Rate:
    """What one service of a lane costs, how long it takes, and what it emits.

    Attributes:
        max_weight_mg: heaviest shipment that it takes, ``None`` for no limit.
        steps: the tariff's prices for lighter shipments: (heaviest mg, fixed micros, micros per kg) each. A shipment is charged by the cheapest
            of these and of the rate's own prices that may carry its weight.
    """

    node_id: str
    region: str
    service: str
    fixed_micros: int
    per_kg_micros: int
    transit_days: float
    co2e_g_per_kg: float = 0.0
    carrier: str | None = None
    as_of: Millis | None = None
    max_weight_mg: int | None = None
    steps: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Network:
    """Everything that could ship one order.

    Attributes:
        nodes: every known node, by node id ascending.
        stock: of the order's SKUs only.
        rates: of lanes to the order's region only.
        supplied: which of ``nodes``, ``stock`` and ``rates`` came with the request.
        ages: seconds since the oldest fact in ``nodes``, ``stock`` and ``rates``; a part without a time has no entry.
    """

    nodes: tuple[Node, ...] = ()
    stock: tuple[Stock, ...] = ()
    rates: tuple[Rate, ...] = ()
    ages: Mapping[str, float] = field(default_factory=dict)
    supplied: frozenset[str] = frozenset()

    @cached_property
    def node(self) -> Mapping[str, Node]:
        """Nodes by id."""
        return {node.node_id: node for node in self.nodes}

    @cached_property
    def usable(self) -> Mapping[tuple[str, str], int]:
        """Usable pieces by (node id, SKU)."""
        return {(stock.node_id, stock.sku): stock.usable for stock in self.stock}

    @cached_property
    def by_region(self) -> Mapping[str, tuple[Rate, ...]]:
        """The lanes that lead to each region from a known node, by (node id, service)."""
        by_region: dict[str, list[Rate]] = {}
        for rate in self.rates:
            if rate.node_id in self.node:
                by_region.setdefault(rate.region, []).append(rate)
        return {region: tuple(sorted(lanes, key=lambda lane: (lane.node_id, lane.service))) for region, lanes in by_region.items()}

    @cached_property
    def noted(self) -> dict[Hashable, Any]:
        """What readers made of nodes and rates alone, by a name of their own; shared by all orders that see the same ones."""
        return {}

    def lanes(self, region: str) -> tuple[Rate, ...]:
        """The lanes that lead to ``region`` from a known node, by (node id, service)."""
        return self.by_region.get(region, ())


def ages(nodes: Iterable[Node], stock: Iterable[Stock], rates: Iterable[Rate], as_of: Millis) -> dict[str, float]:
    """Seconds since the oldest fact of each part, for those parts that tell a time."""
    parts: dict[str, Iterable[Node | Stock | Rate]] = {"nodes": nodes, "stock": stock, "rates": rates}
    oldest = {name: _oldest(items) for name, items in parts.items()}
    return {name: _age(at, as_of) for name, at in oldest.items() if at is not None}


def _oldest(items: Iterable[Node | Stock | Rate]) -> Millis | None:
    return min((item.as_of for item in items if item.as_of is not None), default=None)


def _age(at: Millis, as_of: Millis) -> float:
    return max(0.0, (as_of - at) / 1000)


def next_cutoff(cutoff_hour: float, as_of: Millis) -> Millis:
    """The next time at or after ``as_of`` when the local clock (UTC+8) shows ``cutoff_hour``."""
    cutoff = local_midnight(as_of) + round(cutoff_hour * HOUR)
    return cutoff if cutoff >= as_of else cutoff + DAY


def network_from_request(
    as_of: Millis, stored: Network, nodes: Iterable[Node] | None, stock: Iterable[Stock] | None, rates: Iterable[Rate] | None
) -> Network:
    """The network of a request that supplies some parts itself; a part it leaves out (``None``) stays as stored."""
    own_nodes = stored.nodes if nodes is None else tuple(sorted(nodes, key=lambda node: node.node_id))
    own_stock = stored.stock if stock is None else tuple(stock)
    own_rates = stored.rates if rates is None else tuple(rates)
    given = {"nodes": nodes, "stock": stock, "rates": rates}
    supplied = frozenset(name for name, part in given.items() if part is not None)
    return Network(own_nodes, own_stock, own_rates, ages(own_nodes, own_stock, own_rates, as_of), supplied)


def read_network(order: Order, states: Mapping[EntityKey, EntityState], as_of: Millis, reserved: Reserved = NONE_RESERVED) -> Network:
    """The network as the store knows it: all nodes, stock of the order's SKUs, rates of lanes to its region.

    Args:
        order: what is to be shipped.
        states: of the network, the order's region and its SKUs.
        as_of: the moment.
        reserved: pieces that the plans of other orders hold.
    """
    network = states.get(EntityKey(Entity.NETWORK, NETWORK_KEY))
    region = states.get(EntityKey(Entity.REGION, order.ship_to.region))
    nodes = network.derived("node", as_of, lambda told: _nodes(told, as_of)) if network else ()
    rates = region.derived("rate", as_of, lambda told: _rates(order.ship_to.region, told)) if region else ()
    stock = tuple(_stock(order, states, as_of))
    if reserved:
        stock = tuple(_less(one, reserved.of(one.node_id, one.sku, one.as_of)) for one in stock)
    return _frame(order.ship_to.region, nodes, rates).holding(stock, as_of)


def _less(stock: Stock, reserved: int) -> Stock:
    return replace(stock, reserved=reserved) if reserved else stock


class _Frame:
    """Nodes and the rates of one region, with what follows from them alone: between two events every order to the region shares it."""

    __slots__ = ("_cached", "_oldest", "nodes", "rates")

    def __init__(self, nodes: tuple[Node, ...], rates: tuple[Rate, ...]) -> None:
        bare = Network(nodes, (), rates)
        self.nodes, self.rates = nodes, rates
        self._cached = {"node": bare.node, "by_region": bare.by_region, "noted": bare.noted}
        self._oldest = {"nodes": _oldest(nodes), "rates": _oldest(rates)}

    def holding(self, stock: tuple[Stock, ...], as_of: Millis) -> Network:
        """The network with the stock of an order."""
        times = {"nodes": self._oldest["nodes"], "stock": _oldest(stock), "rates": self._oldest["rates"]}
        network = Network(self.nodes, stock, self.rates, {name: _age(at, as_of) for name, at in times.items() if at is not None})
        vars(network).update(self._cached)  # its cached properties, worked out already
        return network


_frames: dict[str, _Frame] = {}
"""The newest frame of each region that the store knows."""


def _frame(region: str, nodes: tuple[Node, ...], rates: tuple[Rate, ...]) -> _Frame:
    kept = _frames.get(region)
    # The states keep what they derive as long as it holds, so the same objects mean that nothing was told since.
    if kept is not None and kept.nodes is nodes and kept.rates is rates:
        return kept
    frame = _Frame(nodes, rates)
    if rates:  # a region that only a request names is not worth keeping
        _frames[region] = frame
    return frame


def _nodes(told: Mapping[str, Facts], as_of: Millis) -> tuple[tuple[Node, ...], Millis]:
    """All nodes, and until when they stay the same: the first cut-off changes one."""
    nodes = tuple(_node(node_id, facts, as_of) for node_id, facts in sorted(told.items()))
    return nodes, min((node.cutoff_at for node in nodes if node.cutoff_at is not None), default=_FOR_EVER)


def _node(node_id: str, facts: Facts, as_of: Millis) -> Node:
    told = facts.values
    cutoff_hour, capacity = told.get("cutoff_hour"), told.get("capacity_left")
    return Node(
        node_id=node_id,
        region=told.get("region", ""),
        lat=told.get("lat"),
        lon=told.get("lon"),
        cutoff_at=None if cutoff_hour is None else next_cutoff(cutoff_hour, as_of),
        processing_h=float(told.get("processing_h", DEFAULT_PROCESSING_H)),
        processing_cost_micros=_micros(told.get("processing_cost", 0)),
        capacity_left=None if capacity is None else max(0, int(capacity)),
        temp_classes=tuple(told.get("temp_classes", ANY_TEMP_CLASS)),
        status=told.get("status", OPEN),
        capacity=told.get("capacity"),
        backlog=told.get("backlog"),
        staffing=told.get("staffing"),
        as_of=facts.event_time,
    )


def _stock(order: Order, states: Mapping[EntityKey, EntityState], as_of: Millis) -> Iterable[Stock]:
    for sku in dict.fromkeys(line.sku for line in order.lines):
        state = states.get(EntityKey(Entity.SKU, sku))
        if state is not None:
            yield from state.derived("stock", as_of, partial(_stock_of, sku))


def _stock_of(sku: str, told: Mapping[str, Facts]) -> tuple[tuple[Stock, ...], Millis]:
    found = (
        Stock(
            node_id,
            sku,
            int(facts.values["available"]),
            int(facts.values.get("safety", 0)),
            facts.event_time,
            expected_demand=None if (expected := facts.values.get("expected_demand")) is None else max(0, round(expected)),
        )
        for node_id, facts in sorted(told.items())
    )
    return tuple(found), _FOR_EVER


def _rates(region: str, told: Mapping[str, Facts]) -> tuple[tuple[Rate, ...], Millis]:
    lanes = [(lane.rpartition("|"), facts) for lane, facts in sorted(told.items())]
    return tuple(_rate(node_id, region, service, facts) for (node_id, _, service), facts in lanes), _FOR_EVER


def _rate(node_id: str, region: str, service: str, facts: Facts) -> Rate:
    told = facts.values
    return Rate(
        node_id=node_id,
        region=region,
        service=service,
        fixed_micros=_micros(told.get("fixed", 0)),
        per_kg_micros=_micros(told.get("per_kg", 0)),
        transit_days=float(told.get("transit_days", DEFAULT_TRANSIT_DAYS)),
        co2e_g_per_kg=float(told.get("co2e_g_per_kg", 0.0)),
        carrier=told.get("carrier"),
        as_of=facts.event_time,
    )


def _micros(amount: float) -> int:
    return round(amount * MICRO)
