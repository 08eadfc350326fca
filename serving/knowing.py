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
from feature_store.network import network_from_request, read_network
from feature_store.network_request import NetworkRefused, check_network
from feature_store.pending import Pending, marked
from feature_store.reservations import NONE_RESERVED, Reserved
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.state import EntityState
from feature_store.times import Millis
from feature_store.views import SERVICES, Situation, entity_keys, lanes_in, snapshot_in
from governance.controls import Mode
from governance.decision import Decision, Failure, Inputs, Stage, decide
from governance.precedence import PRECEDENCE, Together, resolve
from governance.shipments import check_nodes
from models.encoding import RowInvalid
from models.specs import DecisionType, Outcome
from models.splitting import ProblemRefused
from serving.admission import ORDERS, Admitted, remaining
from serving.api.schemas import CustomBody, SplitBody
from serving.aside import Aside, in_place
from serving.breaker import Breakers, Resting, Unanswered
from serving.errors import Problem, fault, invalid
from serving.force import Force

log = logging.getLogger(__name__)

PLANS = 4
"""So many plans are made for an order whose pieces other orders take while it is planned; then its fallback answers."""

States = Mapping[EntityKey, EntityState]
ReadStates = Callable[[Sequence[EntityKey]], Awaitable[States]]
"""Reads the states of entities in one round trip; raises anything when the store is down."""

ReadReserved = Callable[[Sequence[str], str, Millis], Awaitable[Reserved]]
"""Reads what other orders than this one have reserved of these SKUs; raises anything when the store is down."""


async def nothing_reserved(_skus: Sequence[str], _order_id: str, _at: Millis) -> Reserved:
    """What there is to read where no plan reserves."""
    return NONE_RESERVED


@dataclass(frozen=True, slots=True)
class Known:
    """What the store told at the moment of a decision.

    Attributes:
        situation: the order among the states of its entities; all decisions of a request share what is worked out in it. ``None`` without an order.
        failure: why the store could not be read: (cause, detail).
        connected: the same with orders that are decided at the same time and concern the same people; ``None`` where there are none.
    """

    situation: Situation | None = None
    failure: tuple[str, str] | None = None
    connected: Situation | None = None


@dataclass(frozen=True, slots=True)
class Guards:
    """What stands around scoring, for all requests of a process.

    Attributes:
        breakers: leave a model alone that keeps failing.
        aside: where decisions are computed.
    """

    breakers: Breakers
    aside: Aside


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


async def make_decisions(
    admitted: Admitted,
    force: Force,
    read: ReadStates,
    at: Millis,
    *,
    reserved: ReadReserved = nothing_reserved,
    overtaken: int = 0,
    guards: Guards | None = None,
    pending: Pending | None = None,
) -> Outcomes | Problem:
    """Read, score and constrain: every decision that the request asks for.

    Args:
        admitted: the request.
        force: models and policies.
        read: the feature store.
        at: the decision time.
        reserved: what other orders' plans hold.
        overtaken: of how many plans for this request the pieces went to other orders; after :data:`PLANS` of them it falls back.
        guards: what stands around scoring; by default nothing that outlasts this request.
        pending: orders that are decided at the same time.
    """
    guards = guards or Guards(Breakers.of(), in_place())
    known = _connected(admitted, await _read_known(admitted, read, reserved, at), pending, at)
    made: dict[str, Made] = {}
    skipped: dict[str, str] = {}
    for decision_type in admitted.types:
        reason = _skip(admitted, decision_type, made, known)
        if reason is not None:
            skipped[decision_type] = reason
            continue
        inputs = _first_inputs(admitted, force, decision_type, at)
        failure = known.failure
        if overtaken >= PLANS and failure is None and decision_type == DecisionType.SPLIT_ORDER:
            failure = ("contention", f"other orders took the pieces of {overtaken} plans while they were made")
        found = await _make(admitted, force, inputs, replace(known, failure=failure), guards)
        if isinstance(found, Problem):
            return found
        made[decision_type] = found
    outcomes = {decision_type: one.decision.outcome for decision_type, one in made.items()}
    return Outcomes(made, skipped, resolve(outcomes) if admitted.ask.type == ORDERS else None)


def _connected(admitted: Admitted, known: Known, pending: Pending | None, at: Millis) -> Known:
    """What is known, and what orders of the same card, device, ... do to it that are decided at the same time."""
    situation = known.situation
    if pending is None or situation is None or DecisionType.FRAUD not in admitted.types:
        return known
    order, keys = situation.order, entity_keys(situation.order, DecisionType.FRAUD)
    try:
        states = pending.seen_with(order, keys, situation.states, at)
    except Exception:  # a damaged state falls back when its features are computed, and says so there
        log.exception("orders of the same moment could not be taken into account")
        return known
    if admitted.stage is Stage.LIVE:
        pending.note(order, keys, at)
    return known if states is situation.states else replace(known, connected=Situation(order, states, at))


async def _read_known(admitted: Admitted, read: ReadStates, reserved: ReadReserved, at: Millis) -> Known:
    """The states of every entity that the request's types look at, and what is reserved of its SKUs."""
    order = admitted.order
    if order is None:
        return Known()
    keys = tuple(dict.fromkeys(key for decision_type in admitted.types for key in entity_keys(order, decision_type)))

    async def both() -> Known:
        if not _looks_at_stock(admitted):
            states, held = await read(keys), NONE_RESERVED
        else:
            skus = tuple(dict.fromkeys(line.sku for line in order.lines))
            states, held = await asyncio.gather(read(keys), reserved(skus, order.order_id, at))
        network = read_network(order, states, at, held) if _looks_at_network(admitted) else None
        return Known(Situation(order, states, at, network))

    try:
        if admitted.deadline is None:
            return await both()
        async with asyncio.timeout(max(0.0, remaining(admitted.deadline) or 0.0)):
            return await both()
    except TimeoutError:
        return Known(failure=("deadline", _passed(admitted, "reading the features")))
    except Unanswered as error:
        return Known(failure=("feature_store", str(error)))
    except Exception:  # whatever is wrong with the store, the caller gets the declared fallback
        log.exception("the feature store could not be read")
        return Known(failure=("feature_store", "the features could not be read"))


def _looks_at_stock(admitted: Admitted) -> bool:
    """Whether the store's stock counts; a caller that tells its own stock answers for what it has promised of it."""
    if isinstance(admitted.body, SplitBody) and admitted.body.stock is not None:
        return DecisionType.ACCEPTANCE in admitted.types
    return DecisionType.SPLIT_ORDER in admitted.types or DecisionType.ACCEPTANCE in admitted.types


def _looks_at_network(admitted: Admitted) -> bool:
    return DecisionType.SPLIT_ORDER in admitted.types or DecisionType.ACCEPTANCE in admitted.types


def _skip(admitted: Admitted, decision_type: str, made: Mapping[str, Made], known: Known) -> str | None:
    """Why this decision of an order is not made; ``None`` when it is."""
    if admitted.ask.type != ORDERS:
        return None
    so_far = resolve({name: one.decision.outcome for name, one in made.items()})
    if so_far.outcome is Outcome.STOP:
        return f"the order is stopped: {so_far.decided_by}"
    body = admitted.body
    situation = known.situation
    if decision_type != DecisionType.SPLIT_ORDER or situation is None or not isinstance(body, SplitBody) or body.nodes is not None:
        return None
    if not situation.network.nodes:
        return "no node is known: send node_status and lane_rate events, or nodes and rates in the request"
    return None


async def _make(admitted: Admitted, force: Force, inputs: Inputs, known: Known, guards: Guards) -> Made | Problem:
    policy, failure = admitted.policies[inputs.type], known.failure
    if isinstance(admitted.body, CustomBody):
        inputs = replace(inputs, order_id=admitted.body.order_id)
    if inputs.switch is not None and inputs.switch.mode is Mode.HOLD_ALL:
        return Made(inputs, decide(inputs, force.models, policy))
    if failure is None and _late(admitted):
        failure = ("deadline", _passed(admitted, "deciding"))
    if failure is None:
        found = await _guarded(admitted, force, inputs, known, guards)
        if not isinstance(found, tuple):
            return found
        failure = found
    inputs = replace(inputs, failure=Failure(*failure, admitted.fallbacks[inputs.type]))
    return Made(inputs, decide(inputs, force.models, policy))


async def _guarded(admitted: Admitted, force: Force, inputs: Inputs, known: Known, guards: Guards) -> Made | Problem | tuple[str, str]:
    """The decision, a refusal of the request, or why there is none: (cause, detail)."""
    # Without its model, a type must not wait for the rest that its model was given.
    breaker = guards.breakers.model(inputs.type if inputs.switch is None else f"{inputs.type} by rules")
    try:
        breaker.require()
    except Resting as resting:
        return "model", str(resting)
    refused: Problem
    left = remaining(admitted.deadline)
    try:
        made = await guards.aside.run(inputs.type, left, lambda: _score(admitted, force, inputs, known))
    except NetworkRefused as error:
        refused = invalid([fault(loc, msg) for loc, msg in error.errors])
    except RowInvalid as error:
        refused = invalid([{**fault(["row", column], msg), "column": column} for column, msg in error.errors])
    except ProblemRefused as error:
        refused = invalid([fault(["order", "lines"], str(error))])
    except TimeoutError:
        if guards.aside.had_a_chance(inputs.type, left or 0.0):
            breaker.failed()
        else:
            breaker.abandoned()  # whoever gives it a millisecond does not take the model from everybody else
        return "deadline", _passed(admitted, "scoring")
    except Exception:  # a model that fails must not take the answer with it
        breaker.failed()
        log.exception("%s could not be decided", inputs.type)
        return "model", "the decision could not be computed"
    else:
        breaker.succeeded()
        return ("deadline", _passed(admitted, "scoring")) if _late(admitted) else made
    breaker.abandoned()
    return refused


def _score(admitted: Admitted, force: Force, inputs: Inputs, known: Known) -> Made:
    inputs = _know(admitted, force, inputs, known)
    return Made(inputs, decide(inputs, force.models, admitted.policies[inputs.type], timer=time.perf_counter))


def _know(admitted: Admitted, force: Force, inputs: Inputs, known: Known) -> Inputs:
    """The inputs of one decision: snapshot, network, lanes.

    Raises:
        NetworkRefused: nodes that nobody knows.
        RowInvalid: a custom type's row that its columns do not fit.
    """
    body, situation = admitted.body, known.situation
    if isinstance(body, CustomBody):
        return replace(inputs, snapshot=row_snapshot(force, inputs.type, body.row, inputs.decided_at))
    assert situation is not None
    if inputs.type == DecisionType.SPLIT_ORDER and isinstance(body, SplitBody):
        situation = _as_told(body, situation)
        network = situation.network
        check_nodes(situation.order, network, body.constraints)
        lanes = lanes_in(situation) if inputs.type in force.models else []
        return replace(inputs, network=network, lanes=tuple(lanes), constraints=body.constraints, weights=body.weights)
    if inputs.type == DecisionType.FRAUD and known.connected is not None:
        snapshot = marked(snapshot_in(SERVICES[inputs.type], known.connected), situation.states, known.connected.states)
    else:
        snapshot = snapshot_in(SERVICES[inputs.type], situation)
    return replace(inputs, snapshot=snapshot, network=situation.network if inputs.type == DecisionType.ACCEPTANCE else None)


def row_snapshot(force: Force, decision_type: str, row: Mapping[str, Any], at: Millis) -> FeatureSnapshot:
    """A custom type's row as the vector its model reads."""
    artifact = force.models[decision_type].artifact
    assert artifact.encoder is not None
    values = artifact.encoder.encode(row)
    names = artifact.encoder.names
    origins = tuple(Origin.DEFAULT if missing else Origin.REQUEST for missing in np.isnan(values).tolist())
    return FeatureSnapshot(names, values, (None,) * len(names), origins, f"row:{artifact.digest[7:23]}", at)


def _as_told(body: SplitBody, situation: Situation) -> Situation:
    """The situation with the nodes, stock and rates that the request tells itself."""
    order, stored = situation.order, situation.network
    if body.nodes is None and body.stock is None and body.rates is None:
        return situation
    wanted = {line.sku for line in order.lines}
    check_network(order.currency, stored.node, body.nodes, body.stock, body.rates)
    network = network_from_request(
        situation.as_of,
        stored,
        None if body.nodes is None else [node.value() for node in body.nodes],
        None if body.stock is None else [stock.value() for stock in body.stock if stock.sku in wanted],
        None if body.rates is None else [rate.value() for rate in body.rates],
    )
    return Situation(order, situation.states, situation.as_of, network)


def _first_inputs(admitted: Admitted, force: Force, decision_type: str, at: Millis) -> Inputs:
    """What is known before anything is read: the request, and what people have set beside models and policies."""
    return Inputs(
        decision_type,
        admitted.stage,
        at,
        order=admitted.order,
        oms_choice=_oms_choice(admitted),
        switch=force.switches.get(decision_type),
        lists=force.lists.naming(admitted.order, decision_type, at),
        rivals=force.rivals(decision_type, admitted.policies[decision_type]),
    )


def _oms_choice(admitted: Admitted) -> dict[str, Any] | None:
    choice = admitted.body.oms_choice
    if choice is None:
        return None
    # As it was told, so that what a record is replayed from is the same.
    return {name: value for name, value in choice.model_dump(mode="json", exclude_unset=True).items() if value is not None}


def _late(admitted: Admitted) -> bool:
    left = remaining(admitted.deadline)
    return left is not None and left <= 0


def _passed(admitted: Admitted, doing: str) -> str:
    return f"{admitted.body.deadline_ms} ms passed while {doing}"
