"""The client and a receiver of webhooks beside the real service, as docs/client.md shows them."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from serving.client import Ordinance, Refused

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]
DOCS = (Path(__file__).parents[2] / "docs" / "client.md").read_text()


@pytest.fixture
def client(service: Any) -> Iterator[Ordinance]:
    with Ordinance(service.url, service.key("oms"), within_s=20) as client:
        yield client


def fresh(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**body["order"], "order_id": f"C-{uuid.uuid4().hex[:12]}", **changes}


def test_what_the_docs_show_runs(service: Any) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
    assert len(blocks) == 4
    stopped: list[str] = []
    given: dict[str, Any] = {
        "URL": service.url, "OMS_KEY": service.key("oms"), "total": lambda order: 260, "log_error": print, "stop_order": stopped.append,
    }  # fmt: skip
    # Each run under numbers of its own: an order version is decided once.
    text = "\n".join(blocks).replace("SO-700", f"D-{uuid.uuid4().hex[:8]}-")
    exec(compile(text, "docs/client.md", "exec"), given)
    assert given["proof"].record_id == given["made"].decision_id
    assert given["LATER"] == []
    given["client"].close()
    given["careful"].close()


def test_every_kind_of_decision_is_a_value(client: Ordinance, orders: list[dict[str, Any]]) -> None:
    order = fresh(orders[8])
    whole = client.orders(order)
    assert whole.outcome in {"PROCEED", "HOLD", "STOP"}
    assert whole.fraud is not None
    assert whole.fraud.receipt is not None
    again = client.orders(order)
    assert again.raw == whole.raw, "the same version of an order has one answer"
    assert client.get(whole.fraud.decision_id or "")["outcome"] == whole.fraud.outcome
    dry = client.acceptance(order, dry_run=True)
    assert not dry.recorded
    with pytest.raises(Refused) as refused:
        client.fraud({**order, "surprise": 1}, key=uuid.uuid4().hex)
    assert refused.value.errors[0]["loc"] == ["order", "surprise"]
    items = [{"idempotency_key": uuid.uuid4().hex, "order": fresh(orders[9])} for _ in range(3)]
    assert [one.status for one in client.batch("fraud", items)] == [200] * 3
    assert all(one.decision is not None and one.decision.recorded for one in client.batch("fraud", items))


def test_a_receiver_is_told_what_was_decided(service: Any, client: Ordinance, orders: list[dict[str, Any]]) -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(
                ({name.lower(): value for name, value in self.headers.items()}, self.rfile.read(int(self.headers["content-length"])))
            )
            self.send_response(500 if len(got) == 1 else 204)  # the first time it fails
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with service.client("admin") as admin:
            url = f"http://127.0.0.1:{server.server_address[1]}/hook"
            made = admin.post("/v1/webhooks", json={"url": url, "events": ["decision.made"]}).json()
            decided = client.fraud(fresh(orders[10]))
            end = time.monotonic() + 60
            while not any(json.loads(body)["data"]["decision_id"] == decided.decision_id for _, body in got[1:]):
                assert time.monotonic() < end, got
                time.sleep(0.05)
            assert admin.delete(made["links"]["self"]).status_code == 200
    finally:
        server.shutdown()
        server.server_close()
    for headers, body in got:
        Webhook(made["secret"]).verify(body, headers)
