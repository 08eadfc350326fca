"""Start a server, wait until it answers, weigh it, stop it: what every benchmark of a running service needs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answered."""

    process: subprocess.Popen[bytes]
    port: int
    ready_s: float

    def pss_mib(self) -> float:
        """Proportional memory of the server and all its descendants, in MiB."""
        return pss_mib(self.process.pid)


def pss_mib(pid: int) -> float:
    """Σ PSS of a process and its descendants, in MiB; what they share counts once."""
    total = 0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            total += process.memory_full_info().pss
    return total / 2**20


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, path: str, limit_s: float = 300, environment: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[Running]:
    """Run a command until it answers 200 on a path, and stop it afterwards with SIGINT."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait(process, port, path, began + limit_s)
            yield Running(process, port, time.monotonic() - began)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, path: str, until: float) -> None:
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise RuntimeError(f"no 200 on {path} in time")
