"""What a what-if answers and records: the shape of a decision, what is otherwise, and a record that names the original.

It is never executed: it reserves nothing, waits in no queue, and is found by no search for decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from feature_store.network_request import NetworkRefused
from feature_store.times import Millis, format_time, now
from governance.decision import Decision, decide
from governance.decision_groups import decision_groups
from governance.ledger.ids import new_record_id
from governance.ledger.receipt import Signer, attach
from governance.ledger.record import Draft, Kind, about_customer, seal
from governance.ledger.rows import RecordRow
from governance.ledger.store import StoredDecision
from governance.opinion import Deployed, FeaturesMissing
from governance.policy import Policy
from governance.reconstruct import COMPOSITE, NotReplayable, Rebuilt, Why, rebuild
from governance.shelf import Shelf
from governance.what_if import Changed, NothingKnown, WhatIfBody, WhatIfRefused, change, delta
from models.splitting import ProblemRefused
from serving.errors import Problem, ProblemKind, fault, invalid
from serving.knowing import Made
from serving.recording import Timing
from serving.rendering import answer_json, to_bytes


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a record of this process is made with.

    Attributes:
        running: digests of this code and of the libraries under it.
    """

    signer: Signer
    tenant: str = "default"
    running: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], Millis] = now


@dataclass(frozen=True, slots=True)
class Asked:
    """One what-if as it was asked for."""

    body: WhatIfBody
    raw: Mapping[str, Any]
    principal: str
    request_id: str | None
    timing: Timing


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer, and the record that has to be durable before it is told."""

    row: RecordRow
    response: bytes


@dataclass(frozen=True, slots=True)
class Past:
    """A past decision with the model and policy that made it."""

    stored: StoredDecision
    rebuilt: Rebuilt
    deployed: Deployed | None
    policy: Policy


def what_if(stored: StoredDecision, shelf: Shelf, asked: Asked, keeping: Keeping) -> Answered | Problem:
    """Compute a past decision with changes."""
    past = recall_past(stored, shelf)
    if isinstance(past, Problem):
        return past
    try:
        changed = change(past.rebuilt, past.deployed, past.policy, asked.body)
        decision = decide(changed.inputs, {} if past.deployed is None else {changed.inputs.type: past.deployed}, changed.policy)
    except WhatIfRefused as error:
        return invalid([fault(loc, msg) for loc, msg in error.errors])
    except NetworkRefused as error:
        return invalid([fault(loc, msg) for loc, msg in error.errors])
    except (ProblemRefused, FeaturesMissing) as error:
        return invalid([fault([], str(error))])
    except NothingKnown as error:
        return Problem(ProblemKind.CONFLICT, f"{error} There is nothing to change.")
    return _recorded(past, changed, decision, asked, keeping)


def recall_past(stored: StoredDecision, shelf: Shelf) -> Past | Problem:
    """A stored decision ready to be computed again, or why it cannot be."""
    if stored.line.type == COMPOSITE:
        parts = [one["decision_id"] for one in orjson.loads(stored.response)["decisions"].values() if "decision_id" in one]
        return Problem(
            ProblemKind.CONFLICT, f"This binds the decisions on a whole order together. Ask about one of them: {', '.join(parts)}."
        )
    try:
        rebuilt = rebuild(stored)
        deployed = None if rebuilt.model is None else shelf.deployed(rebuilt.model)
        return Past(stored, rebuilt, deployed, shelf.policy(rebuilt.policy_digest))
    except NotReplayable as error:
        kind = ProblemKind.ERASED if error.why is Why.ERASED else ProblemKind.CONFLICT
        return Problem(kind, f"The decision cannot be computed again ({error.why}): {error.detail}.")


def _recorded(past: Past, changed: Changed, decision: Decision, asked: Asked, keeping: Keeping) -> Answered:
    inputs, policy = changed.inputs, changed.policy
    stored, order = past.stored, inputs.order
    record_id = new_record_id()
    original = f"/v1/decisions/{stored.line.record_id}"
    groups = stored.groups
    moved = delta(groups["outcome"], stored.line.probability, decision, order.currency if order else None)
    answer = answer_json(Made(inputs, decision), record_id, asked.timing.elapsed_ms(), recorded=True) | {
        "what_if_of": stored.line.record_id,
        "changed": dict(asked.raw),
        "delta": moved,
        "links": {"original": original, "proof": f"/v1/ledger/proof/{record_id}"},
    }
    told = to_bytes(answer)
    elapsed = asked.timing.elapsed_ms()
    kept: dict[str, object] = {
        "request": orjson.dumps(asked.raw, option=orjson.OPT_SORT_KEYS).decode(),
        "order": {"order_id": stored.line.order_id, "order_version": stored.line.order_version, "customer_id": stored.line.customer_id},
        "circumstances": {
            "asked": "what-if",
            "started_at": format_time(asked.timing.started_at),
            "ended_at": format_time(asked.timing.started_at + round(elapsed)),
            "elapsed_ms": round(elapsed, 3),
            "decided_at": format_time(inputs.decided_at),
            "decided_at_ms": inputs.decided_at,
            "request_id": asked.request_id,
            "stage": decision.stage.value,
        },
        **decision_groups(inputs, decision, policy, past.deployed.described if past.deployed else (), None),
        "response": told.decode(),
        "people": {"principal": asked.principal},
        "change": {"what_if_of": stored.line.record_id},
    }
    digests = {"policy": policy.digest, **keeping.running}
    if decision.model is not None:
        digests["model"] = decision.model.digest
    if decision.snapshot is not None:
        digests["view"] = decision.snapshot.view_version
    draft = Draft(
        kind=Kind.WHAT_IF, decision_type=decision.type, digests=digests, groups=kept,
        subjects=about_customer(stored.line.customer_id, kept), record_id=record_id, tenant=keeping.tenant, refers_to=stored.line.record_id,
    )  # fmt: skip
    sealed = seal(draft, keeping.signer, keeping.clock())
    return Answered(RecordRow(sealed), attach(told, sealed.receipt))
