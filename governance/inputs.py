"""All that a decision depends on besides models and policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_store.network import Network
from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot
from feature_store.times import Millis
from governance.controls import Listed, Switch
from governance.shipments import Constraints, Weights
from governance.values import Stage


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no full decision could be made: an input like any other, because a clock or an outage decided it.

    Attributes:
        cause: ``deadline``, ``feature_store``, ``model`` or ``solver``.
        detail: what happened, in one sentence.
        fallback: the permitted fallback to answer with.
    """

    cause: str
    detail: str
    fallback: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a decision depends on besides models and policy.

    Attributes:
        snapshot: the features; ``None`` when they could not be read, and for split-order.
        lanes: for split-order one snapshot for each candidate (node id, service).
        network: nodes, stock and rates; for acceptance it tells whether lines are in stock.
        constraints: for split-order, what the request demands of a plan.
        weights: for split-order, factors on the policy's rates by term.
        oms_choice: what the OMS would have done by itself.
        failure: set when the answer is a fallback.
        switch: the type's kill switch where it is not at ``normal``.
        lists: the entries of allow and block lists that name the order at the decision time.
        rivals: the other policies in force for the type, whose scope did not hold or was less specific: id, version, digest.
    """

    type: str
    stage: Stage
    decided_at: Millis
    order: Order | None = None
    order_id: str | None = None
    snapshot: FeatureSnapshot | None = None
    lanes: Sequence[tuple[str, str, FeatureSnapshot]] = ()
    network: Network | None = None
    constraints: Constraints | None = None
    weights: Weights | None = None
    oms_choice: Mapping[str, Any] | None = None
    failure: Failure | None = None
    switch: Switch | None = None
    lists: tuple[Listed, ...] = ()
    rivals: tuple[tuple[str, int, str], ...] = ()
