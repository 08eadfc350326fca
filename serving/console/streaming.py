"""Progress of a training as server-sent events, from the rows that the training writes; any process may tell them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio
import orjson
from starlette.concurrency import run_in_threadpool

from serving.console.ports import ProgressFacts, TrainingFacts, Workbench

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
_EVERY_S = 0.4
_ALIVE_EVERY = 25
"""A comment after this many quiet looks keeps proxies from closing the line."""

Tell = Callable[[TrainingFacts, ProgressFacts | None], Mapping[str, Any]]


async def told(workbench: Workbench, training: TrainingFacts, tell: Tell, after_step: int = -1) -> AsyncIterator[bytes]:
    """Every step after one, as it comes, and ``over`` at the end.

    ``tell`` makes what an event says; ``after_step`` is the last step that the reader has seen (``Last-Event-ID``).
    """
    quiet = 0
    while True:
        now = await run_in_threadpool(workbench.training, training.training_id) or training
        steps = await run_in_threadpool(workbench.progress, training.training_id, after_step)
        for step in steps:
            after_step = step.step
            yield _event("progress", tell(now, step), step.step)
        if now.over:
            yield _event("over", tell(now, steps[-1] if steps else None))
            return
        quiet = 0 if steps else quiet + 1
        if quiet % _ALIVE_EVERY == _ALIVE_EVERY - 1:
            yield b": still there\n\n"
        await anyio.sleep(_EVERY_S)


def _event(name: str, data: Mapping[str, Any], step: int | None = None) -> bytes:
    lines = [b"event: " + name.encode(), b"data: " + orjson.dumps(data)]
    if step is not None:
        lines.insert(0, b"id: " + str(step).encode())
    return b"\n".join(lines) + b"\n\n"
