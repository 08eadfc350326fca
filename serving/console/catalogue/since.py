"""What happened to a decision since it was answered."""

from __future__ import annotations

from serving.console.catalogue.message import Message

WORDS = {
    "since.title": Message("Since then", "后续"),
    "since.now": Message("What holds now: {outcome}.", "当前结果：{outcome}。"),
    "since.overridden": Message("{who} made it: {outcome}", "{who} 改判：{outcome}"),
    "since.proposed": Message("{who} proposed: {outcome}", "{who} 提议：{outcome}"),
    "since.waits": Message("a second person has to confirm", "待第二人确认"),
    "since.confirmed": Message("{who} confirmed it", "{who} 已确认"),
    "since.refused": Message("{who} refused it", "{who} 已驳回"),
    "since.lapsed": Message("it lapsed", "提议已失效"),
    "since.expired": Message("Nobody decided in time: {outcome}", "到期未处理：{outcome}"),
    "since.superseded": Message("Version {version} of the order was decided", "订单第 {version} 版已决策"),
    "since.cancelled": Message("The order was cancelled", "订单已取消"),
    "since.label": Message("What really happened: {label}", "实际结果：{label}"),
    "since.label_note": Message("seen {at}", "观察于 {at}"),
    "since.claimed": Message("{who} works on it", "{who} 正在处理"),
    "since.until": Message("until {at}", "至 {at}"),
    "label.fulfilled": Message("fulfilled", "正常履约"),
    "label.fulfilment_failure": Message("not fulfilled", "履约失败"),
    "label.late": Message("late", "迟到"),
    "label.on_time": Message("on time", "准时"),
    "label.cancelled": Message("cancelled", "取消"),
    "label.returned": Message("returned", "退货"),
    "label.legitimate": Message("legitimate", "正常"),
    "label.fraud": Message("fraud", "欺诈"),
}

TEXTS: dict[str, Message] = {**WORDS}
