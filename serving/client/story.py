"""The story of one request, without any input or output: what to send, how long to wait, when to give up.

It is a generator, so that the blocking and the asynchronous client tell the same one.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from serving.client.errors import Away, Refused

T = TypeVar("T")

LEAST_ATTEMPT_S = 0.25
"""An attempt gets half of the time that is left, so that there is another one if it hangs, but at least this."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 2.0
_BETWEEN = frozenset({502, 504})
"""What something between us and the service says when it cannot reach it."""
_LATER = frozenset({429, 503})
IN_FLIGHT = "request-in-flight"


@dataclass(frozen=True, slots=True)
class Call:
    """One request; sent again it is the same, key included."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    patience_s: float | None = None
    """How long the service may take by design: a long poll."""


@dataclass(frozen=True, slots=True)
class Send:
    """Do this, and say what came of it."""

    call: Call
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Got:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 1

    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing was answered; what became of it is not known."""

    error: str


Told = Got | Lost | None
Story = Generator[Send | Pause, Told, T]


@dataclass(frozen=True, slots=True)
class Time:
    """What a story needs to know of time and chance; a test may know better."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


def ask(call: Call, within_s: float, moment: Time) -> Story[Got]:
    """Send until there is an answer, or until the time is over.

    Only what is known to help is tried again, always with the same key: 429, 503, 409 while the same key is in flight, and lost connections.

    Raises:
        Refused: it is refused for good.
        Away: no answer in time.
    """
    end = moment.clock() + within_s
    attempt = 0
    while True:
        attempt += 1
        left = end - moment.clock()
        told = yield Send(call, _share(left, call))
        assert told is not None, "a request was sent"
        if isinstance(told, Got) and told.status < 300:
            return Got(told.status, told.headers, told.body, attempt)
        asked = _asked(told, moment)
        if not _may_help(told):
            assert isinstance(told, Got)
            raise Refused(told.status, problem(told))
        wait = asked if asked is not None else min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1)) * (0.5 + moment.chance())
        if moment.clock() + wait >= end:
            raise Away(f"{call.method} {call.path} was not answered within {within_s:g} s: {_said(told)}", attempt, asked)
        yield Pause(wait)


def problem(told: Got) -> Mapping[str, Any]:
    """The problem details of a refusal; empty where something else answered."""
    try:
        found = told.json()
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _share(left: float, call: Call) -> float:
    if call.patience_s is not None:
        return max(0.001, left)
    return max(0.001, min(left, max(left / 2, LEAST_ATTEMPT_S)))


def _may_help(told: Got | Lost) -> bool:
    if isinstance(told, Lost) or told.status in _LATER or told.status in _BETWEEN:
        return True
    return told.status == 409 and str(problem(told).get("type", "")).endswith(f":{IN_FLIGHT}")


def _asked(told: Got | Lost, moment: Time) -> float | None:
    """Seconds that Retry-After asks for, a number or a date."""
    text = told.headers.get("retry-after") if isinstance(told, Got) else None
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - moment.wall())
    except ValueError:
        return None


def _said(told: Got | Lost) -> str:
    return told.error if isinstance(told, Lost) else f"{told.status} {problem(told).get('detail', '')}".strip()
