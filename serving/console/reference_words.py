"""The words of the API's own page, English and Chinese; :mod:`serving.console.messages` takes them into its catalogue."""

from __future__ import annotations

from typing import Final

WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.reference": ("API", "接口"),
    "reference.title": ("API reference", "接口参考"),
    "reference.intro": (
        "Every JSON route, by the person or system that uses it. The same contract for programs:",
        "所有 JSON 接口，按使用者分组。供程序读取的同一份契约：",
    ),
    "reference.base": ("Address", "地址"),
    "reference.key": ("Key", "密钥"),
    "reference.key_text": (
        "Send it as Authorization: Bearer. The lines below read it from ORDINANCE_KEY; ordinance keys create makes one.",
        "以 Authorization: Bearer 发送。下方命令从 ORDINANCE_KEY 读取；用 ordinance keys create 创建。",
    ),
    "reference.retry": ("Retries", "重试"),
    "reference.retry_text": (
        "A decision takes an Idempotency-Key. The same key with the same body gives the same bytes, however often it is sent.",
        "决策请求携带 Idempotency-Key。同一密钥与同一请求体无论发送多少次，返回的字节都相同。",
    ),
    "reference.errors": ("Errors", "错误"),
    "reference.errors_text": (
        "Problem details (RFC 9457): type, title, status, detail, and errors with the place of each.",
        "问题详情（RFC 9457）：type、title、status、detail，以及标明位置的 errors。",
    ),
    "reference.roles": ("Roles", "角色"),
    "reference.no_key": ("no key on loopback", "本机访问无需密钥"),
    "reference.parameters": ("Parameters", "参数"),
    "reference.fields": ("Members of the body", "请求体字段"),
    "reference.name": ("Name", "名称"),
    "reference.type": ("Type", "类型"),
    "reference.meaning": ("Meaning", "含义"),
    "reference.required": ("required", "必填"),
    "reference.place.path": ("in the path", "路径"),
    "reference.place.query": ("in the query", "查询"),
    "reference.place.header": ("header", "请求头"),
    "reference.request": ("Request", "请求"),
    "reference.request.least": ("Request, the least", "最小请求"),
    "reference.call": ("Call", "调用"),
    "reference.copy": ("Copy", "复制"),
    "reference.copied": ("Copied", "已复制"),
    "reference.answer": ("Answer {status}", "响应 {status}"),
    "reference.refusals": ("Refusals", "拒绝"),
    "reference.user.oms-engineer": ("OMS engineer", "OMS 工程师"),
    "reference.user.auditor": ("Auditor", "审计员"),
    "reference.user.business-user": ("Business user", "业务人员"),
    "reference.user.reviewer": ("Reviewer", "复核员"),
    "reference.user.policy-owner": ("Policy owner", "策略负责人"),
    "reference.user.approver": ("Approver", "审批人"),
    "reference.user.operator": ("Operator", "运维人员"),
    "reference.use.oms-engineer": ("Asks for decisions inside checkout and order drop.", "在下单与订单下发流程中请求决策。"),
    "reference.use.auditor": ("Finds out why something was decided, and checks it.", "查明决策原因并加以核验。"),
    "reference.use.business-user": ("Trains models from tables.", "用表格训练模型。"),
    "reference.use.reviewer": ("Works the queue of held decisions.", "处理待复核的决策。"),
    "reference.use.policy-owner": ("Sets thresholds, hard constraints and lists.", "设定阈值、硬约束与名单。"),
    "reference.use.approver": ("Approves what somebody else submitted, and puts it in service.", "审批他人提交的内容并投入使用。"),
    "reference.use.operator": ("Runs the service.", "运行服务。"),
}
