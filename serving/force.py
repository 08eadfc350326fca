"""What is in force: the models and policies that decide right now, as one immutable value that is swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from governance.decision import Models
from governance.policy import Policy

CUSTOM = "custom"
"""The policy of every published custom type that has none of its own."""


@dataclass(frozen=True, slots=True)
class Force:
    """Models and policies by decision type.

    Attributes:
        generation: grows with every change, so that a replica can tell whether it is up to date.
    """

    models: Models
    policies: Mapping[str, Policy]
    generation: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)

    def policy(self, decision_type: str) -> Policy | None:
        """The policy of a type; ``None`` when there is no such type."""
        own = self.policies.get(decision_type)
        if own is not None and decision_type != CUSTOM:
            return own
        return self.policies[CUSTOM] if decision_type in self.models else None

    def to_json(self) -> dict[str, Any]:
        """What is loaded, for those who watch over the service."""
        models = {kind: {"name": one.use.name, "version": one.use.version, "digest": one.use.digest} for kind, one in self.models.items()}
        return {"generation": self.generation, "models": models, "problems": dict(self.problems)}
