"""The commands that do their work and end: keys, training, simulation."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError

from feature_store.backfill import RebuildRefused
from feature_store.database import DatabaseRefused
from feature_store.problems import DataRefused
from feature_store.retention import ErasureRefused
from governance.access import AccessRefused, create_key
from governance.changes import Scribe
from governance.ledger.errors import LedgerError
from governance.promotion import ModelNotAllowed, ModelRefused
from serving.backup import BackupRefused
from serving.events_command import LoadRefused
from serving.features_command import FeaturesRefused
from serving.home import HomeRefused
from serving.migrate import DatabaseOutdated, DatabaseTooNew, migrate, require_current
from serving.replay_command import ReplayRefused
from serving.settings import Settings
from serving.train_command import TrainRefused
from serving.up import StartRefused
from serving.verify_command import VerifyRefused
from serving.wiring import wire_base
from serving.witness_command import WatchRefused


class CommandRefused(Exception):
    """A command that cannot be carried out as asked; the message says why."""


EXPLAINED: tuple[type[Exception], ...] = (
    AccessRefused, BackupRefused, CommandRefused, DatabaseOutdated, DatabaseRefused, DatabaseTooNew, DataRefused, ErasureRefused, FeaturesRefused, LedgerError, LoadRefused, ModelNotAllowed, ModelRefused, RebuildRefused, ReplayRefused, StartRefused, TrainRefused, VerifyRefused, WatchRefused,
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
        scribe = Scribe(base.signer, settings.tenant)
        return create_key(base.engine, role, role if principal is None else principal, scribe=scribe)
    finally:
        base.engine.dispose()


def parity(settings: Settings, last: int, seed: int | None) -> int:
    """Check the newest decisions against raw events, and print what was found.

    Returns:
        The exit code: 1 where a decision saw something else than the events say.
    """
    from serving.parity import COMMAND, check_parity

    base = wire_base(settings)
    try:
        require_current(base.engine)
        checked = check_parity(base.engine, window=last, sample=last, seed=seed, by=COMMAND)
    finally:
        base.engine.dispose()
    if checked is None:
        print("There is no decision to check yet.")
        return 0
    report = checked.report
    print(
        f"{report.sampled:,} decisions: {report.equal:,} equal, {report.differing:,} differing, {sum(report.not_comparable.values()):,} not comparable"
    )
    for why, count in report.not_comparable.items():
        print(f"  not comparable, {why.replace('_', ' ')}: {count:,}")
    for one in report.features:
        for example in one.examples[: 1 if one.differing else 0]:
            lane = f" lane {example.lane}" if example.lane else ""
            told = f"recorded {example.recorded!r}, by the events {example.rebuilt!r}"
            print(
                f"  {one.type} {one.name}: {one.differing:,} of {one.checked:,} values differ; decision {example.record_id}{lane}: {told}"
            )
    print(f"{report.values:,} values compared with {report.events:,} events in {report.took_ms / 1000:.1f} s (seed {checked.seed})")
    return 1 if report.differing else 0


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
