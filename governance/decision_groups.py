"""A decision as the groups of its record: all of the record that follows from inputs, models and policy alone.

Whoever computes the decision again from the same inputs writes the same bytes here; :mod:`governance.reconstruct` reads the inputs back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import numpy as np
import orjson

from feature_store.network import Network, Node, Rate, Stock
from feature_store.snapshot import FeatureSnapshot
from feature_store.times import format_time
from governance.inputs import Inputs
from governance.ledger.canonical import Canonical, canonical
from governance.ledger.record import Numbers
from governance.policy import Policy
from governance.values import Decision, Explanation, Reason

_NODE = attrgetter(*(field.name for field in fields(Node)))
_STOCK = attrgetter(*(field.name for field in fields(Stock)))
_RATE = attrgetter(*(field.name for field in fields(Rate)))

_EXACT = 2.0**53
"""Whole numbers below this are exact in canonical JSON, so they can be written without a fraction."""

_EXPLAINED: dict[str, Canonical] = {}
"""The group that tells how to read a model's explanation, by the digest of the model: half of a record, written once a model."""


def decision_groups(
    inputs: Inputs, decision: Decision, policy: Policy, described: Sequence[Mapping[str, Any]], together: Mapping[str, Any] | None
) -> dict[str, object]:
    """The groups of a record that a replay has to reproduce.

    Args:
        inputs: what was known.
        decision: what came of it.
        policy: what judged it.
        described: the model's features as people read them (:attr:`governance.opinion.Deployed.described`); empty without a model.
        together: for the decision on a whole order how the decisions were combined.
    """
    review = decision.review
    groups: dict[str, object] = {
        "policy": _policy_group(inputs, decision, policy),
        "alternatives": list(decision.alternatives),
        "outcome": {
            "outcome": decision.outcome,
            "status": decision.status.value,
            "fallback_reason": decision.fallback_reason,
            "solely_automated": review is None,
            "reasons": [reason_json(reason) for reason in decision.reasons],
            "review": None
            if review is None
            else {"queue": review.queue, "due_at": format_time(review.due_at), "expires_to": review.expires_to},
            "details": dict(decision.details),
            "together": together,
        },
    }
    if decision.model is not None:
        model = decision.model
        groups["model"] = {"name": model.name, "version": model.version, "digest": model.digest, "role": model.role}
    if decision.confidence is not None:
        c = decision.confidence
        groups["confidence"] = {"event": c.event, "probability": c.probability, "low": c.low, "high": c.high, "level": c.level}
    if inputs.lanes:
        groups["snapshot"] = _lanes_group(inputs, decision.snapshot)
        groups["values"] = Numbers.of(np.concatenate([snapshot.values for _, _, snapshot in inputs.lanes]))
    elif decision.snapshot is not None:
        groups["snapshot"] = _snapshot_group(decision.snapshot)
        groups["values"] = Numbers.of(decision.snapshot.values)
    if decision.explanation is not None:
        e = decision.explanation
        groups["explanation"] = _how_explained(decision, e, described)
        groups["scores"] = Numbers.of((e.base, e.margin))
        groups["contributions"] = Numbers.of(e.contributions)
    return groups


def controls_json(inputs: Inputs) -> dict[str, Any]:
    """What people had set beside model and policy: part of the circumstances, absent where nothing was set."""
    told: dict[str, Any] = {}
    if inputs.switch is not None:
        told["switch"] = inputs.switch.to_json()
    if inputs.lists:
        told["lists"] = [listed.to_json() for listed in inputs.lists]
    return told


def network_json(network: Network) -> dict[str, Any]:
    """The network as JSON arrays, in the order of the fields of its values; a replay reads it back."""
    written = network.noted.get("json")
    if written is None:
        nodes, rates = [_tidied(_NODE(node)) for node in network.nodes], [_tidied(_RATE(rate)) for rate in network.rates]
        written = network.noted["json"] = canonical(nodes), canonical(rates)
    return {
        "nodes": orjson.Fragment(written[0]),
        "rates": orjson.Fragment(written[1]),
        "stock": [_STOCK(stock) for stock in network.stock],
    }


def reason_json(reason: Reason) -> dict[str, Any]:
    """One reason as it is told."""
    return {
        "rank": reason.rank,
        "code": reason.code,
        "text": dict(reason.text),
        "direction": reason.direction,
        "contribution": None if reason.contribution is None else tidy(round(reason.contribution, 6)),
        "feature": reason.feature,
        "value": tidy(reason.value) if isinstance(reason.value, float) else reason.value,
    }


def tidy(value: float) -> float | int:
    """A whole number without its fraction: the canonical JSON of a record writes it so, and is spared to write it anew."""
    whole = int(value) if -(2.0**53) < value < 2.0**53 else 0
    return whole if whole == value else value


def _how_explained(decision: Decision, explanation: Explanation, described: Sequence[Mapping[str, Any]]) -> Canonical:
    at = decision.model.digest if decision.model else ""
    known = _EXPLAINED.get(at)
    if known is None:
        names, link = list(explanation.names), explanation.link
        known = Canonical(canonical({"explainer": "path-dependent-shap", "link": link, "names": names, "features": list(described)}))
        if decision.model and described:
            _EXPLAINED[at] = known
    return known


def _policy_group(inputs: Inputs, decision: Decision, policy: Policy) -> dict[str, Any]:
    results = decision.policy.results if decision.policy else ()
    group: dict[str, Any] = {
        "id": policy.id,
        "version": policy.version,
        "digest": policy.digest,
        "parameters": {name: value if isinstance(value, bool) else tidy(value) for name, value in policy.values.items()},
        "results": [{"id": r.id, "hard": r.hard, "passed": r.passed, "detail": r.detail} for r in results],
    }
    if inputs.rivals:  # several policies are in force for the type: which one judged, and beside which
        group |= {"scope": policy.scope.text, "rivals": [list(rival) for rival in inputs.rivals]}
    return group


def _snapshot_group(snapshot: FeatureSnapshot) -> dict[str, Any]:
    return {
        "names": list(snapshot.names),
        "shape": [len(snapshot.names)],
        "event_times": list(snapshot.event_times),
        "origins": list(snapshot.origins),
        "view_version": snapshot.view_version,
        "as_of": snapshot.as_of,
        "digest": snapshot.digest,
    }


def _lanes_group(inputs: Inputs, explained: FeatureSnapshot | None) -> dict[str, Any]:
    """All candidate lanes' vectors, a row each; the explained one is named."""
    first = inputs.lanes[0][2]
    return {
        "names": list(first.names),
        "shape": [len(inputs.lanes), len(first.names)],
        "lanes": [[node_id, service] for node_id, service, _ in inputs.lanes],
        "explained": next((i for i, (_, _, snapshot) in enumerate(inputs.lanes) if snapshot is explained), None),
        "event_times": [list(snapshot.event_times) for _, _, snapshot in inputs.lanes],
        "origins": [list(snapshot.origins) for _, _, snapshot in inputs.lanes],
        "view_version": first.view_version,
        "as_of": first.as_of,
        "digest": None if explained is None else explained.digest,
    }


def _tidied(values: tuple[Any, ...]) -> list[Any]:
    return [int(value) if type(value) is float and value.is_integer() and -_EXACT < value < _EXACT else value for value in values]
