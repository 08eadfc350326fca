"""A throwaway PostgreSQL server from the machine's binaries, for benchmarks and tests: Unix socket only, gone when done."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

USER = "ordinance"
_DEBIAN = Path("/usr/lib/postgresql")
_COMMON = {"listen_addresses": "", "full_page_writes": "off", "shared_buffers": "32MB", "max_connections": "60"}


class BinariesMissing(Exception):
    """PostgreSQL's server binaries (initdb, postgres) are not installed."""


@dataclass(frozen=True, slots=True)
class Socket:
    """Where a throwaway server listens."""

    folder: Path

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}"


@contextlib.contextmanager
def throwaway(settings: Mapping[str, str]) -> Iterator[Socket]:
    """Run a fresh server.

    Args:
        settings: of ``postgresql.conf``, such as ``fsync``.

    Raises:
        BinariesMissing: there is nothing to run.
    """
    place = _binaries()
    if place is None:
        raise BinariesMissing("PostgreSQL's server binaries (initdb, postgres) are not installed")
    user = _unprivileged()
    # Not in a deep folder: a socket's path has to be short, and the server's user has to reach it.
    folder = Path(tempfile.mkdtemp(prefix="ord-pg-"))
    if user:
        shutil.chown(folder, user)
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    data = folder / "data"
    command = [place / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(command, user=user, env=environment, cwd=folder, check=True, capture_output=True, timeout=120)
    merged = {**_COMMON, "unix_socket_directories": str(folder), **settings}
    arguments = [argument for name, value in merged.items() for argument in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [place / "postgres", "-D", data, *arguments], user=user, env=environment, cwd=folder, stdout=log, stderr=log
        )
    try:
        _wait_until_answering(place, folder, process)
        yield Socket(folder)
    finally:
        process.send_signal(signal.SIGINT)  # fast shutdown
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((place for place in places if (place / "postgres").exists() and (place / "initdb").exists()), None)


def _unprivileged() -> str | None:
    """The user to run as: PostgreSQL refuses root; ``None`` means ourselves."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _wait_until_answering(place: Path, folder: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        probe = subprocess.run([place / "pg_isready", "-q", "-h", folder, "-t", "1"], check=False, capture_output=True)
        if probe.returncode == 0:
            return
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"the throwaway PostgreSQL did not start:\n{(folder / 'log').read_text()[-4000:]}")
