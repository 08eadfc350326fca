"""Why a node ships nothing and why a piece stays behind: a closed vocabulary, each with an English and a Chinese text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from governance.shipments import Rule, Sourcing
from models.splitting import Neighbour, Plan, neighbours, solve

Show = Callable[[int], str]
I64 = NDArray[np.int64]

DIAGNOSIS_LIMIT = 2_000
"""Search nodes for each question "would it ship without this rule?"."""


class NodeReason(StrEnum):
    """Why a node is not in the plan, the first that holds."""

    NODE_CLOSED = "NODE_CLOSED"
    FORBIDDEN = "FORBIDDEN"
    NO_LANE = "NO_LANE"
    NO_STOCK = "NO_STOCK"
    RESERVED = "RESERVED"
    SAFETY_STOCK = "SAFETY_STOCK"
    NO_CAPACITY = "NO_CAPACITY"
    DELIVER_BY = "DELIVER_BY"
    DELIVER_FROM = "DELIVER_FROM"
    TEMP_CLASS = "TEMP_CLASS"
    PINNED_ELSEWHERE = "PINNED_ELSEWHERE"
    WEIGHT_LIMIT = "WEIGHT_LIMIT"
    SHIP_TOGETHER = "SHIP_TOGETHER"
    MAX_SHIPMENTS = "MAX_SHIPMENTS"
    NO_PLAN = "NO_PLAN"
    SHIPS_FEWER = "SHIPS_FEWER"
    DEARER = "DEARER"
    EQUAL = "EQUAL"


class LineReason(StrEnum):
    """Why pieces of a line stay behind."""

    OUT_OF_STOCK = "OUT_OF_STOCK"
    RESERVED = "RESERVED"
    SAFETY_STOCK = "SAFETY_STOCK"
    NO_LANE = "NO_LANE"
    NODE_CLOSED = "NODE_CLOSED"
    FORBIDDEN = "FORBIDDEN"
    DELIVER_BY = "DELIVER_BY"
    DELIVER_FROM = "DELIVER_FROM"
    TEMP_CLASS = "TEMP_CLASS"
    PINNED_NODE = "PINNED_NODE"
    SHIP_TOGETHER = "SHIP_TOGETHER"
    SPLIT_LINES = "SPLIT_LINES"
    CAPACITY = "CAPACITY"
    WEIGHT_LIMIT = "WEIGHT_LIMIT"
    MAX_SHIPMENTS = "MAX_SHIPMENTS"
    REQUIRED_NODE = "REQUIRED_NODE"
    WHOLE_ORDER = "WHOLE_ORDER"


NODE_TEXTS: Mapping[NodeReason, tuple[str, str]] = {
    NodeReason.NODE_CLOSED: ("the node is {status} and ships nothing now", "该节点状态为 {status}，当前无法发货"),
    NodeReason.FORBIDDEN: ("the request forbids it", "请求禁止使用该节点"),
    NodeReason.NO_LANE: ("no rate leads from it to region {region}", "该节点没有通往区域 {region} 的运价"),
    NodeReason.NO_STOCK: ("it has none of the ordered SKUs", "该节点没有订单中的任何商品"),
    NodeReason.RESERVED: ("its pieces are reserved for other orders ({reserved})", "该节点的库存已为其他订单预留（{reserved} 件）"),
    NodeReason.SAFETY_STOCK: ("its {held} pieces are all safety stock", "该节点的 {held} 件全部为安全库存"),
    NodeReason.NO_CAPACITY: ("it has no capacity left", "该节点已无剩余处理能力"),
    NodeReason.DELIVER_BY: ("it delivers by {arrival} at p90, after {deliver_by}", "其 p90 送达时间 {arrival} 晚于要求的 {deliver_by}"),
    NodeReason.DELIVER_FROM: ("it delivers at {early} at p50, before {deliver_from}", "其 p50 送达时间 {early} 早于要求的 {deliver_from}"),
    NodeReason.TEMP_CLASS: ("it does not handle the temperature class of what it has in stock", "该节点不支持其库存商品所需的温层"),
    NodeReason.PINNED_ELSEWHERE: ("what it has in stock is pinned to another node", "其库存商品已指定由其他节点发货"),
    NodeReason.WEIGHT_LIMIT: ("its rates carry no piece of what it has in stock", "其运价的重量上限容不下其库存商品的任何一件"),
    NodeReason.SHIP_TOGETHER: ("it cannot ship in full what has to leave whole", "该节点无法整单发运不可拆分的商品"),
    NodeReason.MAX_SHIPMENTS: ("the required nodes take all of the {max_shipments} permitted shipments", "必须发货的节点已占满允许的 {max_shipments} 个包裹"),
    NodeReason.NO_PLAN: ("no plan keeps the hard constraints", "没有满足全部硬约束的方案"),
    NodeReason.SHIPS_FEWER: ("the nearest plan with it leaves {pieces} more pieces unfilled", "采用该节点的最接近方案会多留 {pieces} 件未发"),
    NodeReason.DEARER: ("the nearest plan with it costs {delta} more", "采用该节点的最接近方案成本高出 {delta}"),
    NodeReason.EQUAL: ("a plan with it costs the same; the tie goes to fewer shipments, then to the first node id", "采用该节点成本相同；按包裹更少、节点编号靠前者优先"),
}  # fmt: skip

LINE_TEXTS: Mapping[LineReason, tuple[str, str]] = {
    LineReason.OUT_OF_STOCK: ("{asked} pieces of {sku} are ordered, {usable} are usable in all nodes", "订购 {sku} 共 {asked} 件，全部节点可用 {usable} 件"),
    LineReason.RESERVED: ("{reserved} pieces of {sku} are reserved for other orders", "{sku} 有 {reserved} 件已为其他订单预留"),
    LineReason.SAFETY_STOCK: ("{held} pieces of {sku} are held back as safety stock", "{sku} 有 {held} 件作为安全库存保留"),
    LineReason.NO_LANE: ("no node that has it in stock has a rate to region {region}", "有库存的节点都没有通往区域 {region} 的运价"),
    LineReason.NODE_CLOSED: ("a node that has it in stock is closed", "有库存的节点已关闭"),
    LineReason.FORBIDDEN: ("a node that has it in stock is forbidden by the request", "有库存的节点被请求禁止"),
    LineReason.DELIVER_BY: ("no node that has it in stock delivers by {deliver_by} at p90", "有库存的节点都无法在 {deliver_by} 前（p90）送达"),
    LineReason.DELIVER_FROM: ("every node that has it in stock delivers before {deliver_from} at p50", "有库存的节点的 p50 送达时间都早于 {deliver_from}"),
    LineReason.TEMP_CLASS: ("no node that has it in stock handles temperature class {temp_class}", "有库存的节点都不支持温层 {temp_class}"),
    LineReason.PINNED_NODE: ("its pinned node {pinned} cannot ship it", "指定节点 {pinned} 无法发货"),
    LineReason.SHIP_TOGETHER: ("no node can ship its whole ship-together group {group}", "没有节点能整组发运同包组 {group}"),
    LineReason.SPLIT_LINES: ("no node can ship all its pieces, and lines may not be split", "没有节点能发出其全部件数，且请求不允许拆行"),
    LineReason.WEIGHT_LIMIT: ("the rates from the nodes that have it in stock carry no more weight", "有库存的节点的运价已达重量上限"),
    LineReason.WHOLE_ORDER: ("the order ships in full or not at all, and other pieces stay behind", "该订单须整单发货，而其他商品无法发出"),
    LineReason.CAPACITY: ("the nodes that have it in stock have no capacity left for it", "有库存的节点剩余处理能力不足"),
    LineReason.MAX_SHIPMENTS: ("it would need more than {max_shipments} shipments", "需要超过 {max_shipments} 个包裹"),
    LineReason.REQUIRED_NODE: ("the required nodes {required} cannot all ship a piece", "指定必须发货的节点 {required} 无法全部发货"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Why:
    """A reason with its texts.

    Attributes:
        delta: for a dearer node, by how much, millionths.
        rules: for pieces that stay behind, every constraint whose lifting helps.
    """

    code: str
    text: Mapping[str, str]
    delta: int | None = None
    rules: tuple[str, ...] = ()


def _why(texts: tuple[str, str], code: str, facts: Mapping[str, Any], delta: int | None = None, rules: tuple[str, ...] = ()) -> Why:
    return Why(code, {"en": texts[0].format(**facts), "zh": texts[1].format(**facts)}, delta, rules)


def rejected_nodes(sourcing: Sourcing, plan: Plan, show: Show, moment: Show) -> list[tuple[str, Why]]:
    """Why each node that ships nothing lost, by node id.

    Args:
        sourcing: the problem.
        plan: the plan that won.
        show: writes millionths for a reader.
        moment: writes Millis for a reader.
    """
    used = {int(sourcing.problem.node[o]) for o in plan.options}
    whole = not plan.options and not sourcing.constraints.partial
    near = {} if whole else neighbours(sourcing.problem, plan)
    return [
        (node.node_id, _node_why(sourcing, n, near.get(n), plan, show=show, moment=moment))
        for n, node in enumerate(sourcing.nodes)
        if n not in used
    ]


def _node_why(sourcing: Sourcing, n: int, near: Neighbour | None, plan: Plan, *, show: Show, moment: Show) -> Why:
    code, delta = _hard_reason(sourcing, n), None
    facts: dict[str, Any] = {"max_shipments": sourcing.problem.max_shipments}
    if code is None and near is None:
        limited = sourcing.problem.max_shipments is not None and len(sourcing.problem.must) >= sourcing.problem.max_shipments
        stuck = not plan.options and (bool(sourcing.problem.must) or not sourcing.constraints.partial)
        code = NodeReason.NO_PLAN if stuck else NodeReason.MAX_SHIPMENTS if limited else NodeReason.SHIP_TOGETHER
    elif code is None and near is not None:
        delta = near.cost - plan.cost
        code = NodeReason.SHIPS_FEWER if near.left_out > plan.left_out else NodeReason.DEARER if delta > 0 else NodeReason.EQUAL
        facts |= {"pieces": near.left_out - plan.left_out, "delta": show(delta)}
        delta = delta if code is NodeReason.DEARER else None
    assert code is not None
    lanes, deliver_by = sourcing.lanes_of[n], sourcing.constraints.deliver_by
    if code is NodeReason.DELIVER_BY and deliver_by is not None:  # only these texts tell times
        facts |= {"arrival": moment(int(sourcing.arrival[lanes, 1].min())), "deliver_by": moment(deliver_by)}
    deliver_from = sourcing.constraints.deliver_from
    if code is NodeReason.DELIVER_FROM and deliver_from is not None:
        facts |= {"early": moment(int(sourcing.arrival[lanes, 0].max())), "deliver_from": moment(deliver_from)}
    facts |= {
        "status": sourcing.nodes[n].status,
        "region": sourcing.order.ship_to.region,
        "held": int(sourcing.held_back[n].sum()),
        "reserved": int(sourcing.reserved[n].sum()),
    }
    return _why(NODE_TEXTS[code], code.value, facts, delta)


def _hard_reason(sourcing: Sourcing, n: int) -> NodeReason | None:  # noqa: PLR0911, C901 - one for each reason
    """The first hard constraint that keeps the node from shipping even one piece."""
    problem, node = sourcing.problem, sourcing.nodes[n]
    lanes = sourcing.lanes_of[n]
    stocked = problem.stock[n, problem.sku] > 0
    if not node.ships:
        return NodeReason.NODE_CLOSED
    if node.node_id in sourcing.constraints.forbid_nodes:
        return NodeReason.FORBIDDEN
    if not lanes.size:
        return NodeReason.NO_LANE
    if not stocked.any():
        if sourcing.reserved[n].any():
            return NodeReason.RESERVED
        return NodeReason.SAFETY_STOCK if sourcing.held_back[n].any() else NodeReason.NO_STOCK
    if problem.capacity[n] == 0:
        return NodeReason.NO_CAPACITY
    possible = stocked[:, None]
    for rule, code in (
        (Rule.DELIVER_BY, NodeReason.DELIVER_BY),
        (Rule.DELIVER_FROM, NodeReason.DELIVER_FROM),
        (Rule.TEMP_CLASS, NodeReason.TEMP_CLASS),
        (Rule.PINNED_NODE, NodeReason.PINNED_ELSEWHERE),
    ):
        if rule not in sourcing.blocking:
            continue
        possible = possible & ~sourcing.blocked[rule][:, lanes]
        if not possible.any():
            return code
    if problem.limit is not None and problem.weight is not None:
        carried = (problem.limit[lanes] < 0)[None, :] | (problem.weight[:, None] <= problem.limit[lanes][None, :])
        if not (possible & carried).any():
            return NodeReason.WEIGHT_LIMIT
    return None


class Relaxation:
    """The pieces left out of each line when some rules are lifted; each question is solved once."""

    def __init__(self, sourcing: Sourcing) -> None:
        self.sourcing, self._known = sourcing, dict[frozenset[Rule], I64 | None]()

    def unfilled(self, lifted: Iterable[Rule]) -> I64 | None:
        """By line; ``None`` when there is no plan either."""
        rules = frozenset(lifted)
        if rules not in self._known:
            plan = solve(self.sourcing.without(rules), limit=DIAGNOSIS_LIMIT, runner_up=False).plan
            self._known[rules] = None if plan is None else plan.unfilled
        return self._known[rules]

    def smallest(self, rules: Sequence[Rule], helps: Callable[[I64], bool]) -> tuple[Rule, ...]:
        """A smallest set of rules whose lifting helps, in that no rule of it can be kept; empty when lifting all does not help.

        Starts with all of them lifted and puts one after the other back.
        """
        lifted = list(rules)
        found = self.unfilled(lifted)
        if found is None or not helps(found):
            return ()
        for rule in rules:
            fewer = [other for other in lifted if other is not rule]
            found = self.unfilled(fewer)
            if found is not None and helps(found):
                lifted = fewer
        return tuple(lifted)


def unfilled_lines(sourcing: Sourcing, plan: Plan | None, moment: Show, relaxation: Relaxation) -> list[tuple[int, int, Why]]:
    """For each line that is not shipped in full: its number, the pieces left out, and the constraint that is in the way.

    A rule is in the way when the optimum without it leaves fewer pieces of the line out. Rules are lifted one by one, and where no single one
    helps, all of a smallest set that does.
    """
    unfilled = sourcing.problem.quantity if plan is None else plan.unfilled
    lines = [int(i) for i in np.flatnonzero(unfilled)]
    codes = {i: _stock_reason(sourcing, i, int(unfilled[i])) for i in lines}
    rules = sourcing.active_rules()
    blame: dict[int, tuple[LineReason, ...]] = {}
    for i in lines:
        if codes[i] is not None:
            continue
        left = int(unfilled[i])
        singles = [rule for rule in rules if (found := relaxation.unfilled((rule,))) is not None and found[i] < left]
        blocking = singles or relaxation.smallest(rules, lambda found, i=i, left=left: bool(found[i] < left))  # type: ignore[misc]
        blame[i] = tuple(LineReason(rule.value) for rule in blocking)
    whys = []
    for i in lines:
        blamed = blame.get(i, ())
        code = codes[i] or (blamed[0] if blamed else LineReason.OUT_OF_STOCK)
        whys.append((i, int(unfilled[i]), _line_why(sourcing, i, code, blamed or (code,), moment)))
    return whys


def held_lines(sourcing: Sourcing, held: Plan, moment: Show, relaxation: Relaxation) -> list[tuple[int, int, Why]]:
    """As :func:`unfilled_lines` for an order that ships in full or not at all, and of which ``held`` is the most that could ship."""
    own = {i: why for i, _, why in unfilled_lines(sourcing, held, moment, relaxation)}
    whole = LineReason.WHOLE_ORDER
    return [
        (i, int(asked), own.get(i) or _line_why(sourcing, i, whole, (whole,), moment))
        for i, asked in enumerate(sourcing.problem.quantity.tolist())
    ]


def infeasible_because(sourcing: Sourcing, plan: Plan | None, relaxation: Relaxation) -> tuple[tuple[Rule, ...], int] | None:
    """A smallest set of rules that keeps pieces from shipping which stock and lanes permit, and how many more ship without it; ``None`` for none."""
    left = int((sourcing.problem.quantity if plan is None else plan.unfilled).sum())
    rules = sourcing.active_rules()
    found = relaxation.unfilled(rules) if left else None
    if found is None or int(found.sum()) >= left:
        return None
    fewest = int(found.sum())
    return relaxation.smallest(rules, lambda found: int(found.sum()) <= fewest), left - fewest


def _stock_reason(sourcing: Sourcing, i: int, missing: int) -> LineReason | None:
    """Whether stock or lanes alone explain what is missing, whatever the rules."""
    problem = sourcing.problem
    s = problem.sku[i]
    asked = int(problem.quantity[problem.sku == s].sum())
    usable, held, reserved = (int(pieces[:, s].sum()) for pieces in (problem.stock, sourcing.held_back, sourcing.reserved))
    served = np.zeros(problem.capacity.size, dtype=np.bool_)
    served[problem.node] = True
    if asked - usable >= missing:
        if reserved >= missing:
            return LineReason.RESERVED
        return LineReason.SAFETY_STOCK if held >= missing else LineReason.OUT_OF_STOCK
    return LineReason.NO_LANE if asked - int(problem.stock[served, s].sum()) >= missing else None


def _line_why(sourcing: Sourcing, i: int, code: LineReason, rules: tuple[LineReason, ...], moment: Show) -> Why:
    problem, line = sourcing.problem, sourcing.order.lines[i]
    s, constraints = problem.sku[i], sourcing.constraints
    facts = {
        "sku": line.sku,
        "asked": int(problem.quantity[problem.sku == s].sum()),
        "usable": int(problem.stock[:, s].sum()),
        "held": int(sourcing.held_back[:, s].sum()),
        "reserved": int(sourcing.reserved[:, s].sum()),
        "region": sourcing.order.ship_to.region,
        "deliver_by": moment(constraints.deliver_by) if constraints.deliver_by is not None else "",
        "deliver_from": moment(constraints.deliver_from) if constraints.deliver_from is not None else "",
        "temp_class": line.temp_class,
        "pinned": line.pinned_node,
        "group": line.ship_together_group,
        "max_shipments": problem.max_shipments,
        "required": ", ".join(constraints.require_nodes),
    }
    return _why(LINE_TEXTS[code], code.value, facts, rules=tuple(rule.value for rule in rules))
