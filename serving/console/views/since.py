"""What happened to a decision since it was answered, as its page tells it."""

from __future__ import annotations

from feature_store.times import Millis
from governance.aftermath import BY_CLOCK, Aftermath, Overridden, State
from governance.override_reasons import reason_text
from serving.console import texts
from serving.console.contexts import TimelineItem
from serving.console.messages import say, say_or
from serving.console.ports import DecisionFacts
from serving.console.views import words


def waits(facts: DecisionFacts) -> bool:
    """Whether a person is still waited for."""
    return facts.after is None or not facts.after.resolved


def holds_now(language: str, facts: DecisionFacts) -> str:
    """The outcome that took the decision's place; nothing where it stands."""
    after = facts.after
    if after is None or after.outcome == after.decided:
        return ""
    return say(language, "since.now", outcome=words.outcome_badge(language, after.outcome).text)


def build(language: str, facts: DecisionFacts) -> tuple[TimelineItem, ...]:
    """What happened, oldest first."""
    after = facts.after
    if after is None:
        return ()
    decided_at = facts.line.decided_at
    found: list[tuple[Millis, TimelineItem]] = []
    for one in after.overrides:
        found += _override(language, one, facts, decided_at)
    for label in after.labels:
        text = say(language, "since.label", label=say_or(language, f"label.{label.label}", label.label))
        note = say(language, "since.label_note", at=texts.near(label.observed_at, language, decided_at))
        tone = "plain" if label.positive is None else "bad" if label.positive else "ok"
        found.append((label.known_at, _item(language, label.known_at, decided_at, text, note, tone)))
    if after.later is not None:
        text, at = say(language, "since.superseded", version=after.later.order_version), after.later.decided_at
        found.append((at, _item(language, at, decided_at, text, "", "plain", f"/console/decisions/{after.later.record_id}")))
    found += _place(language, after, decided_at)
    return tuple(item for _, item in sorted(found, key=lambda pair: pair[0]))


def _override(language: str, one: Overridden, facts: DecisionFacts, decided_at: Millis) -> list[tuple[Millis, TimelineItem]]:
    badge = words.outcome_badge(language, one.outcome)
    if one.kind == BY_CLOCK:
        text = say(language, "since.expired", outcome=badge.text)
        return [(one.made_at, _item(language, one.made_at, decided_at, text, "", badge.tone))]
    at_once = one.second is None and one.state == "in_force"
    text = say(language, "since.overridden" if at_once else "since.proposed", who=one.principal, outcome=badge.text)
    told = [texts.speak(reason_text(one.reason_code), language), facts.notes.get(one.override_id, "")]
    if one.state == "pending":
        told.append(say(language, "since.waits" if facts.after is not None and facts.after.state is State.PENDING else "since.lapsed"))
    elif one.state == "lapsed":
        told.append(say(language, "since.lapsed"))
    found = [(one.made_at, _item(language, one.made_at, decided_at, text, " · ".join(part for part in told if part), badge.tone))]
    if one.second is not None and one.settled_at is not None:
        text = say(language, "since.confirmed" if one.state == "in_force" else "since.refused", who=one.second)
        note = facts.notes.get(one.second_id or "", "")
        tone = badge.tone if one.state == "in_force" else "plain"
        found.append((one.settled_at, _item(language, one.settled_at, decided_at, text, note, tone)))
    return found


def _place(language: str, after: Aftermath, decided_at: Millis) -> list[tuple[Millis, TimelineItem]]:
    place = after.place
    if place is None:
        return []
    if after.state is State.CANCELLED and place.closed_at is not None:
        text = say(language, "since.cancelled")
        return [(place.closed_at, _item(language, place.closed_at, decided_at, text, "", "plain"))]
    if place.claimed_by is not None and place.claimed_until is not None and place.closed_at is None:
        until = say(language, "since.until", at=texts.near(place.claimed_until, language, decided_at))
        text = say(language, "since.claimed", who=place.claimed_by)
        return [(place.claimed_until, TimelineItem(until, text, "", "todo", None, False))]
    return []


def _item(  # noqa: PLR0917 - the parts of a line
    language: str, at: Millis, decided_at: Millis, text: str, note: str, tone: str, href: str | None = None
) -> TimelineItem:
    return TimelineItem(texts.near(at, language, decided_at), text, note, tone, href, False)
