"""What may be asked of an override: the outcomes of a type, the closed list of reasons, and what the order is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from feature_store.order import MICRO
from feature_store.times import format_time
from governance.aftermath import BY_CLOCK, Aftermath, Overridden, State
from governance.ledger.errors import RecordCorrupt
from governance.ledger.store import StoredDecision
from governance.override_reasons import OTHER, REASONS
from models.specs import SPECS, DecisionType, Outcome

LONGEST_NOTE: Final = 2_000
_MOST_LINES: Final = 1_000
_NEEDS_LINES: Final = Outcome.ACCEPT_PARTIAL.value
_PERSON: Final[Mapping[str, tuple[str, ...]]] = {
    spec.type: (Outcome.UNFULFILLABLE.value,)
    if spec.type == DecisionType.SPLIT_ORDER
    else tuple(outcome.value for outcome in spec.outcomes if outcome != spec.cautious)
    for spec in SPECS.values()
}
"""What a person can make of a decision: not the outcome that asks a person, and no plan, which only the optimiser makes."""


class DecisionUnknown(LookupError):
    """There is no such decision."""


class OverrideInvalid(ValueError):
    """Something that cannot be asked of this decision; ``place`` is the field."""

    def __init__(self, place: str, msg: str) -> None:
        super().__init__(msg)
        self.place = place


class OverrideRefused(Exception):
    """The state of the decision does not allow it; the message says what happened and who or what was first."""


class DecisionErased(OverrideRefused):
    """What the record held of a person was erased: there is nothing to judge."""


class OrderSuperseded(OverrideRefused):
    """A later version of the order was decided."""


class SamePerson(Exception):
    """The one who proposed an override cannot confirm it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reviewer wants.

    Attributes:
        accepted_lines: with ``ACCEPT_PARTIAL``, the lines that are accepted.
        confirms: the override, by its id, that a second person agrees to; saying the same outcome means the same.
        seen: the digest that was shown with the decision; a decision to which something happened since is looked at again first.
    """

    decision_id: str
    outcome: str
    reason_code: str
    note: str
    principal: str
    role: str
    accepted_lines: tuple[str, ...] = ()
    confirms: str | None = None
    seen: str | None = None


def check(wanted: Wanted, stored: StoredDecision, groups: Mapping[str, Any], classes: Mapping[str, Sequence[str]]) -> None:
    """Check what is wanted against the decision, whatever happened to it since.

    Args:
        wanted: by the reviewer.
        stored: the decision.
        groups: of its record.
        classes: the labels of custom types in service.

    Raises:
        OverrideInvalid: the type has no such outcome, it is the outcome already, or the reason is not on the list.
    """
    line = stored.line
    if line.type not in SPECS and "outcome" in groups and "precedence" in groups["outcome"]:
        raise OverrideInvalid("decision_id", "this is the decision on a whole order; override the one among its parts that is wrong")
    _check_outcome(wanted.outcome, stored, classes.get(line.type, ()))
    if wanted.outcome == line.outcome:
        raise OverrideInvalid("outcome", f"{wanted.outcome!r} is what was decided")
    if wanted.reason_code not in REASONS:
        raise OverrideInvalid("reason_code", f"{wanted.reason_code!r} is none of {', '.join(REASONS)}")
    if wanted.reason_code == OTHER and not wanted.note.strip():
        raise OverrideInvalid("note", f"required with {OTHER}")
    if len(wanted.note) > LONGEST_NOTE:
        raise OverrideInvalid("note", f"{len(wanted.note):,} characters; at most {LONGEST_NOTE:,}")
    _check_lines(wanted, groups)


def groups_of(stored: StoredDecision) -> Mapping[str, Any]:
    """The groups of a decision's record.

    Raises:
        DecisionErased: the person they speak of was erased.
        OverrideRefused: they cannot be read any more.
    """
    if stored.erased:
        raise DecisionErased(f"What decision {stored.line.record_id} held of its customer was erased, so nobody can judge it.")
    try:
        return stored.groups
    except RecordCorrupt as error:
        raise OverrideRefused(f"The record of decision {stored.line.record_id} cannot be read any more, so nobody can judge it.") from error


def amount_micros(groups: Mapping[str, Any]) -> int | None:
    """What the order of a decision is worth, in millionths of its currency: Σ quantity × unit price; ``None`` where there is no order."""
    try:
        lines = orjson.loads(groups["request"])["order"]["lines"]
        return sum(int(line["qty"]) * int(Decimal(str(line["unit_price"]["amount"])) * MICRO) for line in lines)
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return None


def refusal(before: Aftermath, wanted: Wanted) -> OverrideRefused | SamePerson | None:
    """Why it comes too late, or from the wrong person; ``None`` when it may be done."""
    if before.later is not None:
        later = before.later
        return OrderSuperseded(
            f"Version {later.order_version} of the order was decided at {format_time(later.decided_at)} by {later.record_id}; decide about that one."
        )
    if before.in_force is not None:
        return OverrideRefused(_settled(before.in_force))
    if before.state is State.CANCELLED:
        return OverrideRefused("The order was cancelled while the decision waited.")
    if before.pending is None:
        return None if wanted.confirms is None else OverrideRefused("No override of this decision waits to be confirmed.")
    return _not_confirmed(before.pending, wanted)


def _not_confirmed(pending: Overridden, wanted: Wanted) -> OverrideRefused | SamePerson | None:
    if (wanted.confirms not in {None, pending.override_id}) or not same(pending, wanted):
        return OverrideRefused(
            f"{pending.principal} proposed {pending.outcome!r} ({pending.override_id}), which waits for a second person: confirm that, or refuse it first."
        )
    if pending.principal == wanted.principal:
        return SamePerson(f"{pending.principal} proposed this override; somebody else has to confirm it.")
    return None


def same(standing: Overridden, wanted: Wanted) -> bool:
    """Whether a person's override says what is wanted now."""
    return standing.kind != BY_CLOCK and standing.outcome == wanted.outcome and set(standing.lines) == set(wanted.accepted_lines)


def _settled(by: Overridden) -> str:
    at = format_time(by.settled_at or by.made_at)
    if by.kind == BY_CLOCK:
        return f"Its time was over at {at}, and it became {by.outcome!r}. What expired is not overridden."
    return f"{by.principal} made it {by.outcome!r} at {at} ({by.override_id}). An override is final."


def _check_outcome(outcome: str, stored: StoredDecision, labels: Sequence[str]) -> None:
    kind = stored.line.type
    if kind in _PERSON:
        if outcome not in _PERSON[kind]:
            raise OverrideInvalid("outcome", f"{outcome!r} is none of {', '.join(_PERSON[kind])}, which a person can make of {kind}")
        return
    prediction = orjson.loads(stored.response).get("prediction") or {}
    known = [*(prediction.get("probabilities") or labels)]
    if known:
        if outcome not in known:
            raise OverrideInvalid("outcome", f"{outcome!r} is no label of {kind}; it has {', '.join(known)}")
        return
    try:
        if "value" not in prediction or not abs(float(outcome)) < float("inf"):
            raise ValueError
    except ValueError as error:
        hint = (
            "a finite number is required" if "value" in prediction else f"no model of {kind} is in service that says which outcomes it has"
        )
        raise OverrideInvalid("outcome", f"{outcome!r}: {hint}") from error


def _check_lines(wanted: Wanted, groups: Mapping[str, Any]) -> None:
    lines = wanted.accepted_lines
    if wanted.outcome != _NEEDS_LINES:
        if lines:
            raise OverrideInvalid("accepted_lines", f"belongs to {_NEEDS_LINES}")
        return
    try:
        known = [line["line_id"] for line in orjson.loads(groups["request"])["order"]["lines"]]
    except (KeyError, TypeError, ValueError):
        known = []
    unknown = [line for line in lines if line not in known]
    if unknown:
        raise OverrideInvalid("accepted_lines", f"the order has no line {unknown[0]!r}")
    if not 0 < len(set(lines)) < len(known) or len(lines) > _MOST_LINES:
        raise OverrideInvalid("accepted_lines", f"some of the order's lines are required, not none and not all of them: {', '.join(known)}")
