"""The words of the domain in the reader's language: types, outcomes, statuses, regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from serving.console import texts
from serving.console.contexts import Badge, Scale
from serving.console.messages import say, say_or

_TONES = {
    "PROCEED": "ok",
    "STOP": "bad",
    "ACCEPT": "ok",
    "ALLOW": "ok",
    "PLANNED": "ok",
    "ACCEPT_PARTIAL": "hold",
    "HOLD": "hold",
    "REVIEW": "hold",
    "PARTIAL": "hold",
    "REJECT": "bad",
    "BLOCK": "bad",
    "UNFULFILLABLE": "bad",
}


def type_name(language: str, decision_type: str) -> str:
    """``acceptance`` → ``Acceptance``; a custom type keeps the name its maker gave it."""
    return say_or(language, f"type.{decision_type}", decision_type)


def outcome_badge(language: str, outcome: str) -> Badge:
    """The outcome as a coloured word; a custom type's label stays as it is."""
    return Badge(say_or(language, f"outcome.{outcome}", outcome), tone(outcome))


def tone(outcome: str) -> str:
    """``ok``, ``hold`` or ``bad`` for built-in outcomes, ``plain`` for labels."""
    return _TONES.get(outcome, "plain")


def region_name(language: str, region: str | None) -> str:
    """A region as people call it."""
    return say_or(language, f"region.{region}", region) if region else ""


def channel_name(language: str, channel: str | None) -> str:
    """A sales channel as people call it."""
    return say_or(language, f"channel.{channel}", channel) if channel else ""


def method_name(language: str, method: str | None) -> str:
    """A way to pay as people call it."""
    return say_or(language, f"method.{method}", method) if method else ""


def payment_status(language: str, status: str | None) -> str:
    """How far a payment is."""
    return say_or(language, f"payment.{status}", status) if status else ""


def tag_name(language: str, tag: str) -> str:
    """A tag of an order; one of the OMS's own stays as it is."""
    return say_or(language, f"tag.{tag}", tag)


def category_name(language: str, category: str | None) -> str:
    """A kind of goods."""
    return say_or(language, f"category.{category}", category) if category else ""


def service_name(language: str, service: str) -> str:
    """A carrier's service."""
    return say_or(language, f"service.{service}", service)


def queue_name(language: str, queue: str) -> str:
    """A queue of reviews."""
    return say_or(language, f"queue.{queue}", queue)


def listed(language: str, names: Iterable[str]) -> str:
    """Names one after the other, as the language separates them."""
    return ("、" if language == "zh" else ", ").join(names)


def event_name(language: str, event: str) -> str:
    """``fraud`` → ``Risk of fraud``."""
    return say_or(language, f"event.{event}", "") or say(language, "event.other", event=event.replace("_", " "))


def scale(language: str, confidence: Mapping[str, Any], marks: tuple[float, ...], tone_name: str) -> Scale:
    """A probability with its interval and the thresholds around it, as lengths."""
    low, high, point = (float(confidence[key]) for key in ("low", "high", "probability"))
    label = say(language, "decision.scale", value=texts.percent(point), low=texts.percent(low), high=texts.percent(high))
    if marks:
        label = say(language, "decision.scale_marks", scale=label, marks=listed(language, map(texts.percent, marks)))
    return Scale(label, tone_name, length(low), length(max(high - low, 0.004)), length(point), tuple(length(mark) for mark in marks))


def length(share: float) -> str:
    """A share of a drawing's width as an SVG length."""
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"
