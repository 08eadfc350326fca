"""One decision told to three readers, each in words of their own and only what they may see.

- The **customer** learns what the decision is about and what it means for the order: no rule of fraud, no figure of a supplier or warehouse, nothing of
  another person, no value. Several reasons of one topic are told once (GDPR art. 13–15 and 22, PIPL art. 24: meaningful, and open to a person's review).
- The **agent** who answers the customer reads the reasons as the answer tells them: values beside usual ones. What looks like an identifier of
  a user's own table is withheld.
- The **auditor** reads everything: codes, features, contributions, groups, checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from models.reasons import REST
from models.specs import SPECS, DecisionType, Outcome

VERSION = "readers/v1"
"""Of the words below; raised when a text or a topic changes."""

Words = Mapping[str, str]


class Reader(StrEnum):
    """Who reads."""

    CUSTOMER = "customer"
    AGENT = "agent"
    AUDITOR = "auditor"


class Topic(StrEnum):
    """What a customer is told a reason is about; the value is a stable code."""

    PAYMENT = "PAYMENT_NOT_ACCEPTED"
    CHECK = "ORDER_NEEDS_A_CHECK"
    PERSON = "LOOKED_AT_BY_A_PERSON"
    DELIVERY_TIME = "DELIVERY_TIME_TIGHT"
    DESTINATION = "DELIVERIES_TO_THE_ADDRESS_SLOW"
    WAREHOUSE = "WAREHOUSE_BUSY"
    WEATHER = "WEATHER"
    HOLIDAYS = "HOLIDAYS"
    CUSTOMS = "CUSTOMS"
    PRESALE = "GOODS_NOT_HERE_YET"
    AVAILABILITY = "GOODS_SHORT"
    ORDER = "KIND_OF_ORDER"
    HISTORY = "EARLIER_ORDERS"
    LIMIT = "PURCHASE_LIMIT"


TOPIC_TEXTS: Mapping[Topic, Words] = {
    Topic.PAYMENT: {"en": "Your payment was not accepted. Please use another way to pay.", "zh": "您的支付未通过，请更换支付方式。"},
    Topic.CHECK: {"en": "We have to check some details before we can go on with your order.", "zh": "我们需要先核实部分信息，再继续处理您的订单。"},
    Topic.PERSON: {"en": "Somebody of our team looks at your order.", "zh": "我们的工作人员正在查看您的订单。"},
    Topic.DELIVERY_TIME: {"en": "The time until the promised delivery is tight for this order.", "zh": "该订单距承诺送达的时间较紧。"},
    Topic.DESTINATION: {"en": "Deliveries to your address take longer at the moment.", "zh": "目前送往您地址的包裹需要更长时间。"},
    Topic.WAREHOUSE: {"en": "The warehouse that would ship your order is very busy.", "zh": "预计发货的仓库目前十分繁忙。"},
    Topic.WEATHER: {"en": "The weather at the destination may delay the delivery.", "zh": "目的地天气可能影响配送。"},
    Topic.HOLIDAYS: {"en": "Holidays or a weekend lie before the delivery.", "zh": "配送期间适逢节假日或周末。"},
    Topic.CUSTOMS: {"en": "Your order crosses a border; customs set limits and take time.", "zh": "您的订单需要清关，受海关限额与时间影响。"},
    Topic.PRESALE: {"en": "Goods in your order have to be made or bought first and may come later.", "zh": "订单中的商品需先备货，可能晚于预期。"},
    Topic.AVAILABILITY: {"en": "Something in your order may not be available in time.", "zh": "订单中的部分商品可能无法及时供应。"},
    Topic.ORDER: {"en": "The size, value or kind of the goods in your order plays a part.", "zh": "订单的件数、金额或商品种类有一定影响。"},
    Topic.HISTORY: {"en": "How earlier orders of your account went plays a part.", "zh": "您账户以往订单的情况有一定影响。"},
    Topic.LIMIT: {"en": "The order goes beyond what one customer may buy.", "zh": "订单超出单客限购数量。"},
}  # fmt: skip

_TOPICS: Mapping[Topic, tuple[str, ...]] = {
    Topic.PAYMENT: ("PAYMENT_DECLINED",),
    Topic.PERSON: (
        "TOO_UNCERTAIN", "TOO_NEAR_THRESHOLD", "ORDER_VALUE_HIGH", "NO_MODEL", "SWITCHED_TO_RULES", "SWITCHED_TO_HOLD", "FALLBACK_HOLD",
        "FALLBACK_ACCEPT", "FALLBACK_REVIEW", "FALLBACK_ALLOW", "FALLBACK_DEFER",
    ),
    Topic.DELIVERY_TIME: (
        "PROMISE_TIGHT", "EXPRESS_ASKED", "EXPRESS_SERVICE", "CUTOFF_MISSED", "LONG_TRANSIT", "CARRIER_OFTEN_LATE", "LANE_OFTEN_LATE",
        "CARRIER_NEW", "SKU_OFTEN_LATE", "UNUSUAL_HOUR",
    ),
    Topic.DESTINATION: ("FAR_AWAY", "REMOTE_ADDRESS", "REGION_OFTEN_LATE"),
    Topic.WAREHOUSE: (
        "NODE_BACKLOG", "NODE_STAFFING_LOW", "NODE_CAPACITY_SHORT", "NODE_TROUBLE", "EQUIPMENT_OUTAGE", "NODE_OFTEN_CANCELS", "NODE_SLOW",
        "NODE_OFTEN_LATE",
    ),
    Topic.WEATHER: ("BAD_WEATHER",),
    Topic.HOLIDAYS: ("PUBLIC_HOLIDAY", "SPRING_FESTIVAL", "WEEKEND"),
    Topic.CUSTOMS: (
        "CROSS_BORDER", "CUSTOMS_STRICT", "CUSTOMS_RULE_NEW", "PORT_CONGESTED", "CUSTOMS_WINDOW_TOO_SHORT", "CUSTOMS_VALUE_ABOVE_LIMIT",
    ),
    Topic.PRESALE: (
        "PRESALE", "SUPPLIER_CAPACITY_LOW", "SUPPLIER_DELAYED", "SUPPLIER_OFTEN_CANCELLED", "SUPPLIER_OFTEN_LATE", "SUPPLIER_AT_RISK",
        "PRESALE_WINDOW_TOO_SHORT",
    ),
    Topic.AVAILABILITY: (
        "STOCK_SCARCE", "NEEDS_SEVERAL_SHIPMENTS", "SKU_OFTEN_CANCELLED", "OUT_OF_STOCK", "LINES_OUT_OF_STOCK", "OVERSOLD", "NOTHING_SHIPPABLE",
        "PARTLY_SHIPPABLE", "DEMAND_SURGE",
    ),
    Topic.ORDER: ("ORDER_VALUE", "ORDER_SIZE", "BULKY_GOODS", "CHILLED_GOODS", "BOUGHT_AT_DISCOUNT", "SKU_OFTEN_RETURNED", REST),
    Topic.HISTORY: ("CUSTOMER_OFTEN_RETURNS", "CUSTOMER_HISTORY", "CUSTOMER_FAILED_BEFORE", "UNUSUAL_BASKET"),
    Topic.LIMIT: ("LAUNCH_LIMIT_EXCEEDED",),
}  # fmt: skip

TOPIC_OF: Mapping[str, Topic] = {code: topic for topic, codes in _TOPICS.items() for code in codes}
"""What a code is told to a customer as; one that is not here needs a check and says no more."""

_TOLD_OF_FRAUD = frozenset({Topic.PAYMENT, Topic.PERSON, Topic.LIMIT})
"""All other reasons of a fraud decision are one topic: who tries to defraud must not learn by what he was found."""

SUMMARIES: Mapping[str, Words] = {
    Outcome.ACCEPT: {"en": "Your order is accepted.", "zh": "您的订单已接收。"},
    Outcome.ACCEPT_PARTIAL: {"en": "Part of your order is accepted.", "zh": "您的订单已部分接收。"},
    Outcome.HOLD: {"en": "Your order waits until somebody of our team has looked at it.", "zh": "您的订单正在等待工作人员确认。"},
    Outcome.REJECT: {"en": "We cannot accept your order. You may ask for a person to look at it again.", "zh": "我们无法接收您的订单。您可以要求人工复核。"},
    Outcome.ALLOW: {"en": "Your order passed our checks.", "zh": "您的订单已通过核验。"},
    Outcome.REVIEW: {"en": "Your order waits until somebody of our team has looked at it.", "zh": "您的订单正在等待工作人员确认。"},
    Outcome.BLOCK: {"en": "We cannot go on with your order. You may ask for a person to look at it again.", "zh": "我们无法继续处理您的订单。您可以要求人工复核。"},
    Outcome.PLANNED: {"en": "The shipping of your order is planned.", "zh": "您的订单已安排发货。"},
    Outcome.PARTIAL: {"en": "The shipping of a part of your order is planned.", "zh": "您的订单已安排部分发货。"},
    Outcome.UNFULFILLABLE: {"en": "We cannot ship your order at the moment.", "zh": "您的订单目前无法发货。"},
}  # fmt: skip
_DECIDED: Words = {"en": "A decision was made. You may ask for a person to look at it again.", "zh": "已作出决定。您可以要求人工复核。"}
_FINE = frozenset({Outcome.ACCEPT, Outcome.ALLOW, Outcome.PLANNED})

_WITHHELD: Words = {"en": "(withheld)", "zh": "（已隐去）"}
_IDENTIFIER = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+"  # an address of mail
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"  # of the net
    r"|\b(?!\d+e-?\d+\b)(?=[\w-]*[A-Za-z])(?=(?:[\w-]*\d){3})[A-Za-z0-9][\w-]{4,}\b"  # letters with at least three digits: a key, a plate, a serial number
    r"|(?<![\d,.\u2212-])\d{7,}(?![\d,.])"  # a long number without separators: a phone, an account
)


def tell(
    reader: Reader, decision_type: str, outcome: str, reasons: Sequence[Mapping[str, Any]], contributions: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """A decision's reasons as this reader may see them.

    Args:
        reader: for whom.
        decision_type: of the decision.
        outcome: what was decided.
        reasons: all of them as a record keeps them: ``rank, code, text, direction, contribution, feature, value``.
        contributions: of every feature, ``feature, group, value, usual, contribution``; the auditor is told what a reason sums up.

    Returns:
        ``{reader, words, summary, reasons}``: for the customer each reason is ``{rank, code, text}`` with the code of a :class:`Topic`; for the
        agent ``{rank, code, text, direction}``; for the auditor all that is kept, and ``members``.
    """
    told = {
        Reader.CUSTOMER: lambda: _to_customer(decision_type, outcome, reasons),
        Reader.AGENT: lambda: [_to_agent(decision_type, reason) for reason in reasons],
        Reader.AUDITOR: lambda: _to_auditor(reasons, contributions),
    }[reader]()
    return {"reader": reader.value, "words": VERSION, "summary": dict(SUMMARIES.get(outcome, _DECIDED)), "reasons": told}


def customer_topic(decision_type: str, code: str) -> Topic:
    """What a customer is told instead of a code."""
    if decision_type not in SPECS:
        return Topic.CHECK  # a user's own columns: nobody said what a customer may know of them
    topic = TOPIC_OF.get(code, Topic.CHECK)
    return topic if decision_type != DecisionType.FRAUD or topic in _TOLD_OF_FRAUD else Topic.CHECK


def withhold(text: str, language: str) -> str:
    """A text without what looks like an identifier."""
    return _IDENTIFIER.sub(_WITHHELD[language], text)


def _to_customer(decision_type: str, outcome: str, reasons: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What speaks against the order, each topic once. Of an order that goes through there is nothing to tell."""
    if outcome in _FINE:
        return []
    against = [reason for reason in reasons if reason["direction"] != "lowers"]
    weighty = [reason for reason in against if reason["code"] != REST] or against
    topics = dict.fromkeys(customer_topic(decision_type, str(reason["code"])) for reason in weighty)
    return [{"rank": rank, "code": topic.value, "text": dict(TOPIC_TEXTS[topic])} for rank, topic in enumerate(topics, start=1)]


def _to_agent(decision_type: str, reason: Mapping[str, Any]) -> dict[str, Any]:
    text: Words = reason["text"]
    if decision_type not in SPECS:
        text = {language: withhold(words, language) for language, words in text.items()}
    return {"rank": reason["rank"], "code": reason["code"], "text": dict(text), "direction": reason["direction"]}


def _to_auditor(reasons: Sequence[Mapping[str, Any]], contributions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every reason with its code, its number, and the features that it sums up."""
    group_of = {one["feature"]: one["group"] for one in contributions}
    named = {group_of.get(reason["feature"]) for reason in reasons if reason["feature"] is not None}
    told = []
    for reason in reasons:
        if reason["feature"] is not None:
            group = group_of.get(reason["feature"])
            members = [one for one in contributions if one["group"] == group and one["contribution"]]
        else:
            members = [one for one in contributions if one["group"] not in named and one["contribution"]] if reason["code"] == REST else []
        text = {language: words + _note(reason, members, language) for language, words in reason["text"].items()}
        kept = [{name: one.get(name) for name in ("feature", "value", "usual", "contribution")} for one in members]
        told.append({**reason, "text": text, "members": kept})
    return told


def _note(reason: Mapping[str, Any], members: Sequence[Mapping[str, Any]], language: str) -> str:
    """What an auditor reads behind the agent's sentence."""
    opening, between, closing, joint = (" [", "; ", "]", ", ") if language == "en" else ("［", "；", "］", "、")
    parts = [str(reason["code"])]
    if reason["contribution"] is None:
        parts.append("set by the policy or the service" if language == "en" else "由策略或服务给出")
    else:
        parts.append(f"{reason['contribution']:+.4g} " + ("of the margin" if language == "en" else "分值贡献"))
    if len(members) > 1:
        parts.append(joint.join(f"{one['feature']} {one['contribution']:+.4g}" for one in members))
    return opening + between.join(parts) + closing
