"""One declared order of precedence: the strongest objection decides, and nobody's word is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from governance.precedence import PRECEDENCE, resolve
from models.specs import SPECS, Outcome

outcomes = st.fixed_dictionaries({}, optional={kind: st.sampled_from([str(one) for one in spec.outcomes]) for kind, spec in SPECS.items()})
STRENGTH = [Outcome.PROCEED, Outcome.HOLD, Outcome.STOP]


@given(outcomes, st.randoms())
def test_the_first_line_that_fits_decides_in_whatever_order_the_types_answered(told: dict[str, str], random) -> None:
    shuffled = list(told.items())
    random.shuffle(shuffled)
    together = resolve(dict(shuffled))
    fitting = [line for line in PRECEDENCE if told.get(line.type) == line.outcome]
    assert together.decided_by == (fitting[0] if fitting else None)
    assert together.outcome == (fitting[0].gives if fitting else Outcome.PROCEED)


@given(outcomes, st.sampled_from([*SPECS]), st.data())
def test_one_more_objection_never_lets_an_order_through(told: dict[str, str], kind: str, data) -> None:
    without = {name: outcome for name, outcome in told.items() if name != kind}
    added = {**without, kind: data.draw(st.sampled_from([str(one) for one in SPECS[kind].outcomes]))}
    assert STRENGTH.index(resolve(added).outcome) >= STRENGTH.index(resolve(without).outcome)


def test_no_two_lines_speak_of_the_same_and_stops_come_first() -> None:
    assert len({(line.type, line.outcome) for line in PRECEDENCE}) == len(PRECEDENCE)
    strengths = [STRENGTH.index(line.gives) for line in PRECEDENCE]
    assert strengths == sorted(strengths, reverse=True)
    assert all(line.outcome in {str(one) for one in SPECS[line.type].outcomes} for line in PRECEDENCE)
