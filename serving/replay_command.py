"""``ordinance replay``: past decisions computed again from their records. Needs no server, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from feature_store.times import Millis, TimeUnreadable, parse_time
from governance.ledger.store import DecisionReader, Filters
from serving.migrate import require_current
from serving.replaying import replayer_of, tally
from serving.settings import Settings
from serving.wiring import wire_base

NEWEST = 100
"""So many decisions are replayed where nothing else is asked for."""


class ReplayRefused(Exception):
    """What was asked for cannot be replayed; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which decisions.

    Attributes:
        last: the newest so many; ``None`` for all of a window, or :data:`NEWEST` without one.
        record: this one alone.
        since, until: RFC 3339 times of the window.
        type: a decision type.
    """

    last: int | None = None
    record: str | None = None
    since: str | None = None
    until: str | None = None
    type: str | None = None


def replay(settings: Settings, asked: Asked, say: Callable[[str], None]) -> int:
    """Replay decisions and tell the counts; what is not exact is named.

    Returns:
        0 when every decision that was not erased is exact, else 1.

    Raises:
        ReplayRefused: there is no such decision, or a time cannot be read.
    """
    since, until = _time("--since", asked.since), _time("--until", asked.until)
    base = wire_base(settings)
    try:
        require_current(base.engine)
        reader = DecisionReader(base.engine)
        replayer = replayer_of(base.engine, base.home.models, base.home.environments)
        began = time.perf_counter()
        if asked.record is not None:
            stored = reader.read(asked.record)
            if stored is None:
                raise ReplayRefused(f"There is no decision {asked.record!r} in this home.")
            found = tally(replayer, [stored])
        else:
            windowed = since is not None or until is not None
            limit = asked.last if asked.last is not None or windowed else NEWEST
            found = tally(replayer, reader.walk(Filters(type=asked.type, since=since, until=until), limit))
        took = time.perf_counter() - began
    finally:
        base.engine.dispose()
    if not found.total:
        say("There is no decision to replay.")
    for line in found.lines():
        say(line)
    say(f"{found.total} decisions in {took:.1f} s")
    return 0 if found.sound else 1


def _time(option: str, text: str | None) -> Millis | None:
    try:
        return None if text is None else parse_time(text)
    except TimeUnreadable as error:
        raise ReplayRefused(f"{option}: {error}") from error
