"""What the page about the log needs from below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from feature_store.times import Millis
from governance.ledger.checkpoint import read_checkpoint
from governance.ledger.errors import NoteInvalid
from governance.ledger.notes import COSIGNATURE, Note
from governance.ledger.published import LogStatus, PublishedLog
from serving.checks import Result, newest
from serving.log_keeper import LogKeeper
from serving.witnesses import Asked


@dataclass(frozen=True, slots=True)
class WitnessFacts:
    """One witness: what it cosigned last, and why it does not cosign."""

    name: str
    size: int | None
    at: Millis | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """How the log is.

    Attributes:
        refusal: why it is not signed; ``None`` when it is.
        last: the last check; ``None`` before the first.
        every_s: seconds between two checks; ``None`` where none is made.
    """

    at: Millis
    status: LogStatus
    refusal: str | None
    last: Result | None
    every_s: float | None
    witnesses: Sequence[WitnessFacts] = ()


class Ledger(Protocol):
    """Tells how the log is."""

    def look(self) -> LedgerFacts:
        """As it is now."""


@dataclass(frozen=True)
class ServiceLedger:
    """Fulfils :class:`Ledger`.

    Attributes:
        keeper: who leads the log in this process.
        witnesses: whom this process asks.
    """

    log: PublishedLog
    keeper: LogKeeper | None
    witnesses: Sequence[Asked]
    every_s: float | None
    now: Callable[[], Millis]

    def look(self) -> LedgerFacts:
        """As it is now."""
        at = self.now()
        refusal = None if self.keeper is None else self.keeper.refusal
        return LedgerFacts(at, self.log.status(at), refusal, newest(self.log.engine), self.every_s, tuple(self._witnesses()))

    def _witnesses(self) -> list[WitnessFacts]:
        """Those that are asked, and whoever else has cosigned."""
        size, times = None, {}
        raw = self.log.cosigned()
        if raw is not None:
            try:
                size = read_checkpoint(raw, [self.log.key])[0].size
                times = {one.name: one.time_s * 1000 for one in Note.parse(raw).signatures if len(one.value) == 72}
            except NoteInvalid:
                size, times = None, {}  # the check of the log names it
        problems = {one.key.name: one.problem for one in self.witnesses if one.key.algorithm == COSIGNATURE}
        names = sorted({*problems, *times})
        return [WitnessFacts(name, size if name in times else None, times.get(name), problems.get(name)) for name in names]
