"""From an order and its network to the exact shipment plan: the splitting problem in the OMS's words.

Every amount is a whole number of millionths before the optimiser sees it, so the cost ledger of the plan adds up exactly. Lateness is the
predicted probability that a shipment is late times the policy's price of a late shipment; carbon its weight times the lane's emissions times
the policy's price; the split penalty counts every shipment after the first; a piece of scarce stock costs what it would be worth to the
orders that come after this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from feature_store.network import Network, Node, Rate
from feature_store.network_request import Loc, NetworkRefused
from feature_store.order import Line, Order
from feature_store.times import DAY, HOUR, Millis
from governance.shipment_asks import Constraints, LaneRisk, Prices, Weights
from governance.shipment_terms import (
    late_micros,
    options_of,
    piece_terms,
    scarcity_of,
    shipment_terms,
    split_micros,
    stock_of,
    whole_micros,
)
from models.splitting import Plan, Problem

I64 = NDArray[np.int64]


class Rule(StrEnum):
    """The hard constraints that can be lifted one by one to see which of them stands in the way."""

    NODE_CLOSED = "NODE_CLOSED"
    FORBIDDEN = "FORBIDDEN"
    DELIVER_BY = "DELIVER_BY"
    DELIVER_FROM = "DELIVER_FROM"
    TEMP_CLASS = "TEMP_CLASS"
    PINNED_NODE = "PINNED_NODE"
    SHIP_TOGETHER = "SHIP_TOGETHER"
    SPLIT_LINES = "SPLIT_LINES"
    CAPACITY = "CAPACITY"
    WEIGHT_LIMIT = "WEIGHT_LIMIT"
    MAX_SHIPMENTS = "MAX_SHIPMENTS"
    REQUIRED_NODE = "REQUIRED_NODE"


@dataclass(frozen=True)
class Sourcing:
    """An order's splitting problem with everything that explains it. Arrays are by line (m), lane (o), node (n), SKU (s).

    Attributes:
        lanes: of each option what it charges: one for each (node id, service), or several where its tariff has steps, the widest last.
        ready_at: when each node would hand the order over, (n,).
        arrival: planned p50 and p90 arrival by lane, Millis, (o, 2).
        piece_micros: carriage of one piece before weights, (m, o).
        piece_co2e_g: emissions of one piece, float64 (m, o).
        term_fixed: the fixed part of each weighted term by lane (cost, lateness, split), (3, o).
        term_piece: the part per piece of each weighted term (cost, carbon, scarcity), (3, m, o).
        late_price: what a shipment that is certainly late costs, weighted.
        scarcity: shadow price of one piece before weights, (m, o).
        together: the lines of each ship-together group.
        blocked: for each rule that speaks of lines and lanes, what it forbids, (m, o).
        held_back: pieces that are safety stock, (n, s).
        reserved: pieces that other orders' plans have reserved, (n, s).
    """

    order: Order
    network: Network
    constraints: Constraints
    decided_at: Millis
    nodes: tuple[Node, ...]
    lanes: tuple[Rate, ...]
    risks: tuple[LaneRisk, ...]
    ready_at: tuple[Millis, ...]
    arrival: I64
    piece_micros: I64
    piece_co2e_g: NDArray[np.float64]
    term_fixed: I64
    term_piece: I64
    late_price: int
    scarcity: I64
    together: tuple[tuple[int, ...], ...]
    blocked: Mapping[Rule, NDArray[np.bool_]]
    held_back: I64
    reserved: I64
    problem: Problem

    @cached_property
    def node_index(self) -> Mapping[str, int]:
        """Position of each node by its id."""
        return {node.node_id: index for index, node in enumerate(self.nodes)}

    @cached_property
    def lanes_of(self) -> tuple[I64, ...]:
        """For each node the options that ship from it."""
        numbers: list[list[int]] = [[] for _ in self.nodes]
        for o, n in enumerate(self.problem.node.tolist()):
            numbers[n].append(o)
        return tuple(np.array(options, dtype=np.int64) for options in numbers)

    @cached_property
    def blocking(self) -> frozenset[Rule]:
        """The rules that forbid some line some lane."""
        return frozenset(rule for rule, blocked in self.blocked.items() if blocked.any())

    def active_rules(self) -> tuple[Rule, ...]:
        """The rules that forbid anything at all here, in the order in which they are tried."""
        active = [rule for rule in self.blocked if rule in self.blocking]
        if self.together:
            active.append(Rule.SHIP_TOGETHER)
        if not self.constraints.split_lines:
            active.append(Rule.SPLIT_LINES)
        if (self.problem.capacity >= 0).any():
            active.append(Rule.CAPACITY)
        if any(lane.max_weight_mg is not None for lane in self.lanes):
            active.append(Rule.WEIGHT_LIMIT)
        if self.problem.max_shipments is not None:
            active.append(Rule.MAX_SHIPMENTS)
        if self.problem.must:
            active.append(Rule.REQUIRED_NODE)
        return tuple(active)

    def without(self, rules: Iterable[Rule]) -> Problem:
        """The problem with these rules lifted."""
        lifted = set(rules)
        allowed = np.ones(self.problem.allowed.shape, dtype=np.bool_)
        for rule, blocked in self.blocked.items():
            if rule not in lifted:
                allowed &= ~blocked
        together = () if Rule.SHIP_TOGETHER in lifted else self.together
        split = self.constraints.split_lines or Rule.SPLIT_LINES in lifted
        limit = self.problem.limit
        if limit is not None and Rule.WEIGHT_LIMIT in lifted:
            heaviest = [lane.max_weight_mg for lane in self.lanes]
            limit = np.where([own is not None and own == at for own, at in zip(heaviest, limit.tolist(), strict=True)], -1, limit)
        return replace(
            self.problem,
            allowed=allowed,
            limit=limit,
            groups=_groups(together, self.order, split=split),
            capacity=np.full_like(self.problem.capacity, -1) if Rule.CAPACITY in lifted else self.problem.capacity,
            max_shipments=None if Rule.MAX_SHIPMENTS in lifted else self.problem.max_shipments,
            must=() if Rule.REQUIRED_NODE in lifted else self.problem.must,
        )

    def terms(self, plan: Plan) -> dict[str, int]:
        """The weighted terms of the objective, millionths; their sum is ``plan.cost``."""
        used = list(plan.options)
        fixed = self.term_fixed[:, used].sum(axis=1)
        piece = (self.term_piece * plan.pieces).sum(axis=(1, 2))
        return {
            "cost": int(fixed[0] + piece[0]),
            "lateness": int(fixed[1]),
            "carbon": int(piece[1]),
            "split": int(fixed[2]) - (self.problem.credit if used else 0),
            "scarcity": int(piece[2]),
        }

    def terms_of(self, plan: Plan, option: int, *, first: bool) -> dict[str, int]:
        """One shipment's part of :meth:`terms`; the first one has no split penalty."""
        piece = (self.term_piece[:, :, option] * plan.pieces[:, option]).sum(axis=1)
        fixed = self.term_fixed[:, option]
        return {
            "cost": int(fixed[0] + piece[0]),
            "lateness": int(fixed[1]),
            "carbon": int(piece[1]),
            "split": int(fixed[2]) - (self.problem.credit if first else 0),
            "scarcity": int(piece[2]),
        }

    def last_arrival(self, plan: Plan) -> Millis:
        """When half of the time the plan's last shipment has arrived; 0 when nothing ships."""
        return max((int(self.arrival[o, 0]) for o in plan.options), default=0)

    def co2e_g(self, plan: Plan) -> float:
        """Emissions of the plan."""
        return float((self.piece_co2e_g * plan.pieces).sum())


def check_nodes(order: Order, network: Network, constraints: Constraints) -> None:
    """Refuse nodes that nobody knows, and a node that is both forbidden and required.

    Raises:
        NetworkRefused: with the place of each in the request.
    """
    errors: list[tuple[Loc, str]] = []
    known = network.node
    for name, listed in (("forbid_nodes", constraints.forbid_nodes), ("require_nodes", constraints.require_nodes)):
        errors += [(("constraints", name, i), f"node {node!r} is unknown") for i, node in enumerate(listed) if node not in known]
    both = set(constraints.forbid_nodes) & set(constraints.require_nodes)
    errors += [
        (("constraints", "require_nodes", i), f"node {n!r} is forbidden too") for i, n in enumerate(constraints.require_nodes) if n in both
    ]
    for i, line in enumerate(order.lines):
        if line.pinned_node is not None and line.pinned_node not in known:
            errors.append((("order", "lines", i, "pinned_node"), f"node {line.pinned_node!r} is unknown"))
    if errors:
        raise NetworkRefused(errors)


def ready_at(node: Node, decided_at: Millis) -> Millis:
    """When the node hands the order over: what is ordered up to a cut-off leaves at that cut-off, or when it is processed if that is later."""
    processed = decided_at + round(node.processing_h * HOUR)
    if node.cutoff_at is None:
        return processed
    missed = max(0, -(-(decided_at - node.cutoff_at) // DAY))
    return max(processed, node.cutoff_at + missed * DAY)


def build_problem(
    order: Order,
    network: Network,
    risks: Mapping[tuple[str, str], LaneRisk],
    *,
    constraints: Constraints,
    weights: Weights,
    prices: Prices,
    decided_at: Millis,
) -> Sourcing:
    """Everything that the optimiser needs to know of this order.

    Args:
        order: what to ship, and where to.
        network: the nodes, stock and rates there are.
        risks: by (node id, service); a lane that is missing here is taken as never late and on plan.
        constraints: the request's hard constraints.
        weights: the request's weights of the terms.
        prices: the policy's money rates.
        decided_at: the moment of the decision.

    Raises:
        NetworkRefused: an unknown node, or one both forbidden and required.
        ProblemRefused: amounts too large to be added exactly.
    """
    check_nodes(order, network, constraints)
    nodes = tuple(sorted(network.nodes, key=lambda node: node.node_id))
    index = {node.node_id: n for n, node in enumerate(nodes)}
    lanes, limit, lane = options_of(network.lanes(order.ship_to.region))
    at = np.array([index[option.node_id] for option in lanes], dtype=np.int64)
    known = tuple(risks.get((option.node_id, option.service), LaneRisk(0.0)) for option in lanes)
    ready = tuple(ready_at(node, decided_at) for node in nodes)
    arrival = np.array(
        [_arrival(option, risk, ready[n], prices) for option, risk, n in zip(lanes, known, at, strict=True)], dtype=np.int64
    ).reshape(-1, 2)
    skus = list(dict.fromkeys(line.sku for line in order.lines))
    quantity = np.array([line.qty for line in order.lines], dtype=np.int64)
    sku = np.array([skus.index(line.sku) for line in order.lines], dtype=np.int64)
    stock, held_back, reserved, cushion = stock_of(network, index, skus)
    blocked = _blocked(order, nodes, at, arrival, constraints)
    weight_g = np.array([prices.unknown_weight_g if line.weight_g is None else line.weight_g for line in order.lines])
    carriage, co2e_g, paid = piece_terms(weight_g, lanes, weights, prices)
    scarcity = scarcity_of(quantity, sku, stock, cushion, prices)[:, at]
    own = np.array([option.fixed_micros + nodes[n].processing_cost_micros for option, n in zip(lanes, at, strict=True)], dtype=np.float64)
    term_fixed = shipment_terms(own, np.array([risk.p_late for risk in known]), weights, prices)
    term_piece = np.concatenate([paid, whole_micros(scarcity * weights.scarcity)[None]])
    allowed = np.ones((len(order.lines), len(lanes)), dtype=np.bool_)
    for mask in blocked.values():
        allowed &= ~mask
    together = _together(order)
    problem = Problem(
        quantity=quantity,
        sku=sku,
        piece_cost=term_piece.sum(axis=0),
        allowed=allowed,
        node=at,
        fixed=term_fixed.sum(axis=0),
        stock=stock,
        capacity=np.array([-1 if node.capacity_left is None else node.capacity_left for node in nodes], dtype=np.int64),
        groups=_groups(together, order, split=constraints.split_lines),
        must=tuple(sorted({index[node] for node in constraints.require_nodes})),
        max_shipments=constraints.max_shipments if constraints.max_shipments is not None else prices.max_shipments,
        credit=split_micros(weights, prices),
        weight=None if limit is None else whole_micros(weight_g * 1000.0),
        limit=limit,
        lane=lane,
    )
    return Sourcing(
        order, network, constraints, decided_at, nodes, lanes, known, ready, arrival, carriage, co2e_g, term_fixed, term_piece,
        late_micros(weights, prices), scarcity, together, blocked, held_back, reserved, problem
    )  # fmt: skip


def _together(order: Order) -> tuple[tuple[int, ...], ...]:
    """The lines of each ship-together group."""
    groups: dict[str, list[int]] = {}
    for i, line in enumerate(order.lines):
        if line.ship_together_group is not None:
            groups.setdefault(line.ship_together_group, []).append(i)
    return tuple(tuple(group) for group in groups.values())


def _groups(together: tuple[tuple[int, ...], ...], order: Order, *, split: bool) -> tuple[tuple[int, ...], ...]:
    """What leaves whole: the groups, and each other line of several pieces where lines may not be split."""
    if split:
        return together
    grouped = {line for group in together for line in group}
    return (*together, *((i,) for i, line in enumerate(order.lines) if line.qty > 1 and i not in grouped))


def _arrival(lane: Rate, risk: LaneRisk, ready: Millis, prices: Prices) -> tuple[Millis, Millis]:
    planned = lane.transit_days * 24.0
    p50 = planned if risk.transit_p50_h is None else risk.transit_p50_h
    p90 = max(p50, planned * prices.p90_factor) if risk.transit_p90_h is None else max(p50, risk.transit_p90_h)
    return ready + round(p50 * HOUR), ready + round(p90 * HOUR)


def _blocked(order: Order, nodes: Sequence[Node], at: I64, arrival: I64, constraints: Constraints) -> dict[Rule, NDArray[np.bool_]]:
    lines, forbidden = order.lines, set(constraints.forbid_nodes)
    shape = (len(lines), at.size)

    def by_lane(flags: Iterable[bool]) -> NDArray[np.bool_]:
        return np.broadcast_to(np.array(list(flags), dtype=np.bool_)[None, :], shape)

    def by_line_and_node(test: Callable[[Line, Node], bool]) -> NDArray[np.bool_]:
        return np.array([[test(line, node) for node in nodes] for line in lines], dtype=np.bool_).reshape(len(lines), len(nodes))[:, at]

    deadline = math.inf if constraints.deliver_by is None else constraints.deliver_by
    earliest = -math.inf if constraints.deliver_from is None else constraints.deliver_from
    return {
        Rule.NODE_CLOSED: by_lane(not nodes[n].ships for n in at),
        Rule.FORBIDDEN: by_lane(nodes[n].node_id in forbidden for n in at),
        Rule.DELIVER_BY: by_lane(bool(p90 > deadline) for p90 in arrival[:, 1]),
        Rule.DELIVER_FROM: by_lane(bool(p50 < earliest) for p50 in arrival[:, 0]),
        Rule.TEMP_CLASS: by_line_and_node(lambda line, node: not node.handles(line.temp_class)),
        Rule.PINNED_NODE: by_line_and_node(lambda line, node: line.pinned_node not in {None, node.node_id}),
    }


__all__ = [
    "Constraints", "LaneRisk", "Prices", "Rule", "Sourcing", "Weights", "build_problem", "check_nodes", "ready_at",
]  # fmt: skip
