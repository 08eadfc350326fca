"""``/v1/affected`` and ``/v1/sample``: which past decisions something had a part in, and samples that anybody can draw again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Engine
from starlette.responses import Response

from feature_store.times import format_time
from governance.access import Action
from governance.affected import METHOD, ModelRead, affected, latest, models_reading, sample
from governance.ledger.errors import CursorInvalid
from governance.ledger.store import MAX_LIMIT, Counted, DecisionReader, Filters
from serving.api import keys
from serving.console.ports import Account, Refused, Wiring
from serving.errors import Problem, fault, invalid
from serving.lookups import line_json
from serving.rendering import to_bytes
from serving.search_query import read_query

LARGEST_SAMPLE = MAX_LIMIT
LONGEST_SEED = 200
_PARTS = ("model_digest", "policy_digest", "feature")


def routes(wiring: Wiring, engine: Engine, models: Path) -> APIRouter:
    """The routes.

    Args:
        wiring: knows the callers and the time.
        engine: of the database.
        models: the home's folder of artifacts.
    """
    router = APIRouter(tags=["populations"])
    reader = DecisionReader(engine)

    @router.get("/v1/affected", response_model=None)
    def list_affected(request: Request) -> Response:
        """The decisions that a model, a policy or a feature had a part in."""
        account = keys.require(wiring, request, Action.INSPECT.value)
        _note(wiring, account, "affected", request.query_params)
        told, rest = _split(request.query_params, _PARTS)
        if not told:
            raise Refused(invalid([fault(["query"], f"tell one of {', '.join(_PARTS)}")]))
        filters, cursor, limit = _filters(rest, told, _PARTS)
        found: Sequence[ModelRead] = ()
        if "feature" in told:
            found = models_reading(engine, models, told["feature"])
            if not found:
                raise Refused(
                    invalid([fault(["query", "feature"], "no registered model reads a feature of this name; GET /v1/features lists them")])
                )
        filters = _with(filters, told)
        try:
            touched = affected(reader, filters, found, cursor, limit)
        except CursorInvalid as error:
            raise Refused(invalid([fault(["query", "cursor"], "is none of this search; begin without a cursor")])) from error
        return _json(
            {
                **{name: told.get(name) for name in _PARTS},
                "models": [{"name": model.name, "version": model.version, "digest": model.digest} for model in touched.models],
                **_counts(touched.counted),
                "items": [line_json(line) for line in touched.page.lines],
                "next_cursor": touched.page.next_cursor,
            }
        )

    @router.get("/v1/sample", response_model=None)
    def draw(request: Request) -> Response:
        """A random sample of the decisions that pass the filters of the search; the same seed and window draw the same one."""
        account = keys.require(wiring, request, Action.INSPECT.value)
        told, rest = _split(request.query_params, ("n", "seed"))
        _note(wiring, account, "sample", request.query_params)
        errors = _faults(told)
        if "cursor" in rest or "limit" in rest:
            errors.append(fault(["query", "limit" if "limit" in rest else "cursor"], "a sample has no pages: n says how many"))
        if errors:
            raise Refused(invalid(errors))
        filters = latest(_filters(rest, told, ("n", "seed"))[0], wiring.now())
        assert filters.until is not None
        drawn = sample(reader, filters, int(told["n"]), told["seed"])
        return _json(
            {
                "n": len(drawn.lines),
                "seed": told["seed"],
                "population": drawn.population,
                "since": None if filters.since is None else format_time(filters.since),
                "until": format_time(filters.until),
                "method": METHOD,
                "digest": drawn.digest,
                "items": [line_json(line) for line in drawn.lines],
            }
        )

    return router


def _note(wiring: Wiring, account: Account, what: str, of: Mapping[str, str]) -> None:
    if wiring.reads is not None:
        wiring.reads.note_as(account.principal, account.role, what, of)


def _split(query: Mapping[str, str], names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters of these names, and the others."""
    return {name: query[name] for name in names if name in query}, {name: value for name, value in query.items() if name not in names}


def _filters(query: Mapping[str, str], told: Mapping[str, str], own: Sequence[str]) -> tuple[Filters, str | None, int]:
    read = read_query(query)
    empty = [fault(["query", name], "a text is required") for name in own if told.get(name) == "" or "\0" in told.get(name, "")]
    if empty:
        raise Refused(invalid(empty))
    if isinstance(read, Problem):
        raise Refused(read)
    return read


def _with(filters: Filters, told: Mapping[str, str]) -> Filters:
    given = {name: getattr(filters, name) for name in Filters.__dataclass_fields__}
    return Filters(**{**given, "model_digest": told.get("model_digest"), "policy_digest": told.get("policy_digest")})


def _faults(told: Mapping[str, str]) -> list[dict[str, Any]]:
    errors = []
    count = told.get("n", "")
    if not (count.isascii() and count.isdecimal() and len(count) <= 6 and 1 <= int(count) <= LARGEST_SAMPLE):
        errors.append(fault(["query", "n"], f"a whole number from 1 to {LARGEST_SAMPLE} is required"))
    if not told.get("seed") or len(told["seed"]) > LONGEST_SEED:
        errors.append(
            fault(["query", "seed"], f"a text of 1 to {LONGEST_SEED} characters is required: it is what draws the same sample again")
        )
    return errors


def _counts(counted: Sequence[Counted]) -> dict[str, Any]:
    first, last = min((one.first for one in counted), default=None), max((one.last for one in counted), default=None)
    return {
        "count": sum(one.number for one in counted),
        "first_decided_at": None if first is None else format_time(first),
        "last_decided_at": None if last is None else format_time(last),
        "by": [{"type": one.type, "outcome": one.outcome, "count": one.number} for one in counted],
    }


def _json(value: Any) -> Response:
    return Response(to_bytes(value), media_type="application/json")
