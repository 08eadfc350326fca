"""A closed-loop HTTP load generator: N keep-alive connections, each sends its next request when the last is answered.

Bare asyncio streams, so that the generator takes as little as possible of the two cores it shares with the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Figures:
    """One run: requests a second, latency percentiles in ms, answers by status."""

    connections: int
    seconds: float
    requests: int
    rps: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]


Request = Callable[[int], bytes]
"""Makes the whole bytes of the i-th request."""


async def _connection(
    host: str, port: int, numbers: Iterator[int], make: Request, until: float, taken: list[float], statuses: Counter[str]
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while time.perf_counter() < until:
            payload = make(next(numbers))
            started = time.perf_counter()
            writer.write(payload)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _content_length(head)
            if length:
                await reader.readexactly(length)
            taken.append(time.perf_counter() - started)
            statuses[head[9:12].decode()] += 1
            if b"connection: close" in head.lower():
                writer.close()
                reader, writer = await asyncio.open_connection(host, port)
    finally:
        writer.close()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    if at < 0:
        if b"transfer-encoding" in lowered:
            raise RuntimeError("the server answered chunked; the generator reads answers with a length only")
        return 0
    return int(lowered[at + 15 : lowered.index(b"\r\n", at)])


async def drive(host: str, port: int, connections: int, seconds: float, make: Request, first: int = 0) -> Figures:
    """Send requests over so many connections for so long, and count what came back."""
    taken: list[float] = []
    statuses: Counter[str] = Counter()
    numbers = iter(range(first, 10**12))
    started = time.perf_counter()
    until = started + seconds
    await asyncio.gather(*(_connection(host, port, numbers, make, until, taken, statuses) for _ in range(connections)))
    spent = time.perf_counter() - started
    p50, p99 = np.percentile(np.asarray(taken), [50, 99]) * 1000
    return Figures(connections, spent, len(taken), len(taken) / spent, float(p50), float(p99), dict(statuses))


def requests_from(bodies: list[dict[str, object]], path: str, key: str, run: str, host: str) -> Request:
    """Requests over the given order bodies in turn; every one is a new order with a new Idempotency-Key."""
    split = []
    for body in bodies:
        order = body.get("order")
        marked = {**body, "order": {**order, "order_id": "@@"}} if isinstance(order, dict) else {**body, "order_id": "@@"}
        before, after = json.dumps(marked).encode().split(b'"@@"', 1)
        split.append((before, after))
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n".encode()

    def make(number: int) -> bytes:
        before, after = split[number % len(split)]
        name = f"{run}-{number}".encode()
        body = before + b'"' + name + b'"' + after
        return head + b"Idempotency-Key: " + name + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body

    return make


def main() -> None:
    """Run as a process of its own: read what to do from the arguments, print the figures as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--bodies", type=Path, required=True, help="JSON lines of request bodies")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--run", default=str(time.time_ns()))
    arguments = parser.parse_args()
    bodies = [json.loads(line) for line in arguments.bodies.read_text().splitlines()]
    make = requests_from(bodies, arguments.path, arguments.key, arguments.run, f"127.0.0.1:{arguments.port}")
    figures = asyncio.run(drive("127.0.0.1", arguments.port, arguments.connections, arguments.seconds, make))
    json.dump(asdict(figures), sys.stdout)
    print()


if __name__ == "__main__":
    main()
