"""Features and health over a real database and real decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from feature_store.database import make_engine
from feature_store.gaps import Cause, note_gap
from feature_store.times import now
from feature_store.views import SERVICES
from governance.ledger.receipt import Signer
from governance.promotion import register_version, set_alias
from governance.tables import trainings
from models.artifact import ModelArtifact, artifact_folder, write_artifact
from serving.console.joined.cards import Cards
from serving.console.joined.features import AGE_S, LiveFeatures
from serving.console.joined.health import ServiceHealth
from serving.parity import check_parity
from tests.serving.console.watched import Features

NO_FEATURES = Features()


@dataclass
class Probes:
    """A database that is asked for real, and replicas that take turns to answer."""

    engine: Engine
    answers: Iterator[tuple[Mapping[str, Any], str | None]]
    problem: str | None = None
    asked: list[int] = field(default_factory=list)

    def database(self) -> str | None:
        return self.problem

    def deciding(self) -> tuple[Mapping[str, Any], str | None]:
        self.asked.append(1)
        return next(self.answers)


def turns(*replicas: str) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    while True:
        for name in replicas:
            yield {"replica": name, "generation": 0, "models": {}, "problems": {}}, None


def health(probes: Any, features: Any = NO_FEATURES, replicas: int = 2) -> Any:
    return ServiceHealth(probes, features, replicas=replicas, parity_every_s=900, now=now).look()


def test_figures_come_from_the_decisions_that_were_recorded(service: Any, body: Callable[..., Any], tmp_path: Any) -> None:
    for number in range(3):
        assert service.decide("fraud", body(order_id=f"SO-{number}"), key=f"k{number}").status == 200
    assert service.decide("split-order", body(), key="split").status == 200
    clock = [0.0]
    features = LiveFeatures(service.engine, Cards(tmp_path), now, lambda: clock[0])
    book = features.book()
    assert len(book.features) == sum(len(one.features) for one in SERVICES.values())
    assert {kind: one.decisions for kind, one in book.looked.items()} == {"fraud": 3, "acceptance": 0, "split-order": 1}
    found = {(one.type, one.feature.name): one for one in book.features}
    amount = found["fraud", "amount"]
    assert amount.live is not None
    assert (amount.live.values, amount.live.defaults, amount.card.usual) == (3, 0.0, None)
    assert found["acceptance", "amount"].live is None
    assert found["split-order", "transit_days"].live.values == 2, "two candidate lanes"  # type: ignore[union-attr]
    service.decide("fraud", body(order_id="SO-9"), key="k9")
    assert features.book() is book, "kept for a while"
    clock[0] += AGE_S + 1
    assert features.book().looked["fraud"].decisions == 4


def test_the_usual_value_is_that_of_the_champion(service: Any, artifacts: Mapping[str, ModelArtifact], tmp_path: Any) -> None:
    artifact, signer = artifacts["fraud"], Signer("ordinance.test/log", b"s" * 32)
    write_artifact(artifact_folder(tmp_path, artifact.digest), artifact.contents)
    version = register_version(
        service.engine, signer, name="fraud", kind="fraud", template="fraud", digest=artifact.digest, report={}, created_by="t"
    )
    set_alias(service.engine, signer.verifier, kind="fraud", alias="champion", name="fraud", version=version, changed_by="t", note="")
    book = LiveFeatures(service.engine, Cards(tmp_path), now).book()
    usual = {card.name: card.usual for card in artifact.features}
    assert {one.feature.name: one.card.usual for one in book.features if one.type == "fraud"} == usual


def test_the_columns_of_a_published_custom_type_come_from_its_artifact(
    service: Any, artifacts: Mapping[str, ModelArtifact], tmp_path: Any
) -> None:
    (artifact,) = (one for one in artifacts.values() if one.encoder is not None)
    assert LiveFeatures(service.engine, Cards(tmp_path), now).book().columns == []
    signer, name = Signer("ordinance.test/log", b"s" * 32), artifact.name
    version = register_version(
        service.engine, signer, name=name, kind=name, template="custom", digest=artifact.digest, report={}, created_by="t"
    )
    assert LiveFeatures(service.engine, Cards(tmp_path), now).book().columns == [], "it does not answer yet"
    set_alias(service.engine, signer.verifier, kind=name, alias="champion", name=name, version=version, changed_by="t", note="")
    assert LiveFeatures(service.engine, Cards(tmp_path), now).book().columns == [], "its artifact is not here"
    write_artifact(artifact_folder(tmp_path, artifact.digest), artifact.contents)
    columns = LiveFeatures(service.engine, Cards(tmp_path), now).book().columns
    assert artifact.encoder is not None
    assert [(one.column, one.kind, one.required) for one in columns] == [
        (one.name, one.kind, one.required) for one in artifact.encoder.inputs
    ]
    assert {one.model for one in columns} == {(name, version, artifact.digest)}
    assert [card.name for one in columns for card in one.features] == [card.name for card in artifact.features]


def test_every_part_is_asked(service: Any, body: Callable[..., Any], tmp_path: Any) -> None:
    service.decide("fraud", body(), key="k")
    check_parity(service.engine)
    with service.engine.begin() as connection:
        note_gap(connection, 5, Cause.LOADED)
        row = {"name": "n", "template": "custom", "spec": b"{}", "started_by": "t", "created_at": now()}
        connection.execute(insert(trainings), [
            {**row, "training_id": "1", "state": "running", "finished_at": None}, {**row, "training_id": "2", "state": "failed", "finished_at": now()},
            {**row, "training_id": "3", "state": "failed", "finished_at": 1}, {**row, "training_id": "4", "state": "done", "finished_at": now()},
        ])  # fmt: skip
    probes = Probes(service.engine, turns("a", "a", "b"))
    facts = health(probes, LiveFeatures(service.engine, Cards(tmp_path), now))
    assert [one.replica for one in facts.replicas] == ["a", "b"]
    assert len(probes.asked) == 3, "until both have answered"
    assert (facts.database, facts.database_problem, facts.gap) == (service.engine.dialect.name, None, 5)
    assert facts.parity is not None
    assert facts.parity.report.sampled == 1
    assert (facts.trainings, facts.failed_trainings) == ((("1", "n", "running"),), 1)
    assert facts.recorded_at is not None
    assert facts.known_at is not None
    assert facts.events_last_hour in {0, 8}, "the network's events are an hour old"
    assert facts.write_ms is not None


def test_a_replica_that_is_missing_is_noticed_within_a_few_questions(sqlite_engine: Engine) -> None:
    probes = Probes(sqlite_engine, turns("a"))
    assert [one.replica for one in health(probes).replicas] == ["a"]
    assert len(probes.asked) == 8
    gone = Probes(sqlite_engine, iter([({}, "no decision replica answers")]))
    facts = health(gone)
    assert (facts.replicas, facts.replica_problem) == ((), "no decision replica answers")


@pytest.mark.parametrize("problem", [None, "the database cannot be written: OperationalError"])
def test_without_a_database_the_rest_is_told(tmp_path: Any, problem: str | None) -> None:
    """Also when it goes away between the write and the reads: here it has no tables."""
    engine = make_engine(f"sqlite:///{tmp_path / 'bare.db'}")
    facts = health(Probes(engine, turns("a", "b"), problem))
    engine.dispose()
    assert len(facts.replicas) == 2
    assert (facts.parity, facts.recorded_at, facts.database_problem) == (None, None, problem)
