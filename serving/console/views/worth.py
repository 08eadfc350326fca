"""What a model is worth under its policy, and whether it treats segments alike, as a training's report tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from serving.console import texts
from serving.console.contexts import Pair
from serving.console.messages import say
from serving.console.views import words


def worth(language: str, evaluation: Mapping[str, Any]) -> tuple[Pair, ...]:
    """Money and outcomes; empty where no policy judged."""
    told: Mapping[str, Any] = evaluation.get("policy") or {}
    return (*_money(language, told.get("money")), *_outcomes(language, told.get("outcomes") or {}))


def gaps(language: str, evaluation: Mapping[str, Any]) -> tuple[str, ...]:
    """Each clear gap between segments in one sentence, or that there is none; empty where nobody looked."""
    found: Mapping[str, Any] = (evaluation.get("policy") or {}).get("fairness") or {}
    segments = {(one["cut"], one["segment"]): one for one in found.get("segments") or ()}
    if len(segments) < 2:
        return ()
    told = [_gap(language, gap, segments) for gap in found.get("gaps") or () if gap["clear"]]
    return tuple(told) or (say(language, "worth.no_gap"),)


def _money(language: str, money: Mapping[str, Any] | None) -> Iterable[Pair]:
    if not money:
        return
    currency, per = money["currency"], money["per_thousand_orders"]

    def shown(value: float) -> str:
        return texts.money({"amount": f"{value:.0f}", "currency": currency})

    for who in ("with_model", "rules_only", "nobody_decides"):
        yield Pair(say(language, f"worth.{who}"), shown(per[who]["value"]))
    saved = money["saved_by_the_model"]
    yield Pair(
        say(language, "worth.saved"),
        say(language, "worth.between", value=shown(saved["value"]), low=shown(saved["low"]), high=shown(saved["high"])),
    )


def _outcomes(language: str, outcomes: Mapping[str, Mapping[str, float]]) -> Iterable[Pair]:
    for outcome, share in sorted(outcomes.items(), key=lambda one: -one[1]["value"]):
        yield Pair(words.outcome_badge(language, outcome).text, texts.percent(share["value"]))


def _gap(language: str, gap: Mapping[str, Any], segments: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    ends = (segments[gap["cut"], gap[end]][gap["measure"]]["value"] for end in ("lowest", "highest"))
    low, high = (texts.percent(float(value)) for value in ends)
    names = {"least": _named(language, gap["cut"], gap["lowest"]), "most": _named(language, gap["cut"], gap["highest"])}
    return say(language, f"worth.{gap['measure']}", low=low, high=high, **names)


def _named(language: str, cut: str, segment: str) -> str:
    if cut == "region":
        return words.region_name(language, segment)
    return words.channel_name(language, segment) if cut == "channel" else segment
