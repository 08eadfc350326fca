"""The little of HTTP that a plain ASGI application needs: headers, a bounded body, a reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.answer import Reply
from serving.errors import Problem, ProblemKind

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def header(scope: Scope, name: bytes) -> str | None:
    """A request header's value; UTF-8 where it is, Latin-1 where it is not. ``name`` is in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            raw: bytes = value
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return raw.decode("latin-1")
    return None


def bearer(scope: Scope) -> str | None:
    """The key of ``Authorization: Bearer KEY``."""
    value = header(scope, b"authorization")
    if value is None:
        return None
    scheme, _, key = value.partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes | Problem:
    """The whole body, refused as soon as it is known to be larger than ``limit`` bytes."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        return _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return Problem(ProblemKind.MALFORMED, "The connection was closed before the whole body arrived.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return _too_large(limit)
        if not message.get("more_body", False):
            return chunk if not chunks else b"".join([*chunks, chunk])
        chunks.append(chunk)


async def send_reply(send: Send, reply: Reply, request_id: str | None) -> None:
    """Send a reply with its length, its own headers and the caller's request id."""
    headers = [(b"content-type", reply.media_type.encode()), (b"content-length", b"%d" % len(reply.body))]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    if request_id is not None:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def serve_lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and to stop."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


def _too_large(limit: int) -> Problem:
    size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 2**10} KiB"
    return Problem(ProblemKind.TOO_LARGE, f"The body is larger than the {size} that are accepted here.")
