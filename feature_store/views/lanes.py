"""Will a shipment over this lane be late? Features of the decision type ``split-order``, one vector for each candidate lane.

Those that do not depend on the lane are computed once for the order, those of a node once for the node, those of a service once for it.
"""

from __future__ import annotations

from collections.abc import Callable

from feature_store.entities import Entity
from feature_store.network import Node, Rate
from feature_store.snapshot import Origin
from feature_store.times import DAY
from feature_store.views.aggregations import rate, tally_mean
from feature_store.views.basket import (
    BULKY,
    CROSS_BORDER,
    EXPRESS_SERVICE,
    FRESH,
    LINES,
    PIECES,
    PRESALE,
    PROMISE,
    WEIGHT,
    promise_h,
)
from feature_store.views.days import FESTIVAL, HOLIDAYS, HOLIDAYS_NOW, HOUR_OF_DAY, WEEKEND
from feature_store.views.definition import Calculation, Dtype, Feature, FeatureService, Group, Known, Scope, Unit
from feature_store.views.destination import (
    CLEARANCE,
    CUSTOMS_EXPOSURE,
    CUSTOMS_NEW,
    LATE_PRIOR,
    PORT,
    REGION_LATE,
    REMOTE,
    WEATHER,
    WEATHER_TOMORROW,
    clearance_h,
)
from feature_store.views.nodes import (
    BACKLOG,
    CAPACITY_LEFT,
    CUTOFF_WAIT,
    DISTANCE,
    NODE_LATE,
    NODE_MARGIN,
    OUTAGE,
    OUTAGE_LEFT,
    PROCESSING,
    STAFFING,
    STATUS,
    backlog_days,
)
from feature_store.views.situation import Own, Situation
from feature_store.views.supply import LEAD, SKU_LATE, SUPPLIER_DELAY, SUPPLIER_LATE, SUPPLIER_LOAD, supplier_h

WORKING_H = 16.0
"""Hours in which a node works off a day of backlog: two shifts."""


def slack_h(node: Node, lane: Rate, situation: Situation) -> float | None:
    """Hours left at the promised time when everything goes as quoted: cut-off, processing, transit."""
    promised = promise_h(situation)
    if promised is None:
        return None
    return promised - node.wait_h(situation.as_of) - node.processing_h - 24.0 * lane.transit_days


def reserve_h(node: Node, lane: Rate, situation: Situation) -> float | None:
    """Hours left at the promised time after all that is announced: also the node's backlog, the supplier's lead and delay, customs."""
    slack = slack_h(node, lane, situation)
    if slack is None:
        return None
    goods = situation.shared("goods_h", _goods_h)
    return slack - WORKING_H * (backlog_days(node) or 0.0) - goods


def _goods_h(situation: Situation) -> float:
    customs = clearance_h(situation)
    return supplier_h(situation) + (customs.value if customs else 0.0)


def of_lane(formula: str, read: Callable[[Node, Rate, Situation], float | None]) -> Calculation:
    """A number about the lane as it was last told."""

    def run(situation: Situation) -> Known | None:
        node, lane = situation.node, situation.rate
        value = read(node, lane, situation) if node and lane else None
        if lane is None or value is None:
            return None
        return Known(value, lane.as_of, Origin.REQUEST if "rates" in situation.network.supplied else None)

    return Calculation(run, f"lane({formula})", Entity.REGION, ("rate",))


def _contract_days(_: Node, lane: Rate, situation: Situation) -> float | None:
    return None if lane.as_of is None else (situation.as_of - lane.as_of) / DAY


_S, _F, _N = Dtype.SHARE, Dtype.FLAG, Dtype.NUMBER
_E, _G, _U, _LANE, _SERVICE = Entity, Group, Unit, Scope.LANE, Scope.SERVICE

TRANSIT = Feature(
    "transit_days", _N, _U.DAYS, "transit time quoted by the carrier", "承运商报价的运输时间", "LONG_TRANSIT", _G.LANE,
    of_lane("transit_days", lambda _, lane, __: lane.transit_days), scope=_LANE,
)  # fmt: skip
SLACK = Feature(
    "lane_slack_h", _N, _U.HOURS, "time to spare before the promised delivery", "距承诺送达的富余时间", "PROMISE_TIGHT", _G.PROMISE,
    of_lane("promise - cutoff wait - processing - transit", slack_h), actionable=True, scope=_LANE,
)  # fmt: skip
RESERVE = Feature(
    "lane_reserve_h", _N, _U.HOURS, "time to spare after backlog, supplier and customs", "扣除积压、备货与清关后的富余时间", "PROMISE_TIGHT", _G.PROMISE,
    of_lane(f"slack - {WORKING_H} * backlog days - 24 * (lead + announced delay) - clearance", reserve_h), actionable=True, scope=_LANE,
)  # fmt: skip
SERVICE_LATE = Feature(
    "service_late_share_5d", _S, _U.NONE, "share of late deliveries to the region with this service in the last 5 days", "近5天该地区该服务延误率", "CARRIER_OFTEN_LATE", _G.LANE,
    rate(_E.REGION, "service_delivered", None, within=5 * DAY, prior=LATE_PRIOR, weight=10, item=Own.SERVICE), default=LATE_PRIOR, scope=_SERVICE,
)  # fmt: skip
SERVICE_DELAY = Feature(
    "service_delay_h_3d", _N, _U.HOURS, "average delay to the region with this service in the last 3 days (below 0 is early)", "近3天该地区该服务的平均延误（负数为提前）", "CARRIER_OFTEN_LATE", _G.LANE,
    tally_mean(_E.REGION, "service_delay_h", within=3 * DAY, item=Own.SERVICE), scope=_SERVICE,
)  # fmt: skip
SERVICE_DELAY_9D = Feature(
    "service_delay_h_9d", _N, _U.HOURS, "average delay to the region with this service in the last 9 days (below 0 is early)", "近9天该地区该服务的平均延误（负数为提前）", "CARRIER_OFTEN_LATE", _G.LANE,
    tally_mean(_E.REGION, "service_delay_h", within=9 * DAY, item=Own.SERVICE), scope=_SERVICE,
)  # fmt: skip
LANE_LATE = Feature(
    "lane_late_share_30d", _S, _U.NONE, "share of late deliveries on the lane in the last 30 days", "近30天该线路延误率", "LANE_OFTEN_LATE", _G.LANE,
    rate(_E.REGION, "lane_delivered", None, within=30 * DAY, prior=LATE_PRIOR, weight=10, item=Own.LANE), default=LATE_PRIOR, scope=_LANE,
)  # fmt: skip
CONTRACT = Feature(
    "lane_contract_days", _N, _U.DAYS, "age of the carrier's contract for the lane", "该线路承运合同已生效时间", "CARRIER_NEW", _G.LANE,
    of_lane("days since the rate was told", _contract_days), scope=_LANE,
)  # fmt: skip

FEATURES = (
    TRANSIT, SLACK, RESERVE,
    Feature(
        "express_service", _F, _U.NONE, "express service on the lane", "该线路使用加急服务", "EXPRESS_SERVICE", _G.LANE,
        of_lane("service is express", lambda _, lane, __: float(lane.service == EXPRESS_SERVICE)), actionable=True, scope=_LANE,
    ),
    SERVICE_LATE, SERVICE_DELAY, SERVICE_DELAY_9D, LANE_LATE, CONTRACT,
    DISTANCE, BACKLOG, STAFFING, CAPACITY_LEFT, STATUS, OUTAGE, OUTAGE_LEFT, CUTOFF_WAIT, PROCESSING, NODE_LATE, NODE_MARGIN,
    WEATHER, WEATHER_TOMORROW, CROSS_BORDER, CUSTOMS_EXPOSURE, CUSTOMS_NEW, CLEARANCE, PORT, REMOTE, REGION_LATE,
    PRESALE, LEAD, SUPPLIER_LOAD, SUPPLIER_DELAY, SUPPLIER_LATE, SKU_LATE,
    PROMISE, BULKY, FRESH, WEIGHT, PIECES, LINES, HOLIDAYS, HOLIDAYS_NOW, FESTIVAL, WEEKEND, HOUR_OF_DAY,
)  # fmt: skip

ENTITIES = (_E.NETWORK, _E.REGION, _E.SKU, _E.SUPPLIER)

SERVICE = FeatureService("split-order", FEATURES)
