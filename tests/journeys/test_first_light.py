"""The whole loop as its users meet it: one command up, decisions out, a real file in, the record read."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import math
import struct
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from governance.ledger.receipt import load_signer
from serving.client import Ordinance

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]
SCMS = Path(__file__).parents[2].parent / "shared" / "data" / "scms_delivery" / "scms_decoded.csv.gz"
EVENTS = {"acceptance": "fulfilment_failure", "fraud": "fraud", "split-order": "late"}


def fresh(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The same order under a new number."""
    return {**body, "order": {**body["order"], "order_id": f"J-{uuid.uuid4().hex[:12]}", **changes}}


def test_it_says_where_it_is_and_how_to_come_in(service: Any) -> None:
    said = service.said()
    assert f"Ordinance is at {service.url}" in said
    for role in ("oms", "auditor", "reviewer", "trainer", "policy_owner", "approver", "admin"):
        assert service.key(role) in said
    assert "Traceback" not in said
    ready = service.get("/readyz", role=None).json()
    assert ready["status"] == "ready"
    assert set(ready["models"]) >= set(EVENTS)


def test_the_printed_line_works_in_a_shell(service: Any) -> None:
    import subprocess

    said = service.said()
    line = said[said.index("curl -s ") : said.index("\n\nReady")]
    done = subprocess.run(["sh", "-c", line + " -w '\\n%{http_code}'"], capture_output=True, text=True, check=True)
    body, status = done.stdout.rsplit("\n", 1)
    assert status == "200", body


@pytest.mark.parametrize("kind", list(EVENTS))
def test_each_type_decides_explains_and_records(service: Any, orders: list[dict[str, Any]], kind: str) -> None:
    ask = {"acceptance": Ordinance.acceptance, "fraud": Ordinance.fraud, "split-order": Ordinance.split_order}[kind]
    # The receipt is signed by the home's key: the client believes no other one.
    with Ordinance(service.url, service.key("oms"), within_s=30, log_key=str(load_signer(service.home / "keys").verifier)) as client:
        made = ask(client, fresh(orders[0])["order"])
        decision = made.raw
        assert client.proof(made.receipt).record_id == made.decision_id
    assert decision["confidence"]["event"] == EVENTS[kind]
    assert decision["confidence"]["low"] <= decision["confidence"]["probability"] <= decision["confidence"]["high"]
    assert 1 <= len(decision["reasons"]) <= 4
    assert all(reason["text"]["en"] and reason["text"]["zh"] for reason in decision["reasons"])
    # The explanation is whole and exact.
    told = service.get(f"/v1/decisions/{decision['decision_id']}/explanation").json()
    total = math.fsum(one["contribution"] for one in told["contributions"])
    assert abs(told["base"] + total - told["margin"]) < 1e-9
    # The record can be read, and its leaf is the hash of the stored entry.
    stored = service.get(f"/v1/decisions/{decision['decision_id']}").json()
    assert stored["outcome"] == decision["outcome"]
    assert stored["record"]["snapshot"]["names"]
    assert len(base64.b64decode(decision["receipt"]["leaf_hash"])) == hashlib.sha256().digest_size


def test_an_order_is_decided_as_a_whole_and_its_timeline_told(service: Any, orders: list[dict[str, Any]]) -> None:
    body = fresh(orders[1])
    with Ordinance(service.url, service.key("oms"), within_s=30) as client:
        told = client.orders(body["order"]).raw
    assert told["outcome"] in {"PROCEED", "HOLD", "STOP"}
    assert set(told["decisions"]) == {"fraud", "acceptance", "split_order"}
    timeline = service.get(f"/v1/orders/{body['order']['order_id']}/timeline").json()
    kinds = {item["type"] for item in timeline["items"]}
    assert {name for name, one in told["decisions"].items() if "skipped" not in one} <= {kind.replace("-", "_") for kind in kinds}


def test_the_same_key_gives_the_same_bytes_also_to_many_at_once(service: Any, orders: list[dict[str, Any]]) -> None:
    body, key = fresh(orders[2]), uuid.uuid4().hex
    first = service.post("/v1/decisions/fraud", body, key=key)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(service.post("/v1/decisions/fraud", body, key=key))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.content for one in answers if one.status_code == 200] == [first.content] * len(answers)
    other = service.post("/v1/decisions/fraud", fresh(orders[3]), key=key)
    assert other.status_code == 422
    found = service.get("/v1/decisions", order_id=body["order"]["order_id"]).json()["items"]
    assert len(found) == 1


def test_a_split_over_given_nodes_keeps_every_hard_constraint(service: Any, orders: list[dict[str, Any]]) -> None:
    from serving.api.schemas import SPLIT_EXAMPLE

    body = fresh(SPLIT_EXAMPLE)
    body["nodes"] = [{**SPLIT_EXAMPLE["nodes"][0], "node_id": name} for name in ("N1", "N2", "N3")]
    body["stock"] = [{**SPLIT_EXAMPLE["stock"][0], "node_id": name, "available": n} for name, n in (("N1", 2), ("N2", 3), ("N3", 9))]
    body["rates"] = [{**SPLIT_EXAMPLE["rates"][0], "node_id": name} for name in ("N1", "N2", "N3")]
    body["constraints"] = {"max_shipments": 2, "forbid_nodes": ["N3"]}
    told = service.post("/v1/decisions/split-order", body).json()
    assert told["outcome"] == "PLANNED"
    assert told["optimality"]["proven"] is True
    assert {shipment["node_id"] for shipment in told["shipments"]} <= {"N1", "N2"}
    assert any(lost["node_id"] == "N3" for lost in told["rejected_nodes"])
    unknown = fresh(SPLIT_EXAMPLE)
    unknown["constraints"] = {"require_nodes": ["N-NOWHERE"]}
    refused = service.post("/v1/decisions/split-order", unknown)
    assert refused.status_code == 422
    assert "N-NOWHERE" in refused.text


@pytest.mark.parametrize(
    ("path", "change", "status", "where"),
    [
        (
            "acceptance",
            {"lines": [{"line_id": "1", "sku": "S", "qty": -1, "unit_price": {"amount": "1", "currency": "CNY"}}]},
            422,
            ["order", "lines", 0, "qty"],
        ),
        ("acceptance", {"placed_at": "yesterday"}, 422, ["order", "placed_at"]),
        ("fraud", {"ship_to": {}}, 422, ["order", "ship_to", "region"]),
        ("fraud", {"surprise": 1}, 422, ["order", "surprise"]),
        ("nothing-of-that-name", {}, 404, None),
    ],
)
def test_a_bad_request_is_told_where_and_leaves_nothing(
    service: Any, orders: list[dict[str, Any]], path: str, change: dict[str, Any], status: int, where: list[Any] | None
) -> None:
    body = fresh(orders[4], **change)
    refused = service.post(f"/v1/decisions/{path}", body)
    assert refused.status_code == status
    problem = refused.json()
    assert refused.headers["content-type"] == "application/problem+json"
    assert len(refused.headers.get_list("x-request-id")) == 1
    assert problem["status"] == status
    assert where is None or where in [error["loc"] for error in problem["errors"]]
    assert service.get("/v1/decisions", order_id=body["order"]["order_id"]).json()["items"] == []


def test_no_key_no_role_no_idempotency_key(service: Any, orders: list[dict[str, Any]]) -> None:
    body = fresh(orders[5])
    assert service.post("/v1/decisions/fraud", body, role=None).status_code == 401
    assert service.post("/v1/decisions/fraud", body, role="auditor").status_code == 403
    with service.client() as client:
        assert client.post("/v1/decisions/fraud", json=body).status_code == 400
        assert client.post("/v1/decisions/fraud", content=b"{", headers={"Idempotency-Key": "x"}).status_code == 400


def test_a_new_key_works_at_once_and_a_wrong_role_is_explained(service: Any, orders: list[dict[str, Any]]) -> None:
    made = service.run("keys", "create", "--role", "oms", "--principal", "checkout")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip().splitlines()[-1]
    with service.client(None) as client:
        answered = client.post(
            "/v1/decisions/fraud", json=fresh(orders[6]), headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "first"}
        )
    assert answered.status_code == 200
    refused = service.run("keys", "create", "--role", "king")
    assert refused.returncode == 1
    assert "policy_owner" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.shared
def test_a_real_file_becomes_an_endpoint_that_answers_with_reasons(service: Any) -> None:
    if not SCMS.exists():
        pytest.skip("the evaluation data is not beside this checkout")
    trained = service.run(
        "train",
        str(SCMS),
        "--template",
        "custom",
        "--target",
        "late",
        "--time",
        "Scheduled Delivery Date",
        "--name",
        "scms-late",
        "--publish",
        "--budget",
        "20s",
    )
    assert trained.returncode == 0, trained.stderr
    for leaking in ("Delivered to Client Date", "Delivery Recorded Date"):
        assert leaking in trained.stdout
    assert f"{service.url}/v1/decisions/scms-late" in trained.stdout  # where the service is, not where it would be by default
    auc = next(line for line in trained.stdout.splitlines() if line.strip().startswith("auc"))
    value, low, high = (float(part.strip("[],")) for part in auc.split()[1:4])
    assert low < value < high
    assert low > 0.7, "well above chance on rows later than all that it learnt from"
    with gzip.open(SCMS, "rt", encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["Fulfill Via"] == "From RDC")
    del row["late"]
    answered = service.post("/v1/decisions/scms-late", {"row": row})
    assert answered.status_code == 200, answered.text
    decision = answered.json()
    assert decision["outcome"] in {"0", "1", "REVIEW"}
    assert decision["reasons"]
    assert math.isclose(sum(decision["prediction"]["probabilities"].values()), 1.0)
    told = service.get(f"/v1/decisions/{decision['decision_id']}/explanation").json()
    used = {one["feature"] for one in told["contributions"]}
    assert not any("Delivered" in name or "Recorded" in name for name in used)
    with service.client(None, follow_redirects=True) as browser:
        page = browser.get(f"/console/decisions/{decision['decision_id']}")
        assert "login" in str(page.url), "a page asks who is there"


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"", ["--target", "y"], "empty"),
        (b"a,b\n1,2\n", ["--target", "late"], "late"),
        (b"a,y\n" + b"\n".join(b"%d,1" % i for i in range(300)), ["--target", "y"], "same value"),
        (b"a,y\n\xff\xfe\x00\x01", ["--target", "y"], "binary file"),
        (
            b"when,a,y\n" + b"\n".join(b"%s,%d,%d" % (b"soon" if i == 6 else b"2026-01-%02d" % (1 + i % 28), i, i % 2) for i in range(300)),
            ["--target", "y", "--time", "when"],
            "row 8",
        ),
    ],
    ids=["empty", "no such column", "one class", "unreadable", "bad time"],
)
def test_a_file_that_cannot_be_used_is_told_why(service: Any, tmp_path: Path, content: bytes, options: list[str], said: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    refused = service.run("train", str(file), "--template", "custom", "--name", "never", *options)
    assert refused.returncode == 1
    assert said in refused.stderr.lower()
    assert "Traceback" not in refused.stderr


def test_figures_for_the_operator(service: Any) -> None:
    text = service.get("/metrics", role=None).text
    assert 'ordinance_ready{part="decisions"} 1' in text
    assert 'ordinance_decisions_total{type="fraud"' in text
    assert service.get("/healthz", role=None).json() == {"status": "ok"}


def test_raw_numbers_of_a_record_are_the_ones_explained(service: Any, orders: list[dict[str, Any]]) -> None:
    decision = service.post("/v1/decisions/acceptance", fresh(orders[7])).json()
    stored = service.get(f"/v1/decisions/{decision['decision_id']}").json()["record"]
    told = service.get(f"/v1/decisions/{decision['decision_id']}/explanation").json()
    raw = base64.urlsafe_b64decode(stored["contributions"] + "==")
    assert sorted(x for (x,) in struct.iter_unpack("<d", raw)) == sorted(one["contribution"] for one in told["contributions"])
