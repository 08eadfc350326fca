"""The signer's high-water mark: the largest tree that it ever signed, kept outside the database and outside the home.

A backup that is restored, or a home that is copied, forgets what was signed since; the mark does not. Nothing is signed below it or beside it.
"""

from __future__ import annotations

import fcntl
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from governance.ledger.errors import ForkRefused
from governance.ledger.tile_folder import write_durable


@dataclass(frozen=True, slots=True)
class Mark:
    """A tree that was signed."""

    size: int
    root: bytes


def default_folder() -> Path:
    """Where marks are kept unless said otherwise: the user's state folder."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "ordinance"


class HighWater:
    """The mark of one log.

    Args:
        folder: outside the home.
        origin: the log's name.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        self.origin = origin
        self.path = folder / f"{sha256(origin.encode()).hexdigest()[:32]}.mark"

    def read(self) -> Mark | None:
        """The mark; ``None`` when nothing was ever signed on this machine.

        Raises:
            ForkRefused: the file is damaged.
        """
        try:
            value = orjson.loads(self.path.read_bytes())
            if value["origin"] != self.origin:
                raise ValueError(value["origin"])
            return Mark(int(value["size"]), b64decode(value["root"], validate=True))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ForkRefused(f"The high-water mark {self.path} of {self.origin} is damaged, so nothing is signed.") from error

    def advance(self, size: int, root: bytes, root_at: Callable[[int], bytes], *, first: bool) -> None:
        """Move the mark to a tree that is about to be signed; durable when this returns.

        Args:
            size: of the tree.
            root: of the tree.
            root_at: the root of the tree's first so many leaves, computed from the tiles.
            first: whether the log was never published before, so that there need not be a mark.

        Raises:
            ForkRefused: the tree is smaller than the mark, is none that extends it, or the mark is missing.
        """
        with self._locked():
            mark = self.read()
            if mark is None and not first:
                raise ForkRefused(
                    f"The high-water mark of {self.origin} is missing ({self.path}), though checkpoints were published. If this home was moved here, "
                    "bring its mark along; docs/ledger.md tells more. Nothing is signed until then."
                )
            if mark is not None and mark.size > size:
                raise ForkRefused(
                    f"{self.origin} has signed a tree of {mark.size} before, this one has {size}: an old backup or a copy. Nothing is signed below the mark."
                )
            if mark is not None and root_at(mark.size) != mark.root:
                raise ForkRefused(f"{self.origin} has signed another tree of {mark.size} before. Nothing is signed beside the mark.")
            if mark is None or mark.size < size:
                told = {"origin": self.origin, "size": size, "root": b64encode(root).decode()}
                write_durable(self.path, orjson.dumps(told) + b"\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
