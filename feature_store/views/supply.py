"""Whether the goods are there: suppliers, presale, and how their items fared lately. Features that several decision types share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_store.entities import Entity, EntityKey
from feature_store.snapshot import Origin
from feature_store.times import DAY
from feature_store.views.aggregations import rate, worst
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Known, Unit
from feature_store.views.destination import CANCEL_PRIOR, LATE_PRIOR
from feature_store.views.situation import Situation

PRESALE_TAG = "presale"


def _presale_suppliers(situation: Situation) -> list[tuple[Mapping[str, Any], Mapping[str, Any], int]]:
    """Of each line that is sold before it is there: its listing, its supplier's newest report, and when that was."""
    found: list[tuple[Mapping[str, Any], Mapping[str, Any], int]] = []
    for line, history in situation.lines_with_history():
        listing = history.facts("listing", "", situation.as_of) if history else None
        if listing is not None and not listing.values.get("presale", True):
            continue
        supplier = situation.states.get(EntityKey(Entity.SUPPLIER, line.supplier_id)) if line.supplier_id else None
        status = supplier.facts("status", "", situation.as_of) if supplier else None
        if status is not None:
            found.append((listing.values if listing else {}, status.values, status.event_time))
    return found


def _of_presale(read: str) -> Calculation:
    """The worst ``read`` among the presale lines; 0 when there is no such line."""

    def run(situation: Situation) -> Known | None:
        if PRESALE_TAG not in situation.order.tags:
            return Known(0.0, situation.order.placed_at, Origin.REQUEST)
        found: list[Known] = []
        for listing, status, at in situation.shared("presale", _presale_suppliers):
            value = _read(listing, status, read)
            if value is not None:
                found.append(Known(value, at))
        return worst(found)

    return Calculation(run, f"max {read} of suppliers of presale lines, 0 without", Entity.SUPPLIER, ("status",))


def _read(listing: Mapping[str, Any], status: Mapping[str, Any], read: str) -> float | None:
    if read == "lead_days":
        lead = listing.get("lead_days")
        return None if lead is None else float(lead)
    if read == "delay_days":
        delay = status.get("delay_days")
        return None if delay is None else float(delay)
    capacity, orders = status.get("capacity"), status.get("open_orders")
    return None if not capacity or orders is None else float(orders) / float(capacity)


def supplier_h(situation: Situation) -> float:
    """Hours that presale goods take to be there by what their suppliers say: lead time and announced delay; 0 where nothing is said."""
    if PRESALE_TAG not in situation.order.tags:
        return 0.0
    lines = situation.shared("presale", _presale_suppliers)
    return max(
        (24.0 * (float(listing.get("lead_days", 0.0)) + float(status.get("delay_days", 0.0))) for listing, status, _ in lines), default=0.0
    )


_N, _S = Dtype.NUMBER, Dtype.SHARE
_E, _G, _U = Entity, Group, Unit

SUPPLIER_LOAD = Feature(
    "presale_supplier_load", _N, _U.TIMES, "load of the presale supplier against its capacity", "预售供应商未交订单与产能之比", "SUPPLIER_CAPACITY_LOW", _G.SUPPLIER,
    _of_presale("open_orders / capacity"), ttl=30 * DAY,
)  # fmt: skip
SUPPLIER_DELAY = Feature(
    "presale_supplier_delay_days", _N, _U.DAYS, "delay announced by the presale supplier", "预售供应商通报的延迟天数", "SUPPLIER_DELAYED", _G.SUPPLIER,
    _of_presale("delay_days"), ttl=30 * DAY,
)  # fmt: skip
LEAD = Feature(
    "presale_lead_days", _N, _U.DAYS, "lead time of the presale goods", "预售商品备货时间", "PRESALE", _G.PROMISE, _of_presale("lead_days"),
)  # fmt: skip
SUPPLIER_LATE = Feature(
    "supplier_late_share_30d", _S, _U.NONE, "share of late deliveries of the supplier's goods in the last 30 days", "近30天该供应商商品延误率", "SUPPLIER_OFTEN_LATE", _G.SUPPLIER,
    rate(_E.SUPPLIER, "delivered", None, within=30 * DAY, prior=LATE_PRIOR, weight=20), default=LATE_PRIOR,
)  # fmt: skip
SUPPLIER_CANCELLED = Feature(
    "supplier_cancel_share_30d", _S, _U.NONE, "share of orders of the supplier's goods that had to be cancelled, last 30 days", "近30天该供应商商品订单取消率", "SUPPLIER_OFTEN_CANCELLED", _G.SUPPLIER,
    rate(_E.SUPPLIER, "cancelled", "orders", within=30 * DAY, prior=CANCEL_PRIOR, weight=50), default=CANCEL_PRIOR,
)  # fmt: skip
SKU_LATE = Feature(
    "sku_late_share_30d", _S, _U.NONE, "share of late deliveries of the item most often late, last 30 days", "近30天延误最多商品的延误率", "SKU_OFTEN_LATE", _G.SUPPLIER,
    rate(_E.SKU, "delivered", None, within=30 * DAY, prior=LATE_PRIOR, weight=20), default=LATE_PRIOR,
)  # fmt: skip
SKU_CANCELLED = Feature(
    "sku_cancel_share_30d", _S, _U.NONE, "share of orders that had to be cancelled of the item most often cancelled, last 30 days", "近30天取消最多商品的取消率", "SKU_OFTEN_CANCELLED", _G.SUPPLIER,
    rate(_E.SKU, "cancelled", "orders", within=30 * DAY, prior=CANCEL_PRIOR, weight=50), default=CANCEL_PRIOR,
)  # fmt: skip
