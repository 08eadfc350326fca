"""``ordinance features``: rebuild the states, forget a person, forget what is past its time. Each works beside a running service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine

from feature_store import backfill, retention
from feature_store.backfill import Preview, Progress, Standing
from feature_store.entities import EntityKey
from feature_store.passes import alone, end_passes
from feature_store.retention import Forgotten
from feature_store.times import format_time
from serving import expiry
from serving.migrate import migrate, require_current
from serving.settings import Settings
from serving.wiring import wire_base

Say = Callable[[str], None]
TELL_EVERY_S = 2.0


class FeaturesRefused(Exception):
    """A command that cannot be carried out as asked; the message says why."""


def rebuild(settings: Settings, say: Say, *, dry_run: bool, accept_gap: bool) -> int:
    """Rebuild all states from the events, or say what that would change; returns the exit code."""
    base = wire_base(settings)
    try:
        if dry_run:
            require_current(base.engine)
            _tell_preview(backfill.standing(base.engine), backfill.preview(base.engine), say)
            return 0
        migrate(base.engine)
        began = time.monotonic()
        last = backfill.rebuild(base.engine, _telling(say), accept_gap=accept_gap)
        say(f"{last.done:,} events counted in {time.monotonic() - began:.1f} s; the rebuilt states are in use, the old ones are kept")
        return 0
    finally:
        base.engine.dispose()


def erase(settings: Settings, subject: str, archives: Sequence[Path], say: Say) -> int:
    """Forget one customer, device, address, payment means or IP in the feature store and in archives; returns the exit code."""
    kind, _, name = subject.partition(":")
    known = {entity.value: entity for entity in retention.FIELDS}
    if kind.lower() not in known or not name:
        raise FeaturesRefused(f"{subject!r} is not KIND:ID with one of the kinds {', '.join(known)}.")
    whom = EntityKey(known[kind.lower()], name)
    if missing := [folder for folder in archives if not folder.is_dir()]:
        raise FeaturesRefused(f"There is no archive in {missing[0]}.")
    base = wire_base(settings)
    try:
        migrate(base.engine)
        if archives:
            from feature_store.offline_archive import Archive
            from feature_store.offline_erasure import erase_in_archive
        for folder in archives:
            say(f"{folder}: {erase_in_archive(Archive(folder), whom):,} events deleted or changed")
        return _tell_forgotten(retention.erase(base.engine, whom), say)
    finally:
        base.engine.dispose()


def expire(settings: Settings, say: Say) -> int:
    """Forget what was told about persons longer ago than the settings allow; returns the exit code."""
    days = settings.kept_days
    if not days:
        raise FeaturesRefused('Nothing says how long to keep what: set ORDINANCE_RETENTION_DAYS, such as {"customer": 1095, "ip": 180}.')
    base = wire_base(settings)
    try:
        migrate(base.engine)
        return _tell_forgotten(expiry.expire(base.engine, days), say)
    finally:
        base.engine.dispose()


def follow_definitions(engine: Engine, say: Say) -> None:
    """At start, before anything is decided: rebuild states that follow other definitions than this program."""
    with engine.begin() as connection:  # what a killed process left behind: every event that arrives would be noted for it
        alone(connection)
        end_passes(connection, retention.PURPOSE)
    backfill.note_empty(engine)
    stands = backfill.standing(engine)
    if not stands.needed:
        return
    readable = backfill.readable(engine)
    if stands.loaded_until is not None and readable:
        say(
            "The features' definitions have changed, and the states hold history that was loaded without its events. They stay as they are; "
            "`ordinance features rebuild --accept-gap` follows the new definitions and gives that history up."
        )
        return
    say("The features' definitions have changed: rebuilding the states from the events ...")
    backfill.rebuild(engine, _telling(say), accept_gap=not readable)


def _telling(say: Say) -> Callable[[Progress], None]:
    told = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_EVERY_S and not progress.switched:
            told = time.monotonic()
            say(f"  {progress.share:5.1%}  {progress.done:,} of {progress.total:,} events")

    return tell


def _tell_preview(stands: Standing, found: Preview, say: Say) -> None:
    say(f"{found.events:,} events, {found.entities:,} entities; definitions {stands.wanted}, in use {stands.live or 'not noted'}")
    if stands.open is not None:
        say(f"a rebuild has begun: {stands.open.share:.1%} are done, it would go on from there")
    if stands.loaded_until is not None:
        say(f"history up to {format_time(stands.loaded_until)} was loaded without its events: a rebuild needs --accept-gap and gives it up")
    for kind, looked_at in sorted(found.sampled.items()):
        changed = found.changed.get(kind, 0)
        say(f"  {kind:<18}{changed:>6,} of {looked_at:,} states looked at would change")
    say("nothing was changed")


def _tell_forgotten(done: Forgotten, say: Say) -> int:
    say(f"{done.events:,} events deleted and {done.changed:,} changed, {done.states:,} states deleted, {done.refolded:,} made anew")
    if not done.wiped and (done.events or done.changed or done.states):
        say("deleted, but a reader kept the file from being written over: repeat the command when the service is less busy")
        return 1
    return 0
