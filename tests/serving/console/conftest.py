"""The console with its ports held in memory: real pages, no database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from serving.console import ports
from serving.console.app import create_console
from serving.console.session import SessionSigner
from tests.serving.console.examples import NOW
from tests.serving.console.fakes import Accounts, Decisions, Models, Workbench
from tests.serving.console.watched import Features, Health


@dataclass
class World:
    """The console and what is behind it."""

    accounts: Accounts = field(default_factory=Accounts)
    decisions: Decisions = field(default_factory=Decisions)
    workbench: Workbench = field(default_factory=Workbench)
    models: Models = field(default_factory=Models)
    features: Features = field(default_factory=Features)
    health: Health = field(default_factory=Health)
    clock: list[int] = field(default_factory=lambda: [NOW])

    def wiring(self, **changes: Any) -> ports.Wiring:
        made = ports.Wiring(
            self.accounts,
            self.decisions,
            self.workbench,
            self.models,
            SessionSigner(b"s" * 32),
            lambda: self.clock[0],
            self.features,
            self.health,
            max_upload_bytes=200_000,
        )
        return replace(made, **changes)


class Browser:
    """Speaks to the application as a browser does: keeps cookies, sends forms with their token."""

    def __init__(self, world: World, **changes: Any) -> None:
        self.app = create_console(world.wiring(**changes))
        self.base = "http://console"
        self.cookies = httpx.Cookies()
        self.clock = world.clock
        self.until: dict[str, int] = {}
        self.headers = {"accept": "text/html", "accept-language": "en"}

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        self._expire()

        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=self.base, cookies=self.cookies) as client:
                answer = await client.request(method, path, headers={**self.headers, **more.pop("headers", {})}, **more)
                self.cookies = client.cookies
                self._note(answer)
                return answer

        return asyncio.run(once())

    def _note(self, answer: httpx.Response) -> None:
        for header in answer.headers.get_list("set-cookie"):
            for name, cookie in SimpleCookie(header).items():
                self.until[name] = self.clock[0] + 1000 * int(cookie["max-age"])

    def _expire(self) -> None:
        """Forget cookies by the clock that sessions go by."""
        for cookie in list(self.cookies.jar):
            if self.until.get(cookie.name, self.clock[0] + 1) <= self.clock[0]:
                self.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.send("GET", path, **more)

    def post(self, path: str, fields: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.send("POST", path, data=dict(fields or {}), **more)

    def login(self, role: str) -> Browser:
        page = self.get("/console/login")
        answer = self.post("/console/login", {"key": f"ord_{role}_key", "form_token": form_token(page), "target": ""})
        assert answer.status_code == 200, answer.text
        return self

    def token(self) -> str:
        """A form token of the session."""
        return form_token(self.get("/console/models"))


def form_token(page: httpx.Response) -> str:
    return page.text.split('name="form_token" value="')[1].split('"')[0]


def json_of(page: httpx.Response) -> Any:
    return json.loads(page.content)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world)


@pytest.fixture
def make_browser() -> type[Browser]:
    return Browser
