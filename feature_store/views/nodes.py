"""How a node stands: work, people, equipment, cut-off, stock; and how it did lately. Computed once for each node."""

from __future__ import annotations

from collections.abc import Callable

from feature_store.entities import Entity
from feature_store.network import CLOSED_STATUSES, OPEN, Node, Stock
from feature_store.order import MICRO
from feature_store.snapshot import Origin
from feature_store.state import Series
from feature_store.times import DAY, HOUR, MINUTE, Millis
from feature_store.views.aggregations import in_force, rate
from feature_store.views.definition import Calculation, Dtype, Feature, Group, Known, Scope, Unit
from feature_store.views.destination import CANCEL_PRIOR, LATE_PRIOR, distances
from feature_store.views.situation import Own, Situation

_LEAST_STAFF = 0.2

REPORTED: Millis = 7 * DAY
"""How long a node's report of its work and people stands for how it is; one that says nothing for longer is not known."""

OUTAGE_LASTS: Millis = 30 * DAY
"""After so long an outage that nobody ended counts as forgotten, not as lasting."""

STOCK_TOLD: Millis = 90 * DAY
"""How long a level of stock stands: a slow seller is told when it changes, but is counted every quarter."""


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
    return situation.shared("distances", distances).get(node.node_id)


def stock_by_place(situation: Situation) -> dict[tuple[str, str], Stock]:
    """The stock of the order's SKUs, by SKU and node."""
    return situation.shared("stock", lambda one: {(stock.sku, stock.node_id): stock for stock in one.network.stock})


def spare(stock: Stock, qty: int) -> int:
    """Usable pieces beyond those asked for; below 0 where they fall short."""
    return stock.available - stock.safety - stock.reserved - qty


def of_node(formula: str, read: Callable[[Node, Situation], float | None]) -> Calculation:
    """A number about the node as it was last told."""

    def run(situation: Situation) -> Known | None:
        node = situation.node
        value = read(node, situation) if node else None
        if node is None or value is None:
            return None
        return Known(value, node.as_of, Origin.REQUEST if "nodes" in situation.network.supplied else None)

    return Calculation(run, f"node({formula})", Entity.NETWORK, ("node",))


def _outage(formula: str, read: Callable[[Series, int, Millis], float]) -> Calculation:
    """A number about the failure of the node's equipment that has begun and lasts by what is known; 0 when there is none."""

    def run(situation: Situation) -> Known | None:
        history = situation.history(Entity.NETWORK)
        if history is None or situation.node is None:
            return None
        told = history.series(f"outage/{situation.node.node_id}")
        at = in_force(told, situation, situation.as_of) if told else None
        if told is None or at is None:
            return Known(0.0, situation.node.as_of)
        return Known(read(told, at, situation.as_of), told.when[at])

    return Calculation(run, f"outage in force({formula})", Entity.NETWORK, ("outage",))


def _severity(told: Series, at: int, _: Millis) -> float:
    return told.value[at] / MICRO


def _hours_left(told: Series, at: int, as_of: Millis) -> float:
    minutes = told.ref[at]
    return (told.when[at] + minutes * MINUTE - as_of) / HOUR if minutes else 24.0


def _node_margin(situation: Situation) -> Known | None:
    """Of the lines that the node keeps at all, the least spare pieces."""
    node, stock = situation.node, stock_by_place(situation)
    if node is None:
        return None
    held = [(one, line.qty) for line in situation.order.lines if (one := stock.get((line.sku, node.node_id))) is not None]
    if not held:
        return None
    least = min(spare(one, qty) for one, qty in held)
    newest = max((one.as_of for one, _ in held if one.as_of is not None), default=None)
    return Known(float(least), newest, Origin.REQUEST if "stock" in situation.network.supplied else None)


_I, _S, _N = Dtype.INTEGER, Dtype.SHARE, Dtype.NUMBER
_E, _G, _U, _NODE = Entity, Group, Unit, Scope.NODE

BACKLOG = Feature(
    "node_backlog_days", _N, _U.DAYS, "backlog of work at the node", "仓库积压工作量", "NODE_BACKLOG", _G.NODE,
    of_node("backlog / (capacity * staffing)", lambda node, _: backlog_days(node)), scope=_NODE, ttl=REPORTED,
)  # fmt: skip
STAFFING = Feature(
    "node_staffing", _S, _U.NONE, "share of the node's planned staff on duty", "仓库到岗率", "NODE_STAFFING_LOW", _G.NODE,
    of_node("staffing", lambda node, _: node.staffing), scope=_NODE, ttl=REPORTED,
)  # fmt: skip
CAPACITY_LEFT = Feature(
    "node_capacity_left", _S, _U.NONE, "share of the node's daily capacity still free today", "仓库今日剩余产能占比", "NODE_CAPACITY_SHORT", _G.NODE,
    of_node("capacity_left / capacity", lambda node, _: node.capacity_left / node.capacity if node.capacity_left is not None and node.capacity else None),
    scope=_NODE, ttl=2 * DAY,
)  # fmt: skip
STATUS = Feature(
    "node_status", _I, _U.NONE, "trouble level of the node (0 open, 1 impaired, 2 closed)", "仓库异常等级（0正常，1受限，2关闭）", "NODE_TROUBLE", _G.NODE,
    of_node("status level", lambda node, _: status_level(node)), scope=_NODE, ttl=REPORTED,
)  # fmt: skip
OUTAGE = Feature(
    "node_outage", _S, _U.NONE, "share of the node's equipment out of order", "仓库设备停用比例", "EQUIPMENT_OUTAGE", _G.NODE,
    _outage("severity", _severity), default=0.0, scope=_NODE, ttl=OUTAGE_LASTS,
)  # fmt: skip
OUTAGE_LEFT = Feature(
    "node_outage_h", _N, _U.HOURS, "time until the node's equipment is repaired", "仓库设备预计修复时间", "EQUIPMENT_OUTAGE", _G.NODE,
    _outage("hours to valid_to, 24 where none is told", _hours_left), default=0.0, scope=_NODE, ttl=OUTAGE_LASTS,
)  # fmt: skip
CUTOFF_WAIT = Feature(
    "cutoff_wait_h", _N, _U.HOURS, "waiting time at the node after today's cut-off", "错过当日截单后的等待时间", "CUTOFF_MISSED", _G.NODE,
    of_node("hours to the next working morning after the cut-off", lambda node, situation: node.wait_h(situation.as_of)), scope=_NODE,
)  # fmt: skip
PROCESSING = Feature(
    "node_processing_h", _N, _U.HOURS, "usual handling time at the node", "仓库通常处理时间", "NODE_SLOW", _G.NODE,
    of_node("processing_h", lambda node, _: node.processing_h), scope=_NODE,
)  # fmt: skip
NODE_LATE = Feature(
    "node_late_share_7d", _S, _U.NONE, "share of late deliveries from the node in the last 7 days", "近7天该仓库延误率", "NODE_OFTEN_LATE", _G.NODE,
    rate(_E.NETWORK, "delivered", None, within=7 * DAY, prior=LATE_PRIOR, weight=10, item=Own.NODE), default=LATE_PRIOR, scope=_NODE,
)  # fmt: skip
NODE_CANCELLED = Feature(
    "node_cancel_share_7d", _S, _U.NONE, "cancelled orders against shipments of the node in the last 7 days", "近7天该仓库取消订单与发货之比", "NODE_OFTEN_CANCELS", _G.NODE,
    rate(_E.NETWORK, "cancelled", "shipped", within=7 * DAY, prior=CANCEL_PRIOR, weight=50, item=Own.NODE), default=CANCEL_PRIOR, scope=_NODE,
)  # fmt: skip
DISTANCE = Feature(
    "distance_km", _N, _U.KM, "distance from the node to the address", "仓库到收货地址的距离", "FAR_AWAY", _G.LANE,
    of_node("great circle distance to ship_to", distance_km), scope=_NODE,
)  # fmt: skip
NODE_MARGIN = Feature(
    "node_stock_margin", _I, _U.PIECES, "stock left after this order at the node for its scarcest item", "发货后该仓库最紧缺商品的剩余可用库存", "STOCK_SCARCE", _G.STOCK,
    Calculation(_node_margin, "min over held lines of usable - qty", _E.SKU, ("stock",)), scope=_NODE, ttl=STOCK_TOLD,
)  # fmt: skip
