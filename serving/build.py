"""What code and which libraries run: two digests that every record names, so that a replay can tell whether it is the same."""

from __future__ import annotations

import hashlib
import os
import platform
import sysconfig
from collections.abc import Callable
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

PACKAGES = ("feature_store", "governance", "models", "serving", "training")


@cache
def code_digest() -> str:
    """``sha256:`` over the names and bytes of our own source and data files, in the order of their names."""
    root = Path(__file__).resolve().parent.parent
    hasher = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(root).as_posix().encode()
                hasher.update(b"%d:%b%d:" % (len(name), name, path.stat().st_size))
                hasher.update(path.read_bytes())
    return f"sha256:{hasher.hexdigest()}"


@cache
def environment_lines() -> tuple[str, ...]:
    """The interpreter, the machine's architecture and every library that is installed for it, with its version.

    What a library carries in a folder of its own and puts on the path of its processes (Ray does) is that library's affair.
    """
    installed = distributions(path=sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    named = ((one.metadata["Name"], one.version) for one in installed if one.metadata is not None)
    libraries = sorted({f"{name.lower()}=={version}" for name, version in named if name})  # what an uninstall left behind has no name
    return (platform.python_implementation(), platform.python_version(), platform.machine(), *libraries)


@cache
def environment_digest() -> str:
    """``sha256:`` over :func:`environment_lines`."""
    return _digest("\n".join(environment_lines()).encode())


def keep_environment(folder: Path) -> None:
    """Write down which libraries stand behind this environment's digest, so that a replay can name what changed; nothing where it is there."""
    path = folder / f"{environment_digest().removeprefix('sha256:')}.txt"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{path.name}.{os.getpid()}"
    scratch.write_text("\n".join(environment_lines()))
    scratch.replace(path)


def libraries_in(folder: Path) -> Callable[[str], tuple[str, ...] | None]:
    """Reads what :func:`keep_environment` wrote, by digest: ``name==version`` each; ``None`` where it is not kept, or is not what the digest says."""

    def libraries(digest: str) -> tuple[str, ...] | None:
        if digest == environment_digest():
            return _named(environment_lines())
        name = digest.removeprefix("sha256:")
        try:
            text = (folder / f"{name}.txt").read_bytes() if name.isalnum() else b""
        except OSError:
            return None
        return _named(tuple(text.decode().split("\n"))) if _digest(text) == digest else None

    return libraries


def _named(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The first three lines have names of their own."""
    return (*(f"{name}=={line}" for name, line in zip(("implementation", "python", "machine"), lines, strict=False)), *lines[3:])


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
