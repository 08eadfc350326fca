"""The shipment plan as it is answered: shipments, cost ledger, proof, runner-up, why each other node lost, what stays behind and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.network import Network
from feature_store.network_request import Loc, NetworkRefused
from feature_store.order import MICRO, Order
from feature_store.times import HOUR, Millis, format_time
from governance.shipment_reasons import Relaxation, Why, held_lines, infeasible_because, rejected_nodes, unfilled_lines
from governance.shipments import Constraints, LaneRisk, Prices, Sourcing, Weights, build_problem
from models.specs import Outcome
from models.splitting import NODE_LIMIT, Plan, Problem, Solution, solve

I64 = NDArray[np.int64]

METHOD = "lagrangian-branch-and-bound"


@dataclass(frozen=True)
class ShipmentPlan:
    """The answer to a split-order request.

    Attributes:
        outcome: PLANNED, PARTIAL or UNFULFILLABLE.
        details: the answer's fields, ready for JSON.
        alternatives: the runner-up in full, ready for JSON.
        p_late: probability that at least one shipment is late, taking shipments as independent; 0 when nothing ships.
        shipped_qty: pieces that ship.
        unfilled_qty: pieces that stay behind.
        lanes: (node id, service) of each shipment.
    """

    outcome: Outcome
    details: Mapping[str, Any]
    alternatives: Sequence[Mapping[str, Any]]
    p_late: float
    shipped_qty: int
    unfilled_qty: int
    lanes: tuple[tuple[str, str], ...]


def plan_shipments(  # noqa: PLR0917 - the order of the story: what, from where, how sure, under which terms, when
    order: Order,
    network: Network,
    risks: Mapping[tuple[str, str], LaneRisk],
    constraints: Constraints,
    weights: Weights,
    prices: Prices,
    decided_at: Millis,
    *,
    oms_choice: Mapping[str, Any] | None = None,
    limit: int = NODE_LIMIT,
    timer: Callable[[], float] = time.perf_counter,
) -> ShipmentPlan:
    """The best plan for an order, explained.

    Args:
        order: what to ship, and where to.
        network: the nodes, stock and rates there are.
        risks: predicted lateness by (node id, service).
        constraints: the request's hard constraints.
        weights: the request's weights of the terms.
        prices: the policy's money rates.
        decided_at: the moment of the decision; every time in the plan counts from it.
        oms_choice: the plan the OMS would have made, ``{"shipments": [{"node_id", "service"?, "lines"?: [{"line_id", "qty"}]}]}``.
        limit: most search nodes.
        timer: seconds; tells ``optimality.ms`` and nothing else. A replay passes a constant.

    Raises:
        NetworkRefused: unknown nodes, with their places.
        models.splitting.ProblemRefused: amounts too large to be added exactly.
    """
    started = timer()
    sourcing = build_problem(order, network, risks, constraints=constraints, weights=weights, prices=prices, decided_at=decided_at)
    solution = solve(sourcing.problem, limit=limit)
    return render_plan(sourcing, solution, (timer() - started) * 1e3, oms_choice)


def render_plan(sourcing: Sourcing, solution: Solution, ms: float, oms_choice: Mapping[str, Any] | None = None) -> ShipmentPlan:
    """Write a solution as the answer's fields.

    Raises:
        NetworkRefused: the OMS's choice names an unknown node, service or line.
    """
    held = solution.plan if _kept_whole(sourcing, solution) else None
    plan = _nothing(sourcing) if held is not None or solution.plan is None else solution.plan
    shipped = int(sourcing.problem.quantity.sum()) - plan.left_out
    outcome = Outcome.UNFULFILLABLE if shipped == 0 else Outcome.PARTIAL if plan.left_out else Outcome.PLANNED
    show = _Money(sourcing.order.currency)
    details: dict[str, Any] = {
        "shipments": _shipments(sourcing, plan, show),
        "objective": {"total": show(plan.cost), "terms": show_terms(sourcing, plan, show)},
        "optimality": _optimality(solution, ms, show, held),
        "runner_up": None if held is not None else _runner_up(sourcing, plan, solution, show),
        "rejected_nodes": [
            {"node_id": node_id, **_reason(why, show)} for node_id, why in rejected_nodes(sourcing, plan, show.text, format_time)
        ],
        **_shortfall(sourcing, solution.plan, show, held=held is not None),
    }
    if sourcing.network.ages:
        details["network_ages_s"] = dict(sorted(sourcing.network.ages.items()))
    if oms_choice is not None and oms_choice.get("shipments") is not None:
        details["delta_vs_oms_choice"] = _versus(sourcing, plan, _chosen(sourcing, oms_choice), show)
    alternatives = (
        []
        if details["runner_up"] is None or solution.runner_up is None
        else [{"shipments": _shipments(sourcing, solution.runner_up, show), **details["runner_up"]["delta"]}]
    )
    on_time = float(np.prod([1.0 - sourcing.risks[o].p_late for o in plan.options]))
    lanes = tuple((sourcing.lanes[o].node_id, sourcing.lanes[o].service) for o in plan.options)
    return ShipmentPlan(outcome, details, alternatives, 1.0 - on_time, shipped, plan.left_out, lanes)


def _kept_whole(sourcing: Sourcing, solution: Solution) -> bool:
    """Whether nothing ships because the order ships in full or not at all."""
    return not sourcing.constraints.partial and solution.plan is not None and solution.plan.left_out > 0


def _optimality(solution: Solution, ms: float, show: _Money, held: Plan | None) -> dict[str, Any]:
    """The proof. That an order cannot ship in full is proven as soon as no plan leaves nothing out."""
    proven = solution.proven or (held is not None and solution.least_left_out > 0)
    return {
        "proven": proven,
        "gap": 0.0 if proven else round(solution.gap, 9),
        "lower_bound": None if held is not None or solution.plan is None else show(min(solution.least_cost, solution.plan.cost)),
        "nodes_explored": solution.explored,
        "ms": round(ms, 3),
        "method": METHOD,
    }


def _shortfall(sourcing: Sourcing, plan: Plan | None, show: _Money, *, held: bool) -> dict[str, Any]:
    """What stays behind, why, and the smallest set of constraints that makes it so."""
    relaxation = Relaxation(sourcing)
    if held and plan is not None:
        lines = held_lines(sourcing, plan, format_time, relaxation)
    else:
        lines = unfilled_lines(sourcing, plan, format_time, relaxation)
    told: dict[str, Any] = {
        "unfilled": [{"line_id": sourcing.order.lines[i].line_id, "qty": qty, **_reason(why, show)} for i, qty, why in lines]
    }
    if lines:
        because = infeasible_because(sourcing, plan, relaxation)
        told["infeasible"] = {
            "constraints": [] if because is None else [rule.value for rule in because[0]],
            "qty_with_them_lifted": 0 if because is None else because[1],
        }
    return told


def show_terms(sourcing: Sourcing, plan: Plan, show: Callable[[int], dict[str, str]]) -> dict[str, dict[str, str]]:
    """The weighted terms of the objective as money; they add up to its total."""
    return {name: show(value) for name, value in sourcing.terms(plan).items()}


class _Money:
    """Writes millionths of one currency."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def amount(self, micros: int) -> str:
        whole, rest = divmod(abs(micros), MICRO)
        cents = f"{rest:06d}".rstrip("0").ljust(2, "0")
        return f"{'-' if micros < 0 else ''}{whole}.{cents}"

    def text(self, micros: int) -> str:
        return f"{round(micros / MICRO, 2):.2f} {self.currency}"

    def __call__(self, micros: int) -> dict[str, str]:
        return {"amount": self.amount(micros), "currency": self.currency}


def money(currency: str) -> Callable[[int], dict[str, str]]:
    """Writes millionths of a currency as answers have them: exact, with two decimals at least."""
    return _Money(currency)


def _nothing(sourcing: Sourcing) -> Plan:
    return Plan(np.zeros_like(sourcing.problem.piece_cost), 0, sourcing.problem.quantity)


def _reason(why: Why, show: _Money) -> dict[str, Any]:
    reason: dict[str, Any] = {"reason": why.code, "text": dict(why.text)}
    if why.delta is not None:
        reason["delta"] = show(why.delta)
    if why.rules:
        reason["rules"] = list(why.rules)
    return reason


def _shipments(sourcing: Sourcing, plan: Plan, show: _Money) -> list[dict[str, Any]]:
    """The shipments, each with its cost in money and its part of the objective; the parts of all add up to the objective's terms."""
    problem, shipments = sourcing.problem, []
    carried = problem.load(plan.pieces)
    for rank, o in enumerate(plan.options):
        n, lane = int(problem.node[o]), sourcing.lanes[o]
        column = plan.pieces[:, o]
        shipments.append(
            {
                "node_id": lane.node_id,
                "service": lane.service,
                "lines": [{"line_id": sourcing.order.lines[i].line_id, "qty": int(column[i])} for i in np.flatnonzero(column)],
                "ship_at": format_time(sourcing.ready_at[n]),
                "deliver": {"p50": format_time(int(sourcing.arrival[o, 0])), "p90": format_time(int(sourcing.arrival[o, 1]))},
                "p_on_time": round(1.0 - sourcing.risks[o].p_late, 6),
                "cost": {
                    "fixed": show(lane.fixed_micros),
                    "variable": show(int((sourcing.piece_micros[:, o] * column).sum())),
                    "processing": show(sourcing.nodes[n].processing_cost_micros),
                },
                "co2e_g": round(float((sourcing.piece_co2e_g[:, o] * column).sum()), 3),
                "terms": {name: show(value) for name, value in sourcing.terms_of(plan, o, first=rank == 0).items()},
                "lateness": {"probability": sourcing.risks[o].p_late, "price": show(sourcing.late_price)},
                **({} if problem.limit is None else {"step": _step(int(problem.limit[o]), int(carried[o]))}),
            }
        )
    return shipments


def _step(limit_mg: int, carried_mg: int) -> dict[str, Any]:
    """The step of the tariff that charges a shipment: up to which weight it holds, and what the shipment weighs."""
    return {"up_to_g": None if limit_mg < 0 else limit_mg / 1000, "weight_g": carried_mg / 1000}


def _delta(sourcing: Sourcing, plan: Plan, other: Plan, show: _Money) -> dict[str, Any]:
    """What ``other`` costs, takes and emits more than ``plan``."""
    ours = sourcing.terms(plan)
    hours = (sourcing.last_arrival(other) - sourcing.last_arrival(plan)) / HOUR if plan.options and other.options else 0.0
    return {
        "cost": show(_paid(sourcing, other) - _paid(sourcing, plan)),
        "objective": show(other.cost - plan.cost),
        "lateness_h": round(hours, 3),
        "co2e_g": round(sourcing.co2e_g(other) - sourcing.co2e_g(plan), 3),
        "unfilled_qty": other.left_out - plan.left_out,
        "terms": {name: show(value - ours[name]) for name, value in sourcing.terms(other).items()},
        "drops": sorted(_nodes(sourcing, plan) - _nodes(sourcing, other)),
        "adds": sorted(_nodes(sourcing, other) - _nodes(sourcing, plan)),
    }


def _nodes(sourcing: Sourcing, plan: Plan) -> set[str]:
    return {sourcing.lanes[o].node_id for o in plan.options}


def _paid(sourcing: Sourcing, plan: Plan) -> int:
    """Fixed, variable and processing cost in money, before any weight."""
    fixed = sum(sourcing.lanes[o].fixed_micros + sourcing.nodes[int(sourcing.problem.node[o])].processing_cost_micros for o in plan.options)
    return fixed + int((sourcing.piece_micros * plan.pieces).sum())


def _runner_up(sourcing: Sourcing, plan: Plan, solution: Solution, show: _Money) -> dict[str, Any] | None:
    """The best plan without at least one of the shipments; its ``delta`` says what it costs, takes and emits more."""
    if solution.runner_up is None:
        return None
    brief = [
        {"node_id": s["node_id"], "service": s["service"], "lines": s["lines"]} for s in _shipments(sourcing, solution.runner_up, show)
    ]
    return {"shipments": brief, "delta": _delta(sourcing, plan, solution.runner_up, show), "proven": solution.runner_up_proven}


def _chosen(sourcing: Sourcing, oms_choice: Mapping[str, Any]) -> tuple[Plan, list[str]]:
    """The OMS's own plan, priced by our ledger, and the rules that it breaks."""
    problem, order = sourcing.problem, sourcing.order
    line_at = {line.line_id: i for i, line in enumerate(order.lines)}
    pieces = np.zeros_like(problem.piece_cost)
    shipments = oms_choice["shipments"]
    for k, shipment in enumerate(shipments if isinstance(shipments, list) else []):
        loc: Loc = ("oms_choice", "shipments", k)
        wanted = shipment.get("lines") if isinstance(shipment, Mapping) else None
        if not isinstance(shipment, Mapping) or not (isinstance(wanted, list) or (wanted is None and len(shipments) == 1)):
            raise NetworkRefused([(loc, "tell node_id and lines [{line_id, qty}]")])
        lanes = _lanes_of(sourcing, shipment, loc)
        column = np.zeros(len(order.lines), dtype=np.int64)
        for j, item in enumerate(wanted if wanted is not None else [{"line_id": line.line_id, "qty": line.qty} for line in order.lines]):
            i = line_at.get(str(item.get("line_id"))) if isinstance(item, Mapping) else None
            qty = item.get("qty") if isinstance(item, Mapping) else None
            if i is None or not isinstance(qty, int) or isinstance(qty, bool) or not 0 < qty <= order.lines[i].qty:
                raise NetworkRefused([((*loc, "lines", j), "tell a line_id of the order and a qty of at most its own")])
            column[i] += qty
        best = min(lanes, key=lambda o: _price(sourcing, o, column))
        pieces[:, best] += column
    used = pieces.any(axis=0)
    cost = int((pieces * problem.piece_cost).sum()) + int(problem.fixed[used].sum()) - (problem.credit if used.any() else 0)
    plan = Plan(pieces, cost, problem.quantity - pieces.sum(axis=1))
    return plan, broken_rules(sourcing, plan)


def _lanes_of(sourcing: Sourcing, shipment: Mapping[str, Any], loc: Loc) -> list[int]:
    """The lanes that a shipment of the OMS may mean: those of its node, and of its service where it tells one."""
    node_id, service = shipment.get("node_id"), shipment.get("service")
    of_node = [o for o, lane in enumerate(sourcing.lanes) if lane.node_id == node_id]
    if not of_node:
        raise NetworkRefused([((*loc, "node_id"), f"no lane leads from {node_id!r} to {sourcing.order.ship_to.region!r}")])
    lanes = [o for o in of_node if service is None or sourcing.lanes[o].service == service]
    if not lanes:
        known = ", ".join(sorted({sourcing.lanes[o].service for o in of_node}))
        raise NetworkRefused([((*loc, "service"), f"no lane of {node_id!r} goes by {service!r}; there is {known}")])
    return lanes


def _price(sourcing: Sourcing, o: int, column: I64) -> tuple[bool, int, int]:
    """What sorts the lanes and steps that could ship ``column``: those that carry its weight first, the cheapest first."""
    problem = sourcing.problem
    heavy = problem.limit is not None and problem.weight is not None and 0 <= problem.limit[o] < int(problem.weight @ column)
    return heavy, int(problem.fixed[o] + (problem.piece_cost[:, o] * column).sum()), o


def broken_rules(sourcing: Sourcing, plan: Plan) -> list[str]:
    """Every hard constraint that a plan breaks, by code; empty for each plan of ours."""
    problem, pieces = sourcing.problem, plan.pieces
    broken = [rule.value for rule, blocked in sourcing.blocked.items() if (pieces[blocked] > 0).any()]
    at_node = np.zeros((pieces.shape[0], problem.capacity.size), dtype=np.int64)
    np.add.at(at_node.T, problem.node, pieces.T)
    per_sku = np.zeros(problem.stock.shape, dtype=np.int64)
    np.add.at(per_sku.T, problem.sku, at_node)
    if (plan.unfilled < 0).any():
        broken.append("QUANTITY")
    if (per_sku > problem.stock).any():
        broken.append("STOCK")
    if ((problem.capacity >= 0) & (at_node.sum(axis=0) > problem.capacity)).any():
        broken.append("CAPACITY")
    if problem.max_shipments is not None and len(plan.options) > problem.max_shipments:
        broken.append("MAX_SHIPMENTS")
    if any(at_node[:, n].sum() == 0 for n in problem.must):
        broken.append("REQUIRED_NODE")
    if problem.limit is not None and ((problem.limit >= 0) & (problem.load(pieces) > problem.limit)).any():
        broken.append("WEIGHT_LIMIT")
    torn = [group for group in problem.groups if _torn(problem, pieces, group)]
    if any(group in sourcing.together for group in torn):
        broken.append("SHIP_TOGETHER")
    if any(group not in sourcing.together for group in torn):
        broken.append("SPLIT_LINES")
    if not sourcing.constraints.partial and pieces.any() and plan.left_out:
        broken.append("WHOLE_ORDER")
    return broken


def _torn(problem: Problem, pieces: I64, group: tuple[int, ...]) -> bool:
    rows = pieces[list(group)]
    return bool(rows.any() and (rows.any(axis=0).sum() > 1 or (rows.sum(axis=1) != problem.quantity[list(group)]).any()))


def _versus(sourcing: Sourcing, plan: Plan, theirs: tuple[Plan, list[str]], show: _Money) -> dict[str, Any]:
    other, broken = theirs
    return {**_delta(sourcing, plan, other, show), "breaks": broken}
