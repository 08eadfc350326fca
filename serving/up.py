"""``ordinance up``: start everything on one machine and stay until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from serving import environment
from serving.home import Home, HomeRefused, exclusive, open_home
from serving.settings import Settings

READY_LIMIT_S = 300


class StartRefused(Exception):
    """The service cannot start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Saying:
    say: Callable[[str], None]
    began: float


def up(settings: Settings, *, empty: bool, say: Callable[[str], None]) -> None:
    """Start the service and return after it was asked to stop.

    1. the port is free and the home is ours; 2. what a killed service left is cleared; 3. the database is brought up to date;
    4. an empty home is filled in a process of its own while Ray starts; 5. both applications run; 6. the demo orders are decided;
    7. the address, the keys and a line to try are printed; 8. a signal ends it, and nothing of it stays.

    Raises:
        StartRefused: port in use, or something did not come up in time.
        HomeRefused: the home is in use, damaged or from a newer version.
    """
    home = open_home(settings.home_folder, demo=settings.demo)
    with exclusive(home, settings.local_url):
        environment.clear_leftovers(home)
        require_free_port(settings.host, settings.port)
        environment.prepare(settings, home)
        stopping = threading.Event()
        _stop_on(stopping)
        began = time.monotonic()
        from serving import wiring

        fresh = wiring.prepare_home(settings, say)
        filling = _fill(settings, say) if fresh and not empty else None
        _serve(settings, home, filling, stopping, _Saying(say, began))


def _serve(
    settings: Settings,
    home: Home,
    filling: subprocess.Popen[bytes] | None,
    stopping: threading.Event,
    saying: _Saying,
) -> None:
    from serving import deployment, welcome

    try:
        deployment.start(settings, home)
        _stop_on(stopping)  # Ray has put a handler of its own in place
        if filling is not None:
            _wait_for_filling(filling, stopping)
        if not stopping.is_set():
            deployment.deploy(settings)
            _wait_until_ready(settings, stopping)
        if not stopping.is_set():
            welcome.decide_demo_orders(settings, home)
            saying.say(welcome.welcome(settings, time.monotonic() - saying.began))
        stopping.wait()
        saying.say("Stopping ...")
    finally:
        if filling is not None and filling.poll() is None:
            filling.terminate()
            filling.wait()
        deployment.stop(home)
        environment.clear_leftovers(home)


def require_free_port(host: str, port: int) -> None:
    """Raise :class:`StartRefused` when something listens on the port already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartRefused(f"Port {port} on {host} cannot be used: {error.strerror}. Choose another one with --port.") from error


def _stop_on(stopping: threading.Event) -> None:
    """Make Ctrl-C and SIGTERM ask for a clean stop; a second one is no different."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)


def _fill(settings: Settings, say: Callable[[str], None]) -> subprocess.Popen[bytes]:
    say(f"Filling the empty home {settings.home_folder} with a simulated order history of {settings.demo_orders:,} orders ...")
    variables = {**os.environ, "ORDINANCE_HOME": str(settings.home_folder), "ORDINANCE_DEMO_ORDERS": str(settings.demo_orders)}
    if settings.database_url:
        variables["ORDINANCE_DATABASE_URL"] = settings.database_url
    # Ctrl-C reaches the whole foreground group; we end the filling ourselves.
    return subprocess.Popen([sys.executable, "-m", "serving.demo"], env=variables, start_new_session=True)


def _wait_for_filling(filling: subprocess.Popen[bytes], stopping: threading.Event) -> None:
    while (code := filling.poll()) is None:
        if stopping.wait(0.2):
            return
    if code != 0:
        raise StartRefused("The simulated history could not be made; the lines above say why. `--empty` starts without it.")


def _wait_until_ready(settings: Settings, stopping: threading.Event) -> None:
    url = f"{settings.local_url}/readyz"
    limit = time.monotonic() + READY_LIMIT_S
    why = "no answer yet"
    while not stopping.wait(0.1):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
                if answer.status == 200:
                    return
        except urllib.error.HTTPError as error:
            why = error.read(500).decode(errors="replace")
        except OSError as error:
            why = str(error)
        if time.monotonic() > limit:
            raise StartRefused(f"The service did not become ready within {READY_LIMIT_S} s: {why}")


__all__ = ["HomeRefused", "StartRefused", "up"]
