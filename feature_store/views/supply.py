"""What stands between an order and its goods: stock, suppliers, customs. Features that several decision types share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_store.entities import Entity, EntityKey
from feature_store.order import MICRO
from feature_store.snapshot import Origin
from feature_store.times import DAY
from feature_store.views.aggregations import in_force, worst
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Known, Unit
from feature_store.views.situation import Situation

CROSS_BORDER_TAG = "cross_border"
PRESALE_TAG = "presale"


def _presale_suppliers(situation: Situation, read: str) -> Known | None:
    """The worst ``read`` among the suppliers of lines that are sold before they are there; 0 when there is no such line."""
    if PRESALE_TAG not in situation.order.tags:
        return Known(0.0, situation.order.placed_at, Origin.REQUEST)
    found: list[Known] = []
    for line, history in situation.lines_with_history():
        listing = history.facts("listing", "", situation.as_of) if history else None
        if listing is not None and not listing.values.get("presale", True):
            continue
        supplier = situation.states.get(EntityKey(Entity.SUPPLIER, line.supplier_id)) if line.supplier_id else None
        status = supplier.facts("status", "", situation.as_of) if supplier else None
        value = _status(status.values, read) if status else None
        if status is not None and value is not None:
            found.append(Known(value, status.event_time))
    return worst(found)


def _status(told: Mapping[str, Any], read: str) -> float | None:
    if read == "delay_days":
        delay = told.get("delay_days")
        return None if delay is None else float(delay)
    capacity, orders = told.get("capacity"), told.get("open_orders")
    return None if not capacity or orders is None else float(orders) / float(capacity)


def _customs(situation: Situation) -> Known | None:
    if CROSS_BORDER_TAG not in situation.order.tags:
        return Known(0.0, situation.order.placed_at, Origin.REQUEST)
    history = situation.history(Entity.REGION)
    series = history.series("customs") if history else None
    at = in_force(series, situation, situation.as_of) if series else None
    return None if series is None or at is None else Known(series.value[at] / MICRO, series.when[at])


def _customs_age(situation: Situation) -> Known | None:
    if CROSS_BORDER_TAG not in situation.order.tags:
        return None
    history = situation.history(Entity.REGION)
    series = history.series("customs") if history else None
    at = in_force(series, situation, situation.as_of) if series else None
    return None if series is None or at is None else Known((situation.as_of - series.when[at]) / DAY, series.when[at])


_N, _I = Dtype.NUMBER, Dtype.INTEGER
_E, _G, _U = Entity, Group, Unit

SUPPLIER_LOAD = Feature(
    "presale_supplier_load", _N, _U.TIMES, "load of the presale supplier against its capacity", "预售供应商未交订单与产能之比", "SUPPLIER_CAPACITY_LOW", _G.SUPPLIER,
    Calculation(lambda s: _presale_suppliers(s, "load"), "max open_orders / capacity of suppliers of presale lines, 0 without", _E.SUPPLIER, ("status",)),
)  # fmt: skip
SUPPLIER_DELAY = Feature(
    "presale_supplier_delay_days", _N, _U.DAYS, "delay announced by the presale supplier", "预售供应商通报的延迟天数", "SUPPLIER_DELAYED", _G.SUPPLIER,
    Calculation(lambda s: _presale_suppliers(s, "delay_days"), "max delay_days of suppliers of presale lines, 0 without", _E.SUPPLIER, ("status",)),
)  # fmt: skip
CUSTOMS_EXPOSURE = Feature(
    "customs_strictness", _N, _U.NONE, "strictness of customs checks for this order (0 none, 1 strict)", "本单面临的海关查验严格度（0无，1严）", "CUSTOMS_STRICT", _G.CUSTOMS,
    Calculation(_customs, "strictness in force when cross_border, else 0", _E.REGION, ("customs",)),
)  # fmt: skip
CUSTOMS_NEW = Feature(
    "customs_rule_days", _N, _U.DAYS, "time since the customs rule came into force", "海关规则已生效时间", "CUSTOMS_RULE_NEW", _G.CUSTOMS,
    Calculation(_customs_age, "days since the rule in force began, when cross_border", _E.REGION, ("customs",)),
)  # fmt: skip
