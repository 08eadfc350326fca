"""The console of one home: every port joined to the real thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import Engine
from starlette.responses import Response

from feature_store import datasets, times
from feature_store.events import FUTURE_SKEW
from feature_store.reservations import ReservationStore
from feature_store.times import Millis
from governance.access import Access
from governance.changes import Scribe
from governance.labelling import Labelling
from governance.ledger.store import DecisionReader
from governance.reading import ReadLog
from governance.reviews import ReviewQueue, cancels
from governance.settling import Desk
from serving.api.decisions import READY_PATH
from serving.api.system import Probes
from serving.console.joined.accounts import StoredAccounts
from serving.console.joined.cards import Cards
from serving.console.joined.decisions import RecordedDecisions
from serving.console.joined.features import LiveFeatures
from serving.console.joined.health import ServiceHealth
from serving.console.joined.intake import StoredIntake
from serving.console.joined.registered import Publish, RegisteredModels
from serving.console.joined.workbench import LocalWorkbench
from serving.console.ports import Account, Wiring
from serving.console.session import SessionSigner, session_secret
from serving.controls import Controls

SECRET_FILE = "session.secret"  # noqa: S105 - the name of a file


def join(
    engine: Engine,
    *,
    keys: Path,
    models: Path,
    datasets_folder: Path,
    launch: Callable[[str], None],
    publish: Publish | None,
    base_url: str,
    bound_host: str = "127.0.0.1",
    limits: datasets.Limits | None = None,
    event_skew: Millis = FUTURE_SKEW,
    probes: Probes | None = None,
    replicas: int = 1,
    parity_every_s: float | None = None,
    desk: Desk | None = None,
    expiry_every_s: float | None = None,
    controls: Controls | None = None,
    reads: ReadLog | None = None,
    export: Callable[[Account, Mapping[str, str]], Response] | None = None,
) -> Wiring:
    """Join the console's ports to one home.

    ``keys``, ``models`` and ``datasets_folder`` are folders of the home; ``launch`` starts a queued training outside this process;
    ``publish`` puts a version in service and is ``None`` where no one person alone may; ``base_url`` is how users reach the service, which listens on ``bound_host``;
    ``event_skew`` is how far an event's time may lie ahead of our clock; ``probes`` ask database and replicas, of which there should be
    ``replicas``; ``parity_every_s`` is how often the parity check is made, ``expiry_every_s`` how often what is past its time is forgotten;
    ``reads`` is told what is read on pages; ``export`` makes files of decisions;
    ``desk`` is where labels and cancellations are recorded, without it neither is.
    """
    limits = limits or datasets.Limits()
    cards = Cards(models)
    features = LiveFeatures(engine, cards, times.now)
    probes = probes or Probes(engine, base_url.rstrip("/") + READY_PATH)
    return Wiring(
        accounts=StoredAccounts(engine, Access(engine)),
        decisions=RecordedDecisions(DecisionReader(engine), cards),
        workbench=LocalWorkbench(engine, datasets_folder, launch, limits, None if desk is None else Scribe(desk.signer, desk.tenant)),
        models=RegisteredModels(engine, cards, publish),
        signer=SessionSigner(session_secret(keys / SECRET_FILE)),
        now=times.now,
        features=features,
        health=ServiceHealth(
            probes, features, replicas=replicas, parity_every_s=parity_every_s, expiry_every_s=expiry_every_s, now=times.now
        ),
        base_url=base_url.rstrip("/"),
        bound_host=bound_host,
        max_upload_bytes=limits.bytes,
        secure_cookies=base_url.startswith("https:"),
        intake=StoredIntake(engine, event_skew, also=None if desk is None else cancels(desk)),
        reservations=ReservationStore(engine),
        controls=controls,
        reads=reads,
        export=export,
        reviews=ReviewQueue(engine),
        labels=None if desk is None else Labelling(desk),
    )
