"""Where an order goes: weather, customs, ports, how far from everything, how deliveries went there lately."""

from __future__ import annotations

from feature_store.entities import Entity
from feature_store.order import MICRO
from feature_store.snapshot import Origin
from feature_store.state import Series
from feature_store.times import DAY
from feature_store.views.aggregations import forecast, in_force, rate
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Known, Unit
from feature_store.views.distance import km
from feature_store.views.situation import Situation

CROSS_BORDER_TAG = "cross_border"
LATE_PRIOR = 0.12
"""Share of late deliveries that is assumed where little has been delivered."""
CANCEL_PRIOR = 0.02

_FORECAST_HOLDS = 14 * DAY
"""After so long weather that was told without an end is not known any more."""


def _of_region(situation: Situation, series: str) -> Series | None:
    """A history of the order's destination; ``None`` where nothing was told."""
    history = situation.history(Entity.REGION)
    return history.series(series) if history else None


def _holding(situation: Situation, series: str) -> Known | None:
    """What holds at the order's destination now, of something that concerns imported goods only; 0 for all others."""
    if CROSS_BORDER_TAG not in situation.order.tags:
        return Known(0.0, situation.order.placed_at, Origin.REQUEST)
    told = _of_region(situation, series)
    at = in_force(told, situation, situation.as_of) if told else None
    return None if told is None or at is None else Known(told.value[at] / MICRO, told.when[at])


def clearance_h(situation: Situation) -> Known | None:
    """Hours that customs are said to need for this order; 0 when it does not cross a border."""
    return situation.shared("clearance", lambda one: _holding(one, "clearance"))


def port_days(situation: Situation) -> Known | None:
    """Days that ships with goods like these wait before the port; 0 when nothing is told or it does not cross a border."""
    return situation.shared("port", lambda one: _holding(one, "port") or Known(0.0, None, Origin.DEFAULT))


def _customs_age(situation: Situation) -> Known | None:
    if CROSS_BORDER_TAG not in situation.order.tags:
        return None
    series = _of_region(situation, "customs")
    at = in_force(series, situation, situation.as_of) if series else None
    return None if series is None or at is None else Known((situation.as_of - series.when[at]) / DAY, series.when[at])


def distances(situation: Situation) -> dict[str, float]:
    """Kilometres from each node that tells its place to the order's address; empty where that tells none."""
    to = situation.order.ship_to
    if to.lat is None or to.lon is None:
        return {}
    nodes = situation.network.nodes
    return {node.node_id: km(node.lat, node.lon, to.lat, to.lon) for node in nodes if node.lat is not None and node.lon is not None}


def _remote(situation: Situation) -> Known | None:
    """Kilometres to the nearest node, open or not."""
    found = situation.shared("distances", distances)
    if not found:
        return None
    nearest = min(found, key=lambda node_id: (found[node_id], node_id))
    return Known(found[nearest], situation.network.node[nearest].as_of)


_N, _I, _S = Dtype.NUMBER, Dtype.INTEGER, Dtype.SHARE
_E, _G, _U = Entity, Group, Unit

WEATHER = Feature(
    "weather_now", _N, _U.NONE, "weather warning level at the destination today (0 is calm)", "目的地今天的天气预警等级（0为平静）", "BAD_WEATHER", _G.WEATHER,
    forecast(_E.REGION, "weather"), ttl=_FORECAST_HOLDS,
)  # fmt: skip
WEATHER_TOMORROW = Feature(
    "weather_severity", _N, _U.NONE, "weather warning level at the destination, today and tomorrow (0 is calm)", "目的地今明两天的天气预警等级（0为平静）", "BAD_WEATHER", _G.WEATHER,
    forecast(_E.REGION, "weather", (0, DAY)), ttl=_FORECAST_HOLDS,
)  # fmt: skip
CUSTOMS_EXPOSURE = Feature(
    "customs_strictness", _N, _U.NONE, "strictness of customs checks for this order (0 none, 1 strict)", "本单面临的海关查验严格度（0无，1严）", "CUSTOMS_STRICT", _G.CUSTOMS,
    Calculation(lambda s: _holding(s, "customs"), "strictness in force when cross_border, else 0", _E.REGION, ("customs",)),
)  # fmt: skip
CUSTOMS_NEW = Feature(
    "customs_rule_days", _N, _U.DAYS, "time since the customs rule came into force", "海关规则已生效时间", "CUSTOMS_RULE_NEW", _G.CUSTOMS,
    Calculation(_customs_age, "days since the rule in force began, when cross_border", _E.REGION, ("customs",)),
)  # fmt: skip
CLEARANCE = Feature(
    "customs_clearance_h", _N, _U.HOURS, "usual customs clearance time for this order", "本单通常清关时间", "CUSTOMS_STRICT", _G.CUSTOMS,
    Calculation(clearance_h, "clearance_h in force when cross_border, else 0", _E.REGION, ("clearance",)),
)  # fmt: skip
PORT = Feature(
    "port_wait_days", _N, _U.DAYS, "waiting time of ships at the port for this order's imports", "本单进口货物所经港口的船舶等待时间", "PORT_CONGESTED", _G.CUSTOMS,
    Calculation(port_days, "wait_days in force when cross_border, else 0", _E.REGION, ("port",)), ttl=30 * DAY,
)  # fmt: skip
REMOTE = Feature(
    "nearest_node_km", _N, _U.KM, "distance from the address to the nearest warehouse or store", "收货地址到最近仓店的距离", "REMOTE_ADDRESS", _G.DESTINATION,
    Calculation(_remote, "least great circle distance of a node to ship_to", _E.NETWORK, ("node",)),
)  # fmt: skip
REGION_LATE = Feature(
    "region_late_share_7d", _S, _U.NONE, "share of late deliveries to the region in the last 7 days", "近7天该地区延误率", "REGION_OFTEN_LATE", _G.DESTINATION,
    rate(_E.REGION, "delivered", None, within=7 * DAY, prior=LATE_PRIOR, weight=20), default=LATE_PRIOR,
)  # fmt: skip
