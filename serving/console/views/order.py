"""One order and everything that was decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.console import texts
from serving.console.contexts import Crumb, Frame, LineRow, OrderDecision, OrderPage, Pair
from serving.console.messages import say
from serving.console.ports import DecisionFacts
from serving.console.views import decision, plan, words


def build(frame: Frame, order_id: str, decisions: Sequence[DecisionFacts]) -> OrderPage:
    """The page of one order; ``decisions`` oldest first, at least one."""
    language = frame.language
    order = next((facts.order for facts in reversed(decisions) if facts.order), None)
    count = len(decisions)
    return OrderPage(
        frame=frame,
        crumbs=(Crumb(say(language, "nav.decisions"), "/console/decisions"), Crumb(say(language, "decision.order", order=order_id))),
        order_id=order_id,
        summary=say(language, "order.summary.one" if count == 1 else "order.summary.many", count=count),
        facts=tuple(_facts(language, order, decisions[-1])),
        lines=tuple(_line(language, line) for line in (order or {}).get("lines") or ()),
        decisions=tuple(_decision(language, facts) for facts in decisions),
    )


def _facts(language: str, order: Mapping[str, Any] | None, latest: DecisionFacts) -> list[Pair]:
    order = order or {}
    ship_to, payment = order.get("ship_to") or {}, order.get("payment") or {}
    placed = decision.placed_at(order)
    region = words.region_name(language, ship_to.get("region") or latest.line.region)
    rows = [
        ("order.total", decision.order_total(order) if order.get("lines") else ""),
        ("order.placed", texts.moment(placed, language) if placed else ""),
        ("order.promised", plan.moment(language, order["promised_by"]) if order.get("promised_by") else ""),
        ("order.customer", (order.get("customer") or {}).get("customer_id") or latest.line.customer_id or ""),
        ("order.ship_to", words.listed(language, (part for part in (ship_to.get("city"), region) if part))),
        ("order.channel", words.channel_name(language, order.get("channel") or latest.line.channel)),
        (
            "order.payment",
            " · ".join(
                part
                for part in (words.method_name(language, payment.get("method")), words.payment_status(language, payment.get("status")))
                if part
            ),
        ),
        ("order.tags", words.listed(language, (words.tag_name(language, tag) for tag in order.get("tags") or ()))),
    ]
    return [Pair(say(language, key), str(value)) for key, value in rows if value]


def _line(language: str, line: Mapping[str, Any]) -> LineRow:
    return LineRow(
        line_id=str(line.get("line_id", "")),
        sku=str(line.get("sku", "")),
        category=words.category_name(language, line.get("category")),
        qty=texts.value_text(line.get("qty")),
        price=texts.money(line.get("unit_price")),
    )


def _decision(language: str, facts: DecisionFacts) -> OrderDecision:
    line, confidence = facts.line, facts.answer.get("confidence")
    badge = words.outcome_badge(language, line.outcome)
    return OrderDecision(
        href=f"/console/decisions/{line.record_id}",
        type=words.type_name(language, line.type),
        badge=badge,
        when=texts.moment(line.decided_at, language),
        version=say(language, "order.version", version=line.order_version) if line.order_version else "",
        headline=decision.headline(language, facts),
        probability=texts.percent(float(confidence["probability"])) if confidence else "",
        scale=words.scale(language, confidence, tuple(facts.marks), badge.tone) if confidence else None,
    )
