"""Starting, stopping, being killed: nothing of a service stays, and nothing that it answered is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from serving.home import FORMAT, open_home
from serving.up import require_free_port

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]

ROW = {
    "order": {"placed_at": "2026-11-11T00:00:00.000Z", "currency": "CNY", "customer": {"customer_id": "C-1"}, "ship_to": {"region": "east"}}
}


def body(number: object) -> dict[str, Any]:
    line = {"line_id": "1", "sku": "SKU-0001", "qty": 1, "unit_price": {"amount": "10.00", "currency": "CNY"}}
    return {"order": {**ROW["order"], "order_id": f"L-{number}", "lines": [line]}}


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_a_start_without_models_decides_by_rules_and_says_so(start: Any, tmp_path: Path) -> None:
    with start(tmp_path / "home", tmp_path / "log", "--empty") as service:
        ready = service.get("/readyz", role=None).json()
        assert (ready["status"], ready["models"]) == ("ready", {})
        told = service.post("/v1/decisions/acceptance", body(1)).json()
        assert told["model"] is None
        assert told["outcome"] in {"ACCEPT", "HOLD", "REJECT"}
        before = family(service.process.pid)
        assert len(before) > 5

        # Another service on the same home, or on the same port, is refused in words.
        second = service.run("up", "--port", str(_free()), "--empty")
        assert second.returncode == 1
        assert f"process {service.process.pid}" in second.stderr
        elsewhere = subprocess.run(
            [*_ordinance(), "up", "--home", str(tmp_path / "other"), "--port", str(service.port), "--empty"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert elsewhere.returncode == 1
        assert f"Port {service.port}" in elsewhere.stderr
        assert "Traceback" not in second.stderr + elsewhere.stderr
    _gone, stayed = psutil.wait_procs(before, timeout=15)
    assert [one.cmdline() for one in stayed if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    require_free_port("127.0.0.1", service.port)


def ask_until(service: Any, worker: int, stopping: threading.Event, answered: dict[str, bytes]) -> None:
    with service.client() as client:
        for i in range(100_000):
            key = f"k-{worker}-{i}"
            try:
                reply = client.post("/v1/decisions/fraud", json=body(key), headers={"Idempotency-Key": key})
            except httpx.HTTPError:
                return
            if reply.status_code == 200:
                answered[key] = reply.content
            if stopping.is_set():
                return


def test_a_killed_service_starts_again_and_gives_the_same_bytes(start: Any, tmp_path: Path) -> None:
    """SIGKILL of everything while requests run; the retry of each answered request gives the bytes that were answered."""
    answered: dict[str, bytes] = {}
    with start(tmp_path / "home", tmp_path / "log", "--empty") as service:
        stopping = threading.Event()
        workers = [threading.Thread(target=ask_until, args=(service, n, stopping, answered)) for n in range(4)]
        for worker in workers:
            worker.start()
        limit = time.monotonic() + 60
        while len(answered) < 100 and time.monotonic() < limit:
            time.sleep(0.01)
        for process in [*family(service.process.pid), psutil.Process(service.process.pid)]:
            process.kill()
        stopping.set()
        for worker in workers:
            worker.join()
        service.process.wait()
    assert len(answered) >= 100
    with start(tmp_path / "home", tmp_path / "log2", "--empty") as service, service.client() as client:
        for key, bytes_before in answered.items():
            again = client.post("/v1/decisions/fraud", json=body(key), headers={"Idempotency-Key": key})
            assert again.content == bytes_before


def test_only_the_driver_killed_leaves_nothing_in_the_way_of_the_next_start(start: Any, tmp_path: Path) -> None:
    with start(tmp_path / "home", tmp_path / "log", "--empty") as service:
        port = service.port
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
    command = [*_ordinance(), "up", "--home", str(tmp_path / "home"), "--port", str(port), "--empty"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as again:
        assert again.stdout is not None
        assert any("Ready" in line for line in again.stdout), "it ended before it was ready"
        again.send_signal(signal.SIGTERM)
        assert again.wait(60) == 0


def test_a_killed_replica_is_replaced_and_no_answer_is_lost(start: Any, tmp_path: Path) -> None:
    with start(tmp_path / "home", tmp_path / "log", "--empty") as service:
        first = service.post("/v1/decisions/fraud", body("a"), key="a")
        assert first.status_code == 200
        replicas = [one for one in family(service.process.pid) if "ServeReplica:decisions" in " ".join(one.cmdline())]
        assert replicas
        for replica in replicas:
            replica.kill()
        limit = time.monotonic() + 60
        statuses = set()
        while time.monotonic() < limit:
            try:
                again = service.post("/v1/decisions/fraud", body("a"), key="a")
            except httpx.HTTPError:
                continue
            statuses.add(again.status_code)
            if again.status_code == 200:
                break
        assert again.content == first.content
        assert statuses <= {200, 503}, "a client is told to try again, nothing else"


@pytest.mark.postgres
def test_the_same_service_on_postgresql(start: Any, tmp_path: Path, postgres_server: Any) -> None:
    url = postgres_server.new_database(migrated=False)
    with start(
        tmp_path / "home", tmp_path / "log", environment={"ORDINANCE_DATABASE_URL": url, "ORDINANCE_DEMO_ORDERS": "3000"}
    ) as service:
        key = uuid.uuid4().hex
        first = service.post("/v1/decisions/acceptance", body("pg"), key=key)
        assert first.status_code == 200, first.text
        assert first.json()["model"]["name"] == "acceptance"
        assert service.post("/v1/decisions/acceptance", body("pg"), key=key).content == first.content
        whole = service.post("/v1/orders/decide", body("pg-whole"))
        assert whole.status_code == 200, whole.text
        assert service.get("/v1/decisions", order_id="L-pg").json()["items"][0]["decision_id"] == first.json()["decision_id"]
    assert not (tmp_path / "home" / "ordinance.db").exists()
    postgres_server.release(url)


def test_a_home_from_a_newer_version_is_left_alone(command: Any, tmp_path: Path) -> None:
    open_home(tmp_path)
    (tmp_path / "ordinance.json").write_bytes(orjson.dumps({"format": FORMAT + 1}))
    refused = command("up", "--home", str(tmp_path), "--port", str(_free()))
    assert refused.returncode == 1
    assert "newer Ordinance" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_help_and_a_wrong_command_line(command: Any) -> None:
    told = command("--help")
    assert told.returncode == 0
    assert all(name in told.stdout for name in ("up", "keys", "train", "simulate"))
    assert command("up", "--port", "notaport").returncode == 2
    assert command("up", "--port", "70000").returncode == 2


def _ordinance() -> list[str]:
    import sys

    return [str(Path(sys.executable).with_name("ordinance"))]


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
