"""Sends one message to one endpoint, once: to an address that was checked, inside a time, without following anything."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType

import certifi
import httpx

from serving.webhooks.addresses import Address, AddressRefused, Networks, choose

Lookup = Callable[[str, int], Awaitable[list[Address]]]
GONE = 410
AGENT = "Ordinance-Webhooks/1"
_MOST_READ = 65_536


@dataclass(frozen=True, slots=True)
class Sent:
    """What an attempt came to.

    Attributes:
        status: what was answered; ``None`` where nothing was.
        error: what went wrong, for people; empty where nothing did.
        wait_s: how long the receiver asks to be left alone.
    """

    status: int | None
    error: str = ""
    wait_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Whether the receiver has it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more of it, ever."""
        return self.status == GONE


class Sender:
    """Sends over connections that are kept; used by one event loop.

    Args:
        networks: that are allowed beside public addresses.
        timeout_s: for one attempt as a whole.
        lookup: addresses of a host; a test may know better.
    """

    def __init__(self, networks: Networks, timeout_s: float, lookup: Lookup | None = None) -> None:
        self._timeout_s = timeout_s
        trusted = ssl.create_default_context()
        trusted.load_verify_locations(certifi.where())
        inner = httpx.AsyncHTTPTransport(verify=trusted, trust_env=False, limits=httpx.Limits(max_connections=100, keepalive_expiry=30))
        transport = _Checked(inner, networks, lookup or look_up)
        self._client = httpx.AsyncClient(transport=transport, timeout=timeout_s, follow_redirects=False, trust_env=False)

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.aclose()

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        """Make one attempt. Whatever happens is an answer, nothing is raised."""
        sent = {"content-type": "application/json", "user-agent": AGENT, **headers}
        try:
            async with asyncio.timeout(self._timeout_s), self._client.stream("POST", url, content=body, headers=sent) as answer:
                await _read_past(answer)
                return _judge(answer)
        except (TimeoutError, httpx.TimeoutException):
            return Sent(None, f"no answer within {self._timeout_s:g} s")
        except AddressRefused as error:
            return Sent(None, str(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Sent(None, f"{type(error).__name__}: {error}"[:500])


async def _read_past(answer: httpx.Response) -> None:
    """Read what nobody needs, so that the connection can be used again; of a longer answer the connection is given up."""
    size = 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > _MOST_READ:
            return


def _judge(answer: httpx.Response) -> Sent:
    status = answer.status_code
    if 200 <= status < 300:
        return Sent(status)
    if 300 <= status < 400:
        return Sent(status, f"answered {status}: webhooks follow no redirect, give the new URL")
    return Sent(status, f"answered {status} {answer.reason_phrase}".strip(), retry_after(answer.headers.get("retry-after"), time.time()))


def retry_after(text: str | None, at: float) -> float:
    """Seconds that a Retry-After asks for: a number, or an HTTP date seen from ``at``; 0 where there is none that can be read."""
    if text is None:
        return 0.0
    try:
        return max(0.0, float(int(text)))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - at)
    except ValueError:
        return 0.0


async def look_up(host: str, port: int) -> list[Address]:
    """The addresses of a host, as the system finds them.

    Raises:
        OSError: it has none.
    """
    with contextlib.suppress(ValueError):
        return [ip_address(host)]  # nothing to be looked up
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(one[4][0]).partition("%")[0]) for one in found))


class _Checked(httpx.AsyncBaseTransport):
    """Connects to the address that was checked, under the name that was asked for."""

    def __init__(self, inner: httpx.AsyncBaseTransport, networks: Networks, lookup: Lookup) -> None:
        self._inner, self._networks, self._lookup = inner, networks, lookup

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host, secure = request.url.host, request.url.scheme == "https"
        addresses = await self._lookup(host, request.url.port or (443 if secure else 80))
        if not addresses:
            raise OSError(f"{host} has no address")
        address = choose(host, addresses, self._networks, secure=secure)
        request.headers["host"] = request.url.netloc.decode("ascii")
        request.url = request.url.copy_with(host=str(address))
        if secure:
            request.extensions = {**request.extensions, "sni_hostname": host}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
