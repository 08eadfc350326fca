"""A decision in the words of one reader: what its record tells, through :mod:`governance.readers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from governance.ledger.store import StoredDecision
from governance.readers import Reader, tell
from serving.errors import Problem, fault, invalid
from serving.recorded import contributions


def read_reader(query: Mapping[str, str]) -> Reader | Problem | None:
    """Who is to read; ``None`` where nobody in particular is named."""
    unknown = sorted(set(query) - {"reader"})
    if unknown:
        return invalid([fault(["query", name], "unknown; known is reader") for name in unknown])
    named = query.get("reader")
    if named is None:
        return None
    if named not in set(Reader):
        return invalid([fault(["query", "reader"], f"{named!r} is no reader; there are {', '.join(Reader)}")])
    return Reader(named)


def told_to(reader: Reader, stored: StoredDecision) -> dict[str, Any]:
    """The decision as this reader may see it; the auditor also gets the whole explanation and every result of the policy."""
    groups, line = stored.groups, stored.line
    outcome: Mapping[str, Any] = groups["outcome"]
    explained = contributions(groups) if reader is Reader.AUDITOR else None
    parts = explained["contributions"] if explained else ()
    told = tell(reader, line.type, line.outcome, outcome.get("reasons", ()), parts)
    shown: dict[str, Any] = {"decision_id": line.record_id, "outcome": line.outcome, **told}
    if reader is not Reader.CUSTOMER:
        shown["status"] = line.status
    if reader is Reader.AUDITOR:
        shown |= {"explanation": explained, "policy": groups.get("policy"), "fallback_reason": outcome.get("fallback_reason")}
    return shown
