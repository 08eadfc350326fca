"""Nothing of a killed service is in the way of the next."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.environment import clear_leftovers
from serving.home import Home

HOLDS = "import socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(600)"


@contextmanager
def holding_a_port(environment: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, *arguments], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_what_inherited_the_homes_environment_is_gone_and_its_port_free(tmp_path: Path) -> None:
    home = Home(tmp_path / "one")
    inherited = {"RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{home.run}/haproxy.cfg"}
    with holding_a_port(inherited) as (worker, _), holding_a_port({}, f"{home.run}/proxy") as (proxy, _):
        assert sorted(clear_leftovers(home)) == sorted([worker.pid, proxy.pid])
        assert worker.poll() is not None
        assert proxy.poll() is not None


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_another_homes_service_goes_on(tmp_path: Path) -> None:
    other = {"RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{Home(tmp_path / 'other').run}/haproxy.cfg"}
    with holding_a_port(other) as (worker, _):
        assert clear_leftovers(Home(tmp_path / "one")) == []
        assert worker.poll() is None
