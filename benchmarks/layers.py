"""What each layer adds to one acceptance decision, in one process: model and SHAP; + policy; + record; + HTTP on plain uvicorn."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from feature_store.order import Order
from feature_store.times import now
from feature_store.views import build_snapshot, entity_keys
from governance.access import Role
from governance.decision import Inputs, Stage, decide
from serving.admission import Ask
from serving.local_keys import local_key
from serving.settings import Settings
from serving.wiring import WiredDecisions, wire_base, wire_decisions

KIND = "acceptance"


def per_second(call: Callable[[int], object], seconds: float) -> float:
    """Calls a second of a plain function, one after the other."""
    call(0)
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        call(done)
        done += 1
    return done / spent


async def per_second_at(call: Callable[[int], Awaitable[object]], at_once: int, seconds: float) -> float:
    """Calls a second of a coroutine, so many under way at once."""
    numbers = iter(range(10**9))
    until = time.perf_counter() + seconds

    async def worker() -> int:
        done = 0
        while time.perf_counter() < until:
            await call(next(numbers))
            done += 1
        return done

    started = time.perf_counter()
    counts = await asyncio.gather(*(worker() for _ in range(at_once)))
    return sum(counts) / (time.perf_counter() - started)


def measure(settings: Settings, bodies: list[dict[str, Any]], seconds: float) -> dict[str, float]:
    """Decisions a second by layer, each including the ones above it."""
    from feature_store.online import OnlineStore

    wired = wire_decisions(settings)
    force = wired.force()
    artifact = force.models[KIND].artifact
    store = OnlineStore(wire_base(settings).engine)
    order = Order.model_validate(bodies[0]["order"])
    keys = entity_keys(order, KIND)
    states = store.read(keys)
    snapshot = build_snapshot(KIND, order, states, now())
    row = np.ascontiguousarray(force.models[KIND].row(snapshot))
    policy = force.policies[KIND]
    inputs = Inputs(KIND, Stage.LIVE, now(), order=order, snapshot=snapshot)

    def known(_number: int) -> object:
        found = store.read(keys)
        fresh = Inputs(KIND, Stage.LIVE, now(), order=order, snapshot=build_snapshot(KIND, order, found, now()))
        return decide(fresh, force.models, policy)

    figures = {
        "model + SHAP": per_second(lambda _number: artifact.scorer.explain(row), seconds),
        "+ policy, reasons, confidence": per_second(lambda _number: decide(inputs, force.models, policy), seconds),
        "+ features from the store": per_second(known, seconds),
    }
    figures |= asyncio.run(_recorded(wired, bodies, seconds))
    wired.force.stop()
    wired.recorder.close()
    return figures


async def _recorded(wired: WiredDecisions, bodies: list[dict[str, Any]], seconds: float) -> dict[str, float]:
    run = uuid.uuid4().hex

    async def answer(number: int) -> object:
        body = {"order": {**bodies[number % len(bodies)]["order"], "order_id": f"{run}-{number}"}}
        reply = await wired.answerer.answer(Ask(KIND, "bench", f"{run}-{number}", body, None, time.perf_counter()))
        assert reply.status == 200, reply.body
        return reply

    return {f"+ durable record, {at_once} at once": await per_second_at(answer, at_once, seconds) for at_once in (1, 8, 32)}


def serve_plainly(settings: Settings, port: int) -> None:
    """The decisions application on plain uvicorn, no Ray: what HTTP costs without it."""
    import uvicorn
    from starlette.types import Receive, Scope, Send

    wired = wire_decisions(settings)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/readyz":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await wired.app(scope, receive, send)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--database")
    parser.add_argument("--bodies", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--serve", type=int, metavar="PORT", help="serve on plain uvicorn instead")
    arguments = parser.parse_args()
    settings = Settings(home=arguments.home, database_url=arguments.database)
    if arguments.serve:
        serve_plainly(settings, arguments.serve)
        return
    bodies = [json.loads(line) for line in arguments.bodies.read_text().splitlines()]
    json.dump(measure(settings, bodies, arguments.seconds), sys.stdout)
    print()


def oms_key(home: Path) -> str:
    """The home's local key of the OMS role."""
    from serving.home import Home

    return local_key(Home(home), Role.OMS)


if __name__ == "__main__":
    main()
