"""Replay: compute a past decision again from its record, and say what came of it.

``exact``
    every byte that follows from inputs, model and policy is the same: margin, contributions, confidence, policy results, outcome, reasons, plan.
``same_outcome``
    the OMS would be told the same, but something behind it differs.
``differs``
    the OMS would be told something else.
``not_replayable``
    it cannot be computed; the reason says why.

Whatever differs is named. So is code or a library that is not the recorded one, also where it changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from governance.decision import decide
from governance.decision_groups import decision_groups
from governance.differences import Difference, compare
from governance.ledger.canonical import Canonical, canonical
from governance.ledger.opened import Opened
from governance.ledger.record import Numbers
from governance.ledger.store import Damaged, StoredDecision
from governance.precedence import PRECEDENCE, resolve
from governance.reconstruct import COMPOSITE, NotReplayable, Why, open_record, rebuild
from governance.shelf import Shelf

RUNNING = ("build", "environment")
"""What runs, by the name of its digest: our code, and everything under it."""

_TOLD = ("outcome", "status", "fallback_reason", "review")
_TOLD_DETAILS: Mapping[str, tuple[str, ...] | None] = {
    "shipments": ("node_id", "service", "lines"), "unfilled": ("line_id", "qty"), "accepted_lines": None, "prediction": ("label", "value"),
}  # fmt: skip
"""What the OMS acts on, of an outcome and of its details: which members of the latter, ``None`` for all."""

_KEPT_PARTS = 64
"""Parts of an order are next to it in every listing, so few are remembered."""

Libraries = Callable[[str], Sequence[str] | None]
"""The libraries behind an environment's digest, as ``name==version``; ``None`` where nobody kept the list."""


class Verdict(StrEnum):
    """What came of a replay."""

    EXACT = "exact"
    SAME_OUTCOME = "same_outcome"
    DIFFERS = "differs"
    NOT_REPLAYABLE = "not_replayable"


@dataclass(frozen=True, slots=True)
class Replay:
    """One decision computed again.

    Attributes:
        differences: everything that is not as recorded, digests of code and libraries included.
        why: the reason of ``not_replayable``.
        detail: the reason in one sentence.
        parts: for the decision on a whole order the replays of its parts, by type.
    """

    record_id: str
    type: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    why: Why | None = None
    detail: str | None = None
    parts: Mapping[str, Replay] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the API tells it."""
        told: dict[str, Any] = {
            "decision_id": self.record_id,
            "type": self.type,
            "verdict": self.verdict.value,
            "reason": None if self.why is None else self.why.value,
            "detail": self.detail,
            "differences": [one.to_json() for one in self.differences],
        }
        if self.parts:
            told["parts"] = {name.replace("-", "_"): part.to_json() for name, part in self.parts.items()}
        return told


class Replayer:
    """Replays decisions.

    Args:
        shelf: models and policies of the past.
        running: digests of this code and of the libraries under it, by a name of :data:`RUNNING`.
        find: a stored decision by its id, for the parts of a decision on a whole order.
        libraries: names what changed between two environments.
    """

    def __init__(
        self,
        shelf: Shelf,
        running: Mapping[str, str],
        find: Callable[[str], StoredDecision | Damaged | None],
        libraries: Libraries = lambda _digest: None,
    ) -> None:
        self._shelf = shelf
        self._running = running
        self._find = find
        self._libraries = libraries
        self._changed: dict[tuple[str, str, str], Difference] = {}
        self._parts: dict[str, Replay] = {}

    def replay(self, stored: StoredDecision | Damaged, *, keep: bool = False) -> Replay:
        """Replay one decision, or the decisions on a whole order; never raises for what is stored.

        Args:
            stored: the decision.
            keep: whether the replays of its parts are wanted again soon.
        """
        line = stored.line
        try:
            if isinstance(stored, Damaged):
                raise NotReplayable(Why.RECORD_CORRUPT, str(stored.error))
            return self._order(stored, keep=keep) if line.type == COMPOSITE else self._one(stored)
        except NotReplayable as error:
            return Replay(line.record_id, line.type, Verdict.NOT_REPLAYABLE, why=error.why, detail=error.detail)

    def each(self, decisions: Iterable[StoredDecision | Damaged]) -> Iterator[Replay]:
        """Replay many, one after the other; a decision that is both asked for and a part of another one is computed once."""
        for stored in decisions:
            known = self._parts.pop(stored.line.record_id, None)
            yield known if known is not None else self.replay(stored, keep=True)
        self._parts.clear()

    def _one(self, stored: StoredDecision) -> Replay:
        rebuilt = rebuild(stored)
        deployed = None if rebuilt.model is None else self._shelf.deployed(rebuilt.model)
        policy = self._shelf.policy(rebuilt.policy_digest)
        try:
            decision = decide(rebuilt.inputs, {} if deployed is None else {rebuilt.inputs.type: deployed}, policy)
        except Exception as error:
            raise NotReplayable(Why.FAILED, f"the decision cannot be computed any more: {type(error).__name__}: {error}") from error
        written = decision_groups(rebuilt.inputs, decision, policy, () if deployed is None else deployed.described, rebuilt.together)
        found = differences(stored.opened, written)
        verdict = _verdict(stored.opened.groups, written) if found else Verdict.EXACT
        return Replay(stored.line.record_id, stored.line.type, verdict, (*found, *self.not_running(stored)))

    def _order(self, stored: StoredDecision, *, keep: bool) -> Replay:
        """The decisions on a whole order: each part by itself, whether it is the part that was bound, and what they come to."""
        groups, entry = open_record(stored), orjson.loads(stored.entry)
        answered = orjson.loads(groups["response"])["decisions"]
        parts: dict[str, Replay] = {}
        outcomes: dict[str, str] = {}
        for member, answer in answered.items():
            name = member.replace("_", "-")
            if "decision_id" not in answer:
                continue
            part = self._find(answer["decision_id"])
            if part is None:
                raise NotReplayable(Why.PART_MISSING, f"its {name} decision {answer['decision_id']} is not kept here")
            if isinstance(part, Damaged):
                raise NotReplayable(Why.RECORD_CORRUPT, f"its {name} decision {part.line.record_id}: {part.error}")
            if entry["digests"].get(name) != f"sha256:{part.receipt.leaf_hash.hex()}":
                raise NotReplayable(Why.RECORD_CORRUPT, f"its {name} decision {part.line.record_id} is not the one that it was bound to")
            parts[name] = self.replay(part)
            if keep:
                self._parts[part.line.record_id] = parts[name]
                while len(self._parts) > _KEPT_PARTS:
                    del self._parts[next(iter(self._parts))]
            if parts[name].why is not None:
                raise NotReplayable(parts[name].why or Why.FAILED, f"its {name} decision: {parts[name].detail}")
            outcomes[name] = part.line.outcome
        together = resolve(outcomes)
        decided_by = None if together.decided_by is None else str(together.decided_by)
        now = {"outcome": together.outcome.value, "precedence": [str(rule) for rule in PRECEDENCE], "decided_by": decided_by}
        was = {name: groups["outcome"].get(name) for name in now}
        found = tuple(compare("outcome", was, now))
        verdict = Verdict.EXACT if not found else Verdict.DIFFERS if was["outcome"] != now["outcome"] else Verdict.SAME_OUTCOME
        worst = max([verdict, *(part.verdict for part in parts.values())], key=_ORDER.index)
        inner = tuple(
            replace(one, part=f"{name}.{one.part}") for name, part in parts.items() for one in part.differences if one.part not in RUNNING
        )
        return Replay(stored.line.record_id, stored.line.type, worst, (*found, *inner, *self.not_running(stored)), parts=parts)

    def not_running(self, stored: StoredDecision) -> Iterator[Difference]:
        """Code and libraries that are not those of the record."""
        digests = orjson.loads(stored.entry)["digests"]
        for name in RUNNING:
            was, now = digests.get(name), self._running.get(name)
            if was is not None and now is not None and was != now:
                key = name, was, now
                if key not in self._changed:
                    self._changed[key] = Difference(name, "", was, now, self._what_changed(name, was, now))
                yield self._changed[key]

    def _what_changed(self, name: str, was: str, now: str) -> str:
        if name == "build":
            return "it was decided by another version of this program"
        before, after = self._libraries(was), self._libraries(now)
        if before is None or after is None:
            return "it was decided with other versions of the libraries; which ones was not kept"
        old, new = (dict(line.partition("==")[::2] for line in lines) for lines in (before, after))
        changed = [
            f"{library} {old.get(library, 'absent')} → {new.get(library, 'absent')}"
            for library in sorted({*old, *new})
            if old.get(library) != new.get(library)
        ]
        return "it was decided with other libraries: " + ", ".join(changed)


_COMPUTED = frozenset(
    {"policy", "alternatives", "outcome", "model", "confidence", "snapshot", "values", "explanation", "scores", "contributions"}
)
_ORDER = [Verdict.EXACT, Verdict.SAME_OUTCOME, Verdict.DIFFERS, Verdict.NOT_REPLAYABLE]


def differences(recorded: Opened, written: Mapping[str, object]) -> tuple[Difference, ...]:
    """Where two writings of a decision differ; empty when every byte is the same.

    Args:
        recorded: the groups of the record.
        written: the groups as :func:`governance.decision_groups.decision_groups` makes them.
    """
    found: list[Difference] = []
    for name in sorted({*written, *(name for name in recorded.texts if name in _COMPUTED)}, key=_places):
        was = recorded.texts.get(name, b"null")
        now = _written(written[name]) if name in written else b"null"
        if name == "outcome" and was != now:
            now = canonical(_without_clock(recorded.groups[name], orjson.loads(now)))
        if was != now:
            places = compare(name, orjson.loads(was), orjson.loads(now), recorded.groups)
            found += places or [Difference(name, "", None, None, "the bytes differ, the values do not")]
    return tuple(found)


def _written(value: object) -> bytes:
    if isinstance(value, Canonical):
        return value.text
    return canonical(value.text) if isinstance(value, Numbers) else canonical(value)


def _without_clock(recorded: Mapping[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """What was computed, with the one figure that a clock measured, the optimiser's milliseconds, as it was recorded."""
    optimality = written["details"].get("optimality")
    was = recorded.get("details", {}).get("optimality")
    if optimality is not None and was is not None and "ms" in was:
        optimality["ms"] = was["ms"]
    return written


def _verdict(recorded: Mapping[str, Any], written: Mapping[str, object]) -> Verdict:
    was, now = recorded["outcome"], orjson.loads(_written(written["outcome"]))
    same = all(was.get(name) == now.get(name) for name in _TOLD) and _acted_on(was["details"]) == _acted_on(now["details"])
    return Verdict.SAME_OUTCOME if same else Verdict.DIFFERS


def _acted_on(details: Mapping[str, Any]) -> dict[str, Any]:
    """What the OMS acts on, of the details."""
    told: dict[str, Any] = {}
    for name, members in _TOLD_DETAILS.items():
        value = details.get(name)
        if members is not None and isinstance(value, list):
            told[name] = [[one.get(member) for member in members] for one in value]
        elif members is not None and isinstance(value, dict):
            told[name] = [value.get(member) for member in members]
        else:
            told[name] = value
    return told


def _places(name: str) -> tuple[int, str]:
    """What matters most first."""
    first = ("model", "policy", "outcome", "confidence", "scores", "contributions")
    return (first.index(name) if name in first else len(first)), name
