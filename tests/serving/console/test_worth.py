from __future__ import annotations

from typing import Any

import pytest

from serving.console.views.worth import gaps, worth


def share(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def segment(name: str, accepted: float) -> dict[str, Any]:
    return {"cut": "region", "segment": name, "accept_rate": share(accepted), "false_alarm_rate": share(0.05), "miss_rate": share(0.5)}


def evaluation(*, clear: bool) -> dict[str, Any]:
    money = {"value": 15_360.15, "low": 13_496.48, "high": 17_234.84}
    gap = {"cut": "region", "measure": "accept_rate", "lowest": "south", "highest": "central", "difference": 0.07, "clear": clear}
    return {
        "policy": {
            "outcomes": {"HOLD": share(0.09), "ACCEPT": share(0.91)},
            "money": {
                "currency": "CNY",
                "per_thousand_orders": {"with_model": money, "rules_only": money, "nobody_decides": money},
                "saved_by_the_model": money,
            },
            "fairness": {"segments": [segment("south", 0.87), segment("central", 0.94)], "gaps": [gap]},
        }
    }


def test_money_and_outcomes_are_told_the_commonest_first() -> None:
    told = worth("en", evaluation(clear=True))
    assert [pair.label for pair in told[:4]] == [
        "Cost with the model",
        "Cost by rules only",
        "Cost when nobody decides",
        "Saved by the model",
    ]
    assert "15,360" in told[0].value
    assert [pair.value for pair in told[4:]] == ["91\u00a0%", "9\u00a0%"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_clear_gap_names_both_ends_and_an_unclear_one_is_none(language: str) -> None:
    (clear,) = gaps(language, evaluation(clear=True))
    assert "87" in clear
    assert "94" in clear
    (none,) = gaps(language, evaluation(clear=False))
    assert "%" not in none


def test_where_nobody_looked_nothing_is_told() -> None:
    assert worth("en", {}) == ()
    assert gaps("en", {"policy": None}) == ()
    assert gaps("en", {"policy": {"fairness": {"segments": [segment("south", 0.9)], "gaps": []}}}) == ()
