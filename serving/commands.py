"""The commands that do their work and end: keys, training, simulation."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError

from feature_store.database import DatabaseRefused
from feature_store.problems import DataRefused
from governance.access import AccessRefused, create_key
from governance.ledger.errors import LedgerError
from governance.promotion import ModelNotAllowed, ModelRefused
from serving.home import HomeRefused
from serving.migrate import DatabaseOutdated, DatabaseTooNew, migrate
from serving.settings import Settings
from serving.train_command import TrainRefused
from serving.up import StartRefused
from serving.wiring import wire_base


class CommandRefused(Exception):
    """A command that cannot be carried out as asked; the message says why."""


EXPLAINED: tuple[type[Exception], ...] = (
    AccessRefused, CommandRefused, DatabaseOutdated, DatabaseRefused, DatabaseTooNew, DataRefused, LedgerError, ModelNotAllowed, ModelRefused, StartRefused, TrainRefused,
)  # fmt: skip
"""Errors whose message was written for the user; anything else is a defect and shows where it happened."""


def explanation(error: Exception) -> str | None:
    """What to tell the user of an error; ``None`` when it is a defect."""
    if isinstance(error, (HomeRefused, *EXPLAINED)):
        return str(error)
    if isinstance(error, OperationalError | InterfaceError):
        cause = str(error.orig).strip().splitlines() or [type(error).__name__]
        return f"The database cannot be used: {cause[0]}. Start it, or correct ORDINANCE_DATABASE_URL."
    return None


def new_key(settings: Settings, role: str, principal: str | None) -> str:
    """Make an API key; works beside a running service, which accepts it at once."""
    base = wire_base(settings)
    try:
        migrate(base.engine)
        return create_key(base.engine, role, role if principal is None else principal)
    finally:
        base.engine.dispose()


def simulate(orders: int, seed: int, folder: Path) -> int:
    """Write a simulated world; returns the exit code."""
    from training.world import simulate as make_world
    from training.world.export import write_world

    try:
        written = write_world(make_world(orders, seed), folder)
    except ValueError as error:
        raise CommandRefused(f"{error}.") from error
    except FileExistsError as error:
        raise CommandRefused(f"{error}.") from error
    except OSError as error:
        raise CommandRefused(f"{folder} cannot be written: {error.strerror}.") from error
    print(f"{written.orders:,} orders, {written.shipments:,} shipments and {written.events:,} events are in {written.folder}")
    return 0
