"""What has turned out slow is computed in a thread, so that the loop goes on and a deadline can pass."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.aside import LONG_S, SLOW_S, Aside, in_place


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def thread_after(clock: Clock, aside: Aside, takes_s: float) -> int:
    """Which thread computes a decision that takes so long."""

    def compute() -> int:
        clock.now += takes_s
        return threading.get_ident()

    return asyncio.run(aside.run("split-order", None, compute))


def test_fast_ones_stay_slow_ones_go_and_come_back() -> None:
    clock = Clock()
    with ThreadPoolExecutor(1) as threads:
        aside = Aside(threads, clock)
        here = threading.get_ident()
        assert thread_after(clock, aside, SLOW_S / 10) == here
        assert thread_after(clock, aside, SLOW_S * 10) == here, "nobody knew"
        assert thread_after(clock, aside, SLOW_S * 10) != here
        for _ in range(20):
            thread_after(clock, aside, SLOW_S / 10)
        assert thread_after(clock, aside, SLOW_S / 10) == here
        assert not aside.slow("fraud"), "each type for itself"


def test_a_deadline_passes_while_a_thread_computes_and_others_go_on() -> None:
    clock = Clock()
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        aside = Aside(threads, clock)
        thread_after(clock, aside, 1.0)
        with pytest.raises(TimeoutError):
            asyncio.run(aside.run("split-order", 0.001, go_on.wait))
        assert asyncio.run(aside.run("fraud", 0.001, lambda: "answered")) == "answered"
        go_on.set()


def test_who_gives_it_less_than_it_usually_takes_learns_nothing_about_it() -> None:
    clock = Clock()
    aside = Aside(None, clock)
    assert aside.had_a_chance("split-order", 0.0), "nobody knows yet"
    thread_after(clock, aside, 0.05)
    assert [aside.had_a_chance("split-order", given) for given in (0.001, 0.04, 0.06)] == [False, False, True]
    thread_after(clock, aside, 50.0)
    assert aside.had_a_chance("split-order", LONG_S)


def test_a_failure_is_the_callers_wherever_it_happens() -> None:
    clock = Clock()

    def fails() -> None:
        clock.now += 1.0
        raise ValueError("no such lane")

    with ThreadPoolExecutor(1) as threads:
        aside = Aside(threads, clock)
        for _ in range(2):
            with pytest.raises(ValueError, match="no such lane"):
                asyncio.run(aside.run("split-order", None, fails))
        assert aside.slow("split-order")


def test_without_threads_everything_stays() -> None:
    clock = Clock()
    aside = Aside(None, clock)
    assert {thread_after(clock, aside, 1.0) for _ in range(3)} == {threading.get_ident()}
    assert asyncio.run(in_place().run("fraud", 0.0, lambda: 1)) == 1
