"""Steps 2 to 4 of an answer: read what is known, score it, constrain it; or fall back, and say why.

The only clock here is the deadline. What it decides becomes an input of the decision (:class:`governance.decision.Failure`), so that the
record can tell and a replay can repeat it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from feature_store.entities import EntityKey
from feature_store.network import Network, network_from_request, read_network
from feature_store.network_request import NetworkRefused, check_network
from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.state import EntityState
from feature_store.times import Millis
from feature_store.views import build_snapshot, entity_keys, lane_snapshots
from governance.decision import Decision, Failure, Inputs, decide
from governance.precedence import PRECEDENCE, Together, resolve
from governance.shipments import check_nodes
from models.encoding import RowInvalid
from models.specs import DecisionType, Outcome
from models.splitting import ProblemRefused
from serving.admission import ORDERS, Admitted, remaining
from serving.api.schemas import CustomBody, SplitBody
from serving.errors import Problem, fault, invalid
from serving.force import Force

log = logging.getLogger(__name__)

States = Mapping[EntityKey, EntityState]
ReadStates = Callable[[Sequence[EntityKey]], Awaitable[States]]
"""Reads the states of entities in one round trip; raises anything when the store is down."""


@dataclass(frozen=True, slots=True)
class Made:
    """One decision that was made, with what it was made from."""

    inputs: Inputs
    decision: Decision


@dataclass(frozen=True, slots=True)
class Outcomes:
    """All decisions of one request.

    Attributes:
        made: by type, in the order in which they were made.
        skipped: why a type was not decided.
        together: for an order, what the decisions come to.
    """

    made: Mapping[str, Made]
    skipped: Mapping[str, str]
    together: Together | None = None

    def together_json(self) -> dict[str, Any] | None:
        """How the decisions were combined, ready for JSON."""
        if self.together is None:
            return None
        decided_by = self.together.decided_by
        return {
            "outcome": self.together.outcome.value,
            "precedence": [str(rule) for rule in PRECEDENCE],
            "decided_by": None if decided_by is None else str(decided_by),
        }


async def make_decisions(admitted: Admitted, force: Force, read: ReadStates, at: Millis) -> Outcomes | Problem:
    """Read, score and constrain: every decision that the request asks for.

    Args:
        admitted: the request.
        force: models and policies.
        read: the feature store.
        at: the decision time.
    """
    states, failure = await _read_states(admitted, read)
    made: dict[str, Made] = {}
    skipped: dict[str, str] = {}
    for decision_type in admitted.types:
        reason = _skip(admitted, decision_type, made, None if failure else states, at)
        if reason is not None:
            skipped[decision_type] = reason
            continue
        inputs = Inputs(decision_type, admitted.stage, at, order=admitted.order, oms_choice=_oms_choice(admitted))
        found = _make(admitted, force, inputs, states, failure)
        if isinstance(found, Problem):
            return found
        made[decision_type] = found
    outcomes = {decision_type: one.decision.outcome for decision_type, one in made.items()}
    return Outcomes(made, skipped, resolve(outcomes) if admitted.ask.type == ORDERS else None)


async def _read_states(admitted: Admitted, read: ReadStates) -> tuple[States, tuple[str, str] | None]:
    """The states of every entity that the request's types look at, or why they could not be read: (cause, detail)."""
    order = admitted.order
    if order is None:
        return {}, None
    keys = tuple(dict.fromkeys(key for decision_type in admitted.types for key in entity_keys(order, decision_type)))
    try:
        if admitted.deadline is None:
            return await read(keys), None
        async with asyncio.timeout(max(0.0, remaining(admitted.deadline) or 0.0)):
            return await read(keys), None
    except TimeoutError:
        return {}, ("deadline", _passed(admitted, "reading the features"))
    except Exception:  # whatever is wrong with the store, the caller gets the declared fallback
        log.exception("the feature store could not be read")
        return {}, ("feature_store", "the features could not be read")


def _skip(admitted: Admitted, decision_type: str, made: Mapping[str, Made], states: States | None, at: Millis) -> str | None:
    """Why this decision of an order is not made; ``None`` when it is."""
    if admitted.ask.type != ORDERS:
        return None
    so_far = resolve({name: one.decision.outcome for name, one in made.items()})
    if so_far.outcome is Outcome.STOP:
        return f"the order is stopped: {so_far.decided_by}"
    body = admitted.body
    if decision_type != DecisionType.SPLIT_ORDER or states is None or not isinstance(body, SplitBody) or body.nodes is not None:
        return None
    if not read_network(body.order, states, at).nodes:
        return "no node is known: send node_status and lane_rate events, or nodes and rates in the request"
    return None


def _make(admitted: Admitted, force: Force, inputs: Inputs, states: States, failure: tuple[str, str] | None) -> Made | Problem:
    policy = admitted.policies[inputs.type]
    if isinstance(admitted.body, CustomBody):
        inputs = replace(inputs, order_id=admitted.body.order_id)
    if failure is None and _late(admitted):
        failure = ("deadline", _passed(admitted, "deciding"))
    try:
        if failure is None:
            inputs = _know(admitted, force, inputs, states)
            decision = decide(inputs, force.models, policy, timer=time.perf_counter)
            if not _late(admitted):
                return Made(inputs, decision)
            failure = ("deadline", _passed(admitted, "scoring"))
    except NetworkRefused as error:
        return invalid([fault(loc, msg) for loc, msg in error.errors])
    except RowInvalid as error:
        return invalid([{**fault(["row", column], msg), "column": column} for column, msg in error.errors])
    except ProblemRefused as error:
        return invalid([fault(["order", "lines"], str(error))])
    except Exception:  # a model that fails must not take the answer with it
        log.exception("%s could not be decided", inputs.type)
        failure = ("model", "the decision could not be computed")
    inputs = replace(inputs, failure=Failure(*failure, admitted.fallbacks[inputs.type]))
    return Made(inputs, decide(inputs, force.models, policy))


def _know(admitted: Admitted, force: Force, inputs: Inputs, states: States) -> Inputs:
    """The inputs of one decision: snapshot, network, lanes.

    Raises:
        NetworkRefused: nodes that nobody knows.
        RowInvalid: a custom type's row that its columns do not fit.
    """
    body, order, at = admitted.body, admitted.order, inputs.decided_at
    if isinstance(body, CustomBody):
        return replace(inputs, snapshot=row_snapshot(force, inputs.type, body.row, at))
    assert order is not None
    if inputs.type == DecisionType.SPLIT_ORDER and isinstance(body, SplitBody):
        network = _network(body, order, states, at)
        check_nodes(order, network, body.constraints)
        lanes = lane_snapshots(order, network, states, at) if inputs.type in force.models else []
        return replace(inputs, network=network, lanes=tuple(lanes), constraints=body.constraints, weights=body.weights)
    known = read_network(order, states, at) if inputs.type == DecisionType.ACCEPTANCE else None
    return replace(inputs, snapshot=build_snapshot(inputs.type, order, states, at, known), network=known)


def row_snapshot(force: Force, decision_type: str, row: Mapping[str, Any], at: Millis) -> FeatureSnapshot:
    """A custom type's row as the vector its model reads."""
    artifact = force.models[decision_type].artifact
    assert artifact.encoder is not None
    values = artifact.encoder.encode(row)
    names = artifact.encoder.names
    origins = tuple(Origin.DEFAULT if missing else Origin.REQUEST for missing in np.isnan(values).tolist())
    return FeatureSnapshot(names, values, (None,) * len(names), origins, f"row:{artifact.digest[7:23]}", at)


def _network(body: SplitBody, order: Order, states: States, at: Millis) -> Network:
    stored = read_network(order, states, at)
    check_network(order.currency, stored.node, body.nodes, body.stock, body.rates)
    return network_from_request(
        at,
        stored,
        None if body.nodes is None else [node.value() for node in body.nodes],
        None if body.stock is None else [stock.value() for stock in body.stock],
        None if body.rates is None else [rate.value() for rate in body.rates],
    )


def _oms_choice(admitted: Admitted) -> dict[str, Any] | None:
    choice = admitted.body.oms_choice
    return None if choice is None else choice.model_dump(mode="json", exclude_none=True)


def _late(admitted: Admitted) -> bool:
    left = remaining(admitted.deadline)
    return left is not None and left <= 0


def _passed(admitted: Admitted, doing: str) -> str:
    return f"{admitted.body.deadline_ms} ms passed while {doing}"
