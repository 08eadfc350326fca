"""What the pages about features and about the service's health need from below; the rest is in :mod:`serving.console.ports`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from feature_store.backfill import Standing
from feature_store.columns import Kind
from feature_store.times import Millis
from feature_store.views.definition import Feature
from governance.monitoring import Watched
from models.features import FeatureCard
from serving.expiry import Run
from serving.live_features import LiveFeature
from serving.parity import Checked


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """One feature of one decision type.

    Attributes:
        type: the decision type.
        view_version: of all definitions of the type.
        card: how its values are written; with the training median where a champion has learnt from it.
        live: how it is doing; ``None`` where no decision was recorded by this definition.
    """

    type: str
    feature: Feature
    view_version: str
    card: FeatureCard
    live: LiveFeature | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """How far back a type's figures look: decisions, further ones by other definitions, the time of the oldest."""

    decisions: int = 0
    others: int = 0
    since: Millis | None = None


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column that a custom decision type is asked with, as the artifact of its champion tells.

    Attributes:
        type: the decision type.
        model: name, version and digest of the champion.
        kind: what its values are.
        required: whether a request has to fill it.
        features: what the model gets of it: its value, the parts of its time.
    """

    type: str
    model: tuple[str, int, str]
    column: str
    kind: Kind
    required: bool
    features: Sequence[FeatureCard]


@dataclass(frozen=True, slots=True)
class FeatureBook:
    """Every feature of every built-in decision type, and the figures of one moment; the columns of the custom types."""

    features: Sequence[FeatureFacts]
    looked: Mapping[str, Looked]
    at: Millis
    columns: Sequence[ColumnFacts] = ()


class Features(Protocol):
    """The features and how they are doing. Read-only."""

    def book(self) -> FeatureBook:
        """All of them; figures are counted at most every few seconds, over a bounded number of decisions."""


class State(StrEnum):
    """How a part of the service is."""

    WORKING = "ok"
    LOOK = "hold"
    FAILING = "bad"
    UNKNOWN = "plain"


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """One decision process, as it tells: what it has loaded, and what it could not load."""

    replica: str
    generation: int
    models: Mapping[str, Mapping[str, object]]
    problems: Mapping[str, str] = field(default_factory=dict)


MANY_EVENTS = 100_000
"""Events are counted up to here."""


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """The state of the service at one moment.

    Attributes:
        database: which server.
        database_problem: why it cannot be written; ``None`` when it can.
        write_ms: how long a transaction took.
        replicas: those that answered.
        wanted: how many there should be.
        generation: what they should have loaded.
        recorded_at: when the newest decision was made.
        known_at: when the newest event became known.
        events_last_hour: at most :data:`MANY_EVENTS`, then there are more.
        fact_at: when the newest fact happened that the newest decisions used.
        gap: events that became known by then may be missing.
        standing: which definitions the states follow, and how far a rebuild is; ``None`` where it was not read.
        parity: the newest check.
        parity_every_s: how often it is made; ``None`` where it is not.
        expiry: the newest run that forgot what is past its time.
        expiry_every_s: how often there should be one; ``None`` where there is none.
        watched: what the versions were worth whose decisions' truth is known.
        trainings: that run or wait: id, name, state.
        failed_trainings: of the last day.
    """

    at: Millis
    database: str
    database_problem: str | None = None
    write_ms: float | None = None
    replicas: Sequence[ReplicaFacts] = ()
    wanted: int = 1
    replica_problem: str | None = None
    generation: int = 0
    recorded_at: Millis | None = None
    known_at: Millis | None = None
    events_last_hour: int = 0
    fact_at: Millis | None = None
    gap: Millis | None = None
    standing: Standing | None = None
    parity: Checked | None = None
    parity_every_s: float | None = None
    expiry: Run | None = None
    expiry_every_s: float | None = None
    watched: Sequence[Watched] = ()
    trainings: Sequence[tuple[str, str, str]] = ()
    failed_trainings: int = 0


class Health(Protocol):
    """How the service is. Read-only but for an empty write that tells whether the database can be written."""

    def look(self) -> HealthFacts:
        """Ask every part; one that does not answer is told as such, and nothing is raised."""
