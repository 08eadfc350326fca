"""Feature views: the only feature code. What is computed here is what a model sees, when it answers and when it learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from feature_store.entities import Entity, EntityKey
from feature_store.network import Network, Rate
from feature_store.order import Order
from feature_store.snapshot import FeatureSnapshot
from feature_store.state import EntityState
from feature_store.times import Millis
from feature_store.views import acceptance, fraud, lanes
from feature_store.views.definition import Feature, FeatureService
from feature_store.views.plan import lane_plan_of, plan_of
from feature_store.views.situation import Situation, keys_of

__all__ = [
    "SERVICES", "Feature", "FeatureService", "Situation", "build_snapshot", "entity_keys", "lane_snapshots", "lanes_in", "snapshot_in", "snapshot_of",
]  # fmt: skip

SERVICES: Mapping[str, FeatureService] = {service.type: service for service in (acceptance.SERVICE, fraud.SERVICE, lanes.SERVICE)}
"""The features of each built-in decision type, in the order in which its model gets them."""

_ENTITIES: Mapping[str, tuple[Entity, ...]] = {"acceptance": acceptance.ENTITIES, "fraud": fraud.ENTITIES, "split-order": lanes.ENTITIES}


def entity_keys(order: Order, decision_type: str) -> tuple[EntityKey, ...]:
    """The entities whose states a decision needs; their number grows with the order's distinct SKUs only.

    Raises:
        KeyError: no built-in decision type of that name.
    """
    return tuple(EntityKey(entity, key) for entity in _ENTITIES[decision_type] for key in keys_of(order, entity))


def build_snapshot(
    decision_type: str, order: Order, states: Mapping[EntityKey, EntityState], as_of: Millis, network: Network | None = None
) -> FeatureSnapshot:
    """Compute the features of an order; pure.

    Args:
        decision_type: ``acceptance`` or ``fraud``; lanes have :func:`lane_snapshots`.
        order: to be decided.
        states: what was read for :func:`entity_keys`; what is missing was never seen.
        as_of: the moment of the decision; only what was known by then counts.
        network: where the request supplies its own.
    """
    return snapshot_of(SERVICES[decision_type], order, states, as_of, network)


def snapshot_of(
    service: FeatureService, order: Order, states: Mapping[EntityKey, EntityState], as_of: Millis, network: Network | None = None
) -> FeatureSnapshot:
    """Compute the features of any service, built in or not, as :func:`build_snapshot` does; pure."""
    return snapshot_in(service, Situation(order, states, as_of, network))


def snapshot_in(service: FeatureService, situation: Situation) -> FeatureSnapshot:
    """Compute the features of a service in a situation; what others worked out there is not worked out again."""
    values, event_times, origins = zip(*plan_of(service).run(situation), strict=True)
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return FeatureSnapshot(service.names, array, event_times, origins, service.view_version, situation.as_of)


def lane_snapshots(
    order: Order, network: Network, states: Mapping[EntityKey, EntityState], as_of: Millis, only: Iterable[Rate] | None = None
) -> list[tuple[str, str, FeatureSnapshot]]:
    """Compute the features of each candidate lane to the order's region; pure.

    Args:
        order: to be split.
        states: what was read for :func:`entity_keys`.
        as_of: the moment of the decision.
        network: from :func:`feature_store.network.read_network` or the request.
        only: these lanes instead of all that lead to the region.

    Returns:
        (node id, service, snapshot) by node id and service. The values of all snapshots are rows of one array.
    """
    return lanes_in(Situation(order, states, as_of, network), only)


def lanes_in(situation: Situation, only: Iterable[Rate] | None = None) -> list[tuple[str, str, FeatureSnapshot]]:
    """Compute the features of lanes in a situation, as :func:`lane_snapshots` does."""
    service, as_of = SERVICES["split-order"], situation.as_of
    lanes = situation.network.lanes(situation.order.ship_to.region) if only is None else tuple(only)
    rows = lane_plan_of(service).run(situation, lanes)
    values = np.array([[one[0] for one in row] for row in rows], dtype=np.float64).reshape(len(rows), len(service.names))
    values.flags.writeable = False
    found = []
    for lane, mine, row in zip(lanes, values, rows, strict=True):
        _, event_times, origins = zip(*row, strict=True)
        found.append((lane.node_id, lane.service, FeatureSnapshot(service.names, mine, event_times, origins, service.view_version, as_of)))
    return found
