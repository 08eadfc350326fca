"""A decision service in one process: small models, a real database, no network."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import lightgbm
import numpy as np
import orjson
import pytest
from sqlalchemy import Engine

from feature_store.columns import read_columns, type_column
from feature_store.events import Event, EventType
from feature_store.online import OnlineStore
from feature_store.order import MICRO
from feature_store.reservations import ReservationStore
from feature_store.times import HOUR, now
from feature_store.views import SERVICES
from governance.access import Access, Role, create_key
from governance.decision import Deployed, ModelUse
from governance.ledger.fingerprint import fingerprinter
from governance.ledger.log import Recorder
from governance.ledger.receipt import Signer
from governance.ledger.store import DecisionReader
from governance.overrides import Overrides
from governance.policy_document import default_policies
from governance.settling import Desk
from models.artifact import ArtifactContents, ModelArtifact, load_artifact, write_artifact
from models.calibration import Calibrator
from models.encoding import RowEncoder
from models.features import cards_of_table, cards_of_views
from models.specs import SPECS, Task
from serving.answer import Answerer, Edges, usual_breakers
from serving.api.decisions import DecisionsApp
from serving.api.schemas import ACCEPTANCE_EXAMPLE
from serving.aside import in_place
from serving.edges import recall_from, reserved_from, runner, states_from
from serving.force import Force
from serving.knowing import Guards
from serving.lookups import Lookups
from serving.reviewing import Reviewing
from serving.shedding import Shedder

PARCEL = ("placed_at", "region", "service", "carrier", "pieces", "weight_g")
"""The columns of the custom type: those of the documented example."""


def _train(features: np.ndarray[Any, Any], names: list[str], seed: int) -> tuple[str, Calibrator]:
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=features.shape[1])
    score = (features - features.mean(axis=0)) / features.std(axis=0) @ weights / np.sqrt(features.shape[1])
    labels = (score + generator.normal(size=len(score)) > 0.8).astype(float)
    parameters = {
        "objective": "binary",
        "num_leaves": 8,
        "max_depth": 4,
        "verbosity": -1,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
    }
    half = len(labels) // 2
    booster = lightgbm.train(parameters, lightgbm.Dataset(features[:half], labels[:half], feature_name=names), num_boost_round=12)
    margins = np.asarray(booster.predict(features[half:], raw_score=True))
    return booster.model_to_string(), Calibrator.fit(margins, labels[half:])


def _built_in(decision_type: str, seed: int) -> ArtifactContents:
    service = SERVICES[decision_type]
    features = np.random.default_rng(seed).normal(size=(900, len(service.names)))
    text, calibrator = _train(features, [f"f{i}" for i in range(len(service.names))], seed)
    cards = cards_of_views(service.features, features)
    return ArtifactContents(
        name=decision_type, type=decision_type, task=Task.BINARY, model_text=text, features=cards, calibrator=calibrator,
        labels=("no", "yes"), event=SPECS[decision_type].event, threshold=0.5, base_rate=0.3, view_version=service.view_version,
    )  # fmt: skip


def _custom(seed: int) -> ArtifactContents:
    generator = np.random.default_rng(seed)
    rows = [
        (
            f"2026-{month:02}-{day:02}T{hour:02}:00:00Z", ("east", "west")[region], ("std", "express")[express],
            ("Jade Express", "River Post", "Crane Air")[carrier], str(pieces), f"{weight:.1f}",
        )
        for month, day, hour, region, express, carrier, pieces, weight in zip(
            *(generator.integers(low, high, 900) for low, high in ((1, 13), (1, 29), (0, 24), (0, 2), (0, 2), (0, 3), (1, 6))),
            generator.normal(900, 200, 900), strict=True,
        )
    ]  # fmt: skip
    columns = [type_column(text) for text in read_columns(list(PARCEL), rows)]
    encoder = RowEncoder.fit(columns)
    features = encoder.encode_columns(columns)
    text, calibrator = _train(features, [f"f{i}" for i in range(features.shape[1])], seed)
    return ArtifactContents(
        name="parcel-late", type="parcel-late", task=Task.BINARY, model_text=text, features=cards_of_table(encoder, features),
        calibrator=calibrator, labels=("on time", "late"), event="late", threshold=0.5, base_rate=0.3, encoder=encoder,
    )  # fmt: skip


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelArtifact]:
    """A small trained model for every built-in type and one custom type, loaded from disk."""
    folder = tmp_path_factory.mktemp("models")
    contents = [_built_in(name, seed) for seed, name in enumerate(SPECS, start=1)] + [_custom(9)]
    loaded = {one.name: load_artifact(folder / one.name, write_artifact(folder / one.name, one)) for one in contents}
    for artifact in loaded.values():
        artifact.warm()
    return loaded


@pytest.fixture(scope="session")
def force(artifacts: Mapping[str, ModelArtifact]) -> Force:
    """Every model as champion, under the default policies."""
    models = {name: Deployed(artifact, ModelUse(name, 1, artifact.digest)) for name, artifact in artifacts.items()}
    return Force(models, default_policies(), 1)


NODE = {"region": "east", "status": "open", "capacity_left": 500.0, "processing_h": 4.0, "processing_cost": 1.5}
RATE = {"region": "east", "service": "std", "fixed": 6.0, "per_kg": 1.25, "transit_days": 2.0, "co2e_g_per_kg": 40.0}


def network_events() -> list[Event]:
    """Two nodes that lead east, with stock of two SKUs."""
    at = now() - HOUR
    told: list[tuple[EventType, dict[str, Any]]] = []
    for node_id in ("N1", "N2"):
        told.append((EventType.NODE_STATUS, {"node_id": node_id, **NODE}))
        told.append((EventType.LANE_RATE, {"node_id": node_id, **RATE}))
        told += [(EventType.STOCK_LEVEL, {"node_id": node_id, "sku": sku, "available": 20.0, "safety": 1.0}) for sku in ("SKU-1", "SKU-2")]
    return [Event(f"net-{i}", kind, at, at, data) for i, (kind, data) in enumerate(told)]


@dataclass
class Answered:
    """A reply as a test looks at it."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return orjson.loads(self.content)


@dataclass
class Service:
    """The application with its parts, and a client for it."""

    app: DecisionsApp
    edges: Edges
    reader: DecisionReader
    store: OnlineStore
    keys: Mapping[Role, str]
    engine: Engine

    async def send(self, method: str, path: str, *, role: Role | None = Role.OMS, **rest: Any) -> Answered:
        headers = dict(rest.pop("headers", {}))
        if role is not None:
            headers.setdefault("authorization", f"Bearer {self.keys[role]}")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://ordinance") as client:
            reply = await client.request(method, path, headers=headers, **rest)
        return Answered(reply.status_code, reply.content, reply.headers)

    def call(self, method: str, path: str, **rest: Any) -> Answered:
        return asyncio.run(self.send(method, path, **rest))

    def decide(self, decision_type: str, body: Any, key: str | None = "key-1", **rest: Any) -> Answered:
        headers = {**rest.pop("headers", {}), **({} if key is None else {"idempotency-key": key})}
        path = "/v1/orders/decide" if decision_type == "orders" else f"/v1/decisions/{decision_type}"
        return self.call("POST", path, json=body, headers=headers, **rest)

    def get(self, path: str, role: Role = Role.AUDITOR) -> Answered:
        return self.call("GET", path, role=role)

    def with_edges(self, **changes: Any) -> Service:
        edges = replace(self.edges, **{"guards": Guards(usual_breakers(), in_place()), "shedder": Shedder(), **changes})
        return replace(self, edges=edges, app=self.made_app(edges))

    def made_app(self, edges: Edges, *, echoes: bool = True) -> DecisionsApp:
        run = runner(self.engine, ThreadPoolExecutor(1))
        return DecisionsApp(
            Answerer(edges),
            Lookups(self.reader, run),
            Access(self.engine),
            edges.force,
            echoes=echoes,
            reviewing=reviewing(self.engine, edges),
        )


SECOND_ABOVE = 100_000 * MICRO
"""Order value above which a second person confirms an override."""


def reviewing(engine: Engine, edges: Edges) -> Reviewing:
    """What settles decisions, as in service."""

    def classes() -> dict[str, Any]:
        return {name: one.artifact.labels for name, one in edges.force().models.items() if name not in SPECS}

    desk = Desk(engine, edges.signer, edges.tenant, edges.running, edges.clock)
    return Reviewing(Overrides(desk, SECOND_ABOVE, classes), ThreadPoolExecutor(1))


def make_service(engine: Engine, force: Force) -> tuple[Service, Recorder]:
    keys = {role: create_key(engine, role, f"test-{role}") for role in Role}
    store, reader, recorder = OnlineStore(engine), DecisionReader(engine), Recorder(engine)
    run = runner(engine, ThreadPoolExecutor(2))
    edges = Edges(
        force=lambda: force, read=states_from(store, run), recall=recall_from(reader, run), records=recorder,
        signer=Signer("ordinance.test/log", b"s" * 32), fingerprint=fingerprinter(b"f" * 32), running={"build": "test", "environment": "test"},
        reserved=reserved_from(ReservationStore(engine), run),
    )  # fmt: skip
    app = DecisionsApp(Answerer(edges), Lookups(reader, run), Access(engine), lambda: force, reviewing=reviewing(engine, edges))
    store.ingest(network_events())
    return Service(app, edges, reader, store, keys, engine), recorder


@pytest.fixture
def service(sqlite_engine: Engine, force: Force) -> Iterator[Service]:
    """The whole thing on a SQLite file."""
    made, recorder = make_service(sqlite_engine, force)
    yield made
    recorder.close()


@pytest.fixture
def service_on(engine: Engine, force: Force) -> Iterator[Service]:
    """The whole thing on each supported server."""
    made, recorder = make_service(engine, force)
    yield made
    recorder.close()


@pytest.fixture
def body() -> Callable[..., dict[str, Any]]:
    """A request body about an order; keywords replace members of the order."""

    def make(**order: Any) -> dict[str, Any]:
        made = copy.deepcopy(ACCEPTANCE_EXAMPLE)
        del made["fallback"], made["deadline_ms"]
        made["order"].update(order)
        return made

    return make
