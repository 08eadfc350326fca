"""What a decision reserves: the pieces of its plan, and how long they are held."""

from __future__ import annotations

from collections import Counter

from feature_store.reservations import Piece, Reservation
from feature_store.times import Millis
from governance.decision import Status
from models.specs import DecisionType, Outcome
from serving.knowing import Made

_GRAINS = 128
"""Reservations of one SKU that end in the same part of the time that they hold are counted as one."""

_PLANS = frozenset({Outcome.PLANNED, Outcome.PARTIAL})


def reservation(one: Made, record_id: str, principal: str, at: Millis, hold_ms: Millis) -> Reservation | None:
    """What a live decision reserves, in the place of all that its order had reserved; ``None`` where that stays as it is.

    A reservation has the id of its decision. A plan that ships nothing reserves nothing and frees what an earlier one held. A fallback says
    nothing about the plan that there is: it frees only what belongs to a lower version of the order.

    Args:
        one: the decision.
        record_id: its id.
        principal: who may settle or release it.
        at: now.
        hold_ms: how long it holds.
    """
    order, decision = one.inputs.order, one.decision
    if order is None or decision.type != DecisionType.SPLIT_ORDER:
        return None
    version = order.order_version
    if decision.status is Status.FALLBACK:
        return Reservation(record_id, order.order_id, version - 1, principal, at, at, ()) if version > 1 else None
    pieces = _pieces(one) if decision.outcome in _PLANS else ()
    grain = max(1, hold_ms // _GRAINS)
    expires_at = -(-(at + hold_ms) // grain) * grain
    return Reservation(record_id, order.order_id, version, principal, at, expires_at, pieces)


def release_of_lower(one: Made, record_id: str, principal: str, at: Millis) -> Reservation | None:
    """Frees what lower versions of the order reserved, where the new version is not planned at all; ``None`` for a first version."""
    order = one.inputs.order
    if order is None or order.order_version == 1:
        return None
    return Reservation(record_id, order.order_id, order.order_version - 1, principal, at, at, ())


def _pieces(one: Made) -> tuple[Piece, ...]:
    order, network = one.inputs.order, one.inputs.network
    assert order is not None
    assert network is not None
    sku_of = {line.line_id: line.sku for line in order.lines}
    taken: Counter[tuple[str, str]] = Counter()
    for shipment in one.decision.details["shipments"]:
        for line in shipment["lines"]:
            taken[shipment["node_id"], sku_of[line["line_id"]]] += line["qty"]
    if "stock" in network.supplied:
        return tuple(Piece(node_id, sku, qty) for (node_id, sku), qty in sorted(taken.items()))
    stock = {(one.node_id, one.sku): one for one in network.stock}
    return tuple(
        Piece(node_id, sku, qty, stock[node_id, sku].free, stock[node_id, sku].as_of or 0) for (node_id, sku), qty in sorted(taken.items())
    )
