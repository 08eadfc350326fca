"""Facts about who orders and how fast, told beside a fraud decision whatever the model made of them.

A model's reasons say what moved its score. A reviewer also wants to know what is out of the ordinary in itself: these are the features that
count others, repetitions and disputes, where they count anything.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from feature_store.snapshot import FeatureSnapshot
from feature_store.views import SERVICES
from feature_store.views.definition import Dtype, Group
from models.specs import DecisionType

MOST_FACTS = 6

_GROUPS = (Group.DISPUTES, Group.PAYMENT, Group.SHARING, Group.VELOCITY, Group.LAUNCH, Group.IDENTITY)
"""What is told first where there is more than :data:`MOST_FACTS`."""


@cache
def _told(names: tuple[str, ...]) -> tuple[tuple[int, str, str], ...]:
    """Place, name and unit of the features that are told, the weightiest group first."""
    place = {name: index for index, name in enumerate(names)}
    found = [
        (_GROUPS.index(feature.group), place[feature.name], feature.name, feature.unit.value)
        for feature in SERVICES[DecisionType.FRAUD].features
        if feature.group in _GROUPS and feature.name in place and feature.default == 0.0 and feature.dtype in {Dtype.INTEGER, Dtype.FLAG}
    ]
    return tuple((index, name, unit) for _, index, name, unit in sorted(found))


def unusual_facts(snapshot: FeatureSnapshot) -> list[dict[str, Any]]:
    """What counts more than nought, at most :data:`MOST_FACTS`: ``{feature, value, unit}``."""
    values = snapshot.values
    found = [
        {"feature": name, "value": int(value), "unit": unit or None}
        for index, name, unit in _told(snapshot.names)
        if (value := float(values[index])) > 0.0
    ]
    return found[:MOST_FACTS]
