"""``ordinance backup`` and ``ordinance restore``: a consistent copy of a home beside a running service, its keys apart, and the way back.

The copy of the database is one moment of it; the log's tiles are not copied, because the records make them anew and prove them while they
do. Keys go into a folder of their own, where old copies are thrown away: what was erased must not come back with them.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from governance.changes import Scribe
from governance.erasure_again import Again, erase_again, read_destroyed, write_destroyed
from governance.ledger import merkle
from governance.ledger.errors import ForkRefused
from governance.ledger.high_water import HighWater
from governance.ledger.subject_keys import LOCK_FILE, STORE_FILE
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import TiledTree
from governance.ledger.vault import vault_of
from serving.home import MARKER
from serving.migrate import migrate, require_current
from serving.settings import Settings
from serving.wiring import Base, leader, wire_base

Say = Callable[[str], None]
FORMAT = 1
_STAMP = "%Y%m%dT%H%M%S%fZ"
_FOLDERS = ("models", "datasets", "mlflow", "environments")
_MANIFEST = "backup.json"


class BackupRefused(Exception):
    """A backup or a restore that cannot be made as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the commands were asked for.

    Attributes:
        folder: where backups lie, one folder each.
        keys: where copies of the keys lie; by default beside ``folder``, with ``-keys`` behind its name.
        keep_days: older copies of the keys are thrown away.
        accept_behind: restore although the log has signed more than the backup holds.
    """

    folder: Path
    keys: Path | None = None
    keep_days: float = 30.0
    accept_behind: bool = False

    @property
    def keys_folder(self) -> Path:
        """Where copies of the keys lie."""
        return self.keys or self.folder.with_name(f"{self.folder.name}-keys")


def destroyed_path(settings: Settings, origin: str) -> Path:
    """Where it is kept outside the home which keys of its subjects were destroyed."""
    return settings.mark_folder / f"{sha256(origin.encode()).hexdigest()[:32]}.erased"


def keep_destroyed(base: Base) -> None:
    """Note outside the home which keys were destroyed."""
    vault = vault_of(base.engine)
    if vault is not None:
        write_destroyed(destroyed_path(base.settings, base.signer.verifier.name), vault.keys.destroyed())


def backup(settings: Settings, asked: Asked, say: Say) -> int:
    """Copy a home while it is in use; the service may run.

    Raises:
        BackupRefused: the place cannot be used.
    """
    base = wire_base(settings)
    try:
        require_current(base.engine)
        target = _fresh(asked.folder)
        size = _copy_database(base, target)
        for name in _FOLDERS:
            if (base.home.folder / name).is_dir():
                shutil.copytree(
                    base.home.folder / name, target / name, ignore=shutil.ignore_patterns("*.db-wal", "*.db-shm", "*.db-journal")
                )
        for path in base.home.mlflow.glob("*.db"):
            _copy_sqlite(path, target / "mlflow" / path.name)
        shutil.copy2(base.home.folder / MARKER, target / MARKER)
        # After the database: every record that was copied has its key in the copy of the keys, or was erased meanwhile.
        keys = _copy_keys(base, asked)
        made = {"format": FORMAT, "origin": base.signer.verifier.name, "database": base.engine.dialect.name, "size": size}
        (target / _MANIFEST).write_bytes(orjson.dumps(made))
    finally:
        base.engine.dispose()
    say(f"{target}: the home{'' if size is None else f', its log up to {size:,} records'}")
    say(f"{keys}: its keys; keep them apart, whoever has both can read and sign everything")
    if size is None:
        say(
            "The database is a server's and was not copied: run `pg_dump --format=custom` now, and `pg_restore` before `ordinance restore`."
        )
    return 0


def restore(settings: Settings, asked: Asked, say: Say) -> int:
    """Make a new home from the newest backup, and erase again who was erased since.

    Args:
        settings: with the new home, which must not be there yet.
        asked: ``folder`` is one backup, or holds several: then the newest is taken.
        say: tells the user.

    Raises:
        BackupRefused: there is no backup, or the home is there already.
        ForkRefused: the log has signed more than the backup holds, or another tree.
    """
    source, keys, home = _newest(asked.folder, _MANIFEST), _newest(asked.keys_folder, STORE_FILE), settings.home_folder
    if home.exists() and any(home.iterdir()):
        raise BackupRefused(f"{home} is there already and not empty; name a new home with --home.")
    made = _read_manifest(source)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(source, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_MANIFEST))
    shutil.copytree(keys, home / "keys", dirs_exist_ok=True)
    (home / "keys").chmod(0o700)
    base = wire_base(settings)
    try:
        migrate(base.engine)
        size = leader(base).rebuild()
        say(f"{home}: restored from {source.name}, keys from {keys.name}; the log's {size:,} records have the root that was published")
        _tell_again(_forget_again(base), say)
        _check_mark(base, size, made["origin"], asked.accept_behind, say)
    finally:
        base.engine.dispose()
    return 0


def _forget_again(base: Base) -> Again:
    vault = vault_of(base.engine)
    assert vault is not None, "a home has a vault"
    gone = read_destroyed(destroyed_path(base.settings, base.signer.verifier.name))
    done = erase_again(base.engine, vault, Scribe(base.signer, base.settings.tenant), gone)
    keep_destroyed(base)
    return done


def _tell_again(done: Again, say: Say) -> None:
    if done.persons:
        say(f"{done.persons:,} persons were erased since: they are erased again, {done.records:,} records written over")
    if done.nameless:
        say(f"of these {done.nameless:,} cannot be named any more: run `ordinance features erase` for whom you know of")


def _check_mark(base: Base, size: int, origin: str, accept_behind: bool, say: Say) -> None:
    """Whether the restored log may go on signing.

    Raises:
        ForkRefused: it would sign below or beside what was signed.
    """
    mark = HighWater(base.settings.mark_folder, origin).read()
    if mark is None:
        say(
            f"This machine has no high-water mark of {origin}. Bring it along from where the log was signed last; nothing is signed without."
        )
        return
    tree = TiledTree(size, TileFolder(base.home.ledger).read)
    if mark.size <= size:
        same = (tree.root_at(mark.size) if mark.size else merkle.EMPTY_ROOT) == mark.root
        if not same:
            raise ForkRefused(
                f"{origin} has signed another tree of {mark.size} records than the backup holds: this home must not go on with it."
            )
        say(f"{origin} goes on: everything that was signed is in the backup")
        return
    behind = f"{origin} has signed {mark.size:,} records, the backup holds {size:,}: {mark.size - size:,} are lost."
    if not accept_behind:
        raise ForkRefused(
            f"{behind} Restore a newer backup; with --accept-behind the home can be read and searched, but the log signs nothing below its mark."
        )
    say(f"{behind} The home can be read and searched; its log signs nothing below the mark, so start no service on it that others rely on.")


def _fresh(folder: Path) -> Path:
    try:
        target = folder / datetime.now(UTC).strftime(_STAMP)
        target.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise BackupRefused(f"{folder} cannot be written: {error.strerror} ({error.filename}).") from error
    return target


def _copy_database(base: Base, target: Path) -> int | None:
    """Copy the database as of one moment; returns the size of its published tree, ``None`` where it is a server's."""
    if base.engine.dialect.name != "sqlite":
        return None
    path = target / "ordinance.db"
    _copy_sqlite(Path(str(base.engine.url.database)), path)
    with contextlib.closing(sqlite3.connect(path)) as copy:
        row = copy.execute("SELECT size FROM log_state WHERE id = 1").fetchone()
    return row[0] if row else 0


def _copy_sqlite(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(source)) as from_, contextlib.closing(sqlite3.connect(target)) as to:
        from_.backup(to)
    target.chmod(0o600)


def _copy_keys(base: Base, asked: Asked) -> Path:
    vault = vault_of(base.engine)
    assert vault is not None, "a home has a vault"
    target = _fresh(asked.keys_folder)
    for path in sorted(base.home.keys.iterdir()):
        if path.is_file() and not path.name.startswith((".", STORE_FILE)) and path.name != LOCK_FILE:
            shutil.copy2(path, target / path.name)
    vault.keys.copy_to(target / STORE_FILE)
    oldest = (datetime.now(UTC) - timedelta(days=asked.keep_days)).strftime(_STAMP)
    for old in asked.keys_folder.iterdir():
        if old.is_dir() and old != target and old.name < oldest and (old / STORE_FILE).exists():
            shutil.rmtree(old)
    return target


def _newest(folder: Path, holds: str) -> Path:
    if (folder / holds).is_file():
        return folder
    found = sorted(path.parent for path in folder.glob(f"*/{holds}")) if folder.is_dir() else []
    if not found:
        raise BackupRefused(f"There is no backup in {folder}: no folder of it holds {holds}.")
    return found[-1]


def _read_manifest(source: Path) -> dict[str, Any]:
    try:
        made: dict[str, Any] = orjson.loads((source / _MANIFEST).read_bytes())
        if made["format"] > FORMAT:
            raise BackupRefused(f"{source} was made by a newer Ordinance; upgrade this one first.")
        return made
    except (ValueError, KeyError, TypeError) as error:
        raise BackupRefused(f"{source / _MANIFEST} is damaged: {error}.") from error
