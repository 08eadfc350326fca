"""A shipment plan as people read it: what goes where, what it costs, why nothing else won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feature_store.times import Millis, TimeUnreadable, parse_time
from serving.console import texts
from serving.console.contexts import CostRow, Pair, Plan, ShipmentCard
from serving.console.messages import say
from serving.console.views import words
from serving.console.views.words import length

_TERMS = ("cost", "lateness", "carbon", "split", "scarcity")


def build(language: str, answer: Mapping[str, Any]) -> Plan | None:
    """The plan in a split-order answer, ``None`` where there is none."""
    shipments: Sequence[Mapping[str, Any]] = answer.get("shipments") or ()
    if not shipments and not answer.get("unfilled") and not answer.get("rejected_nodes"):
        return None
    objective = answer.get("objective") or {}
    return Plan(
        shipments=tuple(_shipment(language, shipment) for shipment in shipments),
        costs=_costs(language, objective),
        total=texts.money(objective.get("total")),
        proof=_proof(language, answer.get("optimality")),
        runner_up=_runner_up(language, answer.get("runner_up")),
        rejected=tuple(Pair(str(node.get("node_id", "")), _why(language, node)) for node in answer.get("rejected_nodes") or ()),
        unfilled=tuple(
            Pair(say(language, "plan.unfilled_line", line=line.get("line_id", ""), qty=line.get("qty", "")), _why(language, line))
            for line in answer.get("unfilled") or ()
        ),
    )


def _why(language: str, told: Mapping[str, Any]) -> str:
    """A node's or a line's reason in a sentence, which names articles as people do; its code where there is none."""
    return texts.capital(texts.speak(told.get("text") or str(told.get("reason", "")), language))


def nodes(answer: Mapping[str, Any]) -> list[str]:
    """The nodes that ship, in the plan's order, each once."""
    return list(dict.fromkeys(str(shipment.get("node_id", "")) for shipment in answer.get("shipments") or ()))


def moment(language: str, text: Any) -> str:
    """A time of the answer, to the minute; a dash where it is none."""
    try:
        return texts.moment(parse_time(str(text)), language, millis=False)
    except TimeUnreadable:
        return "–"


def near(language: str, text: Any, now: Millis) -> str:
    """A time of the answer not far from ``now``; a dash where it is none."""
    try:
        return texts.near(parse_time(str(text)), language, now)
    except TimeUnreadable:
        return "–"


def day(language: str, text: Any) -> str:
    """A time of the answer, to the day; a dash where it is none."""
    try:
        return texts.day(parse_time(str(text)), language)
    except TimeUnreadable:
        return "–"


def _shipment(language: str, shipment: Mapping[str, Any]) -> ShipmentCard:
    cost, deliver = shipment.get("cost") or {}, shipment.get("deliver") or {}
    facts = [
        Pair(say(language, "plan.ship_at"), moment(language, shipment.get("ship_at"))),
        Pair(
            say(language, "plan.deliver"),
            say(language, "plan.deliver_span", p50=moment(language, deliver.get("p50")), p90=moment(language, deliver.get("p90"))),
        ),
    ]
    if isinstance(shipment.get("p_on_time"), int | float):
        facts.append(Pair(say(language, "plan.on_time"), texts.percent(shipment["p_on_time"])))
    facts.append(Pair(say(language, "plan.shipping"), _both(cost.get("fixed"), cost.get("variable"))))
    facts.append(Pair(say(language, "plan.processing"), texts.money(cost.get("processing"))))
    if isinstance(shipment.get("co2e_g"), int | float):
        facts.append(Pair(say(language, "plan.carbon"), f"{texts.number(shipment['co2e_g'])}{texts.NBSP}g CO₂e"))
    return ShipmentCard(
        title=say(language, "plan.shipment", node=shipment.get("node_id", "")),
        service=words.service_name(language, str(shipment.get("service", ""))),
        lines=tuple(
            say(language, "plan.line", qty=line.get("qty", ""), line=line.get("line_id", "")) for line in shipment.get("lines") or ()
        ),
        facts=tuple(facts),
    )


def _both(fixed: Mapping[str, Any] | None, variable: Mapping[str, Any] | None) -> str:
    return " + ".join(texts.money(part) for part in (fixed, variable) if part) or "–"


def _costs(language: str, objective: Mapping[str, Any]) -> tuple[CostRow, ...]:
    terms = objective.get("terms") or {}
    amounts = {term: abs(_amount(terms.get(term))) for term in _TERMS if terms.get(term)}
    largest = max(amounts.values(), default=0.0) or 1.0
    return tuple(
        CostRow(say(language, f"plan.term.{term}"), texts.money(terms[term]), length(amount / largest)) for term, amount in amounts.items()
    )


def _amount(money: Mapping[str, Any] | None) -> float:
    try:
        return float((money or {}).get("amount", 0))
    except (TypeError, ValueError):
        return 0.0


def _proof(language: str, optimality: Mapping[str, Any] | None) -> str:
    if not optimality:
        return ""
    nodes_explored = texts.number(optimality.get("nodes_explored") or 0)
    if optimality.get("proven"):
        return say(language, "plan.proven", nodes=nodes_explored, ms=texts.number(optimality.get("ms") or 0))
    return say(language, "plan.gap", gap=texts.percent(float(optimality.get("gap") or 0)), nodes=nodes_explored)


def _runner_up(language: str, runner_up: Mapping[str, Any] | None) -> str:
    if not runner_up:
        return ""
    delta = runner_up.get("delta") or {}
    return say(
        language,
        "plan.runner_up",
        nodes=words.listed(language, nodes(runner_up)),
        cost=texts.money_delta(delta.get("cost")),
        hours=texts.signed(float(delta.get("lateness_h") or 0), 1),
        carbon=texts.signed(float(delta.get("co2e_g") or 0), 0),
    )
