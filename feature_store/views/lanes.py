"""Will a shipment over this lane be late? Features of the decision type ``split-order``, one vector for each candidate lane.

Those that do not depend on the lane are computed once for the order, those of a node once for the node.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from feature_store.entities import Entity
from feature_store.network import CLOSED_STATUSES, OPEN, Node, Rate
from feature_store.snapshot import Origin
from feature_store.times import DAY
from feature_store.views.aggregations import forecast, rate, tally_mean
from feature_store.views.basket import BULKY, EXPRESS_SERVICE, HOLIDAYS, PRESALE, WEIGHT, promise_h
from feature_store.views.definition import Calculation, Dtype, Feature, FeatureService, Group, Known, Scope, Unit
from feature_store.views.situation import Own, Situation
from feature_store.views.supply import CUSTOMS_EXPOSURE, CUSTOMS_NEW, SUPPLIER_DELAY, SUPPLIER_LOAD

LATE_PRIOR = 0.12
"""Share of late deliveries that is assumed where little has been delivered."""

_EARTH_KM = 6371.0
_LEAST_STAFF = 0.2


def backlog_days(node: Node) -> float | None:
    """Days of work that wait at a node, as staffed."""
    if node.backlog is None or not node.capacity:
        return None
    staffing = 1.0 if node.staffing is None else node.staffing
    return node.backlog / (node.capacity * max(staffing, _LEAST_STAFF))


def status_level(node: Node) -> float:
    """0 open, 1 impaired in some way, 2 closed."""
    return 0.0 if node.status == OPEN else 2.0 if node.status in CLOSED_STATUSES else 1.0


def distance_km(node: Node, situation: Situation) -> float | None:
    """Great-circle distance from the node to the address."""
    to = situation.order.ship_to
    if node.lat is None or node.lon is None or to.lat is None or to.lon is None:
        return None
    a, b = math.radians(node.lat), math.radians(to.lat)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(to.lon - node.lon) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, half)))


def slack_h(node: Node, lane: Rate, situation: Situation) -> float | None:
    """Hours left at the promised time when everything goes as quoted: cut-off, processing, transit."""
    promised = promise_h(situation)
    if promised is None:
        return None
    return promised - node.wait_h(situation.as_of) - node.processing_h - 24.0 * lane.transit_days


def of_node(formula: str, read: Callable[[Node, Situation], float | None]) -> Calculation:
    """A number about the node as it was last told."""

    def run(situation: Situation) -> Known | None:
        node = situation.node
        value = read(node, situation) if node else None
        if node is None or value is None:
            return None
        return Known(value, node.as_of, Origin.REQUEST if "nodes" in situation.network.supplied else None)

    return Calculation(run, f"node({formula})", Entity.NETWORK, ("node",))


def of_lane(formula: str, read: Callable[[Node, Rate, Situation], float | None]) -> Calculation:
    """A number about the lane as it was last told."""

    def run(situation: Situation) -> Known | None:
        node, lane = situation.node, situation.rate
        value = read(node, lane, situation) if node and lane else None
        if lane is None or value is None:
            return None
        return Known(value, lane.as_of, Origin.REQUEST if "rates" in situation.network.supplied else None)

    return Calculation(run, f"lane({formula})", Entity.REGION, ("rate",))


_I, _S, _F, _N = Dtype.INTEGER, Dtype.SHARE, Dtype.FLAG, Dtype.NUMBER
_E, _G, _U, _NODE, _LANE = Entity, Group, Unit, Scope.NODE, Scope.LANE

WEATHER = Feature(
    "weather_severity", _N, _U.NONE, "weather warning level at the destination, today and tomorrow (0 is calm)", "目的地今明两天的天气预警等级（0为平静）", "BAD_WEATHER", _G.WEATHER,
    forecast(_E.REGION, "weather", (0, DAY)),
)  # fmt: skip
BACKLOG = Feature(
    "node_backlog_days", _N, _U.DAYS, "backlog of work at the node", "仓库积压工作量", "NODE_BACKLOG", _G.NODE,
    of_node("backlog / (capacity * staffing)", lambda node, _: backlog_days(node)), scope=_NODE,
)  # fmt: skip
STAFFING = Feature(
    "node_staffing", _S, _U.NONE, "share of the node's planned staff on duty", "仓库到岗率", "NODE_STAFFING_LOW", _G.NODE,
    of_node("staffing", lambda node, _: node.staffing), scope=_NODE,
)  # fmt: skip
STATUS = Feature(
    "node_status", _I, _U.NONE, "trouble level of the node (0 open, 1 impaired, 2 closed)", "仓库异常等级（0正常，1受限，2关闭）", "NODE_TROUBLE", _G.NODE,
    of_node("status level", lambda node, _: status_level(node)), scope=_NODE,
)  # fmt: skip
NODE_LATE = Feature(
    "node_late_share_7d", _S, _U.NONE, "share of late deliveries from the node in the last 7 days", "近7天该仓库延误率", "NODE_OFTEN_LATE", _G.NODE,
    rate(_E.NETWORK, "delivered", None, within=7 * DAY, prior=LATE_PRIOR, weight=10, item=Own.NODE), default=LATE_PRIOR, scope=_NODE,
)  # fmt: skip
DISTANCE = Feature(
    "distance_km", _N, _U.KM, "distance from the node to the address", "仓库到收货地址的距离", "FAR_AWAY", _G.LANE,
    of_node("great circle distance to ship_to", distance_km), scope=_NODE,
)  # fmt: skip
SLACK = Feature(
    "lane_slack_h", _N, _U.HOURS, "time to spare before the promised delivery", "距承诺送达的富余时间", "PROMISE_TIGHT", _G.PROMISE,
    of_lane("promise - cutoff wait - processing - transit", slack_h), actionable=True, scope=_LANE,
)  # fmt: skip
SERVICE_LATE = Feature(
    "service_late_share_5d", _S, _U.NONE, "share of late deliveries to the region with this service in the last 5 days", "近5天该地区该服务延误率", "CARRIER_OFTEN_LATE", _G.LANE,
    rate(_E.REGION, "service_delivered", None, within=5 * DAY, prior=LATE_PRIOR, weight=10, item=Own.SERVICE), default=LATE_PRIOR, scope=_LANE,
)  # fmt: skip
SERVICE_DELAY = Feature(
    "service_delay_h_3d", _N, _U.HOURS, "average delay to the region with this service in the last 3 days (below 0 is early)", "近3天该地区该服务的平均延误（负数为提前）", "CARRIER_OFTEN_LATE", _G.LANE,
    tally_mean(_E.REGION, "service_delay_h", within=3 * DAY, item=Own.SERVICE), scope=_LANE,
)  # fmt: skip

FEATURES = (
    Feature(
        "transit_days", _N, _U.DAYS, "transit time quoted by the carrier", "承运商报价的运输时间", "LONG_TRANSIT", _G.LANE,
        of_lane("transit_days", lambda _, lane, __: lane.transit_days), scope=_LANE,
    ),
    SLACK,
    Feature(
        "express_service", _F, _U.NONE, "express service on the lane", "该线路使用加急服务", "EXPRESS_SERVICE", _G.LANE,
        of_lane("service is express", lambda _, lane, __: float(lane.service == EXPRESS_SERVICE)), actionable=True, scope=_LANE,
    ),
    SERVICE_LATE,
    SERVICE_DELAY,
    Feature(
        "lane_late_share_30d", _S, _U.NONE, "share of late deliveries on the lane in the last 30 days", "近30天该线路延误率", "LANE_OFTEN_LATE", _G.LANE,
        rate(_E.REGION, "lane_delivered", None, within=30 * DAY, prior=LATE_PRIOR, weight=10, item=Own.LANE), default=LATE_PRIOR, scope=_LANE,
    ),
    DISTANCE, BACKLOG, STAFFING, STATUS, NODE_LATE,
    WEATHER, CUSTOMS_EXPOSURE, CUSTOMS_NEW, PRESALE, SUPPLIER_LOAD, SUPPLIER_DELAY, BULKY, WEIGHT, HOLIDAYS,
)  # fmt: skip

ENTITIES = (_E.NETWORK, _E.REGION, _E.SKU, _E.SUPPLIER)

SERVICE = FeatureService("split-order", FEATURES)
