"""Step 1 of an answer: from bytes to a request that may be decided, or the refusal that says why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from feature_store.order import FROM_WIRE, Order
from feature_store.times import Millis
from governance.decision import Stage
from governance.policy import Policy
from models.specs import DecisionType
from serving.api.schemas import MAX_KEY, CustomBody, DecideBody, OrderBody, SplitBody
from serving.errors import Problem, ProblemKind, fault, invalid, not_found, validation_problem
from serving.force import Force

MAX_DEPTH = 100
"""Levels of lists and objects in a body; the writer of JSON gives up at 254."""

ORDERS = "order_decision"
"""The pseudo type of ``/v1/orders/decide``: three decisions on one order. No custom type can be called so: names have no underscore."""

ORDER_TYPES = (DecisionType.FRAUD.value, DecisionType.ACCEPTANCE.value, DecisionType.SPLIT_ORDER.value)
"""In this order: the later ones are skipped when an earlier one stops the order."""

BODIES: Mapping[str, type[DecideBody]] = {
    DecisionType.ACCEPTANCE: OrderBody,
    DecisionType.FRAUD: OrderBody,
    DecisionType.SPLIT_ORDER: SplitBody,
    ORDERS: SplitBody,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a decision, as it came in.

    Attributes:
        type: the decision type of the path, or :data:`ORDERS`.
        key: the Idempotency-Key, ``None`` when there was none.
        body: the decoded JSON object.
        started: ``time.perf_counter()`` when it arrived; the deadline counts from here.
    """

    type: str
    principal: str
    key: str | None
    body: Mapping[str, Any]
    request_id: str | None
    started: float


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may be decided.

    Attributes:
        types: the decisions asked for.
        body: validated.
        text: the request as canonical JSON text: what is fingerprinted and recorded.
        fallbacks: what answers each type when no decision can be made.
        deadline: on the clock of ``time.perf_counter()``.
    """

    ask: Ask
    types: tuple[str, ...]
    body: DecideBody
    text: bytes
    fingerprint: bytes
    policies: Mapping[str, Policy]
    fallbacks: Mapping[str, str]
    deadline: float | None

    @property
    def live(self) -> bool:
        """Whether it is recorded."""
        return self.body.mode == "live"

    @property
    def stage(self) -> Stage:
        """The stage of its decisions."""
        return Stage.LIVE if self.live else Stage.DRY_RUN

    @property
    def order(self) -> Order | None:
        """The order, for all but custom types."""
        return self.body.order if isinstance(self.body, OrderBody) else None

    @property
    def key(self) -> str:
        """The Idempotency-Key; a dry run may have none."""
        return self.ask.key or ""


def parse_body(raw: bytes) -> dict[str, Any] | Problem:
    """Decode a body: a JSON object, nested no deeper than it can be written again."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Problem(ProblemKind.MALFORMED, f"The body cannot be read as JSON: {error}.", [fault(["body"], str(error))])
    if not isinstance(value, dict):
        return invalid([fault(["body"], "a JSON object is required")])
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        return invalid([fault(["body"], f"nested more than {MAX_DEPTH} levels deep")])
    return value


def refuse_nul(text: bytes, value: Mapping[str, Any]) -> Problem | None:
    """What no database keeps; ``text`` is ``value`` as JSON."""
    if b"\\u0000" in text:
        for loc in _nul_places(value, ()):
            return invalid([fault(loc, "contains a NUL character, which no database keeps")])
    return None


def admit(ask: Ask, force: Force, fingerprint: Callable[[bytes], bytes], at: Millis) -> Admitted | Problem:
    """Validate a request against its schema and the policies in force for it at this time."""
    types = ORDER_TYPES if ask.type == ORDERS else (ask.type,)
    if any(force.policy(decision_type) is None for decision_type in types):
        return unknown_type(ask.type, force)
    try:
        body = BODIES.get(ask.type, CustomBody).model_validate(ask.body, context=FROM_WIRE)
    except ValidationError as error:
        return validation_problem(error)
    if body.mode == "live" and (refusal := refuse_key(ask.key)) is not None:
        return refusal
    order = body.order if isinstance(body, OrderBody) else None
    policies = {name: judging for name in types if (judging := force.judging(name, order, at)) is not None}
    fallbacks = _fallbacks(body.fallback, policies)
    if isinstance(fallbacks, Problem):
        return fallbacks
    text = orjson.dumps(ask.body, option=orjson.OPT_SORT_KEYS)
    if (unkept := refuse_nul(text, ask.body)) is not None:
        return unkept
    deadline = None if body.deadline_ms is None else ask.started + body.deadline_ms / 1000
    return Admitted(ask, types, body, text, fingerprint(ask.type.encode() + b"\n" + text), policies, fallbacks, deadline)


def unknown_type(decision_type: str, force: Force) -> Problem:
    """404 for a decision type that nothing decides, with those that there are."""
    known = sorted({*BODIES, *force.models} - {ORDERS})
    return not_found(f"There is no decision type {decision_type!r}; there are {', '.join(known)}.")


def refuse_key(key: str | None) -> Problem | None:
    """What is wrong with an Idempotency-Key; ``None`` when nothing is."""
    if not key:
        detail = "Send an Idempotency-Key header: any text of up to 255 characters that names this request, the same on every retry."
        return Problem(ProblemKind.KEY_MISSING, detail, [fault(["header", "Idempotency-Key"], "required")])
    if len(key) > MAX_KEY or not key.isprintable():
        detail = f"An Idempotency-Key has at most {MAX_KEY} characters, all of them printable."
        return Problem(ProblemKind.KEY_UNUSABLE, detail, [fault(["header", "Idempotency-Key"], "too long or not printable")])
    return None


def remaining(deadline: float | None) -> float | None:
    """Seconds until the deadline, negative when it has passed; ``None`` where there is none."""
    return None if deadline is None else deadline - time.perf_counter()


def _fallbacks(asked: str | None, policies: Mapping[str, Policy]) -> dict[str, str] | Problem:
    """Each type's fallback: the one asked for where its policy permits it, else the policy's own."""
    if asked is not None and not any(asked in policy.fallbacks for policy in policies.values()):
        permitted = "; ".join(f"{decision_type}: {', '.join(policy.fallbacks)}" for decision_type, policy in policies.items())
        detail = f"The fallback {asked!r} is not permitted. Permitted are {permitted}."
        return Problem(ProblemKind.FALLBACK_NOT_PERMITTED, detail, [fault(["fallback"], f"not one of {permitted}")])
    return {
        decision_type: asked if asked is not None and asked in policy.fallbacks else policy.default_fallback
        for decision_type, policy in policies.items()
    }


def _deeper_than(value: Any, limit: int) -> bool:
    """Whether lists and objects nest deeper; level by level, because recursion is what deep nesting breaks."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _nul_places(value: Any, loc: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, str):
        if "\x00" in value:
            yield loc
    elif isinstance(value, dict):
        for name, item in value.items():
            if "\x00" in name:
                yield loc
            yield from _nul_places(item, (*loc, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nul_places(item, (*loc, index))
