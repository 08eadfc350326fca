"""What happened since a decision was answered, as JSON: for those who judge everything, for the OMS what it needs to act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feature_store.times import Millis, format_time
from governance.aftermath import BY_CLOCK, Aftermath, Overridden, State, seen_digest
from governance.override_reasons import reason_text
from governance.precedence import resolve

Notes = Mapping[str, str]
"""What people wrote, by the id of the record that holds it."""


def since_json(after: Aftermath, *, judge: bool, notes: Notes, leaf_hash: bytes | None = None) -> dict[str, Any]:
    """What became of one decision.

    Args:
        after: what happened to it.
        judge: whether the reader judges decisions; an OMS is not told who decided, nor what was noted.
        notes: of the overrides.
        leaf_hash: of the decision's record, for the digest of what is shown.
    """
    place = after.place
    told: dict[str, Any] = {
        "state": after.state.value,
        "outcome": after.outcome,
        "resolved": after.resolved,
        "superseded_by": None
        if after.later is None
        else {
            "order_version": after.later.order_version,
            "decision_id": after.later.record_id,
            "decided_at": format_time(after.later.decided_at),
        },
        "overrides": [override_json(one, after, judge=judge, notes=notes) for one in after.overrides if one.kind != BY_CLOCK],
        "expired": next((_expiry(one) for one in after.overrides if one.kind == BY_CLOCK), None),
        "cancelled": _cancelled(after),
        "outcome_labels": [
            {
                "label_id": one.label_id,
                "label": one.label,
                "positive": one.positive,
                "observed_at": format_time(one.observed_at),
                "known_at": format_time(one.known_at),
                "by": one.principal,
            }
            for one in after.labels
        ],
    }
    if judge:
        told["claimed"] = (
            None
            if place is None or place.claimed_by is None or place.closed_at is not None
            else {"by": place.claimed_by, "until": _time(place.claimed_until)}
        )
        told["seen"] = None if leaf_hash is None else seen_digest(leaf_hash, after)
    return told


def order_since_json(after: Aftermath, parts: Mapping[str, Aftermath], *, judge: bool, notes: Notes) -> dict[str, Any]:
    """What became of the decision on a whole order: of each part, and what they come to now.

    Args:
        after: of the decision itself.
        parts: of each part, by type.
        judge: as :func:`since_json`.
        notes: as there.
    """
    outcome = resolve({kind: one.outcome for kind, one in parts.items()}).outcome.value
    resolved = all(one.resolved for one in parts.values())
    told = since_json(after, judge=judge, notes=notes)
    told["parts"] = {kind.replace("-", "_"): since_json(one, judge=judge, notes=notes) for kind, one in parts.items()}
    if after.later is None:
        states = {one.state for one in parts.values()}
        moved = (State.HELD, State.PENDING, State.CANCELLED, State.EXPIRED, State.OVERRIDDEN)
        told["state"] = next((state for state in moved if state in states), State.DECIDED).value
        told["outcome"] = outcome
    told["resolved"] = resolved or after.later is not None
    return told


def override_json(one: Overridden, after: Aftermath, *, judge: bool, notes: Notes) -> dict[str, Any]:
    """One override; one that still waited when the decision was overtaken has lapsed."""
    state = one.state if one.state != "pending" or after.state is State.PENDING else "lapsed"
    told: dict[str, Any] = {
        "override_id": one.override_id,
        "at": format_time(one.made_at),
        "was": one.was,
        "outcome": one.outcome,
        "reason_code": one.reason_code,
        "text": dict(reason_text(one.reason_code)),
        "state": state,
        "settled_at": _time(one.settled_at),
    }
    if one.lines:
        told["accepted_lines"] = list(one.lines)
    if judge:
        told |= {"by": one.principal, "role": one.role, "note": notes.get(one.override_id, ""), "second": _second(one, notes)}
    return told


def moments(after: Aftermath, *, judge: bool = True, notes: Notes | None = None) -> list[dict[str, Any]]:
    """What happened to a decision, each with its time and kind, for a timeline."""
    of = {"decision_id": after.decision_id}
    found: list[dict[str, Any]] = []
    told: dict[str, Any]
    for one in after.overrides:
        if one.kind == BY_CLOCK:
            found.append({"kind": "expiry", **_expiry(one), **of})
            continue
        found.append({"kind": "override", **override_json(one, after, judge=judge, notes=notes or {}), **of})
        if one.second is not None and one.settled_at is not None:
            done = "override_confirmed" if one.state == "in_force" else "override_refused"
            told = {
                "at": format_time(one.settled_at),
                "record_id": one.second_id,
                "override_id": one.override_id,
                "outcome": one.outcome,
                "by": one.second,
            }
            found.append({"kind": done, **told, **of})
    for label in after.labels:
        told = {"label": label.label, "positive": label.positive, "observed_at": format_time(label.observed_at), "label_id": label.label_id}
        found.append({"kind": "outcome_label", "at": format_time(label.known_at), **told, **of})
    if after.later is not None:
        told = {"order_version": after.later.order_version, "by_decision": after.later.record_id}
        found.append({"kind": "supersession", "at": format_time(after.later.decided_at), **told, **of})
    cancelled = _cancelled(after)
    return found + ([{"kind": "cancellation", **cancelled, **of}] if cancelled else [])


def written_in(afters: Sequence[Aftermath]) -> list[str]:
    """The records that hold what people wrote about these decisions."""
    people = [one for after in afters for one in after.overrides if one.kind != BY_CLOCK]
    return [one.override_id for one in people] + [one.second_id for one in people if one.second_id is not None]


def _second(one: Overridden, notes: Notes) -> dict[str, Any] | None:
    if one.second is None:
        return None
    return {"by": one.second, "at": _time(one.settled_at), "record_id": one.second_id, "note": notes.get(one.second_id or "", "")}


def _expiry(one: Overridden) -> dict[str, Any]:
    text = dict(reason_text(None))
    return {"at": format_time(one.made_at), "record_id": one.override_id, "was": one.was, "outcome": one.outcome, "text": text}


def _cancelled(after: Aftermath) -> dict[str, Any] | None:
    place = after.place
    if place is None or place.state != State.CANCELLED.value or place.closed_at is None:
        return None
    return {"at": format_time(place.closed_at), "record_id": place.closed_by}


def _time(at: Millis | None) -> str | None:
    return None if at is None else format_time(at)
