"""Which way recourse looks, and why there may be nothing to suggest, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum


class Toward(StrEnum):
    """Which outcomes are looked for, where a type ranks them; where it does not, any other one is."""

    BETTER = "better"
    WORSE = "worse"


class NoRecourse(StrEnum):
    """Why there is nothing to suggest."""

    FALLBACK = "fallback"
    NO_MODEL = "no_model"
    NOT_BY_FEATURES = "not_by_features"
    NOTHING_ACTIONABLE = "nothing_actionable"
    ALREADY_BEST = "already_best"
    ALREADY_WORST = "already_worst"
    A_NUMBER = "a_number"
    A_PLAN = "a_plan"


_WORDS: Mapping[NoRecourse, Mapping[str, str]] = {
    NoRecourse.FALLBACK: {
        "en": "A fallback answered: no model was asked, so no feature decided.",
        "zh": "该决策由降级方案给出，未经模型判断，不取决于任何特征。",
    },
    NoRecourse.NO_MODEL: {
        "en": "No model was asked: rules alone decided.",
        "zh": "该决策未经模型判断，仅按规则作出。",
    },
    NoRecourse.NOT_BY_FEATURES: {
        "en": "No change of what could be changed gives {} outcome",
        "zh": "可改变的因素无论如何调整，结果都不会{}",
    },
    NoRecourse.NOTHING_ACTIONABLE: {
        "en": "The model looks at nothing that could be changed for this order.",
        "zh": "模型所依据的因素均无法针对该订单改变。",
    },
    NoRecourse.ALREADY_BEST: {
        "en": "The outcome is the best that there is: nothing needs to change.",
        "zh": "该结果已是最佳，无需任何调整。",
    },
    NoRecourse.ALREADY_WORST: {
        "en": "The outcome is the worst that there is.",
        "zh": "该结果已是最差。",
    },
    NoRecourse.A_NUMBER: {
        "en": "The model predicts a number; there is no outcome to change.",
        "zh": "模型预测的是数值，不存在可改变的结果。",
    },
    NoRecourse.A_PLAN: {
        "en": "A plan follows from stock, rates and constraints, not from features: ask what-if with other constraints or nodes.",
        "zh": "发货方案取决于库存、费率与约束，而非特征：请用假设分析调整约束或仓库。",
    },
}

_SOUGHT: Mapping[Toward | None, tuple[str, str]] = {
    Toward.BETTER: ("a better", "变好"),
    Toward.WORSE: ("a worse", "变差"),
    None: ("another", "改变"),
}


def words(reason: NoRecourse, toward: Toward | None, decided_by: Sequence[str]) -> dict[str, str]:
    """The reason in a sentence, by language.

    Args:
        reason: why there is nothing to suggest.
        toward: what was looked for; ``None`` for any other outcome.
        decided_by: the policy's checks that no change of a feature moves.
    """
    text = dict(_WORDS[reason])
    if reason is not NoRecourse.NOT_BY_FEATURES:
        return text
    by, (en, zh) = ", ".join(decided_by), _SOUGHT[toward]
    return {
        "en": f"{text['en'].format(en)}{f': {by} decides' if by else ''}.",
        "zh": f"{text['zh'].format(zh)}{f'：由 {by} 决定' if by else ''}。",
    }
