"""The home folder: where everything of the embedded default lives, who may use it, and which version wrote it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

MARKER = "ordinance.json"
FORMAT = 1
"""Raised when an older version could no longer read the folder."""


class HomeRefused(Exception):
    """The home cannot be used as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one home folder."""

    folder: Path

    @property
    def keys(self) -> Path:
        """Private keys, readable by their owner only."""
        return self.folder / "keys"

    @property
    def models(self) -> Path:
        """Model artifacts by digest."""
        return self.folder / "models"

    @property
    def datasets(self) -> Path:
        """Accepted files by SHA-256."""
        return self.folder / "datasets"

    @property
    def ledger(self) -> Path:
        """The log's tiles and checkpoint, as they are served."""
        return self.folder / "ledger"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and run files."""
        return self.folder / "mlflow"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.folder / "logs"

    @property
    def environments(self) -> Path:
        """Which libraries stand behind the digests of environments that records name."""
        return self.folder / "environments"

    @property
    def demo(self) -> bool:
        """Whether one person alone may put a model in service here; chosen when the home was made."""
        return orjson.loads((self.folder / MARKER).read_bytes()).get("demo") is True

    @property
    def run(self) -> Path:
        """Sockets and process files, outside the home because socket paths are short; one folder a home."""
        short = hashlib.sha256(str(self.folder).encode()).hexdigest()[:10]
        return Path(tempfile.gettempdir()) / f"ordinance-{os.getuid()}" / short


def open_home(folder: Path, *, demo: bool = True) -> Home:
    """Make the folder if it is missing and check that this version can use it.

    Args:
        folder: the home.
        demo: what a new home becomes; an existing one stays what it is.

    Raises:
        HomeRefused: it is a file, is not writable, or was written by a newer version.
    """
    home = Home(folder)
    marker = folder / MARKER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in (home.keys, home.models, home.datasets, home.mlflow, home.logs):
            part.mkdir(exist_ok=True)
        home.keys.chmod(0o700)
        if not marker.exists():
            scratch = folder / f".ordinance.json.{os.getpid()}"
            scratch.write_bytes(orjson.dumps({"format": FORMAT, "demo": demo}))
            scratch.replace(marker)
        content = marker.read_bytes()
    except OSError as error:
        raise HomeRefused(_unusable(folder, error)) from error
    try:
        found = int(orjson.loads(content)["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise HomeRefused(f"{marker} is damaged: it should hold the format of this home. Restore it from a backup.") from error
    if found > FORMAT:
        raise HomeRefused(
            f"The home {folder} has format {found} and was written by a newer Ordinance; this one reads up to {FORMAT}. "
            "Upgrade, or name another home with --home."
        )
    return home


def _unusable(folder: Path, error: OSError) -> str:
    """Why a home cannot be used, and what to do."""
    other = "name another folder with --home or ORDINANCE_HOME; a missing one is made"
    file = next((path for path in (folder, *folder.parents) if _is_no_folder(path)), None)
    if file == folder:
        return f"The home {folder} is a file, and has to be a folder. Move the file away, or {other}."
    if file is not None:
        return f"The home {folder} cannot be made: {file} is a file, not a folder. Correct the path, or {other}."
    if isinstance(error, FileExistsError):
        return f"The home {folder} cannot be used: {error.filename} is a file where a folder of the home belongs. Move it away, or {other}."
    if isinstance(error, PermissionError):
        return f"The home {folder} cannot be used: this user may not make or write {error.filename}. Allow it, or {other}."
    return f"The home {folder} cannot be used: {error.strerror} ({error.filename}). Correct that, or {other}."


def _is_no_folder(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # not even to be looked at
        return False


@contextmanager
def exclusive(home: Home, address: str = "") -> Iterator[None]:
    """Hold the home for one service; the lock goes with the process, however it ends.

    Args:
        home: the home.
        address: where the service answers, for :func:`address_in_use`.

    Raises:
        HomeRefused: another service holds it.
    """
    path = home.folder / "service.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _lock_lines(descriptor)[0] or "unknown"
            raise HomeRefused(
                f"The home {home.folder} is in use by another Ordinance (process {holder}). Stop that one, or name another home with --home."
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n{address}\n".encode())
        yield
    finally:
        os.close(descriptor)


def address_in_use(home: Home) -> str | None:
    """Where the service that holds this home answers; ``None`` when none does."""
    try:
        descriptor = os.open(home.folder / "service.lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _lock_lines(descriptor)[1] or None
    finally:
        os.close(descriptor)
    return None


def _lock_lines(descriptor: int) -> tuple[str, str]:
    """Process and address that the holder of a lock wrote into it; empty where it did not get so far."""
    process, _, address = os.read(descriptor, 512).decode(errors="replace").partition("\n")
    return process.strip(), address.strip()
