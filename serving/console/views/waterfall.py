"""The waterfall of contributions: from the usual order, step by step, to this one. Geometry only; drawn as SVG with attributes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from serving.console import texts
from serving.console.contexts import Bar, Tick, Waterfall, WaterfallRow
from serving.console.messages import say
from serving.console.ports import DecisionFacts, FeatureFact
from serving.console.views.words import length

SHOWN = 7
"""Steps drawn one by one; the others are one step together."""
_TICKS = 3
_TICK_GAP = 0.14
_COARSE = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
_TICK_SHARES = (_COARSE, *(tuple(step / parts for step in range(1, parts)) for parts in (20, 50, 100, 200, 500, 1000)))
"""Shares to mark, from round to fine; the first choice that gives enough marks is taken."""


@dataclass(frozen=True, slots=True)
class _Span:
    low: float
    high: float

    def at(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def bar(self, start: float, end: float, kind: str) -> Bar:
        left, right = sorted((self.at(start), self.at(end)))
        return Bar(length(left), length(max(right - left, 0.006)), kind)


def build(language: str, facts: DecisionFacts, *, calibrated: float | None) -> Waterfall | None:
    """The waterfall of one decision, ``None`` where no model was asked.

    Args:
        language: of the reader.
        facts: base, margin and contributions.
        calibrated: the probability that was told, shown at the end instead of the raw one.
    """
    base, margin = facts.base, facts.margin
    steps = sorted((fact for fact in facts.features if fact.contribution), key=lambda fact: -abs(fact.contribution or 0.0))
    if base is None or margin is None:
        return None
    shown, rest = steps[:SHOWN], steps[SHOWN:]
    if len(rest) == 1:
        shown, rest = steps, []
    span = _span(base, [fact.contribution or 0.0 for fact in shown], margin)
    rows = [WaterfallRow(say(language, _start(facts)), "", "base", span.bar(span.low, base, "base"), _level(base, facts.link))]
    position = base
    for fact in shown:
        rows.append(_step(language, fact, span, position, facts))
        position += fact.contribution or 0.0
    if rest:
        remaining = margin - position
        label = say(language, "decision.more_features", count=len(rest))
        rows.append(WaterfallRow(label, "", "rest", span.bar(position, margin, _kind(remaining)), texts.signed(remaining)))
    end = texts.percent(calibrated) if calibrated is not None else _level(margin, facts.link)
    rows.append(WaterfallRow(say(language, _end(facts)), "", "total", span.bar(span.low, margin, "base"), end))
    hint = say(language, "decision.why_hint", base=_level(base, facts.link), now=end)
    return Waterfall(hint, _note(language, facts, base, margin, calibrated), _ticks(span, facts.link), tuple(rows))


def _span(base: float, contributions: Sequence[float], margin: float) -> _Span:
    positions, position = [base, margin], base
    for contribution in contributions:
        position += contribution
        positions.append(position)
    low, high = min(positions), max(positions)
    width = max(high - low, 1e-6)
    return _Span(low - 0.22 * width, high + 0.04 * width)


def _step(language: str, fact: FeatureFact, span: _Span, position: float, facts: DecisionFacts) -> WaterfallRow:
    contribution = fact.contribution or 0.0
    kind = _kind(contribution)
    return WaterfallRow(
        texts.capital(texts.speak(fact.label, language)),
        note(language, fact, facts.as_of),
        kind,
        span.bar(position, position + contribution, kind),
        texts.signed(contribution),
    )


def note(language: str, fact: FeatureFact, as_of: int | None) -> str:
    """``410, usual 120 · 5 min old``: what stands behind one step."""
    value = texts.told(fact.value, fact.unit, fact.value_text, language)
    usual = texts.told(fact.usual, fact.unit, fact.usual_text, language)
    told = value if usual in {"–", value} else say(language, "decision.value_usual", value=value, usual=usual)
    if fact.origin == "default":
        return f"{told} · {say(language, 'origin.default')}"
    if fact.event_time is not None and as_of is not None and fact.origin == "store":
        old = texts.age(max(0.0, (as_of - fact.event_time) / 1000), language)
        return f"{told} · {say(language, 'decision.value_old', age=old)}"
    return told


def _kind(contribution: float) -> str:
    return "up" if contribution > 0 else "down"


def _start(facts: DecisionFacts) -> str:
    return "decision.usual_order" if facts.line.order_id else "decision.usual_row"


def _end(facts: DecisionFacts) -> str:
    return "decision.this_order" if facts.line.order_id else "decision.this_row"


def _level(margin: float, link: str) -> str:
    return texts.percent(_sigmoid(margin)) if link == "logit" else texts.number(margin)


def _sigmoid(margin: float) -> float:
    return 1 / (1 + math.exp(-margin)) if margin >= 0 else math.exp(margin) / (1 + math.exp(margin))


def _ticks(span: _Span, link: str) -> tuple[Tick, ...]:
    """Probabilities where they lie on the margin's axis, so that log-odds can be read."""
    if link != "logit":
        return ()
    found: tuple[Tick, ...] = ()
    for shares in _TICK_SHARES:
        if len(found := _chosen(span, shares)) >= _TICKS:
            break
    return found


def _chosen(span: _Span, shares: Sequence[float]) -> tuple[Tick, ...]:
    ticks: list[Tick] = []
    last = -1.0
    for share in shares:
        at = span.at(math.log(share / (1 - share)))
        if 0.04 <= at <= 0.96 and at - last >= _TICK_GAP:
            ticks.append(Tick(length(at), f"{100 * share:.6g} %"))
            last = at
    return tuple(ticks)


def _note(language: str, facts: DecisionFacts, base: float, margin: float, calibrated: float | None) -> str:
    key = "decision.waterfall_identity" if facts.link == "identity" else "decision.waterfall_logit"
    told = say(language, key, base=texts.signed(base), margin=texts.signed(margin))
    raw = _sigmoid(margin)
    if facts.link == "logit" and calibrated is not None and texts.percent(raw) != texts.percent(calibrated):
        space = "" if language == "zh" else " "
        told += space + say(language, "decision.waterfall_calibrated", raw=texts.percent(raw), calibrated=texts.percent(calibrated))
    return told
