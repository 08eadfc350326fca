"""What stands below the pages, without a database or a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feature_store.times import DAY
from governance import access
from serving.console import ports
from serving.errors import Problem, ProblemKind, invalid
from tests.serving.console.examples import NOW, facts, fraud, split


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
        return access.may(role, action)


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
        "late": {"top": [["0", 9000], ["1", 1000]], "others": 0},
        "Country": {
            "top": [["South Africa", 900], ["Nigeria", 800], ["Côte d'Ivoire", 700], ["Uganda", 600], ["Vietnam", 500]],
            "others": 6500,
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

    def drivers(self, name: str, version: int) -> Sequence[ports.DriverFact]:
        return [
            ports.DriverFact({"en": label, "zh": label}, share) for label, share in (("Vendor", 0.5), ("Country", 0.3), ("Weight", 0.2))
        ]

    def publish(self, name: str, version: int, principal: str) -> None:
        found = self.get(name, version)
        if found is None:
            raise ports.Refused(Problem(ProblemKind.NOT_FOUND, "There is no such version."))
        self.published.append((name, version, principal))
        self.versions[self.versions.index(found)] = replace(found, aliases=("champion",))
