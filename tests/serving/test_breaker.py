"""Circuit breakers open under failures, rest, prove themselves and close: on a clock that only the test moves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.breaker import LONGEST_REST_S, PROVES, SLOW_S, Breaker, Breakers, Resting, TooSlow


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fails(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.require()
        breaker.failed()


def opened(clock: Clock) -> Breaker:
    breaker = Breaker("the store", clock=clock)
    fails(breaker, 5)
    assert breaker.state == "open"
    return breaker


def test_one_failure_among_many_successes_never_opens_it() -> None:
    breaker = Breaker("the store", clock=Clock())
    for _ in range(200):
        fails(breaker, 1)
        for _ in range(2):
            breaker.require()
            breaker.succeeded()
    assert (breaker.state, breaker.opened) == ("closed", 0)


def test_a_dependency_that_fails_every_other_time_is_left_alone() -> None:
    breaker = Breaker("the store", clock=Clock())
    for _ in range(20):
        fails(breaker, 1)
        if breaker.state == "open":
            return
        breaker.succeeded()
    raise AssertionError("it never opened")


def test_an_open_one_asks_nobody_and_says_when_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    with pytest.raises(Resting) as told:
        breaker.require()
    assert 0 < told.value.retry_after_s <= 1
    assert "the store" in str(told.value)


def test_it_closes_only_after_several_trials_one_at_a_time() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2
    for _ in range(PROVES):
        assert breaker.state == "half_open"
        breaker.require()
        with pytest.raises(Resting):
            breaker.require()
        breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.retry_after_s == 0
    fails(breaker, 4)
    assert breaker.state == "closed", "what was before is forgotten"


def test_answers_to_what_was_asked_before_it_opened_prove_nothing() -> None:
    clock = Clock()
    breaker = opened(clock)
    for _ in range(PROVES):
        breaker.succeeded()
    assert breaker.state == "open"
    clock.now += 2
    breaker.require()
    breaker.failed()
    breaker.succeeded()
    assert breaker.state == "open"


def test_a_failed_trial_doubles_the_rest_up_to_a_limit() -> None:
    clock = Clock()
    breaker = opened(clock)
    rests = []
    for _ in range(8):
        rests.append(breaker.retry_after_s)
        clock.now += breaker.retry_after_s
        breaker.require()
        breaker.failed()
    assert rests[:4] == pytest.approx([1, 2, 4, 8])
    assert breaker.retry_after_s == pytest.approx(LONGEST_REST_S)


def test_late_failures_of_calls_from_before_do_not_prolong_the_rest() -> None:
    clock = Clock()
    breaker = Breaker("the store", clock=clock)
    for _ in range(50):
        breaker.require()
    for _ in range(50):
        breaker.failed()
    assert breaker.opened == 1
    assert breaker.retry_after_s <= 1


@given(st.lists(st.sampled_from(["ok", "fail", "give up", "wait"]), max_size=120))
def test_whatever_happens_it_can_always_recover(happened: list[str]) -> None:
    clock = Clock()
    breaker = Breaker("the store", clock=clock)
    for one in happened:
        if one == "wait":
            clock.now += 5
            continue
        try:
            breaker.require()
        except Resting:
            continue
        {"ok": breaker.succeeded, "fail": breaker.failed, "give up": breaker.abandoned}[one]()
    clock.now += LONGEST_REST_S
    for _ in range(PROVES):
        breaker.require()
        breaker.succeeded()
    assert breaker.state == "closed"


def run(call: Callable[[], Awaitable[object]]) -> object:
    async def go() -> object:
        return await call()

    return asyncio.run(go())


async def never() -> None:
    await asyncio.Event().wait()


def test_a_call_that_outlasts_everybodys_patience_fails_it() -> None:
    breaker = Breaker("the store", patience_s=0.001)
    for _ in range(5):
        with pytest.raises(TooSlow, match="the store"):
            run(lambda: breaker.call(never))
    assert breaker.state == "open"


def test_whoever_gives_up_at_once_says_nothing_about_the_dependency() -> None:
    clock = Clock()
    breaker = Breaker("the store", clock=clock)

    async def hasty() -> None:
        async with asyncio.timeout(0):
            await breaker.call(never)

    for _ in range(20):
        with pytest.raises(TimeoutError):
            run(hasty)
    assert breaker.state == "closed"


def test_whoever_waited_long_enough_does() -> None:
    clock = Clock()
    breaker = Breaker("the store", clock=clock)

    async def patient() -> None:
        task = asyncio.ensure_future(breaker.call(never))
        await asyncio.sleep(0)
        clock.now += 2 * SLOW_S
        task.cancel()
        await task

    for _ in range(5):
        with pytest.raises(asyncio.CancelledError):
            run(patient)
    assert breaker.state == "open"


def test_a_refusal_of_one_request_is_no_failure_of_the_dependency() -> None:
    breaker = Breaker("the database", innocent=(KeyError,), clock=Clock())

    async def refuses() -> None:
        raise KeyError("used before")

    for _ in range(20):
        with pytest.raises(KeyError):
            run(lambda: breaker.call(refuses))
    assert breaker.state == "closed"


def test_operators_see_every_breaker() -> None:
    breakers = Breakers.of()
    fails(breakers.model("fraud"), 5)
    assert breakers.to_json() == {
        "feature_store": {"state": "closed", "opened": 0},
        "database": {"state": "closed", "opened": 0},
        "model:fraud": {"state": "open", "opened": 1},
    }
