"""Step 5 of an answer: a decision as the record that keeps it, everything in it as it was then."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_store.times import Millis, format_time
from governance.decision import Decision, Inputs, Models, Status
from governance.decision_groups import controls_json, decision_groups, network_json
from governance.ledger.record import Draft, Kind, about_customer
from governance.ledger.rows import Facets
from governance.policy import Policy
from models.reasons import REST
from serving.admission import ORDERS, Admitted
from serving.knowing import Made, Outcomes


@dataclass(frozen=True, slots=True)
class Timing:
    """When a request came in and how long its steps took, milliseconds on the monotonic clock."""

    started_at: Millis
    started: float

    def elapsed_ms(self) -> float:
        """Milliseconds since it came in."""
        return (time.perf_counter() - self.started) * 1e3


@dataclass(frozen=True, slots=True)
class Context:
    """What every record of one request shares.

    Attributes:
        running: digests of this code (``build``) and of the libraries under it (``environment``).
        together: for ``/v1/orders/decide`` how the decisions were combined.
    """

    admitted: Admitted
    timing: Timing
    tenant: str
    running: Mapping[str, str]
    together: Mapping[str, Any] | None = None


def draft_decision(context: Context, one: Made, *, policy: Policy, models: Models, record_id: str, answer: bytes) -> Draft:
    """The draft of one decision's record."""
    inputs, decision = one.inputs, one.decision
    deployed = models.get(decision.type)
    groups = _groups(context, one, policy, answer, deployed.described if deployed else ())
    digests = {"policy": policy.digest, **context.running}
    if decision.model is not None:
        digests["model"] = decision.model.digest
    if decision.snapshot is not None:
        digests["view"] = decision.snapshot.view_version
    customer = inputs.order.customer.customer_id if inputs.order else None
    return Draft(
        kind=Kind.DECISION,
        decision_type=decision.type,
        digests=digests,
        groups=groups,
        subjects=about_customer(customer, groups),
        record_id=record_id,
        tenant=context.tenant,
    )


def draft_order(context: Context, outcomes: Outcomes, leaves: Mapping[str, bytes], record_id: str, answer: bytes) -> Draft:
    """The draft of the record that binds the decisions on one order together: it names their leaves."""
    admitted = context.admitted
    order = admitted.order
    assert order is not None
    ask = admitted.ask
    elapsed = context.timing.elapsed_ms()
    groups: dict[str, object] = {
        "request": admitted.text.decode(),
        "order": {"order_id": order.order_id, "order_version": order.order_version, "customer_id": order.customer.customer_id},
        "circumstances": {
            "asked": ask.type,
            "started_at": format_time(context.timing.started_at),
            "ended_at": format_time(context.timing.started_at + round(elapsed)),
            "elapsed_ms": round(elapsed, 3),
            "request_id": ask.request_id,
            "idempotency_key": admitted.key,
            "mode": admitted.body.mode,
            "deadline_ms": admitted.body.deadline_ms,
        },
        "outcome": {**(context.together or {}), "skipped": dict(outcomes.skipped)},
        "response": answer.decode(),
        "people": {"principal": ask.principal},
    }
    return Draft(
        kind=Kind.ORDER_DECISION,
        decision_type=ORDERS,
        digests={**context.running, **{name: f"sha256:{leaf.hex()}" for name, leaf in leaves.items()}},
        groups=groups,
        subjects=about_customer(order.customer.customer_id, groups),
        record_id=record_id,
        tenant=context.tenant,
    )


def _groups(context: Context, one: Made, policy: Policy, answer: bytes, described: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    admitted, inputs, decision = context.admitted, one.inputs, one.decision
    return {
        "request": admitted.text.decode(),
        "order": _order_group(inputs, decision),
        "circumstances": _circumstances(context, inputs, decision),
        **decision_groups(inputs, decision, policy, described, context.together),
        "response": answer.decode(),
        "people": {"principal": admitted.ask.principal},
    }


def _order_group(inputs: Inputs, decision: Decision) -> dict[str, Any]:
    order = inputs.order
    return {
        "order_id": decision.order_id,
        "order_version": decision.order_version,
        "customer_id": order.customer.customer_id if order else None,
        "network": None if inputs.network is None else network_json(inputs.network),
    }


def _circumstances(context: Context, inputs: Inputs, decision: Decision) -> dict[str, Any]:
    ask, body = context.admitted.ask, context.admitted.body
    failure = inputs.failure
    elapsed = context.timing.elapsed_ms()
    return {
        "asked": ask.type,
        "started_at": format_time(context.timing.started_at),
        "ended_at": format_time(context.timing.started_at + round(elapsed)),
        "decided_at": format_time(decision.decided_at),
        "decided_at_ms": decision.decided_at,
        "elapsed_ms": round(elapsed, 3),
        "request_id": ask.request_id,
        "idempotency_key": context.admitted.key,
        "mode": body.mode,
        "stage": decision.stage.value,
        "deadline_ms": body.deadline_ms,
        "fallback": context.admitted.fallbacks[decision.type],
        "failure": None if failure is None else {"cause": failure.cause, "detail": failure.detail, "fallback": failure.fallback},
        **controls_json(inputs),
    }


def part_key(key: str, decision_type: str) -> str:
    """The idempotency key of a part of one request: its own in the table, and none that a caller can send."""
    return f"{key}\x1f{decision_type}"


def took_us(draft: Draft) -> int:
    """How long the decision took, microseconds, exactly as its record tells it."""
    circumstances = draft.groups["circumstances"]
    assert isinstance(circumstances, Mapping)
    return round(float(circumstances["elapsed_ms"]) * 1e3)


def facets(context: Context, one: Made, draft: Draft) -> Facets:
    """What a decision is found by."""
    decision, ask, order = one.decision, context.admitted.ask, one.inputs.order
    model, policy = decision.model, decision.policy
    return Facets(
        type=decision.type,
        mode=context.admitted.body.mode,
        outcome=decision.outcome[:128],
        status=decision.status.value,
        decided_at=decision.decided_at,
        latency_us=took_us(draft),
        order_id=decision.order_id,
        order_version=decision.order_version,
        customer_id=order.customer.customer_id if order else None,
        region=order.ship_to.region if order else None,
        channel=order.channel if order else None,
        tags=order.tags if order else (),
        reasons=tuple(dict.fromkeys(reason.code for reason in decision.reasons if reason.code != REST)),
        probability=decision.confidence.probability if decision.confidence else None,
        model_name=model.name if model else None,
        model_version=model.version if model else None,
        model_digest=model.digest if model else None,
        policy_id=policy.id if policy else None,
        policy_version=policy.version if policy else None,
        policy_digest=policy.digest if policy else None,
        request_id=ask.request_id,
    )


def order_facets(context: Context, outcomes: Outcomes, draft: Draft) -> Facets:
    """What the combined decision on an order is found by."""
    order = context.admitted.order
    assert order is not None
    assert outcomes.together is not None
    fell_back = any(one.decision.status is Status.FALLBACK for one in outcomes.made.values())
    return Facets(
        type=ORDERS,
        mode=context.admitted.body.mode,
        outcome=outcomes.together.outcome.value,
        status=(Status.FALLBACK if fell_back else Status.DECIDED).value,
        decided_at=context.timing.started_at,
        latency_us=took_us(draft),
        order_id=order.order_id,
        order_version=order.order_version,
        customer_id=order.customer.customer_id,
        region=order.ship_to.region,
        channel=order.channel,
        tags=order.tags,
        request_id=context.admitted.ask.request_id,
    )
