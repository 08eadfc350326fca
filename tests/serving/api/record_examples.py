"""Takes the answers that the API's documentation shows from a real home, and writes them into ``serving/api/examples``.

    python tests/serving/api/record_examples.py HOME TABLE.csv TARGET

HOME is a demo home that nobody is using; it is changed. TABLE is a file with the columns of ``schemas.CUSTOM_EXAMPLE`` and a target, such as
``shipments.csv`` of ``ordinance simulate`` cut to these columns.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from feature_store.times import DAY, HOUR, MINUTE, format_time, now
from governance.access import Role
from serving.api import contract, system
from serving.api import control_operations as controls
from serving.api.again_operations import WHAT_IF_EXAMPLE
from serving.api.events import EXAMPLE as EVENTS
from serving.api.operations import CUSTOM_TYPE, bodies
from serving.api.review_operations import OVERRIDE_EXAMPLE
from serving.api.schemas import ACCEPTANCE_EXAMPLE
from serving.api.webhook_operations import WEBHOOK_EXAMPLE
from serving.confidence import ConfidenceWatch
from serving.home import open_home
from serving.local_keys import local_key
from serving.settings import Settings
from serving.wiring import run_training, wire_base, wire_decisions, workshop
from serving.wiring_console import wire_console
from training import service

LONGEST_LIST = 3


probes_told: dict[str, Any] = {}


class Loaded(system.Probes):
    """The service's probes, told by the replica in this process."""

    def deciding(self) -> tuple[dict[str, Any], str | None]:
        return probes_told, None


class Recorder:
    """Asks both applications of one home, without a network."""

    def __init__(self, settings: Settings) -> None:
        home = open_home(settings.home_folder)
        self.keys = {role: local_key(home, role) for role in Role}
        base = wire_base(settings)
        self.engine, self.shop = base.engine, workshop(base)
        self.wired = wire_decisions(settings)
        self.decisions = self.wired.app
        self.console = wire_console(settings, lambda training_id: run_training(settings, training_id))

    def ask(self, method: str, path: str, role: Role, **rest: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, role, **rest))

    async def _ask(self, method: str, path: str, role: Role, **rest: Any) -> httpx.Response:
        app = self.decisions if path.startswith(("/v1/decisions", "/v1/orders")) else self.console
        headers = {"authorization": f"Bearer {self.keys[role]}", **rest.pop("headers", {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000", timeout=600) as client:
            answer = await client.request(method, path, headers=headers, **rest)
        assert answer.status_code < 300, (path, answer.text)
        return answer


def short(value: Any) -> Any:
    """Long lists cut down to their beginning, so that an example can be read."""
    if isinstance(value, dict):
        return {name: short(item) for name, item in value.items()}
    if isinstance(value, list):
        return [short(item) for item in value[:LONGEST_LIST]]
    return value


def keep(name: str, answer: httpx.Response, *, whole: bool = False) -> Any:
    """Write one answer where the document finds it."""
    told = answer.json()
    (contract.EXAMPLES / f"{name}.json").write_text(json.dumps(told if whole else short(told), indent=1, ensure_ascii=False) + "\n")
    return told


def train(recorder: Recorder, table: Path, target: str) -> None:
    """The answers that a business user gets."""
    content = gzip.decompress(table.read_bytes()) if table.suffix == ".gz" else table.read_bytes()
    name = table.name.removesuffix(".gz")
    dataset = keep("dataset", recorder.ask("POST", f"/v1/datasets?template=custom&name={name}", Role.TRAINER, content=content))
    wanted = {
        "dataset_id": dataset["dataset_id"],
        "template": "custom",
        "target": target,
        "name": CUSTOM_TYPE,
        "budget_s": 5,
    }
    started = keep("training_started", recorder.ask("POST", "/v1/trainings", Role.TRAINER, json=wanted))
    address = f"/v1/trainings/{started['training_id']}"
    keep("training", recorder.ask("GET", address, Role.TRAINER))
    events = recorder.ask("GET", f"{address}/events", Role.TRAINER).text
    (contract.EXAMPLES / "training_events.txt").write_text("\n\n".join(events.split("\n\n")[:2]) + "\n\n")
    service.publish(recorder.shop, CUSTOM_TYPE, 1, changed_by="local-trainer", note="an example")


def told_now() -> dict[str, Any]:
    """The contract's events as if they happened a minute ago, under ids of their own."""
    at = now()
    moved = [{**one, "event_id": f"{one['event_id']}-{at}", "event_time": format_time(at - MINUTE)} for one in EVENTS["events"]]
    moved[2] |= {"valid_from": format_time(at + DAY), "valid_to": format_time(at + 2 * DAY)}
    return {"events": moved}


def decide(recorder: Recorder) -> None:
    """The answers that an OMS and an auditor get."""
    for name, path, body in bodies():
        if name != "batch":  # a process that has just started needs a moment for its first decision of each type
            recorder.ask("POST", path, Role.OMS, json={**body, "mode": "dry_run", "deadline_ms": 60_000})
        told = keep(name, recorder.ask("POST", path, Role.OMS, json=body, headers={"idempotency-key": f"example-{name}"}), whole=True)
        if name == "acceptance":
            keep("decision", recorder.ask("GET", told["links"]["self"], Role.AUDITOR))
            keep("explanation", recorder.ask("GET", f"{told['links']['self']}/explanation", Role.AUDITOR), whole=True)
        if told.get("reservation"):
            keep("reservation", recorder.ask("POST", f"/v1/reservations/{told['reservation']['id']}/settle", Role.OMS))
    ready = recorder.wired.force().to_json()
    told = {"status": "ready", "reasons": [], "models": ready["models"], "generation": ready["generation"], "version": version("ordinance")}
    (contract.EXAMPLES / "readyz.json").write_text(json.dumps(told, indent=1) + "\n")
    probes = Loaded(recorder.engine, "")
    probes_told.update(ready)
    (contract.EXAMPLES / "metrics.txt").write_text("".join(system._lines(probes, ConfidenceWatch(recorder.engine))))
    keep("events", recorder.ask("POST", "/v1/events", Role.OMS, json=told_now()))
    keep("search", recorder.ask("GET", "/v1/decisions?limit=2", Role.AUDITOR))
    keep("timeline", recorder.ask("GET", "/v1/orders/SO-1001/timeline", Role.AUDITOR))
    keep("features", recorder.ask("GET", "/v1/features?q=customer_return", Role.AUDITOR), whole=True)
    keep("models", recorder.ask("GET", "/v1/models", Role.AUDITOR))
    keep("model", recorder.ask("GET", f"/v1/models/{CUSTOM_TYPE}/versions/1", Role.AUDITOR))


def tell(recorder: Recorder) -> None:
    """The answers that an administrator gets about webhooks; nobody listens there, and nothing is tried for long."""
    made = keep("webhook_made", recorder.ask("POST", "/v1/webhooks", Role.ADMIN, json=WEBHOOK_EXAMPLE), whole=True)
    path = made["links"]["self"]
    keep("webhook_secret", recorder.ask("POST", f"{path}/secret", Role.ADMIN), whole=True)
    recorder.ask("POST", "/v1/killswitch", Role.APPROVER, json=controls.SWITCH_EXAMPLE)
    while not recorder.ask("GET", path, Role.ADMIN).json()["dead_letters"]:
        time.sleep(0.2)
    recorder.ask("POST", "/v1/killswitch", Role.APPROVER, json={**controls.SWITCH_EXAMPLE, "mode": "normal"})
    keep("webhook", recorder.ask("GET", path, Role.ADMIN), whole=True)
    keep("webhooks", recorder.ask("GET", "/v1/webhooks", Role.ADMIN), whole=True)
    keep("webhook_letters", recorder.ask("GET", f"{path}/dead-letters", Role.ADMIN))
    keep("webhook_replay", recorder.ask("POST", f"{path}/replay", Role.ADMIN, json={"all": True}))
    keep("webhook_removed", recorder.ask("DELETE", path, Role.ADMIN), whole=True)


def control(recorder: Recorder) -> None:
    """The answers that policy owners and approvers get."""
    owner, approver = Role.POLICY_OWNER, Role.APPROVER
    saved = keep("policy_saved", recorder.ask("POST", "/v1/policies", owner, json=controls.POLICY_EXAMPLE))
    address = f"/v1/policies/{saved['id']}"
    keep("backtest", recorder.ask("POST", f"{address}/backtest", owner, json=controls.BACKTEST_EXAMPLE))
    submitted = keep("approval_open", recorder.ask("POST", f"{address}/submit", owner, json=controls.SUBMIT_EXAMPLE))
    keep("approval", recorder.ask("POST", f"/v1/approvals/{submitted['approval_id']}", approver, json=controls.APPROVAL_EXAMPLE))
    keep("approvals", recorder.ask("GET", "/v1/approvals", approver))
    keep("policy_rollout", recorder.ask("POST", f"{address}/rollout", approver, json=controls.ROLLOUT_EXAMPLE))
    keep("policy_version", recorder.ask("GET", saved["links"]["self"], approver), whole=True)
    keep("policies", recorder.ask("GET", "/v1/policies", approver))
    keep("policy", recorder.ask("GET", address, approver), whole=True)
    keep("policy_rollback", recorder.ask("POST", f"{address}/rollback", approver, json=controls.ROLLBACK_EXAMPLE))
    entry = keep("entry", recorder.ask("POST", "/v1/lists", owner, json=controls.ENTRY_EXAMPLE))
    keep("lists", recorder.ask("GET", "/v1/lists", owner))
    keep("entry_removed", recorder.ask("DELETE", f"{entry['links']['self']}?reason=settled", owner))
    keep("killswitch", recorder.ask("POST", "/v1/killswitch", approver, json=controls.SWITCH_EXAMPLE))
    keep("killswitches", recorder.ask("GET", "/v1/killswitch", approver))


def compute_again(recorder: Recorder) -> None:
    """The answers about decisions of the past."""
    lines = [{**ACCEPTANCE_EXAMPLE["order"]["lines"][0], "qty": 4}]
    order = {**ACCEPTANCE_EXAMPLE["order"], "order_id": "SO-3001", "tags": ["presale"], "placed_at": format_time(now()), "lines": lines}
    order["promised_by"] = format_time(now() + 6 * HOUR)
    body = {**ACCEPTANCE_EXAMPLE, "deadline_ms": None, "order": order}
    told = recorder.ask("POST", "/v1/decisions/acceptance", Role.OMS, json=body, headers={"idempotency-key": "example-again"}).json()
    address = told["links"]["self"]
    keep("replay", recorder.ask("POST", f"{address}/replay", Role.AUDITOR), whole=True)
    keep("what_if", recorder.ask("POST", f"{address}/what-if", Role.REVIEWER, json=WHAT_IF_EXAMPLE), whole=True)
    keep("recourse", recorder.ask("GET", f"{address}/recourse", Role.REVIEWER), whole=True)
    keep("affected", recorder.ask("GET", f"/v1/affected?model_digest={told['model']['digest']}&limit=1", Role.AUDITOR))
    keep("sample", recorder.ask("GET", "/v1/sample?n=1&seed=2026-Q4", Role.AUDITOR))


def review(recorder: Recorder) -> None:
    """The answers that reviewers get, and those who tell outcomes."""
    at = now()
    hurried = {"tags": ["cross_border"], "placed_at": format_time(at), "promised_by": format_time(at + DAY // 4)}
    ids = []
    for number, price in enumerate(("129.99", "90000.00"), start=1):
        lines = [{**ACCEPTANCE_EXAMPLE["order"]["lines"][0], "unit_price": {"amount": price, "currency": "CNY"}}]
        body = {
            **ACCEPTANCE_EXAMPLE,
            "deadline_ms": None,
            "order": {**ACCEPTANCE_EXAMPLE["order"], **hurried, "order_id": f"SO-{2000 + number}", "lines": lines},
        }
        told = recorder.ask("POST", "/v1/decisions/acceptance", Role.OMS, json=body, headers={"idempotency-key": f"example-held-{number}"})
        ids.append(told.json()["decision_id"])
    keep("review_claimed", recorder.ask("POST", f"/v1/reviews/{ids[0]}/claim", Role.REVIEWER))
    keep("reviews", recorder.ask("GET", "/v1/reviews?queue=acceptance", Role.REVIEWER))
    keep("review_reasons", recorder.ask("GET", "/v1/reviews/reasons", Role.REVIEWER))
    keep("override", recorder.ask("POST", f"/v1/decisions/{ids[0]}/override", Role.REVIEWER, json=OVERRIDE_EXAMPLE), whole=True)
    recorder.ask("POST", f"/v1/decisions/{ids[1]}/override", Role.REVIEWER, json=OVERRIDE_EXAMPLE)
    refused = recorder.ask("DELETE", f"/v1/decisions/{ids[1]}/override?note=The+customer+could+not+be+reached.", Role.REVIEWER)
    keep("override_refused", refused, whole=True)
    outcome = {"order_id": "SO-2001", "type": "acceptance", "label": "fulfilled", "observed_at": format_time(at)}
    keep("outcomes", recorder.ask("POST", "/v1/outcomes", Role.OMS, json={"outcomes": [outcome]}), whole=True)


if __name__ == "__main__":
    made = Recorder(Settings(home=Path(sys.argv[1]), webhook_retry_s=0.1, webhook_give_up_s=0.2))
    train(made, Path(sys.argv[2]), sys.argv[3])
    while CUSTOM_TYPE not in made.wired.force().models:
        time.sleep(0.1)
    decide(made)
    compute_again(made)
    review(made)
    control(made)
    tell(made)
