"""What code and which libraries run: two digests that every record names, so that a replay can tell whether it is the same."""

from __future__ import annotations

import hashlib
import platform
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
def environment_digest() -> str:
    """``sha256:`` over the interpreter, the machine's architecture and every installed library with its version."""
    named = ((one.metadata["Name"], one.version) for one in distributions() if one.metadata is not None)
    libraries = sorted({f"{name.lower()}=={version}" for name, version in named if name})  # what an uninstall left behind has no name
    lines = [platform.python_implementation(), platform.python_version(), platform.machine(), *libraries]
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
