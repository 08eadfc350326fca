"""Can we keep what we promise, and will the buyer keep it? Features of the decision type ``acceptance``.

Where it would ship from is not decided yet; the *likely* lane of a line is the fastest open one, with the service asked for, that has
enough of its SKU; features of a lane describe the slowest of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from feature_store.entities import Entity
from feature_store.network import Rate, Stock
from feature_store.order import Line
from feature_store.snapshot import Origin
from feature_store.times import DAY
from feature_store.views import destination, nodes, supply
from feature_store.views.aggregations import count, hours_since, mean, rate, share_having, worst
from feature_store.views.basket import (
    AMOUNT,
    BULKY,
    CROSS_BORDER,
    DISCOUNT,
    EXPRESS,
    EXPRESS_SERVICE,
    FRESH,
    HABIT,
    LINES,
    PIECES,
    PRESALE,
    PROMISE,
    TIMES_USUAL,
    WEIGHT,
    is_express,
)
from feature_store.views.days import FESTIVAL, HOLIDAYS, HOLIDAYS_NOW
from feature_store.views.definition import Calculation, Dtype, Feature, FeatureService, Group, Known, Scope, Unit
from feature_store.views.lanes import CONTRACT, LANE_LATE, RESERVE, SERVICE_DELAY, SERVICE_DELAY_9D, SERVICE_LATE, SLACK
from feature_store.views.nodes import STOCK_TOLD, spare, stock_by_place
from feature_store.views.situation import Situation

RETURN_PRIOR = 0.05
"""Share of returned orders that is assumed of a customer or SKU of whom little is known."""


class Likely(NamedTuple):
    """Where a line would probably ship from; ``margin``: usable pieces there beyond those asked for."""

    lane: Rate
    margin: int
    stock: Stock


def likely(situation: Situation) -> tuple[Likely, ...]:
    """The likely lane of each line whose SKU is in stock somewhere."""
    lanes, stock = _open_lanes(situation), stock_by_place(situation)
    found = (_likely(line, lanes, stock) for line in situation.order.lines)
    return tuple(one for one in found if one is not None)


def _open_lanes(situation: Situation) -> list[Rate]:
    network = situation.network
    lanes = network.lanes(situation.order.ship_to.region)
    express = bool(is_express(situation))
    kept: list[Rate] | None = network.noted.get((situation.order.ship_to.region, express))
    if kept is None:
        wanted = [lane for lane in lanes if (lane.service == EXPRESS_SERVICE) == express] or list(lanes)
        is_open = [lane for lane in wanted if network.node[lane.node_id].ships]
        kept = sorted(is_open or wanted, key=lambda lane: (lane.transit_days, lane.node_id))
        network.noted[situation.order.ship_to.region, express] = kept
    return kept


def _likely(line: Line, lanes: list[Rate], stock: dict[tuple[str, str], Stock]) -> Likely | None:
    best: Likely | None = None
    for lane in lanes:
        one = stock.get((line.sku, lane.node_id))
        if one is None:
            continue
        margin = spare(one, line.qty)
        if margin >= 0:
            return Likely(lane, margin, one)
        if best is None or margin > best.margin:
            best = Likely(lane, margin, one)
    return best


def _slowest(situation: Situation) -> Situation | None:
    """The situation seen from the slowest of the likely lanes."""
    lanes = situation.shared("likely", likely)
    return situation.on(max(lanes, key=lambda one: (one.lane.transit_days, one.lane.node_id)).lane) if lanes else None


def _likely_lanes(situation: Situation) -> list[Situation]:
    """The situation seen from each of the likely lanes' nodes."""
    nodes = {one.lane.node_id: one.lane for one in situation.shared("likely", likely)}
    return [situation.on(lane) for lane in nodes.values()]


def _on_slowest(feature: Feature) -> Calculation:
    """The feature of a lane, for the slowest of the likely lanes."""
    inner = feature.calculation

    def run(situation: Situation) -> Known | None:
        slowest = situation.shared("slowest", _slowest)
        return None if slowest is None else inner.run(slowest)

    return Calculation(run, f"slowest likely lane: {inner.formula}", inner.entity, _reads(inner), inner.within)


def _worst(feature: Feature) -> Calculation:
    """The largest value of the feature of a node over the likely lanes."""
    inner = feature.calculation

    def run(situation: Situation) -> Known | None:
        return worst(inner.run(one) for one in situation.shared("likely lanes", _likely_lanes))

    return Calculation(run, f"worst likely lane: {inner.formula}", inner.entity, _reads(inner), inner.within)


def _tightest(feature: Feature) -> Calculation:
    """The least value of the feature of a lane over the likely lanes."""
    inner = feature.calculation

    def run(situation: Situation) -> Known | None:
        values = [value for one in situation.shared("likely lanes", _likely_lanes) if (value := inner.run(one)) is not None]
        return min(values, key=lambda known: (known.value, known.event_time or 0)) if values else None

    return Calculation(run, f"tightest likely lane: {inner.formula}", inner.entity, _reads(inner), inner.within)


def _reads(inner: Calculation) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*inner.reads, *(name for part in inner.parts for name in part.reads)]))


def _margin(situation: Situation) -> Known | None:
    lanes = situation.shared("likely", likely)
    if not lanes:
        return None
    least = min(lanes, key=lambda one: one.margin)
    return Known(float(least.margin), least.stock.as_of, Origin.REQUEST if "stock" in situation.network.supplied else None)


def _shipments(situation: Situation) -> Known | None:
    lanes = situation.shared("likely", likely)
    if not lanes:
        return None
    newest = max((one.stock.as_of for one in lanes if one.stock.as_of is not None), default=None)
    return Known(float(len({one.lane.node_id for one in lanes})), newest)


def _cover(situation: Situation) -> Known | None:
    """Of the likely nodes' stock, the least against what must be kept back."""
    covers = [(one.stock.available / one.stock.safety, one.stock.as_of) for one in situation.shared("likely", likely) if one.stock.safety]
    return Known(*min(covers, key=lambda cover: cover[0])) if covers else None


def _able_nodes(situation: Situation) -> Known | None:
    """How many open nodes have enough of the item that the fewest have."""
    network, fewest, newest = situation.network, None, None
    is_open = {node.node_id for node in network.nodes if node.ships}
    for line in situation.order.lines:
        held = [one for one in network.stock if one.sku == line.sku]
        if held:
            able = sum(one.node_id in is_open and spare(one, line.qty) >= 0 for one in held)
            if fewest is None or able < fewest:
                fewest, newest = able, max((one.as_of for one in held if one.as_of is not None), default=None)
    return None if fewest is None else Known(float(fewest), newest)


def _likely_feature(feature: Feature, how: Callable[[Feature], Calculation], en: str, zh: str) -> Feature:
    return replace(
        feature,
        name=f"likely_{feature.name.removeprefix('lane_')}",
        en=en,
        zh=zh,
        calculation=how(feature),
        scope=Scope.ORDER,
    )


_I, _S, _N = Dtype.INTEGER, Dtype.SHARE, Dtype.NUMBER
_E, _G, _U = Entity, Group, Unit

_NETWORK_FEATURES = (
    _likely_feature(SLACK, _on_slowest, "time to spare before the promised delivery", "距承诺送达的富余时间"),
    _likely_feature(RESERVE, _tightest, "time to spare after backlog, supplier and customs", "扣除积压、备货与清关后的富余时间"),
    _likely_feature(nodes.DISTANCE, _on_slowest, "distance from the likely shipping node to the address", "预计发货仓到收货地址的距离"),
    _likely_feature(nodes.CUTOFF_WAIT, _worst, "waiting time at the likely shipping node after today's cut-off", "预计发货仓错过当日截单后的等待时间"),
    _likely_feature(nodes.BACKLOG, _worst, "backlog of work at the likely shipping node", "预计发货仓积压工作量"),
    _likely_feature(nodes.STAFFING, _on_slowest, "share of planned staff on duty at the likely shipping node", "预计发货仓到岗率"),
    _likely_feature(nodes.CAPACITY_LEFT, _on_slowest, "share of the likely shipping node's daily capacity still free today", "预计发货仓今日剩余产能占比"),
    _likely_feature(nodes.STATUS, _worst, "trouble level of the likely shipping node (0 open, 1 impaired, 2 closed)", "预计发货仓异常等级（0正常，1受限，2关闭）"),
    _likely_feature(nodes.OUTAGE, _worst, "share of the likely shipping node's equipment out of order", "预计发货仓设备停用比例"),
    _likely_feature(nodes.OUTAGE_LEFT, _worst, "time until the likely shipping node's equipment is repaired", "预计发货仓设备预计修复时间"),
    _likely_feature(nodes.NODE_CANCELLED, _worst, "cancelled orders against shipments of the likely shipping node in the last 7 days", "近7天预计发货仓取消订单与发货之比"),
    _likely_feature(SERVICE_LATE, _on_slowest, "share of late deliveries to the region in the last 5 days", "近5天该地区延误率"),
    _likely_feature(SERVICE_DELAY, _on_slowest, "average delay of deliveries to the region in the last 3 days (below 0 is early)", "近3天该地区平均延误（负数为提前）"),
    _likely_feature(SERVICE_DELAY_9D, _on_slowest, "average delay of deliveries to the region in the last 9 days (below 0 is early)", "近9天该地区平均延误（负数为提前）"),
    _likely_feature(LANE_LATE, _on_slowest, "share of late deliveries on the likely lane in the last 30 days", "近30天预计线路延误率"),
    _likely_feature(CONTRACT, _on_slowest, "age of the carrier's contract for the likely lane", "预计线路承运合同已生效时间"),
)  # fmt: skip

_STOCK_FEATURES = (
    Feature(
        "stock_margin", _I, _U.PIECES, "stock left after this order for its scarcest item", "本单最紧缺商品的剩余可用库存", "STOCK_SCARCE", _G.STOCK,
        Calculation(_margin, "min over lines of usable - qty at the likely node", _E.SKU, ("stock",)), ttl=STOCK_TOLD,
    ),
    Feature(
        "stock_cover", _N, _U.TIMES, "stock of the scarcest item against its safety stock", "最紧缺商品库存与安全库存之比", "STOCK_SCARCE", _G.STOCK,
        Calculation(_cover, "min over lines of available / safety at the likely node", _E.SKU, ("stock",)), ttl=STOCK_TOLD,
    ),
    Feature(
        "nodes_in_stock", _I, _U.NONE, "number of open nodes with enough of the scarcest item", "最紧缺商品库存充足的仓店数", "STOCK_SCARCE", _G.STOCK,
        Calculation(_able_nodes, "min over lines of open nodes with usable >= qty", _E.SKU, ("stock",)), ttl=STOCK_TOLD,
    ),
    Feature(
        "likely_shipments", _I, _U.NONE, "number of shipments the order will likely need", "预计发货包裹数", "NEEDS_SEVERAL_SHIPMENTS", _G.STOCK,
        Calculation(_shipments, "distinct likely nodes", _E.SKU, ("stock",)), ttl=STOCK_TOLD,
    ),
)  # fmt: skip

_CUSTOMER_FEATURES = (
    Feature(
        "sku_return_share_90d", _S, _U.NONE, "return rate of the item most often returned, last 90 days", "近90天退货最多商品的退货率", "SKU_OFTEN_RETURNED", _G.RETURNS,
        rate(_E.SKU, "returned", "delivered", within=90 * DAY, prior=RETURN_PRIOR, weight=40), default=RETURN_PRIOR,
    ),
    Feature(
        "customer_return_share_3", _S, _U.NONE, "return rate of the customer's last 3 orders", "客户最近3单退货率", "CUSTOMER_OFTEN_RETURNS", _G.RETURNS,
        share_having(_E.CUSTOMER, "delivered", "returned", last=3), personal=True, ttl=HABIT,
    ),
    Feature(
        "customer_return_share", _S, _U.NONE, "return rate of the customer's last 20 orders (smoothed)", "客户最近20单退货率（平滑后）", "CUSTOMER_OFTEN_RETURNS", _G.RETURNS,
        share_having(_E.CUSTOMER, "delivered", "returned", last=20, prior=RETURN_PRIOR, weight=2), default=RETURN_PRIOR, personal=True, ttl=HABIT,
    ),
    Feature(
        "customer_returns", _I, _U.ORDERS, "return history of the customer (counted up to 64)", "客户历史退货单数（最多计64单）", "CUSTOMER_OFTEN_RETURNS", _G.RETURNS,
        count(_E.CUSTOMER, "returned", last=64), default=0.0, personal=True,
    ),
    Feature(
        "customer_deliveries", _I, _U.NONE, "number of the customer's deliveries so far (counted up to 64)", "客户历史收货次数（最多计64次）", "CUSTOMER_HISTORY", _G.CUSTOMER,
        count(_E.CUSTOMER, "delivered", last=64), default=0.0, personal=True,
    ),
    Feature(
        "customer_since_return_h", _N, _U.HOURS, "time since the customer's last return", "距客户上次退货的时间", "CUSTOMER_OFTEN_RETURNS", _G.RETURNS,
        hours_since(_E.CUSTOMER, "returned"), personal=True,
    ),
    Feature(
        "customer_late_share_5", _S, _U.NONE, "share of the customer's last 5 deliveries that came late", "客户最近5次收货延误率", "CUSTOMER_FAILED_BEFORE", _G.CUSTOMER,
        mean(_E.CUSTOMER, "delivered", last=5), personal=True, ttl=HABIT,
    ),
    Feature(
        "customer_cancelled", _I, _U.ORDERS, "history of orders that we had to cancel for the customer", "客户历史被我方取消的订单数", "CUSTOMER_FAILED_BEFORE", _G.CUSTOMER,
        count(_E.CUSTOMER, "cancelled", last=64), default=0.0, personal=True,
    ),
)  # fmt: skip

FEATURES = (
    AMOUNT, PIECES, LINES, WEIGHT, PRESALE, CROSS_BORDER, BULKY, FRESH, EXPRESS, PROMISE, DISCOUNT, TIMES_USUAL, HOLIDAYS, HOLIDAYS_NOW, FESTIVAL,
    *_NETWORK_FEATURES,
    destination.WEATHER, destination.WEATHER_TOMORROW, destination.CUSTOMS_EXPOSURE, destination.CUSTOMS_NEW, destination.CLEARANCE,
    destination.PORT, destination.REMOTE,
    supply.SUPPLIER_LOAD, supply.SUPPLIER_DELAY, supply.LEAD, supply.SUPPLIER_CANCELLED, supply.SKU_LATE, supply.SKU_CANCELLED,
    *_STOCK_FEATURES, *_CUSTOMER_FEATURES,
)  # fmt: skip

ENTITIES = (_E.CUSTOMER, _E.SKU, _E.SUPPLIER, _E.REGION, _E.NETWORK)

SERVICE = FeatureService("acceptance", FEATURES)
