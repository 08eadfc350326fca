"""The console with its ports held in memory: real pages, no database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from feature_store.times import DAY, MINUTE, parse_time
from serving.console import ports
from serving.console.app import create_console
from serving.console.session import SessionSigner
from serving.errors import Problem, ProblemKind, invalid

NOW = parse_time("2026-11-11T00:10:00.000Z")
DECIDED = parse_time("2026-11-11T00:00:03.140Z")
MATRIX = {
    "inspect": {"auditor", "reviewer", "policy_owner", "approver"},
    "train": {"trainer"},
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


@dataclass
class Accounts:
    keys: dict[str, ports.Account] = field(
        default_factory=lambda: {
            f"ord_{role}_key": ports.Account(f"local-{role}", role, f"hash-{role}")
            for role in ("oms", "auditor", "trainer", "admin", "reviewer")
        }
    )
    tokens: dict[str, ports.Account] = field(default_factory=lambda: {"once": ports.Account("local-auditor", "auditor")})
    revoked: set[str] = field(default_factory=set)

    def authenticate(self, key: str) -> ports.Account | None:
        return self.keys.get(key)

    def still_valid(self, key_hash: str) -> bool:
        return key_hash not in self.revoked

    def consume_login(self, token: str) -> ports.Account | None:
        return self.tokens.pop(token, None)

    def may(self, role: str, action: str) -> bool:
        return role in MATRIX[action]


@dataclass
class Decisions:
    stored: list[ports.DecisionFacts] = field(default_factory=lambda: [fraud(), facts(), split()])
    asked: list[ports.DecisionFilters] = field(default_factory=list)
    page: int = 50

    def search(self, filters: ports.DecisionFilters, cursor: str | None, limit: int) -> ports.DecisionSlice:
        self.asked.append(filters)
        if cursor is not None and not cursor.isdigit():
            raise ports.CursorRefused
        lines = [one.line for one in sorted(self.stored, key=lambda one: -one.line.decided_at) if self._fits(one.line, filters)]
        start = int(cursor or 0)
        end = start + min(limit, self.page)
        return ports.DecisionSlice(tuple(lines[start:end]), str(end) if end < len(lines) else None)

    def _fits(self, line: ports.DecisionLine, filters: ports.DecisionFilters) -> bool:
        same = all(getattr(filters, name) in {None, getattr(line, name)} for name in ("type", "outcome", "status", "order_id", "region"))
        return (
            same
            and (filters.since is None or line.decided_at >= filters.since)
            and (filters.until is None or line.decided_at < filters.until)
        )

    def get(self, record_id: str) -> ports.DecisionFacts | None:
        return next((one for one in self.stored if one.line.record_id == record_id), None)

    def of_order(self, order_id: str) -> Sequence[ports.DecisionFacts]:
        return sorted((one for one in self.stored if one.line.order_id == order_id), key=lambda one: one.line.decided_at)

    def types(self) -> Sequence[str]:
        return ("acceptance", "fraud", "split-order", "scms-late")

    def reason_text(self, code: str, language: str) -> str:
        return code.replace("_", " ").capitalize()


REPORT: dict[str, Any] = {
    "ok": True,
    "rows": 10_324,
    "columns": [
        {"name": "late", "kind": "integer", "role": "feature", "missing": 0, "distinct": 2, "min": "0", "max": "1", "examples": ["0", "1"]},
        {
            "name": "Scheduled Delivery Date",
            "kind": "time",
            "role": "feature",
            "missing": 0,
            "distinct": 2006,
            "min": "2006-05-02T00:00:00.000Z",
            "max": "2015-12-31T00:00:00.000Z",
            "examples": [],
        },
        {
            "name": "Country",
            "kind": "category",
            "role": "feature",
            "missing": 0,
            "distinct": 43,
            "min": None,
            "max": None,
            "examples": ["South Africa", "Nigeria"],
        },
        {
            "name": "Weight (Kilograms)",
            "kind": "number",
            "role": "feature",
            "missing": 3952,
            "distinct": 4688,
            "min": "0",
            "max": "857354",
            "examples": [],
        },
        {
            "name": "Delivered to Client Date",
            "kind": "time",
            "role": "feature",
            "missing": 0,
            "distinct": 2093,
            "min": "2006-05-02T00:00:00.000Z",
            "max": "2015-09-14T00:00:00.000Z",
            "examples": [],
        },
    ],
    "problems": [
        {
            "code": "read_as_missing",
            "loc": ["file"],
            "msg": "3,952 cells hold no number ('Weight Captured Separately'): they count as missing.",
            "fix": "Nothing to do, if that is what they mean.",
            "severity": "warning",
            "row": 20,
            "column": "Weight (Kilograms)",
            "count": 3952,
        }
    ],
    "target": None,
    "time": None,
    "task": None,
    "file": {"encoding": "utf-8", "delimiter": ",", "bytes": 4_200_000},
    "distributions": {
        "late": {"top": [["0", 9138], ["1", 1186]], "others": 0},
        "Country": {
            "top": [["South Africa", 1406], ["Nigeria", 1194], ["Côte d'Ivoire", 1083], ["Uganda", 779], ["Vietnam", 688]],
            "others": 5174,
        },
        "Weight (Kilograms)": {
            "bins": [900, 700, 640, 500, 410, 300, 260, 220, 190, 150, 120, 100, 90, 70, 60, 55, 40, 35, 30, 22, 18, 15, 9, 30],
            "low": "1",
            "high": "21000",
        },
        "Scheduled Delivery Date": {
            "bins": [3, 12, 40, 60, 120, 180, 260, 300, 420, 500, 520, 560, 600, 640, 600, 610, 640, 660, 700, 690, 640, 600, 520, 300],
            "low": "2006-08-01T00:00:00.000Z",
            "high": "2015-06-30T00:00:00.000Z",
        },
    },
}
LEAK = {
    "code": "leakage",
    "loc": ["file"],
    "msg": "It is only known after the outcome: 97 % of its values lie after the time of decision.",
    "fix": "It is left out.",
    "severity": "warning",
    "column": "Delivered to Client Date",
}

TRAINED: dict[str, Any] = {
    "task": "binary",
    "card": {
        "evaluation": {
            "rows": 2_065,
            "metrics": {
                "auc": {"value": 0.871, "low": 0.852, "high": 0.889},
                "average_precision": {"value": 0.52, "low": 0.47, "high": 0.57},
                "ece": {"value": 0.014, "low": 0.009, "high": 0.022},
                "calibration_slope": {"value": 1.02, "low": 0.91, "high": 1.13},
                "brier": {"value": 0.071, "low": 0.065, "high": 0.078},
                "base_rate": {"value": 0.115, "low": 0.104, "high": 0.127},
            },
            "reliability": [
                {"rows": 207, "predicted": p, "observed": o}
                for p, o in (
                    (0.01, 0.0), (0.02, 0.02), (0.03, 0.034), (0.04, 0.05), (0.06, 0.05),
                    (0.08, 0.09), (0.11, 0.10), (0.16, 0.19), (0.27, 0.24), (0.52, 0.55),
                )
            ],
            "slices": [
                {"slice": "Country", "segment": "Nigeria", "rows": 310, "observed": 0.21, "predicted": 0.2, "auc": 0.81},
                {"slice": "Country", "segment": "Uganda", "rows": 190, "observed": 0.05, "predicted": 0.06, "auc": 0.9},
                {"slice": "Shipment Mode", "segment": "Ocean", "rows": 120, "observed": 0.3, "predicted": 0.24, "auc": 0.72},
            ],
        },
        "rows": {"learnt_from": 7_640, "judged_on": 2_065, "left_out": 31},
        "split": {
            "method": "time",
            "learnt": ["2006-05-02T00:00:00.000Z", "2013-12-20T00:00:00.000Z"],
            "judged": ["2013-12-20T00:00:00.000Z", "2015-12-31T00:00:00.000Z"],
        },
        "data": {
            "excluded": [
                {"column": "Delivered to Client Date", "reason": "It is only known after the outcome."},
                {"column": "ID", "reason": "It names the row."},
            ]
        },
        "limits": ["It says what went along with the outcome in the past; it does not say what causes it."],
    },
    "drivers": [
        {"name": "Country", "importance": 0.61},
        {"name": "Vendor", "importance": 0.44},
        {"name": "Weight (Kilograms)", "importance": 0.2},
    ],
}  # fmt: skip


class Upload:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._data = b""

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def finish(self, filename: str, template: str, principal: str) -> ports.DatasetFacts:
        if b"," not in self._data:
            raise ports.Refused(
                invalid(
                    [
                        {
                            "loc": ["file"],
                            "msg": "This row has 1 field, the header 3.",
                            "row": 7,
                            "column": "price",
                            "fix": "Correct the row.",
                        }
                    ]
                )
            )
        made = ports.DatasetFacts(f"d-{len(self._bench.files)}", filename, "ab" * 32, 10_324, len(self._data), template, principal, NOW)
        self._bench.files[made.dataset_id] = made
        return made

    def abort(self) -> None:
        self._data = b""


@dataclass
class Workbench:
    files: dict[str, ports.DatasetFacts] = field(default_factory=dict)
    runs: dict[str, ports.TrainingFacts] = field(default_factory=dict)
    steps: dict[str, list[ports.ProgressFacts]] = field(default_factory=dict)

    def templates(self) -> Sequence[ports.TemplateFacts]:
        return (
            ports.TemplateFacts(
                "custom",
                {"en": "A decision of your own", "zh": "自定义决策"},
                {"en": "Any table with a column that says what happened.", "zh": "任何包含结果列的表格。"},
            ),
            ports.TemplateFacts(
                "fraud",
                {"en": "Fraud", "zh": "欺诈"},
                {"en": "Is an order fraudulent?", "zh": "订单是否为欺诈？"},
                "fraud",
                "label",
                "decided_at",
            ),
        )

    def receive(self) -> Upload:
        return Upload(self)

    def dataset(self, dataset_id: str) -> ports.DatasetFacts | None:
        return self.files.get(dataset_id)

    def datasets(self, limit: int) -> Sequence[ports.DatasetFacts]:
        return list(self.files.values())[:limit]

    def check(self, dataset_id: str, purpose: ports.Purpose) -> Mapping[str, Any]:
        target, time = purpose.target, purpose.time
        columns = [dict(it) for it in REPORT["columns"]]
        for it in columns:
            if it["name"] == target:
                it["role"] = "target"
            elif it["name"] == time:
                it["role"] = "time"
            elif it["name"] in purpose.exclude:
                it.update(role="excluded", code="excluded_by_user", reason="Left out by the user.")
            elif it["name"] == "Delivered to Client Date" and target and it["name"] not in purpose.keep:
                it.update(role="excluded", code="leakage", reason=LEAK["msg"])
        problems = [*REPORT["problems"], *([LEAK] if target else [])]
        return {**REPORT, "columns": columns, "problems": problems, "target": target, "time": time, "task": "binary" if target else None}

    def start(self, request: ports.TrainingRequest, principal: str) -> ports.TrainingFacts:
        if not request.purpose.target:
            raise ports.Refused(invalid([{"loc": ["target"], "msg": "choose the column to predict"}]))
        purpose = request.purpose
        spec = {
            "target": purpose.target,
            "time": purpose.time,
            "budget_s": request.budget_s,
            "keep": list(purpose.keep),
            "exclude": list(purpose.exclude),
        }
        made = ports.TrainingFacts(
            f"t-{len(self.runs)}", request.dataset_id, request.name or "model", purpose.template, spec, "queued", principal, NOW
        )
        self.runs[made.training_id] = made
        self.steps[made.training_id] = []
        return made

    def training(self, training_id: str) -> ports.TrainingFacts | None:
        return self.runs.get(training_id)

    def trainings(self, limit: int) -> Sequence[ports.TrainingFacts]:
        return list(self.runs.values())[:limit]

    def progress(self, training_id: str, after_step: int) -> Sequence[ports.ProgressFacts]:
        return [step for step in self.steps[training_id] if step.step > after_step]

    def cancel(self, training_id: str) -> bool:
        if self.runs[training_id].over:
            return False
        self.runs[training_id] = replace(self.runs[training_id], state="cancelled", finished_at=NOW)
        return True

    def say(self, training_id: str, stage: str, share: float, message: str) -> None:
        """What a training writes while it runs."""
        self.runs[training_id] = replace(self.runs[training_id], state="running")
        steps = self.steps[training_id]
        steps.append(ports.ProgressFacts(len(steps), NOW, {"stage": stage, "share": share, "message": message}))

    def finish(self, training_id: str) -> None:
        self.runs[training_id] = replace(self.runs[training_id], state="done", model_version=1, report=TRAINED, finished_at=NOW)


@dataclass
class Models:
    versions: list[ports.ModelFacts] = field(
        default_factory=lambda: [
            ports.ModelFacts(
                "acceptance", 3, "acceptance", "acceptance", "sha256:" + "ab" * 32, "local-trainer", NOW - DAY, ("champion",), TRAINED
            ),
            ports.ModelFacts("scms-late", 1, "scms-late", "custom", "sha256:" + "cd" * 32, "local-trainer", NOW, (), TRAINED),
        ]
    )
    can_publish: bool = True
    published: list[tuple[str, int, str]] = field(default_factory=list)

    def all(self) -> Sequence[ports.ModelFacts]:
        return self.versions

    def get(self, name: str, version: int) -> ports.ModelFacts | None:
        return next((it for it in self.versions if (it.name, it.version) == (name, version)), None)

    def request_schema(self, name: str, version: int) -> Mapping[str, Any] | None:
        return {"type": "object", "properties": {"Country": {"type": "string"}}} if name == "scms-late" else None

    def example(self, name: str, version: int) -> Mapping[str, Any] | None:
        return {"Country": "Côte d'Ivoire", "Weight (Kilograms)": 13} if name == "scms-late" else None

    def publish(self, name: str, version: int, principal: str) -> None:
        found = self.get(name, version)
        if found is None:
            raise ports.Refused(Problem(ProblemKind.NOT_FOUND, "There is no such version."))
        self.published.append((name, version, principal))
        self.versions[self.versions.index(found)] = replace(found, aliases=("champion",))


@dataclass
class World:
    """The console and what is behind it."""

    accounts: Accounts = field(default_factory=Accounts)
    decisions: Decisions = field(default_factory=Decisions)
    workbench: Workbench = field(default_factory=Workbench)
    models: Models = field(default_factory=Models)
    clock: list[int] = field(default_factory=lambda: [NOW])

    def wiring(self, **changes: Any) -> ports.Wiring:
        made = ports.Wiring(
            self.accounts,
            self.decisions,
            self.workbench,
            self.models,
            SessionSigner(b"s" * 32),
            lambda: self.clock[0],
            max_upload_bytes=200_000,
        )
        return replace(made, **changes)


class Browser:
    """Speaks to the application as a browser does: keeps cookies, sends forms with their token."""

    def __init__(self, world: World, **changes: Any) -> None:
        self.app = create_console(world.wiring(**changes))
        self.cookies = httpx.Cookies()
        self.headers = {"accept": "text/html", "accept-language": "en"}

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://console", cookies=self.cookies) as client:
                answer = await client.request(method, path, headers={**self.headers, **more.pop("headers", {})}, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(once())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.send("GET", path, **more)

    def post(self, path: str, fields: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.send("POST", path, data=dict(fields or {}), **more)

    def login(self, role: str) -> Browser:
        page = self.get("/console/login")
        answer = self.post("/console/login", {"key": f"ord_{role}_key", "form_token": form_token(page), "target": ""})
        assert answer.status_code == 200, answer.text
        return self

    def token(self) -> str:
        """A form token of the session."""
        return form_token(self.get("/console/models"))


def form_token(page: httpx.Response) -> str:
    return page.text.split('name="form_token" value="')[1].split('"')[0]


def json_of(page: httpx.Response) -> Any:
    return json.loads(page.content)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world)


@pytest.fixture
def make_browser() -> type[Browser]:
    return Browser
