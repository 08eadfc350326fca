"""The routes that compute a past decision again: replay, what-if, recourse.

They run in a thread of their own, one at a time, so that live decisions never wait for more than one that is looked at again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from pydantic import ValidationError

from feature_store.order import FROM_WIRE
from governance.access import Principal
from governance.ledger.errors import NotDurable
from governance.ledger.store import Damaged, DecisionReader, StoredDecision
from governance.recourse import Recourse, find_recourse
from governance.recourse_reasons import Toward
from governance.replay import Replay, Replayer
from governance.shelf import Shelf
from governance.what_if import WhatIfBody
from serving.answer import Records, Reply, refuse
from serving.errors import Problem, ProblemKind, fault, invalid, not_found, unavailable, validation_problem
from serving.gone import tell_erased
from serving.recording import Timing
from serving.rendering import to_bytes
from serving.what_if import Answered, Asked, Keeping, recall_past, what_if

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_S = 2
"""After so many seconds a what-if that could not be recorded may be asked for again."""


class Again:
    """Computes past decisions again.

    Args:
        reader: finds them.
        replayer: replays them.
        shelf: the models and policies of the past.
        records: makes what-ifs durable.
        keeping: what their records are made with.
        executor: of one thread.
    """

    def __init__(  # noqa: PLR0917 - its parts
        self, reader: DecisionReader, replayer: Replayer, shelf: Shelf, records: Records, keeping: Keeping, executor: Executor
    ) -> None:
        self._reader = reader
        self._replayer = replayer
        self._shelf = shelf
        self._records = records
        self._keeping = keeping
        self._executor = executor

    async def replay(self, decision_id: str) -> Reply:
        """``POST /v1/decisions/{id}/replay``: the verdict, and what differs."""
        found = await self._aside(lambda: self._replay(decision_id))
        if found is None:
            return refuse(_unknown(decision_id))
        return Reply(200, to_bytes(found.to_json()))

    async def what_if(self, decision_id: str, caller: Principal, raw: Mapping[str, Any], request_id: str | None, started: float) -> Reply:
        """``POST /v1/decisions/{id}/what-if``: the decision with changes, recorded before it is told, never executed."""
        try:
            body = WhatIfBody.model_validate(raw, context=FROM_WIRE)
        except ValidationError as error:
            return refuse(validation_problem(error))
        timing = Timing(self._keeping.clock(), started)
        asked = Asked(body, raw, caller.name, request_id, timing)
        made = await self._aside(lambda: self._what_if(decision_id, caller, asked))
        if isinstance(made, Problem):
            return refuse(made)
        try:
            await self._records.commit([made.row])
        except NotDurable as error:
            log.error("%s", error)
            return refuse(unavailable(ProblemKind.NOT_DURABLE, "The what-if could not be recorded, so it is not told. Ask again.", RETRY_S))
        return Reply(200, made.response)

    async def recourse(self, decision_id: str, caller: Principal, query: Mapping[str, str]) -> Reply:
        """``GET /v1/decisions/{id}/recourse``: the smallest changes that would have given a better outcome, or with ``direction`` a worse one."""
        unknown = sorted(set(query) - {"direction"})
        if unknown:
            return refuse(invalid([fault(["query", name], "unknown; known is direction") for name in unknown]))
        told = query.get("direction", Toward.BETTER)
        if told not in set(Toward):
            return refuse(invalid([fault(["query", "direction"], f"{told!r} is none of {', '.join(Toward)}")]))
        found = await self._aside(lambda: self._recourse(decision_id, caller, Toward(told)))
        return refuse(found) if isinstance(found, Problem) else Reply(200, to_bytes({"decision_id": decision_id, **found.to_json()}))

    def _recourse(self, decision_id: str, caller: Principal, toward: Toward) -> Recourse | Problem:
        stored = self._visible(decision_id, caller)
        past = stored if isinstance(stored, Problem) else recall_past(stored, self._shelf)
        return past if isinstance(past, Problem) else find_recourse(past.rebuilt.inputs, past.deployed, past.policy, toward)

    def _what_if(self, decision_id: str, caller: Principal, asked: Asked) -> Answered | Problem:
        stored = self._visible(decision_id, caller)
        return stored if isinstance(stored, Problem) else what_if(stored, self._shelf, asked, self._keeping)

    def _visible(self, decision_id: str, caller: Principal) -> StoredDecision | Problem:
        """The decision, where the caller may see it."""
        stored = self._reader.read(decision_id)
        if stored is None or (caller.sees_only_own and stored.line.principal != caller.name):
            return _unknown(decision_id)
        if isinstance(stored, Damaged):
            return Problem(ProblemKind.CONFLICT, f"The stored decision is damaged: {stored.error}.")
        return tell_erased(stored) if stored.erased else stored

    def _replay(self, decision_id: str) -> Replay | None:
        stored = self._reader.read(decision_id)
        return None if stored is None else self._replayer.replay(stored)

    def _aside(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)


def _unknown(decision_id: str) -> Problem:
    return not_found(f"There is no decision {decision_id!r} that you may see.")
