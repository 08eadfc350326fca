"""From contributions to reasons that a person understands.

A reason is a group of features that tell the same story: its contribution is their sum, its code and text are those of the feature
that says most in the group's direction. The weakest groups, a few hundredths of the weight together, are summed up in one last reason, so all
reasons together still add up to all contributions; each feature's own contribution is in the explanation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from models.features import FeatureCard, Shown


class Direction(StrEnum):
    """What a reason does to the margin."""

    RAISES = "raises"
    LOWERS = "lowers"


_WORDS: Mapping[Direction, tuple[str, str]] = {Direction.RAISES: ("raises", "提高"), Direction.LOWERS: ("lowers", "降低")}
_CONTRIBUTION = itemgetter(0)

ALWAYS_TOLD = 6
"""So many groups are told one by one, whatever their weight."""

MINOR_SHARE = 0.03
"""The weakest of the others, as long as they weigh no more than this share of all weights together, are summed up in one reason."""

CONFIRMED_SHARE = 0.25
"""What is confirmed goes before what is not when it weighs at least this share of the weightiest."""

_GROUPS_TRIED, _MEMBERS_TRIED, _NOISE = 5, 4, 1e-12

REST = "MINOR_FACTS"
"""The code of the reason that sums up what is not told by itself."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a stable code with its texts, and the number behind it.

    Attributes:
        rank: 1 is the weightiest that a change of its value confirms (:func:`explain`), the others follow by weight.
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


Change = Callable[[int, float], float]
"""By how much the margin changes when one feature alone, by its position, takes another value."""

Group = tuple[float, list[tuple[float, int]]]
"""A group's total contribution, and its members as (contribution, position)."""


def explain(
    cards: Sequence[FeatureCard],
    values: NDArray[np.float64],
    contributions: NDArray[np.float64],
    effect: Effect,
    change: Change | None = None,
) -> tuple[Reason, ...]:
    """All reasons, the weightiest first, and what is too small to be told alone as one last reason.

    A contribution compares with the average row, a reader with the usual value: that a device is known, as it usually is, may lower a risk by
    most and yet tell nothing of this order. So with ``change`` the first reason is confirmed: the weightiest group, of those
    that weigh about as much as the weightiest, with a feature that differs from its usual value and, moved there alone, moves the margin back.

    Args:
        cards: the model's features, n of them.
        values: the model's input, float64 (n,).
        contributions: float64 (n,), in units of the margin.
        effect: what the margin is about.
        change: re-scores the row for the confirmation; without it the order is by weight alone.
    """
    groups: dict[str, list[tuple[float, int]]] = {}
    for index, contribution in enumerate(contributions.tolist()):
        if contribution != 0.0:
            groups.setdefault(cards[index].group, []).append((contribution, index))
    totals = [(sum([contribution for contribution, _ in members]), members) for members in groups.values()]
    ranked = sorted((pair for pair in totals if pair[0] != 0.0), key=lambda pair: (-abs(pair[0]), pair[1][0][1]))
    told = _told([abs(total) for total, _ in ranked])
    confirmed = None if change is None else _confirmed(ranked, cards, values, change)
    if confirmed is not None and confirmed[0] > 0:
        ranked.insert(0, ranked.pop(confirmed[0]))
    reasons = []
    for rank, (total, members) in enumerate(ranked[:told], start=1):
        direction = Direction.RAISES if total > 0 else Direction.LOWERS
        lead = members[0][1] if len(members) == 1 else (max if total > 0 else min)(members, key=_CONTRIBUTION)[1]
        if rank == 1 and confirmed is not None:
            lead = confirmed[1]
        card, value = cards[lead], float(values[lead])
        text = render(card, value, direction, effect)
        reasons.append(Reason(rank, card.reason_code, text, _WORDS[direction][0], total, card.name, card.raw(value)))
    rest = sum([total for total, _ in ranked[told:]])
    if rest != 0.0:
        reasons.append(_rest(told + 1, rest, len(ranked) - told, effect))
    return tuple(reasons)


def _confirmed(
    ranked: Sequence[Group], cards: Sequence[FeatureCard], values: NDArray[np.float64], change: Change
) -> tuple[int, int] | None:
    """The place of the first group that a change confirms, and the feature that does; ``None`` where none of weight does."""
    for place, (total, members) in enumerate(ranked[:_GROUPS_TRIED]):
        if abs(total) < CONFIRMED_SHARE * abs(ranked[0][0]):
            return None
        pulling = sorted((-abs(part), index) for part, index in members if (part > 0) == (total > 0))
        for _, index in pulling[:_MEMBERS_TRIED]:
            usual, value = cards[index].usual, float(values[index])
            usual = math.nan if usual is None else usual
            if value == usual or (math.isnan(value) and math.isnan(usual)):
                continue
            moved = change(index, usual)
            if moved < -_NOISE if total > 0 else moved > _NOISE:
                return place, index
    return None


def _told(weights: list[float]) -> int:
    """How many of the groups, the weightiest first, are told one by one."""
    told, left = len(weights), MINOR_SHARE * sum(weights)
    while told > ALWAYS_TOLD and weights[told - 1] <= left:
        told -= 1
        left -= weights[told]
    return told if len(weights) - told > 1 else len(weights)  # one alone is as short to tell as to sum up


def _rest(rank: int, total: float, groups: int, effect: Effect) -> Reason:
    """What is left over: groups that each say too little to be told alone."""
    direction = Direction.RAISES if total > 0 else Direction.LOWERS
    verb_en, verb_zh = _WORDS[direction]
    text = {
        "en": f"{groups} minor facts together; this {verb_en} {effect.text['en']}",
        "zh": f"其余{groups}项次要因素合计，{verb_zh}了{effect.text['zh']}",
    }
    return Reason(rank, REST, text, verb_en, total)


def render(card: FeatureCard, value: float, direction: Direction, effect: Effect) -> dict[str, str]:
    """One sentence by language: what the value is, what is usual, and what follows."""
    (en, zh), (usual_en, usual_zh) = card.written(value), card.usual_written
    if card.shown is Shown.FLAG:
        en, zh = f": {en}", f"：{zh}"
        if usual_en and usual_en != en[2:]:
            en, zh = f"{en} (usually {usual_en})", f"{zh}（通常为{usual_zh}）"
    else:
        same = usual_en == en
        en, zh = f" is {en}", f"为{zh}"
        if usual_en:
            en = f"{en}, as usual" if same else f"{en}, usual {usual_en}"
            zh = f"{zh}（与平常一致）" if same else f"{zh}（通常为{usual_zh}）"
    verb_en, verb_zh = _WORDS[direction]
    return {
        "en": f"{card.opening}{en}; this {verb_en} {effect.text['en']}",
        "zh": f"{card.label['zh']}{zh}，{verb_zh}了{effect.text['zh']}",
    }
