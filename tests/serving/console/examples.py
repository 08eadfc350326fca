"""Decisions as the pages are told them: one of each type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from feature_store.times import DAY, MINUTE, parse_time
from serving.console import ports

NOW = parse_time("2026-11-11T00:10:00.000Z")
DECIDED = parse_time("2026-11-11T00:00:03.140Z")
MATRIX = {
    "decide": {"oms"},
    "inspect": {"auditor", "reviewer", "policy_owner", "approver"},
    "train": {"trainer"},
    "watch": {"auditor", "admin"},
    "consult": {"auditor", "reviewer", "trainer", "policy_owner", "approver", "admin"},
}

ORDER = {
    "order_id": "SO-1001",
    "order_version": 1,
    "placed_at": "2026-11-11T00:00:03.120Z",
    "channel": "app",
    "currency": "CNY",
    "tags": ["presale", "cross_border"],
    "promised_by": "2026-11-14T12:00:00.000Z",
    "customer": {"customer_id": "C-9", "segment": "gold"},
    "ship_to": {"region": "east", "city": "Shanghai"},
    "payment": {"method": "card", "status": "authorised"},
    "lines": [
        {"line_id": "1", "sku": "SKU-1", "qty": 2, "unit_price": {"amount": "129.99", "currency": "CNY"}, "category": "beauty"},
        {"line_id": "2", "sku": "SKU-77", "qty": 1, "unit_price": {"amount": "482.02", "currency": "CNY"}, "category": "bulky"},
    ],
}


def reason(rank: int, code: str, en: str, zh: str, direction: str = "raises") -> dict[str, Any]:
    return {
        "rank": rank,
        "code": code,
        "text": {"en": en, "zh": zh},
        "direction": direction,
        "contribution": 0.5,
        "feature": "f",
        "value": 1,
    }


FEATURES = (
    ("supplier_open_orders_7d", "Supplier's open orders, 7 days", "供应商 7 天未交订单", "orders", 410.0, 120.0, 0.82, "store", 5 * MINUTE),
    ("customs_rule_age_days", "Customs rule in force since", "海关新规已生效天数", "days", 10.0, 400.0, 0.51, "store", 10 * DAY),
    ("return_rate_last_3", "Returns in the last 3 orders", "最近 3 单退货率", "share", 2 / 3, 0.09, 0.34, "store", 3 * DAY),
    ("stock_over_safety", "Stock over safety level, bonded node", "保税仓安全库存余量", "pieces", 4.0, 60.0, 0.19, "store", 2 * MINUTE),
    ("carrier_on_time_30d", "Carrier on time, 30 days", "承运商 30 天准时率", "share", 0.98, 0.93, -0.39, "store", 40 * MINUTE),
    ("lines", "Lines of the order", "订单行数", "count", 2.0, 2.0, 0.02, "request", None),
    ("order_amount", "Amount of the order", "订单金额", "CNY", 742.0, 260.0, 0.06, "request", None),
    ("hour", "Hour of the day", "下单时刻", "h", 0.0, 15.0, 0.05, "request", None),
    ("customer_orders_90d", "Customer's orders, 90 days", "客户 90 天订单数", "orders", float("nan"), 2.0, -0.04, "default", None),
    ("address_shared_by", "Customers at this address", "同地址客户数", "customers", 1.0, 1.0, -0.05, "store", 90 * DAY),
)


def facts(**changes: Any) -> ports.DecisionFacts:
    """A held acceptance, as rich as one can be."""
    line = ports.DecisionLine(
        record_id="0193aaaa-0000-7000-8000-000000000001",
        type="acceptance",
        outcome="HOLD",
        status="decided",
        decided_at=DECIDED,
        order_id="SO-1001",
        order_version=1,
        customer_id="C-9",
        region="east",
        channel="app",
        reasons=("SUPPLIER_CAPACITY_LOW", "CUSTOMS_RULE_NEW"),
        probability=0.31,
        model_name="acceptance",
        model_version=3,
    )
    answer = {
        "decision_id": line.record_id,
        "type": "acceptance",
        "outcome": "HOLD",
        "status": "decided",
        "fallback_reason": None,
        "latency_ms": 6.2,
        "confidence": {"event": "fulfilment_failure", "probability": 0.31, "low": 0.24, "high": 0.39, "level": 0.9},
        "model": {"name": "acceptance", "version": 3, "digest": "sha256:" + "ab" * 32, "role": "champion"},
        "policy": {
            "id": "acceptance",
            "version": 5,
            "digest": "sha256:" + "cd" * 32,
            "results": [
                {"id": "customs_window", "hard": True, "passed": True, "detail": "2 days left"},
                {"id": "some_stock", "hard": True, "passed": True, "detail": ""},
                {"id": "failure_likely", "hard": False, "passed": False, "detail": "0.31 > 0.25"},
                {"id": "failure_certain", "hard": False, "passed": True, "detail": "0.31"},
            ],
        },
        "snapshot": {"digest": "sha256:" + "ef" * 32, "oldest_feature_age_s": 311},
        "review": {"queue": "presale", "due_at": "2026-11-11T04:00:00.000Z", "expires_to": "REJECT"},
        "promise": {"p50": "2026-11-14T09:00:00.000Z", "p90": "2026-11-16T18:00:00.000Z"},
        "receipt": {
            "record_id": line.record_id,
            "leaf_hash": "q1eOc7d2mO0Fz9Zb6n6p3kq0u8l1m9wq8v4T7uQeXbU=",
            "promised_at": "2026-11-11T00:00:03.141Z",
            "publish_by": "2026-11-11T00:00:04.141Z",
            "key_id": "7c1f22aa",
            "signature": "sig" * 28,
        },
    }
    features = tuple(
        ports.FeatureFact(name, {"en": en, "zh": zh}, value, unit, usual, part, origin, None if age is None else DECIDED - age)
        for name, en, zh, unit, value, usual, part, origin, age in FEATURES
    )
    made = ports.DecisionFacts(
        line=line,
        answer=answer,
        reasons=(
            reason(
                1, "SUPPLIER_CAPACITY_LOW", "The supplier is behind: 410 open orders, usual 120", "供应商积压：410 个未交订单，通常 120"
            ),
            reason(2, "CUSTOMS_RULE_NEW", "Customs rules changed 10 days ago", "海关规则 10 天前变更"),
            reason(3, "CARRIER_RELIABLE", "The carrier is on time, 98 %, usual 93 %", "承运商准时率 98 %，通常 93 %", "lowers"),
        ),
        features=features,
        base=-2.31,
        margin=-2.31 + sum(row[6] for row in FEATURES),
        as_of=DECIDED,
        view_version="acceptance/4",
        marks=(0.25, 0.6),
        checks={"failure_likely": {"en": "Risk above 25 % → hold", "zh": "风险高于 25 % → 暂缓"}},
        order=ORDER,
        raw={"record_id": line.record_id, "answer": answer},
    )
    return replace(made, **changes)


def fraud() -> ports.DecisionFacts:
    one = facts()
    answer = {
        "outcome": "ALLOW",
        "confidence": {"event": "fraud", "probability": 0.004, "low": 0.002, "high": 0.007, "level": 0.9},
        "model": {"name": "fraud", "version": 2, "digest": "sha256:" + "12" * 32, "role": "champion"},
        "expected_loss": {"amount": "2.97", "currency": "CNY"},
        "policy": {"id": "fraud", "version": 1, "digest": "sha256:" + "34" * 32, "results": []},
        "receipt": {"key_id": "7c1f22aa"},
        "latency_ms": 3.1,
    }
    line = replace(
        one.line,
        record_id="0193aaaa-0000-7000-8000-000000000000",
        type="fraud",
        outcome="ALLOW",
        decided_at=DECIDED - 9,
        probability=0.004,
        reasons=("CARD_KNOWN",),
    )
    told = (reason(1, "CARD_KNOWN", "The card was used 14 times before without a dispute", "该卡此前使用 14 次且无争议", "lowers"),)
    return replace(one, line=line, answer=answer, reasons=told, marks=(0.05, 0.5), checks={})


def split() -> ports.DecisionFacts:
    one = facts()

    def money(amount: str) -> dict[str, str]:
        return {"amount": amount, "currency": "CNY"}

    def shipment(node: str, service: str, lines: Sequence[Mapping[str, Any]], cost: tuple[str, str, str]) -> dict[str, Any]:
        fixed, variable, processing = cost
        return {
            "node_id": node,
            "service": service,
            "lines": lines,
            "ship_at": "2026-11-11T10:00:00.000Z",
            "deliver": {"p50": "2026-11-13T10:00:00.000Z", "p90": "2026-11-14T08:00:00.000Z"},
            "p_on_time": 0.94,
            "cost": {"fixed": money(fixed), "variable": money(variable), "processing": money(processing)},
            "co2e_g": 640,
        }

    answer = {
        "outcome": "PLANNED",
        "confidence": {"event": "late", "probability": 0.08, "low": 0.05, "high": 0.12, "level": 0.9},
        "model": {"name": "split-order", "version": 1, "digest": "sha256:" + "56" * 32, "role": "champion"},
        "policy": {"id": "split-order", "version": 1, "digest": "sha256:" + "78" * 32, "results": []},
        "shipments": [
            shipment("CN-EAST-1", "std", [{"line_id": "1", "qty": 2}], ("6.00", "1.255", "1.50")),
            shipment("CN-NORTH-2", "heavy", [{"line_id": "2", "qty": 1}], ("18.00", "22.40", "4.00")),
        ],
        "objective": {
            "total": money("57.655"),
            "terms": {"cost": money("53.155"), "lateness": money("2.90"), "carbon": money("0.60"), "split": money("1.00")},
        },
        "optimality": {"proven": True, "gap": 0, "nodes_explored": 214, "ms": 0.4, "method": "branch-and-bound"},
        "runner_up": {
            "shipments": [{"node_id": "CN-EAST-1"}, {"node_id": "CN-WEST-1"}],
            "delta": {"cost": money("4.10"), "lateness_h": 6.5, "co2e_g": 210},
        },
        "rejected_nodes": [{"node_id": "CN-WEST-1", "reason": "¥4.10 dearer"}, {"node_id": "CN-SOUTH-3", "reason": "no stock of SKU-77"}],
        "unfilled": [],
        "receipt": {"key_id": "7c1f22aa"},
        "latency_ms": 8.4,
    }
    line = replace(
        one.line,
        record_id="0193aaaa-0000-7000-8000-000000000002",
        type="split-order",
        outcome="PLANNED",
        decided_at=DECIDED + 12,
        probability=0.08,
        reasons=(),
    )
    return replace(one, line=line, answer=answer, reasons=(), marks=(), checks={})
