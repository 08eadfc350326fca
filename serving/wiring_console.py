"""The wiring of the console's process: pages, uploads, every route that is no decision, and the threads that look after the home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fastapi import FastAPI

from feature_store.times import SECOND, now
from governance.changes import Scribe
from governance.ledger.published import PublishedLog
from governance.ledger.store import DecisionReader
from governance.reading import ReadLog
from governance.settling import Desk
from serving.api import erasures, exports, ledger, populations, system, webhooks
from serving.api.decisions import READY_PATH
from serving.build import code_digest, environment_digest
from serving.console.app import create_console
from serving.console.joined.wire import join
from serving.console.ledger import ServiceLedger
from serving.controls import Controls
from serving.erasing import erasures_of
from serving.expiry import ExpiryKeeper
from serving.keeper import Background
from serving.log_keeper import LogKeeper
from serving.migrate import require_current
from serving.parity import ParityKeeper
from serving.review_keeper import ReviewKeeper
from serving.settings import Settings
from serving.verifying import VerifyKeeper
from serving.webhooks.addresses import read_networks
from serving.webhooks.keeper import Courier, Patience, WebhookKeeper
from serving.webhooks.secrets import Vault
from serving.wiring import WITHOUT_SECOND, Base, leader, wire_base, workshop
from serving.witnesses import Asked, WitnessKeeper, read_witness
from training import service


def wire_console(settings: Settings, launch: Callable[[str], None]) -> FastAPI:
    """Everything that answers no decision, running; ``launch`` starts a queued training."""
    base = wire_base(settings)
    require_current(base.engine)
    shop, scribe = workshop(base), Scribe(base.signer, settings.tenant)
    probes = system.Probes(base.engine, settings.local_url + READY_PATH)
    desk = Desk(base.engine, base.signer, settings.tenant, {"build": code_digest(), "environment": environment_digest()})
    reads, office = ReadLog(base.engine, scribe), exports.Office(base.engine, scribe)
    published, log = PublishedLog(base.engine, base.home.ledger, base.signer.verifier), LogKeeper(leader(base))
    witnesses = [read_witness(one) for one in settings.witnesses]
    courier = _courier(base, scribe)

    def publish(name: str, model_version: int, principal: str) -> None:
        service.publish(shop, name, model_version, changed_by=principal, note=WITHOUT_SECOND)

    joined = join(
        base.engine,
        keys=base.home.keys,
        models=base.home.models,
        datasets_folder=base.home.datasets,
        launch=launch,
        publish=publish if base.home.demo else None,
        base_url=settings.address,
        bound_host=settings.host,
        event_skew=round(settings.event_skew_s * SECOND),
        probes=probes,
        replicas=settings.decision_replicas,
        parity_every_s=settings.parity_every_s or None,
        desk=desk,
        expiry_every_s=settings.expiry_every_s,
        controls=Controls(base.engine, scribe, base.home.models),
        reads=reads,
        export=lambda account, query: exports.start_export(account, query, office, DecisionReader(base.engine)),
    )
    joined = replace(joined, ledger=ServiceLedger(published, log, witnesses, settings.verify_every_s or None, now))
    app = create_console(joined)
    for routes in (
        exports.routes(joined, office, reads),
        system.routes(probes),
        populations.routes(joined, base.engine, base.home.models),
        ledger.routes(joined, published, log),
        webhooks.routes(joined, webhooks.Office(courier.engine, courier.scribe, courier.vault, courier.networks)),
        erasures.routes(joined, lambda: erasures_of(base)),
    ):
        app.include_router(routes)
    app.state.log = log
    reads.start()
    for thread in (log, ReviewKeeper(desk), WebhookKeeper(courier), *_now_and_then(base, witnesses)):
        thread.start()
    return app


def _now_and_then(base: Base, witnesses: list[Asked]) -> list[Background]:
    """The threads that the settings ask for."""
    settings, found = base.settings, list[Background]()
    if witnesses:
        found.append(WitnessKeeper(base.home.ledger, base.signer.verifier, witnesses))
    if settings.verify_every_s:
        found.append(VerifyKeeper(base, settings.verify_every_s, settings.verify_whole_every_s))
    if settings.parity_every_s:
        found.append(ParityKeeper(base.engine, settings.parity_every_s))
    if settings.expiry_every_s is not None:
        found.append(ExpiryKeeper(base.engine, settings.kept_days, settings.expiry_every_s))
    return found


def _courier(base: Base, scribe: Scribe) -> Courier:
    """Who delivers webhooks."""
    settings = base.settings
    patience = Patience(settings.webhook_timeout_s, round(settings.webhook_retry_s * SECOND), round(settings.webhook_give_up_s * SECOND))
    return Courier(base.engine, scribe, Vault.of(base.home.keys), read_networks(settings.webhook_networks), patience)
