"""All wiring: where settings become objects that know each other. Nothing elsewhere reads the environment, connects or starts threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from feature_store.database import make_engine
from feature_store.online import OnlineStore
from feature_store.order import MICRO
from feature_store.reservations import ReservationStore
from feature_store.times import SECOND
from governance.access import Access, Role, create_key
from governance.changes import Scribe
from governance.ledger.fingerprint import load_fingerprint
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.log import Recorder
from governance.ledger.receipt import KEY_FILE, Signer, load_signer
from governance.ledger.store import DecisionReader
from governance.ledger.tile_folder import TileFolder
from governance.ledger.vault import load_vault, with_vault
from governance.overrides import Overrides
from governance.policy_document import default_policies
from governance.policy_store import SHIPPED, keep_policies
from governance.promotion import generation
from governance.reading import ReadLog
from governance.settling import Desk
from governance.shelf import Shelf
from serving.admission import Ask
from serving.again import Again
from serving.answer import Answerer, Edges, usual_breakers
from serving.api.decisions import DecisionsApp
from serving.api.schemas import ACCEPTANCE_EXAMPLE, FRAUD_EXAMPLE, SPLIT_EXAMPLE
from serving.aside import Aside
from serving.build import code_digest, environment_digest, keep_environment
from serving.edges import recall_from, reserved_from, runner, states_from
from serving.home import Home, HomeRefused, open_home
from serving.knowing import Guards
from serving.loading import ForceKeeper
from serving.local_keys import local_key
from serving.lookups import Lookups
from serving.migrate import migrate, require_current
from serving.replaying import replayer_of
from serving.reviewing import Reviewing
from serving.settings import Settings
from serving.what_if import Keeping

if TYPE_CHECKING:
    from training.service import Workshop

WITHOUT_SECOND = "put in service without a second person: demo home"
EXAMPLES = {"acceptance": ACCEPTANCE_EXAMPLE, "fraud": FRAUD_EXAMPLE, "split-order": SPLIT_EXAMPLE}
SLOW_DECISIONS = 2
"""Threads for decisions that take longer than the event loop can spare."""
READING_THREADS = 8
"""Threads that wait for a database server; a file is read in place."""


def local_principal(role: Role) -> str:
    """The principal of a role's local key."""
    return f"local-{role.value}"


@dataclass(frozen=True, slots=True)
class Base:
    """What every process of a service has: its home, its database, its key."""

    settings: Settings
    home: Home
    engine: Engine
    signer: Signer


def wire_base(settings: Settings) -> Base:
    """Open home and database. Nothing is changed in either, but for keys that are missing.

    Raises:
        HomeRefused: the home cannot be used.
        DatabaseRefused: the database's URL cannot be used.
    """
    home = open_home(settings.home_folder, demo=settings.demo)
    _require_key_of_log(home)
    return Base(settings, home, with_vault(make_engine(settings.resolved_database_url()), load_vault(home.keys)), load_signer(home.keys))


def _require_key_of_log(home: Home) -> None:
    """Another key would be another log: receipts that nobody's checkpoint covers.

    Raises:
        HomeRefused: the home has published a log, and the key that signed it is missing.
    """
    path = home.keys / KEY_FILE
    if TileFolder(home.ledger).checkpoint() is not None and not path.exists():
        raise HomeRefused(
            f"The home {home.folder} has published a log, and the key that signs it is missing ({path}). Restore it from the backup of the keys; "
            "with a new key this would be another log."
        )


def prepare_home(settings: Settings, say: Callable[[str], None] = lambda _text: None) -> bool:
    """Bring the database and the states in it up to date, and make the keys that are missing.

    Returns:
        whether this is a demo home in which no model was ever put in service.

    Raises:
        DatabaseTooNew: a newer version wrote it.
    """
    from serving.features_command import follow_definitions
    from training import jobs

    base = wire_base(settings)
    try:
        migrate(base.engine)
        follow_definitions(base.engine, say)
        load_fingerprint(base.home.keys)
        scribe = Scribe(base.signer, settings.tenant)
        jobs.fail_interrupted(base.engine, scribe)
        keep_policies(base.engine, default_policies().values(), SHIPPED, scribe)
        if base.home.demo:
            for role in Role:
                create_key(base.engine, role, local_principal(role), key=local_key(base.home, role), scribe=scribe)
        return base.home.demo and generation(base.engine) == 0
    finally:
        base.engine.dispose()


def leader(base: Base) -> Leader:
    """Who publishes this home's log."""
    return Leader(base.engine, base.signer, base.home.ledger, HighWater(base.settings.mark_folder, base.signer.verifier.name))


def workshop(base: Base) -> Workshop:
    """Where trainings work: this home's datasets, models and MLflow."""
    from training.service import Workshop  # decision processes never load what trains

    home = base.home
    return Workshop(base.engine, base.signer, home.datasets, home.models, home.mlflow, tenant=base.settings.tenant)


def run_training(settings: Settings, training_id: str) -> None:
    """Run a queued training to its end, in a process of its own."""
    from training import service

    service.run_training(workshop(wire_base(settings)), training_id)


@dataclass(frozen=True, slots=True)
class WiredDecisions:
    """A decision process."""

    app: DecisionsApp
    answerer: Answerer
    force: ForceKeeper
    recorder: Recorder

    def check_health(self) -> None:
        """Raise when the process should be replaced: its recorder's thread has ended."""
        if not self.recorder.alive:
            raise RuntimeError("the recorder's thread has ended")


def wire_decisions(settings: Settings, *, echoes: bool = True) -> WiredDecisions:
    """Everything that decides, loaded and warm; ``echoes`` as :class:`serving.api.decisions.DecisionsApp` has it."""
    base = wire_base(settings)
    engine = base.engine
    require_current(engine)
    force = ForceKeeper(engine, base.home.models, base.signer.verifier, settings.refresh_s)
    force.start()
    recorder, reader = Recorder(engine), DecisionReader(engine)
    # Threads of their own for each: what hangs in one of them must not keep the others waiting.
    known, recalled, looked = (
        runner(engine, ThreadPoolExecutor(READING_THREADS, thread_name_prefix=name)) for name in ("know", "recall", "look")
    )
    edges = Edges(
        force=force,
        read=states_from(OnlineStore(engine), known),
        recall=recall_from(reader, recalled),
        records=recorder,
        signer=base.signer,
        fingerprint=load_fingerprint(base.home.keys),
        tenant=settings.tenant,
        running={"build": code_digest(), "environment": environment_digest()},
        reserved=reserved_from(ReservationStore(engine), known),
        hold_ms=settings.reservation_s * SECOND,
        guards=Guards(usual_breakers(settings.patience_s), Aside(ThreadPoolExecutor(SLOW_DECISIONS, thread_name_prefix="slow"))),
    )
    access = Access(engine)
    access.follow()
    answerer = Answerer(edges)
    with ThreadPoolExecutor(1) as apart:  # this thread may run an event loop already
        apart.submit(asyncio.run, _rehearse(answerer, force)).result()
    keep_environment(base.home.environments)
    again = _again(base, edges, reader)
    reads = ReadLog(engine, Scribe(base.signer, settings.tenant))
    reads.start()
    app = DecisionsApp(
        answerer,
        Lookups(reader, looked),
        access,
        force,
        echoes=echoes,
        again=again,
        reviewing=_reviewing(base, edges, settings),
        reads=reads,
    )
    return WiredDecisions(app, answerer, force, recorder)


def _again(base: Base, edges: Edges, reader: DecisionReader) -> Again:
    """What computes past decisions again, with one shelf of models and policies."""
    shelf = Shelf(base.engine, base.home.models)
    replayer = replayer_of(base.engine, base.home.models, base.home.environments, shelf)
    keeping = Keeping(base.signer, edges.tenant, edges.running, edges.clock)
    return Again(reader, replayer, shelf, edges.records, keeping, ThreadPoolExecutor(1, thread_name_prefix="again"))


def _reviewing(base: Base, edges: Edges, settings: Settings) -> Reviewing:
    """What lets people settle decisions, with a thread of its own to wait for the commit."""

    def classes() -> dict[str, Sequence[str]]:
        return {name: one.artifact.labels for name, one in edges.force().models.items() if name not in EXAMPLES}

    desk = Desk(base.engine, base.signer, edges.tenant, edges.running)
    above = round(settings.second_person_above * MICRO) or None
    return Reviewing(Overrides(desk, above, classes), ThreadPoolExecutor(1, thread_name_prefix="settle"))


async def _rehearse(answerer: Answerer, force: ForceKeeper) -> None:
    """One dry run of each built-in type, so that the first customer does not wait for what is loaded at first use."""
    for decision_type, body in EXAMPLES.items():
        if decision_type in force().models:
            ask = Ask(decision_type, "rehearsal", None, {**body, "mode": "dry_run", "deadline_ms": None}, None, time.perf_counter())
            await answerer.answer(ask)
