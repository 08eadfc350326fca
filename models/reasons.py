"""From contributions to reasons that a person understands.

A reason is a group of features that tell the same story: its contribution is their sum, its code and text are those of the feature
that says most in the group's direction. All reasons together add up to all contributions, so none of weight is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.features import LANGUAGES, FeatureCard, Shown


class Direction(StrEnum):
    """What a reason does to the margin."""

    RAISES = "raises"
    LOWERS = "lowers"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a stable code with its texts, and the number behind it.

    Attributes:
        rank: 1 is the weightiest.
        text: by language.
        direction: ``raises`` or ``lowers``.
        contribution: in units of the margin; ``None`` for a reason that a rule gave.
        feature: the leading feature of its group.
        value: that feature's value: a number, a category's text, or ``None`` where it is not known.
    """

    rank: int
    code: str
    text: Mapping[str, str]
    direction: str
    contribution: float | None = None
    feature: str | None = None
    value: float | str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a rising margin means, by language, as the object of "raises" and "lowers"."""

    text: Mapping[str, str]

    @classmethod
    def of(cls, event: str, *, label: str | None = None) -> Effect:
        """For a named event, a class of the user's own, or (``event`` empty, no label) a predicted number."""
        if label is not None:
            return cls({"en": f"the likelihood of “{label}”", "zh": f"“{label}”的可能性"})
        if not event:
            return cls({"en": "the predicted value", "zh": "预测值"})
        return cls(_EVENTS.get(event, {"en": f"the likelihood of {event}", "zh": f"{event}的可能性"}))


_EVENTS: dict[str, dict[str, str]] = {
    "fulfilment_failure": {"en": "the risk that the order cannot be fulfilled", "zh": "履约失败的风险"},
    "fraud": {"en": "the risk of fraud", "zh": "欺诈风险"},
    "late": {"en": "the risk of late delivery", "zh": "延迟送达的风险"},
}


def explain(
    cards: Sequence[FeatureCard], values: NDArray[np.float64], contributions: NDArray[np.float64], effect: Effect
) -> tuple[Reason, ...]:
    """All reasons, the weightiest first.

    Args:
        cards: the model's features, n of them.
        values: the model's input, float64 (n,).
        contributions: float64 (n,), in units of the margin.
        effect: what the margin is about.
    """
    groups: dict[str, list[int]] = {}
    for index, (card, contribution) in enumerate(zip(cards, contributions.tolist(), strict=True)):
        if contribution != 0.0:
            groups.setdefault(card.group, []).append(index)
    totals = [(sum(float(contributions[index]) for index in members), members) for members in groups.values()]
    ranked = sorted((pair for pair in totals if pair[0] != 0.0), key=lambda pair: (-abs(pair[0]), pair[1][0]))
    reasons = []
    for rank, (total, members) in enumerate(ranked, start=1):
        sign = 1.0 if total > 0 else -1.0
        lead = max(members, key=lambda index: sign * float(contributions[index]))
        card, value = cards[lead], float(values[lead])
        direction = Direction.RAISES if total > 0 else Direction.LOWERS
        text = {language: render(card, value, direction, effect, language) for language in LANGUAGES}
        reasons.append(Reason(rank, card.reason_code, text, direction.value, total, card.name, card.raw(value)))
    return tuple(reasons)


def render(card: FeatureCard, value: float, direction: Direction, effect: Effect, language: str) -> str:
    """One sentence: what the value is, what is usual, and what follows."""
    statement = _statement_zh(card, value) if language == "zh" else _statement_en(card, value)
    if language == "zh":
        return f"{statement}，{'提高' if direction is Direction.RAISES else '降低'}了{effect.text['zh']}"
    return f"{statement}; this {direction.value} {effect.text['en']}"


def _statement_en(card: FeatureCard, value: float) -> str:
    label = card.label["en"]
    label = label[:1].upper() + label[1:]
    written = card.write(value, "en")
    usual = "" if card.usual is None else card.write(card.usual, "en")
    if card.shown is Shown.FLAG:
        return f"{label}: {written}" + (f" (usually {usual})" if usual and usual != written else "")
    if not usual:
        return f"{label} is {written}"
    return f"{label} is {written}, " + ("as usual" if usual == written else f"usual {usual}")


def _statement_zh(card: FeatureCard, value: float) -> str:
    label, written = card.label["zh"], card.write(value, "zh")
    usual = "" if card.usual is None else card.write(card.usual, "zh")
    joint = "：" if card.shown is Shown.FLAG else "为"
    if not usual:
        return f"{label}{joint}{written}"
    return f"{label}{joint}{written}（" + ("与平常一致）" if usual == written else f"通常为{usual}）")
