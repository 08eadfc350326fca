"""Erasing a person, wired: from the command line beside a running service, and for the service's own routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feature_store.entities import EntityKey
from feature_store.retention import ErasureRefused
from governance.changes import Scribe
from governance.erasure import Erasure, Erasures, Outcome, State
from governance.ledger.vault import vault_of
from serving.backup import keep_destroyed
from serving.home import Home
from serving.migrate import migrate
from serving.replaying import replayer_of
from serving.settings import Settings
from serving.wiring import Base, wire_base

if TYPE_CHECKING:
    from governance.replay import Replayer

Say = Callable[[str], None]
_CHUNK = 2**20
ALONE = "command-line"
"""Who erases where the command does not say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command was asked for.

    Attributes:
        by: who asks; ``confirm``: who confirms.
    """

    subject: str
    by: str | None
    confirm: str | None
    withdraw: bool = False


def erasures_of(base: Base) -> Erasures:
    """Erasing in a home."""
    vault = vault_of(base.engine)
    assert vault is not None, "a home has a vault"
    replayer: list[Replayer] = []

    def replayed(stored: object) -> str:
        if not replayer:  # models are loaded for whom they are needed
            replayer.append(replayer_of(base.engine, base.home.models, base.home.environments))
        return replayer[0].replay(stored).verdict.value  # type: ignore[arg-type]

    scribe = Scribe(base.signer, base.settings.tenant)
    return Erasures(base.engine, vault, scribe, replayed, lambda subject: leftovers(base.home, subject), lambda: keep_destroyed(base))


def leftovers(home: Home, subject: EntityKey) -> list[str]:
    """Files of a home that name a person and that no erasure changes: uploaded datasets and logs."""
    found = [f"dataset {path.parent.name if path.parent != home.datasets else path.name}" for path in _naming(home.datasets, subject.key)]
    return list(dict.fromkeys(found)) + [f"log file {path.name}" for path in _naming(home.logs, subject.key)]


def erase(settings: Settings, asked: Asked, say: Say) -> int:
    """``ordinance erase``: ask for an erasure, confirm one, or both.

    Returns:
        0 when it was done or asked for, 1 when freed pages could not be written over yet.

    Raises:
        ErasureRefused: it cannot be done as asked.
        SecondPersonNeeded: the same person asks and confirms.
    """
    base = wire_base(settings)
    try:
        migrate(base.engine)
        erasures = erasures_of(base)
        waiting = _waiting(erasures, asked.subject)
        if asked.withdraw:
            if waiting is None:
                raise ErasureRefused(f"Nobody has asked for the erasure of {asked.subject}.")
            erasures.withdraw(waiting.erasure_id, asked.by or ALONE)
            say(f"erasure {waiting.erasure_id} is withdrawn")
            return 0
        if waiting is None:
            waiting = erasures.request(asked.subject, asked.by or ALONE)
        alone = base.home.demo and asked.by is None and asked.confirm is None
        if asked.confirm is None and not alone:
            say(f"erasure {waiting.erasure_id} is asked for by {waiting.requested_by}; somebody else confirms it with --confirm NAME")
            return 0
        return _tell(erasures.confirm(waiting.erasure_id, asked.confirm or ALONE, alone=alone), say)
    finally:
        base.engine.dispose()


def hold(settings: Settings, subject: str, by: str, reason: str, *, lift: bool, say: Say) -> int:
    """``ordinance hold``: place a legal hold on a person, or lift all that are in force."""
    base = wire_base(settings)
    try:
        migrate(base.engine)
        erasures = erasures_of(base)
        if not lift:
            say(f"hold {erasures.place_hold(subject, by, reason).hold_id} is in force: {subject} is not erased until it is lifted")
            return 0
        theirs = [one for one in erasures.holds() if one.subject == subject]
        if not theirs:
            raise ErasureRefused(f"No legal hold on {subject} is in force.")
        for one in theirs:
            erasures.lift_hold(one.hold_id, by, reason)
            say(f"hold {one.hold_id} is lifted")
        return 0
    finally:
        base.engine.dispose()


def _waiting(erasures: Erasures, subject: str) -> Erasure | None:
    """The erasure of a person that is asked for, or was interrupted."""
    open_ = (one for one in erasures.list() if one.state in {State.REQUESTED, State.CONFIRMED})
    return next((one for one in open_ if one.subject == subject), None)


def _tell(done: Outcome, say: Say) -> int:
    told = done.told
    if "records" in told:
        records, features = told["records"], told["features"]
        say(
            f"{records['overwritten']:,} records written over ({records['decisions']:,} decisions), {features['events']:,} events and "
            f"{features['states']:,} states deleted, {len(told['keys_destroyed']):,} keys destroyed"
        )
        if told["replays"]:
            say("replayed before: " + ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(told["replays"].items())))
        for one in told["left"]:
            say(f"not erased: {one} names the person; see docs/privacy.md")
    say(f"record {done.erasure.record_id}; every earlier proof stays valid")
    if not done.wiped:
        say("erased, but a reader kept the file from being written over: run `ordinance features expire` or stop the service and repeat")
        return 1
    return 0


def _naming(folder: Path, name: str) -> Sequence[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _holds(path, name.encode())] if folder.is_dir() else []


def _holds(path: Path, needle: bytes) -> bool:
    kept = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if needle in kept + chunk:
                return True
            kept = chunk[-len(needle) :]
    return False
