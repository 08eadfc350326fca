"""One decision as its page tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlencode

from feature_store.times import Millis, TimeUnreadable, parse_time
from models.specs import DecisionType
from serving.console import texts
from serving.console.contexts import (
    CostRow,
    Crumb,
    DecisionPage,
    Fact,
    Frame,
    OrderDecision,
    Pair,
    ReasonRow,
    SnapshotRow,
    TimelineItem,
)
from serving.console.messages import say, say_or
from serving.console.ports import DecisionFacts, DecisionLine, FeatureFact
from serving.console.views import plan, since, waterfall, words
from serving.console.views import policy as policy_words

_STRONGEST = 6
"""Reasons that are shown at once; the others are folded away."""
_OURS = frozenset(kind.value for kind in DecisionType)
_TOLD = 2
"""Reasons that make up the headline."""


def build(frame: Frame, facts: DecisionFacts, siblings: Sequence[DecisionLine]) -> DecisionPage:
    """The page of one decision; ``siblings`` are all decisions of the same order, newest first, this one among them."""
    language, line, answer = frame.language, facts.line, facts.answer
    confidence = answer.get("confidence")
    policy = answer.get("policy") or {}
    known = policy_words.Known.of(answer, facts.order)
    return DecisionPage(
        frame=frame,
        crumbs=crumbs(language, facts),
        kind=_kind(language, facts),
        badge=words.outcome_badge(language, line.outcome),
        headline=headline(language, facts),
        fallback=say(language, "decision.fallback_note", reason=texts.capital(str(answer["fallback_reason"])))
        if answer.get("fallback_reason")
        else "",
        facts=tuple(_facts(language, facts)),
        reasons=tuple(_reasons(language, facts.line.type, facts.reasons[:_STRONGEST])),
        more_reasons=tuple(_reasons(language, facts.line.type, facts.reasons[_STRONGEST:])),
        waterfall=waterfall.build(language, facts, calibrated=float(confidence["probability"]) if confidence else None),
        no_waterfall="" if _is_whole(facts) else say(language, "decision.no_waterfall"),
        plan=plan.build(language, answer),
        prediction=_prediction(answer, str((confidence or {}).get("event", ""))),
        snapshot=tuple(_snapshot(language, fact, facts.as_of) for fact in facts.features),
        snapshot_hint=_snapshot_hint(language, facts),
        policy=policy_words.precedence(language, answer)
        if _is_whole(facts)
        else tuple(policy_words.row(language, result, facts.checks, known) for result in policy.get("results") or ()),
        policy_hint=say(language, "decision.precedence") if _is_whole(facts) else policy_words.hint(language, policy),
        parts=tuple(_parts(language, answer)),
        timeline=tuple(_timeline(language, facts, siblings)) if line.order_id else (),
        since=since.build(language, facts),
        holds_now=since.holds_now(language, facts),
        record=tuple(_record(language, facts)),
        raw_href=f"/console/decisions/{line.record_id}/record.json",
        similar_href="/console/decisions?" + urlencode({"type": line.type, "outcome": line.outcome}),
    )


def title(language: str, facts: DecisionFacts) -> str:
    """The browser's title of the page."""
    outcome = words.outcome_badge(language, facts.line.outcome).text
    name = words.type_name(language, facts.line.type)
    if facts.line.order_id:
        return say(language, "decision.title_order", type=name, order=facts.line.order_id, outcome=outcome)
    return say(language, "decision.title", type=name, outcome=outcome)


def crumbs(language: str, facts: DecisionFacts) -> tuple[Crumb, ...]:
    """Decisions / the order / this."""
    steps = [Crumb(say(language, "nav.decisions"), "/console/decisions")]
    if facts.line.order_id:
        steps.append(Crumb(say(language, "decision.order", order=facts.line.order_id), order_href(facts.line.order_id)))
    return (*steps, Crumb(words.type_name(language, facts.line.type)))


def order_href(order_id: str) -> str:
    """The page of an order."""
    return "/console/orders/" + quote(order_id, safe="")


def headline(language: str, facts: DecisionFacts) -> str:
    """One sentence: what it means, then the first reasons that point the same way."""
    line, answer = facts.line, facts.answer
    if line.status == "fallback":
        told = [_said(language, line.type, reason).rstrip(".。") for reason in facts.reasons[:1]]
        return _sentence(language, "".join(told) or say(language, "verdict.fallback"), [])
    verdict = say(language, "verdict.abstained") if line.status == "abstained" else _verdict(language, facts)
    if shipped := plan.nodes(answer):
        return _sentence(language, verdict, [_shipped(language, answer, shipped)])
    if _is_whole(facts):
        return _sentence(language, verdict, [_decisive(language, answer)])
    return _sentence(language, verdict, _telling(language, facts))


def _is_whole(facts: DecisionFacts) -> bool:
    """Whether it binds the decisions on an order together, and has no model or policy of its own."""
    return "decisions" in facts.answer


def _parts(language: str, answer: Mapping[str, Any]) -> list[OrderDecision]:
    """Each decision that a decision on the whole order binds together."""
    found = []
    for part in (answer.get("decisions") or {}).values():
        if "outcome" not in part:
            continue
        confidence, badge = part.get("confidence"), words.outcome_badge(language, str(part["outcome"]))
        shipped = plan.nodes(part)
        reasons = [_said(language, str(part["type"]), reason) for reason in _pointing(badge.tone, part.get("reasons") or ())[:1]]
        told = [_shipped(language, part, shipped)] if shipped else reasons
        found.append(
            OrderDecision(
                href=f"/console/decisions/{part['decision_id']}" if part.get("decision_id") else "",
                type=words.type_name(language, str(part["type"])),
                badge=badge,
                when=words.event_name(language, str(confidence["event"])) if confidence else "",
                version="",
                headline=texts.capital("".join(told)) + (("。" if language == "zh" else ".") if told else ""),
                probability=texts.percent(float(confidence["probability"])) if confidence else "",
                scale=words.scale(language, confidence, (), badge.tone) if confidence else None,
            )
        )
    return found


def _shipped(language: str, answer: Mapping[str, Any], nodes: Sequence[str]) -> str:
    count = len(answer["shipments"])
    key = "verdict.shipments.one" if count == 1 else "verdict.shipments.many"
    return say(language, key, count=count, nodes=words.listed(language, nodes))


def _decisive(language: str, answer: Mapping[str, Any]) -> str:
    """``fraud came to Review``: what bound the whole order, or that nothing objected."""
    asked, arrow, _ = str(answer.get("decided_by") or "").partition(" → ")
    kind, _, outcome = asked.partition(":")
    if not arrow:
        return say(language, "decision.unopposed")
    return say(
        language, "decision.because", type=words.type_name(language, kind), outcome=words.outcome_badge(language, outcome).text.lower()
    )


def _verdict(language: str, facts: DecisionFacts) -> str:
    built_in = say_or(language, f"verdict.{facts.line.type}.{facts.line.outcome}", "")
    if built_in:
        return built_in
    if facts.line.outcome == "REVIEW":
        return say(language, "verdict.custom.REVIEW")
    event = str((facts.answer.get("confidence") or {}).get("event") or "")
    return say(language, "verdict.custom", event=_labelled(facts.line.outcome, event))


def _telling(language: str, facts: DecisionFacts) -> list[str]:
    features = {feature.name: feature for feature in facts.features}
    pointing = _pointing(words.tone(facts.line.outcome), facts.reasons)
    return [_short(language, facts.line.type, reason, features.get(str(reason.get("feature")))) for reason in pointing[:_TOLD]]


def _pointing(tone: str, reasons: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The reasons that speak for an outcome of that tone; all of them where none does."""
    wanted = {"ok": "lowers", "hold": "raises", "bad": "raises"}.get(tone)
    return [reason for reason in reasons if wanted is None or reason.get("direction") in {wanted, "none", "", None}] or reasons


def _said(language: str, kind: str, reason: Mapping[str, Any]) -> str:
    """The sentence of a reason; of a custom type it is full of people's own names and values, which stay as they are."""
    text = texts.speak(reason.get("text") or "", language)
    return texts.polished(text) if kind in _OURS else text


def _short(language: str, kind: str, reason: Mapping[str, Any], feature: FeatureFact | None) -> str:
    """A reason as part of a sentence: what was found, without what follows from it."""
    if feature is None:
        return _said(language, kind, reason).rstrip(".。")
    label, value = (
        texts.gist(texts.speak(feature.label, language)),
        texts.told(feature.value, feature.unit, feature.value_text, language),
    )
    if value in {"yes", "是"}:
        return label
    usual = texts.told(feature.usual, feature.unit, feature.usual_text, language)
    if usual in {"–", value}:
        return say(language, "decision.short", label=label, value=value)
    return say(language, "decision.short_usual", label=label, value=value, usual=usual)


def _sentence(language: str, verdict: str, parts: list[str]) -> str:
    if not (parts := [part for part in parts if part]):
        return verdict + ("。" if language == "zh" else ".")
    if language == "zh":
        return f"{verdict}：{'；'.join(parts)}。"
    return f"{verdict}: {'; '.join(texts.lower_first(part) for part in parts)}."


def _kind(language: str, facts: DecisionFacts) -> str:
    line = facts.line
    parts = [
        words.type_name(language, line.type),
        texts.moment(line.decided_at, language),
        words.channel_name(language, line.channel),
        words.region_name(language, line.region),
    ]
    if line.status != "decided":
        parts.append(say_or(language, f"status.{line.status}", line.status))
    return " · ".join(part for part in parts if part)


def _facts(language: str, facts: DecisionFacts) -> list[Fact]:
    answer = facts.answer
    found = [
        _confidence(language, facts), _causes(language, answer), _special(language, answer, facts.line.decided_at),
        _expected(language, answer), _decided_by(language, facts),
    ]  # fmt: skip
    if review := answer.get("review"):
        outcome = words.outcome_badge(language, str(review.get("expires_to", ""))).text
        due = plan.near(language, review.get("due_at"), facts.line.decided_at)
        found.append(
            Fact(
                say(language, "decision.review"),
                say(language, "decision.review_queue", queue=words.queue_name(language, str(review.get("queue", "")))),
                note=say(language, "decision.review_due", due=due, outcome=outcome),
            )
        )
    found.append(_proof(language, facts))
    if len(found := [fact for fact in found if fact]) < 4 and isinstance(answer.get("latency_ms"), int | float):
        speed = say(language, "decision.ms", ms=texts.number(answer["latency_ms"]))
        found.insert(-1, Fact(say(language, "decision.speed"), speed, note=say(language, "decision.speed_note")))
    return [fact for fact in found if fact]


def _confidence(language: str, facts: DecisionFacts) -> Fact | None:
    confidence: Mapping[str, Any] | None = facts.answer.get("confidence")
    if not confidence:
        return None
    tone = words.tone(facts.line.outcome)
    between = texts.percent_range(float(confidence["low"]), float(confidence["high"]))
    level, marks = texts.percent(float(confidence.get("level", 0.9))), words.listed(language, map(texts.percent, facts.marks))
    return Fact(
        label=words.event_name(language, str(confidence["event"])),
        value=texts.percent(float(confidence["probability"])),
        unit=between,
        note=say(language, "decision.level_marks" if marks else "decision.level", level=level, marks=marks),
        scale=words.scale(language, confidence, tuple(facts.marks), tone),
        tone=tone,
    )


def _expected(language: str, answer: Mapping[str, Any]) -> Fact | None:
    """What accepting is expected to cost, and what else there was."""
    costs: Mapping[str, Any] | None = answer.get("costs")
    if not costs:
        return None
    accept, hold, reject = (texts.money(costs[name]) for name in ("accept", "hold", "reject"))
    return Fact(
        say(language, "decision.costs"), say(language, "decision.costs_accept", accept=accept),
        note=say(language, "decision.costs_note", hold=hold, reject=reject),
    )  # fmt: skip


def _causes(language: str, answer: Mapping[str, Any]) -> Fact | None:
    """How the causes share the risk of failure, the likeliest first."""
    causes: Mapping[str, float] = answer.get("causes") or {}
    ranked = sorted(causes, key=lambda name: -causes[name])
    told = [say_or(language, f"decision.cause.{name}", name).format(share=texts.percent(float(causes[name]))) for name in ranked]
    return Fact(say(language, "decision.causes"), told[0], note=words.listed(language, told[1:])) if told else None


def _special(language: str, answer: Mapping[str, Any], now: Millis) -> Fact | None:
    if loss := answer.get("expected_loss"):
        return Fact(say(language, "decision.loss"), texts.money(loss))
    if promise := answer.get("promise"):
        late = say(language, "decision.promise_note", p90=plan.near(language, promise.get("p90"), now))
        return Fact(say(language, "decision.promise"), plan.near(language, promise.get("p50"), now), note=late)
    if objective := answer.get("objective"):
        return Fact(say(language, "decision.cost"), texts.money(objective.get("total")), note=say(language, "decision.cost_note"))
    return None


def _decided_by(language: str, facts: DecisionFacts) -> Fact:
    answer = facts.answer
    if _is_whole(facts):
        decided = answer.get("decided_by")
        value = policy_words.precedence_line(language, str(decided)) if decided else say(language, "decision.unopposed")
        return Fact(say(language, "decision.decided_by"), value, note=say(language, "decision.precedence"))
    model, policy = answer.get("model"), answer.get("policy")
    note = say(language, "decision.policy_version", **_id_version(policy)) if policy else say(language, "decision.no_policy")
    if not model:
        return Fact(say(language, "decision.decided_by"), say(language, "decision.no_model"), note=note)
    role = say_or(language, f"role_of_model.{model.get('role')}", str(model.get("role", "")))
    return Fact(say(language, "decision.decided_by"), f"{model.get('name')} v{model.get('version')}", unit=role, note=note)


def _id_version(used: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": used.get("id", ""), "version": used.get("version", "")}


def _proof(language: str, facts: DecisionFacts) -> Fact:
    if facts.sequence is not None:
        value = say(language, "decision.proof_sequenced", index=texts.number(facts.sequence))
    else:
        value = say(language, "decision.proof_promised")
    key = (facts.answer.get("receipt") or {}).get("key_id")
    return Fact(say(language, "decision.proof"), value, note=say(language, "decision.proof_note", key=key) if key else "", tone="ok")


def _reasons(language: str, kind: str, reasons: Sequence[Mapping[str, Any]]) -> list[ReasonRow]:
    return [
        ReasonRow(
            _said(language, kind, reason),
            str(reason.get("code", "")),
            str(reason.get("direction") or "none"),
        )
        for reason in reasons
    ]


def _prediction(answer: Mapping[str, Any], event: str) -> tuple[CostRow, ...]:
    probabilities: Mapping[str, float] = (answer.get("prediction") or {}).get("probabilities") or {}
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    return tuple(CostRow(_labelled(label, event), texts.percent(share), words.length(share)) for label, share in ordered[:8])


def _labelled(label: str, event: str) -> str:
    """A bare label such as 1 with its column, without which it says nothing."""
    return f"{event} = {label}" if event and label.replace(".", "").isdigit() else label


def _snapshot(language: str, fact: FeatureFact, as_of: int | None) -> SnapshotRow:
    contribution = fact.contribution
    aged = fact.event_time is not None and as_of is not None
    return SnapshotRow(
        label=texts.capital(texts.speak(fact.label, language)),
        name=fact.name,
        value=texts.told(fact.value, fact.unit, fact.value_text, language),
        usual=texts.told(fact.usual, fact.unit, fact.usual_text, language),
        contribution=texts.signed(contribution, 3) if contribution is not None else "–",
        direction="" if not contribution else "up" if contribution > 0 else "down",
        origin=say_or(language, f"origin.{fact.origin}", "–"),
        origin_kind=fact.origin or "",
        age=texts.age(max(0.0, (as_of - fact.event_time) / 1000), language) if aged and as_of and fact.event_time is not None else "–",
        since=texts.moment(fact.event_time, language) if fact.event_time is not None else "",
    )


def _snapshot_hint(language: str, facts: DecisionFacts) -> str:
    if not facts.features:
        return ""
    return say(language, "decision.snapshot_hint", count=len(facts.features), version=facts.view_version or "–")


def _timeline(language: str, facts: DecisionFacts, siblings: Sequence[DecisionLine]) -> list[TimelineItem]:
    items: list[tuple[int, TimelineItem]] = []
    spread = any(_other_day(facts, line.decided_at) for line in siblings or [facts.line])
    if placed := placed_at(facts.order):
        items.append(
            (
                placed,
                TimelineItem(
                    texts.moment(placed, language) if spread else texts.clock(placed),
                    say(language, "decision.placed"),
                    _basket(language, facts.order),
                    "plain",
                    None,
                    False,
                ),
            )
        )
    for line in reversed(siblings or [facts.line]):  # newest first where several were made in one millisecond
        current = line.record_id == facts.line.record_id
        badge = words.outcome_badge(language, line.outcome)
        text = (
            f"{words.type_name(language, line.type)}: {badge.text}"
            if language == "en"
            else f"{words.type_name(language, line.type)}：{badge.text}"
        )
        risk = texts.percent(line.probability) if line.probability is not None else ""
        when = texts.moment(line.decided_at, language) if spread else texts.clock(line.decided_at)
        href = None if current else f"/console/decisions/{line.record_id}"
        items.append((line.decided_at, TimelineItem(when, text, risk, badge.tone, href, current)))
    ordered = [item for _, item in sorted(items, key=lambda pair: pair[0])]
    if (review := facts.answer.get("review")) and since.waits(facts):
        due = say(language, "decision.by", time=plan.near(language, review.get("due_at"), facts.line.decided_at))
        ordered.append(
            TimelineItem(
                due,
                say(language, "decision.review_todo", queue=words.queue_name(language, str(review.get("queue", "")))),
                "",
                "todo",
                None,
                False,
            )
        )
    return ordered


def _other_day(facts: DecisionFacts, at: int) -> bool:
    start = placed_at(facts.order) or facts.line.decided_at
    return texts.day(at, "en") != texts.day(start, "en")


def placed_at(order: Mapping[str, Any] | None) -> int | None:
    """When the order in a request was placed; ``None`` where the request holds no order."""
    try:
        return parse_time(str(order["placed_at"])) if order else None
    except (KeyError, TimeUnreadable):
        return None


def _basket(language: str, order: Mapping[str, Any] | None) -> str:
    lines = (order or {}).get("lines") or ()
    key = "decision.lines.one" if len(lines) == 1 else "decision.lines.many"
    return say(language, key, count=len(lines), total=order_total(order))


def order_total(order: Mapping[str, Any] | None) -> str:
    """Σ quantity × unit price of a request's order."""
    try:
        total = sum((Decimal(str(line["unit_price"]["amount"])) * int(line["qty"]) for line in (order or {})["lines"]), Decimal(0))
        return texts.money({"amount": str(total), "currency": (order or {}).get("currency", "")})
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return "–"


def _record(language: str, facts: DecisionFacts) -> list[Pair]:
    answer = facts.answer
    receipt = answer.get("receipt") or {}
    rows = [
        ("decision.record_id", facts.line.record_id),
        ("decision.leaf", receipt.get("leaf_hash") or facts.leaf_hash),
        ("decision.promised_at", receipt.get("promised_at")),
        ("decision.publish_by", receipt.get("publish_by")),
        ("decision.key_id", receipt.get("key_id")),
        ("decision.signature", receipt.get("signature")),
        ("decision.snapshot_digest", (answer.get("snapshot") or {}).get("digest")),
        ("decision.model_digest", (answer.get("model") or {}).get("digest")),
        ("decision.policy_digest", (answer.get("policy") or {}).get("digest")),
    ]
    return [Pair(say(language, key), str(value), code=True) for key, value in rows if value]
