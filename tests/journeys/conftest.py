"""The real thing for whole journeys: ``ordinance up`` on a home of its own, reached over its port as users reach it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from governance.access import Role
from serving.home import Home
from serving.local_keys import local_key

ORDINANCE = str(Path(sys.executable).with_name("ordinance"))
DEMO_ORDERS = 6_000
"""Enough to train on, few enough for a test."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """One running ``ordinance up``."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self, role: str) -> str:
        return local_key(Home(self.home), Role(role))

    def client(self, role: str | None = "oms", **more: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key(role)}"} if role else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **more)

    def post(self, path: str, body: Any, *, role: str = "oms", key: str | None = None) -> httpx.Response:
        with self.client(role) as client:
            return client.post(path, json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})

    def get(self, path: str, *, role: str = "auditor", **query: Any) -> httpx.Response:
        with self.client(role) as client:
            return client.get(path, params=query)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run another command on the same home."""
        return ordinance(*arguments, "--home", str(self.home), environment=self.environment, timeout=timeout)


def ordinance(*arguments: str, environment: dict[str, str] | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ORDINANCE, *arguments], capture_output=True, text=True, check=False, timeout=timeout, env={**os.environ, **(environment or {})}
    )


@contextlib.contextmanager
def serving(home: Path, log: Path, *options: str, environment: dict[str, str] | None = None, limit_s: float = 240) -> Iterator[Service]:
    """Start the service, wait until it is ready, stop it by Ctrl-C, and see that nothing of it stays."""
    port = free_port()
    variables = {"ORDINANCE_DEMO_ORDERS": str(DEMO_ORDERS), "ORDINANCE_DRAIN_S": "0.5", **(environment or {})}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [ORDINANCE, "up", "--home", str(home), "--port", str(port), *options],
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    service = Service(home, port, process, log, variables)
    try:
        wait_ready(service, limit_s)
        yield service
    finally:
        stop(service)


def wait_ready(service: Service, limit_s: float) -> None:
    """Until the service says so itself: the address and the keys are printed last."""
    limit = time.monotonic() + limit_s
    while "Ready" not in service.said():
        assert service.process.poll() is None, f"the service ended with {service.process.returncode}:\n{service.said()}"
        assert time.monotonic() < limit, f"not ready after {limit_s} s:\n{service.said()}"
        time.sleep(0.1)


def stop(service: Service) -> list[str]:
    """Ctrl-C; returns the command lines of what stayed although it should not."""
    if service.process.poll() is None:
        family = psutil.Process(service.process.pid).children(recursive=True)
        service.process.send_signal(signal.SIGINT)
        try:
            service.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(service.process.pid, signal.SIGKILL)
            service.process.wait()
            raise
        _gone, stayed = psutil.wait_procs(family, timeout=10)
        return [" ".join(one.cmdline()) for one in stayed if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    return []


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One filled service for all journeys that leave it as useful as they found it."""
    folder = tmp_path_factory.mktemp("service")
    with serving(folder / "home", folder / "log") as running:
        yield running


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Orders of a simulated world as request bodies."""
    folder = tmp_path_factory.mktemp("world")
    made = ordinance("simulate", "--orders", "300", "--seed", "11", "-o", str(folder / "world"))
    assert made.returncode == 0, made.stderr
    return [json.loads(line) for line in (folder / "world" / "orders.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def start() -> Any:
    """Starts a service of one's own: ``with start(home, log, ...) as service``."""
    return serving


@pytest.fixture(scope="session")
def command() -> Any:
    """Runs one ``ordinance`` command to its end."""
    return ordinance
