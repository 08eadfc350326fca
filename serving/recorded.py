"""What a record holds, put together again for people: the one place that knows how :mod:`serving.recording` laid it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from feature_store.times import format_time
from governance.ledger.opened import numbers
from models.features import FeatureCard
from serving.rendering import finite


def snapshot_features(groups: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each feature of the snapshot that was scored: value, event time (Millis), origin. Of split-order the explained lane's."""
    snapshot = groups.get("snapshot")
    if snapshot is None:
        return {}
    values = numbers(groups["values"])
    event_times, origins = snapshot["event_times"], snapshot["origins"]
    if "lanes" in snapshot:
        row = snapshot["explained"] or 0
        values = values.reshape(snapshot["shape"])[row]
        event_times, origins = event_times[row], origins[row]
    return {
        name: {"value": finite(value), "event_time": at, "origin": origin}
        for name, value, at, origin in zip(snapshot["names"], values.tolist(), event_times, origins, strict=True)
    }


def contributions(groups: Mapping[str, Any]) -> dict[str, Any] | None:
    """The exact explanation: base, margin, link and every contribution; ``None`` when no model was asked."""
    explanation = groups.get("explanation")
    if explanation is None:
        return None
    base, margin = numbers(groups["scores"]).tolist()
    parts = numbers(groups["contributions"])
    known = snapshot_features(groups)
    as_of = groups["snapshot"]["as_of"]
    listed = []
    for name, part, described in zip(explanation["names"], parts.tolist(), explanation["features"], strict=True):
        feature, card = known.get(name, {}), FeatureCard.from_json(described)
        value, usual = feature.get("value"), card.usual
        at = feature.get("event_time")
        listed.append(
            {
                "feature": name,
                "value": None if value is None else card.raw(value),
                "contribution": part,
                "group": card.group,
                "label": dict(card.label),
                "unit": card.unit or None,
                "usual": None if usual is None else card.raw(usual),
                "origin": feature.get("origin"),
                "event_time": None if at is None else format_time(at),
                "age_s": None if at is None else max(0.0, (as_of - at) / 1000),
            }
        )
    order = np.argsort(-np.abs(parts), kind="stable").tolist()
    return {"base": base, "margin": margin, "link": explanation["link"], "contributions": [listed[i] for i in order]}
