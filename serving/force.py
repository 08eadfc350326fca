"""What is in force: models, policies, lists and switches that decide right now, as one immutable value that is swapped whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feature_store.order import Order
from feature_store.times import Millis
from governance.controls import Switch
from governance.decision import Models
from governance.lists import Lists
from governance.policy import Policy
from governance.policy_scope import Traits, choose
from models.specs import SPECS

CUSTOM = "custom"
"""The policy of every published custom type that has none of its own."""


@dataclass(frozen=True, slots=True)
class Force:
    """Models and policies by decision type.

    Attributes:
        policies: for each type the one that judges what no other is meant for.
        generation: grows with every change of a model or policy, so that a replica can tell whether it is up to date.
        scoped: by type the policies that are meant for some decisions only.
        lists: the allow and block lists.
        switches: by type the kill switches that are not at ``normal``.
    """

    models: Models
    policies: Mapping[str, Policy]
    generation: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)
    scoped: Mapping[str, tuple[Policy, ...]] = field(default_factory=dict)
    lists: Lists = field(default_factory=Lists)
    switches: Mapping[str, Switch] = field(default_factory=dict)

    def policy(self, decision_type: str) -> Policy | None:
        """The policy of a type's decisions that no other is meant for; ``None`` when there is no such type."""
        if decision_type not in SPECS and decision_type not in self.models:
            return None
        own = self.policies.get(decision_type)
        return own if own is not None and decision_type != CUSTOM else self.policies[CUSTOM]

    def judging(self, decision_type: str, order: Order | None, at: Millis) -> Policy | None:
        """The policy that judges one decision: the most specific one whose scope holds; ``None`` when there is no such type."""
        base = self.policy(decision_type)
        if base is None or not self.scoped:
            return base
        for family in dict.fromkeys((decision_type, base.type)):
            scoped = self.scoped.get(family)
            if scoped:
                own = (base,) if base.type == family else ()
                chosen: Policy | None = choose((*scoped, *own), Traits.of(order), at)
                if chosen is not None:
                    return chosen
        return base

    def rivals(self, decision_type: str, judging: Policy) -> tuple[tuple[str, int, str], ...]:
        """The other policies that could have judged such a decision, as id, version and digest."""
        base = self.policy(decision_type)
        if base is None or not self.scoped:
            return ()
        families = dict.fromkeys((decision_type, base.type))
        known = {one.id: one for family in families for one in self.scoped.get(family, ())} | {base.id: base}
        return tuple((name, one.version, one.digest) for name, one in sorted(known.items()) if one is not judging)

    def to_json(self) -> dict[str, Any]:
        """What is loaded, for those who watch over the service."""
        models = {kind: {"name": one.use.name, "version": one.use.version, "digest": one.use.digest} for kind, one in self.models.items()}
        every = [*self.policies.values(), *(one for scoped in self.scoped.values() for one in scoped)]
        return {
            "generation": self.generation,
            "models": models,
            "policies": {one.id: {"version": one.version, "digest": one.digest} for one in every},
            "switches": {kind: one.mode.value for kind, one in self.switches.items()},
            "list_entries": len(self.lists),
            "problems": dict(self.problems),
        }


def sorted_policies(shipped: Mapping[str, Policy], loaded: Sequence[Policy]) -> tuple[dict[str, Policy], dict[str, tuple[Policy, ...]]]:
    """Policies in force, parted into those that judge what no other is meant for, and those with a scope of their own."""
    bases: dict[str, Policy] = {}
    scoped: dict[str, list[Policy]] = {}
    for policy in loaded:
        known = bases.get(policy.type)
        if policy.scope.named or (known is not None and known.scope.beats(policy.scope)):
            scoped.setdefault(policy.type, []).append(policy)
        else:
            if known is not None:
                scoped.setdefault(policy.type, []).append(known)
            bases[policy.type] = policy
    bases = {**{kind: policy for kind, policy in shipped.items() if kind in SPECS or kind == CUSTOM}, **bases}
    return bases, {kind: tuple(several) for kind, several in scoped.items()}
