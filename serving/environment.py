"""What Ray, MLflow and the numeric libraries read from the environment, set before any of them is imported."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import time
from pathlib import Path

from serving.haproxy import write_launcher
from serving.home import Home
from serving.settings import Settings

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
}
"""No library phones home."""

SERVE = {
    # Replicas listen themselves and run our code on the loop that reads the socket; HAProxy is the only thing in front.
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # A dead HAProxy is noticed after a second, not after half a minute.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "1",
    # HAProxy's cost is mostly its log line per request.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    "RAY_SERVE_HAPROXY_LOG_TARGET": "127.0.0.1:514 sample 1:1000000",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "10000",
    # One machine: no idle worker processes, one memory arena a process, no threads that fight for two cores.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


GONE_LIMIT_S = 20
"""A killed process that is not gone by then is stuck in the kernel; waiting longer would not help."""


def prepare(settings: Settings, home: Home) -> None:
    """Set the environment of this process and all that it starts, and make the folder for sockets.

    An operator's own value of a variable wins, but for those that carry paths and the access token.
    """
    run = home.run
    run.parent.mkdir(mode=0o700, exist_ok=True)
    if run.parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{run.parent} belongs to another user")
    run.parent.chmod(0o700)
    run.mkdir(mode=0o700, exist_ok=True)
    for name, value in {**QUIET, **SERVE}.items():
        os.environ.setdefault(name, value)
    os.environ.update(
        RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=str(settings.drain_s),
        RAY_SERVE_HAPROXY_CONFIG_FILE_LOC=str(run / "haproxy.cfg"),
        RAY_SERVE_HAPROXY_SOCKET_PATH=str(run / "admin.sock"),
        RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH=str(run / "metrics.sock"),
        RAY_SERVE_HAPROXY_SERVER_STATE_BASE=str(run),
        RAY_SERVE_HAPROXY_SERVER_STATE_FILE=str(run / "server-state"),
        RAY_SERVE_HAPROXY_BINARY_PATH=str(write_launcher(run)),
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
    )


def clear_leftovers(home: Home) -> list[int]:
    """End what a killed service of this home left running, wait until it is gone, and empty its folder of sockets.

    Call it only while holding the home's lock: then nothing of this home can be meant to run. What is looked for is looked for
    again until nothing is found: a proxy that is about to end may have started another HAProxy in between.

    Returns:
        the ids of the processes that were ended.
    """
    ended: list[int] = []
    limit = time.monotonic() + GONE_LIMIT_S
    while (found := _left_running(str(home.run))) and time.monotonic() < limit:
        for process in found:
            _end(process, limit)
        ended += found
    shutil.rmtree(home.run, ignore_errors=True)
    return ended


def _left_running(run: str) -> list[int]:
    """The processes of the service whose sockets are in ``run``: by their arguments, or by the environment that all of them inherit."""
    starts = (f"{run}/", f"--session-dir={run}/", f"--log_dir={run}/")
    inherited = f"RAY_SERVE_HAPROXY_CONFIG_FILE_LOC={run}/".encode()
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            ours = any(argument.decode(errors="replace").startswith(starts) for argument in arguments)
            if ours or any(value.startswith(inherited) for value in (entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


def _end(process: int, limit: float) -> None:
    """Kill a process and wait until the kernel has taken back its sockets."""
    try:
        handle = os.pidfd_open(process)
    except OSError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], max(0.0, limit - time.monotonic()))
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
