"""When an accepted order will arrive: p50 and p90, from the lanes that could carry it."""

from __future__ import annotations

from typing import Any

from feature_store.network import Network, Rate
from feature_store.order import Order
from feature_store.times import DAY, Millis, format_time
from governance.shipments import ready_at

P90_TRANSIT = 1.35
"""A lane's 90th percentile over its median transit time, for an order that is expected to go well."""

LATE_SPREAD_DAYS = 4.0
"""How much a certain failure adds to the 90th percentile."""


def promise(order: Order, network: Network, at: Millis, probability: float) -> dict[str, Any] | None:
    """Arrival at p50 and p90 by the lane that is fastest among nodes that have something of the order.

    The order's probability of failure widens the 90th percentile.

    Returns:
        ``{"p50": time, "p90": time}``, or ``None`` when no lane to the order's region is known.
    """
    stocked = {stock.node_id for stock in network.stock if stock.usable > 0}
    lanes = [lane for lane in network.lanes(order.ship_to.region) if network.node[lane.node_id].ships]
    able = [lane for lane in lanes if lane.node_id in stocked] or lanes
    if not able:
        return None

    ready = {node_id: ready_at(network.node[node_id], at) for node_id in {lane.node_id for lane in able}}

    def arrival(lane: Rate) -> Millis:
        return ready[lane.node_id] + round(lane.transit_days * DAY)

    best = min(able, key=lambda lane: (arrival(lane), lane.node_id, lane.service))
    p90 = ready[best.node_id] + round((best.transit_days * P90_TRANSIT + probability * LATE_SPREAD_DAYS) * DAY)
    return {"p50": format_time(arrival(best)), "p90": format_time(p90)}
