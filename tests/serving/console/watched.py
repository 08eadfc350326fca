"""Features and health as the pages are told them, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from feature_store.columns import Kind
from feature_store.parity import Difference, FeatureParity, ParityReport
from feature_store.retention import Forgotten
from feature_store.times import DAY, HOUR, MINUTE
from feature_store.views import SERVICES
from models.features import FeatureCard, Shown, cards_of_views, code_of_column
from serving.console.watching import ColumnFacts, FeatureBook, FeatureFacts, HealthFacts, Looked, ReplicaFacts
from serving.expiry import Run
from serving.live_features import LiveFeature, spread
from serving.parity import Checked
from tests.serving.console.examples import NOW


@cache
def book(decisions: int = 200) -> FeatureBook:
    """Every real feature; its values are made up, each in its own way."""
    found = []
    for kind, service in SERVICES.items():
        rows = np.random.default_rng(7).gamma(2.0, 1.5, (400, len(service.names)))
        cards = cards_of_views(service.features, rows)
        for index, (feature, card) in enumerate(zip(service.features, cards, strict=True)):
            values = (
                rows[:, index].round()
                if feature.dtype == "integer"
                else rows[:, index] % 1
                if feature.dtype in {"share", "flag"}
                else rows[:, index]
            )
            if feature.dtype == "flag":
                values = (values > 0.8).astype(float)
            personal = feature.personal and decisions < 20
            live = LiveFeature(
                decisions, 0.95 if index % 9 == 4 else 0.12 * (index % 3), 0.0, NOW - HOUR, 3_600.0 * (index + 1), 86_400.0 * (index + 1),
                None if personal else spread(values, feature.dtype),
            )  # fmt: skip
            found.append(
                FeatureFacts(
                    kind, feature, service.view_version, replace(card, usual=float(np.median(values))), live if decisions else None
                )
            )
    looked = {kind: Looked(decisions, 3 if kind == "fraud" else 0, NOW - DAY if decisions else None) for kind in SERVICES}
    return FeatureBook(found, looked, NOW)


def column(name: str, kind: Kind = Kind.NUMBER, **more: Any) -> FeatureCard:
    shown = Shown.CATEGORY if kind is Kind.CATEGORY else Shown.NUMBER
    return FeatureCard(
        name, {"en": name, "zh": name}, shown, "", code_of_column(name.partition(" · ")[0]), name.partition(" · ")[0], **more
    )


COLUMNS = (
    ColumnFacts("scms-late", ("scms-late", 2, "sha256:" + "ab" * 32), "Freight Cost", Kind.NUMBER, True, (column("Freight Cost", usual=12.5),)),
    ColumnFacts(
        "scms-late", ("scms-late", 2, "sha256:" + "ab" * 32), "Vendor <b>", Kind.CATEGORY, False,
        (column("Vendor <b>", Kind.CATEGORY, usual=0.0, categories=("A&B", "C", "other")),),
    ),
    ColumnFacts(
        "scms-late", ("scms-late", 2, "sha256:" + "ab" * 32), "PO Date", Kind.TIME, False,
        (column("PO Date · month", usual=3.0), column("PO Date · weekday", usual=None)),
    ),
)  # fmt: skip
"""The columns of a custom type."""


@dataclass
class Features:
    told: FeatureBook = field(default_factory=book)

    def book(self) -> FeatureBook:
        return self.told


EQUAL = ParityReport(
    40, 38, 0, {"at_once": 2}, 4_812, tuple(FeatureParity("fraud", name, 14, 0) for name in SERVICES["fraud"].names), 148_000, 2_310
)
ODD = replace(
    EQUAL, equal=36, differing=2,
    features=(FeatureParity("fraud", SERVICES["fraud"].names[3], 14, 2, (Difference("0193aaaa-0000-7000-8000-000000000001", "", 3.0, None),)), *EQUAL.features[4:]),
)  # fmt: skip


def checked(report: ParityReport = EQUAL) -> Checked:
    return Checked(NOW - 6 * MINUTE, "schedule", NOW - DAY, NOW, 11, report)


MODELS = {kind: {"name": kind, "version": 2, "digest": "sha256:x"} for kind in SERVICES}
WELL = HealthFacts(
    at=NOW, database="sqlite", write_ms=1.4, replicas=(ReplicaFacts("4711", 3, MODELS), ReplicaFacts("4712", 3, MODELS)), wanted=2, generation=3,
    recorded_at=NOW - MINUTE, known_at=NOW - 2 * MINUTE, events_last_hour=1_204, fact_at=NOW - 3 * MINUTE, parity=checked(), parity_every_s=900.0,
    expiry=Run(NOW - 3 * HOUR, "schedule", NOW - 3 * HOUR + MINUTE, Forgotten(1_312, 40, 7, 90)), expiry_every_s=86_400.0,
    trainings=(("t-1", "scms-late", "running"),),
)  # fmt: skip


@dataclass
class Health:
    facts: HealthFacts = WELL

    def look(self) -> HealthFacts:
        return self.facts
