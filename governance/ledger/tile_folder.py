"""Tiles as files: each written once, whole or not at all, durable before anything refers to it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from governance.ledger.errors import TileInvalid
from governance.ledger.tiles import ENTRIES, HASH, WIDTH, Tile, unbundle

CHECKPOINT = "checkpoint"


def write_durable(path: Path, content: bytes) -> None:
    """Replace a file's content, whole or not at all; it is on disk afterwards."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class TileFolder:
    """The files of one log, as they are served: ``checkpoint`` and ``tile/...``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, tile: Tile) -> bytes:
        """A tile's bytes; out of a wider one of the same place where there is no file of this width.

        Raises:
            TileInvalid: it is not there, or has a length that it cannot have.
        """
        try:
            return (self.folder / tile.path).read_bytes()
        except FileNotFoundError:
            wider = self._wider(tile) or Tile(tile.level, tile.index)
        try:
            raw = (self.folder / wider.path).read_bytes()
        except FileNotFoundError as error:
            if wider.width < WIDTH:  # it was followed by the full one at this moment
                return self.read(tile)
            raise TileInvalid(f"{tile.path} is not there") from error
        if tile.level == ENTRIES:
            entries = unbundle(raw, wider.width)[: tile.width]
            return raw[: sum(2 + len(entry) for entry in entries)]
        return raw[: tile.width * HASH]

    def write(self, tiles: Iterable[tuple[Tile, bytes]]) -> int:
        """Write tiles that are not there yet; returns how many. All of them are durable afterwards.

        Raises:
            TileInvalid: a tile is there with other content. Nothing of it was changed.
        """
        touched: dict[Path, None] = {}
        written = 0
        for tile, content in tiles:
            path = self.folder / tile.path
            if path.exists():
                if path.read_bytes() != content:
                    raise TileInvalid(f"{tile.path} is there already and holds something else")
                continue
            self._make_folder(path.parent, touched)
            scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            with scratch.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            scratch.rename(path)
            touched[path.parent] = None
            written += 1
        for folder in touched:
            sync_folder(folder)
        return written

    def forget_partial(self, tile: Tile) -> None:
        """Remove the partial tiles that a full one has followed: whoever wants one of them gets a part of the full one."""
        partial = (self.folder / Tile(tile.level, tile.index, 1).path).parent
        if tile.width == WIDTH and partial.is_dir():
            for path in partial.iterdir():
                path.unlink(missing_ok=True)
            partial.rmdir()

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint; ``None`` when none was ever published."""
        try:
            return (self.folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None

    def published_s_ago(self) -> float:
        """Seconds since the checkpoint was replaced; infinite when there is none."""
        try:
            return time.time() - (self.folder / CHECKPOINT).stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def paths(self) -> Iterator[str]:
        """The paths of all tiles and bundles that are there, in no order; files that are being written are left out."""
        for folder, _, names in os.walk(self.folder / "tile"):
            for name in names:
                if not name.startswith("."):
                    yield (Path(folder) / name).relative_to(self.folder).as_posix()

    def publish(self, checkpoint: bytes) -> None:
        """Replace the checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durable(self.folder / CHECKPOINT, checkpoint)

    def _wider(self, tile: Tile) -> Tile | None:
        full = Tile(tile.level, tile.index)
        if (self.folder / full.path).exists():
            return full
        folder = (self.folder / tile.path).parent
        widths = (int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else ()
        width = min((width for width in widths if width >= tile.width), default=None)
        return None if width is None else Tile(tile.level, tile.index, width)

    def _make_folder(self, folder: Path, touched: dict[Path, None]) -> None:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            one.mkdir(exist_ok=True)
            touched[one.parent] = None
