"""Starting on one machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serving import up
from serving.settings import Settings


class _Stopped(Exception):
    """As far as this test goes."""


def test_an_ipv6_address_is_written_as_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, host="::1", port=8123)
    asked: list[str] = []

    def answer(url: str, timeout: float) -> Any:
        asked.append(url)
        raise _Stopped

    monkeypatch.setattr(up.urllib.request, "urlopen", answer)
    with pytest.raises(_Stopped):
        up._wait_until_ready(settings, threading.Event())
    assert asked == ["http://[::1]:8123/readyz"]

    @contextmanager
    def held(_home: Any, url: str) -> Iterator[None]:
        asked.append(url)
        raise _Stopped
        yield

    monkeypatch.setattr(up, "exclusive", held)
    with pytest.raises(_Stopped):
        up.up(settings, empty=True, say=print)
    assert asked[-1] == "http://[::1]:8123"
