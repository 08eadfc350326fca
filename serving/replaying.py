"""Replay wired to what this process runs, and the count of many replays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from governance.ledger.store import Damaged, DecisionReader, StoredDecision
from governance.reconstruct import Why
from governance.replay import Replay, Replayer, Verdict
from governance.shelf import Shelf
from serving.build import code_digest, environment_digest, libraries_in

SHOWN = 20
"""So many replays that are not exact are kept of a window."""


def replayer_of(engine: Engine, models: Path, environments: Path, shelf: Shelf | None = None) -> Replayer:
    """A replayer for what this process runs.

    Args:
        engine: of the database.
        models: the home's folder of artifacts.
        environments: the home's folder of lists of libraries.
        shelf: one that is shared; by default a new one.
    """
    running = {"build": code_digest(), "environment": environment_digest()}
    return Replayer(shelf or Shelf(engine, models), running, DecisionReader(engine).read, libraries_in(environments))


@dataclass(slots=True)
class Tally:
    """What came of many replays.

    Attributes:
        reasons: why decisions could not be replayed.
        changed: digests of code and libraries that are not the recorded ones, as sentences, with the number of decisions.
        notable: the first replays that are not exact.
    """

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[Why] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    notable: list[Replay] = field(default_factory=list)

    def add(self, replay: Replay) -> None:
        """Count one."""
        self.verdicts[replay.verdict] += 1
        if replay.why is not None:
            self.reasons[replay.why] += 1
        for one in replay.differences:
            if one.part in {"build", "environment"}:
                self.changed[f"{one.part}: {one.text}"] += 1
        if replay.verdict is not Verdict.EXACT and len(self.notable) < SHOWN:
            self.notable.append(replay)

    @property
    def total(self) -> int:
        """Decisions replayed."""
        return self.verdicts.total()

    @property
    def sound(self) -> bool:
        """Whether every decision that was not erased is exactly what its record says."""
        return self.total == self.verdicts[Verdict.EXACT] + self.reasons[Why.ERASED]

    def lines(self) -> Iterator[str]:
        """In words, the counts first."""
        for verdict in Verdict:
            yield f"{verdict.value}: {self.verdicts[verdict]}"
        for why, count in sorted(self.reasons.items()):
            yield f"  not replayable, {why.value}: {count}"
        for text, count in sorted(self.changed.items()):
            yield f"  {text} ({count} decisions)"
        for one in self.notable:
            yield f"  {one.type} {one.record_id}: {one.verdict.value}" + (f", {one.detail}" if one.detail else "")
            for difference in [each for each in one.differences if each.part not in {"build", "environment"}][:5]:
                place = ".".join(part for part in (difference.part, difference.path) if part)
                told = difference.text or f"recorded {difference.recorded!r}, now {difference.replayed!r}"
                yield f"    {place}: {told}"


def tally(replayer: Replayer, decisions: Iterable[StoredDecision | Damaged]) -> Tally:
    """Replay many decisions and count what comes of it."""
    found = Tally()
    for one in replayer.each(decisions):
        found.add(one)
    return found
