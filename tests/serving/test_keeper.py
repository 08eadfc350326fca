"""Turns taken in a thread: also after a failure, until it is told to end."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from serving.keeper import Keeper


def test_it_goes_on_after_a_failure_and_ends_when_told(caplog: pytest.LogCaptureFixture) -> None:
    turns, enough = list[int](), threading.Event()

    def turn() -> float:
        turns.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        if len(turns) == 1:
            raise RuntimeError("once")
        enough.set()
        return 0.001

    keeper = Keeper("turns", 0.001, turn)
    assert not keeper.alive
    with caplog.at_level(logging.ERROR):
        keeper.start()
        assert enough.wait(30)
    assert keeper.alive
    keeper.stop()
    assert not keeper.alive
    taken = len(turns)
    assert taken >= 2
    assert set(turns) == {19}, "everything else comes first"
    assert "turns failed" in caplog.text


def test_it_may_be_told_to_end_before_it_began() -> None:
    Keeper("turns", 1, lambda: 1.0).stop()
