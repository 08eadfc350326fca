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
from feature_store.views.aggregations import rate, share_having, worst
from feature_store.views.basket import AMOUNT, BULKY, CROSS_BORDER, EXPRESS, EXPRESS_SERVICE, HOLIDAYS, PIECES, PRESALE, PROMISE, is_express
from feature_store.views.definition import Calculation, Dtype, Feature, FeatureService, Group, Known, Scope, Unit
from feature_store.views.lanes import BACKLOG, DISTANCE, SERVICE_DELAY, SERVICE_LATE, SLACK, STAFFING, STATUS, WEATHER
from feature_store.views.situation import Situation
from feature_store.views.supply import CUSTOMS_EXPOSURE, CUSTOMS_NEW, SUPPLIER_DELAY, SUPPLIER_LOAD

RETURN_PRIOR = 0.05
"""Share of returned orders that is assumed of a customer or SKU of whom little is known."""


class Likely(NamedTuple):
    """Where a line would probably ship from; ``margin``: usable pieces there beyond those asked for."""

    lane: Rate
    margin: int
    stock: Stock


def likely(situation: Situation) -> tuple[Likely, ...]:
    """The likely lane of each line whose SKU is in stock somewhere."""
    network = situation.network
    lanes = _open_lanes(situation)
    stock = {(one.sku, one.node_id): one for one in network.stock}
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
        margin = one.available - one.safety - line.qty
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

    return Calculation(run, f"slowest likely lane: {inner.formula}", inner.entity, inner.reads, inner.within)


def _worst(feature: Feature) -> Calculation:
    """The largest value of the feature of a node over the likely lanes."""
    inner = feature.calculation

    def run(situation: Situation) -> Known | None:
        return worst(inner.run(one) for one in situation.shared("likely lanes", _likely_lanes))

    return Calculation(run, f"worst likely lane: {inner.formula}", inner.entity, inner.reads, inner.within)


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


def _likely_feature(feature: Feature, how: Callable[[Feature], Calculation], en: str, zh: str) -> Feature:
    return replace(
        feature,
        name=f"likely_{feature.name.removeprefix('lane_')}",
        en=en,
        zh=zh,
        calculation=how(feature),
        scope=Scope.ORDER,
    )


_I, _S = Dtype.INTEGER, Dtype.SHARE
_E, _G, _U = Entity, Group, Unit

FEATURES = (
    AMOUNT, PIECES, PRESALE, CROSS_BORDER, BULKY, EXPRESS, PROMISE, HOLIDAYS,
    _likely_feature(SLACK, _on_slowest, "time to spare before the promised delivery", "距承诺送达的富余时间"),
    _likely_feature(DISTANCE, _on_slowest, "distance from the likely shipping node to the address", "预计发货仓到收货地址的距离"),
    _likely_feature(BACKLOG, _worst, "backlog of work at the likely shipping node", "预计发货仓积压工作量"),
    _likely_feature(STAFFING, _on_slowest, "share of planned staff on duty at the likely shipping node", "预计发货仓到岗率"),
    _likely_feature(STATUS, _worst, "trouble level of the likely shipping node (0 open, 1 impaired, 2 closed)", "预计发货仓异常等级（0正常，1受限，2关闭）"),
    _likely_feature(SERVICE_LATE, _on_slowest, "share of late deliveries to the region in the last 5 days", "近5天该地区延误率"),
    _likely_feature(SERVICE_DELAY, _on_slowest, "average delay of deliveries to the region in the last 3 days (below 0 is early)", "近3天该地区平均延误（负数为提前）"),
    WEATHER, CUSTOMS_EXPOSURE, CUSTOMS_NEW, SUPPLIER_LOAD, SUPPLIER_DELAY,
    Feature(
        "stock_margin", _I, _U.PIECES, "stock left after this order for its scarcest item", "本单最紧缺商品的剩余可用库存", "STOCK_SCARCE", _G.STOCK,
        Calculation(_margin, "min over lines of usable - qty at the likely node", _E.SKU, ("stock",)),
    ),
    Feature(
        "likely_shipments", _I, _U.NONE, "number of shipments the order will likely need", "预计发货包裹数", "NEEDS_SEVERAL_SHIPMENTS", _G.STOCK,
        Calculation(_shipments, "distinct likely nodes", _E.SKU, ("stock",)),
    ),
    Feature(
        "sku_return_share_90d", _S, _U.NONE, "return rate of the item most often returned, last 90 days", "近90天退货最多商品的退货率", "SKU_OFTEN_RETURNED", _G.RETURNS,
        rate(_E.SKU, "returned", "delivered", within=90 * DAY, prior=RETURN_PRIOR, weight=20), default=RETURN_PRIOR,
    ),
    Feature(
        "customer_return_share_3", _S, _U.NONE, "return rate of the customer's last 3 orders", "客户最近3单退货率", "CUSTOMER_OFTEN_RETURNS", _G.RETURNS,
        share_having(_E.CUSTOMER, "delivered", "returned", last=3), personal=True,
    ),
    Feature(
        "customer_return_share", _S, _U.NONE, "return rate of the customer's last 20 orders (smoothed)", "客户最近20单退货率（平滑后）", "CUSTOMER_OFTEN_RETURNS", _G.RETURNS,
        share_having(_E.CUSTOMER, "delivered", "returned", last=20, prior=RETURN_PRIOR, weight=2), default=RETURN_PRIOR, personal=True,
    ),
)  # fmt: skip

ENTITIES = (_E.CUSTOMER, _E.SKU, _E.SUPPLIER, _E.REGION, _E.NETWORK)

SERVICE = FeatureService("acceptance", FEATURES)
