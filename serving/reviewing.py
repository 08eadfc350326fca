"""The routes by which a person settles a decision: override, confirm, withdraw."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from feature_store.order import MICRO
from governance.access import Principal
from governance.aftermath import AftermathReader
from governance.override_checks import LONGEST_NOTE
from governance.overrides import (
    DecisionErased,
    DecisionUnknown,
    OrderSuperseded,
    OverrideInvalid,
    OverrideRefused,
    Overrides,
    SamePerson,
    Settled,
    Wanted,
)
from serving.admission import refuse_nul
from serving.answer import Reply, refuse
from serving.api.review_schemas import OverrideBody
from serving.errors import Problem, ProblemKind, fault, invalid, not_found, unavailable, validation_problem
from serving.rendering import to_bytes
from serving.since import override_json, since_json, written_in

log = logging.getLogger(__name__)

RETRY_S = 2


class Reviewing:
    """Settles decisions for people.

    Args:
        overrides: does it.
        executor: where it waits for the database: a commit must not keep the event loop.
    """

    def __init__(self, overrides: Overrides, executor: Executor) -> None:
        self._overrides = overrides
        self._executor = executor
        self._after = AftermathReader(overrides.desk.engine)

    async def override(self, decision_id: str, raw: Mapping[str, Any], caller: Principal) -> Reply:
        """``POST /v1/decisions/{id}/override``: in force at once, or pending until a second person says the same."""
        try:
            body = OverrideBody.model_validate(raw)
        except ValidationError as error:
            return refuse(validation_problem(error))
        if (unkept := refuse_nul(to_bytes(raw), raw)) is not None:
            return refuse(unkept)
        wanted = Wanted(
            decision_id, body.outcome, body.reason_code, body.note or "", caller.name, caller.role.value,
            body.accepted_lines, body.confirms, body.seen,
        )  # fmt: skip
        return await self._settle(lambda: self._overrides.override(wanted))

    async def withdraw(self, decision_id: str, query: Mapping[str, str], caller: Principal) -> Reply:
        """``DELETE /v1/decisions/{id}/override``: a proposed override is refused, or taken back by who proposed it."""
        unknown = sorted(set(query) - {"note"})
        if unknown:
            return refuse(invalid([fault(["query", name], "unknown; known is note") for name in unknown]))
        note = query.get("note", "")
        if len(note) > LONGEST_NOTE:
            return refuse(invalid([fault(["query", "note"], f"at most {LONGEST_NOTE:,} characters")]))
        if "\0" in note:
            return refuse(invalid([fault(["query", "note"], "contains a NUL character, which no database keeps")]))
        return await self._settle(lambda: self._overrides.withdraw(decision_id, caller.name, caller.role.value, note))

    async def _settle(self, act: Callable[[], Settled]) -> Reply:
        def done() -> Reply:
            settled = act()
            return _told(settled, self._after.notes(written_in([settled.aftermath])))

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, done)
        except (DecisionUnknown, OverrideInvalid, OverrideRefused, SamePerson) as error:
            return refuse(_problem(error))
        except DBAPIError as error:
            log.warning("an override could not be written: %s", error.orig)
            detail = "The override is not known to be on disk. Send the same again: it counts once."
            return refuse(unavailable(ProblemKind.NOT_DURABLE, detail, RETRY_S))


def _told(settled: Settled, notes: Mapping[str, str]) -> Reply:
    one, after = settled.override, settled.aftermath
    above = settled.second_above
    told = {
        "decision_id": after.decision_id,
        **override_json(one, after, judge=True, notes=notes),
        "second_person_above": None if above is None else f"{above / MICRO:.2f}",
        "since": since_json(after, judge=True, notes=notes),
    }
    return Reply(202 if one.state == "pending" else 200, to_bytes(told))


def _problem(error: Exception) -> Problem:
    match error:
        case DecisionUnknown():
            return not_found(str(error))
        case OverrideInvalid():
            return invalid([fault([error.place], str(error))])
        case DecisionErased():
            return Problem(ProblemKind.ERASED, str(error))
        case OrderSuperseded():
            return Problem(ProblemKind.SUPERSEDED, str(error))
        case SamePerson():
            return Problem(ProblemKind.SAME_PERSON, str(error))
        case _:
            return Problem(ProblemKind.CONFLICT, str(error))
