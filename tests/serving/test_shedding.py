"""Load shedding by Little's law, on a clock that only the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.shedding import ALWAYS, Shedder


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def busy(clock: Clock, under_way: int, interval_s: float, caller: str = "oms") -> Shedder:
    """A process with so many requests under way, whose answers leave at this interval."""
    shedder = Shedder(clock=clock, most=10_000)
    shedder.enter("warm", None)
    for _ in range(400):
        shedder.enter("warm", None)
        clock.now += interval_s
        shedder.leave("warm")
    for _ in range(under_way - 1):
        assert shedder.enter(caller, None) is None or under_way * interval_s > 2
    return shedder


def test_a_few_are_always_let_in() -> None:
    shedder = busy(Clock(), ALWAYS - 1, 60.0)
    assert shedder.under_way == ALWAYS - 1
    assert shedder.enter("oms", 0.001) is None


def test_who_would_wait_longer_than_its_deadline_is_told_at_once_and_when_to_come_again() -> None:
    shedder = busy(Clock(), 100, 0.01)
    assert shedder.expected_s() == pytest.approx(1.0, rel=0.1)
    assert shedder.enter("oms", 1.5) is None
    refused = shedder.enter("another", 0.5)
    assert refused is not None
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "Nothing was decided" in refused.detail


def test_without_a_deadline_the_patience_of_the_service_counts() -> None:
    shedder = busy(Clock(), 190, 0.01)
    assert shedder.enter("oms", None) is None
    for _ in range(20):
        shedder.enter("oms", None)
    assert shedder.enter("oms", None) is not None
    assert shedder.enter("oms", 60.0) is not None, "a long deadline does not make the service more patient"


def test_a_caller_that_takes_most_of_it_is_told_so() -> None:
    shedder = busy(Clock(), 100, 0.01, caller="greedy")
    greedy, modest = shedder.enter("greedy", 0.1), shedder.enter("modest", 0.1)
    assert greedy is not None
    assert modest is not None
    assert (greedy.status, modest.status) == (429, 503)
    assert "are yours" in greedy.detail


def test_a_process_that_answers_nothing_any_more_lets_nobody_in_beyond_a_few() -> None:
    clock = Clock()
    shedder = busy(clock, 50, 0.001)
    assert shedder.enter("oms", 1.0) is None
    clock.now += 5
    assert shedder.enter("oms", 1.0) is not None
    for _ in range(36):
        shedder.leave("oms")
    assert shedder.enter("oms", 1.0) is None


def test_a_quiet_hour_is_no_slow_answer() -> None:
    clock = Clock()
    shedder = busy(clock, 1, 0.001)
    shedder.leave("warm")
    clock.now += 3600
    for _ in range(100):
        assert shedder.enter("oms", 0.5) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 0.2)), max_size=200))
def test_what_goes_in_comes_out(happened: list[tuple[str, bool, float]]) -> None:
    clock = Clock()
    shedder = Shedder(clock=clock)
    inside: list[str] = []
    for caller, comes, passes in happened:
        clock.now += passes
        if comes or not inside:
            if shedder.enter(caller, 0.2) is None:
                inside.append(caller)
        else:
            shedder.leave(inside.pop(0))
        assert shedder.under_way == len(inside)
    for caller in inside:
        shedder.leave(caller)
    assert shedder.under_way == 0
    assert shedder.enter("d", 0.001) is None
