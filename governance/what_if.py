"""What-if: a past decision computed with one or more things changed, on the snapshot, model and policy that it had.

Features are changed in the snapshot itself: what follows from them in life (a smaller order weighs less) is not worked out, so that exactly
what was asked is answered. For split-order a changed feature holds on every candidate lane.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from feature_store.order import MICRO, Identifier, Strict
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.times import HOUR, parse_time
from governance.backtest import paid_micros
from governance.inputs import Inputs
from governance.opinion import Deployed
from governance.policy import ParameterRefused, Policy
from governance.reconstruct import Rebuilt
from governance.shipment_plan import money
from governance.shipments import Constraints, Weights
from governance.values import Decision, Stage
from models.features import FeatureCard, Shown
from models.specs import DecisionType

Loc = tuple[str | int, ...]
Value = Annotated[float, Field(allow_inf_nan=False)] | bool | str | None
Nodes = Identifier | Annotated[tuple[Identifier, ...], Field(max_length=100)] | None


class WhatIfBody(Strict):
    """``POST /v1/decisions/{id}/what-if``: what is changed; at least one thing."""

    features: dict[str, Value] = Field(
        default_factory=dict, max_length=1_000, description="By name as the explanation shows them; null for not known."
    )
    force_node: Annotated[Nodes, Field(description="A node, or several, that have to ship at least one piece.")] = None
    forbid_node: Annotated[Nodes, Field(description="A node, or several, that may not ship.")] = None
    constraints: Annotated[Constraints | None, Field(description="The members that are told take the place of the recorded ones.")] = None
    weights: Annotated[Weights | None, Field(description="The members that are told take the place of the recorded ones.")] = None
    policy_parameters: dict[str, bool | float] = Field(default_factory=dict, max_length=200)


class WhatIfRefused(ValueError):
    """Changes that this decision cannot have; ``errors`` holds (where, what) for each."""

    def __init__(self, errors: Sequence[tuple[Loc, str]]) -> None:
        super().__init__("; ".join(message for _, message in errors))
        self.errors = tuple(errors)


class NothingKnown(Exception):
    """The decision was made without knowing anything that could be changed; the message says why."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A decision's inputs and policy with the changes made."""

    inputs: Inputs
    policy: Policy


def change(rebuilt: Rebuilt, deployed: Deployed | None, policy: Policy, body: WhatIfBody) -> Changed:
    """Apply the changes to what the decision was made from. What a deadline or an outage decided is taken back where enough was known.

    Args:
        rebuilt: what the decision was made from.
        deployed: the model that answered.
        policy: what judged it.
        body: the changes.

    Raises:
        WhatIfRefused: with every change that is impossible.
        NothingKnown: a fallback answered before anything was known.
    """
    inputs = rebuilt.inputs
    planned = inputs.type == DecisionType.SPLIT_ORDER
    if inputs.failure is not None and (inputs.network is None if planned else inputs.snapshot is None):
        raise NothingKnown(f"It was answered by its fallback ({inputs.failure.cause}: {inputs.failure.detail}) before anything was known.")
    errors: list[tuple[Loc, str]] = []
    if not any(getattr(body, name) for name in body.model_fields_set):
        errors.append(((), f"tell at least one of {', '.join(WhatIfBody.model_fields)}"))
    inputs = replace(inputs, stage=Stage.WHAT_IF, failure=None)
    inputs = _with_features(inputs, deployed, body.features, errors)
    inputs = _with_plan(inputs, body, errors)
    policy = _with_parameters(policy, body.policy_parameters, errors)
    if errors:
        raise WhatIfRefused(errors)
    return Changed(inputs, policy)


def _with_parameters(policy: Policy, values: Mapping[str, Any], errors: list[tuple[Loc, str]]) -> Policy:
    """The policy with other values, all at once: one may only be permitted beside another."""
    try:
        return policy.with_parameters(values) if values else policy
    except ParameterRefused as error:
        told = str(error)
    found: list[tuple[Loc, str]] = []
    for name, value in values.items():
        try:
            policy.with_parameters({name: value})
        except ParameterRefused as error:
            found.append((("policy_parameters", name), str(error)))
    errors += found or [(("policy_parameters",), told)]
    return policy


def with_values(snapshot: FeatureSnapshot, values: Mapping[str, float]) -> FeatureSnapshot:
    """A snapshot with other values of some features, which then come from the request."""
    at = {name: index for index, name in enumerate(snapshot.names)}
    changed, times, origins = snapshot.values.copy(), list(snapshot.event_times), list(snapshot.origins)
    for name, value in values.items():
        changed[at[name]], times[at[name]], origins[at[name]] = value, None, Origin.REQUEST
    return FeatureSnapshot(snapshot.names, changed, tuple(times), tuple(origins), snapshot.view_version, snapshot.as_of)


def delta(before: Mapping[str, Any], probability: float | None, after: Decision, currency: str | None) -> dict[str, Any]:
    """What is otherwise: outcome, probability, money, hours and grams CO₂e, each after minus before; ``None`` where there is none to compare.

    Args:
        before: the ``outcome`` group of the record.
        probability: the recorded one.
        after: the decision with the changes.
        currency: the order's.
    """
    now = after.confidence.probability if after.confidence else None
    was, told = before["details"], after.details
    planned = "shipments" in was and "shipments" in told
    return {
        "outcome": {"before": before["outcome"], "after": after.outcome},
        "probability": None if now is None or probability is None else now - probability,
        "cost": _cost(was, told, currency, planned=planned),
        "objective": _amount(_micros(told["objective"]["total"]) - _micros(was["objective"]["total"]), currency) if planned else None,
        "lateness_h": _hours(was, told, planned=planned),
        "co2e_g": round(_grams(told) - _grams(was), 3) if planned else None,
        "unfilled_qty": _unfilled(told) - _unfilled(was) if planned else None,
    }


def _with_features(inputs: Inputs, deployed: Deployed | None, changes: Mapping[str, Value], errors: list[tuple[Loc, str]]) -> Inputs:
    if not changes:
        return inputs
    known = inputs.lanes[0][2] if inputs.lanes else inputs.snapshot
    if known is None:
        errors.append((("features",), "the decision was made without features"))
        return inputs
    cards = {} if deployed is None else {card.name: card for card in deployed.artifact.features}
    values: dict[str, float] = {}
    for name, value in changes.items():
        if name not in known.names:
            errors.append((("features", name), "the decision has no such feature; its explanation lists them"))
            continue
        try:
            values[name] = read_value(cards.get(name), value)
        except ValueError as error:
            errors.append((("features", name), str(error)))
    if errors:
        return inputs
    lanes = tuple((node_id, service, with_values(snapshot, values)) for node_id, service, snapshot in inputs.lanes)
    return replace(inputs, lanes=lanes, snapshot=None if inputs.snapshot is None else with_values(inputs.snapshot, values))


def read_value(card: FeatureCard | None, value: Value) -> float:
    """A feature's value as the model reads it.

    Args:
        card: what the model tells of the feature; ``None`` where it does not read it.
        value: as a person writes it: a category by its name, ``None`` for not known.

    Raises:
        ValueError: the feature cannot have it.
    """
    if value is None:
        return math.nan
    if card is not None and card.shown is Shown.CATEGORY:
        names = card.categories[:-1]
        if isinstance(value, str) and value in names:
            return float(names.index(value))
        if isinstance(value, int | float) and not isinstance(value, bool) and value in range(len(card.categories)):
            return float(value)
        raise ValueError(f"{value!r} is none of {', '.join(names)}")
    if isinstance(value, str):
        raise ValueError(f"{value!r} is not a number")
    number = float(value)
    if card is not None and card.shown is Shown.FLAG and number not in {0.0, 1.0}:
        raise ValueError("is a flag: true or false, 1 or 0")
    if card is not None and card.shown is Shown.SHARE and not 0.0 <= number <= 1.0:
        raise ValueError("is a share: from 0 to 1")
    return number


def _with_plan(inputs: Inputs, body: WhatIfBody, errors: list[tuple[Loc, str]]) -> Inputs:
    asked = [name for name in ("force_node", "forbid_node", "constraints", "weights") if getattr(body, name) is not None]
    if not asked:
        return inputs
    network = inputs.network
    if inputs.type != DecisionType.SPLIT_ORDER or network is None:
        errors += [((name,), "only a split-order decision has a plan to change") for name in asked]
        return inputs
    forced, forbidden = _several(body.force_node), _several(body.forbid_node)
    errors += [(("force_node",), f"node {node!r} is unknown") for node in forced if node not in network.node]
    errors += [(("forbid_node",), f"node {node!r} is unknown") for node in forbidden if node not in network.node]
    errors += [(("force_node",), f"node {node!r} is forbidden in the same breath") for node in forced if node in forbidden]
    constraints = _merged(inputs.constraints or Constraints(), body.constraints)
    # What is forced here is not forbidden any more by the request, and the other way round.
    constraints = constraints.model_copy(
        update={
            "require_nodes": _unique(node for node in (*constraints.require_nodes, *forced) if node not in forbidden),
            "forbid_nodes": _unique(node for node in (*constraints.forbid_nodes, *forbidden) if node not in forced),
        }
    )
    return replace(inputs, constraints=constraints, weights=_merged(inputs.weights or Weights(), body.weights))


def _merged(recorded: Any, told: Strict | None) -> Any:
    return recorded if told is None else recorded.model_copy(update={name: getattr(told, name) for name in told.model_fields_set})


def _several(nodes: Nodes) -> tuple[str, ...]:
    return () if nodes is None else (nodes,) if isinstance(nodes, str) else nodes


def _unique(nodes: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(nodes))


def _cost(was: Mapping[str, Any], told: Mapping[str, Any], currency: str | None, *, planned: bool) -> dict[str, str] | None:
    if planned:
        return _amount(paid_micros(told) - paid_micros(was), currency)
    if was.get("expected_loss") and told.get("expected_loss"):
        return _amount(_micros(told["expected_loss"]) - _micros(was["expected_loss"]), currency)
    return None


def _hours(was: Mapping[str, Any], told: Mapping[str, Any], *, planned: bool) -> float | None:
    if planned:
        ends = [max((parse_time(one["deliver"]["p50"]) for one in details["shipments"]), default=None) for details in (was, told)]
    else:
        ends = [parse_time(details["promise"]["p50"]) if details.get("promise") else None for details in (was, told)]
    return None if ends[0] is None or ends[1] is None else round((ends[1] - ends[0]) / HOUR, 3)


def _grams(details: Mapping[str, Any]) -> float:
    return float(sum(one["co2e_g"] for one in details["shipments"]))


def _unfilled(details: Mapping[str, Any]) -> int:
    return int(sum(one["qty"] for one in details["unfilled"]))


def _micros(money: Mapping[str, Any]) -> int:
    return round(float(money["amount"]) * MICRO)


def _amount(micros: int, currency: str | None) -> dict[str, str] | None:
    return None if currency is None else money(currency)(micros)
