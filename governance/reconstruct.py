"""A stored decision back into what it was made from: exactly the :class:`~governance.inputs.Inputs`, and which model and policy.

Nothing is looked up: order, constraints, weights and the OMS's choice come from the request as it was received, the features from their raw
IEEE-754 bytes, nodes, stock and rates from the network that the decision saw, and what a clock or an outage decided from the circumstances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import orjson
from pydantic import ValidationError

from feature_store.network import Network, Node, Rate, Stock, ages
from feature_store.order import FROM_WIRE, Order
from feature_store.snapshot import FeatureSnapshot, Origin
from feature_store.times import Millis
from governance.controls import Listed, Switch
from governance.inputs import Failure, Inputs
from governance.ledger.errors import RecordCorrupt
from governance.ledger.opened import numbers
from governance.ledger.store import StoredDecision
from governance.shipments import Constraints, Weights
from governance.values import ModelUse, Stage
from models.specs import DecisionType

COMPOSITE = "order_decision"
"""The type of the record that binds the decisions on one order together."""

_ORIGINS = {origin.value: origin for origin in Origin}
_ERASED = "what the record held of the person was erased"
_PARTS = ("nodes", "stock", "rates")

T = TypeVar("T", Node, Stock, Rate)

_FRAMES = 64
"""Nodes and rates that many decisions saw alike are read once; so many of them are remembered."""


class Why(StrEnum):
    """Why a decision cannot be computed again."""

    ERASED = "erased"
    RECORD_CORRUPT = "record_corrupt"
    RECORD_INCOMPLETE = "record_incomplete"
    PART_MISSING = "part_missing"
    MODEL_MISSING = "model_missing"
    MODEL_CORRUPT = "model_corrupt"
    POLICY_MISSING = "policy_missing"
    POLICY_CORRUPT = "policy_corrupt"
    FAILED = "failed"
    NOT_COMPARABLE = "not_comparable"


class NotReplayable(Exception):
    """A decision that cannot be computed again.

    Attributes:
        why: the reason, as a code.
        detail: the reason in one sentence.
    """

    def __init__(self, why: Why, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What one decision was made from.

    Attributes:
        model: the version that answered; ``None`` where none did.
        policy_digest: of the policy that judged.
        together: how the decisions on the whole order were combined, ``None`` for a decision asked for alone.
        body: the request as it was received.
        record_id: of the record.
    """

    record_id: str
    inputs: Inputs
    model: ModelUse | None
    policy_digest: str
    together: Mapping[str, Any] | None
    body: Mapping[str, Any]


def open_record(stored: StoredDecision) -> Mapping[str, Any]:
    """The groups of a stored decision, checked against what its leaf commits to.

    Raises:
        NotReplayable: erased or damaged.
    """
    if not (stored.body or stored.seeds or stored.response):  # sealed under a key that was destroyed
        raise NotReplayable(Why.ERASED, _ERASED)
    try:
        opened = stored.opened
    except RecordCorrupt as error:
        raise NotReplayable(Why.RECORD_CORRUPT, str(error)) from error
    if opened.erased:
        raise NotReplayable(Why.ERASED, _ERASED)
    return opened.groups


def rebuild(stored: StoredDecision) -> Rebuilt:
    """What a stored decision was made from.

    Raises:
        NotReplayable: erased or damaged, or written before records held everything.
    """
    groups = open_record(stored)
    try:
        return read_back(stored.line.record_id, stored.line.type, groups)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, ValidationError, RecordCorrupt) as error:
        raise NotReplayable(Why.RECORD_INCOMPLETE, f"the record does not hold all that a replay needs: {error!r:.300}") from error


def read_back(record_id: str, decision_type: str, groups: Mapping[str, Any]) -> Rebuilt:
    """What a decision was made from, from the groups of its record; errors are those of the parsers.

    Args:
        record_id: of the record.
        decision_type: what was decided.
        groups: as :func:`governance.ledger.opened.read_groups` gives them.
    """
    circumstances, body = groups["circumstances"], orjson.loads(groups["request"])
    failure, model = circumstances["failure"], groups.get("model")
    at: Millis = circumstances["decided_at_ms"]
    lanes = read_lanes(groups)
    network = _network(groups["order"].get("network"), body, decision_type, at)
    planned = decision_type == DecisionType.SPLIT_ORDER and network is not None
    order = Order.model_validate(body["order"], context=FROM_WIRE) if "order" in body else None
    inputs = Inputs(
        type=decision_type,
        stage=Stage(circumstances["stage"]),
        decided_at=at,
        order=order,
        order_id=None if order is not None else groups["order"]["order_id"],
        snapshot=None if lanes else read_snapshot(groups),
        lanes=lanes,
        network=network,
        constraints=Constraints.model_validate(body.get("constraints", {}), context=FROM_WIRE) if planned else None,
        weights=Weights.model_validate(body.get("weights", {}), context=FROM_WIRE) if planned else None,
        oms_choice=_told(body.get("oms_choice")),
        failure=None if failure is None else Failure(failure["cause"], failure["detail"], failure["fallback"]),
        switch=None if "switch" not in circumstances else Switch.from_json(circumstances["switch"]),
        lists=tuple(Listed.from_json(kept) for kept in circumstances.get("lists", ())),
        rivals=tuple((name, version, digest) for name, version, digest in groups["policy"].get("rivals", ())),
    )
    use = None if model is None else ModelUse(model["name"], model["version"], model["digest"], model["role"])
    return Rebuilt(record_id, inputs, use, groups["policy"]["digest"], groups["outcome"]["together"], body)


def read_snapshot(groups: Mapping[str, Any]) -> FeatureSnapshot | None:
    """The snapshot of a decision without lanes; ``None`` where none was taken."""
    told = groups.get("snapshot")
    if told is None or "lanes" in told:
        return None
    return _snapshot(told, np.array(numbers(groups["values"])), told["event_times"], told["origins"])


def read_lanes(groups: Mapping[str, Any]) -> tuple[tuple[str, str, FeatureSnapshot], ...]:
    """The snapshot of each candidate lane, by node id and service; empty where there were none."""
    told = groups.get("snapshot")
    if told is None or "lanes" not in told:
        return ()
    rows = np.array(numbers(groups["values"])).reshape(told["shape"])
    described = zip(told["lanes"], rows, told["event_times"], told["origins"], strict=True)
    return tuple((node_id, service, _snapshot(told, row, times, origins)) for (node_id, service), row, times, origins in described)


def _snapshot(told: Mapping[str, Any], values: Any, event_times: Sequence[Any], origins: Sequence[str]) -> FeatureSnapshot:
    names = tuple(told["names"])
    if len(values) != len(names):
        raise ValueError(f"{len(values)} values of {len(names)} features")
    return FeatureSnapshot(names, values, tuple(event_times), tuple(_ORIGINS[o] for o in origins), told["view_version"], told["as_of"])


def _network(told: Mapping[str, Any] | None, body: Mapping[str, Any], decision_type: str, at: Millis) -> Network | None:
    if told is None:
        return None
    nodes, rates = _nodes(orjson.dumps(told["nodes"])), _rates(orjson.dumps(told["rates"]))
    stock = tuple(read_values(Stock, told["stock"]))
    # An acceptance reads the store's network, whatever the request tells the plan.
    supplied = frozenset(part for part in _PARTS if decision_type == DecisionType.SPLIT_ORDER and body.get(part) is not None)
    return Network(nodes, stock, rates, ages(nodes, stock, rates, at), supplied)


@lru_cache(maxsize=_FRAMES)
def _nodes(text: bytes) -> tuple[Node, ...]:
    return tuple(read_values(Node, orjson.loads(text)))


@lru_cache(maxsize=_FRAMES)
def _rates(text: bytes) -> tuple[Rate, ...]:
    return tuple(read_values(Rate, orjson.loads(text)))


def read_values(kind: type[T], rows: Sequence[Sequence[Any]]) -> list[T]:
    """Values from rows in the order of their fields: lists become tuples, whole numbers floats where the field is one."""
    columns = [(field.name, "float" in str(field.type)) for field in fields(kind)]
    made = []
    for row in rows:
        told: dict[str, Any] = {
            name: _tuples(value) if isinstance(value, list) else float(value) if real and type(value) is int else value
            for (name, real), value in zip(columns, row, strict=False)  # a field that came later has its default in an old record
        }
        made.append(kind(**told))
    return made


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _told(choice: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The OMS's choice as the core is given it: without the members that are ``null``."""
    return None if choice is None else {name: value for name, value in choice.items() if value is not None}
