"""The drawing of contributions says the same as the numbers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.console import ports
from serving.console.views import waterfall

CONTRIBUTIONS = st.lists(st.floats(-5, 5).filter(lambda value: value == 0 or abs(value) > 1e-6), max_size=30)


def facts(base: float, contributions: list[float], link: str = "logit") -> ports.DecisionFacts:
    line = ports.DecisionLine("r", "fraud", "ALLOW", "decided", 0, order_id="SO-1")
    features = tuple(
        ports.FeatureFact(f"f{index}", {"en": f"f{index}"}, 1.0, contribution=value) for index, value in enumerate(contributions)
    )
    return ports.DecisionFacts(line, {}, features=features, base=base, margin=base + sum(contributions), link=link)


def ends(bar: Any) -> tuple[float, float]:
    left = float(bar.x.rstrip("%"))
    return left, left + float(bar.width.rstrip("%"))


@given(st.floats(-8, 8), CONTRIBUTIONS)
def test_every_bar_lies_on_the_drawing_and_begins_where_the_last_ended(base: float, contributions: list[float]) -> None:
    made = waterfall.build("en", facts(base, contributions), calibrated=None)
    assert made is not None
    drawn = [ends(row.bar) for row in made.rows]
    assert all(-0.01 <= left <= right <= 100.7 for left, right in drawn)
    position = drawn[0][1]
    for row, (left, right) in zip(made.rows[1:-1], drawn[1:-1], strict=True):
        start, end = (left, right) if row.bar.kind == "up" else (right, left)
        assert start == pytest.approx(position, abs=0.65), "a bar has at least a visible width, so it may begin a hair away"
        position = end
    assert drawn[-1][1] == pytest.approx(position, abs=0.65)
    assert len(made.rows) <= waterfall.SHOWN + 4
    assert len(made.ticks) == len({tick.label for tick in made.ticks})


@given(CONTRIBUTIONS.filter(lambda values: len([value for value in values if value]) > waterfall.SHOWN + 1))
def test_the_rest_is_what_is_left(contributions: list[float]) -> None:
    made = waterfall.build("en", facts(-1.0, contributions), calibrated=None)
    assert made is not None
    rest = next(row for row in made.rows if row.kind == "rest")
    used = [value for value in contributions if value]
    assert rest.label == f"{len(used) - waterfall.SHOWN} more features"
    largest = sorted(map(abs, used))[-waterfall.SHOWN :]
    assert (
        float(rest.text.replace("−", "-"))
        == pytest.approx(sum(used) - sum(sorted(used, key=lambda value: -abs(value))[: waterfall.SHOWN]), abs=0.006)
        or len(set(largest)) < waterfall.SHOWN
    )


def test_a_number_has_no_probabilities() -> None:
    made = waterfall.build("en", facts(20.0, [3.0, -1.0], link="identity"), calibrated=None)
    assert made is not None
    assert made.ticks == ()
    assert made.rows[0].text == "20"
    assert made.rows[-1].text == "22"


def test_calibration_is_told_where_it_changes_the_figure() -> None:
    made = waterfall.build("en", facts(-1.0, [0.5]), calibrated=0.2)
    assert made is not None
    assert "Calibration turns the model's 38 % into 20 %." in made.note.replace("\u00a0", " ")


def test_without_a_model_there_is_none() -> None:
    line = ports.DecisionLine("r", "fraud", "REVIEW", "fallback", 0)
    assert waterfall.build("en", ports.DecisionFacts(line, {}), calibrated=None) is None
